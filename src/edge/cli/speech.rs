//! `tandem say`, and what is said to a call.

use std::io::Write;

use serde_json::{Value, json};

use super::args::{SideWord, Verb, Words};
use super::client::Client;
use super::table::clean;
use super::{CliError, Out};
use crate::proto::stir::base64url;

impl SideWord {
    const fn word(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::Both => "both",
        }
    }
}

/// What is to be said, as parameters: one name that begins with `/` is a file.
fn prompts(names: &[String]) -> Value {
    match names {
        [file] if file.starts_with('/') => json!({ "file": file }),
        names => json!({ "prompts": names.join(" ") }),
    }
}

/// Says something in a call.
pub(super) fn say<W: Write>(
    client: &mut Client,
    (call, side): (&str, SideWord),
    what: Words<'_>,
    lang: Option<&str>,
    (is_json, out): (bool, &mut Out<W>),
) -> Result<u8, CliError> {
    let mut params = match what {
        Words::Text(text) => json!({ "text": text }),
        Words::Prompts(names) => prompts(names),
    };
    params["call"] = json!(call);
    params["side"] = json!(side.word());
    params["language"] = json!(lang);
    let reply = client.call("call.say", params)?;
    if is_json {
        writeln!(out.to, "{reply:#}")?;
    } else {
        let name = reply["say"].as_str().unwrap_or_default().to_owned();
        writeln!(out.to, "It is said to call {} as {}.", clean(call), clean(&name))?;
    }
    Ok(0)
}

/// Writes what would be heard into a file.
pub(super) fn preview<W: Write>(
    client: &mut Client,
    verb: &Verb,
    (is_json, out): (bool, &mut Out<W>),
) -> Result<u8, CliError> {
    let Verb::Say { what, prompts: are_prompts, out: file, lang } = verb else { return Ok(0) };
    let mut params = if *are_prompts { prompts(what) } else { json!({ "text": what.join(" ") }) };
    params["language"] = json!(lang);
    let mut reply = client.call("speech.preview", params)?;
    let wav = reply["wav"].as_str().and_then(base64url::decode).unwrap_or_default();
    std::fs::write(file, wav)?;
    if is_json {
        reply["wav"] = json!(file);
        writeln!(out.to, "{reply:#}")?;
        return Ok(0);
    }
    let number = |name: &str| reply[name].as_f64().unwrap_or_default();
    let seconds = number("samples") / number("rate").max(1.0);
    writeln!(out.to, "{}: {seconds:.1} seconds.", file.display())?;
    Ok(0)
}
