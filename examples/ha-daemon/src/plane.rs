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
pub(crate) fn open(choice: Choice, record: &Path) -> Result<Box<dyn DataPlane>, Error> {
    match choice {
        Choice::Proxy => Ok(Box::new(ProxyPlane::start(true)?)),
        Choice::None => Ok(Box::new(NoPlane)),
        Choice::Ipvs => Ok(Box::new(IpvsPlane::open(Some(record.to_owned()))?)),
        Choice::Auto => match IpvsPlane::open(Some(record.to_owned())) {
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

/// Where it is written down which rows of IPVS are ours: one place for each control socket.
pub(crate) fn record(control: &Path) -> PathBuf {
    let mut name = control.as_os_str().to_owned();
    name.push(".ipvs");
    name.into()
}

/// Removes what a predecessor that was killed has left in IPVS, now that there is nothing to balance any more.
pub(crate) fn clear(record: &Path) {
    if !record.exists() {
        return;
    }
    let outcome = IpvsPlane::open(Some(record.to_owned()))
        .and_then(|mut plane| plane.reconcile(&DesiredTable::default(), Extent::Whole));
    match outcome {
        Ok(_) => tracing::info!("what a predecessor left in IPVS is removed"),
        Err(error) => tracing::error!(%error, "what a predecessor left in IPVS cannot be removed"),
    }
}
