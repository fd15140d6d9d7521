//! Every key of `[[trunk]]`, and which of them a carrier's profile may give.

use std::time::Duration;

use super::item::{Given, Item};
use super::protect::{digits, list, put_minutes};
use super::settings::{in_seconds, quoted, seconds};
use super::source::{Marked, Spot, Wrong};
use super::tables::{put, reliable_word, secret};
use super::{stir, value};
use crate::switch::dtmf::Dtmf;
use crate::switch::identity::{
    Dialect, ForwardedCaller, Forwarding, FromHost, FromUser, IdentityHeader, NumberForm, Trust,
};
use crate::switch::recording::RecordRule;
use crate::switch::route::caps::Minutes;
use crate::switch::snapshot::{
    CapsWish, HealthBounds, MediaForm, PeerAddress, Reliable, Secret, SrtpPolicy, StirIn,
    TrunkMode, WrittenIn,
};

/// `[[trunk]]` as it is decoded.
#[derive(Clone, Debug)]
pub(super) struct TrunkDraft {
    pub(super) head: Spot,
    pub(super) name: Option<Marked<String>>,
    pub(super) mode: Option<Marked<TrunkMode>>,
    pub(super) peers: Vec<Marked<PeerAddress>>,
    pub(super) user: Option<Marked<String>>,
    pub(super) auth_user: Option<Marked<String>>,
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
    pub(super) dtmf: Dtmf,
    pub(super) record: RecordRule,
    pub(super) replaces: bool,
    pub(super) outbound: bool,
    pub(super) keepalive: Duration,
    pub(super) health: HealthBounds,
    pub(super) dialect: Dialect,
    pub(super) profile: Option<Marked<String>>,
    pub(super) stir_in: Option<Marked<StirIn>>,
    pub(super) stir_out: bool,
    pub(super) srtp: Option<Marked<SrtpPolicy>>,
    pub(super) media: MediaForm,
    /// Where each of the keys above is written.
    pub(super) written: Vec<(&'static str, WrittenIn)>,
}

impl Default for TrunkDraft {
    fn default() -> Self {
        Self {
            head: Spot::default(),
            name: None,
            mode: None,
            peers: Vec::new(),
            user: None,
            auth_user: None,
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
            dtmf: Dtmf::default(),
            record: RecordRule::default(),
            replaces: false,
            outbound: false,
            // Below the half minute after which the shortest of NATs forget (RFC 5626 §4.4.2).
            keepalive: Duration::from_secs(25),
            health: HealthBounds::default(),
            stir_in: None,
            stir_out: false,
            srtp: None,
            media: MediaForm::default(),
            dialect: Dialect::default(),
            profile: None,
            written: Vec::new(),
        }
    }
}

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
        "auth_user",
        "text",
        Given::Optional { example: "\"account1@sip.example.com\"" },
        |t, text| put(&mut t.auth_user, user(text.value)?, text.at),
        "The name to log in with, where it is another than `user`.",
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
        "The number that calls by this trunk show instead of an extension; an identity that the phone chose goes before it.",
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
    Item::text(
        "dtmf",
        "auto, rfc4733, info or inband",
        Given::Default { shows: |t| quoted(t.dtmf.word()) },
        |t, text| value::dtmf(text.value).map(|dtmf| t.dtmf = dtmf),
        "How it is brought digits: as events in the audio, by INFO, as tones, or whichever of these it takes.",
    ),
    Item::text(
        "record",
        "as_usual, always or never",
        Given::Default { shows: |t| quoted(t.record.word()) },
        |t, text| value::record(text.value).map(|record| t.record = record),
        "Whether its conversations are recorded: as `[recording]` says, always, or never, whoever orders it.",
    ),
    Item::text(
        "srtp",
        "off, optional or required",
        Given::Default {
            shows: |t| quoted(t.srtp.map_or(SrtpPolicy::default(), |m| m.value).word()),
        },
        |t, text| put(&mut t.srtp, value::srtp(text.value)?, text.at),
        "Whether its audio is encrypted (SRTP, keys in the description or by DTLS): never; where it offers that, and offered to it by TLS; or always, else its calls are refused.",
    ),
    Item::text(
        "media",
        "auto, plain or webrtc",
        Given::Default { shows: |t| quoted(t.media.word()) },
        |t, text| value::media_form(text.value).map(|form| t.media = form),
        "How its audio travels: as browsers want it (DTLS-SRTP, ICE, one port) where it offers that, and offered so if it registered over a WebSocket; never so; or always offered so.",
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
    Item::text(
        "profile",
        "the name of a file in profiles/",
        Given::Optional { example: "\"e164-pai\"" },
        |t, text| put(&mut t.profile, value::token(text.value)?, text.at),
        "A carrier's profile: keys that profiles/NAME.toml writes count for the trunk where it does not write them itself.",
    ),
    Item::text(
        "trust",
        "none, in, out or both",
        Given::Default { shows: |t| quoted(t.dialect.trust.word()) },
        |t, text| word(Trust::from_word, text.value, &TRUSTS).map(|trust| t.dialect.trust = trust),
        "Whether what it says of who calls is believed (in), and whether it is told who calls even if that is withheld (out).",
    ),
    Item::text(
        "called_format",
        "as_is, e164, e164_bare, 00, national or local",
        Given::Default { shows: |t| quoted(t.dialect.called.word()) },
        |t, text| {
            word(NumberForm::from_word, text.value, NumberForm::WORDS).map(|w| t.dialect.called = w)
        },
        "The form of numbers that are called by it: `e164` is +86…, `00` and `national` are by [dial].",
    ),
    Item::text(
        "called_prefix",
        "digits, * and #, or nothing",
        Given::Default { shows: |t| quoted(&t.dialect.called_prefix) },
        |t, text| {
            t.dialect.called_prefix = dialled_prefix(text.value)?;
            Ok(())
        },
        "What is sent before every number that is called by it, such as 9 for an outside line.",
    ),
    Item::text(
        "calling_format",
        "as_is, e164, e164_bare, 00, national or local",
        Given::Default { shows: |t| quoted(t.dialect.calling.word()) },
        |t, text| {
            word(NumberForm::from_word, text.value, NumberForm::WORDS)
                .map(|w| t.dialect.calling = w)
        },
        "The form of numbers that name somebody: who calls, who answered, who forwarded the call.",
    ),
    Item::text(
        "receives_format",
        "as_is, e164, e164_bare, 00, national or local",
        Given::Default { shows: |t| quoted(t.dialect.receives.word()) },
        |t, text| {
            word(NumberForm::from_word, text.value, NumberForm::WORDS)
                .map(|w| t.dialect.receives = w)
        },
        "The form of its own numbers: other than `as_is` they become +86… in records, on phones, and against [[number]].",
    ),
    Item::text(
        "area_code",
        "digits",
        Given::Optional { example: "\"020\"" },
        |t, text| {
            t.dialect.area_code = Some(digits(text.value)?);
            Ok(())
        },
        "The area that its line is in: numbers of 7 to 9 digits without a prefix are there, and `local` leaves it out.",
    ),
    Item::flag(
        "mobile_without_prefix",
        |t, yes| t.dialect.mobile_bare = yes,
        |t| t.dialect.mobile_bare.to_string(),
        "Whether mobile numbers of the country (dial.mobile) are written without the national prefix.",
    ),
    Item::list(
        "identity",
        "pai, ppi, rpid",
        (0, 3),
        Given::Default {
            shows: |t| list(&t.dialect.identity.iter().map(|h| h.word()).collect::<Vec<_>>()),
        },
        |t| t.dialect.identity.clear(),
        |t, text| {
            let header = word(IdentityHeader::from_word, text.value, IdentityHeader::WORDS)?;
            t.dialect.identity.push(header);
            Ok(())
        },
        "Headers that name who calls, beside From: P-Asserted-Identity, P-Preferred-Identity, Remote-Party-ID.",
    ),
    Item::text(
        "from_user",
        "caller or account",
        Given::Default { shows: |t| quoted(t.dialect.from_user.word()) },
        |t, text| {
            word(FromUser::from_word, text.value, FromUser::WORDS).map(|w| t.dialect.from_user = w)
        },
        "Whom the user of From names: who calls, or our login at the carrier.",
    ),
    Item::text(
        "from_host",
        "auto, address, carrier or realm",
        Given::Default { shows: |t| quoted(t.dialect.from_host.word()) },
        |t, text| {
            word(FromHost::from_word, text.value, FromHost::WORDS).map(|w| t.dialect.from_host = w)
        },
        "The host of From: the registrar's domain in mode register and our address otherwise (auto), or one of them.",
    ),
    Item::flag(
        "user_phone",
        |t, yes| t.dialect.user_phone = yes,
        |t| t.dialect.user_phone.to_string(),
        "Whether URIs with a number say `;user=phone`.",
    ),
    Item::list(
        "forwarding",
        "diversion, history_info",
        (0, 2),
        Given::Default {
            shows: |t| list(&t.dialect.forwarding.iter().map(|h| h.word()).collect::<Vec<_>>()),
        },
        |t| t.dialect.forwarding.clear(),
        |t, text| {
            let header = word(Forwarding::from_word, text.value, Forwarding::WORDS)?;
            t.dialect.forwarding.push(header);
            Ok(())
        },
        "Headers that tell it who forwarded a call, if its trust is out or both.",
    ),
    Item::text(
        "forwarded_caller",
        "own or original",
        Given::Default { shows: |t| quoted(t.dialect.forwarded_caller.word()) },
        |t, text| {
            word(ForwardedCaller::from_word, text.value, ForwardedCaller::WORDS)
                .map(|w| t.dialect.forwarded_caller = w)
        },
        "Whose number a call shows that a phone forwards to it: the phone's own, or the caller's from outside.",
    ),
    Item::list(
        "codecs",
        "names of codecs",
        (0, 16),
        Given::Default { shows: |t| list(&t.dialect.codecs) },
        |t| t.dialect.codecs.clear(),
        |t, text| {
            t.dialect.codecs.push(value::token(text.value)?);
            Ok(())
        },
        "Codecs that it is offered, in this order, as far as the other side has them; empty: all that it has.",
    ),
    Item::flag(
        "session_timers",
        |t, yes| t.dialect.session_timers = yes,
        |t| t.dialect.session_timers.to_string(),
        "Whether a session timer is asked for on its calls; what it asks for itself is kept to in any case.",
    ),
    Item::text(
        "t38",
        "pass or off",
        Given::Default { shows: |t| quoted(t38_word(t.dialect.t38)) },
        |t, text| {
            t.dialect.t38 = match text.value {
                "pass" => true,
                "off" => false,
                other => {
                    let wrong = Wrong::new("bad-value", format!("`{other}` is not known"));
                    return Err(wrong.help("the words are pass and off"));
                }
            };
            Ok(())
        },
        "Whether its calls may go over to fax as data (T.38), where the other side agrees and nothing is encrypted; with off a fax stays in the audio.",
    ),
];

/// The keys that a profile may write: what is a matter of the carrier, and not of the line.
pub(super) const OF_PROFILE: &[&str] = &[
    "try_timeout_seconds",
    "ring_timeout_seconds",
    "expires_seconds",
    "large_to_tcp",
    "probe_seconds",
    "reliable",
    "dtmf",
    "srtp",
    "media",
    "replaces",
    "outbound",
    "keepalive_seconds",
    "failures_max_percent",
    "answers_min_percent",
    "trust",
    "called_format",
    "called_prefix",
    "calling_format",
    "receives_format",
    "mobile_without_prefix",
    "identity",
    "from_user",
    "from_host",
    "user_phone",
    "forwarding",
    "forwarded_caller",
    "codecs",
    "session_timers",
    "t38",
];

/// How `t38` is written.
const fn t38_word(may_pass: bool) -> &'static str {
    if may_pass { "pass" } else { "off" }
}

const TRUSTS: [&str; 4] = ["none", "in", "out", "both"];

/// Reads one of a closed set of words.
fn word<V>(read: fn(&str) -> Option<V>, text: &str, known: &[&str]) -> Result<V, Wrong> {
    read(text).ok_or_else(|| {
        let wrong = Wrong::new("bad-value", format!("`{text}` is not known"));
        match crate::edge::command::nearest(text, known.iter().copied()) {
            Some(near) => wrong.help(format!("did you mean \"{near}\"?")),
            None => wrong.help(format!("the words are {}", known.join(", "))),
        }
    })
}

/// What may be dialled before a number.
pub(super) fn dialled_prefix(text: &str) -> Result<String, Wrong> {
    if text.len() > 16 || !text.chars().all(|c| c.is_ascii_digit() || "*#+".contains(c)) {
        return Err(Wrong::new("bad-number", format!("`{text}` is not a prefix"))
            .help("write at most 16 digits, * and #"));
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
