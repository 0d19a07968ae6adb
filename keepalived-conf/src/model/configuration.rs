//! The whole configuration: what stands outside every block.

use crate::field::List;
use crate::keyword::{BLOCK, FLAG, PATH, Range, VITAL, WORD, YES, list, no};
use crate::macros::block;
use crate::model::address::VirtualAddress;
use crate::model::bfd::{BFD, BfdInstance};
use crate::model::garp_group::GarpGroup;
use crate::model::global_defs::GlobalDefs;
use crate::model::interface::{LinkbeatInterface, UpDownDelay};
use crate::model::route::Route;
use crate::model::rule::Rule;
use crate::model::sync_group::{SyncGroup, TrackGroup};
use crate::model::track_file::TrackedFile;
use crate::model::track_process::TrackedProcess;
use crate::model::virtual_server::VirtualServer;
use crate::model::virtual_server_group::VirtualServerGroup;
use crate::model::vrrp_instance::VrrpInstance;
use crate::model::vrrp_script::VrrpScript;

block! {
    /// A whole configuration.
    Configuration = "" {
        /// What holds for all.
        global_defs: Option<GlobalDefs> = ["global_defs"], BLOCK, "none", YES;
        /// The network namespace.
        net_namespace: Option<String> = ["net_namespace"], WORD, "that of the process", YES;
        /// The network namespace whose IPVS is used. Checks are made from that of the process.
        net_namespace_ipvs: Option<String> = ["net_namespace_ipvs"], WORD, "that of the process", YES;
        /// Makes sets in the namespace.
        namespace_with_ipsets: bool = ["namespace_with_ipsets"], FLAG, "off", no("no firewall rules are made");
        /// The name of this daemon among several, for the names of files. Each wants a control socket of its own.
        instance: Option<String> = ["instance"], WORD, "none", YES;
        /// Writes the process number to `/run/keepalived/keepalived.pid`, with `_` and the instance in its name.
        use_pid_dir: bool = ["use_pid_dir"], FLAG, "off", YES;
        /// Asks after links again and again.
        linkbeat_use_polling: bool = ["linkbeat_use_polling"], FLAG, "off", no("the kernel's messages are believed");
        /// How long to wait for children at the end.
        child_wait_time: Option<u32> = ["child_wait_time"], crate::keyword::count(0, 4_294_967_295, "s"), "5 s", no("there are no child processes to wait for");
        /// Interfaces that are asked after their link again and again.
        linkbeat_interfaces: List<LinkbeatInterface> = ["linkbeat_interfaces"], list("interface [MII|ETHTOOL|IOCTL]"), "none", no("the kernel's messages are believed");
        /// How long a new state of an interface must last to count.
        interface_up_down_delays: List<UpDownDelay> = ["interface_up_down_delays"], list("interface down [up], 0..255 s"), "0 s", no("a new state of an interface counts at once");
        /// Virtual routers that follow static objects.
        track_group: Vec<TrackGroup> = ["track_group"], BLOCK, "none", no("static objects that are deleted are put back, and no virtual router is told");
        /// Addresses that stay on this host.
        static_ipaddress: List<VirtualAddress> = ["static_ipaddress"], list("addresses"), "none", YES;
        /// Routes that stay on this host.
        static_routes: List<Route> = ["static_routes"], list("routes"), "none", YES;
        /// Routing rules that stay on this host.
        static_rules: List<Rule> = ["static_rules"], list("rules"), "none", YES;
        /// Interfaces that share one pace of announcements.
        garp_group: Vec<GarpGroup> = ["garp_group"], BLOCK, "none", YES;
        /// Files with a number in them.
        track_file: Vec<TrackedFile> = ["track_file", "vrrp_track_file"], BLOCK, "none", VITAL;
        /// Processes that are counted.
        vrrp_track_process: Vec<TrackedProcess> = ["vrrp_track_process"], BLOCK, "none", VITAL;
        /// BFD sessions.
        bfd_instance: Vec<BfdInstance> = ["bfd_instance"], BLOCK, "none", BFD;
        /// Checks that are run again and again.
        vrrp_script: Vec<VrrpScript> = ["vrrp_script"], BLOCK, "none", VITAL;
        /// Virtual routers that are active and backup together.
        vrrp_sync_group: Vec<SyncGroup> = ["vrrp_sync_group"], BLOCK, "none", VITAL;
        /// Virtual routers.
        vrrp_instance: Vec<VrrpInstance> = ["vrrp_instance"], BLOCK, "none", VITAL;
        /// Addresses that are balanced alike.
        virtual_server_group: Vec<VirtualServerGroup> = ["virtual_server_group"], list("addresses, ranges and marks"), "none", VITAL;
        /// Balanced services.
        virtual_server: Vec<VirtualServer> = ["virtual_server"], Range::Block("a service"), "none", VITAL;
        /// The certificates of `SSL_GET`.
        ssl: Option<Ssl> = ["SSL"], BLOCK, "none", YES;
    }
}

block! {
    /// The certificates of `SSL_GET`.
    Ssl = "SSL" {
        /// The password of the key, which is encrypted as PKCS #8 has it.
        password: Option<String> = ["password"], WORD, "none", YES;
        /// Who is trusted.
        ca: Option<String> = ["ca"], PATH, "nobody: certificates are not verified", YES;
        /// Our own certificate.
        certificate: Option<String> = ["certificate"], PATH, "none", YES;
        /// Its key.
        key: Option<String> = ["key"], PATH, "none", YES;
    }
}
