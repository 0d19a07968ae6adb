//! `ha-daemon doctor`: what on this host will bite.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ha_stack::{IpvsPlane, RealServerHost};
use keepalived_conf::{Configuration, Method, VirtualServer, VirtualServerName};

use crate::{Reading, config, plane};

/// Looks around and writes a line for each thing found. The exit status is 1 if something would keep it from running.
pub(crate) fn doctor(config: Option<&Path>, reading: &Reading) -> ExitCode {
    let mut findings = Findings::default();
    let loaded = config.map(|path| (path, config::load(path, reading)));
    let needs = loaded.as_ref().map_or(Needs::ALL, |(_, loaded)| {
        Needs::of(&loaded.configuration, reading.data_plane)
    });
    privileges(&mut findings, &needs);
    if needs.routers {
        neighbours(&mut findings);
    }
    real_server(&mut findings);
    if let Some((path, loaded)) = &loaded {
        configuration(&mut findings, path, loaded);
        director(&mut findings, &loaded.configuration, reading.data_plane);
        duplicates(&mut findings, loaded);
    }
    if findings.count == 0 {
        println!("nothing found");
    }
    ExitCode::from(u8::from(findings.grave))
}

/// What a configuration has, and with that which privileges it needs.
struct Needs {
    routers: bool,
    addresses: bool,
    kernel: bool,
    low_ports: bool,
}

impl Needs {
    /// Without a configuration, whatever one could have.
    const ALL: Self = Self {
        routers: true,
        addresses: true,
        kernel: true,
        low_ports: true,
    };

    fn of(configuration: &Configuration, plane: plane::Choice) -> Self {
        let servers = &configuration.virtual_server;
        let lowest = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
        let lowest = lowest
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(1024);
        let is_low = |server: &VirtualServer| match &server.name {
            VirtualServerName::Address(name) => name.port.is_some_and(|port| port < lowest),
            VirtualServerName::Fwmark(_) => false,
            VirtualServerName::Group(_) => true,
        };
        let routers = !configuration.vrrp_instance.is_empty();
        // By itself it takes the proxy where the kernel cannot be had.
        let kernel = plane == plane::Choice::Ipvs && !servers.is_empty();
        Self {
            routers,
            addresses: routers || !configuration.static_ipaddress.is_empty(),
            kernel,
            low_ports: !kernel && plane != plane::Choice::None && servers.iter().any(is_low),
        }
    }
}

#[derive(Default)]
struct Findings {
    count: usize,
    grave: bool,
}

impl Findings {
    fn error(&mut self, text: &str) {
        self.count += 1;
        self.grave = true;
        println!("error: {text}");
    }

    fn warning(&mut self, text: &str) {
        self.count += 1;
        println!("warning: {text}");
    }
}

/// The capabilities that sockets, addresses and scheduling need, by their bits in `/proc/self/status`.
fn privileges(findings: &mut Findings, needs: &Needs) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
        .unwrap_or(0);
    let lacks = |bit: u32| effective & (1 << bit) == 0;
    for (bit, name, what, is_needed) in [
        (12, "CAP_NET_ADMIN", "addresses cannot be added", needs.addresses),
        (12, "CAP_NET_ADMIN", "IPVS cannot be changed", needs.kernel),
        (
            13,
            "CAP_NET_RAW",
            "advertisements can be neither sent nor received",
            needs.routers,
        ),
    ] {
        if is_needed && lacks(bit) {
            findings.error(&format!("{name} is missing: {what}"));
        }
    }
    for (bit, name, what, is_needed) in [
        (
            23,
            "CAP_SYS_NICE",
            "the election runs without real-time priority",
            needs.routers,
        ),
        (14, "CAP_IPC_LOCK", "the memory cannot be locked", needs.routers),
        (
            10,
            "CAP_NET_BIND_SERVICE",
            "the embedded proxy cannot listen on low ports",
            needs.low_ports,
        ),
    ] {
        if is_needed && lacks(bit) {
            findings.warning(&format!("{name} is missing: {what}"));
        }
    }
}

/// Other daemons that move addresses.
fn neighbours(findings: &mut Findings) {
    let Ok(processes) = fs::read_dir("/proc") else {
        return;
    };
    for process in processes.flatten() {
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        if matches!(name.trim(), "keepalived" | "ucarp" | "vrrpd") {
            findings.warning(&format!(
                "{} (process {}) runs on this host: two daemons must not hold the same virtual router",
                name.trim(),
                process.file_name().to_string_lossy()
            ));
        }
    }
}

/// Addresses on `lo` that this host must not answer for, and would.
fn real_server(findings: &mut Findings) {
    // Whoever may not ask has been told about privileges.
    for line in RealServerHost::findings().unwrap_or_default() {
        findings.warning(&line);
    }
}

/// What a director needs to balance load.
fn director(findings: &mut Findings, configuration: &Configuration, plane: plane::Choice) {
    let servers = &configuration.virtual_server;
    if servers.is_empty() || !matches!(plane, plane::Choice::Auto | plane::Choice::Ipvs) {
        return;
    }
    let mut translates = [false, false];
    let mut needs_kernel = plane == plane::Choice::Ipvs;
    for server in servers {
        for real in &server.real_server {
            let method = real.lvs_method.or(server.lvs_method);
            match method.map_or(Method::Nat, |method| method.method) {
                Method::Nat => translates[usize::from(real.address.address.is_ipv6())] = true,
                Method::Fnat => {}
                Method::Dr | Method::Tun => needs_kernel = true,
            }
        }
    }
    match IpvsPlane::open(None) {
        Ok(_) => {}
        Err(error) if needs_kernel => {
            findings.error(&format!(
                "virtual servers cannot be run by the kernel: {error}; `--data-plane proxy` does without it"
            ));
            return;
        }
        Err(error) => {
            findings.warning(&format!(
                "{error}: the embedded proxy is taken, and real servers do not see the clients' addresses"
            ));
            return;
        }
    }
    let switches = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"];
    for (is_wanted, switch) in translates.into_iter().zip(switches) {
        let value = fs::read_to_string(Path::new("/proc/sys/net").join(switch)).unwrap_or_default();
        if is_wanted && value.trim() != "1" {
            findings.error(&format!(
                "net.{} is not 1: with NAT, answers of real servers pass through here and would be dropped; set it to 1",
                switch.replace('/', ".")
            ));
        }
    }
}

/// Virtual addresses that more than one host has. IPv6 finds them by itself.
fn duplicates(findings: &mut Findings, loaded: &config::Loaded) {
    let mut wanted: BTreeMap<&str, Vec<Ipv4Addr>> = BTreeMap::new();
    for instance in &loaded.configuration.vrrp_instance {
        let addresses = instance.virtual_ipaddress.iter();
        for address in addresses.chain(&instance.virtual_ipaddress_excluded) {
            let interface = address.device.as_deref().or(instance.interface.as_deref());
            if let (Some(interface), IpAddr::V4(address)) = (interface, address.address.address) {
                wanted.entry(interface).or_default().push(address);
            }
        }
    }
    for (interface, addresses) in wanted {
        let answers = match ha_stack::holders_of(interface, &addresses, PATIENCE) {
            Ok(answers) => answers,
            Err(error) => {
                findings.warning(&format!(
                    "{interface}: {error}, so none is known to be held twice"
                ));
                continue;
            }
        };
        for address in addresses {
            let mut holders: Vec<String> = answers
                .iter()
                .filter(|(answered, _)| *answered == address)
                .map(|(_, mac)| mac.to_string())
                .collect();
            if UdpSocket::bind((address, 0)).is_ok() {
                holders.push("this host".to_owned());
            }
            if holders.len() > 1 {
                findings.error(&format!(
                    "{address} on {interface} is held by {} at once: two of them believe to be active, or one is none of the virtual router",
                    holders.join(" and ")
                ));
            }
        }
    }
}

/// What of this host contradicts the configuration.
fn configuration(findings: &mut Findings, path: &Path, loaded: &config::Loaded) {
    for line in loaded.headlines() {
        findings.count += 1;
        println!("{line}");
    }
    if loaded.exit_code(false) != 0 {
        findings.error(&format!("{} cannot be run", path.display()));
    }
    for instance in &loaded.configuration.vrrp_instance {
        let Some(interface) = &instance.interface else {
            continue;
        };
        let name = &instance.name;
        let directory = Path::new("/sys/class/net").join(interface);
        let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap_or_default();
        if !directory.exists() {
            findings.error(&format!("{name}: there is no interface {interface}"));
            continue;
        }
        if read("carrier").trim() != "1" {
            findings.warning(&format!("{name}: {interface} has no carrier"));
        }
        let switch = |scope: &str, switch: &str| {
            let path = format!("/proc/sys/net/ipv4/conf/{scope}/{switch}");
            fs::read_to_string(path).unwrap_or_default().trim().to_owned()
        };
        if instance.use_vmac.is_some()
            && [switch("all", "rp_filter"), switch(interface, "rp_filter")].contains(&"1".to_owned())
        {
            findings.warning(&format!(
                "{name}: rp_filter is strict (1) for {interface}: packets to a virtual MAC address may be dropped; set it to 0 or 2"
            ));
        }
        let proxy = switch(interface, "proxy_arp");
        if proxy == "1" {
            findings.warning(&format!(
                "{name}: proxy_arp is on for {interface}: this host answers for addresses that the peer holds; set net.ipv4.conf.{interface}.proxy_arp to 0"
            ));
        }
    }
}

/// How long others are given to answer for an address.
const PATIENCE: Duration = Duration::from_secs(1);
