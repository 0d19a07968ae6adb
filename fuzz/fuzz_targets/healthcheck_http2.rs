//! HTTP/2 servers that send anything: raw bytes, or frames with a sane header and any content. Nothing panics, and every
//! answer ends in a judgement.

#![no_main]

use std::net::SocketAddr;

use healthcheck::{Conversation, Grpc, Http2, Progress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<(u8, u8, u8, Vec<u8>)>, &[u8])| {
    let (choice, frames, raw) = input;
    let addr = SocketAddr::from(([192, 0, 2, 1], 80));
    let mut talk: Box<dyn Conversation> = match choice % 3 {
        0 => Grpc::new("").conversation(addr),
        1 => Grpc::new("a.Service").conversation(addr),
        _ => match Http2::get("/") {
            Ok(check) => check.conversation(addr),
            Err(_) => return,
        },
    };
    let mut out = Vec::new();
    let mut progress = talk.open(&mut out);
    let mut say = |bytes: &[u8], progress: &mut Progress| {
        if *progress == Progress::More && !bytes.is_empty() {
            out.clear();
            *progress = talk.receive(bytes, &mut out);
            assert!(out.len() < 1 << 20, "an answer to nothing");
        }
    };
    if choice < 128 {
        // The server's preface: an empty SETTINGS frame.
        say(&[0, 0, 0, 4, 0, 0, 0, 0, 0], &mut progress);
    }
    for (kind, flags, stream, content) in frames {
        let Ok(length) = u16::try_from(content.len()) else {
            return;
        };
        let [high, low] = length.to_be_bytes();
        let mut frame = vec![0, high, low, kind % 10, flags, 0, 0, 0, stream % 4];
        frame.extend_from_slice(&content);
        say(&frame, &mut progress);
    }
    say(raw, &mut progress);
    if progress == Progress::More {
        progress = talk.closed();
    }
    assert_ne!(
        progress,
        Progress::More,
        "the end of a connection must end the attempt"
    );
});
