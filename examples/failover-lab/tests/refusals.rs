//! What the system may refuse, told as what it is: descriptors, threads, privileges.

mod common;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use common::Lab;
use common::running::instance;
use failover_lab::namespace::Namespace;
use rustix::process::{Resource, Rlimit, Uid, getrlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, capabilities, set_capabilities, set_keep_capabilities, set_thread_res_uid,
};
use vrrp_net::{Driver, DriverEvent, Error, LinuxHost, Segment};

/// A limit of this process, until it is dropped.
struct Limit {
    resource: Resource,
    before: Rlimit,
}

impl Limit {
    fn set(resource: Resource, most: u64) -> Self {
        let before = getrlimit(resource);
        let limit = Self { resource, before };
        let now = Rlimit {
            current: Some(most),
            maximum: before.maximum,
        };
        setrlimit(resource, now).unwrap();
        limit
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        setrlimit(self.resource, self.before).unwrap();
    }
}

/// The lowest number that a new descriptor would have.
fn next_descriptor() -> u64 {
    File::open("/dev/null").unwrap().as_raw_fd().try_into().unwrap()
}

/// Takes capabilities from the calling thread, and from those that it starts.
fn without(dropped: CapabilitySet) {
    let mut own = capabilities(None).unwrap();
    own.effective -= dropped;
    own.permitted -= dropped;
    own.inheritable -= dropped;
    set_capabilities(None, own).unwrap();
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_host_without_descriptors_says_what_it_cannot_open() {
    let told = Namespace::new()
        .unwrap()
        .run(|| {
            let first = next_descriptor();
            let mut told: Vec<String> = Vec::new();
            for free in 0.. {
                let limit = Limit::set(Resource::Nofile, first + free);
                let opened = LinuxHost::open();
                drop(limit);
                let Err(error) = opened else {
                    break;
                };
                let kind = match error {
                    Error::Poll(_) => "poll",
                    Error::Watch(_) => "watch",
                    Error::Netlink(_) => "netlink",
                    Error::Socket(_) => "socket",
                    other => panic!("{other}"),
                };
                if told.last().is_none_or(|last| last != kind) {
                    told.push(kind.into());
                }
                assert_eq!(next_descriptor(), first, "what was opened is closed again");
            }
            Ok(told)
        })
        .unwrap();
    assert_eq!(told, ["poll", "watch", "netlink", "socket"]);
}

#[test]
#[ignore = "needs root and network namespaces"]
fn a_system_out_of_threads_is_told() {
    let namespace = Namespace::new().unwrap();
    namespace
        .run(|| {
            // Root may have any number of threads: somebody else, with root's rights over the network alone.
            let network = CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
            set_keep_capabilities(true)?;
            let nobody = Uid::from_raw(65_534);
            set_thread_res_uid(nobody, nobody, nobody)?;
            let mut own = capabilities(None)?;
            own.permitted &= network;
            own.effective = network;
            set_capabilities(None, own)?;

            let driver = Driver::new(Segment::real_time().host(&[])).map_err(io::Error::other)?;
            let limit = Limit::set(Resource::Nproc, 0);
            let (opened, spawned) = (LinuxHost::open(), driver.spawn_thread());
            drop(limit);
            let told = opened.unwrap_err();
            assert!(matches!(told, Error::Thread(_)), "{told}");
            let told = spawned.unwrap_err();
            assert!(matches!(told, Error::Thread(_)), "{told}");
            assert!(told.to_string().starts_with("cannot start a thread: "), "{told}");
            // It was the limit and nothing else.
            drop(LinuxHost::open().map_err(io::Error::other)?);
            Ok(())
        })
        .unwrap();
}

#[test]
#[ignore = "needs root and network namespaces"]
fn without_raw_sockets_there_is_no_host() {
    let namespace = Namespace::new().unwrap();
    let told = namespace
        .run(|| {
            without(CapabilitySet::NET_RAW);
            Ok(LinuxHost::open().unwrap_err())
        })
        .unwrap();
    assert!(matches!(told, Error::Socket(_)), "{told}");
    assert!(told.to_string().contains("CAP_NET_RAW"), "{told}");
}

#[test]
#[ignore = "needs root and network namespaces"]
fn an_address_that_may_not_be_added_is_told_and_the_election_goes_on() {
    let lab = Lab::new();
    lab.segment
        .host(0)
        .run(|| {
            without(CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN);
            let mut driver =
                Driver::new(LinuxHost::open().map_err(io::Error::other)?).map_err(io::Error::other)?;
            let held = instance(200).address("10.77.1.1/24".parse().unwrap());
            let refused = driver.add(held.clone().accept_packets(false)).unwrap_err();
            assert!(matches!(refused, Error::Filter(_)), "{refused}");
            let handle = driver.add(held).map_err(io::Error::other)?;
            let mut events = handle.events();
            let thread = driver.spawn_thread().map_err(io::Error::other)?;
            let told = std::iter::from_fn(|| events.next_timeout(common::PATIENCE))
                .map(|notice| notice.event)
                .find(|event| matches!(event, DriverEvent::ChangeFailed { .. }));
            let address = Some("10.77.1.1".parse().unwrap());
            let errno = rustix::io::Errno::PERM.raw_os_error();
            assert_eq!(told, Some(DriverEvent::ChangeFailed { address, errno }));
            thread.stop().map_err(io::Error::other)
        })
        .unwrap();
}

#[test]
#[ignore = "needs root and network namespaces"]
fn priority_and_memory_are_for_those_who_may() {
    let namespace = Namespace::new().unwrap();
    namespace
        .run(|| {
            without(CapabilitySet::SYS_NICE | CapabilitySet::IPC_LOCK | CapabilitySet::SYS_RESOURCE);
            let _class = Limit::set(Resource::Rtprio, 0);
            let _memory = Limit::set(Resource::Memlock, 65_536);
            for told in [vrrp_net::set_realtime_priority(50), vrrp_net::lock_memory()] {
                let told = told.unwrap_err();
                assert!(matches!(told, Error::Privilege(_)), "{told}");
            }
            Ok(())
        })
        .unwrap();
}
