//! What the tests in namespaces have in common.
#![allow(unreachable_pub, reason = "shared by test binaries, which have no outside")]
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod running;

use std::net::IpAddr;
use std::time::Duration;

use failover_lab::capture::{Capture, Content, Frame};
use failover_lab::director::Director;
use failover_lab::observe::AddressWatch;
use failover_lab::segment::Segment;
use failover_lab::spec::{DirectorSpec, RouterSpec};
use vrrp_proto::{AdverInterval, Advertisement, ChecksumForm, Envelope, Priority, Vrid};

pub const PATIENCE: Duration = Duration::from_secs(60);
pub const VRID: u8 = 7;
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Three hosts on a segment: two for directors, one to look and to disturb.
pub struct Lab {
    pub segment: Segment,
    pub capture: Capture,
    pub watches: Vec<AddressWatch>,
}

impl Lab {
    pub fn new() -> Self {
        Self::with_networks(1)
    }

    pub fn with_networks(networks: usize) -> Self {
        let segment = Segment::build(networks, 3).unwrap();
        let capture = Capture::start(segment.host(2), false, None).unwrap();
        let watches = (0..2)
            .map(|host| AddressWatch::start(segment.host(host)).unwrap())
            .collect();
        Self {
            segment,
            capture,
            watches,
        }
    }

    pub fn director(&self, host: usize, router: &RouterSpec) -> Director {
        let spec = DirectorSpec {
            routers: vec![router.clone()],
            ..DirectorSpec::default()
        };
        let program = env!("CARGO_BIN_EXE_failover-lab");
        Director::ours(self.segment.host(host), program, &spec).unwrap()
    }

    pub fn keepalived(&self, host: usize, router: &RouterSpec) -> Director {
        let spec = DirectorSpec {
            routers: vec![router.clone()],
            ..DirectorSpec::default()
        };
        Director::keepalived(self.segment.host(host), host, &spec).unwrap()
    }

    pub fn wait_holds(&self, host: usize, address: IpAddr) {
        let what = format!("host {host} to hold {address}");
        failover_lab::lab::wait_for(PATIENCE, &what, || self.watches[host].holds(address)).unwrap();
    }

    pub fn wait_lost(&self, host: usize, address: IpAddr) {
        let what = format!("host {host} to give up {address}");
        failover_lab::lab::wait_for(PATIENCE, &what, || !self.watches[host].holds(address)).unwrap();
    }

    /// What passes by the third host in the time of so many intervals.
    pub fn listen(&self, intervals: u32) -> Vec<Frame> {
        let _ = self.capture.take();
        std::thread::sleep(INTERVAL * intervals);
        self.capture.take()
    }

    /// A transmitter on the third host.
    pub fn disturber(&self) -> Disturber {
        Disturber(failover_lab::disturb::Disturber::new(self.segment.host(2)).unwrap())
    }
}

/// Sends advertisements of its own making.
pub struct Disturber(failover_lab::disturb::Disturber);

impl Disturber {
    /// Sends one advertisement with this priority for the standard address of its family.
    pub fn advertise(&mut self, ipv6: bool, priority: u8) {
        let source: IpAddr = if ipv6 {
            Segment::link_local(0, 2).into()
        } else {
            Segment::ipv4(0, 2).into()
        };
        let addresses: Vec<IpAddr> = addresses(ipv6)
            .iter()
            .map(|text| text.split('/').next().unwrap().parse().unwrap())
            .collect();
        let envelope = Envelope::multicast(source);
        let advertisement = Advertisement::version_3_any_first_address(
            Vrid::new(VRID).unwrap(),
            Priority::new(priority),
            AdverInterval::from_centiseconds(10).unwrap(),
            addresses,
        )
        .unwrap();
        let mut message = vec![0; advertisement.buffer_len()];
        advertisement
            .emit(&envelope, ChecksumForm::Rfc5798, &mut message)
            .unwrap();
        self.send(&envelope, &message);
    }

    /// Sends these bytes as a VRRP message.
    pub fn send(&mut self, envelope: &Envelope, message: &[u8]) {
        self.0.send(envelope, message).unwrap();
    }
}

/// The addresses of the standard virtual router: in IPv6 the link-local one first.
pub fn addresses(ipv6: bool) -> Vec<String> {
    if ipv6 {
        vec!["fe80::7777/64".into(), "fd77::1:1/64".into()]
    } else {
        vec!["10.77.1.1/16".into()]
    }
}

/// The address of the standard virtual router that can be reached.
pub fn address(ipv6: bool) -> IpAddr {
    if ipv6 { "fd77::1:1" } else { "10.77.1.1" }.parse().unwrap()
}

/// The standard virtual router.
pub fn router(ipv6: bool, priority: u8) -> RouterSpec {
    RouterSpec {
        vrid: VRID,
        priority,
        addresses: addresses(ipv6),
        ..RouterSpec::default()
    }
}

/// The hardware address of a host.
pub fn own_mac(host: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, host + 1]
}

/// The virtual MAC address of the standard virtual router.
pub fn virtual_mac(ipv6: bool) -> [u8; 6] {
    [0, 0, 0x5e, 0, if ipv6 { 2 } else { 1 }, VRID]
}

pub fn adverts(frames: &[Frame]) -> Vec<&Frame> {
    frames
        .iter()
        .filter(|frame| frame.content().advertisement().is_some())
        .collect()
}

pub fn from_host(frames: &[Frame], ipv6: bool, host: usize) -> usize {
    let own: IpAddr = if ipv6 {
        Segment::link_local(0, host).into()
    } else {
        Segment::ipv4(0, host).into()
    };
    frames
        .iter()
        .filter(|frame| matches!(frame.content(), Content::Vrrp { source, .. } if source == own))
        .count()
}

/// The link that carries the virtual MAC of the standard virtual router.
pub fn virtual_link(ipv6: bool) -> String {
    format!("vrrp{}.{VRID}", if ipv6 { "6" } else { "" })
}

/// A MAC address as `ip` writes it.
pub fn written(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Lets a host forward, without any check of where packets come from.
pub fn forward(lab: &Lab, host: usize) {
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        lab.segment.host(host).switch(switch, "1").unwrap();
    }
    for name in ["all", "default", "eth0", "eth1"] {
        // A segment of one network has no eth1.
        let _ = lab
            .segment
            .host(host)
            .switch(&format!("ipv4/conf/{name}/rp_filter"), "0");
    }
}

/// How many packets a host has forwarded, and how many redirects it has sent, of both families.
pub fn forwarded_and_redirects(lab: &Lab, host: usize) -> (u64, u64) {
    let (v4, v6) = lab
        .segment
        .host(host)
        .run(|| {
            Ok((
                std::fs::read_to_string("/proc/thread-self/net/snmp")?,
                std::fs::read_to_string("/proc/thread-self/net/snmp6")?,
            ))
        })
        .unwrap();
    let old = |table: &str, name: &str| -> u64 {
        let mut rows = v4.lines().filter(|line| line.starts_with(table));
        let (names, values) = (rows.next().unwrap(), rows.next().unwrap());
        let place = names.split_whitespace().position(|word| word == name).unwrap();
        values.split_whitespace().nth(place).unwrap().parse().unwrap()
    };
    let new = |name: &str| -> u64 {
        let row = v6
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name));
        row.and_then(|row| row.split_whitespace().last())
            .unwrap()
            .parse()
            .unwrap()
    };
    (
        old("Ip:", "ForwDatagrams") + new("Ip6OutForwDatagrams"),
        old("Icmp:", "OutRedirects") + new("Icmp6OutRedirects"),
    )
}
