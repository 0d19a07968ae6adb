use std::fmt;

/// How long a connection is kept after its last packet.
///
/// What is `None` is not changed. The kernel leaves out of its answers what it was built without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "the kernel's three timeouts")]
pub struct Timeouts {
    /// An established TCP connection.
    pub tcp: Option<Timeout>,
    /// A TCP connection after its first FIN.
    pub tcp_fin: Option<Timeout>,
    /// UDP.
    pub udp: Option<Timeout>,
}

/// Whole seconds, 1 to 2,147,483 (24 days): what the kernel takes at a thousand ticks a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timeout(u32);

/// What the kernel says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the kernel's two facts")]
pub struct Info {
    /// The version of IPVS, unchanged since long: 1.2.1.
    pub version: Version,
    /// How many buckets the table of connections has.
    pub connection_table_size: u32,
}

/// A version of IPVS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub(crate) u32);

impl Timeout {
    /// So many seconds. 0 would not mean what it says: the kernel takes it for "leave it".
    #[must_use]
    pub const fn from_seconds(seconds: u32) -> Option<Self> {
        if seconds >= 1 && seconds <= i32::MAX.unsigned_abs() / 1000 {
            Some(Self(seconds))
        } else {
            None
        }
    }

    /// As read from the kernel.
    pub(crate) const fn unchecked(seconds: u32) -> Self {
        Self(seconds)
    }

    /// The seconds.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [_, major, minor, patch] = self.0.to_be_bytes();
        write!(f, "{major}.{minor}.{patch}")
    }
}
