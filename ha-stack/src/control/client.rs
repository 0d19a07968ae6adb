//! The side of the command line.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::control::{LONGEST_LINE, Request, Response};
use crate::error::Error;

/// A connection to a running daemon.
#[derive(Debug)]
pub struct ControlClient {
    path: PathBuf,
    reader: BufReader<UnixStream>,
}

impl ControlClient {
    /// Connects to the daemon that owns this socket.
    ///
    /// # Errors
    /// [`Error::File`] if there is none, or it does not let this user in.
    pub fn connect(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        match UnixStream::connect(&path) {
            Ok(stream) => Ok(Self {
                path,
                reader: BufReader::new(stream),
            }),
            Err(source) => Err(Error::File { path, source }),
        }
    }

    /// How long to wait for an answer; for ever unless it is set.
    ///
    /// # Errors
    /// [`Error::File`] if the kernel refuses, as it does for zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), Error> {
        self.reader
            .get_ref()
            .set_read_timeout(timeout)
            .map_err(|source| self.error(source))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn ask(&mut self, request: &Request) -> Result<Response, Error> {
        let mut line = serde_json::to_vec(request).map_err(|error| self.error(error.into()))?;
        line.push(b'\n');
        self.reader
            .get_mut()
            .write_all(&line)
            .map_err(|source| self.error(source))?;
        self.next()
    }

    /// Waits for the next answer, of which [`Request::Watch`] has many.
    ///
    /// # Errors
    /// [`Error::Closed`] if the daemon hung up, [`Error::File`] if the connection broke or the answer makes no sense.
    #[expect(clippy::should_implement_trait, reason = "an iterator would hide the errors")]
    pub fn next(&mut self) -> Result<Response, Error> {
        let mut line = Vec::new();
        match self
            .reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
        {
            Ok(0) => Err(Error::Closed),
            Ok(_) => serde_json::from_slice(&line).map_err(|error| self.error(error.into())),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(Error::Closed),
            Err(source) => Err(self.error(source)),
        }
    }

    fn error(&self, source: std::io::Error) -> Error {
        Error::File {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn without_a_daemon_there_is_an_error_with_the_path() {
        let error = ControlClient::connect("/nonexistent/socket").unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/socket: "), "{error}");
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_an_error() {
        let path = std::env::temp_dir().join(format!("ha-stack-client-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut client = ControlClient::connect(&path).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"nonsense\n").unwrap();
        assert!(matches!(client.ask(&Request::Status), Err(Error::File { .. })));
        drop(stream);
        assert!(matches!(client.next(), Err(Error::Closed)));
        std::fs::remove_file(&path).unwrap();
    }
}
