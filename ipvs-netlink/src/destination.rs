use std::num::NonZeroU16;

use crate::service::Endpoint;

/// A destination: a real server that a service may send connections to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what the kernel wants, whole, on each edit"
)]
pub struct Destination {
    /// Where it is. For direct routing and tunnelling the port is that of the service: packets are not rewritten.
    pub endpoint: Endpoint,
    /// How packets get there.
    pub forward: Forward,
    /// Its share.
    pub weight: Weight,
    /// When it is overloaded.
    pub thresholds: Thresholds,
}

/// How packets get to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Forward {
    /// Network address translation; answers come back through this host.
    Masquerade,
    /// Delivered on this host.
    Local,
    /// Wrapped into a packet of their own; the destination may be of the other address family.
    Tunnel(Tunnel),
    /// Sent on unchanged to the destination's link address, on a shared segment.
    DirectRoute,
    /// Sent to their original destination; the kernel uses it for cache clusters.
    Bypass,
    /// One of the numbers 5 to 7, which the kernel takes and then transmits nothing.
    Other(u8),
}

/// What packets are wrapped into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation. Since Linux 5.2.
    Gue {
        /// The UDP port.
        port: NonZeroU16,
        /// What is done about the outer checksum. Since Linux 5.3.
        checksum: Checksum,
    },
    /// Generic routing encapsulation. Since Linux 5.3.
    Gre {
        /// Whether the outer header carries a checksum.
        checksum: bool,
    },
    /// A combination that has no meaning here, as another program left it.
    Other {
        /// The number of the encapsulation.
        kind: u8,
        /// The port.
        port: u16,
        /// The flags.
        flags: u16,
    },
}

/// The checksum of the outer UDP header of a GUE tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Checksum {
    /// None.
    #[default]
    None,
    /// Computed.
    Computed,
    /// Offloaded to the receiver.
    Remote,
}

/// The share of new connections that a destination gets: 0 for none (it is quiesced; those it has go on), up to 2^31 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Weight(u32);

/// When a destination gets no more connections because it has too many: from `upper` of them on, until fewer than
/// `lower` are left (a `lower` of 0 stands for three quarters of `upper`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Thresholds {
    upper: u32,
    lower: u32,
}

impl Destination {
    /// A destination of weight 1 without thresholds.
    #[must_use]
    pub fn new(endpoint: impl Into<Endpoint>, forward: Forward) -> Self {
        Self {
            endpoint: endpoint.into(),
            forward,
            weight: Weight::DEFAULT,
            thresholds: Thresholds::NONE,
        }
    }

    /// The same with another weight.
    #[must_use]
    pub const fn weight(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    /// The same destination as the kernel would give it back.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        let (method, tunnel) = self.forward.parts();
        self.forward = Forward::from_parts(method, tunnel);
        self
    }
}

impl Weight {
    /// No new connections.
    pub const ZERO: Self = Self(0);
    /// What ipvsadm takes when it is not told: 1.
    pub const DEFAULT: Self = Self(1);

    /// A weight up to 2^31 - 1.
    #[must_use]
    pub const fn new(weight: u32) -> Option<Self> {
        if weight <= i32::MAX.unsigned_abs() {
            Some(Self(weight))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Thresholds {
    /// No limit.
    pub const NONE: Self = Self { upper: 0, lower: 0 };

    /// `lower` is at most `upper`, and `upper` at most 2^31 - 1.
    #[must_use]
    pub const fn new(upper: u32, lower: u32) -> Option<Self> {
        if lower <= upper && upper <= i32::MAX.unsigned_abs() {
            Some(Self { upper, lower })
        } else {
            None
        }
    }

    /// From so many connections on it gets no more; 0 for no limit.
    #[must_use]
    pub const fn upper(self) -> u32 {
        self.upper
    }

    /// With fewer than so many it gets some again.
    #[must_use]
    pub const fn lower(self) -> u32 {
        self.lower
    }

    /// As read from the kernel, whose older versions do not check.
    pub(crate) const fn unchecked(upper: u32, lower: u32) -> Self {
        Self { upper, lower }
    }
}

/// The three tunnel attributes: kind, port, flags.
pub(crate) type TunnelParts = (u8, u16, u16);

impl Forward {
    pub(crate) fn from_parts(method: u8, (kind, port, flags): TunnelParts) -> Self {
        match method & 7 {
            0 => Self::Masquerade,
            1 => Self::Local,
            2 => Self::Tunnel(Tunnel::from_parts(kind, port, flags)),
            3 => Self::DirectRoute,
            4 => Self::Bypass,
            other => Self::Other(other),
        }
    }

    pub(crate) fn parts(self) -> (u8, TunnelParts) {
        match self {
            Self::Masquerade => (0, (0, 0, 0)),
            Self::Local => (1, (0, 0, 0)),
            Self::Tunnel(tunnel) => (2, tunnel.parts()),
            Self::DirectRoute => (3, (0, 0, 0)),
            Self::Bypass => (4, (0, 0, 0)),
            Self::Other(number) => (number & 7, (0, 0, 0)),
        }
    }
}

impl Tunnel {
    fn from_parts(kind: u8, port: u16, flags: u16) -> Self {
        match (kind, NonZeroU16::new(port), flags) {
            (0, None, 0) => Self::Ipip,
            (1, Some(port), 0) => Self::gue(port, Checksum::None),
            (1, Some(port), 1) => Self::gue(port, Checksum::Computed),
            (1, Some(port), 2) => Self::gue(port, Checksum::Remote),
            (2, None, 0 | 1) => Self::Gre { checksum: flags == 1 },
            _ => Self::Other { kind, port, flags },
        }
    }

    fn parts(self) -> TunnelParts {
        match self {
            Self::Ipip => (0, 0, 0),
            Self::Gue { port, checksum } => {
                let flags = match checksum {
                    Checksum::None => 0,
                    Checksum::Computed => 1,
                    Checksum::Remote => 2,
                };
                (1, port.get(), flags)
            }
            Self::Gre { checksum } => (2, 0, u16::from(checksum)),
            Self::Other { kind, port, flags } => (kind, port, flags),
        }
    }

    const fn gue(port: NonZeroU16, checksum: Checksum) -> Self {
        Self::Gue { port, checksum }
    }
}

#[cfg(test)]
mod tests {
    use super::{Forward, Thresholds, Weight};

    #[test]
    fn every_combination_of_the_attributes_survives() {
        for method in 0..8 {
            for kind in 0..4 {
                for port in [0, 6080] {
                    for flags in 0..4 {
                        let forward = Forward::from_parts(method, (kind, port, flags));
                        let (again, tunnel) = forward.parts();
                        assert_eq!(again, method);
                        if method == 2 {
                            assert_eq!(tunnel, (kind, port, flags));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn ranges_are_the_kernels() {
        assert!(Weight::new(2_147_483_647).is_some());
        assert!(Weight::new(2_147_483_648).is_none());
        assert!(Thresholds::new(10, 10).is_some());
        assert!(Thresholds::new(10, 11).is_none());
        assert!(Thresholds::new(2_147_483_648, 0).is_none());
    }
}
