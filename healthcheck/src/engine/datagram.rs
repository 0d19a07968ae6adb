//! Questions in one datagram.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

use super::net;
use crate::check::{Endpoint, Kind};
use crate::failure::{FailKind, Failure, Stage};
use crate::outcome::Outcome;
use crate::scheduler::Ticket;
use crate::sys;
use crate::time::Time;

/// One attempt over UDP.
pub(super) struct Datagram {
    pub(super) ticket: Ticket,
    pub(super) started: Time,
    kind: Kind,
    id: u16,
}

impl Datagram {
    /// Opens a socket and asks. A connected socket hears what routers and hosts complain about.
    pub(super) fn ask(
        ticket: Ticket,
        endpoint: &Endpoint,
        kind: &Kind,
        started: Time,
        id: u16,
    ) -> Result<(OwnedFd, Self), Outcome> {
        let fd = net::socket(endpoint, SocketType::DGRAM, None)?;
        let (level, name) = if endpoint.is_v6() {
            (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        } else {
            (libc::IPPROTO_IP, libc::IP_RECVERR)
        };
        // Without it a complaint that is not about the port is kept from us.
        let _ = sys::set_int(&fd, level, name, 1);
        rustix::net::connect(&fd, &endpoint.addr).map_err(net::connecting)?;
        let question = match kind {
            #[cfg(feature = "dns")]
            Kind::Dns(dns) => dns.question(id),
            #[cfg(feature = "udp")]
            Kind::Udp(udp) => udp.payload().to_vec(),
            _ => Vec::new(),
        };
        rustix::net::send(&fd, &question, SendFlags::NOSIGNAL).map_err(net::connecting)?;
        Ok((
            fd,
            Self {
                ticket,
                started,
                kind: kind.clone(),
                id,
            },
        ))
    }

    /// Reads what has come; `None` if nothing decides.
    pub(super) fn hear(&self, fd: &OwnedFd, buffer: &mut [u8]) -> Option<Outcome> {
        loop {
            let length = match rustix::net::recv(fd, &mut *buffer, RecvFlags::empty()) {
                Ok((length, _)) => length,
                Err(Errno::AGAIN) => return None,
                Err(Errno::INTR) => continue,
                Err(errno) => return Some(Outcome::Fail(net::failed(Stage::Connect, errno))),
            };
            let reply = buffer.get(..length).unwrap_or_default();
            let judged = match &self.kind {
                #[cfg(feature = "dns")]
                Kind::Dns(dns) => dns.judge(self.id, reply),
                #[cfg(feature = "udp")]
                Kind::Udp(udp) => Some(udp.judge(reply)),
                _ => {
                    let _ = (self.id, reply);
                    None
                }
            };
            // What is not the answer to our question is waited over.
            match judged {
                Some(Ok(())) => return Some(Outcome::Pass),
                Some(Err(failure)) => return Some(Outcome::Fail(failure)),
                None => {}
            }
        }
    }

    /// What it means that nothing came in time.
    pub(super) fn silence(&self) -> Outcome {
        match &self.kind {
            #[cfg(feature = "udp")]
            Kind::Udp(udp) if !udp.wants_reply() => Outcome::Pass,
            _ => Outcome::Fail(Failure::new(Stage::Reply, FailKind::TimedOut)),
        }
    }
}
