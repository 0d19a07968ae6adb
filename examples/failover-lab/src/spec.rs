//! What a director of the laboratory is told to do.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vrrp_fsm::{Announcements, Dialect, Peer, Preempt};
use vrrp_net::{Instance, Lease, VirtualAddress, VirtualMac};
use vrrp_proto::{AdverInterval, ChecksumForm, Priority, Vrid};

/// A director: a host with virtual routers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DirectorSpec {
    /// Its virtual routers.
    pub routers: Vec<RouterSpec>,
    /// Ask for real-time priority and locked memory; without the privilege it goes on without.
    pub realtime: bool,
    /// How long to wait between the start of one virtual router and the next (ours only; keepalived's drift apart by
    /// themselves).
    pub stagger: Duration,
}

/// One virtual router, as the laboratory and its tests vary it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct RouterSpec {
    /// The interface.
    pub interface: String,
    /// The number.
    pub vrid: u8,
    /// The priority.
    pub priority: u8,
    /// The interval in centiseconds.
    pub centiseconds: u16,
    /// VRRPv2 or VRRPv3.
    pub version: u8,
    /// The addresses, with prefix lengths.
    pub addresses: Vec<String>,
    /// Addresses that move but are not advertised.
    pub excluded: Vec<String>,
    /// A VRRPv2 password.
    pub password: Option<String>,
    /// Do not take the role from an active router of lower priority.
    pub nopreempt: bool,
    /// A virtual MAC.
    pub virtual_mac: bool,
    /// With a virtual MAC, send from the interface's own.
    pub transmit_base: bool,
    /// Unicast peers instead of multicast.
    pub peers: Vec<IpAddr>,
    /// The source address of the advertisements, where it is not the interface's own.
    pub source: Option<IpAddr>,
    /// Lease in seconds; 0 for none.
    pub lease: Option<u32>,
    /// Announce once only.
    pub minimal_announcements: bool,
    /// Send the checksum of RFC 9568.
    pub message_checksum: bool,
    /// Accept an IPv6 list that does not begin with a link-local address.
    pub any_first_address: bool,
    /// Accept packets to the addresses.
    pub accept: bool,
}

impl Default for RouterSpec {
    fn default() -> Self {
        Self {
            interface: "eth0".into(),
            vrid: 1,
            priority: 100,
            centiseconds: 10,
            version: 3,
            addresses: Vec::new(),
            excluded: Vec::new(),
            password: None,
            nopreempt: false,
            virtual_mac: false,
            transmit_base: false,
            peers: Vec::new(),
            source: None,
            lease: None,
            minimal_announcements: false,
            message_checksum: false,
            any_first_address: false,
            accept: true,
        }
    }
}

impl RouterSpec {
    /// The virtual router as the library takes it; `None` when a number or an address is none.
    #[must_use]
    pub fn instance(&self) -> Option<Instance> {
        let parse = |text: &String| text.parse::<VirtualAddress>().ok();
        let addresses: Vec<_> = self.addresses.iter().map(parse).collect::<Option<_>>()?;
        let excluded: Vec<_> = self.excluded.iter().map(parse).collect::<Option<_>>()?;
        let interval = match self.version {
            2 => AdverInterval::from_seconds(u8::try_from(self.centiseconds / 100).ok()?)?,
            _ => AdverInterval::from_centiseconds(self.centiseconds)?,
        };
        let this = self.clone();
        let mut instance = Instance::new(
            &format!("{}-{}", self.interface, self.vrid),
            &self.interface,
            Vrid::new(self.vrid)?,
        )
        .priority(Priority::new(self.priority))
        .adver_interval(interval)
        .addresses(addresses)
        .addresses(excluded.into_iter().map(VirtualAddress::excluded))
        .parameters(move |mut builder| {
            if this.version == 2 {
                builder = builder.dialect(Dialect::Rfc3768);
            }
            if let Some(password) = &this.password {
                builder = builder.password(vrrp_proto::Password::truncating(password.as_bytes()));
            }
            if this.nopreempt {
                builder = builder.preempt(Preempt::Never);
            }
            if !this.peers.is_empty() {
                builder = builder.unicast_peers(this.peers.iter().copied().map(Peer::new));
            }
            if this.minimal_announcements {
                builder = builder.announcements(Announcements::MINIMAL);
            }
            if this.message_checksum {
                builder = builder.checksum_form(ChecksumForm::Rfc9568);
            }
            builder
                .any_first_address(this.any_first_address)
                .accept_mode(this.accept)
        });
        if let Some(source) = self.source {
            instance = instance.source(source);
        }
        if self.virtual_mac {
            let mut mac = VirtualMac::standard();
            if self.transmit_base {
                mac = mac.transmit_from_base();
            }
            instance = instance.virtual_mac(mac);
        }
        Some(match self.lease {
            None => instance,
            Some(0) => instance.lease(Lease::Off),
            Some(seconds) => instance.lease(Lease::Seconds(seconds)),
        })
    }

    /// The Active_Down_Interval in nanoseconds when all routers have this interval.
    #[must_use]
    pub fn active_down(&self) -> u64 {
        self.interval() * 3 + self.skew()
    }

    /// The Skew_Time in nanoseconds when all routers have this interval.
    #[must_use]
    pub fn skew(&self) -> u64 {
        let base = if self.version == 2 {
            1_000_000_000
        } else {
            self.interval()
        };
        base * (256 - u64::from(self.priority)) / 256
    }

    /// The interval in nanoseconds.
    #[must_use]
    pub fn interval(&self) -> u64 {
        u64::from(self.centiseconds) * 10_000_000
    }

    /// The same virtual router in the words of keepalived.
    #[must_use]
    pub fn keepalived(&self, host: usize) -> String {
        let mut text = format!(
            "vrrp_instance VI_{}_{} {{\n  interface {}\n  virtual_router_id {}\n  priority {}\n  \
             advert_int {}\n  version {}\n  state BACKUP\n",
            self.interface,
            self.vrid,
            self.interface,
            self.vrid,
            self.priority,
            f64::from(self.centiseconds) / 100.0,
            self.version,
        );
        if self.nopreempt {
            text += "  nopreempt\n";
        }
        if self.virtual_mac {
            text += "  use_vmac\n";
            if self.transmit_base {
                text += "  vmac_xmit_base\n";
            }
        }
        if self.minimal_announcements {
            text += "  garp_master_repeat 1\n  garp_master_delay 0\n";
        }
        if let Some(password) = &self.password {
            text += &format!("  authentication {{\n    auth_type PASS\n    auth_pass {password}\n  }}\n");
        }
        if !self.peers.is_empty() {
            let own = crate::plan::ipv4(0, host);
            match self.source {
                Some(source) => text += &format!("  unicast_src_ip {source}\n"),
                None if self.peers.iter().all(IpAddr::is_ipv4) => {
                    text += &format!("  unicast_src_ip {own}\n");
                }
                None => {}
            }
            text += "  unicast_peer {\n";
            for peer in &self.peers {
                text += &format!("    {peer}\n");
            }
            text += "  }\n";
        }
        text += "  virtual_ipaddress {\n";
        for address in &self.addresses {
            text += &format!("    {address}\n");
        }
        text += "  }\n";
        if !self.excluded.is_empty() {
            text += "  virtual_ipaddress_excluded {\n";
            for address in &self.excluded {
                text += &format!("    {address}\n");
            }
            text += "  }\n";
        }
        text + "}\n"
    }
}
