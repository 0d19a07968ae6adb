//! The manual page and the completions: sound, and complete.

use std::io::Write as _;
use std::process::{Command, Stdio};

fn ha_daemon(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ha-daemon"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Gives `text` to a program and returns what it says about it.
fn give(text: &str, program: &str, arguments: &[&str]) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
#[ignore = "needs mandoc"]
fn the_manual_page_has_no_faults_and_every_command_and_option() {
    let page = ha_daemon(&["manual"]);
    // Style is about the width of the source, which nobody reads.
    assert_eq!(give(&page, "mandoc", &["-T", "lint", "-W", "warning"]), "");
    let text = give(&page, "mandoc", &["-T", "ascii", "-O", "width=200"]);
    // Bold is a letter over itself.
    let mut plain = String::new();
    for letter in text.chars() {
        match letter {
            '\u{8}' => drop(plain.pop()),
            _ => plain.push(letter),
        }
    }
    for heading in [
        "NAME",
        "SYNOPSIS",
        "COMMANDS",
        "SIGNALS",
        "EXIT STATUS",
        "FILES",
        "EXAMPLES",
        "SEE ALSO",
    ] {
        assert!(plain.lines().any(|line| line == heading), "{heading}");
    }
    let help = ha_daemon(&["--help"]);
    let commands = help.lines().filter_map(|line| line.strip_prefix("  "));
    let commands: Vec<&str> = commands
        .filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(
        commands.contains(&"run") && commands.contains(&"status"),
        "{help}"
    );
    for command in commands {
        assert!(plain.contains(&format!("ha-daemon {command}")), "{command}");
        for word in ha_daemon(&[command, "--help"]).split_whitespace() {
            if word.starts_with("--") && word != "--help" {
                assert!(plain.contains(word), "{command} {word}");
            }
        }
    }
}

#[test]
#[ignore = "needs bash"]
fn the_completions_are_sound_and_know_the_commands() {
    for (shell, word) in [("bash", "failover"), ("zsh", "failover"), ("fish", "failover")] {
        let text = ha_daemon(&["completions", shell]);
        assert!(text.contains(word) && text.contains("log-format"), "{shell}");
    }
    let script = ha_daemon(&["completions", "bash"])
        + "\nfunction=$(complete -p ha-daemon | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
        + "COMP_WORDS=(ha-daemon fail)\nCOMP_CWORD=1\n$function ha-daemon fail ha-daemon\necho ${COMPREPLY[@]}\n";
    assert_eq!(
        give(&script, "bash", &["--norc", "--noprofile"]).trim(),
        "failover"
    );
}
