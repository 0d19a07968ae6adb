//! What the workspace consists of, as cargo tells it.

use serde_json::Value;

use crate::process::{Result, cargo, read};

/// A package of the workspace that is meant to be published.
pub(crate) struct Library {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Every feature but `default`.
    pub(crate) features: Vec<String>,
    /// Whether its `lib.rs` promises to build without the standard library.
    pub(crate) no_std: bool,
    /// Features that need the standard library, from `[package.metadata.no-std] excluded-features`.
    std_features: Vec<String>,
}

impl Library {
    /// Whether the feature needs the standard library.
    pub(crate) fn needs_std(&self, feature: &str) -> bool {
        feature == "std" || self.std_features.iter().any(|name| name == feature)
    }
}

/// The publishable packages of the workspace, sorted by name.
pub(crate) fn libraries() -> Result<Vec<Library>> {
    let text = read(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    let value: Value = serde_json::from_str(&text)?;
    let mut libraries = Vec::new();
    for package in value["packages"].as_array().into_iter().flatten() {
        if package["publish"].as_array().is_some_and(Vec::is_empty) {
            continue;
        }
        let Some(source) = package["targets"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|target| {
                let is_library = target["kind"].as_array()?.iter().any(|kind| kind == "lib");
                is_library.then(|| target["src_path"].as_str())?
            })
        else {
            continue;
        };
        libraries.push(Library {
            name: string(&package["name"]),
            version: string(&package["version"]),
            features: package["features"]
                .as_object()
                .into_iter()
                .flat_map(|features| features.keys())
                .filter(|feature| *feature != "default")
                .cloned()
                .collect(),
            no_std: std::fs::read_to_string(source)?.lines().any(|line| {
                let line = line.trim();
                line.starts_with("#![") && line.contains("no_std")
            }),
            std_features: package["metadata"]["no-std"]["excluded-features"]
                .as_array()
                .into_iter()
                .flatten()
                .map(string)
                .collect(),
        });
    }
    libraries.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(libraries)
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
