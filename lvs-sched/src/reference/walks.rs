//! The schedulers that walk the list.

use super::{Model, Server};
use crate::environment::Environment;

/// The state of `wrr`.
#[derive(Debug)]
pub(super) struct WeightedRound {
    /// The last back end picked; `None` stands for the head of the list.
    pub(super) last: Option<u32>,
    pub(super) level: i64,
    top: i64,
    step: i64,
}

impl Default for WeightedRound {
    fn default() -> Self {
        Self {
            last: None,
            level: 0,
            top: 0,
            step: 1,
        }
    }
}

impl WeightedRound {
    pub(super) fn restart(&mut self, list: &[Server]) {
        let greatest = list.iter().map(Server::weight).max().unwrap_or(0);
        let divides = |step: &i64| list.iter().all(|server| server.weight() % step == 0);
        let bound = list.iter().map(Server::weight).filter(|&weight| weight > 0).min();
        self.last = None;
        self.step = bound
            .and_then(|least| (1..=least).rev().find(divides))
            .unwrap_or(1);
        self.top = greatest - (self.step - 1);
        if self.level > self.top || self.level == 0 {
            self.level = self.top;
        } else if self.step > 1 {
            self.level = self.level / self.step * self.step + 1;
        }
    }
}

impl Model {
    pub(super) fn rr(&mut self) -> Option<u32> {
        let after = self
            .round_robin
            .and_then(|name| self.index(name))
            .map_or(0, |last| last + 1);
        let (before, behind) = self.list.split_at(after);
        let picked = behind.iter().chain(before).find(|server| server.eligible())?;
        self.round_robin = Some(picked.name);
        self.round_robin
    }

    /// The walk level by level, as long as it may take.
    pub(super) fn wrr(&mut self) -> Option<u32> {
        if self.weighted.top == 0 {
            return None;
        }
        let began = self.weighted.last.and_then(|name| self.index(name));
        let mut at = began.map_or(0, |last| last + 1);
        let (mut stop, mut last_pass, mut restarted) = (None, false, false);
        loop {
            while let Some(server) = self.list.get(at) {
                if !server.unavailable() && server.weight() >= self.weighted.level {
                    self.weighted.last = Some(server.name);
                    return Some(server.name);
                }
                if stop == Some(at) {
                    self.weighted.last = Some(server.name);
                    return None;
                }
                at += 1;
            }
            self.weighted.level -= self.weighted.step;
            if self.weighted.level <= 0 {
                self.weighted.level = self.weighted.top;
                if last_pass || began.is_none() {
                    self.weighted.last = None;
                    return None;
                }
                restarted = true;
            }
            last_pass = self.weighted.level <= self.weighted.step;
            if last_pass && restarted && began.is_some() {
                stop = began;
            }
            at = 0;
        }
    }

    pub(super) fn lc(&self) -> Option<u32> {
        self.least(|server| Some((self.overhead(server), 1)))
    }

    pub(super) fn wlc(&self) -> Option<u32> {
        self.least(|server| Some((self.overhead(server), server.weight())))
    }

    pub(super) fn sed(&self) -> Option<u32> {
        self.least(|server| Some((i64::from(server.active) + 1, server.weight())))
    }

    pub(super) fn nq(&self) -> Option<u32> {
        let mut eligible = self.list.iter().filter(|server| server.eligible());
        let idle = eligible.find(|server| server.active == 0);
        idle.map(|server| server.name).or_else(|| self.sed())
    }

    pub(super) fn fo(&self) -> Option<u32> {
        self.least(|server| Some((1, server.weight())))
    }

    pub(super) fn ovf(&self) -> Option<u32> {
        self.least(|server| (i64::from(server.active) <= server.weight()).then_some((1, server.weight())))
    }

    pub(super) fn twos(&self, environment: &mut dyn Environment) -> Option<u32> {
        let eligible = || self.list.iter().filter(|server| server.eligible());
        let sum: i64 = eligible().map(Server::weight).sum();
        if sum == 0 {
            return None;
        }
        let mut draw = || {
            let mut rest = environment.random_below(sum as u64 + 1) as i64;
            eligible().find(|server| {
                rest -= server.weight();
                rest <= 0
            })
        };
        let (one, other) = (draw()?, draw()?);
        let better = other.weight() * self.overhead(one) > one.weight() * self.overhead(other);
        Some(if better { other.name } else { one.name })
    }

    pub(super) fn index(&self, name: u32) -> Option<usize> {
        self.list.iter().position(|server| server.name == name)
    }

    /// The first eligible of the least quotient of what `rank` gives.
    fn least(&self, rank: impl Fn(&Server) -> Option<(i64, i64)>) -> Option<u32> {
        let mut best: Option<(i64, i64, u32)> = None;
        for server in self.list.iter().filter(|server| server.eligible()) {
            if let Some((cost, weight)) = rank(server)
                && best.is_none_or(|(least, by, _)| least * weight > cost * by)
            {
                best = Some((cost, weight, server.name));
            }
        }
        best.map(|(_, _, name)| name)
    }
}
