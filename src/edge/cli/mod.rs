//! The operator's command: arguments in, a request to the daemon, words and tables out.

mod args;
mod client;
mod events;
mod ladder;
mod manual;
mod phone;
mod probe;
mod recordings;
mod rooms;
mod run;
mod show;
mod speech;
mod table;
mod time;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use serde_json::json;

use self::args::Args;
use self::client::ClientError;
use self::table::Paint;

/// Runs the command line of this process: 0 is well, 1 is "no" or a failed check, 2 is a wrong
/// command line or a daemon that cannot be reached.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    let stdout = io::stdout();
    let is_colourful = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut out = Out { to: stdout.lock(), paint: Paint { is_on: is_colourful } };
    match run::run(&args, &mut out)
        .and_then(|code| out.to.flush().map(|()| code).map_err(CliError::Io))
    {
        Ok(code) => ExitCode::from(code),
        Err(CliError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            if let (true, CliError::Client(ClientError::Refused { message, data })) =
                (args.json, &error)
            {
                let refusal = json!({ "error": { "message": message, "data": data } });
                // Standard output closed: the exit code has to do.
                let _ = writeln!(out.to, "{refusal:#}").and_then(|()| out.to.flush());
            }
            // Standard error closed: the exit code has to do.
            let _ = writeln!(io::stderr().lock(), "tandem: {error}");
            ExitCode::from(error.code())
        }
    }
}

/// Standard output and whether it takes colours.
struct Out<W> {
    to: W,
    paint: Paint,
}

/// Why the command failed.
#[derive(Debug)]
enum CliError {
    /// The daemon was not reached or refused.
    Client(ClientError),
    /// Standard output is gone.
    Io(io::Error),
    /// An argument that clap cannot judge.
    Usage(String),
}

impl CliError {
    const fn code(&self) -> u8 {
        match self {
            Self::Client(ClientError::Refused { .. }) => 1,
            Self::Client(_) | Self::Io(_) | Self::Usage(_) => 2,
        }
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(error) => error.fmt(f),
            Self::Io(error) => write!(f, "cannot write: {error}"),
            Self::Usage(message) => f.write_str(message),
        }
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
