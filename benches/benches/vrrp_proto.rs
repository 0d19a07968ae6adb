//! Reading and writing advertisements, beside the way it is usually written: with a vector for every list.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use vrrp_proto::{
    AdverInterval, Advertisement, Authentication, ChecksumForm, Envelope, EthernetHeader, Frame,
    GratuitousArp, HmacKey, IpHeader, MacAddress, Message, Packet, Priority, ReceiveChecks, Sequence, Signed,
    Trailer, UnsolicitedAdvertisement, Vrid,
};

const STANDARD: &ReceiveChecks = &ReceiveChecks::STANDARD;
const FORM: ChecksumForm = ChecksumForm::Rfc5798;

fn ipv4() -> Envelope {
    Envelope::multicast([10, 0, 0, 1].into())
}

fn ipv6() -> Envelope {
    Envelope::multicast([0xfe80, 0, 0, 0, 0, 0, 0, 1].into())
}

fn vrid() -> Vrid {
    Vrid::new(51).unwrap()
}

fn v3<A: Into<IpAddr> + Clone, const N: usize>(addresses: [A; N]) -> Advertisement<[A; N]> {
    Advertisement::version_3(vrid(), Priority::DEFAULT, AdverInterval::DEFAULT, addresses).unwrap()
}

fn v2() -> Advertisement<[Ipv4Addr; 1]> {
    Advertisement::version_2(
        vrid(),
        Priority::DEFAULT,
        AdverInterval::DEFAULT,
        Authentication::None,
        [Ipv4Addr::new(10, 0, 0, 7)],
    )
    .unwrap()
}

fn v3_ipv4() -> Advertisement<[Ipv4Addr; 1]> {
    v3([Ipv4Addr::new(10, 0, 0, 7)])
}

fn v3_ipv6() -> Advertisement<[Ipv6Addr; 2]> {
    v3([
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7),
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7),
    ])
}

fn bytes(message: &impl Message, envelope: &Envelope, form: ChecksumForm) -> Vec<u8> {
    let mut buffer = vec![0; message.buffer_len()];
    message.emit(envelope, form, &mut buffer).unwrap();
    buffer
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let cases = [
        ("v3 ipv4, 1 address", bytes(&v3_ipv4(), &ipv4(), FORM), ipv4()),
        (
            "v3 ipv4, 1 address, the other checksum",
            bytes(&v3_ipv4(), &ipv4(), ChecksumForm::Rfc9568),
            ipv4(),
        ),
        ("v2, 1 address", bytes(&v2(), &ipv4(), FORM), ipv4()),
        ("v3 ipv6, 2 addresses", bytes(&v3_ipv6(), &ipv6(), FORM), ipv6()),
    ];
    for (name, message, envelope) in &cases {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| Packet::parse(black_box(message), black_box(envelope), STANDARD).is_ok());
        });
    }
    let (_, message, _) = &cases[0];
    group.bench_function("v3 ipv4, 1 address, naive", |bencher| {
        bencher.iter(|| {
            let source = Ipv4Addr::new(10, 0, 0, 1);
            let group = Ipv4Addr::new(224, 0, 0, 18);
            naive::Advertisement::parse(black_box(message), black_box(source), black_box(group), 255)
                .is_some()
        });
    });
    let many: [Ipv4Addr; 255] = std::array::from_fn(|index| Ipv4Addr::from(index as u32));
    let message = bytes(&v3(many), &ipv4(), FORM);
    group.bench_function("v3 ipv4, 255 addresses", |bencher| {
        bencher.iter(|| Packet::parse(black_box(&message), black_box(&ipv4()), STANDARD).is_ok());
    });
    group.finish();
}

fn emit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("emit");
    let mut buffer = [0; 100];
    let (advertisement, envelope) = (v3_ipv4(), ipv4());
    group.bench_function("v3 ipv4, 1 address", |bencher| {
        bencher.iter(|| {
            black_box(&advertisement)
                .emit(black_box(&envelope), FORM, black_box(&mut buffer))
                .is_ok()
        });
    });
    group.bench_function("v3 ipv4, 1 address, built and sent", |bencher| {
        bencher.iter(|| {
            let list = black_box([Ipv4Addr::new(10, 0, 0, 7)]);
            let advertisement =
                Advertisement::version_3(vrid(), Priority::DEFAULT, AdverInterval::DEFAULT, list);
            advertisement.is_ok_and(|it| {
                it.emit(black_box(&envelope), FORM, black_box(&mut buffer))
                    .is_ok()
            })
        });
    });
    let advertisement = v2();
    group.bench_function("v2, 1 address", |bencher| {
        bencher.iter(|| {
            black_box(&advertisement)
                .emit(black_box(&envelope), FORM, black_box(&mut buffer))
                .is_ok()
        });
    });
    let (advertisement, envelope) = (v3_ipv6(), ipv6());
    group.bench_function("v3 ipv6, 2 addresses", |bencher| {
        bencher.iter(|| {
            black_box(&advertisement)
                .emit(black_box(&envelope), FORM, black_box(&mut buffer))
                .is_ok()
        });
    });
    group.bench_function("v3 ipv4, 1 address, naive", |bencher| {
        let advertisement = naive::Advertisement {
            vrid: 51,
            priority: 100,
            centiseconds: 100,
            addresses: vec![Ipv4Addr::new(10, 0, 0, 7)],
        };
        bencher.iter_batched(
            || (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(224, 0, 0, 18)),
            |(source, group)| black_box(&advertisement).emit(source, group),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    let mac = MacAddress([0, 0, 0x5e, 0, 1, 51]);
    let ethernet = EthernetHeader::multicast(mac, &ipv4()).unwrap();
    let header = IpHeader::new(ipv4());
    let advertisement = v3_ipv4();
    let mut buffer = [0; 46];
    group.bench_function("write", |bencher| {
        bencher.iter(|| {
            ethernet
                .emit(&header, black_box(&advertisement), FORM, black_box(&mut buffer))
                .is_ok()
        });
    });
    ethernet.emit(&header, &advertisement, FORM, &mut buffer).unwrap();
    group.bench_function("read", |bencher| {
        bencher.iter(|| Frame::parse(black_box(&buffer)).is_ok_and(|frame| frame.packet(STANDARD).is_ok()));
    });
    group.bench_function("gratuitous arp", |bencher| {
        let mut buffer = [0; 42];
        bencher.iter(|| {
            GratuitousArp::new(mac, black_box(Ipv4Addr::new(10, 0, 0, 7)))
                .emit(black_box(&mut buffer))
                .is_ok()
        });
    });
    group.bench_function("unsolicited neighbour advertisement", |bencher| {
        let mut buffer = [0; 86];
        let vip = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7);
        bencher.iter(|| {
            UnsolicitedAdvertisement::new(mac, black_box(vip))
                .is_ok_and(|announcement| announcement.emit(black_box(&mut buffer)).is_ok())
        });
    });
    group.finish();
}

fn trailers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("auth_hmac");
    let keys = [HmacKey::new(1, &[0x5a; 32]).unwrap()];
    let signed = Signed::new(v3_ipv4(), &keys[0], Sequence::at(1, 0));
    let mut buffer = [0; 40];
    group.bench_function("sign", |bencher| {
        bencher.iter(|| {
            black_box(&signed)
                .emit(&ipv4(), FORM, black_box(&mut buffer))
                .is_ok()
        });
    });
    signed.emit(&ipv4(), FORM, &mut buffer).unwrap();
    let (message, trailer) = Trailer::split(&buffer, &ipv4()).unwrap();
    let trailer = trailer.unwrap();
    group.bench_function("verify", |bencher| {
        bencher.iter(|| {
            black_box(&trailer)
                .verify(&keys, black_box(message), &ipv4())
                .is_ok()
        });
    });
    group.finish();
}

/// The way it is usually written.
mod naive {
    use std::net::Ipv4Addr;

    pub(crate) struct Advertisement {
        pub(crate) vrid: u8,
        pub(crate) priority: u8,
        pub(crate) centiseconds: u16,
        pub(crate) addresses: Vec<Ipv4Addr>,
    }

    impl Advertisement {
        pub(crate) fn parse(
            message: &[u8],
            source: Ipv4Addr,
            destination: Ipv4Addr,
            ttl: u8,
        ) -> Option<Self> {
            if ttl != 255 || message.len() < 8 || message[0] != 0x31 || message[1] == 0 || message[3] == 0 {
                return None;
            }
            let count = usize::from(message[3]);
            if message.len() != 8 + count * 4 {
                return None;
            }
            let centiseconds = u16::from_be_bytes([message[4], message[5]]) & 0x0fff;
            if centiseconds == 0 {
                return None;
            }
            let with = pseudo_header(message, source, destination);
            if checksum(&with) != 0 && checksum(message) != 0 {
                return None;
            }
            let addresses = message[8..]
                .chunks(4)
                .map(|octets| Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]))
                .collect();
            Some(Self {
                vrid: message[1],
                priority: message[2],
                centiseconds,
                addresses,
            })
        }

        pub(crate) fn emit(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
            let mut message = vec![0x31, self.vrid, self.priority, self.addresses.len() as u8];
            message.extend(self.centiseconds.to_be_bytes());
            message.extend([0, 0]);
            for address in &self.addresses {
                message.extend(address.octets());
            }
            let sum = checksum(&pseudo_header(&message, source, destination));
            message[6..8].copy_from_slice(&sum.to_be_bytes());
            message
        }
    }

    fn pseudo_header(message: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(source.octets());
        bytes.extend(destination.octets());
        bytes.extend([0, 112]);
        bytes.extend((message.len() as u16).to_be_bytes());
        bytes.extend(message);
        bytes
    }

    fn checksum(bytes: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }
}

criterion_group!(benches, parse, emit, frames, trailers);
criterion_main!(benches);
