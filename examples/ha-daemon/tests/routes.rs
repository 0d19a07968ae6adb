//! What a keepalived.conf puts on a host besides virtual addresses: static addresses and routes, virtual routes and rules,
//! macvlans.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod lab;

use lab::{Host, INTERFACE, Pair, until};

const CONFIG: &str = "/etc/keepalived/keepalived.conf";
const VIP: &str = "10.1.10.7";
const FIXED: &str = "10.1.10.50";

#[test]
#[ignore = "needs root and network namespaces"]
fn static_objects_stay_and_virtual_ones_move_with_the_role() {
    let Pair {
        first,
        second: _second,
    } = Pair::new();
    first.write(
        CONFIG,
        &format!(
            "static_ipaddress {{\n {FIXED}/24 dev {INTERFACE}\n}}\n\
             static_routes {{\n 10.98.0.0/16 via 10.1.10.2 dev {INTERFACE}\n blackhole 10.97.0.0/16\n}}\n\
             vrrp_instance A {{\n interface {INTERFACE}\n virtual_router_id 7\n priority 200\n version 3\n\
             advert_int 0.1\n virtual_ipaddress {{\n {VIP}\n }}\n\
             virtual_routes {{\n 10.99.0.0/16 via 10.1.10.2 dev {INTERFACE}\n }}\n\
             virtual_rules {{\n from {VIP} table 100 preference 77\n }}\n}}\n"
        ),
    );
    let ours = env!("CARGO_BIN_EXE_ha-daemon");
    let mut running = first.start(ours, &["run", "--config", CONFIG]);
    until("the address to come", || first.holds(VIP));
    until("everything to be there", || {
        first.holds(FIXED) && all(&first).iter().all(|there| *there)
    });

    // Somebody tidies up.
    first.run("ip", &["addr", "del", &format!("{FIXED}/24"), "dev", INTERFACE]);
    until("the static address to be put back", || first.holds(FIXED));

    running.signal("-TERM");
    assert_eq!(running.wait(), Some(0));
    assert!(!first.holds(FIXED) && !first.holds(VIP));
    assert_eq!(all(&first), [false; 4]);
}

/// As keepalived 2.2.7 places them. `no_accept` is said to be impossible where it is, and is no reason not to start.
#[test]
#[ignore = "needs root and network namespaces"]
fn addresses_are_behind_the_macs_that_are_asked_for() {
    let Pair {
        first,
        second: _second,
    } = Pair::new();
    first.write(
        CONFIG,
        &format!(
            "vrrp_instance A {{\n interface {INTERFACE}\n virtual_router_id 7\n priority 200\n version 3\n\
             advert_int 0.1\n use_vmac\n use_vmac_addr\n no_accept\n virtual_ipaddress {{\n {VIP}\n }}\n\
             virtual_ipaddress_excluded {{\n {FIXED} dev {INTERFACE}\n fd00:7::1/64\n }}\n}}\n"
        ),
    );
    let ours = env!("CARGO_BIN_EXE_ha-daemon");
    let mut running = first.start(ours, &["run", "--config", CONFIG]);
    let on = |link: &str| first.run("ip", &["-o", "addr", "show", "dev", link]).1;
    until("the addresses to come", || {
        on("vrrp.7").contains(VIP) && on("vrrp.7").contains(FIXED) && on("vrrp6.7").contains("fd00:7::1")
    });
    let links = first.run("ip", &["-o", "link", "show"]).1;
    assert!(
        links.contains("00:00:5e:00:01:07") && links.contains("00:00:5e:00:02:07"),
        "{links}"
    );
    running.signal("-TERM");
    assert_eq!(running.wait(), Some(0));
    assert!(!first.run("ip", &["-o", "link", "show"]).1.contains("vrrp"));
}

/// Whether each route and the rule is there.
fn all(host: &Host) -> [bool; 4] {
    let routes = host.run("ip", &["route"]).1;
    let rules = host.run("ip", &["rule"]).1;
    [
        routes.contains("10.98.0.0/16 via 10.1.10.2"),
        routes.contains("blackhole 10.97.0.0/16"),
        routes.contains("10.99.0.0/16 via 10.1.10.2"),
        rules.contains(&format!("from {VIP} lookup 100")),
    ]
}
