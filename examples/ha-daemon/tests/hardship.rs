//! What a host goes through: reloads without end, scripts that hang, a full disk, a log that nobody reads, no more
//! descriptors. Judged on the wire, beside a daemon that nothing is done to.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod lab;

use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use failover_lab::capture::{Capture, Frame};
use failover_lab::namespace::Namespace;
use lab::{Host, INTERFACE, Pair, Process, until};

const OURS: &str = env!("CARGO_BIN_EXE_ha-daemon");
const CONFIG: &str = "/etc/keepalived/keepalived.conf";
const VIP: &str = "10.1.10.7";

/// The virtual router that is looked at.
const WATCHED: u8 = 51;

/// That of the daemon that nothing is done to.
const CONTROL: u8 = 99;

fn instance(name: &str, vrid: u8, priority: u8, address: &str, more: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface {INTERFACE}\n virtual_router_id {vrid}\n priority {priority}\n{more}\n \
         virtual_ipaddress {{\n  {address}\n }}\n}}\n"
    )
}

/// Starts the daemon that nothing is done to, on the same host.
fn control(host: &Host) -> Process<'_> {
    host.write(
        "/etc/control.conf",
        &instance("CONTROL", CONTROL, 200, "10.1.10.99", ""),
    );
    host.start(
        OURS,
        &[
            "run",
            "--config",
            "/etc/control.conf",
            "--control",
            "/run/control.sock",
        ],
    )
}

/// What the second host hears.
fn listen(host: &Host) -> Capture {
    Capture::start(&Namespace::named(host.namespace()).unwrap(), false, None).unwrap()
}

/// The times and priorities at which a virtual router advertised.
fn advertisements(frames: &[Frame], vrid: u8) -> Vec<(u64, u8)> {
    let of_frame = |frame: &Frame| {
        let (found, priority) = frame.content().advertisement()?;
        (found == vrid).then_some((frame.at, priority))
    };
    frames.iter().filter_map(of_frame).collect()
}

fn worst_gap(frames: &[Frame], vrid: u8) -> Duration {
    let times = advertisements(frames, vrid);
    assert!(times.len() > 2, "VRID {vrid} advertises");
    let gaps = times.windows(2).map(|pair| pair[1].0 - pair[0].0);
    Duration::from_nanos(gaps.max().unwrap())
}

/// No advertisement was late, unless the machine as a whole was, and nobody left, took over or announced anew.
fn undisturbed(frames: &[Frame]) {
    let (worst, control) = (worst_gap(frames, WATCHED), worst_gap(frames, CONTROL));
    println!("worst gap {worst:?}, of the one that nothing was done to {control:?}");
    assert!(
        worst < Duration::from_millis(2200) || control > Duration::from_millis(1200),
        "an advertisement each second came {worst:?} apart, and {control:?} apart without disturbance"
    );
    assert!(
        advertisements(frames, WATCHED)
            .iter()
            .all(|(_, priority)| *priority > 0)
    );
    let vip: std::net::IpAddr = VIP.parse().unwrap();
    let announced = frames
        .iter()
        .filter(|frame| frame.content().announced() == Some(vip));
    assert_eq!(announced.count(), 0, "the address was announced anew");
}

/// Waits until the first announcements of the addresses are over: the second round comes after five seconds.
fn settle(capture: &Capture) {
    let vip: std::net::IpAddr = VIP.parse().unwrap();
    let mut announced = 0;
    until("the announcements to be over", || {
        let frames = capture.take();
        announced += frames
            .iter()
            .filter(|frame| frame.content().announced() == Some(vip))
            .count();
        announced >= 10
    });
}

fn ask(host: &Host, arguments: &[&str]) -> String {
    let (code, text) = host.run(OURS, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {text}");
    text
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_hundred_reloads_disturb_nothing_on_the_wire() {
    let Pair { first, second } = Pair::new();
    // The same edits on each run: who else is there, with which priority and addresses, and what is tracked.
    let edited = |round: u32| {
        let mut seed = round.wrapping_mul(2_654_435_761);
        let mut next = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        // Always in the middle of a run.
        let mut text = "vrrp_script slow {\n script \"/bin/sleep 0.7\"\n interval 1\n}\n".to_owned();
        let watched = " track_script {\n  slow weight -5\n }\n";
        text += &instance("STAYS", WATCHED, 200, VIP, watched);
        for vrid in 2..8_u8 {
            if next(2) == 0 {
                let priority = u8::try_from(50 + next(200)).unwrap();
                let address = format!("10.1.{vrid}.{}", 1 + next(3));
                // In the middle of an election: a second or less to its end, or to be removed again.
                let more = if next(2) == 0 {
                    " version 3\n advert_int 0.1"
                } else {
                    ""
                };
                text += &instance(&format!("V{vrid}"), vrid, priority, &address, more);
            }
        }
        text
    };
    let capture = listen(&second);
    let _control = control(&first);
    first.write(CONFIG, &edited(0));
    let _daemon = first.start(OURS, &["run", "--config", CONFIG]);
    // Somebody who would take over.
    second.write(CONFIG, &instance("STAYS", WATCHED, 100, VIP, ""));
    let _rival = second.start(OURS, &["run", "--config", CONFIG]);
    until("the address to be there", || first.holds(VIP));
    settle(&capture);
    let monitor = "exec ip monitor address > /run/monitor";
    let _monitor = first.start("sh", &["-c", monitor]).becoming("ip");
    let before: serde_json::Value = serde_json::from_str(&ask(&first, &["status", "--json"])).unwrap();
    let _ = capture.take();
    let mut frames = Vec::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(300);
    let mut round = 0;
    // A hundred take less than two advertisements' time on a fast machine.
    while round < 100 || advertisements(&frames, WATCHED).len() < 10 {
        assert!(
            std::time::Instant::now() < deadline,
            "no end after {round} reloads"
        );
        round += 1;
        frames.extend(capture.take());
        if round % 10 == 0 {
            // Two at once, of which one finds nothing to do, and a bad one.
            first.write(CONFIG, "vrrp_instance STAYS {\n");
            let (code, text) = first.run(OURS, &["reload"]);
            assert_eq!(code, Some(1), "{text}");
        }
        first.write(CONFIG, &edited(round));
        if round % 7 == 0 {
            let mut both = [first.start(OURS, &["reload"]), first.start(OURS, &["reload"])];
            assert!(both.iter_mut().all(|each| each.wait() == Some(0)));
        } else {
            ask(&first, &["reload"]);
        }
    }
    let after: serde_json::Value = serde_json::from_str(&ask(&first, &["status", "--json"])).unwrap();
    let (before, after) = (&before["virtual_routers"][0], &after["virtual_routers"][0]);
    assert_eq!(after["state"], "active");
    assert_eq!(after["since"], before["since"]);
    frames.extend(capture.take());
    undisturbed(&frames);
    let touched = first.read("/run/monitor");
    assert!(
        !touched
            .lines()
            .any(|line| line.starts_with("Deleted") && line.contains(VIP)),
        "{touched}"
    );
}

#[test]
#[ignore = "needs root and network namespaces"]
fn two_hundred_scripts_of_which_half_hang_move_no_advertisement() {
    let Pair { first, second } = Pair::new();
    let mut text = String::new();
    let mut tracked = String::from(" track_script {\n");
    for number in 0..200 {
        let script = if number % 2 == 0 {
            "/bin/sleep 1000"
        } else {
            "/bin/true"
        };
        text += &format!(
            "vrrp_script s{number} {{\n script \"{script}\"\n interval 1\n timeout 1\n weight -1\n}}\n"
        );
        tracked += &format!("  s{number}\n");
    }
    tracked += " }\n";
    let capture = listen(&second);
    let _control = control(&first);
    first.write(CONFIG, &instance("STAYS", WATCHED, 254, VIP, ""));
    let _daemon = first.start(OURS, &["run", "--config", CONFIG]);
    second.write(CONFIG, &instance("STAYS", WATCHED, 50, VIP, ""));
    let _rival = second.start(OURS, &["run", "--config", CONFIG]);
    until("the address to be there", || first.holds(VIP));
    settle(&capture);
    let _ = capture.take();
    first.write(CONFIG, &(text + &instance("STAYS", WATCHED, 254, VIP, &tracked)));
    ask(&first, &["reload"]);
    // Each that hangs is killed after a second, and takes one from the priority.
    until("half of the scripts to have failed", || {
        let status: serde_json::Value = serde_json::from_str(&ask(&first, &["status", "--json"])).unwrap();
        // A busy machine may let some of the others time out.
        status["virtual_routers"][0]["effective_priority"].as_u64() <= Some(160)
    });
    let heard = || advertisements(&capture.frames(), WATCHED).len();
    let enough = heard() + 5;
    until("some more advertisements", || heard() >= enough);
    undisturbed(&capture.take());
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_full_disk_and_a_log_that_nobody_reads_cost_lines_and_nothing_else() {
    let Pair { first, second } = Pair::new();
    let capture = listen(&second);
    let _control = control(&first);
    std::fs::create_dir_all(first.path("/run/small")).unwrap();
    let (code, text) = first.run(
        "mount",
        &["-t", "tmpfs", "-o", "size=256k", "tmpfs", "/run/small"],
    );
    assert_eq!(code, Some(0), "{text}");
    first.run("dd", &["if=/dev/zero", "of=/run/small/filler", "bs=4k"]);
    first.write(CONFIG, &instance("STAYS", WATCHED, 200, VIP, ""));
    // The log goes to a full disk; nothing there can be written, neither can the journal.
    let full = format!("exec {OURS} run --config {CONFIG} --journal /run/small/journal 2>> /run/small/log");
    let mut daemon = first.start("sh", &["-c", &full]).becoming("ha-daemon");
    until("the address to be there", || first.holds(VIP));
    settle(&capture);
    let _ = capture.take();
    ask(&first, &["reload"]);
    assert_eq!(ask(&first, &["failover", "STAYS"]), "STAYS hands over\n");
    until("it to be needed again", || {
        let status: serde_json::Value = serde_json::from_str(&ask(&first, &["status", "--json"])).unwrap();
        status["virtual_routers"][0]["state"] == "active"
    });
    settle(&capture);
    let heard = || advertisements(&capture.frames(), WATCHED).len();
    until("some advertisements", || heard() >= 4);
    undisturbed(&capture.take());
    // There is room again.
    let (code, text) = first.run("rm", &["/run/small/filler"]);
    assert_eq!(code, Some(0), "{text}");
    until("the journal to go on", || {
        let (code, text) = first.run(OURS, &["replay", "/run/small/journal"]);
        code == Some(0) && text.contains("entries were lost here")
    });
    assert_eq!(ask(&first, &["stop"]), "stopped\n");
    assert_eq!(daemon.wait(), Some(0));

    // Nobody reads the log, and its pipe is closed.
    let closed = format!("exec {OURS} run --config {CONFIG} 2> >(true)");
    let mut daemon = first.start("bash", &["-c", &closed]).becoming("ha-daemon");
    until("the address to be there again", || first.holds(VIP));
    assert_eq!(ask(&first, &["stop"]), "stopped\n");
    assert_eq!(daemon.wait(), Some(0));
}

#[test]
#[ignore = "needs root and network namespaces"]
fn clients_that_never_read_and_too_few_descriptors_delay_nobody() {
    let Pair { first, second } = Pair::new();
    let capture = listen(&second);
    let _control = control(&first);
    let script = "vrrp_script t {\n script \"/bin/true\"\n interval 1\n}\n";
    let tracked = " track_script {\n  t\n }\n";
    first.write(
        CONFIG,
        &format!("{script}{}", instance("STAYS", WATCHED, 200, VIP, tracked)),
    );
    let few = format!("ulimit -n 64; exec {OURS} run --config {CONFIG}");
    let _daemon = first.start("sh", &["-c", &few]).becoming("ha-daemon");
    until("the address to be there", || first.holds(VIP));
    settle(&capture);
    let _ = capture.take();
    // As many as it takes, each of which asks for everything and reads nothing.
    let socket = first.path("/run/ha-daemon.sock");
    let clients: Vec<UnixStream> = (0..100)
        .filter_map(|_| {
            use std::io::Write as _;
            let mut client = UnixStream::connect(&socket).ok()?;
            client.set_nonblocking(true).unwrap();
            for _ in 0..200 {
                if client.write_all(b"{\"command\":\"status\"}\n").is_err() {
                    break;
                }
            }
            Some(client)
        })
        .collect();
    assert!(clients.len() > 10);
    let heard = || advertisements(&capture.frames(), WATCHED).len();
    until("some advertisements", || heard() >= 6);
    undisturbed(&capture.take());
    assert!(first.holds(VIP));
    drop(clients);
    until("the next client to be answered", || {
        let (code, _) = first.run(OURS, &["status"]);
        code == Some(0)
    });
}

#[test]
#[ignore = "needs root and network namespaces"]
fn the_service_manager_is_told_what_goes_on() {
    let Pair {
        first,
        second: _second,
    } = Pair::new();
    let manager = UnixDatagram::bind(first.path("/run/notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let told = |wanted: &str| loop {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).expect(wanted);
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.starts_with(wanted) {
            return text;
        }
    };
    first.write(CONFIG, &instance("STAYS", WATCHED, 200, VIP, ""));
    let mut daemon = first
        .start(
            "env",
            &[
                "NOTIFY_SOCKET=/run/notify",
                "WATCHDOG_USEC=1000000",
                OURS,
                "run",
                "--config",
                CONFIG,
            ],
        )
        .becoming("ha-daemon");
    told("READY=1");
    for _ in 0..3 {
        told("WATCHDOG=1");
    }
    ask(&first, &["reload"]);
    assert!(told("RELOADING=1").contains("\nMONOTONIC_USEC="));
    told("READY=1");
    ask(&first, &["stop"]);
    told("STOPPING=1");
    assert_eq!(daemon.wait(), Some(0));
}

/// A thread that is stuck is not ended, for that is impossible: another takes its place, and in that of the election another
/// program, in the same process.
#[test]
#[ignore = "needs root and network namespaces"]
fn what_is_stuck_is_replaced() {
    let Pair { first, second } = Pair::new();
    let file = "vrrp_track_file load {\n file /run/load\n}\n";
    let tracked = " track_file {\n  load weight 1\n }\n notify /run/notify.sh\n";
    for (host, priority) in [(&first, 200), (&second, 100)] {
        host.write_program("/run/notify.sh", "#!/bin/sh\necho \"$3\" >> /run/told\n");
        let text = format!("{file}{}", instance("STAYS", WATCHED, priority, VIP, tracked));
        host.write(CONFIG, &text);
    }
    let run = [
        "run",
        "--config",
        CONFIG,
        "-p",
        "/run/daemon.pid",
        "--http",
        "127.0.0.1:9112",
    ];
    let watched = [&["WATCHDOG_USEC=2000000", OURS], &run[..]].concat();
    let mut daemon = first.start("env", &watched).becoming("ha-daemon");
    let _rival = second.start(OURS, &run);
    until("the address to be there", || {
        first.holds(VIP) && !second.holds(VIP)
    });
    let router = || -> serde_json::Value {
        // A daemon that begins anew has no socket for a moment.
        let (_, text) = first.run(OURS, &["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        status["virtual_routers"][0].clone()
    };
    let since = router()["since"].clone();
    for part in ["files", "control", "http", "notify-scripts"] {
        failover_lab::freeze::freeze(daemon.thread(part)).unwrap();
    }
    first.write("/run/load", "7\n");
    // Answered by others than those that are stuck.
    let page = ["--silent", "--max-time", "60", "http://127.0.0.1:9112/healthz"];
    assert_eq!(first.run("curl", &page), (Some(0), "alive\n".to_owned()));
    until("another to read the file", || {
        router()["effective_priority"] == 207
    });
    assert_eq!(router()["since"], since, "the election did not notice");
    let scripts = |wanted: &str| {
        until("a notification script to run", || {
            first
                .read("/run/told")
                .lines()
                .last()
                .is_some_and(|line| line == wanted)
        });
    };
    scripts("MASTER");
    ask(&first, &["failover", "STAYS"]);
    scripts("BACKUP");
    until("the other to have it", || second.holds(VIP));
    ask(&second, &["failover", "STAYS"]);
    until("it to be back", || first.holds(VIP) && !second.holds(VIP));

    let number = first.read("/run/daemon.pid");
    let stuck = daemon.thread("vrrp");
    failover_lab::freeze::freeze(stuck).unwrap();
    until("the stuck thread to be gone", || {
        !std::path::Path::new(&format!("/proc/{stuck}")).exists()
    });
    until("the first to have the address again, alone", || {
        router()["state"] == "active" && first.holds(VIP) && !second.holds(VIP)
    });
    assert_eq!(first.read("/run/daemon.pid"), number, "it is the same process");
    assert_eq!(ask(&first, &["stop"]), "stopped\n");
    assert_eq!(daemon.wait(), Some(0));
    assert!(!first.holds(VIP));
}

#[test]
#[ignore = "needs root and network namespaces"]
fn killed_in_the_middle_of_a_reload_its_successor_makes_it_whole() {
    let Pair {
        first,
        second: _second,
    } = Pair::new();
    let fast = " version 3\n advert_int 0.1";
    // Of twenty virtual routers one stays, and the others have other addresses each time.
    let text = |round: u8| {
        let others = (2..22).map(|vrid| {
            instance(
                &format!("V{vrid}"),
                vrid,
                150,
                &format!("10.2.{vrid}.{round}"),
                fast,
            )
        });
        instance("STAYS", WATCHED, 200, VIP, fast) + &others.collect::<String>()
    };
    let all = |round: u8| (2..22).all(|vrid| first.holds(&format!("10.2.{vrid}.{round}")));
    let run = ["run", "--config", CONFIG];
    first.write(CONFIG, &text(1));
    let mut daemon = first.start(OURS, &run);
    until("the addresses to be there", || first.holds(VIP) && all(1));
    for (round, pause) in (2..).zip([0, 1, 4, 16]) {
        first.write(CONFIG, &text(round));
        daemon.signal("-HUP");
        std::thread::sleep(Duration::from_millis(pause));
        daemon.signal("-KILL");
        daemon.wait();
        daemon = first.start(OURS, &run);
        until("the new addresses to be there", || first.holds(VIP) && all(round));
        until("the old ones to be gone", || {
            (2..22).all(|vrid| !first.holds(&format!("10.2.{vrid}.{}", round - 1)))
        });
    }
    assert_eq!(ask(&first, &["stop"]), "stopped\n");
    assert_eq!(daemon.wait(), Some(0));
    assert!(!first.holds(VIP));
}

#[test]
#[ignore = "needs root and network namespaces"]
fn whoever_looks_at_keepalived_from_outside_finds_what_it_looks_for() {
    let Pair { first, second } = Pair::new();
    let (_, number) = first.run(OURS, &["--signum=JSON"]);
    assert_eq!(number, "36\n");
    let global = "instance blue\nuse_pid_dir\nglobal_defs {\n process_names\n state_dump_file /run/blue.data\n \
                  stats_dump_file /run/blue.stats\n json_dump_file /run/blue.json\n}\n";
    // Of two lines the one for this host holds.
    let more = "@one advert_int 2\n@^one advert_int 3";
    first.write(
        CONFIG,
        &format!("{global}{}", instance("WEB", WATCHED, 200, VIP, more)),
    );
    let run = ["run", "--config", CONFIG, "-i", "one"];
    let mut daemon = first.start(OURS, &run).becoming("keepalived_blue");
    until("the address to be there", || first.holds(VIP));
    let pid = first.read("/run/keepalived/keepalived_blue.pid");
    let signal = |signal: &str| {
        let (code, text) = first.run("kill", &[signal, pid.trim()]);
        assert_eq!(code, Some(0), "{text}");
    };
    assert_eq!(first.run("killall", &["-0", "keepalived_blue"]).0, Some(0));
    signal("-36");
    until("the JSON", || !first.read("/run/blue.json").is_empty());
    let json: serde_json::Value = serde_json::from_str(&first.read("/run/blue.json")).unwrap();
    let data = &json[0]["data"];
    assert_eq!(data["iname"], "WEB");
    assert_eq!(
        (&data["state"], &data["adver_int"]),
        (&2.into(), &2.0.into()),
        "{data}"
    );
    assert_eq!(data["vips"][0], "10.1.10.7 dev eno16777736 scope global set");
    signal("-USR1");
    until("the state", || {
        first.read("/run/blue.data").contains("   State = MASTER\n")
    });
    signal("-USR2");
    until("the counters", || {
        first.read("/run/blue.stats").contains("  Became master: 1\n")
    });
    // Cleared, and then counted anew.
    signal("-63");
    until("the counters once more", || {
        signal("-USR2");
        first.read("/run/blue.stats").contains("  Became master: 0\n")
    });
    assert_eq!(ask(&first, &["stop"]), "stopped\n");
    assert_eq!(daemon.wait(), Some(0));
    assert!(!first.path("/run/keepalived/keepalived_blue.pid").exists());

    // The other way: a name and a file of its own, and the instance in the names of the files that have none.
    let global = "instance red\nglobal_defs {\n process_name vrrp-red\n data_use_instance\n}\n";
    second.write(
        CONFIG,
        &format!("{global}{}", instance("WEB", WATCHED, 100, VIP, "")),
    );
    let run = [
        "TMPDIR=/run",
        OURS,
        "run",
        "--config",
        CONFIG,
        "--pid-file",
        "/run/deep/red.pid",
    ];
    let mut daemon = second.start("env", &run).becoming("vrrp-red");
    until("the address to be there", || second.holds(VIP));
    assert_eq!(second.run("killall", &["-0", "vrrp-red"]).0, Some(0));
    let pid = second.read("/run/deep/red.pid");
    for (signal, file) in [
        ("-USR1", "keepalived_red.data"),
        ("-USR2", "keepalived_red.stats"),
        ("-36", "keepalived_red.json"),
    ] {
        // One is written at a time.
        until(file, || {
            let (code, text) = second.run("kill", &[signal, pid.trim()]);
            assert_eq!(code, Some(0), "{text}");
            !second.read(&format!("/run/{file}")).is_empty()
        });
    }
    assert_eq!(ask(&second, &["stop"]), "stopped\n");
    assert_eq!(daemon.wait(), Some(0));
    assert!(!second.path("/run/deep/red.pid").exists());
}

#[test]
#[ignore = "needs root and network namespaces"]
fn an_address_that_two_hosts_have_is_found() {
    let Pair { first, second } = Pair::new();
    first.write(CONFIG, &instance("WEB", WATCHED, 200, VIP, ""));
    let doctor = || first.run(OURS, &["doctor", "--config", CONFIG]);
    let add = |host: &Host| {
        let (code, text) = host.run("ip", &["addr", "add", VIP, "dev", INTERFACE]);
        assert_eq!(code, Some(0), "{text}");
    };
    // The other alone is the active one.
    add(&second);
    let (_, text) = doctor();
    assert!(!text.contains("at once"), "{text}");
    add(&first);
    let mac = std::process::Command::new("ip")
        .args(["-n", second.namespace(), "-br", "link", "show", "dev", INTERFACE])
        .output()
        .unwrap();
    let mac = String::from_utf8_lossy(&mac.stdout)
        .split_whitespace()
        .nth(2)
        .unwrap()
        .to_owned();
    // An answer may be late on a busy machine.
    until("the second holder to be found", || {
        let (code, text) = doctor();
        code == Some(1)
            && text.contains(&format!(
                "{VIP} on {INTERFACE} is held by {mac} and this host at once"
            ))
    });
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_journal_says_why_the_address_moved() {
    let Pair { first, second } = Pair::new();
    let script =
        "vrrp_script door {\n script \"/usr/bin/test ! -e /run/closed\"\n interval 1\n weight -50\n}\n";
    let tracked = " track_script {\n  door\n }\n authentication {\n  auth_type PASS\n  auth_pass hush\n }\n";
    for (host, priority) in [(&first, 120), (&second, 100)] {
        let text = format!("{script}{}", instance("WEB", WATCHED, priority, VIP, tracked));
        host.write(CONFIG, &text);
    }
    let run = ["run", "--config", CONFIG, "--journal", "/run/journal"];
    // One after the other: the story is the same however loaded the machine is.
    let mut one = first.start(OURS, &run);
    until("the address to be there", || first.holds(VIP));
    let _two = second.start(OURS, &run);
    until("the second to hear the first", || {
        let (_, text) = second.run(OURS, &["status"]);
        text.contains("active router 10.1.10.1")
    });
    first.write("/run/closed", "");
    until("it to move", || second.holds(VIP) && !first.holds(VIP));
    std::fs::remove_file(first.path("/run/closed")).unwrap();
    until("it to move back", || first.holds(VIP) && !second.holds(VIP));
    until("that to be written", || {
        let text = ask(&first, &["replay", "/run/journal"]);
        text.matches("WEB: backup to active: ").count() == 2
    });
    one.signal("-KILL");
    one.wait();
    until("it to move once more", || second.holds(VIP));

    let in_order = |text: &str, wanted: &[&str]| {
        let mut rest = text;
        for each in wanted {
            let place = rest
                .find(each)
                .unwrap_or_else(|| panic!("no {each} there in {text}"));
            rest = &rest[place + each.len()..];
        }
    };
    // The journal of a process that was killed ends where it was killed.
    in_order(
        &ask(&first, &["replay", "/run/journal"]),
        &[
            "the election begins",
            "WEB: VRID 51 on eno16777736, VRRPv2, priority 120",
            "WEB: backup to active: nothing heard",
            "script door failed",
            "WEB: active to backup: priority 100 from 10.1.10.2 is higher than our 70",
            "script door is well",
            "WEB: backup to active: priority",
            "WEB: at the end active since",
        ],
    );
    in_order(
        &ask(&second, &["replay", "/run/journal"]),
        &[
            "WEB: 10.1.10.1 advertises priority 70, before 120",
            "WEB: backup to active: ",
            "WEB: active to backup: priority 120 from 10.1.10.1 is higher than our 100",
            // Not for how long: a loaded machine is late.
            "WEB: backup to active: nothing heard from 10.1.10.1 for ",
        ],
    );
    // Of all that, the last time that the address moved.
    let last = ask(&second, &["replay", "--last", "--name", "WEB", "/run/journal"]);
    assert!(
        last.contains("* ") && last.contains("WEB: backup to active: nothing heard from 10.1.10.1"),
        "{last}"
    );
    let nothing = ask(&second, &["replay", "--last", "--name", "MAIL", "/run/journal"]);
    assert_eq!(nothing, "ha-daemon: the journal says nothing of this\n");
    let (code, text) = second.run(OURS, &["replay", "/etc/hostname"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("is no journal"), "{text}");
    assert!(
        !first.read("/run/journal").contains("68757368"),
        "no password in it"
    );
}

#[test]
#[ignore = "needs root and network namespaces"]
fn it_runs_in_the_network_namespace_that_the_file_names() {
    let Pair {
        first,
        second: _second,
    } = Pair::new();
    let directory = first.path("/run");
    let config = directory.join("elsewhere.conf");
    let text = format!(
        "net_namespace {}\nglobal_defs {{\n vrrp_startup_delay 0.5\n}}\n{}",
        first.namespace(),
        instance("WEB", WATCHED, 200, VIP, "")
    );
    std::fs::write(&config, &text).unwrap();
    let socket = directory.join("elsewhere.sock");
    let paths = [config.to_str().unwrap(), socket.to_str().unwrap()];
    let check = std::process::Command::new(OURS)
        .args(["check", "--strict", "--config", paths[0]])
        .output()
        .unwrap();
    assert!(
        check.status.success(),
        "{}",
        String::from_utf8_lossy(&check.stderr)
    );
    let mut daemon = std::process::Command::new(OURS)
        .args(["run", "--config", paths[0], "--control", paths[1]])
        .spawn()
        .unwrap();
    until("the address to be there", || first.holds(VIP));
    // It cannot leave it.
    std::fs::write(&config, text.replacen(first.namespace(), "another", 1)).unwrap();
    let client = |word: &str| {
        let output = std::process::Command::new(OURS)
            .args([word, "--control", paths[1]])
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, said) = client("reload");
    assert_eq!(code, Some(1));
    assert!(said.contains("network namespace cannot change"), "{said}");
    assert!(first.holds(VIP));
    assert_eq!(client("stop").0, Some(0));
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
    assert!(!first.holds(VIP));
}
