//! `docs/compatibility.md` has one row for each keyword, and is made from the table that the parser reads by.
//!
//! `UPDATE_DOCS=1 cargo test -p keepalived-conf --test compatibility` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use keepalived_conf::{Block, Keyword, Support, vocabulary};

#[test]
fn the_document_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let wanted = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is out of date: run this test with UPDATE_DOCS=1",
        path.display()
    );
}

#[test]
fn every_keyword_of_a_block_is_there_once() {
    for block in vocabulary() {
        let mut seen = std::collections::BTreeSet::new();
        for spelling in block.keywords.iter().flat_map(|keyword| keyword.spellings) {
            assert!(seen.insert(spelling), "{spelling} twice in {}", block.name);
        }
    }
}

fn document() -> String {
    let mut out = String::from(START);
    let all: Vec<_> = vocabulary();
    let whole: usize = all.iter().map(|block| block.keywords.len()).sum();
    let supported = all
        .iter()
        .filter(|block| !block.is_idle())
        .flat_map(|block| block.keywords)
        .filter(|keyword| matches!(keyword.support, Support::Supported { .. }))
        .count();
    writeln!(out, "Of {whole} keywords {supported} are supported.").unwrap();

    for block in &all {
        writeln!(out, "\n## {}\n", block.name).unwrap();
        out.push_str("| keyword | what it says | takes | without it | state |\n|---|---|---|---|---|\n");
        for keyword in block.keywords {
            writeln!(out, "{}", row(keyword, block)).unwrap();
        }
    }
    out
}

fn row(keyword: &Keyword, block: &Block) -> String {
    let cell = |text: &str| text.trim().replace('|', "\\|");
    let spellings: Vec<String> = keyword.spellings.iter().map(|each| format!("`{each}`")).collect();
    let state = match keyword.support {
        Support::Supported { .. } if block.is_idle() => {
            format!(
                "read and checked; not run, since `{}` is not",
                block.root.unwrap_or_default()
            )
        }
        Support::Supported { .. } => String::from("supported"),
        Support::NotSupported { meaning, .. } => format!("**not supported**: {meaning}"),
    };
    let state = if keyword.is_new() {
        format!("{state} (not in keepalived 2.2.7)")
    } else {
        state
    };
    format!(
        "| {} | {} | {} | {} | {} |",
        spellings.join(", "),
        cell(&keyword.description.concat()),
        cell(&keyword.range.to_string()),
        cell(keyword.default),
        cell(&state),
    )
}

const START: &str = "# Compatibility with keepalived

One row for each keyword of `keepalived.conf`, block by block. This file is made from the table by which
`keepalived-conf` reads, and a test holds it true (`keepalived-conf/tests/compatibility.rs`).

*Supported* means: read, checked, and done as keepalived does it. *Not supported* means: read, checked, kept, printed
back, and reported with what it means for the file; nothing is done about it. Whatever stands in no row is an unknown
keyword, and reported with the nearest known one.

";
