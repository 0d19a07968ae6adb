//! Debian's cloud kernels: found, downloaded, unpacked once, kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::{Result, has_program, read};

/// A kernel ready to boot.
pub(crate) struct Kernel {
    /// As `uname -r` says.
    pub(crate) release: String,
    pub(crate) image: PathBuf,
    /// The folder that holds `lib/modules/RELEASE`, with what [`MODULES`] names and its dependencies.
    pub(crate) modules: PathBuf,
}

/// The kernel that answers the request: a version (`6.1`: the newest of the archive) or a release (`6.1.0-50`: that one).
/// Once it lies in the cache, neither the archive nor the network is asked.
pub(crate) fn obtain(cache: &Path, request: &str) -> Result<Kernel> {
    let note = cache.join(format!("kernel-{request}"));
    if let Ok(release) = fs::read_to_string(&note) {
        let kernel = Kernel::at(cache, release.trim());
        if kernel.image.exists() {
            return Ok(kernel);
        }
    }
    let package = find(request)?;
    let release = package
        .trim_start_matches("linux-image-")
        .trim_end_matches("-unsigned")
        .to_owned();
    let kernel = Kernel::at(cache, &release);
    if !kernel.image.exists() {
        eprintln!("fetching {package} into {}", cache.display());
        fetch(cache, &package, &kernel)?;
    }
    fs::write(note, &release)?;
    Ok(kernel)
}

/// Whether a kernel for the request is in the cache already.
pub(crate) fn is_cached(cache: &Path, request: &str) -> bool {
    fs::read_to_string(cache.join(format!("kernel-{request}")))
        .is_ok_and(|release| Kernel::at(cache, release.trim()).image.exists())
}

impl Kernel {
    fn at(cache: &Path, release: &str) -> Self {
        let folder = cache.join(release);
        Self {
            release: release.to_owned(),
            image: folder.join("vmlinuz"),
            modules: folder.join("modules"),
        }
    }
}

fn find(request: &str) -> Result<String> {
    if !has_program("apt-get") {
        return Err(
            "kernel packages come from Debian's archive: apt-get is not here, and no kernel is cached".into(),
        );
    }
    let prefix = format!("linux-image-{request}");
    let search = || -> Result<Option<String>> {
        let names = read(Command::new("apt-cache").args(["pkgnames", "linux-image-"]))?;
        Ok(names
            .lines()
            .filter(|name| name.ends_with("-cloud-amd64-unsigned"))
            .filter(|name| {
                name.strip_prefix(&prefix)
                    .is_some_and(|rest| rest.starts_with(['.', '-', '+']))
            })
            .max_by_key(|name| numbers(name))
            .map(str::to_owned))
    };
    if let Some(found) = search()? {
        return Ok(found);
    }
    // An image without package lists, as containers are.
    let _ = Command::new("apt-get").args(["-qq", "update"]).status();
    search()?.ok_or_else(|| {
        format!(
            "no package linux-image-{request}*-cloud-amd64-unsigned in the archive (is `apt-get update` done?)"
        )
        .into()
    })
}

fn fetch(cache: &Path, package: &str, kernel: &Kernel) -> Result {
    let work = cache.join(format!("fetch-{}", std::process::id()));
    fs::create_dir_all(&work)?;
    let downloaded = Command::new("apt-get")
        .args(["-qq", "-o", "APT::Sandbox::User=root", "download", package])
        .current_dir(&work)
        .status()?;
    let archive = fs::read_dir(&work)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "deb"));
    let Some(archive) = archive.filter(|_| downloaded.success()) else {
        return Err(format!("cannot download {package}: no network, or the archive no longer has it").into());
    };
    let tree = work.join("tree");
    if !Command::new("dpkg-deb")
        .arg("-x")
        .args([&archive, &tree])
        .status()?
        .success()
    {
        return Err(format!("dpkg-deb cannot unpack {}", archive.display()).into());
    }
    let image = tree.join("boot").join(format!("vmlinuz-{}", kernel.release));
    let below = Path::new("lib/modules").join(&kernel.release);
    let source = [tree.join(&below), tree.join("usr").join(&below)]
        .into_iter()
        .find(|path| path.exists())
        .ok_or("the package has no modules")?;
    let target = kernel.modules.join(&below);
    pick_modules(&source, &target)?;
    let status = Command::new("depmod")
        .arg("-b")
        .arg(&kernel.modules)
        .arg(&kernel.release)
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("cannot run depmod (package kmod): {error}"))?;
    if !status.success() {
        return Err("depmod failed".into());
    }
    // Last: its presence means that all is complete.
    fs::copy(&image, &kernel.image)?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// Copies the modules wanted and what they depend on, decompressed.
fn pick_modules(source: &Path, target: &Path) -> Result {
    let mut files = Vec::new();
    walk(source, &mut files)?;
    let name = |path: &Path| -> String {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        file.split(".ko").next().unwrap_or_default().replace('-', "_")
    };
    let mut wanted: BTreeSet<String> = MODULES.iter().map(|name| (*name).to_owned()).collect();
    wanted.extend(
        files
            .iter()
            .filter(|path| path.to_string_lossy().contains("/ipvs/"))
            .map(|path| name(path)),
    );
    let mut done = BTreeSet::new();
    while let Some(next) = wanted.pop_first() {
        if !done.insert(next.clone()) {
            continue;
        }
        // Not there: built in, or not part of this kernel; who needs it is told by the kernel.
        let Some(path) = files.iter().find(|path| name(path) == next) else {
            continue;
        };
        let relative = path.strip_prefix(source)?;
        let copy = target.join(relative).with_file_name(format!("{next}.ko"));
        fs::create_dir_all(copy.parent().ok_or("a module without a folder")?)?;
        if path.extension().is_some_and(|end| end == "xz") {
            let plain = Command::new("xz").arg("-dc").arg(path).output()?;
            fs::write(&copy, plain.stdout)?;
        } else {
            fs::copy(path, &copy)?;
        }
        let depends = read(Command::new("modinfo").args(["-F", "depends"]).arg(&copy))?;
        wanted.extend(
            depends
                .trim()
                .split(',')
                .filter(|name| !name.is_empty())
                .map(|name| name.replace('-', "_")),
        );
    }
    for list in ["modules.builtin", "modules.order", "modules.builtin.modinfo"] {
        if source.join(list).exists() {
            fs::copy(source.join(list), target.join(list))?;
        }
    }
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.to_string_lossy().contains(".ko") {
            files.push(path);
        }
    }
    Ok(())
}

/// The numbers in a name, for comparing versions.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|character: char| !character.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// Besides all of IPVS.
const MODULES: &[&str] = &[
    "bridge",
    "dummy",
    "fou",
    "fou6",
    "gre",
    "ip_gre",
    "ip6_gre",
    "ip6_tunnel",
    "ip_tunnel",
    "ipip",
    "ipvlan",
    "macvlan",
    "nf_conntrack",
    "nf_tables",
    "nft_compat",
    "iptable_mangle",
    "iptable_filter",
    "ip6table_mangle",
    "xt_mark",
    "xt_MARK",
    "sch_netem",
    "sctp",
    "sit",
    "tun",
    "veth",
    "vrf",
    "af_packet",
    "ip_tables",
    "8021q",
];

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn newer_kernels_sort_higher() {
        assert!(numbers("linux-image-6.12.117+deb12-x") > numbers("linux-image-6.12.99+deb12-x"));
        assert!(numbers("linux-image-6.1.0-56-x") > numbers("linux-image-6.1.0-9-x"));
    }
}
