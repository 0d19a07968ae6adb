//! HTTP, HTTP/2 and TLS against nginx.

mod support;

use std::process::Command;

use healthcheck::{Check, Expect, FailKind, Http, Http2, Request, Tls, Verdict};
use support::Server;

fn nginx() -> (Server, String) {
    let key = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let pem = key.cert.pem();
    let server = Server::start("nginx", |directory, port| {
        std::fs::write(directory.join("cert.pem"), &pem).unwrap();
        std::fs::write(directory.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
        let config = format!(
            "daemon off; master_process off; pid {0}/pid; error_log stderr crit; events {{ }}
             http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f;
               uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
               server {{ listen 127.0.0.1:{port}; location / {{ return 200 'all fine'; }}
                 location /busy {{ return 503 'busy'; }} location /files {{ alias {0}/; }} }}
               server {{ listen 127.0.0.2:{port} ssl http2; ssl_certificate {0}/cert.pem; ssl_certificate_key {0}/key.pem;
                 location / {{ return 200 'all fine'; }} location /busy {{ return 503 'busy'; }} }} }}",
            directory.display()
        );
        std::fs::write(directory.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(directory.join("nginx.conf"));
        command
    });
    (server, pem)
}

#[test]
#[ignore = "needs nginx"]
fn http_and_https_and_http2() {
    let (mut server, pem) = nginx();
    let fine = || Http::new(vec![Request::get("/").expect(Expect::contains("fine"))]).unwrap();
    assert_eq!(server.check(Check::new(server.addr, fine())).verdict, Verdict::Up);
    assert_eq!(
        server
            .check(Check::new(server.addr, fine().keep_alive(true)))
            .verdict,
        Verdict::Up
    );
    let busy = server
        .check(Check::new(server.addr, Http::get("/busy").unwrap()))
        .last_failure
        .unwrap()
        .1;
    assert_eq!((busy.kind, busy.code), (FailKind::Status, Some(503)));
    let digest = Http::new(vec![Request::get("/").expect(Expect::Md5(ALL_FINE))]).unwrap();
    assert_eq!(server.check(Check::new(server.addr, digest)).verdict, Verdict::Up);
    let secure = std::net::SocketAddr::from(([127, 0, 0, 2], server.addr.port()));
    let tls = |protocol: &str| {
        Tls::builder()
            .roots_pem(pem.clone())
            .server_name("a.example")
            .alpn(protocol)
            .build()
            .unwrap()
    };
    assert_eq!(
        server
            .check(Check::new(secure, fine()).over(tls("http/1.1")))
            .verdict,
        Verdict::Up
    );
    let http2 = Http2::get("/").unwrap();
    let status = server.check(Check::new(secure, http2).over(tls("h2")));
    assert_eq!(status.verdict, Verdict::Up, "{status:?}");
    let busy = server
        .check(Check::new(secure, Http2::get("/busy").unwrap()).over(tls("h2")))
        .last_failure
        .unwrap()
        .1;
    assert_eq!((busy.kind, busy.code), (FailKind::Status, Some(503)));
    let stranger = Tls::builder().server_name("a.example").build().unwrap();
    let untrusted = server
        .check(Check::new(secure, fine()).over(stranger))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(untrusted.kind, FailKind::CertificateUntrusted);
    server.stop();
    let gone = server
        .check(Check::new(server.addr, fine()))
        .last_failure
        .unwrap()
        .1;
    assert_eq!(gone.kind, FailKind::Refused);
}

/// Computed by `printf 'all fine' | md5sum`.
const ALL_FINE: [u8; 16] = [
    0xc8, 0x01, 0x17, 0x38, 0x76, 0x38, 0x66, 0x38, 0xd9, 0x51, 0x9a, 0x9e, 0x6d, 0x22, 0xf3, 0xbf,
];
