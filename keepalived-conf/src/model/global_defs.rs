//! `global_defs`.

use std::net::IpAddr;

use crate::command::Command;
use crate::field::{List, Value};
use crate::keyword::{
    ADDRESS, BOOL, FLAG, INTERFACE, Keyword, PATH, SCRIPT, Support, VITAL, WORD, YES, count, int, list, no,
    secs, text,
};
use crate::lexer::Words;
use crate::macros::block;
use crate::model::raw::Raw;
use crate::model::track::User;
use crate::model::virtual_server::Timeouts;
use crate::model::vrrp_instance::GarpExtraIf;
use crate::reader::Reader;
use crate::value::{Seconds, ignored, next};

/// What is said for the process of BFD, which there is none of.
const NO_BFD: Support = no("BFD sessions are not run, so there is nothing that this could hold for");
const FIREWALL: Support =
    no("the only firewall rules made are those of `no_accept`, in an nf_tables table of their own");
const SNMP: Support = no("there is no SNMP; see the metrics and the status over HTTP");
const DBUS: Support = no("there is no D-Bus; see the control socket");
const BUFFERS: Support = no("buffers of netlink sockets are sized by the driver");
const RELOAD: Support = no("reload through the service manager or the control socket");

block! {
    /// What holds for all. May stand several times; the parts are put together.
    GlobalDefs = "global_defs" {
        /// The name of this host in mails.
        router_id: Option<String> = ["router_id"], WORD, "the host's name", YES;
        /// To whom mails go.
        notification_email: List<String> = ["notification_email"], list("addresses"), "nobody", YES;
        /// From whom they come.
        notification_email_from: Option<String> = ["notification_email_from"], WORD, "`keepalived@` and the host's name", YES;
        /// The server that takes them.
        smtp_server: Option<SmtpServer> = ["smtp_server"], text("host [port]"), "none: no mails", YES;
        /// How we call ourselves to it.
        smtp_helo_name: Option<String> = ["smtp_helo_name"], WORD, "the host's name", YES;
        /// How long to wait for it.
        smtp_connect_timeout: Option<Seconds> = ["smtp_connect_timeout"], secs(0, 4_294_000), "30 s", YES;
        /// Mails about everything.
        smtp_alert: Option<bool> = ["smtp_alert"], BOOL, "about real servers only", YES;
        /// Mails about virtual routers.
        smtp_alert_vrrp: Option<bool> = ["smtp_alert_vrrp"], BOOL, "off", YES;
        /// Mails about real servers.
        smtp_alert_checker: Option<bool> = ["smtp_alert_checker"], BOOL, "on", YES;
        /// No mails about faults.
        no_email_faults: bool = ["no_email_faults"], FLAG, "off", YES;
        /// No mails about checks, an old word.
        no_checker_emails: bool = ["no_checker_emails"], FLAG, "off", YES;
        /// The interface of what names none.
        default_interface: Option<String> = ["default_interface"], INTERFACE, "eth0", VITAL;
        /// The IPv4 multicast group.
        vrrp_mcast_group4: Option<IpAddr> = ["vrrp_mcast_group4"], ADDRESS, "224.0.0.18", VITAL;
        /// The IPv6 multicast group.
        vrrp_mcast_group6: Option<IpAddr> = ["vrrp_mcast_group6"], ADDRESS, "ff02::12", VITAL;
        /// The version of the protocol.
        vrrp_version: Option<u8> = ["vrrp_version"], int(2, 3), "2", VITAL;
        /// Follows the standard to the letter.
        vrrp_strict: bool = ["vrrp_strict"], FLAG, "off", VITAL;
        /// Compares the address list only when another router advertises than before.
        vrrp_skip_check_adv_addr: Option<bool> = ["vrrp_skip_check_adv_addr"], BOOL, "off", YES;
        /// Discards unicast advertisements of whoever is not a peer.
        vrrp_check_unicast_src: bool = ["vrrp_check_unicast_src"], FLAG, "off", VITAL;
        /// Does not answer an advertisement of lower priority at once.
        vrrp_lower_prio_no_advert: Option<bool> = ["vrrp_lower_prio_no_advert"], BOOL, "off", YES;
        /// Advertises once more before it yields to a higher priority.
        vrrp_higher_prio_send_advert: Option<bool> = ["vrrp_higher_prio_send_advert"], BOOL, "off", YES;
        /// The owner of the addresses listens to nobody.
        vrrp_owner_ignore_adverts: Option<bool> = ["vrrp_owner_ignore_adverts"], BOOL, "off", YES.new_in_keepalived();
        /// So many advertisements may be missed before a backup takes over.
        vrrp_down_timer_adverts: Option<u8> = ["vrrp_down_timer_adverts"], count(1, 100, "advertisements"), "3", VITAL;
        /// Waits so long after the start before anything is elected.
        vrrp_startup_delay: Option<Seconds> = ["vrrp_startup_delay"], secs(0, 4_294_000), "0 s", YES;
        /// Waits until so long after the host has started.
        vrrp_delay_after_boot: Option<Seconds> = ["vrrp_delay_after_boot"], secs(0, 4_294_000), "0 s", YES.new_in_keepalived();
        /// Announcements sent together when a virtual router becomes active.
        vrrp_garp_master_repeat: Option<u32> = ["vrrp_garp_master_repeat"], count(0, 4_294_967_295, "packets"), "5", YES;
        /// After so long they are sent once more; 0 for not.
        vrrp_garp_master_delay: Option<u32> = ["vrrp_garp_master_delay"], count(0, 86_400, "s"), "5 s", YES;
        /// Announces again and again while active; 0 for not.
        vrrp_garp_master_refresh: Option<u32> = ["vrrp_garp_master_refresh"], count(0, 86_400, "s"), "0 s", YES;
        /// Announcements sent together at each refresh.
        vrrp_garp_master_refresh_repeat: Option<u32> = ["vrrp_garp_master_refresh_repeat"], count(0, 4_294_967_295, "packets"), "1", YES;
        /// Announcements sent together when an advertisement of lower priority is heard.
        vrrp_garp_lower_prio_repeat: Option<u32> = ["vrrp_garp_lower_prio_repeat"], count(0, 4_294_967_295, "packets"), "`vrrp_garp_master_repeat`", YES;
        /// After so long they are sent once more.
        vrrp_garp_lower_prio_delay: Option<u32> = ["vrrp_garp_lower_prio_delay"], count(0, 86_400, "s"), "`vrrp_garp_master_delay`", YES;
        /// The time between two gratuitous ARP packets on an interface.
        vrrp_garp_interval: Option<Seconds> = ["vrrp_garp_interval"], secs(0, 1_000_000), "0 s", YES;
        /// The time between two unsolicited neighbour advertisements on an interface.
        vrrp_gna_interval: Option<Seconds> = ["vrrp_gna_interval"], secs(0, 1_000_000), "0 s", YES;
        /// One announcement, and no second round.
        vrrp_min_garp: Option<bool> = ["vrrp_min_garp"], BOOL, "off", YES;
        /// Announces on interfaces that carry no advertisements.
        vrrp_garp_extra_if: Option<GarpExtraIf> = ["vrrp_garp_extra_if", "vrrp_vmac_garp_intvl"], text("[all] seconds"), "0 s", no("addresses on other interfaces are announced as all are");
        /// Begins the names of macvlans.
        vmac_prefix: Option<String> = ["vmac_prefix"], WORD, "vrrp", YES;
        /// Begins the names of macvlans for addresses on other interfaces.
        vmac_addr_prefix: Option<String> = ["vmac_addr_prefix"], WORD, "`vmac_prefix`", YES;
        /// Interfaces may come and go.
        dynamic_interfaces: Option<DynamicInterfaces> = ["dynamic_interfaces"], text("[allow_if_changes]"), "a missing interface is an error", YES;
        /// Names in the log the virtual routers that are heard and not configured, each once a minute.
        log_unknown_vrids: bool = ["log_unknown_vrids"], FLAG, "off", YES;
        /// As whom scripts are run.
        script_user: Option<User> = ["script_user"], text("user [group]"), "keepalived_script where it exists, else root", VITAL;
        /// Does not run as root what somebody else may change.
        enable_script_security: bool = ["enable_script_security"], FLAG, "off", VITAL;
        /// A FIFO to which every change is written.
        notify_fifo: Option<Fifo> = ["notify_fifo"], text("path [user [group]]"), "none", YES;
        /// What reads it.
        notify_fifo_script: Option<Command> = ["notify_fifo_script"], SCRIPT, "none", YES;
        /// A FIFO to which changes of virtual routers and groups are written.
        vrrp_notify_fifo: Option<Fifo> = ["vrrp_notify_fifo"], text("path [user [group]]"), "none", YES;
        /// What reads it.
        vrrp_notify_fifo_script: Option<Command> = ["vrrp_notify_fifo_script"], SCRIPT, "none", YES;
        /// A FIFO to which changes of virtual and real servers are written.
        lvs_notify_fifo: Option<Fifo> = ["lvs_notify_fifo"], text("path [user [group]]"), "none", YES;
        /// What reads it.
        lvs_notify_fifo_script: Option<Command> = ["lvs_notify_fifo_script"], SCRIPT, "none", YES;
        /// Writes all states to the FIFOs after a reload.
        fifo_write_vrrp_states_on_reload: bool = ["fifo_write_vrrp_states_on_reload"], FLAG, "off", YES;
        /// Writes priorities to the FIFOs too.
        vrrp_notify_priority_changes: Option<bool> = ["vrrp_notify_priority_changes"], BOOL, "off", YES;
        /// Run before anything else; what it prepares is there when the rest starts.
        startup_script: Option<Command> = ["startup_script"], SCRIPT, "none", YES;
        /// How long it may take.
        startup_script_timeout: Option<u32> = ["startup_script_timeout"], count(1, 1_000, "s"), "10 s", YES;
        /// Run after everything else.
        shutdown_script: Option<Command> = ["shutdown_script"], SCRIPT, "none", YES;
        /// How long it may take.
        shutdown_script_timeout: Option<u32> = ["shutdown_script_timeout"], count(1, 1_000, "s"), "10 s", YES;
        /// Which virtual router decides whether the IPVS connection table is sent or received.
        lvs_sync_daemon: Option<SyncDaemon> = ["lvs_sync_daemon"], text("interface [[inst] router] [id N] [maxlen N] [port N] [ttl N] [group ADDRESS]"), "none", YES;
        /// Empties the IPVS table at the start.
        lvs_flush: bool = ["lvs_flush"], FLAG, "what others put there stays", YES;
        /// Empties the IPVS table at the end.
        lvs_flush_on_stop: Option<FlushOnStop> = ["lvs_flush_on_stop", "lvs_flush_onstop"], text("[VS]"), "our rows are deleted one by one", YES;
        /// Timeouts of IPVS connections.
        lvs_timeouts: Option<Timeouts> = ["lvs_timeouts"], text("[tcp S] [tcpfin S] [udp S]"), "the kernel's", YES;
        /// Tells about real servers that are up from the start.
        rs_init_notifies: bool = ["rs_init_notifies"], FLAG, "off", YES;
        /// Logs each failed attempt of a check.
        checker_log_all_failures: Option<bool> = ["checker_log_all_failures"], BOOL, "off", YES;
        /// What new files do not allow.
        umask: Option<String> = ["umask"], text("number, octal where it begins with 0, or bits joined by `|`"), "that of the service manager", YES;
        /// The start of what is random.
        random_seed: Option<u32> = ["random_seed"], int(0, 4_294_967_295), "the clock", YES;
        /// Sees to it that a reload is checked before it is done. Always so here: a file with errors changes nothing, and is said in the log.
        reload_check_config: Option<Raw> = ["reload_check_config"], text("[log file]"), "always on", YES;
        /// Reload at a time written in a file.
        reload_time_file: Option<String> = ["reload_time_file"], PATH, "none", RELOAD;
        /// Reload every day at that time.
        reload_repeat: bool = ["reload_repeat"], FLAG, "off", RELOAD;
        /// A file that is there while a configuration is read.
        reload_file: Option<Raw> = ["reload_file"], text("[path]"), "none", RELOAD;
        /// Which missing includes are errors, from there on; all of them without a word.
        include_check: Option<Raw> = ["include_check"], text("[+-]read|match|wildcard_match|brace_match"), "none", YES;
        /// Where flattened configurations are put.
        tmp_config_directory: Option<String> = ["tmp_config_directory"], PATH, "/tmp", no("no copies of the configuration are made");
        /// Where configurations are saved.
        config_save_dir: Option<String> = ["config_save_dir"], PATH, "none", no("no copies of the configuration are made");
        /// Puts the instance's name into dump files.
        data_use_instance: Option<bool> = ["data_use_instance"], BOOL, "off", YES;
        /// The file of the state.
        state_dump_file: Option<String> = ["state_dump_file", "state_dump_file_location"], PATH, "/tmp/keepalived.data", YES.new_in_keepalived();
        /// The file of the counters.
        stats_dump_file: Option<String> = ["stats_dump_file", "stats_dump_file_location"], PATH, "/tmp/keepalived.stats", YES.new_in_keepalived();
        /// The file of the state as JSON.
        json_dump_file: Option<String> = ["json_dump_file", "json_dump_file_location"], PATH, "/tmp/keepalived.json", YES.new_in_keepalived();
        /// The form of that file.
        json_version: Option<u8> = ["json_version"], int(1, 2), "1", YES.new_in_keepalived();
        /// The process is called `keepalived`, with `_` and the instance behind it, and its threads as keepalived's processes.
        process_names: bool = ["process_names"], FLAG, "off: it is called as its program", YES;
        /// The name of the process, of which the kernel keeps 15 bytes.
        process_name: Option<String> = ["process_name"], WORD, "that of its program", YES;
        /// The name of the election's thread, of which the kernel keeps 15 bytes.
        vrrp_process_name: Option<String> = ["vrrp_process_name"], WORD, "vrrp; with `process_names` keepalived_vrrp", YES;
        /// The name of the health checks' thread, of which the kernel keeps 15 bytes.
        checker_process_name: Option<String> = ["checker_process_name", "lvs_process_name"], WORD, "healthcheck; with `process_names` keepalived_ipvs", YES;
        /// The name of the BFD process.
        bfd_process_name: Option<String> = ["bfd_process_name"], WORD, "keepalived_bfd", NO_BFD;
        /// The real-time priority of the election where `vrrp_rt_priority` says less: from the start, not only once it was late. Without a number 99; 0 and -1 for none.
        max_auto_priority: Option<AutoPriority> = ["max_auto_priority"], text("[-1..99]"), "`vrrp_rt_priority`", YES;
        /// How late is late: an election that could not run for longer says so in the log. It has its priority from the start.
        min_auto_priority_delay: Option<u32> = ["min_auto_priority_delay"], count(1, 10_000_000, "µs"), "1 s", YES;
        /// Nice value of the election, where it has no real-time priority.
        vrrp_priority: Option<i8> = ["vrrp_priority"], int(-20, 19), "0", YES;
        /// Nice value of the threads of the health checks, where they have no real-time priority.
        checker_priority: Option<i8> = ["checker_priority"], int(-20, 19), "0", YES;
        /// Nice value of the BFD process.
        bfd_priority: Option<i8> = ["bfd_priority"], int(-20, 19), "0", NO_BFD;
        /// Real-time priority of the election.
        vrrp_rt_priority: Option<u8> = ["vrrp_rt_priority"], int(1, 99), "50", YES;
        /// Real-time priority of the threads of the health checks; check scripts go without.
        checker_rt_priority: Option<u8> = ["checker_rt_priority"], int(1, 99), "none", YES;
        /// Real-time priority of the BFD process.
        bfd_rt_priority: Option<u8> = ["bfd_rt_priority"], int(1, 99), "none", NO_BFD;
        /// Keeps the process in memory.
        vrrp_no_swap: bool = ["vrrp_no_swap"], FLAG, "always on, where it is allowed", YES;
        /// Keeps the process in memory.
        checker_no_swap: bool = ["checker_no_swap"], FLAG, "always on, where it is allowed", YES;
        /// Keeps the BFD process in memory.
        bfd_no_swap: bool = ["bfd_no_swap"], FLAG, "off", NO_BFD;
        /// The processors of the election.
        vrrp_cpu_affinity: Option<Raw> = ["vrrp_cpu_affinity"], text("numbers"), "all", YES;
        /// The processors of the health checks.
        checker_cpu_affinity: Option<Raw> = ["checker_cpu_affinity"], text("numbers"), "all", YES;
        /// The processors of the BFD process.
        bfd_cpu_affinity: Option<Raw> = ["bfd_cpu_affinity"], text("numbers"), "all", NO_BFD;
        /// How long the election may run with real-time priority without a pause, before the kernel ends the process.
        vrrp_rlimit_rttime: Option<u32> = ["vrrp_rlimit_rttime", "vrrp_rlimit_rtime"], count(1, 4_294_967_295, "µs"), "none", YES;
        /// The same for the health checks. There is one bound for the process: of two, the longer holds.
        checker_rlimit_rttime: Option<u32> = ["checker_rlimit_rttime", "checker_rlimit_rtime"], count(1, 4_294_967_295, "µs"), "none", YES;
        /// How long the BFD process may run without a pause.
        bfd_rlimit_rttime: Option<u32> = ["bfd_rlimit_rttime", "bfd_rlimit_rtime"], count(1, 4_294_967_295, "µs"), "none", NO_BFD;
        /// Sets supplementary groups of scripts.
        set_supplementary_groups: Option<Raw> = ["set_supplementary_groups"], text("[user]"), "off", no("scripts run with the groups of their user only").new_in_keepalived();
        /// Another form of the kernel's receive buffers for VRRP.
        vrrp_rx_bufs_policy: Option<Raw> = ["vrrp_rx_bufs_policy"], text("MTU|ADVERT|number"), "the system's", BUFFERS;
        /// So many advertisements fit.
        vrrp_rx_bufs_multiplier: Option<u32> = ["vrrp_rx_bufs_multiplier"], int(1, 4_294_967_295), "3", BUFFERS;
        /// Receive buffer of netlink commands for VRRP.
        vrrp_netlink_cmd_rcv_bufs: Option<u32> = ["vrrp_netlink_cmd_rcv_bufs"], count(1, 4_294_967_295, "bytes"), "the system's", BUFFERS;
        /// The same, beyond the system's limit.
        vrrp_netlink_cmd_rcv_bufs_force: Option<bool> = ["vrrp_netlink_cmd_rcv_bufs_force"], BOOL, "off", BUFFERS;
        /// Receive buffer of netlink messages for VRRP.
        vrrp_netlink_monitor_rcv_bufs: Option<u32> = ["vrrp_netlink_monitor_rcv_bufs"], count(1, 4_294_967_295, "bytes"), "the system's", BUFFERS;
        /// The same, beyond the system's limit.
        vrrp_netlink_monitor_rcv_bufs_force: Option<bool> = ["vrrp_netlink_monitor_rcv_bufs_force"], BOOL, "off", BUFFERS;
        /// Receive buffer of netlink commands for IPVS.
        lvs_netlink_cmd_rcv_bufs: Option<u32> = ["lvs_netlink_cmd_rcv_bufs"], count(1, 4_294_967_295, "bytes"), "the system's", BUFFERS;
        /// The same, beyond the system's limit.
        lvs_netlink_cmd_rcv_bufs_force: Option<bool> = ["lvs_netlink_cmd_rcv_bufs_force"], BOOL, "off", BUFFERS;
        /// Receive buffer of netlink messages for IPVS.
        lvs_netlink_monitor_rcv_bufs: Option<u32> = ["lvs_netlink_monitor_rcv_bufs"], count(1, 4_294_967_295, "bytes"), "the system's", BUFFERS;
        /// The same, beyond the system's limit.
        lvs_netlink_monitor_rcv_bufs_force: Option<bool> = ["lvs_netlink_monitor_rcv_bufs_force"], BOOL, "off", BUFFERS;
        /// Receive buffer of process events.
        process_monitor_rcv_bufs: Option<u32> = ["process_monitor_rcv_bufs"], count(1, 4_294_967_295, "bytes"), "the system's", BUFFERS;
        /// The same, beyond the system's limit.
        process_monitor_rcv_bufs_force: Option<bool> = ["process_monitor_rcv_bufs_force"], BOOL, "off", BUFFERS;
        /// Firewall through nftables.
        nftables: Option<Raw> = ["nftables"], text("[table]"), "keepalived", FIREWALL;
        /// Its priority.
        nftables_priority: Option<i32> = ["nftables_priority"], int(-2_147_483_648, 2_147_483_647), "-1", FIREWALL;
        /// Counts what it drops.
        nftables_counters: bool = ["nftables_counters"], FLAG, "off", FIREWALL;
        /// Matches interfaces by number.
        nftables_ifindex: bool = ["nftables_ifindex"], FLAG, "off", FIREWALL;
        /// Marks packets for virtual server groups.
        nftables_ipvs: Option<Raw> = ["nftables_ipvs"], text("[table]"), "one service for each address", no("groups become one service for each address");
        /// Its priority.
        nftables_ipvs_priority: Option<i32> = ["nftables_ipvs_priority"], int(-2_147_483_648, 2_147_483_647), "-1", FIREWALL;
        /// The first mark.
        nftables_ipvs_start_fwmark: Option<u32> = ["nftables_ipvs_start_fwmark"], int(1, 4_294_967_295), "1000", FIREWALL;
        /// Firewall through iptables.
        vrrp_iptables: Option<Raw> = ["vrrp_iptables"], text("[in [out]]"), "none", FIREWALL;
        /// Firewall through sets.
        vrrp_ipsets: Option<Raw> = ["vrrp_ipsets"], text("[names]"), "keepalived and the like", FIREWALL;
        /// Stops IGMP on macvlans.
        disable_local_igmp: bool = ["disable_local_igmp"], FLAG, "off", FIREWALL;
        /// Where the SNMP agent listens.
        snmp_socket: Option<String> = ["snmp_socket"], WORD, "unix:/var/agentx/master", SNMP;
        /// SNMP of keepalived's own.
        enable_snmp_vrrp: bool = ["enable_snmp_vrrp", "enable_snmp_keepalived"], FLAG, "off", SNMP;
        /// SNMP of checks.
        enable_snmp_checker: bool = ["enable_snmp_checker"], FLAG, "off", SNMP;
        /// SNMP of the standards.
        enable_snmp_rfc: bool = ["enable_snmp_rfc"], FLAG, "off", SNMP;
        /// SNMP of VRRPv2.
        enable_snmp_rfcv2: bool = ["enable_snmp_rfcv2"], FLAG, "off", SNMP;
        /// SNMP of VRRPv3.
        enable_snmp_rfcv3: bool = ["enable_snmp_rfcv3"], FLAG, "off", SNMP;
        /// SNMP traps.
        enable_traps: bool = ["enable_traps"], FLAG, "off", SNMP;
        /// How often counters of virtual servers are renewed for SNMP.
        snmp_vs_stats_update_interval: Option<Seconds> = ["snmp_vs_stats_update_interval"], secs(1, 4_294_000), "5 s", SNMP.new_in_keepalived();
        /// How often counters of real servers are renewed for SNMP.
        snmp_rs_stats_update_interval: Option<Seconds> = ["snmp_rs_stats_update_interval"], secs(1, 4_294_000), "5 s", SNMP.new_in_keepalived();
        /// D-Bus.
        enable_dbus: bool = ["enable_dbus"], FLAG, "off", DBUS;
        /// Its name.
        dbus_service_name: Option<String> = ["dbus_service_name"], WORD, "org.keepalived.Vrrp1", DBUS;
        /// D-Bus without the interface's name.
        dbus_no_interface_name: bool = ["dbus_no_interface_name"], FLAG, "off", DBUS.new_in_keepalived();
        /// Where iproute2 has its names.
        iproute_usr_dir: Option<String> = ["iproute_usr_dir"], PATH, "as built", no("names of tables are read from /etc/iproute2 and /usr/share/iproute2").new_in_keepalived();
        /// Where iproute2 has its own names.
        iproute_etc_dir: Option<String> = ["iproute_etc_dir"], PATH, "as built", no("names of tables are read from /etc/iproute2 and /usr/share/iproute2").new_in_keepalived();
        /// Keeps symbolic links in the paths of scripts.
        use_symlink_paths: Option<bool> = ["use_symlink_paths"], BOOL, "off", no("paths of scripts are used as they are written").new_in_keepalived();
    }
}

/// Up to which real-time priority keepalived raises itself: -1 to 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct AutoPriority(pub i16);

impl Value for AutoPriority {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let range = Keyword {
            range: int(-1, MOST_REALTIME.into()),
            ..*keyword
        };
        match words.peek() {
            Some(_) => i16::take(words, &range, reader).map(Self),
            None => Some(Self(MOST_REALTIME)),
        }
    }

    fn put(&self, line: &mut Vec<String>) {
        self.0.put(line);
    }
}

/// The kernel's.
const MOST_REALTIME: i16 = 99;

/// Where mails are handed over: `mail.example.com 25`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct SmtpServer {
    /// A name or an address.
    pub host: String,
    /// The port; without it 25.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub port: Option<u16>,
}

impl Value for SmtpServer {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let host = next(words, keyword, reader)?;
        if host.text.parse::<IpAddr>().is_err() && reader.environment.resolves(host.text) == Some(false) {
            reader.push(
                crate::Diagnostic::warning(
                    host.span,
                    format!("`{}` leads to no address now: mails wait until it does, and are dropped if it never does", host.text),
                )
                .advice("keepalived would send no mail at all"),
            );
        }
        let range = Keyword {
            range: int(1, 65_535),
            ..*keyword
        };
        let port = match words.peek() {
            Some(_) => Some(u16::take(words, &range, reader)?),
            None => None,
        };
        Some(Self {
            host: host.text.to_string(),
            port,
        })
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.host.clone());
        line.extend(self.port.map(|port| port.to_string()));
    }
}

/// A FIFO, and to whom it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct Fifo {
    /// Where it is; made if it is not there.
    pub path: String,
    /// Its owner; without it the user of scripts.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub owner: Option<User>,
}

impl Value for Fifo {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let path = String::take(words, keyword, reader)?;
        let owner = match words.peek() {
            Some(_) => Some(User::take(words, keyword, reader)?),
            None => None,
        };
        Some(Self { path, owner })
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.path.clone());
        if let Some(owner) = &self.owner {
            owner.put(line);
        }
    }
}

/// Whether interfaces may come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct DynamicInterfaces {
    /// They may also come back as something else.
    #[cfg_attr(feature = "serde", serde(default))]
    pub allow_if_changes: bool,
}

impl Value for DynamicInterfaces {
    fn take(words: &mut Words<'_>, _: &Keyword, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            allow_if_changes: words.take_if(|word| word == "allow_if_changes").is_some(),
        })
    }

    fn put(&self, line: &mut Vec<String>) {
        if self.allow_if_changes {
            line.push(String::from("allow_if_changes"));
        }
    }
}

/// What is emptied at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
pub struct FlushOnStop {
    /// Only our virtual servers, with everything in them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub virtual_servers_only: bool,
}

impl Value for FlushOnStop {
    fn take(words: &mut Words<'_>, _: &Keyword, _: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            virtual_servers_only: words.take_if(|word| word == "VS").is_some(),
        })
    }

    fn put(&self, line: &mut Vec<String>) {
        if self.virtual_servers_only {
            line.push(String::from("VS"));
        }
    }
}

/// How IPVS connections are shared between directors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields, default)
)]
pub struct SyncDaemon {
    /// Through which interface.
    pub interface: String,
    /// The virtual router that decides the direction; without it both run.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub instance: Option<String>,
    /// The number of the pair; without it the VRID.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub id: Option<u8>,
    /// Greatest message in bytes, 1 to 65507.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub maxlen: Option<u16>,
    /// The port; without it 8848.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub port: Option<u16>,
    /// Time to live, 1 to 255.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub ttl: Option<u8>,
    /// The multicast group; without it 224.0.0.81.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub group: Option<IpAddr>,
}

impl Value for SyncDaemon {
    fn take(words: &mut Words<'_>, keyword: &Keyword, reader: &mut Reader<'_>) -> Option<Self> {
        let mut found = Self {
            interface: String::take(words, keyword, reader)?,
            ..Self::default()
        };
        let number = |least, most| Keyword {
            range: int(least, most),
            ..*keyword
        };
        while let Some(word) = words.take() {
            match word.text {
                "inst" => found.instance = Some(String::take(words, keyword, reader)?),
                "id" => found.id = Some(u8::take(words, &number(0, 255), reader)?),
                "maxlen" => found.maxlen = Some(u16::take(words, &number(1, 65_507), reader)?),
                "port" => found.port = Some(u16::take(words, &number(1, 65_535), reader)?),
                "ttl" => found.ttl = Some(u8::take(words, &number(1, 255), reader)?),
                "group" => found.group = Some(IpAddr::take(words, keyword, reader)?),
                name if found.instance.is_none() => found.instance = Some(name.to_owned()),
                _ => ignored(word, "is no option of `lvs_sync_daemon`", reader),
            }
        }
        Some(found)
    }

    fn put(&self, line: &mut Vec<String>) {
        line.push(self.interface.clone());
        let rest = [
            ("inst", self.instance.clone()),
            ("id", self.id.map(|id| id.to_string())),
            ("maxlen", self.maxlen.map(|length| length.to_string())),
            ("port", self.port.map(|port| port.to_string())),
            ("ttl", self.ttl.map(|ttl| ttl.to_string())),
            ("group", self.group.map(|group| group.to_string())),
        ];
        for (word, value) in rest {
            if let Some(value) = value {
                line.extend([word.to_owned(), value]);
            }
        }
    }
}

crate::macros::settings!(
    AutoPriority,
    SmtpServer,
    Fifo,
    DynamicInterfaces,
    FlushOnStop,
    SyncDaemon
);
