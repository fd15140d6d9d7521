//! Replies as tables and sentences.

use std::fmt::Write as _;

use serde_json::Value;

use super::table::{Cell, Paint, Table, Tone, cell, clean, toned};
use super::time::{ago, local, span};
use crate::edge::command::reply::SubscriptionRow;
use crate::edge::command::reply::{
    CallDetail, CallRow, DoctorReply, GuardReply, PhoneDetail, PhoneRow, ProvisionReply,
    RecordsReply, StatusReply, TrunkDetail, TrunkRow,
};
use crate::proto::time::Wall;

pub(super) fn status(status: &StatusReply, paint: Paint) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{}{}", paint.paint(&format!("{name:<15}"), Tone::Head), text);
    };
    let draining = if status.is_draining { ", draining: no new calls" } else { "" };
    line("tandemd", format!("{}, up {}{draining}", status.version, span(status.uptime_seconds)));
    let last_good = if status.is_last_good {
        ", THE LAST GOOD ONE: the files have errors, see tandem check"
    } else {
        ""
    };
    let folder = clean(&status.config);
    line("configuration", format!("revision {} of {folder}{last_good}", status.revision));
    let (calls, answered) = (status.calls, status.calls_answered);
    line("calls", format!("{calls} of at most {}, {answered} answered", status.calls_max));
    line("phones", format!("{} of {} registered", status.phones_registered, status.phones));
    line("trunks", format!("{} of {} up", status.trunks_up, status.trunks));
    line("banned", format!("{} sources, see tandem guard", status.banned));
    line("listening on", status.listen.join(", "));
    line("last event", status.last_event.to_string());
    out
}

pub(super) fn subscriptions(rows: &[SubscriptionRow], paint: Paint) -> String {
    let mut table =
        Table::new(&["WATCHER", "EVENT", "WATCHED", "FROM", ">EXPIRES", ">NOTIFIED", "STATE"]);
    for row in rows {
        let state = if row.is_waiting { "unanswered" } else { "told" };
        table.row(vec![
            cell(&row.watcher),
            cell(&row.event),
            cell(&row.watched),
            dash(row.from.as_deref().unwrap_or("")),
            cell(format!("{} s", row.expires_in_seconds)),
            cell(row.notified.to_string()),
            cell(state),
        ]);
    }
    table.print(paint, "Nobody watches anybody.")
}

pub(super) fn phones(phones: &[PhoneRow], paint: Paint) -> String {
    let mut table =
        Table::new(&["EXTENSION", "NAME", "STATE", "FROM", ">EXPIRES", "DEVICE", "CONTACT"]);
    for phone in phones {
        if phone.contacts.is_empty() {
            let state = toned("not registered", Tone::Dim);
            table.row(vec![cell(&phone.extension), cell(&phone.name), state]);
        }
        for (index, contact) in phone.contacts.iter().enumerate() {
            let (extension, name) =
                if index == 0 { (phone.extension.as_str(), phone.name.as_str()) } else { ("", "") };
            table.row(vec![
                cell(extension),
                cell(name),
                toned("registered", Tone::Good),
                cell(format!("{}:{}", contact.transport, contact.from)),
                cell(format!("{} s", contact.expires_in_seconds)),
                cell(&contact.user_agent),
                cell(&contact.uri),
            ]);
        }
    }
    table.print(paint, "No phones in the configuration. Add a [[phone]] to phones.toml.")
}

/// One phone: what is typed into it, and what is registered.
pub(super) fn phone(phone: &PhoneDetail, paint: Paint) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        let _ =
            writeln!(out, "{} {}", paint.paint(&format!("{name:<14}"), Tone::Head), clean(text));
    };
    let hidden = "hidden; --secret shows it";
    let unset = "not known; set `server` in [provisioning]";
    line("extension", &phone.extension);
    line("name", &phone.name);
    let registered = if phone.is_registered { "registered" } else { "not registered" };
    let calls = match phone.calls {
        0 => "idle".to_owned(),
        calls => format!("on {calls} call{}", if calls == 1 { "" } else { "s" }),
    };
    line("state", &format!("{registered}, {calls}"));
    let services = phone.services.join(", ");
    line("services", if services.is_empty() { "none" } else { &services });
    line("domain", phone.domain.as_deref().unwrap_or(unset));
    line("user", &phone.user);
    line("password", phone.secret.as_deref().unwrap_or(hidden));
    line("server", phone.server.as_deref().unwrap_or(unset));
    line("backup server", phone.backup_server.as_deref().unwrap_or("-"));
    line("transport", &phone.transport);
    line("brand", &phone.brand);
    line("mac", phone.mac.as_deref().unwrap_or("-"));
    let none = "none yet; `tandem phone provision` makes one";
    let url = phone.url.as_deref().unwrap_or(if phone.has_url { hidden } else { none });
    line("files", url);
    if !phone.contacts.is_empty() {
        let mut table = Table::new(&["DEVICE", "FROM", ">EXPIRES", "CONTACT"]);
        for contact in &phone.contacts {
            table.row(vec![
                cell(&contact.user_agent),
                cell(format!("{}:{}", contact.transport, contact.from)),
                cell(format!("{} s", contact.expires_in_seconds)),
                cell(&contact.uri),
            ]);
        }
        let _ = write!(out, "\n{}", table.print(paint, ""));
    }
    out
}

/// What to do on a phone so that it fetches its files.
pub(super) fn provision(reply: &ProvisionReply, paint: Paint) -> String {
    let mut out = String::new();
    let extension = clean(&reply.extension);
    let new = if reply.is_new { " It is new; one that it had before is void." } else { "" };
    let _ = writeln!(
        out,
        "Where phone {extension} ({}) gets its configuration, and its password with it.{new}",
        reply.brand
    );
    for (number, step) in (1..).zip(&reply.steps) {
        let is_url = *step == reply.url;
        let step = if is_url { paint.paint(&clean(step), Tone::Good) } else { clean(step) };
        let _ = if is_url {
            writeln!(out, "\n    {step}\n")
        } else {
            writeln!(out, "{number}. {step}")
        };
    }
    let _ = writeln!(out, "It asks for {}.", clean(&reply.files.join(", ")));
    if reply.needs_mac {
        let _ = writeln!(
            out,
            "{}",
            paint.paint("It has no `mac` in phones.toml, so it will find nothing.", Tone::Bad)
        );
    }
    out
}

pub(super) fn trunks(trunks: &[TrunkRow], paint: Paint) -> String {
    let mut table = Table::new(&["TRUNK", "MODE", "STATE", ">CALLS", "PEERS", "REASON"]);
    for trunk in trunks {
        let tone = match trunk.state.as_str() {
            "up" => Tone::Good,
            "down" | "backing off" | "poor" => Tone::Bad,
            _ => Tone::Plain,
        };
        table.row(vec![
            cell(&trunk.name),
            cell(&trunk.mode),
            toned(&trunk.state, tone),
            cell(trunk.calls.to_string()),
            cell(trunk.peers.join(", ")),
            cell(&trunk.reason),
        ]);
    }
    table.print(paint, "No trunks in the configuration. Add a [[trunk]] to trunks.toml.")
}

pub(super) fn trunk(detail: &TrunkDetail, paint: Paint) -> String {
    let TrunkDetail { trunk, .. } = detail;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{} ({}) is {}: {}. {} live calls; of {} in five minutes {} answered, {} failed.",
        paint.paint(&clean(&trunk.name), Tone::Head),
        clean(&trunk.mode),
        clean(&trunk.state),
        clean(&trunk.reason),
        trunk.calls,
        trunk.tried,
        trunk.answered,
        trunk.failed
    );
    let mut places = Table::new(&["PEER", "PLACE", "WE SEND FROM", "STATE"]);
    for place in &detail.places {
        let row = [&place.peer, &place.place, &place.ours, &place.words];
        places.row(row.map(cell).to_vec());
    }
    let _ = write!(
        out,
        "\n{}",
        places.print(paint, "No place: nobody has registered, or no peer is located.")
    );
    let mut part = |name: &str, lines: &[String], nothing: &str| {
        let _ = writeln!(out, "\n{}", paint.paint(name, Tone::Head));
        let nothing = [nothing.to_owned()];
        for line in if lines.is_empty() { &nothing } else { lines } {
            let _ = writeln!(out, "  {}", clean(line));
        }
    };
    part("The carrier has to let in", &detail.lets_in, "nothing is known yet");
    part("Callers come by", &detail.numbers, "no [[number]] names it: calls from it are refused");
    part("Calls leave by", &detail.routes, "no [[route]] names it");
    let profile = &detail.profile;
    let settings = detail.settings.iter().map(|row| {
        let by = match row.set_by.as_str() {
            "trunk" => "trunks.toml".to_owned(),
            "profile" => format!("profile {profile}"),
            _ => "default".to_owned(),
        };
        format!("{:<22} {:<22} {by}", row.name, row.value)
    });
    let settings: Vec<_> = settings.collect();
    part("Settings", &settings, "none");
    out
}

pub(super) fn guard(reply: &GuardReply, paint: Paint) -> String {
    let mut table = Table::new(&[
        "WHO",
        "STATE",
        ">SCORE",
        ">ENDS IN",
        ">BANS",
        ">FAILED",
        ">SILENCED",
        ">NO RECORD",
        "REASON",
    ]);
    for row in &reply.rows {
        let tone = match row.state.as_str() {
            "banned" => Tone::Bad,
            "limited" => Tone::Head,
            _ => Tone::Plain,
        };
        let kind = if row.kind == "user" { "user " } else { "" };
        table.row(vec![
            cell(format!("{kind}{}", row.name)),
            toned(&row.state, tone),
            cell(row.score.to_string()),
            cell(row.ends_in_seconds.map(|left| format!("{left} s")).unwrap_or_default()),
            cell(row.bans.to_string()),
            cell(row.failed_logins.to_string()),
            cell(row.silenced.to_string()),
            cell(row.unrecorded.to_string()),
            cell(&row.reason),
        ]);
    }
    let mut out = table.print(paint, "Nobody is banned, limited or watched.");
    let _ = writeln!(
        out,
        "{} banned now, {} bans since the start; {} requests silenced, {} shed for load, {} refused calls without a record",
        reply.banned, reply.bans, reply.silenced, reply.shed, reply.unrecorded
    );
    out
}

pub(super) fn calls(calls: &[CallRow], paint: Paint) -> String {
    let mut table =
        Table::new(&["CALL", "DIRECTION", "CALLER", "CALLED", "TRUNK", "STATE", ">SINCE"]);
    for call in calls {
        let tone = if call.state == "talk" { Tone::Good } else { Tone::Plain };
        table.row(vec![
            cell(&call.id),
            cell(&call.direction),
            cell(&call.caller),
            cell(&call.called),
            dash(&call.trunk),
            toned(&call.state, tone),
            cell(span(call.duration_seconds)),
        ]);
    }
    table.print(paint, "No calls right now.")
}

pub(super) fn records(reply: &RecordsReply, now: Wall, paint: Paint) -> String {
    let mut table = Table::new(&[
        "BEGAN", "CALLER", "CALLED", "TRUNK", ">LENGTH", ">TALK", "CAUSE", "BY", "CALL",
    ]);
    for record in &reply.records {
        let tone = match record.cause.as_str() {
            "normal" => Tone::Good,
            "system_error" | "internal.panic" => Tone::Bad,
            _ => Tone::Plain,
        };
        table.row(vec![
            cell(ago(&record.began, now)),
            cell(&record.caller),
            cell(&record.called),
            dash(&record.trunk),
            cell(span(record.duration_seconds)),
            cell(span(record.talk_seconds)),
            toned(&record.cause, tone),
            cell(&record.hung_up_by),
            cell(&record.call),
        ]);
    }
    let mut out = table.print(paint, "No records of such calls.");
    if let Some(before) = &reply.next_before {
        let _ = writeln!(out, "{}", paint.paint(&format!("Older: --before {before}"), Tone::Dim));
    }
    out
}

pub(super) fn dash(text: &str) -> Cell {
    if text.is_empty() { toned("-", Tone::Dim) } else { cell(text) }
}

pub(super) fn call(detail: &CallDetail, paint: Paint) -> String {
    let call = &detail.call;
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        let name = paint.paint(&format!("{name:<10}"), Tone::Head);
        let _ = writeln!(out, "{name}{}", clean(text));
    };
    line("call", &call.id);
    let trunk =
        if call.trunk.is_empty() { String::new() } else { format!(", trunk {}", call.trunk) };
    let withheld = if call.withheld { " (withheld)" } else { "" };
    let CallRow { caller, called, direction, .. } = call;
    line("between", &format!("{caller}{withheld} -> {called} ({direction}{trunk})"));
    let ids: Vec<_> = detail.legs.iter().map(|leg| leg.session_id.as_str()).collect();
    if ids.iter().any(|id| !id.is_empty()) {
        line("session", &ids.join(" "));
    }
    line("began", &local(&call.began));
    if let Some(answered) = &call.answered {
        line("answered", &local(answered));
    }
    match (&detail.ended, &detail.cause) {
        (Some(ended), cause) => {
            let cause = cause.as_deref().unwrap_or("unknown");
            let by = detail.hung_up_by.as_deref().unwrap_or("nobody");
            line("ended", &format!("{}, {cause}, by {by}", local(ended)));
        }
        (None, _) => line("state", &call.state),
    }
    line("length", &span(call.duration_seconds));
    let segments: Vec<String> = detail
        .segments
        .iter()
        .map(|s| format!("{} {:.1} s", s.kind, micros(s.until_us.saturating_sub(s.from_us))))
        .collect();
    if !segments.is_empty() {
        line("segments", &segments.join(", "));
    }
    if let Some(audio) = &detail.audio {
        line("audio", audio);
    }
    out.push('\n');
    out.push_str(&legs(detail, paint));
    out.push('\n');
    let mut table = Table::new(&[">AT", "LEG", "WHAT", "DETAIL"]);
    for entry in &detail.timeline {
        let at = format!("{:.3} s", micros(entry.at_us));
        table.row(vec![cell(at), dash(&entry.leg), cell(&entry.what), cell(&entry.text)]);
    }
    out.push_str(&table.print(paint, "Nothing has happened on it yet."));
    out
}

fn legs(detail: &CallDetail, paint: Paint) -> String {
    let mut table = Table::new(&[
        "LEG",
        "PARTY",
        ">STATUS",
        ">IN",
        ">OUT",
        ">LOST",
        ">JITTER",
        ">RTT",
        ">MOS",
        ">WORST",
        "AUDIO FROM",
        "SRTP",
        "SIGNALLING",
    ]);
    for leg in &detail.legs {
        table.row(vec![
            cell(&leg.leg),
            cell(&leg.party),
            if leg.status == 0 { dash("") } else { cell(leg.status.to_string()) },
            cell(leg.packets_in.to_string()),
            cell(leg.packets_out.to_string()),
            cell(match leg.lost {
                0 => "0".to_owned(),
                lost => format!("{lost} ({:.1} %)", leg.sound.loss_percent),
            }),
            cell(format!("{:.1} ms", leg.jitter_ms)),
            leg.sound.rtt_ms.map_or_else(|| dash(""), |rtt| cell(format!("{rtt:.0} ms"))),
            score(leg.sound.mos),
            score(leg.sound.mos_worst),
            dash(leg.audio.as_deref().unwrap_or("")),
            dash(&leg.srtp),
            dash(leg.signalling.as_deref().unwrap_or("")),
        ]);
    }
    let mut out = table.print(paint, "No legs.");
    for leg in &detail.legs {
        let party = clean(&leg.party);
        if !leg.dropped.is_empty() {
            let _ = writeln!(out, "{party} sent what was not passed on: {}", clean(&leg.dropped));
        }
        if let Some(loss) = leg.sound.far_loss_percent {
            let jitter = leg.sound.far_jitter_ms.unwrap_or_default();
            let mos = leg.sound.far_mos.map(|mos| format!(", MOS {mos:.1}")).unwrap_or_default();
            let _ = writeln!(
                out,
                "{party} reports of what it hears: {loss:.1} % lost, jitter {jitter:.1} ms{mos}"
            );
        }
    }
    out
}

/// A mean opinion score; below 3.6 many are dissatisfied, below 3.1 nearly all (ITU-T G.107 Annex B).
fn score(mos: Option<f64>) -> Cell {
    let Some(mos) = mos else { return dash("") };
    let tone = if mos < 3.1 { Tone::Bad } else { Tone::Plain };
    toned(format!("{mos:.1}"), tone)
}

#[expect(clippy::cast_precision_loss, reason = "a call is shorter than 2^52 microseconds")]
fn micros(us: u64) -> f64 {
    us as f64 / 1e6
}

pub(super) fn doctor(reply: &DoctorReply, paint: Paint) -> String {
    let mut table = Table::new(&["WHAT", ">COUNT", ">SHOULD BE"]);
    for row in &reply.rows {
        let tone = if row.is_wrong() { Tone::Bad } else { Tone::Plain };
        let expected = row.expected.map_or_else(|| dash(""), |expected| cell(expected.to_string()));
        table.row(vec![cell(&row.name), toned(row.value.to_string(), tone), expected]);
    }
    let mut out = table.print(paint, "The daemon counts nothing.");
    let wrong = reply.rows.iter().filter(|row| row.is_wrong()).count();
    let verdict = match wrong {
        0 => paint.paint("Everything is as it should be.", Tone::Good),
        1 => paint.paint("1 count is not what it should be.", Tone::Bad),
        _ => paint.paint(&format!("{wrong} counts are not what they should be."), Tone::Bad),
    };
    let _ = writeln!(out, "{verdict}");
    out
}

/// A diagnostic that came as JSON, in the words of `tandem check`.
pub(super) fn diagnostic(value: &Value) -> String {
    let text = |name: &str| value[name].as_str().unwrap_or("");
    let place = match value["line"].as_u64() {
        Some(line) if line > 0 => format!("{line}:{}:", value["col"].as_u64().unwrap_or(1)),
        _ => String::new(),
    };
    let (file, severity, rule) = (text("file"), text("severity"), text("rule"));
    let mut out = format!("{file}:{place} {severity}[{rule}]: {}\n", text("message"));
    if let Some(suggestion) = value["suggestion"].as_str() {
        let _ = writeln!(out, "  help: {suggestion}");
    }
    out
}
