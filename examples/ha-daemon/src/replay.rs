//! `ha-daemon replay`: why what happened happened, from a journal.

use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ha_stack::Replay;

/// Explains a journal, with its older part before it if there is one.
pub(crate) fn replay(journal: &Path) -> ExitCode {
    let mut older = journal.as_os_str().to_owned();
    older.push(".1");
    let older = PathBuf::from(older);
    let parts = [older.as_path(), journal];
    let parts = parts.into_iter().filter(|part| *part == journal || part.exists());
    for part in parts {
        match explain(part) {
            Ok(()) => {}
            // Whoever read this has gone: `replay | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => {
                eprintln!("ha-daemon: {}: {error}", part.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn explain(journal: &Path) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    Replay::read(BufReader::new(File::open(journal)?), |remark| {
        if written.is_ok() {
            // Changes of state stand out.
            let mark = if remark.is_change { "* " } else { "  " };
            written = writeln!(out, "{mark}{remark}");
        }
    })?;
    written?;
    out.flush()
}
