//! What the tests share: the rules of which most of them are made, ipvsadm, and this program run again in another role.

use std::env;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use ipvs_netlink::{
    Client, Destination, Error, Forward, Owned, Reason, ReconcileOptions, Request, Scheduler, Service,
    ServiceKey, Table, TableService, parse_rules,
};

/// What ipvsadm can set, apart from daemons and timeouts. Destinations stand in the order in which `ipvsadm -S` sorts them.
pub(crate) const RULES: &[&str] = &[
    "-A -t 10.99.0.1:80 -s rr",
    "-A -u 10.99.0.1:53 -s wrr -o",
    "-A --sctp-service 10.99.0.1:3868 -s lc",
    "-A -t [2001:db8:99::1]:443 -s wlc",
    "-A -f 7 -s sed",
    "-A -f 7 -6 -s nq",
    "-A -f 4294967295 -s fo -o",
    "-A -t 10.99.0.2:0 -s wlc -p 300",
    "-A -t 10.99.0.3:80 -s lblc -p 1",
    "-A -t 10.99.0.4:80 -s lblcr -p 2678400 -M 255.255.255.0",
    "-A -t [2001:db8:99::4]:80 -s dh -p 360 -M 64",
    "-A -u 10.99.0.5:5060 -s rr -p 600 --pe sip -o",
    "-A -t 10.99.0.6:80 -s sh -b sh-fallback",
    "-A -t 10.99.0.7:80 -s sh -b sh-fallback,sh-port",
    "-A -t 10.99.0.8:80 -s mh -b mh-port",
    "-A -t 10.99.0.9:80 -s mh",
    "-A -t 10.99.0.10:80 -s ovf",
    "-A -t 10.99.0.11:80 -s rr -b flag-1,flag-2,flag-3",
    "-A -t 10.99.0.12:80 -s none",
    "-a -t 10.99.0.1:80 -r 10.99.1.1:80 -g -w 1",
    "-a -t 10.99.0.1:80 -r 10.99.1.2:8080 -m -w 0",
    "-a -t 10.99.0.1:80 -r 10.99.1.3:80 -i -w 65535",
    "-a -t 10.99.0.1:80 -r 10.99.1.4:80 -i --tun-type gue --tun-port 6080 --tun-nocsum -w 2",
    "-a -t 10.99.0.1:80 -r 10.99.1.5:80 -i --tun-type gue --tun-port 6080 --tun-csum -w 2",
    "-a -t 10.99.0.1:80 -r 10.99.1.6:80 -i --tun-type gue --tun-port 6081 --tun-remcsum -w 2",
    "-a -t 10.99.0.1:80 -r 10.99.1.7:80 -i --tun-type gre --tun-nocsum -w 2",
    "-a -t 10.99.0.1:80 -r 10.99.1.8:80 -i --tun-type gre --tun-csum -w 2",
    "-a -t 10.99.0.1:80 -r [2001:db8:99:1::1]:80 -i -w 3",
    "-a -t [2001:db8:99::1]:443 -r [2001:db8:99:1::2]:443 -m -w 4",
    "-a -t [2001:db8:99::1]:443 -r 10.99.1.9:443 -i -w 4",
    "-a -f 7 -r 10.99.1.1:0 -g -w 1",
    "-a -f 7 -6 -r [2001:db8:99:1::3]:0 -g -w 1",
    "-a --sctp-service 10.99.0.1:3868 -r 10.99.1.1:3868 -m -w 1",
    "-a -t 10.99.0.3:80 -r 10.99.1.1:80 -m -w 5 -x 100 -y 50",
    "-a -t 10.99.0.3:80 -r 10.99.1.2:80 -m -w 5 -x 2147483647",
];

pub(crate) fn client() -> Client {
    let client = Client::open().unwrap();
    client.flush().unwrap();
    client
}

pub(crate) fn all() -> ReconcileOptions {
    ReconcileOptions {
        owned: Owned::All,
        ..ReconcileOptions::default()
    }
}

/// Runs a program, which has to succeed, and returns what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn ipvsadm(line: &str) -> String {
    run("ipvsadm", &line.split_whitespace().collect::<Vec<_>>())
}

pub(crate) fn rules() -> Vec<Request> {
    parse_rules(&RULES.join("\n")).unwrap()
}

/// A table to compare: services and destinations in the order of their keys.
pub(crate) fn sorted(mut table: Table) -> Table {
    table.services.sort_by_key(|service| service.service.key);
    for service in &mut table.services {
        service
            .destinations
            .sort_by_key(|destination| destination.endpoint);
    }
    table
}

pub(crate) fn refusal(result: Result<(), Error>) -> Reason {
    match result.unwrap_err() {
        Error::Refused(refusal) => refusal.reason,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn service(port: u16) -> Service {
    Service::new(
        ServiceKey::tcp((Ipv4Addr::new(10, 98, 0, 1), port)),
        Scheduler::RoundRobin,
    )
}

pub(crate) fn destination(number: u16) -> Destination {
    let [high, low] = number.to_be_bytes();
    Destination::new((Ipv4Addr::new(10, 97, high, low), 80), Forward::Masquerade)
}

/// 250 services with 40 destinations each.
pub(crate) fn big_table() -> Table {
    let services = (0..250)
        .map(|number| TableService {
            service: Service {
                scheduler: Scheduler::WeightedLeastConnection,
                ..service(1000 + number)
            },
            destinations: (0..40).map(|host| destination(number * 40 + host)).collect(),
        })
        .collect();
    Table { services }
}

pub(crate) fn again(test: &str, variable: &str, prefix: &[&str]) -> Child {
    let program = env::current_exe().unwrap();
    let mut words: Vec<&str> = prefix.to_vec();
    let program = program.to_str().unwrap();
    words.extend([program, "--ignored", "--exact", test, "--nocapture"]);
    Command::new(words[0])
        .args(&words[1..])
        .env(variable, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}
