//! What differs between kernels, and what a proxy may want different from any kernel.

use core::time::Duration;

/// Options of a pool. The default is what the current kernel does, except that the list keeps the order of insertion.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Options {
    /// Which kernels' connection overhead and overload rules apply.
    pub rules: Rules,
    /// Where a new back end enters the list.
    pub order: Order,
    /// `sh` and `mh`: when the chosen back end is unavailable look for another one (`-b sh-fallback`, `-b mh-fallback`)
    /// instead of refusing the flow.
    pub hash_fallback: bool,
    /// `sh` and `mh`: hash the source port too (`-b sh-port`, `-b mh-port`).
    pub hash_port: bool,
    /// Slots of the `dh` table as a power of two: 4 to 20, 8 in every kernel.
    pub dh_bits: TableBits,
    /// Slots of the `sh` table as a power of two: 4 to 20, 8 in Debian's kernels (`CONFIG_IP_VS_SH_TAB_BITS`).
    pub sh_bits: TableBits,
    /// Slots of the `mh` table (`CONFIG_IP_VS_MH_TAB_INDEX`).
    pub mh_size: MhSize,
    /// `lblc` and `lblcr`: how long an unused destination is remembered, and how often a set of more than one back end
    /// sheds its most loaded (`net.ipv4.vs.lblc_expiration`, 24 hours in the kernel).
    pub expiration: Duration,
    /// `lblc` and `lblcr`: the number of destinations above which those unused for six minutes are swept early; half as many
    /// again is the limit from which new ones are not remembered. 16384 in the kernel; kernels before the fixes of 2026
    /// had no limit, here it always holds.
    pub cache_size: u32,
    /// Keeps a client on its back end, in front of any scheduler.
    pub persistence: Option<Persistence>,
}

/// Kernels before and after the scheduler fixes of 2026.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Rules {
    /// Linux 6.12.104, Debian's 6.1.187 and newer: an active connection weighs 257 and an inactive one 1, and an edit
    /// of the thresholds takes effect on the overload flag at once, both ways.
    #[default]
    Current,
    /// Before: an active connection weighs 256, and an edit may clear the overload flag but not set it.
    Legacy,
}

/// Where a new back end enters the list. The order breaks ties, gives round robin its cycle and fills hash tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Order {
    /// At the end, as people expect.
    #[default]
    Insertion,
    /// At the front, as the kernel does (`ipvsadm -Ln` sorts and so does not show it).
    NewestFirst,
}

/// The size of a hash table as a power of two, 4 to 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u8", into = "u8"))]
pub struct TableBits(u8);

/// The size of the `mh` table: a prime near a power of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MhSize {
    /// 251 slots, index 8
    P251,
    /// 509 slots, index 9
    P509,
    /// 1021 slots, index 10
    P1021,
    /// 2039 slots, index 11
    P2039,
    /// 4093 slots, index 12: the kernel's default
    #[default]
    P4093,
    /// 8191 slots, index 13
    P8191,
    /// 16381 slots, index 14
    P16381,
    /// 32749 slots, index 15
    P32749,
    /// 65521 slots, index 16
    P65521,
    /// 131071 slots, index 17
    P131071,
}

/// Keeps the flows of one client, or of one client network, on one back end (`ipvsadm -p` and `-M`).
///
/// A remembered client goes to its back end even when that is quiesced or overloaded, as in the kernel; only a removed
/// one is replaced, and with [`expire_quiescent`](Self::expire_quiescent) a quiesced one. It is remembered for
/// `timeout` after its last flow came, and for as long as a connection that came by the memory is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Persistence {
    /// How long after its last new flow a client is remembered. `ipvsadm` takes 360 s when not told.
    pub timeout: Duration,
    /// Leading bits of an IPv4 source that make the client; 32 for each address by itself.
    pub prefix_v4: u8,
    /// Leading bits of an IPv6 source that make the client; 128 for each address by itself.
    pub prefix_v6: u8,
    /// Forget clients whose back end has weight 0 (`net.ipv4.vs.expire_quiescent_template`).
    pub expire_quiescent: bool,
    /// Clients remembered at most; further ones are scheduled anew each time. The kernel knows no limit.
    pub capacity: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rules: Rules::Current,
            order: Order::Insertion,
            hash_fallback: false,
            hash_port: false,
            dh_bits: TableBits::KERNEL,
            sh_bits: TableBits::KERNEL,
            mh_size: MhSize::P4093,
            expiration: Duration::from_secs(24 * 60 * 60),
            cache_size: 16_384,
            persistence: None,
        }
    }
}

impl Options {
    /// What the current kernel does, its order of the list included.
    #[must_use]
    pub fn kernel() -> Self {
        Self {
            order: Order::NewestFirst,
            ..Self::default()
        }
    }

    /// Sets [`rules`](Self::rules).
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets [`order`](Self::order).
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Sets [`hash_fallback`](Self::hash_fallback) and [`hash_port`](Self::hash_port).
    #[must_use]
    pub fn hash(mut self, fallback: bool, port: bool) -> Self {
        self.hash_fallback = fallback;
        self.hash_port = port;
        self
    }

    /// Sets [`dh_bits`](Self::dh_bits).
    #[must_use]
    pub fn dh_bits(mut self, bits: TableBits) -> Self {
        self.dh_bits = bits;
        self
    }

    /// Sets [`sh_bits`](Self::sh_bits).
    #[must_use]
    pub fn sh_bits(mut self, bits: TableBits) -> Self {
        self.sh_bits = bits;
        self
    }

    /// Sets [`mh_size`](Self::mh_size).
    #[must_use]
    pub fn mh_size(mut self, size: MhSize) -> Self {
        self.mh_size = size;
        self
    }

    /// Sets [`expiration`](Self::expiration).
    #[must_use]
    pub fn expiration(mut self, expiration: Duration) -> Self {
        self.expiration = expiration;
        self
    }

    /// Sets [`cache_size`](Self::cache_size).
    #[must_use]
    pub fn cache_size(mut self, size: u32) -> Self {
        self.cache_size = size;
        self
    }

    /// Sets [`persistence`](Self::persistence).
    #[must_use]
    pub fn persistence(mut self, persistence: Persistence) -> Self {
        self.persistence = Some(persistence);
        self
    }
}

impl TableBits {
    /// 256 slots.
    pub const KERNEL: Self = Self(8);

    /// A table of two to the power of `bits` slots; `None` outside 4 to 20.
    #[must_use]
    pub const fn new(bits: u8) -> Option<Self> {
        if bits >= 4 && bits <= 20 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The exponent.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for TableBits {
    type Error = TableBitsError;

    fn try_from(bits: u8) -> Result<Self, TableBitsError> {
        Self::new(bits).ok_or(TableBitsError(bits))
    }
}

impl From<TableBits> for u8 {
    fn from(bits: TableBits) -> Self {
        bits.0
    }
}

/// A table size outside 4 to 20 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table of {0} bits: 4 to 20 are possible")]
pub struct TableBitsError(u8);

impl MhSize {
    /// The number of slots, a prime.
    #[must_use]
    pub const fn slots(self) -> u32 {
        match self {
            Self::P251 => 251,
            Self::P509 => 509,
            Self::P1021 => 1021,
            Self::P2039 => 2039,
            Self::P4093 => 4093,
            Self::P8191 => 8191,
            Self::P16381 => 16_381,
            Self::P32749 => 32_749,
            Self::P65521 => 65_521,
            Self::P131071 => 131_071,
        }
    }

    /// How many bits of weight the table tells apart: half the kernel's table index.
    pub(crate) const fn weight_bits(self) -> u32 {
        match self {
            Self::P251 | Self::P509 => 4,
            Self::P1021 | Self::P2039 => 5,
            Self::P4093 | Self::P8191 => 6,
            Self::P16381 | Self::P32749 => 7,
            Self::P65521 | Self::P131071 => 8,
        }
    }
}

impl Default for Persistence {
    fn default() -> Self {
        Self::new(Duration::from_secs(360))
    }
}

impl Persistence {
    /// Each client address by itself, remembered for `timeout`.
    #[must_use]
    pub const fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            prefix_v4: 32,
            prefix_v6: 128,
            expire_quiescent: false,
            capacity: 1 << 20,
        }
    }

    /// Takes clients of one network together. More bits than an address has count as all of them.
    #[must_use]
    pub const fn prefixes(mut self, v4: u8, v6: u8) -> Self {
        self.prefix_v4 = v4;
        self.prefix_v6 = v6;
        self
    }

    /// Sets [`expire_quiescent`](Self::expire_quiescent).
    #[must_use]
    pub const fn expire_quiescent(mut self, expire: bool) -> Self {
        self.expire_quiescent = expire;
        self
    }

    /// Sets [`capacity`](Self::capacity).
    #[must_use]
    pub const fn capacity(mut self, clients: u32) -> Self {
        self.capacity = clients;
        self
    }
}
