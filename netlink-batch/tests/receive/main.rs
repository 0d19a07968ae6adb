//! A socket whose receiving fails.

mod sys;

use std::net::{Ipv4Addr, UdpSocket};

use netlink_batch::{Batch, Error, Protocol, Socket};

/// No netlink socket can be brought to it, so another kind is put in its place: one to a UDP port where nobody listens
/// takes what is sent, and says upon receiving that it was refused.
#[test]
fn answers_that_cannot_be_received_are_an_error_of_receiving() {
    let mut socket = Socket::open(Protocol::ROUTE).unwrap();
    let listener = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    other.connect(listener.local_addr().unwrap()).unwrap();
    // It keeps the port to itself, and listens to somebody else.
    listener.connect((Ipv4Addr::LOCALHOST, 1)).unwrap();
    other.set_nonblocking(true).unwrap();
    sys::replace(&socket, &other);
    let mut batch = Batch::new();
    batch.get(18, |body| body.extend([0; 16]));
    match socket.run(&mut batch, |_, _| {}) {
        Err(Error::Receive(error)) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused),
        other => panic!("{other:?}"),
    }
}
