use core::net::IpAddr;

use crate::{Advertisement, ChecksumForm, Envelope, Error};

/// What an IP packet can be put around: an [`Advertisement`], or one with a trailer that proves who sent it.
pub trait Message {
    /// How many bytes [`emit`](Self::emit) writes.
    fn buffer_len(&self) -> usize;

    /// Writes the message to the beginning of `buffer` and returns its length.
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooSmall`], or [`Error::MixedFamilies`] if the message does not go into such an envelope.
    fn emit(&self, envelope: &Envelope, form: ChecksumForm, buffer: &mut [u8]) -> Result<usize, Error>;
}

impl<A> Message for Advertisement<A>
where
    A: IntoIterator<Item: Into<IpAddr>> + Clone,
{
    fn buffer_len(&self) -> usize {
        self.buffer_len()
    }

    fn emit(&self, envelope: &Envelope, form: ChecksumForm, buffer: &mut [u8]) -> Result<usize, Error> {
        self.emit(envelope, form, buffer)
    }
}
