//! Against the running kernel, with requests that anybody may make and that change nothing.

use netlink_batch::{Batch, Limits, Outcome, Protocol, Socket};

const RTM_GETLINK: u16 = 18;
const ENODEV: i32 = 19;

/// An `ifinfomsg` that asks for the link with this index.
fn link(body: &mut Vec<u8>, index: i32) {
    body.extend([0; 4]);
    body.extend(index.to_ne_bytes());
    body.extend([0; 8]);
}

#[test]
fn a_get_and_a_dump_agree() {
    let mut socket = Socket::open(Protocol::ROUTE).unwrap();
    let mut batch = Batch::new();
    let dump = batch.dump(RTM_GETLINK, |body| link(body, 0));
    let mut links = Vec::new();
    let report = socket
        .run(&mut batch, |_, message| {
            links.push(i32::from_ne_bytes(*message.body[4..].first_chunk().unwrap()));
        })
        .unwrap();
    assert_eq!(report.outcome(dump), Outcome::Done);
    assert!(!links.is_empty());

    batch.clear();
    for index in &links {
        batch.get(RTM_GETLINK, |body| link(body, *index));
    }
    let mut again = Vec::new();
    let report = socket
        .run(&mut batch, |item, message| {
            assert_eq!(
                i32::from_ne_bytes(*message.body[4..].first_chunk().unwrap()),
                links[item]
            );
            again.push(item);
        })
        .unwrap();
    assert!(report.is_clean());
    assert_eq!(again, (0..links.len()).collect::<Vec<_>>());
    assert_eq!(socket.counters().sends, 2);
}

#[test]
fn more_errors_than_the_receive_buffer_holds_are_all_matched() {
    let mut socket = Socket::open(Protocol::ROUTE).unwrap();
    socket.set_limits(Limits::for_buffers(212_992, 212_992));
    let mut batch = Batch::new();
    for _ in 0..2000 {
        batch.get(RTM_GETLINK, |body| link(body, i32::MAX));
    }
    let report = socket
        .run(&mut batch, |_, _| panic!("there is no such link"))
        .unwrap();
    assert_eq!(report.failures().count(), 2000);
    assert!(
        report
            .failures()
            .all(|(_, failure)| failure.errno.get() == ENODEV)
    );
    assert!(!report.needs_resync());
}

#[test]
fn an_overrun_is_noticed_and_the_socket_is_usable_afterwards() {
    let mut socket = Socket::open(Protocol::ROUTE).unwrap();
    let honest = socket.limits();
    // As if the receive buffer had no end: 32 bytes of request, 832 of error.
    socket.set_limits(Limits::for_buffers(honest.bytes, usize::MAX));
    let mut batch = Batch::new();
    for _ in 0..honest.bytes / 40 {
        batch.get(RTM_GETLINK, |body| link(body, i32::MAX));
    }
    let report = socket.run(&mut batch, |_, _| {}).unwrap();
    assert!(report.needs_resync());
    let failed = report.failures().count();
    let unconfirmed = report.unconfirmed().count();
    assert!(failed > 0 && unconfirmed > 0, "{failed} {unconfirmed}");
    assert_eq!(failed + unconfirmed, report.len());

    socket.set_limits(honest);
    batch.clear();
    batch.dump(RTM_GETLINK, |body| link(body, 0));
    assert!(socket.run(&mut batch, |_, _| {}).unwrap().is_clean());
}

#[test]
fn a_protocol_that_the_kernel_lacks_cannot_be_opened() {
    assert!(matches!(
        Socket::open(Protocol::other(31)),
        Err(netlink_batch::Error::Open(_))
    ));
}

#[test]
fn a_descriptor_that_is_no_namespace_is_refused() {
    use std::os::fd::AsFd as _;
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(matches!(
        Socket::open_in(Protocol::ROUTE, file.as_fd()),
        Err(netlink_batch::Error::Namespace(_))
    ));
}

#[test]
fn a_request_longer_than_any_send_buffer_is_an_error_of_sending() {
    let mut socket = Socket::open(Protocol::ROUTE).unwrap();
    let mut batch = Batch::new();
    batch.get(RTM_GETLINK, |body| body.resize(body.len() + 16 * 1024 * 1024, 0));
    assert!(matches!(
        socket.run(&mut batch, |_, _| {}),
        Err(netlink_batch::Error::Send(_))
    ));
}

#[test]
fn a_part_of_the_kernel_that_never_answers_is_given_up() {
    // NETLINK_FIB_LOOKUP drops what is too short for it, and does not know acknowledgements.
    let mut socket = Socket::open(Protocol::other(10)).unwrap();
    socket.set_grace(std::time::Duration::from_millis(1));
    let mut batch = Batch::new();
    batch.get(0x10, |_| {});
    assert!(matches!(
        socket.run(&mut batch, |_, _| {}),
        Err(netlink_batch::Error::NoAnswer)
    ));
}
