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

/// Whoever is killed, at whatever moment, leaves behind what is needed to put everything back.
#[test]
#[ignore = "needs root"]
fn killed_in_the_middle_it_can_be_undone() {
    let script = format!(
        "{STATE}
        ip link set lo up; state > $RECORD.before
        for n in 1 2 3 4 5 6 7 8 9; do
            $DAEMON realserver --method dr --record $RECORD --address 10.9.9.$n >/dev/null & sleep 0.00$n; kill -9 $! 2>/dev/null || true
            wait $! 2>/dev/null || true
        done
        for n in 1 2 3 4 5 6 7 8 9; do $DAEMON realserver --method dr --record $RECORD --address 10.9.9.$n >/dev/null; done
        for n in 1 2 3 4 5 6 7 8 9; do $DAEMON realserver --method dr --record $RECORD --address 10.9.9.$n --undo >/dev/null; done
        rm -f $RECORD.new; state | diff $RECORD.before - && rm $RECORD.before && echo as before"
    );
    assert_eq!(in_namespace("killed", &script), "as before\n");
}

/// A stand-in has the name of the tunnel's interface: what is done to it and found about it is the same.
#[test]
#[ignore = "needs root"]
fn the_interface_of_a_tunnel_is_raised_and_lowered_and_what_is_wrong_with_it_is_found() {
    let script = "echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
        ip link show tunl0 >/dev/null 2>&1 || ip link add tunl0 type veth peer name far
        take() { $DAEMON realserver --method tun --record $RECORD --address 10.9.9.9 \"$@\" | grep -v net.ipv4 || true; }
        find() { $DAEMON doctor | grep 'on tunl0' || echo none; }
        take; take; find
        ip link set tunl0 down; find; ip link set tunl0 up
        echo 1 > /proc/sys/net/ipv4/conf/tunl0/rp_filter; find
        take --undo
        ip -o link show tunl0 | grep -o 'state [A-Z]*'";
    assert_eq!(
        in_namespace("tunnel", script),
        "10.9.9.9 is on tunl0\ntunl0 is up\n\
         nothing had to be changed\n\
         none\n\
         warning: 10.9.9.9 is on tunl0, which is down: nothing comes out of the tunnel; ip link set tunl0 up\n\
         warning: 10.9.9.9 is on tunl0 and rp_filter is 1: what comes out of the tunnel is dropped; set \
         net.ipv4.conf.tunl0.rp_filter to 2\n\
         10.9.9.9 is not on tunl0 any more\ntunl0 is down again\n\
         state DOWN\n"
    );
}
