//! `tandemd`: reads its configuration, opens its sockets and serves until it is told to stop.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tandem::edge::log;
use tandem::edge::supervisor::{Paths, StartError, run};
use tracing_subscriber::EnvFilter;

/// Gives pages back after a rush of calls, and costs less for each; `.cargo/config.toml` sets it up.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The Tandem telephone switch.
#[derive(Parser, Debug)]
#[command(name = "tandemd", version)]
struct Args {
    /// The folder with tandem.toml, phones.toml, trunks.toml, numbers.toml and routes.toml.
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// The folder for the database: records, bindings, journal.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// The control socket, instead of the one in tandem.toml.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Log as JSON lines.
    #[arg(long)]
    log_json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let flush = match start_log(args.log_json) {
        Ok(flush) => flush,
        Err(error) => return complain(&format!("the log cannot start: {error}"), 2),
    };
    // Signalling lives on one thread: a message passes from socket to call and back without a switch of
    // threads. Media has threads of its own, one per core, and the database one more.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot start: {error}"), 2),
    };
    let paths = Paths { config: args.config, state: args.state, socket: args.socket };
    let local = tokio::task::LocalSet::new();
    let end = local.block_on(&runtime, run(paths));
    // What is said below comes after what was logged.
    drop(flush);
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(StartError::Open(words)) => complain(&words, 2),
        Err(StartError::Configuration(diagnostics)) => {
            let words: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
            complain(&words.join("\n"), 1)
        }
    }
}

/// The log is written until what this returns is dropped.
fn start_log(is_json: bool) -> std::io::Result<log::Flush> {
    let (log, flush) = log::start(std::io::stderr(), is_json)?;
    let filter = EnvFilter::try_from_env("TANDEM_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(log);
    if is_json {
        builder.json().init()
    } else {
        builder.with_target(false).init()
    }
    std::panic::set_hook(Box::new(|panic| tracing::error!("panic: {panic}")));
    Ok(flush)
}

fn complain(words: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{words}");
    ExitCode::from(code)
}
