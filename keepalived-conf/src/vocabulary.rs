//! Every block with its keywords, for documentation and completion.

use crate::keyword::{Keyword, Support};
use crate::model::address::VirtualAddress;
use crate::model::bfd::BfdInstance;
use crate::model::checker::{
    BfdCheck, DnsCheck, FileCheck, MiscCheck, PingCheck, SmtpCheck, SmtpHost, TcpCheck, UdpCheck,
};
use crate::model::configuration::{Configuration, Ssl};
use crate::model::garp_group::GarpGroup;
use crate::model::global_defs::GlobalDefs;
use crate::model::http::{HttpCheck, Url};
use crate::model::real_server::RealServer;
use crate::model::route::Route;
use crate::model::rule::Rule;
use crate::model::sync_group::{SyncGroup, TrackGroup};
use crate::model::track::{TrackBfd, TrackFile, TrackInterface, TrackProcess, TrackScript, UnicastPeer};
use crate::model::track_file::TrackedFile;
use crate::model::track_process::TrackedProcess;
use crate::model::virtual_server::VirtualServer;
use crate::model::vrrp_instance::{AuthHmac, Authentication, VrrpInstance};
use crate::model::vrrp_script::VrrpScript;

/// A place in which keywords have a meaning: a block, or the entries of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Block {
    /// The keyword that opens it, or what it is.
    pub name: &'static str,
    /// What is known in it.
    pub keywords: &'static [Keyword],
    /// The block outside every other that it belongs to; `None` for those that belong to several, or to none.
    pub root: Option<&'static str>,
}

impl Block {
    /// Whether the block that it belongs to is itself not supported, so that nothing in it is.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let root = Configuration::KEYWORDS
            .iter()
            .find(|keyword| Some(keyword.name()) == self.root);
        root.is_some_and(|root| matches!(root.support, Support::NotSupported { .. }))
    }
}

/// The whole vocabulary, block by block.
#[must_use]
pub fn vocabulary() -> Vec<Block> {
    let block = |name, keywords| Block {
        name,
        keywords,
        root: None,
    };
    let within = |root, name, keywords| Block {
        name,
        keywords,
        root: Some(root),
    };
    vec![
        block("outside every block", Configuration::KEYWORDS),
        block("global_defs", GlobalDefs::KEYWORDS),
        block("vrrp_instance", VrrpInstance::KEYWORDS),
        block("authentication", Authentication::KEYWORDS),
        block("auth_hmac", AuthHmac::KEYWORDS),
        block("an address", VirtualAddress::KEYWORDS),
        block("a unicast peer", UnicastPeer::KEYWORDS),
        block("a route", Route::KEYWORDS),
        block("a rule", Rule::KEYWORDS),
        block("a tracked interface", TrackInterface::KEYWORDS),
        block("a tracked script", TrackScript::KEYWORDS),
        block("a tracked file", TrackFile::KEYWORDS),
        block("a tracked process", TrackProcess::KEYWORDS),
        block("a tracked BFD session", TrackBfd::KEYWORDS),
        block("vrrp_script", VrrpScript::KEYWORDS),
        block("track_file", TrackedFile::KEYWORDS),
        block("vrrp_track_process", TrackedProcess::KEYWORDS),
        within("bfd_instance", "bfd_instance", BfdInstance::KEYWORDS),
        block("vrrp_sync_group", SyncGroup::KEYWORDS),
        within("track_group", "track_group", TrackGroup::KEYWORDS),
        block("garp_group", GarpGroup::KEYWORDS),
        within("virtual_server", "virtual_server", VirtualServer::KEYWORDS),
        within("virtual_server", "real_server", RealServer::KEYWORDS),
        within("virtual_server", "TCP_CHECK", TcpCheck::KEYWORDS),
        within("virtual_server", "HTTP_GET, SSL_GET", HttpCheck::KEYWORDS),
        within("virtual_server", "url", Url::KEYWORDS),
        within("virtual_server", "SMTP_CHECK", SmtpCheck::KEYWORDS),
        within("virtual_server", "host", SmtpHost::KEYWORDS),
        within("virtual_server", "DNS_CHECK", DnsCheck::KEYWORDS),
        within("virtual_server", "MISC_CHECK", MiscCheck::KEYWORDS),
        within("virtual_server", "UDP_CHECK", UdpCheck::KEYWORDS),
        within("virtual_server", "PING_CHECK", PingCheck::KEYWORDS),
        within("virtual_server", "BFD_CHECK", BfdCheck::KEYWORDS),
        within("virtual_server", "FILE_CHECK", FileCheck::KEYWORDS),
        within("SSL", "SSL", Ssl::KEYWORDS),
    ]
}
