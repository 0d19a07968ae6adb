//! Hot paths to be counted, not timed: `instructions CASE REPETITIONS` runs one of them so often, and `instructions`
//! alone lists them. `cargo xtask instructions` runs this under callgrind and holds `benches/instructions.txt`.

use std::process::ExitCode;

mod ha_stack;
mod ipvs_netlink;
mod keepalived_conf;
mod lvs_sched;
mod vrrp_fsm;
mod vrrp_proto;

/// A hot path: prepares once, then repeats so often.
type Case = (&'static str, fn(u64));

/// One array for each crate, in a file named after it.
const CASES: &[&[Case]] = &[
    ha_stack::CASES,
    ipvs_netlink::CASES,
    keepalived_conf::CASES,
    lvs_sched::CASES,
    vrrp_fsm::CASES,
    vrrp_proto::CASES,
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let cases = || CASES.iter().copied().flatten();
    let (Some(name), Some(repetitions)) = (arguments.next(), arguments.next()) else {
        cases().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    match (cases().find(|case| case.0 == name), repetitions.parse()) {
        (Some((_, run)), Ok(repetitions)) => {
            run(repetitions);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: instructions [CASE REPETITIONS]");
            ExitCode::from(2)
        }
    }
}
