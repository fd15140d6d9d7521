//! What a template may use.

use serde::Serialize;

use crate::switch::device::{Device, KeyKind, Server};
use crate::switch::snapshot::{Phone, Snapshot, SrtpPolicy, Transport};

/// After so long a phone on the backup looks whether the first server is there again.
const FALLBACK_SECONDS: u64 = 3600;

/// A server as phones are told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Place {
    host: String,
    port: u16,
    /// Both, with brackets where they are needed.
    address: String,
}

/// A key, counted from 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct KeyValue {
    position: usize,
    kind: &'static str,
    value: String,
    label: String,
}

/// An account on the phone, for brands that have one for each server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Identity {
    index: usize,
    server: Place,
}

/// The values of one phone's files. They hold its password, so they have no `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Values {
    extension: String,
    name: String,
    secret: String,
    /// The SIP domain; where packets go is `server`.
    domain: String,
    server: Place,
    backup: Option<Place>,
    identities: Vec<Identity>,
    fallback_seconds: u64,
    transport: &'static str,
    verify_certificate: bool,
    /// `off`, `optional` or `required`; optional only where keys do not cross in the clear.
    srtp: &'static str,
    expires_seconds: u64,
    codecs: Vec<String>,
    keys: Vec<KeyValue>,
    ntp: Option<String>,
    admin_password: Option<String>,
    mac: Option<String>,
    /// The phone's own address, with its token and a slash at the end.
    url: String,
    /// The same in two parts: what stands before `://`, and what behind, without the last slash.
    url_scheme: String,
    url_rest: String,
}

/// Where phones register: as configured, or the host that they fetch from; the port is that of our first listener
/// unless it is written.
#[must_use]
pub fn server(snapshot: &Snapshot) -> Option<Server> {
    let settings = &snapshot.provisioning;
    let of_url = || {
        let (_, rest) = settings.url.as_deref()?.split_once("://")?;
        let authority = rest.split('/').next()?;
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next()?,
            None => authority.split(':').next()?,
        };
        Some(Server { host: host.to_owned(), port: None })
    };
    let server = settings.server.clone().or_else(of_url)?;
    Some(Server { port: Some(port(snapshot, &server)), ..server })
}

fn port(snapshot: &Snapshot, server: &Server) -> u16 {
    let transport = snapshot.provisioning.transport;
    let ours = snapshot.sip.listen.iter().find(|listen| listen.transport == transport);
    let usual = if transport == Transport::Tls { 5061 } else { 5060 };
    server.port.or(ours.map(|listen| listen.address.port())).unwrap_or(usual)
}

impl Values {
    /// The values of a phone whose files are at `url`; `None` if nobody has said where phones register.
    #[must_use]
    pub fn of(snapshot: &Snapshot, phone: &Phone, url: &str) -> Option<Self> {
        let settings = &snapshot.provisioning;
        let place = |server: &Server| {
            let port = port(snapshot, server);
            let address = Server { port: Some(port), ..server.clone() }.to_string();
            Place { host: server.host.clone(), port, address }
        };
        let own = place(&server(snapshot)?);
        let backup = settings.backup_server.as_ref().map(place);
        // A realm that is one word is no domain that a phone could look up.
        let realm = &snapshot.sip.realm;
        let domain = if realm.contains('.') { realm.clone() } else { own.host.clone() };
        let servers = std::iter::once(&own).chain(&backup);
        let identities =
            servers.zip(1..).map(|(server, index)| Identity { index, server: server.clone() });
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let password = &settings.admin_password.0;
        Some(Self {
            extension: phone.extension.clone(),
            name: phone.name.clone(),
            secret: phone.secret.0.clone(),
            domain,
            identities: identities.collect(),
            server: own,
            backup,
            fallback_seconds: FALLBACK_SECONDS,
            transport: settings.transport.word(),
            verify_certificate: settings.verifies,
            srtp: match (phone.srtp, settings.transport) {
                (SrtpPolicy::Required, _) => "required",
                (SrtpPolicy::Optional, Transport::Tls) => "optional",
                (SrtpPolicy::Optional | SrtpPolicy::Off, _) => "off",
            },
            expires_seconds: snapshot.sip.expires_default.as_secs(),
            codecs: settings.codecs.clone(),
            keys: keys(&phone.device),
            ntp: settings.ntp.clone(),
            admin_password: (!password.is_empty()).then(|| password.clone()),
            mac: phone.device.mac.map(|mac| mac.to_string()),
            url: url.to_owned(),
            url_scheme: scheme.to_owned(),
            url_rest: rest.trim_end_matches('/').to_owned(),
        })
    }

    /// The SIP domain.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The server and the backup, as addresses.
    #[must_use]
    pub fn servers(&self) -> (&str, Option<&str>) {
        (&self.server.address, self.backup.as_ref().map(|backup| backup.address.as_str()))
    }

    /// Two phones to try a template with: one that has everything, and one that has nothing it can do without.
    pub(super) fn samples() -> [Self; 2] {
        let place = |host: &str| Place {
            host: host.to_owned(),
            port: 5061,
            address: format!("{host}:5061"),
        };
        let key = |position, kind| KeyValue {
            position,
            kind,
            value: "1002".to_owned(),
            label: "Bob".to_owned(),
        };
        let (own, backup) = (place("pbx.example.com"), place("backup.example.com"));
        let identity = |index, server: &Place| Identity { index, server: server.clone() };
        let bare = Self {
            extension: "1001".to_owned(),
            name: "Alice".to_owned(),
            secret: "a long random word".to_owned(),
            domain: "example.com".to_owned(),
            identities: vec![identity(1, &own)],
            server: own.clone(),
            backup: None,
            fallback_seconds: FALLBACK_SECONDS,
            transport: "udp",
            verify_certificate: false,
            srtp: "off",
            expires_seconds: 60,
            codecs: vec!["pcma".to_owned()],
            keys: Vec::new(),
            ntp: None,
            admin_password: None,
            mac: None,
            url: "https://pbx.example.com:8443/p/token/".to_owned(),
            url_scheme: "https".to_owned(),
            url_rest: "pbx.example.com:8443/p/token".to_owned(),
        };
        let full = Self {
            identities: vec![identity(1, &own), identity(2, &backup)],
            backup: Some(backup),
            transport: "tls",
            verify_certificate: true,
            srtp: "required",
            codecs: ["g722", "pcma", "pcmu", "g729", "opus"].map(str::to_owned).to_vec(),
            keys: vec![key(1, "blf"), key(2, "speed")],
            ntp: Some("pool.ntp.org".to_owned()),
            admin_password: Some("word".to_owned()),
            mac: Some("001565abcdef".to_owned()),
            ..bare.clone()
        };
        [full, bare]
    }
}

fn keys(device: &Device) -> Vec<KeyValue> {
    let keys = device.keys.iter().zip(1..).map(|(key, position)| KeyValue {
        position,
        kind: match key.kind {
            KeyKind::Blf => "blf",
            KeyKind::Speed => "speed",
        },
        value: key.value.clone(),
        label: key.label.clone(),
    });
    keys.collect()
}
