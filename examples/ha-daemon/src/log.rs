//! The log on standard error. Whoever logs never waits for it: a reader that is stuck, or a full disk, costs lines, not
//! advertisements.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How the log is written.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// Sets up the log for the whole process. `RUST_LOG` chooses what is logged; without it, what is at least `info`, each change of
/// state once.
pub(crate) fn start(format: Format) -> io::Result<Log> {
    let (sender, lines) = sync_channel(CAPACITY);
    let lost = Arc::new(AtomicU64::new(0));
    let writer = Writer {
        sender: sender.clone(),
        lost: Arc::clone(&lost),
    };
    std::thread::Builder::new()
        .name("log".to_owned())
        .stack_size(crate::SMALL_STACK)
        .spawn(move || write(&lines, &lost))?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    match format {
        Format::Text => builder.with_ansi(false).with_target(false).init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
    Ok(Log { sender })
}

/// The log of the process; dropping it writes what waits, for a second at most.
pub(crate) struct Log {
    sender: SyncSender<Message>,
}

impl Drop for Log {
    fn drop(&mut self) {
        let deadline = Instant::now() + LAST_WORDS;
        let (done, is_done) = sync_channel(1);
        if self.sender.try_send(Message::Flush(done)).is_ok() {
            // Written or not, the process ends.
            let _ = is_done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

#[derive(Clone)]
struct Writer {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.sender.try_send(Message::Line(line.to_owned())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Writer {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn write(messages: &Receiver<Message>, lost: &AtomicU64) {
    let mut stream = io::stderr();
    for message in messages {
        let written = match message {
            Message::Line(line) => stream.write_all(&line),
            Message::Flush(done) => {
                // Whoever asked may have stopped waiting.
                let _ = done.try_send(());
                Ok(())
            }
        };
        // A pipe that was closed or a disk that is full: later lines may get through.
        if written.is_err() {
            lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 && writeln!(stream, "{missing} lines of the log were lost").is_err() {
            lost.fetch_add(missing, Ordering::Relaxed);
        }
    }
}

/// The driver knows what is tracked by number; the line of the supervisor has the names.
const USUAL: &str = "info,vrrp_net::state=warn";

/// Lines that wait for whoever reads them.
const CAPACITY: usize = 8192;

const LAST_WORDS: Duration = Duration::from_secs(1);
