//! Holds an address from a tokio task and awaits its states:
//! `cargo run --features tokio --example tokio -- eth0 51 10.0.0.100/24` (as root). Ctrl-C hands over.

use std::error::Error;

use vrrp_net::{Driver, Instance, LinuxHost};
use vrrp_proto::Vrid;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [interface, vrid, address] = words.as_slice() else {
        return Err("usage: tokio INTERFACE VRID ADDRESS/LENGTH".into());
    };
    let mut driver = Driver::new(LinuxHost::open()?)?;
    let vrid = Vrid::try_from(vrid.parse::<u8>()?)?;
    let router = driver.add(Instance::new("example", interface, vrid).address(address.parse()?))?;
    let control = driver.control();
    let election = tokio::spawn(driver.run_on_tokio());
    let mut states = router.states();
    loop {
        tokio::select! {
            change = states.next_state() => match change {
                Some(change) => println!("{change}"),
                None => break,
            },
            _ = tokio::signal::ctrl_c() => control.stop(),
        }
    }
    Ok(election.await??)
}
