//! Three small servers behind one address, in this process: each is checked, one dies, and nobody is sent to it any more.
//! Needs no privilege, nor a kernel with IPVS.
//!
//! `cargo run -p ha-stack --features proxy --example balance`

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ha_stack::{
    EventKind, Front, Object, Plan, ProxyPlane, RealServerPlan, Supervisor, Transport, VirtualServerPlan,
};
use healthcheck::{Check, Policy};
use vrrp_net::{Driver, Segment};

/// A server that tells everybody its name, until it is switched off.
struct Server {
    address: SocketAddr,
    off: Arc<AtomicBool>,
}

impl Server {
    fn start(name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let off = Arc::new(AtomicBool::new(false));
        let is_off = Arc::clone(&off);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if is_off.load(Ordering::Relaxed) {
                    break;
                }
                // A client that has gone needs no answer.
                let _ = client.and_then(|mut client| client.write_all(name.as_bytes()));
            }
        });
        Ok(Self { address, off })
    }

    fn switch_off(&self) {
        self.off.store(true, Ordering::Relaxed);
        // Wakes it, so that it sees.
        let _ = TcpStream::connect(self.address);
    }
}

/// Asks so many times, and counts who answers.
fn ask(address: SocketAddr, times: usize) -> io::Result<BTreeMap<String, usize>> {
    let mut answers = BTreeMap::new();
    for _ in 0..times {
        let mut answer = String::new();
        TcpStream::connect(address)?.read_to_string(&mut answer)?;
        *answers.entry(answer).or_default() += 1;
    }
    Ok(answers)
}

fn main() -> Result<(), Box<dyn Error>> {
    let servers = [
        Server::start("red")?,
        Server::start("green")?,
        Server::start("blue")?,
    ];
    // A free port of this host, where clients will ask.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;

    let policy = Arc::new(Policy {
        interval: Duration::from_millis(200),
        timeout: Duration::from_secs(1),
        ..Policy::haproxy()
    });
    let mut web = VirtualServerPlan::new(Front::Address {
        transport: Transport::Tcp,
        address,
    });
    web.scheduling.name = "rr".to_owned();
    for server in &servers {
        let mut real = RealServerPlan::new(server.address);
        real.checks
            .push((Check::tcp(server.address), Arc::clone(&policy)));
        web.real_servers.push(real);
    }
    let mut plan = Plan::default();
    plan.virtual_servers.push(Arc::new(web));

    // There is no virtual router here, so the driver has nothing to do. One that holds the address is a matter of the plan.
    let supervisor = Supervisor::start(Driver::new(Segment::real_time().host(&[]))?, Plan::default())?;
    supervisor.set_data_plane(|| Ok(Box::new(ProxyPlane::start(false)?)));
    let events = supervisor.watch().ok_or("out of threads")?;
    supervisor.reload(plan)?;

    println!("{:?}", ask(address, 9)?);
    if let Some(green) = servers.get(1) {
        green.switch_off();
    }
    loop {
        let event = events.recv_timeout(Duration::from_secs(30))?;
        println!("{} {}", event.object, event.kind.word());
        if matches!(event.object, Object::RealServer(..)) && event.kind == EventKind::Down {
            break;
        }
    }
    println!("{:?}", ask(address, 9)?);
    println!(
        "{}",
        serde_json::to_string_pretty(&supervisor.status().virtual_servers)?
    );
    Ok(supervisor.stop()?)
}
