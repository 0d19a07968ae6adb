//! Any bytes as `keepalived.conf`, and what is in them as files it may include: no panic, bounded memory, and what can
//! be printed reads back as the same.

#![no_main]

use std::path::Path;

use keepalived_conf::{Configuration, Limits, Memory, Options};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The text up to a 0xff byte is the main file; what stands behind it can be included.
    let mut parts = data.split(|byte| *byte == 0xff);
    let mut host = Memory::with_file("main.conf", parts.next().unwrap_or_default());
    for (number, part) in parts.take(3).enumerate() {
        host.files.insert(format!("{number}.conf").into(), part.to_vec());
    }
    host.host_name = String::from("a");
    let mut options = Options::default();
    options.limits = Limits { lines: 2_000, bytes: 200_000, files: 16, ..Limits::default() };
    let (configuration, report) = Configuration::read(Path::new("main.conf"), &host, &options);
    let _ = report.render(false);
    let Ok(printed) = configuration.to_keepalived() else { return };
    let (again, _) = Configuration::parse(&printed);
    assert_eq!(configuration, again, "{printed}");
});
