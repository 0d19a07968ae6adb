//! Rules for a set of targets: is there enough of it, and what if there is not.

/// When a set of targets is enough: keepalived's `quorum` and `hysteresis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    quorum: u64,
    hysteresis: u64,
}

impl Quorum {
    /// Enough is a live weight of at least `quorum + hysteresis`; no longer enough is less than `quorum - hysteresis`, or
    /// nothing at all.
    ///
    /// `total` is the sum of all configured weights. As keepalived does, a quorum above it is cut down to it (but not
    /// below one), and a hysteresis of the quorum or more to one less, because otherwise the set could never be enough or
    /// never cease to be.
    pub fn new(quorum: u64, hysteresis: u64, total: u64) -> Self {
        let quorum = quorum.clamp(1, total.max(1));
        Self {
            quorum,
            hysteresis: hysteresis.min(quorum - 1),
        }
    }

    /// The quorum after cutting.
    pub const fn quorum(&self) -> u64 {
        self.quorum
    }

    /// The hysteresis after cutting.
    pub const fn hysteresis(&self) -> u64 {
        self.hysteresis
    }

    /// Whether the set is enough at this live weight, if it was (`met`) or was not before. Start with `false`.
    ///
    /// The live weight is the sum of the weights of the live members; members of weight zero do not count.
    pub const fn is_met(&self, met: bool, live: u64) -> bool {
        if met {
            live > 0 && live >= self.quorum - self.hysteresis
        } else {
            live >= self.quorum.saturating_add(self.hysteresis)
        }
    }
}

/// When so much of a set is down that the checks are likelier wrong than the targets: then everything is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailOpen {
    percent: u8,
    margin: u8,
}

impl FailOpen {
    /// Opens when fewer than `percent` of the members are up, closes when at least `percent + margin` are (never more
    /// than all of them). Zero percent never opens.
    pub fn new(percent: u8, margin: u8) -> Self {
        let percent = percent.min(100);
        Self {
            percent,
            margin: margin.min(100 - percent),
        }
    }

    /// Whether every member should be used, if that was so (`open`) or was not before. An empty set never opens.
    pub fn is_open(&self, open: bool, up: usize, total: usize) -> bool {
        if total == 0 || self.percent == 0 {
            return false;
        }
        let (up, total) = (
            u128::try_from(up).unwrap_or(0),
            u128::try_from(total).unwrap_or(1),
        );
        let edge = if open {
            self.percent + self.margin
        } else {
            self.percent
        };
        up.saturating_mul(100) < u128::from(edge).saturating_mul(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every quorum, hysteresis, total and walk of live weights up to eight, against keepalived's own words.
    #[test]
    fn quorum_is_keepalived_s_for_all_small_sets() {
        for total in 0..=8_u64 {
            for quorum in 0..=9 {
                for hysteresis in 0..=9 {
                    let rule = Quorum::new(quorum, hysteresis, total);
                    let cut_quorum = quorum.min(total).max(1);
                    assert_eq!(rule.quorum(), cut_quorum);
                    assert_eq!(rule.hysteresis(), hysteresis.min(cut_quorum - 1));
                    for live in 0..=total {
                        let gained = live >= rule.quorum() + rule.hysteresis();
                        let lost = live == 0 || live < rule.quorum() - rule.hysteresis();
                        assert_eq!(rule.is_met(false, live), gained);
                        assert_eq!(rule.is_met(true, live), !lost);
                        assert!(!(gained && lost), "gain and loss at once");
                    }
                }
            }
        }
    }

    #[test]
    fn fail_open_has_two_edges_and_ignores_the_empty_set() {
        let rule = FailOpen::new(50, 10);
        assert!(!rule.is_open(false, 5, 10), "half is enough");
        assert!(rule.is_open(false, 4, 10));
        assert!(rule.is_open(true, 5, 10), "not yet clearly better");
        assert!(!rule.is_open(true, 6, 10));
        assert!(!rule.is_open(true, 0, 0));
        assert!(!FailOpen::new(0, 50).is_open(true, 0, 10));
        assert!(!FailOpen::new(100, 100).is_open(true, 10, 10));
        assert!(FailOpen::new(200, 0).is_open(false, 9, 10));
    }
}
