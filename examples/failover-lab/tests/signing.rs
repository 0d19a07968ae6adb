//! `auth_hmac` between two drivers: who has the key is believed, who has another is not, and what was said once is not
//! believed twice.

mod common;

use common::running::{Running, discarded, instance};
use common::{INTERVAL, Lab, PATIENCE, VRID, addresses};
use failover_lab::capture::{Content, Frame};
use failover_lab::disturb::Disturber;
use failover_lab::lab::wait_for;
use vrrp_fsm::{DiscardReason, Signing, State};
use vrrp_net::Instance;
use vrrp_proto::{Envelope, HmacKey};

fn signed(ipv6: bool, priority: u8, key: &[u8; 32]) -> Instance {
    let key = HmacKey::new(1, key).unwrap();
    let plain = addresses(ipv6).iter().fold(instance(priority), |plain, text| {
        plain.address(text.parse().unwrap())
    });
    // Long, for a machine that stalls: what is shown here is the order.
    plain.signing(Signing::new([key], 1).unwrap().time_window(Some(300)))
}

const KEY: &[u8; 32] = b"what both of the two hosts know.";
const OTHER: &[u8; 32] = b"what a stranger would have tried";

#[test]
#[ignore = "needs root and network namespaces"]
fn who_has_the_key_is_believed() {
    for ipv6 in [false, true] {
        let lab = Lab::new();
        let mut high = Running::start(&lab, 0, vec![signed(ipv6, 200, KEY)]);
        high.wait_active();
        let mut low = Running::start(&lab, 1, vec![signed(ipv6, 100, KEY)]);
        // Some times as long as it would wait for the first one.
        std::thread::sleep(INTERVAL * 15);
        let told = low.told();
        assert!(told.iter().all(|event| discarded(*event).is_none()), "{told:?}");
        low.wait(State::Backup);
        high.stop();
        // The last word is signed too, and believed at once.
        low.wait_active();
        low.stop();
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn who_has_another_key_or_none_is_not() {
    let lab = Lab::new();
    let mut low = Running::start(&lab, 0, vec![signed(false, 100, KEY)]);
    low.wait_active();
    let unsigned = addresses(false)
        .iter()
        .fold(instance(200), |plain, text| plain.address(text.parse().unwrap()));
    for stranger in [signed(false, 200, OTHER), unsigned] {
        let mut stranger = Running::start(&lab, 1, vec![stranger]);
        let reason = low.wait_told(discarded);
        let refused = matches!(reason, DiscardReason::Malformed(_) | DiscardReason::NotSigned);
        assert!(refused, "{reason:?}");
        stranger.wait_active();
        assert_eq!(
            low.handles[0].state(),
            State::Active,
            "the stranger takes nothing"
        );
        stranger.stop();
    }
    low.stop();
}

#[test]
#[ignore = "needs root and network namespaces"]
fn what_was_said_once_is_not_believed_twice() {
    let lab = Lab::new();
    let mut low = Running::start(&lab, 0, vec![signed(false, 100, KEY)]);
    let mut high = Running::start(&lab, 1, vec![signed(false, 200, KEY)]);
    high.wait_active();
    low.wait(State::Backup);
    let is_high = |frame: &Frame| frame.content().advertisement() == Some((VRID, 200));
    wait_for(PATIENCE, "an advertisement of the active router", || {
        lab.capture.frames().iter().any(is_high)
    })
    .unwrap();
    let frames = lab.capture.take();
    let said = frames.iter().rfind(|frame| is_high(frame)).unwrap();
    let Content::Vrrp { source, message, .. } = said.content() else {
        unreachable!("it advertises");
    };
    high.stop();
    low.wait_active();
    low.told();
    // Word for word, from the address that it came from.
    let mut stranger = Disturber::new(lab.segment.host(2)).unwrap();
    let envelope = Envelope::multicast(source);
    stranger.send(&envelope, message).unwrap();
    let reason = low.wait_told(discarded);
    let replayed = matches!(reason, DiscardReason::Malformed(vrrp_proto::Error::Replayed));
    assert!(replayed, "{reason:?}");
    assert_eq!(low.handles[0].state(), State::Active);
    low.stop();
}
