//! The packet filter behind `accept_mode` off: what is sent to an address that is only kept alive here is dropped, except
//! neighbour discovery ([RFC 9568 §6.4.3](https://www.rfc-editor.org/rfc/rfc9568#section-6.4.3)). It is an nf_tables table
//! of our own, which the kernel binds to our socket: nobody else changes it, and it goes when this process does, however
//! that ends. Numbers are those of `linux/netfilter/nf_tables.h` and `linux/netfilter/nfnetlink.h`; attributes are in
//! network order.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use netlink_batch::{Batch, Outcome, Protocol, Socket, messages};

use super::message::{finish, put, put_text, start};

/// Keeps packets from addresses.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// Opened when first needed. The table lives as long as it.
    table: Option<Table>,
    refused: BTreeSet<IpAddr>,
}

#[derive(Debug)]
struct Table {
    socket: Socket,
    name: String,
}

impl Filter {
    /// The addresses that packets are kept from now.
    pub(crate) fn refused(&self) -> &BTreeSet<IpAddr> {
        &self.refused
    }

    /// Keeps packets from these addresses and from no other: one transaction, all or nothing.
    pub(crate) fn set(&mut self, wanted: &BTreeSet<IpAddr>) -> io::Result<()> {
        if *wanted == self.refused {
            return Ok(());
        }
        let new: Vec<_> = wanted.difference(&self.refused).copied().collect();
        let old: Vec<_> = self.refused.difference(wanted).copied().collect();
        let fresh = self.table.is_none();
        let table = match self.table.take() {
            Some(table) => table,
            None => Table::open()?,
        };
        let mut transaction = Transaction::new();
        if fresh {
            table.create(&mut transaction);
        }
        table.elements(&mut transaction, NFT_MSG_NEWSETELEM, &new);
        table.elements(&mut transaction, NFT_MSG_DELSETELEM, &old);
        let result = transaction.commit(&table.socket);
        if result.is_ok() {
            self.refused.clone_from(wanted);
        }
        // A table that could not be made has nothing to keep.
        self.table = (result.is_ok() || !fresh).then_some(table);
        result
    }
}

/// Whether there is an nf_tables to ask, and whether we may.
pub(crate) fn is_possible() -> io::Result<()> {
    let mut socket = open()?;
    let mut batch = Batch::new();
    batch.get(NFT | NFT_MSG_GETGEN, |body| body.extend_from_slice(&[0; 4]));
    let report = socket.run(&mut batch, |_, _| {}).map_err(io::Error::other)?;
    match report.outcome(0) {
        Outcome::Failed(failure) => Err(io::Error::from_raw_os_error(failure.errno.get())),
        _ => Ok(()),
    }
}

fn open() -> io::Result<Socket> {
    Socket::open(Protocol::other(NETLINK_NETFILTER)).map_err(|error| match error {
        netlink_batch::Error::Open(error) => error,
        error => io::Error::other(error),
    })
}

impl Table {
    fn open() -> io::Result<Self> {
        let socket = open()?;
        // The number of a socket is its own in the whole network namespace, so the name is too.
        let name = format!("vrrp-net-{}", socket.port()?);
        Ok(Self { socket, name })
    }

    /// The table, a set of addresses for each family, and a chain in front of everything that is delivered to this host.
    fn create(&self, transaction: &mut Transaction) {
        transaction.push(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, |body| {
            put_text(body, NFTA_TABLE_NAME, &self.name);
            put_number(body, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
        });
        for (number, (set, key_type, length)) in [(IPV4_SET, 7, 4), (IPV6_SET, 8, 16)].into_iter().enumerate()
        {
            transaction.push(NFT_MSG_NEWSET, NLM_F_CREATE, |body| {
                put_text(body, NFTA_SET_TABLE, &self.name);
                put_text(body, NFTA_SET_NAME, set);
                put_number(body, NFTA_SET_KEY_TYPE, key_type);
                put_number(body, NFTA_SET_KEY_LEN, length);
                put_number(body, NFTA_SET_ID, u32::try_from(number).unwrap_or(0) + 1);
            });
        }
        transaction.push(NFT_MSG_NEWCHAIN, NLM_F_CREATE, |body| {
            put_text(body, NFTA_CHAIN_TABLE, &self.name);
            put_text(body, NFTA_CHAIN_NAME, CHAIN);
            nest(body, NFTA_CHAIN_HOOK, |body| {
                put_number(body, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_IN);
                put_number(body, NFTA_HOOK_PRIORITY, BEFORE_FILTERS);
            });
            put_number(body, NFTA_CHAIN_POLICY, NF_ACCEPT);
            put_text(body, NFTA_CHAIN_TYPE, "filter");
        });
        // What this host sends to itself has come from nowhere.
        self.rule(transaction, NF_ACCEPT, |expressions| {
            meta(expressions, NFT_META_IIF);
            compare(expressions, &LOOPBACK.to_ne_bytes());
        });
        self.rule(transaction, NF_DROP, |expressions| {
            meta(expressions, NFT_META_NFPROTO);
            compare(expressions, &[NFPROTO_IPV4]);
            payload(expressions, NFT_PAYLOAD_NETWORK_HEADER, 16, 4);
            lookup(expressions, IPV4_SET);
        });
        for kind in [NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT] {
            self.rule(transaction, NF_ACCEPT, |expressions| {
                meta(expressions, NFT_META_NFPROTO);
                compare(expressions, &[NFPROTO_IPV6]);
                meta(expressions, NFT_META_L4PROTO);
                compare(expressions, &[ICMPV6]);
                payload(expressions, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
                compare(expressions, &[kind]);
            });
        }
        self.rule(transaction, NF_DROP, |expressions| {
            meta(expressions, NFT_META_NFPROTO);
            compare(expressions, &[NFPROTO_IPV6]);
            payload(expressions, NFT_PAYLOAD_NETWORK_HEADER, 24, 16);
            lookup(expressions, IPV6_SET);
        });
    }

    fn rule(&self, transaction: &mut Transaction, verdict: u32, expressions: impl FnOnce(&mut Vec<u8>)) {
        transaction.push(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, |body| {
            put_text(body, NFTA_RULE_TABLE, &self.name);
            put_text(body, NFTA_RULE_CHAIN, CHAIN);
            nest(body, NFTA_RULE_EXPRESSIONS, |body| {
                expressions(body);
                expression(body, "immediate", |body| {
                    put_number(body, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
                    nest(body, NFTA_IMMEDIATE_DATA, |body| {
                        nest(body, NFTA_DATA_VERDICT, |body| {
                            put_number(body, NFTA_VERDICT_CODE, verdict);
                        });
                    });
                });
            });
        });
    }

    /// Adds addresses to their sets, or takes them out.
    fn elements(&self, transaction: &mut Transaction, kind: u16, addresses: &[IpAddr]) {
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().copied().partition(IpAddr::is_ipv4);
        for (set, addresses) in [(IPV4_SET, v4), (IPV6_SET, v6)] {
            // An attribute is at most 64 KiB long.
            for addresses in addresses.chunks(1000) {
                transaction.push(kind, NLM_F_CREATE, |body| {
                    put_text(body, NFTA_SET_ELEM_LIST_TABLE, &self.name);
                    put_text(body, NFTA_SET_ELEM_LIST_SET, set);
                    nest(body, NFTA_SET_ELEM_LIST_ELEMENTS, |body| {
                        for address in addresses {
                            nest(body, NFTA_LIST_ELEM, |body| {
                                nest(body, NFTA_SET_ELEM_KEY, |body| match address {
                                    IpAddr::V4(address) => put(body, NFTA_DATA_VALUE, &address.octets()),
                                    IpAddr::V6(address) => put(body, NFTA_DATA_VALUE, &address.octets()),
                                });
                            });
                        }
                    });
                });
            }
        }
    }
}

/// Requests that the kernel carries out together or not at all, in one datagram.
struct Transaction {
    bytes: Vec<u8>,
    /// How many of them are acknowledged.
    count: u32,
}

impl Transaction {
    fn new() -> Self {
        let mut transaction = Self {
            bytes: Vec::with_capacity(2048),
            count: 0,
        };
        transaction.mark(NFNL_MSG_BATCH_BEGIN);
        transaction
    }

    fn push(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Vec<u8>)) {
        self.count += 1;
        self.message(NFT | kind, flags | NLM_F_ACK, [NFPROTO_INET, 0, 0, 0], body);
    }

    /// The beginning or the end.
    fn mark(&mut self, kind: u16) {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        self.message(kind, 0, [0, 0, high, low], |_| {});
    }

    fn message(&mut self, kind: u16, flags: u16, header: [u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes
            .extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.count.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&header);
        body(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - begin).unwrap_or(u32::MAX);
        if let Some(field) = self.bytes.get_mut(begin..begin + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }

    /// Sends it. The kernel answers before the send returns.
    fn commit(mut self, socket: &Socket) -> io::Result<()> {
        self.mark(NFNL_MSG_BATCH_END);
        socket.try_send(&self.bytes)?;
        let mut acknowledged = 0;
        let mut failure = None;
        let mut buffer = Vec::new();
        loop {
            let datagram = match socket.try_receive(&mut buffer) {
                Ok(Some(datagram)) => datagram,
                // Some answers were lost; what counts is that none of the others is a refusal.
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            for message in messages(datagram)
                .flatten()
                .filter(|message| message.kind == NLMSG_ERROR)
            {
                let errno = message
                    .body
                    .first_chunk::<4>()
                    .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
                match (errno, failure) {
                    (0, _) => acknowledged += 1,
                    // The first of several is the cause.
                    (_, None) => failure = Some(errno.saturating_neg()),
                    (_, Some(_)) => {}
                }
            }
        }
        match failure {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None if acknowledged == 0 && self.count > 0 => Err(io::ErrorKind::InvalidData.into()),
            None => Ok(()),
        }
    }
}

fn expression(body: &mut Vec<u8>, name: &str, data: impl FnOnce(&mut Vec<u8>)) {
    nest(body, NFTA_LIST_ELEM, |body| {
        put_text(body, NFTA_EXPR_NAME, name);
        nest(body, NFTA_EXPR_DATA, data);
    });
}

/// Loads a fact about the packet.
fn meta(body: &mut Vec<u8>, key: u32) {
    expression(body, "meta", |body| {
        put_number(body, NFTA_META_DREG, NFT_REG_1);
        put_number(body, NFTA_META_KEY, key);
    });
}

/// Loads bytes of the packet.
fn payload(body: &mut Vec<u8>, base: u32, offset: u32, length: u32) {
    expression(body, "payload", |body| {
        put_number(body, NFTA_PAYLOAD_DREG, NFT_REG_1);
        put_number(body, NFTA_PAYLOAD_BASE, base);
        put_number(body, NFTA_PAYLOAD_OFFSET, offset);
        put_number(body, NFTA_PAYLOAD_LEN, length);
    });
}

/// Goes on with the rule if what was loaded is this.
fn compare(body: &mut Vec<u8>, value: &[u8]) {
    expression(body, "cmp", |body| {
        put_number(body, NFTA_CMP_SREG, NFT_REG_1);
        put_number(body, NFTA_CMP_OP, NFT_CMP_EQ);
        nest(body, NFTA_CMP_DATA, |body| put(body, NFTA_DATA_VALUE, value));
    });
}

/// Goes on with the rule if what was loaded is in a set.
fn lookup(body: &mut Vec<u8>, set: &str) {
    expression(body, "lookup", |body| {
        put_text(body, NFTA_LOOKUP_SET, set);
        put_number(body, NFTA_LOOKUP_SREG, NFT_REG_1);
    });
}

fn nest(body: &mut Vec<u8>, kind: u16, inside: impl FnOnce(&mut Vec<u8>)) {
    let begin = start(body, kind | NLA_F_NESTED);
    inside(body);
    finish(body, begin);
}

fn put_number(body: &mut Vec<u8>, kind: u16, value: u32) {
    put(body, kind, &value.to_be_bytes());
}

const IPV4_SET: &str = "refused-ipv4";
const IPV6_SET: &str = "refused-ipv6";
const CHAIN: &str = "input";
/// One before the priority of ordinary filters, which is 0.
const BEFORE_FILTERS: u32 = u32::MAX;
/// The number of `lo` in every network namespace.
const LOOPBACK: u32 = 1;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const ICMPV6: u8 = 58;

const NETLINK_NETFILTER: u8 = 12;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT: u16 = NFNL_SUBSYS_NFTABLES << 8;
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFPROTO_INET: u8 = 1;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const NF_INET_LOCAL_IN: u32 = 1;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NLA_F_NESTED: u16 = 0x8000;

const NFT_MSG_NEWTABLE: u16 = 0;
const NFT_MSG_NEWCHAIN: u16 = 3;
const NFT_MSG_NEWRULE: u16 = 6;
const NFT_MSG_NEWSET: u16 = 9;
const NFT_MSG_NEWSETELEM: u16 = 12;
const NFT_MSG_DELSETELEM: u16 = 14;
const NFT_MSG_GETGEN: u16 = 16;

const NFTA_TABLE_NAME: u16 = 1;
const NFTA_TABLE_FLAGS: u16 = 2;
/// Since kernel 5.12: the table belongs to the socket that made it.
const NFT_TABLE_F_OWNER: u32 = 2;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_ID: u16 = 10;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFTA_IMMEDIATE_DREG: u16 = 1;
const NFTA_IMMEDIATE_DATA: u16 = 2;
const NFTA_META_DREG: u16 = 1;
const NFTA_META_KEY: u16 = 2;
const NFT_META_IIF: u32 = 4;
const NFT_META_NFPROTO: u32 = 15;
const NFT_META_L4PROTO: u32 = 16;
const NFTA_PAYLOAD_DREG: u16 = 1;
const NFTA_PAYLOAD_BASE: u16 = 2;
const NFTA_PAYLOAD_OFFSET: u16 = 3;
const NFTA_PAYLOAD_LEN: u16 = 4;
const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;
const NFTA_CMP_SREG: u16 = 1;
const NFTA_CMP_OP: u16 = 2;
const NFTA_CMP_DATA: u16 = 3;
const NFT_CMP_EQ: u32 = 0;
const NFTA_LOOKUP_SET: u16 = 1;
const NFTA_LOOKUP_SREG: u16 = 2;
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG_1: u32 = 1;
