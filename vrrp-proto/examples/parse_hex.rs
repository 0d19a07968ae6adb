//! Reads a frame, an IP packet or a bare VRRP message from hexadecimal text and says what it is:
//!
//! ```sh
//! cargo run --example parse_hex -- 01005e00001200005e000105080045c0002000010000ff70d0990a000001e0000012310596010064439c0a000069
//! ```

use std::process::ExitCode;

use vrrp_proto::{Datagram, Envelope, Frame, Packet, ReceiveChecks};

fn main() -> ExitCode {
    let text: String = std::env::args().skip(1).collect();
    let Some(bytes) = bytes(&text) else {
        eprintln!("usage: parse_hex HEXADECIMAL");
        return ExitCode::from(2);
    };
    match describe(&bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match error.field() {
                Some(field) => eprintln!("refused for its {field:?}: {error}"),
                None => eprintln!("refused: {error}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn describe(bytes: &[u8]) -> Result<(), vrrp_proto::Error> {
    let checks = ReceiveChecks::STANDARD;
    if let Ok(frame) = Frame::parse(bytes) {
        println!(
            "from {} to {}",
            frame.ethernet().source(),
            frame.ethernet().destination()
        );
        print(&frame.packet(&checks)?, frame.envelope());
    } else if let Ok(datagram) = Datagram::parse(bytes) {
        print(&datagram.packet(&checks)?, datagram.envelope());
    } else {
        // A bare message does not say where it came from; without that only some checksums can be verified.
        let envelope = Envelope::multicast([0, 0, 0, 0].into());
        print(&Packet::parse(bytes, &envelope, &checks)?, &envelope);
    }
    Ok(())
}

fn print(packet: &Packet<'_>, envelope: &Envelope) {
    println!(
        "{} from {} to {}, ttl {}",
        packet.version(),
        envelope.source(),
        envelope.destination(),
        envelope.hop_limit()
    );
    println!(
        "vrid {}, priority {}, every {}",
        packet.vrid(),
        packet.priority(),
        packet.interval()
    );
    if let Some(form) = packet.checksum_form() {
        println!("checksum as in {form:?}");
    }
    for address in packet.addresses() {
        println!("address {address}");
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|character| !character.is_whitespace() && *character != ':')
        .map(|character| u8::try_from(character.to_digit(16)?).ok())
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    (rest.is_empty() && !pairs.is_empty()).then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
