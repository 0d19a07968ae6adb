//! The exact behaviours that a replacement of keepalived has to match, or knowingly does better: ours and keepalived side by
//! side, each alone on a host with some forty virtual routers, told the same by a peer that knows what it does.
//!
//! Both are seen once, and every test judges a part of that.

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../lab/mod.rs"]
mod lab;
mod parts;
mod process;
mod stage;

use std::sync::LazyLock;
use std::time::Duration;

use parts::*;
use stage::{Daemon, FAULTY, FORGETFUL, Heard, LEFTOVER, OWNER, PAIR, Seen};

/// What was seen of both, while the peers were in time.
static SEEN: LazyLock<[Seen; 2]> = LazyLock::new(|| {
    for _ in 0..ROUNDS {
        let both = [Daemon::Ours, Daemon::Keepalived];
        let seen = std::thread::scope(|scope| {
            both.map(|daemon| scope.spawn(move || stage::play(daemon, &parts())))
                .map(|thread| thread.join().unwrap())
        });
        if seen.iter().all(|seen| seen.stall < STALL) {
            return seen;
        }
    }
    panic!("this machine stands still for more than {STALL:?} again and again");
});

/// Judges what was seen of each, and says all that is wrong at once.
fn judge(check: impl Fn(&Seen, &mut Vec<String>)) {
    let mut faults = Vec::new();
    for seen in &*SEEN {
        let mut found = Vec::new();
        check(seen, &mut found);
        faults.extend(
            found
                .into_iter()
                .map(|fault| format!("{:?}: {fault}", seen.daemon)),
        );
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

impl Seen {
    /// When it advertised first.
    fn first(&self, vrid: u8) -> Option<f64> {
        self.adverts(vrid).first().map(|heard| heard.at)
    }

    /// It became active so long after the start and no sooner. How long the start itself took is known from the one that has
    /// nothing to wait for.
    fn active_after(&self, vrid: u8, wait: f64, faults: &mut Vec<String>) {
        let latest = self.first(OWNER).unwrap() + wait + SLACK;
        match self.first(vrid) {
            Some(at) if at >= wait && at <= latest => {}
            at => faults.push(format!(
                "V{vrid} advertised first at {at:?}, not from {wait} to {latest}"
            )),
        }
    }

    /// It became active so long after the last that it heard in time.
    fn active_after_last(&self, vrid: u8, wait: f64, faults: &mut Vec<String>) {
        let Some(at) = self.first(vrid) else {
            faults.push(format!("V{vrid} never advertised"));
            return;
        };
        let said = self.said(vrid);
        let last = said.iter().rfind(|said| said.at < at).unwrap();
        let waited = at - last.at;
        if waited < wait - EARLY || waited > wait + SLACK {
            faults.push(format!("V{vrid} waited {waited} s after {last:?}, not {wait} s"));
        }
    }

    /// What it advertised after the first that the peer said in the end.
    fn after_being_told(&self, vrid: u8) -> Vec<Heard> {
        let told = self.said(vrid).first().unwrap().at;
        let adverts = self.adverts(vrid).into_iter();
        adverts
            .filter(|heard| heard.at > told && heard.at < self.stopped)
            .collect()
    }

    /// It was active when the peer began to speak.
    fn was_active(&self, vrid: u8, faults: &mut Vec<String>) -> bool {
        let told = self.said(vrid).first().unwrap().at;
        let active = self.first(vrid).is_some_and(|at| at < told);
        if !active {
            faults.push(format!("V{vrid} was not active when the peer spoke to it"));
        }
        active
    }
}

/// The skew of VRRPv2, or of VRRPv3 with this interval.
fn skew(priority: u8, interval: f64) -> f64 {
    f64::from(256 - u16::from(priority)) / 256.0 * interval
}

/// How long a backup waits in VRRPv2 with an interval of a second.
fn down(priority: u8) -> f64 {
    3.0 + skew(priority, 1.0)
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn what_state_means() {
    judge(|seen, faults| {
        // It is not the state that makes one active at once but the priority of an owner.
        seen.active_after(MASTER_OF_100, down(100), faults);
        for owner in [OWNER, OWNER_UNSAID, WITHOUT_PRIORITY] {
            seen.active_after(owner, 0.0, faults);
            if seen.adverts(owner)[0].priority != 255 {
                faults.push(format!("V{owner} is no owner"));
            }
        }
        // Ours is active at once whenever it is the owner (RFC 9568 §6.4.1).
        let wait = match seen.daemon {
            Daemon::Ours => 0.0,
            Daemon::Keepalived => down(255),
        };
        seen.active_after(OWNER_AS_BACKUP, wait, faults);
        // `state MASTER` takes back `nopreempt`.
        seen.active_after(MASTER_NOPREEMPT, down(100), faults);
        // In a group with one that is no owner nobody is active at once, and all are together.
        for member in PAIR {
            seen.active_after(member, down(100), faults);
        }
        // Nor while a script has not said anything yet.
        if seen.first(PENDING).is_none_or(|at| at < 2.0) {
            faults.push("V39 did not wait for its script".to_owned());
        }
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn timers() {
    judge(|seen, faults| {
        seen.active_after_last(NOPREEMPT, down(100), faults);
        // In VRRPv2 the skew is of a second, whatever the interval.
        seen.active_after_last(SKEW_2, 6.0 + skew(1, 1.0), faults);
        // In VRRPv3 it is of the interval, and that is learned.
        seen.active_after_last(LEARNED, 6.0 + skew(100, 2.0), faults);
        seen.active_after_last(RELEASED_2, skew(100, 1.0), faults);
        seen.active_after_last(RELEASED_3, skew(1, 4.0), faults);
        seen.active_after(VERSION_3, 4.5 + skew(100, 1.5), faults);
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn an_interval_that_was_learned_is_forgotten() {
    judge(|seen, faults| {
        let [learner, other] = FORGETFUL;
        let said = seen.said(other);
        let [first, told] = [said.first(), said.last()].map(|said| said.unwrap().at);
        let is_between = |heard: &&Heard| heard.at > told && heard.at < seen.closed;
        for member in [learner, other] {
            let adverts = seen.adverts(member);
            if !adverts.iter().any(|heard| heard.at < first) {
                faults.push(format!("V{member} was not active when the other was told"));
            }
            // keepalived's waits for three intervals of the one that was active once, which are twelve seconds.
            let again = adverts.iter().find(is_between).map(|heard| heard.at - told);
            let expected = 3.0 + skew(250, 1.0);
            let is_right = match (seen.daemon, again) {
                (Daemon::Ours, Some(wait)) => wait >= expected - EARLY && wait <= expected + SLACK,
                (Daemon::Ours, None) | (Daemon::Keepalived, Some(_)) => false,
                (Daemon::Keepalived, None) => seen.closed - told > expected + SLACK,
            };
            if !is_right {
                faults.push(format!(
                    "V{member} is active again after {again:?} s, with {expected} s to wait; watched for {} s",
                    seen.closed - told
                ));
            }
        }
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn a_backup_hears() {
    judge(|seen, faults| {
        // The equal is accepted, although its address is the lower one; the lower does not count.
        if !seen.adverts(EQUAL).is_empty() {
            faults.push("V9 does not accept an equal priority".to_owned());
        }
        seen.active_after(LOWER, down(100), faults);
        seen.active_after(WAKES_LOWER, down(100), faults);
        // The delay begins with the first lower one, and then the timer has to run out.
        let stall = seen.stall.as_secs_f64();
        let expected = 2.0 + down(100);
        let latest = seen.first(OWNER).unwrap() + expected + SLACK;
        if seen
            .first(DELAYED)
            .is_none_or(|at| at < expected - 0.7 - 0.2 - stall || at > latest)
        {
            faults.push(format!("V17 with a delay: {:?}", seen.first(DELAYED)));
        }
        // Who dies meanwhile is replaced.
        seen.active_after_last(DELAYED_DEATH, down(100), faults);
        if !seen.adverts(LONG_PASSWORD).is_empty() {
            faults.push("V25 does not believe who has the first eight characters".to_owned());
        }
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn what_is_not_believed() {
    judge(|seen, faults| {
        for vrid in UNBELIEVING {
            seen.active_after(vrid, down(100), faults);
            if !seen.held.contains(&vrid) {
                faults.push(format!("V{vrid} does not hold its address"));
            }
        }
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn an_active_router_hears() {
    judge(|seen, faults| {
        let mut is_active = |vrid| seen.was_active(vrid, faults);
        let all = [
            HEARS_LOWER,
            HEARS_ZERO,
            HEARS_HIGHER,
            HEARS_HIGHER_NOPREEMPT,
            HEARS_HIGHER_ANSWERS,
            HEARS_EQUAL_HIGHER_ADDRESS,
            HEARS_EQUAL_LOWER_ADDRESS,
        ];
        if !all.iter().all(|vrid| is_active(*vrid)) {
            return;
        }
        // An answer at once, which its timer would have given two seconds later.
        for vrid in [HEARS_LOWER, HEARS_ZERO] {
            let told = seen.said(vrid)[0].at;
            let answer = seen.after_being_told(vrid);
            if answer.first().is_none_or(|answer| answer.at > told + 1.5) {
                faults.push(format!("V{vrid} was told at {told} and answered {answer:?}"));
            }
        }
        let told = seen.said(HEARS_LOWER)[0].at;
        if !seen.announced(HEARS_LOWER).iter().any(|at| *at > told) {
            faults.push("V27 does not announce its address once more".to_owned());
        }
        for vrid in [HEARS_HIGHER, HEARS_HIGHER_NOPREEMPT, HEARS_EQUAL_HIGHER_ADDRESS] {
            let more = seen.after_being_told(vrid);
            if !more.is_empty() {
                faults.push(format!("V{vrid} yields, and says {more:?}"));
            }
        }
        let last = seen.after_being_told(HEARS_HIGHER_ANSWERS);
        if last.len() != 1 || last[0].priority != 100 {
            faults.push(format!("V31 yields with one more word, not {last:?}"));
        }
        for vrid in all {
            let stays = [HEARS_LOWER, HEARS_ZERO, HEARS_EQUAL_LOWER_ADDRESS].contains(&vrid);
            if seen.held.contains(&vrid) != stays {
                faults.push(format!("V{vrid} holds its address: {}", !stays));
            }
        }
        // Its own words back: nothing changes.
        if !seen.held.contains(&HEARS_ITSELF) {
            faults.push("V34 gives way to itself".to_owned());
        }
    });
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn what_is_sent() {
    let [ours, theirs] = &*SEEN;
    for vrid in [MASTER_OF_100, PASSWORD, SEVERAL, VERSION_3, UNICAST] {
        // All but the number of the packet, which one that is not to be fragmented needs none of (RFC 6864 §4.1), and with it the
        // checksum of the header.
        let shown = |seen: &Seen| {
            let mut packet = seen.packets(vrid)[0].to_vec();
            for place in [4, 5, 6, 10, 11] {
                packet[place] = 0;
            }
            packet
        };
        assert_eq!(shown(ours), shown(theirs), "V{vrid}");
    }
    judge(|seen, faults| {
        // The advertisement comes first, and then the address is announced.
        for vrid in [OWNER, MASTER_OF_100, LOWER, VERSION_3, NOPREEMPT] {
            let announced = seen.announced(vrid).first().copied();
            if announced.is_none_or(|at| at < seen.first(vrid).unwrap()) {
                faults.push(format!("V{vrid} announces its address first, at {announced:?}"));
            }
        }
    });
    // keepalived's never leave the host.
    assert!(ours.first(UNICAST_TTL).is_some());
    assert_eq!(theirs.first(UNICAST_TTL), None);
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn start_fault_reload_and_end() {
    judge(|seen, faults| {
        // What a predecessor left is removed at the start.
        if seen.held.contains(&LEFTOVER) || !seen.adverts(LEFTOVER).is_empty() {
            faults.push("V36 keeps what it found".to_owned());
        }
        // The fault is told once, also when the file is read again meanwhile.
        let states: Vec<&str> = seen.notified.lines().collect();
        let expected: Vec<String> = ["BACKUP", "MASTER", "FAULT"]
            .map(|state| format!("INSTANCE V{FAULTY} {state} 100"))
            .to_vec();
        if states.get(..3).is_none_or(|first| first != expected)
            || states[3..].iter().any(|state| !state.contains(" STOP "))
        {
            faults.push(format!("V{FAULTY} told {states:?}"));
        }
        let zeros = |vrid: u8, from: f64| {
            let adverts = seen.adverts(vrid).into_iter();
            adverts
                .filter(|heard| heard.priority == 0 && heard.at >= from)
                .count()
        };
        // keepalived says it twice in a fault, which is of no use.
        let said = zeros(FAULTY, seen.closed);
        if said == 0 || (seen.daemon == Daemon::Ours && said > 1) {
            faults.push(format!("V{FAULTY} gave up {said} times"));
        }
        // At the end everybody who is active gives up, once, and only those.
        for vrid in 1..=PENDING {
            let active = seen.held.contains(&vrid) && vrid != FAULTY;
            let seen_on_the_wire = seen.first(vrid).is_some();
            let said = zeros(vrid, seen.stopped);
            if seen_on_the_wire && said != usize::from(active) {
                faults.push(format!(
                    "V{vrid} gave up {said} times at the end; active: {active}"
                ));
            }
        }
        if !seen.left.is_empty() {
            faults.push(format!("the addresses of {:?} were left behind", seen.left));
        }
    });
}

/// What a busy machine may take before a thread that is awake runs.
const SLACK: f64 = 2.0;

/// The kernel stamps a packet of ours before the other host has it, and its own when it was sent.
const EARLY: f64 = 0.005;

/// With a peer later than this nothing can be judged.
const STALL: Duration = Duration::from_millis(700);

const ROUNDS: usize = 4;
