//! Two hosts on a simulated wire, with real packets: an election, a crash, and the way back.

use std::net::IpAddr;

use vrrp_fsm::{Datagram, Input, Instant, InterfaceId, Output, Parameters, RouterId, VrrpRouter};
use vrrp_proto::{Envelope, Priority, Vrid};

struct Host {
    name: &'static str,
    address: IpAddr,
    router: VrrpRouter,
    id: RouterId,
    alive: bool,
}

impl Host {
    fn new(name: &'static str, address: IpAddr, priority: u8) -> Result<Self, Box<dyn std::error::Error>> {
        let vrid = Vrid::new(51).ok_or("a vrid is 1 to 255")?;
        let builder = Parameters::builder(vrid, ["10.0.0.100".parse()?]);
        let parameters = builder.priority(Priority::new(priority)).build()?;
        let mut router = VrrpRouter::new();
        let id = router.add(InterfaceId(0), parameters, Some(address))?;
        router.handle_input(Instant::ZERO, id, Input::Startup { held: false })?;
        Ok(Self {
            name,
            address,
            router,
            id,
            alive: true,
        })
    }

    /// Carries out what there is to do; gives the packets that it sends.
    fn carry_out(&mut self, now: Instant) -> Result<Vec<Vec<u8>>, vrrp_proto::Error> {
        let mut packets = Vec::new();
        while let Some((id, output)) = self.router.poll_output() {
            match output {
                Output::Advertise { priority } => {
                    let Some(router) = self.router.virtual_router(id) else {
                        continue;
                    };
                    let mut buffer = [0; 1500];
                    let envelope = Envelope::multicast(self.address);
                    let length = router
                        .parameters()
                        .emit_advertisement(priority, &envelope, &mut buffer)?;
                    packets.push(buffer[..length].to_vec());
                }
                Output::Event(event) => println!("{now} {}: {event}", self.name),
                Output::AddAddresses | Output::RemoveAddresses => println!("{now} {}: {output:?}", self.name),
                Output::AddAddress(_)
                | Output::RemoveAddress(_)
                | Output::Announce { .. }
                | Output::AnnounceAddress { .. } => {}
            }
        }
        Ok(packets)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut hosts = [
        Host::new("first", "10.0.0.1".parse()?, 200)?,
        Host::new("second", "10.0.0.2".parse()?, 100)?,
    ];
    let (crash, end) = (Instant::from_millis(8_000), Instant::from_millis(20_000));
    let mut now = Instant::ZERO;
    while now < end {
        if now >= crash && hosts[0].alive {
            println!("{now} the first host loses its power");
            hosts[0].alive = false;
        }
        for sender in 0..hosts.len() {
            if !hosts[sender].alive {
                continue;
            }
            hosts[sender].router.handle_timeout(now);
            let mut packets = hosts[sender].carry_out(now)?;
            let mut from = sender;
            // The other host may answer.
            while !packets.is_empty() {
                let to = 1 - from;
                for message in std::mem::take(&mut packets) {
                    if !hosts[to].alive {
                        continue;
                    }
                    let envelope = Envelope::multicast(hosts[from].address);
                    let datagram = Datagram {
                        interface: InterfaceId(0),
                        envelope,
                        message: &message,
                        received: now,
                    };
                    if let Err(discard) = hosts[to].router.handle_packet(now, &datagram) {
                        println!("{now} {}: {discard}", hosts[to].name);
                    }
                    packets.extend(hosts[to].carry_out(now)?);
                }
                from = to;
            }
        }
        let due = |host: &Host| {
            if host.alive {
                host.router.poll_timeout()
            } else {
                None
            }
        };
        now = hosts.iter().filter_map(due).chain([end]).min().unwrap_or(end);
        if !hosts[0].alive || now < crash {
            continue;
        }
        now = crash;
    }
    for host in hosts.iter().filter(|host| host.alive) {
        let Some(router) = host.router.virtual_router(host.id) else {
            continue;
        };
        println!("{now} {} is {}: {}", host.name, router.state(), router.reason());
    }
    Ok(())
}
