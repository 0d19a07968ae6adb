//! What checks decide, when they are made and what is told of it, beside keepalived: both are given the same answers, each at
//! its own attempts, so that the same rules make the same of them however slow the machine is.

use crate::lab::{Daemon, Host, Process, Segment, until};

/// Two observers at the same time: ours, and keepalived.
const DAEMONS: [Daemon; 2] = [Daemon::Ours, Daemon::Keepalived];

/// From one check to the next, and from a failure that is forgiven to the next attempt.
const LOOP: f64 = 1.0;
const RETRY: f64 = 2.0;

/// One answer after the other: `+` is right, `-` and `x` are wrong, and the last one is given for ever. With `retry 2` three
/// wrong ones in a row are a failure, two are none.
const STATUS: &str = "++---+--+";
/// How long after each attempt the next one comes: HTTP waits for the longer of the two while it is down.
const STATUS_GAPS: [f64; 8] = [LOOP, LOOP, RETRY, RETRY, RETRY, LOOP, RETRY, RETRY];
/// With `retry 1`, by the content of the page.
const DIGEST: &str = "++xx+x+";
const DIGEST_GAPS: [f64; 6] = [LOOP, LOOP, RETRY, RETRY, LOOP, RETRY];
/// A script, with `retry 1`, that has to succeed before its real server is used.
const SCRIPT: &str = "--++-+-+--+";
const SCRIPT_GAPS: [f64; 10] = [LOOP, LOOP, LOOP, LOOP, RETRY, LOOP, RETRY, LOOP, RETRY, LOOP];

fn configuration(host: &Host) -> String {
    let script = host.write(
        "attempt",
        // The line that stands for this attempt says what comes of it.
        "cut -d ' ' -f 1 /proc/uptime >>\"$1\"\n\
         number=$(wc -l <\"$1\")\n\
         answer=$(printf %s \"$2\" | cut -c \"$number\")\n\
         test \"${answer:-+}\" = +\n",
    );
    let (fifo, attempts) = (host.path("fifo"), host.path("attempts"));
    format!(
        "global_defs {{
    router_id CHECKERS
    script_user root
    rs_init_notifies
    lvs_notify_fifo {fifo}
}}
{}
virtual_server 10.88.5.3 80 {{
    {COMMON}
    alpha
    omega
    sorry_server 10.87.0.9 80
    real_server 10.87.0.1 8003 {{
        MISC_CHECK {{
            misc_path \"/bin/sh {script} {attempts} {SCRIPT}\"
            misc_timeout 60
            retry 1
            delay_before_retry 2
        }}
    }}
}}
# Both are up, and that is not enough to begin with.
virtual_server 10.88.5.4 80 {{
    {COMMON}
    quorum 2
    hysteresis 1
    sorry_server 10.87.0.9 80
    real_server 10.87.0.1 8004 {{
    }}
    real_server 10.87.0.1 8005 {{
    }}
}}
virtual_server 10.88.5.6 80 {{
    {COMMON}
    real_server 10.87.0.1 8006 {{
        TCP_CHECK {{
            connect_timeout 30
            retry 1
            delay_before_retry 2
        }}
    }}
}}
",
        [
            page(1, 2, "status_code 200"),
            page(2, 1, "digest 444bcb3a3fcf8389296c49467f27e1d6"),
        ]
        .concat()
    )
}

/// A virtual server whose only real server has to deliver a page.
fn page(number: u8, retry: u8, wanted: &str) -> String {
    format!(
        "virtual_server 10.88.5.{number} 80 {{
    {COMMON}
    real_server 10.87.0.1 800{number} {{
        HTTP_GET {{
            url {{
                path /
                {wanted}
            }}
            connect_timeout 30
            retry {retry}
            delay_before_retry 2
        }}
    }}
}}
"
    )
}

const COMMON: &str = "protocol TCP\n    lb_algo rr\n    lb_kind NAT\n    delay_loop 1\n    warmup 0";

/// What is to be told, in this order, by a word about the real server (R) and the virtual server (V) each.
const TOLD: [(u8, &str); 5] = [
    (1, "R+ V+ R- V- R+ V+"),
    (2, "R+ V+ R- V- R+ V+"),
    // Down from the start is told where a sorry server steps in, and so is the first failure of who was not up.
    (3, "V- R- R+ V+ R- V- R+ V+"),
    (4, "R+ R+ V-"),
    (6, "R+ V+ R- V- R+ V+"),
];

/// At the end, where `omega` asks for it.
const FAREWELL: &str = "R- V-";

struct Observer {
    daemon: Daemon,
    host: Host,
    address: String,
    running: Process,
    _ear: Process,
}

impl Observer {
    fn start(segment: &Segment, number: usize, daemon: Daemon) -> Self {
        let address = format!("10.87.9.{}", number + 1);
        let host = segment.host(&format!("observer{number}"), &[&format!("{address}/16")]);
        host.done(&["mkfifo", &host.path("fifo")]);
        let ear = host.play(&format!("hear {}", host.path("fifo")));
        let running = host.daemon(daemon, &configuration(&host));
        Self {
            daemon,
            host,
            address,
            running,
            _ear: ear,
        }
    }

    /// What it told about a virtual server: when, and the line.
    fn told(&self, number: u8) -> Vec<(f64, String)> {
        let label = format!("[10.88.5.{number}]:tcp:80 ");
        let said = self.host.said(&format!("hear {}", self.host.path("fifo")));
        said.lines()
            .filter_map(|line| line.strip_prefix("heard ")?.split_once(' '))
            .filter(|(_, line)| line.contains(&label))
            .map(|(time, line)| (time.parse().unwrap(), line.to_owned()))
            .collect()
    }

    /// The same in short. Each line must be to the letter what keepalived's readers parse.
    fn words(&self, number: u8) -> String {
        let short = |(_, line): &(f64, String)| {
            let (rest, state) = line.rsplit_once(' ').unwrap();
            let sign = match state {
                "UP" => '+',
                "DOWN" => '-',
                _ => panic!("{:?} told {line:?}", self.daemon),
            };
            let server = format!("[10.88.5.{number}]:tcp:80");
            if rest == format!("VS {server}") {
                return format!("V{sign}");
            }
            let real = rest
                .strip_prefix("RS [10.87.0.1]:tcp:800")
                .and_then(|rest| rest.split_once(' '));
            assert!(
                real.is_some_and(|(port, rest)| port.len() == 1 && rest == server),
                "{:?} told {line:?}",
                self.daemon
            );
            format!("R{sign}")
        };
        self.told(number).iter().map(short).collect::<Vec<_>>().join(" ")
    }
}

/// The times between attempts, of both observers, are those expected; each is where they ought to be, in order.
fn assert_gaps(what: &str, attempts: &[Vec<f64>], expected: &[f64]) {
    for delay in [LOOP, RETRY] {
        let alike: Vec<Vec<f64>> = attempts
            .iter()
            .map(|attempts| {
                assert!(attempts.len() > expected.len(), "{what}: {attempts:?}");
                let gaps = attempts.windows(2).map(|pair| pair[1] - pair[0]).zip(expected);
                let alike = gaps.filter(|(_, wanted)| **wanted == delay).map(|(gap, _)| gap);
                let mut alike: Vec<f64> = alike.collect();
                alike.sort_by(f64::total_cmp);
                alike
            })
            .collect();
        // What the machine lets anybody do.
        let best = alike.iter().map(|gaps| gaps[0]).fold(f64::INFINITY, f64::min);
        for (daemon, alike) in DAEMONS.iter().zip(&alike) {
            // The machine may hold some up, and what follows one that was held up comes sooner.
            let (least, middle) = (alike[0], alike[alike.len() / 2]);
            assert!(
                least < best.max(delay) + 0.9 && middle > delay - 0.3,
                "{what} by {daemon:?}: {alike:?} instead of {delay} s, where {best} s are possible"
            );
        }
    }
}

#[test]
#[ignore = "needs an IPVS kernel and keepalived"]
fn the_same_answers_lead_to_the_same_decisions_at_the_same_attempts() {
    let segment = Segment::new();
    let real = segment.host("real", &["10.87.0.1/16"]);
    let pages = [format!("pages 8001 {STATUS}"), format!("pages 8002 {DIGEST}")];
    let _pages = pages.each_ref().map(|role| real.play(role));
    let shut = real.path("shut");
    let door = format!("door 8006 {shut}");
    let _door = real.play(&door);
    for port in [":1F41", ":1F42", ":1F46"] {
        until("the servers to listen", || {
            real.net("tcp").contains(&format!("{port} 00000000:0000 0A"))
        });
    }
    let observers: Vec<Observer> = DAEMONS
        .into_iter()
        .enumerate()
        .map(|(number, daemon)| Observer::start(&segment, number, daemon))
        .collect();
    let asked = |observer: &Observer, role: &str| -> Vec<f64> {
        let mine = format!("asked {} ", observer.address);
        let said = real.said(role);
        let times = said.lines().filter_map(|line| line.strip_prefix(&mine));
        times.filter_map(|time| time.parse().ok()).collect()
    };
    for observer in &observers {
        // Whoever has come for the third page has been at the door, too. (Our own check does not wake who listens there.)
        until("the first checks", || asked(observer, &pages[0]).len() > 2);
    }
    real.write("shut", "");
    for observer in &observers {
        until("both to find it shut", || {
            observer.words(6).len() >= "R+ V+ R- V-".len()
        });
    }
    std::fs::remove_file(&shut).unwrap();
    for observer in &observers {
        for (number, expected) in TOLD {
            until(&format!("{:?} to tell all of {number}", observer.daemon), || {
                observer.words(number).len() >= expected.len()
            });
        }
        let table = observer.host.table();
        let sorry = |service: &&ipvs_netlink::TableService| {
            let to: Vec<String> = service
                .destinations
                .iter()
                .map(|destination| destination.endpoint.address.to_string())
                .collect();
            to == ["10.87.0.9"]
        };
        assert_eq!(
            table.services.iter().filter(sorry).count(),
            1,
            "{:?}",
            observer.daemon
        );
    }
    for (role, gaps) in pages.iter().zip([&STATUS_GAPS[..], &DIGEST_GAPS]) {
        let attempts = observers.iter().map(|observer| {
            // One more, so that what comes of the last answer has been told.
            until("all answers to be given", || {
                asked(observer, role).len() > gaps.len() + 1
            });
            asked(observer, role)
        });
        assert_gaps(role, &attempts.collect::<Vec<_>>(), gaps);
    }
    let attempts = observers.iter().map(|observer| {
        let attempts = observer.host.read("attempts");
        attempts.lines().map(|line| line.parse().unwrap()).collect()
    });
    assert_gaps("the script", &attempts.collect::<Vec<_>>(), &SCRIPT_GAPS);
    for observer in &observers {
        for (number, expected) in TOLD {
            assert_eq!(
                observer.words(number),
                expected,
                "{number} by {:?}",
                observer.daemon
            );
        }
        let told: Vec<f64> = observer
            .told(6)
            .into_iter()
            .filter(|(_, line)| line.starts_with("RS"))
            .map(|(time, _)| time)
            .collect();
        let [_, down, up] = told[..] else {
            panic!("{told:?}")
        };
        let said = real.said(&door);
        let when = |word: &str| -> f64 {
            let line = said
                .lines()
                .filter_map(|line| line.strip_prefix(word))
                .next_back();
            line.unwrap().parse().unwrap()
        };
        // Not before it has failed twice; not later than a full turn and the second attempt.
        let late = down - when("closed ");
        assert!(
            (RETRY - 0.1..LOOP + RETRY + PATIENCE).contains(&late),
            "{:?} finds a closed port after {late} s",
            observer.daemon
        );
        let late = up - when("opened ");
        assert!(
            (-0.1..LOOP + PATIENCE).contains(&late),
            "{:?} finds an open port after {late} s",
            observer.daemon
        );
    }
    for mut observer in observers {
        observer.running.stop();
        let expected = format!("{} {FAREWELL}", TOLD[2].1);
        until(&format!("{:?} to say farewell", observer.daemon), || {
            observer.words(3).len() >= expected.len()
        });
        assert_eq!(observer.words(3), expected, "{:?}", observer.daemon);
        for (number, told) in TOLD {
            if number != 3 {
                assert_eq!(observer.words(number), told, "{number} by {:?}", observer.daemon);
            }
        }
    }
}

/// How much later anything may be on an emulated machine, in seconds.
const PATIENCE: f64 = 20.0;
