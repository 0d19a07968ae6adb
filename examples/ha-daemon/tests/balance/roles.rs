//! What this program plays on the hosts: real servers and clients.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::probed;

/// The variable that names the role.
const ROLE: &str = "BALANCE_ROLE";
/// The test that plays it.
const STAGE: &str = "stories::direct_routing_with_two_services";

/// Plays the role that the environment names. Returns whether there is one.
pub(crate) fn play() -> bool {
    let Ok(role) = std::env::var(ROLE) else {
        return false;
    };
    match role.split(' ').collect::<Vec<_>>()[..] {
        ["serve", name] => serve(name),
        ["probed"] => probed::serve(),
        ["pages", port, answers] => pages(port.parse().unwrap(), answers),
        ["door", port, shut] => door(port.parse().unwrap(), Path::new(shut)),
        ["hear", path] => hear(path),
        ["fetch", place, times] => fetch(place.parse().unwrap(), times.parse().unwrap()),
        ["hold", place, ..] => hold(place.parse().unwrap()),
        ["load", place, workers, each, seconds, end] => load(
            place.parse().unwrap(),
            workers.parse().unwrap(),
            each.parse().unwrap(),
            Duration::from_secs(seconds.parse().unwrap()),
            Path::new(end),
        ),
        _ => panic!("there is no role {role}"),
    }
    true
}

/// The command that plays a role.
pub(crate) fn command(role: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    let pair = format!("{ROLE}={role}");
    let words = ["env", &pair, program.to_str().unwrap()];
    let options = ["--ignored", "--exact", STAGE, "--nocapture"];
    words.into_iter().chain(options).map(str::to_owned).collect()
}

/// A real server on ports 80 and 3306: says its name, and repeats each line it is told with its name before it.
fn serve(name: &str) {
    let talk = |stream: TcpStream| -> io::Result<()> {
        let mut writer = stream.try_clone()?;
        writeln!(writer, "{name}")?;
        for line in BufReader::new(stream).lines() {
            writer.write_all(format!("{name} {}\n", line?).as_bytes())?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        for port in [80, 3306] {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
            scope.spawn(move || {
                for stream in listener.incoming().flatten() {
                    // One that is gone again was a check.
                    scope.spawn(move || talk(stream));
                }
            });
        }
    });
}

/// A web server that gives every client the same answers, one after the other, and the last one for ever: `+` is right, `-`
/// has the wrong status, `x` the wrong content. Says who asked, and when.
fn pages(port: u16, answers: &str) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    let answer = |mut stream: TcpStream, kind: u8| -> io::Result<()> {
        let mut request = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        while request.read_line(&mut line)? > 2 {
            line.clear();
        }
        let (status, body) = match kind {
            b'-' => ("404 Not Found", "ok"),
            b'x' => ("200 OK", "no"),
            _ => ("200 OK", "ok"),
        };
        write!(stream, "HTTP/1.0 {status}\r\nContent-Length: 2\r\n\r\n{body}")
    };
    let mut turns: HashMap<IpAddr, usize> = HashMap::new();
    for stream in listener.incoming().flatten() {
        let Ok(client) = stream.peer_addr() else { continue };
        let turn = turns.entry(client.ip()).or_default();
        let last = answers.len() - 1;
        let kind = answers.as_bytes()[(*turn).min(last)];
        *turn += 1;
        println!("\nasked {} {}", client.ip(), uptime());
        std::thread::spawn(move || answer(stream, kind));
    }
}

/// A port that is open while a file is not there. Says when it opens and closes.
fn door(port: u16, shut: &Path) {
    loop {
        // Said before it is so, as the other: what comes of it comes later.
        println!("\nopened {}", uptime());
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        while !shut.exists() {
            if listener.accept().is_err() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        println!("closed {}", uptime());
        drop(listener);
        while shut.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Says what comes through a FIFO, and when.
fn hear(path: &str) {
    // Opened for writing too, it has no end.
    let fifo = std::fs::File::options().read(true).write(true).open(path);
    for line in BufReader::new(fifo.unwrap()).lines() {
        println!("\nheard {} {}", uptime(), line.unwrap());
    }
}

/// Seconds since the host was started: one clock for all programs on it.
fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// A client that asks so many times who answers, and says it in one line; `!` stands before what went wrong.
fn fetch(place: SocketAddr, times: u32) {
    let answers: Vec<String> = (0..times)
        .map(|_| ask(place, PATIENCE).unwrap_or_else(|error| format!("!{:?}", error.kind())))
        .collect();
    println!("\nfetched {}", answers.join(" "));
}

fn connect(place: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&place, patience)?;
    stream.set_read_timeout(Some(patience))?;
    // What comes after an answer does not wait until that has been acknowledged.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn ask(place: SocketAddr, patience: Duration) -> io::Result<String> {
    let stream = connect(place, patience)?;
    let mut line = String::new();
    if BufReader::new(stream).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

/// Clients that ask one request after the other, so many on each connection, until a file is there; each waits so long for an
/// answer. At the end they say how many requests there were, in how many milliseconds, how many of those passed at most
/// without an answer to anybody, and each failure.
fn load(place: SocketAddr, workers: usize, each: u32, patience: Duration, end: &Path) {
    let begin = Instant::now();
    let silence = Mutex::new((begin, Duration::ZERO));
    let answered = || {
        let mut silence = silence.lock().unwrap();
        let (last, longest) = *silence;
        *silence = (Instant::now(), longest.max(last.elapsed()));
    };
    let talk = |requests: &mut u64| -> io::Result<()> {
        *requests += 1;
        let mut stream = connect(place, patience)?;
        let mut answers = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        for number in 1..=each {
            if answers.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answered();
            if number < each {
                *requests += 1;
                stream.write_all(b"again\n")?;
            }
        }
        Ok(())
    };
    let work = || {
        let (mut requests, mut failures) = (0, Vec::new());
        while !end.exists() {
            if let Err(error) = talk(&mut requests) {
                failures.push(format!("{:?}", error.kind()));
            }
        }
        (requests, failures)
    };
    let (mut requests, mut failures) = (0, Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let (more, failed) = worker.join().unwrap();
            requests += more;
            failures.extend(failed);
        }
    });
    let time = begin.elapsed().as_millis();
    answered();
    let silence = silence.lock().unwrap().1.as_millis();
    println!("\ndone {requests} {time} {silence} {}", failures.join(" "));
}

/// A client that talks on one connection for as long as it can: a line for each answer, and `broken` at the end.
fn hold(place: SocketAddr) {
    let talk = || -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&place, PATIENCE)?;
        println!("\nfrom {}", stream.local_addr()?.port());
        let mut answers = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        for number in 0.. {
            line.clear();
            if answers.read_line(&mut line)? == 0 {
                break;
            }
            println!("heard {}", line.trim_end());
            std::thread::sleep(Duration::from_millis(100));
            stream.write_all(format!("{number}\n").as_bytes())?;
        }
        Ok(())
    };
    println!("broken {:?}", talk());
}

/// Longer than a failover with what TCP loses by it.
const PATIENCE: Duration = Duration::from_secs(30);
