//! The kernel laboratory: a command run under a Debian kernel that has IPVS, in about ten seconds.
//!
//! On a host whose own kernel has IPVS the command runs there, in a network namespace of its own, unless a kernel is asked
//! for. Elsewhere a virtual machine is booted, emulated in software, from a file system that holds the kernel's modules, the
//! peers, and the command with its shared libraries. Every use of the laboratory goes through [`Lab`].

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

mod initramfs;
mod kernel;

use crate::process::{Result, executable, has_program, is_root, program_path, root};
use initramfs::Initramfs;

#[derive(Args)]
pub(crate) struct Options {
    /// Boot this kernel even if the host's would do: a version (6.1, 6.12: the newest of the archive) or a release (6.1.0-50)
    #[arg(long)]
    kernel: Option<String>,
    /// Pack this file or folder of the host too, under /lab or at the path after the colon
    #[arg(long = "file", value_name = "HOST[:GUEST]")]
    files: Vec<String>,
    /// Pack this program of the host too, with its shared libraries
    #[arg(long = "program", value_name = "NAME")]
    programs: Vec<String>,
    /// Set a variable of the command's environment
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// Kill the machine after so many seconds
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// Memory of the machine in MiB
    #[arg(long, default_value_t = 1024)]
    memory: u32,
    /// Build this benchmark and run it in place of a command (its arguments may follow after `--`)
    #[arg(long, value_name = "PACKAGE/BENCH")]
    bench: Option<String>,
    /// The command; a program given by a path of the host is packed and run in the guest
    #[arg(last = true, required_unless_present = "bench")]
    command: Vec<String>,
}

/// One run in the laboratory.
pub(crate) struct Lab {
    kernel: Option<String>,
    files: Vec<(PathBuf, PathBuf)>,
    programs: Vec<String>,
    environment: Vec<(String, String)>,
    timeout: Duration,
    memory: u32,
}

/// What came of a command.
pub(crate) struct Outcome {
    pub(crate) status: i32,
    /// Its output, standard output and error together.
    pub(crate) lines: Vec<String>,
}

/// How a machine ended.
enum End {
    Done(Outcome),
    /// Its kernel gave up.
    Panic,
}

/// What a test binary needs besides itself. Files keep their paths.
#[derive(Default)]
pub(crate) struct Luggage {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) programs: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// How long it may take, where that is longer than usual.
    pub(crate) timeout: Option<Duration>,
}

pub(crate) fn run(options: &Options) -> Result {
    let mut lab = Lab::new(options.kernel.as_deref());
    lab.timeout = Duration::from_secs(options.timeout);
    lab.memory = options.memory;
    for file in &options.files {
        let (host, guest) = match file.split_once(':') {
            Some((host, guest)) => (PathBuf::from(host), PathBuf::from(guest)),
            None => {
                let host = PathBuf::from(file);
                let guest = Path::new("/lab").join(host.file_name().ok_or("a file without a name")?);
                (host, guest)
            }
        };
        lab.file(host, guest);
    }
    lab.programs.extend(options.programs.iter().cloned());
    for pair in &options.environment {
        let (name, value) = pair.split_once('=').ok_or("--env takes NAME=VALUE")?;
        lab.environment(name, value);
    }
    let mut command = options.command.clone();
    if let Some(bench) = &options.bench {
        let (package, name) = bench.split_once('/').ok_or("--bench takes PACKAGE/BENCH")?;
        let program = executable(
            &["bench", "--no-run", "--package", package, "--bench", name],
            name,
        )?;
        command.insert(0, program.to_string_lossy().into_owned());
    }
    let status = lab.run(&command, |line| println!("{line}"))?.status;
    if status == 0 {
        Ok(())
    } else {
        // The command has said itself what was wrong.
        std::process::exit(status)
    }
}

/// Why nothing can be run here with an IPVS kernel, or `None`.
pub(crate) fn missing() -> Option<String> {
    if host_has_ipvs() {
        return None;
    }
    for (program, package) in [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("busybox", "busybox-static"),
    ] {
        if !has_program(program) {
            return Some(format!(
                "a kernel with IPVS: no {program} (package {package}) to boot one"
            ));
        }
    }
    let cached = ALL.iter().all(|request| kernel::is_cached(&cache(), request));
    if !cached && !has_program("apt-get") {
        return Some("a kernel with IPVS: none is cached and there is no apt-get to fetch one".to_owned());
    }
    None
}

/// Whether commands can run under the host's own kernel.
pub(crate) fn host_has_ipvs() -> bool {
    if !is_root() {
        return false;
    }
    // Loads the module where it exists.
    let _ = Command::new("modprobe")
        .args(["-q", "ip_vs"])
        .stderr(Stdio::null())
        .status();
    Path::new("/proc/net/ip_vs").exists()
}

/// Runs a test binary on the host's kernel if it has IPVS, else on each of these, with these arguments for the harness.
/// Returns on how many kernels it ran and whether all succeeded.
///
/// Several machines run at the same time, for an emulated one hardly uses more than one processor. What each says is then
/// written when it is done.
pub(crate) fn run_tests(
    kernels: &[&str],
    binary: &Path,
    arguments: &[&str],
    luggage: &Luggage,
    mut each: impl FnMut(&str),
) -> Result<(usize, bool)> {
    let kernels: Vec<Option<&str>> = match host_has_ipvs() {
        true => vec![None],
        false => kernels.iter().copied().map(Some).collect(),
    };
    let mut command = vec![binary.to_string_lossy().into_owned()];
    command.extend(arguments.iter().map(|word| (*word).to_owned()));
    let lab_with = |kernel: Option<&str>| {
        let mut lab = Lab::new(kernel);
        lab.timeout = luggage.timeout.unwrap_or(SUITE_TIMEOUT);
        for file in &luggage.files {
            lab.file(file, file);
        }
        lab.programs.clone_from(&luggage.programs);
        lab.environment.clone_from(&luggage.environment);
        lab
    };
    let title = |kernel: Option<&str>| {
        format!(
            "$ cargo xtask vm{} -- {} {}",
            kernel.map_or_else(String::new, |kernel| format!(" --kernel {kernel}")),
            binary.file_name().unwrap_or_default().to_string_lossy(),
            arguments.join(" ")
        )
    };
    let mut passed = true;
    let mut count = |outcome: Outcome| {
        outcome.lines.iter().for_each(|line| each(line));
        passed &= outcome.status == 0;
    };
    if let [kernel] = kernels[..] {
        println!("{}", title(kernel));
        count(lab_with(kernel).run(&command, |line| println!("{line}"))?);
        return Ok((1, passed));
    }
    // Whoever comes second finds it.
    fs::create_dir_all(cache())?;
    for kernel in kernels.iter().flatten() {
        kernel::obtain(&cache(), kernel)?;
    }
    thread::scope(|scope| {
        let machines: Vec<_> = kernels
            .iter()
            .map(|kernel| {
                let (lab, command) = (lab_with(*kernel), &command);
                // An error crosses threads as text.
                scope.spawn(move || lab.run(command, |_| ()).map_err(|error| error.to_string()))
            })
            .collect();
        for (kernel, machine) in kernels.iter().zip(machines) {
            let outcome = machine.join().unwrap_or_else(|_| Err("it panicked".to_owned()));
            println!("{}", title(*kernel));
            let outcome = outcome?;
            outcome.lines.iter().for_each(|line| println!("{line}"));
            count(outcome);
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    Ok((kernels.len(), passed))
}

impl Luggage {
    /// A file whose path the tests find in this variable.
    pub(crate) fn named(&mut self, variable: &str, file: PathBuf) {
        self.environment
            .push((variable.to_owned(), file.to_string_lossy().into_owned()));
        self.files.push(file);
    }
}

impl Lab {
    /// On this kernel, or where that is left open on the host's if it has IPVS, else on 6.12.
    pub(crate) fn new(kernel: Option<&str>) -> Self {
        Self {
            kernel: kernel.map(str::to_owned),
            files: Vec::new(),
            programs: Vec::new(),
            environment: Vec::new(),
            timeout: Duration::from_secs(300),
            memory: 1024,
        }
    }

    /// Packs a file or folder.
    pub(crate) fn file(&mut self, host: impl Into<PathBuf>, guest: impl Into<PathBuf>) {
        self.files.push((host.into(), guest.into()));
    }

    /// Sets a variable of the command's environment.
    pub(crate) fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Runs the command, and hands on each line of its output as it comes.
    ///
    /// A machine whose kernel panics is booted once more, and then only the second one counts: where one emulated processor
    /// rewrites code that the other one runs, as kernels do for their static keys, the emulator now and then trips over it.
    pub(crate) fn run(&self, command: &[String], each: impl FnMut(&str)) -> Result<Outcome> {
        if self.kernel.is_none() && host_has_ipvs() {
            return self.run_here(command, each);
        }
        self.boot(command, each)
    }

    /// In a fresh network namespace of the host.
    fn run_here(&self, command: &[String], mut each: impl FnMut(&str)) -> Result<Outcome> {
        let mut child = Command::new("unshare")
            .args([
                "--net",
                "--",
                "sh",
                "-c",
                "ip link set lo up; exec \"$@\" 2>&1",
                "sh",
            ])
            .args(command)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line?;
                each(&line);
                lines.push(line);
            }
        }
        let status = child.wait()?.code().unwrap_or(1);
        Ok(Outcome { status, lines })
    }

    fn boot(&self, command: &[String], mut each: impl FnMut(&str)) -> Result<Outcome> {
        if !has_program("qemu-system-x86_64") {
            return Err(
                "this host's kernel has no IPVS, and there is no qemu-system-x86_64 (package qemu-system-x86) to boot one that has"
                    .into(),
            );
        }
        let cache = cache();
        fs::create_dir_all(&cache)?;
        let kernel = kernel::obtain(&cache, self.kernel.as_deref().unwrap_or(KERNEL))?;
        let marker = format!("laboratory-{}-ended-with", std::process::id());
        let archive = self.pack(&kernel, command, &marker)?;
        let work = cache.join(format!("run-{}-{}", std::process::id(), kernel.release));
        fs::create_dir_all(&work)?;
        let initrd = work.join("initrd");
        fs::write(&initrd, archive)?;
        let mut start = || self.start(&kernel, &initrd, &work.join("console"), &marker, &mut each);
        let end = match start() {
            Ok(End::Panic) => {
                println!("vm: the machine's kernel panicked; once more");
                start()
            }
            other => other,
        };
        fs::remove_dir_all(&work)?;
        match end? {
            End::Done(outcome) => Ok(outcome),
            End::Panic => Err("the machine's kernel panicked twice".into()),
        }
    }

    fn pack(&self, kernel: &kernel::Kernel, command: &[String], marker: &str) -> Result<Vec<u8>> {
        let mut archive = Initramfs::new();
        let busybox = program_path("busybox").ok_or("no busybox (package busybox-static)")?;
        archive.copy(&busybox, Path::new("/bin/busybox"))?;
        archive.link(Path::new("/sbin/modprobe"), "/bin/busybox");
        archive.file(Path::new("/init"), 0o755, include_bytes!("vm/guest.sh"));
        archive.file(
            Path::new("/etc/passwd"),
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\n",
        );
        archive.file(Path::new("/etc/group"), 0o644, b"root:x:0:\n");
        archive.file(Path::new("/etc/protocols"), 0o644, PROTOCOLS);
        archive.copy(&kernel.modules, Path::new("/"))?;
        for name in PEERS {
            if !archive.program_named(name)? {
                eprintln!("vm: {name} is not installed here and will be missing in the guest");
            }
        }
        if program_path("bash").is_some() {
            archive.link(Path::new("/bin/bash"), "/usr/bin/bash");
        }
        for name in &self.programs {
            if !archive.program_named(name)? {
                return Err(format!("no program {name} to pack").into());
            }
        }
        for (host, guest) in &self.files {
            let executable = host.is_file() && fs::read(host)?.starts_with(b"\x7fELF");
            if executable {
                archive.program(host, guest)?;
            } else {
                archive.copy(host, guest)?;
            }
        }
        let mut words: Vec<String> = command.to_vec();
        if let Some(first) = words.first_mut() {
            let host = PathBuf::from(&*first);
            if first.contains('/') && host.is_file() {
                let guest = Path::new("/lab").join(host.file_name().unwrap_or_default());
                if fs::read(&host)?.starts_with(b"\x7fELF") {
                    archive.program(&host, &guest)?;
                } else {
                    archive.copy(&host, &guest)?;
                }
                *first = guest.to_string_lossy().into_owned();
            } else {
                // Not found on the host: a word of busybox's, or the guest says what is wrong.
                archive.program_named(first)?;
            }
        }
        let mut script = format!("MARKER={marker}\n");
        for (name, value) in &self.environment {
            script.push_str(&format!("export {name}={}\n", quoted(value)));
        }
        let quoted_words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        script.push_str(&quoted_words.join(" "));
        script.push('\n');
        archive.file(Path::new("/lab/.command"), 0o644, script.as_bytes());
        Ok(archive.finish())
    }

    fn start(
        &self,
        kernel: &kernel::Kernel,
        initrd: &Path,
        console: &Path,
        marker: &str,
        mut each: impl FnMut(&str),
    ) -> Result<End> {
        let begin = Instant::now();
        let mut serial = OsString::from("file:");
        serial.push(console);
        let mut child = Command::new("qemu-system-x86_64")
            .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"])
            .args(["-m", &self.memory.to_string()])
            .args(["-nodefaults", "-display", "none", "-nic", "none", "-no-reboot"])
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(initrd)
            // no_timer_check: on a busy host the emulated timer may be late, which the kernel takes for a broken one.
            .args([
                "-append",
                "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check",
            ])
            .arg("-serial")
            .arg(serial)
            .args(["-chardev", "stdio,id=out,signal=off", "-serial", "chardev:out"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no output of the machine")?;
        let done = Arc::new(AtomicBool::new(false));
        let watchdog = {
            let done = Arc::clone(&done);
            let (id, timeout) = (child.id(), self.timeout);
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    if begin.elapsed() > timeout {
                        eprintln!("vm: killed after {} s", timeout.as_secs());
                        let _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
                        return;
                    }
                    thread::park_timeout(Duration::from_millis(200));
                }
            })
        };
        let mut status = None;
        let mut lines = Vec::new();
        // A line is handed on when the next one has come: the empty one before the marker is not the command's.
        let mut held: Option<String> = None;
        for line in BufReader::new(stdout).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            let line = line.trim_end_matches('\r').to_owned();
            if let Some(number) = line.strip_prefix(marker) {
                status = number.trim().parse::<i32>().ok();
                held = held.filter(|line| !line.is_empty());
                break;
            }
            if let Some(line) = held.replace(line) {
                each(&line);
                lines.push(line);
                let _ = std::io::stdout().flush();
            }
        }
        if let Some(line) = held {
            each(&line);
            lines.push(line);
        }
        if status.is_some() {
            // It has said all there is to say; powering off takes it longer than we want to wait.
            let _ = child.kill();
        }
        child.wait()?;
        done.store(true, Ordering::Relaxed);
        watchdog.thread().unpark();
        let _ = watchdog.join();
        if let Some(status) = status {
            eprintln!(
                "vm: {} ended with {status} after {:.1} s",
                kernel.release,
                begin.elapsed().as_secs_f32()
            );
            return Ok(End::Done(Outcome { status, lines }));
        }
        let log = String::from_utf8_lossy(&fs::read(console).unwrap_or_default()).into_owned();
        let last: Vec<&str> = log.lines().rev().take(LAST_WORDS).collect();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        let what = format!("the machine ended without a status; its console's last lines:\n{last}");
        if log.contains("Kernel panic") {
            println!("{what}");
            return Ok(End::Panic);
        }
        Err(what.into())
    }
}

/// Where kernels are kept: under `target`, or for several checkouts together under `$XDG_CACHE_HOME`.
fn cache() -> PathBuf {
    match env::var_os("XDG_CACHE_HOME") {
        Some(folder) if !folder.is_empty() => Path::new(&folder).join("ha-kernel-lab"),
        _ => root().join("target/vm"),
    }
}

/// A word for the guest's shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// As many lines of the console as a panic has.
const LAST_WORDS: usize = 80;

/// A suite that takes a minute on an idle host takes several on a busy one.
const SUITE_TIMEOUT: Duration = Duration::from_secs(900);
/// The kernel that is booted when none is asked for.
const KERNEL: &str = "6.12";
/// For suites that are about programs, not about the kernel.
pub(crate) const NEWEST: &[&str] = &[KERNEL];
/// For suites that are about what the kernel says.
pub(crate) const CURRENT: &[&str] = &["6.1", KERNEL];
/// For suites that are about what the kernel does: one from before the scheduler fixes of 2026 too.
pub(crate) const ALL: &[&str] = &["6.1", KERNEL, "6.1.0-50"];
/// Programs that are always in the guest.
const PEERS: &[&str] = &["bash", "ip", "ipvsadm", "keepalived", "curl"];
const PROTOCOLS: &[u8] = b"icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nsctp 132 SCTP\n";
