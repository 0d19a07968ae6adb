use std::num::NonZeroI32;
use std::ops::Range;

/// What became of each item of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many items were sent; all of them, unless the kernel fell silent.
    pub(crate) sent: usize,
    pub(crate) total: usize,
    /// In the order of the items.
    pub(crate) failures: Vec<(usize, Failure)>,
    /// In order, not overlapping.
    pub(crate) unconfirmed: Vec<Range<usize>>,
    pub(crate) interrupted: Vec<usize>,
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// The kernel carried it out.
    Done,
    /// The kernel refused it.
    Failed(&'a Failure),
    /// It was carried out or refused, but the answer was lost. Read the kernel's state anew to know.
    Unconfirmed,
    /// A dump during which the table changed: what came may be incomplete or doubled. Ask again.
    Interrupted,
    /// It was not sent, or there is no such item.
    NotSent,
}

/// The kernel's refusal of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The error number, positive (`EEXIST` is 17).
    pub errno: NonZeroI32,
    /// The kernel's own words, if it sent any.
    pub message: Option<Box<str>>,
    /// Where in the request the offending attribute starts, if the kernel said so.
    pub offset: Option<u32>,
}

impl Report {
    /// What became of item `index`.
    #[must_use]
    pub fn outcome(&self, index: usize) -> Outcome<'_> {
        if index >= self.sent {
            return Outcome::NotSent;
        }
        if let Some(failure) = self.failure(index) {
            return Outcome::Failed(failure);
        }
        if self.unconfirmed.iter().any(|range| range.contains(&index)) {
            return Outcome::Unconfirmed;
        }
        if self.interrupted.contains(&index) {
            return Outcome::Interrupted;
        }
        Outcome::Done
    }

    /// Whether every item is [`Outcome::Done`].
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.sent == self.total
            && self.failures.is_empty()
            && self.unconfirmed.is_empty()
            && self.interrupted.is_empty()
    }

    /// Whether answers were lost, so that the kernel's state has to be read anew.
    #[must_use]
    pub fn needs_resync(&self) -> bool {
        self.sent < self.total || !self.unconfirmed.is_empty()
    }

    /// The items that the kernel refused, in their order.
    pub fn failures(&self) -> impl Iterator<Item = (usize, &Failure)> {
        self.failures.iter().map(|(index, failure)| (*index, failure))
    }

    /// The items that are [`Outcome::Unconfirmed`], in their order.
    pub fn unconfirmed(&self) -> impl Iterator<Item = usize> {
        self.unconfirmed
            .iter()
            .flat_map(Clone::clone)
            .filter(|index| self.failure(*index).is_none())
    }

    /// How many items the batch had.
    #[must_use]
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether the batch had no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    fn failure(&self, index: usize) -> Option<&Failure> {
        let place = self.failures.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        self.failures.get(place).map(|(_, failure)| failure)
    }
}
