//! `ha-daemon replay`: why what happened happened, from a journal.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use ha_stack::{Remark, Replay};

/// Explains a journal, with its older part before it if there is one.
pub(crate) fn replay(journal: &Path, last: bool, name: Option<String>) -> ExitCode {
    let mut older = journal.as_os_str().to_owned();
    older.push(".1");
    let older = PathBuf::from(older);
    let parts = [older.as_path(), journal];
    let parts = parts.into_iter().filter(|part| *part == journal || part.exists());
    let mut story = Story {
        out: io::BufWriter::new(io::stdout().lock()),
        name,
        kept: last.then(VecDeque::new),
        count: 0,
        moved: None,
    };
    for part in parts {
        match story.read(part) {
            Ok(()) => {}
            Err(error) => return fail(part, &error),
        }
    }
    match story.end() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            let _ = writeln!(io::stderr(), "ha-daemon: the journal says nothing of this");
            ExitCode::SUCCESS
        }
        Err(error) => fail(journal, &error),
    }
}

fn fail(part: &Path, error: &io::Error) -> ExitCode {
    match error.kind() {
        // Whoever read this has gone: `replay | head`.
        io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        io::ErrorKind::NotFound => {
            eprintln!(
                "ha-daemon: there is no journal {}: `run --journal FILE` writes one",
                part.display()
            );
        }
        _ => eprintln!("ha-daemon: {}: {error}", part.display()),
    }
    ExitCode::FAILURE
}

/// What is told of a journal.
struct Story<W> {
    out: W,
    /// Of whom.
    name: Option<String>,
    /// If only the last change of who is active is of interest: what may belong to it.
    kept: Option<VecDeque<Remark>>,
    count: usize,
    /// When somebody became active or ceased to be, last.
    moved: Option<SystemTime>,
}

impl<W: Write> Story<W> {
    fn read(&mut self, journal: &Path) -> io::Result<()> {
        let mut written = Ok(());
        Replay::read(BufReader::new(File::open(journal)?), |remark| {
            if written.is_ok() {
                written = self.tell(remark);
            }
        })?;
        written
    }

    fn tell(&mut self, remark: &Remark) -> io::Result<()> {
        let is_other = |wanted: &String| remark.name.as_deref().is_some_and(|name| name != wanted);
        if self.name.as_ref().is_some_and(is_other) {
            return Ok(());
        }
        self.count += 1;
        let Some(kept) = &mut self.kept else {
            return write(&mut self.out, remark);
        };
        let before = |remark: &Remark, time: SystemTime| remark.time.is_none_or(|at| at + LEAD_UP < time);
        if let Some(time) = remark.time.filter(|_| remark.is_move) {
            // What a router that hands over and the one that takes over do is one story.
            if self.moved.is_none_or(|moved| moved + LEAD_UP < time) {
                kept.retain(|remark| !before(remark, time));
            }
            self.moved = Some(time);
        } else if let (None, Some(time)) = (self.moved, remark.time) {
            kept.retain(|remark| !before(remark, time));
        }
        if kept.len() >= MOST_KEPT {
            kept.pop_front();
        }
        kept.push_back(remark.clone());
        Ok(())
    }

    /// Whether anything was told.
    fn end(mut self) -> io::Result<bool> {
        if let Some(kept) = self.kept.take() {
            match self.moved {
                Some(_) => kept.iter().try_for_each(|remark| write(&mut self.out, remark))?,
                None => self.count = 0,
            }
        }
        self.out.flush()?;
        Ok(self.count > 0)
    }
}

fn write(out: &mut impl Write, remark: &Remark) -> io::Result<()> {
    // Changes of state stand out.
    let mark = if remark.is_change { "* " } else { "  " };
    writeln!(out, "{mark}{remark}")
}

/// So long before somebody became active or ceased to be, what led to it is looked for.
const LEAD_UP: Duration = Duration::from_secs(60);

/// Of a story that does not end, the last lines.
const MOST_KEPT: usize = 1000;
