//! Scripts, files and external verdicts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use healthcheck::{
    Cause, Check, Checker, Event, External, FailKind, Failure, File, Policy, Sample, Script, Stage, State,
    TargetSpec, Verdict,
};

use crate::support::settle;
use crate::{attempt, attempt_within, quick};

fn shell(text: &str) -> Script {
    Script::new("/bin/sh").argument("-c").argument(text)
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("healthcheck-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn exit_statuses_and_signals() {
    assert_eq!(attempt(Check::local(shell("exit 0"))).verdict, Verdict::Up);
    assert_eq!(
        attempt(Check::local(shell("test \"$A\" = b").variable("A", "b"))).verdict,
        Verdict::Up
    );
    let failed = attempt(Check::local(shell("exit 3"))).last_failure.unwrap().1;
    assert_eq!(
        (failed.stage, failed.kind, failed.code),
        (Stage::Run, FailKind::Exit, Some(3))
    );
    let killed = attempt(Check::local(shell("kill -9 $$"))).last_failure.unwrap().1;
    assert_eq!((killed.kind, killed.code), (FailKind::Signal, Some(9)));
    let failed = attempt(Check::local(shell("exit 1").dynamic(true)))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(
        failed.code,
        Some(1),
        "1 is a failure even when the weight is dynamic"
    );
    let checker = Checker::<u32>::spawn().unwrap();
    let mut spec = TargetSpec::new(1, Check::local(shell("exit 12").dynamic(true)), Arc::new(quick()));
    spec.weight = 5;
    checker.reconcile([spec]);
    assert_eq!(checker.initial_round().wait(Duration::from_secs(30)), 0);
    assert_eq!(checker.status(&1).unwrap().weight, 10);
}

#[test]
fn a_script_that_is_not_there_says_nothing_about_the_target() {
    let checker = Checker::<u32>::spawn().unwrap();
    checker.reconcile([TargetSpec::new(
        1,
        Check::local(Script::new("/no/such/script")),
        Arc::new(quick()),
    )]);
    while checker.metrics().totals.inconclusive < 2 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let check = checker.status(&1).unwrap().checks.remove(0);
    assert_eq!(
        (check.verdict, check.cause),
        (Verdict::Unknown, Some(Cause::NotRunnable))
    );
}

#[test]
fn at_the_deadline_the_whole_group_goes_even_those_who_will_not() {
    let directory = directory("group");
    let pids = directory.join("pids");
    // The leader and a child that both ignore SIGTERM.
    let text = format!(
        "trap '' TERM; sleep 600 & echo $$ $! > {}; wait; sleep 600",
        pids.display()
    );
    let checker = Checker::<u32>::spawn().unwrap();
    let policy = Policy {
        timeout: Duration::from_secs(1),
        interval: Duration::from_secs(3_600),
        ..quick()
    };
    checker.reconcile([TargetSpec::new(1, Check::local(shell(&text)), Arc::new(policy))]);
    let failure = settle(&checker, &1).last_failure.unwrap().1;
    assert_eq!((failure.stage, failure.kind), (Stage::Run, FailKind::TimedOut));
    let text = std::fs::read_to_string(&pids).unwrap();
    let alive = |pid: &str| {
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
        stat.contains("(sh)") || stat.contains("(sleep)") && !stat.contains(") Z ")
    };
    let begun = std::time::Instant::now();
    while text.split_whitespace().any(alive) {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{text} outlived the check"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_change_of_a_file_is_seen_at_once() {
    let directory = directory("file");
    let path = directory.join("value");
    std::fs::write(&path, "0\n").unwrap();
    let checker = Checker::<u32>::spawn().unwrap();
    let mut events = checker.subscribe();
    let hourly = Arc::new(Policy {
        interval: Duration::from_secs(3_600),
        ..quick()
    });
    let mut weighted = TargetSpec::new(
        2,
        Check::local(File::new(&path).weight(-2).missing_is(0)),
        hourly.clone(),
    );
    weighted.weight = 10;
    checker.reconcile([
        TargetSpec::new(1, Check::local(File::new(&path)), hourly),
        weighted,
    ]);
    assert_eq!(checker.initial_round().wait(Duration::from_secs(30)), 0);
    assert_eq!(
        (checker.state(&1), checker.status(&2).unwrap().weight),
        (Some(State::Up), 10)
    );
    let mut until = |down: bool, weight: u32| {
        while checker.state(&1) != Some(if down { State::Down } else { State::Up })
            || checker.status(&2).unwrap().weight != weight
        {
            assert!(
                events.wait(Duration::from_secs(30)).is_some(),
                "the change was not seen"
            );
        }
    };
    std::fs::write(&path, "3\n").unwrap();
    until(true, 4);
    let new = directory.join("new");
    std::fs::write(&new, "0\n").unwrap();
    std::fs::rename(&new, &path).unwrap();
    until(false, 10);
    std::fs::remove_file(&path).unwrap();
    until(true, 10);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_somebody_else_reports_counts_like_a_probe() {
    let (external, reporter) = External::new();
    let checker = Checker::<u32>::spawn().unwrap();
    let mut events = checker.subscribe();
    let hourly = Arc::new(Policy {
        interval: Duration::from_secs(3_600),
        ..quick()
    });
    checker.reconcile([TargetSpec::new(1, Check::local(external), hourly)]);
    let status = checker.check_now(&1).wait(Duration::from_secs(30)).unwrap();
    assert_eq!(
        (status.state, status.checks[0].cause),
        (State::Unknown, Some(Cause::NoReport))
    );
    reporter.report(Sample::pass(Duration::ZERO));
    assert_eq!(
        checker.check_now(&1).wait(Duration::from_secs(30)).unwrap().state,
        State::Up
    );
    reporter.report(Sample::fail(
        Failure::new(Stage::Run, FailKind::Reported),
        Duration::ZERO,
    ));
    assert_eq!(
        checker.check_now(&1).wait(Duration::from_secs(30)).unwrap().state,
        State::Down
    );
    reporter.retract();
    assert_eq!(
        checker.check_now(&1).wait(Duration::from_secs(30)).unwrap().state,
        State::Down,
        "nothing new is nothing"
    );
    assert!(matches!(
        events.try_next(),
        Some(Event::Changed {
            to: State::Down,
            transitions: 2,
            ..
        })
    ));
}

#[test]
fn a_script_within_its_time_is_left_alone() {
    let status = attempt_within(Check::local(shell("sleep 0.3; exit 0")), Duration::from_secs(20));
    assert_eq!(status.verdict, Verdict::Up);
    assert!(status.latency >= Duration::from_millis(300));
}
