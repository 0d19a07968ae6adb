//! Mail, file, shell and database servers that say anything, in any pieces: nothing panics, and where the pieces end does
//! not matter.

#![no_main]

use healthcheck::{Conversation, Dialogue, DialogueStep, Expect, Progress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>, &[u8])| {
    let (choice, cuts, reply) = input;
    let preset = match choice % 9 {
        0 => Dialogue::smtp("check.example"),
        1 => Dialogue::ftp(),
        2 => Dialogue::ssh(),
        3 => Dialogue::telnet(),
        4 => Dialogue::redis(),
        5 => Dialogue::redis_with("secret"),
        6 => Dialogue::mysql("check"),
        7 => Dialogue::postgresql("check"),
        _ => {
            // One's own steps. What they make of the pieces is up to them; only that they survive is ours.
            let steps = Dialogue::new(vec![
                DialogueStep::Expect(Expect::Lacks(b"bad".to_vec())),
                DialogueStep::Send(b"a".to_vec()),
                DialogueStep::Anything,
                DialogueStep::Expect(Expect::contains("b")),
                DialogueStep::Line(b"c".to_vec()),
                DialogueStep::Code(100, 999),
            ]);
            drive(steps.conversation(), reply, &cuts);
            return;
        }
    };
    let whole = drive(preset.conversation(), reply, &[]);
    let pieces = drive(preset.conversation(), reply, &cuts);
    assert_eq!(
        std::mem::discriminant(&whole),
        std::mem::discriminant(&pieces),
        "{whole:?} in one piece, {pieces:?} in several"
    );
});

fn drive(mut talk: Box<dyn Conversation>, mut reply: &[u8], cuts: &[u8]) -> Progress {
    let mut out = Vec::new();
    let mut progress = talk.open(&mut out);
    let mut cuts = cuts.iter().map(|cut| usize::from(*cut) + 1);
    while progress == Progress::More && !reply.is_empty() {
        let (now, later) = reply.split_at(cuts.next().unwrap_or(reply.len()).min(reply.len()));
        out.clear();
        progress = talk.receive(now, &mut out);
        assert!(out.len() < 4_096, "more than any preset has to say");
        reply = later;
    }
    match progress {
        Progress::More => talk.closed(),
        decided => decided,
    }
}
