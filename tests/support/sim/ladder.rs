//! One call as text: who said what to whom and when, what the sides could hear, the record.

use std::net::SocketAddr;

use tandem::switch::cdr::record::Record;

use super::sdp;
use super::text::Text;
use super::world::World;

impl World {
    /// The ladder of the only call so far.
    pub fn ladder(&self) -> String {
        self.ladder_of(self.record())
    }

    /// The ladder of a call with its record.
    pub fn ladder_of(&self, record: &Record) -> String {
        let began = u64::try_from(record.began.at.0 - super::world::EPOCH.0).unwrap();
        let is_of_call =
            |text: &Text| record.legs.iter().any(|leg| leg.sip_call_id == text.call_id());
        let mut lines: Vec<(u64, usize, String)> = Vec::new();
        for wire in self.wires.iter().filter(|wire| is_of_call(&wire.text)) {
            let lost = if wire.is_lost { "   (lost)" } else { "" };
            let line = format!(
                "{:>7} -> {:<7} {}{lost}",
                self.name(wire.from),
                self.name(wire.to),
                start_line(&wire.text)
            );
            lines.push((wire.at, lines.len(), line));
        }
        for (at, call, hearing) in &self.hearing {
            if *call == record.began.call {
                lines.push((*at, lines.len(), format!("   hear    {hearing}")));
            }
        }
        lines.sort_by_key(|(at, order, _)| (*at, *order));
        let mut out = String::new();
        for (at, _, line) in lines {
            let ms = (i64::try_from(at).unwrap() - i64::try_from(began).unwrap()) / 1000;
            out.push_str(format!("{ms:>7} {line}").trim_end());
            out += "\n";
        }
        out + "\n" + &self.record_text(record)
    }

    /// A record in a few lines.
    pub fn record_text(&self, record: &Record) -> String {
        let began = &record.began;
        let trunk =
            if began.trunk.is_empty() { String::new() } else { format!(" trunk {}", began.trunk) };
        let mut out = format!(
            "{} {} -> {}{trunk}\ncause {} ({}), hung up by {}\n",
            began.direction.word(),
            began.caller,
            began.called,
            record.cause.key,
            record.cause.sip,
            record.hung_up_by.word(),
        );
        for segment in &record.segments {
            let ms = (segment.until - segment.from).as_millis();
            out += &format!("  {:<8} {ms} ms\n", segment.kind.word());
        }
        for leg in &record.legs {
            out += &format!("  leg {:<3} {:<8} {}\n", leg.leg, leg.party, leg.status);
        }
        out
    }

    fn name(&self, address: SocketAddr) -> String {
        match self.phones.iter().find(|phone| phone.at == address) {
            Some(phone) => phone.name.clone(),
            None if address == self.us(address.ip()) => "tandem".into(),
            None => match self.phones.iter().any(|phone| phone.us == address) {
                true => "tandem".into(),
                false => address.to_string(),
            },
        }
    }
}

/// A message in one line.
pub fn start_line(text: &Text) -> String {
    let mut out = if text.is_request() {
        let uri = text.uri().split(';').next().unwrap_or("");
        format!("{} {uri}", text.method())
    } else {
        let reason = text.start.splitn(3, ' ').nth(2).unwrap_or("");
        let reason = if reason == "Said So" { "" } else { reason };
        format!("{} {reason} ({})", text.status(), text.method()).replace("  ", " ")
    };
    if !text.body.is_empty() {
        if text.body.starts_with("SIP/2.0 ") {
            out += &format!("  news {}", text.body.trim_end());
        } else {
            out += &format!("  sdp {}", sdp::short(&text.body));
        }
    }
    if text.has("Reason") {
        out += &format!("  Reason: {}", text.get("Reason"));
    }
    out
}
