//! What only the whole configuration shows: names that lead nowhere, combinations that contradict each other.

mod balancer;
mod group;
mod route;
mod router;
mod script;

use std::collections::BTreeMap;

use crate::diagnostic::Severity;
use crate::model::configuration::Configuration;
use crate::reader::Reader;
use crate::source::Origin;

/// Reports everything that is wrong with a configuration as a whole.
pub(crate) fn check(configuration: &Configuration, reader: &mut Reader<'_>) {
    unique(
        configuration
            .vrrp_instance
            .iter()
            .map(|each| (&each.name, each.origin)),
        "virtual router",
        reader,
    );
    unique(
        configuration
            .vrrp_script
            .iter()
            .map(|each| (&each.name, each.origin)),
        "script",
        reader,
    );
    unique(
        configuration
            .vrrp_sync_group
            .iter()
            .map(|each| (&each.name, each.origin)),
        "sync group",
        reader,
    );
    unique(
        configuration
            .track_file
            .iter()
            .map(|each| (&each.name, each.origin)),
        "tracked file",
        reader,
    );
    unique(
        configuration
            .vrrp_track_process
            .iter()
            .map(|each| (&each.name, each.origin)),
        "tracked process",
        reader,
    );
    router::check(configuration, reader);
    route::check(configuration, reader);
    group::check(configuration, reader);
    script::check(configuration, reader);
    balancer::check(configuration, reader);
}

/// Reports the second of two blocks with one name: keepalived skips it.
fn unique<'a>(blocks: impl Iterator<Item = (&'a String, Origin)>, what: &str, reader: &mut Reader<'_>) {
    let mut seen = BTreeMap::new();
    for (name, origin) in blocks {
        if seen.insert(name, ()).is_some() {
            reader.at(
                origin,
                "",
                Severity::Error,
                format!("a second {what} with the name `{name}`"),
                "keepalived would skip this block",
            );
        }
    }
}
