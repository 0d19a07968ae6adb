use std::net::IpAddr;
use std::time::Duration;

use keepalived_conf::{Configuration, Memory};
use vrrp_fsm::{Delivery, Dialect, Parameters, Preempt};
use vrrp_net::Pace;
use vrrp_proto::{AdverInterval, Authentication, Password};

use super::*;
use crate::command::CommandLine;
use crate::plan::{TrackPlan, TrackedObject, VirtualRouterPlan};

fn host() -> Memory {
    let mut host = Memory::default();
    host.programs.insert("killall".to_owned());
    host.programs.insert("/bin/bash".to_owned());
    host.programs.insert("/n.sh".to_owned());
    host
}

fn convert(text: &str) -> Conversion {
    convert_with(text, &ConvertOptions::default())
}

fn convert_with(text: &str, options: &ConvertOptions) -> Conversion {
    let (configuration, _) = Configuration::parse(text);
    Conversion::of(&configuration, &host(), options)
}

/// One virtual router with these lines in it.
fn router(lines: &str) -> VirtualRouterPlan {
    let text = format!(
        "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 51\n{lines}\n\
         virtual_ipaddress {{\n10.0.0.100\n}}\n}}\n"
    );
    let mut conversion = convert(&text);
    assert_eq!(conversion.errors, [], "{text}");
    conversion.plan.virtual_routers.remove(0)
}

fn parameters(lines: &str) -> Parameters {
    router(lines).instance.to_parameters().unwrap()
}

#[test]
fn defaults_are_keepalived_s() {
    let parameters = parameters("");
    assert_eq!(parameters.dialect(), Dialect::Rfc3768);
    assert_eq!(parameters.priority().get(), 100);
    assert_eq!(parameters.adver_interval(), AdverInterval::DEFAULT);
    assert_eq!(parameters.preempt(), Preempt::Immediate);
    assert!(parameters.answers_lower_priority(), "unlike RFC 3768");
    assert_eq!(parameters.announcements().repeat, 5);
    assert_eq!(
        parameters.delivery(),
        &Delivery::Multicast("224.0.0.18".parse().unwrap())
    );
}

#[test]
fn state_master_clears_nopreempt_and_gives_priority_255() {
    assert_eq!(parameters("state MASTER").priority().get(), 255);
    assert_eq!(
        parameters("state MASTER\npriority 90\nnopreempt").preempt(),
        Preempt::Immediate
    );
    assert_eq!(parameters("nopreempt").preempt(), Preempt::Never);
}

#[test]
fn a_password_is_cut_to_eight_bytes_and_is_version_2_only() {
    let lines = "authentication {\nauth_type PASS\nauth_pass frSAmesXYSSFmw\n}";
    assert_eq!(
        parameters(lines).authentication(),
        Authentication::SimplePassword(Password::truncating(b"frSAmesX"))
    );
    assert_eq!(
        parameters(&format!("version 3\n{lines}")).authentication(),
        Authentication::None
    );
}

#[test]
fn intervals_are_those_the_version_can_say() {
    assert_eq!(
        parameters("advert_int 0.4").adver_interval(),
        AdverInterval::DEFAULT
    );
    assert_eq!(
        parameters("version 3\nadvert_int 0.25").adver_interval(),
        AdverInterval::from_centiseconds(25).unwrap()
    );
}

#[test]
fn peers_replace_the_group() {
    let parameters = parameters("unicast_peer {\n10.0.0.2\n10.0.0.3\n}");
    let Delivery::Unicast(peers) = parameters.delivery() else {
        panic!("not unicast");
    };
    let addresses: Vec<IpAddr> = peers.iter().map(|peer| peer.address).collect();
    assert_eq!(
        addresses,
        ["10.0.0.2", "10.0.0.3"].map(|text| text.parse::<IpAddr>().unwrap())
    );
}

#[test]
fn announcements_follow_the_global_and_the_own_setting() {
    let text = "global_defs {\nvrrp_min_garp\nvrrp_garp_master_delay 7\n}\nvrrp_instance V {\ninterface eth0\n\
        virtual_router_id 1\ngarp_master_refresh 60\nvirtual_ipaddress {\n10.0.0.100\n}\n}\n";
    let conversion = convert(text);
    let parameters = conversion.plan.virtual_routers[0]
        .instance
        .to_parameters()
        .unwrap();
    let announcements = parameters.announcements();
    assert_eq!(announcements.repeat, 1, "vrrp_min_garp");
    assert_eq!(announcements.delay.as_secs(), 7, "what is set holds all the same");
    assert_eq!(announcements.refresh.as_secs(), 60);
    assert_eq!(announcements.lower_priority_repeat, 1);
}

#[test]
fn strict_mode_changes_what_it_changes_in_keepalived() {
    let parameters = parameters(
        "strict_mode\nadvert_int 1\ndown_timer_adverts 5\nhigher_prio_send_advert\npreempt_delay 5",
    );
    assert!(!parameters.answers_lower_priority());
    assert!(!parameters.advertises_before_yielding());
    assert_eq!(parameters.down_timer_adverts(), 3);
    assert_eq!(parameters.preempt(), Preempt::Immediate);
    assert_eq!(parameters.announcements().lower_priority_repeat, 0);
}

#[test]
fn packets_are_accepted_as_keepalived_accepts_them() {
    for (lines, accepts) in [
        ("", true),
        ("no_accept", false),
        ("strict_mode", false),
        ("version 3\nstrict_mode\naccept", true),
    ] {
        assert_eq!(parameters(lines).accept_mode(), accepts, "{lines}");
    }
}

#[test]
fn interfaces_of_a_group_share_a_pace() {
    let global = "global_defs {\nvrrp_garp_interval 0.5\nvrrp_gna_interval 0.25\n}\n\
        garp_group {\ninterface eth2\ngarp_interval 1\n}\n\
        garp_group {\ngna_interval 0.125\ninterfaces {\neth1\neth0\n}\n}\n";
    let text = |interface: &str| {
        format!(
            "{global}vrrp_instance V {{\ninterface {interface}\nvirtual_router_id 1\n\
             virtual_ipaddress {{\n10.0.0.1\n}}\n}}\n"
        )
    };
    let millis = Duration::from_millis;
    for (interface, pace) in [
        ("eth0", Pace::new(Duration::ZERO, millis(125)).shared("1")),
        ("eth1", Pace::new(Duration::ZERO, millis(125)).shared("1")),
        ("eth2", Pace::new(millis(1000), Duration::ZERO).shared("0")),
        ("eth3", Pace::new(millis(500), millis(250))),
    ] {
        let conversion = convert(&text(interface));
        let instance = format!("{:?}", conversion.plan.virtual_routers[0].instance);
        assert!(instance.contains(&format!("{pace:?}")), "{instance}");
    }
}

#[test]
fn addresses_elsewhere_have_the_virtual_mac_where_that_is_asked_for() {
    let excluded = "virtual_ipaddress_excluded {\n10.0.1.1/24 dev eth1\n10.0.0.2/24 dev eth0\nfd00::1/64\n\
        10.0.1.2/24 dev eth1 use_vmac\n}";
    for (lines, expected) in [
        ("", [false, false, false, true]),
        ("use_vmac_addr", [true, false, true, true]),
    ] {
        let plan = router(&format!("use_vmac\n{lines}\n{excluded}"));
        let found: Vec<_> = plan.instance.virtual_addresses().skip(1).cloned().collect();
        let written = [
            ("10.0.1.1/24", Some("eth1")),
            ("10.0.0.2/24", Some("eth0")),
            ("fd00::1/64", None),
            ("10.0.1.2/24", Some("eth1")),
        ];
        for ((found, (text, device)), expected) in found.iter().zip(written).zip(expected) {
            let mut address: vrrp_net::VirtualAddress = text.parse().unwrap();
            address = address.excluded();
            if let Some(device) = device {
                address = address.device(device);
            }
            if expected {
                address = address.virtual_mac();
            }
            assert_eq!(*found, address, "{lines}");
        }
    }
}

const STORY_1: &str = r#"
vrrp_script chk_down {
    script "[[ -f /etc/keepalived/down ]] && exit 1 || exit 0"
    interval 2
    weight -5
}
vrrp_script chk_httpd {
    script "killall -0 httpd"
    interval 2
    weight -5
}
vrrp_script unused {
    script "killall -0 other"
}
vrrp_instance VI_1 {
    state MASTER
    interface eth0
    virtual_router_id 51
    priority 100
    virtual_ipaddress {
        10.1.10.7 dev eth0 labeleth0:0
    }
    track_script {
        chk_down
        chk_httpd
    }
    notify_master "/n.sh master"
    notify_fault "/missing.sh fault"
}
"#;

fn track(object: TrackedObject, weight: i16) -> TrackPlan {
    TrackPlan {
        object,
        weight,
        reverse: false,
    }
}

#[test]
fn shell_syntax_is_left_out_unless_there_is_a_shell() {
    let plan = convert(STORY_1).plan;
    let scripts: Vec<&str> = plan.scripts.iter().map(|script| script.name.as_str()).collect();
    assert_eq!(scripts, ["chk_httpd", "unused"]);
    assert_eq!(
        plan.virtual_routers[0].tracks,
        [track(TrackedObject::Script("chk_httpd".to_owned()), -5)]
    );

    let options = ConvertOptions {
        script_shell: Some("/bin/bash".into()),
        ..ConvertOptions::default()
    };
    let plan = convert_with(STORY_1, &options).plan;
    assert_eq!(
        plan.scripts[0].command.to_string(),
        "/bin/bash -c [[ -f /etc/keepalived/down ]] && exit 1 || exit 0"
    );
    assert_eq!(plan.scripts[0].timeout, plan.scripts[0].interval);
    assert_eq!(plan.virtual_routers[0].tracks.len(), 2);
}

#[test]
fn a_script_that_is_not_there_is_no_hook() {
    let hooks = convert(STORY_1).plan.virtual_routers.remove(0).hooks;
    assert_eq!(hooks.master.unwrap().to_string(), "/n.sh master");
    assert_eq!(hooks.fault, None);
}

#[test]
fn weights_come_from_the_entry_or_the_object() {
    let text = r#"
vrrp_script s { script "killall -0 x"; weight 10 reverse }
vrrp_instance V {
    interface eth0
    virtual_router_id 1
    virtual_ipaddress { 10.0.0.1 }
    track_script { s weight -3 noreverse }
    track_interface { eth1 weight 7 reverse eth0 }
}"#
    .replace("; ", "\n")
    .replace("{ ", "{\n")
    .replace(" }", "\n}")
    .replace("reverse eth0", "reverse\neth0");
    let conversion = convert(&text);
    let tracks = &conversion.plan.virtual_routers[0].tracks;
    assert_eq!(
        tracks[0],
        TrackPlan {
            object: TrackedObject::Interface("eth1".to_owned()),
            weight: 7,
            reverse: true
        },
        "{text}"
    );
    assert_eq!(tracks[1], track(TrackedObject::Script("s".to_owned()), -3));
    assert_eq!(tracks.len(), 2, "its own interface is not listed");
}

#[test]
fn a_sync_group_takes_the_weights_of_its_members_away() {
    let member = |name: &str, vrid: u8, tracks: &str| {
        format!(
            "vrrp_instance {name} {{\ninterface eth0\nvirtual_router_id {vrid}\nvirtual_ipaddress {{\n10.0.0.{vrid}\n}}\n{tracks}\n}}\n"
        )
    };
    let text = |option: &str| {
        format!(
            "vrrp_script s {{\nscript \"killall -0 x\"\nweight -5\n}}\n\
             vrrp_script g {{\nscript \"killall -0 y\"\n}}\n\
             vrrp_sync_group G {{\ngroup {{\nA\nB\n}}\ntrack_script {{\ng\n}}\n{option}\nnotify \"/n.sh\"\n}}\n{}{}",
            member(
                "A",
                1,
                "track_script {\ns\n}\ntrack_interface {\neth1 weight 5\n}"
            ),
            member("B", 2, "")
        )
    };
    let conversion = convert(&text(""));
    let [a, b] = &conversion.plan.virtual_routers[..] else {
        panic!("not two");
    };
    let group = track(TrackedObject::Script("g".to_owned()), 0);
    assert_eq!(
        a.tracks,
        [
            track(TrackedObject::Interface("eth1".to_owned()), 0),
            group.clone()
        ]
    );
    assert_eq!(b.tracks, [group]);
    assert_eq!(a.instance.group(), Some("G"));
    let hooks = &conversion.plan.sync_groups[0].hooks;
    assert_eq!(hooks.any.as_ref().unwrap().to_string(), "/n.sh");

    let weighted = convert(&text("sync_group_tracking_weight"));
    assert_eq!(weighted.plan.virtual_routers[0].tracks.len(), 3);
}

#[test]
fn static_addresses_routes_and_rules_are_kept() {
    let conversion = convert(
        "global_defs {\ndefault_interface eth7\n}\nstatic_ipaddress {\n10.0.0.5/24 dev eth0\n10.0.0.6\n}\n\
         static_routes {\n10.9.0.0/16 via 10.0.0.1\n}\nstatic_rules {\nfrom 10.9.0.0/16 table 7 preference 8\n}\n",
    );
    assert_eq!((conversion.errors.len(), conversion.warnings.len()), (0, 0));
    let shown: Vec<String> = conversion
        .plan
        .fixed_addresses
        .iter()
        .map(|fixed| format!("{} {}", fixed.interface, fixed.address))
        .collect();
    assert_eq!(shown, ["eth0 10.0.0.5/24", "eth7 10.0.0.6/32"]);
    assert_eq!(conversion.plan.fixed_routes.len(), 1);
    assert_eq!(conversion.plan.fixed_rules.len(), 1);
}

/// What an instance holds, as its text shows it.
fn shown(lines: &str) -> String {
    format!("{:?}", router(lines).instance)
}

#[test]
fn rules_routes_and_hops_reach_the_driver() {
    let shown = shown(
        "virtual_rules {\nfrom 10.1.0.0/16 table 100 preference 7 fwmark 0x10/0xff not\nto 10.2.0.0/16 blackhole\n\
         from all table 5 uidrange 1-2 sport 5-9 ipproto tcp suppress_prefixlength 0 preference 9 protocol 4 no_track\n\
         from 10.5.0.0/16 goto 3 preference 7\nfrom 10.5.0.0/16 l3mdev preference 8 no_track\nfrom 10.6.0.0/16\n}\n\
         virtual_routes {\n10.3.0.0/16 nexthop via 10.0.0.1 dev eth1 weight 3 nexthop via 10.0.0.2\n\
         10.4.0.0/16 encap mpls 5\n10.7.0.0/16 dev eth0 rtt 100ms mtu lock 1400 congctl cubic realms 1/2 tos 8 no_track protocol static\n\
         10.8.0.0/16 via 10.0.0.1 or 10.0.0.2\n10.9.0.0/16 dev eth0 expires 5\n}\nunicast_peer {\n10.0.0.9\n}\nunicast_ttl 9\npromote_secondaries",
    );
    for part in [
        "preference: 7, action: Table(100), from: Some((10.1.0.0, 16))",
        "mark: Some((16, 255))",
        "invert: true",
        "preference: 16384, action: Blackhole",
        "NextHop { gateway: Some(10.0.0.1), device: Some(\"eth1\"), weight: 3,",
        "NextHop { gateway: Some(10.0.0.2), device: None, weight: 1,",
        "destination: 10.7.0.0, prefix_len: 16",
        "metrics: [Mtu(1400), RoundTripTime(800)], locked: [Mtu(1400)], congestion_control: Some((\"cubic\", false))",
        "tos: 8, protocol: 4, realms: Some(65538), preference: None, expires: None, ttl_propagate: None, tracked: false",
        "protocol: 4, realms: None, suppressed_length: Some(0), suppressed_group: None, users: Some(1..=2), \
         ip_protocol: Some(6), source_ports: Some(5..=9)",
        "preference: 8, action: VrfTable",
        "hop_limit: Some(9)",
        "promote_secondaries: true",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // What would be something else without an option that is not supported is left out, and what makes no sense.
    for left_out in ["10.4.0.0", "Goto", "10.6.0.0", "10.9.0.0"] {
        assert!(!shown.contains(left_out), "{left_out}: {shown}");
    }
    assert_eq!(shown.matches("VirtualRule {").count(), 4);
    assert_eq!(shown.matches("VirtualRoute {").count(), 3);
}

#[test]
fn a_table_without_a_number_is_an_error() {
    let text = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {\n10.0.0.1\n}\n\
                virtual_routes {\n10.3.0.0/16 dev eth0 table blue\n}\n}\n";
    assert_eq!(convert(text).errors.len(), 1);
    let (configuration, _) = Configuration::parse(text);
    let mut host = host();
    host.files
        .insert("/etc/iproute2/rt_tables".into(), "101 blue\n".into());
    let conversion = Conversion::of(&configuration, &host, &ConvertOptions::default());
    assert_eq!(conversion.errors, []);
    let shown = format!("{:?}", conversion.plan.virtual_routers[0].instance);
    assert!(shown.contains("table: 101"), "{shown}");
}

#[test]
fn an_impossible_virtual_router_is_an_error_at_its_place() {
    let text = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 1\n\
                virtual_ipaddress {\n10.0.0.1\nfd00::1\n}\n}\n";
    let conversion = convert(text);
    assert_eq!(conversion.errors.len(), 1);
    assert!(conversion.errors[0].span.is_some());
    assert_eq!(
        conversion.errors[0].message,
        "`V`: fd00::1 is not IPv4 like the addresses before it"
    );
}

#[cfg(feature = "mail")]
#[test]
fn mail_about_virtual_routers_is_off_unless_asked_for() {
    let text = |alert: &str| {
        format!(
            "global_defs {{\nnotification_email {{\nroot@localhost\n}}\nsmtp_server 127.0.0.1\nrouter_id lb1\n{alert}\n}}\n\
             vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress {{\n10.0.0.1\n}}\n}}\n"
        )
    };
    let plan = convert(&text("")).plan;
    let mail = plan.mail.unwrap();
    assert_eq!(
        (mail.port, mail.router_id.as_str(), mail.timeout.as_secs()),
        (25, "lb1", 30)
    );
    assert!(!plan.virtual_routers[0].mail);
    assert!(convert(&text("smtp_alert")).plan.virtual_routers[0].mail);
}

#[test]
fn what_concerns_the_start_and_the_process_is_in_the_plan() {
    let plan = convert(
        "net_namespace blue\nglobal_defs {\nvrrp_startup_delay 2.5\nvrrp_rt_priority 40\nvrrp_cpu_affinity 0 3 x\n}\n",
    );
    assert_eq!(plan.plan.network_namespace.as_deref(), Some("blue"));
    assert_eq!(plan.plan.start_delay.as_millis(), 2500);
    assert_eq!(plan.plan.scheduling.realtime_priority, Some(40));
    assert_eq!(plan.plan.scheduling.processors, [0, 3]);
    assert_eq!(plan.warnings.len(), 1);
    let scheduling = |lines: &str| convert(&format!("global_defs {{\n{lines}\n}}\n")).plan.scheduling;
    assert_eq!(scheduling("max_auto_priority 20").realtime_priority, Some(20));
    assert_eq!(scheduling("max_auto_priority -1").realtime_priority, None);
    assert_eq!(scheduling("max_auto_priority").realtime_priority, Some(99));
    let raised = scheduling("max_auto_priority 60\nvrrp_rt_priority 40\nmin_auto_priority_delay 2500");
    assert_eq!(raised.realtime_priority, Some(60));
    assert_eq!(raised.late, Some(Duration::from_micros(2500)));
    assert_eq!(raised.name, None);
    assert_eq!(
        scheduling("process_names").name.as_deref(),
        Some("keepalived_vrrp")
    );
    let named =
        scheduling("process_names\nvrrp_process_name elected\nvrrp_rlimit_rttime 5\nchecker_rlimit_rttime 7");
    assert_eq!(named.name.as_deref(), Some("elected"));
    assert_eq!(named.longest_run, Some(Duration::from_micros(7)));
    let plan = convert(
        "net_namespace_ipvs green\nglobal_defs {\nstartup_script \"/n.sh a\" root\nshutdown_script /bin/bash\n\
         shutdown_script_timeout 3\numask IRGRP|IWGRP\n}\n",
    )
    .plan;
    assert_eq!(plan.ipvs_namespace.as_deref(), Some("green"));
    let told = |script: &Option<(CommandLine, Duration)>| {
        let (command, limit) = script.as_ref().unwrap();
        (command.to_string(), limit.as_secs())
    };
    assert_eq!(told(&plan.startup), ("/n.sh a".to_owned(), 10));
    assert_eq!(told(&plan.shutdown), ("/bin/bash".to_owned(), 3));
    assert_eq!(plan.file_mask, Some(0o060));
    assert_eq!(convert("global_defs {\numask IRALL\n}\n").warnings.len(), 1);
    let all =
        scheduling("max_auto_priority 20\nvrrp_rt_priority 40\nvrrp_priority -7\nvrrp_rlimit_rttime 5000");
    assert_eq!(all.realtime_priority, Some(40));
    assert_eq!(all.niceness, Some(-7));
    assert_eq!(all.longest_run, Some(Duration::from_millis(5)));
    // The host has been up for longer than this, and for less than that.
    let delayed = |text: &str| convert(text).plan.start_delay.as_secs();
    assert_eq!(delayed("global_defs { vrrp_delay_after_boot 1 }"), 0);
    let left = delayed("global_defs { vrrp_delay_after_boot 4294 }");
    assert!(left <= 4294);
}

#[cfg(feature = "balance")]
#[test]
fn the_words_about_the_checker_process_are_for_the_threads_of_the_checks() {
    let checks = |lines: &str| {
        convert(&format!("global_defs {{\n{lines}\n}}\n"))
            .plan
            .check_scheduling
    };
    assert_eq!(checks("process_names").name.as_deref(), Some("keepalived_ipvs"));
    let all =
        checks("checker_process_name c\nchecker_priority 5\nchecker_rt_priority 9\nchecker_cpu_affinity 1 2");
    assert_eq!(all.name.as_deref(), Some("c"));
    assert_eq!((all.niceness, all.realtime_priority), (Some(5), Some(9)));
    assert_eq!(all.processors, [1, 2]);
}

#[test]
fn what_is_said_twice_counts_once() {
    let text = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 51\nunicast_peer {\n10.0.0.8\n10.0.0.9\n10.0.0.8\n}\n\
                virtual_ipaddress {\n10.0.0.1\n10.0.0.2\n10.0.0.1/24\n}\n\
                virtual_ipaddress_excluded {\n10.0.0.2\n10.0.0.3\n10.0.0.3\n}\n}\n";
    let conversion = convert(text);
    assert_eq!(conversion.errors, []);
    let instance = &conversion.plan.virtual_routers[0].instance;
    let shown: Vec<String> = instance.virtual_addresses().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"]);
    let Delivery::Unicast(peers) = instance.to_parameters().unwrap().delivery().clone() else {
        panic!("multicast");
    };
    assert_eq!(peers.len(), 2);
}

#[test]
fn a_virtual_mac_of_the_standard_or_in_strict_mode_is_nobodys_choice() {
    let plan = |lines: &str| {
        let text = format!(
            "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 51\n{lines}\nvirtual_ipaddress {{\n10.0.0.1\n}}\n}}\n"
        );
        let conversion = convert(&text);
        assert_eq!(conversion.errors, [], "{lines}");
        format!("{:?}", conversion.plan.virtual_routers[0].instance)
    };
    let usual = plan("use_vmac v");
    assert_eq!(plan("use_vmac v netlink_notify_msg group 7"), usual);
    assert_eq!(plan("use_vmac netlink_notify_msg"), plan("use_vmac"));
    assert_eq!(plan("use_vmac v 00:00:5e:00:01:07"), usual);
    assert_ne!(plan("use_vmac v 02:00:5e:00:01:07"), usual);
    assert_ne!(plan("use_vmac v\nvmac_xmit_base"), usual);
    let strict = plan("strict_mode on\nuse_vmac v");
    assert_eq!(
        plan("strict_mode on\nvmac_xmit_base\nuse_vmac v 02:00:5e:00:01:07"),
        strict
    );
}

#[test]
fn without_a_peer_there_is_a_fault_where_that_is_asked_for() {
    let tracks = |lines: &str| {
        let text = format!(
            "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 51\nunicast_src_ip 10.0.0.9\n{lines}\n\
             virtual_ipaddress {{\n10.0.0.1\n}}\n}}\n"
        );
        convert(&text).plan.virtual_routers.remove(0).tracks
    };
    assert_eq!(tracks(""), []);
    assert_eq!(tracks("unicast_fault_no_peer\nunicast_peer {\n10.0.0.8\n}"), []);
    let tracked = tracks("unicast_fault_no_peer");
    assert_eq!(tracked.len(), 1);
    assert_eq!((&tracked[0].object, tracked[0].weight), (&TrackedObject::Peer, 0));
}

#[test]
fn a_virtual_router_without_addresses_is_elected() {
    let text = "vrrp_instance V {\ninterface eth0\nvirtual_router_id 51\nno_virtual_ipaddress\n\
                version 3\nunicast_peer {\nfd00::2\n}\n}\n";
    let conversion = convert(text);
    assert_eq!(conversion.errors, []);
    let parameters = conversion.plan.virtual_routers[0]
        .instance
        .to_parameters()
        .unwrap();
    assert!(parameters.addresses().is_empty());
    assert_eq!(parameters.family(), vrrp_proto::AddressFamily::Ipv6);
}

#[test]
fn keys_are_read_and_a_change_of_one_is_a_change() {
    let with = |lines: &str| {
        convert(&format!(
            "vrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\nversion 3\nauth_hmac {{\n{lines}\n}}\n\
             virtual_ipaddress {{\n10.0.0.1\n}}\n}}\n"
        ))
    };
    let text = "abcdefghijklmnopqrstuvwxyz0123456789";
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let secret = |lines: &str| {
        let conversion = with(lines);
        assert_eq!(conversion.errors, [], "{lines}");
        conversion.plan.virtual_routers[0].secret
    };
    assert_eq!(
        secret(&format!("key 1 {text}")),
        secret(&format!("key 1 hex:{hex}"))
    );
    assert_ne!(
        secret(&format!("key 1 {text}")),
        secret(&format!("key 1 {text}x"))
    );
    secret(&format!(
        "key 1 {text}\nkey 7 {text}\nactive_key 7\nanti_replay monotonic\nmode permissive"
    ));
    for (lines, error) in [
        ("key 1 short", "`V`: an auth_hmac key is not accepted: "),
        ("key 1 hex:0", "`V`: an auth_hmac key is not hexadecimal"),
        (
            "key 1 file:/none",
            "`V`: an auth_hmac key cannot be read from /none: ",
        ),
        ("key 999 x", "`V`: an auth_hmac key has the number `999`"),
        ("", "`V`: auth_hmac without a key"),
        (&format!("key 1 {text}\nactive_key 2"), "`V`: auth_hmac: "),
    ] {
        let conversion = with(lines);
        assert!(
            conversion.errors[0].message.starts_with(error),
            "{:?}",
            conversion.errors
        );
    }
}
