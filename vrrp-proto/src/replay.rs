use core::net::IpAddr;

use crate::{Error, Sequence, Verified};

/// Which sequences the last senders have used up, so that no advertisement is accepted twice.
///
/// It remembers as many senders as it has places; the default is keepalived's for a multicast group, and a unicast peer
/// has a window to itself. When there are more senders than places, the one that was silent for longest is forgotten:
/// until its next advertisement, only [`Sequence::check`] keeps its old ones out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayWindow<const SENDERS: usize = 4> {
    /// The last to be heard comes first.
    places: [Option<Place>; SENDERS],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    source: IpAddr,
    last: Sequence,
}

impl<const SENDERS: usize> ReplayWindow<SENDERS> {
    /// A window that has seen nobody. It does not compile for no sender at all.
    pub const fn new() -> Self {
        const { assert!(SENDERS > 0, "a window that remembers nobody accepts everything") };
        Self {
            places: [None; SENDERS],
        }
    }

    /// Uses up the sequence of a verified advertisement.
    ///
    /// # Errors
    ///
    /// [`Error::Replayed`], and no change, unless the sequence is after the last one of its sender.
    pub fn accept(&mut self, verified: &Verified) -> Result<(), Error> {
        let source = verified.source();
        let last = verified.sequence();
        let known = self
            .places
            .iter_mut()
            .take_while(|place| place.is_none_or(|place| place.source != source))
            .count();
        let places = match self.places.get_mut(..=known) {
            Some(places) => places,
            None => &mut self.places,
        };
        if let Some(Some(place)) = places.last()
            && place.source == source
            && !last.is_after(place.last)
        {
            return Err(Error::Replayed);
        }
        places.rotate_right(1);
        if let Some(first) = places.first_mut() {
            *first = Some(Place { source, last });
        }
        Ok(())
    }
}

impl<const SENDERS: usize> Default for ReplayWindow<SENDERS> {
    fn default() -> Self {
        Self::new()
    }
}
