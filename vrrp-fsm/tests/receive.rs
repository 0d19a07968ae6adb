//! The receive checks, one wrong thing at a time in an otherwise right packet (R1 to R14, I9).

mod common;

use std::net::IpAddr;

use common::*;
use vrrp_fsm::{
    AddressListCheck, Alarm, Datagram, Dialect, Discard, DiscardReason, Input, Instant, InterfaceId,
    Parameters, ParametersBuilder, Peer, RouterId, State, Statistics, VrrpRouter,
};
use vrrp_proto::{ChecksumForm, Envelope, Field, Password, Priority};

const INTERFACE: InterfaceId = InterfaceId(3);

/// A host with one virtual router, in Backup, and a peer whose packets it accepts.
struct Lab {
    router: VrrpRouter,
    id: RouterId,
    peer: Parameters,
    envelope: Envelope,
}

impl Lab {
    fn new(ours: ParametersBuilder) -> Self {
        let ours = ours.build().unwrap();
        let mut router = VrrpRouter::new();
        let (own, source) = match ours.addresses()[0] {
            IpAddr::V4(_) => ("10.0.0.1", "10.0.0.2"),
            IpAddr::V6(_) => ("fe80::1", "fe80::2"),
        };
        let id = router.add(INTERFACE, ours.clone(), Some(ip(own))).unwrap();
        router
            .handle_input(at(0), id, Input::Startup { held: false })
            .unwrap();
        while router.poll_output().is_some() {}
        Self {
            router,
            id,
            peer: ours.to_builder().priority(Priority::new(200)).build().unwrap(),
            envelope: Envelope::multicast(ip(source)),
        }
    }

    fn packet(&self) -> Vec<u8> {
        let mut buffer = [0; 1500];
        let length = self
            .peer
            .emit_advertisement(self.peer.priority(), &self.envelope, &mut buffer)
            .unwrap();
        buffer[..length].to_vec()
    }

    fn receive(&mut self, message: &[u8]) -> Result<RouterId, Discard> {
        let datagram = Datagram {
            interface: INTERFACE,
            envelope: self.envelope,
            message,
            received: at(SECOND),
        };
        self.router.handle_packet(at(SECOND), &datagram)
    }

    fn accepted(&mut self) {
        let message = self.packet();
        assert_eq!(self.receive(&message), Ok(self.id));
        assert_eq!(
            self.router.virtual_router(self.id).unwrap().active_router(),
            Some(self.envelope.source())
        );
    }

    /// The packet is discarded for this field; nothing but a counter changes (I9).
    fn discarded(
        &mut self,
        message: &[u8],
        field: Option<Field>,
        counted: impl Fn(&VrrpRouter, &Statistics) -> u64,
    ) {
        let count = |lab: &Self| {
            counted(
                &lab.router,
                &lab.router.virtual_router(lab.id).unwrap().statistics(),
            )
        };
        let before = self.router.clone();
        let count_before = count(self);
        let discard = self.receive(message).unwrap_err();
        assert_eq!(discard.field(), field, "{discard}");
        assert_eq!(count(self), count_before + 1, "{discard}");
        self.same_but_for_counters(&before);
    }

    fn same_but_for_counters(&mut self, before: &VrrpRouter) {
        assert_eq!(self.router.poll_output(), None);
        assert_eq!(self.router.poll_timeout(), before.poll_timeout());
        let router = self.router.virtual_router(self.id).unwrap();
        let before = before.virtual_router(self.id).unwrap();
        assert_eq!(router.state(), before.state());
        assert_eq!(router.last_heard(), before.last_heard());
        #[cfg(feature = "sim")]
        assert_eq!(
            router.normalised(at(SECOND), at(1 << 40)),
            before.normalised(at(SECOND), at(1 << 40))
        );
    }
}

fn reason(discard: Result<RouterId, Discard>) -> DiscardReason {
    discard.unwrap_err().reason
}

#[test]
fn what_is_right_is_accepted() {
    Lab::new(builder(100)).accepted();
    Lab::new(builder(100).dialect(Dialect::Rfc3768)).accepted();
    Lab::new(builder(100).dialect(Dialect::Rfc5798)).accepted();
    Lab::new(Parameters::builder(vrid(1), [ip("fe80::100"), ip("2001:db8::1")])).accepted();
    // In any order.
    let two = |first, second| builder(100).addresses([ip(first), ip(second)]);
    let mut lab = Lab::new(two("10.0.0.100", "10.0.0.101"));
    lab.peer = two("10.0.0.101", "10.0.0.100")
        .priority(Priority::new(200))
        .build()
        .unwrap();
    lab.accepted();
    assert_eq!(lab.router.poll_output(), None);
}

/// R1: RFC 9568 §5.1.1.3.
#[test]
fn hop_limit() {
    let mut lab = Lab::new(builder(100));
    let message = lab.packet();
    for hop_limit in [254, 1, 0] {
        lab.envelope = Envelope::new(ip("10.0.0.2"), ip("224.0.0.18"), hop_limit).unwrap();
        lab.discarded(&message, Some(Field::HopLimit), |_, one| one.ip_ttl_errors);
    }
}

/// R2: another version than ours, or none that there is.
#[test]
fn version() {
    let mut lab = Lab::new(builder(100));
    let mut message = lab.packet();
    message[0] = 0x41;
    lab.discarded(&message, Some(Field::Version), |all, _| {
        all.statistics().version_errors
    });
    lab.peer = builder(200).dialect(Dialect::Rfc3768).build().unwrap();
    let message = lab.packet();
    lab.discarded(&message, Some(Field::Version), |all, _| {
        all.statistics().version_errors
    });
    let discard = lab.receive(&message).unwrap_err();
    assert_eq!(discard.to_string(), "VRRPv2, but VRRPv3 is configured");
}

/// R3.
#[test]
fn kind() {
    let mut lab = Lab::new(builder(100));
    let mut message = lab.packet();
    message[0] = 0x32;
    lab.discarded(&message, Some(Field::Type), |_, one| {
        one.rcvd_invalid_type_packets
    });
}

/// R4: every prefix, and a longer one.
#[test]
fn length() {
    for dialect in [Dialect::Rfc9568, Dialect::Rfc3768] {
        let mut lab = Lab::new(builder(100).dialect(dialect));
        let message = lab.packet();
        for length in 2..message.len() {
            lab.discarded(&message[..length], Some(Field::Length), |_, one| {
                one.packet_length_errors
            });
        }
        for length in 0..2 {
            lab.discarded(&message[..length], Some(Field::Length), |all, _| {
                all.statistics().packet_length_errors
            });
        }
        let longer = [&message[..], &[0]].concat();
        lab.discarded(&longer, Some(Field::Length), |_, one| one.packet_length_errors);
    }
}

/// R5: any single bit, unless it makes the packet one for nobody or fails another check first.
#[test]
fn checksum() {
    for dialect in [Dialect::Rfc9568, Dialect::Rfc3768] {
        let mut lab = Lab::new(builder(100).dialect(dialect));
        let message = lab.packet();
        for bit in 0..message.len() * 8 {
            let mut flipped = message.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let before = lab.router.clone();
            lab.receive(&flipped).unwrap_err();
            lab.same_but_for_counters(&before);
        }
        let mut flipped = message;
        flipped[2] ^= 1;
        lab.discarded(&flipped, Some(Field::Checksum), |all, _| {
            all.statistics().checksum_errors
        });
    }
}

/// Both forms of the disputed checksum are accepted; the other one than ours is told.
#[test]
fn checksum_forms() {
    let mut lab = Lab::new(builder(100));
    lab.peer = builder(200).checksum_form(ChecksumForm::Rfc9568).build().unwrap();
    lab.accepted();
    let (_, output) = lab.router.poll_output().unwrap();
    assert!(matches!(alarms(&[output])[..], [Alarm::Checksum { .. }]));
}

/// R6: another VRID, another interface, another family.
#[test]
fn vrid_of_nobody() {
    let mut lab = Lab::new(builder(100));
    lab.peer = Parameters::builder(vrid(2), [ip("10.0.0.100")]).build().unwrap();
    let message = lab.packet();
    lab.discarded(&message, Some(Field::Vrid), |all, _| all.statistics().vrid_errors);
    let discard = lab.receive(&message).unwrap_err();
    assert_eq!(
        (discard.router, discard.to_string()),
        (None, "no virtual router 2 here".to_owned())
    );
    let mut none = message;
    none[1] = 0;
    lab.discarded(&none, Some(Field::Vrid), |all, _| all.statistics().vrid_errors);

    let mut lab = Lab::new(builder(100));
    let message = lab.packet();
    let datagram = Datagram {
        interface: InterfaceId(4),
        envelope: lab.envelope,
        message: &message,
        received: at(0),
    };
    assert_eq!(
        reason(lab.router.handle_packet(at(0), &datagram)),
        DiscardReason::UnknownVrid(vrid(1))
    );
    lab.envelope = Envelope::multicast(ip("fe80::2"));
    assert_eq!(reason(lab.receive(&message)), DiscardReason::UnknownVrid(vrid(1)));
}

/// R7: RFC 5798 §7.1; not so with erratum 8298.
#[test]
fn the_owner() {
    let mut lab = Lab::new(builder(255).dialect(Dialect::Rfc5798));
    let message = lab.packet();
    lab.discarded(&message, None, |_, one| one.other_errors);
    assert_eq!(
        reason(lab.receive(&message)).to_string(),
        "we own the addresses and do not listen"
    );
    let mut lab = Lab::new(builder(255));
    lab.accepted_by_the_owner();
}

impl Lab {
    fn accepted_by_the_owner(&mut self) {
        let message = self.packet();
        assert_eq!(self.receive(&message), Ok(self.id));
        assert_eq!(
            self.router.virtual_router(self.id).unwrap().state(),
            State::Active
        );
    }
}

/// R8: RFC 3768 §7.1, and what keepalived made of passwords.
#[test]
fn authentication() {
    let second = |password: Option<&[u8]>| {
        let builder = builder(100).dialect(Dialect::Rfc3768);
        match password {
            Some(password) => builder.password(Password::truncating(password)),
            None => builder,
        }
    };
    Lab::new(second(Some(b"secret"))).accepted();
    for (ours, theirs) in [
        (Some(&b"secret"[..]), Some(&b"secreT"[..])),
        (Some(b"secret"), None),
        (None, Some(b"secret")),
    ] {
        let mut lab = Lab::new(second(ours));
        lab.peer = second(theirs).build().unwrap();
        let message = lab.packet();
        lab.discarded(&message, Some(Field::Authentication), |_, one| {
            one.authentication_errors
        });
    }
    let mut lab = Lab::new(second(None));
    let mut message = lab.packet();
    message[4] = 2;
    lab.discarded(&message, Some(Field::Authentication), |_, one| {
        one.authentication_errors
    });
}

/// R9: RFC 3768 §7.1 discards another interval, RFC 9568 §7.1 must not.
#[test]
fn interval() {
    let mut lab = Lab::new(builder(100).dialect(Dialect::Rfc3768));
    lab.peer = builder(200)
        .dialect(Dialect::Rfc3768)
        .adver_interval(centis(200))
        .build()
        .unwrap();
    let message = lab.packet();
    lab.discarded(&message, Some(Field::Interval), |_, one| one.adv_interval_errors);
    assert_eq!(
        reason(lab.receive(&message)).to_string(),
        "an interval of 2 s, but 1 s is configured, and VRRPv2 wants them equal"
    );
    let mut lab = Lab::new(builder(100));
    lab.peer = builder(200).adver_interval(centis(200)).build().unwrap();
    lab.accepted();
}

/// R10: other addresses are accepted with an alarm, or discarded, or not looked at.
#[test]
fn address_list() {
    let ours = || builder(100).addresses([ip("10.0.0.100"), ip("10.0.0.101")]);
    for (theirs, alarm) in [
        (
            &["10.0.0.100"][..],
            Some(Alarm::AddressList { from: ip("10.0.0.2") }),
        ),
        (
            &["10.0.0.100", "10.0.0.101", "10.0.0.102"],
            Some(Alarm::AddressList { from: ip("10.0.0.2") }),
        ),
        (&["10.0.0.7"], Some(Alarm::DuplicateVrid { from: ip("10.0.0.2") })),
        (&["10.0.0.101", "10.0.0.100"], None),
    ] {
        let peer = |priority| {
            let addresses: Vec<IpAddr> = theirs.iter().map(|address| ip(address)).collect();
            builder(priority).addresses(addresses).build().unwrap()
        };
        let mut lab = Lab::new(ours());
        lab.peer = peer(200);
        lab.accepted();
        let told = lab.router.poll_output().map(|(_, output)| alarms(&[output]));
        assert_eq!(told, alarm.map(|alarm| vec![alarm]));

        let mut lab = Lab::new(ours().address_list_check(AddressListCheck::Ignore));
        lab.peer = peer(200);
        lab.accepted();
        assert_eq!(lab.router.poll_output(), None);

        let mut lab = Lab::new(ours().address_list_check(AddressListCheck::Discard));
        lab.peer = peer(200);
        if alarm.is_some() {
            let message = lab.packet();
            lab.discarded(&message, Some(Field::Addresses), |_, one| one.address_list_errors);
        } else {
            lab.accepted();
        }
        // RFC 3768 §7.1: not if an owner sent it.
        lab.peer = peer(255);
        lab.accepted();
    }
}

/// R11, R12, R13: errata 8299, 8301 and 8300.
#[test]
fn nothing_where_something_is_needed() {
    let mut lab = Lab::new(builder(100));
    let mut message = lab.packet();
    message[3] = 0;
    lab.discarded(&message, Some(Field::Count), |_, one| one.address_list_errors);
    let mut message = lab.packet();
    message[4..6].copy_from_slice(&[0xf0, 0]);
    lab.discarded(&message, Some(Field::Interval), |_, one| one.adv_interval_errors);

    let global = || Parameters::builder(vrid(1), [ip("2001:db8::1")]).any_first_address(true);
    let mut lab = Lab::new(global());
    lab.accepted();
    let mut lab = Lab::new(Parameters::builder(vrid(1), [ip("fe80::100")]));
    lab.peer = global().build().unwrap();
    let message = lab.packet();
    lab.discarded(&message, Some(Field::Addresses), |_, one| one.address_list_errors);
}

/// W4: the reserved bits are ignored.
#[test]
fn reserved_bits() {
    let mut lab = Lab::new(builder(100));
    let mut message = lab.packet();
    message[4] |= 0xf0;
    // The sum of the interval's word grew by 0xf000; so the checksum shrinks by it.
    let sum = u16::from_be_bytes([message[6], message[7]]);
    let (less, borrow) = sum.overflowing_sub(0xf000);
    message[6..8].copy_from_slice(&less.wrapping_sub(u16::from(borrow)).to_be_bytes());
    lab.receive(&message).unwrap();
    let router = lab.router.virtual_router(lab.id).unwrap();
    assert_eq!(router.active_adver_interval(), centis(100));
}

#[test]
fn not_running() {
    let mut lab = Lab::new(builder(100));
    lab.router.handle_input(at(0), lab.id, Input::Shutdown).unwrap();
    while lab.router.poll_output().is_some() {}
    let before = lab.router.clone();
    let message = lab.packet();
    let discard = lab.receive(&message).unwrap_err();
    assert_eq!(
        (discard.reason, discard.field()),
        (DiscardReason::NotRunning, None)
    );
    assert_eq!(discard.to_string(), "the virtual router is not running");
    lab.same_but_for_counters(&before);
}

/// Multicast and unicast do not mix, peers are told by their addresses and hop limits.
#[test]
fn unicast() {
    let peer = Peer {
        minimum_hop_limit: 250,
        maximum_hop_limit: 254,
        ..Peer::new(ip("10.0.0.2"))
    };
    let from = |source: &str, hop_limit| Envelope::new(ip(source), ip("10.0.0.1"), hop_limit).unwrap();
    let mut lab = Lab::new(builder(100).unicast_peers([peer]));
    let message = lab.packet();
    lab.discarded(&message, None, |_, one| one.other_errors);
    assert_eq!(
        reason(lab.receive(&message)).to_string(),
        "sent to 224.0.0.18, which is not what is configured"
    );
    lab.envelope = from("10.0.0.2", 252);
    lab.accepted();
    for hop_limit in [249, 255] {
        lab.envelope = from("10.0.0.2", hop_limit);
        let message = lab.packet();
        lab.discarded(&message, Some(Field::HopLimit), |_, one| one.ip_ttl_errors);
    }
    lab.envelope = from("10.0.0.9", 1);
    lab.accepted();

    let mut lab = Lab::new(builder(100).unicast_peers([peer]).check_peers(true));
    lab.envelope = from("10.0.0.9", 255);
    let message = lab.packet();
    lab.discarded(&message, None, |_, one| one.other_errors);
    assert_eq!(
        reason(lab.receive(&message)).to_string(),
        "10.0.0.9 is not a peer"
    );

    let mut lab = Lab::new(builder(100));
    lab.envelope = from("10.0.0.2", 255);
    let message = lab.packet();
    lab.discarded(&message, None, |_, one| one.other_errors);
    lab.envelope = Envelope::new(ip("10.0.0.2"), ip("224.0.4.18"), 255).unwrap();
    let message = lab.packet();
    lab.discarded(&message, None, |_, one| one.other_errors);

    let mut lab = Lab::new(builder(100).multicast_group(ip("224.0.4.18")));
    lab.envelope = Envelope::new(ip("10.0.0.2"), ip("224.0.4.18"), 255).unwrap();
    lab.accepted();
}

/// One VRID towards several sets of peers: the source tells which is meant.
#[test]
fn one_vrid_several_sets_of_peers() {
    let unicast = |peer: &str| {
        builder(100)
            .unicast_peers([Peer::new(ip(peer))])
            .check_peers(true)
            .build()
            .unwrap()
    };
    let mut lab = Lab::new(
        builder(100)
            .unicast_peers([Peer::new(ip("10.0.0.2"))])
            .check_peers(true),
    );
    let mut others = Vec::new();
    for peer in ["10.0.0.3", "10.0.0.4"] {
        let id = lab
            .router
            .add(INTERFACE, unicast(peer), Some(ip("10.0.0.1")))
            .unwrap();
        lab.router
            .handle_input(at(0), id, Input::Startup { held: false })
            .unwrap();
        others.push((peer, id));
    }
    others.push(("10.0.0.2", lab.id));
    for (peer, id) in &others {
        lab.envelope = Envelope::new(ip(peer), ip("10.0.0.1"), 255).unwrap();
        let message = lab.packet();
        assert_eq!(lab.receive(&message), Ok(*id));
    }
    lab.envelope = Envelope::new(ip("10.0.0.5"), ip("10.0.0.1"), 255).unwrap();
    let message = lab.packet();
    assert_eq!(
        reason(lab.receive(&message)),
        DiscardReason::NotAPeer(ip("10.0.0.5"))
    );
    // Removing one leaves the others.
    for (peer, id) in [others[0], others[2], others[1]] {
        lab.envelope = Envelope::new(ip(peer), ip("10.0.0.1"), 255).unwrap();
        let message = lab.packet();
        assert_eq!(lab.receive(&message), Ok(id));
        lab.router.handle_input(at(SECOND), id, Input::Shutdown).unwrap();
        lab.router.remove(at(SECOND), id).unwrap();
        assert!(matches!(
            reason(lab.receive(&message)),
            DiscardReason::NotAPeer(_) | DiscardReason::UnknownVrid(_)
        ));
    }
    assert!(lab.router.is_empty());
}

/// R14: a discard is worth a line in a log once a minute for each kind.
#[test]
fn what_is_news() {
    let mut lab = Lab::new(builder(100));
    let mut flipped = lab.packet();
    flipped[2] ^= 1;
    let mut other = lab.packet();
    other[0] = 0x32;
    let news = |lab: &mut Lab, now: u64, message: &[u8]| {
        let datagram = Datagram {
            interface: INTERFACE,
            envelope: lab.envelope,
            message,
            received: at(now),
        };
        lab.router.handle_packet(at(now), &datagram).unwrap_err().is_news
    };
    assert!(news(&mut lab, 0, &flipped));
    assert!(!news(&mut lab, 1, &flipped));
    assert!(news(&mut lab, 2, &other));
    assert!(!news(&mut lab, 59 * SECOND, &flipped));
    assert!(news(&mut lab, 60 * SECOND, &flipped));
    assert!(news(&mut lab, 60 * SECOND, &other));
    assert!(news(&mut lab, 60 * SECOND, &[]));
    assert!(!news(&mut lab, 60 * SECOND, &[]));
}

/// N19: bad packets at any rate do not move a single advertisement of the active router.
#[test]
fn a_flood_of_bad_packets() {
    let mut lab = Lab::new(builder(150));
    let start = lab.router.poll_timeout().unwrap();
    lab.router.handle_timeout(start);
    let mut flipped = lab.packet();
    flipped[2] ^= 1;
    let mut sent_at: Vec<Instant> = Vec::new();
    for step in 0..1_000u64 {
        let now = at(start.as_nanos() + step * 10 * MILLI);
        lab.router.handle_timeout(now);
        while let Some((_, output)) = lab.router.poll_output() {
            if is_advert(&output) {
                sent_at.push(now);
            }
        }
        let datagram = Datagram {
            interface: INTERFACE,
            envelope: lab.envelope,
            message: &flipped,
            received: now,
        };
        lab.router.handle_packet(now, &datagram).unwrap_err();
    }
    let expected: Vec<Instant> = (0..10).map(|beat| at(start.as_nanos() + beat * SECOND)).collect();
    assert_eq!(sent_at, expected);
}

/// A list that names an address twice is not the list that has another in its place.
#[test]
fn an_address_listed_twice() {
    let [first, second, third] = [ip("10.0.0.100"), ip("10.0.0.101"), ip("10.0.0.102")];
    let mut lab = Lab::new(builder(100).addresses([first, second, third]));
    let [mut message, doubled] = [[third, second, first], [first, second, second]].map(|addresses| {
        let interval = centis(100);
        let advertisement =
            vrrp_proto::Advertisement::version_3(vrid(1), Priority::new(200), interval, addresses).unwrap();
        let mut buffer = [0; 20];
        advertisement
            .emit(&lab.envelope, ChecksumForm::Rfc5798, &mut buffer)
            .unwrap();
        buffer
    });
    lab.receive(&message).unwrap();
    assert_eq!(lab.router.poll_output(), None);
    message = doubled;
    lab.receive(&message).unwrap();
    let told = lab.router.poll_output().map(|(_, output)| alarms(&[output]));
    assert_eq!(told, Some(vec![Alarm::AddressList { from: ip("10.0.0.2") }]));
}

/// What is too short to tell a VRID, or tells none, is counted for the host.
#[test]
fn packets_for_nobody() {
    let mut lab = Lab::new(builder(100));
    for length in 0..2 {
        assert_eq!(lab.receive(&[0x31; 2][..length]).unwrap_err().router, None);
    }
    assert_eq!(lab.router.statistics().packet_length_errors, 2);
    let mut message = lab.packet();
    message[1] = 0;
    assert_eq!(lab.receive(&message).unwrap_err().field(), Some(Field::Vrid));
    assert_eq!(lab.router.statistics().vrid_errors, 1);
    // Whatever else is wrong with it.
    lab.envelope = Envelope::new(ip("10.0.0.2"), lab.envelope.destination(), 64).unwrap();
    assert_eq!(lab.receive(&message).unwrap_err().field(), Some(Field::HopLimit));
    assert_eq!(lab.router.statistics().vrid_errors, 2);
    assert_eq!(lab.router.statistics().packet_length_errors, 2);
}

/// Where anybody may send, those who are configured still are told apart by who they are.
#[test]
fn several_sets_of_peers_and_strangers() {
    let unicast = |peer: &str| builder(100).unicast_peers([Peer::new(ip(peer))]);
    let mut lab = Lab::new(unicast("10.0.0.2"));
    let other = unicast("10.0.0.3").build().unwrap();
    let other = lab.router.add(INTERFACE, other, Some(ip("10.0.0.1"))).unwrap();
    lab.router
        .handle_input(at(0), other, Input::Startup { held: false })
        .unwrap();
    let first = lab.id;
    for (peer, taken) in [
        ("10.0.0.2", &[first][..]),
        ("10.0.0.3", &[other]),
        ("10.0.0.4", &[first, other]),
    ] {
        lab.envelope = Envelope::new(ip(peer), ip("10.0.0.1"), 64).unwrap();
        let message = lab.packet();
        let by = lab.receive(&message).unwrap();
        assert!(taken.contains(&by), "{peer}");
    }
}
