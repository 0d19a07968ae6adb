//! The host that checks ask: web servers, a mail server, a name server and one that answers `pong`.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Serves until it is killed.
pub(crate) fn serve() {
    let config = Arc::new(tls());
    thread::spawn(|| listen(25, mail));
    thread::spawn(|| answer(53, name));
    thread::spawn(|| answer(7, |_| b"pong".to_vec()));
    thread::spawn(|| {
        listen(443, move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(connection, stream);
            web(&mut stream)?;
            stream.conn.send_close_notify();
            stream.flush()
        });
    });
    // The one that is waited for comes last.
    listen(80, |mut stream| web(&mut stream));
}

fn listen(port: u16, talk: impl Fn(TcpStream) -> io::Result<()> + Clone + Send + 'static) {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    for stream in listener.incoming().flatten() {
        let talk = talk.clone();
        // One that ends in the middle was a check that wanted no more.
        thread::spawn(move || talk(stream));
    }
}

fn answer(port: u16, reply: impl Fn(&[u8]) -> Vec<u8>) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
    let mut question = [0; 512];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut question) {
            let _ = socket.send_to(&reply(&question[..length]), from);
        }
    }
}

/// `ok` at `/`, and at `/named` for those who ask for the right name.
fn web(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let mut request = [0; 4096];
    let length = stream.read(&mut request)?;
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let is_named = request.to_lowercase().contains("\r\nhost: named.example");
    let status = match path {
        "/" => "200 OK",
        "/named" if is_named => "200 OK",
        "/moved" => "301 Moved\r\nLocation: /",
        // A check that only connects.
        "" => return Ok(()),
        _ => "404 Not Found",
    };
    write!(
        stream,
        "HTTP/1.0 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    )?;
    stream.flush()
}

/// Knows everybody but those whose names begin with `refused`.
fn mail(mut stream: TcpStream) -> io::Result<()> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    stream.write_all(b"220 mail.example\r\n")?;
    for line in lines {
        let line = line?;
        let reply = match line.get(..4) {
            Some("HELO" | "EHLO") if !line.contains(" refused") => "250 mail.example\r\n",
            Some("QUIT") => "221 bye\r\n",
            _ => "550 no\r\n",
        };
        stream.write_all(reply.as_bytes())?;
        if reply.starts_with("221") {
            break;
        }
    }
    Ok(())
}

/// The question as an answer without anything in it, refused if the name begins with that word.
fn name(question: &[u8]) -> Vec<u8> {
    let mut reply = question.to_vec();
    let is_refused = question.windows(7).any(|part| part == b"refused");
    if let [_, _, flags, code, ..] = &mut reply[..] {
        *flags |= 0x80;
        *code = if is_refused { 5 } else { 0 };
    }
    reply
}

fn tls() -> ServerConfig {
    let key = rcgen::generate_simple_self_signed(["named.example".to_owned()]).unwrap();
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], secret)
        .unwrap()
}
