//! Every mistake is shown at its character, all of them in one run.

mod support;

use keepalived_conf::{Configuration, Error, Severity};
use support::{errors, read, shown};

/// A virtual router that is whole, with lines of the test in it from line 4 on.
fn router(lines: &str) -> String {
    format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 51\n{lines}\nvirtual_ipaddress {{ 10.0.0.1 }}\n}}\n"
    )
}

fn one(text: &str) -> String {
    let (_, report) = read(text);
    let found = shown(&report);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

/// What a virtual server does not do, or not as it reads, is said; keepalived is silent about some of it.
#[test]
fn what_a_virtual_server_does_not_do_is_said() {
    let text = |lines: &str, of_real: &str| {
        format!(
            "virtual_server 10.0.0.1 80 {{\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\n{lines}\nreal_server 10.0.0.2 80 {{\n{of_real}\nTCP_CHECK {{\n}}\n}}\n}}\n"
        )
    };
    for (lines, of_real, wanted) in [
        (
            "sorry_server fd00::9 80",
            "",
            "the sorry server fd00::9 is of another family than the virtual server: there is none",
        ),
        ("sh-port", "", "`sh-port` is for `lvs_sched sh`: it is ignored"),
        (
            "sorry_server_inhibit",
            "",
            "`sorry_server_inhibit` without a `sorry_server` is ignored",
        ),
        (
            "quorum 3\nhysteresis 1",
            "weight 3",
            "quorum and hysteresis are 4 together, and all real servers weigh 3: the quorum is never met, from the start on",
        ),
        (
            "quorum 9",
            "weight 3",
            "the quorum 9 is more than all real servers together weigh: 3 is taken",
        ),
        ("weight 0", "", "0 is outside 1..2147483647"),
        (
            "",
            "weight 0",
            "no real server has a weight: the quorum is never met",
        ),
        (
            "",
            "HTTP_GET {\n}",
            "a check of pages without a `url` checks nothing: it is left out",
        ),
        ("", "FILE_CHECK {\ntrack_file none\n}", "no track_file `none`"),
    ] {
        let found = one(&text(lines, of_real));
        assert!(found.ends_with(wanted), "{found}");
    }
    for lines in [
        "delay_loop 86400",
        "delay_before_retry 7200",
        "quorum 2\nhysteresis 1\nweight 3",
    ] {
        assert_eq!(shown(&read(&text(lines, "")).1), [""; 0], "{lines}");
    }
}

#[test]
fn broken_input_is_an_error_with_its_place() {
    for (text, wanted) in [
        (
            "vrrp_instance A {\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress { 10.0.0.1 }\n",
            "1:17 error the block of `vrrp_instance` that begins here is never closed: `}` missing",
        ),
        (
            "vrrp_instance A {\ninterface eth0\nvirtual_ipaddress { 10.0.0.1 }\n}",
            "1:1 error `A` has no virtual_router_id",
        ),
        (
            "vrrp_instance A {\nvirtual_router_id 1\nvirtual_ipaddress { 10.0.0.1 }\n}",
            "1:1 error `A` has no interface",
        ),
        (&router("}\n{"), "5:1 error a block without a keyword before it"),
        (&format!("{}}}\n", router("")), "7:1 error extra `}`"),
        (&router("priority 256"), "4:10 error 256 is outside 1..255"),
        (&router("priority 20x"), "4:10 error `20x` is no whole number"),
        (
            &router("prioriti 20"),
            "4:1 error unknown keyword `prioriti` in `vrrp_instance`",
        ),
        (
            &router("virtual_ipaddress {\n 10.0.0.300\n}"),
            "5:2 error `10.0.0.300` is no IP address",
        ),
        (
            &router("virtual_ipaddress {\n 10.0.0.3/33\n}"),
            "5:2 error `10.0.0.3/33` has no such prefix length",
        ),
        (
            &router("virtual_ipaddress {\n fe80::1\n}"),
            "error 10.0.0.1 is of another family than fe80::1",
        ),
        (
            &router("track_script { nobody }"),
            "4:16 error no vrrp_script `nobody`",
        ),
        (
            &router("authentication { auth_type AH }"),
            "4:18 error the authentication header (AH) is not supported",
        ),
        (
            &router("notify_master \"/bin/true"),
            "4:15 error quotation mark without its partner",
        ),
        (
            &router("authentication { auth_pass }"),
            "4:18 error `auth_pass` without a value",
        ),
        (
            "vrrp_sync_group G { group { A } }",
            "1:21 error no virtual router `A`",
        ),
        (
            "elephant { }",
            "1:1 error unknown keyword `elephant` outside every block",
        ),
        ("{ a }", "1:1 error a block without a keyword before it"),
        ("\u{1}\u{2}\u{3}", "1:1 error unknown keyword"),
        ("priority\0 1", "1:1 error a line with a NUL byte is ignored"),
        ("~SEQ(N,x) a", "1:1 error this is no sequence"),
        ("$A=$A\n$A", "error a definition that contains itself"),
    ] {
        let (_, report) = read(text);
        let found = shown(&report);
        assert!(
            found.iter().any(|line| line.contains(wanted)),
            "{text}\nwanted {wanted}\n{found:#?}"
        );
        assert_eq!(report.exit_code(false), 1, "{text}\n{found:#?}");
    }
}

#[test]
fn what_keepalived_runs_despite_is_a_warning() {
    for (lines, wanted) in [
        ("garp_master_delay x", "4:19 warning `x` is no whole number"),
        (
            "elephant 5",
            "4:1 warning unknown keyword `elephant` in `vrrp_instance`",
        ),
        ("nb_get_retry 9", "4:1 warning unknown keyword `nb_get_retry`"),
        ("debug 9", "4:7 warning 9 is outside 0..4"),
        (
            "state MASTER\npriority 5\nnopreempt",
            "6:1 warning `state MASTER` clears `nopreempt`",
        ),
        (
            "state MASTER",
            "4:1 warning `state MASTER` without a priority makes this host the owner",
        ),
        ("state SLAVE", "4:7 warning `SLAVE` is not known as `state`"),
        (
            "advert_int 0.4",
            "4:1 warning VRRPv2 knows whole seconds: 0.4 s becomes 1 s",
        ),
        (
            "version 3\nauthentication { auth_type PASS\nauth_pass x }",
            "5:18 warning VRRPv3 has no authentication",
        ),
        (
            "use_ipvlan",
            "4:1 warning `use_ipvlan` is not supported: the addresses are put on",
        ),
        (
            "nopreempt false",
            "4:1 warning `nopreempt` takes no value, so this sets it",
        ),
        (
            "skip_check_adv_addr off",
            "4:1 warning keepalived reads `skip_check_adv_addr off` as `on`",
        ),
        (
            "interface eth1",
            "4:1 warning `interface` is said twice: the last counts",
        ),
        (
            "priority 100 200",
            "4:14 warning `200` is ignored: nothing more is expected here",
        ),
        (
            "track_interface { eth7 }",
            "4:19 warning no interface `eth7` on this host now",
        ),
        (
            "virtual_ipaddress {\n 10.0.0.1 10.0.0.2\n}",
            "5:11 warning unknown option `10.0.0.2`",
        ),
    ] {
        let (_, report) = read(&router(lines));
        let found = shown(&report);
        assert!(
            found.iter().any(|line| line.contains(wanted)),
            "{lines}\nwanted {wanted}\n{found:#?}"
        );
        assert_eq!(errors(&report), Vec::<String>::new(), "{lines}");
    }
}

#[test]
fn all_mistakes_come_in_one_run_and_in_order() {
    let (_, report) = read(&router(
        "priority 0\ngarp_master_delay x\nadvert_int 0\nvirtual_routes {\n 10.0.0.0/8 via x\n}",
    ));
    let lines: Vec<u32> = report
        .diagnostics()
        .iter()
        .map(|each| report.sources().position(each.span.unwrap()).unwrap().line)
        .collect();
    assert_eq!(lines, [4, 5, 6, 8]);
}

#[test]
fn an_unknown_block_says_what_keepalived_makes_of_it() {
    let text = router("elephant {\n a\n}");
    let (_, report) = read(&text);
    assert!(
        report.diagnostics()[0]
            .advice
            .as_ref()
            .unwrap()
            .contains("its `}` ends the block around it")
    );
    assert_eq!(report.diagnostics()[0].severity, Severity::Error);
}

#[test]
fn a_nearly_right_keyword_is_named() {
    let (_, report) = read(&router("advert_in 5"));
    assert_eq!(
        report.diagnostics()[0].advice.as_deref(),
        Some("did you mean `advert_int`?")
    );
}

#[test]
fn a_mistake_in_a_definition_is_shown_where_it_is_written() {
    let text = "$P=900\n$BODY=\\\npriority $P \\\ndebug x\nvrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress { 10.0.0.1 }\n$BODY\n}\n";
    let (_, report) = read(text);
    assert_eq!(shown(&report)[0], "1:4 error 900 is outside 1..255");
    assert!(
        shown(&report).contains(&String::from("4:7 warning `x` is no whole number")),
        "{:?}",
        shown(&report)
    );
}

#[test]
fn two_virtual_routers_cannot_share_a_number_on_one_link() {
    let text = format!(
        "{}{}",
        router("priority 5"),
        router("priority 6").replace("instance A", "instance B")
    );
    assert_eq!(one(&text), "9:1 error `A` and `B` both have VRID 51 on eth0");
    let apart = text.replacen(
        "virtual_ipaddress",
        "unicast_peer { 10.0.0.9 }\nvirtual_ipaddress",
        1,
    );
    assert_eq!(shown(&read(&apart).1), Vec::<String>::new());
}

#[test]
fn a_rejected_report_is_an_error_with_counts() {
    let (_, report) = read("vrrp_instance A { debug 9 }");
    assert_eq!(
        report.into_result().unwrap_err(),
        Error::Rejected {
            errors: 2,
            warnings: 3
        }
    );
}

#[test]
fn a_value_that_the_language_cannot_say_is_an_error() {
    let mut configuration = Configuration::new();
    configuration.instance = Some(String::from("a\"b"));
    assert_eq!(
        configuration.to_keepalived(),
        Err(Error::Unprintable { values: 1 })
    );
}

#[cfg(feature = "render")]
#[test]
fn a_diagnostic_is_drawn_beside_its_line() {
    let (_, report) = read(&router("prioriti 20"));
    let drawn = report.render(false);
    assert!(
        drawn.starts_with("test.conf:4:1: error: unknown keyword `prioriti` in `vrrp_instance`\n"),
        "{drawn}"
    );
    assert!(drawn.contains("4 | prioriti 20\n"), "{drawn}");
    assert!(drawn.contains("^^^^^^^^"), "{drawn}");
    assert!(drawn.contains("did you mean `priority`?"), "{drawn}");
}

#[test]
fn a_long_list_of_mistakes_is_counted_and_not_kept() {
    let text = "x\n".repeat(5_000);
    let (_, report) = read(&text);
    assert_eq!(report.errors(), 5_000);
    assert_eq!(report.diagnostics().len(), 1_000);
}

#[test]
fn random_bytes_are_never_a_configuration() {
    let mut state = 0x1234_5678_9abc_def1_u64;
    for _ in 0..300 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .take(200)
        .collect();
        let host = keepalived_conf::Memory::with_file("x", bytes.clone());
        let (_, report) = Configuration::read(
            std::path::Path::new("x"),
            &host,
            &keepalived_conf::Options::default(),
        );
        // A text that is one comment is a configuration.
        assert!(
            report.errors() > 0 || matches!(bytes[0], b'#' | b'!'),
            "{bytes:?}"
        );
    }
}

#[test]
fn every_error_has_a_place_and_advice() {
    let r = |lines: &str| {
        format!(
            "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 51\n{lines}\nvirtual_ipaddress {{\n10.0.0.1\n}}\n}}\n"
        )
    };
    let mut all: Vec<String> = [
        "vrrp_instance A {\n",
        "}\n",
        "{\n}\n",
        "vrrp_instance {\n}\n",
        "vrrp_instance A B {\n}\n",
        "vrrp_instance A\n",
        "vrrp_instanc A {\n}\n",
        "vrrp_instance A {\ninterface eth0\nvirtual_ipaddress {\n10.0.0.1\n}\n}\n",
        "vrrp_instance A {\nvirtual_router_id 1\nvirtual_ipaddress {\n10.0.0.1\n}\n}\n",
        "include\n",
        "~SEQ(N,x) y\n",
        "~LST(\n",
        "\u{fffd}\u{1}\n",
        "vrrp_script s {\n}\n",
        "vrrp_sync_group G {\ngroup {\nnone\n}\n}\n",
        "virtual_server 10.0.0.300 80 {\n}\n",
        "virtual_server 10.0.0.1 99999 {\n}\n",
        "virtual_server group none {\nreal_server 10.0.0.2 80 {\n}\n}\n",
    ]
    .map(String::from)
    .to_vec();
    all.push(r("") + &r(""));
    all.push(r("") + &r("").replace("instance A", "instance B"));
    for lines in [
        "virtual_router_id 300",
        "virtual_router_id x",
        "virtual_router_id",
        "priority 256",
        "priority 0",
        "prioriti 5",
        "advert_int x",
        "advert_int 300",
        "interface",
        "version 4",
        "nopreempt\npreempt",
        "authentication {\nauth_type PASS\n}",
        "authentication {\nauth_type AH\nauth_pass x\n}",
        "authentication {\nauth_pass x\n}",
        "virtual_ipaddress {\n10.0.0.300\n}",
        "virtual_ipaddress {\n10.0.0.3/33\n}",
        "virtual_ipaddress {\nfd00::1\n}",
        "virtual_ipaddress 10.0.0.2",
        "unicast_peer {\n10.0.0.x\n}",
        "mcast_src_ip 1.2.3",
        "track_script {\nnone\n}",
        "unicast_src_ip fd00::1",
        "virtual_ipadress {\n10.0.0.2\n}",
        "notify_master \"/bin/true",
        "virtual_routes {\nvia 10.0.0.1\n}",
        "preempt_delay 2000",
    ] {
        all.push(r(lines));
    }
    for text in &all {
        let (_, report) = Configuration::parse(text);
        let errors = report
            .diagnostics()
            .iter()
            .filter(|each| each.severity == Severity::Error);
        let mut count = 0;
        for error in errors {
            assert!(
                error.span.is_some() && error.advice.is_some(),
                "{}: {text}",
                error.message
            );
            count += 1;
        }
        assert!(count > 0, "{text}");
        assert_eq!(report.exit_code(false), 1, "{text}");
    }
}
