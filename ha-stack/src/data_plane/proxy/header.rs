//! The PROXY protocol: how a real server is told who the client is.
//!
//! The [specification](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt), sections 2.1 and 2.2.

use std::net::SocketAddr;

use crate::data_plane::ProxyProtocol;

/// What goes before the client's bytes: a client at `from` that asked for `asked`.
pub(super) fn header(version: ProxyProtocol, from: SocketAddr, asked: SocketAddr) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => text(from, asked).into_bytes(),
        ProxyProtocol::V2 => binary(from, asked),
    }
}

fn text(from: SocketAddr, asked: SocketAddr) -> String {
    let family = match (from, asked) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
        (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
        _ => return "PROXY UNKNOWN\r\n".to_owned(),
    };
    let (source, destination) = (from.ip(), asked.ip());
    format!(
        "PROXY {family} {source} {destination} {} {}\r\n",
        from.port(),
        asked.port()
    )
}

fn binary(from: SocketAddr, asked: SocketAddr) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let (family, addresses) = match (from, asked) {
        (SocketAddr::V4(from), SocketAddr::V4(asked)) => {
            (TCP_OVER_IPV4, [from.ip().octets(), asked.ip().octets()].concat())
        }
        (SocketAddr::V6(from), SocketAddr::V6(asked)) => {
            (TCP_OVER_IPV6, [from.ip().octets(), asked.ip().octets()].concat())
        }
        _ => (UNSPECIFIED, Vec::new()),
    };
    header.extend([VERSION_2_PROXY, family]);
    let ports = match family {
        UNSPECIFIED => Vec::new(),
        _ => [from.port().to_be_bytes(), asked.port().to_be_bytes()].concat(),
    };
    let length = u16::try_from(addresses.len() + ports.len()).unwrap_or(0);
    header.extend(length.to_be_bytes());
    header.extend(addresses);
    header.extend(ports);
    header
}

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2_PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
const UNSPECIFIED: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn made(version: ProxyProtocol, from: &str, asked: &str) -> Vec<u8> {
        header(version, from.parse().unwrap(), asked.parse().unwrap())
    }

    /// [PROXY protocol 2.1]
    #[test]
    fn version_1_is_a_line_of_text() {
        assert_eq!(
            made(ProxyProtocol::V1, "192.168.0.1:56324", "192.168.0.11:443"),
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
        );
        assert_eq!(
            made(ProxyProtocol::V1, "[2001:db8::1]:56324", "[2001:db8::2]:443"),
            b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n"
        );
        assert_eq!(
            made(ProxyProtocol::V1, "10.0.0.1:1", "[::1]:2"),
            b"PROXY UNKNOWN\r\n"
        );
    }

    /// [PROXY protocol 2.2]
    #[test]
    fn version_2_is_binary() {
        let start = b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A";
        let four = made(ProxyProtocol::V2, "192.168.0.1:56324", "192.168.0.11:443");
        let rest = b"\x21\x11\x00\x0C\xC0\xA8\x00\x01\xC0\xA8\x00\x0B\xDC\x04\x01\xBB";
        assert_eq!(four, [&start[..], rest].concat());
        let six = made(ProxyProtocol::V2, "[2001:db8::1]:56324", "[2001:db8::2]:443");
        assert_eq!(six.len(), 16 + 36);
        assert_eq!(six[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(six[48..], [0xDC, 0x04, 0x01, 0xBB]);
        assert_eq!(
            made(ProxyProtocol::V2, "10.0.0.1:1", "[::1]:2")[12..],
            [0x21, 0, 0, 0]
        );
    }
}
