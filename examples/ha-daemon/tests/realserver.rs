//! The real server's half of direct routing and tunnels, in a network namespace of its own.

use std::process::Command;

/// Runs a shell script in a new network namespace; `$DAEMON` is the program, `$RECORD` a file of its own.
fn in_namespace(name: &str, script: &str) -> String {
    let record = std::env::temp_dir().join(format!("ha-daemon-realserver-{}-{name}", std::process::id()));
    let output = Command::new("unshare")
        .args(["--net", "sh", "-ec", script])
        .env("DAEMON", env!("CARGO_BIN_EXE_ha-daemon"))
        .env("RECORD", &record)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(!record.exists(), "the record is left behind: {text}");
    text
}

const STATE: &str =
    "state() { ip -o addr show dev lo | grep -o 'inet6* [^ ]* scope [a-z]*' | grep -v '127\\|::1/' || true
    for scope in all lo; do for switch in arp_ignore arp_announce; do
        echo $scope $switch $(cat /proc/sys/net/ipv4/conf/$scope/$switch); done; done; }\n";

#[test]
#[ignore = "needs root"]
fn the_address_is_taken_in_silence_and_given_back() {
    let script = format!(
        "{STATE}
        state > $RECORD.before
        take() {{ $DAEMON realserver --method dr --record $RECORD --address \"$@\"; }}
        take 10.128.190.248; echo; take 10.128.190.248; take 10.128.190.249 >/dev/null; take 2001:db8::7; echo; state; echo
        $DAEMON doctor | grep 'on lo' || true
        take 10.128.190.249 --undo; take 2001:db8::7 --undo; take 10.128.190.248 --undo
        state | diff $RECORD.before -; rm $RECORD.before"
    );
    let text = in_namespace("taken", &script);
    assert_eq!(
        text,
        "net.ipv4.conf.lo.arp_ignore is 1 instead of 0\n\
         net.ipv4.conf.lo.arp_announce is 2 instead of 0\n\
         net.ipv4.conf.all.arp_ignore is 1 instead of 0\n\
         net.ipv4.conf.all.arp_announce is 2 instead of 0\n\
         10.128.190.248 is on lo\n\
         lo is up\n\n\
         nothing had to be changed\n\
         2001:db8::7 is on lo\n\n\
         inet 10.128.190.248/32 scope host\n\
         inet 10.128.190.249/32 scope host\n\
         inet6 2001:db8::7/128 scope global\n\
         all arp_ignore 1\nall arp_announce 2\nlo arp_ignore 1\nlo arp_announce 2\n\n\
         10.128.190.249 is not on lo any more\n\
         2001:db8::7 is not on lo any more\n\
         10.128.190.248 is not on lo any more\n\
         net.ipv4.conf.all.arp_announce is 0 again\n\
         net.ipv4.conf.all.arp_ignore is 0 again\n\
         net.ipv4.conf.lo.arp_announce is 0 again\n\
         net.ipv4.conf.lo.arp_ignore is 0 again\n"
    );
}

/// Each thing that is found is mended as is advised, and then is not found any more.
#[test]
#[ignore = "needs root"]
fn the_doctor_finds_an_address_that_is_not_quiet() {
    // Two recipes in circulation: one sets one switch twice and the other never, one sets both for `lo`, where no request for
    // an address ever comes in.
    let script = "ip link add here type veth peer name there
        ip addr add 10.128.190.248/32 dev lo
        cd /proc/sys/net/ipv4/conf
        find() { $DAEMON doctor | grep 'on lo\\|on tunl0' || echo none; }
        echo 1 > lo/arp_ignore; echo 2 > lo/arp_announce; find
        echo 2 > all/arp_announce; find
        echo 1 > all/arp_ignore; find
        echo 0 > all/arp_ignore; echo 1 > there/arp_ignore; find";
    assert_eq!(
        in_namespace("doctor", script),
        "warning: 10.128.190.248 is on lo and arp_ignore is 0 for here, there: this host answers ARP for it, past the \
         director; set net.ipv4.conf.all.arp_ignore to 1\n\
         warning: 10.128.190.248 is on lo and arp_announce is not 2 for here, there: this host may announce it; set \
         net.ipv4.conf.all.arp_announce to 2\n\
         warning: 10.128.190.248 is on lo and arp_ignore is 0 for here, there: this host answers ARP for it, past the \
         director; set net.ipv4.conf.all.arp_ignore to 1\n\
         none\n\
         warning: 10.128.190.248 is on lo and arp_ignore is 0 for here: this host answers ARP for it, past the \
         director; set net.ipv4.conf.all.arp_ignore to 1\n"
    );
}
