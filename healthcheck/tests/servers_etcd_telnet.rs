//! The health service of gRPC against etcd's, and telnet against BusyBox's.

mod support;

use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use healthcheck::{Check, Dialogue, Expect, FailKind, Grpc, Http, Request, Verdict};
use support::Server;

#[test]
#[ignore = "needs etcd"]
fn grpc() {
    let mut server = Server::start("etcd", |directory, port| {
        let peers = free_port();
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(directory.join("data"));
        for (option, port) in [
            ("--listen-client-urls", port),
            ("--advertise-client-urls", port),
            ("--listen-peer-urls", peers.port()),
            ("--initial-advertise-peer-urls", peers.port()),
        ] {
            command.arg(option).arg(format!("http://127.0.0.1:{port}"));
        }
        command
            .arg("--initial-cluster")
            .arg(format!("default=http://{peers}"))
            .stderr(Stdio::null());
        command
    });
    let status = server.check(Check::new(server.addr, Grpc::new("")));
    assert_eq!(status.verdict, Verdict::Up, "{status:?}");
    let unknown = server.check(Check::new(server.addr, Grpc::new("no.such.Service")));
    let failure = unknown.last_failure.unwrap().1;
    // NOT_FOUND, as the service's documentation asks for.
    assert_eq!(
        (failure.kind, failure.code),
        (FailKind::Status, Some(5)),
        "{failure}"
    );
    let health = Request::get("/health").expect(Expect::contains("true"));
    let status = server.check(Check::new(server.addr, Http::new(vec![health]).unwrap()));
    assert_eq!(status.verdict, Verdict::Up, "{status:?}");
    server.stop();
    let gone = server.check(Check::new(server.addr, Grpc::new("")));
    assert_eq!(gone.last_failure.unwrap().1.kind, FailKind::Refused);
}

#[test]
#[ignore = "needs BusyBox"]
fn telnet() {
    let server = Server::start("telnetd", |_, port| {
        let mut command = Command::new("busybox");
        command
            .args(["telnetd", "-F", "-b", "127.0.0.1", "-l", "/bin/true", "-p"])
            .arg(port.to_string())
            .stderr(Stdio::null());
        command
    });
    let status = server.check(Check::new(server.addr, Dialogue::telnet()));
    assert_eq!(status.verdict, Verdict::Up, "{status:?}");
    let other = server.check(Check::new(server.addr, Dialogue::redis()));
    assert_eq!(other.verdict, Verdict::Down, "negotiation of options is no PONG");
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
