//! Advertisements without their passwords.

use vrrp_proto::Password;

/// What stands for the configured password.
pub(super) fn right() -> Password {
    Password::truncating(b"********")
}

/// What stands for any other.
fn wrong() -> Password {
    Password::truncating(b"????????")
}

/// Replaces the password of a VRRPv2 message by one that says only whether it is among `right`, and keeps the checksum as
/// right or wrong as it was.
pub(super) fn mask(message: &mut [u8], right: &[Password]) {
    const PASSWORD_AUTHENTICATION: u8 = 1;
    let [first, _, _, count, PASSWORD_AUTHENTICATION, ..] = *message else {
        return;
    };
    let start = 8 + 4 * usize::from(count);
    let Some(field) = message.get_mut(start..start + 8).filter(|_| first >> 4 == 2) else {
        return;
    };
    let mut found = [0; 8];
    found.copy_from_slice(field);
    let masked = match right.iter().any(|right| right.octets() == found) {
        true => self::right().octets(),
        false => wrong().octets(),
    };
    field.copy_from_slice(&masked);
    if let Some([high, low]) = message.get_mut(6..8) {
        // RFC 1624: the checksum follows from what changed.
        let before = words(found).map(|word| u32::from(!word)).sum::<u32>();
        let after = words(masked).map(u32::from).sum::<u32>();
        let mut sum = u32::from(!u16::from_be_bytes([*high, *low])) + before + after;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        [*high, *low] = (!u16::try_from(sum).unwrap_or(0)).to_be_bytes();
    }
}

fn words(octets: [u8; 8]) -> impl Iterator<Item = u16> {
    let pairs = octets.as_chunks::<2>().0.to_vec();
    pairs.into_iter().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use vrrp_proto::{
        AdverInterval, Advertisement, Authentication, ChecksumForm, Envelope, Packet, Priority,
        ReceiveChecks, Vrid,
    };

    use super::*;

    fn message(password: &[u8]) -> (Vec<u8>, Envelope) {
        let envelope = Envelope::multicast("10.0.0.1".parse().unwrap());
        let addresses: [IpAddr; 2] = ["10.0.0.7".parse().unwrap(), "10.0.0.8".parse().unwrap()];
        let advertisement = Advertisement::version_2(
            Vrid::new(7).unwrap(),
            Priority::new(100),
            AdverInterval::DEFAULT,
            Authentication::SimplePassword(Password::truncating(password)),
            addresses,
        );
        let mut message = vec![0; 64];
        let length = advertisement
            .unwrap()
            .emit(&envelope, ChecksumForm::default(), &mut message)
            .unwrap();
        message.truncate(length);
        (message, envelope)
    }

    #[test]
    fn a_password_is_replaced_and_the_checksum_stays_right() {
        let right = [Password::truncating(b"secret"), Password::truncating(b"\xff\xff")];
        for (password, shown) in [
            (&b"secret"[..], super::right()),
            (b"\xff\xff", super::right()),
            (b"other", wrong()),
            (b"", wrong()),
        ] {
            let (mut bytes, envelope) = message(password);
            mask(&mut bytes, &right);
            let packet = Packet::parse(&bytes, &envelope, &ReceiveChecks::STANDARD).unwrap();
            assert_eq!(packet.authentication(), Authentication::SimplePassword(shown));
        }
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let (mut bytes, envelope) = message(b"secret");
        bytes[7] ^= 1;
        mask(&mut bytes, &[Password::truncating(b"secret")]);
        let error = Packet::parse(&bytes, &envelope, &ReceiveChecks::STANDARD).unwrap_err();
        assert!(matches!(error, vrrp_proto::Error::Checksum { .. }));
    }

    #[test]
    fn every_part_of_a_message_is_left_or_masked() {
        let (bytes, _) = message(b"secret");
        for end in 0..bytes.len() {
            let mut part = bytes[..end].to_vec();
            mask(&mut part, &[]);
            assert_eq!(part, &bytes[..end], "too short to have a password");
        }
    }
}
