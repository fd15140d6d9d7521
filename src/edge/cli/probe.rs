//! `tandem trunk test`: a call, and what came back.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Client, ClientError, typed};
use super::{CliError, Out, show};
use crate::edge::clock::Clock;
use crate::edge::command::reply::{CallDetail, OriginateReply, StatusReply};
use crate::proto::time::Instant;

/// How long the record of a call that has ended may take to be written.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is asked for.
const STEP: Duration = Duration::from_millis(100);

/// Places the call, waits for its end and tells its story; 1 unless the far end answered.
pub(super) fn test<W: Write>(
    socket: &Path,
    (trunk, number): (&str, &str),
    is_json: bool,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    let mut client = Client::connect(socket)?;
    let status: StatusReply = typed(client.call("status", json!({}))?)?;
    let params = json!({ "trunk": trunk, "number": number });
    let OriginateReply { call } = typed(client.call("trunk.test", params)?)?;
    let mut events = Client::connect(socket)?;
    events.call("events.subscribe", json!({ "since": status.last_event }))?;
    // The daemon's own limits end the call: it rings for so long, and talks for so long.
    events.read_timeout(None)?;
    loop {
        let event = events.next()?.ok_or(ClientError::Gone)?;
        let is_its = event["params"]["fields"]["call"] == call.as_str();
        if event["method"] == "events.closed" || is_its && event["params"]["kind"] == "call.ended" {
            break;
        }
    }
    let reply = ended(&mut client, &events, &call)?;
    let detail: CallDetail = typed(reply.clone())?;
    let is_good = detail.cause.as_deref() == Some("tested");
    if is_json {
        out.to.write_all(format!("{reply:#}\n").as_bytes())?;
    } else {
        let text = show::call(&detail, out.paint);
        let verdict = verdict(&detail, is_good);
        out.to.write_all(format!("{text}\n{verdict}\n").as_bytes())?;
    }
    Ok(u8::from(!is_good))
}

/// The record, which follows the end of the call: it waits for the answers to the last messages.
fn ended(client: &mut Client, events: &Client, call: &str) -> Result<Value, CliError> {
    events.read_timeout(Some(STEP))?;
    let clock = Clock::start();
    loop {
        let reply = client.call("call.show", json!({ "call": call }))?;
        if reply["cause"].is_string() || clock.now().since(Instant::START) > RECORD_TIMEOUT {
            return Ok(reply);
        }
        events.pause();
    }
}

fn verdict(detail: &CallDetail, is_good: bool) -> String {
    if !is_good {
        return "The trunk did not take the call: see its timeline above.".to_owned();
    }
    match detail.legs.first().map(|leg| leg.packets_in) {
        Some(heard) if heard > 0 => {
            format!("The trunk took the call, and {heard} packets of audio came.")
        }
        _ => "The trunk took the call, and no audio came: is a firewall between, or is our address wrong?".to_owned(),
    }
}
