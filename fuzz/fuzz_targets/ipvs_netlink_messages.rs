//! Replies of the kernel and requests, from any bytes: nothing panics, and what is read is written and read the same again.

#![no_main]

use ipvs_netlink::{Family, Reply, Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for family in [Family::V4, Family::V6] {
        if let Ok(reply) = Reply::decode(data, family) {
            let mut bytes = Vec::new();
            reply.encode(&mut bytes);
            let Ok(again) = Reply::decode(&bytes, family) else {
                panic!("{reply:?} is not read again");
            };
            assert_eq!(again, reply);
        }
    }
    for dump in [false, true] {
        if let Ok(request) = Request::decode(data, dump) {
            let mut bytes = Vec::new();
            request.encode(&mut bytes);
            assert_eq!(Request::decode(&bytes, request.is_dump()), Ok(request));
        }
    }
});
