//! Pingora's load balancer choosing by `mh`, as an adapter of its `BackendSelection`.
//!
//! Only schedulers that do not count fit behind that trait: it builds the selection anew whenever the back ends change, and it
//! is not told when a connection ends. For `wlc` and its like keep a `SharedPool` in the proxy, pick in `upstream_peer` and
//! hold the guard in the request's context.
//!
//! `cargo run --manifest-path benches/lvs-sched/Cargo.toml --example pingora`

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lvs_sched::{Choices, Connection, Flow, Pool, SchedulerKind, SharedPool, Spec};
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

/// Lets pingora choose for a thousand clients, and checks each answer and each second choice against a pool of our own.
fn main() -> std::io::Result<()> {
    let servers: [SocketAddr; 5] = core::array::from_fn(|host| ([10, 1, 0, 1 + host as u8], 80).into());
    let balancer = LoadBalancer::<Maglev>::try_from_iter(servers)?;
    let mut pool = Pool::new(SchedulerKind::Mh);
    for server in servers {
        pool.add(server, Spec::new(1).address(server))
            .map_err(std::io::Error::other)?;
    }
    let mut shares = BTreeMap::<_, [u32; 2]>::new();
    for number in 0..1_000_u32 {
        let client = Ipv4Addr::from_bits(0xc000_0200 + number);
        let key = client.octets();
        let first = balancer.select(&key, servers.len()).expect("nobody is down");
        // The first choice refuses.
        let second = balancer
            .select_with(&key, servers.len(), |backend, _| backend.addr != first.addr)
            .expect("four others are there");
        let flow = Flow::from_client((client, 0).into());
        let expected: Vec<_> = pool.fallbacks(&flow).take(2).collect();
        let expected: Vec<_> = expected.into_iter().filter_map(|id| pool.get(id)).collect();
        let chosen = [&first, &second].map(|backend| backend.addr.as_inet());
        assert_eq!(
            chosen.as_slice(),
            expected.into_iter().map(Some).collect::<Vec<_>>()
        );
        for (choice, backend) in [first, second].into_iter().enumerate() {
            shares.entry(backend.addr.to_string()).or_default()[choice] += 1;
        }
    }
    for (server, [first, second]) in shares {
        println!("{server}: first choice of {first} clients, second of {second}");
    }
    Ok(())
}
