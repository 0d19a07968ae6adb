//! Who answers for an address on a link.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use vrrp_proto::{ArpClaim, ArpProbe, MacAddress};

use crate::error::Error;
use crate::sys;

/// Asks on a link who has these addresses, and returns everybody else who answers within `wait`, each pair once. An address
/// that several answer for, or one that this host has and another answers for, is held twice.
///
/// The questions are the probes of [RFC 5227 §2.1.1], which nobody learns anything from: the sender's address in them is 0.
///
/// [RFC 5227 §2.1.1]: https://www.rfc-editor.org/rfc/rfc5227#section-2.1.1
///
/// # Errors
/// [`Error::System`] if there is no such interface, it is none of Ethernet, or without `CAP_NET_RAW`.
pub fn holders_of(
    interface: &str,
    addresses: &[Ipv4Addr],
    wait: Duration,
) -> Result<Vec<(Ipv4Addr, MacAddress)>, Error> {
    ask(interface, addresses, wait).map_err(Error::system("cannot ask who has an address"))
}

fn ask(interface: &str, addresses: &[Ipv4Addr], wait: Duration) -> io::Result<Vec<(Ipv4Addr, MacAddress)>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a protocol nothing arrives before it is bound.
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    let link = name_to_index(socket.as_fd(), interface)?;
    let own = MacAddress(sys::bind_to_link(socket.as_fd(), link, ARP)?);
    let begun = Instant::now();
    let mut found = Vec::new();
    for round in 1..=PROBES {
        for address in addresses {
            let mut probe = [0; ArpProbe::LEN];
            ArpProbe::new(own, *address)
                .emit(&mut probe)
                .map_err(io::Error::other)?;
            match send(socket.as_fd(), &probe, SendFlags::empty()) {
                // A queue that is full: the next round asks again.
                Ok(_) | Err(rustix::io::Errno::NOBUFS | rustix::io::Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let until = begun + wait * round / PROBES;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let timeout = left.try_into().map_err(io::Error::other)?;
            let mut ready = [PollFd::new(&socket, PollFlags::IN)];
            match poll(&mut ready, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut frame = [0_u8; 128];
            while let Ok((length, _)) = recv(socket.as_fd(), &mut frame, RecvFlags::empty()) {
                let Ok(claim) = ArpClaim::parse(frame.get(..length).unwrap_or(&[])) else {
                    continue;
                };
                let pair = (claim.address(), claim.mac());
                if pair.1 != own
                    && addresses.contains(&pair.0)
                    && !found.contains(&pair)
                    // Strangers must not fill it.
                    && found.len() < MOST_ANSWERS
                {
                    found.push(pair);
                }
            }
        }
    }
    Ok(found)
}

const ARP: u16 = 0x0806;

/// As many as RFC 5227 wants.
const PROBES: u32 = 3;

const MOST_ANSWERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        let error = holders_of("no-such-link", &[Ipv4Addr::LOCALHOST], Duration::ZERO).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot ask who has an address"),
            "{error}"
        );
    }
}
