//! The configuration that most tests run with: three phones and four trunks.

use std::time::Duration;

use regex::Regex;
use tandem::switch::dtmf::Dtmf;
use tandem::switch::snapshot::{
    CapsWish, Destination, Device, Dialect, HealthBounds, Listen, MediaForm, Number, PeerAddress,
    Phone, Reliable, Rights, Route, Secret, Snapshot, SrtpPolicy, StirIn, StirSettings, Transport,
    Trunk, TrunkMode,
};

pub const CARRIER: &str = "203.0.113.10:5060";
pub const BACKUP: &str = "203.0.113.20:5060";
pub const SIPCO: &str = "203.0.113.30:5060";
pub const NUMBER: &str = "+862012345678";

pub fn secret_of(extension: &str) -> String {
    format!("secret-{extension}")
}

pub fn phone(extension: &str, name: &str) -> (String, Phone) {
    let phone = Phone {
        extension: extension.to_owned(),
        name: name.to_owned(),
        secret: Secret(secret_of(extension)),
        contacts_max: None,
        ring_timeout: None,
        rights: Rights::default(),
        reliable: Reliable::default(),
        dtmf: Dtmf::default(),
        record: Default::default(),
        pickup_groups: Vec::new(),
        device: Device::default(),
        withhold: false,
        location: Vec::new(),
        record_key: false,
        auto_answer_for: Vec::new(),
        srtp: SrtpPolicy::default(),
        media: MediaForm::default(),
    };
    (extension.to_owned(), phone)
}

pub fn peer(text: &str) -> PeerAddress {
    let (transport, text) = match text.split_once(':') {
        Some(("tcp", rest)) => (Some(Transport::Tcp), rest),
        Some(("udp", rest)) => (Some(Transport::Udp), rest),
        _ => (None, text),
    };
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().unwrap())),
        None => (text, None),
    };
    PeerAddress { transport, host: host.to_owned(), port }
}

pub fn trunk(name: &str, mode: TrunkMode, peers: &[&str]) -> Trunk {
    Trunk {
        name: name.to_owned(),
        mode,
        peers: peers.iter().map(|text| peer(text)).collect(),
        user: None,
        secret: Secret::default(),
        registrar: None,
        expires: Duration::from_secs(600),
        caller_id: None,
        ring_timeout: None,
        try_timeout: Duration::from_secs(5),
        large_to_tcp: true,
        probe: Duration::ZERO,
        caps: CapsWish::default(),
        reliable: Reliable::default(),
        dtmf: Dtmf::default(),
        record: Default::default(),
        auth_user: None,
        replaces: false,
        outbound: false,
        keepalive: Duration::ZERO,
        health: HealthBounds::default(),
        stir_in: StirIn::default(),
        stir_out: false,
        dialect: Dialect::default(),
        srtp: SrtpPolicy::default(),
        media: MediaForm::default(),
        profile: None,
        written: Vec::new(),
    }
}

pub fn route(name: &str, pattern: &str, trunks: &[&str], rewrite: Option<&str>) -> Route {
    Route {
        name: name.to_owned(),
        pattern: Regex::new(pattern).unwrap(),
        trunks: trunks.iter().map(|&name| name.to_owned()).collect(),
        rewrite: rewrite.map(str::to_owned),
    }
}

pub fn number(number: &str, trunk: &str, extension: &str) -> Number {
    Number {
        number: number.to_owned(),
        trunk: trunk.to_owned(),
        to: Destination::Phone(extension.to_owned()),
    }
}

pub fn listen() -> Vec<Listen> {
    let address = "0.0.0.0:5060".parse().unwrap();
    [Transport::Udp, Transport::Tcp].map(|transport| Listen { transport, address }).to_vec()
}

/// The office, where the first trunk's calls are checked and those that leave by it signed.
pub fn signing_office(policy: StirIn) -> Snapshot {
    let mut snapshot = office();
    snapshot.dial.country_code = Some("86".to_owned());
    (snapshot.trunks[0].stir_in, snapshot.trunks[0].stir_out) = (policy, true);
    snapshot.stir = StirSettings {
        key: Some("ours.key".to_owned()),
        certificate_url: Some("https://certs.example.com/ours.pem".to_owned()),
        ..StirSettings::default()
    };
    snapshot
}

/// The office.
pub fn office() -> Snapshot {
    let mut snapshot = Snapshot {
        revision: 1,
        phones: [phone("1001", "Alice"), phone("1002", "Bob"), phone("1003", "")].into(),
        trunks: vec![
            trunk("carrier", TrunkMode::Peer, &[CARRIER]),
            trunk("backup", TrunkMode::Peer, &[BACKUP]),
        ],
        numbers: vec![number(NUMBER, "carrier", "1002")],
        routes: vec![route("out", "^0(.+)$", &["carrier", "backup"], Some("+86$1"))],
        ..Snapshot::default()
    };
    use tandem::proto::sip::auth::digest::Algorithm;
    snapshot.sip.digest = vec![Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];
    snapshot.sip.listen = listen();
    snapshot
}
