//! Any line on the control socket: it is a request or it is not, and a request that is written reads back as the same.

#![no_main]

use ha_stack::{Request, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(request) = serde_json::from_slice::<Request>(data) {
        let text = serde_json::to_string(&request).expect("a request can be written");
        assert_eq!(serde_json::from_str::<Request>(&text).expect("and read"), request);
    }
    // The client reads what the daemon answers.
    let _ = serde_json::from_slice::<Response>(data);
});
