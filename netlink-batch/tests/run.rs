//! The exchange without a socket: a kernel made of a closure answers, loses answers, or stays silent.

use std::num::NonZeroI32;

use netlink_batch::{Batch, Change, Limits, Outcome, Run, Sequence, messages};
use proptest::prelude::*;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const ACK: u16 = 4;

fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn error(sequence: u32, errno: i32) -> Vec<u8> {
    let mut body = (-errno).to_ne_bytes().to_vec();
    body.extend([0; 16]);
    message(ERROR, 0x100, sequence, &body)
}

/// Kind 100 fails with the errno in its body (0: succeeds), 101 is a get, 102 a dump of as many rows as its body says.
fn kernel(window: &[u8]) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    for request in messages(window).map(Result::unwrap) {
        let value = request
            .body
            .first_chunk::<4>()
            .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        match request.kind {
            101 if value == 0 => answers.push(message(101, 0, request.sequence, b"reply")),
            102 => {
                for _ in 0..value {
                    answers.push(message(102, 2, request.sequence, b"row."));
                }
                answers.push(message(DONE, 2, request.sequence, &[0; 4]));
            }
            _ if value != 0 || request.flags & ACK != 0 => answers.push(error(request.sequence, value)),
            _ => {}
        }
    }
    answers
}

/// Drives the run; `deliver` says of each datagram whether it arrives.
fn drive(
    run: &mut Run<'_>,
    mut deliver: impl FnMut(&[u8]) -> bool,
    mut reply: impl FnMut(usize),
) -> Vec<usize> {
    let mut windows = Vec::new();
    while !run.is_finished() {
        let mut queue = Vec::new();
        while let Some(bytes) = run.poll_transmit() {
            windows.push(messages(bytes).count());
            queue.extend(kernel(bytes));
        }
        let mut lost = false;
        for datagram in queue {
            if deliver(&datagram) {
                run.handle_datagram(&datagram, |item, _| reply(item));
            } else if !lost {
                lost = true;
                run.handle_loss();
            }
        }
        if !run.is_finished() {
            run.handle_silence();
        }
    }
    windows
}

fn change(batch: &mut Batch, errno: i32) -> usize {
    batch.change(100, Change::PLAIN, |body| body.extend(errno.to_ne_bytes()))
}

#[test]
fn only_the_last_request_of_a_window_asks_for_an_acknowledgement() {
    let mut batch = Batch::new();
    for _ in 0..5 {
        change(&mut batch, 0);
    }
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    let flags: Vec<u16> = messages(run.poll_transmit().unwrap())
        .map(|m| m.unwrap().flags)
        .collect();
    assert_eq!(flags, [1, 1, 1, 1, 5]);
    assert_eq!(run.poll_transmit(), None);
}

#[test]
fn errors_are_matched_with_their_items() {
    let mut batch = Batch::new();
    for errno in [0, 17, 0, 3, 0] {
        change(&mut batch, errno);
    }
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    assert_eq!(drive(&mut run, |_| true, |_| {}), [5]);
    let report = run.finish();
    let failures: Vec<_> = report
        .failures()
        .map(|(item, failure)| (item, failure.errno.get()))
        .collect();
    assert_eq!(failures, [(1, 17), (3, 3)]);
    assert_eq!(report.outcome(0), Outcome::Done);
    assert!(
        matches!(report.outcome(1), Outcome::Failed(failure) if failure.errno == NonZeroI32::new(17).unwrap())
    );
    assert_eq!(report.outcome(5), Outcome::NotSent);
    assert!(!report.is_clean() && !report.needs_resync());
}

#[test]
fn windows_are_cut_where_the_answers_would_no_longer_fit() {
    let mut batch = Batch::new();
    for _ in 0..500 {
        change(&mut batch, 1);
    }
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::for_buffers(212_992, 212_992), &mut sequence);
    let windows = drive(&mut run, |_| true, |_| {});
    // 832 bytes for an error, as the kernel counts: 256 fit.
    assert!(windows.iter().all(|count| *count <= 256), "{windows:?}");
    assert_eq!(windows.iter().sum::<usize>(), 500);
    assert_eq!(run.finish().failures().count(), 500);
}

#[test]
fn a_request_longer_than_the_limit_goes_by_itself() {
    let mut batch = Batch::new();
    change(&mut batch, 0);
    batch.change(100, Change::PLAIN, |body| body.resize(body.len() + 4000, 0));
    change(&mut batch, 0);
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::for_buffers(2048, 212_992), &mut sequence);
    assert_eq!(drive(&mut run, |_| true, |_| {}), [1, 1, 1]);
    assert!(run.finish().is_clean());
}

#[test]
fn gets_share_a_window_and_dumps_have_one_each() {
    let mut batch = Batch::new();
    change(&mut batch, 0);
    batch.get(101, |_| {});
    batch.dump(102, |body| body.extend(3_i32.to_ne_bytes()));
    batch.dump(102, |body| body.extend(0_i32.to_ne_bytes()));
    batch.get(101, |body| body.extend(2_i32.to_ne_bytes()));
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    let mut replies = Vec::new();
    assert_eq!(drive(&mut run, |_| true, |item| replies.push(item)), [2, 1, 1, 1]);
    assert_eq!(replies, [1, 2, 2, 2]);
    let report = run.finish();
    assert_eq!(report.outcome(3), Outcome::Done);
    assert!(matches!(report.outcome(4), Outcome::Failed(_)));
}

#[test]
fn a_lost_acknowledgement_leaves_the_window_unconfirmed_and_the_next_goes_on() {
    let mut batch = Batch::new();
    for errno in [17, 0, 0] {
        change(&mut batch, errno);
    }
    batch.dump(102, |body| body.extend(1_i32.to_ne_bytes()));
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    let mut arrived = 0;
    let windows = drive(
        &mut run,
        |_| {
            arrived += 1;
            arrived != 2
        },
        |_| {},
    );
    assert_eq!(windows, [3, 1, 1], "the changes, the probe, the dump");
    let report = run.finish();
    assert!(matches!(report.outcome(0), Outcome::Failed(_)));
    assert_eq!(report.outcome(1), Outcome::Unconfirmed);
    assert_eq!(report.outcome(2), Outcome::Unconfirmed);
    assert_eq!(report.outcome(3), Outcome::Done);
    assert_eq!(report.unconfirmed().collect::<Vec<_>>(), [1, 2]);
    assert!(report.needs_resync());
}

#[test]
fn a_kernel_that_never_answers_ends_the_run() {
    let mut batch = Batch::new();
    change(&mut batch, 0);
    change(&mut batch, 0);
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    assert_eq!(
        drive(&mut run, |_| false, |_| {}).len(),
        10,
        "the window and nine probes"
    );
    assert!(run.is_stuck());
    assert_eq!(run.finish().unconfirmed().count(), 2);
}

#[test]
fn answers_to_an_earlier_run_are_ignored() {
    let mut sequence = Sequence::new();
    let mut batch = Batch::new();
    change(&mut batch, 17);
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    let stale = kernel(run.poll_transmit().unwrap());
    drop(run);
    batch.clear();
    change(&mut batch, 0);
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    assert!(run.poll_transmit().is_some());
    run.handle_datagram(&stale[0], |_, _| panic!("no reply was due"));
    assert!(!run.is_finished());
}

#[test]
fn a_dump_of_a_changing_table_is_marked() {
    let mut batch = Batch::new();
    batch.dump(102, |_| {});
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    let number = messages(run.poll_transmit().unwrap())
        .next()
        .unwrap()
        .unwrap()
        .sequence;
    run.handle_datagram(&message(102, 0x12, number, b"row."), |_, _| {});
    run.handle_datagram(&message(DONE, 2, number, &[0; 4]), |_, _| {});
    assert!(run.is_finished());
    assert_eq!(run.finish().outcome(0), Outcome::Interrupted);
}

#[test]
fn the_error_at_the_end_of_a_dump_counts() {
    let mut batch = Batch::new();
    batch.dump(102, |_| {});
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    let number = messages(run.poll_transmit().unwrap())
        .next()
        .unwrap()
        .unwrap()
        .sequence;
    run.handle_datagram(&message(DONE, 2, number, &(-22_i32).to_ne_bytes()), |_, _| {});
    assert!(matches!(run.finish().outcome(0), Outcome::Failed(failure) if failure.errno.get() == 22));
}

#[test]
fn the_kernels_words_are_kept() {
    let mut batch = Batch::new();
    change(&mut batch, 0);
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    let number = messages(run.poll_transmit().unwrap())
        .next()
        .unwrap()
        .unwrap()
        .sequence;
    // Not capped: the request of 20 bytes is repeated before the attributes.
    let mut body = (-22_i32).to_ne_bytes().to_vec();
    body.extend(20_u32.to_ne_bytes());
    body.extend([0; 16]);
    body.extend([12, 0, 1, 0]);
    body.extend(b"no such");
    body.push(0);
    body.extend([8, 0, 2, 0]);
    body.extend(16_u32.to_ne_bytes());
    if cfg!(target_endian = "big") {
        return;
    }
    run.handle_datagram(&message(ERROR, 0x200, number, &body), |_, _| {});
    let report = run.finish();
    let Outcome::Failed(failure) = report.outcome(0) else {
        panic!("{report:?}");
    };
    assert_eq!(failure.message.as_deref(), Some("no such"));
    assert_eq!(failure.offset, Some(16));
}

proptest! {
    /// Whatever is lost, each item ends in exactly one outcome, none that failed is called done, and the run ends.
    #[test]
    fn no_failure_is_ever_called_done(
        errnos in prop::collection::vec(prop_oneof![Just(0), 1..40], 1..120),
        losses in prop::collection::vec(any::<bool>(), 0..200),
        receive in 4096_usize..40_000,
    ) {
        let mut batch = Batch::new();
        for errno in &errnos {
            change(&mut batch, *errno);
        }
        let mut sequence = Sequence::new();
        let mut run = Run::new(&mut batch, Limits::for_buffers(100_000, receive), &mut sequence);
        let mut losses = losses.into_iter();
        drive(&mut run, |_| !losses.next().unwrap_or(false), |_| {});
        let stuck = run.is_stuck();
        let report = run.finish();
        for (index, errno) in errnos.iter().enumerate() {
            match report.outcome(index) {
                Outcome::Done => prop_assert_eq!(*errno, 0),
                Outcome::Failed(failure) => prop_assert_eq!(failure.errno.get(), *errno),
                Outcome::Unconfirmed => {}
                Outcome::NotSent => prop_assert!(stuck),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    /// Bytes from anywhere are taken without a panic.
    #[test]
    fn any_bytes_are_taken(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..20)) {
        let mut batch = Batch::new();
        change(&mut batch, 0);
        batch.get(101, |_| {});
        batch.dump(102, |_| {});
        let mut sequence = Sequence::new();
        let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
        for datagram in datagrams {
            while run.poll_transmit().is_some() {}
            run.handle_datagram(&datagram, |_, _| {});
        }
        prop_assert_eq!(run.finish().len(), 3);
    }
}
