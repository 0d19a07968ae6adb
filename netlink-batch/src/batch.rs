use crate::message::{HEADER, NLM_F_DUMP, NLM_F_REQUEST, align};

/// Requests waiting to be sent together.
///
/// Each call returns the item's index, by which the [`Report`](crate::Report) and the replies name it. The bodies are
/// written straight into the buffer that is sent; a batch that is cleared and filled again allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

/// What a change does about an object that exists already or does not: the `NLM_F_*` bits of rtnetlink. Generic
/// netlink families mostly take none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change(u16);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) start: usize,
    pub(crate) kind: ItemKind,
}

/// How a request is answered when it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemKind {
    /// Not at all, unless an acknowledgement is asked for.
    Change,
    /// By one message.
    Get,
    /// By any number of messages, then NLMSG_DONE. The kernel runs one at a time on a socket.
    Dump,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a request that changes something and is answered only by an error or an acknowledgement.
    pub fn change(&mut self, kind: u16, change: Change, body: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.push(kind, change.0, ItemKind::Change, body)
    }

    /// Adds a request that is answered by one message.
    pub fn get(&mut self, kind: u16, body: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.push(kind, 0, ItemKind::Get, body)
    }

    /// Adds a request for a table, answered by any number of messages.
    pub fn dump(&mut self, kind: u16, body: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.push(kind, NLM_F_DUMP, ItemKind::Dump, body)
    }

    /// How many requests there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The encoded requests; sequence numbers and acknowledgement bits are filled in when they are sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets all requests and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    fn push(&mut self, kind: u16, flags: u16, item: ItemKind, body: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len();
        let [k0, k1] = kind.to_ne_bytes();
        let [f0, f1] = (flags | NLM_F_REQUEST).to_ne_bytes();
        self.bytes
            .extend_from_slice(&[0, 0, 0, 0, k0, k1, f0, f1, 0, 0, 0, 0, 0, 0, 0, 0]);
        body(&mut self.bytes);
        // A body that took bytes away has only hurt itself: the header is made whole again.
        self.bytes.resize(self.bytes.len().max(start + HEADER), 0);
        // A message of 4 GiB cannot be sent anyway: the kernel refuses it whatever its length field says.
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.write(start, length.to_ne_bytes());
        self.bytes.resize(align(self.bytes.len()), 0);
        self.items.push(Item { start, kind: item });
        self.items.len() - 1
    }

    pub(crate) fn item(&self, index: usize) -> Option<Item> {
        self.items.get(index).copied()
    }

    /// Where item `index` starts; for the index after the last one, where the batch ends.
    pub(crate) fn start(&self, index: usize) -> usize {
        self.items.get(index).map_or(self.bytes.len(), |item| item.start)
    }

    pub(crate) fn slice(&self, items: std::ops::Range<usize>) -> &[u8] {
        self.bytes
            .get(self.start(items.start)..self.start(items.end))
            .unwrap_or(&[])
    }

    /// Numbers an item and says whether its acknowledgement is asked for.
    pub(crate) fn stamp(&mut self, index: usize, sequence: u32, flags_set: u16, flags_cleared: u16) {
        let start = self.start(index);
        let flags = self
            .bytes
            .get(start + 6..)
            .and_then(|rest| rest.first_chunk::<2>())
            .map_or(0, |bytes| u16::from_ne_bytes(*bytes));
        self.write(start + 6, ((flags & !flags_cleared) | flags_set).to_ne_bytes());
        self.write(start + 8, sequence.to_ne_bytes());
    }

    fn write<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        if let Some(place) = self
            .bytes
            .get_mut(at..)
            .and_then(|rest| rest.first_chunk_mut::<N>())
        {
            *place = bytes;
        }
    }
}

impl Change {
    /// No bit: the family's own default.
    pub const PLAIN: Self = Self(0);
    /// NLM_F_CREATE: make the object if it is not there.
    pub const CREATE: Self = Self(0x400);
    /// NLM_F_CREATE and NLM_F_EXCL: fail if it is there.
    pub const CREATE_NEW: Self = Self(0x600);
    /// NLM_F_CREATE and NLM_F_REPLACE: put it in the place of what is there.
    pub const CREATE_OR_REPLACE: Self = Self(0x500);
    /// NLM_F_REPLACE: fail if it is not there.
    pub const REPLACE: Self = Self(0x100);
    /// NLM_F_CREATE and NLM_F_APPEND: behind what is there.
    pub const APPEND: Self = Self(0xc00);
}

#[cfg(test)]
mod tests {
    use super::{Batch, Change};

    #[test]
    fn requests_are_framed_and_padded() {
        let mut batch = Batch::new();
        assert_eq!(
            batch.change(20, Change::CREATE_NEW, |body| body.extend(b"abcde")),
            0
        );
        assert_eq!(batch.get(18, |_| {}), 1);
        batch.stamp(0, 9, 4, 0);
        let mut expected = 21_u32.to_ne_bytes().to_vec();
        expected.extend(20_u16.to_ne_bytes());
        expected.extend(0x605_u16.to_ne_bytes());
        expected.extend(9_u32.to_ne_bytes());
        expected.extend([0; 4]);
        expected.extend(b"abcde\0\0\0");
        assert_eq!(batch.slice(0..1), expected);
        assert_eq!(batch.slice(1..2).len(), 16);
        assert_eq!(batch.len(), 2);
    }

    #[test]
    fn a_body_that_takes_bytes_away_leaves_a_whole_message() {
        let mut batch = Batch::new();
        batch.change(1, Change::PLAIN, |body| body.clear());
        assert_eq!(batch.slice(0..1).len(), 16);
    }
}
