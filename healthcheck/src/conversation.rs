//! What is said over a connection, without the connection: bytes in, bytes out.

use crate::failure::{Failure, Stage};
use crate::outcome::{Notice, Weight};

/// One side of a dialogue with a server. The engine brings the bytes, over TCP or TLS; so can a test or a fuzzer.
pub trait Conversation: Send {
    /// The connection stands. Whatever is to be said first goes into `out`.
    fn open(&mut self, out: &mut Vec<u8>) -> Progress;

    /// The server said `input` (never empty). It may be any part of what it means to say.
    fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Progress;

    /// The server will say no more.
    fn closed(&mut self) -> Progress;

    /// How far it got: for the words of a failure that the connection brings.
    fn stage(&self) -> Stage;

    /// Whether the connection may be used for the next attempt, now that this one has passed.
    fn reusable(&self) -> bool {
        false
    }
}

/// What is to happen next in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Send what there is to send, and wait for more.
    More,
    /// Close, connect again, and open again: the server will not go on over this connection, and should not have to.
    Reconnect,
    /// The attempt passed.
    Passed(Passed),
    /// The attempt failed.
    Failed(Failure),
}

impl Progress {
    /// Passed, and nothing more to say.
    pub const PASSED: Self = Self::Passed(Passed {
        weight: None,
        notice: None,
    });
}

/// What a passed attempt has to say besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// About the weight.
    pub weight: Option<Weight>,
    /// To the operator.
    pub notice: Option<Notice>,
}
