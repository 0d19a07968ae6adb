//! A connection that exists only in memory.

use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both ends of it: h2 reads and writes one, the conversation the other. Nobody ever waits; who finds nothing is polled
/// again when there is something.
#[derive(Clone, Default)]
pub(super) struct Pipe(Arc<Mutex<Ends>>);

#[derive(Default)]
pub(super) struct Ends {
    pub(super) input: VecDeque<u8>,
    pub(super) output: Vec<u8>,
    pub(super) closed: bool,
    reader: Option<Waker>,
}

impl Pipe {
    pub(super) fn lock(&self) -> MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever found nothing to read.
    pub(super) fn wake(&self) {
        let waker = self.lock().reader.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut ends = self.lock();
        if ends.input.is_empty() {
            if ends.closed {
                return Poll::Ready(Ok(()));
            }
            ends.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let (front, _) = ends.input.as_slices();
        let most = front.len().min(buffer.remaining());
        buffer.put_slice(front.get(..most).unwrap_or_default());
        ends.input.drain(..most);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.lock().output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
