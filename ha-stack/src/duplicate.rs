//! Who answers for an address on a link.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use vrrp_proto::MacAddress;

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
    let own = sys::bind_to_link(socket.as_fd(), link, ARP)?;
    let begun = Instant::now();
    let mut found = Vec::new();
    for round in 1..=PROBES {
        for address in addresses {
            match send(socket.as_fd(), &probe(own, *address), SendFlags::empty()) {
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
                let answer = frame.get(..length).and_then(answer);
                if let Some((address, mac)) = answer
                    && mac != own
                    && addresses.contains(&address)
                    && !found.contains(&(address, mac))
                    // Strangers must not fill it.
                    && found.len() < MOST_ANSWERS
                {
                    found.push((address, mac));
                }
            }
        }
    }
    Ok(found
        .into_iter()
        .map(|(address, mac)| (address, MacAddress(mac)))
        .collect())
}

/// A question to everybody.
fn probe(own: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend(own);
    frame.extend(ARP.to_be_bytes());
    // Ethernet, IPv4, lengths 6 and 4, a request.
    frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(own);
    frame.extend([0; 4]);
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

/// Who says in a frame that he has an address: in an answer, or by announcing it.
fn answer(frame: &[u8]) -> Option<(Ipv4Addr, [u8; 6])> {
    let packet = frame.get(14..)?;
    if packet.get(..6)? != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let mac: [u8; 6] = packet.get(8..14)?.try_into().ok()?;
    let sender: [u8; 4] = packet.get(14..18)?.try_into().ok()?;
    Some((Ipv4Addr::from(sender), mac))
}

const ARP: u16 = 0x0806;

/// As many as RFC 5227 wants.
const PROBES: u32 = 3;

const MOST_ANSWERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_claims_nothing_and_an_answer_is_read() {
        let frame = probe([2, 0, 0, 0, 0, 1], Ipv4Addr::new(10, 1, 10, 7));
        assert_eq!(frame.len(), 42);
        assert_eq!(answer(&frame), Some((Ipv4Addr::UNSPECIFIED, [2, 0, 0, 0, 0, 1])));
        let mut reply = frame.clone();
        reply[28..32].copy_from_slice(&[10, 1, 10, 7]);
        let found = Some((Ipv4Addr::new(10, 1, 10, 7), [2, 0, 0, 0, 0, 1]));
        assert_eq!(answer(&reply), found);
        for end in 0..32 {
            assert_eq!(answer(&reply[..end]), None);
        }
        reply[15] = 6;
        assert_eq!(answer(&reply), None, "not of Ethernet");
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        let error = holders_of("no-such-link", &[Ipv4Addr::LOCALHOST], Duration::ZERO).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot ask who has an address"),
            "{error}"
        );
    }
}
