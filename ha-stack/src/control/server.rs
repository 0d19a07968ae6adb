//! The side of the daemon.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::net::sockopt::socket_peercred;

use crate::children::Waker;
use crate::control::{Control, LONGEST_REQUEST, Request, Response};
use crate::error::Error;
use crate::persist::persist;
use crate::pulse::{Patience, Pulse};

/// Listens on a control socket and answers from a thread per client.
///
/// The socket has mode 0600, and only root and the user the daemon runs as are answered. Dropping the server closes and
/// removes the socket; whoever has asked something is answered first, and clients that wait for events are let go.
pub struct ControlServer {
    shared: Arc<Shared>,
    door: Door,
    patience: Patience,
    lock: ControlLock,
}

/// The right to a control socket, for as long as one of its clones lives: it is what a second instance finds taken. Whoever does
/// something before there is a [`ControlServer`] that only one instance may do takes it first.
#[derive(Clone, Debug)]
pub struct ControlLock {
    path: PathBuf,
    _file: Arc<File>,
}

impl ControlLock {
    /// Locks `PATH.lock`, for the socket at `PATH`.
    ///
    /// # Errors
    /// [`Error::AlreadyRunning`] if another has the lock; [`Error::File`] if it cannot be made.
    pub fn take(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(beside(&path, "lock"));
        let locked = file.and_then(|file| {
            flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            Ok(file)
        });
        match locked {
            Ok(file) => Ok(Self {
                path,
                _file: Arc::new(file),
            }),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Error::AlreadyRunning { path }),
            Err(source) => Err(Error::File { path, source }),
        }
    }
}

/// What the threads of a server share.
struct Shared {
    listener: UnixListener,
    control: Arc<dyn Control>,
    stop: AtomicBool,
    answers: Answers,
    clients: Arc<AtomicUsize>,
}

/// The thread that takes clients in.
struct Door {
    thread: JoinHandle<()>,
    signals: Arc<Signals>,
}

struct Signals {
    waker: Waker,
    pulse: Pulse,
    stop: AtomicBool,
}

impl ControlServer {
    /// Takes the socket and starts to answer.
    ///
    /// Whoever holds the lock on `PATH.lock` owns the socket; a socket without such an owner was left by a daemon that
    /// was killed, and is replaced.
    ///
    /// # Errors
    /// [`Error::AlreadyRunning`] if another daemon owns the socket; [`Error::File`] if the socket cannot be made;
    /// [`Error::System`] if there is no thread.
    pub fn start(path: impl Into<PathBuf>, control: Arc<dyn Control>) -> Result<Self, Error> {
        Self::start_locked(ControlLock::take(path)?, control)
    }

    /// As [`start`](Self::start), for whoever has the lock already.
    ///
    /// # Errors
    /// [`Error::File`] if the socket cannot be made; [`Error::System`] if there is no thread.
    pub fn start_locked(lock: ControlLock, control: Arc<dyn Control>) -> Result<Self, Error> {
        let listener = listen(&lock.path).map_err(|source| Error::File {
            path: lock.path.clone(),
            source,
        })?;
        let shared = Arc::new(Shared {
            listener,
            control,
            stop: AtomicBool::new(false),
            answers: Answers::default(),
            clients: Arc::default(),
        });
        Ok(Self {
            door: Door::open(&shared)?,
            shared,
            patience: Patience::default(),
            lock,
        })
    }

    /// Looks after the thread that takes clients in, and puts another in its place if it is dead or has been stuck for ten seconds;
    /// the log has it. To be called every few seconds.
    pub fn tend(&mut self) {
        let Some(since) = self.patience.look(self.door.has_moved()) else {
            return;
        };
        match Door::open(&self.shared) {
            Ok(fresh) => {
                tracing::error!(
                    what = "the control socket",
                    ?since,
                    "the thread of this is stuck: another takes its place"
                );
                std::mem::replace(&mut self.door, fresh).signals.end();
                self.patience.renew();
            }
            Err(error) => {
                tracing::error!(what = "the control socket", %error, "the thread of this is stuck, and there is no other");
            }
        }
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.door.signals.end();
        let _ = std::fs::remove_file(&self.lock.path);
        // The process may end next, and whoever asked it to waits for the answer.
        self.shared.answers.wait();
    }
}

impl Door {
    fn open(shared: &Arc<Shared>) -> Result<Self, Error> {
        let signals = Arc::new(Signals {
            waker: Waker::new().map_err(Error::system("cannot make an event descriptor"))?,
            pulse: Pulse::default(),
            stop: AtomicBool::new(false),
        });
        let (shared, of_thread) = (Arc::clone(shared), Arc::clone(&signals));
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || persist("the control socket", || accept(&shared, &of_thread)))
            .map_err(Error::system("cannot start a thread for the control socket"))?;
        Ok(Self { thread, signals })
    }

    fn has_moved(&self) -> bool {
        let has_answered = self.signals.pulse.has_answered();
        self.signals.waker.wake();
        has_answered && !self.thread.is_finished()
    }
}

impl Signals {
    /// Not waited for: the thread may be stuck.
    fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

impl fmt::Debug for ControlServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ControlServer")
            .field("path", &self.lock.path)
            .finish_non_exhaustive()
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // Under its final name the socket never has a wider mode.
    let draft = beside(path, "new");
    let _ = std::fs::remove_file(&draft);
    let listener = UnixListener::bind(&draft)?;
    listener.set_nonblocking(true)?;
    std::fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
    std::fs::rename(&draft, path)?;
    Ok(listener)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

fn accept(shared: &Arc<Shared>, signals: &Signals) {
    loop {
        signals.pulse.answer();
        if signals.stop.load(Ordering::Relaxed) {
            return;
        }
        let mut descriptors = [
            signals.waker.poll_descriptor(),
            PollFd::new(&shared.listener, PollFlags::IN),
        ];
        // However it ends, both are looked at.
        let _ = poll(&mut descriptors, None);
        signals.waker.clear();
        let stream = match shared.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => {
                // Out of descriptors, most likely: others have to give some back first.
                tracing::warn!(%error, "cannot take a client of the control socket");
                std::thread::sleep(PAUSE);
                continue;
            }
        };
        if !is_allowed(&stream) {
            continue;
        }
        let Some(place) = Place::take(&shared.clients) else {
            let _ = answer(&stream, &Response::Error("too many clients at once".to_owned()));
            continue;
        };
        let shared = Arc::clone(shared);
        let spawned = std::thread::Builder::new()
            .name("control-client".to_owned())
            .spawn(move || {
                if let Err(error) = serve(&stream, &shared) {
                    tracing::debug!(%error, "a client of the control socket went away");
                }
                drop(place);
            });
        if let Err(error) = spawned {
            tracing::warn!(%error, "cannot start a thread for a client of the control socket");
        }
    }
}

fn is_allowed(stream: &UnixStream) -> bool {
    match socket_peercred(stream) {
        Ok(peer) => {
            let allowed = peer.uid.is_root() || peer.uid == rustix::process::geteuid();
            if !allowed {
                tracing::warn!(
                    user = peer.uid.as_raw(),
                    process = peer.pid.as_raw_nonzero().get(),
                    "a client of the control socket was refused"
                );
            }
            allowed
        }
        Err(_) => false,
    }
}

fn serve(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    let control = shared.control.as_ref();
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(SLOW))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        reader
            .by_ref()
            .take(LONGEST_REQUEST)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && line.len() as u64 >= LONGEST_REQUEST {
            return answer(stream, &Response::Error("the request is too long".to_owned()));
        }
        let request = serde_json::from_slice(&line);
        if let Ok(Request::Watch) = request {
            return watch(stream, control, &shared.stop);
        }
        let _pending = shared.answers.begin();
        match request {
            Ok(Request::Status) => answer(stream, &Response::Status(Box::new(control.status())))?,
            Ok(request) => answer(stream, &control.execute(request))?,
            Err(error) => answer(stream, &Response::Error(format!("not a request: {error}")))?,
        }
    }
}

fn watch(stream: &UnixStream, control: &dyn Control, stop: &AtomicBool) -> io::Result<()> {
    // Subscribed before the status is taken, so that nothing falls between.
    let Some(events) = control.watch() else {
        return answer(stream, &Response::Error("there are no more events".to_owned()));
    };
    answer(stream, &Response::Status(Box::new(control.status())))?;
    stream.set_nonblocking(false)?;
    while !stop.load(Ordering::Relaxed) {
        match events.recv_timeout(PAUSE) {
            Ok(event) => {
                let value = serde_json::to_value(&event).map_err(io::Error::other)?;
                answer(stream, &Response::Event(value))?;
            }
            Err(RecvTimeoutError::Timeout) => {
                if is_gone(stream) {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
    Ok(())
}

/// Whether the client has hung up: a client that watches says nothing more.
fn is_gone(stream: &UnixStream) -> bool {
    let mut descriptors = [PollFd::new(stream, PollFlags::IN | PollFlags::RDHUP)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    matches!(poll(&mut descriptors, Some(&now)), Ok(count) if count > 0)
}

fn answer(mut stream: &UnixStream, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response).map_err(io::Error::other)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Those who have asked and not been answered yet.
#[derive(Default)]
struct Answers {
    pending: Mutex<usize>,
    none_left: Condvar,
}

struct Pending<'a>(&'a Answers);

impl Answers {
    fn begin(&self) -> Pending<'_> {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Pending(self)
    }

    /// Waits until all are answered, or are too slow for it.
    fn wait(&self) {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        drop(
            self.none_left
                .wait_timeout_while(pending, SLOW, |pending| *pending > 0),
        );
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        *self.0.pending.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.none_left.notify_all();
    }
}

/// One of the places for clients; given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(clients: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(clients));
        // Only this thread counts up; the place that was just made counts down again if it is one too many.
        (clients.fetch_add(1, Ordering::Relaxed) < MOST_CLIENTS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

const MOST_CLIENTS: usize = 64;

/// A client that says nothing for so long is let go.
const IDLE: Duration = Duration::from_secs(60);

/// A client that does not read for so long is let go.
const SLOW: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;
    use crate::control::ControlClient;
    use crate::notify::event::tests::state;
    use crate::notify::{Event, NotifyState};
    use crate::status::Status;

    struct Fake;

    impl Control for Fake {
        fn status(&self) -> Status {
            crate::status::tests::example()
        }

        fn watch(&self) -> Option<mpsc::Receiver<Event>> {
            let (sender, receiver) = mpsc::channel();
            sender.send(state("VI_1", NotifyState::Master)).unwrap();
            sender.send(state("VI_1", NotifyState::Fault)).unwrap();
            Some(receiver)
        }

        fn execute(&self, request: Request) -> Response {
            Response::Changes(vec![format!("{request:?}")])
        }
    }

    fn socket(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ha-stack-control-{}-{name}", std::process::id()))
    }

    #[test]
    fn requests_are_answered_in_turn() {
        let path = socket("turn");
        let _server = ControlServer::start(&path, Arc::new(Fake)).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut client = ControlClient::connect(&path).unwrap();
        assert_eq!(
            client.ask(&Request::Status).unwrap(),
            Response::Status(Box::new(crate::status::tests::example()))
        );
        assert_eq!(
            client.ask(&Request::Reload).unwrap(),
            Response::Changes(vec!["Reload".to_owned()])
        );
    }

    /// One whose answer takes until it is let go, and who says that it was asked.
    struct Held(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>);

    impl Control for Held {
        fn status(&self) -> Status {
            Status::default()
        }

        fn watch(&self) -> Option<mpsc::Receiver<Event>> {
            None
        }

        fn execute(&self, _: Request) -> Response {
            self.1.send(()).unwrap();
            self.0.lock().unwrap().recv().unwrap();
            Response::Changes(vec!["stopped".to_owned()])
        }
    }

    /// The process may end when the server is gone.
    #[test]
    fn whoever_asked_last_is_answered_before_the_server_is_gone() {
        let path = socket("last");
        let (let_go, held) = mpsc::channel();
        let (asked, is_asked) = mpsc::channel();
        let server = ControlServer::start(&path, Arc::new(Held(Mutex::new(held), asked))).unwrap();
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(b"{\"command\":\"stop\"}\n").unwrap();
        is_asked.recv().unwrap();
        let_go.send(()).unwrap();
        drop(server);
        client.set_nonblocking(true).unwrap();
        let mut answer = [0; 64];
        let length = client.read(&mut answer).unwrap();
        assert_eq!(answer[..length], *b"{\"changes\":[\"stopped\"]}\n");
    }

    #[test]
    fn a_watcher_gets_the_status_and_then_the_events() {
        let path = socket("watch");
        let _server = ControlServer::start(&path, Arc::new(Fake)).unwrap();
        let mut client = ControlClient::connect(&path).unwrap();
        assert!(matches!(
            client.ask(&Request::Watch).unwrap(),
            Response::Status(_)
        ));
        for word in ["MASTER", "FAULT"] {
            let Response::Event(event) = client.next().unwrap() else {
                panic!("not an event");
            };
            assert_eq!(event["event"], word);
        }
        assert!(matches!(client.next(), Err(Error::Closed)));
    }

    #[test]
    fn a_second_instance_is_refused_and_a_dead_one_replaced() {
        let path = socket("second");
        let server = ControlServer::start(&path, Arc::new(Fake)).unwrap();
        assert!(matches!(
            ControlServer::start(&path, Arc::new(Fake)),
            Err(Error::AlreadyRunning { .. })
        ));
        assert!(ControlClient::connect(&path).is_ok());
        let lock = server.lock.clone();
        drop(server);
        assert!(!path.exists());
        // Whoever kept the lock is not done yet.
        assert!(matches!(
            ControlLock::take(&path),
            Err(Error::AlreadyRunning { .. })
        ));
        drop(ControlServer::start_locked(lock, Arc::new(Fake)).unwrap());
        // What a killed daemon leaves.
        drop(UnixListener::bind(&path).unwrap());
        // A program that another test starts has the lock, too, until it is loaded.
        let deadline = Instant::now() + Duration::from_secs(60);
        let server = loop {
            match ControlServer::start(&path, Arc::new(Fake)) {
                Err(Error::AlreadyRunning { .. }) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                started => break started.unwrap(),
            }
        };
        assert!(ControlClient::connect(&path).is_ok());
        drop(server);
        std::fs::remove_file(beside(&path, "lock")).unwrap();
    }

    #[test]
    fn what_is_no_request_is_said_to_be_none() {
        let path = socket("nonsense");
        let _server = ControlServer::start(&path, Arc::new(Fake)).unwrap();
        for nonsense in [
            "\n".to_owned(),
            "{}\n".to_owned(),
            "\u{ff}\n".to_owned(),
            "x".repeat(100_000),
        ] {
            let mut stream = UnixStream::connect(&path).unwrap();
            let _ = stream.write_all(nonsense.as_bytes());
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).unwrap();
            assert!(line.starts_with(r#"{"error":"#), "{line}");
        }
    }

    #[test]
    fn clients_beyond_the_limit_are_told() {
        let path = socket("many");
        let _server = ControlServer::start(&path, Arc::new(Fake)).unwrap();
        let mut clients: Vec<ControlClient> = (0..MOST_CLIENTS)
            .map(|_| ControlClient::connect(&path).unwrap())
            .collect();
        for client in &mut clients {
            client.ask(&Request::Reload).unwrap();
        }
        let mut one_more = ControlClient::connect(&path).unwrap();
        assert!(matches!(one_more.next(), Ok(Response::Error(_))));
    }

    #[test]
    fn a_socket_that_cannot_be_made_is_an_error_with_its_path() {
        let error = ControlServer::start("/nonexistent/socket", Arc::new(Fake)).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/socket: "), "{error}");
    }
}
