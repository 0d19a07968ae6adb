//! A run fed with any datagrams: it ends or waits, never panics, and every item has one outcome.

#![no_main]

use libfuzzer_sys::fuzz_target;
use netlink_batch::{Batch, Change, Limits, Run, Sequence};

fuzz_target!(|datagrams: Vec<Vec<u8>>| {
    let mut batch = Batch::new();
    batch.change(30, Change::PLAIN, |body| body.extend([1; 8]));
    batch.get(30, |_| {});
    batch.dump(30, |_| {});
    batch.change(30, Change::CREATE, |_| {});
    let mut sequence = Sequence::new();
    let mut run = Run::new(&mut batch, Limits::default(), &mut sequence);
    for datagram in &datagrams {
        while run.poll_transmit().is_some() {}
        // An empty one stands for what is lost, one of a single byte for silence.
        match datagram.len() {
            0 => run.handle_loss(),
            1 => run.handle_silence(),
            _ => run.handle_datagram(datagram, |item, _| assert!(item < 4)),
        }
    }
    let report = run.finish();
    assert_eq!(report.len(), 4);
    for index in 0..4 {
        let _ = report.outcome(index);
    }
});
