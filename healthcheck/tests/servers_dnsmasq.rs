//! DNS against dnsmasq.

mod support;

use std::process::Command;

use healthcheck::{Check, Dns, FailKind, Verdict};
use support::Server;

#[test]
#[ignore = "needs dnsmasq"]
fn questions_of_several_types() {
    let mut server = Server::start("dnsmasq", |_, port| {
        let mut command = Command::new("dnsmasq");
        command.args([
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--conf-file=/dev/null",
            "--user=root",
        ]);
        command.args([
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            &format!("--port={port}"),
            "--pid-file=",
        ]);
        command.args([
            "--host-record=a.example,10.0.0.1,2001:db8::1",
            "--txt-record=a.example,hello",
        ]);
        command.args(["--mx-host=a.example,mail.example,5", "--local=/example/"]);
        command
    });
    let ask = |dns: Dns| server.check(Check::new(server.addr, dns));
    let a = || Dns::new("a.example", 1).unwrap();
    assert_eq!(ask(a().expect_address([10, 0, 0, 1].into())).verdict, Verdict::Up);
    let aaaa = Dns::new("a.example", 28)
        .unwrap()
        .expect_address("2001:db8::1".parse().unwrap());
    assert_eq!(ask(aaaa).verdict, Verdict::Up);
    for kind in [15, 16] {
        assert_eq!(
            ask(Dns::new("a.example", kind).unwrap().at_least(1)).verdict,
            Verdict::Up,
            "type {kind}"
        );
    }
    let wrong = ask(a().expect_address([10, 0, 0, 9].into()))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(wrong.kind, FailKind::Mismatch);
    let nobody = ask(Dns::new("b.example", 1).unwrap()).last_failure.unwrap().1;
    assert_eq!(
        (nobody.kind, nobody.code),
        (FailKind::Status, Some(3)),
        "NXDOMAIN"
    );
    let refused = ask(Dns::root()).last_failure.unwrap().1;
    assert_eq!(
        (refused.kind, refused.code),
        (FailKind::Status, Some(5)),
        "nobody to ask about the root"
    );
    server.stop();
    let gone = server.check(Check::new(server.addr, a())).last_failure.unwrap().1;
    assert_eq!(gone.kind, FailKind::Refused);
}
