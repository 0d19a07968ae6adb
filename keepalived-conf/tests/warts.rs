//! Files as they are found in the field, with everything that is odd about them.

mod support;

use support::{errors, read, shown};

#[test]
fn a_web_pair_is_read_with_a_warning_for_each_wart() {
    let (configuration, report) = read(include_str!("fixtures/web-pair.conf"));
    assert_eq!(errors(&report), Vec::<String>::new());
    assert_eq!(report.exit_code(false), 0);
    assert_eq!(report.exit_code(true), 1);
    assert_eq!(report.keepalived_exit_code(), 5);
    let shown = shown(&report);
    let has = |text: &str| assert!(shown.iter().any(|line| line.contains(text)), "{text}: {shown:#?}");
    has("13:11 warning the script of `maintenance` is shell syntax, not a program: it is never run");
    has("18:11 warning scripts run as root, and nobody checks who may change them");
    has("30:9 warning the password is cut to its first 8 bytes, `correcth`");
    has("33:33 warning unknown option `labelenp3s0f0:0` in `virtual_ipaddress`");
    let router = &configuration.vrrp_instance[0];
    assert_eq!(router.virtual_router_id, Some(71));
    assert_eq!(router.virtual_ipaddress[0].label, None);
    assert_eq!(router.track_script.len(), 2);
    let label = report
        .diagnostics()
        .iter()
        .find(|each| each.message.contains("label"))
        .unwrap();
    assert!(label.advice.as_ref().unwrap().contains("`label enp3s0f0:0`"));
}

#[test]
fn comments_stand_anywhere_in_any_script() {
    let (configuration, report) = read(include_str!("fixtures/two-active.conf"));
    assert_eq!(errors(&report), Vec::<String>::new());
    let vrids: Vec<_> = configuration
        .vrrp_instance
        .iter()
        .map(|each| each.virtual_router_id)
        .collect();
    assert_eq!(vrids, [Some(171), Some(172)]);
    assert_eq!(report.keepalived_exit_code(), 5);
}

#[test]
fn a_mail_server_that_leads_nowhere_and_a_missing_script_are_warnings() {
    let (configuration, report) = read(include_str!("fixtures/proxy-pair.conf"));
    assert_eq!(errors(&report), Vec::<String>::new());
    let shown = shown(&report);
    let has = |text: &str| assert!(shown.iter().any(|line| line.contains(text)), "{text}: {shown:#?}");
    has("8:17 warning `mail.proxy.invalid` leads to no address now");
    has("15:12 warning `/etc/keepalived/proxy_alive.sh` is not found");
    assert_eq!(configuration.global_defs.unwrap().notification_email.len(), 2);
    assert_eq!(configuration.vrrp_script[0].fall, Some(3));
}

#[test]
fn a_balancer_says_what_its_zero_persistence_and_its_homeless_address_mean() {
    let (configuration, report) = read(include_str!("fixtures/balancer.conf"));
    assert_eq!(errors(&report), Vec::<String>::new());
    let shown = shown(&report);
    let has = |text: &str| assert!(shown.iter().any(|line| line.contains(text)), "{text}: {shown:#?}");
    has("25:23 warning `persistence_timeout 0` is refused by keepalived, and leaves persistence off");
    has("no virtual router holds 203.0.113.118");
    assert_eq!(configuration.virtual_server[0].persistence_timeout, None);
    assert_eq!(
        configuration.virtual_server[0].real_server[1].tcp_check[0].retry,
        Some(3)
    );
}

#[test]
fn a_file_without_a_mistake_has_no_diagnostics_but_for_what_is_not_supported() {
    let (configuration, report) = read(include_str!("fixtures/everything.conf"));
    let other: Vec<_> = shown(&report)
        .into_iter()
        .filter(|line| !line.contains("is not supported"))
        .collect();
    assert_eq!(other, Vec::<String>::new());
    assert_eq!(configuration.virtual_server.len(), 2);
    let words = configuration.vrrp_instance[0].notify.as_ref().unwrap().words();
    assert_eq!(words, ["/bin/true", "two words"]);
}
