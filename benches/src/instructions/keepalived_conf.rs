//! Reading a `keepalived.conf`: a virtual server of ten real servers with a check each, which is 66 lines.

use std::fmt::Write as _;
use std::hint::black_box;

use keepalived_conf::Configuration;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("keepalived_conf_read", read),
    ("keepalived_conf_read_tenfold", read_tenfold),
];

fn read(repetitions: u64) {
    read_often(1, repetitions);
}

/// The same number of lines in fewer, longer files.
fn read_tenfold(repetitions: u64) {
    read_often(10, repetitions / 10);
}

fn read_often(servers: usize, repetitions: u64) {
    let text = text(servers);
    for _ in 0..repetitions {
        let (configuration, report) = Configuration::parse(black_box(&text));
        assert_eq!(report.errors() + report.warnings(), 0);
        assert_eq!(black_box(configuration).virtual_server.len(), servers);
    }
}

fn text(servers: usize) -> String {
    let mut text = String::new();
    for server in 1..=servers {
        let head = "delay_loop 6\n    lb_algo wlc\n    lb_kind NAT\n    protocol TCP";
        writeln!(text, "virtual_server 10.0.0.{server} 80 {{\n    {head}").expect("a string takes all");
        for real in 1..=10 {
            let body = "weight 3\n        TCP_CHECK {\n            connect_timeout 3\n        }";
            writeln!(
                text,
                "    real_server 192.168.{server}.{real} 8000 {{\n        {body}\n    }}"
            )
            .expect("a string takes all");
        }
        text.push_str("}\n");
    }
    text
}
