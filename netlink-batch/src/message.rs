/// One netlink message of a datagram, its frame checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<'a> {
    /// `nlmsg_type`: what the body is.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`: the number of the request that this answers.
    pub sequence: u32,
    /// What follows the 16 bytes of the header, without padding.
    pub body: &'a [u8],
}

/// Bytes that are not a whole netlink message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a whole netlink message")]
#[non_exhaustive]
pub struct Malformed;

/// Takes a datagram apart into its messages; see [`messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// The messages of a datagram, in their order.
///
/// A message whose length is shorter than its header or longer than the datagram ends the iteration with one
/// [`Malformed`].
#[must_use]
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = take(self.rest);
        self.rest = taken.map_or(&[], |(_, rest)| rest);
        Some(taken.map(|(message, _)| message).ok_or(Malformed))
    }
}

fn take(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let (header, _) = bytes.split_first_chunk::<HEADER>()?;
    let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *header;
    let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
    let body = bytes.get(HEADER..length)?;
    let message = Message {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        body,
    };
    // The last message of a datagram need not be padded.
    Some((message, bytes.get(align(length)..).unwrap_or(&[])))
}

/// Rounds a length up to the four bytes that netlink aligns messages to.
pub(crate) fn align(length: usize) -> usize {
    length.next_multiple_of(4)
}

pub(crate) const HEADER: usize = 16;

pub(crate) const NLMSG_NOOP: u16 = 1;
pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;
pub(crate) const NLMSG_OVERRUN: u16 = 4;

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_DUMP_INTR: u16 = 0x10;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_CAPPED: u16 = 0x100;
pub(crate) const NLM_F_ACK_TLVS: u16 = 0x200;

#[cfg(test)]
mod tests {
    use super::{HEADER, Malformed, messages};

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + body.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 2]);
        bytes.extend(7_u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn two_messages_with_padding_between_them() {
        let mut datagram = message(20, b"abc");
        datagram.push(0);
        datagram.extend(message(21, b""));
        let found: Vec<_> = messages(&datagram)
            .map(|m| m.map(|m| (m.kind, m.sequence, m.body)))
            .collect();
        assert_eq!(found, [Ok((20, 7, &b"abc"[..])), Ok((21, 7, &b""[..]))]);
    }

    #[test]
    fn every_prefix_is_refused_once() {
        let datagram = message(20, b"abcd");
        for length in 1..datagram.len() {
            assert_eq!(
                messages(&datagram[..length]).collect::<Vec<_>>(),
                [Err(Malformed)],
                "{length} bytes"
            );
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for length in [0_u32, 1, 15, 21, u32::MAX] {
            let mut datagram = message(20, b"abcd");
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(messages(&datagram).collect::<Vec<_>>(), [Err(Malformed)]);
        }
    }
}
