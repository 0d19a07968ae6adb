//! Datagrams from anywhere: answers of name servers, of UDP services, and what ICMP brings. Nothing panics, and who asks
//! for more never passes where who asks for less fails.

#![no_main]

use healthcheck::{Dns, Udp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, u16, &str, &[u8])| {
    let (choice, id, text, reply) = input;
    match choice % 3 {
        0 => {
            let Ok(plain) = Dns::new(text, id) else { return };
            assert!(plain.question(id).len() < 512 && plain.judge(id, &plain.question(id)).is_none());
            // Past the header, however seldom that comes by itself.
            let mut reply = reply.to_vec();
            if let Some([high, low, flags, ..]) = reply.get_mut(..12).map(|head| &mut head[..])
                && choice >= 128
            {
                [*high, *low] = id.to_be_bytes();
                *flags |= 0x80;
            }
            let basic = plain.judge(id, &reply);
            for more in [
                plain.clone().at_least(1),
                plain.clone().expect_address([192, 0, 2, 1].into()),
                plain.clone().expect_address(std::net::Ipv6Addr::LOCALHOST.into()),
            ] {
                let judged = more.judge(id, &reply);
                assert_eq!(judged.is_none(), basic.is_none());
                assert!(!matches!(judged, Some(Ok(()))) || basic == Some(Ok(())));
            }
        }
        1 => {
            let Ok(udp) = Udp::new(b"?".to_vec()).require_reply(text) else {
                return;
            };
            let any = Udp::new(b"?".to_vec()).reply_length(0, usize::from(id));
            let (judged, length) = (udp.judge(reply), any.judge(reply));
            assert_eq!(length.is_ok(), reply.len() <= usize::from(id));
            assert!(judged.is_err() || reply.len() * 2 >= text.bytes().filter(u8::is_ascii_hexdigit).count());
        }
        _ => {
            for (v6, raw) in [(false, false), (false, true), (true, false)] {
                healthcheck::fuzzing::icmp(reply, v6, raw);
            }
        }
    }
});
