//! The exit status that a report predicts, beside the one that `keepalived -t` gives for the same text.

mod balancer;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use keepalived_conf::{Configuration, Keyword, Options, Range, System, vocabulary};

/// A virtual router that is whole, with lines of the test in it.
fn router(lines: &str) -> String {
    format!(
        "vrrp_instance A {{\ninterface {INTERFACE}\nvirtual_router_id 51\n{lines}\nvirtual_ipaddress {{ 10.0.0.1 }}\n}}\n"
    )
}

/// The first interface of this host that is not the loopback, as a placeholder.
const INTERFACE: &str = "@INTERFACE@";

fn cases() -> Vec<String> {
    let secure = "global_defs {\nenable_script_security\nscript_user root\n}\n";
    let mut cases: Vec<String> = [
        "",
        "! nothing but a comment\n",
        "elephant 5\n",
        "global_defs {\nrouter_id\n}\n",
        "global_defs {\nvrrp_mcast_group4 10.0.0.1\n}\n",
        "global_defs {\nvrrp_garp_master_delay -1\n}\n",
        "global_defs {\nvrrp_version 4\n}\n",
        "global_defs {\nsmtp_server nowhere.invalid\n}\n",
        "global_defs {\nscript_user nosuchuser\n}\n",
        "vrrp_script s {\n}\n",
        "vrrp_sync_group G {\n}\n",
        "include /nonexistent/x.conf\n",
        "include /nonexistent/*.conf\n",
        "include /nonexistent/{x,y}.conf\n",
        "global_defs {\ninclude_check match\n}\ninclude /nonexistent/x.conf\n",
        "global_defs {\ninclude_check match\n}\ninclude /nonexistent/*.conf\n",
        "global_defs {\ninclude_check wildcard_match\n}\ninclude /nonexistent/x.conf\n",
        "global_defs {\ninclude_check wildcard_match\n}\ninclude /nonexistent/*.conf\n",
        "global_defs {\ninclude_check brace_match\n}\ninclude /nonexistent/{x,y}.conf\n",
        "global_defs {\ninclude_check +match\n}\ninclude /nonexistent/x.conf\n",
        "global_defs {\ninclude_check match -match\n}\ninclude /nonexistent/x.conf\n",
        "global_defs {\ninclude_check\n}\ninclude /nonexistent/*.conf\n",
        "global_defs {\ninclude_check elephant\n}\ninclude /nonexistent/x.conf\n",
        "includer /nonexistent/x.conf\n",
        "global_defs {\nmax_auto_priority\n}\n",
        "global_defs {\nmax_auto_priority 100\n}\n",
        "global_defs {\ninclude_check match\n}\ninclude /etc/nonexistent*.conf\n",
        "global_defs {\ninclude_check wildcard_match\n}\ninclude /etc/nonexistent*.conf\n",
        "includem /nonexistent/x.conf\n",
        "includew /nonexistent/x.conf\n",
        "includew /nonexistent/*.conf\n",
        "includeb /nonexistent/x.conf\n",
        "includeb /nonexistent/{x,y}.conf\n",
        "includea /nonexistent/*.conf\n",
        "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n}\n",
        "virtual_server 10.0.0.1 80 {\nreal_server 10.0.0.2 80 {\nTCP_CHECK {\n}\n}\n}\n",
        "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\nreal_server 10.0.0.2 80 {\nweight 2\nTCP_CHECK {\nconnect_timeout 3\n}\n}\n}\n",
        "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\npersistence_timeout 0\nreal_server 10.0.0.2 80 {\n}\n}\n",
        "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlvs_sched elephant\nlvs_method NAT\nreal_server 10.0.0.2 80 {\n}\n}\n",
        "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\nreal_server 10.0.0.300 80 {\n}\n}\n",
        "vrrp_instance A {\ninterface @INTERFACE@\nvirtual_ipaddress { 10.0.0.1 }\n}\n",
        "vrrp_instance A {\nvirtual_router_id 1\nvirtual_ipaddress { 10.0.0.1 }\n}\n",
        "vrrp_instance A {\ninterface @INTERFACE@\nvirtual_router_id 1\n}\n",
        "vrrp_instance A B {\n}\n",
        "vrrp_instance A {\ninterface @INTERFACE@\nvirtual_router_id 1\nvirtual_ipaddress { 10.0.0.1 }\n",
        "$V=51\nvrrp_instance A {\ninterface @INTERFACE@\nvirtual_router_id $V\nvirtual_ipaddress {\n~SEQ(N,1,3) 10.0.0.$N\n}\n}\n",
        "$B=\\\nvrrp_instance A$N { \\\ninterface @INTERFACE@ \\\nvirtual_router_id $N \\\nvirtual_ipaddress { \\\n10.0.0.$N \\\n} \\\n}\n~SEQ(N,1,3) $B\n",
        "~SEQ(N,2) elephant$N\n",
        "vrrp_instance A\n{ interface @INTERFACE@\nvirtual_router_id 1 \nvirtual_ipaddress\n{ 10.0.0.4\n} }\n",
        "@elephant bad 1\n",
        "@^elephant bad 1\n",
    ]
    .map(String::from)
    .to_vec();
    for lines in [
        "",
        "elephant 5",
        "priority 256",
        "priority 20x",
        "priority 0",
        "priority 100 200",
        "priority",
        "virtual_router_id 300",
        "state SLAVE",
        "state BACKUP\nnopreempt",
        "state MASTER\npriority 5\nnopreempt",
        "state BACKUP\npreempt_delay 1001",
        "state BACKUP\npreempt_delay 3",
        "debug 9",
        "nopreempt true",
        "strict_mode maybe",
        "advert_int 0.4",
        "advert_int 1.5",
        "advert_int 256",
        "advert_int x",
        "version 3\nadvert_int 0.015",
        "notify_master",
        "mcast_src_ip",
        "mcast_dst_ip 10.0.0.1",
        "unicast_peer {\nx\n}",
        "unicast_peer {\n10.0.0.9\n}",
        "use_vmac",
        "use_vmac vrrp.51 02:00:00:00:00:01",
        "use_vmac vrrp.51 00:00:5e:00:01:05",
        "strict_mode on\nstate MASTER\npriority 5",
        "strict_mode on\nuse_vmac vrrp.51 02:00:00:00:00:01",
        "strict_mode on\nuse_vmac\nvmac_xmit_base",
        "strict_mode on\ndown_timer_adverts 5",
        "virtual_ipaddress_excluded {\n10.0.0.1\n10.0.0.2\n10.0.0.2\n}",
        "unicast_peer {\n10.0.0.9\n10.0.0.9\n}",
        "lower_prio_no_advert",
        "smtp_alert",
        "accept",
        "virtual_routes {\n10.9.0.0/16 via 10.0.0.9\n}",
        "virtual_rules {\nfrom 10.9.0.0/16 table 5 preference 7\n}",
        "virtual_rules {\nfrom 10.9.0.0/16 table 5 goto 9 preference 7\n}",
        "virtual_rules {\nfrom 10.9.0.0/16 preference 7\n}",
        "virtual_rules {\nfrom 10.9.0.0/16 goto 5 preference 7\n}",
        "virtual_rules {\nfrom 10.9.0.0/16 table 5 preference 7 protocol 4\n}",
        "virtual_rules {\nfrom 10.9.0.0/16 table 5 preference 7 protocol 4 no_track\n}",
        "virtual_routes {\n10.9.0.0/16 via 10.0.0.9 dev @INTERFACE@ expires 5\n}",
        "virtual_routes {\n10.9.0.0/16 via 10.0.0.9 dev @INTERFACE@ weight 5\n}",
        "virtual_routes {\n10.9.0.0/16 via 10.0.0.9 dev @INTERFACE@ or 10.0.0.8\n}",
        "virtual_routes {\n10.9.0.0/16 via 10.0.0.9 dev @INTERFACE@ quickack 2\n}",
        "virtual_routes {\n10.9.0.0/16 via 10.0.0.9 dev @INTERFACE@ protocol static\n}",
        "virtual_routes {\n10.9.0.0/16 via 10.0.0.9 dev @INTERFACE@ features x\n}",
        "virtual_routes {\n10.9.0.0/16 via 10.0.0.9 dev @INTERFACE@ ttl-propagate on\n}",
        "virtual_routes {\nfd00::/16 dev @INTERFACE@ pref x\n}",
        "virtual_routes {\n10.9.0.0/16 via 10.0.0.9 dev @INTERFACE@ rtt lock 100ms hoplimit 9\n}",
        "virtual_ipaddress_excluded {\nfe80::7\n}",
        "kernel_rx_buf_size 4096",
        "garp_lower_prio_repeat 2",
        "version 3\nadvert_int 41",
        "version 3\nadvert_int 0.5",
        "version 3\nauthentication {\nauth_type PASS\nauth_pass x\n}",
        "authentication {\nauth_type PASS\nauth_pass 1234567890\n}",
        "authentication {\nauth_type PASS\nauth_pass 12345678\n}",
        "authentication {\nauth_type ELEPHANT\n}",
        "authentication {\nauth_pass\n}",
        "garp_master_delay x",
        "garp_master_repeat 0",
        "track_script {\nelephant\n}",
        "track_interface {\nelephant0\n}",
        "track_interface {\n@INTERFACE@ weight 300\n}",
        "virtual_ipaddress {\n10.0.0.300\n}",
        "virtual_ipaddress {\n10.0.0.3/33\n}",
        "virtual_ipaddress {\nfe80::1\n}",
        "virtual_ipaddress {\n10.0.0.4 elephant\n}",
        "virtual_ipaddress {\n10.0.0.4 dev elephant0\n}",
        "virtual_ipaddress {\n10.0.0.4/24 dev @INTERFACE@ label @INTERFACE@:1\n}",
        "mcast_src_ip 1.2.3",
        "}",
        "notify_master \"/bin/true",
        "notify_master /bin/true",
        "interface elephant0",
    ] {
        cases.push(router(lines));
    }
    for script in [
        "/bin/true",
        "/bin/nothere",
        "\"[[ -f /x ]] && exit 1\"",
        "\"/bin/sh -c 'exit 1'\"",
    ] {
        let text = format!(
            "vrrp_script s {{\nscript {script}\n}}\n{}",
            router("track_script {\ns\n}")
        );
        cases.push(format!("{secure}{text}"));
        cases.push(text);
    }
    for line in [
        "interval 0",
        "interval 5",
        "rise 0",
        "fall x",
        "weight 254",
        "user nosuchuser",
        "timeout 1\ninterval 1",
    ] {
        let script = format!("vrrp_script s {{\nscript /bin/true\n{line}\n}}\n");
        cases.push(format!("{secure}{script}{}", router("track_script {\ns\n}")));
    }
    cases.extend(balancer::cases());
    let interface = first_interface();
    cases
        .into_iter()
        .map(|case| case.replace(INTERFACE, &interface))
        .collect()
}

#[test]
#[ignore = "needs root and keepalived"]
fn the_exit_status_is_predicted() {
    let directory = std::env::temp_dir().join(format!("keepalived-conf-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut wrong = Vec::new();
    let all = cases();
    for (number, text) in all.iter().enumerate() {
        let path = directory.join(format!("{number}.conf"));
        std::fs::write(&path, text).unwrap();
        let real = exit_status(&path);
        let (_, report) = Configuration::read(&path, &System, &Options::default());
        let predicted = report.keepalived_exit_code();
        if real != i32::from(predicted) {
            wrong.push(format!(
                "keepalived {real}, predicted {predicted}:\n{text}\n{}",
                headlines(&report)
            ));
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n----\n")
    );
}

#[test]
#[ignore = "needs root and keepalived"]
fn what_is_printed_is_accepted() {
    let interface = first_interface();
    let text = include_str!("../fixtures/balancer.conf").replace("ens1f1", &interface);
    let (configuration, _) = Configuration::parse(&text.replace("persistence_timeout 0", ""));
    let path = std::env::temp_dir().join(format!("keepalived-conf-printed-{}.conf", std::process::id()));
    std::fs::write(&path, configuration.to_keepalived().unwrap()).unwrap();
    let real = exit_status(&path);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(real, 0);
}

#[test]
#[ignore = "needs root and keepalived"]
fn every_keyword_is_one_of_keepalived_s() {
    let interface = first_interface();
    let path = std::env::temp_dir().join(format!("keepalived-conf-keyword-{}.conf", std::process::id()));
    let mut wrong = Vec::new();
    let mut asked = 0;
    for block in vocabulary() {
        for name in block.name.split(", ") {
            let Some((before, after)) = surroundings(name, &interface) else {
                continue;
            };
            for keyword in block.keywords {
                for spelling in keyword.spellings {
                    if NOT_BUILT_IN.contains(spelling) {
                        continue;
                    }
                    let line = format!("{spelling} {}", sample(keyword));
                    std::fs::write(&path, format!("{before}{line}\n{after}")).unwrap();
                    let known = !said(&path).contains(&format!("Unknown keyword '{spelling}'"));
                    asked += 1;
                    if known == keyword.is_new() {
                        let what = if known {
                            "known to 2.2.7"
                        } else {
                            "unknown to 2.2.7"
                        };
                        wrong.push(format!("{name}: {spelling} is {what}"));
                    }
                }
            }
        }
    }
    std::fs::remove_file(&path).unwrap();
    assert!(
        wrong.is_empty(),
        "{} of {asked}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What has to stand around a keyword of a block; `None` for entries of lists, of which keepalived speaks otherwise, and
/// for blocks that 2.2.7 does not have.
fn surroundings(block: &str, interface: &str) -> Option<(String, String)> {
    let instance = format!("vrrp_instance A {{\ninterface {interface}\nvirtual_router_id 51\n");
    let service = "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n";
    let real = format!("{service}real_server 10.0.0.2 80 {{\n");
    Some(match block {
        "outside every block" => (String::new(), String::new()),
        "global_defs" | "SSL" | "garp_group" => (format!("{block} {{\n"), String::from("}\n")),
        "vrrp_instance" => (instance, String::from("}\n")),
        "authentication" => (format!("{instance}authentication {{\n"), String::from("}\n}\n")),
        "vrrp_script" | "track_file" | "vrrp_track_process" | "bfd_instance" | "vrrp_sync_group"
        | "track_group" => (format!("{block} x {{\n"), String::from("}\n")),
        "virtual_server" => (service.to_owned(), String::from("}\n")),
        "real_server" => (real, String::from("}\n}\n")),
        "url" => (
            format!("{real}HTTP_GET {{\nurl {{\n"),
            String::from("}\n}\n}\n}\n"),
        ),
        "host" => (
            format!("{real}SMTP_CHECK {{\nhost {{\n"),
            String::from("}\n}\n}\n}\n"),
        ),
        check if check.ends_with("_CHECK") || check.ends_with("_GET") => {
            (format!("{real}{check} {{\n"), String::from("}\n}\n}\n"))
        }
        _ => return None,
    })
}

/// A value that a keyword may take; whether it is a good one does not matter here.
fn sample(keyword: &Keyword) -> String {
    match keyword.range {
        Range::Flag | Range::Boolean => String::new(),
        Range::Integer { least, .. } => least.max(1).to_string(),
        Range::OneOf(words) => words.first().copied().unwrap_or_default().to_owned(),
        Range::Block(_) => String::from("x 80 {\n}"),
        _ => String::from("1"),
    }
}

/// What `keepalived -t` says.
fn said(path: &PathBuf) -> String {
    let output = Command::new("keepalived")
        .arg("-t")
        .arg("-f")
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn headlines(report: &keepalived_conf::Report) -> String {
    let lines: Vec<String> = report
        .diagnostics()
        .iter()
        .map(|each| report.headline(each))
        .collect();
    lines.join("\n")
}

fn exit_status(path: &PathBuf) -> i32 {
    Command::new("keepalived")
        .arg("-t")
        .arg("-f")
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .code()
        .unwrap_or(-1)
}

/// An interface other than the loopback, which keepalived refuses.
fn first_interface() -> String {
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != "lo")
        .filter(|name| {
            // keepalived wants one that can multicast.
            let flags = std::fs::read_to_string(format!("/sys/class/net/{name}/flags")).unwrap_or_default();
            u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16)
                .is_ok_and(|flags| flags & 0x1000 != 0)
        })
        .collect();
    names.sort();
    names
        .into_iter()
        .next()
        .expect("an interface besides the loopback")
}

/// What Debian's keepalived was built without.
const NOT_BUILT_IN: [&str; 1] = ["vrrp_ipsets"];
