//! The end of a certificate's life, out of its DER form.

/// Seconds after 1970 at which a certificate ends (`notAfter`, RFC 5280 §4.1.2.5); `None` if it is none, or ended before
/// 1970.
pub(crate) fn not_after(certificate: &[u8]) -> Option<u64> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let after_not_before = element(validity, UTC_TIME)
        .or_else(|| element(validity, GENERALIZED_TIME))?
        .1;
    if let Some((utc, _)) = element(after_not_before, UTC_TIME) {
        let (year, rest) = number(utc, 2)?;
        // Two digits: 50 is 1950, 49 is 2049.
        return seconds(if year >= 50 { 1_900 + year } else { 2_000 + year }, rest);
    }
    let (generalized, _) = element(after_not_before, GENERALIZED_TIME)?;
    let (year, rest) = number(generalized, 4)?;
    seconds(year, rest)
}

/// The content of the first element, if it has this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*length) {
        short @ 0..=127 => (short, rest),
        long => {
            let count = long & 127;
            if !(1..=3).contains(&count) {
                return None;
            }
            let (digits, rest) = rest.split_at_checked(count)?;
            (
                digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)),
                rest,
            )
        }
    };
    rest.split_at_checked(length)
}

/// A decimal number of so many digits, and what follows it.
fn number(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((
        number
            .iter()
            .fold(0, |sum, digit| sum * 10 + u64::from(*digit - b'0')),
        rest,
    ))
}

/// `MMDDHHMMSSZ` of a year.
fn seconds(year: u64, text: &[u8]) -> Option<u64> {
    let (month, text) = number(text, 2)?;
    let (day, text) = number(text, 2)?;
    let (hour, text) = number(text, 2)?;
    let (minute, text) = number(text, 2)?;
    let (second, text) = number(text, 2)?;
    let sane =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !sane || text != b"Z" {
        return None;
    }
    // Days since 0000-03-01 in the proleptic Gregorian calendar: February, and with it the leap day, ends the year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some((days.checked_sub(719_468)? * 24 + hour) * 3_600 + minute * 60 + second)
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_seconds() {
        for (year, text, expected) in [
            (1970, "0101000000Z", 0),
            (2000, "0229120000Z", 951_825_600),
            (2026, "1120143000Z", 1_795_185_000),
            (2049, "1231235959Z", 2_524_607_999),
            (9999, "1231235959Z", 253_402_300_799),
        ] {
            assert_eq!(seconds(year, text.as_bytes()), Some(expected), "{year}{text}");
        }
        for bad in ["", "1301000000Z", "0101000000", "0101000000+0100", "01010a0000Z"] {
            assert_eq!(seconds(2026, bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(seconds(1969, b"1231235959Z"), None);
    }

    #[test]
    fn certificates_are_read_and_pieces_of_them_refused() {
        let mut parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2055, 6, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let late = parameters.self_signed(&key).unwrap();
        assert_eq!(not_after(late.der()), Some(2_695_420_800));
        parameters.not_after = rcgen::date_time_ymd(2027, 1, 2);
        let soon = parameters.self_signed(&key).unwrap();
        assert_eq!(not_after(soon.der()), Some(1_798_848_000));
        for end in 0..soon.der().len() - 1 {
            assert_eq!(not_after(&soon.der()[..end]), None, "{end}");
        }
    }
}
