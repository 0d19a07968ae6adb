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

/// Every option of a route and a rule, as keepalived 2.2.7 sets it in the kernel, which is asked both times. Then somebody
/// deletes them.
#[test]
#[ignore = "needs root, network namespaces and keepalived"]
fn routes_and_rules_are_those_of_keepalived_and_are_put_back() {
    let Pair {
        first,
        second: _second,
    } = Pair::new();
    let text = format!(
        "vrrp_instance A {{\n interface {INTERFACE}\n virtual_router_id 7\n priority 200\n version 3\n advert_int 0.1\n\
         virtual_ipaddress {{\n {VIP}\n }}\n virtual_routes {{\n{ROUTES}\n }}\n virtual_rules {{\n{RULES}\n }}\n}}\n\
         static_rules {{\n from 10.80.0.0/16 table 100 preference 90\n}}\n"
    )
    .replace("IF", INTERFACE);
    first.write(CONFIG, &text);
    let seen = || {
        let sorted = |arguments: &[&str]| {
            let (_, text) = first.run("ip", arguments);
            let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
            lines.retain(|line| !line.contains("proto kernel") && !line.contains(VIP));
            lines.sort();
            lines
        };
        let mut all = sorted(&["-d", "route", "show", "table", "all"]);
        all.extend(sorted(&["-d", "rule", "show"]));
        all
    };
    let mut theirs = first.start("keepalived", &["-n", "-P", "-l", "-f", CONFIG]);
    until("keepalived's rules", || {
        seen().iter().any(|line| line.contains("10.79.0.0/16"))
    });
    let of_keepalived = seen();
    theirs.signal("-TERM");
    theirs.wait();

    let ours = env!("CARGO_BIN_EXE_ha-daemon");
    let mut running = first.start(ours, &["run", "--config", CONFIG]);
    until("our rules", || {
        seen().iter().any(|line| line.contains("10.79.0.0/16"))
    });
    assert_eq!(seen(), of_keepalived);

    for route in ["10.61.0.0/16", "10.62.0.0/16", "10.63.0.0/16"] {
        first.run("ip", &["route", "del", route]);
    }
    first.run("ip", &["rule", "del", "preference", "71"]);
    first.run("ip", &["rule", "del", "preference", "90"]);
    until("all of it to be put back", || seen() == of_keepalived);
    // The last route and the last rule are not watched over.
    first.run("ip", &["route", "del", "10.66.0.0/16"]);
    first.run("ip", &["rule", "del", "preference", "79"]);
    first.run("ip", &["route", "del", "10.61.0.0/16"]);
    let left = || {
        let now = seen();
        of_keepalived
            .iter()
            .filter(|line| !now.contains(line))
            .cloned()
            .collect::<Vec<_>>()
    };
    until("what is watched over to be put back", || left().len() == 2);
    assert!(
        left()[0].contains("10.66.0.0/16") && left()[1].contains("10.79.0.0/16"),
        "{:?}",
        left()
    );
    running.signal("-TERM");
    assert_eq!(running.wait(), Some(0));
    assert!(
        !seen()
            .iter()
            .any(|line| line.contains("keepalived") || line.contains("10.6") || line.contains("10.7"))
    );
}

const ROUTES: &str = "10.61.0.0/16 via 10.1.10.2 dev IF tos 8 mtu lock 1400 hoplimit 9 advmss 1000 metric 5
10.62.0.0/16 via 10.1.10.2 dev IF rto_min 300ms cwnd lock 4 ssthresh 5 reordering 4 window 5000 table 100
10.63.0.0/16 dev IF scope link initcwnd 6 initrwnd 7 quickack 1 congctl reno features ecn realms 1/2 fastopen_no_cookie 1
10.64.0.0/16 no_track nexthop via 10.1.10.2 dev IF weight 3 nexthop via 10.1.10.3 dev IF onlink
10.65.0.0/16 dev IF append metric 9
10.66.0.0/16 via 10.1.10.2 dev IF no_track
prohibit 10.67.0.0/16 no_track
fd00:8::/32 dev IF pref high metric 7";

const RULES: &str = "from 10.71.0.0/16 to 10.1.0.0/16 iif IF tos 8 fwmark 5/7 table 100 preference 71
from 10.72.0.0/16 table 100 preference 72 suppress_prefixlength 0 suppress_ifgroup 3 realms 5
from 10.73.0.0/16 goto 90 preference 73 ipproto udp sport 5-9 dport 10-11 protocol 4
from 10.74.0.0/16 table 100 preference 74 uidrange 1-2 tunnel-id 6 not
from 10.75.0.0/16 l3mdev preference 75
from 10.76.0.0/16 prohibit preference 76
from 10.77.0.0/16 unreachable preference 77 oif IF
to 10.78.0.0/16 blackhole preference 78
from 10.79.0.0/16 table 100 preference 79 protocol 4 no_track";

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
