//! One back end: its identifier, what the operator says of it, what is counted about it.

use core::fmt;
use core::mem;
use core::net::SocketAddr;
use core::sync::atomic::AtomicU32;

use crate::error::Error;
use crate::hash::address_key;
use crate::options::Rules;

/// A back end of one pool.
///
/// Never used again for another back end of the same pool within four billion removals, so one that is kept too long is
/// recognised and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// What the operator says of a back end: `ipvsadm`'s `-w`, `-x` and `-y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Spec {
    /// The share of connections, 0 to [`MAX_WEIGHT`]. Weight 0 quiesces: no new connections, the open ones go on.
    pub weight: u32,
    /// Connections at which the back end counts as overloaded and gets no more; 0 for no limit.
    pub upper: u32,
    /// Connections below which an overloaded back end is used again; 0 for three quarters of `upper`.
    pub lower: u32,
    /// What `mh` hashes to find the back end's place in its table; see [`Spec::address`].
    pub key: u32,
}

/// Weights are the kernel's `int`s.
pub const MAX_WEIGHT: u32 = i32::MAX as u32;

/// What the pool knows of one back end, as a scheduler sees it.
#[derive(Clone, Copy)]
pub struct BackendRef<'a> {
    pub(crate) slot: u32,
    pub(crate) rules: Rules,
    pub(crate) record: &'a Record,
}

/// The counted state of a back end, by slot.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) generation: u32,
    /// Its place in the list, or `NOWHERE` when it is not in the list any more.
    pub(crate) position: u32,
    /// The last weight that was not zero.
    pub(crate) last_weight: u32,
    pub(crate) active: u32,
    pub(crate) total: u32,
    pub(crate) upper: u32,
    pub(crate) lower: u32,
    pub(crate) key: u32,
    /// Cache entries of a scheduler that name it, which keep the record (not the value) after its removal.
    pub(crate) references: AtomicU32,
    /// Why it gets no new connections.
    bars: u8,
    pub(crate) occupied: bool,
}

/// No place in the list or in a table.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Its weight is 0.
const QUIESCED: u8 = 1;
/// It is over its upper threshold and not yet under its lower one.
const OVERLOADED: u8 = 2;
/// It is passed over for the moment: it refused this very flow.
const EXCLUDED: u8 = 4;
/// It left the list.
const UNLISTED: u8 = 8;

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Spec {
    /// A back end of this weight without thresholds.
    #[must_use]
    pub const fn new(weight: u32) -> Self {
        Self {
            weight,
            upper: 0,
            lower: 0,
            key: 0,
        }
    }

    /// Sets the connection thresholds. With `lower` 0 the back end is used again below three quarters of `upper`.
    #[must_use]
    pub const fn thresholds(mut self, upper: u32, lower: u32) -> Self {
        self.upper = upper;
        self.lower = lower;
        self
    }

    /// Sets the key from an address, as the kernel does: the words of the address folded together plus the port.
    ///
    /// Only `mh` looks at it: two pools that give their back ends the same keys, in the same order, send a flow to the
    /// same one. An IPv6 server of an IPv4 service (tunnelled) is keyed by the kernel by its first word alone; such a
    /// key can be set in [`Spec::key`].
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.key = address_key(address.ip()).wrapping_add(u32::from(address.port()));
        self
    }

    /// Sets the key for back ends that are not named by an address.
    #[must_use]
    pub const fn key(mut self, key: u32) -> Self {
        self.key = key;
        self
    }

    pub(crate) const fn check(&self) -> Result<(), Error> {
        if self.weight > MAX_WEIGHT {
            return Err(Error::Weight(self.weight));
        }
        // The kernel refuses any lower threshold above the upper, also above an absent one.
        if self.lower > self.upper {
            return Err(Error::Thresholds {
                upper: self.upper,
                lower: self.lower,
            });
        }
        Ok(())
    }
}

impl fmt::Debug for BackendRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendRef")
            .field("id", &self.id())
            .field("weight", &self.weight())
            .field("active", &self.active())
            .field("total", &self.total())
            .field("overloaded", &self.overloaded())
            .finish_non_exhaustive()
    }
}

impl BackendRef<'_> {
    /// Its identifier.
    #[must_use]
    pub const fn id(&self) -> BackendId {
        BackendId {
            slot: self.slot,
            generation: self.record.generation,
        }
    }

    /// Its weight; 0 is quiesced.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.record.weight()
    }

    /// The last weight that was not 0.
    #[must_use]
    pub const fn last_weight(&self) -> u32 {
        self.record.last_weight
    }

    /// Connections that carry traffic both ways.
    #[must_use]
    pub const fn active(&self) -> u32 {
        self.record.active
    }

    /// Connections that are not active: closing, or of a protocol without connections.
    #[must_use]
    pub const fn inactive(&self) -> u32 {
        self.record.total.saturating_sub(self.record.active)
    }

    /// All connections.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.record.total
    }

    /// What `mh` hashes.
    #[must_use]
    pub const fn key(&self) -> u32 {
        self.record.key
    }

    /// Whether it is over its upper threshold and not yet under its lower one, or has just refused the flow in hand.
    #[must_use]
    pub const fn overloaded(&self) -> bool {
        self.record.bars & (OVERLOADED | EXCLUDED) != 0
    }

    /// Whether it may get a new connection: in the list, weight above 0, not overloaded.
    #[must_use]
    pub const fn eligible(&self) -> bool {
        self.record.eligible()
    }

    /// Whether it is still in the list of back ends.
    #[must_use]
    pub const fn listed(&self) -> bool {
        self.record.listed()
    }

    /// The load that `lc`, `wlc`, `twos`, `lblc` and `lblcr` compare: 257 for an active connection and 1 for an
    /// inactive one, or 256 and 1 under [`Rules::Legacy`]. Stops at `i32::MAX`, where the kernel would wrap.
    #[must_use]
    pub const fn overhead(&self) -> u32 {
        self.record.overhead(self.rules)
    }
}

impl Record {
    /// A back end without connections at a position in the list.
    pub(crate) const fn new(generation: u32, position: u32) -> Self {
        Self {
            generation,
            position,
            last_weight: 0,
            active: 0,
            total: 0,
            upper: 0,
            lower: 0,
            key: 0,
            references: AtomicU32::new(0),
            bars: 0,
            occupied: true,
        }
    }

    #[inline]
    pub(crate) const fn eligible(&self) -> bool {
        self.bars == 0
    }

    #[inline]
    pub(crate) const fn weight(&self) -> u32 {
        if self.bars & QUIESCED == 0 {
            self.last_weight
        } else {
            0
        }
    }

    #[cfg(feature = "std")]
    pub(crate) const fn overloaded(&self) -> bool {
        self.bars & OVERLOADED != 0
    }

    pub(crate) const fn excluded(&self) -> bool {
        self.bars & EXCLUDED != 0
    }

    pub(crate) const fn exclude(&mut self, excluded: bool) {
        self.bar(EXCLUDED, excluded);
    }

    #[inline]
    pub(crate) const fn listed(&self) -> bool {
        self.bars & UNLISTED == 0
    }

    /// Takes it out of the list, and says which position it had.
    pub(crate) const fn unlist(&mut self) -> u32 {
        self.bar(UNLISTED, true);
        mem::replace(&mut self.position, NOWHERE)
    }

    #[inline]
    const fn bar(&mut self, reason: u8, barred: bool) {
        if barred {
            self.bars |= reason;
        } else {
            self.bars &= !reason;
        }
    }

    pub(crate) const fn overhead(&self, rules: Rules) -> u32 {
        let rest = match rules {
            Rules::Current => self.total,
            Rules::Legacy => self.total.saturating_sub(self.active),
        };
        let sum = self.active as u64 * 256 + rest as u64;
        if sum > MAX_WEIGHT as u64 {
            MAX_WEIGHT
        } else {
            sum as u32
        }
    }

    /// The number of connections at which closing one makes it fall out of the overloaded band.
    const fn lower_or_default(&self) -> u32 {
        if self.lower > 0 {
            self.lower
        } else {
            self.upper - self.upper / 4
        }
    }

    /// Counts a connection.
    pub(crate) const fn open(&mut self, rules: Rules) {
        self.total = self.total.saturating_add(1);
        match rules {
            Rules::Current if self.upper == self.total => self.settle(1),
            Rules::Legacy if self.upper > 0 && self.total >= self.upper => self.bar(OVERLOADED, true),
            Rules::Current | Rules::Legacy => {}
        }
    }

    /// Uncounts a connection.
    pub(crate) const fn close(&mut self, rules: Rules) {
        let total = self.total;
        self.total = total.saturating_sub(1);
        match rules {
            Rules::Current if total == self.lower_or_default() => self.settle(-1),
            Rules::Current => {}
            Rules::Legacy if self.lower > 0 => {
                if self.total < self.lower {
                    self.bar(OVERLOADED, false);
                }
            }
            Rules::Legacy if self.upper > 0 => {
                if (self.total as u64) * 4 < (self.upper as u64) * 3 {
                    self.bar(OVERLOADED, false);
                }
            }
            Rules::Legacy => self.bar(OVERLOADED, false),
        }
    }

    /// Takes over a total counted elsewhere, perhaps by several connections at once, and sets the overload flag by it.
    #[cfg(feature = "std")]
    pub(crate) const fn reassess(&mut self, total: u32, opened: bool, rules: Rules) {
        self.total = total;
        match rules {
            Rules::Current => self.settle(0),
            Rules::Legacy if opened => {
                if self.upper > 0 && total >= self.upper {
                    self.bar(OVERLOADED, true);
                }
            }
            Rules::Legacy => {
                self.total = total.saturating_add(1);
                self.close(rules);
            }
        }
    }

    /// Takes over a new specification.
    pub(crate) const fn edit(&mut self, spec: &Spec, rules: Rules) {
        let changed = self.upper != spec.upper || self.lower != spec.lower;
        let raised = spec.upper == 0 || spec.upper > self.upper;
        self.bar(QUIESCED, spec.weight == 0);
        if spec.weight > 0 {
            self.last_weight = spec.weight;
        }
        self.upper = spec.upper;
        self.lower = spec.lower;
        self.key = spec.key;
        match rules {
            Rules::Current if changed => self.settle(0),
            Rules::Legacy if raised => self.bar(OVERLOADED, false),
            Rules::Current | Rules::Legacy => {}
        }
    }

    /// The overload flag of current kernels after a connection came (1), went (-1) or a threshold changed (0): set from
    /// `upper` on, clear below the lower threshold, kept between.
    const fn settle(&mut self, direction: i8) {
        let lower = self.lower_or_default();
        let set_from = if direction > 0 { lower } else { self.upper };
        let keep_from = if direction < 0 { self.upper } else { lower };
        if self.upper == 0 {
            self.bar(OVERLOADED, false);
        } else if self.total >= set_from {
            self.bar(OVERLOADED, true);
        } else if self.total < keep_from {
            self.bar(OVERLOADED, false);
        }
    }
}
