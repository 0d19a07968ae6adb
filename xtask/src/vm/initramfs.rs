//! The guest's file system: a cpio archive in the `newc` form, written here.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Result, program_path};

/// An archive under construction.
#[derive(Default)]
pub(crate) struct Initramfs {
    bytes: Vec<u8>,
    present: BTreeSet<PathBuf>,
}

impl Initramfs {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A file of the guest with these contents. The first one of a path stays.
    pub(crate) fn file(&mut self, path: &Path, mode: u32, contents: &[u8]) {
        self.folders(path);
        if self.present.insert(path.to_owned()) {
            self.entry(path, 0o100_000 | mode, contents);
        }
    }

    /// A symbolic link of the guest.
    pub(crate) fn link(&mut self, path: &Path, target: &str) {
        self.folders(path);
        if self.present.insert(path.to_owned()) {
            self.entry(path, 0o120_777, target.as_bytes());
        }
    }

    /// A file of the host, or a folder with all that is in it, at this path of the guest.
    pub(crate) fn copy(&mut self, host: &Path, guest: &Path) -> Result {
        let metadata =
            fs::metadata(host).map_err(|error| format!("cannot pack {}: {error}", host.display()))?;
        if metadata.is_dir() {
            self.folders(&guest.join("-"));
            for entry in fs::read_dir(host)? {
                let entry = entry?;
                self.copy(&entry.path(), &guest.join(entry.file_name()))?;
            }
        } else {
            self.file(guest, metadata.permissions().mode() & 0o7777, &fs::read(host)?);
        }
        Ok(())
    }

    /// A program of the host with the shared libraries it needs.
    pub(crate) fn program(&mut self, host: &Path, guest: &Path) -> Result {
        self.copy(host, guest)?;
        for library in libraries(host)? {
            self.copy(&library, &library)?;
        }
        Ok(())
    }

    /// A program found by name, at the path it has on the host. Returns whether it is there.
    pub(crate) fn program_named(&mut self, name: &str) -> Result<bool> {
        let Some(path) = program_path(name) else {
            return Ok(false);
        };
        self.program(&path, &path)?;
        Ok(true)
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry(Path::new("TRAILER!!!"), 0, &[]);
        // Archives may follow one another if each starts aligned.
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }

    fn folders(&mut self, path: &Path) {
        let above: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
        for folder in above.into_iter().rev() {
            if folder.parent().is_some() && self.present.insert(folder.clone()) {
                self.entry(&folder, 0o040_755, &[]);
            }
        }
    }

    fn entry(&mut self, path: &Path, mode: u32, contents: &[u8]) {
        let name = path
            .strip_prefix("/")
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned();
        let number = self.present.len();
        let fields = [
            number,
            mode as usize,
            0,
            0,
            1,
            0,
            contents.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.bytes.extend_from_slice(contents);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The shared libraries that the loader would map, and the loader itself; none for a static program.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if let Some(line) = text.lines().find(|line| line.contains("not found")) {
        return Err(format!("{}: {}", program.display(), line.trim()).into());
    }
    Ok(text
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        .map(|word| PathBuf::from(word.trim_end_matches(':')))
        .filter(|path| path != program)
        .collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Initramfs;

    #[test]
    fn an_entry_is_a_header_of_110_bytes_a_name_and_contents_aligned_to_four() {
        let mut archive = Initramfs::new();
        archive.file(Path::new("/a/b"), 0o755, b"hello");
        let bytes = archive.finish();
        let folder = 110 + 2;
        assert!(bytes.starts_with(b"070701"));
        assert_eq!(&bytes[110..folder], b"a\0");
        let file = folder + 110;
        assert_eq!(&bytes[file..file + 4], b"a/b\0");
        assert_eq!(&bytes[file + 6..file + 11], b"hello");
        assert_eq!(bytes.len() % 512, 0);
    }
}
