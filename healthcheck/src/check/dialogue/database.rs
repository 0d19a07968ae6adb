//! The beginnings of a login to databases.

use crate::conversation::{Conversation, Progress};
use crate::failure::{FailKind, Failure, Stage};

/// The handshake of MySQL and MariaDB: greeting, response without a password, and whatever ends it.
pub(super) struct MySql {
    user: String,
    heard: Vec<u8>,
    answered: bool,
}

impl MySql {
    pub(super) const fn new(user: String) -> Self {
        Self {
            user,
            heard: Vec::new(),
            answered: false,
        }
    }

    /// Takes in all packets that are whole.
    fn packets(&mut self, out: &mut Vec<u8>) -> Progress {
        loop {
            let [a, b, c, number, ..] = *self.heard.as_slice() else {
                return Progress::More;
            };
            let length = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
            if length > MOST {
                return Progress::Failed(
                    Failure::new(Stage::Reply, FailKind::Malformed).with_excerpt(&self.heard),
                );
            }
            let Some(payload) = self.heard.get(4..4 + length) else {
                return Progress::More;
            };
            let excerpt = payload.get(3..).unwrap_or_default();
            let code = payload.get(1..3).map_or(0, |code| {
                code.iter().rev().fold(0, |sum, byte| sum << 8 | i32::from(*byte))
            });
            match (self.answered, payload.first()) {
                (false, Some(10)) => {
                    self.answered = true;
                    self.response(number.wrapping_add(1), out);
                }
                // Logged in, asked for more, or refused for who we are: somebody is at home.
                (true, Some(0 | 1)) => return quit(out),
                // Another method is wanted; an empty answer ends it.
                (true, Some(0xfe)) => out.extend_from_slice(&[0, 0, 0, number.wrapping_add(1)]),
                (true, Some(0xff)) if matches!(code, 1044 | 1045 | 1698 | 1251 | 4151) => {
                    return Progress::PASSED;
                }
                (_, Some(0xff)) => {
                    return Progress::Failed(
                        Failure::new(Stage::Content, FailKind::Status)
                            .with_code(code)
                            .with_excerpt(excerpt),
                    );
                }
                _ => {
                    return Progress::Failed(
                        Failure::new(Stage::Reply, FailKind::Malformed).with_excerpt(payload),
                    );
                }
            }
            self.heard.drain(..4 + length);
        }
    }

    /// `HandshakeResponse41` without a password and without a database.
    fn response(&self, number: u8, out: &mut Vec<u8>) {
        const CAPABILITIES: u32 = 0x0000_0200 | 0x0000_8000 | 0x0008_0000 | 0x0000_0001;
        let mut payload = CAPABILITIES.to_le_bytes().to_vec();
        payload.extend_from_slice(&(1_u32 << 20).to_le_bytes());
        payload.push(33);
        payload.extend_from_slice(&[0; 23]);
        payload.extend_from_slice(self.user.as_bytes());
        payload.extend_from_slice(b"\0\0mysql_native_password\0");
        let length = u32::try_from(payload.len()).unwrap_or(0).to_le_bytes();
        out.extend(length.iter().take(3));
        out.push(number);
        out.append(&mut payload);
    }
}

fn quit(out: &mut Vec<u8>) -> Progress {
    out.extend_from_slice(&[1, 0, 0, 0, 1]);
    Progress::PASSED
}

impl Conversation for MySql {
    fn open(&mut self, _: &mut Vec<u8>) -> Progress {
        Progress::More
    }

    fn receive(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Progress {
        // As much at a time as the largest packet may have: what is whole makes room for the rest.
        loop {
            let room = (MOST + 5).saturating_sub(self.heard.len());
            let (now, later) = input.split_at(room.min(input.len()));
            self.heard.extend_from_slice(now);
            let progress = self.packets(out);
            if later.is_empty() || progress != Progress::More {
                return progress;
            }
            input = later;
        }
    }

    fn closed(&mut self) -> Progress {
        Progress::Failed(Failure::new(self.stage(), FailKind::Closed).with_excerpt(&self.heard))
    }

    fn stage(&self) -> Stage {
        if self.answered {
            Stage::Reply
        } else {
            Stage::Greeting
        }
    }
}

/// The start of a PostgreSQL session (protocol 3.0).
pub(super) struct PostgreSql {
    user: String,
    heard: Vec<u8>,
}

impl PostgreSql {
    pub(super) const fn new(user: String) -> Self {
        Self {
            user,
            heard: Vec::new(),
        }
    }
}

impl Conversation for PostgreSql {
    fn open(&mut self, out: &mut Vec<u8>) -> Progress {
        let mut body = (3_u32 << 16).to_be_bytes().to_vec();
        body.extend_from_slice(b"user\0");
        body.extend_from_slice(self.user.as_bytes());
        body.extend_from_slice(b"\0\0");
        out.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(0).to_be_bytes());
        out.append(&mut body);
        Progress::More
    }

    fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress {
        let room = (MOST + 6).saturating_sub(self.heard.len()).min(input.len());
        self.heard
            .extend_from_slice(input.get(..room).unwrap_or_default());
        let [kind, a, b, c, d, ..] = *self.heard.as_slice() else {
            return Progress::More;
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if !matches!(kind, b'R' | b'E' | b'v') || !(4..=MOST).contains(&length) {
            return Progress::Failed(
                Failure::new(Stage::Reply, FailKind::Malformed).with_excerpt(&self.heard),
            );
        }
        let Some(body) = self.heard.get(5..1 + length) else {
            return Progress::More;
        };
        if kind == b'E' {
            let state = body
                .split(|byte| *byte == 0)
                .find_map(|field| field.strip_prefix(b"C"));
            // Class 28 is "who are you", 3D000 "no such database": questions that a serving server asks.
            if state.is_some_and(|state| state.starts_with(b"28") || state == b"3D000") {
                return Progress::PASSED;
            }
            let message = body
                .split(|byte| *byte == 0)
                .find_map(|field| field.strip_prefix(b"M"))
                .unwrap_or(body);
            return Progress::Failed(Failure::new(Stage::Content, FailKind::Status).with_excerpt(message));
        }
        out.extend_from_slice(&[b'X', 0, 0, 0, 4]);
        Progress::PASSED
    }

    fn closed(&mut self) -> Progress {
        Progress::Failed(Failure::new(Stage::Reply, FailKind::Closed).with_excerpt(&self.heard))
    }

    fn stage(&self) -> Stage {
        Stage::Reply
    }
}

/// No packet of a login is longer.
const MOST: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::super::Dialogue;
    use super::*;

    #[test]
    fn packets_in_one_piece_count_like_packets_in_many() {
        let greeting = [3, 0, 0, 0, 10, b'5', 0];
        let fine = [1, 0, 0, 2, 0];
        let mut talk = Dialogue::mysql("check").conversation();
        let progress = talk.receive(&[&greeting[..], &fine[..]].concat(), &mut Vec::new());
        assert_eq!(progress, Progress::PASSED);
    }

    fn hear(dialogue: &Dialogue, packets: &[&[u8]]) -> Progress {
        let (mut talk, mut out) = (dialogue.conversation(), Vec::new());
        let mut end = talk.open(&mut out);
        for byte in packets.concat() {
            assert_eq!(end, Progress::More);
            end = talk.receive(&[byte], &mut out);
        }
        end
    }

    fn code(progress: Progress) -> (FailKind, Option<i32>) {
        match progress {
            Progress::Failed(failure) => (failure.kind, failure.code),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mysql_tells_refused_users_from_refused_hosts() {
        let mysql = Dialogue::mysql("check");
        let greeting = b"\x05\x00\x00\x00\x0a8.0\x00";
        assert_eq!(
            hear(&mysql, &[greeting, b"\x03\x00\x00\x02\x00\x00\x00"]),
            Progress::PASSED
        );
        assert_eq!(
            hear(&mysql, &[greeting, b"\x03\x00\x00\x02\xff\x15\x04"]),
            Progress::PASSED
        );
        let switch = b"\x02\x00\x00\x02\xfex";
        assert_eq!(
            hear(&mysql, &[greeting, switch, b"\x03\x00\x00\x04\xff\x15\x04"]),
            Progress::PASSED
        );
        let blocked = hear(&mysql, &[b"\x03\x00\x00\x00\xff\x69\x04"]);
        assert_eq!(code(blocked), (FailKind::Status, Some(1129)));
        assert_eq!(
            code(hear(&mysql, &[b"\x01\x00\x00\x00\x09"])),
            (FailKind::Malformed, None)
        );
        assert_eq!(code(hear(&mysql, &[b"HTTP"])), (FailKind::Malformed, None));
    }

    #[test]
    fn postgresql_tells_a_question_from_a_refusal() {
        let postgresql = Dialogue::postgresql("check");
        assert_eq!(hear(&postgresql, &[b"R\0\0\0\x08\0\0\0\0"]), Progress::PASSED);
        let error = |state: &[u8]| {
            [
                b"E\0\0\0".to_vec(),
                vec![4 + 6 + 1 + 5],
                b"C".to_vec(),
                state.to_vec(),
                b"\0Mgone".to_vec(),
            ]
            .concat()
        };
        assert_eq!(hear(&postgresql, &[&error(b"28000")]), Progress::PASSED);
        assert_eq!(
            code(hear(&postgresql, &[&error(b"57P03")])),
            (FailKind::Status, None)
        );
        assert_eq!(code(hear(&postgresql, &[b"HTTP/"])), (FailKind::Malformed, None));
    }
}
