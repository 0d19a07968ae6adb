//! A real server.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use failover_lab::namespace::Namespace;

/// A real server that says its name to everybody who comes, and then whatever it is told. Ends when dropped.
pub(crate) struct RealServer {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl RealServer {
    pub(crate) fn start(host: &Namespace, name: &'static str, address: SocketAddr) -> Self {
        // A socket stays in the namespace it was made in, whoever uses it.
        let listener = host.run(|| TcpListener::bind(address)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => drop(std::thread::spawn(move || answer(client, name))),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Checks come and go without a word.
fn answer(mut client: TcpStream, name: &str) -> Option<()> {
    client.set_nonblocking(false).ok()?;
    client.write_all(format!("{name} ").as_bytes()).ok()?;
    let mut text = [0; 64];
    loop {
        match client.read(&mut text).ok()? {
            0 => return None,
            length => client.write_all(&text[..length]).ok()?,
        }
    }
}
