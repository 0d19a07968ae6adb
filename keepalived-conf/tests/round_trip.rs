//! Printing and reading back, through keepalived's language, TOML and JSON.

mod support;

use keepalived_conf::{Block, Configuration, Keyword, Range, vocabulary};
use proptest::prelude::*;
use proptest::sample::select;

/// Checks that what a text means survives printing. What cannot be printed must say so.
fn survives(text: &str) {
    let (first, _) = Configuration::parse(text);
    let Ok(printed) = first.to_keepalived() else {
        return;
    };
    let (second, report) = Configuration::parse(&printed);
    assert_eq!(
        first,
        second,
        "{text}\n=====\n{printed}\n{:?}",
        support::shown(&report)
    );
    assert_eq!(second.to_keepalived().unwrap(), printed);
}

#[test]
fn the_fixtures_survive() {
    for text in [
        include_str!("fixtures/web-pair.conf"),
        include_str!("fixtures/two-active.conf"),
        include_str!("fixtures/proxy-pair.conf"),
        include_str!("fixtures/balancer.conf"),
        include_str!("fixtures/everything.conf"),
    ] {
        assert!(Configuration::parse(text).0.to_keepalived().is_ok());
        survives(text);
    }
}

#[cfg(feature = "serde")]
#[test]
fn toml_and_json_say_the_same() {
    for text in [
        include_str!("fixtures/web-pair.conf"),
        include_str!("fixtures/balancer.conf"),
        include_str!("fixtures/everything.conf"),
    ] {
        let (configuration, _) = Configuration::parse(text);
        let json = serde_json::to_string_pretty(&configuration).unwrap();
        assert_eq!(
            serde_json::from_str::<Configuration>(&json).unwrap(),
            configuration,
            "{json}"
        );
        let as_toml = toml::to_string(&configuration).unwrap();
        assert_eq!(
            toml::from_str::<Configuration>(&as_toml).unwrap(),
            configuration,
            "{as_toml}"
        );
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_misspelt_key_of_toml_is_refused() {
    let text = "[[vrrp_instance]]\nname = \"A\"\nprioriti = 5\n";
    assert!(
        toml::from_str::<Configuration>(text)
            .unwrap_err()
            .to_string()
            .contains("prioriti")
    );
}

#[cfg(feature = "serde")]
#[test]
fn the_report_is_readable_by_programs() {
    let (_, report) = support::read("vrrp_instance A { prioriti 5 }");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["exit_code"], 1);
    assert_eq!(json["keepalived_exit_code"], 5);
    let row = json["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["column"] == 19)
        .unwrap();
    assert_eq!(row["file"], "test.conf");
    assert_eq!(row["severity"], "error");
    assert_eq!(row["advice"], "did you mean `priority`?");
    assert_eq!(row["keepalived"], "reports");
}

/// A word such as any keyword might take.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec![
            "10.0.0.1", "10.0.0.2/24", "fe80::1", "2001:db8::1/64", "eth0", "1", "2", "50", "255", "0.25", "1.5",
            "PASS", "MASTER", "BACKUP", "TCP", "rr", "DR", "TUN", "forever", "global", "weight", "reverse", "via",
            "dev", "true", "off", "224.0.0.18", "200-299", "1.1", "default", "blackhole", "SOA", "/bin/true",
            "\"/bin/sh -c 'exit 0'\"", "\"a b\"", "fwmark", "group", "inst", "port", "type", "gue", "10.0.0.1-9", "+",
        ]).prop_map(String::from),
        1 => "[!-~]{1,12}",
        1 => "\"[ -~]{0,12}\"",
        1 => "\\PC{0,6}",
    ]
}

/// A statement of one of these blocks, as text.
fn statement(block: &'static str, depth: u32) -> BoxedStrategy<String> {
    let keywords: &'static [Keyword] = find(block).map_or(&[], |block| block.keywords);
    select(keywords.to_vec())
        .prop_flat_map(move |keyword| {
            let name = keyword.name();
            let words = prop::collection::vec(word(), 0..4).prop_map(|words| words.join(" "));
            let is_block = matches!(keyword.range, Range::Block(_)) && depth > 0;
            let inner: BoxedStrategy<Vec<String>> = match (is_block, find(name)) {
                (false, _) => Just(Vec::new()).boxed(),
                (true, Some(_)) => prop::collection::vec(statement(name, depth - 1), 0..5).boxed(),
                (true, None) => prop::collection::vec(
                    prop::collection::vec(word(), 1..6).prop_map(|words| words.join(" ")),
                    0..4,
                )
                .boxed(),
            };
            (words, inner).prop_map(move |(words, inner)| match is_block {
                true => format!("{name} {words} {{\n{}\n}}", inner.join("\n")),
                false => format!("{name} {words}"),
            })
        })
        .boxed()
}

fn find(name: &str) -> Option<Block> {
    vocabulary()
        .into_iter()
        .find(|block| block.name.split(", ").any(|each| each == name))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_made_of_the_vocabulary_survives(
        statements in prop::collection::vec(statement("outside every block", 3), 1..6),
    ) {
        survives(&statements.join("\n"));
    }

    #[test]
    fn whatever_is_made_of_a_virtual_router_survives(
        statements in prop::collection::vec(statement("vrrp_instance", 2), 1..12),
    ) {
        survives(&format!("vrrp_instance A {{\n{}\n}}", statements.join("\n")));
    }

    #[test]
    fn any_text_survives(text in "\\PC{0,300}") {
        survives(&text);
    }

    #[test]
    fn any_lines_survive(lines in prop::collection::vec("[$~@a-z0-9{}\"'\\\\ =#!(),._-]{0,30}", 0..12)) {
        survives(&lines.join("\n"));
    }
}
