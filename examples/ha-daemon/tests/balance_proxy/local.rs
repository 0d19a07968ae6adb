//! Real servers leave and return, the sorry server stands in, an operator drains, a reload adds; nobody who could be served is
//! turned away.

use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use failover_lab::namespace::Namespace;

use crate::daemon::Daemon;
use crate::server::RealServer;
use crate::{LIMIT, until};

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 1, last], 80))
}

/// Who answers now.
fn fetch(host: &Namespace) -> String {
    let mut name = String::new();
    if let Ok(mut client) = host.run(|| TcpStream::connect(address(100))) {
        client.set_read_timeout(Some(LIMIT)).unwrap();
        let _ = client.shutdown(Shutdown::Write);
        let _ = client.read_to_string(&mut name);
    }
    name.trim_end().to_owned()
}

/// Waits until these answer, and nobody else, eight times in a row.
fn wait_for(host: &Namespace, names: &str) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let mut heard: Vec<char> = (0..8)
            .flat_map(|_| fetch(host).chars().collect::<Vec<_>>())
            .collect();
        heard.sort_unstable();
        heard.dedup();
        if heard.iter().collect::<String>() == names {
            return;
        }
        assert!(Instant::now() < deadline, "{heard:?} instead of {names}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn configuration(real_servers: &[u8]) -> String {
    let real_server = |last: &u8| {
        let address = address(*last);
        format!(
            "real_server {} {} {{\nTCP_CHECK {{\nconnect_timeout 2\nretry 0\n}}\n}}\n",
            address.ip(),
            address.port()
        )
    };
    let (front, sorry) = (address(100), address(99));
    format!(
        "virtual_server {} {} {{\ndelay_loop 1\nwarmup 0\nlb_algo rr\nlb_kind DR\nprotocol TCP\nsorry_server {} {}\n{}}}\n",
        front.ip(),
        front.port(),
        sorry.ip(),
        sorry.port(),
        real_servers.iter().map(real_server).collect::<String>()
    )
}

/// The next check is ten minutes away, but who cannot be connected to is checked at once.
#[test]
#[ignore = "needs root and network namespaces"]
fn a_real_server_that_refuses_clients_is_checked_at_once() {
    let host = &Namespace::new().unwrap();
    let start = |name, last| RealServer::start(host, name, address(last));
    let (_a, b) = (start("a", 1), start("b", 2));
    let daemon = Daemon::start(
        host,
        &configuration(&[1, 2]).replace("delay_loop 1", "delay_loop 600"),
    );
    until("both to be checked", || {
        let status = daemon.status();
        let reals = status["virtual_servers"][0]["real_servers"].as_array();
        let checked = reals
            .into_iter()
            .flatten()
            .filter(|real| real["checks"][0]["last_latency_us"].is_u64());
        checked.count() == 2
    });
    wait_for(host, "ab");
    drop(b);
    wait_for(host, "a");
    until("the check to find it out", || {
        daemon.serving(0) == [address(1).to_string()]
    });
}

/// Port 80 of the proxy is for who may open it.
#[test]
#[ignore = "needs root and network namespaces"]
fn the_capabilities_of_the_unit_and_of_the_container_are_enough() {
    let unit = include_str!("../../ha-daemon.service")
        .lines()
        .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let unit: Vec<&str> = unit.unwrap().split(' ').collect();
    let container: Vec<&str> = include_str!("../../Dockerfile")
        .split("--cap-add ")
        .skip(1)
        .filter_map(|rest| rest.split_whitespace().next())
        .collect();
    assert!(unit.len() > 5 && container.len() > 3, "{unit:?} {container:?}");
    for capabilities in [unit, container] {
        let host = &Namespace::new().unwrap();
        let _a = RealServer::start(host, "a", address(1));
        let daemon = Daemon::start_with(host, &configuration(&[1]), &capabilities);
        wait_for(host, "a");
        assert_eq!(daemon.ask(&["stop"]), "stopped\n");
    }
}

/// Whoever may not open the sockets of VRRP can balance all the same, as long as there is no virtual router.
#[test]
#[ignore = "needs root and network namespaces"]
fn virtual_servers_alone_need_no_privilege_of_the_network() {
    let host = &Namespace::new().unwrap();
    let _a = RealServer::start(host, "a", address(1));
    // Only for port 80.
    let daemon = Daemon::start_with(host, &configuration(&[1]), &["CAP_NET_BIND_SERVICE"]);
    wait_for(host, "a");
    let router =
        "vrrp_instance VI {\ninterface lo\nvirtual_router_id 5\nvirtual_ipaddress {\n127.0.1.101\n}\n}\n";
    assert_eq!(daemon.reload(&(configuration(&[1]) + router)), "");
    assert_eq!(daemon.status()["virtual_routers"], serde_json::json!([]));
    assert_eq!(daemon.reload(&configuration(&[1])), "nothing changed\n");
    assert_eq!(daemon.ask(&["stop"]), "stopped\n");
}

/// Somebody stays connected until the time is over, and to another real server nobody is.
fn drain_with_a_deadline(host: &Namespace, daemon: &Daemon<'_>, server: &str) {
    let drain = |last: u8, seconds: &str| {
        let real = address(last).to_string();
        let answer = daemon.ask(&["server", "drain", server, &real, "--deadline", seconds]);
        let last = answer.lines().last().unwrap_or_default();
        let last = last.strip_prefix(&format!("{server}: {real} drained in "));
        let (_, end) = last.and_then(|last| last.split_once(" s, ")).expect(&answer);
        end.to_owned()
    };
    // Alone in the table, it gets the connection.
    for last in [2, 3] {
        daemon.ask(&["server", "weight", "0", server, &address(last).to_string()]);
    }
    wait_for(host, "a");
    let mut held = host.run(|| TcpStream::connect(address(100))).unwrap();
    held.set_read_timeout(Some(LIMIT)).unwrap();
    let mut name = [0; 2];
    held.read_exact(&mut name).unwrap();
    assert_eq!(&name, b"a ");
    for last in [2, 3] {
        daemon.ask(&["server", "enable", server, &address(last).to_string()]);
    }
    until("no other connection", || {
        let status = daemon.status();
        let reals = &status["virtual_servers"][0]["real_servers"];
        reals[0]["active_connections"] == 1 && reals[1]["active_connections"] == 0
    });
    assert_eq!(drain(1, "3"), "connections cut off: 1");
    let error = held.read(&mut name).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(drain(2, "100000"), "connections cut off: 0");
    wait_for(host, "c");
    for last in [1, 2] {
        daemon.ask(&["server", "enable", server, &address(last).to_string()]);
    }
}

#[test]
#[ignore = "needs root and network namespaces"]
fn real_servers_leave_return_drain_and_are_added() {
    let host = &Namespace::new().unwrap();
    let start = |name, last| RealServer::start(host, name, address(last));
    let (a, b) = (start("a", 1), start("b", 2));
    let _sorry = start("s", 99);
    let daemon = Daemon::start(host, &configuration(&[1, 2]));
    let server = address(100).to_string();
    wait_for(host, "ab");
    drop(a);
    wait_for(host, "b");
    drop(b);
    wait_for(host, "s");
    let _a = start("a", 1);
    let _b = start("b", 2);
    wait_for(host, "ab");
    let answer = daemon.ask(&["server", "drain", &server, &address(1).ip().to_string()]);
    assert_eq!(
        answer,
        format!("{server}: {} gets weight 0 instead of 1\n", address(1))
    );
    wait_for(host, "b");
    // The order holds over a reload of something else.
    let _c = start("c", 3);
    let answer = daemon.reload(&configuration(&[1, 2, 3]));
    assert_eq!(answer, format!("{server} changed: {} added\n", address(3)));
    wait_for(host, "bc");
    daemon.ask(&["server", "enable", &server, &address(1).to_string()]);
    wait_for(host, "abc");
    drain_with_a_deadline(host, &daemon, &server);
    wait_for(host, "abc");
    let status = daemon.status();
    assert_eq!(status["data_plane"], "proxy");
    let virtual_server = &status["virtual_servers"][0];
    assert_eq!(virtual_server["name"], server);
    assert_eq!(virtual_server["quorum_met"], true);
    assert!(virtual_server["traffic"]["connections"].as_u64().unwrap() > 0);
    assert_eq!(virtual_server["real_servers"][0]["checks"][0]["type"], "tcp");
    assert_eq!(daemon.ask(&["stop"]), "stopped\n");
}
