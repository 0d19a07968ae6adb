//! Telling systemd that the service is ready, alive, reloading or stopping.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The channel to the service manager, where there is one.
#[derive(Debug)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` from the environment. Without them every call does
    /// nothing.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self::new(
            variable("NOTIFY_SOCKET").as_deref(),
            variable("WATCHDOG_USEC").as_deref(),
            variable("WATCHDOG_PID").as_deref(),
        )
    }

    fn new(socket: Option<&str>, watchdog: Option<&str>, process: Option<&str>) -> Self {
        let socket = socket.and_then(|address| match connect(address) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(address, %error, "cannot reach the service manager");
                None
            }
        });
        let ours = process.is_none_or(|process| process.parse() == Ok(std::process::id()));
        let watchdog = watchdog
            .filter(|_| ours)
            .and_then(|text| text.parse().ok())
            .filter(|micros| *micros > 0)
            .map(Duration::from_micros);
        Self { socket, watchdog }
    }

    /// How often [`alive`](Self::alive) has to be called: half of what the service manager allows.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2)
    }

    /// The service is up, or done reloading.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The service is alive.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// The service is stopping.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The service has begun to reload; `now` is the monotonic clock.
    pub fn reloading(&self, now: Duration) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.as_micros()));
    }

    /// One line for `systemctl status`.
    pub fn status(&self, line: &str) {
        self.tell(&format!("STATUS={}", line.replace('\n', " ")));
    }

    fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(message.as_bytes())
        {
            tracing::debug!(%error, "the service manager did not take a message");
        }
    }
}

fn connect(address: &str) -> io::Result<UnixDatagram> {
    let address = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A service manager that does not read must not hold up an election.
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_as_systemd_reads_them() {
        let name = format!("ha-stack-systemd-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let process = std::process::id().to_string();
        let manager = ServiceManager::new(Some(&format!("@{name}")), Some("3000000"), Some(&process));
        assert_eq!(manager.watchdog_interval(), Some(Duration::from_millis(1500)));
        manager.ready();
        manager.alive();
        manager.reloading(Duration::from_micros(7));
        manager.status("VI_1\nactive");
        manager.stopping();
        let mut received = Vec::new();
        for _ in 0..5 {
            let mut buffer = [0; 128];
            let length = listener.recv(&mut buffer).unwrap();
            received.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        assert_eq!(
            received,
            [
                "READY=1",
                "WATCHDOG=1",
                "RELOADING=1\nMONOTONIC_USEC=7",
                "STATUS=VI_1 active",
                "STOPPING=1"
            ]
        );
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        let manager = ServiceManager::new(None, None, None);
        manager.ready();
        assert_eq!(manager.watchdog_interval(), None);
        let manager = ServiceManager::new(Some("/nonexistent/socket"), Some("0"), None);
        manager.ready();
        assert_eq!(manager.watchdog_interval(), None);
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        assert_eq!(
            ServiceManager::new(None, Some("3000000"), Some("1")).watchdog_interval(),
            None
        );
    }
}
