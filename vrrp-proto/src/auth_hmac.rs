use core::fmt;
use core::net::IpAddr;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{ChecksumForm, Envelope, Error, Message, Packet, Sequence};

/// A secret that advertisements are signed with: keepalived's `auth_hmac { key ID … }`.
///
/// What is kept is the state of the hash after the secret, not the secret; `Debug` shows the id only.
#[derive(Clone)]
pub struct HmacKey {
    id: u8,
    state: Hmac<Sha256>,
}

impl HmacKey {
    /// The shortest secret, in bytes.
    pub const MINIMUM_LEN: usize = 32;
    /// The longest secret, in bytes.
    pub const MAXIMUM_LEN: usize = 64;

    /// A key under the number by which trailers name it.
    ///
    /// # Errors
    ///
    /// [`Error::KeyId`] if `id` is 0, [`Error::KeyLength`] unless the secret is 32 to 64 bytes long.
    pub fn new(id: u8, secret: &[u8]) -> Result<Self, Error> {
        if id == 0 {
            return Err(Error::KeyId);
        }
        let wrong = Error::KeyLength(secret.len());
        if secret.len() < Self::MINIMUM_LEN || secret.len() > Self::MAXIMUM_LEN {
            return Err(wrong);
        }
        let state = Hmac::new_from_slice(secret).map_err(|_| wrong)?;
        Ok(Self { id, state })
    }

    /// The number by which trailers name it, 1 to 255.
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// The hash of everything that a trailer protects, of which it carries the first half.
    fn tag(&self, message: &[u8], source: IpAddr, head: [u8; HEAD_LEN]) -> Hmac<Sha256> {
        let (before, rest) = message.split_at_checked(CHECKSUM_AT).unwrap_or((message, &[]));
        let (_, after) = rest.split_at_checked(2).unwrap_or((rest, &[]));
        self.state
            .clone()
            .chain_update(pseudo_header(message, source))
            .chain_update(before)
            .chain_update([0; 2])
            .chain_update(after)
            .chain_update(head)
            .chain_update([0; TAG_LEN])
    }
}

/// Whether both sign alike, in constant time.
impl PartialEq for HmacKey {
    fn eq(&self, other: &Self) -> bool {
        let mine = self.state.clone().finalize().into_bytes();
        self.id == other.id && other.state.clone().verify(&mine).is_ok()
    }
}

impl Eq for HmacKey {}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The trailer behind an advertisement by which keepalived 2.4 and later proves who sent it and when.
///
/// ```text
///   0       1       2       3
///  +-------+-------+---------------+
///  |   1   |  key  |       0       |
///  +-------+-------+---------------+
///  |  seconds since 1970           |  \
///  +---------------+---------------+   > the sequence
///  | seconds / 2^16|    counter    |  /
///  +---------------+---------------+
///  | the first 16 bytes of the     |
///  | HMAC-SHA256                   |
///  +-------------------------------+
/// ```
///
/// The HMAC covers, in this order: a pseudo-header (4 or 6, version, VRID, 0, the source address in 16 bytes), the
/// message with a checksum of 0, and the trailer with zeros for the HMAC. The IP packet's length includes the trailer, the
/// VRRP checksum does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    key: u8,
    sequence: Sequence,
    tag: [u8; TAG_LEN],
}

impl Trailer {
    /// How many bytes a trailer has.
    pub const LEN: usize = HEAD_LEN + TAG_LEN;

    /// Takes apart what followed an IP header: the message, and the trailer if there is one.
    ///
    /// Nothing is trusted yet: the message still has to go through [`Packet::parse`], the trailer through
    /// [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// Those of [`Packet::length_in`], [`Error::TooLong`] if there is something else than a trailer behind the message,
    /// and [`Error::Trailer`] if it has the length but not the form of one.
    pub fn split<'a>(bytes: &'a [u8], envelope: &Envelope) -> Result<(&'a [u8], Option<Self>), Error> {
        let expected = Packet::length_in(bytes, envelope.family())?;
        let actual = bytes.len();
        let (message, rest) = bytes
            .split_at_checked(expected)
            .ok_or(Error::TooLong { expected, actual })?;
        if rest.is_empty() {
            return Ok((message, None));
        }
        let Some((head, tag)) = rest.split_first_chunk::<HEAD_LEN>() else {
            return Err(Error::TooLong { expected, actual });
        };
        let tag = tag.try_into().map_err(|_| Error::TooLong { expected, actual })?;
        let [kind, key, reserved @ .., s0, s1, s2, s3, s4, s5, s6, s7] = *head;
        if kind != TYPE || reserved != [0; 2] || key == 0 {
            return Err(Error::Trailer);
        }
        let sequence = Sequence::from_bits(u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]));
        Ok((message, Some(Self { key, sequence, tag })))
    }

    /// The number of the key that it claims to be made with.
    pub const fn key(&self) -> u8 {
        self.key
    }

    /// The sequence that it claims. Reject what is not [current](Sequence::check) before the costly
    /// [`verify`](Self::verify).
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Checks, in constant time, that somebody with the key of that number made this trailer for this message and
    /// source.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownKey`] if no key has that number, [`Error::Forged`] if the HMAC is another.
    pub fn verify(&self, keys: &[HmacKey], message: &[u8], envelope: &Envelope) -> Result<Verified, Error> {
        let key = keys
            .iter()
            .find(|key| key.id == self.key)
            .ok_or(Error::UnknownKey(self.key))?;
        key.tag(message, envelope.source(), self.head())
            .verify_truncated_left(&self.tag)
            .map_err(|_| Error::Forged)?;
        Ok(Verified {
            source: envelope.source(),
            sequence: self.sequence,
        })
    }

    /// What stands before the HMAC.
    const fn head(&self) -> [u8; HEAD_LEN] {
        let [s0, s1, s2, s3, s4, s5, s6, s7] = self.sequence.bits().to_be_bytes();
        [TYPE, self.key, 0, 0, s0, s1, s2, s3, s4, s5, s6, s7]
    }
}

/// Proof that a trailer was verified: what [`ReplayWindow::accept`](crate::ReplayWindow::accept) wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    source: IpAddr,
    sequence: Sequence,
}

impl Verified {
    /// Who sent it.
    pub const fn source(&self) -> IpAddr {
        self.source
    }

    /// When, and the how manieth.
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }
}

/// A message that is sent with a [`Trailer`].
#[derive(Clone, Copy, Debug)]
pub struct Signed<'k, M> {
    message: M,
    key: &'k HmacKey,
    sequence: Sequence,
}

impl<'k, M: Message> Signed<'k, M> {
    /// The message, to be signed with this key. A sequence must never be used twice: see
    /// [`Sequencer`](crate::Sequencer).
    pub const fn new(message: M, key: &'k HmacKey, sequence: Sequence) -> Self {
        Self {
            message,
            key,
            sequence,
        }
    }
}

impl<M: Message> Message for Signed<'_, M> {
    fn buffer_len(&self) -> usize {
        self.message.buffer_len() + Trailer::LEN
    }

    fn emit(&self, envelope: &Envelope, form: ChecksumForm, buffer: &mut [u8]) -> Result<usize, Error> {
        let needed = self.buffer_len();
        let actual = buffer.len();
        let too_small = Error::BufferTooSmall { needed, actual };
        let (message, trailer) = buffer
            .split_at_mut_checked(self.message.buffer_len())
            .ok_or(too_small)?;
        let trailer = trailer.first_chunk_mut::<{ Trailer::LEN }>().ok_or(too_small)?;
        self.message.emit(envelope, form, message)?;

        let unsigned = Trailer {
            key: self.key.id,
            sequence: self.sequence,
            tag: [0; TAG_LEN],
        };
        let head = unsigned.head();
        let tag = self
            .key
            .tag(message, envelope.source(), head)
            .finalize()
            .into_bytes();
        for (to, from) in trailer.iter_mut().zip(head.into_iter().chain(tag)) {
            *to = from;
        }
        Ok(needed)
    }
}

/// Who, in which virtual router: what ties a signature to its place.
fn pseudo_header(message: &[u8], source: IpAddr) -> [u8; PSEUDO_LEN] {
    let (version, vrid) = match message {
        [version, vrid, ..] => (version >> 4, *vrid),
        [] | [_] => (0, 0),
    };
    let mut bytes = [0; PSEUDO_LEN];
    let [family, to_version, to_vrid, _, address @ ..] = &mut bytes;
    (*to_version, *to_vrid) = (version, vrid);
    match source {
        IpAddr::V4(source) => {
            *family = 4;
            address
                .iter_mut()
                .zip(source.octets())
                .for_each(|(to, from)| *to = from);
        }
        IpAddr::V6(source) => {
            *family = 6;
            *address = source.octets();
        }
    }
    bytes
}

const TYPE: u8 = 1;
const HEAD_LEN: usize = 12;
const TAG_LEN: usize = 16;
const PSEUDO_LEN: usize = 20;
/// Where a message has its checksum.
const CHECKSUM_AT: usize = 6;
