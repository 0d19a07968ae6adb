//! A clock that somebody sets: by an hour, in both directions. This machine is our own, and so is its clock.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::lab::{Daemon, Host, INTERFACE, Segment, until};

/// What one director is to do: elections of two versions, a script that is checked each second, a server that is checked each
/// second. With so much time for each that a machine which stands still for seconds does nothing of itself.
fn config(priority: u8) -> String {
    let instance = |vrid: u8, more: &str| {
        format!(
            "vrrp_instance V{vrid} {{\n interface {INTERFACE}\n virtual_router_id {vrid}\n priority {priority}\n{more}\n \
             virtual_ipaddress {{\n  10.5.0.{vrid}\n }}\n}}\n"
        )
    };
    format!(
        "vrrp_script well {{\n script \"/bin/true\"\n interval 1\n timeout 60\n}}\n{}{}\
         virtual_server 10.5.0.51 80 {{\n protocol TCP\n lb_algo rr\n lb_kind DR\n delay_loop 1\n \
         real_server 10.5.0.1 81 {{\n  MISC_CHECK {{\n   misc_path \"/bin/true\"\n   misc_timeout 60\n  }}\n }}\n}}\n",
        instance(51, " advert_int 5\n track_script {\n  well\n }"),
        instance(52, " version 3\n advert_int 5"),
    )
}

/// Moves the clock by so many seconds.
fn set(host: &Host, seconds: i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let then = i64::try_from(now.as_secs()).unwrap() + seconds;
    host.done(&["date", "-s", &format!("@{then}")]);
}

/// How many advertisements a director has sent, of each.
fn sent(host: &Host) -> Vec<u64> {
    let control = host.path("control");
    let text = host.done(&[
        env!("CARGO_BIN_EXE_ha-daemon"),
        "status",
        "--json",
        "--control",
        &control,
    ]);
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    let routers = status["virtual_routers"].as_array().unwrap();
    routers
        .iter()
        .map(|router| router["statistics"]["advertisements_sent"].as_u64().unwrap())
        .collect()
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn a_clock_that_is_set_moves_nothing() {
    if !Path::new("/lab/.command").exists() {
        println!("left out: the clock of a machine that is not the laboratory's is not ours to set");
        return;
    }
    let segment = Segment::new();
    let hosts = ["one", "two"].map(|name| {
        let number = if name == "one" { 1 } else { 2 };
        segment.host(name, &[&format!("10.5.0.{number}/24")])
    });
    let [one, two] = &hosts;
    let _daemons =
        [(one, 200), (two, 100)].map(|(host, priority)| host.daemon(Daemon::Ours, &config(priority)));
    // On an emulated machine that stands still for seconds the other one may well take over; not again and again.
    for _ in 0..TRIES {
        let steady = || {
            ["10.5.0.51", "10.5.0.52"]
                .iter()
                .all(|address| one.holds(address) && !two.holds(address))
        };
        until("the first to be active", steady);
        let logs = [one.log(), two.log()];
        for seconds in [3600, -7200, 3600] {
            set(one, seconds);
            let before = sent(one);
            until("an advertisement of each", || {
                sent(one).iter().zip(&before).all(|(now, before)| now > before)
            });
        }
        if steady() && logs == [one.log(), two.log()] {
            return;
        }
    }
    panic!("a step of the clock is felt:\n{}\n{}", one.log(), two.log());
}

const TRIES: usize = 5;
