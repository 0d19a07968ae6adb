//! What virtual and real servers are called.

use std::net::SocketAddr;

use crate::data_plane::{Front, Transport};
use crate::notify::Object;

/// As commands and the status name it: `10.1.10.7:80`, `10.1.10.7:53/udp`, `fwmark:7`.
pub(crate) fn of_front(front: &Front) -> String {
    match front {
        Front::Address { transport, address } => format!("{address}{}", suffix(*transport)),
        Front::Mark { mark, .. } => format!("fwmark:{mark}"),
    }
}

/// The same of a group: `group:web`, `group:dns/udp`.
#[cfg(feature = "keepalived")]
pub(crate) fn of_group(name: &str, transport: Transport) -> String {
    format!("group:{name}{}", suffix(transport))
}

fn suffix(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "",
        Transport::Udp => "/udp",
        Transport::Sctp => "/sctp",
    }
}

/// As keepalived writes it to its FIFOs: `[10.1.10.7]:tcp:80`, `FWM 7`.
pub(crate) fn label_of_front(front: &Front) -> String {
    match front {
        Front::Address { transport, address } => label_of_address(*transport, *address),
        Front::Mark { mark, .. } => format!("FWM {mark}"),
    }
}

/// The same of a real server.
pub(crate) fn label_of_address(transport: Transport, address: SocketAddr) -> String {
    format!("[{}]:{transport}:{}", address.ip(), address.port())
}

/// What a real server is called in events: its own label and that of its virtual server.
pub(crate) fn real_object(transport: Transport, address: SocketAddr, front: &str) -> Object {
    let real = label_of_address(transport, address);
    Object::RealServer(format!("{real} {front}").into())
}
