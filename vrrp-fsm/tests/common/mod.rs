//! What the behaviour tests share: short ways to make routers, and to say what they put out.

#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]

use std::net::IpAddr;
use std::time::Duration;

use vrrp_fsm::{
    Alarm, Event, Heard, Input, Instant, Output, Parameters, ParametersBuilder, Reason, State, VirtualRouter,
};
use vrrp_proto::{AdverInterval, Priority, Vrid};

pub const SECOND: u64 = 1_000_000_000;
pub const MILLI: u64 = 1_000_000;

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

pub fn vrid(number: u8) -> Vrid {
    Vrid::new(number).unwrap()
}

pub fn centis(centiseconds: u16) -> AdverInterval {
    AdverInterval::from_centiseconds(centiseconds).unwrap()
}

pub fn builder(priority: u8) -> ParametersBuilder {
    Parameters::builder(vrid(1), [ip("10.0.0.100")]).priority(Priority::new(priority))
}

pub fn configure(parameters: ParametersBuilder) -> Input {
    Input::Configure(Box::new(parameters.build().unwrap()))
}

/// A router at 10.0.0.1, in Initialize.
pub fn router(parameters: ParametersBuilder) -> VirtualRouter {
    VirtualRouter::new(parameters.build().unwrap(), Some(ip("10.0.0.1")))
}

/// Started at 0; what it put out is dropped.
pub fn started(parameters: ParametersBuilder) -> VirtualRouter {
    let mut router = router(parameters);
    feed(&mut router, 0, Input::Startup { held: false });
    router
}

/// Started at 0, and active since nobody was heard. Gives the time, too.
pub fn active(parameters: ParametersBuilder) -> (VirtualRouter, u64) {
    let mut router = started(parameters);
    let now = deadline(&router);
    feed(&mut router, now, Input::Timeout);
    assert_eq!(router.state(), State::Active);
    (router, now)
}

pub fn deadline(router: &VirtualRouter) -> u64 {
    router.poll_timeout().unwrap().as_nanos()
}

pub fn drain(router: &mut VirtualRouter) -> Vec<Output> {
    std::iter::from_fn(|| router.poll_output()).collect()
}

pub fn feed(router: &mut VirtualRouter, now: u64, input: Input) -> Vec<Output> {
    router.handle_input(at(now), input);
    drain(router)
}

pub fn advert(now: u64, source: &str, priority: u8) -> Heard {
    Heard::new(
        at(now),
        ip(source),
        Priority::new(priority),
        AdverInterval::DEFAULT,
    )
}

/// An advertisement heard when it is received.
pub fn hear(router: &mut VirtualRouter, now: u64, source: &str, priority: u8) -> Vec<Output> {
    feed(router, now, Input::Advertisement(advert(now, source, priority)))
}

/// Timeouts as they come, up to and including `until`.
pub fn run(router: &mut VirtualRouter, until: u64) -> Vec<(u64, Output)> {
    let mut all = Vec::new();
    while let Some(due) = router.poll_timeout().filter(|due| due.as_nanos() <= until) {
        let outputs = feed(router, due.as_nanos(), Input::Timeout);
        all.extend(outputs.into_iter().map(|output| (due.as_nanos(), output)));
    }
    all
}

pub fn sent(priority: u8) -> Output {
    Output::Advertise {
        priority: Priority::new(priority),
    }
}

pub fn announce(repeat: u8) -> Output {
    Output::Announce { repeat }
}

pub fn changed(from: State, to: State, reason: Reason) -> Output {
    Output::Event(Event::StateChanged { from, to, reason })
}

/// The times at which something like this was put out.
pub fn times(all: &[(u64, Output)], wanted: impl Fn(&Output) -> bool) -> Vec<u64> {
    all.iter()
        .filter(|(_, output)| wanted(output))
        .map(|(time, _)| *time)
        .collect()
}

pub fn is_advert(output: &Output) -> bool {
    matches!(output, Output::Advertise { .. })
}

pub fn alarms(outputs: &[Output]) -> Vec<Alarm> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Event(Event::Alarm(alarm)) => Some(*alarm),
            _ => None,
        })
        .collect()
}

pub fn ended(outputs: &[Output]) -> Vec<Alarm> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Event(Event::AlarmEnded(alarm)) => Some(*alarm),
            _ => None,
        })
        .collect()
}

pub fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}
