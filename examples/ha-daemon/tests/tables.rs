//! What a configuration comes to in IPVS, without a kernel: the file read and converted, the verdicts given, the table made by
//! the data plane on a kernel in memory.
//!
//! `fixtures/ipvs/NAME.conf` is the configuration, `fixtures/ipvs/NAME.rules` what it has to come to, in ipvsadm's words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ha_stack::{Balancer, Conversion, ConvertOptions, DataPlane as _, Extent, IpvsPlane};
use ipvs_netlink::{Client, SimulatedKernel, Table, parse_rules, write_rules};
use keepalived_conf::{Configuration, Keyword, Options, Range, Support, System, vocabulary};

/// Whether a real server of the files with checks is up, and with which weight if not its own.
fn verdict(server: &str, port: u16) -> (bool, Option<u32>) {
    if server.starts_with("10.88.6.") {
        let weight = match (server, port) {
            ("10.88.6.5:80", 8002) => Some(16),
            ("10.88.6.5:80", 8003) => Some(4),
            _ => None,
        };
        return (port / 1000 == 8, weight);
    }
    match (server.starts_with("10.88.3.8"), port) {
        (true, 82) => (true, Some(10)),
        (true, 80 | 84 | 88) | (false, 80) => (true, None),
        // Checked by another port.
        (false, 83) => (true, None),
        _ => (false, None),
    }
}

fn lines(table: &Table) -> BTreeSet<String> {
    write_rules(&table.requests())
        .lines()
        .map(str::to_owned)
        .collect()
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ipvs")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.conf"))).unwrap()
}

fn comes_to(name: &str, is_checked: bool) {
    let text = text(name);
    // A program that is there, in place of the one that is not run here.
    let file = std::env::temp_dir().join(format!("tables-{}-{name}.conf", std::process::id()));
    std::fs::write(&file, text.replace("SCRIPT", "/bin/true")).unwrap();
    let (configuration, report) = Configuration::read(&file, &System, &Options::default());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(report.errors(), 0);
    let conversion = Conversion::of(&configuration, &System, &ConvertOptions::default());
    let errors: Vec<&str> = conversion
        .errors
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");

    let plans = conversion.plan.virtual_servers;
    let mut balancer = Balancer::new();
    balancer.configure(plans.clone(), false).unwrap();
    if is_checked {
        for plan in &plans {
            for real in &plan.real_servers {
                let (up, weight) = verdict(&plan.name, real.address.port());
                balancer.verdict(&plan.name, real.address, up, weight.unwrap_or(real.weight));
            }
        }
    }
    let client = Client::over(SimulatedKernel::new()).unwrap();
    let mut plane = IpvsPlane::over(client.clone(), None).unwrap();
    let applied = plane.reconcile(&balancer.table(), Extent::Whole).unwrap();
    assert!(applied.refused.is_empty(), "{:?}", applied.refused);

    let rules = std::fs::read_to_string(folder().join(format!("{name}.rules"))).unwrap();
    let expected = Table::from_requests(&parse_rules(&rules).unwrap());
    let (there, expected) = (lines(&client.snapshot().unwrap().table()), lines(&expected));
    let differences: Vec<&String> = there.symmetric_difference(&expected).collect();
    assert!(differences.is_empty(), "{name}: {differences:#?}");
}

#[test]
fn every_keyword_shows_in_the_table() {
    comes_to("keywords", false);
    comes_to("following", false);
    comes_to("newer", false);
}

#[test]
fn verdicts_quorums_and_sorry_servers_show_in_the_table() {
    comes_to("checks", true);
    comes_to("probes", true);
}

/// In which of the files each keyword of the load balancer is said, whose tables are held beside keepalived's in the kernel
/// laboratory (`tests/balance/tables.rs`), or why in none.
const SAID: &[(&str, Place, &[&str])] = &[
    ("global_defs", In("keywords"), &["lvs_timeouts"]),
    (
        "global_defs",
        In("following"),
        &["lvs_sync_daemon", "lvs_flush", "lvs_flush_on_stop"],
    ),
    ("global_defs", In("both"), &["lvs_sync_daemon"]),
    (
        "global_defs",
        InNone("about what is told and logged, which no table shows"),
        &[
            "lvs_notify_fifo",
            "lvs_notify_fifo_script",
            "rs_init_notifies",
            "checker_log_all_failures",
        ],
    ),
    (
        "global_defs",
        InNone("about the threads of the checks, which no table shows"),
        &[
            "checker_process_name",
            "checker_priority",
            "checker_rt_priority",
            "checker_no_swap",
            "checker_cpu_affinity",
            "checker_rlimit_rttime",
        ],
    ),
    (
        "virtual_server",
        In("keywords"),
        &[
            "protocol",
            "lvs_sched",
            "lvs_method",
            "persistence_timeout",
            "persistence_granularity",
            "persistence_engine",
            "ops",
            "hashed",
            "flag-1",
            "flag-2",
            "flag-3",
            "sh-port",
            "sh-fallback",
            "mh-port",
            "mh-fallback",
            "weight",
            "ip_family",
            "real_server",
        ],
    ),
    (
        "virtual_server",
        In("checks"),
        &[
            "delay_loop",
            "warmup",
            "inhibit_on_failure",
            "alpha",
            "omega",
            "quorum",
            "hysteresis",
            "sorry_server",
            "sorry_server_inhibit",
            "sorry_server_lvs_method",
        ],
    ),
    (
        "virtual_server",
        In("probes"),
        &[
            "connect_timeout",
            "retry",
            "delay_before_retry",
            "ha_suspend",
            "virtualhost",
        ],
    ),
    (
        "virtual_server",
        InNone("about what is told, which no table shows"),
        &["quorum_up", "quorum_down", "smtp_alert"],
    ),
    (
        "virtual_server",
        InNone("for the embedded proxy"),
        &["proxy_protocol"],
    ),
    (
        "real_server",
        In("keywords"),
        &["weight", "lvs_method", "uthreshold", "lthreshold"],
    ),
    (
        "real_server",
        In("checks"),
        &[
            "inhibit_on_failure",
            "TCP_CHECK",
            "HTTP_GET",
            "SMTP_CHECK",
            "DNS_CHECK",
            "MISC_CHECK",
            "UDP_CHECK",
            "PING_CHECK",
        ],
    ),
    (
        "real_server",
        In("probes"),
        &[
            "alpha",
            "retry",
            "delay_before_retry",
            "warmup",
            "connect_timeout",
            "delay_loop",
            "virtualhost",
            "SSL_GET",
            "FILE_CHECK",
        ],
    ),
    (
        "real_server",
        InNone("about what is told, which no table shows"),
        &["notify_up", "notify_down", "smtp_alert"],
    ),
    (
        "TCP_CHECK",
        In("probes"),
        &[
            "connect_ip",
            "connect_port",
            "bindto",
            "bind_port",
            "bind_if",
            "connect_timeout",
            "fwmark",
            "retry",
            "delay_before_retry",
            "warmup",
            "delay_loop",
            "alpha",
            "log_all_failures",
        ],
    ),
    (
        "HTTP_GET",
        In("probes"),
        &["connect_port", "url", "fast_recovery", "virtualhost"],
    ),
    ("SSL_GET", In("probes"), &["connect_port", "url", "enable_sni"]),
    (
        "HTTP_GET",
        In("checks"),
        &["connect_timeout", "delay_before_retry"],
    ),
    (
        "url",
        In("probes"),
        &["path", "digest", "status_code", "virtualhost"],
    ),
    (
        "url",
        InNone("no pattern for `ok` was seen to match with keepalived 2.2.7"),
        &[
            "regex",
            "regex_no_match",
            "regex_options",
            "regex_min_offset",
            "regex_max_offset",
        ],
    ),
    (
        "HTTP_GET",
        InNone("the version of a request does not show in a table"),
        &["http_protocol"],
    ),
    (
        "SMTP_CHECK",
        In("probes"),
        &["connect_port", "connect_timeout", "helo_name"],
    ),
    (
        "SMTP_CHECK",
        InNone("an old form that keepalived 2.2.7 warns of"),
        &["host"],
    ),
    (
        "DNS_CHECK",
        In("probes"),
        &["connect_port", "connect_timeout", "retry", "type", "name"],
    ),
    (
        "MISC_CHECK",
        In("probes"),
        &["misc_path", "misc_timeout", "user", "retry", "delay_before_retry"],
    ),
    ("MISC_CHECK", In("checks"), &["misc_dynamic"]),
    (
        "UDP_CHECK",
        In("probes"),
        &[
            "connect_port",
            "connect_timeout",
            "payload",
            "require_reply",
            "min_reply_length",
            "max_reply_length",
        ],
    ),
    (
        "PING_CHECK",
        In("probes"),
        &["connect_ip", "connect_timeout", "retry"],
    ),
    ("FILE_CHECK", In("probes"), &["track_file", "weight"]),
];

/// Options that mean the same in every check, and are read and converted by the same code: it is enough that one says them.
const COMMON: &str = "TCP_CHECK";

#[derive(Clone, Copy, PartialEq)]
enum Place {
    In(&'static str),
    InNone(&'static str),
}
use Place::{In, InNone};

/// The first word of each line with the first word of the block around it, and all words of the lines.
fn said(text: &str) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut said: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    let mut around = vec![String::new()];
    for line in text.lines() {
        let line = line.split(['#', '!']).next().unwrap_or_default();
        let line = line.replace('{', " {\n").replace('}', "\n}\n");
        for part in line.lines().map(str::trim) {
            let words: Vec<&str> = part.split_whitespace().collect();
            match words.first() {
                None => {}
                Some(&"}") => drop(around.pop()),
                Some(first) => {
                    let key = (around.last().cloned().unwrap_or_default(), (*first).to_owned());
                    let rest = words[1..].iter().map(|word| (*word).to_owned());
                    said.entry(key).or_default().extend(rest);
                    if words.last() == Some(&"{") {
                        around.push((*first).to_owned());
                    }
                }
            }
        }
    }
    said
}

fn blocks() -> impl Iterator<Item = (&'static str, &'static [Keyword])> {
    let all = vocabulary().into_iter();
    all.flat_map(|block| block.name.split(", ").map(move |name| (name, block.keywords)))
        .filter(|(name, _)| SAID.iter().any(|(block, _, _)| block == name))
}

#[test]
fn each_keyword_is_said_in_a_file_or_there_is_a_reason() {
    let supported = |keyword: &&Keyword| matches!(keyword.support, Support::Supported { .. });
    let common: BTreeSet<&str> = blocks()
        .find(|(name, _)| *name == COMMON)
        .map(|(_, keywords)| keywords.iter().map(Keyword::name).collect())
        .unwrap();
    let mut missing = Vec::new();
    for (name, keywords) in blocks() {
        let is_ours = |keyword: &&Keyword| {
            // The others of this block are about something else.
            name != "global_defs"
                || ["lvs_", "rs_", "checker_"]
                    .iter()
                    .any(|start| keyword.name().starts_with(start))
        };
        // What keepalived 2.2.7 does not know cannot be held beside it.
        let there = |keyword: &&Keyword| !keyword.is_new();
        for keyword in keywords.iter().filter(supported).filter(is_ours).filter(there) {
            let is_named = |block: &str| {
                SAID.iter()
                    .any(|(of, _, words)| *of == block && words.contains(&keyword.name()))
            };
            let is_twin = match name {
                "HTTP_GET" => is_named("SSL_GET"),
                "SSL_GET" => is_named("HTTP_GET"),
                _ => false,
            };
            let is_common = name.ends_with("_CHECK") || name.ends_with("_GET");
            let is_said_elsewhere = is_common && common.contains(keyword.name());
            if !(is_named(name) || is_twin || is_said_elsewhere) {
                missing.push(format!("{} of {name}", keyword.name()));
            }
        }
    }
    assert!(missing.is_empty(), "in no file, and no reason why: {missing:#?}");

    let known: BTreeMap<&str, &[Keyword]> = blocks().collect();
    for (block, place, words) in SAID {
        for word in *words {
            let keyword = known[block].iter().find(|keyword| keyword.name() == *word);
            let keyword = keyword.unwrap_or_else(|| panic!("{block} has no {word}"));
            let In(file) = place else { continue };
            let lines = said(&text(file));
            let is_said =
                |spelling: &&str| lines.contains_key(&((*block).to_owned(), (**spelling).to_owned()));
            assert!(
                keyword.spellings.iter().any(is_said),
                "{word} of {block} is not said in {file}.conf"
            );
        }
    }
}

#[test]
fn each_word_that_may_stand_behind_a_keyword_is_said() {
    let all: String = ["keywords", "checks", "probes", "following", "both"]
        .map(text)
        .concat();
    let said = said(&all);
    let behind = |keyword: &str, spellings: &[&str]| -> BTreeSet<String> {
        let lines = said
            .iter()
            .filter(|((_, first), _)| spellings.contains(&first.as_str()) || first == keyword);
        lines.flat_map(|(_, words)| words.clone()).collect()
    };
    for (name, keywords) in blocks().filter(|(name, _)| *name == "virtual_server") {
        for keyword in keywords {
            let Range::OneOf(words) = keyword.range else {
                continue;
            };
            let there = behind(keyword.name(), keyword.spellings);
            let missing: Vec<&&str> = words.iter().filter(|word| !there.contains(**word)).collect();
            assert!(
                missing.is_empty() || ["proxy_protocol", "ip_family"].contains(&keyword.name()),
                "{} of {name}: {missing:?}",
                keyword.name()
            );
        }
    }
    let methods = behind("lvs_method", &["lvs_method", "lb_kind"]);
    for word in [
        "NAT", "DR", "TUN", "gue", "gre", "csum", "remcsum", "port", "type",
    ] {
        assert!(methods.contains(word), "{word}");
    }
}
