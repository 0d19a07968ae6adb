//! What holds for a virtual router once defaults and contradictions are resolved as keepalived resolves them.

use crate::model::configuration::Configuration;
use crate::model::vrrp_instance::{State, VrrpInstance};
use crate::value::Seconds;

impl VrrpInstance {
    /// Whether it is a virtual router of IPv6, which follows from its first address; without one, from its peers, its source
    /// or its group.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        let first = self.virtual_ipaddress.first().map(|first| first.address.address);
        let peer = self.unicast_peer.first().map(|peer| peer.address);
        first
            .or(peer)
            .or(self.unicast_src_ip)
            .or(self.mcast_src_ip)
            .or(self.mcast_dst_ip)
            .map_or(self.native_ipv6, |address| address.is_ipv6())
    }

    /// The priority: that which is written, else 255 with `state MASTER`, else 100.
    #[must_use]
    pub fn effective_priority(&self) -> u8 {
        match (self.priority, self.state) {
            (Some(priority), _) => priority,
            (None, Some(State::Master)) => 255,
            (None, _) => 100,
        }
    }

    /// The version of the protocol: its own, else 3 for IPv6, else that of `global_defs`, else 2. Strict mode has no
    /// IPv6 in version 2.
    #[must_use]
    pub fn effective_version(&self, configuration: &Configuration) -> u8 {
        let written = match self.version {
            Some(version) => version,
            None if self.is_ipv6() => 3,
            None => configuration
                .global_defs
                .as_ref()
                .and_then(|global| global.vrrp_version)
                .unwrap_or(2),
        };
        match written == 2 && self.is_ipv6() && self.is_strict(configuration) {
            true => 3,
            false => written,
        }
    }

    /// The interval as the protocol can say it: whole seconds from 1 to 255 in version 2, hundredths of a second up to
    /// 40.95 s in version 3.
    #[must_use]
    pub fn effective_interval(&self, configuration: &Configuration) -> Seconds {
        let micros = self.advert_int.unwrap_or(Seconds::from_secs(1)).as_micros();
        let (step, most) = match self.effective_version(configuration) {
            2 => (1_000_000, 255_000_000),
            _ => (10_000, 40_950_000),
        };
        let steps = micros
            .saturating_add(step / 2)
            .checked_div(step)
            .unwrap_or(1)
            .max(1);
        Seconds::from_micros(steps.saturating_mul(step).min(most))
    }

    /// Whether it follows the standard to the letter.
    #[must_use]
    pub fn is_strict(&self, configuration: &Configuration) -> bool {
        let global = configuration
            .global_defs
            .as_ref()
            .is_some_and(|global| global.vrrp_strict);
        self.strict_mode.unwrap_or(global)
    }

    /// Whether packets to its addresses are accepted. The owner always accepts; in strict mode nobody else does, unless
    /// VRRPv3 is told to `accept`.
    #[must_use]
    pub fn accepts(&self, configuration: &Configuration) -> bool {
        let told = match self.is_strict(configuration) {
            true => self.accept && self.effective_version(configuration) == 3,
            false => !self.no_accept,
        };
        told || self.effective_priority() == 255
    }

    /// Whether it takes over from an active router of lower priority: `nopreempt` counts only without `state MASTER`
    /// and below priority 255.
    #[must_use]
    pub fn preempts(&self) -> bool {
        !self.nopreempt || self.state == Some(State::Master) || self.effective_priority() == 255
    }

    /// How long it waits before it takes over from an active router of lower priority. Zero with `state MASTER`, where
    /// it does not preempt, and in strict mode.
    #[must_use]
    pub fn effective_preempt_delay(&self, configuration: &Configuration) -> Seconds {
        let cleared = self.state == Some(State::Master) || !self.preempts() || self.is_strict(configuration);
        match cleared {
            true => Seconds::default(),
            false => self.preempt_delay.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(body: &str) -> (VrrpInstance, Configuration) {
        let (configuration, _) = Configuration::parse(&format!("vrrp_instance A {{\n{body}\n}}\n"));
        (configuration.vrrp_instance[0].clone(), configuration)
    }

    #[test]
    fn the_priority_depends_on_the_state() {
        assert_eq!(first("state MASTER").0.effective_priority(), 255);
        assert_eq!(first("state BACKUP").0.effective_priority(), 100);
        assert_eq!(first("state MASTER\npriority 90").0.effective_priority(), 90);
    }

    #[test]
    fn the_interval_is_one_the_protocol_can_say() {
        for (body, micros) in [
            ("advert_int 0.4", 1_000_000),
            ("advert_int 1.5", 2_000_000),
            ("version 3\nadvert_int 0.014", 10_000),
            ("version 3\nadvert_int 0.015", 20_000),
            ("version 3\nadvert_int 41", 40_950_000),
            ("", 1_000_000),
        ] {
            let (router, configuration) = first(body);
            assert_eq!(
                router.effective_interval(&configuration).as_micros(),
                micros,
                "{body}"
            );
        }
    }

    #[test]
    fn ipv6_speaks_version_3_unless_told_otherwise() {
        let (router, configuration) = first("virtual_ipaddress { fe80::1 }");
        assert_eq!(router.effective_version(&configuration), 3);
        let (router, configuration) = first("version 2\nvirtual_ipaddress { fe80::1 }");
        assert_eq!(router.effective_version(&configuration), 2);
    }

    #[test]
    fn without_an_address_the_family_is_that_of_what_else_there_is() {
        for (body, ipv6) in [
            ("", false),
            ("native_ipv6", true),
            ("unicast_peer { fe80::1 }", true),
            ("native_ipv6\nmcast_src_ip 10.0.0.1", false),
            ("virtual_ipaddress { 10.0.0.1 }\nunicast_peer { fe80::1 }", false),
        ] {
            assert_eq!(first(body).0.is_ipv6(), ipv6, "{body}");
        }
    }

    #[test]
    fn packets_are_accepted_unless_something_says_otherwise() {
        for (body, accepts) in [
            ("", true),
            ("accept", true),
            ("no_accept", false),
            ("no_accept\npriority 255", true),
            ("strict_mode on", false),
            ("strict_mode on\npriority 255", true),
            ("strict_mode on\nversion 3", false),
            ("strict_mode on\nversion 3\naccept", true),
            ("strict_mode on\nversion 2\naccept", false),
        ] {
            let (router, configuration) = first(body);
            assert_eq!(router.accepts(&configuration), accepts, "{body}");
        }
    }

    #[test]
    fn state_master_clears_what_would_hold_it_back() {
        let (router, configuration) = first("state MASTER\npriority 90\nnopreempt\npreempt_delay 5");
        assert!(router.preempts());
        assert_eq!(router.effective_preempt_delay(&configuration).as_micros(), 0);
        let (router, configuration) = first("state BACKUP\npreempt_delay 5");
        assert_eq!(
            router.effective_preempt_delay(&configuration).as_micros(),
            5_000_000
        );
    }
}
