//! Holds `docs/requirements.md` against the source tree: every number there, every named test where it is said to be.

use std::fs;
use std::path::Path;

use crate::process::root;

/// Each part, how many numbers it has, and whether rows may still be open.
const PARTS: &[(&str, usize, bool)] = &[
    ("W", 14, false),
    ("R", 14, false),
    ("E", 7, false),
    ("T", 8, false),
    ("D", 15, false),
    ("K", 28, false),
    ("I", 17, false),
    ("N", 19, false),
];

#[test]
fn every_requirement_names_tests_that_exist() {
    let text = fs::read_to_string(root().join("docs/requirements.md")).unwrap();
    let faults = faults(&text, &root());
    assert!(faults.is_empty(), "docs/requirements.md:\n{}", faults.join("\n"));
}

/// What is wrong with the list.
fn faults(text: &str, root: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let mut numbers = PARTS.iter().flat_map(|&(part, count, may_be_open)| {
        (1..=count).map(move |number| (format!("{part}{number}"), may_be_open))
    });
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", id, requirement, tests, ""] = cells[..] else {
            continue;
        };
        if id == "id" || id.starts_with("--") {
            continue;
        }
        let Some((expected, may_be_open)) = numbers.next() else {
            faults.push(format!("{id}: a number too many"));
            continue;
        };
        if id != expected {
            faults.push(format!("{id}: stands where {expected} belongs"));
        }
        if requirement.is_empty() {
            faults.push(format!("{id}: no requirement"));
        }
        if tests == "open" {
            if !may_be_open {
                faults.push(format!("{id}: open"));
            }
        } else if let Some(reason) = tests.strip_prefix("none:") {
            if reason.trim().is_empty() {
                faults.push(format!("{id}: no reason"));
            }
        } else {
            faults.extend(tests.split(", ").filter_map(|test| {
                let fault = missing(test, root)?;
                Some(format!("{id}: {fault}"))
            }));
        }
    }
    faults.extend(numbers.map(|(id, _)| format!("{id}: missing")));
    faults
}

/// Why a test named as `` `FILE::TEST` `` is none.
fn missing(test: &str, root: &Path) -> Option<String> {
    let Some((file, name)) = test
        .strip_prefix('`')
        .and_then(|test| test.strip_suffix('`'))
        .and_then(|test| test.split_once("::"))
    else {
        return Some(format!("{test} is not `FILE::TEST`"));
    };
    let Ok(source) = fs::read_to_string(root.join(file)) else {
        return Some(format!("there is no file {file}"));
    };
    (!is_test(&source, name)).then(|| format!("{file} has no test {name}"))
}

/// Whether the source has a function of this name with a test attribute, or inside `proptest!`, above it.
fn is_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(index, line)| {
        let is_head = line.starts_with(&head)
            || line
                .strip_prefix("async ")
                .is_some_and(|line| line.starts_with(&head));
        is_head
            && lines[..index]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
                .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn faults_are_found() {
    let root = root();
    let text = fs::read_to_string(root.join("docs/requirements.md")).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        faults(&text.replacen(from, to, 1), &root)
    };
    assert_eq!(
        with("messages.rs::every_vrid`", "messages.rs::every_vrrid`"),
        ["W2: vrrp-proto/tests/messages.rs has no test every_vrrid"]
    );
    assert_eq!(
        with("vrrp-proto/src/vrid.rs::", "vrrp-proto/src/vrrid.rs::"),
        ["W2: there is no file vrrp-proto/src/vrrid.rs"]
    );
    // A function that is there and is no test.
    assert_eq!(
        with("messages.rs::every_vrid`", "messages.rs::multicast`"),
        ["W2: vrrp-proto/tests/messages.rs has no test multicast"]
    );
    assert_eq!(
        with("`vrrp-proto/tests/messages.rs::every_vrid`, ", "messages, "),
        ["W2: messages is not `FILE::TEST`"]
    );
    assert_eq!(with("| W14 |", "| W15 |"), ["W15: stands where W14 belongs"]);
    let last = text.lines().last().unwrap();
    assert_eq!(faults(&text.replace(last, ""), &root), ["N19: missing"]);
    assert_eq!(
        faults(&format!("{text}| N20 | more | open |\n"), &root),
        ["N20: a number too many"]
    );
    let row = text.lines().find(|line| line.starts_with("| W3 |")).unwrap();
    assert_eq!(with(row, "| W3 | it | open |"), ["W3: open"]);
    assert_eq!(with(row, "| W3 | it | none: |"), ["W3: no reason"]);
    assert_eq!(with(row, "| W3 | | none: it is so |"), ["W3: no requirement"]);
}
