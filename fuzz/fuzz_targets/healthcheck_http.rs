//! Answers of web servers, from any bytes in any pieces: nothing panics, and where the pieces end does not matter.

#![no_main]

use std::net::SocketAddr;

use healthcheck::{Conversation, Expect, Http, Method, Progress, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>, &[u8])| {
    let (choice, cuts, reply) = input;
    let Some(http) = check(choice) else { return };
    let addr = SocketAddr::from(([192, 0, 2, 1], 80));
    let whole = drive(http.conversation(addr), reply, &[]);
    let pieces = drive(http.conversation(addr), reply, &cuts);
    // Of several requests the second is not sent while the answer to the first is still talking, so there they do.
    if choice % 6 < 4 {
        assert_eq!(
            std::mem::discriminant(&whole),
            std::mem::discriminant(&pieces),
            "{whole:?} in one piece, {pieces:?} in several"
        );
    }
});

fn check(choice: u8) -> Option<Http> {
    let get = || Request::get("/");
    let requests = match choice % 6 {
        0 => vec![get()],
        1 => vec![get().method(Method::Head)],
        2 => vec![get().expect(Expect::contains("fine")).at_most(100)],
        3 => vec![get().expect(Expect::Md5([0; 16]))],
        4 => vec![
            get().expect(Expect::Lacks(b"bad".to_vec())),
            get().status(404).expect(Expect::matches("f[io]+ne").ok()?),
        ],
        _ => vec![get(), get(), get()],
    };
    Some(Http::new(requests).ok()?.keep_alive(choice >= 128))
}

fn drive(mut talk: Box<dyn Conversation>, mut reply: &[u8], cuts: &[u8]) -> Progress {
    let mut out = Vec::new();
    let mut progress = talk.open(&mut out);
    let mut cuts = cuts.iter().map(|cut| usize::from(*cut) + 1);
    while progress == Progress::More && !reply.is_empty() {
        let (now, later) = reply.split_at(cuts.next().unwrap_or(reply.len()).min(reply.len()));
        out.clear();
        progress = talk.receive(now, &mut out);
        assert!(out.len() < 4_096, "a long request that nobody asked for");
        reply = later;
    }
    match progress {
        Progress::More => talk.closed(),
        decided => decided,
    }
}
