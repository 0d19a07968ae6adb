//! `real_server`.

use crate::command::Command;
use crate::keyword::{BOOL, LONGEST, Range, SCRIPT, VITAL, WORD, YES, count, int, no, secs, text};
use crate::macros::block;
use crate::model::checker::{
    BfdCheck, DnsCheck, FileCheck, MiscCheck, PingCheck, SmtpCheck, TcpCheck, UdpCheck,
};
use crate::model::forwarding::Forwarding;
use crate::model::http::HttpCheck;
use crate::model::socket_name::SocketName;
use crate::value::Seconds;

/// The block of a check.
const CHECK: Range = Range::Block("a check");

block! {
    /// A host that serves. It is up while none of its checks has failed.
    RealServer(address: SocketName) = "real_server" {
        /// Its share.
        weight: Option<u32> = ["weight"], int(0, 2_147_483_647), "1", YES;
        /// How packets reach it.
        lvs_method: Option<Forwarding> = ["lvs_method"], text("as in `virtual_server`"), "that of the virtual server", VITAL;
        /// No new connections above so many.
        uthreshold: Option<u32> = ["uthreshold"], count(0, 4_294_967_295, "connections"), "0: no bound", YES;
        /// New connections again below so many.
        lthreshold: Option<u32> = ["lthreshold"], count(0, 4_294_967_295, "connections"), "0", YES;
        /// Run when it comes up.
        notify_up: Option<Command> = ["notify_up"], SCRIPT, "none", YES;
        /// Run when it goes down.
        notify_down: Option<Command> = ["notify_down"], SCRIPT, "none", YES;
        /// Weight 0 instead of removal when it fails.
        inhibit_on_failure: Option<bool> = ["inhibit_on_failure"], BOOL, "that of the virtual server", YES;
        /// Down until its checks have succeeded.
        alpha: Option<bool> = ["alpha"], BOOL, "that of the virtual server", YES;
        /// So many failures in a row are forgiven.
        retry: Option<u32> = ["retry"], count(1, 4_294_967_295, "attempts"), "that of the virtual server", YES;
        /// How long after a failure the next attempt begins.
        delay_before_retry: Option<Seconds> = ["delay_before_retry"], secs(0, LONGEST), "that of the virtual server", YES;
        /// The first check begins at random within so long.
        warmup: Option<Seconds> = ["warmup"], secs(0, LONGEST), "that of the virtual server", YES;
        /// How long a check waits for an answer.
        connect_timeout: Option<Seconds> = ["connect_timeout"], secs(1, 4_294_967), "that of the virtual server", YES;
        /// From one check to the next.
        delay_loop: Option<Seconds> = ["delay_loop"], secs(1, LONGEST), "that of the virtual server", YES;
        /// Mails about it.
        smtp_alert: Option<bool> = ["smtp_alert"], BOOL, "that of the virtual server", YES;
        /// The name in HTTP requests of checks.
        virtualhost: Option<String> = ["virtualhost"], WORD, "that of the virtual server", YES;
        /// The name in SNMP.
        snmp_name: Option<String> = ["snmp_name"], WORD, "none", no("there is no SNMP");
        /// A connection can be made.
        tcp_check: Vec<TcpCheck> = ["TCP_CHECK"], CHECK, "none", YES;
        /// Pages are served.
        http_get: Vec<HttpCheck> = ["HTTP_GET"], CHECK, "none", YES;
        /// Pages are served over TLS.
        ssl_get: Vec<HttpCheck> = ["SSL_GET"], CHECK, "none", YES;
        /// Mail is taken.
        smtp_check: Vec<SmtpCheck> = ["SMTP_CHECK"], CHECK, "none", YES;
        /// Names are resolved.
        dns_check: Vec<DnsCheck> = ["DNS_CHECK"], CHECK, "none", YES;
        /// A script succeeds.
        misc_check: Vec<MiscCheck> = ["MISC_CHECK"], CHECK, "none", YES;
        /// A datagram is not refused.
        udp_check: Vec<UdpCheck> = ["UDP_CHECK"], CHECK, "none", YES;
        /// An echo comes back.
        ping_check: Vec<PingCheck> = ["PING_CHECK"], CHECK, "none", YES;
        /// A BFD session is up.
        bfd_check: Vec<BfdCheck> = ["BFD_CHECK"], CHECK, "none", no("BFD sessions are not run: this check is left out");
        /// A file says so.
        file_check: Vec<FileCheck> = ["FILE_CHECK"], CHECK, "none", YES;
    }
}
