use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use vrrp_net::{Driver, Instance, Segment};
use vrrp_proto::{AdverInterval, Password, Priority, Vrid};

use super::*;

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("ha-stack-journal-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn instance(priority: u8) -> Instance {
    Instance::new("VI_1", "eth0", Vrid::new(51).unwrap())
        .priority(Priority::new(priority))
        .adver_interval(AdverInterval::from_seconds(1).unwrap())
        .address("10.0.0.100".parse().unwrap())
        .parameters(|builder| {
            builder
                .dialect(vrrp_fsm::Dialect::Rfc3768)
                .password(Password::truncating(b"hush"))
        })
}

/// Two hosts, of which the second keeps a journal, driven for so long on a clock that is moved by hand.
struct Lab {
    segment: Segment,
    drivers: Vec<Option<Driver>>,
}

impl Lab {
    fn run(&mut self, time: Duration) {
        let until = self.segment.now().saturating_add(time);
        loop {
            for driver in self.drivers.iter_mut().flatten() {
                for _ in 0..2 {
                    let now = driver.now();
                    driver.process(now).unwrap();
                }
            }
            let timers = self.drivers.iter().flatten().filter_map(Driver::next_timeout);
            match timers.chain(self.segment.next_event()).min() {
                Some(next) if next <= until => self.segment.advance_to(next),
                _ => break,
            }
        }
        self.segment.advance_to(until);
    }
}

fn explained(path: &Path) -> Vec<String> {
    let file = std::io::BufReader::new(File::open(path).unwrap());
    let mut texts = Vec::new();
    Replay::read(file, |remark| {
        let name = remark
            .name
            .as_deref()
            .map(|name| format!("{name}: "))
            .unwrap_or_default();
        texts.push(format!("{name}{}", remark.text));
    })
    .unwrap();
    texts
}

fn story(journal: &Journal) {
    let segment = Segment::new();
    let mut lab = Lab {
        segment: segment.clone(),
        drivers: Vec::new(),
    };
    let mut handles = Vec::new();
    for (address, priority) in [("10.0.0.1", 100), ("10.0.0.2", 98)] {
        let host = segment.host(&[(address.parse().unwrap(), 24)]);
        let mut driver = Driver::new(host).unwrap();
        if priority == 98 {
            driver.set_recorder(journal.recorder());
        }
        handles.push(driver.add(instance(priority)).unwrap());
        lab.drivers.push(Some(driver));
    }
    lab.run(Duration::from_secs(10));
    // The process of the first is gone at once.
    std::mem::forget(lab.drivers[0].take());
    lab.run(Duration::from_secs(10));
    handles[1].resign();
    lab.run(Duration::from_secs(10));
}

#[test]
fn a_failover_is_explained_from_what_the_election_was_told() {
    let path = path("story");
    let journal = Journal::open(&path).unwrap();
    journal.name_tracks([(TrackId(0), "script chk".to_owned())]);
    story(&journal);
    assert!(journal.flush(Duration::from_secs(60)));
    let begun = std::io::BufReader::new(File::open(&path).unwrap());
    let mut timeless = 0;
    Replay::read(begun, |remark| timeless += usize::from(remark.time.is_none())).unwrap();
    assert_eq!(timeless, 0);
    let texts = explained(&path);
    let wanted = [
        "VI_1: VRID 51 on eth0, VRRPv2, priority 98, an advertisement each 1 s",
        "VI_1: takes part",
        "VI_1: initialize to backup: started",
        "VI_1: 10.0.0.1 is heard first, with priority 100",
        "VI_1: backup to active: nothing heard from 10.0.0.1 for 3.617 s (it had priority 100, and advertised ",
        "VI_1: an operator lets it hand over",
        "VI_1: active to backup: handed over on request",
        "VI_1: backup to active: nothing heard",
        "VI_1: at the end initialize since ",
    ];
    assert!(texts[0].starts_with("the election begins"), "{texts:#?}");
    let mut rest = texts.iter();
    for text in wanted {
        assert!(rest.any(|line| line.starts_with(text)), "{text} in {texts:#?}");
    }
    let mut written = String::new();
    File::open(&path).unwrap().read_to_string(&mut written).unwrap();
    let secret: String = b"hush".iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        !written.contains(&secret) && !written.contains("hush"),
        "the password is masked"
    );
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_was_refused_for_its_signature_is_not_taken_in_when_it_is_told_again() {
    let path = path("signed");
    let journal = Journal::open(&path).unwrap();
    let segment = Segment::new();
    let mut lab = Lab {
        segment: segment.clone(),
        drivers: Vec::new(),
    };
    let signing = |secret: [u8; 32]| {
        let key = vrrp_proto::HmacKey::new(1, &secret).unwrap();
        vrrp_fsm::Signing::new(vec![key], 1).unwrap().time_window(None)
    };
    // The third has another key than the other two.
    for (address, priority, secret) in [
        ("10.0.0.1", 100, [1; 32]),
        ("10.0.0.2", 98, [1; 32]),
        ("10.0.0.3", 250, [2; 32]),
    ] {
        let host = segment.host(&[(address.parse().unwrap(), 24)]);
        let mut driver = Driver::new(host).unwrap();
        if priority == 98 {
            driver.set_recorder(journal.recorder());
        }
        let signed = Instance::new("VI_1", "eth0", Vrid::new(51).unwrap())
            .priority(Priority::new(priority))
            .adver_interval(AdverInterval::from_seconds(1).unwrap())
            .address("10.0.0.100".parse().unwrap())
            .signing(signing(secret));
        driver.add(signed).unwrap();
        lab.drivers.push(Some(driver));
    }
    lab.run(Duration::from_secs(10));
    std::mem::forget(lab.drivers[0].take());
    lab.run(Duration::from_secs(10));
    drop(lab);
    assert!(journal.flush(Duration::from_secs(60)));
    let texts = explained(&path);
    let wanted = [
        "VI_1: initialize to backup: started",
        "VI_1: 10.0.0.1 is heard first, with priority 100",
        "VI_1: backup to active: nothing heard from 10.0.0.1 for 3.6",
    ];
    let mut rest = texts.iter();
    for text in wanted {
        assert!(rest.any(|line| line.starts_with(text)), "{text} in {texts:#?}");
    }
    let refused = "VI_1: an advertisement from 10.0.0.3 is not taken in: the trailer is forged";
    assert!(texts.iter().any(|line| line == refused), "{texts:#?}");
    assert!(
        !texts.iter().any(|line| line.contains("10.0.0.3 is heard")),
        "{texts:#?}"
    );
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_journal_is_continued_and_cut_lines_are_left_out() {
    let path = path("continued");
    for _ in 0..2 {
        let journal = Journal::open(&path).unwrap();
        story(&journal);
        assert!(journal.flush(Duration::from_secs(60)));
    }
    let whole = std::fs::read(&path).unwrap();
    let begins = |texts: &[String]| {
        texts
            .iter()
            .filter(|text| text.starts_with("the election begins"))
            .count()
    };
    assert_eq!(begins(&explained(&path)), 2);
    std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    // Continued behind a line that was cut short.
    let journal = Journal::open(&path).unwrap();
    story(&journal);
    assert!(journal.flush(Duration::from_secs(60)));
    let texts = explained(&path);
    assert_eq!(begins(&texts), 3);
    assert_eq!(
        texts.last().unwrap(),
        "1 lines are none of a journal and were left out"
    );
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_long_journal_is_begun_anew_with_what_is_known() {
    let path = path("long");
    let old = PathBuf::from(format!("{}.1", path.display()));
    let journal = Journal::with_limit(path.clone(), 2000).unwrap();
    story(&journal);
    assert!(journal.flush(Duration::from_secs(60)));
    story(&journal);
    assert!(journal.flush(Duration::from_secs(60)));
    assert!(old.exists());
    assert!(std::fs::metadata(&path).unwrap().len() < 200_000);
    let texts = explained(&path);
    assert!(
        texts
            .iter()
            .any(|text| text.starts_with("VI_1: at the end initialize")),
        "{texts:#?}"
    );
    for path in [path, old] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_the_disk_does_not_take_is_counted_and_said_when_it_does() {
    // Writing to it fails as on a full disk.
    let full = Journal::open("/dev/full").unwrap();
    story(&full);
    assert!(full.flush(Duration::from_secs(60)));
    assert!(full.lost() > 20);

    let path = path("lost");
    let journal = Journal::open(&path).unwrap();
    journal.lost.store(7, Ordering::Relaxed);
    story(&journal);
    assert!(journal.flush(Duration::from_secs(60)));
    assert_eq!(journal.lost(), 0);
    let texts = explained(&path);
    assert_eq!(
        texts[0],
        "7 entries were lost here: what follows may not be what happened"
    );
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_writer_that_is_stuck_holds_up_nobody() {
    let path = path("stuck");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    // A pipe that nobody reads: opened for both ways, so that it opens, and full after a while.
    let _open = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let journal = Journal::open(&path).unwrap();
    let mut recorder = journal.recorder();
    for at in 0..100_000 {
        use vrrp_net::Recorder as _;
        recorder.record(vrrp_fsm::Instant::from_nanos(at), &vrrp_net::Told::Timeout);
    }
    assert!(journal.lost() > 1000);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn what_is_no_journal_is_said() {
    let text = b"{}\nrubbish\n{\"told\":\"timeout\",\"at\":18446744073709551615}\n\xff\xff\n";
    let mut texts = Vec::new();
    Replay::read(&text[..], |remark| texts.push(remark.text.clone())).unwrap();
    assert_eq!(texts, ["3 lines are none of a journal and were left out"]);
    let error = Replay::read(&b"root:x:0:0\n"[..], |_| ()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    Replay::read(&b""[..], |_| panic!("there is nothing to tell")).unwrap();
}
