//! Netlink attributes, in the byte order of a host that need not be this one: that is how the layouts of big-endian
//! machines are tested on little-endian ones.

use crate::error::DecodeError;

/// The byte order of the host whose kernel is spoken to.
pub(crate) trait Order {
    const BIG: bool;
}

/// This host's.
#[derive(Debug)]
pub(crate) struct Native;

impl Order for Native {
    const BIG: bool = cfg!(target_endian = "big");
}

pub(crate) fn u16_bytes<O: Order>(value: u16) -> [u8; 2] {
    if O::BIG {
        value.to_be_bytes()
    } else {
        value.to_le_bytes()
    }
}

pub(crate) fn u32_bytes<O: Order>(value: u32) -> [u8; 4] {
    if O::BIG {
        value.to_be_bytes()
    } else {
        value.to_le_bytes()
    }
}

pub(crate) fn u64_bytes<O: Order>(value: u64) -> [u8; 8] {
    if O::BIG {
        value.to_be_bytes()
    } else {
        value.to_le_bytes()
    }
}

/// Appends an attribute with these bytes. Inlined, so that a length known where it is called costs nothing to pad.
#[inline(always)]
pub(crate) fn put<O: Order>(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // Nothing written here comes near 64 KiB.
    let [l0, l1] = u16_bytes::<O>(u16::try_from(4 + value.len()).unwrap_or(u16::MAX));
    let [k0, k1] = u16_bytes::<O>(kind);
    out.extend_from_slice(&[l0, l1, k0, k1]);
    out.extend_from_slice(value);
    let padding: &[u8] = match value.len() % 4 {
        1 => &[0; 3],
        2 => &[0; 2],
        3 => &[0; 1],
        _ => &[],
    };
    out.extend_from_slice(padding);
}

/// Appends an attribute whose value consists of those that `write` appends.
pub(crate) fn nest<O: Order>(out: &mut Vec<u8>, kind: u16, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    let [k0, k1] = u16_bytes::<O>(kind);
    out.extend_from_slice(&[0, 0, k0, k1]);
    write(out);
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    if let Some(place) = out.get_mut(start..).and_then(|rest| rest.first_chunk_mut()) {
        *place = u16_bytes::<O>(length);
    }
}

/// One attribute: its number without flags, and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

/// The attributes that these bytes consist of.
pub(crate) fn attributes<O: Order>(bytes: &[u8]) -> Attributes<'_, O> {
    Attributes {
        rest: bytes,
        order: std::marker::PhantomData,
    }
}

pub(crate) struct Attributes<'a, O> {
    rest: &'a [u8],
    order: std::marker::PhantomData<O>,
}

impl<'a, O: Order> Iterator for Attributes<'a, O> {
    type Item = Result<Attribute<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let Some((head, _)) = rest.split_first_chunk::<4>() else {
            return Some(Err(DecodeError::Truncated));
        };
        let [l0, l1, k0, k1] = *head;
        let length = usize::from(read_u16::<O>([l0, l1]));
        let Some(value) = rest.get(4..length) else {
            return Some(Err(DecodeError::Truncated));
        };
        // The last one need not be padded.
        self.rest = rest.get((length + 3) & !3..).unwrap_or(&[]);
        let kind = read_u16::<O>([k0, k1]) & KIND;
        Some(Ok(Attribute { kind, value }))
    }
}

fn read_u16<O: Order>(bytes: [u8; 2]) -> u16 {
    if O::BIG {
        u16::from_be_bytes(bytes)
    } else {
        u16::from_le_bytes(bytes)
    }
}

fn read_u32<O: Order>(bytes: [u8; 4]) -> u32 {
    if O::BIG {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

pub(crate) fn read_u64<O: Order>(bytes: [u8; 8]) -> u64 {
    if O::BIG {
        u64::from_be_bytes(bytes)
    } else {
        u64::from_le_bytes(bytes)
    }
}

impl Attribute<'_> {
    pub(crate) fn u8(self) -> Result<u8, DecodeError> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    /// In the host's order.
    pub(crate) fn u16<O: Order>(self) -> Result<u16, DecodeError> {
        self.bytes().map(read_u16::<O>)
    }

    /// In the network's order.
    pub(crate) fn u16_net(self) -> Result<u16, DecodeError> {
        self.bytes().map(u16::from_be_bytes)
    }

    /// In the host's order.
    pub(crate) fn u32<O: Order>(self) -> Result<u32, DecodeError> {
        self.bytes().map(read_u32::<O>)
    }

    /// In the host's order.
    pub(crate) fn u64<O: Order>(self) -> Result<u64, DecodeError> {
        self.bytes().map(read_u64::<O>)
    }

    /// The first bytes; the kernel may append to what it sends, never take away.
    pub(crate) fn bytes<const N: usize>(self) -> Result<[u8; N], DecodeError> {
        self.value
            .first_chunk::<N>()
            .copied()
            .ok_or(DecodeError::Attribute { kind: self.kind })
    }
}

impl<'a> Attribute<'a> {
    /// A text up to its NUL.
    pub(crate) fn str(self) -> Result<&'a str, DecodeError> {
        let end = self
            .value
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.value.len());
        let bytes = self.value.get(..end).unwrap_or(&[]);
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Attribute { kind: self.kind })
    }
}

/// Set on attributes that consist of attributes, as libnl does; the kernel does not ask for it and does not set it.
pub(crate) const NESTED: u16 = 0x8000;
/// The number of an attribute without the flags for nesting and byte order.
const KIND: u16 = 0x3fff;
