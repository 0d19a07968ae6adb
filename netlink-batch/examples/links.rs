//! The network interfaces of this host, and what the kernel says to a request that it refuses, in one exchange. Needs no
//! privilege.
//!
//! `cargo run -p netlink-batch --example links`

use netlink_batch::{Batch, Error, Protocol, Socket};

/// From `linux/rtnetlink.h` and `linux/if_link.h`.
const RTM_GETLINK: u16 = 18;
const IFINFOMSG: usize = 16;
const IFLA_IFNAME: u16 = 3;

fn main() -> Result<(), Error> {
    let mut socket = Socket::open(Protocol::ROUTE)?;
    let mut batch = Batch::new();
    let all = batch.dump(RTM_GETLINK, |body| body.extend_from_slice(&[0; IFINFOMSG]));
    let nobody = batch.get(RTM_GETLINK, |body| {
        let mut header = [0; IFINFOMSG];
        header[4..8].copy_from_slice(&i32::MAX.to_ne_bytes());
        body.extend_from_slice(&header);
    });
    let report = socket.run(&mut batch, |item, message| {
        if item == all
            && let Some(name) = name(message.body)
        {
            println!("{name}");
        }
    })?;
    println!("the whole list: {:?}", report.outcome(all));
    println!("interface {}: {:?}", i32::MAX, report.outcome(nobody));
    Ok(())
}

/// The attribute with the interface's name, in a message that the kernel sent.
fn name(body: &[u8]) -> Option<String> {
    let mut rest = body.get(IFINFOMSG..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        if kind == IFLA_IFNAME {
            return Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}
