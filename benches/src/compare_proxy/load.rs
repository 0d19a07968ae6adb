//! Both ends of the load, cheap enough to leave the proxy the slowest of the three.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create, sendfile};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, connect as dial, recv, send,
    socket_with,
};

use crate::Result;

/// Answers a short request with a short answer, and `R` with as much as the other end takes.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    let listener: OwnedFd = std::net::TcpListener::bind(address)?.into();
    rustix::io::ioctl_fionbio(&listener, true)?;
    rustix::net::listen(&listener, 4096)?;
    let much = memfd_create("much", MemfdFlags::CLOEXEC)?;
    ftruncate(&much, MUCH)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(0), EventFlags::IN)?;
    // Whether it is one of those that want much.
    let mut clients: HashMap<u64, (OwnedFd, bool)> = HashMap::new();
    let mut buffer = vec![0; 4096];
    let mut events: Vec<Event> = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let data = event.data;
            let name = data.u64();
            if name == 0 {
                for _ in 0..32 {
                    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                    let Ok(client) = accept_with(&listener, flags) else {
                        break;
                    };
                    let name = u64::try_from(client.as_raw_fd())?;
                    epoll::add(&epoll, &client, EventData::new_u64(name), EventFlags::IN)?;
                    clients.insert(name, (client, false));
                }
                continue;
            }
            let Some((client, wants_much)) = clients.get_mut(&name) else {
                continue;
            };
            if !*wants_much {
                match recv(&*client, &mut buffer[..], RecvFlags::empty()) {
                    Ok((length, _)) if length > 0 && buffer[0] == b'R' => {
                        *wants_much = true;
                        epoll::modify(&epoll, &*client, EventData::new_u64(name), EventFlags::OUT)?;
                    }
                    Ok((length, _)) if length > 0 => {
                        let _ = send(&*client, &ANSWER, SendFlags::NOSIGNAL);
                        clients.remove(&name);
                    }
                    _ => drop(clients.remove(&name)),
                }
            }
            let is_over =
                |outcome: std::result::Result<usize, Errno>| !matches!(outcome, Ok(1..) | Err(Errno::AGAIN));
            if let Some((client, true)) = clients.get(&name)
                && is_over(sendfile(client, &much, Some(&mut 0), usize::try_from(MUCH)?))
            {
                clients.remove(&name);
            }
        }
    }
}

/// Connects, asks, reads to the end and begins anew, so many at once. Prints how often that was done.
pub(crate) fn connect(front: SocketAddr, at_once: usize, time: Duration) -> Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut clients: Vec<(OwnedFd, usize)> = Vec::new();
    let mut buffer = vec![0; 4096];
    let mut events: Vec<Event> = Vec::with_capacity(256);
    let (mut done, mut failed) = (0_u64, 0_u64);
    let begun = Instant::now();
    for name in 0..at_once {
        clients.push((begin(&epoll, front, name)?, 0));
    }
    while begun.elapsed() < time {
        events.clear();
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&patience))?;
        for event in &events {
            let data = event.data;
            let name = usize::try_from(data.u64())?;
            let Some((client, read)) = clients.get_mut(name) else {
                continue;
            };
            let is_over = loop {
                match recv(&*client, &mut buffer[..], RecvFlags::empty()) {
                    Ok((0, _)) => break true,
                    Ok((length, _)) => *read += length,
                    Err(Errno::AGAIN) => break false,
                    Err(_) => break true,
                }
            };
            if is_over {
                match *read == ANSWER.len() {
                    true => done += 1,
                    false => failed += 1,
                }
                (*client, *read) = (begin(&epoll, front, name)?, 0);
            }
        }
    }
    if failed > done / 1000 {
        return Err(format!("{failed} of {} connections failed", done + failed).into());
    }
    println!("{done}");
    Ok(())
}

fn begin(epoll: &OwnedFd, front: SocketAddr, name: usize) -> Result<OwnedFd> {
    let client = open(front)?;
    // Over loopback it is connected by now.
    let _ = send(&client, &REQUEST, SendFlags::NOSIGNAL);
    let flags = EventFlags::IN | EventFlags::ET;
    epoll::add(epoll, &client, EventData::new_u64(name as u64), flags)?;
    Ok(client)
}

/// Reads as much as comes by so many connections. Prints how many megabytes.
pub(crate) fn fetch(front: SocketAddr, streams: usize, time: Duration) -> Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut clients: HashMap<u64, OwnedFd> = HashMap::new();
    for _ in 0..streams {
        let client: OwnedFd = std::net::TcpStream::connect(front)?.into();
        send(&client, b"R", SendFlags::NOSIGNAL)?;
        rustix::io::ioctl_fionbio(&client, true)?;
        let name = u64::try_from(client.as_raw_fd())?;
        epoll::add(&epoll, &client, EventData::new_u64(name), EventFlags::IN)?;
        clients.insert(name, client);
    }
    let mut buffer = vec![0; 1 << 20];
    let mut events: Vec<Event> = Vec::with_capacity(256);
    let mut bytes = 0_u64;
    let begun = Instant::now();
    while begun.elapsed() < time {
        events.clear();
        let patience = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&patience))?;
        for event in &events {
            let data = event.data;
            let Some(client) = clients.get(&data.u64()) else {
                continue;
            };
            // Thrown away without a copy: the reader shall not be what is measured.
            let (_, length) = recv(client, &mut buffer[..], RecvFlags::TRUNC)?;
            bytes += u64::try_from(length)?;
        }
    }
    println!("{}", bytes as f64 / 1e6);
    Ok(())
}

fn open(front: SocketAddr) -> Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    match dial(&socket, &front) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error.into()),
    }
}

const REQUEST: [u8; 100] = [b'G'; 100];
const ANSWER: [u8; 1000] = [b'A'; 1000];

/// In bytes.
const MUCH: u64 = 16 << 20;
