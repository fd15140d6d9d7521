//! The configuration that the switch works by: one immutable value that reload replaces whole.
//!
//! A call keeps the snapshot it began with. Files become a snapshot in `edge/config`.

mod number;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::proto::network::Network;
pub use crate::proto::sdp::{MediaForm, SrtpPolicy};
use crate::proto::sip::auth::digest::Algorithm;
use crate::proto::sip::locals::private_networks;
use crate::proto::sip::session::Refreshing;
pub use crate::proto::sip::session::Reliable;
pub use crate::proto::sip::transport::Transport;
use crate::proto::srtp::Fingerprint;
use crate::switch::call::Origin;
pub use crate::switch::device::{Device, ProvisioningSettings};
pub use crate::switch::dtmf::Dtmf;
pub use crate::switch::guard::GuardSettings;
pub use crate::switch::health::Bounds as HealthBounds;
pub use crate::switch::identity::Dialect;
use crate::switch::recording::{RecordRule, RecordingSettings};
use crate::switch::rooms::RoomSettings;
pub use crate::switch::route::caps::{CapsWish, DialSettings, Rights};
pub use crate::switch::services::CodeSettings;
use crate::switch::speech::SpeechSettings;
pub use crate::switch::stir::{StirIn, StirSettings};
pub use number::{Destination, Number};

/// A password; its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A socket to listen on, written `udp:0.0.0.0:5060`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listen {
    /// What it speaks.
    pub transport: Transport,
    /// Where it is bound.
    pub address: SocketAddr,
}

/// `[sip]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SipSettings {
    /// Sockets, in order; the first of a transport is used for new requests.
    pub listen: Vec<Listen>,
    /// Our address in Via, Contact and SDP where the socket is bound to all addresses.
    pub advertise: Option<IpAddr>,
    /// Networks that are reached without a NAT between, and are not told `advertise`.
    pub local_networks: Vec<Network>,
    /// The digest realm and our domain.
    pub realm: String,
    /// Digest algorithms, strongest first.
    ///
    /// MD5 alone is the default because many phones, and every client on libre before 2.0, give up when any
    /// of several challenges is one they do not know, against RFC 8760 §2.4.
    pub digest: Vec<Algorithm>,
    /// How long a digest nonce may be used before the client gets `stale=true`.
    pub nonce_lifetime: Duration,
    /// Shortest registration or subscription; below it 423 (RFC 3261 §10.2.8, RFC 6665 §4.2.1.1).
    pub expires_min: Duration,
    /// Longest registration or subscription; above it the answer shortens.
    pub expires_max: Duration,
    /// A registration or subscription that names no time.
    pub expires_default: Duration,
    /// Contacts per phone, unless the phone says otherwise.
    pub contacts_max: usize,
    /// Round-trip estimate T1 (RFC 3261 §17.1.1.1).
    pub t1: Duration,
    /// Largest retransmission interval T2.
    pub t2: Duration,
    /// How long a called phone rings before `no_answer`.
    pub ring_timeout: Duration,
    /// What is asked of session timers (RFC 4028).
    pub refreshing: Refreshing,
    /// Does OPTIONS outside a dialog need a login?
    pub authenticate_options: bool,
    /// How our SIP packets are marked for routers (RFC 2474 §3), 0 to 63.
    pub dscp: u8,
    /// The name servers that are asked for peers; the system's if there are none.
    pub nameservers: Vec<SocketAddr>,
    /// What happens to a call whose From names another user than the one who logged in.
    pub other_from: OtherFrom,
    /// Certificates.
    pub tls: TlsSettings,
}

/// `[tls]`: files that the edge reads. A relative path begins at the folder of the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsSettings {
    /// Our certificates with their keys; the client's wish decides which one is shown, else the first.
    pub certificates: Vec<String>,
    /// The authorities that servers must be certified by; the system's if none is named.
    pub authorities: Option<String>,
    /// The authorities that a client's certificate must be from, if it shows one.
    pub client_authorities: Option<String>,
    /// Does a certificate for `*.example.com` do for `sip.example.com`? RFC 5922 §7.2 says no.
    pub wildcards: bool,
}

/// What happens to a call whose From names somebody else than the phone that logged in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OtherFrom {
    /// The called side is shown who logged in.
    #[default]
    Replace,
    /// 403.
    Refuse,
}

impl Default for SipSettings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            advertise: None,
            local_networks: private_networks().collect(),
            realm: "tandem".to_owned(),
            digest: vec![Algorithm::Md5],
            nonce_lifetime: Duration::from_secs(300),
            expires_min: Duration::from_secs(60),
            expires_max: Duration::from_secs(7200),
            expires_default: Duration::from_secs(3600),
            contacts_max: 5,
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            ring_timeout: Duration::from_secs(60),
            refreshing: Refreshing::default(),
            authenticate_options: false,
            // CS3, which phones and switches take for signalling.
            dscp: 24,
            nameservers: Vec::new(),
            other_from: OtherFrom::default(),
            tls: TlsSettings::default(),
        }
    }
}

/// `[media]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MediaSettings {
    /// First and last port of the relay, both included.
    pub ports: (u16, u16),
    /// Worker threads; 0 is one per core.
    pub workers: usize,
    /// Silence of a side that should be sending ends the call after this; zero never.
    pub dead_after: Duration,
    /// The same while a side holds the call; zero never.
    pub dead_after_hold: Duration,
    /// May two sides talk that share no codec?
    pub converts: bool,
    /// The file that who is on hold hears.
    pub hold_music: Option<String>,
    /// Of the certificate that we show in DTLS; without one nobody is offered any, nor ICE.
    pub fingerprint: Option<Fingerprint>,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            ports: (20_000, 29_999),
            workers: 0,
            dead_after: Duration::from_secs(60),
            dead_after_hold: Duration::from_secs(1800),
            converts: true,
            hold_music: None,
            fingerprint: None,
        }
    }
}

/// `[limits]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Calls at the same time; the next one gets 503.
    pub calls_max: usize,
    /// Transactions at the same time; above it requests outside dialogs get 503.
    pub transactions_max: usize,
    /// How late the daemon may be with its work; above it requests outside dialogs get 503. Zero: never.
    pub lag_max: Duration,
    /// SIP connections (TCP) at the same time; the next one is closed.
    pub connections_max: usize,
    /// Of those, from one address.
    pub connections_per_source_max: usize,
    /// How long live calls may go on after the daemon was told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_max: 10_000,
            transactions_max: 200_000,
            lag_max: Duration::from_secs(2),
            connections_max: 20_000,
            connections_per_source_max: 1_000,
            drain: Duration::from_secs(30),
        }
    }
}

/// `[emergency]`: numbers that are exempt from every limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EmergencySettings {
    /// The numbers.
    pub numbers: Vec<String>,
    /// What people are used to dial before an outside number; an emergency number counts behind it too.
    pub prefixes: Vec<String>,
    /// Where they go, in order; if empty, to every trunk in the order of the file.
    pub trunks: Vec<String>,
    /// Which of the numbers a service stands for: `sos.fire` and so on, without `urn:service:` (RFC 5031 §4.2).
    pub services: Vec<(String, String)>,
}

impl EmergencySettings {
    /// The number that a service URN stands for. A service that is not listed, or whose number is no emergency number
    /// here, is the one above it (RFC 5031 §4.2), and `sos` itself then the first number of all.
    #[must_use]
    pub fn number_of(&self, uri: &str) -> Option<&str> {
        let uri = uri.to_ascii_lowercase();
        let mut service = uri.strip_prefix("urn:service:")?;
        loop {
            let listed = self.services.iter().find(|(known, _)| known == service);
            if let Some((_, number)) = listed.filter(|(_, number)| self.numbers.contains(number)) {
                return Some(number);
            }
            if service == "sos" {
                return self.numbers.first().map(String::as_str);
            }
            (service, _) = service.rsplit_once('.')?;
        }
    }
}

impl Default for EmergencySettings {
    fn default() -> Self {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            numbers: list(&["110", "112", "119", "120", "122", "911"]),
            prefixes: list(&["0", "9"]),
            trunks: Vec::new(),
            services: [
                ("sos", "112"),
                ("sos.police", "110"),
                ("sos.fire", "119"),
                ("sos.ambulance", "120"),
            ]
            .map(|(service, number)| (service.to_owned(), number.to_owned()))
            .to_vec(),
        }
    }
}

/// `[[phone]]`: a SIP account with its extension.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phone {
    /// The number others dial and the digest user name.
    pub extension: String,
    /// For a person.
    pub name: String,
    /// The digest password.
    pub secret: Secret,
    /// Its own maximum of contacts.
    pub contacts_max: Option<usize>,
    /// Its own ring time.
    pub ring_timeout: Option<Duration>,
    /// Whom it may be and what it may dial.
    pub rights: Rights,
    /// When its calls, and calls to it, have reliable 18x (RFC 3262).
    pub reliable: Reliable,
    /// In which form it is brought digits.
    pub dtmf: Dtmf,
    /// What it wants of the recording of its calls.
    pub record: RecordRule,
    /// Is its record key obeyed?
    pub record_key: bool,
    /// Its groups: what rings at a phone may be picked up by those that share a group with it.
    pub pickup_groups: Vec<String>,
    /// What it is and what is on its keys, for the files that it fetches.
    pub device: Device,
    /// Its number is not told, unless a call of its asks for that.
    pub withhold: bool,
    /// Where it stands, for emergency calls: names and texts of a civic address (RFC 5139).
    pub location: Vec<(String, String)>,
    /// Who may make it answer by itself: extensions, and `trunk:` with a trunk's name.
    pub auto_answer_for: Vec<String>,
    /// Whether its audio is encrypted.
    pub srtp: SrtpPolicy,
    /// Whether its audio goes as browsers' does.
    pub media: MediaForm,
}

/// How a trunk and we know each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrunkMode {
    /// By address, both ways.
    Peer,
    /// It registers to us with a user name and a password.
    Account,
    /// We register to it.
    Register,
}

/// A next hop as the admin wrote it: `host`, `host:port`, `tcp:host:port`, `tls:host:port`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PeerAddress {
    /// What to speak, if it was written.
    pub transport: Option<Transport>,
    /// An IP address or a name to look up.
    pub host: String,
    /// The port, if it was written: then a name has its addresses looked up only (RFC 3263 §4.2).
    pub port: Option<u16>,
}

impl PeerAddress {
    /// As it stands in a URI: the host, and the port if it was written.
    #[must_use]
    pub fn domain(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        self.port.map_or(host.clone(), |port| format!("{host}:{port}"))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(transport) = self.transport {
            write!(f, "{}:", transport.word())?;
        }
        match (self.host.contains(':'), self.port) {
            (true, Some(_)) => write!(f, "[{}]", self.host)?,
            _ => f.write_str(&self.host)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// `[[trunk]]`: a channel to a carrier or gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trunk {
    /// Its name.
    pub name: String,
    /// How we know each other.
    pub mode: TrunkMode,
    /// Where calls go, in order; their addresses are also where calls come from. A `register` trunk has its
    /// registrar here if no others are given.
    pub peers: Vec<PeerAddress>,
    /// The digest user name: theirs towards us (`account`), ours towards them (`peer`, `register`).
    pub user: Option<String>,
    /// The name to log in with, where it is another than `user`.
    pub auth_user: Option<String>,
    /// The digest password.
    pub secret: Secret,
    /// The domain of a `register` trunk; the host of its first peer unless given.
    pub registrar: Option<PeerAddress>,
    /// How long to ask the carrier's registrar to keep us.
    pub expires: Duration,
    /// The user part of From for calls that leave by this trunk, instead of the caller's extension.
    pub caller_id: Option<String>,
    /// How long to wait for a final answer on it.
    pub ring_timeout: Option<Duration>,
    /// How long to wait for any answer before the next trunk is tried.
    pub try_timeout: Duration,
    /// Do requests that are too large for a datagram go by TCP (RFC 3261 §18.1.1)?
    ///
    /// On by default: fragments of datagrams are what firewalls and NATs lose most, and where TCP is refused the
    /// datagram goes after all, at once. Off is for a carrier that takes the connection and then says nothing.
    pub large_to_tcp: bool,
    /// How often each peer of a `peer` trunk is sent OPTIONS; zero never.
    pub probe: Duration,
    /// Caps of its own on calls that leave by it.
    pub caps: CapsWish,
    /// When its calls, and calls by it, have reliable 18x (RFC 3262).
    pub reliable: Reliable,
    /// In which form it is brought digits.
    pub dtmf: Dtmf,
    /// What is wanted of the recording of its calls.
    pub record: RecordRule,
    /// May its INVITEs take the place of a party of a conversation here (RFC 3891)?
    pub replaces: bool,
    /// Is our registration a flow of RFC 5626, with an instance and a number?
    pub outbound: bool,
    /// How often the way back from the carrier of a `register` trunk is kept open; zero never.
    pub keepalive: Duration,
    /// When what real calls tell of it makes it the last one to be tried.
    pub health: HealthBounds,
    /// What is done with the Identity headers of its calls (RFC 8224).
    pub stir_in: StirIn,
    /// Do calls that leave by it state who calls?
    pub stir_out: bool,
    /// How numbers and identities are written for it and read from it, and whose word counts.
    pub dialect: Dialect,
    /// Whether its audio is encrypted.
    pub srtp: SrtpPolicy,
    /// Whether its audio goes as browsers' does.
    pub media: MediaForm,
    /// The profile that it follows.
    pub profile: Option<String>,
    /// Its keys that are written somewhere, and whether the profile has them; the others are defaults.
    pub written: Vec<(&'static str, WrittenIn)>,
}

impl Trunk {
    /// The name that goes with the password: of its own, else the user.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        self.auth_user.as_deref().or(self.user.as_deref())
    }
}

/// Where a key of a trunk is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WrittenIn {
    /// In the trunk's own table, which wins.
    Trunk,
    /// In its profile.
    Profile,
}

/// `[[route]]`: which dialled numbers leave by which trunks.
#[derive(Clone, Debug)]
pub struct Route {
    /// For a person; its position if the admin gave none.
    pub name: String,
    /// Matched against the dialled number.
    pub pattern: Regex,
    /// Tried in order.
    pub trunks: Vec<String>,
    /// What is sent, with `$1` for the first group; the dialled number if absent.
    pub rewrite: Option<String>,
}

/// The whole configuration, checked.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts reloads; 1 is the first.
    pub revision: u64,
    /// `[sip]`.
    pub sip: SipSettings,
    /// `[media]`.
    pub media: MediaSettings,
    /// `[limits]`.
    pub limits: Limits,
    /// `[guard]`.
    pub guard: GuardSettings,
    /// `[dial]`.
    pub dial: DialSettings,
    /// `[emergency]`.
    pub emergency: EmergencySettings,
    /// `[codes]`.
    pub codes: CodeSettings,
    /// `[provisioning]`.
    pub provisioning: ProvisioningSettings,
    /// `[stir]`.
    pub stir: StirSettings,
    /// `[recording]`.
    pub recording: RecordingSettings,
    /// `[speech]`.
    pub speech: SpeechSettings,
    /// By extension.
    pub phones: HashMap<String, Phone>,
    /// In the order of the file.
    pub trunks: Vec<Trunk>,
    /// In the order of the file.
    pub numbers: Vec<Number>,
    /// In the order of the file; the first match wins.
    pub routes: Vec<Route>,
    /// In the order of the file.
    pub rooms: Vec<Arc<RoomSettings>>,
}

impl Snapshot {
    /// The phone with this extension.
    #[must_use]
    pub fn phone(&self, extension: &str) -> Option<&Phone> {
        self.phones.get(extension)
    }

    /// The room with this number.
    #[must_use]
    pub fn room(&self, number: &str) -> Option<&Arc<RoomSettings>> {
        self.rooms.iter().find(|room| room.number == number)
    }

    /// The trunk with this name.
    #[must_use]
    pub fn trunk(&self, name: &str) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| trunk.name == name)
    }

    /// Is Replaces read in INVITEs of this peer?
    #[must_use]
    pub fn takes_replaces(&self, peer: &Origin) -> bool {
        match peer {
            Origin::Phone(_) | Origin::Operator(_) => true,
            Origin::Trunk(name) => self.trunk(name).is_some_and(|trunk| trunk.replaces),
        }
    }

    /// May one phone answer what rings at the other? At its own extension always.
    #[must_use]
    pub fn may_pick_up(&self, extension: &str, rings_at: &str) -> bool {
        let groups =
            |extension| self.phone(extension).map_or(&[][..], |phone| &phone.pickup_groups);
        extension == rings_at
            || groups(extension).iter().any(|group| groups(rings_at).contains(group))
    }

    /// What is written at a phone or a trunk, or what goes for peers that are neither.
    fn of_peer<T: Default>(
        &self,
        peer: &Origin,
        of_phone: impl Fn(&Phone) -> T,
        of_trunk: impl Fn(&Trunk) -> T,
    ) -> T {
        let found = match peer {
            Origin::Phone(extension) | Origin::Operator(extension) => {
                self.phone(extension).map(of_phone)
            }
            Origin::Trunk(name) => self.trunk(name).map(of_trunk),
        };
        found.unwrap_or_default()
    }

    /// When 18x are reliable on a leg to this peer.
    #[must_use]
    pub fn reliable_for(&self, peer: &Origin) -> Reliable {
        self.of_peer(peer, |phone| phone.reliable, |trunk| trunk.reliable)
    }

    /// In which form digits are brought to this peer.
    #[must_use]
    pub fn dtmf_for(&self, peer: &Origin) -> Dtmf {
        self.of_peer(peer, |phone| phone.dtmf, |trunk| trunk.dtmf)
    }

    /// Whether audio is encrypted on a leg to this peer.
    #[must_use]
    pub fn srtp_for(&self, peer: &Origin) -> SrtpPolicy {
        self.of_peer(peer, |phone| phone.srtp, |trunk| trunk.srtp)
    }

    /// Whether audio on a leg to this peer goes as browsers' does.
    #[must_use]
    pub fn media_form_for(&self, peer: &Origin) -> MediaForm {
        self.of_peer(peer, |phone| phone.media, |trunk| trunk.media)
    }

    /// What is asked of the session timer on a leg to this peer: nothing of a trunk that does not want one, though it
    /// has what it asks for itself.
    #[must_use]
    pub fn refreshing_for(&self, peer: &Origin) -> Refreshing {
        let mut refreshing = self.sip.refreshing;
        if let Origin::Trunk(name) = peer
            && self.trunk(name).is_some_and(|trunk| !trunk.dialect.session_timers)
        {
            refreshing.expires = Duration::ZERO;
        }
        refreshing
    }

    /// The trunk that logs in to us under this name.
    #[must_use]
    pub fn login(&self, name: &str) -> Option<&Trunk> {
        self.trunks
            .iter()
            .find(|trunk| trunk.mode == TrunkMode::Account && trunk.login() == Some(name))
    }

    /// The trunk that registers to us as this user.
    #[must_use]
    pub fn account(&self, user: &str) -> Option<&Trunk> {
        self.trunks
            .iter()
            .find(|trunk| trunk.mode == TrunkMode::Account && trunk.user.as_deref() == Some(user))
    }
}
