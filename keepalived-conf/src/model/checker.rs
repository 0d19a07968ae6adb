//! The checks of a real server, but for HTTP.

use std::net::IpAddr;

use crate::command::Command;
use crate::keyword::{
    ADDRESS, BOOL, FLAG, INTERFACE, LONGEST, Range, SCRIPT, VITAL, WORD, YES, count, int, secs, text,
};
use crate::macros::{block, words};
use crate::model::raw::Raw;
use crate::model::track::{User, Weight};
use crate::value::Seconds;

/// A check that connects to something: what all of them share, then what is its own.
macro_rules! check {
    (
        $(#[doc = $about:literal])+
        $name:ident = $owner:literal, [$($retry:literal),+] {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $type:ty = [$first:literal $(, $alias:literal)*], $range:expr, $default:literal, $support:expr;
            )*
        }
    ) => {
        crate::macros::block! {
            $(#[doc = $about])+
            $name = $owner {
                $($(#[doc = $doc])+ $field: $type = [$first $(, $alias)*], $range, $default, $support;)*
                /// Connects there instead of to the real server.
                connect_ip: Option<std::net::IpAddr> = ["connect_ip"], crate::keyword::ADDRESS, "that of the real server", crate::keyword::YES;
                /// Connects to this port instead.
                connect_port: Option<u16> = ["connect_port"], crate::keyword::int(1, 65_535), "that of the real server", crate::keyword::YES;
                /// The source address.
                bindto: Option<std::net::IpAddr> = ["bindto"], crate::keyword::ADDRESS, "chosen by the kernel", crate::keyword::YES;
                /// The source port.
                bind_port: Option<u16> = ["bind_port"], crate::keyword::int(1, 65_535), "chosen by the kernel", crate::keyword::YES;
                /// The interface of a link-local source.
                bind_if: Option<String> = ["bind_if"], crate::keyword::INTERFACE, "none", crate::keyword::YES;
                /// How long to wait for an answer.
                connect_timeout: Option<crate::value::Seconds> = ["connect_timeout"], crate::keyword::Range::Seconds { least: 1, most: 4_294_967_295 }, "that of the real server", crate::keyword::YES;
                /// The mark of its packets.
                fwmark: Option<u32> = ["fwmark"], crate::keyword::int(0, 4_294_967_295), "none", crate::keyword::YES;
                /// So many failures in a row are forgiven.
                retry: Option<u32> = [$($retry),+], crate::keyword::count(0, 4_294_967_295, "attempts"), "1; DNS_CHECK 3", crate::keyword::YES;
                /// How long after a failure the next attempt begins.
                delay_before_retry: Option<crate::value::Seconds> = ["delay_before_retry"], crate::keyword::secs(0, crate::keyword::LONGEST), "1 s; HTTP_GET and SSL_GET 3 s; DNS_CHECK `delay_loop`", crate::keyword::YES;
                /// The first check begins at random within so long.
                warmup: Option<crate::value::Seconds> = ["warmup"], crate::keyword::secs(0, crate::keyword::LONGEST), "that of the real server", crate::keyword::YES;
                /// From one check to the next.
                delay_loop: Option<crate::value::Seconds> = ["delay_loop"], crate::keyword::secs(1, crate::keyword::LONGEST), "that of the real server", crate::keyword::YES;
                /// Down until it has succeeded.
                alpha: Option<bool> = ["alpha"], crate::keyword::BOOL, "that of the real server", crate::keyword::YES;
                /// Logs each failed attempt.
                log_all_failures: Option<bool> = ["log_all_failures"], crate::keyword::BOOL, "`checker_log_all_failures`", crate::keyword::YES;
            }
        }
    };
}
pub(crate) use check;

check! {
    /// A connection can be made.
    TcpCheck = "TCP_CHECK", ["retry"] {}
}

check! {
    /// An echo comes back.
    PingCheck = "PING_CHECK", ["retry"] {}
}

check! {
    /// Mail is taken: banner, greeting, farewell.
    SmtpCheck = "SMTP_CHECK", ["retry"] {
        /// How we call ourselves.
        helo_name: Option<String> = ["helo_name"], WORD, "smtpchecker.keepalived.org", YES;
        /// Another place that is asked; an old form.
        host: Vec<SmtpHost> = ["host"], Range::Block("connection options"), "the real server", YES;
    }
}

block! {
    /// A place that an SMTP check asks.
    SmtpHost = "host" {
        /// Connects there.
        connect_ip: Option<IpAddr> = ["connect_ip"], ADDRESS, "that of the real server", YES;
        /// Connects to this port.
        connect_port: Option<u16> = ["connect_port"], int(1, 65_535), "that of the real server", YES;
        /// The source address.
        bindto: Option<IpAddr> = ["bindto"], ADDRESS, "chosen by the kernel", YES;
        /// The source port.
        bind_port: Option<u16> = ["bind_port"], int(1, 65_535), "chosen by the kernel", YES;
        /// The interface of a link-local source.
        bind_if: Option<String> = ["bind_if"], INTERFACE, "none", YES;
        /// How long to wait for an answer.
        connect_timeout: Option<Seconds> = ["connect_timeout"], secs(1, 4_294_967), "that of the check", YES;
        /// The mark of its packets.
        fwmark: Option<u32> = ["fwmark"], int(0, 4_294_967_295), "none", YES;
    }
}

check! {
    /// A question is answered without an error.
    DnsCheck = "DNS_CHECK", ["retry"] {
        /// What is asked for.
        kind: Option<DnsType> = ["type"], Range::OneOf(DnsType::WORDS), "SOA", YES;
        /// About what.
        name: Option<String> = ["name"], WORD, ".", YES;
    }
}

words! {
    /// The kind of record that is asked for.
    DnsType {
        /// Authority.
        Soa = ["SOA"],
        /// IPv4 address.
        A = ["A"],
        /// Name server.
        Ns = ["NS"],
        /// Other name.
        Cname = ["CNAME"],
        /// Mail server.
        Mx = ["MX"],
        /// Text.
        Txt = ["TXT"],
        /// IPv6 address.
        Aaaa = ["AAAA"],
    }
}

check! {
    /// A datagram is answered, or at least not refused.
    UdpCheck = "UDP_CHECK", ["retry"] {
        /// What is sent, in hexadecimal.
        payload: Option<Raw> = ["payload"], text("hexadecimal"), "random", YES;
        /// An answer must come, and match where a pattern is given: hexadecimal, `X` for anything.
        require_reply: Option<Raw> = ["require_reply"], text("[hexadecimal]"), "silence is success", YES;
        /// The shortest answer.
        min_reply_length: Option<u32> = ["min_reply_length"], count(0, 65_535, "bytes"), "0", YES;
        /// The longest answer.
        max_reply_length: Option<u32> = ["max_reply_length"], count(0, 65_535, "bytes"), "255", YES;
    }
}

block! {
    /// A script succeeds.
    MiscCheck = "MISC_CHECK" {
        /// The command. Status 0 is success, 1 failure; 2 to 255 are success too where the weight is dynamic.
        misc_path: Option<Command> = ["misc_path"], SCRIPT, "required", VITAL;
        /// After so long it is ended, and has failed.
        misc_timeout: Option<Seconds> = ["misc_timeout"], secs(1, 4_294_000), "`delay_loop` of the virtual server", YES;
        /// The status less two becomes the weight.
        misc_dynamic: bool = ["misc_dynamic"], FLAG, "off", YES;
        /// As whom it is run.
        user: Option<User> = ["user"], text("user [group]"), "`script_user`", VITAL;
        /// So many failures in a row are forgiven.
        retry: Option<u32> = ["retry"], count(0, 4_294_967_295, "attempts"), "0", YES;
        /// How long after a failure the next attempt begins.
        delay_before_retry: Option<Seconds> = ["delay_before_retry"], secs(0, LONGEST), "1 s", YES;
        /// The first check begins at random within so long.
        warmup: Option<Seconds> = ["warmup"], secs(0, LONGEST), "that of the real server", YES;
        /// From one check to the next.
        delay_loop: Option<Seconds> = ["delay_loop"], secs(1, LONGEST), "that of the real server", YES;
        /// Down until it has succeeded.
        alpha: Option<bool> = ["alpha"], BOOL, "that of the real server", YES;
        /// Logs each failed attempt.
        log_all_failures: Option<bool> = ["log_all_failures"], BOOL, "`checker_log_all_failures`", YES;
    }
}

block! {
    /// A BFD session is up.
    BfdCheck = "BFD_CHECK" {
        /// The session.
        name: Option<String> = ["name"], WORD, "required", YES;
        /// Down until it has come up.
        alpha: Option<bool> = ["alpha"], BOOL, "that of the real server", YES;
    }
}

block! {
    /// A file says so.
    FileCheck = "FILE_CHECK" {
        /// The `track_file`.
        track_file: Option<String> = ["track_file"], WORD, "required", VITAL;
        /// By what the number in it is multiplied before it is added to the weight. Zero: any number but 0 is failure.
        weight: Option<Weight> = ["weight"], int(-2_147_483_647, 2_147_483_647), "that of the file", YES;
    }
}
