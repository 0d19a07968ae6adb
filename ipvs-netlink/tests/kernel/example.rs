//! Each command of the example `ipvsadm` beside the real one.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::*;

fn program() -> Command {
    Command::new(env::var_os("EXAMPLE_IPVSADM").expect("set by cargo xtask test"))
}

/// The numbers behind each destination, by its endpoint.
type Rows = BTreeMap<String, Vec<u64>>;

/// Runs the example with this on its standard input; returns whether it succeeded and what it wrote.
fn example_with(line: &str, input: &str) -> (bool, String) {
    let mut child = program()
        .args(line.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn example(line: &str) -> String {
    let (succeeded, text) = example_with(line, "");
    assert!(succeeded, "{line}: {text}");
    text
}

/// Reads a listing of either.
fn rows(listing: &str) -> Rows {
    listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| *word != "->").skip(1);
            let endpoint = words.next()?.to_owned();
            // The heading of ipvsadm has no numbers, its forwarding method is none.
            let numbers: Vec<u64> = words.filter_map(|word| word.parse().ok()).collect();
            (!numbers.is_empty()).then_some((endpoint, numbers))
        })
        .collect()
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn it_changes_what_ipvsadm_would() {
    drop(client());
    let lines = |words: &[&str]| {
        for line in words {
            example(line);
        }
        ipvsadm("-S -n")
    };
    // Given the same lines, both leave the same behind.
    let ours = lines(RULES);
    example("-C");
    assert_eq!(ipvsadm("-S -n"), "");
    for line in RULES {
        ipvsadm(line);
    }
    // The order of services is that of a hash; of a service's destinations, that of the listing.
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&ours), sorted(&ipvsadm("-S -n")));

    example("-C");
    let left = lines(&[
        "-A -t 10.98.0.1:80 -s rr",
        "-a -t 10.98.0.1:80 -r 10.97.0.1:80 -m",
        "-a -t 10.98.0.1:80 -r 10.97.0.2:80 -m",
        "-E -t 10.98.0.1:80 -s wlc -p 60",
        "-e -t 10.98.0.1:80 -r 10.97.0.1:80 -g -w 7",
        "-d -t 10.98.0.1:80 -r 10.97.0.2:80",
        "-A -u 10.98.0.1:53 -s rr",
        "-D -u 10.98.0.1:53",
        "-Z",
        "--set 901 121 301",
    ]);
    assert_eq!(
        left,
        "-A -t 10.98.0.1:80 -s wlc -p 60\n-a -t 10.98.0.1:80 -r 10.97.0.1:80 -g -w 7\n"
    );
    assert!(ipvsadm("-L --timeout").contains("901 121 301"));
    assert!(example("list --timeout").contains("901 121 301"));
    let (succeeded, text) = example_with("-A -t 10.98.0.1:80 -s rr", "");
    assert!(
        !succeeded && text.contains("the service exists already"),
        "{text}"
    );
    example("--set 900 120 300");
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn it_saves_restores_and_reconciles() {
    let client = client();
    let (succeeded, text) = example_with("restore", &RULES.join("\n"));
    assert!(succeeded, "{text}");
    let table = client.snapshot().unwrap().table();
    let listed = ipvsadm("-S -n");
    let saved = example("save");
    assert_eq!(example("save"), saved);
    example("-C");
    assert!(client.services().unwrap().is_empty());
    assert!(example_with("restore", &saved).0);
    assert_eq!(client.snapshot().unwrap().table(), table);
    assert_eq!(ipvsadm("-S -n"), listed);

    // Undone behind its back: shown first, then made good.
    ipvsadm("-D -f 7");
    ipvsadm("-e -t 10.99.0.3:80 -r 10.99.1.1:80 -m -w 6");
    let wanted = RULES.join("\n");
    let (_, planned) = example_with("reconcile --dry-run", &wanted);
    assert_eq!(planned.lines().count(), 3, "{planned}");
    assert_ne!(client.snapshot().unwrap().table(), table);
    assert_eq!(example_with("reconcile", &wanted), (true, planned));
    assert_eq!(client.snapshot().unwrap().table(), table);
    assert_eq!(example_with("reconcile", &wanted), (true, String::new()));
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn it_lists_what_ipvsadm_lists() {
    let client = client();
    run("ip", &["link", "set", "lo", "up"]);
    for address in ["10.93.0.1/32", "10.93.0.2/32", "10.93.0.3/32"] {
        run("ip", &["addr", "replace", address, "dev", "lo"]);
    }
    example("-A -t 10.93.0.1:8080 -s wrr");
    example("-a -t 10.93.0.1:8080 -r 10.93.0.2:8081 -m -w 2 -x 500 -y 300");
    example("-a -t 10.93.0.1:8080 -r 10.93.0.3:8081 -m");
    example("-A -f 7 -s rr");
    let servers = [2, 3].map(|host| TcpListener::bind((Ipv4Addr::new(10, 93, 0, host), 8081)).unwrap());
    for server in servers {
        std::thread::spawn(move || {
            for stream in server.incoming() {
                // Open until the client closes it.
                let mut stream = stream.unwrap();
                std::thread::spawn(move || stream.read_to_end(&mut Vec::new()));
            }
        });
    }
    // Open until all has been looked at: a connection that is closed is forgotten after a while.
    let streams: Vec<TcpStream> = (0..30)
        .map(|_| TcpStream::connect((Ipv4Addr::new(10, 93, 0, 1), 8080)).unwrap())
        .collect();

    // What one of them shows is what the other shows before and after it: the counters are summed up every other second.
    let same = |ours: &str, theirs: &str, enough: &dyn Fn(&Rows) -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let before = rows(&ipvsadm(theirs));
            let shown = rows(&example(ours));
            if before == rows(&ipvsadm(theirs)) && enough(&before) {
                assert_eq!(shown, before, "{ours}");
                return shown;
            }
            assert!(
                Instant::now() < deadline,
                "{theirs} never came to rest: {before:?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let any = |_: &Rows| true;
    let counted = |rows: &Rows| rows.values().map(|row| row[0]).sum::<u64>() == 30;
    let stats = same("list --stats", "-L -n --stats --exact", &counted);
    assert_eq!(stats["10.93.0.2:8081"][0], 20);
    assert!(
        stats.values().all(|row| row.iter().all(|number| *number > 0)),
        "{stats:?}"
    );
    same("list --rate", "-L -n --rate --exact", &any);
    // Ours has a column more, the weight before the thresholds and the persistent connections after the others.
    let thresholds = rows(&example("list --thresholds"));
    assert_eq!(thresholds["10.93.0.2:8081"][..3], [2, 500, 300]);
    let theirs = rows(&ipvsadm("-L -n --thresholds"));
    assert_eq!(theirs["10.93.0.2:8081"][..2], [500, 300]);
    let plain = rows(&example("list"));
    let theirs = rows(&ipvsadm("-L -n"));
    for (endpoint, row) in &plain {
        assert_eq!(
            row[1] + row[2],
            theirs[endpoint][1] + theirs[endpoint][2],
            "{endpoint}"
        );
        assert_eq!(row[0], theirs[endpoint][0], "{endpoint}");
    }

    let endpoints = |text: &str| {
        let mut lines: Vec<Vec<String>> = text
            .lines()
            .filter(|line| line.starts_with("TCP"))
            .map(|line| {
                let of_ours = |word: &&str| word.contains("10.93.0.");
                line.split_whitespace()
                    .filter(of_ours)
                    .map(str::to_owned)
                    .collect()
            })
            .collect();
        lines.sort();
        lines
    };
    let connections = endpoints(&example("list --connections"));
    assert_eq!(connections.len(), 30);
    assert_eq!(connections, endpoints(&ipvsadm("-L -c -n")));

    let daemon = "--start-daemon backup --mcast-interface lo --syncid 9";
    example(daemon);
    assert!(ipvsadm("-L --daemon").contains("syncid=9"));
    assert!(example("list --daemon").contains("--syncid 9"));
    example("--stop-daemon backup");
    assert_eq!(example("list --daemon"), "");
    drop((client, streams));
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn it_watches() {
    let client = client();
    client.add_service(service(80)).unwrap();
    client.add_destination(service(80).key, destination(1)).unwrap();
    let mut child = program()
        .args(["watch", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    // Two screens, each with the destination.
    for _ in 0..2 {
        let head = lines.by_ref().find(|line| line.contains("\x1b[2J"));
        assert!(head.is_some_and(|line| line.contains("IPVS 1.2.1")));
        let row = lines.by_ref().find(|line| line.contains("-> 10.97.0.1:80"));
        assert_eq!(rows(&row.unwrap())["10.97.0.1:80"], [0; 5]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
