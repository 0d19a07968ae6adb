//! Any bytes as a journal: it is explained or refused line by line, or as a whole where no line is one of a journal, in bounded
//! memory, and every remark can be written.

#![no_main]

use ha_stack::Replay;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut remarks = 0;
    let read = Replay::read(data, |remark| {
        assert!(!remark.to_string().is_empty());
        remarks += 1;
    });
    assert!(
        read.is_ok() || remarks == 0,
        "memory can always be read, and what is no journal is not explained"
    );
    // A line of a journal is worth a few remarks and no more.
    let given = data.iter().filter(|byte| **byte == b'\n').count() + data.len() / 65_536;
    assert!(remarks <= 600 * (given + 2), "{remarks} remarks of {given} lines");
});
