//! Each verb of the command line.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory as _;
use serde_json::{Value, json};

use super::args::{Args, CallVerb, GuardVerb, RecordVerb, RecordingVerb, TrunkVerb, Verb, Words};
use super::client::{Client, ClientError, typed};
use super::table::clean;
use super::{
    CliError, Out, events, ladder, manual, phone, probe, recordings, rooms, show, speech, time,
};
use crate::edge::clock;
use crate::edge::command::reply::{CallDetail, DoctorReply, OriginateReply, ReloadReply};
use crate::edge::config::{self, Diagnostic, Severity};
use crate::switch::recording::RecordOrder;

/// Carries out the verb and returns the exit code.
pub(super) fn run<W: Write>(args: &Args, out: &mut Out<W>) -> Result<u8, CliError> {
    match &args.verb {
        Verb::Check { dir } => check(dir, args.json, out),
        Verb::Reference => {
            write!(out.to, "{}", config::reference())?;
            Ok(0)
        }
        Verb::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "tandem", &mut text);
            out.to.write_all(&text)?;
            Ok(0)
        }
        Verb::Man => {
            manual::write(&mut out.to)?;
            Ok(0)
        }
        Verb::Trunk { verb: TrunkVerb::Test { name, number } } => {
            probe::test(&args.socket, (name, number), args.json, out)
        }
        Verb::Phone { verb } => phone::run(args, verb, out),
        verb => {
            let mut client = Client::connect(&args.socket)?;
            ask(&mut client, verb, args.json, out)
        }
    }
}

fn ask<W: Write>(
    client: &mut Client,
    verb: &Verb,
    is_json: bool,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    let none = || json!({});
    match verb {
        Verb::Status => list(client.call("status", none())?, is_json, out, |reply, out| {
            Ok(show::status(&typed(reply)?, out.paint))
        }),
        Verb::Subscriptions => {
            let reply = client.call("subscriptions.list", none())?;
            list(reply, is_json, out, |reply, out| {
                Ok(show::subscriptions(&typed::<Vec<_>>(reply)?, out.paint))
            })
        }
        Verb::Phones => list(client.call("phones.list", none())?, is_json, out, |reply, out| {
            Ok(show::phones(&typed::<Vec<_>>(reply)?, out.paint))
        }),
        Verb::Trunks => list(client.call("trunks.list", none())?, is_json, out, |reply, out| {
            Ok(show::trunks(&typed::<Vec<_>>(reply)?, out.paint))
        }),
        Verb::Trunk { verb: TrunkVerb::Explain { name } } => {
            let reply = client.call("trunk.explain", json!({ "trunk": name }))?;
            list(reply, is_json, out, |reply, out| Ok(show::trunk(&typed(reply)?, out.paint)))
        }
        Verb::Calls => list(client.call("calls.list", none())?, is_json, out, |reply, out| {
            Ok(show::calls(&typed::<Vec<_>>(reply)?, out.paint))
        }),
        Verb::Call { verb } => call(client, verb, is_json, out),
        Verb::Records { limit, since, before, caller, called } => {
            let now = clock::wall();
            let at = |text: &Option<String>| {
                text.as_deref().map(|text| time::parse(text, now)).transpose()
            };
            let params = json!({
                "limit": limit, "since": at(since)?, "before": at(before)?,
                "caller": caller, "called": called,
            });
            list(client.call("records.list", params)?, is_json, out, |reply, out| {
                Ok(show::records(&typed(reply)?, now, out.paint))
            })
        }
        Verb::Rooms | Verb::Room { .. } => in_rooms(client, verb, is_json, out),
        Verb::Say { .. } => speech::preview(client, verb, (is_json, out)),
        Verb::Recordings { .. } | Verb::Recording { .. } | Verb::Audit { .. } => {
            recorded(client, verb, is_json, out)
        }
        Verb::Events { since, follow } => events::events(client, *since, *follow, is_json, out),
        Verb::Reload { dry_run } => reload(client, *dry_run, is_json, out),
        Verb::Doctor => {
            let reply = client.call("doctor", none())?;
            let typed_reply: DoctorReply = typed(reply.clone())?;
            let is_wrong = typed_reply.rows.iter().any(|row| row.is_wrong());
            list(reply, is_json, out, |_, out| Ok(show::doctor(&typed_reply, out.paint)))?;
            Ok(u8::from(is_wrong))
        }
        Verb::Guard { verb: None } => {
            list(client.call("guard", none())?, is_json, out, |reply, out| {
                Ok(show::guard(&typed(reply)?, out.paint))
            })
        }
        Verb::Guard { verb: Some(GuardVerb::Unban { address }) } => {
            let reply = client.call("guard.unban", json!({ "address": address }))?;
            list(reply, is_json, out, |_, _| Ok(format!("{} is forgiven.\n", clean(address))))
        }
        // Carried out before.
        Verb::Check { .. }
        | Verb::Reference
        | Verb::Completions { .. }
        | Verb::Man
        | Verb::Phone { .. }
        | Verb::Trunk { verb: TrunkVerb::Test { .. } } => Ok(0),
    }
}

/// What is asked of recordings.
fn recorded<W: Write>(
    client: &mut Client,
    verb: &Verb,
    is_json: bool,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    match verb {
        Verb::Recordings { limit, since, before } => {
            let now = clock::wall();
            let at = |text: &Option<String>| {
                text.as_deref().map(|text| time::parse(text, now)).transpose()
            };
            let params = json!({ "limit": limit, "since": at(since)?, "before": at(before)? });
            list(client.call("recordings.list", params)?, is_json, out, |reply, out| {
                Ok(recordings::recordings(&typed::<Vec<_>>(reply)?, out.paint))
            })
        }
        Verb::Recording { verb: RecordingVerb::Delete { id, reason } } => {
            let params = json!({ "call": id, "reason": reason });
            let reply = client.call("recording.delete", params)?;
            list(reply, is_json, out, |_, _| {
                Ok(format!("The recording of call {} is deleted.\n", clean(id)))
            })
        }
        Verb::Audit { limit } => {
            let reply = client.call("audit.list", json!({ "limit": limit }))?;
            list(reply, is_json, out, |reply, out| {
                Ok(recordings::audit(&typed::<Vec<_>>(reply)?, out.paint))
            })
        }
        // Nothing else is asked here.
        _ => Ok(0),
    }
}

/// What is asked of rooms.
fn in_rooms<W: Write>(
    client: &mut Client,
    verb: &Verb,
    is_json: bool,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    match verb {
        Verb::Room { verb } => {
            let (method, params) = rooms::asked(verb);
            list(client.call(method, params)?, is_json, out, |reply, out| {
                Ok(rooms::room(&typed(reply)?, out.paint))
            })
        }
        // Nothing else is asked here.
        _ => list(client.call("rooms.list", json!({}))?, is_json, out, |reply, out| {
            Ok(rooms::rooms(&typed::<Vec<_>>(reply)?, out.paint))
        }),
    }
}

/// Prints a reply as JSON or as `text` makes it.
fn list<W: Write>(
    reply: Value,
    is_json: bool,
    out: &mut Out<W>,
    text: impl FnOnce(Value, &Out<W>) -> Result<String, ClientError>,
) -> Result<u8, CliError> {
    let text = if is_json { format!("{reply:#}\n") } else { text(reply, out)? };
    out.to.write_all(text.as_bytes())?;
    Ok(0)
}

fn call<W: Write>(
    client: &mut Client,
    verb: &CallVerb,
    is_json: bool,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    match verb {
        CallVerb::Show { id, ladder } => {
            let reply = client.call("call.show", json!({ "call": id }))?;
            list(reply, is_json, out, |reply, out| {
                let detail: CallDetail = typed(reply)?;
                Ok(if *ladder { ladder::ladder(&detail) } else { show::call(&detail, out.paint) })
            })
        }
        CallVerb::Originate { from, to, auto_answer } => {
            let params = json!({ "from": from, "to": to, "auto_answer": auto_answer });
            let reply = client.call("call.originate", params)?;
            list(reply, is_json, out, |reply, _| {
                let reply: OriginateReply = typed(reply)?;
                let (from, id) = (clean(from), clean(&reply.call));
                Ok(format!("Ringing {from}; the call is {id}.\n"))
            })
        }
        CallVerb::Watch { id, phone, heard_by } => {
            let heard_by = rooms::heard_word(*heard_by);
            let params = json!({ "call": id, "phone": phone, "heard_by": heard_by });
            let reply = client.call("call.watch", params)?;
            list(reply, is_json, out, |reply, _| {
                let reply: OriginateReply = typed(reply)?;
                let (phone, id) = (clean(phone), clean(&reply.call));
                Ok(format!("Ringing {phone}, which will listen; its call is {id}.\n"))
            })
        }
        CallVerb::Record { id, order } => {
            let order = match order {
                RecordVerb::Start => RecordOrder::Start,
                RecordVerb::Pause => RecordOrder::Pause,
                RecordVerb::Resume => RecordOrder::Resume,
            };
            let params = json!({ "call": id, "order": order.word() });
            let reply = client.call("call.record", params)?;
            let state = reply["recording"].as_str().unwrap_or_default().to_owned();
            list(reply, is_json, out, |_, _| {
                Ok(format!("The recording of call {} is {}.\n", clean(id), clean(&state)))
            })
        }
        CallVerb::Say { id, text, side, lang } => {
            let words = Words::Text(text);
            speech::say(client, (id, *side), words, lang.as_deref(), (is_json, out))
        }
        CallVerb::Play { id, what, side, lang } => {
            let words = Words::Prompts(what);
            speech::say(client, (id, *side), words, lang.as_deref(), (is_json, out))
        }
        CallVerb::Transcribe { id, order } => {
            let params = json!({ "call": id, "on": order == "on" });
            list(client.call("call.transcribe", params)?, is_json, out, |_, _| {
                Ok(format!("The transcript of call {} is ordered {}.\n", clean(id), clean(order)))
            })
        }
        CallVerb::Silence { id } => {
            let reply = client.call("call.silence", json!({ "call": id }))?;
            list(reply, is_json, out, |_, _| {
                Ok(format!("Nothing more is said to call {}.\n", clean(id)))
            })
        }
        CallVerb::Hangup { id } => {
            let reply = client.call("call.hangup", json!({ "call": id }))?;
            list(reply, is_json, out, |_, _| Ok(format!("Call {} is ended.\n", clean(id))))
        }
    }
}

fn reload<W: Write>(
    client: &mut Client,
    is_dry_run: bool,
    is_json: bool,
    out: &mut Out<W>,
) -> Result<u8, CliError> {
    match client.call("reload", json!({ "dry_run": is_dry_run })) {
        Ok(reply) => list(reply, is_json, out, |reply, _| {
            let reply: ReloadReply = typed(reply)?;
            let mut text: String = reply.warnings.iter().map(show::diagnostic).collect();
            text.push_str(&reply.text);
            text.push_str(&if reply.is_applied {
                format!("\nRevision {} is in force.\n", reply.revision)
            } else {
                "\nNothing was changed.\n".to_owned()
            });
            Ok(text)
        }),
        Err(ClientError::Refused { message, data }) => {
            if !is_json {
                let findings = data["diagnostics"].as_array().cloned().unwrap_or_default();
                let text: String = findings.iter().map(show::diagnostic).collect();
                out.to.write_all(text.as_bytes())?;
                out.to.flush()?;
            }
            Err(ClientError::Refused { message, data }.into())
        }
        Err(error) => Err(error.into()),
    }
}

fn check<W: Write>(dir: &Path, is_json: bool, out: &mut Out<W>) -> Result<u8, CliError> {
    let (findings, summary) = match config::load(dir) {
        Ok(loaded) => {
            let snapshot = &loaded.snapshot;
            let count = |count: usize, word: &str| {
                format!("{count} {word}{}", if count == 1 { "" } else { "s" })
            };
            let summary = [
                count(snapshot.phones.len(), "phone"),
                count(snapshot.trunks.len(), "trunk"),
                count(snapshot.numbers.len(), "number"),
                count(snapshot.routes.len(), "route"),
            ];
            (loaded.warnings, summary.join(", "))
        }
        Err(findings) => (findings, String::new()),
    };
    let is_error = |finding: &&Diagnostic| finding.severity == Severity::Error;
    let errors = findings.iter().filter(is_error).count();
    let warnings = findings.len() - errors;
    if is_json {
        let report = json!({ "errors": errors, "warnings": warnings, "diagnostics": findings });
        writeln!(out.to, "{report:#}")?;
    } else {
        for finding in &findings {
            writeln!(out.to, "{finding}")?;
        }
        let counts = format!("{errors} error(s), {warnings} warning(s)");
        match (errors, warnings) {
            (0, 0) => writeln!(out.to, "{} is good: {summary}.", dir.display())?,
            (0, _) => writeln!(out.to, "{} is usable: {summary}; {counts}.", dir.display())?,
            _ => writeln!(out.to, "{} cannot be used: {counts}.", dir.display())?,
        }
    }
    Ok(u8::from(errors > 0))
}
