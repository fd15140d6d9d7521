//! Every key of `[[phone]]`, `[[trunk]]`, `[[number]]` and `[[route]]`.

use std::time::Duration;

use regex::Regex;

use super::item::{Given, Item};
use super::protect::{class, put_minutes};
use super::settings::{in_seconds, quoted, seconds};
use super::source::{Marked, Spot, Wrong};
use super::value;
use super::{provision, stir};
use crate::switch::device::{Brand, Key, Mac};
use crate::switch::route::caps::Minutes;
use crate::switch::snapshot::{
    CapsWish, Destination, HealthBounds, PeerAddress, Reliable, Rights, Secret, StirIn, TrunkMode,
};

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
    pub(super) pickup_groups: Vec<String>,
    pub(super) brand: Option<Brand>,
    pub(super) mac: Option<Marked<Mac>>,
    pub(super) keys: Vec<Marked<Key>>,
}

/// `[[trunk]]` as it is decoded.
#[derive(Debug)]
pub(super) struct TrunkDraft {
    pub(super) head: Spot,
    pub(super) name: Option<Marked<String>>,
    pub(super) mode: Option<Marked<TrunkMode>>,
    pub(super) peers: Vec<Marked<PeerAddress>>,
    pub(super) user: Option<Marked<String>>,
    pub(super) secret: Option<Marked<Secret>>,
    pub(super) registrar: Option<Marked<PeerAddress>>,
    pub(super) expires: Duration,
    pub(super) caller_id: Option<String>,
    pub(super) ring_timeout: Option<Duration>,
    pub(super) try_timeout: Duration,
    pub(super) large_to_tcp: bool,
    pub(super) probe: Duration,
    pub(super) caps: CapsWish,
    pub(super) reliable: Reliable,
    pub(super) replaces: bool,
    pub(super) outbound: bool,
    pub(super) keepalive: Duration,
    pub(super) health: HealthBounds,
    pub(super) stir_in: Option<Marked<StirIn>>,
    pub(super) stir_out: bool,
}

impl Default for TrunkDraft {
    fn default() -> Self {
        Self {
            head: Spot::default(),
            name: None,
            mode: None,
            peers: Vec::new(),
            user: None,
            secret: None,
            registrar: None,
            // Short enough that a carrier which restarted has us back within ten minutes.
            expires: Duration::from_secs(600),
            caller_id: None,
            ring_timeout: None,
            // Four copies of the INVITE at T1 = 500 ms; the caller hears nothing meanwhile.
            try_timeout: Duration::from_secs(5),
            large_to_tcp: true,
            probe: Duration::from_secs(60),
            caps: CapsWish::default(),
            reliable: Reliable::default(),
            replaces: false,
            outbound: false,
            // Below the half minute after which the shortest of NATs forget (RFC 5626 §4.4.2).
            keepalive: Duration::from_secs(25),
            health: HealthBounds::default(),
            stir_in: None,
            stir_out: false,
        }
    }
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
];

pub(super) static TRUNK: &[Item<TrunkDraft>] = &[
    Item::text(
        "name",
        "text",
        Given::Required { example: "\"carrier\"" },
        |t, text| put(&mut t.name, value::token(text.value)?, text.at),
        "Its name in routes, numbers and records.",
    ),
    Item::text(
        "mode",
        "peer, account or register",
        Given::Required { example: "\"peer\"" },
        |t, text| put(&mut t.mode, value::mode(text.value)?, text.at),
        "How we know each other: by address, by its login to us, or by our registration to it.",
    ),
    Item::texts(
        "peers",
        "host, host:port, tcp:host:port or tls:host:port",
        (0, 32),
        Given::Optional { example: "[\"127.0.0.1:5080\"]" },
        |t, text| {
            t.peers.push(Marked { value: value::peer(text.value)?, at: text.at });
            Ok(())
        },
        "Where calls go, in order; calls from these addresses are the trunk's. A name without a port is located by NAPTR and SRV.",
    ),
    Item::text(
        "user",
        "text",
        Given::Optional { example: "\"account1\"" },
        |t, text| put(&mut t.user, user(text.value)?, text.at),
        "The login: theirs towards us in mode account, ours towards them otherwise.",
    ),
    Item::text(
        "secret",
        "text",
        Given::Optional { example: "\"a long random word\"" },
        |t, text| put(&mut t.secret, secret(text.value)?, text.at),
        "The password of that login.",
    ),
    Item::text(
        "registrar",
        "host, host:port, tcp:host:port or tls:host:port",
        Given::Optional { example: "\"sip.example.com\"" },
        |t, text| put(&mut t.registrar, value::peer(text.value)?, text.at),
        "The carrier's domain in mode register, the first peer's if absent; without peers also where requests go.",
    ),
    Item::whole(
        "expires_seconds",
        (10, 86_400),
        |t, n| t.expires = seconds(n),
        |t| in_seconds(t.expires),
        "How long mode register asks the carrier to keep us.",
    ),
    Item::text(
        "caller_id",
        "text",
        Given::Optional { example: "\"+862012345678\"" },
        |t, text| {
            t.caller_id = Some(value::token(text.value)?);
            Ok(())
        },
        "The number that calls by this trunk show, instead of the caller's extension.",
    ),
    Item::whole_or_none(
        "ring_timeout_seconds",
        (1, 600),
        |t, n| t.ring_timeout = Some(seconds(n)),
        "60",
        "How long a call by this trunk may ring, instead of sip.ring_timeout_seconds.",
    ),
    Item::whole(
        "try_timeout_seconds",
        (1, 120),
        |t, n| t.try_timeout = seconds(n),
        |t| in_seconds(t.try_timeout),
        "How long to wait for any answer before the next address or trunk is tried.",
    ),
    Item::flag(
        "large_to_tcp",
        |t, yes| t.large_to_tcp = yes,
        |t| t.large_to_tcp.to_string(),
        "Whether a request over 1300 bytes goes by TCP, and as a datagram only where TCP is refused.",
    ),
    Item::whole(
        "probe_seconds",
        (0, 3_600),
        |t, n| t.probe = seconds(n),
        |t| in_seconds(t.probe),
        "How often each peer of a `peer` trunk is asked by OPTIONS whether it is there; 0 never.",
    ),
    Item::whole_or_none(
        "outgoing_calls_max",
        (0, 1_000_000),
        |t, n| t.caps.calls_max = Some(n),
        "30",
        "Calls by trunks at the same time, instead of dial.trunk_calls_max.",
    ),
    Item::whole_or_none(
        "calls_per_minute",
        (0, 1_000_000),
        |t, n| t.caps.calls_per_minute = Some(n),
        "30",
        "Calls by trunks that may begin in a minute, instead of dial.trunk_calls_per_minute.",
    ),
    Item::list(
        "minutes_per_hour",
        "class:minutes",
        (0, 5),
        Given::Optional { example: "[\"international:120\", \"premium:30\"]" },
        |t| t.caps.minutes = Some(Minutes::default()),
        |t, text| put_minutes(t.caps.minutes.get_or_insert_default(), text.value),
        "Minutes in an hour by class, instead of dial.trunk_minutes_per_hour.",
    ),
    Item::text(
        "reliable",
        "no, when_required or when_supported",
        Given::Default { shows: |t| reliable_word(t.reliable) },
        |t, text| value::reliable(text.value).map(|reliable| t.reliable = reliable),
        "When ringing is acknowledged by PRACK (100rel): where the carrier requires it, wherever it supports it, or never.",
    ),
    Item::flag(
        "replaces",
        |t, yes| t.replaces = yes,
        |t| t.replaces.to_string(),
        "Whether its INVITEs with Replaces may take the place of a party here, as a transfer from another system does.",
    ),
    Item::flag(
        "outbound",
        |t, yes| t.outbound = yes,
        |t| t.outbound.to_string(),
        "Whether mode register asks for a flow of its own (RFC 5626), for carriers that know what that is.",
    ),
    Item::whole(
        "keepalive_seconds",
        (0, 3_600),
        |t, n| t.keepalive = seconds(n),
        |t| in_seconds(t.keepalive),
        "How often a NAT between us and the carrier of mode register is reminded of us, on UDP; 0 never.",
    ),
    Item::whole(
        "failures_max_percent",
        (0, 100),
        |t, n| t.health.failures_max_percent = n,
        |t| t.health.failures_max_percent.to_string(),
        "From this share of failed calls on (408, 5xx, silence; of ten or more in five minutes) a place of it is tried last; 0 never.",
    ),
    Item::whole(
        "answers_min_percent",
        (0, 100),
        |t, n| t.health.answers_min_percent = n,
        |t| t.health.answers_min_percent.to_string(),
        "Below this share of answered calls (of thirty or more in five minutes) a place of it is tried last; 0 never.",
    ),
    Item::text(
        "stir_in",
        "off, note, reason, reject or require",
        Given::Default { shows: |t| quoted(t.stir_in.map_or(StirIn::Off, |m| m.value).word()) },
        |t, text| put(&mut t.stir_in, stir::policy(text.value)?, text.at),
        "Identity headers (STIR) of its calls: not read, checked and noted, also told to the carrier, refused if wrong, or refused if wrong or missing.",
    ),
    Item::flag(
        "stir_out",
        |t, yes| t.stir_out = yes,
        |t| t.stir_out.to_string(),
        "Whether calls by it state who calls, signed with the key of [stir].",
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
        "phone:extension",
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

fn put<V>(slot: &mut Option<Marked<V>>, value: V, at: Spot) -> Result<(), Wrong> {
    *slot = Some(Marked { value, at });
    Ok(())
}

/// A name for people: anything that can stand in one line.
fn words(text: &str) -> Result<String, Wrong> {
    if text.chars().count() > 80 || text.chars().any(char::is_control) {
        return Err(Wrong::new("bad-name", "a name is one line of at most 80 characters"));
    }
    Ok(text.to_owned())
}

/// A carrier's login may hold what a SIP user may, such as `@`.
fn user(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.len() > 128 || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Wrong::new("bad-name", "a user is one word of at most 128 characters"));
    }
    Ok(text.to_owned())
}

/// Says what is wrong without showing the secret.
fn secret(text: &str) -> Result<Secret, Wrong> {
    if text.len() > 256 || text.chars().any(char::is_control) {
        return Err(Wrong::new("bad-secret", "a secret is one line of at most 256 bytes"));
    }
    Ok(Secret(text.to_owned()))
}

/// The word of the configuration, as it is written there.
fn reliable_word(reliable: Reliable) -> String {
    quoted(match reliable {
        Reliable::No => "no",
        Reliable::WhenRequired => "when_required",
        Reliable::WhenSupported => "when_supported",
    })
}
