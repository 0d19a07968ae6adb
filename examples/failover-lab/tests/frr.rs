//! Beside FRR's vrrpd, in both roles. What is expected to differ:
//!
//! - it keeps its addresses on a macvlan that is down while it backs up, so who is active is read from the wire;
//! - it rounds its timers to centiseconds, and does not answer a router that loses;
//! - it knows neither passwords nor unicast, so VRRPv2 is compared without a password and all of it by multicast;
//! - it always has the virtual MAC; ours has it where the test says so.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{INTERVAL, Lab, PATIENCE, VRID, address, router, virtual_mac};
use failover_lab::spec::RouterSpec;

/// zebra and vrrpd on a host; killed when dropped.
struct Frr {
    daemons: Vec<Child>,
    directory: PathBuf,
}

impl Frr {
    fn start(lab: &Lab, host: usize, spec: &RouterSpec, ipv6: bool) -> Self {
        let namespace = lab.segment.host(host);
        let link = format!("vrrp{}-2-{VRID}", if ipv6 { 6 } else { 4 });
        let mac = virtual_mac(ipv6).map(|byte| format!("{byte:02x}")).join(":");
        let mut commands = vec![
            format!("link add {link} link eth0 type macvlan mode bridge"),
            // Its own link-local address must not be formed from the virtual MAC, which both routers have.
            format!("link set dev {link} address {mac} addrgenmode random"),
        ];
        for address in common::addresses(ipv6) {
            let nodad = if ipv6 { " nodad" } else { "" };
            commands.push(format!("addr add {address} dev {link}{nodad}"));
        }
        commands.push(format!("link set dev {link} up"));
        for command in commands {
            namespace.ip(&command).unwrap();
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("failover-lab-frr-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).unwrap();
        let configuration = format!(
            "interface eth0\n vrrp {VRID} version {}\n vrrp {VRID} priority {}\n \
             vrrp {VRID} advertisement-interval {}\n{}",
            spec.version,
            spec.priority,
            u32::from(spec.centiseconds) * 10,
            common::addresses(ipv6)
                .iter()
                .filter_map(|address| address.split('/').next())
                .map(|address| format!(" vrrp {VRID} {} {address}\n", if ipv6 { "ipv6" } else { "ip" }))
                .collect::<String>(),
        );
        std::fs::write(directory.join("zebra.conf"), "").unwrap();
        std::fs::write(directory.join("vrrpd.conf"), configuration).unwrap();
        let mut daemons = Vec::new();
        for name in ["zebra", "vrrpd"] {
            let child = namespace
                .command(&format!("/usr/lib/frr/{name}"))
                .arg("-f")
                .arg(directory.join(format!("{name}.conf")))
                .arg("-i")
                .arg(directory.join(format!("{name}.pid")))
                .arg("-z")
                .arg(directory.join("zserv"))
                .arg("--vty_socket")
                .arg(&directory)
                .args(["-P", "0", "--log", "stdout"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            daemons.push(child);
            std::thread::sleep(Duration::from_millis(700));
        }
        Self { daemons, directory }
    }
}

impl Drop for Frr {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Waits until in some intervals only the router of this priority advertises. FRR's source address over IPv6 is a random one,
/// so the priority is what tells the two apart.
fn wait_alone(lab: &Lab, priority: u8, interval: Duration) {
    let what = format!("priority {priority} to be the only one advertised");
    failover_lab::lab::wait_for(PATIENCE * 2, &what, || {
        let _ = lab.capture.take();
        std::thread::sleep(interval * 4);
        let frames = lab.capture.take();
        let seen: Vec<_> = frames
            .iter()
            .filter_map(|frame| frame.content().advertisement())
            .collect();
        seen.len() >= 2 && seen.iter().all(|(_, found)| *found == priority)
    })
    .unwrap();
}

fn both_roles(ipv6: bool, spec: impl Fn(u8) -> RouterSpec, interval: Duration) {
    // Ours is the higher: it takes the role from FRR, and FRR takes over when it dies.
    let lab = Lab::new();
    let frr = Frr::start(&lab, 1, &spec(100), ipv6);
    wait_alone(&lab, 100, interval);
    let mut ours = lab.director(0, &spec(200));
    lab.wait_holds(0, address(ipv6));
    wait_alone(&lab, 200, interval);
    ours.kill().unwrap();
    wait_alone(&lab, 100, interval);
    drop((lab, frr));

    // FRR is the higher: ours gives way, and takes over when FRR dies.
    let lab = Lab::new();
    let _ours = lab.director(0, &spec(100));
    lab.wait_holds(0, address(ipv6));
    let frr = Frr::start(&lab, 1, &spec(200), ipv6);
    lab.wait_lost(0, address(ipv6));
    wait_alone(&lab, 200, interval);
    drop(frr);
    lab.wait_holds(0, address(ipv6));
    wait_alone(&lab, 100, interval);
}

#[test]
#[ignore = "needs root, network namespaces and FRR"]
fn frr_version_3_over_ipv4() {
    both_roles(false, |priority| router(false, priority), INTERVAL);
}

/// Both have the same MAC address in turn.
#[test]
#[ignore = "needs root, network namespaces and FRR"]
fn frr_with_virtual_macs_on_both_sides() {
    for ipv6 in [false, true] {
        let spec = |priority| RouterSpec {
            virtual_mac: true,
            ..router(ipv6, priority)
        };
        both_roles(ipv6, spec, INTERVAL);
    }
}

/// FRR has no passwords: ours, which has one, does not believe it.
#[test]
#[ignore = "needs root, network namespaces and FRR"]
fn frr_is_not_believed_where_a_password_is_asked_for() {
    let lab = Lab::new();
    let spec = |priority, password: Option<&str>| RouterSpec {
        version: 2,
        centiseconds: 100,
        password: password.map(Into::into),
        ..router(false, priority)
    };
    let _frr = Frr::start(&lab, 1, &spec(200, None), false);
    let ours = lab.director(0, &spec(100, Some("s3cret")));
    let told = ours.wait_line(PATIENCE, |line| line.text.contains("is discarded"));
    assert!(told.is_some());
    lab.wait_holds(0, address(false));
}

#[test]
#[ignore = "needs root, network namespaces and FRR"]
fn frr_version_2() {
    let spec = |priority| RouterSpec {
        version: 2,
        centiseconds: 100,
        ..router(false, priority)
    };
    both_roles(false, spec, Duration::from_secs(1));
}

#[test]
#[ignore = "needs root, network namespaces and FRR"]
fn frr_version_3_over_ipv6() {
    both_roles(true, |priority| router(true, priority), INTERVAL);
}
