use core::net::IpAddr;

use crate::checksum::Sum;
use crate::{ChecksumForm, Envelope, Error};

/// Which messages are accepted beyond being well formed.
///
/// The default is [RFC 9568 §7.1] with its errata, and either checksum form for VRRPv3 over IPv4.
///
/// [RFC 9568 §7.1]: https://www.rfc-editor.org/rfc/rfc9568#section-7.1
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReceiveChecks {
    minimum_hop_limit: u8,
    maximum_hop_limit: u8,
    any_first_address: bool,
    no_address: bool,
    only: Option<ChecksumForm>,
    old_unicast: bool,
}

impl ReceiveChecks {
    /// The standard's checks.
    pub const STANDARD: Self = Self {
        minimum_hop_limit: 255,
        maximum_hop_limit: 255,
        any_first_address: false,
        no_address: false,
        only: None,
        old_unicast: false,
    };

    /// Accept a TTL or hop limit from `minimum` to `maximum`.
    ///
    /// # Deviation
    ///
    /// The standard accepts 255 only. Routers that speak unicast across other routers, as keepalived's do, need less
    /// (`unicast_peer { … min_ttl … max_ttl … }`).
    #[must_use]
    pub const fn hop_limits(mut self, minimum: u8, maximum: u8) -> Self {
        self.minimum_hop_limit = minimum;
        self.maximum_hop_limit = maximum;
        self
    }

    /// Accept an IPv6 advertisement whose first address is not link-local.
    ///
    /// # Deviation
    ///
    /// Erratum 8300 has such an advertisement discarded. FRR sends it unless a link-local address was configured, and
    /// keepalived accepts it outside its strict mode.
    #[must_use]
    pub const fn any_first_address(mut self) -> Self {
        self.any_first_address = true;
        self
    }

    /// Accept an advertisement that lists no address.
    ///
    /// # Deviation
    ///
    /// RFC 9568 §5.2.5 has it ignored. keepalived sends and accepts it where the addresses are moved by other means.
    #[must_use]
    pub const fn no_address(mut self) -> Self {
        self.no_address = true;
        self
    }

    /// Accept only one form of checksum for VRRPv3 over IPv4.
    #[must_use]
    pub const fn only_checksum(mut self, form: ChecksumForm) -> Self {
        self.only = Some(form);
        self
    }

    /// Accept [`ChecksumForm::OldUnicast`] too, in messages to a unicast address.
    #[must_use]
    pub const fn old_unicast_checksum(mut self) -> Self {
        self.old_unicast = true;
        self
    }

    /// R1.
    #[inline]
    pub(crate) const fn hop_limit(&self, envelope: &Envelope) -> Result<(), Error> {
        let hop_limit = envelope.hop_limit();
        if hop_limit < self.minimum_hop_limit || hop_limit > self.maximum_hop_limit {
            return Err(Error::HopLimit(hop_limit));
        }
        Ok(())
    }

    /// R11.
    #[inline]
    pub(crate) const fn count(&self, count: u8) -> Result<(), Error> {
        if count == 0 && !self.no_address {
            return Err(Error::NoAddress);
        }
        Ok(())
    }

    /// R13, erratum 8300.
    #[inline]
    pub(crate) const fn first_address(&self, first: Option<IpAddr>) -> Result<(), Error> {
        match first {
            Some(IpAddr::V6(first)) if !self.any_first_address && !first.is_unicast_link_local() => {
                Err(Error::NotLinkLocal(first))
            }
            _ => Ok(()),
        }
    }

    /// R5 where the form is in dispute: which one the message has.
    #[inline]
    pub(crate) fn ipv4_version_3(
        &self,
        envelope: &Envelope,
        message: &[u8],
        found: u16,
    ) -> Result<ChecksumForm, Error> {
        let sum = Sum::default().bytes(message);
        let matches =
            |form: ChecksumForm| sum.plus(form.pseudo_header(envelope, message.len())).checksum() == 0;
        let forms: &[ChecksumForm] = match &self.only {
            Some(only) => core::slice::from_ref(only),
            None if self.old_unicast && !envelope.destination().is_multicast() => &[
                ChecksumForm::Rfc5798,
                ChecksumForm::Rfc9568,
                ChecksumForm::OldUnicast,
            ],
            None => &[ChecksumForm::Rfc5798, ChecksumForm::Rfc9568],
        };
        forms.iter().copied().find(|form| matches(*form)).ok_or_else(|| {
            let first = forms.first().copied().unwrap_or_default();
            let expected = sum
                .minus(found)
                .plus(first.pseudo_header(envelope, message.len()));
            Error::Checksum {
                found,
                expected: expected.checksum(),
            }
        })
    }

    /// R5 where there is one form.
    #[inline]
    pub(crate) fn undisputed(sum: Sum, found: u16) -> Result<(), Error> {
        if sum.checksum() == 0 {
            return Ok(());
        }
        Err(Error::Checksum {
            found,
            expected: sum.minus(found).checksum(),
        })
    }
}

impl Default for ReceiveChecks {
    fn default() -> Self {
        Self::STANDARD
    }
}
