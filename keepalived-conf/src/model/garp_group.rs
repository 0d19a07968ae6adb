//! `garp_group`.

use crate::field::List;
use crate::keyword::{INTERFACE, YES, list, secs};
use crate::macros::block;
use crate::value::Seconds;

block! {
    /// Interfaces that share one pace of announcements, since one switch hears them all.
    GarpGroup = "garp_group" {
        /// The time between two gratuitous ARP packets.
        garp_interval: Option<Seconds> = ["garp_interval"], secs(0, 1_000_000), "0 s", YES;
        /// The time between two unsolicited neighbour advertisements.
        gna_interval: Option<Seconds> = ["gna_interval"], secs(0, 1_000_000), "0 s", YES;
        /// The interface.
        interface: Option<String> = ["interface"], INTERFACE, "none", YES;
        /// The interfaces.
        interfaces: List<String> = ["interfaces"], list("interfaces"), "none", YES;
    }
}
