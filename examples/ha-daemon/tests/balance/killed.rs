//! A daemon is killed under traffic: how many requests are lost, which connections are cut off, for how long nobody serves.
//! keepalived beside it, before real servers of its own.

use std::time::Duration;

use crate::lab::{Daemon, INTERFACE, Process, until};
use crate::world::{Load, REAL, Talks, VIP, WEB, World};

const OURS: &str = env!("CARGO_BIN_EXE_ha-daemon");

const DAEMONS: [Daemon; 2] = [Daemon::Ours, Daemon::Keepalived];

/// A connection that says nothing for so long is cut off. Longer for ours, for that is asserted.
fn patience(daemon: Daemon) -> Duration {
    match daemon {
        Daemon::Ours => Duration::from_secs(60),
        Daemon::Keepalived => Duration::from_secs(10),
    }
}

fn virtual_server() -> String {
    let check = "TCP_CHECK {\n   connect_timeout 10\n   retry 3\n  }";
    let real = REAL.map(|real| format!(" real_server {real} 80 {{\n  {check}\n }}\n"));
    format!(
        "virtual_server {VIP} 80 {{\n protocol TCP\n lb_algo rr\n lb_kind DR\n delay_loop 1\n warmup 0\n{}}}\n",
        real.concat()
    )
}

/// One of a pair, which tells the other about its connections.
fn member(director: usize) -> String {
    format!(
        "global_defs {{\n router_id K{director}\n lvs_sync_daemon {INTERFACE} VI_1\n}}\n\
         vrrp_instance VI_1 {{\n state BACKUP\n interface {INTERFACE}\n version 3\n virtual_router_id 63\n priority {}\n \
         advert_int 1\n virtual_ipaddress {{\n  {VIP}\n }}\n}}\n{}",
        100 - director,
        virtual_server()
    )
}

fn report(what: &str, daemon: Daemon, load: Load<'_>, talks: &Talks<'_>) -> (Vec<String>, usize) {
    let outcome = load.end();
    let cut_off = talks.cut_off(patience(daemon));
    println!(
        "{daemon:?} {what}: {} of {} requests lost ({} a second), {cut_off} of 3 connections cut off, {:?} at most without an \
         answer",
        outcome.failures.len(),
        outcome.requests,
        outcome.rate,
        outcome.silence
    );
    (outcome.failures, cut_off)
}

/// Of two directors the active one is killed.
fn of_two(daemon: Daemon) {
    let world = World::new();
    let _servers = [0, 1, 2].map(|number| world.serve(number));
    let mut daemons: [Process; 2] =
        [0, 1].map(|director| world.directors[director].daemon(daemon, &member(director)));
    until("the first to be active", || world.active_is(0));
    for director in 0..2 {
        until("all real servers in the table", || world.up(director) == REAL);
    }
    let talks = Talks::start(&world.client, WEB);
    let rows = talks.ports();
    until("the other director to know the connections", || {
        let known = world.directors[1].net("ip_vs_conn");
        rows.iter()
            .all(|port| known.contains(&format!("0A80BEFC {port:04X} 0A80BEF8 0050")))
    });
    let load = Load::start(&world.client, WEB, 2, 1, 10);
    std::thread::sleep(Duration::from_secs(2));
    daemons[0].kill();
    until("the second to take over", || world.directors[1].holds(VIP));
    std::thread::sleep(Duration::from_secs(4));
    let (lost, cut_off) = report("was active and is killed", daemon, load, &talks);
    if daemon == Daemon::Ours {
        until("the address to leave the first", || world.active_is(1));
        // What waited for an answer may have been given up; who is refused has been sent to nobody.
        assert!(
            !lost.iter().any(|failure| failure == "ConnectionRefused"),
            "{lost:?}"
        );
        assert_eq!(cut_off, 0);
    }
}

/// The only one is killed and started again, three times.
fn alone(daemon: Daemon) {
    let world = World::new();
    let _servers = [0, 1, 2].map(|number| world.serve(number));
    let director = &world.directors[0];
    director.done(&["ip", "addr", "add", &format!("{VIP}/32"), "dev", "lo"]);
    let start = || {
        let process = director.daemon(daemon, &virtual_server());
        // The table was there before: it says nothing of whoever starts.
        until("the daemon to be there", || match daemon {
            Daemon::Ours => {
                director
                    .run(&[OURS, "status", "--control", &director.path("control")])
                    .0
            }
            Daemon::Keepalived => process.children().len() == 1,
        });
        until("all real servers in the table", || world.up(0) == REAL);
        process
    };
    let mut process = start();
    let talks = Talks::start(&world.client, WEB);
    let load = Load::start(&world.client, WEB, 2, 1, 30);
    for _ in 0..3 {
        std::thread::sleep(Duration::from_secs(1));
        process.kill();
        std::thread::sleep(Duration::from_secs(1));
        process = start();
    }
    std::thread::sleep(Duration::from_secs(2));
    let (lost, cut_off) = report("is killed and started again three times", daemon, load, &talks);
    if daemon == Daemon::Ours {
        assert!(lost.is_empty() && cut_off == 0, "{lost:?} {cut_off}");
        drain(&world);
    }
    drop(process);
}

/// Of the three that talk one is at each real server, and that of the first goes on for longer than it is given.
fn drain(world: &World) {
    let director = &world.directors[0];
    let (real, control) = (format!("{}:80", REAL[0]), director.path("control"));
    let words = [
        OURS,
        "server",
        "drain",
        WEB,
        &real,
        "--deadline",
        "4",
        "--control",
        &control,
    ];
    let answer = director.done(&words);
    assert!(
        answer.contains(&format!("{real} gets weight 0 instead of 1\n")),
        "{answer}"
    );
    assert!(answer.ends_with(" s, connections cut off: 1\n"), "{answer}");
    assert_eq!(world.up(0), REAL[1..]);
}

#[test]
#[ignore = "needs an IPVS kernel and keepalived"]
fn who_is_killed_is_replaced_and_cuts_nothing_off() {
    std::thread::scope(|scope| {
        for daemon in DAEMONS {
            scope.spawn(move || of_two(daemon));
        }
    });
}

#[test]
#[ignore = "needs an IPVS kernel and keepalived"]
fn whoever_starts_again_takes_over_its_table() {
    std::thread::scope(|scope| {
        for daemon in DAEMONS {
            scope.spawn(move || alone(daemon));
        }
    });
}
