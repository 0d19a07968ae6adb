//! The executables of one build of the tests.
//!
//! Everything a run of the tests starts comes from the one build it began with: cargo, asked for one package after the
//! other, would choose the features of their dependencies anew each time, and compile them again.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Result, cargo, read, root};

/// What cargo built for the tests.
pub(crate) struct Built {
    /// Cargo's messages on the artifacts that can be run.
    artifacts: Vec<Value>,
}

impl Built {
    /// Builds the tests of these packages, given as arguments of cargo, and their programs and examples.
    pub(crate) fn tests(selection: &[&str]) -> Result<Self> {
        let mut command = cargo(&["test", "--all-features", "--no-run", "--message-format=json"]);
        let messages = read(command.args(selection))?;
        Ok(Self {
            artifacts: messages
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .filter(|message| message["executable"].is_string())
                .collect(),
        })
    }

    /// The test binary of this name.
    pub(crate) fn test(&self, package: &str, name: &str) -> Result<PathBuf> {
        self.find(package, "test", name)
    }

    /// The program of this name.
    pub(crate) fn program(&self, package: &str, name: &str) -> Result<PathBuf> {
        self.find(package, "bin", name)
    }

    /// The example of this name.
    pub(crate) fn example(&self, package: &str, name: &str) -> Result<PathBuf> {
        self.find(package, "example", name)
    }

    /// The package's folder, in which cargo runs its tests.
    pub(crate) fn folder(&self, package: &str) -> PathBuf {
        self.artifacts
            .iter()
            .filter(|artifact| is_of(artifact, package))
            .find_map(|artifact| Path::new(artifact["manifest_path"].as_str()?).parent())
            .map_or_else(root, Path::to_owned)
    }

    fn find(&self, package: &str, kind: &str, name: &str) -> Result<PathBuf> {
        self.artifacts
            .iter()
            .filter(|artifact| is_of(artifact, package) && artifact["target"]["name"] == name)
            .filter(|artifact| artifact["target"]["kind"][0] == kind)
            // The unit tests of a program are of its kind and name.
            .filter(|artifact| artifact["profile"]["test"] == (kind == "test"))
            .find_map(|artifact| artifact["executable"].as_str().map(PathBuf::from))
            .ok_or_else(|| format!("cargo built no {kind} {name} of {package}").into())
    }
}

/// Whether the artifact is of this package, whose name is the last of its folder's path or else follows it.
fn is_of(artifact: &Value, package: &str) -> bool {
    let id = artifact["package_id"].as_str().unwrap_or_default();
    let (path, version) = id.split_once('#').unwrap_or_default();
    match version.split_once('@') {
        Some((name, _)) => name == package,
        None => path.rsplit('/').next() == Some(package),
    }
}
