//! What carries the traffic of virtual servers.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ha_stack::{DataPlane, DesiredTable, Error, Extent, IpvsPlane, NoPlane, ProxyPlane};

/// What `--data-plane` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// The kernel's IPVS where it answers, else the embedded proxy for NAT and FNAT
    #[default]
    Auto,
    /// The kernel's IPVS
    Ipvs,
    /// The embedded TCP proxy, for DR and TUN too: real servers do not see the clients' addresses
    Proxy,
    /// Nothing: real servers are checked, and who is up is told
    None,
}

/// Opens what was chosen.
pub(crate) fn open(choice: Choice, place: &Place) -> Result<Box<dyn DataPlane>, Error> {
    match choice {
        Choice::Proxy => Ok(Box::new(ProxyPlane::start(true)?)),
        Choice::None => Ok(Box::new(NoPlane)),
        Choice::Ipvs => Ok(Box::new(ipvs(place)?)),
        Choice::Auto => match ipvs(place) {
            Ok(plane) => Ok(Box::new(plane)),
            Err(Error::Ipvs(error)) => {
                tracing::warn!(
                    %error,
                    "the embedded proxy carries what says NAT or FNAT; real servers do not see the clients' addresses"
                );
                Ok(Box::new(ProxyPlane::start(false)?))
            }
            Err(error) => Err(error),
        },
    }
}

/// Which IPVS is ours, and what of it.
#[derive(Clone)]
pub(crate) struct Place {
    /// Where it is written down which rows are ours.
    record: PathBuf,
    namespace: Option<String>,
}

impl Place {
    /// There is a record for each control socket. Without a `namespace` it is the IPVS of the process's own.
    pub(crate) fn new(control: &Path, namespace: Option<&str>) -> Self {
        let mut name = control.as_os_str().to_owned();
        name.push(".ipvs");
        Self {
            record: name.into(),
            namespace: namespace.map(str::to_owned),
        }
    }
}

/// A socket belongs to the namespace in which it was opened, and a thread can go to another: so one goes there, opens it and
/// ends.
fn ipvs(place: &Place) -> Result<IpvsPlane, Error> {
    let record = Some(place.record.clone());
    let Some(namespace) = &place.namespace else {
        return IpvsPlane::open(record);
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            ha_stack::enter_network_namespace(namespace)?;
            IpvsPlane::open(record)
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Removes what a predecessor that was killed has left in IPVS, now that there is nothing to balance any more.
pub(crate) fn clear(place: &Place) {
    if !place.record.exists() {
        return;
    }
    let outcome = ipvs(place).and_then(|mut plane| plane.reconcile(&DesiredTable::default(), Extent::Whole));
    match outcome {
        Ok(_) => tracing::info!("what a predecessor left in IPVS is removed"),
        Err(error) => tracing::error!(%error, "what a predecessor left in IPVS cannot be removed"),
    }
}
