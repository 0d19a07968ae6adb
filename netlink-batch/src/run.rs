use std::num::NonZeroI32;

use crate::batch::{Batch, ItemKind};
use crate::limits::Limits;
use crate::message::{
    HEADER, Message, NLM_F_ACK, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE,
    NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN, align, messages,
};
use crate::report::{Failure, Report};

/// The sequence numbers of one socket. Answers to a run that was given up cannot be taken for those of the next.
#[derive(Debug, Default)]
pub struct Sequence {
    next: u32,
}

/// One batch on its way through one socket, without the socket.
///
/// Rules for the caller: send what [`poll_transmit`](Self::poll_transmit) returns, as one datagram. When it returns `None`
/// and the run is not [finished](Self::is_finished), receive, and say what came: [`handle_datagram`](Self::handle_datagram),
/// [`handle_loss`](Self::handle_loss) (`ENOBUFS`, or a datagram longer than the buffer) or, when nothing comes,
/// [`handle_silence`](Self::handle_silence). The kernel queues its answers before the send returns; so a socket that is
/// empty while [`is_draining`](Self::is_draining) holds is silence at once, otherwise after a grace of the caller's choice.
#[derive(Debug)]
pub struct Run<'a> {
    batch: &'a mut Batch,
    limits: Limits,
    sequence: &'a mut Sequence,
    /// The first item that has not been sent.
    next: usize,
    state: State,
    probe: [u8; HEADER],
    /// How many probes were lost since one was answered.
    probes_lost: u8,
    report: Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next window may be sent.
    Ready,
    /// Items `start..next` are under way, `sequence` is that of `start`.
    Waiting { start: usize, sequence: u32 },
    /// As before, but answers were lost; what is queued is read until nothing is left.
    Draining { start: usize, sequence: u32 },
    /// The probe is to be sent.
    Lost,
    /// The probe was sent under this number; its acknowledgement means that nothing older is queued.
    Probing { sequence: u32 },
    /// The kernel does not even answer the probe.
    Stuck,
}

impl<'a> Run<'a> {
    /// A run over all items of the batch.
    #[must_use]
    pub fn new(batch: &'a mut Batch, limits: Limits, sequence: &'a mut Sequence) -> Self {
        let report = Report {
            total: batch.len(),
            ..Report::default()
        };
        Self {
            batch,
            limits,
            sequence,
            next: 0,
            state: State::Ready,
            probe: [0; HEADER],
            probes_lost: 0,
            report,
        }
    }

    /// The next bytes to send as one datagram, or `None` while answers are awaited and when all is done.
    pub fn poll_transmit(&mut self) -> Option<&[u8]> {
        match self.state {
            State::Ready if self.next < self.batch.len() => {
                let start = self.next;
                let end = self.window_end();
                let sequence = self.sequence.take(end - start);
                for (number, index) in (start..end).enumerate() {
                    let last = index + 1 == end;
                    let change = self
                        .batch
                        .item(index)
                        .is_some_and(|item| item.kind == ItemKind::Change);
                    let acknowledge = if last && change { NLM_F_ACK } else { 0 };
                    self.batch
                        .stamp(index, offset(sequence, number), acknowledge, NLM_F_ACK);
                }
                self.next = end;
                self.report.sent = end;
                self.state = State::Waiting { start, sequence };
                Some(self.batch.slice(start..end))
            }
            State::Lost => {
                let sequence = self.sequence.take(1);
                self.state = State::Probing { sequence };
                self.probe = noop(sequence);
                Some(&self.probe)
            }
            State::Ready
            | State::Waiting { .. }
            | State::Draining { .. }
            | State::Probing { .. }
            | State::Stuck => None,
        }
    }

    /// Takes in one datagram. Each message that answers a get or belongs to a dump is handed to `reply` with the
    /// index of its item.
    pub fn handle_datagram(&mut self, datagram: &[u8], mut reply: impl FnMut(usize, &Message<'_>)) {
        for message in messages(datagram) {
            match message {
                Ok(message) => self.handle_message(&message, &mut reply),
                // The rest of the datagram cannot be read: whatever it said is lost.
                Err(_) => self.handle_loss(),
            }
        }
    }

    /// Answers were lost: the receive buffer overflowed (`ENOBUFS`) or a datagram was longer than the buffer it was
    /// read into. All items under way whose failure has not been seen become unconfirmed, and the run goes on behind them.
    pub fn handle_loss(&mut self) {
        match self.state {
            State::Waiting { start, sequence } => {
                self.report.unconfirmed.push(start..self.next);
                self.state = State::Draining { start, sequence };
            }
            // The acknowledgement of the probe may be what was lost.
            State::Probing { .. } if self.probes_lost < PROBES => {
                self.probes_lost += 1;
                self.state = State::Lost;
            }
            State::Probing { .. } => self.state = State::Stuck,
            State::Ready | State::Draining { .. } | State::Lost | State::Stuck => {}
        }
    }

    /// Nothing is left to be read.
    pub fn handle_silence(&mut self) {
        match self.state {
            State::Waiting { start, .. } => {
                self.report.unconfirmed.push(start..self.next);
                self.state = State::Lost;
            }
            State::Draining { .. } => self.state = State::Lost,
            State::Probing { .. } => self.state = State::Stuck,
            State::Ready | State::Lost | State::Stuck => {}
        }
    }

    /// Whether answers were lost and what is queued is being read off: an empty socket is silence without a grace.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining { .. })
    }

    /// Whether nothing more is to be sent or received.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self.state {
            State::Ready => self.next >= self.batch.len(),
            State::Stuck => true,
            State::Waiting { .. } | State::Draining { .. } | State::Lost | State::Probing { .. } => false,
        }
    }

    /// Whether the run ended because the kernel did not answer at all.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.state == State::Stuck
    }

    /// What became of the items. Of a run that is given up early, those under way count as unconfirmed.
    #[must_use]
    pub fn finish(mut self) -> Report {
        if let State::Waiting { start, .. } = self.state {
            self.report.unconfirmed.push(start..self.next);
        }
        self.report
    }

    fn handle_message(&mut self, message: &Message<'_>, reply: &mut impl FnMut(usize, &Message<'_>)) {
        let (start, sequence) = match self.state {
            State::Waiting { start, sequence } | State::Draining { start, sequence } => (start, sequence),
            State::Probing { sequence } => {
                if message.sequence == sequence && message.kind == NLMSG_ERROR {
                    self.probes_lost = 0;
                    self.state = State::Ready;
                }
                return;
            }
            State::Ready | State::Lost | State::Stuck => return,
        };
        // An answer to something older or to nobody: a run that was given up, a notification.
        let number = usize::try_from(message.sequence.wrapping_sub(sequence)).unwrap_or(usize::MAX);
        let Some(index) = start.checked_add(number).filter(|index| *index < self.next) else {
            return;
        };
        let last = index + 1 == self.next;
        let kind = self.batch.item(index).map_or(ItemKind::Change, |item| item.kind);
        let complete = match message.kind {
            NLMSG_ERROR => {
                self.fail(index, failure(message, ERROR_FIXED));
                true
            }
            NLMSG_DONE if kind == ItemKind::Dump => {
                self.fail(index, failure(message, DONE_FIXED));
                self.note_interruption(index, message);
                true
            }
            NLMSG_NOOP | NLMSG_DONE => false,
            NLMSG_OVERRUN => {
                self.handle_loss();
                return;
            }
            _ => {
                if kind == ItemKind::Dump {
                    self.note_interruption(index, message);
                }
                reply(index, message);
                kind == ItemKind::Get
            }
        };
        if last && complete {
            self.state = State::Ready;
        }
    }

    fn fail(&mut self, index: usize, failure: Option<Failure>) {
        let newer = self.report.failures.last().is_none_or(|(at, _)| *at < index);
        if let Some(failure) = failure.filter(|_| newer) {
            self.report.failures.push((index, failure));
        }
    }

    fn note_interruption(&mut self, index: usize, message: &Message<'_>) {
        if message.flags & NLM_F_DUMP_INTR != 0 && self.report.interrupted.last() != Some(&index) {
            self.report.interrupted.push(index);
        }
    }

    /// The index behind the last item of the window that starts at `next`: at least one item, as many as the limits
    /// allow, and a dump only as the single one.
    fn window_end(&self) -> usize {
        let start = self.next;
        let first_byte = self.batch.start(start);
        let mut answers = 0;
        let mut end = start;
        while let Some(item) = self.batch.item(end) {
            if item.kind == ItemKind::Dump {
                return end.max(start + 1);
            }
            answers += match item.kind {
                ItemKind::Change => Limits::ERROR,
                ItemKind::Get | ItemKind::Dump => Limits::REPLY,
            };
            let bytes = self.batch.start(end + 1) - first_byte;
            if end > start && (answers > self.limits.answers || bytes > self.limits.bytes) {
                break;
            }
            end += 1;
        }
        end
    }
}

impl Sequence {
    /// Numbers from the start.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `count` numbers and returns the first. Zero is left to notifications only by chance; no harm is done by it.
    fn take(&mut self, count: usize) -> u32 {
        let first = self.next.wrapping_add(1);
        self.next = offset(self.next, count);
        first
    }
}

#[expect(clippy::cast_possible_truncation, reason = "sequence numbers wrap around")]
fn offset(sequence: u32, count: usize) -> u32 {
    sequence.wrapping_add(count as u32)
}

/// A request that does nothing, with its acknowledgement asked for.
fn noop(sequence: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    let [l0, l1, l2, l3] = 16_u32.to_ne_bytes();
    let [k0, k1] = NLMSG_NOOP.to_ne_bytes();
    let [f0, f1] = (NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes();
    let [s0, s1, s2, s3] = sequence.to_ne_bytes();
    if let Some(head) = bytes.first_chunk_mut::<12>() {
        *head = [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3];
    }
    bytes
}

/// Reads the error of NLMSG_ERROR or NLMSG_DONE; zero and an absent one mean success.
/// `fixed` is what stands before the attributes that carry the kernel's words.
fn failure(message: &Message<'_>, fixed: usize) -> Option<Failure> {
    let errno = message
        .body
        .first_chunk::<4>()
        .map_or(0, |bytes| i32::from_ne_bytes(*bytes));
    let mut failure = Failure {
        errno: NonZeroI32::new(errno.saturating_neg())?,
        message: None,
        offset: None,
    };
    if message.flags & NLM_F_ACK_TLVS == 0 {
        return Some(failure);
    }
    // The request's payload is repeated in between unless the kernel was asked to leave it out.
    let repeated = if fixed == ERROR_FIXED && message.flags & NLM_F_CAPPED == 0 {
        let length = message.body.get(4..).and_then(|rest| rest.first_chunk::<4>());
        length.map_or(0, |bytes| {
            usize::try_from(u32::from_ne_bytes(*bytes))
                .unwrap_or(0)
                .saturating_sub(HEADER)
        })
    } else {
        0
    };
    let mut rest = fixed
        .checked_add(repeated)
        .and_then(|at| message.body.get(at.checked_next_multiple_of(4)?..))
        .unwrap_or(&[]);
    while let Some((head, _)) = rest.split_first_chunk::<4>() {
        let [l0, l1, k0, k1] = *head;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let Some(value) = rest.get(4..length) else {
            break;
        };
        match u16::from_ne_bytes([k0, k1]) & 0x3fff {
            NLMSGERR_ATTR_MSG => {
                let text = value.split(|byte| *byte == 0).next().unwrap_or(&[]);
                failure.message = Some(String::from_utf8_lossy(text).into());
            }
            NLMSGERR_ATTR_OFFS => {
                failure.offset = value.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes));
            }
            _ => {}
        }
        rest = rest.get(align(length)..).unwrap_or(&[]);
    }
    Some(failure)
}

/// So many probes may be lost one after the other before the kernel is given up.
const PROBES: u8 = 8;
/// NLMSG_ERROR: the error number and the header of the request.
const ERROR_FIXED: usize = 4 + HEADER;
/// NLMSG_DONE: the error number alone.
const DONE_FIXED: usize = 4;
const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;
