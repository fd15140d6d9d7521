//! Every key of `[[phone]]`, `[[number]]` and `[[route]]`.

use std::time::Duration;

use regex::Regex;

use super::item::{Given, Item};
use super::protect::{class, put_minutes};
use super::provision;
use super::settings::{quoted, seconds};
use super::source::{Marked, Spot, Wrong};
use super::value;
use crate::switch::device::{Brand, Key, Mac};
use crate::switch::dtmf::Dtmf;
use crate::switch::recording::RecordRule;
use crate::switch::route::caps::Minutes;
use crate::switch::snapshot::{Destination, MediaForm, Reliable, Rights, Secret, SrtpPolicy};

/// `[[phone]]` as it is decoded.
#[derive(Debug, Default)]
pub(super) struct PhoneDraft {
    pub(super) extension: Option<Marked<String>>,
    pub(super) name: Option<String>,
    pub(super) secret: Option<Marked<Secret>>,
    pub(super) contacts_max: Option<usize>,
    pub(super) ring_timeout: Option<Duration>,
    pub(super) rights: Rights,
    /// Checked against the extensions before it becomes one of the rights.
    pub(super) watch: Option<Vec<Marked<String>>>,
    pub(super) reliable: Reliable,
    pub(super) dtmf: Dtmf,
    pub(super) record: RecordRule,
    pub(super) pickup_groups: Vec<String>,
    pub(super) brand: Option<Brand>,
    pub(super) mac: Option<Marked<Mac>>,
    pub(super) keys: Vec<Marked<Key>>,
    pub(super) location: Vec<(String, String)>,
    pub(super) withhold: bool,
    pub(super) record_key: bool,
    /// Checked against extensions and trunks.
    pub(super) auto_answer_for: Vec<Marked<String>>,
    /// Checked against the listeners.
    pub(super) srtp: Option<Marked<SrtpPolicy>>,
    pub(super) media: MediaForm,
}

/// `[[number]]` as it is decoded.
#[derive(Debug, Default)]
pub(super) struct NumberDraft {
    pub(super) number: Option<Marked<String>>,
    pub(super) trunk: Option<Marked<String>>,
    pub(super) to: Option<Marked<Destination>>,
}

/// `[[route]]` as it is decoded.
#[derive(Debug, Default)]
pub(super) struct RouteDraft {
    pub(super) name: Option<Marked<String>>,
    pub(super) pattern: Option<Marked<Regex>>,
    pub(super) trunks: Vec<Marked<String>>,
    pub(super) rewrite: Option<Marked<String>>,
}

pub(super) static PHONE: &[Item<PhoneDraft>] = &[
    Item::text(
        "extension",
        "text",
        Given::Required { example: "\"1001\"" },
        |p, text| put(&mut p.extension, value::token(text.value)?, text.at),
        "What others dial; also the user name that the phone logs in with.",
    ),
    Item::text(
        "name",
        "text",
        Given::Optional { example: "\"Alice\"" },
        |p, text| {
            p.name = Some(words(text.value)?);
            Ok(())
        },
        "Who it is, shown to the called party; the extension if absent.",
    ),
    Item::text(
        "secret",
        "text",
        Given::Required { example: "\"a long random word\"" },
        |p, text| put(&mut p.secret, secret(text.value)?, text.at),
        "The password that the phone logs in with.",
    ),
    Item::whole_or_none(
        "contacts_max",
        (1, 100),
        |p, n| p.contacts_max = Some(n as usize),
        "5",
        "Devices that may be registered on this extension, instead of sip.contacts_max.",
    ),
    Item::whole_or_none(
        "ring_timeout_seconds",
        (1, 600),
        |p, n| p.ring_timeout = Some(seconds(n)),
        "60",
        "How long this phone rings, instead of sip.ring_timeout_seconds.",
    ),
    Item::texts(
        "identities",
        "text",
        (0, 64),
        Given::Optional { example: "[\"+862012345678\"]" },
        |p, text| {
            p.rights.identities.push(value::token(text.value)?);
            Ok(())
        },
        "Users that the From of its calls may name beside the extension; the called side is shown them.",
    ),
    Item::list(
        "allow",
        "local, national, mobile, international, premium",
        (0, 5),
        Given::Optional { example: "[\"local\", \"national\", \"mobile\", \"international\"]" },
        |p| p.rights.allow = Some(Vec::new()),
        |p, text| {
            p.rights.allow.get_or_insert_default().push(class(text.value)?);
            Ok(())
        },
        "Classes that this phone may dial, instead of dial.allow.",
    ),
    Item::list(
        "watch",
        "text",
        (0, 1_000),
        Given::Optional { example: "[\"1002\", \"1003\"]" },
        |p| p.watch = Some(Vec::new()),
        |p, text| {
            let watched = Marked { value: value::token(text.value)?, at: text.at };
            p.watch.get_or_insert_default().push(watched);
            Ok(())
        },
        "Extensions whose lamps (BLF) and mailboxes it may watch beside its own; all if absent.",
    ),
    Item::whole_or_none(
        "outside_calls_max",
        (0, 10_000),
        |p, n| p.rights.caps.calls_max = Some(n),
        "10",
        "Its calls by trunks at the same time, instead of dial.phone_calls_max.",
    ),
    Item::whole_or_none(
        "calls_per_minute",
        (0, 1_000_000),
        |p, n| p.rights.caps.calls_per_minute = Some(n),
        "30",
        "Its calls by trunks that may begin in a minute, instead of dial.phone_calls_per_minute.",
    ),
    Item::list(
        "minutes_per_hour",
        "class:minutes",
        (0, 5),
        Given::Optional { example: "[\"international:120\", \"premium:30\"]" },
        |p| p.rights.caps.minutes = Some(Minutes::default()),
        |p, text| put_minutes(p.rights.caps.minutes.get_or_insert_default(), text.value),
        "Minutes in an hour by class, instead of dial.phone_minutes_per_hour.",
    ),
    Item::text(
        "reliable",
        "no, when_required or when_supported",
        Given::Default { shows: |p| reliable_word(p.reliable) },
        |p, text| value::reliable(text.value).map(|reliable| p.reliable = reliable),
        "When ringing is acknowledged by PRACK (100rel): where the phone requires it, wherever it supports it, or never.",
    ),
    Item::text(
        "dtmf",
        "auto, rfc4733, info or inband",
        Given::Default { shows: |p| quoted(p.dtmf.word()) },
        |p, text| value::dtmf(text.value).map(|dtmf| p.dtmf = dtmf),
        "How it is brought digits: as events in the audio, by INFO, as tones, or whichever of these it takes.",
    ),
    Item::text(
        "record",
        "as_usual, always or never",
        Given::Default { shows: |p| quoted(p.record.word()) },
        |p, text| value::record(text.value).map(|record| p.record = record),
        "Whether its conversations are recorded: as `[recording]` says, always, or never, whoever orders it.",
    ),
    Item::text(
        "srtp",
        "off, optional or required",
        Given::Default {
            shows: |p| quoted(p.srtp.map_or(SrtpPolicy::default(), |m| m.value).word()),
        },
        |p, text| put(&mut p.srtp, value::srtp(text.value)?, text.at),
        "Whether its audio is encrypted (SRTP, keys in the description or by DTLS): never; where it offers that, and offered to it by TLS; or always, else its calls are refused.",
    ),
    Item::text(
        "media",
        "auto, plain or webrtc",
        Given::Default { shows: |p| quoted(p.media.word()) },
        |p, text| value::media_form(text.value).map(|form| p.media = form),
        "How its audio travels: as browsers want it (DTLS-SRTP, ICE, one port) where it offers that, and offered so if it registered over a WebSocket; never so; or always offered so.",
    ),
    Item::flag(
        "record_key",
        |p, yes| p.record_key = yes,
        |p| p.record_key.to_string(),
        "Whether its record key (INFO with Record: on or off) begins, pauses and resumes the recording of its calls.",
    ),
    Item::texts(
        "pickup_groups",
        "names of groups",
        (0, 32),
        Given::Optional { example: "[\"sales\"]" },
        |p, text| {
            p.pickup_groups.push(value::token(text.value)?);
            Ok(())
        },
        "What rings at a phone may be picked up by phones that share a group with it; without, by its own devices.",
    ),
    Item::text(
        "brand",
        "yealink, grandstream, fanvil, snom, alcatel, flyingvoice or generic",
        Given::Optional { example: "\"yealink\"" },
        |p, text| provision::brand(text.value).map(|brand| p.brand = Some(brand)),
        "Who made the device, for the files that it fetches ([provisioning]); generic if absent.",
    ),
    Item::text(
        "mac",
        "a hardware address",
        Given::Optional { example: "\"00:15:65:ab:cd:ef\"" },
        |p, text| put(&mut p.mac, provision::mac(text.value)?, text.at),
        "The device's hardware address, by which most brands name their files.",
    ),
    Item::texts(
        "keys",
        "blf:extension:label or speed:number:label",
        (0, 60),
        Given::Optional { example: "[\"blf:1002:Bob\", \"speed:10086:Carrier\"]" },
        |p, text| {
            p.keys.push(Marked { value: provision::key(text.value)?, at: text.at });
            Ok(())
        },
        "The keys beside its screen, in order, behind the one of its own line: lamps of extensions, and numbers.",
    ),
    Item::texts(
        "location",
        "element:text",
        (0, 29),
        Given::Optional {
            example: "[\"country:CN\", \"A1:Guangdong\", \"A3:Guangzhou\", \"RD:Tianhe Lu\", \"HNO:123\", \"FLR:5\"]",
        },
        |p, text| {
            p.location.push(value::civic(text.value)?);
            Ok(())
        },
        "Where it stands, told with emergency calls: a civic address in the elements of RFC 5139.",
    ),
    Item::flag(
        "withhold",
        |p, yes| p.withhold = yes,
        |p| p.withhold.to_string(),
        "Whether its number is told to nobody but trusted trunks; `Privacy: none` in an INVITE shows it for that call.",
    ),
    Item::texts(
        "auto_answer_for",
        "extensions, or trunk:name",
        (0, 1_000),
        Given::Optional { example: "[\"1002\", \"trunk:branch\"]" },
        |p, text| {
            let by = Marked { value: value::answers_for(text.value)?, at: text.at };
            p.auto_answer_for.push(by);
            Ok(())
        },
        "Who may make it answer by itself (intercom); what others ask is taken out. A trunk must be trusted, too.",
    ),
];

pub(super) static NUMBER: &[Item<NumberDraft>] = &[
    Item::text(
        "number",
        "digits, with + and country code",
        Given::Required { example: "\"+862012345678\"" },
        |n, text| put(&mut n.number, value::number(text.value)?, text.at),
        "A public number of ours.",
    ),
    Item::text(
        "trunk",
        "a trunk's name",
        Given::Required { example: "\"carrier\"" },
        |n, text| put(&mut n.trunk, text.value.to_owned(), text.at),
        "The trunk that its calls arrive on.",
    ),
    Item::text(
        "to",
        "phone:extension or room:number",
        Given::Required { example: "\"phone:1001\"" },
        |n, text| put(&mut n.to, value::destination(text.value)?, text.at),
        "Where its callers go.",
    ),
];

pub(super) static ROUTE: &[Item<RouteDraft>] = &[
    Item::text(
        "name",
        "text",
        Given::Optional { example: "\"national\"" },
        |r, text| put(&mut r.name, words(text.value)?, text.at),
        "Its name in the timeline; its position if absent.",
    ),
    Item::text(
        "match",
        "a regular expression",
        Given::Required { example: "\"^0(.+)$\"" },
        |r, text| put(&mut r.pattern, value::pattern(text.value)?, text.at),
        "Which dialled numbers go this way; the first route that matches is taken.",
    ),
    Item::texts(
        "trunks",
        "trunk names",
        (1, 32),
        Given::Required { example: "[\"carrier\", \"backup\"]" },
        |r, text| {
            r.trunks.push(Marked { value: text.value.to_owned(), at: text.at });
            Ok(())
        },
        "Tried in order: the next one follows on 5xx, on a timeout and on no connection.",
    ),
    Item::text(
        "rewrite",
        "text with $1 or ${1}",
        Given::Optional { example: "\"+86$1\"" },
        |r, text| put(&mut r.rewrite, text.value.to_owned(), text.at),
        "What is dialled on the trunk, with the groups of match; as dialled if absent.",
    ),
];

pub(super) fn put<V>(slot: &mut Option<Marked<V>>, value: V, at: Spot) -> Result<(), Wrong> {
    *slot = Some(Marked { value, at });
    Ok(())
}

/// A name for people: anything that can stand in one line.
pub(super) fn words(text: &str) -> Result<String, Wrong> {
    if text.chars().count() > 80 || text.chars().any(char::is_control) {
        return Err(Wrong::new("bad-name", "a name is one line of at most 80 characters"));
    }
    Ok(text.to_owned())
}

/// Says what is wrong without showing the secret.
pub(super) fn secret(text: &str) -> Result<Secret, Wrong> {
    if text.len() > 256 || text.chars().any(char::is_control) {
        return Err(Wrong::new("bad-secret", "a secret is one line of at most 256 bytes"));
    }
    Ok(Secret(text.to_owned()))
}

/// The word of the configuration, as it is written there.
pub(super) fn reliable_word(reliable: Reliable) -> String {
    quoted(reliable.word())
}
