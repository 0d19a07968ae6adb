//! ipvsadm's language, from any text: nothing panics, and what is read is written and read the same again.

#![no_main]

use ipvs_netlink::{Table, parse_rules, write_rules};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(requests) = parse_rules(text) {
        let written = write_rules(&requests);
        assert_eq!(parse_rules(&written), Ok(requests.clone()), "{written}");
        let _ = Table::from_requests(&requests);
    }
});
