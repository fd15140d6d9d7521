//! The other end of the control socket.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Longer than the daemon takes before it says that it is busy.
const READ_TIMEOUT: Duration = Duration::from_secs(40);

/// Bytes of one answer: ten thousand calls are a few megabytes.
const ANSWER_MAX: u64 = 256 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum ClientError {
    /// There is no socket.
    NoSocket(PathBuf),
    /// There is a socket and nobody behind it.
    NobodyAnswers(PathBuf),
    /// The user may not use it.
    NotAllowed(PathBuf),
    /// Anything else about the socket.
    Io(PathBuf, io::Error),
    /// The daemon closed the connection.
    Gone,
    /// The daemon does not speak as expected: another version.
    Foreign(String),
    /// The daemon said no.
    Refused { message: String, data: Value },
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket(path) => write!(
                f,
                "tandemd is not running? No socket at {}.\n\
                 Start it with `systemctl start tandemd`, or name its socket with --socket PATH.",
                path.display()
            ),
            Self::NobodyAnswers(path) => write!(
                f,
                "tandemd has stopped: nobody answers at {}.\n\
                 Start it with `systemctl start tandemd`; `journalctl -u tandemd` says why it stopped.",
                path.display()
            ),
            Self::NotAllowed(path) => write!(
                f,
                "you may not use {}.\n\
                 Use sudo, or join its group: `usermod -aG tandem USER` and log in again.",
                path.display()
            ),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Gone => f.write_str("tandemd closed the connection"),
            Self::Foreign(what) => {
                writeln!(f, "tandemd answered something else than expected: {what}.")?;
                f.write_str("Are tandem and tandemd of the same version?")
            }
            Self::Refused { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for ClientError {}

/// A connection to the daemon.
pub(super) struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Client {
    pub(super) fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ClientError::NoSocket(path.to_owned()),
            ErrorKind::ConnectionRefused => ClientError::NobodyAnswers(path.to_owned()),
            ErrorKind::PermissionDenied => ClientError::NotAllowed(path.to_owned()),
            _ => ClientError::Io(path.to_owned(), error),
        })?;
        let client = Self { path: path.to_owned(), stream: BufReader::new(stream) };
        client.read_timeout(Some(READ_TIMEOUT))?;
        Ok(client)
    }

    /// Events may take any time to come.
    pub(super) fn read_timeout(&self, timeout: Option<Duration>) -> Result<(), ClientError> {
        self.stream.get_ref().set_read_timeout(timeout).map_err(|e| self.io(e))
    }

    /// Waits until something comes, which is thrown away, or until the read timeout.
    pub(super) fn pause(&self) {
        let _ = self.stream.get_ref().read(&mut [0; 4096]);
    }

    fn io(&self, error: io::Error) -> ClientError {
        match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => ClientError::Gone,
            _ => ClientError::Io(self.path.clone(), error),
        }
    }

    /// Calls a method and returns its result.
    pub(super) fn call(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let line = format!("{request}\n");
        // A daemon at its limit answers before it reads, so a failed write may have an answer.
        let sent = self.stream.get_mut().write_all(line.as_bytes());
        let answer = match (self.next(), sent) {
            (Ok(Some(answer)), _) => answer,
            (_, Err(error)) => return Err(self.io(error)),
            (Ok(None), Ok(())) => return Err(ClientError::Gone),
            (Err(error), Ok(())) => return Err(error),
        };
        if let Some(error) = answer.get("error") {
            let message = error["message"].as_str().unwrap_or("refused").to_owned();
            return Err(ClientError::Refused { message, data: error["data"].clone() });
        }
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => Err(ClientError::Foreign("no result".to_owned())),
        }
    }

    /// The next line; `None` if the daemon has closed.
    pub(super) fn next(&mut self) -> Result<Option<Value>, ClientError> {
        let mut line = Vec::new();
        let read = self.stream.by_ref().take(ANSWER_MAX).read_until(b'\n', &mut line);
        match read {
            Ok(0) => Ok(None),
            Ok(_) => serde_json::from_slice(&line)
                .map(Some)
                .map_err(|error| ClientError::Foreign(error.to_string())),
            Err(error) => Err(self.io(error)),
        }
    }
}

/// A result as its type.
pub(super) fn typed<T: DeserializeOwned>(value: Value) -> Result<T, ClientError> {
    serde_json::from_value(value).map_err(|error| ClientError::Foreign(error.to_string()))
}
