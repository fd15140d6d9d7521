//! `tandem events`: what happened, and what happens.

use std::collections::VecDeque;
use std::io::Write;

use serde_json::{Value, json};

use super::client::{Client, ClientError};
use super::table::{Paint, Tone, clean};
use super::time::local_clock;
use super::{CliError, Out};

/// Events that are shown if no number is given.
const TAIL: usize = 50;

pub(super) fn events<W: Write>(
    client: &mut Client,
    since: Option<u64>,
    is_following: bool,
    is_json: bool,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    let result = client.call("events.subscribe", json!({ "since": since.unwrap_or(0) }))?;
    let mut left = result["replayed"].as_u64().unwrap_or(0);
    let tail = if since.is_none() { TAIL } else { usize::MAX };
    let mut kept: VecDeque<Value> = VecDeque::new();
    while left > 0 {
        let message = client.next()?.ok_or(ClientError::Gone)?;
        match message["method"].as_str() {
            Some("event") => left -= 1,
            Some("events.closed") => left = 0,
            // The gap before everything that is kept says nothing to one who wants the last fifty.
            Some("events.gap") if since.is_none() => continue,
            _ => {}
        }
        kept.push_back(message);
        if kept.len() > tail {
            kept.pop_front();
        }
    }
    for message in &kept {
        print(message, is_json, out)?;
    }
    if !is_following {
        if kept.is_empty() && !is_json {
            writeln!(out.to, "No events yet.")?;
        }
        return Ok(0);
    }
    out.to.flush()?;
    client.read_timeout(None)?;
    while let Some(message) = client.next()? {
        print(&message, is_json, out)?;
        out.to.flush()?;
        if message["method"] == "events.closed" {
            return Ok(1);
        }
    }
    Err(ClientError::Gone.into())
}

fn print<W: Write>(message: &Value, is_json: bool, out: &mut Out<W>) -> Result<(), CliError> {
    if is_json {
        writeln!(out.to, "{message}")?;
    } else {
        writeln!(out.to, "{}", line(message, out.paint))?;
    }
    Ok(())
}

/// `16:00:00.123  1750000000000001  call.answered  call=7f3a leg=b`.
pub(super) fn line(message: &Value, paint: Paint) -> String {
    let params = &message["params"];
    let range = || {
        let number = |name: &str| params[name].as_u64().unwrap_or(0);
        format!("{} to {}", number("from"), number("to"))
    };
    match message["method"].as_str() {
        Some("event") => {}
        Some("events.gap") => {
            let text = format!("events {} are not kept any more", range());
            return paint.paint(&text, Tone::Bad);
        }
        _ => {
            let text = format!("disconnected: fell behind, events {} are lost", range());
            return paint.paint(&text, Tone::Bad);
        }
    }
    let at = local_clock(params["at"].as_str().unwrap_or(""));
    let seq = params["seq"].as_u64().unwrap_or(0);
    let kind = clean(params["kind"].as_str().unwrap_or(""));
    let fields: Vec<String> = params["fields"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| match value {
            Value::String(text) if !text.contains(' ') => format!("{name}={}", clean(text)),
            value => format!("{name}={value}"),
        })
        .collect();
    let head = paint.paint(&format!("{at}  {seq}"), Tone::Dim);
    format!("{head}  {}  {}", paint.paint(&kind, Tone::Head), fields.join(" "))
        .trim_end()
        .to_owned()
}
