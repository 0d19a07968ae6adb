//! Sync groups.

use std::collections::BTreeMap;

use crate::diagnostic::{Severity, Verdict};
use crate::keyword::nearest;
use crate::model::configuration::Configuration;
use crate::reader::Reader;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader<'_>) {
    let names = || configuration.vrrp_instance.iter().map(|each| each.name.as_str());
    let mut member_of: BTreeMap<&str, &str> = BTreeMap::new();
    for group in &configuration.vrrp_sync_group {
        let name = &group.name;
        let mut members = 0_usize;
        for member in &group.group {
            if !names().any(|known| known == member) {
                let advice = match nearest(member, names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => String::from("keepalived would go on without this member"),
                };
                let message = format!("no virtual router `{member}`, which is to be in group `{name}`");
                reader.at(group.origin, "group", Severity::Error, message, advice);
                continue;
            }
            members = members.saturating_add(1);
            if let Some(other) = member_of.insert(member, name) {
                reader.at(
                    group.origin,
                    "group",
                    Severity::Error,
                    format!("`{member}` is in group `{other}` already"),
                    "a virtual router can be in one group only",
                );
            }
        }
        let alone = match members {
            0 => Some("no members: it does nothing"),
            1 => Some("one member, which is in step with itself anyhow"),
            _ => None,
        };
        if let Some(alone) = alone {
            reader.at(
                group.origin,
                "group",
                Severity::Warning,
                format!("group `{name}` has {alone}"),
                "",
            );
        }
        super::script::known(
            configuration,
            &group.track_script,
            &group.track_file,
            &group.track_process,
            reader,
        );
        let owners = configuration
            .vrrp_instance
            .iter()
            .filter(|each| group.group.contains(&each.name) && each.effective_priority() == 255)
            .count();
        if owners > 0 && owners < members {
            reader.at_as(
                group.origin,
                "group",
                Severity::Warning,
                format!("group `{name}` mixes owners (priority 255) with others: none starts as active"),
                "",
                Verdict::Reports,
            );
        }
    }
}
