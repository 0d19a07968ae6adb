//! A second opinion: tshark reads what was captured and what we write as we do.

mod support;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use support::Captured;
use vrrp_proto::{
    AddressFamily, AdverInterval, Advertisement, Authentication, ChecksumForm, Envelope, EthernetHeader,
    GratuitousArp, IpHeader, MacAddress, Message, Password, Priority, UnsolicitedAdvertisement, VlanTag,
    Vrid,
};

/// Each frame as tshark dissects it, with every checksum verified.
fn dissect(name: &str, frames: &[Vec<u8>]) -> Vec<Value> {
    let mut capture = Vec::new();
    for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 65_535, 1_u32] {
        capture.extend(word.to_be_bytes());
    }
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap();
        for word in [0, 0, length, length] {
            capture.extend(word.to_be_bytes());
        }
        capture.extend(frame);
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.pcap", std::process::id()));
    fs::write(&file, capture).unwrap();
    let output = Command::new("tshark")
        .args(["-n", "-T", "json", "--no-duplicate-keys"])
        .args(["-o", "ip.check_checksum:TRUE", "-r"])
        .arg(&file)
        .output()
        .unwrap();
    fs::remove_file(&file).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list.len(), frames.len());
    list.into_iter()
        .map(|mut packet| packet["_source"]["layers"].take())
        .collect()
}

/// What stands under a name anywhere in a dissection, all of them in order.
fn values(tree: &Value, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    if let Value::Object(map) = tree {
        for (key, value) in map {
            match value {
                Value::String(text) if key == name => found.push(text.clone()),
                Value::Array(list) if key == name => {
                    found.extend(list.iter().filter_map(|item| item.as_str()).map(str::to_owned));
                }
                other => found.extend(values(other, name)),
            }
        }
    }
    found
}

fn value(tree: &Value, name: &str) -> String {
    let all = values(tree, name);
    assert_eq!(all.len(), 1, "{name} in {tree:#}");
    all[0].clone()
}

fn number(tree: &Value, name: &str) -> u32 {
    let text = value(tree, name);
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

fn listed(tree: &Value, family: AddressFamily) -> Vec<IpAddr> {
    let name = match family {
        AddressFamily::Ipv4 => "vrrp.ip_addr",
        AddressFamily::Ipv6 => "vrrp.ipv6_addr",
    };
    values(tree, name)
        .iter()
        .map(|text| text.parse().unwrap())
        .collect()
}

/// tshark's word for a checksum that is right.
const GOOD: &str = "1";

/// What is written down about each captured frame is what tshark reads in it.
#[test]
#[ignore = "needs tshark"]
fn captured_frames_mean_what_is_written_down() {
    let all = Captured::all();
    let frames: Vec<Vec<u8>> = all.iter().map(|captured| captured.frame.clone()).collect();
    for (captured, tree) in all.iter().zip(dissect("captured", &frames)) {
        let what = &captured.what;
        assert_eq!(
            value(&tree, "eth.src"),
            captured.text("ethernet_source"),
            "{what}"
        );
        assert_eq!(
            value(&tree, "eth.dst"),
            captured.text("ethernet_destination"),
            "{what}"
        );
        match captured.text("kind").as_str() {
            "advertisement" => {
                let family = AddressFamily::of(captured.address("source"));
                assert_eq!(number(&tree, "vrrp.version"), captured.long("version"), "{what}");
                assert_eq!(number(&tree, "vrrp.virt_rtr_id"), captured.long("vrid"), "{what}");
                assert_eq!(number(&tree, "vrrp.prio"), captured.long("priority"), "{what}");
                let interval = match captured.byte("version") {
                    2 => number(&tree, "vrrp.adver_int") * 100,
                    _ => number(&tree, "vrrp.short_adver_int"),
                };
                assert_eq!(interval, captured.long("interval_centiseconds"), "{what}");
                assert_eq!(listed(&tree, family), captured.addresses(), "{what}");
                assert_eq!(value(&tree, "vrrp.checksum.status"), GOOD, "{what}");
            }
            "authentication header" => {
                assert!(!values(&tree, "ah.icv").is_empty(), "{what}");
            }
            "gratuitous arp" => {
                assert_eq!(value(&tree, "arp.src.hw_mac"), captured.text("mac"), "{what}");
                assert_eq!(
                    value(&tree, "arp.src.proto_ipv4"),
                    captured.text("address"),
                    "{what}"
                );
                assert_eq!(value(&tree, "arp.isgratuitous"), "1", "{what}");
            }
            _ => {
                assert_eq!(
                    value(&tree, "icmpv6.nd.na.target_address"),
                    captured.text("address"),
                    "{what}"
                );
                assert_eq!(
                    value(&tree, "icmpv6.opt.linkaddr"),
                    captured.text("mac"),
                    "{what}"
                );
                assert_eq!(value(&tree, "icmpv6.nd.na.flag.r"), "1", "{what}");
                assert_eq!(value(&tree, "icmpv6.nd.na.flag.o"), "1", "{what}");
                assert_eq!(value(&tree, "icmpv6.checksum.status"), GOOD, "{what}");
            }
        }
    }
}

fn frame(envelope: Envelope, ethernet: &EthernetHeader, message: &impl Message) -> Vec<u8> {
    let header = IpHeader::new(envelope);
    let mut buffer = vec![0; ethernet.buffer_len(&header, message)];
    ethernet
        .emit(&header, message, ChecksumForm::Rfc5798, &mut buffer)
        .unwrap();
    buffer
}

/// Frames of our own, short and long, tagged and plain, are what we meant.
#[test]
#[ignore = "needs tshark"]
fn written_frames_are_what_we_meant() {
    let source = Ipv4Addr::new(192, 0, 2, 1);
    let source_6 = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let vrid = Vrid::new(77).unwrap();
    let priority = Priority::new(33);
    let list =
        |count: u8| -> Vec<IpAddr> { (0..count).map(|last| IpAddr::from([192, 0, 2, last])).collect() };
    let list_6 = |count: u16| -> Vec<IpAddr> {
        (0..count)
            .map(|last| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, last).into())
            .collect()
    };
    let tag = VlanTag::customer(100).unwrap();
    let outer = VlanTag::service(200).unwrap();

    let mut frames = Vec::new();
    let mut expected = Vec::new();
    for count in [1, 2, 255] {
        for tags in [vec![], vec![tag], vec![outer, tag]] {
            for kind in 0..3 {
                let (source, addresses) = match kind {
                    2 => (IpAddr::from(source_6), list_6(u16::from(count))),
                    _ => (IpAddr::from(source), list(count)),
                };
                let envelope = Envelope::multicast(source);
                let mac = MacAddress::virtual_router(envelope.family(), vrid);
                let mut ethernet = EthernetHeader::multicast(mac, &envelope).unwrap();
                for tag in &tags {
                    ethernet = ethernet.with_tag(*tag).unwrap();
                }
                let advertisement = match kind {
                    0 => {
                        let password = Authentication::SimplePassword(Password::truncating(b"s3cr"));
                        let interval = AdverInterval::from_seconds(3).unwrap();
                        Advertisement::version_2(vrid, priority, interval, password, addresses.clone())
                    }
                    _ => {
                        let interval = AdverInterval::from_centiseconds(300).unwrap();
                        Advertisement::version_3(vrid, priority, interval, addresses.clone())
                    }
                };
                frames.push(frame(envelope, &ethernet, &advertisement.unwrap()));
                expected.push((kind, tags.len(), envelope, addresses));
            }
        }
    }
    for ((kind, tags, envelope, addresses), tree) in expected.iter().zip(dissect("written", &frames)) {
        assert_eq!(number(&tree, "vrrp.version"), if *kind == 0 { 2 } else { 3 });
        assert_eq!(number(&tree, "vrrp.virt_rtr_id"), 77);
        assert_eq!(number(&tree, "vrrp.prio"), 33);
        assert_eq!(&listed(&tree, envelope.family()), addresses);
        assert_eq!(value(&tree, "vrrp.checksum.status"), GOOD);
        assert_eq!(
            values(&tree, "vlan.id").len() + values(&tree, "ieee8021ad.id").len(),
            *tags
        );
        if *kind == 0 {
            assert_eq!(value(&tree, "vrrp.auth_string"), "s3cr");
        }
        if envelope.source().is_ipv4() {
            assert_eq!(value(&tree, "ip.checksum.status"), GOOD);
            assert_eq!(value(&tree, "ip.ttl"), "255");
        } else {
            assert_eq!(value(&tree, "ipv6.hlim"), "255");
        }
    }
}

/// Announcements of our own are what we meant.
#[test]
#[ignore = "needs tshark"]
fn written_announcements_are_what_we_meant() {
    let mac = MacAddress([0, 0, 0x5e, 0, 1, 77]);
    let tag = VlanTag::customer(100).unwrap();
    let ethernet = EthernetHeader::new(mac, MacAddress::BROADCAST)
        .with_tag(tag)
        .unwrap();
    let vip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
    let mut frames = vec![vec![0; 46], vec![0; 86]];
    GratuitousArp::with_header(ethernet, mac, Ipv4Addr::new(192, 0, 2, 7))
        .emit(&mut frames[0])
        .unwrap();
    UnsolicitedAdvertisement::new(mac, vip)
        .unwrap()
        .with_source(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1))
        .unwrap()
        .with_router(false)
        .emit(&mut frames[1])
        .unwrap();
    let trees = dissect("announcements", &frames);
    assert_eq!(value(&trees[0], "arp.isgratuitous"), "1");
    assert_eq!(value(&trees[0], "arp.src.proto_ipv4"), "192.0.2.7");
    assert_eq!(value(&trees[0], "arp.src.hw_mac"), mac.to_string());
    assert_eq!(value(&trees[0], "vlan.id"), "100");
    assert_eq!(value(&trees[1], "icmpv6.nd.na.target_address"), "2001:db8::7");
    assert_eq!(value(&trees[1], "ipv6.src"), "fe80::1");
    assert_eq!(value(&trees[1], "icmpv6.nd.na.flag.r"), "0");
    assert_eq!(value(&trees[1], "icmpv6.checksum.status"), GOOD);
}
