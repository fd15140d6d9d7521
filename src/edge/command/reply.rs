//! Answers to commands, as every speaker of the control protocol sees them.
//!
//! Times are RFC 3339 in UTC; spans carry their unit in the name.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::leg::{LegRow, SoundRow};
use crate::proto::time::Wall;
use crate::switch::cdr::record::{Record, Segment, SegmentKind, TimelineEntry};

/// The answer to `status`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StatusReply {
    /// The daemon's version.
    pub version: String,
    /// Since the daemon started.
    pub uptime_seconds: f64,
    /// The configuration's revision; 1 is the first.
    pub revision: u64,
    /// Is the daemon finishing its calls before it stops?
    pub is_draining: bool,
    /// Live calls.
    pub calls: u64,
    /// Live calls that are answered.
    pub calls_answered: u64,
    /// `limits.calls_max`.
    pub calls_max: u64,
    /// Phones in the configuration.
    pub phones: u64,
    /// Phones with at least one contact.
    pub phones_registered: u64,
    /// Trunks in the configuration.
    pub trunks: u64,
    /// Trunks that calls can use now.
    pub trunks_up: u64,
    /// Did the daemon start with its copy of the last good configuration, because the files have errors?
    #[serde(default)]
    pub is_last_good: bool,
    /// Sources that get no answer now.
    #[serde(default)]
    pub banned: u64,
    /// The folder that the configuration is read from.
    #[serde(default)]
    pub config: String,
    /// Sockets, as `udp:0.0.0.0:5060`.
    pub listen: Vec<String>,
    /// The newest event's number.
    pub last_event: u64,
}

/// One subscription: a phone that watches another, or its mailbox.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SubscriptionRow {
    /// The extension that watches.
    pub watcher: String,
    /// `dialog` or `message-summary`.
    pub event: String,
    /// The extension that is watched.
    pub watched: String,
    /// Where the subscriber is, as `udp:10.0.0.11:5060`.
    pub from: Option<String>,
    /// Until it ends unless it is refreshed.
    pub expires_in_seconds: u64,
    /// How many NOTIFYs it was sent.
    pub notified: u64,
    /// Is one not answered yet?
    pub is_waiting: bool,
}

/// One registered device.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ContactRow {
    /// The contact's URI as registered.
    pub uri: String,
    /// `udp` or `tcp`.
    pub transport: String,
    /// The address that the registration came from.
    pub from: String,
    /// Until the binding ends.
    pub expires_in_seconds: u64,
    /// What the device calls itself.
    pub user_agent: String,
}

/// One phone.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct PhoneRow {
    /// What others dial.
    pub extension: String,
    /// Who it is.
    pub name: String,
    /// Its devices; empty if it is not registered.
    pub contacts: Vec<ContactRow>,
}

/// One phone with everything that is typed into a device. It may hold the password, so it has no `Debug`.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PhoneDetail {
    /// What others dial.
    pub extension: String,
    /// Who it is.
    pub name: String,
    /// Is any device registered?
    pub is_registered: bool,
    /// Its dialogs, ringing or talking, on all its devices.
    pub calls: u64,
    /// What it has switched on by service codes, in words.
    pub services: Vec<String>,
    /// Its devices; what each calls itself is its brand, model and firmware.
    pub contacts: Vec<ContactRow>,
    /// The SIP domain; absent while `[provisioning]` does not say where phones register.
    pub domain: Option<String>,
    /// The user to log in as.
    pub user: String,
    /// The password, if it was asked for.
    pub secret: Option<String>,
    /// Where it registers.
    pub server: Option<String>,
    /// Where it registers while that one does not answer.
    pub backup_server: Option<String>,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// The brand of its files.
    pub brand: String,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Has it an address to fetch its files from?
    pub has_url: bool,
    /// That address, if the secret was asked for: it is worth as much.
    pub url: Option<String>,
}

/// The answer to `phone.provision`. It is worth the password, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProvisionReply {
    /// Whose it is.
    pub extension: String,
    /// The brand of its files.
    pub brand: String,
    /// Its hardware address.
    pub mac: Option<String>,
    /// Does the brand name its files by a hardware address that is not configured?
    pub needs_mac: bool,
    /// The names that it asks for.
    pub files: Vec<String>,
    /// What a person does on the phone, the address last.
    pub steps: Vec<String>,
    /// Where the files are; whoever has it has the password.
    pub url: String,
    /// Was the address made now, so that one before is void?
    pub is_new: bool,
    /// The file that was asked for.
    pub text: Option<String>,
}

/// One trunk.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TrunkRow {
    /// Its name.
    pub name: String,
    /// `peer`, `account` or `register`.
    pub mode: String,
    /// `up`, `down`, `trying`, `backing off`, `poor`, or `configured` where nothing tells whether it is up.
    pub state: String,
    /// Why it is not up; empty if it is.
    pub reason: String,
    /// Live calls on it.
    pub calls: u64,
    /// Calls sent by it in the last five minutes whose fate is known.
    pub tried: u64,
    /// Those of them that were answered.
    pub answered: u64,
    /// Those that failed on the way: 408, 5xx, silence.
    pub failed: u64,
    /// Next hops.
    pub peers: Vec<String>,
    /// Until our registration, or theirs, ends.
    pub expires_in_seconds: Option<u64>,
}

/// One trunk with everything that decides whether a call by it works.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TrunkDetail {
    /// The line of the list.
    pub trunk: TrunkRow,
    /// Its places in the order that a call would try them now.
    pub places: Vec<PlaceRow>,
    /// What the carrier has to let in: our addresses for signalling and for audio.
    pub lets_in: Vec<String>,
    /// The numbers whose callers come by it, and where they go.
    pub numbers: Vec<String>,
    /// The routes that lead to it, with their patterns and what is sent.
    pub routes: Vec<String>,
    /// Its settings as they are in force, by their names in `trunks.toml`.
    pub settings: Vec<SettingRow>,
    /// The profile that it follows; empty for none.
    #[serde(default)]
    pub profile: String,
}

/// A setting as it is in force.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SettingRow {
    /// Its key.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Who gave it: `trunk`, `profile` or `default`.
    pub set_by: String,
}

/// A place of a trunk.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PlaceRow {
    /// As configured, or the contact that was registered.
    pub peer: String,
    /// Where a request goes.
    pub place: String,
    /// The address that we send from.
    pub ours: String,
    /// What is known of it.
    pub words: String,
}

/// One live call, or the head of an ended one.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CallRow {
    /// The call's id, 16 hex digits.
    pub id: String,
    /// `internal`, `inbound` or `outbound`.
    pub direction: String,
    /// The caller's number or extension.
    pub caller: String,
    /// He wanted it to be told to nobody.
    #[serde(default)]
    pub withheld: bool,
    /// As dialled.
    pub called: String,
    /// Empty for an internal call.
    pub trunk: String,
    /// `setup`, `ring`, `talk`, `hold`, `release`; `ended` for a record.
    pub state: String,
    /// When it began.
    pub began: String,
    /// When it was answered.
    pub answered: Option<String>,
    /// From begin to now, or to the end.
    pub duration_seconds: f64,
    /// While it lives: `off`, `on`, `paused`, `barred` or `failed`.
    #[serde(default)]
    pub recording: String,
}

/// One call with everything that is known of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct CallDetail {
    /// The head.
    pub call: CallRow,
    /// When it ended; absent while it lives.
    pub ended: Option<String>,
    /// The catalogue's key; absent while it lives.
    pub cause: Option<String>,
    /// Who ended it; absent while it lives.
    pub hung_up_by: Option<String>,
    /// What it was doing when, without gaps.
    pub segments: Vec<SegmentRow>,
    /// What happened; `sip.in` and `sip.out` lines make the ladder.
    pub timeline: Vec<TimelineRow>,
    /// Its legs.
    pub legs: Vec<LegRow>,
    /// Who was heard by whom: `both_ways`, or `one_way: ` and `no_audio: ` with who was not and why; absent while nothing can
    /// be said.
    #[serde(default)]
    pub audio: Option<String>,
    /// Its recording, if it has one and is over.
    #[serde(default)]
    pub recording: Option<super::recordings::RecordingRow>,
}

/// A stretch of a call.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SegmentRow {
    /// `setup`, `ring`, `talk`, `hold` or `release`.
    pub kind: String,
    /// From the call's begin, in microseconds.
    pub from_us: u64,
    /// From the call's begin, in microseconds.
    pub until_us: u64,
}

/// One line of a call's story.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TimelineRow {
    /// From the call's begin, in microseconds.
    pub at_us: u64,
    /// `a`, `b1`, `b2`…; empty for the call itself.
    pub leg: String,
    /// The catalogued happening.
    pub what: String,
    /// The particulars.
    pub text: String,
}

/// The head of a record.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RecordRow {
    /// The call's id, 16 hex digits.
    pub call: String,
    /// `internal`, `inbound` or `outbound`.
    pub direction: String,
    /// The caller's number or extension.
    pub caller: String,
    /// He wanted it to be told to nobody.
    #[serde(default)]
    pub withheld: bool,
    /// As dialled.
    pub called: String,
    /// Empty for an internal call.
    pub trunk: String,
    /// When it began.
    pub began: String,
    /// When it was answered.
    pub answered: Option<String>,
    /// When it ended.
    pub ended: String,
    /// From begin to end.
    pub duration_seconds: f64,
    /// Of it, both sides connected.
    pub talk_seconds: f64,
    /// The catalogue's key.
    pub cause: String,
    /// Who ended it.
    pub hung_up_by: String,
}

/// The answer to `records.list`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RecordsReply {
    /// Newest first.
    pub records: Vec<RecordRow>,
    /// The `before` of the next page, if there may be one.
    pub next_before: Option<String>,
}

impl RecordsReply {
    /// One page: a full one has a next.
    #[must_use]
    pub fn page(records: Vec<RecordRow>, limit: usize) -> Self {
        let is_full = !records.is_empty() && records.len() >= limit;
        let next_before = records.last().filter(|_| is_full).map(|last| last.began.clone());
        Self { records, next_before }
    }
}

/// The answer to `call.originate`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OriginateReply {
    /// The new call's id.
    pub call: String,
}

/// The answer to `reload`.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ReloadReply {
    /// Is the new configuration in force? `false` for a dry run.
    pub is_applied: bool,
    /// The revision in force after the command.
    pub revision: u64,
    /// The plan in words.
    pub text: String,
    /// The plan ([`crate::edge::config::Plan`] as JSON).
    pub plan: serde_json::Value,
    /// Warnings of the check, as JSON diagnostics.
    pub warnings: Vec<serde_json::Value>,
}

/// One line of `doctor`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DoctorRow {
    /// What is counted.
    pub name: String,
    /// How many there are.
    pub value: u64,
    /// How many there should be; absent if any count is fine.
    pub expected: Option<u64>,
}

impl DoctorRow {
    /// Is the value other than it should be?
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.expected.is_some_and(|expected| expected != self.value)
    }
}

/// The answer to `doctor`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DoctorReply {
    /// In the order of the owners.
    pub rows: Vec<DoctorRow>,
}

/// A banned, limited or watched source, or a user for whom logins failed.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GuardRow {
    /// The address, the /64 of an IPv6 address, or the user.
    pub name: String,
    /// `source` or `user`.
    pub kind: String,
    /// `banned`, `limited` or `watched`.
    pub state: String,
    /// Points; a ban comes at 100.
    pub score: u32,
    /// Until the ban ends; absent without one.
    pub ends_in_seconds: Option<u64>,
    /// For what it was last blamed.
    pub reason: String,
    /// Bans so far.
    pub bans: u32,
    /// Logins that failed.
    pub failed_logins: u64,
    /// Requests that got no answer.
    pub silenced: u64,
    /// Refused calls that left no record since the last one that did.
    pub unrecorded: u64,
}

/// The answer to `guard`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GuardReply {
    /// Bans that run.
    pub banned: u64,
    /// Bans since the start.
    pub bans: u64,
    /// Sources that are watched.
    pub watched: u64,
    /// Requests that got no answer since the start.
    pub silenced: u64,
    /// Refused calls that left no record of their own since the start.
    pub unrecorded: u64,
    /// Requests refused for load since the start.
    pub shed: u64,
    /// Banned sources, then users, then watched sources; at most 500 of each.
    pub rows: Vec<GuardRow>,
}

/// A wall-clock time as `2026-01-31T08:00:00.123456Z`.
#[must_use]
pub fn rfc3339(at: Wall) -> String {
    jiff::Timestamp::from_microsecond(at.0)
        .map_or_else(|_| at.0.to_string(), |time| format!("{time:.6}"))
}

/// The wall-clock time that a person or another program wrote.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<Wall> {
    text.parse::<jiff::Timestamp>().ok().map(|time| Wall(time.as_microsecond()))
}

/// Whole microseconds of a span.
#[must_use]
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Seconds between two wall-clock times; 0 if the clock went backwards.
#[must_use]
pub fn seconds_between(from: Wall, until: Wall) -> f64 {
    let micros = u64::try_from(until.0.saturating_sub(from.0)).unwrap_or(0);
    Duration::from_micros(micros).as_secs_f64()
}

impl From<&Segment> for SegmentRow {
    fn from(segment: &Segment) -> Self {
        Self {
            kind: segment.kind.word().to_owned(),
            from_us: micros(segment.from),
            until_us: micros(segment.until),
        }
    }
}

impl From<&TimelineEntry> for TimelineRow {
    fn from(entry: &TimelineEntry) -> Self {
        Self {
            at_us: micros(entry.at),
            leg: entry.leg.clone(),
            what: entry.what.to_owned(),
            text: entry.text.clone(),
        }
    }
}

impl From<&Record> for RecordRow {
    fn from(record: &Record) -> Self {
        Self {
            call: record.began.call.to_string(),
            direction: record.began.direction.word().to_owned(),
            caller: record.began.caller.clone(),
            withheld: record.began.is_withheld,
            called: record.began.called.clone(),
            trunk: record.began.trunk.clone(),
            began: rfc3339(record.began.at),
            answered: record.answered.map(rfc3339),
            ended: rfc3339(record.ended),
            duration_seconds: seconds_between(record.began.at, record.ended),
            talk_seconds: talk(&record.segments).as_secs_f64(),
            cause: record.cause.key.to_owned(),
            hung_up_by: record.hung_up_by.word().to_owned(),
        }
    }
}

/// How long both sides were connected.
#[must_use]
pub fn talk(segments: &[Segment]) -> Duration {
    let talks = segments.iter().filter(|segment| segment.kind == SegmentKind::Talk);
    talks.map(|segment| segment.until.saturating_sub(segment.from)).sum()
}
