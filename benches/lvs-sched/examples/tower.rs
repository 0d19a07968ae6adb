//! A tower service over whatever a `Discover` finds, balanced by any scheduler: each request goes to the back end that the
//! pool picks, and counts until its response is there.
//!
//! `cargo run --manifest-path benches/lvs-sched/Cargo.toml --example tower`

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use lvs_sched::{BackendId, Flow, SchedulerKind, SharedPool, Spec};
use tower::discover::{Change, Discover, ServiceList};
use tower::{Service, ServiceExt};

/// Balances over the services of `D`, which share one pool.
struct Scheduled<D: Discover> {
    discover: D,
    known: HashMap<D::Key, BackendId>,
    pool: SharedPool<Mutex<D::Service>>,
}

impl<D: Discover + Unpin> Scheduled<D>
where
    D::Key: Hash + Clone,
{
    fn new(kind: SchedulerKind, discover: D) -> Self {
        Self {
            discover,
            known: HashMap::new(),
            pool: SharedPool::new(kind),
        }
    }

    /// Takes over what was found or lost.
    fn follow(&mut self, context: &mut Context<'_>) {
        while let Poll::Ready(Some(Ok(change))) = Pin::new(&mut self.discover).poll_discover(context) {
            let (key, added) = match change {
                Change::Insert(key, service) => {
                    let added = self.pool.add(Mutex::new(service), Spec::default());
                    (key, added.ok())
                }
                Change::Remove(key) => (key, None),
            };
            let gone = match added {
                Some(id) => self.known.insert(key, id),
                None => self.known.remove(&key),
            };
            gone.map(|id| self.pool.remove(id).ok());
        }
    }
}

impl<D, Request> Service<Request> for Scheduled<D>
where
    D: Discover + Unpin,
    D::Key: Hash + Clone,
    D::Service: Service<Request> + Clone,
    Request: 'static,
    <D::Service as Service<Request>>::Future: 'static,
    D::Service: 'static,
{
    type Response = <D::Service as Service<Request>>::Response;
    type Error = Option<<D::Service as Service<Request>>::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.follow(context);
        Poll::Ready(Ok(()))
    }

    /// Fails with nothing when there is nobody to ask.
    fn call(&mut self, request: Request) -> Self::Future {
        let Some(picked) = self.pool.pick(&Flow::ANY) else {
            return Box::pin(ready(Err(None)));
        };
        let service = picked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            let response = service.oneshot(request).await;
            // The connection counted until here.
            drop(picked);
            response.map_err(Some)
        })
    }
}

/// Answers with its name.
#[derive(Clone)]
struct Named(Arc<str>);

impl Service<()> for Named {
    type Response = Arc<str>;
    type Error = Infallible;
    type Future = Ready<Result<Arc<str>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.0.clone()))
    }
}

fn main() {
    let found = ServiceList::new::<()>(["one", "two", "three"].map(|name| Named(name.into())));
    let mut balanced = Scheduled::new(SchedulerKind::Wlc, found);
    let mut context = Context::from_waker(Waker::noop());
    assert!(balanced.poll_ready(&mut context).is_ready());
    // Requests that are not answered yet are spread; answered ones make room.
    let mut waiting: Vec<_> = (0..6).map(|_| balanced.call(())).collect();
    for request in &mut waiting {
        if let Poll::Ready(Ok(name)) = pin!(request).poll(&mut context) {
            println!("answered by {name}");
        }
    }
}
