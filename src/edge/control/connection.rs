//! One client: lines in, answers and events out, nothing queued in between.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::events::{EventLog, Gap, Next, Subscription};
use super::rpc::{self, BadCall, Call, Line, RpcError};
use crate::edge::command::{Command, CommandError, CommandRequest};

/// Bytes of one line; a longer one is answered with an error and the connection is closed, since
/// where the next line begins is not known.
pub(super) const LINE_MAX: usize = 1 << 20;

/// How long a command may take before the client is told that we are busy.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take to read what it asked for before it is disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that the buffer has room for before a read.
const READ_AT_ONCE: usize = 16 << 10;

/// Events in one write.
const EVENTS_AT_ONCE: usize = 256;

/// The client's end is closed, stuck or beyond repair.
struct Closed;

pub(super) struct Connection {
    reader: OwnedReadHalf,
    lines: Lines,
    writer: OwnedWriteHalf,
    commands: mpsc::Sender<CommandRequest>,
    events: EventLog,
    subscription: Option<Subscription>,
}

impl Connection {
    pub(super) fn new(
        stream: UnixStream,
        commands: mpsc::Sender<CommandRequest>,
        events: EventLog,
    ) -> Self {
        let (reader, writer) = stream.into_split();
        let lines = Lines::default();
        Self { reader, lines, writer, commands, events, subscription: None }
    }

    /// Until the client goes.
    pub(super) async fn run(mut self) {
        while self.turn().await.is_ok() {}
    }

    async fn turn(&mut self) -> Result<(), Closed> {
        while let Some(line) = self.lines.pop() {
            self.line(&line).await?;
        }
        if self.lines.is_too_long() {
            let error = RpcError::invalid("the line is longer than 1 MiB");
            self.write(&[rpc::answer(Value::Null, Err(error))]).await?;
            return Err(Closed);
        }
        let is_event = match &mut self.subscription {
            None => {
                self.lines.fill(&mut self.reader).await?;
                false
            }
            Some(subscription) => tokio::select! {
                filled = self.lines.fill(&mut self.reader) => {
                    filled?;
                    false
                }
                () = subscription.ready() => true,
            },
        };
        if is_event { self.push_events().await } else { Ok(()) }
    }

    async fn line(&mut self, line: &[u8]) -> Result<(), Closed> {
        match rpc::parse_line(line) {
            Line::Empty => Ok(()),
            Line::One(call) => {
                let Some((answer, gap)) = self.answer(call).await else { return Ok(()) };
                self.write(&[answer]).await?;
                match gap {
                    Some(gap) => self.write(&[gap_event(gap)]).await,
                    None => Ok(()),
                }
            }
            Line::Batch(calls) => {
                let (mut answers, mut gaps) = (Vec::new(), Vec::new());
                for call in calls {
                    if let Some((answer, gap)) = self.answer(call).await {
                        answers.push(answer);
                        gaps.extend(gap.map(gap_event));
                    }
                }
                if !answers.is_empty() {
                    self.write(&[Value::Array(answers)]).await?;
                }
                if gaps.is_empty() { Ok(()) } else { self.write(&gaps).await }
            }
        }
    }

    /// The answer and, for a subscription, what it has missed. A notification is ignored: a wish
    /// whose outcome nobody hears is not carried out.
    async fn answer(&mut self, call: Result<Call, BadCall>) -> Option<(Value, Option<Gap>)> {
        let call = match call {
            Err(bad) => return Some((rpc::answer(bad.id, Err(bad.error)), None)),
            Ok(call) => call,
        };
        let id = call.id?;
        let command = match Command::from_rpc(&call.method, call.params.as_ref()) {
            Err(error) => return Some((rpc::answer(id, Err(error)), None)),
            Ok(Command::Events { since }) => {
                let (answer, gap) = self.subscribe(id, since);
                return Some((answer, gap));
            }
            Ok(command) => command,
        };
        let result = self.carry_out(command).await.map_err(|error| RpcError::from(&error));
        Some((rpc::answer(id, result), None))
    }

    fn subscribe(&mut self, id: Value, since: Option<u64>) -> (Value, Option<Gap>) {
        if self.subscription.is_some() {
            let error = RpcError::invalid("this connection already follows events");
            return (rpc::answer(id, Err(error)), None);
        }
        let (subscription, gap) = self.events.subscribe(since);
        // The client can tell where the replay ends and the present begins.
        let result = json!({ "replayed": subscription.replayed() });
        self.subscription = Some(subscription);
        (rpc::answer(id, Ok(result)), gap)
    }

    async fn carry_out(&self, command: Command) -> Result<Value, CommandError> {
        let (reply, answer) = oneshot::channel();
        match self.commands.try_send(CommandRequest { command, reply }) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(CommandError::Busy),
            Err(TrySendError::Closed(_)) => return Err(CommandError::Stopping),
        }
        match timeout(COMMAND_TIMEOUT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(CommandError::Stopping),
            Err(_) => Err(CommandError::Busy),
        }
    }

    async fn push_events(&mut self) -> Result<(), Closed> {
        let Some(subscription) = &mut self.subscription else { return Ok(()) };
        match subscription.take(EVENTS_AT_ONCE) {
            Next::Nothing => Ok(()),
            Next::Events(events) => {
                let lines: Vec<_> =
                    events.iter().map(|event| rpc::notification("event", json!(event))).collect();
                self.write(&lines).await
            }
            Next::Lost(gap) => {
                let params = json!({ "reason": "slow_reader", "from": gap.from, "to": gap.to });
                self.write(&[rpc::notification("events.closed", params)]).await?;
                Err(Closed)
            }
        }
    }

    /// Writes whole lines. Nothing is queued: a client that does not read stops its own task only,
    /// and is disconnected after a while.
    async fn write(&mut self, values: &[Value]) -> Result<(), Closed> {
        let mut bytes = Vec::new();
        for value in values {
            serde_json::to_writer(&mut bytes, value).map_err(|_| Closed)?;
            bytes.push(b'\n');
        }
        match timeout(WRITE_TIMEOUT, self.writer.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Closed),
        }
    }
}

/// The first event of a subscription that begins too far back.
fn gap_event(gap: Gap) -> Value {
    rpc::notification("events.gap", json!({ "from": gap.from, "to": gap.to }))
}

/// Splits the stream into lines; cancelling a `fill` loses nothing.
#[derive(Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no line end.
    scanned: usize,
}

impl Lines {
    /// The next complete line without its end; `None` too if it is longer than allowed.
    fn pop(&mut self) -> Option<Vec<u8>> {
        let rest = self.buffer.get(self.scanned..)?;
        let Some(at) = memchr::memchr(b'\n', rest) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = self.scanned + at;
        if end - self.start > LINE_MAX {
            return None;
        }
        let line = self.buffer.get(self.start..end)?.to_vec();
        self.start = end + 1;
        self.scanned = self.start;
        Some(line)
    }

    /// Is what remains already longer than a line may be?
    fn is_too_long(&self) -> bool {
        self.buffer.len() - self.start > LINE_MAX
    }

    async fn fill(&mut self, reader: &mut OwnedReadHalf) -> Result<(), Closed> {
        // Once per read, not once per line: many short lines cost no more than one long one.
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.reserve(READ_AT_ONCE);
        match reader.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(Closed),
            Ok(_) => Ok(()),
        }
    }
}
