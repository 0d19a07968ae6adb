//! Scenarios as text: a line for the seed, one for each host, each virtual router and each action.

use core::fmt;
use core::str::{FromStr, SplitWhitespace};
use core::time::Duration;

use vrrp_proto::{AddressFamily, AdverInterval, Priority, Vrid};

use super::{Action, HostPlan, MemberPlan, Quality, Scenario};
use crate::{Dialect, Preempt};

/// A line that is not part of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The number of the line, from 1.
    pub line: usize,
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {} is not part of a scenario", self.line)
    }
}

impl core::error::Error for ParseError {}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "seed {}", self.seed)?;
        for host in &self.hosts {
            writeln!(
                formatter,
                "host drift {} lateness {}",
                host.drift,
                host.lateness.as_micros()
            )?;
            for member in &host.members {
                writeln!(formatter, "{member}")?;
            }
        }
        for (at, action) in &self.actions {
            writeln!(formatter, "at {} {action}", at.as_micros())?;
        }
        Ok(())
    }
}

impl fmt::Display for MemberPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.family {
            AddressFamily::Ipv4 => "ipv4",
            AddressFamily::Ipv6 => "ipv6",
        };
        let dialect = match self.dialect {
            Dialect::Rfc3768 => "rfc3768",
            Dialect::Rfc5798 => "rfc5798",
            Dialect::Rfc9568 => "rfc9568",
        };
        write!(
            formatter,
            "member segment {} vrid {} {family} {dialect} priority {} interval {} addresses {}",
            self.segment,
            self.vrid.get(),
            self.priority.get(),
            self.interval.centiseconds(),
            self.addresses,
        )?;
        match self.preempt {
            Preempt::Immediate => {}
            Preempt::Never => write!(formatter, " nopreempt")?,
            Preempt::Delayed(delay) => write!(formatter, " delay {}", delay.as_micros())?,
        }
        if let Some(group) = self.group {
            write!(formatter, " group {group}")?;
        }
        if let Some((id, cost)) = self.track {
            write!(formatter, " track {id} {cost}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(host) => write!(formatter, "start {host}"),
            Self::Stop(host) => write!(formatter, "stop {host}"),
            Self::Crash(host) => write!(formatter, "crash {host}"),
            Self::Pause(host) => write!(formatter, "pause {host}"),
            Self::Resume(host) => write!(formatter, "resume {host}"),
            Self::Cut(segment, from, to) => write!(formatter, "cut {segment} {from} {to}"),
            Self::Mend(segment, from, to) => write!(formatter, "mend {segment} {from} {to}"),
            Self::Partition(segment, side) => write!(formatter, "partition {segment} {side}"),
            Self::Heal => write!(formatter, "heal"),
            Self::Links(quality) => write!(
                formatter,
                "links {} {} {} {}",
                quality.shortest.as_micros(),
                quality.longest.as_micros(),
                quality.loss,
                quality.duplication
            ),
            Self::Loop(segment, host, on) => write!(formatter, "loop {segment} {host} {on}"),
            Self::Interface(host, segment, up) => write!(formatter, "interface {host} {segment} {up}"),
            Self::Track(host, id, good) => write!(formatter, "track {host} {id} {good}"),
            Self::Resign(host, member) => write!(formatter, "resign {host} {member}"),
            Self::Priority(host, member, priority) => {
                write!(formatter, "priority {host} {member} {}", priority.get())
            }
            Self::Interval(host, member, interval) => {
                write!(formatter, "interval {host} {member} {}", interval.centiseconds())
            }
            Self::Addresses(host, member, count) => write!(formatter, "addresses {host} {member} {count}"),
            Self::Drift(host, drift) => write!(formatter, "drift {host} {drift}"),
        }
    }
}

impl FromStr for Scenario {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut scenario = Self::default();
        for (line, number) in text.lines().zip(1..) {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let known = match words.next() {
                None => continue,
                Some(word) => scenario.read(word, &mut words),
            };
            if known.is_none() || words.next().is_some() {
                return Err(ParseError { line: number });
            }
        }
        Ok(scenario)
    }
}

impl Scenario {
    fn read(&mut self, first: &str, words: &mut SplitWhitespace<'_>) -> Option<()> {
        match first {
            "seed" => self.seed = number(words)?,
            "host" => {
                word(words, "drift")?;
                let drift = number(words)?;
                word(words, "lateness")?;
                self.hosts.push(HostPlan {
                    members: Default::default(),
                    drift,
                    lateness: micros(words)?,
                });
            }
            "member" => {
                let member = member(words)?;
                self.hosts.last_mut()?.members.push(member);
            }
            "at" => {
                let at = micros(words)?;
                let in_order = self.actions.last().is_none_or(|(before, _)| *before <= at);
                self.actions.push((at, action(words)?));
                return in_order.then_some(());
            }
            _ => return None,
        }
        Some(())
    }
}

fn member(words: &mut SplitWhitespace<'_>) -> Option<MemberPlan> {
    word(words, "segment")?;
    let segment = number(words)?;
    word(words, "vrid")?;
    let vrid = Vrid::new(number(words)?)?;
    let family = match words.next()? {
        "ipv4" => AddressFamily::Ipv4,
        "ipv6" => AddressFamily::Ipv6,
        _ => return None,
    };
    let dialect = match words.next()? {
        "rfc3768" => Dialect::Rfc3768,
        "rfc5798" => Dialect::Rfc5798,
        "rfc9568" => Dialect::Rfc9568,
        _ => return None,
    };
    word(words, "priority")?;
    let priority = Priority::new(number(words)?);
    word(words, "interval")?;
    let interval = AdverInterval::from_centiseconds(number(words)?)?;
    word(words, "addresses")?;
    let mut member = MemberPlan {
        family,
        dialect,
        addresses: number(words)?,
        ..MemberPlan::new(segment, vrid, priority, interval)
    };
    while let Some(option) = words.next() {
        match option {
            "nopreempt" => member.preempt = Preempt::Never,
            "delay" => member.preempt = Preempt::Delayed(micros(words)?),
            "group" => member.group = Some(number(words)?),
            "track" => member.track = Some((number(words)?, number(words)?)),
            _ => return None,
        }
    }
    // What the builder refuses is no scenario either.
    member.parameters().ok()?;
    Some(member)
}

fn action(words: &mut SplitWhitespace<'_>) -> Option<Action> {
    Some(match words.next()? {
        "start" => Action::Start(number(words)?),
        "stop" => Action::Stop(number(words)?),
        "crash" => Action::Crash(number(words)?),
        "pause" => Action::Pause(number(words)?),
        "resume" => Action::Resume(number(words)?),
        "cut" => Action::Cut(number(words)?, number(words)?, number(words)?),
        "mend" => Action::Mend(number(words)?, number(words)?, number(words)?),
        "partition" => Action::Partition(number(words)?, number(words)?),
        "heal" => Action::Heal,
        "links" => Action::Links(Quality {
            shortest: micros(words)?,
            longest: micros(words)?,
            loss: number(words)?,
            duplication: number(words)?,
        }),
        "loop" => Action::Loop(number(words)?, number(words)?, number(words)?),
        "interface" => Action::Interface(number(words)?, number(words)?, number(words)?),
        "track" => Action::Track(number(words)?, number(words)?, number(words)?),
        "resign" => Action::Resign(number(words)?, number(words)?),
        "priority" => Action::Priority(number(words)?, number(words)?, Priority::new(number(words)?)),
        "interval" => {
            let (host, member) = (number(words)?, number(words)?);
            Action::Interval(host, member, AdverInterval::from_centiseconds(number(words)?)?)
        }
        "addresses" => Action::Addresses(number(words)?, number(words)?, number(words)?),
        "drift" => Action::Drift(number(words)?, number(words)?),
        _ => return None,
    })
}

fn word(words: &mut SplitWhitespace<'_>, expected: &str) -> Option<()> {
    (words.next()? == expected).then_some(())
}

fn number<T: FromStr>(words: &mut SplitWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

fn micros(words: &mut SplitWhitespace<'_>) -> Option<Duration> {
    number(words).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::{ParseError, Scenario};

    #[test]
    fn what_is_printed_is_read_back() {
        for seed in 0..200 {
            let scenario = Scenario::storm(seed);
            assert_eq!(scenario.to_string().parse(), Ok(scenario));
        }
    }

    #[test]
    fn a_line_that_is_no_scenario_is_named() {
        for (text, line) in [
            ("seed", 1),
            ("seed 1\nrain", 2),
            (
                "member segment 0 vrid 1 ipv4 rfc9568 priority 1 interval 1 addresses 1",
                1,
            ),
            (
                "host drift 0 lateness 0\nmember segment 0 vrid 0 ipv4 rfc9568 priority 1 interval 1 addresses 1",
                2,
            ),
            ("at 5 heal\nat 4 heal", 2),
            ("at 5 heal now", 1),
            ("at 5 interval 0 0 4096", 1),
        ] {
            assert_eq!(text.parse::<Scenario>(), Err(ParseError { line }), "{text}");
        }
    }
}
