//! Every option of virtual servers, real servers and checks, at and beyond its bounds.

/// One text for each.
pub(crate) fn cases() -> Vec<String> {
    let service = "protocol TCP\nlvs_sched rr\nlvs_method NAT\n";
    let real = "real_server 10.0.0.2 80 {\nTCP_CHECK {\n}\n}\n";
    let mut cases = Vec::new();
    for lines in VIRTUAL {
        cases.push(format!(
            "virtual_server 10.0.0.1 80 {{\n{service}{lines}\n{real}}}\n"
        ));
    }
    for whole in WHOLE {
        cases.push(format!(
            "{whole} {{\nreal_server 10.0.0.2 80 {{\nTCP_CHECK {{\n}}\n}}\n}}\n"
        ));
    }
    for lines in REAL {
        cases.push(format!(
            "virtual_server 10.0.0.1 80 {{\n{service}real_server 10.0.0.2 80 {{\n{lines}\n}}\n}}\n"
        ));
    }
    for check in ["TCP_CHECK", "PING_CHECK", "UDP_CHECK", "DNS_CHECK", "SMTP_CHECK"] {
        for lines in EVERY_CHECK {
            cases.push(format!(
                "virtual_server 10.0.0.1 80 {{\n{service}real_server 10.0.0.2 80 {{\n{check} {{\n{lines}\n}}\n}}\n}}\n"
            ));
        }
    }
    for lines in GROUP {
        cases.push(format!(
            "virtual_server_group G {{\n{lines}\n}}\nvirtual_server group G {{\n{service}{real}}}\n"
        ));
    }
    for line in GLOBAL {
        cases.push(format!(
            "global_defs {{\n{line}\n}}\nvirtual_server 10.0.0.1 80 {{\n{service}{real}}}\n"
        ));
    }
    cases
}

const VIRTUAL: &[&str] = &[
    "protocol UDP\nops",
    "protocol SCTP",
    "protocol elephant",
    "protocol tcp",
    "lvs_sched twos",
    "lvs_sched mh\nmh-port\nmh-fallback",
    "lvs_sched sh\nsh-port\nsh-fallback",
    "sh-port",
    "mh-fallback",
    "hashed",
    "flag-1\nflag-2\nflag-3",
    "ops",
    "lvs_method DR",
    "lvs_method TUN type ipip",
    "lvs_method TUN type gre csum",
    "lvs_method TUN type gre remcsum",
    "lvs_method TUN type gue port 6080 remcsum",
    "lvs_method TUN type ipip port 5",
    "persistence_timeout 50",
    "persistence_timeout",
    "persistence_timeout 2678400",
    "persistence_timeout 2678401",
    "persistence_timeout 0",
    "persistence_granularity 255.255.0.0",
    "persistence_granularity 24",
    "persistence_granularity 255.255.0.x",
    "persistence_engine sip",
    "delay_loop x",
    "delay_loop 0",
    "delay_loop 0.5",
    "delay_loop 86400",
    "connect_timeout 0",
    "connect_timeout 4294",
    "connect_timeout 4295",
    "retry 0",
    "retry 1",
    "delay_before_retry 0",
    "delay_before_retry 5000",
    "warmup 0",
    "warmup 5000",
    "warmup -1",
    "weight 0",
    "weight 5",
    "weight 2147483648",
    "inhibit_on_failure",
    "alpha",
    "omega",
    "quorum 0",
    "quorum 1",
    "quorum 5",
    "quorum 1\nhysteresis 1",
    "weight 3\nquorum 2\nhysteresis 1",
    "weight 3\nquorum 3\nhysteresis 2",
    "weight 3\nquorum 9\nhysteresis 8",
    "hysteresis -1",
    "sorry_server 10.0.0.9 80",
    "sorry_server 10.0.0.9",
    "sorry_server 10.0.0.9 80\nsorry_server_inhibit",
    "sorry_server_inhibit",
    "sorry_server 10.0.0.9 80\nsorry_server_lvs_method DR",
    "sorry_server_lvs_method DR",
    "sorry_server 2001:db8::9 80",
    "sorry_server 2001:db8::9 80\nsorry_server_lvs_method TUN",
    "ha_suspend",
    "smtp_alert",
    "smtp_alert maybe",
    "virtualhost x.example",
    "snmp_name x",
    "ip_family inet",
];

const WHOLE: &[&str] = &[
    "virtual_server 10.0.0.1 0",
    "virtual_server 10.0.0.1",
    "virtual_server 10.0.0.1 65535",
    "virtual_server fwmark 0",
    "virtual_server fwmark 7",
    "virtual_server fwmark x",
    "virtual_server fwmark 7 {\nprotocol TCP\nlvs_sched rr\nlvs_method NAT\nreal_server 10.0.0.2 80 {\nTCP_CHECK {\n}\n}\n}\nvirtual_server fwmark 8",
    "virtual_server 2001:db8::1 80",
];

/// What is not here since keepalived 2.2.7 ends at it by a signal: a check of pages without a `url`, or with one without a `path`.
const REAL: &[&str] = &[
    "weight -1",
    "weight 0",
    "weight 2147483647\nTCP_CHECK {\n}",
    "weight 2147483648\nTCP_CHECK {\n}",
    "lvs_method QQ",
    "lvs_method DR\nTCP_CHECK {\n}",
    "inhibit_on_failure",
    "inhibit_on_failure no",
    "inhibit_on_failure maybe",
    "alpha",
    "alpha off",
    "uthreshold 5",
    "uthreshold -1",
    "lthreshold 5\nuthreshold 2",
    "retry 0",
    "retry 3",
    "delay_before_retry 0.25",
    "warmup 0",
    "connect_timeout 4295",
    "delay_loop 86400",
    "smtp_alert off",
    "virtualhost x.example",
    "snmp_name x",
    "TCP_CHECK {\nelephant\n}",
    "HTTP_GET {\nurl {\npath /\nstatus_code 200\n}\nretry 0\n}",
    "HTTP_GET {\nurl {\npath /\nstatus_code 20x\n}\n}",
    "HTTP_GET {\nurl {\npath /\nstatus_code 200-299 302 400-404\n}\n}",
    "HTTP_GET {\nurl {\npath /\nstatus_code 99\n}\n}",
    "HTTP_GET {\nurl {\npath /\nstatus_code 999\n}\n}",
    "HTTP_GET {\nurl {\npath /\nstatus_code 1000\n}\n}",
    "HTTP_GET {\nurl {\npath /\nvirtualhost x.example\n}\nvirtualhost y\n}",
    "HTTP_GET {\nhttp_protocol 1.1\nurl {\npath /\n}\n}",
    "HTTP_GET {\nhttp_protocol 1.0C\nurl {\npath /\n}\n}",
    "HTTP_GET {\nhttp_protocol 2\nurl {\npath /\n}\n}",
    "HTTP_GET {\nfast_recovery\nurl {\npath /\n}\n}",
    "SSL_GET {\nenable_sni\nurl {\npath /\n}\n}",
    "SMTP_CHECK {\nhelo_name x\n}",
    "SMTP_CHECK {\nhost {\nconnect_port 26\n}\n}",
    "DNS_CHECK {\ntype ELEPHANT\n}",
    "DNS_CHECK {\ntype AAAA\nname www.example.org\n}",
    "UDP_CHECK {\nrequire_reply\n}",
    "UDP_CHECK {\npayload 0123\nrequire_reply 01XX\nmin_reply_length 2\nmax_reply_length 4\n}",
    "UDP_CHECK {\nrequire_reply\nmin_reply_length 9\nmax_reply_length 5\n}",
    "UDP_CHECK {\nmin_reply_length 65536\n}",
    "FILE_CHECK {\n}",
    "FILE_CHECK {\ntrack_file none\n}",
    "MISC_CHECK {\n}",
    "MISC_CHECK {\nmisc_path /bin/true\nmisc_timeout 4294\n}",
];

const EVERY_CHECK: &[&str] = &[
    "",
    "connect_timeout 0",
    "connect_timeout 3",
    "connect_timeout 4295",
    "connect_port 0",
    "connect_port 70000",
    "connect_ip 10.0.0.3\nconnect_port 81\nbindto 10.0.0.4\nbind_port 1234",
    "connect_ip 10.0.0.300",
    "retry 0\ndelay_before_retry 0\nwarmup 0\ndelay_loop 86400",
    "retry -1",
    "delay_loop 0",
    "fwmark 7",
    "fwmark x",
    "alpha\nlog_all_failures",
];

const GROUP: &[&str] = &[
    "10.0.0.1 80",
    "10.0.0.1-9 80",
    "10.0.0.9-1 80",
    "10.0.0.1-10.0.0.9 80",
    "10.0.0.0/29 80",
    "10.0.0.1-256 80",
    "ae00::2-9 80",
    "fwmark 7",
    "fwmark 0",
    "10.0.0.x 80",
    "10.0.0.1 70000",
    "",
];

const GLOBAL: &[&str] = &[
    "lvs_flush",
    "lvs_flush_on_stop",
    "lvs_flush_on_stop VS",
    "lvs_timeouts tcp 900 tcpfin 120 udp 300",
    "lvs_timeouts tcp 0",
    "lvs_timeouts tcp 2678401",
    "lvs_timeouts elephant 5",
    "lvs_sync_daemon @INTERFACE@",
    "lvs_sync_daemon @INTERFACE@ id 255 maxlen 1000 port 8848 ttl 8 group 224.0.0.99",
    "lvs_sync_daemon @INTERFACE@ id 256",
    "lvs_sync_daemon @INTERFACE@ inst nobody",
    "rs_init_notifies",
    "checker_log_all_failures on",
];
