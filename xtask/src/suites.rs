//! The test binaries that need more than a compiler, and what they need.
//!
//! Every test in such a binary is `#[ignore]`d with the reason; this table is how `cargo xtask test` knows where to run
//! them. A test that is ignored but stands in no binary listed here is reported as an error.

use std::path::Path;

use crate::process::{has_program, is_root};
use crate::vm;

/// A test binary whose tests are ignored by default.
pub(crate) struct Suite {
    pub(crate) package: &'static str,
    /// The name of the file under the package's `tests/`, without its ending.
    pub(crate) binary: &'static str,
    pub(crate) needs: &'static [Need],
    /// How many of its tests run at the same time. More than one where they wait more than they compute and each has
    /// hosts, folders and ports of its own.
    pub(crate) at_once: usize,
}

/// Something that a machine may lack.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    /// Root in the initial user namespace, with network namespaces.
    Root,
    /// A program on the search path.
    Program(&'static str),
    /// A kernel with nf_tables.
    NfTables,
    /// A kernel with IPVS. The suite runs as root on the host's if it has it, else on each of these, booted.
    IpvsKernel(&'static [&'static str]),
    /// A program of the package, built; the tests know its path from cargo.
    Binary(&'static str),
    /// An example of the package, built; the tests find its path in the variable `EXAMPLE_NAME`.
    Example(&'static str),
    /// This program; the tests find its path in the variable `XTASK`.
    Xtask,
}

pub(crate) const SUITES: &[Suite] = &[
    Suite {
        package: "ha-daemon",
        binary: "balance",
        needs: &[
            Need::IpvsKernel(vm::NEWEST),
            Need::Binary("ha-daemon"),
            Need::Program("keepalived"),
            Need::Program("prlimit"),
        ],
        at_once: 3,
    },
    Suite {
        package: "ha-daemon",
        binary: "pair",
        needs: &[
            Need::Root,
            Need::Program("keepalived"),
            Need::Program("killall"),
            Need::Program("nsenter"),
            Need::Program("nginx"),
            Need::Program("curl"),
        ],
        at_once: 3,
    },
    Suite {
        package: "ha-daemon",
        binary: "hardship",
        needs: &[
            Need::Root,
            Need::Program("killall"),
            Need::Program("nsenter"),
            Need::Program("curl"),
        ],
        at_once: 3,
    },
    Suite {
        package: "ha-daemon",
        binary: "exact",
        needs: &[
            Need::Root,
            Need::Program("keepalived"),
            Need::Program("killall"),
            Need::Program("nsenter"),
        ],
        at_once: 1,
    },
    Suite {
        package: "ha-daemon",
        binary: "unit",
        needs: &[Need::Program("systemd-analyze")],
        at_once: 1,
    },
    Suite {
        package: "ha-daemon",
        binary: "routes",
        needs: &[Need::Root, Need::Program("nsenter"), Need::Program("keepalived")],
        at_once: 1,
    },
    Suite {
        package: "ha-daemon",
        binary: "balance_proxy",
        needs: &[Need::Root, Need::Program("prlimit"), Need::Program("setpriv")],
        at_once: 1,
    },
    Suite {
        package: "ha-daemon",
        binary: "realserver",
        needs: &[Need::Root, Need::Program("unshare"), Need::Program("ip")],
        at_once: 1,
    },
    Suite {
        package: "ha-daemon",
        binary: "manual",
        needs: &[Need::Program("mandoc"), Need::Program("bash")],
        at_once: 1,
    },
    Suite {
        package: "ha-stack",
        binary: "page",
        needs: &[Need::Program("chromium-headless-shell")],
        at_once: 1,
    },
    Suite {
        package: "failover-lab",
        binary: "conformance",
        needs: &[Need::Root],
        at_once: 3,
    },
    Suite {
        package: "failover-lab",
        binary: "compare",
        needs: &[Need::Root, Need::Program("keepalived")],
        at_once: 1,
    },
    Suite {
        package: "failover-lab",
        binary: "data_plane",
        needs: &[Need::Root],
        at_once: 1,
    },
    Suite {
        package: "failover-lab",
        binary: "features",
        needs: &[Need::Root],
        at_once: 1,
    },
    Suite {
        package: "failover-lab",
        binary: "filter",
        needs: &[Need::Root, Need::NfTables],
        at_once: 1,
    },
    Suite {
        package: "failover-lab",
        binary: "frr",
        needs: &[
            Need::Root,
            // Its directory is not on the search path; its shell is.
            Need::Program("vtysh"),
        ],
        at_once: 3,
    },
    Suite {
        package: "failover-lab",
        binary: "hardship",
        needs: &[Need::Root],
        at_once: 3,
    },
    Suite {
        package: "failover-lab",
        binary: "interop",
        needs: &[Need::Root, Need::Program("keepalived")],
        at_once: 3,
    },
    Suite {
        package: "failover-lab",
        binary: "refusals",
        needs: &[Need::Root],
        at_once: 1,
    },
    Suite {
        package: "failover-lab",
        binary: "signing",
        needs: &[Need::Root],
        at_once: 1,
    },
    Suite {
        package: "failover-lab",
        binary: "world",
        needs: &[Need::Root],
        at_once: 1,
    },
    Suite {
        package: "vip-proxy",
        binary: "pair",
        needs: &[Need::Root],
        at_once: 2,
    },
    Suite {
        package: "healthcheck",
        binary: "ping",
        needs: &[Need::Root],
        at_once: 1,
    },
    Suite {
        package: "healthcheck",
        binary: "servers_nginx",
        needs: &[Need::Program("nginx")],
        at_once: 1,
    },
    Suite {
        package: "healthcheck",
        binary: "servers_redis",
        needs: &[Need::Program("redis-server")],
        at_once: 1,
    },
    Suite {
        package: "healthcheck",
        binary: "servers_dnsmasq",
        needs: &[Need::Program("dnsmasq")],
        at_once: 1,
    },
    Suite {
        package: "healthcheck",
        binary: "servers_databases",
        needs: &[
            Need::Root,
            Need::Program("/usr/lib/postgresql/15/bin/postgres"),
            Need::Program("mariadbd"),
        ],
        at_once: 1,
    },
    Suite {
        package: "healthcheck",
        binary: "servers_mail_ftp_ssh",
        needs: &[
            Need::Root,
            Need::Program("exim4"),
            Need::Program("vsftpd"),
            Need::Program("sshd"),
        ],
        at_once: 1,
    },
    Suite {
        package: "healthcheck",
        binary: "servers_etcd_telnet",
        needs: &[Need::Program("etcd"), Need::Program("busybox")],
        at_once: 1,
    },
    Suite {
        package: "healthcheck",
        binary: "virtual_path",
        needs: &[
            Need::Root,
            Need::Program("unshare"),
            Need::Program("ip"),
            Need::Program("busybox"),
        ],
        at_once: 1,
    },
    Suite {
        package: "healthcheck",
        binary: "overload",
        needs: &[Need::Root],
        at_once: 1,
    },
    Suite {
        package: "lvs-sched-oracle",
        binary: "kernel",
        needs: &[Need::IpvsKernel(vm::ALL)],
        at_once: 1,
    },
    Suite {
        package: "keepalived-conf",
        binary: "reading",
        needs: &[Need::Root, Need::Program("keepalived"), Need::Program("unshare")],
        at_once: 1,
    },
    Suite {
        package: "keepalived-conf",
        binary: "keepalived",
        needs: &[Need::Root, Need::Program("keepalived")],
        at_once: 1,
    },
    Suite {
        package: "vrrp-proto",
        binary: "tshark",
        needs: &[Need::Program("tshark")],
        at_once: 1,
    },
    Suite {
        package: "ipvs-netlink",
        binary: "kernel",
        needs: &[
            Need::IpvsKernel(vm::CURRENT),
            Need::Example("ipvsadm"),
            Need::Xtask,
        ],
        at_once: 1,
    },
];

impl Need {
    /// What is missing here, in words, or `None` when the need is met.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Root if !is_root() => Some("root".to_owned()),
            Self::Root if !Path::new("/proc/self/ns/net").exists() => Some("network namespaces".to_owned()),
            Self::Program(name) if !has_program(name) => Some(format!("the program {name}")),
            Self::IpvsKernel(_) => vm::missing(),
            Self::NfTables if !has_nf_tables() => Some("a kernel with nf_tables".to_owned()),
            Self::Root
            | Self::Program(_)
            | Self::NfTables
            | Self::Binary(_)
            | Self::Example(_)
            | Self::Xtask => None,
        }
    }
}

/// Whether nf_tables is part of the running kernel or a module of it.
fn has_nf_tables() -> bool {
    let built_in = std::fs::read_to_string("/proc/kallsyms")
        .is_ok_and(|symbols| symbols.lines().any(|line| line.contains(" nf_tables_newtable")));
    let mut modprobe = std::process::Command::new("modprobe");
    built_in || crate::process::read(modprobe.args(["--dry-run", "--quiet", "nf_tables"])).is_ok()
}
