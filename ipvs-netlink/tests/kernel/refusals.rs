//! Refusals that a client gives no occasion for, provoked by a transport that bends what it sends.
//!
//! With those of [`errors`](crate::errors) these are all that a kernel can be brought to. What remains is injected by the
//! tests that run against a kernel in memory: ENOMEM (an allocation of the kernel has to fail), EMSGSIZE (its own answer has
//! to outgrow the buffer that it allocated for it) and ENOPROTOOPT (a request has to meet the module within the moment of
//! its unloading; a minute of unloading it in a loop under 10,000 requests a batch never met it).

use ipvs_netlink::{
    Client, Daemon, DaemonRole, Error, Family, Reason, Request, Scheduler, Service, ServiceKey, Timeout,
    Timeouts, Transport,
};
use netlink_batch::{Batch, Change, Message, Protocol, Report, Socket, messages};

use crate::support::*;

/// A socket that changes requests on their way.
struct Bent {
    socket: Socket,
    bend: Option<Bend>,
}

enum Bend {
    /// The dump flag is set where it was not and taken away where it was, for the command of this number.
    Dump(u8),
    /// The body is changed.
    Body(fn(&mut Vec<u8>)),
    /// A dump of this request runs on the same socket already.
    Underway(Request),
}

impl Transport for Bent {
    fn run(
        &mut self,
        batch: &mut Batch,
        reply: &mut dyn FnMut(usize, &Message<'_>),
    ) -> Result<Report, netlink_batch::Error> {
        let mut bent = Batch::new();
        for message in messages(batch.as_bytes()) {
            let message = message.unwrap();
            let mut body = message.body.to_vec();
            let mut dump = message.flags & NLM_F_DUMP == NLM_F_DUMP;
            match &self.bend {
                Some(Bend::Dump(command)) if body[0] == *command => dump = !dump,
                Some(Bend::Body(change)) => change(&mut body),
                Some(Bend::Underway(request)) => {
                    let mut first = Batch::new();
                    first.dump(message.kind, |out| request.encode(out));
                    self.socket.try_send(first.as_bytes()).unwrap();
                }
                Some(Bend::Dump(_)) | None => {}
            }
            let write = |out: &mut Vec<u8>| out.extend(body);
            match dump {
                true => bent.dump(message.kind, write),
                false => bent.change(message.kind, Change::PLAIN, write),
            };
        }
        self.socket.run(&mut bent, reply)
    }
}

/// What becomes of a call whose requests are bent.
fn bent<R>(bend: Bend, call: impl FnOnce(&Client<Bent>) -> Result<R, Error>) -> Reason {
    let socket = Socket::open(Protocol::GENERIC).unwrap();
    let client = Client::over(Bent { socket, bend: None }).unwrap();
    client.with_transport(|transport| transport.bend = Some(bend));
    refusal(call(&client).map(|_| ()))
}

/// Puts another value in the place of an attribute's.
fn replace(body: &mut [u8], kind: u16, old: &[u8], new: &[u8]) {
    let length = u16::try_from(4 + old.len()).unwrap();
    let attribute = [&length.to_ne_bytes(), &kind.to_ne_bytes(), old].concat();
    let place = body
        .windows(attribute.len())
        .rposition(|window| window == attribute)
        .expect("the attribute");
    body[place + 4..place + 4 + new.len()].copy_from_slice(new);
}

#[test]
#[ignore = "needs an IPVS kernel"]
fn what_the_client_never_sends_is_refused_with_its_meaning() {
    let client = client();
    client.add_service(service(80)).unwrap();
    client.add_destination(service(80).key, destination(1)).unwrap();
    let key = service(80).key;

    // EOPNOTSUPP: a table asked for where there is none, and a table asked for as if it were one row.
    assert_eq!(bent(Bend::Dump(GET_INFO), Client::info), Reason::NotSupported);
    assert_eq!(
        bent(Bend::Dump(GET_DAEMON), Client::daemons),
        Reason::NotSupported
    );
    let read = |client: &Client<Bent>| client.destinations(key);
    assert_eq!(bent(Bend::Dump(GET_DEST), read), Reason::NotSupported);

    // ERANGE: a negative weight, and a lower threshold above the upper one.
    let edit = |client: &Client<Bent>| client.edit_destination(key, destination(1));
    let negative = |body: &mut Vec<u8>| replace(body, 4, &1_u32.to_ne_bytes(), &[255; 4]);
    assert_eq!(bent(Bend::Body(negative), edit), Reason::OutOfRange);
    let lower = |body: &mut Vec<u8>| replace(body, 6, &[0; 4], &1_u32.to_ne_bytes());
    assert_eq!(bent(Bend::Body(lower), edit), Reason::OutOfRange);

    // EAFNOSUPPORT: neither IPv4 nor IPv6.
    let appletalk = |body: &mut Vec<u8>| replace(body, 1, &2_u16.to_ne_bytes(), &5_u16.to_ne_bytes());
    let add = |client: &Client<Bent>| client.add_service(service(81));
    assert_eq!(bent(Bend::Body(appletalk), add), Reason::FamilyNotSupported);

    // EINVAL: nothing said at all, a prefix of 200 bits, a timeout that the kernel's clock cannot hold.
    let nothing = |body: &mut Vec<u8>| body.truncate(4);
    assert_eq!(bent(Bend::Body(nothing), add), Reason::Invalid);
    assert_eq!(bent(Bend::Body(long_prefix), add_v6), Reason::Invalid);
    let timeouts = Timeouts {
        tcp: Timeout::from_seconds(900),
        ..Timeouts::default()
    };
    let endless = |body: &mut Vec<u8>| replace(body, 4, &900_u32.to_ne_bytes(), &[255; 4]);
    let set = |client: &Client<Bent>| client.set_timeouts(timeouts);
    assert_eq!(bent(Bend::Body(endless), set), Reason::Invalid);

    // ENODEV needs no bending; that it is told from other refusals of the same command is seen here.
    let daemon = Daemon::new(DaemonRole::Backup, "nowhere0".parse().unwrap(), 1);
    let start = |client: &Client<Bent>| client.start_daemon(daemon);
    let nowhere = Reason::InterfaceNotFound("nowhere0".parse().unwrap());
    assert_eq!(bent(Bend::Body(|_| ()), start), nowhere);

    assert_eq!(
        client.snapshot().unwrap().table().requests(),
        [
            Request::AddService(service(80)),
            Request::AddDestination(key, destination(1))
        ]
    );
}

/// EBUSY.
#[test]
#[ignore = "needs an IPVS kernel"]
fn a_dump_while_another_one_runs_on_the_socket_is_refused() {
    let client = client();
    // More than fits into the datagram that the kernel fills at once.
    client.reconcile(&big_table(), &all()).unwrap();
    assert_eq!(
        bent(Bend::Underway(Request::Services), Client::services),
        Reason::Busy
    );
}

fn v6_service() -> Service {
    let mark = std::num::NonZeroU32::new(9).unwrap();
    Service {
        persistence: Some(ipvs_netlink::Persistence {
            timeout: ipvs_netlink::PersistenceTimeout::DEFAULT,
            granularity: ipvs_netlink::Granularity::Address,
            engine: None,
        }),
        ..Service::new(ServiceKey::mark(mark, Family::V6), Scheduler::Disabled)
    }
}

fn add_v6(client: &Client<Bent>) -> Result<(), Error> {
    client.add_service(v6_service())
}

fn long_prefix(body: &mut Vec<u8>) {
    replace(
        body.as_mut_slice(),
        9,
        &128_u32.to_ne_bytes(),
        &200_u32.to_ne_bytes(),
    );
}

const NLM_F_DUMP: u16 = 0x300;
const GET_DEST: u8 = 8;
const GET_DAEMON: u8 = 11;
const GET_INFO: u8 = 15;
