//! Includes, conditions, definitions, sequences, quotes: what a text comes to before any keyword is looked at.

mod support;

use std::path::Path;

use keepalived_conf::{Configuration, Limits, Memory, Options, Report};
use support::{host, read, shown};

fn names(configuration: &Configuration) -> Vec<&str> {
    configuration
        .vrrp_script
        .iter()
        .map(|each| each.name.as_str())
        .collect()
}

#[test]
fn files_include_each_other_relative_to_themselves() {
    let mut host = host("include conf.d/*.conf\nvrrp_script last { script /bin/true }\n");
    for (path, text) in [
        (
            "conf.d/a.conf",
            "vrrp_script a { script /bin/true }\ninclude more/{x,y}.inc\n",
        ),
        ("conf.d/b.conf", "vrrp_script b { script /bin/true }"),
        ("conf.d/more/x.inc", "vrrp_script x { script /bin/true }"),
        ("conf.d/more/y.inc", "vrrp_script y { script /bin/true\n bad 1 }"),
    ] {
        host.files.insert(path.into(), text.into());
    }
    let (configuration, report) = Configuration::read(Path::new("test.conf"), &host, &Options::default());
    assert_eq!(names(&configuration), ["a", "x", "y", "b", "last"]);
    let bad = report
        .diagnostics()
        .iter()
        .find(|each| each.message.contains("bad"))
        .unwrap();
    assert!(
        report
            .headline(bad)
            .starts_with("conf.d/more/y.inc:2:2: warning: "),
        "{}",
        report.headline(bad)
    );
}

#[test]
fn a_pattern_that_matches_nothing_is_silent_in_keepalived() {
    let (_, report) = read("include conf.d/*.conf\n");
    assert_eq!(
        (report.errors(), report.warnings(), report.keepalived_exit_code()),
        (0, 1, 0)
    );
}

#[test]
fn a_file_that_includes_itself_ends() {
    let (_, report) = read("include test.conf\n");
    assert_eq!(report.errors(), 1);
    assert!(shown(&report)[0].contains("too many files include each other"));
}

#[test]
fn conditions_compare_with_the_host() {
    let text = "@left vrrp_script a { script /bin/true }\n@right vrrp_script b { script /bin/true }\n@^right vrrp_script c { script /bin/true }\n";
    assert_eq!(names(&read(text).0), ["a", "c"]);
    let mut options = Options::default();
    options.config_id = Some(String::from("right"));
    let (configuration, _) = Configuration::read(Path::new("test.conf"), &host(text), &options);
    assert_eq!(names(&configuration), ["b"]);
}

#[test]
fn definitions_are_put_in_late_and_again_and_again() {
    let text = "$BASE=10.2.${SUB}\n$SUB=0\nstatic_ipaddress {\n${BASE}.100/32\n$SUB=10\n${BASE}.100/32\n}\n";
    let (configuration, _) = read(text);
    let found: Vec<String> = configuration
        .static_ipaddress
        .iter()
        .map(|each| each.address.to_string())
        .collect();
    assert_eq!(found, ["10.2.0.100/32", "10.2.10.100/32"]);
}

#[test]
fn a_definition_may_have_many_lines_conditions_and_definitions() {
    let text = "$SCRIPT= \\\nvrrp_script s${N} { \\\n @left interval 7 \\\n @right interval 8 \\\n script /bin/true \\\n}\n$N=1\n$SCRIPT\n$N=2\n$SCRIPT\n";
    let (configuration, _) = read(text);
    assert_eq!(names(&configuration), ["s1", "s2"]);
    assert_eq!(configuration.vrrp_script[1].interval.unwrap().to_string(), "7");
}

#[test]
fn what_is_not_defined_stays_as_it_is() {
    let (configuration, _) = read("vrrp_script $NOT { script \"/bin/sh -c 'echo $HOME'\" }");
    assert_eq!(names(&configuration), ["$NOT"]);
    let words = configuration.vrrp_script[0].script.as_ref().unwrap().words();
    assert_eq!(words, ["/bin/sh", "-c", "echo $HOME"]);
}

#[test]
fn a_name_ends_where_the_language_says() {
    let (configuration, _) = read(
        "$A=x\ngroup_x $Az\nvrrp_script $A.z { script /bin/true }\nvrrp_script ${A}.z { script /bin/true }\n",
    );
    assert_eq!(names(&configuration), ["$A.z", "x.z"]);
}

#[test]
fn sequences_repeat_the_rest_of_the_line() {
    let text = "$S=\\\nvrrp_script s${A}_$B { \\\n script /bin/true \\\n}\n~SEQ(A, 2) ~LST(B, x, y) $S\n";
    assert_eq!(names(&read(text).0), ["s1_x", "s1_y", "s2_x", "s2_y"]);
    let text = "$V=2\n~SEQ(N,$V) vrrp_script n$N { script /bin/true }\n~LST({N,M},{1,2},{3,4}) vrrp_script ${N}x$M {\nscript /bin/true\n}";
    assert_eq!(names(&read(text).0)[..2], ["n1", "n2"]);
}

#[test]
fn predefined_names_are_known() {
    let mut host = host(
        "vrrp_script ${_PWD}:${_INSTANCE}:${_ENV WHO}:${_HASH}${_BANG} { script /bin/true }\nvrrp_script ${_RANDOM 7 7} { script /bin/true }",
    );
    let text = host.files.remove(Path::new("test.conf")).unwrap();
    host.files.insert("/etc/k/main.conf".into(), text);
    host.variables.insert(String::from("WHO"), String::from("me"));
    let mut options = Options::default();
    options.instance = Some(String::from("one"));
    let (configuration, _) = Configuration::read(Path::new("/etc/k/main.conf"), &host, &options);
    assert_eq!(names(&configuration), ["/etc/k:one:me:#!", "7"]);
}

#[test]
fn braces_stand_anywhere() {
    let text = "vrrp_script a\n{ script /bin/true } vrrp_script b{script /bin/true\n} vrrp_script c { script \"/bin/sh -c '{ true; }'\" }";
    let (configuration, _) = read(text);
    assert_eq!(names(&configuration), ["a", "b", "c"]);
}

#[test]
fn line_ends_and_long_lines_of_other_systems() {
    let (configuration, _) = read("vrrp_script a {\r\n script /bin/true\r\n}\r\n");
    assert_eq!(
        configuration.vrrp_script[0].script.as_ref().unwrap().line,
        "/bin/true"
    );
    let (_, report) = read(&format!("vrrp_script {}", "x".repeat(2_000)));
    assert!(shown(&report)[0].contains("a line of more than 1023 bytes is ignored"));
}

fn bounded(text: &str, limits: Limits) -> Report {
    let mut options = Options::default();
    options.limits = limits;
    Configuration::read(Path::new("m"), &Memory::with_file("m", text), &options).1
}

#[test]
fn nothing_grows_without_bound() {
    let limits = Limits {
        lines: 1_000,
        bytes: 100_000,
        ..Limits::default()
    };
    for text in [
        "~SEQ(N,1,4000000000) x\n",
        "~SEQ(A,99999) ~SEQ(B,99999) ~SEQ(C,99999) x\n",
        "$A=\\\n $A \\\n $A\n$A\n",
        "$A=\\\n ~SEQ(N,9) $A \\\n x\n$A\n",
        "$A=aaaaaaaaaaaaaaaa$B\n$B=$A $A\n$A\n",
    ] {
        let report = bounded(text, limits);
        assert!(report.errors() > 0, "{text}");
    }
    let report = bounded(
        &"a {\n".repeat(500),
        Limits {
            block_depth: 8,
            ..limits
        },
    );
    assert!(report.errors() > 0);
}

#[test]
fn a_definition_that_begins_itself_in_a_sequence_ends() {
    // With the limits that everybody has: what is held grows with the square of the depth.
    let (_, report) = Configuration::parse("$A=~SEQ(N,2) $A\n$A\n");
    assert!(shown(&report)[0].contains("too deep"), "{report:?}");
}

#[test]
fn what_one_definition_makes_is_reported_in_time_in_proportion() {
    // All of these have the same place, and each is reported there several times.
    let text = "~SEQ(N,1,100000) vrrp_instance V$N { nopreempt }\n";
    let (configuration, report) = Configuration::parse(text);
    assert_eq!(configuration.vrrp_instance.len(), 100_000);
    assert!(report.errors() >= 100_000);
    let text = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nunicast_peer {\n\
                ~SEQ(A,0,255) ~SEQ(B,0,255) 10.0.${A}.$B\n}\nvirtual_ipaddress { 10.0.0.1 }\n}\n";
    let (configuration, _) = Configuration::parse(text);
    assert_eq!(configuration.vrrp_instance[0].unicast_peer.len(), 65_536);
}

#[test]
fn what_one_of_a_list_lacks_is_reported_though_another_has_it() {
    let text = "$I=\\\nvrrp_instance V$N { \\\ninterface eth0 \\\n$L \\\nvirtual_ipaddress { \\\n10.0.0.$N \\\n} \\\n}\n\
                ~LST({N,L},{1,virtual_router_id 5},{2,nopreempt}) $I\n";
    let (_, report) = Configuration::parse(text);
    assert!(
        shown(&report)
            .iter()
            .any(|line| line.contains("`V2` has no virtual_router_id")),
        "{report:?}"
    );
}

#[test]
fn whoever_is_refused_reads_why_among_a_thousand_warnings() {
    let text = format!("vrrp_instance A {{\n{}", "elephant\n".repeat(1_001));
    let (_, report) = Configuration::parse(&text);
    assert!(report.errors() > 0);
    assert!(
        shown(&report).iter().any(|line| line.contains("never closed")),
        "the brace"
    );
}

#[test]
fn thousands_of_virtual_routers_are_within_bounds() {
    let text = "$I=\\\nvrrp_instance VI_${A}_${B}_$C { \\\ninterface eth${A}.$B \\\nvirtual_router_id $C \\\nvirtual_ipaddress { \\\n10.${A}.${B}.${C} \\\n} \\\n}\n~SEQ(A,1) ~SEQ(B,32) ~SEQ(C,254) $I\n";
    let (configuration, report) = Configuration::parse(text);
    assert_eq!(shown(&report), Vec::<String>::new());
    assert_eq!(configuration.vrrp_instance.len(), 8_128);
}

#[test]
fn defaults_hold_for_what_stands_below_them() {
    let text = "vrrp_instance A {\ninterface eth0\nvirtual_router_id 1\nvirtual_ipaddress { 10.0.0.1 }\n}\nglobal_defs { vrrp_garp_master_delay 9 }\n";
    let (configuration, report) = read(text);
    assert_eq!(configuration.vrrp_instance[0].garp_master_delay, Some(5));
    assert!(
        shown(&report)[0].contains("vrrp_garp_master_delay holds only for virtual routers that stand below")
    );
}

#[test]
fn the_predefined_instance_is_what_conditions_are_compared_with() {
    let text = "instance blue\nvrrp_script ${_INSTANCE} { script \"/bin/true /run/${_INSTANCE}\" }\n";
    let (configuration, report) = read(text);
    assert_eq!(report.errors(), 0, "{report:?}");
    assert_eq!(names(&configuration), ["left"]);
    assert_eq!(configuration.instance.as_deref(), Some("blue"));
    let script = configuration.vrrp_script[0].script.as_ref().unwrap();
    assert_eq!(script.line, "/bin/true /run/left");
    // What a program says holds.
    let mut options = Options::default();
    options.instance = Some("red".to_owned());
    let (configuration, _) = Configuration::read(Path::new("test.conf"), &host(text), &options);
    assert_eq!(names(&configuration), ["red"]);
}

#[test]
fn a_first_master_holds_whatever_comes_later() {
    let text = "vrrp_instance A {\nstate MASTER\nstate BACKUP\n}\nvrrp_instance B {\nstate BACKUP\nstate MASTER\n}\n";
    let (configuration, _) = read(text);
    let priorities = configuration
        .vrrp_instance
        .iter()
        .map(|router| router.effective_priority());
    assert_eq!(priorities.collect::<Vec<_>>(), [255, 255]);
}
