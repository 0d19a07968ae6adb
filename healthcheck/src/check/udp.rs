//! Is there somebody behind this UDP port?

use std::sync::Arc;

use crate::error::Error;
use crate::failure::{FailKind, Failure, Stage};

/// One datagram, and perhaps a reply.
///
/// Without a required reply it only proves that no complaint came back in time: a host that is off, a firewall that drops
/// and a router that limits its complaints all look healthy. Require a reply, or combine it with a [`Ping`](crate::Ping).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Udp {
    plan: Arc<UdpPlan>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct UdpPlan {
    payload: Vec<u8>,
    required: bool,
    pattern: Vec<(u8, u8)>,
    least: usize,
    most: usize,
}

impl Udp {
    /// Sends this; silence is success.
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        let plan = UdpPlan {
            payload: payload.into(),
            required: false,
            pattern: Vec::new(),
            least: 0,
            most: 65_535,
        };
        Self { plan: Arc::new(plan) }
    }

    /// Requires a reply that begins like this: hexadecimal digits, with `X` for any (keepalived's `require_reply`). An
    /// empty pattern takes any reply.
    ///
    /// # Errors
    ///
    /// [`Error::BadHex`] if it is something else, or has half a byte.
    pub fn require_reply(mut self, pattern: &str) -> Result<Self, Error> {
        let mut nibbles = pattern
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .map(|byte| match byte {
                b'X' | b'x' => Some((0, 0)),
                _ => char::from(byte)
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
                    .map(|digit| (digit, 15)),
            });
        let mut bytes = Vec::new();
        while let Some(high) = nibbles.next() {
            let (Some((high, high_mask)), Some(Some((low, low_mask)))) = (high, nibbles.next()) else {
                return Err(Error::BadHex);
            };
            bytes.push((high << 4 | low, high_mask << 4 | low_mask));
        }
        let plan = Arc::make_mut(&mut self.plan);
        (plan.pattern, plan.required) = (bytes, true);
        Ok(self)
    }

    /// Requires a reply of at least and at most so many bytes.
    #[must_use]
    pub fn reply_length(mut self, least: usize, most: usize) -> Self {
        let plan = Arc::make_mut(&mut self.plan);
        (plan.least, plan.most, plan.required) = (least, most, true);
        self
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.plan.payload
    }

    pub(crate) fn wants_reply(&self) -> bool {
        self.plan.required
    }

    /// Judges a reply.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn judge(&self, reply: &[u8]) -> Result<(), Failure> {
        let wrong = |kind| Err(Failure::new(Stage::Content, kind).with_excerpt(reply));
        if reply.len() > self.plan.most {
            return wrong(FailKind::TooLarge);
        }
        let fits = self
            .plan
            .pattern
            .iter()
            .zip(reply)
            .all(|((want, mask), have)| have & mask == *want);
        if reply.len() < self.plan.least.max(self.plan.pattern.len()) || !fits {
            return wrong(FailKind::Mismatch);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_wildcards_for_half_bytes() {
        let udp = Udp::new(b"?").require_reply("0A XX 1x").unwrap();
        assert!(udp.judge(&[0x0a, 0x55, 0x1f]).is_ok());
        assert!(
            udp.judge(&[0x0a, 0x55, 0x1f, 9]).is_ok(),
            "a longer one begins like it"
        );
        assert_eq!(udp.judge(&[0x0a, 0x55]).unwrap_err().kind, FailKind::Mismatch);
        assert_eq!(
            udp.judge(&[0x0a, 0x55, 0x2f]).unwrap_err().kind,
            FailKind::Mismatch
        );
        let short = Udp::new(b"?").reply_length(2, 3);
        assert_eq!(short.judge(&[0; 4]).unwrap_err().kind, FailKind::TooLarge);
        assert_eq!(short.judge(&[0; 1]).unwrap_err().kind, FailKind::Mismatch);
        for bad in ["0", "0G", "0AX"] {
            assert!(
                matches!(Udp::new(b"").require_reply(bad), Err(Error::BadHex)),
                "{bad}"
            );
        }
    }
}
