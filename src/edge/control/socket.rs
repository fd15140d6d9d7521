//! The listening Unix socket: its file, its mode, and who may connect how often.

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::connection::Connection;
use super::events::EventLog;
use super::rpc::{self, RpcError};
use crate::edge::command::CommandRequest;

/// Connections at the same time; the next one is told so and closed.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// The socket's mode: its owner and its group.
const MODE: u32 = 0o660;

/// Why the control socket cannot be opened.
#[derive(Debug)]
pub enum ControlError {
    /// Another daemon answers on it.
    InUse(PathBuf),
    /// There is something else at its path.
    NotASocket(PathBuf),
    /// The file system refuses.
    Io(PathBuf, std::io::Error),
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => write!(f, "another daemon answers on {}", path.display()),
            Self::NotASocket(path) => write!(f, "{} is there and is no socket", path.display()),
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for ControlError {}

/// The socket, bound and listening. Its file goes when the server is dropped.
#[derive(Debug)]
pub struct ControlServer {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our file: a successor's file of the same name is not ours to remove.
    identity: (u64, u64),
}

impl ControlServer {
    /// Creates the socket with mode 0660, and its directory if that is missing. A socket that
    /// nobody answers on is replaced. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`ControlError`] if another daemon answers or the file system refuses.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let io = |error| ControlError::Io(path.to_owned(), error);
        if let Some(parent) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(io)?;
        }
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(io)?;
        // Until here the mode is what umask left, which lets nobody but us write, and so connect.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE)).map_err(io)?;
        let meta = std::fs::symlink_metadata(path).map_err(io)?;
        Ok(Self { listener, path: path.to_owned(), identity: (meta.dev(), meta.ino()) })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves connections until `stop` becomes true or its sender is gone; then closes them all.
    ///
    /// Commands go to `commands`; when that is full the client is answered "busy".
    pub async fn run(
        self,
        commands: mpsc::Sender<CommandRequest>,
        events: EventLog,
        mut stop: watch::Receiver<bool>,
    ) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = self.listener.accept() => accepted,
                Some(_) = tasks.join_next() => continue,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors: the pending connection stays, so give others a turn.
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            };
            match Arc::clone(&places).try_acquire_owned() {
                Err(_) => refuse(stream).await,
                Ok(place) => {
                    let connection = Connection::new(stream, commands.clone(), events.clone());
                    tasks.spawn(async move {
                        connection.run().await;
                        drop(place);
                    });
                }
            }
        }
        tasks.shutdown().await;
    }
}

/// The pause after a failed accept, which otherwise would be repeated at once and for ever.
const ACCEPT_RETRY: std::time::Duration = std::time::Duration::from_millis(100);

impl Drop for ControlServer {
    fn drop(&mut self) {
        let is_ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity);
        if is_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes the socket of a daemon that is gone.
fn remove_stale(path: &Path) -> Result<(), ControlError> {
    let io = |error| ControlError::Io(path.to_owned(), error);
    let meta = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(io)?,
    };
    if !meta.file_type().is_socket() {
        return Err(ControlError::NotASocket(path.to_owned()));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(ControlError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(io)
        }
        // A full backlog answers "would block": somebody is there.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(ControlError::InUse(path.to_owned()))
        }
        Err(error) => Err(io(error)),
    }
}

async fn refuse(mut stream: UnixStream) {
    let error = RpcError {
        code: -32004,
        message: format!("more than {CONNECTIONS_MAX} control connections"),
        data: None,
    };
    let mut line = rpc::answer(Value::Null, Err(error)).to_string();
    line.push('\n');
    // A fresh socket's buffer takes one line; a client that is gone needs none.
    let _ = stream.write_all(line.as_bytes()).await;
}
