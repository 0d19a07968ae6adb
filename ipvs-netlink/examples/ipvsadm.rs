//! A small `ipvsadm`: the same words for what it changes, besides it `list`, `save`, `restore`, `reconcile` and `watch`.
//!
//! ```text
//! cargo run --example ipvsadm -- -A -t 10.0.0.1:80 -s wlc
//! cargo run --example ipvsadm -- list --stats
//! cargo run --example ipvsadm -- watch
//! ```

use std::env;
use std::error::Error;
use std::io::Read as _;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use ipvs_netlink::{
    Batch, Client, Connections, DestinationEntry, Forward, Granularity, Owned, ReconcileOptions, Request,
    Service, Stats, Table, parse_rules, write_request, write_rules,
};

const USAGE: &str = "\
usage: ipvsadm COMMAND
  list [--stats] [--rate] [--thresholds] [--connections] [--timeout] [--daemon]
  watch [SECONDS]            rates, shown anew each second
  save                       everything, in the form of ipvsadm -S, nothing left out
  restore                    what save wrote, from standard input, added to what there is
  reconcile [--dry-run]      make the services of standard input so, touch no others
  -A|-E|-D|-a|-e|-d|-C|-Z|--set|--start-daemon|--stop-daemon ...   as ipvsadm has them";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["-h" | "--help"] => println!("{USAGE}"),
        ["list", "--connections"] => connections()?,
        ["list", options @ ..] => list(&Client::open()?, options)?,
        ["watch", rest @ ..] => {
            let seconds = rest.first().map_or(Ok(1), |word| word.parse())?;
            watch(&Client::open()?, Duration::from_secs(seconds))?;
        }
        ["save"] => print!("{}", write_rules(&save(&Client::open()?)?)),
        ["restore"] => {
            let batch: Batch = parse_rules(&input()?)?.into_iter().collect();
            let report = Client::open()?.apply(&batch)?;
            for (_, refusal) in report.refused() {
                eprintln!("{refusal}");
            }
            report.into_result()?;
        }
        ["reconcile", rest @ ..] => {
            let wanted = Table::from_requests(&parse_rules(&input()?)?);
            let options = ReconcileOptions {
                owned: Owned::Wanted,
                dry_run: rest.contains(&"--dry-run"),
                ..ReconcileOptions::default()
            };
            let changes = Client::open()?.reconcile(&wanted, &options)?;
            for request in &changes.done {
                println!("{}", write_request(request).unwrap_or_default());
            }
            if let Some(refusal) = changes.refused.first() {
                return Err(Box::new(*refusal));
            }
        }
        words => {
            let batch: Batch = parse_rules(&words.join(" "))?.into_iter().collect();
            Client::open()?.apply(&batch)?.into_result()?;
        }
    }
    Ok(())
}

fn input() -> Result<String, std::io::Error> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// What there is, as the requests that would make it.
fn save(client: &Client) -> Result<Vec<Request>, ipvs_netlink::Error> {
    let mut requests = vec![Request::SetTimeouts(client.timeouts()?)];
    requests.extend(client.snapshot()?.table().requests());
    requests.extend(
        client
            .daemons()?
            .into_iter()
            .map(|entry| Request::StartDaemon(entry.daemon)),
    );
    Ok(requests)
}

fn list(client: &Client, options: &[&str]) -> Result<(), Box<dyn Error>> {
    if options.contains(&"--timeout") {
        let timeouts = client.timeouts()?;
        let seconds = [timeouts.tcp, timeouts.tcp_fin, timeouts.udp]
            .map(|timeout| timeout.map_or_else(|| "-".to_owned(), |timeout| timeout.seconds().to_string()));
        println!("timeouts (tcp tcpfin udp): {}", seconds.join(" "));
        return Ok(());
    }
    if options.contains(&"--daemon") {
        for entry in client.daemons()? {
            println!(
                "{}",
                write_request(&Request::StartDaemon(entry.daemon)).unwrap_or_default()
            );
        }
        return Ok(());
    }
    let info = client.info()?;
    println!(
        "IPVS {} ({} buckets of connections)",
        info.version, info.connection_table_size
    );
    let columns = |stats: &Stats| -> [u64; 5] {
        if options.contains(&"--rate") {
            let rates = &stats.rates;
            [
                rates.connections,
                rates.packets_in,
                rates.packets_out,
                rates.bytes_in,
                rates.bytes_out,
            ]
        } else {
            [
                stats.connections,
                stats.packets_in,
                stats.packets_out,
                stats.bytes_in,
                stats.bytes_out,
            ]
        }
    };
    let counters = options.contains(&"--stats") || options.contains(&"--rate");
    let thresholds = options.contains(&"--thresholds");
    let heads = match (counters, thresholds) {
        (true, _) => [
            "connections",
            "packets in",
            "packets out",
            "bytes in",
            "bytes out",
        ],
        (_, true) => ["weight", "upper", "lower", "active", "inactive"],
        _ => ["forward", "weight", "active", "inactive", "persistent"],
    };
    row("", heads.map(str::to_owned));
    for service in &client.snapshot()?.services {
        let entry = &service.entry;
        let title = format!("{} {}", entry.service.key, describe(&entry.service));
        if counters {
            row(&title, columns(&entry.stats).map(|number| number.to_string()));
        } else {
            println!("{title}");
        }
        for entry in service.destinations.iter().rev() {
            let destination = &entry.destination;
            let cells = if counters {
                columns(&entry.stats).map(|number| number.to_string())
            } else if thresholds {
                [
                    destination.weight.get(),
                    destination.thresholds.upper(),
                    destination.thresholds.lower(),
                    entry.active,
                    entry.inactive,
                ]
                .map(|number| number.to_string())
            } else {
                plain(entry)
            };
            row(&format!("  -> {}", destination.endpoint), cells);
        }
    }
    Ok(())
}

fn plain(entry: &DestinationEntry) -> [String; 5] {
    let forward = match entry.destination.forward {
        Forward::Masquerade => "masq",
        Forward::Tunnel(_) => "tunnel",
        Forward::DirectRoute => "route",
        Forward::Local => "local",
        _ => "other",
    };
    [
        forward.to_owned(),
        entry.destination.weight.get().to_string(),
        entry.active.to_string(),
        entry.inactive.to_string(),
        entry.persistent.to_string(),
    ]
}

fn row(title: &str, cells: [String; 5]) {
    print!("{title:<44}");
    for cell in cells {
        print!(" {cell:>12}");
    }
    println!();
}

fn describe(service: &Service) -> String {
    let mut text = service.scheduler.name().to_string();
    if service.one_packet {
        text.push_str(" ops");
    }
    if let Some(persistence) = &service.persistence {
        text.push_str(&format!(" persistent {} s", persistence.timeout.seconds()));
        match persistence.granularity {
            Granularity::Prefix(length) => text.push_str(&format!(" /{}", length.bits())),
            Granularity::Mask(mask) => text.push_str(&format!(" mask {mask}")),
            _ => {}
        }
        if let Some(engine) = persistence.engine {
            text.push_str(&format!(" pe {engine}"));
        }
    }
    text
}

fn connections() -> Result<(), Box<dyn Error>> {
    for connection in Connections::open()? {
        let connection = connection?;
        println!(
            "{:<6} {:<24} -> {:<24} -> {:<24} {:<12} {:>6} s",
            connection.protocol.to_string(),
            connection.client.to_string(),
            connection.service.to_string(),
            connection.destination.to_string(),
            connection.state,
            connection.expires.as_secs()
        );
    }
    Ok(())
}

fn watch(client: &Client, interval: Duration) -> Result<(), Box<dyn Error>> {
    loop {
        // The cursor to the corner, the screen cleared.
        print!("\x1b[H\x1b[2J");
        list(client, &["--rate"])?;
        thread::sleep(interval);
    }
}
