//! All virtual routers of a host, on any sequence of inputs and packets: what always holds.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use vrrp_fsm::{
    Announcements, Datagram, Dialect, Heard, Input, Instant, InterfaceId, Output, Parameters, Peer, Preempt,
    RouterId, State, Track, TrackId, TrackStatus, VrrpRouter,
};
use vrrp_proto::{AdverInterval, Envelope, Priority, Vrid};

/// Bytes, read as choices; zeros at the end.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        first
    }

    fn priority(&mut self) -> u8 {
        [0, 1, 99, 100, 101, 254, 255, self.byte()][usize::from(self.below(8))]
    }

    fn source(&mut self) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, self.below(4) + 1).into()
    }

    fn parameters(&mut self, vrid: u8) -> Option<Parameters> {
        let addresses = (0..self.below(3)).map(|number| IpAddr::from([10, 0, 0, 100 + number]));
        let builder = Parameters::builder(Vrid::new(vrid)?, addresses.collect::<Vec<_>>())
            .priority(Priority::new(self.priority()))
            .dialect([Dialect::Rfc3768, Dialect::Rfc5798, Dialect::Rfc9568][usize::from(self.below(3))])
            .adver_interval(AdverInterval::from_centiseconds(
                u16::from(self.below(3)) * 100 + 100,
            )?)
            .down_timer_adverts(self.below(5))
            .accept_mode(self.flag())
            .answer_lower_priority(self.flag())
            .advertise_before_yielding(self.flag())
            .preempt(match self.below(3) {
                0 => Preempt::Immediate,
                1 => Preempt::Never,
                _ => Preempt::Delayed(Duration::from_secs(u64::from(self.byte()))),
            })
            .announcements(Announcements {
                repeat: self.below(4),
                delay: Duration::from_secs(u64::from(self.below(9))),
                refresh: Duration::from_secs(u64::from(self.below(9))),
                refresh_repeat: self.below(4),
                lower_priority_repeat: self.below(4),
                lower_priority_delay: Duration::from_secs(u64::from(self.below(9))),
            });
        let tracks =
            (0..self.below(3)).filter_map(|id| Track::new(TrackId(id.into()), i16::from(id) * -60).ok());
        let mut builder = builder.tracks(tracks.collect::<Vec<_>>());
        if self.below(4) == 0 {
            builder = builder
                .unicast_peers([Peer::new(self.source())])
                .check_peers(self.flag());
        }
        builder.build().ok()
    }

    fn input(&mut self, now: u64, vrid: u8) -> Option<Input> {
        Some(match self.below(14) {
            0 => Input::Startup { held: self.flag() },
            1 => Input::Shutdown,
            2 | 3 => Input::Timeout,
            4 | 5 => {
                let (source, priority) = (self.source(), Priority::new(self.priority()));
                let interval = AdverInterval::from_centiseconds(u16::from(self.byte()) + 1)?;
                let received = Instant::from_nanos(now.saturating_sub(u64::from(self.byte()) << 24));
                Input::Advertisement(Heard::new(received, source, priority, interval))
            }
            6 => Input::PeerDown(self.source()),
            7 => Input::Resign,
            8 => Input::Interface { up: self.flag() },
            9 => Input::PrimaryAddress(self.flag().then(|| self.source())),
            10 => Input::Fault { present: self.flag() },
            11 => Input::AddressesLost,
            12 => Input::Announce,
            _ => Input::Configure(Box::new(self.parameters(vrid)?)),
        })
    }
}

struct Lab {
    host: VrrpRouter,
    ids: Vec<(RouterId, u8)>,
    held: Vec<bool>,
    started: Vec<bool>,
}

impl Lab {
    /// After each step: outputs are few and in order, addresses are where they belong, nothing is overdue.
    fn check(&mut self, now: u64) {
        let mut count = 0;
        while let Some((id, output)) = self.host.poll_output() {
            count += 1;
            let at = self
                .ids
                .iter()
                .position(|(known, _)| *known == id)
                .expect("known");
            match output {
                Output::AddAddresses => self.held[at] = true,
                Output::RemoveAddresses => {
                    assert!(self.held[at]);
                    self.held[at] = false;
                }
                Output::AddAddress(_)
                | Output::RemoveAddress(_)
                | Output::Announce { .. }
                | Output::AnnounceAddress { .. } => assert!(self.held[at]),
                Output::Advertise { .. } | Output::Event(_) => {}
            }
        }
        assert!(count <= 20 * self.ids.len() + 12, "{count} outputs");
        let mut next = None;
        for (at, (id, _)) in self.ids.iter().enumerate() {
            let router = self.host.virtual_router(*id).expect("not removed");
            assert_eq!(router.holds_addresses(), self.held[at]);
            assert!(router.state() != State::Active || router.holds_addresses());
            assert_eq!(
                router.poll_timeout().is_some(),
                router.state() != State::Initialize
            );
            assert!(
                router
                    .poll_timeout()
                    .is_none_or(|due| due > Instant::from_nanos(now))
            );
            assert!(!router.effective_priority().is_release());
            next = [next, router.poll_timeout()].into_iter().flatten().min();
        }
        assert_eq!(self.host.poll_timeout(), next);
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let mut lab = Lab {
        host: VrrpRouter::new(),
        ids: Vec::new(),
        held: Vec::new(),
        started: Vec::new(),
    };
    for vrid in [1, 2, 2] {
        let Some(parameters) = choices.parameters(vrid) else {
            continue;
        };
        if let Ok(id) = lab
            .host
            .add(InterfaceId(1), parameters, Some([10, 0, 0, 1].into()))
        {
            lab.ids.push((id, vrid));
            lab.held.push(false);
            lab.started.push(false);
        }
    }
    if lab.ids.is_empty() {
        return;
    }
    if choices.flag() {
        let members: Vec<RouterId> = lab.ids.iter().map(|(id, _)| *id).collect();
        assert!(lab.host.add_sync_group(Instant::ZERO, &members).is_ok());
    }
    let mut now = 0u64;
    while !choices.0.is_empty() {
        now += match choices.below(3) {
            0 => u64::from(choices.byte()) << 20,
            1 => u64::from(choices.byte()) << 26,
            _ => lab
                .host
                .poll_timeout()
                .map_or(0, |due| due.as_nanos().saturating_sub(now)),
        };
        let time = Instant::from_nanos(now);
        match choices.below(8) {
            0 | 1 => lab.host.handle_timeout(time),
            2 => {
                let status = [TrackStatus::Good, TrackStatus::Bad, TrackStatus::Value(-3)];
                let id = TrackId(u32::from(choices.below(3)));
                lab.host
                    .handle_track(time, id, status[usize::from(choices.below(3))]);
            }
            3 => lab.host.handle_interface(time, InterfaceId(1), choices.flag()),
            4 => {
                // A packet of anything, or one that a peer would send.
                let source = choices.source();
                let destination = if choices.flag() {
                    [224, 0, 0, 18]
                } else {
                    [10, 0, 0, 1]
                };
                let hop_limit = if choices.below(8) == 0 {
                    choices.byte()
                } else {
                    255
                };
                let Ok(envelope) = Envelope::new(source, destination.into(), hop_limit) else {
                    continue;
                };
                let vrid = choices.below(2) + 1;
                let mut buffer = [0; 64];
                let message = match choices.flag().then(|| choices.parameters(vrid)).flatten() {
                    Some(peer) => {
                        let priority = Priority::new(choices.priority());
                        let length = peer
                            .emit_advertisement(priority, &envelope, &mut buffer)
                            .expect("fits");
                        buffer[..length].to_vec()
                    }
                    None => {
                        let length = usize::from(choices.below(30));
                        choices.bytes(length).to_vec()
                    }
                };
                let datagram = Datagram {
                    interface: InterfaceId(1),
                    envelope,
                    message: &message,
                    received: time,
                };
                let before: Vec<_> = lab.ids.iter().map(|(id, _)| outside(&lab.host, *id)).collect();
                if lab.host.handle_packet(time, &datagram).is_err() {
                    let after: Vec<_> = lab.ids.iter().map(|(id, _)| outside(&lab.host, *id)).collect();
                    assert_eq!(before, after);
                    continue;
                }
            }
            _ => {
                let at = usize::from(choices.byte()) % lab.ids.len();
                let (id, vrid) = lab.ids[at];
                let Some(input) = choices.input(now, vrid) else {
                    continue;
                };
                if let Input::Startup { held } = input {
                    lab.held[at] |= held && !lab.started[at];
                    lab.started[at] = true;
                }
                lab.started[at] &= !matches!(input, Input::Shutdown);
                // Refused where two would have the same peers.
                let _ = lab.host.handle_input(time, id, input);
            }
        }
        // Not every input wakes all virtual routers.
        lab.host.handle_timeout(time);
        lab.check(now);
    }
});

fn outside(host: &VrrpRouter, id: RouterId) -> impl PartialEq + std::fmt::Debug + use<> {
    let router = host.virtual_router(id).expect("not removed");
    (
        router.state(),
        router.poll_timeout(),
        router.last_heard(),
        *router.reason(),
        host.poll_timeout(),
    )
}
