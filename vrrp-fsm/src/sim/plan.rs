use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use vrrp_proto::{AddressFamily, AdverInterval, Priority, Vrid};

use crate::{Announcements, Dialect, Error, Parameters, Preempt, Track, TrackId};

/// The virtual routers of one host, and its clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPlan {
    /// Its virtual routers.
    pub members: Vec<MemberPlan>,
    /// Millionths by which its clock runs fast.
    pub drift: i32,
    /// How late it handles its timers, at most.
    pub lateness: Duration,
}

/// One virtual router of one host, in numbers that can be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberPlan {
    /// The segment it is on.
    pub segment: u8,
    /// Its VRID.
    pub vrid: Vrid,
    /// The family of its addresses and packets.
    pub family: AddressFamily,
    /// Whose rules it follows.
    pub dialect: Dialect,
    /// Its priority, not 0.
    pub priority: Priority,
    /// Its interval; whole seconds with RFC 3768.
    pub interval: AdverInterval,
    /// Whether it preempts.
    pub preempt: Preempt,
    /// How many addresses it has, 1 to 20.
    pub addresses: u8,
    /// The sync group of this number that it is in.
    pub group: Option<u8>,
    /// A tracked object whose failure costs this much priority.
    pub track: Option<(u8, u8)>,
}

impl MemberPlan {
    /// A virtual router of one IPv4 address that preempts, as RFC 9568 has it.
    pub const fn new(segment: u8, vrid: Vrid, priority: Priority, interval: AdverInterval) -> Self {
        Self {
            segment,
            vrid,
            family: AddressFamily::Ipv4,
            dialect: Dialect::Rfc9568,
            priority,
            interval,
            preempt: Preempt::Immediate,
            addresses: 1,
            group: None,
            track: None,
        }
    }

    /// The parameters that these numbers stand for.
    ///
    /// # Errors
    ///
    /// What [`ParametersBuilder::build`](crate::ParametersBuilder::build) says of numbers out of range.
    pub fn parameters(&self) -> Result<Parameters, Error> {
        let track = self
            .track
            .map(|(id, cost)| Track::new(TrackId(id.into()), -i16::from(cost)))
            .transpose()?;
        Parameters::builder(self.vrid, (0..self.addresses).map(|number| self.address(number)))
            .dialect(self.dialect)
            .priority(self.priority)
            .adver_interval(self.interval)
            .preempt(self.preempt)
            .tracks(track)
            .announcements(Announcements {
                delay: Duration::from_secs(1),
                ..Announcements::default()
            })
            .build()
    }

    /// Where advertisements of a host on a segment come from.
    pub fn primary(&self, host: u8) -> IpAddr {
        match self.family {
            AddressFamily::Ipv4 => Ipv4Addr::new(10, self.segment, 0, host.saturating_add(1)).into(),
            AddressFamily::Ipv6 => {
                Ipv6Addr::new(0xfe80, 0, 0, self.segment.into(), 0, 0, 0, u16::from(host) + 1).into()
            }
        }
    }

    fn address(&self, number: u8) -> IpAddr {
        match self.family {
            AddressFamily::Ipv4 => {
                Ipv4Addr::new(10, self.segment, self.vrid.get(), 100_u8.saturating_add(number)).into()
            }
            AddressFamily::Ipv6 => {
                let prefix = if number == 0 { 0xfe80 } else { 0xfd00 };
                Ipv6Addr::new(
                    prefix,
                    0,
                    0,
                    self.segment.into(),
                    0,
                    1,
                    self.vrid.get().into(),
                    number.into(),
                )
                .into()
            }
        }
    }
}
