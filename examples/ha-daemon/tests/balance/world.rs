//! Two directors, three real servers and a client on one segment, as the article has them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ipvs_netlink::ServiceKey;

use crate::lab::{Host, Process, Segment, until};

pub(crate) const VIP: &str = "10.128.190.248";
pub(crate) const WEB: &str = "10.128.190.248:80";
pub(crate) const DATABASE: &str = "7.7.7.18";
pub(crate) const REAL: [&str; 3] = ["10.128.190.249", "10.128.190.250", "10.128.190.251"];
pub(crate) const NAMES: [&str; 3] = ["RS1", "RS2", "RS3"];

pub(crate) struct World {
    pub(crate) directors: [Host; 2],
    pub(crate) real: Vec<Host>,
    pub(crate) client: Host,
    _segment: Segment,
}

impl World {
    pub(crate) fn new() -> Self {
        let segment = Segment::new();
        let directors = [("director1", 253), ("director2", 254)].map(|(name, host)| {
            segment.host(
                name,
                &[&format!("10.128.190.{host}/24"), &format!("7.7.7.{host}/24")],
            )
        });
        let real = (1..=3)
            .map(|number| {
                let addresses = [
                    format!("10.128.190.{}/24", 248 + number),
                    format!("7.7.7.1{number}/24"),
                ];
                let host = segment.host(&format!("real{number}"), &[&addresses[0], &addresses[1]]);
                for (name, value) in [("arp_ignore", 1), ("arp_announce", 2)] {
                    for place in ["lo", "all"] {
                        host.sysctl(&format!("ipv4/conf/{place}/{name}"), value);
                    }
                }
                for address in [VIP, DATABASE] {
                    host.done(&["ip", "addr", "add", &format!("{address}/32"), "dev", "lo"]);
                }
                host
            })
            .collect();
        Self {
            directors,
            real,
            client: segment.host("client", &["10.128.190.252/24", "7.7.7.252/24"]),
            _segment: segment,
        }
    }

    /// Starts a real server, and returns when it listens.
    pub(crate) fn serve(&self, number: usize) -> Process {
        serve(&self.real[number], NAMES[number])
    }

    /// The real servers that a director sends requests to.
    pub(crate) fn up(&self, director: usize) -> Vec<String> {
        let table = self.directors[director].table();
        let service = table.services.iter().find(|service| service.service.key == web());
        let destinations = service
            .map(|service| service.destinations.clone())
            .unwrap_or_default();
        destinations
            .iter()
            .map(|destination| destination.endpoint.address.to_string())
            .collect()
    }

    pub(crate) fn active_is(&self, director: usize) -> bool {
        self.directors[director].holds(VIP) && !self.directors[1 - director].holds(VIP)
    }

    /// Fetches so many times, and asserts that those named answer in turn.
    ///
    /// A round counts only if nothing happened to the directors before it was over: where a machine stalls for seconds,
    /// they may well take turns.
    pub(crate) fn in_turn(&self, place: &str, times: usize, of: &[&str]) {
        let mut answers = Vec::new();
        for _ in 0..ROUNDS {
            let news = self.news();
            answers = self.fetch(place, times);
            if self.news() == news {
                return assert_in_turn(&answers, of, times);
            }
            std::thread::sleep(Duration::from_secs(2));
        }
        panic!("the directors do not come to rest: {answers:?}");
    }

    /// Who answered, one after the other.
    fn fetch(&self, place: &str, times: usize) -> Vec<String> {
        let text = self.client.played(&format!("fetch {place} {times}"));
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("fetched "))
            .unwrap_or_else(|| panic!("the client says: {text}"));
        line.split(' ').map(str::to_owned).collect()
    }

    /// What happened to the directors so far.
    fn news(&self) -> Vec<(String, bool, Vec<String>)> {
        let news = |director: usize| {
            let host = &self.directors[director];
            (host.log(), host.holds(VIP), self.up(director))
        };
        (0..2).map(news).collect()
    }
}

/// Clients that ask one request after the other.
pub(crate) struct Load<'a> {
    client: &'a Host,
    role: String,
    end: String,
    _process: Process,
}

/// Clients that talk on one connection each for as long as they can.
pub(crate) struct Talks<'a> {
    client: &'a Host,
    roles: [String; 3],
    _processes: [Process; 3],
}

impl<'a> Talks<'a> {
    /// Starts three, and returns when they talk.
    pub(crate) fn start(client: &'a Host, place: &str) -> Self {
        let roles = [1, 2, 3].map(|number| format!("hold {place} {number}"));
        let talks = Self {
            client,
            _processes: roles.each_ref().map(|role| client.play(role)),
            roles,
        };
        until("connections to all real servers", || {
            talks.heard().iter().all(|count| *count > 3)
        });
        talks
    }

    /// The clients' ports.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let port = |role: &String| {
            let said = self.client.said(role);
            let mut lines = said.lines();
            let port = lines.find_map(|line| line.strip_prefix("from ")?.parse().ok());
            port.unwrap_or_else(|| panic!("no port: {said}"))
        };
        self.roles.iter().map(port).collect()
    }

    /// How many say nothing more. What a stalled machine delays is not cut off: one that is silent for so long is.
    pub(crate) fn cut_off(&self, patience: Duration) -> usize {
        let before = self.heard();
        let deadline = Instant::now() + patience;
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let after = self.heard().into_iter().zip(before);
            let cut_off = after.filter(|(after, before)| *after <= before + 5).count();
            if cut_off == 0 || Instant::now() > deadline {
                return cut_off;
            }
        }
    }

    fn heard(&self) -> [usize; 3] {
        let heard = |role: &String| self.client.said(role).matches("heard").count();
        self.roles.each_ref().map(heard)
    }
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    /// In a second.
    pub(crate) rate: u64,
    /// The longest time without an answer to anybody.
    pub(crate) silence: Duration,
    pub(crate) failures: Vec<String>,
}

impl<'a> Load<'a> {
    /// Starts so many, each of which makes so many requests on a connection and waits so many seconds for an answer.
    pub(crate) fn start(client: &'a Host, place: &str, workers: usize, each: u32, patience: u64) -> Self {
        let end = client.path(&format!("end-of-{place}"));
        let role = format!("load {place} {workers} {each} {patience} {end}");
        Self {
            client,
            _process: client.play(&role),
            role,
            end,
        }
    }

    pub(crate) fn end(self) -> Outcome {
        std::fs::write(&self.end, "").unwrap();
        let mut line = String::new();
        until("the clients to be done", || {
            let said = self.client.said(&self.role);
            let done = said.lines().find_map(|line| line.strip_prefix("done "));
            line = done.unwrap_or_default().to_owned();
            said.ends_with('\n') && done.is_some()
        });
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        let (requests, milliseconds, silence) = (number(), number(), number());
        Outcome {
            requests,
            rate: requests * 1000 / milliseconds.max(1),
            silence: Duration::from_millis(silence),
            failures: words.map(str::to_owned).collect(),
        }
    }
}

/// Starts a server of this name on a host, and returns when it listens.
pub(crate) fn serve(host: &Host, name: &str) -> Process {
    let process = host.play(&format!("serve {name}"));
    // Ports 80 and 3306 in state LISTEN.
    until("the server to listen", || {
        let sockets = host.net("tcp");
        [":0050", ":0CEA"]
            .iter()
            .all(|port| sockets.contains(&format!("{port} 00000000:0000 0A")))
    });
    process
}

pub(crate) fn web() -> ServiceKey {
    ServiceKey::tcp((Ipv4Addr::new(10, 128, 190, 248), 80))
}

/// Each of these as often as the others, give or take one, and never one twice in a row.
fn assert_in_turn(answers: &[String], of: &[&str], times: usize) {
    assert_eq!(answers.len(), times, "{answers:?}");
    let mut counts: BTreeMap<&str, usize> = of.iter().map(|name| (*name, 0)).collect();
    for answer in answers {
        *counts
            .get_mut(answer.as_str())
            .unwrap_or_else(|| panic!("{answer} answered: {answers:?}")) += 1;
    }
    let (least, most) = (counts.values().min(), counts.values().max());
    assert!(most.unwrap() - least.unwrap() <= 1, "{counts:?}");
    assert!(
        of.len() == 1 || answers.windows(2).all(|pair| pair[0] != pair[1]),
        "{answers:?}"
    );
}

/// So many disturbed rounds in a row are not an accident.
const ROUNDS: usize = 20;
