//! What a configuration comes to in IPVS, without a kernel: the file read and converted, the verdicts given, the table made by
//! the data plane on a kernel in memory.
//!
//! `fixtures/ipvs/NAME.conf` is the configuration, `fixtures/ipvs/NAME.rules` what it has to come to, in ipvsadm's words.

use std::collections::BTreeSet;
use std::path::Path;

use ha_stack::{Balancer, Conversion, ConvertOptions, DataPlane as _, Extent, IpvsPlane};
use ipvs_netlink::{Client, SimulatedKernel, Table, parse_rules, write_rules};
use keepalived_conf::{Configuration, Options, System};

/// Whether a real server of the checks' file is up, and with which weight if not its own.
fn verdict(server: &str, port: u16) -> (bool, Option<u32>) {
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

fn comes_to(name: &str, is_checked: bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ipvs");
    let text = std::fs::read_to_string(folder.join(format!("{name}.conf"))).unwrap();
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

    let rules = std::fs::read_to_string(folder.join(format!("{name}.rules"))).unwrap();
    let expected = Table::from_requests(&parse_rules(&rules).unwrap());
    let (there, expected) = (lines(&client.snapshot().unwrap().table()), lines(&expected));
    let differences: Vec<&String> = there.symmetric_difference(&expected).collect();
    assert!(differences.is_empty(), "{name}: {differences:#?}");
}

#[test]
fn every_keyword_shows_in_the_table() {
    comes_to("keywords", false);
    comes_to("following", false);
}

#[test]
fn verdicts_quorums_and_sorry_servers_show_in_the_table() {
    comes_to("checks", true);
}
