//! A pair of directors, three real servers and a client, as the articles build them: requests in turn, a real server dies and
//! returns, all die and a sorry server answers, a director dies and is replaced.
//!
//! With `STATUS_PICTURES=DIRECTORY` a browser draws the status page on the way: the pictures of `README.md`.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use failover_lab::namespace::Namespace;
use failover_lab::segment::Segment;

use crate::daemon::Daemon;
use crate::server::RealServer;
use crate::{LIMIT, until};

const VIP: &str = "10.128.190.248";
const WEB: &str = "10.128.190.248:80";
const DATABASE: &str = "7.7.7.18:3306";
const NAMES: [&str; 3] = ["RS1", "RS2", "RS3"];
const DIRECTORS: [usize; 2] = [0, 1];
const REAL: [usize; 3] = [2, 3, 4];
const CLIENT: usize = 5;

/// The file of the article. Shorter waits, and for the first service a sorry server on the director.
fn configuration(director: usize) -> String {
    let text = include_str!("../fixtures/ipvs/dr-two-services.conf")
        .replace("delay_loop 3", "delay_loop 1")
        .replace("delay_before_retry 3", "delay_before_retry 1")
        .replacen(
            "    real_server",
            "    sorry_server 127.0.0.1 80\n    real_server",
            1,
        );
    match director {
        0 => text,
        _ => text
            .replace("state MASTER", "state BACKUP")
            .replace("priority 100", "priority 99"),
    }
}

/// Hosts with the interface and the addresses of the article.
fn hosts() -> Segment {
    let segment = Segment::build(1, 6).unwrap();
    let last_bytes = [
        [253, 253],
        [254, 254],
        [249, 11],
        [250, 12],
        [251, 13],
        [252, 252],
    ];
    for (number, [web, database]) in last_bytes.into_iter().enumerate() {
        let host = segment.host(number);
        for words in [
            "link set eth0 down",
            "link set eth0 name ens1f1",
            "link set ens1f1 up",
            &format!("addr add 10.128.190.{web}/24 dev ens1f1"),
            &format!("addr add 7.7.7.{database}/24 dev ens1f1"),
        ] {
            host.ip(words).unwrap();
        }
    }
    segment
}

fn serve(segment: &Segment, number: usize) -> [RealServer; 2] {
    let host = segment.host(REAL[number]);
    [80, 3306].map(|port| {
        let any = SocketAddr::from(([0, 0, 0, 0], port));
        RealServer::start(host, NAMES[number], any)
    })
}

/// Who answers one request.
fn ask(client: &Namespace, place: &str) -> io::Result<String> {
    let place: SocketAddr = place.parse().unwrap();
    let mut stream = client.run(|| TcpStream::connect_timeout(&place, Duration::from_secs(5)))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.shutdown(Shutdown::Write)?;
    let mut name = String::new();
    stream.read_to_string(&mut name)?;
    Ok(name.trim_end().to_owned())
}

/// Who answers the next requests. All of them must be answered.
fn answers(client: &Namespace, place: &str, times: usize) -> Vec<String> {
    (0..times).map(|_| ask(client, place).unwrap()).collect()
}

/// Each of these as often as the others, give or take one, and never one twice in a row.
fn assert_in_turn(answers: &[String], of: &[&str]) {
    let mut counts: BTreeMap<&str, usize> = of.iter().map(|name| (*name, 0)).collect();
    for answer in answers {
        let count = counts.get_mut(answer.as_str());
        *count.unwrap_or_else(|| panic!("{answer:?} answered: {answers:?}")) += 1;
    }
    let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
    assert!(most - least <= 1, "{counts:?}");
    assert!(answers.windows(2).all(|pair| pair[0] != pair[1]), "{answers:?}");
}

fn holds(segment: &Segment, director: usize) -> bool {
    let addresses = segment.host(director).ip("-o addr show dev ens1f1").unwrap();
    addresses.contains(&format!(" {VIP}/"))
}

fn is_answered(client: &Namespace, by: &[&str]) -> bool {
    ask(client, WEB).is_ok_and(|name| by.contains(&name.as_str()))
}

#[test]
#[ignore = "needs root and network namespaces"]
fn real_servers_and_directors_die_and_return() {
    let segment = hosts();
    let client = segment.host(CLIENT);
    let [first, second] = DIRECTORS.map(|number| segment.host(number));
    let mut servers: Vec<[RealServer; 2]> = (0..3).map(|number| serve(&segment, number)).collect();
    let _sorry = [first, second].map(|host| RealServer::start(host, "sorry", ([127, 0, 0, 1], 80).into()));
    let mut one = Daemon::start(first, &configuration(0));
    let two = Daemon::start(second, &configuration(1));
    until("the first director to be active", || {
        holds(&segment, 0) && !holds(&segment, 1)
    });
    for director in [&one, &two] {
        until("all real servers to serve", || director.serving(0).len() == 3);
    }
    until("an answer", || is_answered(client, &NAMES));
    let turns = answers(client, WEB, 9);
    assert_in_turn(&turns, &NAMES);

    // Story 5. Nothing holds the second address: that is the administrator's to set.
    first.ip("addr add 7.7.7.18/32 dev lo").unwrap();
    until("the second service", || ask(client, DATABASE).is_ok());
    until("its real servers", || one.serving(1).len() == 3);
    let before = carried(&one);
    let turns = answers(client, DATABASE, 205);
    assert_in_turn(&turns, &NAMES);
    let after = carried(&one);
    let mut shares: Vec<u64> = after
        .iter()
        .zip(before)
        .map(|(after, before)| after - before)
        .collect();
    shares.sort_unstable();
    assert_eq!(shares, [68, 68, 69]);

    // Story 4: a dead real server costs no request, not even before anybody knows.
    drop(servers.remove(1));
    assert_eq!(
        answers(client, WEB, 6)
            .iter()
            .filter(|name| *name == "RS2")
            .count(),
        0
    );
    until("the dead real server to leave", || one.serving(0).len() == 2);
    assert_in_turn(&answers(client, WEB, 6), &["RS1", "RS3"]);
    servers.push(serve(&segment, 1));
    until("the real server to return", || one.serving(0).len() == 3);
    assert_in_turn(&answers(client, WEB, 6), &NAMES);

    // Story 2: all are down, the sorry server answers; they return, it leaves.
    servers.clear();
    until("the sorry server to answer", || is_answered(client, &["sorry"]));
    assert_eq!(one.status()["virtual_servers"][0]["sorry_server_active"], true);
    servers.extend((0..3).map(|number| serve(&segment, number)));
    until("all real servers to serve again", || one.serving(0).len() == 3);
    assert_in_turn(&answers(client, WEB, 6), &NAMES);

    // A director dies and is replaced, and returns.
    one.kill();
    until("the second director to take over", || holds(&segment, 1));
    until("an answer through it", || is_answered(client, &NAMES));
    until("all real servers to serve through it", || {
        two.serving(0).len() == 3
    });
    assert_in_turn(&answers(client, WEB, 6), &NAMES);
    if let Ok(directory) = std::env::var("STATUS_PICTURES") {
        drop(servers.remove(1));
        until("the dead real server to leave", || two.serving(0).len() == 2);
        answers(client, WEB, 300);
        two.draw(&directory, 1240);
        servers.push(serve(&segment, 1));
    }
    one.start_again(&configuration(0));
    until("the first director to return", || {
        holds(&segment, 0) && !holds(&segment, 1)
    });
    until("all real servers to serve through the first", || {
        one.serving(0).len() == 3
    });
    until("an answer through the first", || is_answered(client, &NAMES));
    assert_in_turn(&answers(client, WEB, 6), &NAMES);
    assert_eq!(one.ask(&["stop"]), "stopped\n");
}

/// The connections of each real server of the second service.
fn carried(director: &Daemon<'_>) -> Vec<u64> {
    let status = director.status();
    let reals = status["virtual_servers"][1]["real_servers"].as_array().unwrap();
    reals
        .iter()
        .map(|real| real["traffic"]["connections"].as_u64().unwrap())
        .collect()
}
