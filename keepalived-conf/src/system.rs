//! The real host.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::ToSocketAddrs as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::environment::{Environment, FileKind, Program};

/// The host this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Environment for System {
    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let read = File::open(path)?
            .take(most.saturating_add(1))
            .read_to_end(&mut content)?;
        if read as u64 > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(content)
    }

    fn matching(&self, pattern: &Path) -> Vec<PathBuf> {
        let Some(found) = pattern.to_str().and_then(|text| glob::glob(text).ok()) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = found.filter_map(Result::ok).collect();
        paths.sort();
        paths
    }

    fn kind(&self, path: &Path) -> FileKind {
        match fs::metadata(path) {
            Err(_) => FileKind::Missing,
            Ok(found) if !found.is_file() => FileKind::Other,
            Ok(found) if found.permissions().mode() & 0o111 != 0 => FileKind::Executable,
            Ok(_) => FileKind::Regular,
        }
    }

    fn program(&self, name: &str) -> Program {
        if name.contains('/') {
            return program_at(Path::new(name));
        }
        let search = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_SEARCH_PATH.into());
        std::env::split_paths(&search)
            .map(|directory| program_at(&directory.join(name)))
            .find(|found| !matches!(found, Program::Missing | Program::NotExecutable))
            .unwrap_or(Program::Missing)
    }

    fn user_exists(&self, name: &str) -> Option<bool> {
        listed("/etc/passwd", name)
    }

    fn group_exists(&self, name: &str) -> Option<bool> {
        listed("/etc/group", name)
    }

    fn interface_exists(&self, name: &str) -> Option<bool> {
        // The interfaces of the network namespace that this thread is in; /sys shows those of whoever mounted it.
        let devices = fs::read_to_string("/proc/thread-self/net/dev").ok()?;
        let mut names = devices.lines().filter_map(|line| line.split_once(':'));
        Some(names.any(|(known, _)| known.trim() == name))
    }

    fn resolves(&self, host: &str) -> Option<bool> {
        Some(
            (host, 25)
                .to_socket_addrs()
                .is_ok_and(|mut found| found.next().is_some()),
        )
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn host_name(&self) -> String {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        String::from(name.trim().split('.').next().unwrap_or_default())
    }
}

fn program_at(path: &Path) -> Program {
    let Ok(found) = fs::metadata(path) else {
        return Program::Missing;
    };
    if !found.is_file() {
        return Program::Missing;
    }
    if found.permissions().mode() & 0o111 == 0 {
        return Program::NotExecutable;
    }
    let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let open = resolved
        .ancestors()
        .filter_map(|each| fs::metadata(each).ok())
        .any(|each| others_may_write(&each));
    match open {
        true => Program::WritableByOthers,
        false => Program::Found,
    }
}

/// Whether somebody other than root may replace what is there. A sticky directory protects what root owns in it.
fn others_may_write(found: &fs::Metadata) -> bool {
    let mode = found.mode();
    let sticky = found.is_dir() && mode & 0o1000 != 0;
    found.uid() != 0 || (!sticky && (mode & 0o002 != 0 || (mode & 0o020 != 0 && found.gid() != 0)))
}

/// Whether a name is a row of a password or group file; unknown where it is not, since a directory service may know it.
fn listed(file: &str, name: &str) -> Option<bool> {
    let rows = fs::read_to_string(file).ok()?;
    let there = rows.lines().any(|row| row.split(':').next() == Some(name));
    let local_only = fs::read_to_string("/etc/nsswitch.conf").is_ok_and(|text| {
        text.lines()
            .filter(|line| line.starts_with("passwd:") || line.starts_with("group:"))
            .all(|line| {
                line.split_whitespace()
                    .skip(1)
                    .all(|source| matches!(source, "files" | "compat" | "systemd"))
            })
    });
    match (there, local_only) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

const DEFAULT_SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
