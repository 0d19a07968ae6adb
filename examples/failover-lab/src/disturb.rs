//! A stranger on the segment, who sends VRRP messages of its own making.

use std::io;

use vrrp_net::{Host, HostEvent, LinuxHost, Transmission, Transmissions};
use vrrp_proto::Envelope;

use crate::namespace::Namespace;

/// Sends messages from a host's `eth0`.
#[derive(Debug)]
pub struct Disturber {
    host: LinuxHost,
    index: u32,
}

impl Disturber {
    /// A stranger in this namespace.
    ///
    /// # Errors
    /// What the system says to somebody without `CAP_NET_RAW`.
    pub fn new(namespace: &Namespace) -> io::Result<Self> {
        let mut host = namespace.run(|| LinuxHost::open().map_err(io::Error::other))?;
        let mut index = 0;
        while let Some(event) = host.poll_event() {
            if let HostEvent::Snapshot { links, .. } = event {
                let found = links.iter().find(|link| link.name == "eth0");
                index = found.map_or(0, |link| link.index);
            }
        }
        Ok(Self { host, index })
    }

    /// Sends these bytes as a VRRP message.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(&mut self, envelope: &Envelope, message: &[u8]) -> io::Result<()> {
        let mut packets = Transmissions::default();
        let transmission = Transmission {
            interface: self.index,
            source: envelope.source(),
            destination: envelope.destination(),
            hop_limit: envelope.hop_limit(),
            source_mac: None,
            tag: 0,
        };
        packets.push(transmission, |bytes| bytes.extend_from_slice(message));
        let mut result = Ok(());
        self.host
            .send(&packets, &mut |_, error| result = Err(io::Error::other(error)));
        result
    }
}
