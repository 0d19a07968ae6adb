//! Direct routing as the article builds it: requests go round, a real server dies and returns, a director is replaced.

use ipvs_netlink::{DaemonRole, Forward, Scheduler};

use crate::lab::{Daemon, INTERFACE, Process, fixture, until};
use crate::roles;
use crate::world::{DATABASE, Load, NAMES, REAL, VIP, WEB, World, serve, web};

/// The same file on both, but for what makes one of them the other's backup.
fn config(director: usize) -> String {
    let text = fixture("dr-two-services.conf");
    match director {
        0 => text.to_owned(),
        _ => text
            .replace("state MASTER", "state BACKUP")
            .replace("priority 100", "priority 99"),
    }
}

/// The same with a sorry server on the directors themselves, and connections that both know.
fn richer(director: usize) -> String {
    config(director)
        .replace(
            "router_id LVS1",
            "router_id LVS1\n    lvs_sync_daemon ens1f1 VI_1",
        )
        .replacen("lb_kind DR", "lb_kind DR\n    sorry_server 127.0.0.1 80", 1)
}

fn story(daemons: [Daemon; 2]) {
    let world = World::new();
    let mut servers: Vec<Process> = (0..3).map(|number| world.serve(number)).collect();
    let start = |director: usize| world.directors[director].daemon(daemons[director], &config(director));
    let mut second = start(1);
    let mut first = start(0);
    until("the first director to be active", || world.active_is(0));
    for director in 0..2 {
        until("all real servers in the table", || world.up(director) == REAL);
    }
    let table = world.directors[0].table();
    let service = table
        .services
        .iter()
        .find(|service| service.service.key == web())
        .unwrap();
    assert_eq!(service.service.scheduler, Scheduler::RoundRobin);
    assert!(
        service
            .destinations
            .iter()
            .all(|destination| destination.forward == Forward::DirectRoute)
    );
    world.in_turn(WEB, 9, &NAMES);

    // Connections and packets are counted, evenly; answers do not pass here.
    until("the counters", || {
        let entries = world.directors[0].ipvs().destinations(web()).unwrap();
        let connections: Vec<u64> = entries.iter().map(|entry| entry.stats.connections).collect();
        let (least, most) = (connections.iter().min(), connections.iter().max());
        let evenly = least.zip(most).is_some_and(|(least, most)| most - least <= 1);
        entries.len() == 3
            && evenly
            && entries.iter().all(|entry| {
                let stats = entry.stats;
                stats.connections >= 3 && stats.packets_in >= 3 * stats.connections && stats.packets_out == 0
            })
    });

    // The second service. No virtual_ipaddress holds its address: that is the administrator's to set.
    world.directors[0].done(&["ip", "addr", "add", &format!("{DATABASE}/32"), "dev", "lo"]);
    world.in_turn(&format!("{DATABASE}:3306"), 205, &NAMES);

    // A real server dies and returns.
    drop(servers.remove(1));
    until("the dead real server to leave", || {
        world.up(0) == [REAL[0], REAL[2]]
    });
    world.in_turn(WEB, 6, &["RS1", "RS3"]);
    servers.push(world.serve(1));
    until("the real server to return", || world.up(0) == REAL);
    world.in_turn(WEB, 6, &NAMES);

    // A director is stopped and returns.
    first.stop();
    until("the second director to take over", || world.active_is(1));
    until("all real servers in its table", || world.up(1) == REAL);
    world.in_turn(WEB, 6, &NAMES);
    first = start(0);
    until("the first director to return", || world.active_is(0));
    until("all real servers in its table again", || world.up(0) == REAL);
    world.in_turn(WEB, 6, &NAMES);

    if daemons[1] == Daemon::Ours {
        world.directors[1].reload(&richer(1));
    } else {
        second.stop();
        second = world.directors[1].daemon(daemons[1], &richer(1));
    }
    world.directors[0].reload(&richer(0));
    sorry(&world, &mut servers);
    silence(&world);
    first.stop();
    drop(second);
}

/// All real servers die: the sorry server answers. They return: it leaves, and at no time nobody is there.
fn sorry(world: &World, servers: &mut Vec<Process>) {
    let _sorry =
        [("SORRY1", 0), ("SORRY2", 1)].map(|(name, director)| serve(&world.directors[director], name));
    servers.clear();
    for director in 0..2 {
        until("the sorry server to be alone", || {
            world.up(director) == ["127.0.0.1"]
        });
    }
    world.in_turn(WEB, 6, &["SORRY1"]);
    let elections = || [0, 1].map(|director| world.directors[director].log().matches("VI_1").count());
    let before = elections();
    let load = Load::start(&world.client, WEB, 2, 1, 30);
    servers.extend((0..3).map(|number| world.serve(number)));
    until("the sorry server to leave", || world.up(0) == REAL);
    let load = load.end();
    // One that the sorry server was about to answer when it left may starve, as everywhere in LVS.
    let refused = load.failures.iter().any(|failure| failure == "ConnectionRefused");
    assert!(!refused || elections() != before, "{load:?}");
    world.in_turn(WEB, 6, &NAMES);
}

/// A director falls silent without a word. A connection goes on through the other one.
fn silence(world: &World) {
    for (director, role) in [(0, DaemonRole::Master), (1, DaemonRole::Backup)] {
        until("the sync daemon", || {
            let daemons = world.directors[director].ipvs().daemons().unwrap();
            daemons.iter().map(|entry| entry.daemon.role).eq([role])
        });
    }
    let talk = format!("hold {WEB}");
    let _holder = world.client.play(&talk);
    let heard = || world.client.said(&talk).matches("heard").count();
    until("answers", || heard() >= 10);
    let said = world.client.said(&talk);
    let port: u16 = said
        .lines()
        .find_map(|line| line.strip_prefix("from "))
        .and_then(|port| port.parse().ok())
        .unwrap();
    // From the client's address and port to the virtual ones.
    let row = format!("0A80BEFC {port:04X} 0A80BEF8 0050");
    until("the other director to know the connection", || {
        world.directors[1].net("ip_vs_conn").contains(&row)
    });
    world.directors[0].done(&["ip", "link", "set", INTERFACE, "down"]);
    until("the second director to take over from a dead one", || {
        world.directors[1].holds(VIP)
    });
    let before = heard();
    until("answers through the second director", || heard() >= before + 20);
    let said = world.client.said(&talk);
    assert!(!said.contains("broken"), "{said}");
    until("all real servers in the second table", || world.up(1) == REAL);
    world.in_turn(WEB, 6, &NAMES);
}

/// At the same time a pair of ours, and one of ours and one of keepalived's: most of it is waiting.
#[test]
#[ignore = "needs an IPVS kernel and keepalived"]
fn direct_routing_with_two_services() {
    if roles::play() {
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| story([Daemon::Ours, Daemon::Ours]));
        scope.spawn(|| story([Daemon::Ours, Daemon::Keepalived]));
    });
}
