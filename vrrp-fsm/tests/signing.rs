//! keepalived's `auth_hmac`: nobody is heard who has no key, and nothing is heard twice.

mod common;

use common::*;
use vrrp_fsm::{
    Datagram, Discard, DiscardReason, Error, Input, Instant, InterfaceId, RouterId, Signing, SigningMode,
    VrrpRouter,
};
use vrrp_proto::{Envelope, Field, HmacKey, Priority, Sequence, Trailer};

const WALL: u64 = 1_800_000_000;

struct Host {
    router: VrrpRouter,
    id: RouterId,
    envelope: Envelope,
}

fn key(id: u8, byte: u8) -> HmacKey {
    HmacKey::new(id, &[byte; 32]).unwrap()
}

fn signing() -> Signing {
    Signing::new([key(1, 7), key(2, 8)], 1).unwrap()
}

impl Host {
    fn new(address: &str, priority: u8) -> Self {
        let mut router = VrrpRouter::new();
        let id = router
            .add(
                InterfaceId(0),
                builder(priority).build().unwrap(),
                Some(ip(address)),
            )
            .unwrap();
        router.handle_wall_clock(at(0), WALL, 0);
        router
            .handle_input(at(0), id, Input::Startup { held: false })
            .unwrap();
        while router.poll_output().is_some() {}
        Self {
            router,
            id,
            envelope: Envelope::multicast(ip(address)),
        }
    }

    fn signing(address: &str, priority: u8, signing: Signing) -> Self {
        let mut host = Self::new(address, priority);
        host.router.set_signing(host.id, Some(signing)).unwrap();
        host
    }

    fn send(&mut self, now: u64) -> Vec<u8> {
        let mut buffer = [0; 128];
        let length =
            self.router
                .emit_advertisement(at(now), self.id, Priority::new(200), &self.envelope, &mut buffer);
        buffer[..length.unwrap()].to_vec()
    }

    fn receive(&mut self, now: u64, from: &Envelope, message: &[u8]) -> Result<RouterId, Discard> {
        let datagram = Datagram {
            interface: InterfaceId(0),
            envelope: *from,
            message,
            received: at(now),
        };
        self.router.handle_packet(at(now), &datagram)
    }

    /// Discarded, and nothing changes.
    fn refuses(&mut self, now: u64, from: &Envelope, message: &[u8]) -> DiscardReason {
        let before = self.router.virtual_router(self.id).unwrap().clone();
        let discard = self.receive(now, from, message).unwrap_err();
        assert_eq!(self.router.poll_output(), None);
        let after = self.router.virtual_router(self.id).unwrap();
        assert_eq!(after.poll_timeout(), before.poll_timeout());
        assert_eq!(after.last_heard(), before.last_heard());
        assert_eq!(
            after.statistics().authentication_errors,
            before.statistics().authentication_errors + 1,
            "{discard}"
        );
        discard.reason
    }
}

#[test]
fn signed_and_accepted_once() {
    let mut peer = Host::signing("10.0.0.2", 200, signing());
    let mut host = Host::signing("10.0.0.1", 100, signing());
    let from = peer.envelope;
    for second in 1..10 {
        let message = peer.send(second * SECOND);
        assert_eq!(message.len(), 12 + 28);
        assert_eq!(host.receive(second * SECOND, &from, &message), Ok(host.id));
        let reason = host.refuses(second * SECOND, &from, &message);
        assert_eq!(reason, DiscardReason::Malformed(vrrp_proto::Error::Replayed));
    }
    // Several in one moment are different ones.
    for _ in 0..10 {
        let message = peer.send(10 * SECOND);
        assert_eq!(host.receive(10 * SECOND, &from, &message), Ok(host.id));
    }
}

#[test]
fn forged() {
    let mut host = Host::signing("10.0.0.1", 100, signing());
    let from = Envelope::multicast(ip("10.0.0.2"));
    let other = Signing::new([key(1, 9)], 1).unwrap();
    let message = Host::signing("10.0.0.2", 200, other).send(SECOND);
    assert_eq!(
        host.refuses(SECOND, &from, &message),
        DiscardReason::Malformed(vrrp_proto::Error::Forged)
    );
    let other = Signing::new([key(3, 7)], 3).unwrap();
    let message = Host::signing("10.0.0.2", 200, other).send(SECOND);
    assert_eq!(
        host.refuses(SECOND, &from, &message),
        DiscardReason::Malformed(vrrp_proto::Error::UnknownKey(3))
    );
    // A signature is for its sender.
    let message = Host::signing("10.0.0.2", 200, signing()).send(SECOND);
    let stolen = Envelope::multicast(ip("10.0.0.3"));
    assert!(host.receive(SECOND, &stolen, &message).is_err());
    // Not signed at all.
    let message = Host::new("10.0.0.2", 200).send(SECOND);
    let reason = host.refuses(SECOND, &from, &message);
    assert_eq!(
        reason.to_string(),
        "not signed, and all advertisements have to be"
    );
    assert_eq!(
        host.receive(SECOND, &from, &message).unwrap_err().field(),
        Some(Field::Authentication)
    );
    // And one that does not sign does not understand one that does.
    let message = Host::signing("10.0.0.2", 200, signing()).send(SECOND);
    let mut plain = Host::new("10.0.0.1", 100);
    assert_eq!(
        plain.receive(SECOND, &from, &message).unwrap_err().field(),
        Some(Field::Length)
    );
}

/// Another wall clock; I15: it is an input, and nothing but signatures depends on it.
#[test]
fn time_of_the_day() {
    let mut peer = Host::signing("10.0.0.2", 200, signing());
    let from = peer.envelope;
    let mut host = Host::signing("10.0.0.1", 100, signing());
    host.router.handle_wall_clock(at(0), WALL + 5, 0);
    let message = peer.send(SECOND);
    assert_eq!(host.receive(SECOND, &from, &message), Ok(host.id));
    host.router.handle_wall_clock(at(SECOND), WALL + 7, 0);
    let message = peer.send(SECOND);
    let reason = host.refuses(SECOND, &from, &message);
    assert!(matches!(
        reason,
        DiscardReason::Malformed(vrrp_proto::Error::Stale { .. })
    ));
    host.router
        .set_signing(host.id, Some(signing().time_window(Some(6))))
        .unwrap();
    assert_eq!(host.receive(SECOND, &from, &message), Ok(host.id));
    // What was heard is remembered over a change of keys.
    host.router
        .set_signing(host.id, Some(signing().time_window(None)))
        .unwrap();
    host.router.handle_wall_clock(at(SECOND), WALL * 2, 0);
    assert_eq!(
        host.refuses(SECOND, &from, &message),
        DiscardReason::Malformed(vrrp_proto::Error::Replayed)
    );
    let message = peer.send(SECOND);
    assert_eq!(host.receive(SECOND, &from, &message), Ok(host.id));

    let mut untold = VrrpRouter::new();
    let id = untold
        .add(
            InterfaceId(0),
            builder(100).build().unwrap(),
            Some(ip("10.0.0.1")),
        )
        .unwrap();
    untold
        .handle_input(Instant::ZERO, id, Input::Startup { held: false })
        .unwrap();
    untold.set_signing(id, Some(signing())).unwrap();
    let mut host = Host {
        router: untold,
        id,
        envelope: Envelope::multicast(ip("10.0.0.1")),
    };
    while host.router.poll_output().is_some() {}
    let message = peer.send(2 * SECOND);
    let reason = host.refuses(2 * SECOND, &from, &message);
    assert_eq!(
        reason.to_string(),
        "signed, but we do not know the time of the day"
    );
    assert_eq!(host.send(SECOND).len(), 40);
}

/// What a sender says never goes back, so one whose clock does stands still in time: it is heard for as long as the window, and
/// then again when the clocks agree. I15: the election itself does not notice.
#[test]
fn a_clock_that_is_set_back_an_hour() {
    const HOUR: u64 = 3600;
    let is_stale = |reason| matches!(reason, DiscardReason::Malformed(vrrp_proto::Error::Stale { .. }));
    let pair = || {
        let mut peer = Host::signing("10.0.0.2", 200, signing());
        let mut host = Host::signing("10.0.0.1", 100, signing());
        let message = peer.send(SECOND);
        assert!(host.receive(SECOND, &peer.envelope, &message).is_ok());
        peer.router.handle_wall_clock(at(SECOND), WALL - HOUR, 0);
        (peer, host)
    };

    // Only the sender's: within the window nobody notices.
    let (mut peer, mut host) = pair();
    let from = peer.envelope;
    for second in 2..=6 {
        let message = peer.send(second * SECOND);
        assert!(host.receive(second * SECOND, &from, &message).is_ok(), "{second}");
    }
    let message = peer.send(7 * SECOND);
    assert!(is_stale(host.refuses(7 * SECOND, &from, &message)));
    // It does not hear the other either.
    let message = host.send(7 * SECOND);
    assert!(is_stale(peer.refuses(7 * SECOND, &host.envelope, &message)));
    // Put right, all is well at once.
    peer.router.handle_wall_clock(at(8 * SECOND), WALL + 8, 0);
    let message = peer.send(8 * SECOND);
    assert!(host.receive(8 * SECOND, &from, &message).is_ok());
    let message = host.send(8 * SECOND);
    assert!(peer.receive(8 * SECOND, &host.envelope, &message).is_ok());

    // Both: what was sent is an hour ahead of the clocks, and has to be waited for.
    let (mut peer, mut host) = pair();
    host.router.handle_wall_clock(at(SECOND), WALL - HOUR, 0);
    for (second, is_heard) in [(2, false), (HOUR - 5, false), (HOUR - 3, true), (HOUR + 60, true)] {
        let message = peer.send(second * SECOND);
        match is_heard {
            true => assert!(host.receive(second * SECOND, &from, &message).is_ok(), "{second}"),
            false => assert!(
                is_stale(host.refuses(second * SECOND, &from, &message)),
                "{second}"
            ),
        }
    }
    // Unless both begin anew: a sender alone would be taken for a replay.
    let (_, mut host) = pair();
    host.router.handle_wall_clock(at(SECOND), WALL - HOUR, 0);
    let mut peer = Host::signing("10.0.0.2", 200, signing());
    peer.router.handle_wall_clock(at(SECOND), WALL - HOUR, 0);
    let message = peer.send(2 * SECOND);
    let reason = host.refuses(2 * SECOND, &from, &message);
    assert_eq!(reason, DiscardReason::Malformed(vrrp_proto::Error::Replayed));
    let mut host = Host::signing("10.0.0.1", 100, signing());
    host.router.handle_wall_clock(at(SECOND), WALL - HOUR, 0);
    assert!(host.receive(2 * SECOND, &from, &message).is_ok());

    // Where only the order counts, nobody ever notices.
    let (mut peer, mut host) = pair();
    for host in [&mut peer, &mut host] {
        let by_order = signing().time_window(None);
        host.router.set_signing(host.id, Some(by_order)).unwrap();
    }
    for second in [2, 10, HOUR] {
        let message = peer.send(second * SECOND);
        assert!(host.receive(second * SECOND, &from, &message).is_ok(), "{second}");
    }
}

/// The steps of a roll-out: each understands the one before and the one after.
#[test]
fn modes() {
    use SigningMode::{Enforce, Permissive, ReceiveOnly};
    let modes = [None, Some(ReceiveOnly), Some(Permissive), Some(Enforce)];
    for (ours, our_mode) in modes.iter().enumerate() {
        for (theirs, their_mode) in modes.iter().enumerate() {
            let host = |address: &str, priority, mode: &Option<SigningMode>| match mode {
                Some(mode) => Host::signing(address, priority, signing().mode(*mode)),
                None => Host::new(address, priority),
            };
            let mut host_one = host("10.0.0.1", 100, our_mode);
            let mut peer = host("10.0.0.2", 200, their_mode);
            let message = peer.send(SECOND);
            let understood = host_one.receive(SECOND, &peer.envelope, &message).is_ok();
            if ours.abs_diff(theirs) <= 1 {
                assert!(understood, "{our_mode:?} {their_mode:?}");
            }
            assert_eq!(
                understood,
                matches!((ours, theirs), (0, 0 | 1) | (1 | 2, _) | (3, 2 | 3))
            );
        }
    }
}

#[test]
fn keys() {
    let error = Signing::new([key(1, 1), key(1, 2)], 1).unwrap_err();
    assert_eq!(error.to_string(), "two keys have the number 1");
    let error = Signing::new([key(1, 1)], 2).unwrap_err();
    assert_eq!(error.to_string(), "no key has the number 2");
    let mut host = Host::new("10.0.0.1", 100);
    assert!(!format!("{:?}", signing()).contains('7'), "a secret is not shown");
    host.router.set_signing(host.id, Some(signing())).unwrap();
    assert_eq!(host.send(0).len(), 40);
    host.router.set_signing(host.id, None).unwrap();
    assert_eq!(host.send(0).len(), 12);
    host.router.set_signing(host.id, Some(signing())).unwrap();
    host.router.handle_input(at(0), host.id, Input::Shutdown).unwrap();
    host.router.remove(at(0), host.id).unwrap();
    assert_eq!(
        host.router.set_signing(host.id, Some(signing())),
        Err(Error::UnknownRouter)
    );
    let mut buffer = [0; 64];
    let sent = host
        .router
        .emit_advertisement(at(0), host.id, Priority::DEFAULT, &host.envelope, &mut buffer);
    assert!(sent.is_err());
    // The place is used again without the keys of the one before.
    host.id = host
        .router
        .add(
            InterfaceId(0),
            builder(100).build().unwrap(),
            Some(ip("10.0.0.1")),
        )
        .unwrap();
    assert_eq!(host.send(0).len(), 12);
}

/// The sequence of an advertisement is the time of the day when it is sent, to its last digit.
#[test]
fn the_sequence_is_the_time_of_the_day() {
    let mut host = Host::signing("10.0.0.1", 100, signing());
    host.router.handle_wall_clock(at(SECOND), WALL, 750_000_000);
    let message = host.send(SECOND + SECOND / 2);
    let (_, trailer) = Trailer::split(&message, &host.envelope).unwrap();
    assert_eq!(trailer.unwrap().sequence(), Sequence::at(WALL + 1, 250_000_000));
}

/// Hosts are equal when the same routers sign, by the same clock.
#[test]
fn equality() {
    let host = || Host::new("10.0.0.1", 100);
    let mut signing = host();
    signing
        .router
        .set_signing(signing.id, Some(self::signing()))
        .unwrap();
    assert_eq!(host().router, host().router);
    assert_ne!(host().router, signing.router);
    assert_eq!(signing.router.clone(), signing.router);
    let mut other = signing.router.clone();
    other.handle_wall_clock(at(0), WALL, 1);
    assert_ne!(other, signing.router);
    other.handle_wall_clock(at(0), WALL, 0);
    assert_eq!(other, signing.router);
}
