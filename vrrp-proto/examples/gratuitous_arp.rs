//! Builds the announcements of a router that becomes active and prints them as hexadecimal text:
//!
//! ```sh
//! cargo run --example gratuitous_arp -- 51 10.0.0.105 fe80::105
//! ```

use std::net::IpAddr;
use std::process::ExitCode;

use vrrp_proto::{AddressFamily, Error, GratuitousArp, MacAddress, UnsolicitedAdvertisement, Vrid};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let vrid = arguments.next().and_then(|text| Vrid::new(text.parse().ok()?));
    let addresses: Result<Vec<IpAddr>, _> = arguments.map(|text| text.parse()).collect();
    let (Some(vrid), Ok(addresses)) = (vrid, addresses) else {
        eprintln!("usage: gratuitous_arp VRID ADDRESS...");
        return ExitCode::from(2);
    };
    for address in addresses {
        let mut frame = [0; 86];
        match announce(vrid, address, &mut frame) {
            Ok(length) => {
                let text: String = frame
                    .iter()
                    .take(length)
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                println!("{text}");
            }
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn announce(vrid: Vrid, address: IpAddr, frame: &mut [u8]) -> Result<usize, Error> {
    let mac = MacAddress::virtual_router(AddressFamily::of(address), vrid);
    match address {
        IpAddr::V4(address) => GratuitousArp::new(mac, address).emit(frame),
        IpAddr::V6(address) => UnsolicitedAdvertisement::new(mac, address)?.emit(frame),
    }
}
