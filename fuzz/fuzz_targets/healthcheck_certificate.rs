//! The end of a certificate's life, read out of any bytes: nothing panics, and what is found lies between 1970 and 9999.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|certificate: &[u8]| {
    if let Some(end) = healthcheck::fuzzing::not_after(certificate) {
        assert!(end < 253_402_300_801);
    }
});
