use core::net::IpAddr;

use crate::checksum::Sum;
use crate::packet::{ADVERTISEMENT, HEADER_LEN, message_len};
use crate::{
    AddressFamily, Addresses, AdverInterval, Authentication, ChecksumForm, Envelope, Error, Packet, Priority,
    ReceiveChecks, Version, Vrid,
};

/// An advertisement to be sent, valid by construction.
///
/// The addresses come from wherever they are: anything that iterates over them and can be cloned to do so again, such
/// as an array, `slice.iter().copied()`, or `routers.iter().map(|router| router.address)`. So nothing is allocated and
/// nothing copied before [`emit`](Self::emit).
#[derive(Clone, Copy, Debug)]
pub struct Advertisement<A> {
    version: Version,
    vrid: Vrid,
    priority: Priority,
    interval: AdverInterval,
    authentication: Authentication,
    family: AddressFamily,
    count: u8,
    addresses: A,
}

impl<A> Advertisement<A>
where
    A: IntoIterator<Item: Into<IpAddr>> + Clone,
{
    /// A VRRPv2 advertisement ([RFC 3768 §5]).
    ///
    /// # Errors
    ///
    /// - [`Error::Interval`] if the interval is not whole seconds.
    /// - [`Error::NoAddress`] and [`Error::TooManyAddresses`] unless there are 1 to 255 addresses.
    /// - [`Error::Version2OverIpv6`] and [`Error::MixedFamilies`] unless all are IPv4.
    ///
    /// [RFC 3768 §5]: https://www.rfc-editor.org/rfc/rfc3768#section-5
    pub fn version_2(
        vrid: Vrid,
        priority: Priority,
        interval: AdverInterval,
        authentication: Authentication,
        addresses: A,
    ) -> Result<Self, Error> {
        let list = List::of(&addresses)?;
        if list.family == AddressFamily::Ipv6 {
            return Err(Error::Version2OverIpv6);
        }
        if interval.seconds().is_none() {
            return Err(Error::Interval {
                version: Version::V2,
                interval,
            });
        }
        Ok(Self {
            version: Version::V2,
            vrid,
            priority,
            interval,
            authentication,
            family: list.family,
            count: list.count,
            addresses,
        })
    }

    /// A VRRPv3 advertisement ([RFC 9568 §5]), over the Internet Protocol of its addresses.
    ///
    /// # Errors
    ///
    /// - [`Error::Interval`] if the interval is above 40.95 seconds.
    /// - [`Error::NoAddress`] and [`Error::TooManyAddresses`] unless there are 1 to 255 addresses.
    /// - [`Error::MixedFamilies`] unless all are of one family.
    /// - [`Error::NotLinkLocal`] if they are IPv6 and the first is not link-local ([RFC 9568 §5.2.9]).
    ///
    /// [RFC 9568 §5]: https://www.rfc-editor.org/rfc/rfc9568#section-5
    /// [RFC 9568 §5.2.9]: https://www.rfc-editor.org/rfc/rfc9568#section-5.2.9
    pub fn version_3(
        vrid: Vrid,
        priority: Priority,
        interval: AdverInterval,
        addresses: A,
    ) -> Result<Self, Error> {
        let advertisement = Self::version_3_any_first_address(vrid, priority, interval, addresses)?;
        let first = advertisement.addresses.clone().into_iter().next().map(Into::into);
        ReceiveChecks::STANDARD.first_address(first)?;
        Ok(advertisement)
    }

    /// [`version_3`](Self::version_3), but an IPv6 list may begin with any address.
    ///
    /// # Deviation
    ///
    /// The standard wants a link-local address first. FRR sends only what was configured, and so does keepalived; a
    /// router beside them with the same list, as both check that it is the same, has to send the same.
    ///
    /// # Errors
    ///
    /// Those of [`version_3`](Self::version_3) but [`Error::NotLinkLocal`].
    pub fn version_3_any_first_address(
        vrid: Vrid,
        priority: Priority,
        interval: AdverInterval,
        addresses: A,
    ) -> Result<Self, Error> {
        let list = List::of(&addresses)?;
        if !interval.fits_version_3() {
            return Err(Error::Interval {
                version: Version::V3,
                interval,
            });
        }
        Ok(Self {
            version: Version::V3,
            vrid,
            priority,
            interval,
            authentication: Authentication::None,
            family: list.family,
            count: list.count,
            addresses,
        })
    }

    /// An advertisement that lists no address: of a virtual router whose addresses are moved by other means.
    ///
    /// # Deviation
    ///
    /// The standards want at least one ([RFC 9568 §5.2.5]). keepalived sends it (`no_virtual_ipaddress`), for hosts in a
    /// cloud that ask the provider to move their addresses.
    ///
    /// # Errors
    ///
    /// [`Error::Interval`] if the version cannot say the interval; [`Error::Version2OverIpv6`].
    ///
    /// [RFC 9568 §5.2.5]: https://www.rfc-editor.org/rfc/rfc9568#section-5.2.5
    pub fn without_addresses(
        version: Version,
        family: AddressFamily,
        vrid: Vrid,
        priority: Priority,
        interval: AdverInterval,
        authentication: Authentication,
    ) -> Result<Self, Error>
    where
        A: Default,
    {
        let sayable = match (version, family) {
            (Version::V2, AddressFamily::Ipv6) => return Err(Error::Version2OverIpv6),
            (Version::V2, AddressFamily::Ipv4) => interval.seconds().is_some(),
            (Version::V3, _) => interval.fits_version_3(),
        };
        if !sayable {
            return Err(Error::Interval { version, interval });
        }
        Ok(Self {
            version,
            vrid,
            priority,
            interval,
            authentication: match version {
                Version::V2 => authentication,
                Version::V3 => Authentication::None,
            },
            family,
            count: 0,
            addresses: A::default(),
        })
    }

    /// The same with another priority: to leave, say, with [`Priority::RELEASE`].
    #[must_use]
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// How many bytes [`emit`](Self::emit) writes.
    pub const fn buffer_len(&self) -> usize {
        message_len(self.version, self.family, self.count as usize)
    }

    /// Writes the message to the beginning of `buffer` and returns its length.
    ///
    /// The checksum may cover the addresses of `envelope`; `form` says how where the standards disagree. A unicast
    /// destination is used as it is.
    ///
    /// # Errors
    ///
    /// - [`Error::BufferTooSmall`] if `buffer` is shorter than [`buffer_len`](Self::buffer_len).
    /// - [`Error::MixedFamilies`] if `envelope` is of another family than the addresses.
    #[inline]
    pub fn emit(&self, envelope: &Envelope, form: ChecksumForm, buffer: &mut [u8]) -> Result<usize, Error> {
        if envelope.family() != self.family {
            return Err(Error::MixedFamilies);
        }
        let needed = self.buffer_len();
        let actual = buffer.len();
        let too_small = Error::BufferTooSmall { needed, actual };
        let message = buffer.get_mut(..needed).ok_or(too_small)?;
        let (header, rest) = message.split_first_chunk_mut::<HEADER_LEN>().ok_or(too_small)?;
        let (body, trailer) = rest
            .split_at_mut_checked(usize::from(self.count) * self.family.address_len())
            .ok_or(too_small)?;

        let [fourth, fifth] = self.interval_field();
        *header = [
            self.version.number() << 4 | ADVERTISEMENT,
            self.vrid.get(),
            self.priority.get(),
            self.count,
            fourth,
            fifth,
            0,
            0,
        ];
        write_addresses(self.addresses.clone(), self.family, body)?;
        match self.authentication {
            Authentication::None => trailer.fill(0),
            Authentication::SimplePassword(password) => {
                for (to, from) in trailer.iter_mut().zip(password.octets()) {
                    *to = from;
                }
            }
        }

        let mut sum = Sum::default().bytes(message);
        if self.version == Version::V3 {
            let form = match self.family {
                AddressFamily::Ipv4 => form,
                AddressFamily::Ipv6 => ChecksumForm::Rfc5798,
            };
            sum = sum.plus(form.pseudo_header(envelope, needed));
        }
        let [.., high, low] = message.first_chunk_mut::<HEADER_LEN>().ok_or(too_small)?;
        [*high, *low] = sum.checksum().to_be_bytes();
        Ok(needed)
    }

    /// Bytes 4 and 5.
    #[inline]
    fn interval_field(&self) -> [u8; 2] {
        match self.version {
            Version::V2 => {
                let kind = match self.authentication {
                    Authentication::None => 0,
                    Authentication::SimplePassword(_) => 1,
                };
                [kind, self.interval.seconds().unwrap_or_default()]
            }
            Version::V3 => self.interval.centiseconds().to_be_bytes(),
        }
    }
}

impl<'a> Advertisement<Addresses<'a>> {
    /// What was received can be sent.
    pub(crate) fn from_packet(packet: &Packet<'a>) -> Self {
        let addresses = packet.addresses();
        let [.., count] = addresses.len().to_be_bytes();
        Self {
            version: packet.version(),
            vrid: packet.vrid(),
            priority: packet.priority(),
            interval: packet.interval(),
            authentication: packet.authentication(),
            family: packet.family(),
            count,
            addresses,
        }
    }
}

/// What a list of addresses is when all of it was seen.
struct List {
    family: AddressFamily,
    count: u8,
}

impl List {
    fn of<A>(addresses: &A) -> Result<Self, Error>
    where
        A: IntoIterator<Item: Into<IpAddr>> + Clone,
    {
        let mut families = addresses
            .clone()
            .into_iter()
            .map(|address| AddressFamily::of(address.into()));
        let family = families.next().ok_or(Error::NoAddress)?;
        let mut count = 1_usize;
        for other in families {
            if other != family {
                return Err(Error::MixedFamilies);
            }
            count += 1;
        }
        let count = u8::try_from(count).map_err(|_| Error::TooManyAddresses(count))?;
        Ok(Self { family, count })
    }
}

/// Writes each address where it belongs; `body` has room for exactly those that were counted.
#[inline]
fn write_addresses<A>(addresses: A, family: AddressFamily, body: &mut [u8]) -> Result<(), Error>
where
    A: IntoIterator<Item: Into<IpAddr>>,
{
    let mut addresses = addresses.into_iter().map(Into::into);
    match family {
        AddressFamily::Ipv4 => {
            for to in body.as_chunks_mut::<4>().0 {
                let Some(IpAddr::V4(address)) = addresses.next() else {
                    return Err(Error::AddressesChanged);
                };
                *to = address.octets();
            }
        }
        AddressFamily::Ipv6 => {
            for to in body.as_chunks_mut::<16>().0 {
                let Some(IpAddr::V6(address)) = addresses.next() else {
                    return Err(Error::AddressesChanged);
                };
                *to = address.octets();
            }
        }
    }
    match addresses.next() {
        None => Ok(()),
        Some(_) => Err(Error::AddressesChanged),
    }
}
