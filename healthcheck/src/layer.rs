//! What lies between a conversation and its connection: encryption, or nothing.

use crate::failure::Failure;
use crate::outcome::Notice;

/// A layer turns what comes from the connection into what was said, and the other way round.
pub(crate) trait Layer: Send {
    /// Takes in what came; leaves what was said in `plain`.
    fn receive(&mut self, input: &[u8], plain: &mut Vec<u8>) -> Result<(), Failure>;

    /// Takes what is to be said.
    fn say(&mut self, plain: &[u8]) -> Result<(), Failure>;

    /// Leaves what has to go over the connection in `out`.
    fn drain(&mut self, out: &mut Vec<u8>);

    /// Whether the two sides have agreed, so that something can be said.
    fn is_open(&self) -> bool;

    /// What the operator should know, once it is open.
    fn notice(&self) -> Option<Notice>;
}
