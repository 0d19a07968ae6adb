//! When descriptors run out. A process of its own, because the limit holds for the whole of it.

use std::num::NonZeroU32;
use std::sync::mpsc::channel;
use std::time::Duration;

use ha_stack::{CommandLine, Error, ScriptCheck, ScriptTracker, Verdict};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn scripts_go_on_when_there_are_descriptors_again_and_say_nothing_meanwhile() {
    let (sender, receiver) = channel();
    let tracker = ScriptTracker::start(move |_, verdict| {
        let _ = sender.send(verdict);
    })
    .unwrap();
    let full = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(3),
        maximum: full.maximum,
    };
    setrlimit(Resource::Nofile, none).unwrap();
    assert!(matches!(
        ScriptTracker::start(|_, _| {}),
        Err(Error::System { .. })
    ));
    tracker.set_scripts(vec![ScriptCheck {
        name: "chk".to_owned(),
        command: CommandLine::new(["true"]).unwrap(),
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(60),
        rise: NonZeroU32::MIN,
        fall: NonZeroU32::MIN,
        init_fail: false,
    }]);
    // A script that could not be started has not failed: nothing is known of it.
    assert!(receiver.recv_timeout(Duration::from_millis(200)).is_err());
    setrlimit(Resource::Nofile, full).unwrap();
    assert_eq!(receiver.recv().unwrap(), Verdict::Up);
}
