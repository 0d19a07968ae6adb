//! Holds an address from plain threads: `cargo run --example thread -- eth0 51 150 10.0.0.100/24` (as root).

use std::error::Error;

use vrrp_net::{Driver, Instance, LinuxHost};
use vrrp_proto::{Priority, Vrid};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [interface, vrid, priority, address] = words.as_slice() else {
        return Err("usage: thread INTERFACE VRID PRIORITY ADDRESS/LENGTH".into());
    };
    let mut driver = Driver::new(LinuxHost::open()?)?;
    let router = driver.add(
        Instance::new("example", interface, Vrid::try_from(vrid.parse::<u8>()?)?)
            .priority(Priority::new(priority.parse()?))
            .address(address.parse()?),
    )?;
    // Until this is dropped the address is ours, if we win.
    let _election = driver.spawn_thread()?;
    for change in router.states() {
        println!("{change}");
    }
    Ok(())
}
