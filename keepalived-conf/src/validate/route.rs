//! Routes and rules.

use crate::diagnostic::{Severity, Verdict};
use crate::model::configuration::Configuration;
use crate::model::route::Route;
use crate::model::rule::Rule;
use crate::reader::Reader;

pub(super) fn check(configuration: &Configuration, reader: &mut Reader<'_>) {
    for router in &configuration.vrrp_instance {
        for route in &router.virtual_routes {
            self::route(route, reader);
        }
        for rule in &router.virtual_rules {
            self::rule(rule, reader);
        }
        let mut tracked = router
            .virtual_routes
            .iter()
            .filter(|route| !route.options.no_track);
        if tracked.any(|route| route.options.device.is_none()) {
            // It cannot track a route without an interface.
            reader.keepalived_objects();
        }
    }
    for route in &configuration.static_routes {
        self::route(route, reader);
    }
    for rule in &configuration.static_rules {
        self::rule(rule, reader);
    }
}

fn route(route: &Route, reader: &mut Reader<'_>) {
    let options = &route.options;
    if options.or.is_some() {
        reader.of_entry(
            options.origin,
            Severity::Warning,
            "`or` is an old way to say where a route leads",
            "`nexthop via ADDRESS nexthop via ADDRESS` says the same",
            Verdict::Reports,
        );
    }
    let own = matches!(options.protocol.as_deref(), None | Some("18" | "keepalived"));
    if !own && !options.no_track {
        reader.of_entry(
            options.origin,
            Severity::Warning,
            "the author of a route that is watched over is always keepalived, 18",
            "with `no_track` it can be another, and the route is not put back when somebody deletes it",
            Verdict::Reports,
        );
    }
    for (word, said, known, instead) in [
        ("features", &options.features, &["ecn"][..], "it is ignored"),
        (
            "ttl-propagate",
            &options.ttl_propagate,
            &["enabled", "disabled"],
            "it counts as `disabled`",
        ),
        (
            "pref",
            &options.pref,
            &["low", "medium", "high"],
            "the route is left out",
        ),
    ] {
        if let Some(said) = said
            && !known.contains(&said.as_str())
        {
            reader.of_entry(
                options.origin,
                Severity::Warning,
                format!("`{said}` is not known as `{word}`: {instead}"),
                known.join(", "),
                Verdict::Reports,
            );
        }
    }
    for (word, said) in [
        ("from", options.from.is_some()),
        ("pref", options.pref.is_some()),
        ("expires", options.expires.is_some()),
    ] {
        if said && !route.is_ipv6() {
            reader.of_entry(
                options.origin,
                Severity::Warning,
                format!("`{word}` is for IPv6 routes: this one is left out"),
                "remove the word",
                Verdict::Reports,
            );
        }
    }
}

fn rule(rule: &Rule, reader: &mut Reader<'_>) {
    let actions = rule.actions();
    match actions.as_slice() {
        [_] => {}
        [] => reader.of_entry(
            rule.origin,
            Severity::Warning,
            "a rule that does nothing is left out",
            "say `table` and a table, or `blackhole`, `unreachable`, `prohibit`, `goto`, `l3mdev`",
            Verdict::Reports,
        ),
        several => reader.of_entry(
            rule.origin,
            Severity::Warning,
            format!(
                "a rule does one thing, and this one has {}: it is left out",
                several.join(" and ")
            ),
            "keep one of them",
            Verdict::Reports,
        ),
    }
    if rule.protocol.is_some_and(|protocol| protocol != KEEPALIVED) && !rule.no_track {
        reader.of_entry(
            rule.origin,
            Severity::Warning,
            "the author of a rule that is watched over is always keepalived, 18",
            "with `no_track` it can be another, and the rule is not put back when somebody deletes it",
            Verdict::Reports,
        );
    }
    if rule.leads_back() {
        reader.of_entry(
            rule.origin,
            Severity::Warning,
            "a rule can only lead on: this one is left out",
            "say a number after `goto` that is greater than the rule's own preference",
            Verdict::Reports,
        );
    }
}

/// Its number among the routing protocols.
const KEEPALIVED: u8 = 18;
