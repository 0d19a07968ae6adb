//! Runs the election inside an event loop of one's own, beside its other descriptors (here: standard input, whose end
//! ends the program): `cargo run --example event_loop -- eth0 51 10.0.0.100/24` (as root).

use std::error::Error;
use std::io::Read;

use rustix::event::{PollFd, PollFlags, poll};
use vrrp_net::{Driver, Instance, LinuxHost};
use vrrp_proto::Vrid;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [interface, vrid, address] = words.as_slice() else {
        return Err("usage: event_loop INTERFACE VRID ADDRESS/LENGTH".into());
    };
    let mut driver = Driver::new(LinuxHost::open()?)?;
    let vrid = Vrid::try_from(vrid.parse::<u8>()?)?;
    let router = driver.add(Instance::new("example", interface, vrid).address(address.parse()?))?;
    let mut events = router.events();
    let input = std::io::stdin();
    loop {
        let now = driver.now();
        driver.process(now)?;
        while let Some(notice) = events.try_next() {
            println!("{}", notice.event);
        }
        let descriptor = driver.host().descriptor().ok_or("this host has no descriptor")?;
        let mut waited = [
            PollFd::new(&descriptor, PollFlags::IN),
            PollFd::new(&input, PollFlags::IN),
        ];
        poll(&mut waited, None)?;
        let readable = waited[1].revents().intersects(PollFlags::IN | PollFlags::HUP);
        if readable && input.lock().read(&mut [0; 256])? == 0 {
            // Dropping the driver hands over and gives the address up.
            return Ok(());
        }
    }
}
