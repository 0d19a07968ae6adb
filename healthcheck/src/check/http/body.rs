//! Where the body of an HTTP/1.1 answer ends.

/// What is still to come of a body (RFC 9112 §6.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Everything up to the end of the connection.
    UntilClose,
}

/// Where in a chunked body (RFC 9112 §7.1) we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the hexadecimal size, after so many digits.
    Size { size: u64, digits: u8 },
    /// In what may follow the size on its line, which is ignored.
    Extension { size: u64, length: u16 },
    /// Before the line feed that ends the size line.
    SizeEnd { size: u64 },
    /// In the data.
    Data { left: u64 },
    /// Behind the data, before its line end.
    DataEnd { carriage: bool },
    /// In the trailer; `line` bytes into a line, `total` in all.
    Trailer { line: u16, total: u16 },
    /// Behind the last byte.
    Done,
}

/// The body breaks the rules of its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

impl Body {
    pub(super) const CHUNKED: Self = Self::Chunked(Chunk::Size { size: 0, digits: 0 });

    /// Takes bytes off the front of `input`, hands the content on, and says whether the body is complete.
    pub(super) fn take(&mut self, input: &mut &[u8], mut content: impl FnMut(&[u8])) -> Result<bool, Broken> {
        match self {
            Self::UntilClose => {
                content(input);
                *input = &[];
                Ok(false)
            }
            Self::Length(left) => {
                content(split(input, left));
                Ok(*left == 0)
            }
            Self::Chunked(chunk) => {
                while *chunk != Chunk::Done {
                    if let Chunk::Data { left } = chunk {
                        content(split(input, left));
                        if *left > 0 {
                            return Ok(false);
                        }
                        *chunk = Chunk::DataEnd { carriage: false };
                    }
                    let Some((byte, rest)) = input.split_first() else {
                        return Ok(false);
                    };
                    *input = rest;
                    *chunk = chunk.after(*byte)?;
                }
                Ok(true)
            }
        }
    }
}

impl Chunk {
    fn after(&self, byte: u8) -> Result<Self, Broken> {
        Ok(match (self, byte) {
            (Self::Size { size, digits }, _) if char::from(byte).is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).ok_or(Broken)?;
                // Fifteen digits are an exbibyte; more only serves to overflow somebody.
                if *digits == 15 {
                    return Err(Broken);
                }
                Self::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(Broken),
            (Self::Size { size, .. }, b'\r') | (Self::Extension { size, .. }, b'\r') => {
                Self::SizeEnd { size: *size }
            }
            (Self::Size { size, .. }, b';' | b' ' | b'\t') => Self::Extension {
                size: *size,
                length: 0,
            },
            (Self::Extension { size, length }, byte) if byte >= b' ' || byte == b'\t' => Self::Extension {
                size: *size,
                length: length.checked_add(1).filter(|l| *l < LINE).ok_or(Broken)?,
            },
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer { line: 0, total: 0 },
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: *size },
            (Self::DataEnd { carriage: false }, b'\r') => Self::DataEnd { carriage: true },
            (Self::DataEnd { carriage: true }, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::Trailer { line: 0, .. }, b'\n') => Self::Done,
            (Self::Trailer { total, .. }, b'\n') => Self::Trailer {
                line: 0,
                total: total + 1,
            },
            (Self::Trailer { line, total }, byte) => {
                let total = total.checked_add(1).filter(|total| *total < LINE).ok_or(Broken)?;
                Self::Trailer {
                    line: line + u16::from(byte != b'\r'),
                    total,
                }
            }
            _ => return Err(Broken),
        })
    }
}

/// Takes up to `left` bytes off the front of `input`, and off `left`.
fn split<'a>(input: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (taken, rest) = input.split_at_checked(most).unwrap_or((input, &[]));
    *input = rest;
    *left -= u64::try_from(taken.len()).unwrap_or(0);
    taken
}

/// Longer chunk extensions and trailers are no honest ones.
const LINE: u16 = 8_192;

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], at_once: usize) -> Result<(Vec<u8>, bool, usize), Broken> {
        let (mut body, mut out, mut done, mut over) = (Body::CHUNKED, Vec::new(), false, 0);
        for piece in input.chunks(at_once) {
            let mut rest = piece;
            if !done {
                done = body.take(&mut rest, |content| out.extend_from_slice(content))?;
            }
            over += rest.len();
        }
        Ok((out, done, over))
    }

    #[test]
    fn chunks_come_out_the_same_however_they_are_cut() {
        let whole = b"5\r\nhello\r\n0A;x=\"y\"\r\n, world!!!\r\n0\r\nX: y\r\n\r\nnext";
        for at_once in 1..=whole.len() {
            assert_eq!(
                decode(whole, at_once),
                Ok((b"hello, world!!!".to_vec(), true, 4)),
                "{at_once}"
            );
        }
        for end in 0..whole.len() - 4 {
            let (_, done, _) = decode(&whole[..end], 3).unwrap();
            assert!(!done, "{end} bytes are not the whole");
        }
    }

    #[test]
    fn what_breaks_the_encoding_is_refused() {
        for bad in [
            "\r\n",
            "x",
            "5\nhello",
            "5\r\nhelloX",
            "5\r\nhello\rX",
            "1000000000000000\r\n",
            "-1\r\n",
            "5\r\r",
        ] {
            assert_eq!(decode(bad.as_bytes(), 7), Err(Broken), "{bad:?}");
        }
        let long = format!("5;{}", "x".repeat(10_000));
        assert_eq!(decode(long.as_bytes(), 100), Err(Broken));
        let trailer = format!("0\r\n{}", "x: y\r\n".repeat(3_000));
        assert_eq!(decode(trailer.as_bytes(), 100), Err(Broken));
    }
}
