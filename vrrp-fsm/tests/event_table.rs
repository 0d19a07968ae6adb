//! The event table of the standard, as data (`event_table.txt`), for each version, boundary priorities and ties.

mod common;

use std::collections::BTreeSet;

use common::*;
use vrrp_fsm::{Dialect, Heard, Input, Output, ParametersBuilder, Preempt, State, VirtualRouter};
use vrrp_proto::{AdverInterval, Priority};

const TABLE: &str = include_str!("event_table.txt");
const OWN_ADDRESS: &str = "10.0.0.5";
const NOW: u64 = 100 * SECOND;

/// Everything that a line of the table may depend on.
#[derive(Clone, Copy, Debug)]
struct Case {
    dialect: Dialect,
    preempt: Preempt,
    own: u8,
    state: State,
    event: Event,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Startup,
    Shutdown,
    Timer,
    Advert {
        priority: u8,
        source: &'static str,
        interval: u16,
    },
}

#[derive(Debug)]
struct Row {
    line: usize,
    words: [&'static str; 7],
}

fn rows() -> Vec<Row> {
    let lines = TABLE
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(text, line)| {
            let words: Vec<&str> = text.split_whitespace().collect();
            Row {
                line,
                words: words.try_into().expect("seven words"),
            }
        })
        .collect()
}

impl Case {
    fn matches(&self, row: &Row) -> bool {
        let [state, event, guard, ..] = row.words;
        let event_name = match self.event {
            Event::Startup => "startup",
            Event::Shutdown => "shutdown",
            Event::Timer => "timer",
            Event::Advert { .. } => "advert",
        };
        if self.state.to_string() != state || event_name != event {
            return false;
        }
        let (priority, above) = match self.event {
            Event::Advert { priority, source, .. } => (priority, ip(source) > ip(OWN_ADDRESS)),
            Event::Startup | Event::Shutdown | Event::Timer => (self.own, false),
        };
        match guard {
            "any" => true,
            "owner" => self.own == 255,
            "deaf-owner" => self.own == 255 && self.dialect != Dialect::Rfc9568,
            "zero" => priority == 0,
            "higher" => priority > self.own,
            "equal-above" => priority == self.own && above,
            "lower-preempt" => priority < self.own && self.preempt == Preempt::Immediate,
            "rfc9568" => self.dialect == Dialect::Rfc9568,
            other => panic!("line {}: no guard {other}", row.line),
        }
    }

    fn interval(&self) -> u16 {
        100
    }

    /// (256 - p) / 256 of the interval, of a second in VRRPv2: worked out here on its own.
    fn skew(&self, interval: u16) -> u64 {
        let whole = match self.dialect {
            Dialect::Rfc3768 => SECOND,
            Dialect::Rfc5798 | Dialect::Rfc9568 => u64::from(interval) * 10 * MILLI,
        };
        whole * (256 - u64::from(self.own)) / 256
    }

    fn builder(&self) -> ParametersBuilder {
        builder(self.own)
            .dialect(self.dialect)
            .preempt(self.preempt)
            .adver_interval(centis(self.interval()))
            .announcements(vrrp_fsm::Announcements::MINIMAL)
    }

    /// A router in the state, with a timer that began a tenth of a second before `NOW`.
    fn router(&self) -> Option<VirtualRouter> {
        let begin = NOW - SECOND / 10;
        let mut router = VirtualRouter::new(self.builder().build().unwrap(), Some(ip(OWN_ADDRESS)));
        match self.state {
            State::Initialize => {}
            State::Backup if self.own == 255 => return None,
            State::Backup => {
                feed(&mut router, begin, Input::Startup { held: false });
            }
            State::Active if self.own == 255 => {
                feed(&mut router, begin, Input::Startup { held: false });
            }
            State::Active => {
                let down = 3 * u64::from(self.interval()) * 10 * MILLI + self.skew(self.interval());
                feed(&mut router, begin - down, Input::Startup { held: false });
                feed(&mut router, begin, Input::Timeout);
            }
        }
        assert_eq!(router.state(), self.state, "{self:?}");
        Some(router)
    }

    fn check(&self, rows: &[Row], used: &mut BTreeSet<usize>) {
        let Some(mut router) = self.router() else { return };
        let row = rows
            .iter()
            .find(|row| self.matches(row))
            .unwrap_or_else(|| panic!("no line for {self:?}"));
        used.insert(row.line);
        let before = router.poll_timeout();
        let mut now = NOW;
        let (input, learned) = match self.event {
            Event::Startup => (Input::Startup { held: false }, self.interval()),
            Event::Shutdown => (Input::Shutdown, self.interval()),
            Event::Timer => {
                now = before.map_or(now, |deadline| deadline.as_nanos());
                (Input::Timeout, self.interval())
            }
            Event::Advert {
                priority,
                source,
                interval,
            } => {
                let interval = if self.dialect == Dialect::Rfc3768 {
                    self.interval()
                } else {
                    interval
                };
                let length = AdverInterval::from_centiseconds(interval).unwrap();
                let heard = Heard::new(at(now), ip(source), Priority::new(priority), length);
                (Input::Advertisement(heard), interval)
            }
        };
        let outputs = feed(&mut router, now, input);

        let [.., sends, addresses, timer, next] = row.words;
        let context = format!("line {}, {self:?}, outputs {outputs:?}", row.line);
        let sent: Vec<u8> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Advertise { priority } => Some(priority.get()),
                _ => None,
            })
            .collect();
        let expected_sent = match sends {
            "own" => vec![self.own],
            "zero" => vec![0],
            _ => vec![],
        };
        assert_eq!(sent, expected_sent, "{context}");
        assert_eq!(
            outputs.contains(&Output::AddAddresses),
            addresses == "add",
            "{context}"
        );
        assert_eq!(
            outputs.contains(&Output::RemoveAddresses),
            addresses == "remove",
            "{context}"
        );
        let announced = outputs
            .iter()
            .any(|output| matches!(output, Output::Announce { .. }));
        assert_eq!(announced, addresses == "add", "{context}");
        assert_eq!(router.state().to_string(), next, "{context}");
        let expected_timer = match timer {
            "none" => None,
            "keep" => before.map(|deadline| deadline.as_nanos()),
            "adver" => Some(now + u64::from(self.interval()) * 10 * MILLI),
            "skew" => Some(now + self.skew(self.interval())),
            "down" => Some(now + 3 * u64::from(learned) * 10 * MILLI + self.skew(learned)),
            other => panic!("line {}: no timer {other}", row.line),
        };
        assert_eq!(
            router.poll_timeout().map(|deadline| deadline.as_nanos()),
            expected_timer,
            "{context}"
        );
    }
}

fn events(own: u8) -> Vec<Event> {
    let mut events = vec![Event::Startup, Event::Shutdown, Event::Timer];
    let priorities = [
        0,
        1,
        own.saturating_sub(1),
        own,
        own.saturating_add(1),
        100,
        254,
        255,
    ];
    for priority in BTreeSet::from(priorities) {
        for source in ["10.0.0.4", "10.0.0.6", "200.0.0.1"] {
            for interval in [1, 100, 250, 4095] {
                events.push(Event::Advert {
                    priority,
                    source,
                    interval,
                });
            }
        }
    }
    events
}

/// RFC 9568 §6.4, RFC 5798 §6.4, RFC 3768 §6.4: every line of the table, and every line is used.
#[test]
fn every_line_holds() {
    let rows = rows();
    let mut used = BTreeSet::new();
    let mut cases = 0;
    for dialect in [Dialect::Rfc3768, Dialect::Rfc5798, Dialect::Rfc9568] {
        for preempt in [Preempt::Immediate, Preempt::Never] {
            for own in [1, 100, 254, 255] {
                for state in [State::Initialize, State::Backup, State::Active] {
                    for event in events(own) {
                        if matches!((state, event), (State::Backup | State::Active, Event::Startup)) {
                            continue;
                        }
                        Case {
                            dialect,
                            preempt,
                            own,
                            state,
                            event,
                        }
                        .check(&rows, &mut used);
                        cases += 1;
                    }
                }
            }
        }
    }
    assert!(cases > 1_000);
    let lines: BTreeSet<usize> = rows.iter().map(|row| row.line).collect();
    assert_eq!(used, lines, "every line of the table is used");
}
