//! `tandem trunk explain` and `test`: one trunk, with what its carrier has to know, and what it does with a call.

use super::*;
use crate::edge::command::CommandError;
use crate::edge::command::reply::{OriginateReply, PlaceRow, SettingRow, TrunkDetail, TrunkRow};
use crate::switch::snapshot::{Dialect, Trunk, WrittenIn};
use crate::switch::switchboard::{Explained, OriginateError, TrunkView};

impl SwitchboardTask {
    pub(super) fn trunk_explained(&mut self, name: &str) -> Option<TrunkDetail> {
        let Explained { trunk: view, places } =
            self.switchboard.explain(self.tools.clock.now(), name)?;
        let snapshot = self.switchboard.snapshot();
        let trunk = snapshot.trunk(name)?;
        let (first, last) = snapshot.media.ports;
        let mut lets_in = Vec::new();
        for place in &places {
            let transport = place.place.split(':').next().unwrap_or("udp");
            let signalling = format!("{} ({transport}, signalling)", place.ours);
            let audio = format!("{} ports {first}-{last} (udp, audio)", place.ours.ip());
            for line in [signalling, audio] {
                if !lets_in.contains(&line) {
                    lets_in.push(line);
                }
            }
        }
        let numbers = snapshot.numbers.iter().filter(|number| number.trunk == name);
        let routes = snapshot.routes.iter().filter(|route| route.trunks.iter().any(|t| t == name));
        Some(TrunkDetail {
            trunk: trunk_row(snapshot, view),
            places: places
                .into_iter()
                .map(|place| PlaceRow {
                    peer: place.peer,
                    place: place.place,
                    ours: place.ours.to_string(),
                    words: place.words,
                })
                .collect(),
            lets_in,
            numbers: numbers.map(|number| format!("{} to {}", number.number, number.to)).collect(),
            routes: routes
                .map(|route| {
                    let sent = route.rewrite.as_deref().unwrap_or("the number as it is");
                    format!("{}: {} sends {sent}", route.name, route.pattern)
                })
                .collect(),
            settings: settings(snapshot, trunk),
            profile: trunk.profile.clone().unwrap_or_default(),
        })
    }
}

impl SwitchboardTask {
    pub(super) fn trunk_tested(
        &mut self,
        trunk: &str,
        number: &str,
    ) -> Result<OriginateReply, CommandError> {
        let now = self.tools.clock.now();
        match self.switchboard.test_trunk(now, trunk, number, &mut self.out) {
            None => Err(CommandError::NoSuchTrunk(trunk.to_owned())),
            Some(Ok(call)) => Ok(OriginateReply { call: call.to_string() }),
            Some(Err(OriginateError::Refused)) => Err(CommandError::Refused(&cause::LIMIT)),
            Some(Err(_)) => Err(CommandError::Refused(&cause::NO_TRUNK)),
        }
    }
}

pub(super) fn trunk_row(snapshot: &Snapshot, view: TrunkView) -> TrunkRow {
    let trunk = snapshot.trunk(&view.name);
    let peers = trunk.map(|trunk| trunk.peers.as_slice()).unwrap_or_default();
    TrunkRow {
        name: view.name,
        mode: view.mode.to_owned(),
        state: view.state.to_owned(),
        reason: view.reason,
        calls: view.calls as u64,
        tried: view.figures.tried.into(),
        answered: view.figures.answered.into(),
        failed: view.figures.failed.into(),
        peers: peers.iter().map(ToString::to_string).collect(),
        expires_in_seconds: None,
    }
}

fn settings(snapshot: &Snapshot, trunk: &Trunk) -> Vec<SettingRow> {
    let seconds = |span: Duration| format!("{} s", span.as_secs());
    let caps = trunk.caps.over(&snapshot.dial.trunk);
    let unlimited = |count: u32| if count == 0 { "any".to_owned() } else { count.to_string() };
    let ring = trunk.ring_timeout.unwrap_or(snapshot.sip.ring_timeout);
    let probe = if trunk.probe.is_zero() { "never".to_owned() } else { seconds(trunk.probe) };
    let none = || "none".to_owned();
    let mut rows = vec![
        ("user", trunk.user.clone().unwrap_or_else(none)),
        ("auth_user", trunk.login().map_or_else(none, str::to_owned)),
        ("caller_id", trunk.caller_id.clone().unwrap_or_else(|| "the caller's own".to_owned())),
        ("ring_timeout_seconds", seconds(ring)),
        ("try_timeout_seconds", seconds(trunk.try_timeout)),
        ("probe_seconds", probe),
        ("large_to_tcp", trunk.large_to_tcp.to_string()),
        ("outgoing_calls_max", unlimited(caps.calls_max)),
        ("calls_per_minute", unlimited(caps.calls_per_minute)),
        ("failures_max_percent", trunk.health.failures_max_percent.to_string()),
        ("answers_min_percent", trunk.health.answers_min_percent.to_string()),
        ("stir_in", trunk.stir_in.word().to_owned()),
        ("stir_out", trunk.stir_out.to_string()),
        ("outbound", trunk.outbound.to_string()),
        ("keepalive_seconds", seconds(trunk.keepalive)),
        ("reliable", trunk.reliable.word().to_owned()),
        ("dtmf", trunk.dtmf.word().to_owned()),
        ("replaces", trunk.replaces.to_string()),
    ];
    rows.extend(dialect(&trunk.dialect));
    let by = |name: &str| {
        let place = trunk.written.iter().find(|(key, _)| *key == name);
        match place.map(|(_, place)| place) {
            Some(WrittenIn::Trunk) => "trunk",
            Some(WrittenIn::Profile) => "profile",
            None => "default",
        }
    };
    let row = |(name, value): (&str, String)| SettingRow {
        name: name.to_owned(),
        value,
        set_by: by(name).to_owned(),
    };
    rows.into_iter().map(row).collect()
}

/// How numbers and identities are written for it.
fn dialect(dialect: &Dialect) -> Vec<(&'static str, String)> {
    let list =
        |words: Vec<&str>| if words.is_empty() { "none".to_owned() } else { words.join(", ") };
    let text = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    vec![
        ("trust", dialect.trust.word().to_owned()),
        ("called_format", dialect.called.word().to_owned()),
        ("called_prefix", text(&dialect.called_prefix)),
        ("calling_format", dialect.calling.word().to_owned()),
        ("receives_format", dialect.receives.word().to_owned()),
        ("area_code", text(dialect.area_code.as_deref().unwrap_or_default())),
        ("mobile_without_prefix", dialect.mobile_bare.to_string()),
        ("identity", list(dialect.identity.iter().map(|header| header.word()).collect())),
        ("from_user", dialect.from_user.word().to_owned()),
        ("from_host", dialect.from_host.word().to_owned()),
        ("user_phone", dialect.user_phone.to_string()),
        ("forwarding", list(dialect.forwarding.iter().map(|header| header.word()).collect())),
        ("forwarded_caller", dialect.forwarded_caller.word().to_owned()),
        ("codecs", list(dialect.codecs.iter().map(String::as_str).collect())),
        ("session_timers", dialect.session_timers.to_string()),
        ("t38", if dialect.t38 { "pass" } else { "off" }.to_owned()),
    ]
}
