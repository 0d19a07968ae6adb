//! The active/standby pair of a keepalived.conf with its warts: an operator's switch, a web server that dies, a daemon that
//! is stopped; with ha-daemon on both hosts, and with keepalived on one.

mod lab;

use std::collections::BTreeMap;

use lab::{Host, INTERFACE, Pair, Process, until};

const VIP: &str = "10.1.10.7";
const CONFIG: &str = "/etc/keepalived/keepalived.conf";
const CONTROL: &str = "/run/ha-daemon.sock";

#[derive(Clone, Copy, PartialEq)]
enum Daemon {
    Ours,
    Keepalived,
}

/// Writes the configuration and the scripts of one of the two hosts.
fn prepare(host: &Host, state: &str, priority: &str) {
    let text = include_str!("fixtures/pair.conf")
        .replace("ROUTER_ID", &format!("node{priority}"))
        .replace("STATE", state)
        .replace("PRIORITY", priority);
    host.write(CONFIG, &text);
    host.write_program(
        "/etc/keepalived/notify.sh",
        "#!/bin/sh\necho \"$1\" >> /run/notified\n",
    );
    // A program of that name is all that `killall -0 httpd` looks for.
    std::fs::copy("/bin/sleep", host.path("/run/httpd")).unwrap();
}

fn web_server(host: &Host) -> Process<'_> {
    host.start("/run/httpd", &["100000"])
}

fn daemon(host: &Host, daemon: Daemon) -> Process<'_> {
    match daemon {
        Daemon::Ours => host.start(
            env!("CARGO_BIN_EXE_ha-daemon"),
            &["run", "--config", CONFIG, "--script-shell", "/bin/bash"],
        ),
        Daemon::Keepalived => host.start(
            "keepalived",
            &[
                "-n",
                "-l",
                "-P",
                "-f",
                CONFIG,
                "-p",
                "/run/k.pid",
                "-r",
                "/run/v.pid",
            ],
        ),
    }
}

fn moves_to(to: &Host, from: &Host, why: &str) {
    until(&format!("the address to move: {why}"), || {
        to.holds(VIP) && !from.holds(VIP)
    });
}

fn story(first_daemon: Daemon, second_daemon: Daemon) {
    let Pair { first, second } = Pair::new();
    prepare(&first, "MASTER", "100");
    prepare(&second, "BACKUP", "98");
    let mut first_web = web_server(&first);
    let _second_web = web_server(&second);
    let _second_daemon = daemon(&second, second_daemon);
    let mut running = daemon(&first, first_daemon);
    moves_to(&first, &second, "the first has the higher priority");

    // keepalived never runs the switch, which is shell syntax: only we can be asked to.
    if first_daemon == Daemon::Ours {
        first.write("/etc/keepalived/down", "");
        moves_to(&second, &first, "the operator's switch");
        std::fs::remove_file(first.path("/etc/keepalived/down")).unwrap();
        moves_to(&first, &second, "the switch is back");
    }

    first_web.signal("-KILL");
    first_web.wait();
    moves_to(&second, &first, "the web server died");
    let _first_web = web_server(&first);
    moves_to(&first, &second, "the web server is back");
    let notified = first.read("/run/notified");
    assert!(
        notified.starts_with("backup\nmaster\nbackup\nmaster\n"),
        "{notified}"
    );

    running.signal("-TERM");
    moves_to(&second, &first, "the daemon was stopped");
    assert_eq!(running.wait(), Some(0));
    let mut running = daemon(&first, first_daemon);
    moves_to(&first, &second, "the daemon is back");

    // What only the kernel can clean up after, by the lease of the address.
    if first_daemon == Daemon::Ours {
        running.signal("-KILL");
        running.wait();
        moves_to(&second, &first, "the daemon was killed");
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn the_address_moves_between_two_of_us() {
    story(Daemon::Ours, Daemon::Ours);
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn the_address_moves_between_us_and_keepalived() {
    story(Daemon::Ours, Daemon::Keepalived);
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn the_address_moves_between_keepalived_and_us() {
    story(Daemon::Keepalived, Daemon::Ours);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn an_operator_rules_it_by_its_commands() {
    let ours = env!("CARGO_BIN_EXE_ha-daemon");
    let Pair { first, second } = Pair::new();
    prepare(&first, "MASTER", "100");
    prepare(&second, "BACKUP", "98");
    let _webs = [web_server(&first), web_server(&second)];
    let mut running = daemon(&first, Daemon::Ours);
    let _other = daemon(&second, Daemon::Ours);
    moves_to(&first, &second, "the first has the higher priority");

    let ask = |host: &Host, arguments: &[&str]| {
        let (code, text) = host.run(ours, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        text
    };
    let status: serde_json::Value = serde_json::from_str(&ask(&first, &["status", "--json"])).unwrap();
    let router = &status["virtual_routers"][0];
    assert_eq!(router["name"], "WEB");
    assert_eq!(router["state"], "active");
    assert_eq!(router["addresses"][0], "10.1.10.7/32");
    assert!(router["statistics"]["advertisements_sent"].as_u64().unwrap() > 0);

    // A second instance on the same socket is refused, and disturbs nothing.
    let (code, text) = first.run(ours, &["run", "--config", CONFIG]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("another daemon runs already"), "{text}");

    assert_eq!(
        ask(&first, &["priority", "WEB", "50"]),
        "WEB: priority 100 to 50\n"
    );
    moves_to(&second, &first, "the first has the lower priority");
    assert_eq!(
        ask(&first, &["priority", "WEB", "100"]),
        "WEB: priority 50 to 100\n"
    );
    moves_to(&first, &second, "the first has its priority again");

    // Whoever handed over comes back only when it is needed, whatever its priority.
    assert_eq!(ask(&first, &["failover", "WEB"]), "WEB hands over\n");
    moves_to(&second, &first, "handed over");
    assert_eq!(ask(&second, &["failover", "WEB"]), "WEB hands over\n");
    moves_to(&first, &second, "handed back");

    let before = first.read(CONFIG);
    first.write(
        CONFIG,
        &before.replace("virtual_router_id 51", "virtual_router_id 300"),
    );
    let (code, text) = first.run(ours, &["reload"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("not reloaded") && text.contains("300"), "{text}");
    assert!(first.holds(VIP), "a bad file changes nothing");
    first.write(
        CONFIG,
        &before.replace("10.1.10.7 dev", "10.1.10.8\n10.1.10.7 dev"),
    );
    assert_eq!(ask(&first, &["reload"]), "WEB changed: 10.1.10.8 added\n");
    until("the new address", || first.holds("10.1.10.8"));
    first.write(CONFIG, &before);
    running.signal("-HUP");
    until("the new address to go", || !first.holds("10.1.10.8"));
    assert!(first.holds(VIP));

    assert_eq!(ask(&first, &["stop"]), "stopped\n");
    assert_eq!(running.wait(), Some(0));
    assert!(!first.holds(VIP));
    assert!(!first.path(CONTROL).exists());
    let (code, _) = first.run(ours, &["status"]);
    assert_eq!(code, Some(1));
}

const OTHER_VIP: &str = "10.1.10.77";

fn dual(second_daemon: Daemon) {
    let Pair { first, second } = Pair::new();
    let write = |host: &Host, id: &str, one: [&str; 2], two: [&str; 2]| {
        prepare(host, "BACKUP", "1");
        let text = include_str!("fixtures/dual.conf")
            .replace("ROUTER_ID", id)
            .replace("STATE_ONE", one[0])
            .replace("PRIORITY_ONE", one[1])
            .replace("STATE_TWO", two[0])
            .replace("PRIORITY_TWO", two[1]);
        host.write(CONFIG, &text);
    };
    write(&first, "first", ["MASTER", "100"], ["BACKUP", "98"]);
    write(&second, "second", ["BACKUP", "98"], ["MASTER", "100"]);
    let _webs = [web_server(&first), web_server(&second)];
    let mut one = daemon(&first, Daemon::Ours);
    let mut two = daemon(&second, second_daemon);
    let each_its_own =
        || first.holds(VIP) && !first.holds(OTHER_VIP) && second.holds(OTHER_VIP) && !second.holds(VIP);
    until("each to hold its own address", each_its_own);

    one.signal("-TERM");
    until("the second to hold both", || {
        second.holds(VIP) && second.holds(OTHER_VIP)
    });
    assert_eq!(one.wait(), Some(0));
    assert!(!first.holds(VIP) && !first.holds(OTHER_VIP));
    let _one = daemon(&first, Daemon::Ours);
    until("each to have its own again", each_its_own);

    two.signal("-TERM");
    two.wait();
    until("the first to hold both", || {
        first.holds(VIP) && first.holds(OTHER_VIP)
    });
    let _two = daemon(&second, second_daemon);
    until("each to have its own once more", each_its_own);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn two_of_us_are_each_active_for_one_address() {
    dual(Daemon::Ours);
}

#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn we_and_keepalived_are_each_active_for_one_address() {
    dual(Daemon::Keepalived);
}

fn proxy(second_daemon: Daemon) {
    let Pair { first, second } = Pair::new();
    for (host, state, priority, source) in [
        (&first, "MASTER", "101", "10.1.10.1"),
        (&second, "BACKUP", "100", "10.1.10.2"),
    ] {
        let text = include_str!("fixtures/proxy.conf")
            .replace("STATE", state)
            .replace("PRIORITY", priority)
            .replace("SOURCE", source);
        host.write(CONFIG, &text);
        host.write("/run/nginx.conf", include_str!("fixtures/nginx.conf"));
        host.write_program(
            "/etc/keepalived/check_proxy.sh",
            include_str!("fixtures/check_proxy.sh"),
        );
    }
    let nginx = |host: &'_ Host| host.run("nginx", &["-c", "/run/nginx.conf"]);
    for host in [&first, &second] {
        let (code, text) = nginx(host);
        assert_eq!(code, Some(0), "{text}");
    }
    let _one = daemon(&first, Daemon::Ours);
    let _two = daemon(&second, second_daemon);
    moves_to(&first, &second, "the first has the higher priority");

    first.run("killall", &["-KILL", "nginx"]);
    moves_to(&second, &first, "the proxy died");
    let (code, text) = nginx(&first);
    assert_eq!(code, Some(0), "{text}");
    moves_to(&first, &second, "the proxy is back");
}

#[test]
#[ignore = "needs root, network namespaces and nginx"]
fn a_proxy_that_does_not_answer_moves_the_address() {
    proxy(Daemon::Ours);
}

#[test]
#[ignore = "needs root, network namespaces, nginx and keepalived"]
fn a_proxy_that_does_not_answer_moves_the_address_to_keepalived() {
    proxy(Daemon::Keepalived);
}

/// What pipes and scripts hear from one daemon, from its start through a change of priority and a fault to its end.
struct Heard {
    /// The lines of the pipe for each object, in their order, before the end.
    by_object: BTreeMap<String, Vec<String>>,
    /// What the scripts were given, sorted.
    told: Vec<String>,
    /// The lines of the pipe at the end.
    last: Vec<String>,
}

fn heard(kind: Daemon) -> Heard {
    let Pair {
        first,
        second: _second,
    } = Pair::new();
    let router = |name: &str, vrid: u8, more: &str| {
        format!(
            "vrrp_instance {name} {{\n version 3\n interface {INTERFACE}\n virtual_router_id {vrid}\n priority 120\n \
             advert_int 0.2\n notify /etc/keepalived/notify.sh\n{more}\n virtual_ipaddress {{\n  10.1.{vrid}.7\n }}\n}}\n"
        )
    };
    let tracked = " track_script {\n  switch\n }\n";
    let own =
        " notify_master \"/etc/keepalived/notify.sh own\"\n notify_stop \"/etc/keepalived/notify.sh end\"\n";
    let text = format!(
        "global_defs {{\n vrrp_notify_fifo /run/fifo\n vrrp_notify_priority_changes true\n script_user root\n}}\n\
         vrrp_script switch {{\n script \"/usr/bin/test ! -e /run/down\"\n interval 1\n timeout 60\n weight -10\n}}\n\
         vrrp_sync_group G {{\n group {{\n  ONE\n  TWO\n }}\n notify /etc/keepalived/notify.sh\n}}\n{}{}{}",
        router("ONE", 51, ""),
        router("TWO", 52, ""),
        router("THREE", 53, &format!("{tracked}{own}")),
    );
    first.write(CONFIG, &text);
    first.write_program(
        "/etc/keepalived/notify.sh",
        "#!/bin/sh\necho \"$*\" >> /run/notified\n",
    );
    let read = "mkfifo /run/fifo; exec cat /run/fifo > /run/lines";
    let mut reader = first.start("sh", &["-c", read]).becoming("cat");
    until("the pipe", || first.path("/run/fifo").exists());
    // A fault at the start would be told by the one that looks earlier.
    until("the link to be up", || {
        let (_, text) = first.run("ip", &["-br", "link", "show", "dev", INTERFACE]);
        text.split_whitespace().nth(1) == Some("UP")
    });
    let mut running = daemon(&first, kind);
    let count = |wanted: &str| {
        let lines = first.read("/run/lines");
        lines.lines().filter(|line| *line == wanted).count()
    };
    let hears = |what: &[&str], times: usize| {
        until(&format!("{what:?} {times} times"), || {
            what.iter().all(|line| count(line) >= times)
        });
    };
    let active = [
        "INSTANCE \"ONE\" MASTER 120",
        "INSTANCE \"TWO\" MASTER 120",
        "INSTANCE \"THREE\" MASTER 120",
        "GROUP \"G\" MASTER 0",
    ];
    hears(&active, 1);
    first.write("/run/down", "");
    hears(&["INSTANCE \"THREE\" MASTER_PRIORITY 110"], 1);
    std::fs::remove_file(first.path("/run/down")).unwrap();
    hears(&["INSTANCE \"THREE\" MASTER_PRIORITY 120"], 1);
    let link = |state: &str| {
        let (code, text) = first.run("ip", &["link", "set", INTERFACE, state]);
        assert_eq!(code, Some(0), "{text}");
    };
    link("down");
    hears(&["GROUP \"G\" FAULT 0", "INSTANCE \"THREE\" FAULT 120"], 1);
    link("up");
    hears(&active, 2);
    // A script for each state, and two of THREE's own.
    let lines = || -> Vec<String> { first.read("/run/lines").lines().map(str::to_owned).collect() };
    let states = lines().iter().filter(|line| !line.contains("_PRIORITY")).count();
    until("the last script", || {
        first.read("/run/notified").lines().count() >= states + 2
    });
    let mut told: Vec<String> = first.read("/run/notified").lines().map(str::to_owned).collect();
    told.sort();
    let mut by_object: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines() {
        let object = line.split(' ').nth(1).unwrap_or_default().to_owned();
        by_object.entry(object).or_default().push(line);
    }
    running.signal("-TERM");
    assert_eq!(running.wait(), Some(0));
    // The last writer is gone.
    reader.wait();
    let last = lines()
        .into_iter()
        .filter(|line| line.contains(" STOP "))
        .collect();
    Heard {
        by_object,
        told,
        last,
    }
}

/// Exact behaviours of keepalived that scripts depend on: BACKUP is told at the start, groups have priority 0, priorities go
/// to pipes and not to scripts, the end is told for groups too, and what is given to each script.
#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn pipes_and_scripts_hear_the_same_from_both() {
    let (ours, theirs) = (heard(Daemon::Ours), heard(Daemon::Keepalived));
    assert_eq!(ours.by_object, theirs.by_object);
    assert_eq!(ours.told, theirs.told);
    // Neither waits for ever at its end, so that on a busy machine not everything need be there.
    let all = [
        "GROUP \"G\" STOP 0",
        "INSTANCE \"ONE\" STOP 120",
        "INSTANCE \"TWO\" STOP 120",
        "INSTANCE \"THREE\" STOP 120",
    ];
    for last in [ours.last, theirs.last] {
        assert!(last.iter().all(|line| all.contains(&line.as_str())), "{last:?}");
    }
}
