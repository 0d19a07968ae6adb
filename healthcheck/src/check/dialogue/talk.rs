//! A dialogue of steps.

use super::DialogueStep as Step;
use crate::conversation::{Conversation, Progress};
use crate::failure::{FailKind, Failure, Stage};

/// One attempt at the steps.
pub(super) struct Talk {
    steps: Vec<Step>,
    most: usize,
    at: usize,
    heard: Vec<u8>,
    sent_something: bool,
}

enum Wait {
    More,
    /// Fulfilled by so many bytes.
    Done(usize),
    Failed(Failure),
}

impl Talk {
    pub(super) fn new(steps: Vec<Step>, most: usize) -> Self {
        Self {
            steps,
            most,
            at: 0,
            heard: Vec::new(),
            sent_something: false,
        }
    }

    /// Takes all steps that can be taken.
    fn go(&mut self, out: &mut Vec<u8>) -> Progress {
        loop {
            let waited = match self.steps.get(self.at) {
                None => return Progress::PASSED,
                Some(Step::Send(bytes)) => {
                    out.extend_from_slice(bytes);
                    self.sent_something = true;
                    Wait::Done(0)
                }
                Some(Step::Anything) => {
                    if self.heard.is_empty() {
                        Wait::More
                    } else {
                        Wait::Done(self.heard.len())
                    }
                }
                Some(Step::Expect(expect)) => match expect.judge(&self.heard) {
                    Ok(()) => Wait::Done(self.heard.len()),
                    Err(failure) if failure.kind == FailKind::Forbidden => Wait::Failed(failure),
                    Err(_) => Wait::More,
                },
                Some(Step::Line(begin)) => line(&self.heard, begin),
                Some(Step::Code(from, to)) => code(&self.heard, *from, *to),
            };
            match waited {
                Wait::Done(used) => {
                    self.heard.drain(..used.min(self.heard.len()));
                    self.at += 1;
                }
                Wait::Failed(failure) => return Progress::Failed(failure),
                Wait::More if self.heard.len() > self.most => {
                    return Progress::Failed(
                        Failure::new(Stage::Reply, FailKind::TooLarge).with_excerpt(&self.heard),
                    );
                }
                Wait::More => return Progress::More,
            }
        }
    }
}

impl Conversation for Talk {
    fn open(&mut self, out: &mut Vec<u8>) -> Progress {
        self.go(out)
    }

    fn receive(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Progress {
        // What is too much is noticed before it is stored; what a step has used makes room for the rest.
        loop {
            let room = self.most.saturating_add(1).saturating_sub(self.heard.len());
            let (now, later) = input.split_at(room.min(input.len()));
            self.heard.extend_from_slice(now);
            let progress = self.go(out);
            if later.is_empty() || progress != Progress::More {
                return progress;
            }
            input = later;
        }
    }

    fn closed(&mut self) -> Progress {
        let kind = match self.steps.get(self.at) {
            Some(Step::Expect(_)) if !self.heard.is_empty() => FailKind::Mismatch,
            _ => FailKind::Closed,
        };
        Progress::Failed(Failure::new(self.stage(), kind).with_excerpt(&self.heard))
    }

    fn stage(&self) -> Stage {
        if self.sent_something {
            Stage::Reply
        } else {
            Stage::Greeting
        }
    }
}

/// A line that begins so. Others before it are only allowed as long as they could be comments: SSH permits them.
fn line(heard: &[u8], begin: &[u8]) -> Wait {
    let mut from = 0;
    while let Some(rest) = heard.get(from..) {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            break;
        };
        let whole = rest.get(..end).unwrap_or_default();
        from += end + 1;
        if whole.starts_with(begin) {
            return Wait::Done(from);
        }
        if begin != b"SSH-" {
            return Wait::Failed(Failure::new(Stage::Content, FailKind::Mismatch).with_excerpt(whole));
        }
    }
    Wait::More
}

/// A reply with a code: `250-first`, `250-more`, `250 last`.
fn code(heard: &[u8], from: u16, to: u16) -> Wait {
    let mut used = 0;
    let mut first = None;
    while let Some(rest) = heard.get(used..) {
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            break;
        };
        let whole = rest.get(..end).unwrap_or_default();
        used += end + 1;
        let digits = whole
            .get(..3)
            .filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let number = digits
            .and_then(|digits| core::str::from_utf8(digits).ok())
            .and_then(|text| text.parse().ok());
        let last = matches!(whole.get(3), None | Some(b' ' | b'\r'));
        match (first, number) {
            // FTP allows any text between the first and the last line of a reply.
            (Some(code), Some(number)) if number == code && last => {
                return decide(code, from, to, heard, used);
            }
            (Some(_), _) => {}
            (None, None) => {
                return Wait::Failed(Failure::new(Stage::Reply, FailKind::Malformed).with_excerpt(whole));
            }
            (None, Some(number)) if last => return decide(number, from, to, heard, used),
            (None, Some(number)) if whole.get(3) == Some(&b'-') => first = Some(number),
            (None, Some(_)) => {
                return Wait::Failed(Failure::new(Stage::Reply, FailKind::Malformed).with_excerpt(whole));
            }
        }
    }
    Wait::More
}

fn decide(code: u16, from: u16, to: u16, heard: &[u8], used: usize) -> Wait {
    if (from..=to).contains(&code) {
        return Wait::Done(used);
    }
    Wait::Failed(
        Failure::new(Stage::Content, FailKind::Status)
            .with_code(i32::from(code))
            .with_excerpt(heard),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Dialogue, Expect};
    use super::*;

    /// Every way to cut what the server says gives the same end.
    fn hear(dialogue: &Dialogue, said: &[u8]) -> (Progress, Vec<u8>) {
        let mut ends = Vec::new();
        for at_once in [1, 2, 3, 5, 8, 1000] {
            let (mut talk, mut out) = (dialogue.conversation(), Vec::new());
            let mut end = talk.open(&mut out);
            for piece in said.chunks(at_once) {
                if end == Progress::More {
                    end = talk.receive(piece, &mut out);
                }
            }
            if end == Progress::More {
                end = talk.closed();
            }
            ends.push((end, out));
        }
        assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:?}");
        ends.remove(0)
    }

    fn kind(dialogue: &Dialogue, said: &[u8]) -> Option<(FailKind, Option<i32>)> {
        match hear(dialogue, said).0 {
            Progress::Failed(failure) => Some((failure.kind, failure.code)),
            Progress::Passed(_) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn smtp_replies_of_one_line_and_of_many() {
        let smtp = Dialogue::smtp("lb.example\r\nQUIT");
        let (end, out) = hear(&smtp, b"220-hello\r\n220 there\r\n250-x\r\n250 y\r\n221 bye\r\n");
        assert_eq!(
            (end, out.as_slice()),
            (Progress::PASSED, &b"HELO lb.exampleQUIT\r\nQUIT\r\n"[..])
        );
        assert_eq!(
            kind(&smtp, b"421 too busy\r\n"),
            Some((FailKind::Status, Some(421)))
        );
        assert_eq!(
            kind(&smtp, b"220 x\r\n550 go away\r\n"),
            Some((FailKind::Status, Some(550)))
        );
        assert_eq!(
            kind(&smtp, b"HTTP/1.1 400 Bad Request\r\n"),
            Some((FailKind::Malformed, None))
        );
        assert_eq!(kind(&smtp, b"220x y\r\n"), Some((FailKind::Malformed, None)));
        assert_eq!(kind(&smtp, b"220 x\r\n25"), Some((FailKind::Closed, None)));
    }

    #[test]
    fn presets_hear_what_they_should() {
        assert_eq!(
            kind(&Dialogue::ftp(), b"220-Hi\r\n you\r\n220 ok\r\n221 bye\r\n"),
            None
        );
        assert_eq!(kind(&Dialogue::ssh(), b"welcome\r\nSSH-2.0-x\r\n"), None);
        assert_eq!(
            kind(&Dialogue::ssh(), b"welcome\r\n"),
            Some((FailKind::Closed, None))
        );
        assert_eq!(kind(&Dialogue::telnet(), b"\xff"), None);
        assert_eq!(kind(&Dialogue::redis(), b"+PONG\r\n"), None);
        assert_eq!(
            kind(&Dialogue::redis(), b"-LOADING x\r\n"),
            Some((FailKind::Mismatch, None))
        );
        assert_eq!(kind(&Dialogue::redis_with("x"), b"+OK\r\n+PONG\r\n"), None);
        assert_eq!(
            kind(&Dialogue::redis_with("x"), b"-WRONGPASS\r\n"),
            Some((FailKind::Mismatch, None))
        );
    }

    #[test]
    fn free_steps_and_bounds() {
        let ask = Dialogue::new(vec![
            Step::Send(b"hi".to_vec()),
            Step::Expect(Expect::contains("fine")),
        ]);
        assert_eq!(kind(&ask, b"all fine"), None);
        assert_eq!(kind(&ask, b"all bad"), Some((FailKind::Mismatch, None)));
        assert_eq!(kind(&ask, b""), Some((FailKind::Closed, None)));
        assert_eq!(kind(&ask, &[b'x'; 17_000]), Some((FailKind::TooLarge, None)));
        let never = Dialogue::new(vec![
            Step::Expect(Expect::Lacks(b"error".to_vec())),
            Step::Anything,
        ]);
        assert_eq!(kind(&never, b"ok"), None);
    }
}
