//! `bfd_instance`.

use std::net::IpAddr;

use crate::keyword::{ADDRESS, FLAG, YES, count, int, no};
use crate::macros::block;
use crate::model::track::Weight;

block! {
    /// A session of bidirectional forwarding detection (RFC 5880).
    BfdInstance(name: String) = "bfd_instance" {
        /// The other end.
        neighbor_ip: Option<IpAddr> = ["neighbor_ip", "neighbour_ip"], ADDRESS, "required", YES;
        /// Our own address.
        source_ip: Option<IpAddr> = ["source_ip"], ADDRESS, "that of the route", YES;
        /// How often the other end may send.
        min_rx: Option<u32> = ["min_rx"], count(1, 4_294_967, "ms"), "10 ms", YES;
        /// How often we send.
        min_tx: Option<u32> = ["min_tx"], count(1, 4_294_967, "ms"), "10 ms", YES;
        /// How often we send while the session is down.
        idle_tx: Option<u32> = ["idle_tx"], count(1_000, 4_294_967, "ms"), "1000 ms", YES;
        /// So many missed packets end the session.
        multiplier: Option<u8> = ["multiplier"], int(1, 255), "5", YES;
        /// Waits for the other end to begin.
        passive: bool = ["passive"], FLAG, "off", YES;
        /// Time to live of IPv4 packets.
        ttl: Option<u8> = ["ttl"], int(1, 255), "255", YES;
        /// Hop limit of IPv6 packets.
        hoplimit: Option<u8> = ["hoplimit"], int(1, 255), "64", YES;
        /// How far away the other end may be; -1 is any distance.
        max_hops: Option<i16> = ["max_hops"], int(-1, 254), "0", YES;
        /// The other end is not on the link.
        multihop: bool = ["multihop"], FLAG, "off", YES.new_in_keepalived();
        /// What the session adds to the priority of virtual routers that track it.
        weight: Option<Weight> = ["weight"], int(-253, 253), "0", YES;
        /// Virtual routers may track it.
        vrrp: bool = ["vrrp"], FLAG, "both, unless one is named", YES;
        /// Real servers may track it.
        checker: bool = ["checker"], FLAG, "both, unless one is named", YES;
    }
}

/// What a BFD session means for whoever uses one.
pub(crate) const BFD: crate::keyword::Support =
    no("BFD sessions are not run, so whatever tracks one never hears of it; shorten `advert_int` instead");
