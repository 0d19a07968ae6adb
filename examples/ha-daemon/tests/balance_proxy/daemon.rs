//! `ha-daemon` with its proxy, in a network namespace.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use failover_lab::namespace::Namespace;

/// A daemon; killed when dropped.
pub(crate) struct Daemon<'a> {
    host: &'a Namespace,
    child: Child,
    directory: PathBuf,
}

impl<'a> Daemon<'a> {
    pub(crate) fn start(host: &'a Namespace, configuration: &str) -> Self {
        Self::start_with(host, configuration, &[])
    }

    /// With no other capabilities than these, if there are any.
    pub(crate) fn start_with(host: &'a Namespace, configuration: &str, capabilities: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ha-daemon-proxy-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        let child = launch(host, &directory, configuration, capabilities);
        Self {
            host,
            child,
            directory,
        }
    }

    /// Starts again what was killed.
    pub(crate) fn start_again(&mut self, configuration: &str) {
        self.child = launch(self.host, &self.directory, configuration, &[]);
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What a command says on its standard output.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let mut command = self.host.command(env!("CARGO_BIN_EXE_ha-daemon"));
        let command = command
            .current_dir(&self.directory)
            .args(words)
            .args(["--control", "sock"]);
        let output = command.stderr(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.ask(&["status", "--json"])).unwrap_or_default()
    }

    /// The real servers of a virtual server that take new connections now.
    pub(crate) fn serving(&self, server: usize) -> Vec<String> {
        let status = self.status();
        let reals = status["virtual_servers"][server]["real_servers"].as_array();
        let serving = reals
            .into_iter()
            .flatten()
            .filter(|real| real["effective_weight"] != 0);
        serving
            .map(|real| real["address"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Has a browser draw the status page, light and dark, into a directory.
    pub(crate) fn draw(&self, directory: &str, height: u32) {
        for (number, name) in [(1, "light"), (0, "dark")] {
            let mut browser = self.host.command("chromium-headless-shell");
            let browser = browser
                .args([
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    "--virtual-time-budget=4000",
                ])
                .arg(format!("--blink-settings=preferredColorScheme={number}"))
                .arg(format!("--user-data-dir={}/browser", self.directory.display()))
                .arg(format!("--window-size=1120,{height}"))
                .arg(format!("--screenshot={directory}/status-{name}.png"))
                .arg(format!("http://{PAGE}/"));
            assert!(browser.stderr(Stdio::null()).status().unwrap().success());
        }
    }

    pub(crate) fn reload(&self, configuration: &str) -> String {
        std::fs::write(self.directory.join("a.conf"), configuration).unwrap();
        self.ask(&["reload"])
    }
}

/// Where each shows its status, in a network of its own.
const PAGE: &str = "127.0.0.1:9112";

fn launch(
    host: &Namespace,
    directory: &std::path::Path,
    configuration: &str,
    capabilities: &[&str],
) -> Child {
    std::fs::write(directory.join("a.conf"), configuration).unwrap();
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(directory.join("log"));
    let program = env!("CARGO_BIN_EXE_ha-daemon");
    let mut command = match capabilities {
        [] => host.command(program),
        some => {
            let mut command = host.command("setpriv");
            let names = some
                .iter()
                .map(|name| name.trim_start_matches("CAP_").to_lowercase());
            let set: String = names.map(|name| format!(",+{name}")).collect();
            command.args(["--bounding-set", &format!("-all{set}"), program]);
            command
        }
    };
    let command = command
        .current_dir(directory)
        .args(["run", "-f", "a.conf", "--control", "sock"]);
    let command = command
        .args(["--data-plane", "proxy", "--http", PAGE])
        .stdin(Stdio::null());
    command
        .stdout(Stdio::null())
        .stderr(log.unwrap())
        .spawn()
        .unwrap()
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            eprintln!("{log}\n{}", self.ask(&["server", "list"]));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
