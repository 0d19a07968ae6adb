//! Pingora's load balancer choosing by `mh`, as an adapter of its `BackendSelection`.
//!
//! Only schedulers that do not count fit behind that trait: it builds the selection anew whenever the back ends change, and it
//! is not told when a connection ends. For `wlc` and its like keep a `SharedPool` in the proxy, pick in `upstream_peer` and
//! hold the guard in the request's context.
//!
//! `cargo run --manifest-path benches/lvs-sched/Cargo.toml --example pingora`

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lvs_sched::{Choices, Connection, Flow, SchedulerKind, SharedPool, Spec};
use pingora_load_balancing::selection::{BackendIter, BackendSelection};
use pingora_load_balancing::{Backend, LoadBalancer};

/// Maglev hashing of the client's address, which is the key.
struct Maglev(SharedPool<Backend>);

/// The back ends for one flow, best first.
struct Candidates {
    choices: Choices<Backend>,
    current: Option<Connection<Backend>>,
}

impl BackendSelection for Maglev {
    type Iter = Candidates;
    type Config = ();

    fn build(backends: &BTreeSet<Backend>) -> Self {
        let pool = SharedPool::new(SchedulerKind::Mh);
        pool.update(|edits| {
            for backend in backends {
                let mut spec = Spec::new(backend.weight as u32);
                if let Some(address) = backend.addr.as_inet() {
                    spec = spec.address(*address);
                }
                if let Err(error) = edits.add(backend.clone(), spec) {
                    eprintln!("{}: {error}", backend.addr);
                }
            }
        });
        Self(pool)
    }

    fn iter(self: &Arc<Self>, key: &[u8]) -> Candidates {
        let client = <[u8; 4]>::try_from(key).map_or(Ipv4Addr::UNSPECIFIED, Ipv4Addr::from);
        let flow = Flow::from_client(SocketAddr::from((IpAddr::from(client), 0)));
        Candidates {
            choices: self.0.choices(&flow),
            current: None,
        }
    }
}

impl BackendIter for Candidates {
    fn next(&mut self) -> Option<&Backend> {
        self.current = self.choices.next();
        self.current.as_deref()
    }
}

fn main() -> std::io::Result<()> {
    let balancer = LoadBalancer::<Maglev>::try_from_iter(["10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80"])?;
    for client in [[192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 1]] {
        let first = balancer.select(&client, 3).map(|backend| backend.addr);
        // The first choice refuses.
        let second = balancer.select_with(&client, 3, |backend, _| Some(&backend.addr) != first.as_ref());
        println!(
            "{}: {}, else {}",
            Ipv4Addr::from(client),
            first.as_ref().map_or_else(String::new, ToString::to_string),
            second.map_or_else(String::new, |backend| backend.addr.to_string())
        );
    }
    Ok(())
}
