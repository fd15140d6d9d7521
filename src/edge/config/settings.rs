//! Every key of `tandem.toml`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::codes::CODES;
use super::item::{Given, Item};
use super::protect::{DIAL, EMERGENCY, GUARD, list};
use super::provision::PROVISIONING;
use super::recording::RECORDING;
use super::secure::{TLS, optional};
use super::source::{Marked, Spot, Wrong};
use super::speech::SPEECH;
use super::stir::STIR;
use super::value;
use crate::proto::sip::auth::digest::Algorithm;
use crate::switch::recording::RecordingSettings;
use crate::switch::snapshot::{
    CodeSettings, DialSettings, EmergencySettings, GuardSettings, Limits, Listen, MediaSettings,
    OtherFrom, ProvisioningSettings, SipSettings, StirSettings,
};
use crate::switch::speech::SpeechSettings;

/// The control socket unless the configuration or the command line says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/tandem/control.sock";

/// `[control]`: what the daemon's edge needs beside the snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlSettings {
    /// Where the operator's command finds the daemon.
    pub socket: PathBuf,
}

impl Default for ControlSettings {
    fn default() -> Self {
        Self { socket: PathBuf::from(DEFAULT_SOCKET) }
    }
}

/// `tandem.toml` as it is decoded.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Settings {
    pub(super) sip: SipSettings,
    pub(super) media: MediaSettings,
    pub(super) control: ControlSettings,
    pub(super) limits: Limits,
    pub(super) guard: GuardSettings,
    pub(super) dial: DialSettings,
    pub(super) emergency: EmergencySettings,
    pub(super) provisioning: ProvisioningSettings,
    pub(super) stir: StirSettings,
    pub(super) recording: RecordingSettings,
    pub(super) speech: SpeechSettings,
    /// Where each of `emergency.trunks` stands.
    pub(super) emergency_trunks_at: Vec<Spot>,
    pub(super) codes: CodeSettings,
    /// Where the services in `[emergency]` stand.
    pub(super) services_at: Vec<Spot>,
    /// Where each of `sip.listen` stands.
    pub(super) listen_at: Vec<Spot>,
    /// Was `digest` written? The first value replaces the default.
    pub(super) has_digest: bool,
    /// Where the keys that were written stand, by section and name.
    pub(super) seen: Vec<(&'static str, &'static str, Spot)>,
}

impl Settings {
    /// Where a key was written; the file if it was not.
    pub(super) fn spot(&self, section: &str, name: &str) -> Spot {
        let found = self.seen.iter().find(|seen| seen.0 == section && seen.1 == name);
        found.map(|seen| seen.2).unwrap_or_default()
    }
}

type Key = Item<Settings>;

/// A section and its keys.
pub(super) type Section = (&'static str, &'static [Key]);

/// The sections in the order of the reference.
pub(super) static SECTIONS: &[Section] = &[
    ("sip", SIP),
    ("tls", TLS),
    ("media", MEDIA),
    ("control", CONTROL),
    ("limits", LIMITS),
    ("guard", GUARD),
    ("dial", DIAL),
    ("emergency", EMERGENCY),
    ("codes", CODES),
    ("provisioning", PROVISIONING),
    ("stir", STIR),
    ("recording", RECORDING),
    ("speech", SPEECH),
];

static SIP: &[Key] = &[
    Key::texts(
        "listen",
        "transport:address:port, by udp, tcp, tls, ws or wss",
        (1, 64),
        Given::Required { example: "[\"udp:0.0.0.0:5060\", \"tcp:0.0.0.0:5060\"]" },
        put_listen,
        "Sockets for SIP, in order; the first of a transport also sends new requests.",
    )
    .restart(),
    Key::text(
        "advertise",
        "an IP address",
        Given::Optional { example: "\"192.0.2.1\"" },
        put_advertise,
        "Our address as others see it, where a socket is bound to all addresses or behind NAT.",
    )
    .restart(),
    Key::list(
        "local_networks",
        "addresses or networks",
        (0, 64),
        Given::Default { shows: |s| list(&s.sip.local_networks) },
        |s| s.sip.local_networks.clear(),
        |s, text| {
            s.sip.local_networks.push(value::network(text.value)?);
            Ok(())
        },
        "Networks with no NAT between them and us: who is there is told our own address, everybody else `advertise`.",
    )
    .restart(),
    Key::text(
        "realm",
        "a domain",
        Given::Default { shows: |s| quoted(&s.sip.realm) },
        |s, text| value::realm(text.value).map(|realm| s.sip.realm = realm),
        "The digest realm, which is also our domain.",
    ),
    Key::texts(
        "digest",
        "MD5, SHA-256 or SHA-512-256",
        (1, 3),
        Given::Default { shows: |_| "[\"MD5\"]".to_owned() },
        put_digest,
        "Algorithms for logins, strongest first. Phones that know only MD5 often fail when another is offered.",
    ),
    Key::whole(
        "nonce_lifetime_seconds",
        (1, 86_400),
        |s, n| s.sip.nonce_lifetime = seconds(n),
        |s| in_seconds(s.sip.nonce_lifetime),
        "How long a digest nonce may be used before the phone is asked to take a new one.",
    ),
    Key::whole(
        "expires_min_seconds",
        (1, 86_400),
        |s, n| s.sip.expires_min = seconds(n),
        |s| in_seconds(s.sip.expires_min),
        "The shortest registration or subscription; a shorter one is refused with 423.",
    ),
    Key::whole(
        "expires_max_seconds",
        (1, 604_800),
        |s, n| s.sip.expires_max = seconds(n),
        |s| in_seconds(s.sip.expires_max),
        "The longest registration or subscription; a longer one is shortened in the answer.",
    ),
    Key::whole(
        "expires_default_seconds",
        (1, 604_800),
        |s, n| s.sip.expires_default = seconds(n),
        |s| in_seconds(s.sip.expires_default),
        "The registration or subscription of a phone that names no time.",
    ),
    Key::whole(
        "contacts_max",
        (1, 100),
        |s, n| s.sip.contacts_max = n as usize,
        |s| s.sip.contacts_max.to_string(),
        "Devices that may be registered on one extension.",
    ),
    Key::whole(
        "t1_ms",
        (10, 10_000),
        |s, n| s.sip.t1 = milliseconds(n),
        |s| s.sip.t1.as_millis().to_string(),
        "The round-trip estimate T1 of RFC 3261, from which all retransmissions follow.",
    ),
    Key::whole(
        "t2_ms",
        (10, 60_000),
        |s, n| s.sip.t2 = milliseconds(n),
        |s| s.sip.t2.as_millis().to_string(),
        "The largest interval between retransmissions, T2 of RFC 3261.",
    ),
    Key::whole(
        "ring_timeout_seconds",
        (1, 600),
        |s, n| s.sip.ring_timeout = seconds(n),
        |s| in_seconds(s.sip.ring_timeout),
        "How long a called phone rings before the call ends with no_answer.",
    ),
    Key::whole(
        "session_expires_seconds",
        (0, 86_400),
        |s, n| s.sip.refreshing.expires = seconds(n),
        |s| in_seconds(s.sip.refreshing.expires),
        "The session timer (RFC 4028) that we ask for: a call that nobody refreshes for so long ends. 0: only what a peer asks for.",
    ),
    Key::whole(
        "session_expires_min_seconds",
        (90, 86_400),
        |s, n| s.sip.refreshing.min_se = seconds(n),
        |s| in_seconds(s.sip.refreshing.min_se),
        "The shortest session timer that is agreed to (Min-SE); a shorter one is refused with 422.",
    ),
    Key::whole(
        "dscp",
        (0, 63),
        // The range is checked before.
        |s, n| s.sip.dscp = u8::try_from(n).unwrap_or_default(),
        |s| s.sip.dscp.to_string(),
        "How our SIP packets are marked for routers; 24 is CS3. A change needs a restart.",
    ),
    Key::flag(
        "authenticate_options",
        |s, yes| s.sip.authenticate_options = yes,
        |s| s.sip.authenticate_options.to_string(),
        "Whether OPTIONS outside a call needs a login; off, since monitors use it as a ping.",
    ),
    Key::texts(
        "nameservers",
        "address or address:port",
        (0, 8),
        Given::Default { shows: |s| listed(&s.sip.nameservers) },
        |s, text| value::nameserver(text.value).map(|server| s.sip.nameservers.push(server)),
        "Name servers that trunks are looked up with, in order; none is the system's.",
    ),
    Key::text(
        "other_from",
        "replace or refuse",
        Given::Default {
            shows: |s| {
                quoted(if s.sip.other_from == OtherFrom::Refuse { "refuse" } else { "replace" })
            },
        },
        put_other_from,
        "A call whose From names another user than the one who logged in: shown as who logged in, or 403.",
    ),
];

static MEDIA: &[Key] = &[
    Key::text(
        "ports",
        "first-last",
        Given::Default { shows: |s| format!("\"{}-{}\"", s.media.ports.0, s.media.ports.1) },
        |s, text| value::ports(text.value).map(|ports| s.media.ports = ports),
        "UDP ports for RTP and RTCP; a call takes four of them.",
    )
    .restart(),
    Key::whole(
        "workers",
        (0, 256),
        |s, n| s.media.workers = n as usize,
        |s| s.media.workers.to_string(),
        "Threads that relay audio; 0 is one for each core.",
    )
    .restart(),
    Key::whole(
        "dead_after_seconds",
        (0, 86_400),
        |s, n| s.media.dead_after = seconds(n),
        |s| in_seconds(s.media.dead_after),
        "A call ends after this much silence on the wire from a side that should send; 0 is never.",
    ),
    Key::whole(
        "dead_after_hold_seconds",
        (0, 604_800),
        |s, n| s.media.dead_after_hold = seconds(n),
        |s| in_seconds(s.media.dead_after_hold),
        "The same while a side holds the call; 0 is never.",
    ),
    Key::text(
        "hold_music",
        "a sound file, or nothing",
        Given::Default { shows: |s| quoted(s.media.hold_music.as_deref().unwrap_or("")) },
        |s, text| {
            s.media.hold_music = optional(text)?;
            Ok(())
        },
        "What who is on hold hears, again and again: WAV, MP3, FLAC or Ogg, in the folder of this file unless its name begins with /. Its phone is not told of the hold then. Nothing: holds cross the call. A reload reads it again.",
    ),
    Key::flag(
        "transcode",
        |s, yes| s.media.converts = yes,
        |s| s.media.converts.to_string(),
        "Whether two sides that share no codec can talk: G.711, G.722, Opus and L16 are made into each other where that is needed.",
    ),
];

static CONTROL: &[Key] = &[Key::text(
    "socket",
    "an absolute path",
    Given::Default { shows: |s| quoted(&s.control.socket.display().to_string()) },
    put_socket,
    "The Unix socket of the operator's command; its group may use it.",
)
.restart()];

static LIMITS: &[Key] = &[
    Key::whole(
        "calls_max",
        (1, 1_000_000),
        |s, n| s.limits.calls_max = n as usize,
        |s| s.limits.calls_max.to_string(),
        "Calls at the same time; the next one is answered 503.",
    ),
    Key::whole(
        "transactions_max",
        (100, 400_000),
        |s, n| s.limits.transactions_max = n as usize,
        |s| s.limits.transactions_max.to_string(),
        "SIP transactions at the same time; above it requests outside calls are answered 503.",
    ),
    Key::whole(
        "lag_max_ms",
        (0, 60_000),
        |s, n| s.limits.lag_max = milliseconds(n),
        |s| s.limits.lag_max.as_millis().to_string(),
        "How late the daemon may be with its work before it answers requests outside calls 503; 0 is never.",
    ),
    Key::whole(
        "connections_max",
        (1, 1_000_000),
        |s, n| s.limits.connections_max = n as usize,
        |s| s.limits.connections_max.to_string(),
        "SIP connections at the same time; the next one is closed.",
    )
    .restart(),
    Key::whole(
        "connections_per_source_max",
        (1, 1_000_000),
        |s, n| s.limits.connections_per_source_max = n as usize,
        |s| s.limits.connections_per_source_max.to_string(),
        "Those that one address may open: what is behind one NAT has one address.",
    )
    .restart(),
    Key::whole(
        "drain_seconds",
        (0, 86_400),
        |s, n| s.limits.drain = seconds(n),
        |s| in_seconds(s.limits.drain),
        "How long live calls may go on after the daemon was told to stop; then they are hung up.",
    ),
];

fn put_listen(settings: &mut Settings, text: Marked<&str>) -> Result<(), Wrong> {
    let listen: Listen = value::listen(text.value)?;
    settings.sip.listen.push(listen);
    settings.listen_at.push(text.at);
    Ok(())
}

fn put_digest(settings: &mut Settings, text: Marked<&str>) -> Result<(), Wrong> {
    let known = Algorithm::parse(Some(text.value)).filter(|(_, is_session)| !is_session);
    let Some((algorithm, _)) = known else {
        let message = format!("`{}` is not an algorithm for logins", text.value);
        return Err(Wrong::new("bad-value", message).help("use MD5, SHA-256 or SHA-512-256"));
    };
    if !std::mem::replace(&mut settings.has_digest, true) {
        settings.sip.digest.clear();
    }
    settings.sip.digest.push(algorithm);
    Ok(())
}

fn put_other_from(settings: &mut Settings, text: Marked<&str>) -> Result<(), Wrong> {
    settings.sip.other_from = match text.value {
        "replace" => OtherFrom::Replace,
        "refuse" => OtherFrom::Refuse,
        other => {
            return Err(Wrong::new("bad-value", format!("`{other}` is not known"))
                .help("write \"replace\" or \"refuse\""));
        }
    };
    Ok(())
}

fn put_advertise(settings: &mut Settings, text: Marked<&str>) -> Result<(), Wrong> {
    let wrong = |message: &str| {
        Wrong::new("bad-address", format!("`{}` {message}", text.value))
            .help("write the address that phones and carriers reach us at, such as \"192.0.2.1\"")
    };
    let address: IpAddr = text.value.parse().map_err(|_| wrong("is not an IP address"))?;
    if address.is_unspecified() || address.is_multicast() {
        return Err(wrong("is not an address that anybody can send to"));
    }
    settings.sip.advertise = Some(address);
    Ok(())
}

fn put_socket(settings: &mut Settings, text: Marked<&str>) -> Result<(), Wrong> {
    // sun_path holds 108 bytes with the closing zero (unix(7)).
    if !text.value.starts_with('/') || text.value.len() > 107 {
        let message = format!("`{}` is not an absolute path of at most 107 bytes", text.value);
        return Err(Wrong::new("bad-path", message).help(format!("write \"{DEFAULT_SOCKET}\"")));
    }
    settings.control.socket = PathBuf::from(text.value);
    Ok(())
}

pub(super) fn seconds(n: u32) -> Duration {
    Duration::from_secs(u64::from(n))
}

fn milliseconds(n: u32) -> Duration {
    Duration::from_millis(u64::from(n))
}

pub(super) fn in_seconds(span: Duration) -> String {
    span.as_secs().to_string()
}

/// A TOML list of addresses.
fn listed(addresses: &[SocketAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(|address| quoted(&address.to_string())).collect();
    format!("[{}]", texts.join(", "))
}

/// A TOML string; Rust's escapes are TOML's for the characters that occur here.
pub(super) fn quoted(text: &str) -> String {
    format!("{text:?}")
}
