use crate::checksum::Sum;
use crate::{
    AddressFamily, Addresses, AdverInterval, Advertisement, Authentication, ChecksumForm, Envelope, Error,
    Password, Priority, ReceiveChecks, Version, Vrid,
};

/// A received advertisement: a view of its bytes that exists only if they are well formed.
///
/// ```text
///  VRRPv3                                   VRRPv2
///   0       1       2       3                0       1       2       3
///  +---+---+-------+-------+-------+        +---+---+-------+-------+-------+
///  | 3 | 1 | VRID  |  Prio | Count |        | 2 | 1 | VRID  |  Prio | Count |
///  +---+---+-------+-------+-------+        +---+---+-------+-------+-------+
///  |rsv| interval  |   checksum    |        | auth  | intvl |   checksum    |
///  +---+-----------+---------------+        +-------+-------+---------------+
///  | addresses: count * 4 or 16    |        | addresses: count * 4          |
///  +-------------------------------+        +-------------------------------+
///                                           | authentication data: 8        |
///                                           +-------------------------------+
/// ```
///
/// Figures: [RFC 9568 §5.2], [RFC 3768 §5.1].
///
/// [RFC 9568 §5.2]: https://www.rfc-editor.org/rfc/rfc9568#section-5.2
/// [RFC 3768 §5.1]: https://www.rfc-editor.org/rfc/rfc3768#section-5.1
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    version: Version,
    vrid: Vrid,
    priority: Priority,
    interval: AdverInterval,
    authentication: Authentication,
    addresses: Addresses<'a>,
    checksum_form: Option<ChecksumForm>,
}

impl<'a> Packet<'a> {
    /// Reads a message: what follows the IP header, cut to the length that the IP header gives it.
    ///
    /// All of what the standard's receive checks ([RFC 9568 §7.1], [RFC 3768 §7.1]) can tell from the bytes is checked
    /// (R1 to R5 and R11 to R13 of the requirements list), and nothing of what needs a configuration: whether the VRID is
    /// known, the version, the authentication, the interval and the addresses as expected.
    ///
    /// # Errors
    ///
    /// One for each check, naming what was found; see [`Error::field`]. The first that fails is reported, in the order
    /// hop limit, length, version, type, VRID, count, authentication type, interval, checksum, first address.
    ///
    /// [RFC 9568 §7.1]: https://www.rfc-editor.org/rfc/rfc9568#section-7.1
    /// [RFC 3768 §7.1]: https://www.rfc-editor.org/rfc/rfc3768#section-7.1
    #[inline]
    pub fn parse(message: &'a [u8], envelope: &Envelope, checks: &ReceiveChecks) -> Result<Self, Error> {
        checks.hop_limit(envelope)?;
        let Some((header, rest)) = message.split_first_chunk::<HEADER_LEN>() else {
            return Err(Error::TooShort {
                needed: HEADER_LEN,
                actual: message.len(),
            });
        };
        let [version_type, vrid, priority, count, fourth, fifth, checksum @ ..] = *header;
        let family = envelope.family();
        let version = version_of(version_type, family)?;
        if version_type & 0x0f != ADVERTISEMENT {
            return Err(Error::Type(version_type & 0x0f));
        }
        let vrid = Vrid::try_from(vrid)?;
        checks.count(count)?;
        let (addresses, trailer) = split_body(rest, version, family, count)?;
        let found = u16::from_be_bytes(checksum);

        let (interval, authentication, checksum_form) = match version {
            Version::V2 => {
                let authentication = match fourth {
                    0 => Authentication::None,
                    1 => Authentication::SimplePassword(Password::truncating(trailer)),
                    2 => return Err(Error::AuthenticationHeader),
                    other => return Err(Error::AuthenticationType(other)),
                };
                let interval = AdverInterval::from_seconds(fifth).ok_or(Error::NoInterval)?;
                ReceiveChecks::undisputed(Sum::default().bytes(message), found)?;
                (interval, authentication, None)
            }
            Version::V3 => {
                let centiseconds = u16::from_be_bytes([fourth, fifth]) & INTERVAL_BITS;
                let interval = AdverInterval::from_centiseconds(centiseconds).ok_or(Error::NoInterval)?;
                let form = match family {
                    AddressFamily::Ipv4 => Some(checks.ipv4_version_3(envelope, message, found)?),
                    AddressFamily::Ipv6 => {
                        let pseudo_header = ChecksumForm::Rfc5798.pseudo_header(envelope, message.len());
                        ReceiveChecks::undisputed(pseudo_header.bytes(message), found)?;
                        None
                    }
                };
                (interval, Authentication::None, form)
            }
        };
        let addresses = Addresses::new(family, addresses);
        checks.first_address(addresses.clone().next())?;
        Ok(Self {
            version,
            vrid,
            priority: Priority::new(priority),
            interval,
            authentication,
            addresses,
            checksum_form,
        })
    }

    /// The VRID that a message claims to be for, without any check: so that a refusal can be counted against it.
    pub const fn claimed_vrid(message: &[u8]) -> Option<Vrid> {
        match message {
            [_, number, ..] => Vrid::new(*number),
            [] | [_] => None,
        }
    }

    /// How long the message at the beginning of `bytes` says that it is: everything but what may follow it, as
    /// keepalived's `auth_hmac` trailer does.
    ///
    /// # Errors
    ///
    /// [`Error::Version`], [`Error::Version2OverIpv6`], or [`Error::TooShort`] if there are fewer bytes than that.
    pub fn length_in(bytes: &[u8], family: AddressFamily) -> Result<usize, Error> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Error::TooShort {
                needed: HEADER_LEN,
                actual: bytes.len(),
            });
        };
        let [version_type, _, _, count, ..] = *header;
        let version = version_of(version_type, family)?;
        let needed = message_len(version, family, usize::from(count));
        if bytes.len() < needed {
            return Err(Error::TooShort {
                needed,
                actual: bytes.len(),
            });
        }
        Ok(needed)
    }

    /// The version of VRRP.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Which virtual router this is about.
    pub const fn vrid(&self) -> Vrid {
        self.vrid
    }

    /// The sender's priority.
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// How often the sender advertises.
    pub const fn interval(&self) -> AdverInterval {
        self.interval
    }

    /// How the sender identifies itself; always [`Authentication::None`] in VRRPv3.
    pub const fn authentication(&self) -> Authentication {
        self.authentication
    }

    /// The addresses of the virtual router, at least one unless [none was allowed](ReceiveChecks::no_address).
    pub fn addresses(&self) -> Addresses<'a> {
        self.addresses.clone()
    }

    /// The family of the addresses and of the IP header.
    pub const fn family(&self) -> AddressFamily {
        self.addresses.family()
    }

    /// Which form the checksum has, where the standards disagree: VRRPv3 over IPv4.
    ///
    /// Where two forms give the same checksum, the first that matches in the order of [`ChecksumForm`].
    pub const fn checksum_form(&self) -> Option<ChecksumForm> {
        self.checksum_form
    }

    /// The same as a value that can be sent again.
    pub fn advertisement(&self) -> Advertisement<Addresses<'a>> {
        Advertisement::from_packet(self)
    }
}

/// R2, and that VRRPv2 has no IPv6.
#[inline]
const fn version_of(version_type: u8, family: AddressFamily) -> Result<Version, Error> {
    match (version_type >> 4, family) {
        (2, AddressFamily::Ipv4) => Ok(Version::V2),
        (2, AddressFamily::Ipv6) => Err(Error::Version2OverIpv6),
        (3, _) => Ok(Version::V3),
        (other, _) => Err(Error::Version(other)),
    }
}

/// The addresses, and what VRRPv2 has behind them.
#[inline]
fn split_body(
    rest: &[u8],
    version: Version,
    family: AddressFamily,
    count: u8,
) -> Result<(&[u8], &[u8]), Error> {
    let addresses = usize::from(count) * family.address_len();
    let expected = addresses + trailer_len(version);
    let actual = rest.len();
    match rest.split_at_checked(addresses) {
        Some(parts) if actual == expected => Ok(parts),
        _ if actual < expected => Err(Error::TooShort {
            needed: HEADER_LEN + expected,
            actual: HEADER_LEN + actual,
        }),
        _ => Err(Error::TooLong {
            expected: HEADER_LEN + expected,
            actual: HEADER_LEN + actual,
        }),
    }
}

/// The length of a message with so many addresses.
pub(crate) const fn message_len(version: Version, family: AddressFamily, count: usize) -> usize {
    HEADER_LEN + count * family.address_len() + trailer_len(version)
}

/// What follows the addresses.
const fn trailer_len(version: Version) -> usize {
    match version {
        Version::V2 => Password::LEN,
        Version::V3 => 0,
    }
}

/// The bytes before the addresses, in either version.
pub(crate) const HEADER_LEN: usize = 8;
/// The one type of message.
pub(crate) const ADVERTISEMENT: u8 = 1;
/// VRRPv3's interval in its 16 bits; the other four are reserved and ignored.
const INTERVAL_BITS: u16 = 0x0fff;
