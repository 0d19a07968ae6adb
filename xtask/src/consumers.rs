//! What a user gets: the packaged crates, and crates outside the workspace that depend on them.

use std::fs;
use std::path::Path;

use crate::metadata::{Library, libraries};
use crate::process::{self, Result, cargo, root};

pub(crate) fn run() -> Result {
    let libraries = libraries()?;
    if libraries.is_empty() {
        return Err("there is no library crate to package".into());
    }
    let mut package = cargo(&["package", "--allow-dirty", "--no-verify"]);
    for library in &libraries {
        package.args(["--package", &library.name]);
    }
    process::run(&mut package)?;

    let folder = root().join("target/consumers");
    fs::create_dir_all(&folder)?;
    for library in &libraries {
        unpack(library)?;
    }
    for library in &libraries {
        for features in feature_sets(library) {
            consume(&folder, library, &libraries, &features)?;
        }
    }
    Ok(())
}

/// None, each alone, and all together.
fn feature_sets(library: &Library) -> Vec<Vec<&str>> {
    let all: Vec<&str> = library.features.iter().map(String::as_str).collect();
    let mut sets = vec![Vec::new()];
    sets.extend(all.iter().map(|feature| vec![*feature]));
    if all.len() > 1 {
        sets.push(all);
    }
    sets
}

fn unpack(library: &Library) -> Result {
    let folder = root().join("target/package");
    let name = format!("{}-{}", library.name, library.version);
    let _ = fs::remove_dir_all(folder.join(&name));
    process::run(
        std::process::Command::new("tar")
            .arg("-xzf")
            .arg(format!("{name}.crate"))
            .current_dir(folder),
    )
}

/// Checks a crate of its own workspace whose only dependency is the packaged library with these features.
fn consume(folder: &Path, library: &Library, libraries: &[Library], features: &[&str]) -> Result {
    let features = features
        .iter()
        .map(|feature| format!("{feature:?}"))
        .collect::<Vec<_>>()
        .join(", ");
    let mut manifest = format!(
        "[workspace]\n[package]\nname = \"consumer\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\n{} = {{ version = \"{}\", default-features = false, features = [{features}] }}\n\
         [patch.crates-io]\n",
        library.name, library.version,
    );
    for library in libraries {
        let path = root().join(format!("target/package/{}-{}", library.name, library.version));
        manifest.push_str(&format!("{} = {{ path = {path:?} }}\n", library.name));
    }
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(
        folder.join("src/lib.rs"),
        format!(
            "//! A crate outside the workspace.\npub use {} as library;\n",
            library.name.replace('-', "_")
        ),
    )?;
    println!("consumer of {} with features [{features}]", library.name);
    let mut check = cargo(&["check", "--quiet"]);
    check
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"));
    process::run(&mut check)
}
