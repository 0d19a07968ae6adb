#![doc = include_str!("../README.md")]
#![no_std]
#![deny(unsafe_code)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_arithmetic,
    clippy::wildcard_enum_match_arm,
    clippy::exhaustive_enums,
    clippy::missing_errors_doc
)]

#[cfg(test)]
extern crate std;

mod addresses;
mod advertisement;
#[cfg(feature = "frames")]
mod arp;
#[cfg(feature = "auth-hmac")]
mod auth_hmac;
mod authentication;
mod checksum;
#[cfg(feature = "frames")]
mod datagram;
mod envelope;
mod error;
#[cfg(feature = "frames")]
mod ethernet;
mod family;
#[cfg(feature = "frames")]
mod frame;
mod interval;
#[cfg(feature = "frames")]
mod ip_header;
mod mac;
mod message;
#[cfg(feature = "frames")]
mod ndisc;
mod packet;
mod priority;
mod receive_checks;
#[cfg(feature = "auth-hmac")]
mod replay;
#[cfg(feature = "auth-hmac")]
mod sequence;
#[cfg(feature = "serde")]
mod serde;
mod version;
mod vrid;

pub use addresses::Addresses;
pub use advertisement::Advertisement;
#[cfg(feature = "frames")]
pub use arp::{ArpClaim, ArpProbe, GratuitousArp};
#[cfg(feature = "auth-hmac")]
pub use auth_hmac::{HmacKey, Signed, Trailer, Verified};
pub use authentication::{Authentication, Password};
pub use checksum::ChecksumForm;
#[cfg(feature = "frames")]
pub use datagram::Datagram;
pub use envelope::Envelope;
pub use error::{Error, Field};
#[cfg(feature = "frames")]
pub use ethernet::{EthernetHeader, VlanTag};
pub use family::AddressFamily;
#[cfg(feature = "frames")]
pub use frame::Frame;
pub use interval::AdverInterval;
#[cfg(feature = "frames")]
pub use ip_header::IpHeader;
pub use mac::MacAddress;
pub use message::Message;
#[cfg(feature = "frames")]
pub use ndisc::UnsolicitedAdvertisement;
pub use packet::Packet;
pub use priority::Priority;
pub use receive_checks::ReceiveChecks;
#[cfg(feature = "auth-hmac")]
pub use replay::ReplayWindow;
#[cfg(feature = "auth-hmac")]
pub use sequence::{Sequence, Sequencer};
pub use version::Version;
pub use vrid::Vrid;
