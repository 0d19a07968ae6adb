//! What a package ships beside the program, made from the same definition of the command line: the manual page and the
//! completions of shells.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// Writes the completions of a shell to standard output.
pub(crate) fn completions(mut command: Command, shell: Shell) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    print(&text)
}

/// Writes the manual page, section 8, to standard output.
pub(crate) fn manual(command: Command) -> ExitCode {
    match page(command) {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("ha-daemon: {error}");
            ExitCode::FAILURE
        }
    }
}

fn page(mut command: Command) -> io::Result<Vec<u8>> {
    // So that every subcommand knows its whole name and its options of every origin.
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone())
        .section("8")
        .title("HA-DAEMON")
        .date(DATE)
        .manual("System Administration");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    writeln!(page, ".SH SYNOPSIS\n.B ha-daemon\n.I COMMAND\n[\\fIOPTIONS\\fR]")?;
    page.extend_from_slice(include_bytes!("manual/description.roff"));
    writeln!(page, ".SH COMMANDS")?;
    for subcommand in command.get_subcommands().filter(|sub| !is_left_out(sub)) {
        render(subcommand, &mut page)?;
    }
    page.extend_from_slice(include_bytes!("manual/rest.roff"));
    Ok(page)
}

/// A command as a subsection, and its own commands after it.
fn render(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    writeln!(
        page,
        ".SS \"{}\"",
        usage.replace('-', "\\-").replace('"', "\\(dq")
    )?;
    let mut options = Vec::new();
    let man = Man::new(command.clone().mut_arg("help", |help| help.hide(true)));
    man.render_description_section(&mut options)?;
    if command
        .get_arguments()
        .any(|argument| argument.get_id() != "help")
    {
        man.render_options_section(&mut options)?;
    }
    // Without the headings, which would end the subsection, and without the preambles that begin a page.
    let mut last = "";
    for line in String::from_utf8_lossy(&options).lines() {
        let is_dropped = line.is_empty() || [".SH", ".ie", ".el"].iter().any(|start| line.starts_with(start));
        if !is_dropped && (line != ".br" || last != ".br") {
            writeln!(page, "{line}")?;
        }
        if !is_dropped {
            last = line;
        }
    }
    for subcommand in command.get_subcommands().filter(|sub| !is_left_out(sub)) {
        render(subcommand, page)?;
    }
    Ok(())
}

fn is_left_out(command: &Command) -> bool {
    command.is_hide_set() || command.get_name() == "help"
}

fn print(text: &[u8]) -> ExitCode {
    // Whoever read this may have gone.
    let _ = io::stdout().write_all(text);
    ExitCode::SUCCESS
}

/// Of the text that is not made from the command line.
const DATE: &str = "2026-11-21";
