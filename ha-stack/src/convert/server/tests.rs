//! Blocks of virtual servers as plans.

use std::time::Duration;

use healthcheck::{Basis, Check, Kind, Progress, Start};
use keepalived_conf::{Configuration, Memory};

use super::*;
use crate::convert::{Conversion, ConvertOptions};

fn convert(text: &str) -> Conversion {
    let mut host = Memory::default();
    host.programs.insert("/n.sh".to_owned());
    let (configuration, _) = Configuration::parse(text);
    Conversion::of(&configuration, &host, &ConvertOptions::default())
}

/// One virtual server with these lines in it.
fn server(head: &str, lines: &str) -> VirtualServerPlan {
    let text = format!("virtual_server {head} {{\n{lines}\n}}\n");
    let conversion = convert(&text);
    assert_eq!(conversion.errors, [], "{text}");
    VirtualServerPlan::clone(&conversion.plan.virtual_servers[0])
}

/// Its error.
fn error(text: &str) -> String {
    let conversion = convert(text);
    assert_eq!(conversion.errors.len(), 1, "{:?}", conversion.errors);
    conversion.errors[0].message.clone()
}

fn check(lines: &str) -> (Check, healthcheck::Policy) {
    let lines = format!("protocol TCP\ndelay_loop 6\nreal_server 10.0.1.1 80 {{\n{lines}\n}}");
    let plan = server("10.0.0.1 80", &lines);
    let (check, policy) = plan.real_servers[0].checks[0].clone();
    (check, *policy)
}

#[test]
fn the_story_s_file_becomes_what_it_says() {
    let plan = server(
        "10.128.190.248 80",
        "delay_loop 3\nlb_algo rr\nlb_kind DR\npersistence_timeout 0\nprotocol TCP\n\
         real_server 10.128.190.249 80 {\nweight 1\nTCP_CHECK {\nconnect_timeout 10\nretry 3\n\
         delay_before_retry 3\nconnect_port 80\n}\n}",
    );
    assert_eq!(
        (&*plan.name, &*plan.label),
        ("10.128.190.248:80", "[10.128.190.248]:tcp:80")
    );
    assert_eq!(plan.scheduling.name, "rr");
    assert_eq!(plan.forwarding, Forwarding::DirectRoute);
    assert_eq!(plan.persistence, None);
    let real = &plan.real_servers[0];
    assert_eq!((real.weight, real.forwarding), (1, Forwarding::DirectRoute));
    let (check, policy) = &real.checks[0];
    assert_eq!(check.endpoint().addr, "10.128.190.249:80".parse().unwrap());
    assert_eq!(
        (
            policy.interval,
            policy.timeout,
            policy.retry_delay,
            policy.fall.get()
        ),
        (
            Duration::from_secs(3),
            Duration::from_secs(10),
            Some(Duration::from_secs(3)),
            4
        )
    );
    assert_eq!((policy.start, policy.basis), (Start::Up, Basis::AfterCompletion));
}

#[test]
fn settings_are_inherited_from_server_to_real_server_to_check() {
    let policy = |server: &str, real: &str, own: &str| {
        let lines = format!(
            "protocol TCP\n{server}\nreal_server 10.0.1.1 80 {{\n{real}\nTCP_CHECK {{\n{own}\n}}\n}}"
        );
        let plan = self::server("10.0.0.1 80", &lines);
        *plan.real_servers[0].checks[0].1
    };
    let secs = Duration::from_secs;
    let all = |value: u8| {
        format!(
            "delay_loop {value}\nconnect_timeout {value}\nretry {value}\ndelay_before_retry {value}\nwarmup {value}"
        )
    };
    for (server, real, own, expected) in [
        (all(2), String::new(), String::new(), 2),
        (all(2), all(3), String::new(), 3),
        (all(2), all(3), all(4), 4),
    ] {
        let policy = policy(&server, &real, &own);
        assert_eq!(
            (policy.interval, policy.timeout, policy.retry_delay, policy.spread),
            (
                secs(expected),
                secs(expected),
                Some(secs(expected)),
                secs(expected)
            )
        );
        assert_eq!(u64::from(policy.fall.get()), expected + 1);
    }
    let default = policy("", "", "");
    assert_eq!(
        (default.interval, default.spread, default.timeout),
        (secs(60), secs(60), secs(5))
    );
    assert_eq!(policy("alpha", "", "").start, Start::Unknown);
    assert_eq!(policy("alpha", "alpha off", "").start, Start::Up);
    assert_eq!(policy("", "", "alpha").start, Start::Unknown);
}

#[test]
fn every_check_has_its_own_defaults() {
    let secs = Duration::from_secs;
    for (lines, retries, delay) in [
        ("TCP_CHECK {\n}", 1, 1),
        ("PING_CHECK {\n}", 1, 1),
        ("UDP_CHECK {\n}", 1, 1),
        ("SMTP_CHECK {\n}", 1, 1),
        ("DNS_CHECK {\n}", 3, 6),
        ("HTTP_GET {\nurl {\npath /\n}\n}", 1, 3),
        ("SSL_GET {\nurl {\npath /\n}\n}", 1, 3),
        ("MISC_CHECK {\nmisc_path /n.sh\n}", 0, 1),
    ] {
        let (_, policy) = check(lines);
        assert_eq!(policy.fall.get(), retries + 1, "{lines}");
        assert_eq!(policy.retry_delay, Some(secs(delay)), "{lines}");
        assert_eq!(policy.interval, secs(6), "{lines}");
    }
    let (misc, policy) = check("MISC_CHECK {\nmisc_path \"/n.sh a b\"\nmisc_dynamic\n}");
    assert!(matches!(misc.kind(), Kind::Script(_)));
    assert_eq!((policy.basis, policy.timeout), (Basis::FixedRate, secs(6)));
    let (_, policy) = check("MISC_CHECK {\nmisc_path /n.sh\nmisc_timeout 2\n}");
    assert_eq!(policy.timeout, secs(2));
}

#[test]
fn a_check_may_go_elsewhere_and_another_way() {
    let (check, _) = check(
        "TCP_CHECK {\nconnect_ip 10.0.2.2\nconnect_port 81\nbindto 10.0.2.1\nbind_port 99\nbind_if eth1\nfwmark 7\n}",
    );
    let endpoint = check.endpoint();
    assert_eq!(endpoint.addr, "10.0.2.2:81".parse().unwrap());
    let way = endpoint.net.as_ref().unwrap();
    assert_eq!(
        (way.source, way.source_port),
        (Some("10.0.2.1".parse().unwrap()), 99)
    );
    assert_eq!((way.device.as_deref(), way.mark), (Some("eth1"), Some(7)));
}

#[test]
fn several_real_servers_with_the_same_check_share_it() {
    let lines =
        "protocol TCP\nreal_server 10.0.1.1 80 {\nHTTP_GET {\nurl {\npath /a\nstatus_code 200\n}\n}\n}";
    let (one, other) = (server("10.0.0.1 80", lines), server("10.0.0.2 80", lines));
    assert_eq!(one.real_servers[0].checks, other.real_servers[0].checks);
}

#[test]
fn a_page_is_asked_for_and_judged_as_written() {
    let (_, policy) = check(
        "HTTP_GET {\nvirtualhost a.example\nurl {\npath /\ndigest 900150983cd24fb0d6963f7d28e17f72\n\
         regex \"ok [0-9]+\"\nregex_options caseless multiline\n}\nurl {\npath /b\nregex no\nregex_no_match\n}\n}",
    );
    assert_eq!(policy.down, Some(Duration::from_secs(6)));
    let block = |url: &str| {
        format!(
            "virtual_server 10.0.0.1 80 {{\nprotocol TCP\nreal_server 10.0.1.1 80 {{\nHTTP_GET {{\nurl {{\n{url}\n}}\n}}\n}}\n}}\n"
        )
    };
    assert_eq!(
        error(&block("path /\ndigest 90")),
        "`90` is no MD5: 32 hexadecimal digits"
    );
    assert!(error(&block("path /\nregex \"(?<!a)b\"")).contains("regular expression"));
}

#[test]
fn a_page_is_asked_for_in_the_version_that_is_said() {
    let request = |lines: &str| {
        let (check, _) = check(&format!("HTTP_GET {{\n{lines}url {{\npath /\n}}\n}}"));
        let mut out = Vec::new();
        check.conversation().unwrap().open(&mut out);
        String::from_utf8(out).unwrap()
    };
    for (lines, version, closes) in [
        ("", "HTTP/1.0", false),
        ("http_protocol 1.0\n", "HTTP/1.0", false),
        ("http_protocol 1.0C\n", "HTTP/1.0", true),
        ("http_protocol 1.1\n", "HTTP/1.1", true),
    ] {
        let request = request(lines);
        assert!(request.starts_with(&format!("GET / {version}\r\n")), "{request}");
        assert_eq!(request.contains("Connection: close\r\n"), closes, "{request}");
    }
}

#[test]
fn an_expression_matches_where_it_is_to_begin() {
    let with = |lines: &str| check(&format!("HTTP_GET {{\nurl {{\npath /\nregex ok\n{lines}}}\n}}")).0;
    let offsets = with("regex_min_offset 2\nregex_max_offset 4\n");
    assert_ne!(offsets, with(""));
    let mut talk = offsets.conversation().unwrap();
    for (page, passed) in [
        ("..ok", true),
        ("....ok", true),
        (".....ok", false),
        ("ok...", false),
    ] {
        talk.open(&mut Vec::new());
        let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        let progress = talk.receive(answer.as_bytes(), &mut Vec::new());
        assert_eq!(progress == Progress::PASSED, passed, "{page}");
    }
}

#[test]
fn ports_are_those_that_the_forwarding_allows() {
    let port = |head: &str, kind: &str, real: &str| {
        let lines = format!("protocol TCP\npersistence_timeout\nlb_kind {kind}\nreal_server {real} {{\n}}");
        server(head, &lines).real_servers[0].address.port()
    };
    assert_eq!(port("10.0.0.1 80", "NAT", "10.0.1.1 8080"), 8080);
    assert_eq!(port("10.0.0.1 80", "DR", "10.0.1.1 8080"), 80);
    assert_eq!(port("10.0.0.1 80", "NAT", "10.0.1.1"), 80);
    assert_eq!(port("10.0.0.1", "NAT", "10.0.1.1"), 0);
    assert_eq!(port("fwmark 7", "NAT", "10.0.1.1 8080"), 8080);
}

#[test]
fn groups_have_a_row_for_each_address_and_mark() {
    let text = "virtual_server_group web {\n10.0.0.1-3 80\n10.0.1.0/31 81\nfwmark 9\n}\n\
                virtual_server group web {\nprotocol TCP\nreal_server 10.0.2.1 80 {\n}\n}\n";
    let plan = convert(text).plan.virtual_servers.remove(0);
    let fronts: Vec<String> = plan.fronts.iter().map(Front::to_string).collect();
    assert_eq!(
        fronts,
        [
            "tcp 10.0.0.1:80",
            "tcp 10.0.0.2:80",
            "tcp 10.0.0.3:80",
            "tcp 10.0.1.0:81",
            "tcp 10.0.1.1:81",
            "fwmark 9"
        ]
    );
    assert_eq!(
        (&*plan.name, &*plan.label, plan.group.as_deref()),
        ("group:web", "[web]:0", Some("web"))
    );
    let huge = text.replace("10.0.0.1-3", "2001:db8::/64");
    assert!(error(&huge).contains("too many addresses"));
}

#[test]
fn schedulers_have_their_flags_and_persistence_its_defaults() {
    let plan = server(
        "10.0.0.1 80",
        "protocol TCP\nlvs_sched mh\nmh-port\nmh-fallback\npersistence_timeout\npersistence_granularity 24\n\
         real_server 10.0.1.1 80 {\n}",
    );
    assert_eq!((&*plan.scheduling.name, plan.scheduling.flags), ("mh", 3));
    let persistence = plan.persistence.unwrap();
    assert_eq!(
        (persistence.seconds, persistence.granularity),
        (360, Granularity::Prefix(24))
    );
    let plan = server("10.0.0.1", "protocol TCP\nreal_server 10.0.1.1 {\n}");
    assert_eq!(plan.persistence.unwrap().seconds, 360, "all ports are persistent");
    let plan = server("10.0.0.1 53", "lvs_sched rr\nops\nreal_server 10.0.1.1 53 {\n}");
    assert!(plan.one_packet);
    assert_eq!(&*plan.name, "10.0.0.1:53/udp", "UDP where nothing is said");
}

#[test]
fn tunnels_sorry_servers_and_scripts_are_taken_over() {
    let plan = server(
        "10.0.0.1 80",
        "protocol TCP\nlb_kind TUN type gue port 6080 csum\nquorum 2\nhysteresis 1\nomega\nha_suspend\n\
         quorum_up \"/n.sh up\"\nquorum_down \"/n.sh down\"\nsorry_server 10.0.9.9\nsorry_server_inhibit\n\
         sorry_server_lvs_method NAT\ninhibit_on_failure\nweight 4\n\
         real_server 2001:db8::1 80 {\nnotify_up \"/n.sh 1\"\nuthreshold 9\nlthreshold 8\nsmtp_alert off\n}\n\
         real_server 10.0.1.2 80 {\ninhibit_on_failure off\nweight 0\n}",
    );
    let Forwarding::Tunnel(Tunnel::Gue { port, checksum }) = plan.forwarding else {
        panic!("{:?}", plan.forwarding)
    };
    assert_eq!((port.get(), checksum), (6080, TunnelChecksum::Own));
    assert_eq!(
        (plan.quorum, plan.hysteresis, plan.omega, plan.mail),
        (2, 1, true, false)
    );
    assert_eq!(plan.suspended_without, Some("10.0.0.1".parse().unwrap()));
    assert_eq!(plan.hooks.down.unwrap().to_string(), "/n.sh down");
    let sorry = plan.sorry_server.unwrap();
    assert_eq!(
        (sorry.address.port(), sorry.forwarding, sorry.inhibit),
        (0, Forwarding::Masquerade, true)
    );
    let [one, two] = plan.real_servers.as_slice() else {
        panic!()
    };
    assert_eq!(
        (one.weight, one.inhibit, one.upper_threshold, one.lower_threshold),
        (4, true, 9, 8)
    );
    assert_eq!(
        (one.mail, two.mail, two.inhibit, two.weight),
        (false, true, false, 0)
    );
    let hooks = one.hooks.as_ref().unwrap();
    assert_eq!(hooks.up.as_ref().unwrap().to_string(), "/n.sh 1");
    assert_eq!(two.hooks, None);
}

#[test]
fn what_holds_for_all_is_taken_over() {
    let text = "global_defs {\nlvs_flush\nlvs_flush_on_stop\nlvs_timeouts tcp 60 udp 30\nrs_init_notifies\n\
                checker_log_all_failures\nlvs_notify_fifo /run/lvs.fifo\nlvs_sync_daemon eth1 VI_1 ttl 3\n}\n\
                vrrp_instance VI_1 {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {\n10.0.0.1\n}\n}\n";
    let plan = convert(text).plan;
    let balance = plan.balance;
    assert!(
        balance.flush && balance.flush_on_stop && balance.initial_notifications && balance.log_all_failures
    );
    assert_eq!(
        (
            balance.timeouts.tcp,
            balance.timeouts.tcp_fin,
            balance.timeouts.udp
        ),
        (Some(60), None, Some(30))
    );
    let synchronization = balance.synchronization.unwrap();
    assert_eq!(
        (
            &*synchronization.interface,
            synchronization.id,
            synchronization.ttl
        ),
        ("eth1", 51, Some(3))
    );
    assert_eq!(synchronization.router.as_deref(), Some("VI_1"));
    assert_eq!(plan.fifos[0].subject, crate::plan::FifoSubject::Servers);
    assert!(error(&text.replace("eth1 VI_1", "eth1 VI_2")).contains("no vrrp_instance `VI_2`"));
    assert!(
        !convert("global_defs {\nlvs_flush_on_stop VS\n}\n")
            .plan
            .balance
            .flush_on_stop
    );
}

#[test]
fn a_check_may_log_its_failures_on_its_own() {
    let text = "virtual_server 10.0.0.1 80 {\nprotocol TCP\nreal_server 10.0.1.1 80 {\n\
                TCP_CHECK {\n}\nTCP_CHECK {\nlog_all_failures\n}\nHTTP_GET {\nlog_all_failures\n}\n\
                SMTP_CHECK {\nlog_all_failures on\nhost {\n}\nhost {\n}\n}\n\
                DNS_CHECK {\nlog_all_failures off\n}\nPING_CHECK {\nlog_all_failures\n}\n}\n}\n";
    let plan = convert(text).plan;
    let real = &plan.virtual_servers[0].real_servers[0];
    // HTTP_GET without a url asks for nothing.
    assert_eq!(real.log_failures, [false, true, true, true, false, true]);
    assert_eq!(real.checks.len(), real.log_failures.len());
    assert!(!plan.balance.log_all_failures);
}

#[test]
fn what_cannot_be_carried_out_is_an_error() {
    let block = |head: &str, lines: &str| format!("virtual_server {head} {{\nprotocol TCP\n{lines}\n}}\n");
    let real = "real_server 10.0.1.1 80 {\n}";
    assert!(error(&block("fwmark 0", real)).contains("mark 0"));
    assert!(error(&block("10.0.0.1 80", "real_server 2001:db8::1 80 {\n}")).contains("another family"));
    let no_port = "persistence_timeout\nreal_server 10.0.1.1 {\nTCP_CHECK {\n}\n}";
    assert!(error(&block("10.0.0.1", no_port)).contains("connect_port"));
    let missing = "real_server 10.0.1.1 80 {\nMISC_CHECK {\nmisc_path /missing\n}\n}";
    assert!(error(&block("10.0.0.1 80", missing)).contains("nothing would be checked"));
    let file = "real_server 10.0.1.1 80 {\nFILE_CHECK {\ntrack_file f\n}\n}";
    let file = block("10.0.0.1 80", file) + "track_file f {\n}\n";
    assert!(error(&file).contains("the track_file `f` names no file"));
    let twice = block("10.0.0.1 80", real).repeat(2);
    assert_eq!(error(&twice), "10.0.0.1:80 is configured twice");
}

#[test]
fn full_nat_is_for_the_proxy() {
    let text = "virtual_server 10.0.0.1 80 {\nprotocol TCP\nlb_kind NAT\n\
                real_server 10.0.1.1 80 {\nlvs_method FNAT\n}\nreal_server 10.0.1.2 80 {\n}\n}\n";
    let (configuration, _) = Configuration::parse(text);
    let with = |full_nat: Option<bool>| {
        let options = ConvertOptions {
            full_nat,
            ..ConvertOptions::default()
        };
        let conversion = Conversion::of(&configuration, &Memory::default(), &options);
        let messages = |problems: &[crate::convert::Problem]| -> Vec<String> {
            problems.iter().map(|problem| problem.message.clone()).collect()
        };
        (messages(&conversion.errors), messages(&conversion.warnings))
    };
    assert_eq!(with(Some(true)), (vec![], vec![]));
    let (errors, warnings) = with(Some(false));
    assert_eq!(
        (errors, warnings.len()),
        (
            vec!["the kernel's IPVS has no FNAT: use NAT, DR or TUN, or --data-plane proxy".to_owned()],
            0
        )
    );
    let (errors, warnings) = with(None);
    assert!(errors.is_empty() && warnings.len() == 1 && warnings[0].contains("is left out"));
}
