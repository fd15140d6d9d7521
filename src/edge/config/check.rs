//! Checks between keys, tables and files, and the drafts' way into a snapshot.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use regex::RegexSet;

use super::decode::Drafts;
use super::settings::Settings;
use super::source::{Marked, Report, Spot, Wrong};
use super::tables::{PhoneDraft, RouteDraft};
use super::trunk::TrunkDraft;
use super::{codes, protect, provision, rooms, secure, stir, value};
use crate::edge::media_io::identity;
use crate::proto::sip::transport::DEFAULT_PORT;
use crate::switch::identity::{FromUser, NumberForm};
use crate::switch::snapshot::{
    Destination, Device, MediaSettings, Number, PeerAddress, Phone, Rights, Route, Secret,
    Snapshot, Trunk, TrunkMode,
};

/// A secret with fewer characters is guessed by the scanners that every SIP port meets.
const SECRET_SHORT: usize = 8;

/// Names that a warning lists before it only counts.
const LISTED_MAX: usize = 3;

/// Looks for what a single key cannot know.
pub(super) fn check(report: &mut Report, drafts: &Drafts) {
    settings(report, &drafts.settings);
    phones(report, drafts);
    trunks(report, drafts);
    numbers(report, drafts);
    routes(report, drafts);
    protect::check(report, drafts, &trunk_names(drafts));
    codes::check(report, &drafts.settings, &extensions(drafts));
    provision::check(report, drafts);
    stir::check(report, drafts);
    secure::check(report, drafts);
    rooms::check(report, drafts);
}

fn settings(report: &mut Report, settings: &Settings) {
    let sip = &settings.sip;
    for (index, (listen, at)) in sip.listen.iter().zip(&settings.listen_at).enumerate() {
        // Port 0 is chosen by the system, so two of them never meet.
        if listen.address.port() == 0 {
            continue;
        }
        let earlier = || sip.listen.iter().zip(&settings.listen_at).take(index);
        if let Some((_, first)) = earlier().find(|(other, _)| *other == listen) {
            let message = format!("the same address is listed at {}", report.place(*first));
            report.error(*at, Wrong::new("duplicate", message).help("remove one of them"));
        }
        let is_any = |ip: IpAddr| ip.is_unspecified();
        let meets = earlier().find(|(other, _)| {
            other.transport == listen.transport
                && other.address.port() == listen.address.port()
                && other.address.is_ipv4() == listen.address.is_ipv4()
                && is_any(other.address.ip()) != is_any(listen.address.ip())
        });
        if let Some((_, first)) = meets {
            let message = format!("overlaps the listener at {}", report.place(*first));
            let help = "an address of all interfaces already contains the other one";
            report.warn(*at, Wrong::new("overlap", message).help(help));
        }
        let (first, last) = settings.media.ports;
        if listen.transport.word() == "udp" && (first..=last).contains(&listen.address.port()) {
            let message = format!("the port lies inside media.ports {first}-{last}");
            report.error(*at, Wrong::new("overlap", message).help("move one of them"));
        }
    }
    let ordered = [
        ("expires_default_seconds", sip.expires_default < sip.expires_min, "expires_min_seconds"),
        ("expires_max_seconds", sip.expires_max < sip.expires_default, "expires_default_seconds"),
        ("t2_ms", sip.t2 < sip.t1, "t1_ms"),
        (
            "session_expires_seconds",
            !sip.refreshing.expires.is_zero() && sip.refreshing.expires < sip.refreshing.min_se,
            "session_expires_min_seconds",
        ),
    ];
    for (name, is_wrong, lower) in ordered {
        if is_wrong {
            let written = settings.spot("sip", name);
            let at = if written.offset.is_some() { written } else { settings.spot("sip", lower) };
            let message = format!("`{name}` must not be less than `{lower}`");
            report.error(at, Wrong::new("out-of-range", message));
        }
    }
}

/// Remembers where a name stood first and reports the second.
struct Names<'d> {
    what: &'static str,
    first: HashMap<&'d str, Spot>,
}

impl<'d> Names<'d> {
    fn new(what: &'static str) -> Self {
        Self { what, first: HashMap::new() }
    }

    fn add(&mut self, report: &mut Report, name: &'d str, at: Spot) {
        if let Some(first) = self.first.insert(name, at) {
            let message =
                format!("{} `{name}` is already defined at {}", self.what, report.place(first));
            report.error(at, Wrong::new("duplicate", message).help("rename or remove one of them"));
            self.first.insert(name, first);
        }
    }
}

fn phones(report: &mut Report, drafts: &Drafts) {
    let mut names = Names::new("extension");
    for phone in &drafts.phones {
        let extension = phone.extension.as_ref().map_or("", |marked| marked.value.as_str());
        if let Some(marked) = &phone.extension {
            names.add(report, &marked.value, marked.at);
        }
        if let Some(marked) = &phone.secret {
            weak_secret(report, marked, extension);
        }
    }
    let known = extensions(drafts);
    for watched in drafts.phones.iter().flat_map(|phone| phone.watch.iter().flatten()) {
        known_phone(report, &watched.value, watched.at, &known, "");
    }
    let trunks = trunk_names(drafts);
    for by in drafts.phones.iter().flat_map(|phone| &phone.auto_answer_for) {
        match by.value.strip_prefix("trunk:") {
            Some(name) => {
                known_trunk(report, &Marked { value: name.to_owned(), at: by.at }, &trunks);
                trusted_trunk(report, drafts, name, by.at);
            }
            None => known_phone(report, &by.value, by.at, &known, ""),
        }
    }
}

/// A trunk that is not trusted makes no phone answer.
fn trusted_trunk(report: &mut Report, drafts: &Drafts, name: &str, at: Spot) {
    let of = |trunk: &&TrunkDraft| trunk.name.as_ref().is_some_and(|known| known.value == name);
    if drafts.trunks.iter().find(of).is_some_and(|trunk| !trunk.dialect.trust.inward) {
        let message = format!("trunk `{name}` is not trusted: it makes no phone answer");
        let help = "set trust = \"in\" for it, or remove it here";
        report.warn(at, Wrong::new("unused-key", message).help(help));
    }
}

pub(super) fn extensions(drafts: &Drafts) -> HashSet<&str> {
    let extensions = drafts.phones.iter().filter_map(|phone| phone.extension.as_ref());
    extensions.map(|extension| extension.value.as_str()).collect()
}

/// Reports a name that no phone has; `before` is what stands before it where it is written.
fn known_phone(
    report: &mut Report,
    extension: &str,
    at: Spot,
    known: &HashSet<&str>,
    before: &str,
) {
    if known.contains(extension) {
        return;
    }
    let wrong = Wrong::new("missing-reference", format!("there is no phone `{extension}`"));
    let wrong = match report.nearest(extension, known.iter().copied()) {
        Some(near) => wrong.help(format!("did you mean \"{before}{near}\"?")),
        None => wrong.help("define it in phones.toml"),
    };
    report.error(at, wrong);
}

/// Secrets that every scanner tries first.
const COMMON: [&str; 8] = [
    "password",
    "passw0rd",
    "12345678",
    "123456789",
    "1234567890",
    "changeme",
    "secret123",
    "asterisk",
];

fn weak_secret(report: &mut Report, secret: &Marked<Secret>, user: &str) {
    let text = secret.value.0.as_str();
    let first = text.chars().next();
    let why = if text.is_empty() {
        "the secret is empty: anybody can use this account"
    } else if text.chars().count() < SECRET_SHORT {
        "the secret is shorter than 8 characters"
    } else if user.len() >= 3 && text.contains(user) {
        "the secret contains the user name"
    } else if COMMON.contains(&text.to_ascii_lowercase().as_str())
        || text.chars().all(|c| Some(c) == first)
    {
        "the secret is one of the first that scanners try"
    } else {
        return;
    };
    let help = "use a random word of 16 characters or more";
    report.warn(secret.at, Wrong::new("weak-secret", why).help(help));
}

fn trunks(report: &mut Report, drafts: &Drafts) {
    let mut names = Names::new("trunk");
    let mut users = Names::new("user");
    for phone in &drafts.phones {
        if let Some(marked) = &phone.extension {
            // Two phones with one extension were reported above.
            users.first.entry(&marked.value).or_insert(marked.at);
        }
    }
    let mut sources: HashMap<String, (&str, Spot)> = HashMap::new();
    for trunk in &drafts.trunks {
        let name = trunk.name.as_ref().map_or("", |marked| marked.value.as_str());
        if let Some(marked) = &trunk.name {
            names.add(report, &marked.value, marked.at);
        }
        dialect(report, drafts, trunk);
        if let Some(mode) = &trunk.mode {
            needs(report, trunk, mode.value);
            if mode.value == TrunkMode::Account
                && let Some(user) = &trunk.user
            {
                users.add(report, &user.value, user.at);
                // Who logs in is looked for among phones, users and these alike.
                if let Some(own) = trunk.auth_user.as_ref().filter(|own| own.value != user.value) {
                    users.add(report, &own.value, own.at);
                }
            }
        }
        for peer in hops(trunk) {
            let port = peer.value.port.unwrap_or(DEFAULT_PORT);
            let key = format!("{}:{port}", peer.value.host);
            let (other, first) = *sources.entry(key).or_insert((name, peer.at));
            if other != name {
                let place = report.place(first);
                let message = format!("trunk `{other}` has the same peer at {place}");
                let help = "calls from this address are taken as the first trunk's";
                report.warn(peer.at, Wrong::new("overlap", message).help(help));
            }
        }
        if let Some(secret) = &trunk.secret {
            let user = trunk.user.as_ref().map_or("", |user| user.value.as_str());
            weak_secret(report, secret, user);
        }
    }
}

/// What a trunk's dialect needs elsewhere.
fn dialect(report: &mut Report, drafts: &Drafts, trunk: &TrunkDraft) {
    if let Some(profile) = &trunk.profile
        && !drafts.profiles.contains_key(&profile.value)
    {
        let message = format!("there is no profile `{}`", profile.value);
        let wrong = Wrong::new("missing-reference", message);
        let names = drafts.profiles.keys().map(String::as_str);
        let wrong = match report.nearest(&profile.value, names) {
            Some(near) => wrong.help(format!("did you mean \"{near}\"?")),
            None => wrong.help(format!("put it in profiles/{}.toml", profile.value)),
        };
        report.error(profile.at, wrong);
    }
    let at = trunk.profile.as_ref().map_or(trunk.head, |profile| profile.at);
    let dialect = &trunk.dialect;
    let forms = [dialect.called, dialect.calling, dialect.receives];
    let is_as_it_is = forms.iter().all(|form| *form == NumberForm::AsIs);
    if !is_as_it_is && drafts.settings.dial.country_code.is_none() {
        let message = "without `country_code` only numbers with + or 00 have another form";
        let help = "set country_code under [dial] in tandem.toml, such as \"86\"";
        report.warn(at, Wrong::new("unused-key", message).help(help));
    }
    if dialect.from_user == FromUser::Account && trunk.user.is_none() {
        let message = "from_user = \"account\" needs the key `user`";
        report.warn(at, Wrong::new("unused-key", message).help("add user = …"));
    }
    if !dialect.forwarding.is_empty() && !dialect.trust.outward {
        let message = "`forwarding` has no meaning for a trunk that is not trusted outward";
        let help = "set trust = \"out\" or \"both\"";
        report.warn(at, Wrong::new("unused-key", message).help(help));
    }
}

/// Where a trunk's requests go: to its peers, or to its registrar if it has none.
fn hops(trunk: &TrunkDraft) -> impl Iterator<Item = &Marked<PeerAddress>> {
    let registers = trunk.mode.as_ref().is_some_and(|mode| mode.value == TrunkMode::Register);
    let registrar = trunk.registrar.iter().filter(move |_| registers && trunk.peers.is_empty());
    trunk.peers.iter().chain(registrar)
}

/// What a trunk's mode needs and what it has no use for.
fn needs(report: &mut Report, trunk: &TrunkDraft, mode: TrunkMode) {
    let mut missing = Vec::new();
    let word = match mode {
        TrunkMode::Peer => "peer",
        TrunkMode::Account => "account",
        TrunkMode::Register => "register",
    };
    if mode != TrunkMode::Peer {
        if trunk.user.is_none() {
            missing.push("user");
        }
        if trunk.secret.is_none() {
            missing.push("secret");
        }
    }
    if mode != TrunkMode::Account && hops(trunk).next().is_none() {
        missing.push("peers");
    }
    for key in missing {
        let message = format!("a trunk of mode `{word}` needs the key `{key}`");
        report.error(trunk.head, Wrong::new("missing-key", message).help(format!("add {key} = …")));
    }
    if let (Some(registrar), false) = (&trunk.registrar, mode == TrunkMode::Register) {
        let message = format!("`registrar` has no meaning in mode `{word}`");
        let help = "remove it, or set mode = \"register\"";
        report.warn(registrar.at, Wrong::new("unused-key", message).help(help));
    }
}

fn numbers(report: &mut Report, drafts: &Drafts) {
    let mut seen: HashMap<(&str, &str), Spot> = HashMap::new();
    let trunks = trunk_names(drafts);
    let phones = extensions(drafts);
    for number in &drafts.numbers {
        if let Some(trunk) = &number.trunk {
            known_trunk(report, trunk, &trunks);
        }
        if let (Some(own), Some(trunk)) = (&number.number, &number.trunk)
            && let Some(first) = seen.insert((&own.value, &trunk.value), own.at)
        {
            let place = report.place(first);
            let message = format!("number `{}` is already defined at {place}", own.value);
            report.error(own.at, Wrong::new("duplicate", message).help("remove one of them"));
        }
        if let Some(Marked { value: Destination::Phone(extension), at }) = &number.to {
            known_phone(report, extension, *at, &phones, "phone:");
        }
    }
}

fn trunk_names(drafts: &Drafts) -> Vec<&str> {
    drafts.trunks.iter().filter_map(|t| t.name.as_ref().map(|n| n.value.as_str())).collect()
}

pub(super) fn known_trunk(report: &mut Report, trunk: &Marked<String>, names: &[&str]) {
    if names.contains(&trunk.value.as_str()) {
        return;
    }
    let wrong = Wrong::new("missing-reference", format!("there is no trunk `{}`", trunk.value));
    let near = report.nearest(&trunk.value, names.iter().copied());
    report.error(
        trunk.at,
        match near {
            Some(near) => wrong.help(format!("did you mean \"{near}\"?")),
            None => wrong.help("define it in trunks.toml"),
        },
    );
}

fn routes(report: &mut Report, drafts: &Drafts) {
    let trunks = trunk_names(drafts);
    let mut names = Names::new("route");
    let mut patterns: HashMap<&str, Spot> = HashMap::new();
    let mut catch_all: Option<Spot> = None;
    for route in &drafts.routes {
        for trunk in &route.trunks {
            known_trunk(report, trunk, &trunks);
        }
        if let Some(name) = &route.name {
            names.add(report, &name.value, name.at);
        }
        let Some(pattern) = &route.pattern else { continue };
        rewrite(report, route);
        let text = pattern.value.as_str();
        let earlier = catch_all.or(patterns.get(text).copied());
        if let Some(first) = earlier {
            let place = report.place(first);
            let message = format!("never reached: the route at {place} already matches");
            let help = "put the special route before the general one";
            report.warn(pattern.at, Wrong::new("unreachable-route", message).help(help));
        } else if !matches_everything(text) && !text.starts_with('^') && !text.starts_with("(?") {
            let message = "matches anywhere inside the dialled number";
            let help = format!("begin it with ^, as in \"^{text}\"");
            report.warn(pattern.at, Wrong::new("unanchored-pattern", message).help(help));
        }
        patterns.entry(text).or_insert(pattern.at);
        if matches_everything(text) {
            catch_all = catch_all.or(Some(pattern.at));
        }
    }
    shadowed(report, drafts);
}

/// Is the pattern one of the usual ways to write "everything"?
fn matches_everything(pattern: &str) -> bool {
    let bare: String = pattern.chars().filter(|c| !"^$()".contains(*c)).collect();
    matches!(bare.as_str(), "" | ".*" | ".+" | ".*?" | ".+?") && pattern != "^$"
}

fn rewrite(report: &mut Report, route: &RouteDraft) {
    let (Some(pattern), Some(rewrite)) = (&route.pattern, &route.rewrite) else { return };
    let has = |name: &str| match name.parse::<usize>() {
        Ok(index) => index < pattern.value.captures_len(),
        Err(_) => pattern.value.capture_names().flatten().any(|known| known == name),
    };
    for name in value::groups(&rewrite.value) {
        if has(&name) {
            continue;
        }
        let message = format!("`match` has no group `{name}`");
        let digits = name.bytes().take_while(u8::is_ascii_digit).count();
        // `$1x` and `$10` are read as the groups `1x` and `10`; braces say where a name ends.
        let split = (1..=digits).rev().find(|end| *end < name.len() && has(&name[..*end]));
        let help = match (split, pattern.value.captures_len()) {
            (Some(end), _) => format!("write ${{{}}}{}", &name[..end], &name[end..]),
            (None, 1) => "put the part to keep in ( ), as in \"^0(.+)$\"".to_owned(),
            (None, count) => format!("its groups are $1 to ${}", count - 1),
        };
        report.error(rewrite.at, Wrong::new("unknown-group", message).help(help));
    }
}

/// Warns of routes that an existing extension would match: the phone is rung, never the route.
fn shadowed(report: &mut Report, drafts: &Drafts) {
    let routes: Vec<(&RouteDraft, &str)> = drafts
        .routes
        .iter()
        .filter_map(|route| Some((route, route.pattern.as_ref()?.value.as_str())))
        .filter(|(_, text)| !matches_everything(text))
        .collect();
    let Ok(set) = RegexSet::new(routes.iter().map(|(_, text)| *text)) else { return };
    let mut hits: Vec<Vec<&str>> = vec![Vec::new(); routes.len()];
    for phone in &drafts.phones {
        let Some(extension) = &phone.extension else { continue };
        for index in set.matches(&extension.value) {
            hits[index].push(&extension.value);
        }
    }
    for ((route, _), hits) in routes.iter().zip(&hits) {
        let (Some(pattern), false) = (&route.pattern, hits.is_empty()) else { continue };
        let listed = hits.iter().take(LISTED_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = hits.len().saturating_sub(LISTED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let message = format!("also matches the extensions {listed}{more}");
        let help = "a dialled extension rings its phone and never takes this route";
        report.warn(pattern.at, Wrong::new("shadowed-route", message).help(help));
    }
}

/// The drafts as a snapshot; only called when no error was found, so nothing is left out.
pub(super) fn snapshot(drafts: Drafts) -> Snapshot {
    let phones = drafts.phones.into_iter().filter_map(phone_of);
    let trunks = drafts.trunks.into_iter().filter_map(trunk_of);
    let numbers = drafts.numbers.into_iter().filter_map(|draft| {
        Some(Number { number: draft.number?.value, trunk: draft.trunk?.value, to: draft.to?.value })
    });
    let routes = drafts.routes.into_iter().enumerate().filter_map(|(index, draft)| {
        Some(Route {
            name: draft.name.map_or_else(|| (index + 1).to_string(), |name| name.value),
            pattern: draft.pattern?.value,
            trunks: draft.trunks.into_iter().map(|trunk| trunk.value).collect(),
            rewrite: draft.rewrite.map(|rewrite| rewrite.value),
        })
    });
    Snapshot {
        revision: 1,
        phones: phones.collect(),
        trunks: trunks.collect(),
        numbers: numbers.collect(),
        routes: routes.collect(),
        rooms: drafts.rooms.into_iter().filter_map(rooms::settings).collect(),
        sip: drafts.settings.sip,
        media: MediaSettings {
            fingerprint: identity().map(|ours| ours.fingerprint().clone()),
            ..drafts.settings.media
        },
        limits: drafts.settings.limits,
        guard: drafts.settings.guard,
        dial: drafts.settings.dial,
        emergency: drafts.settings.emergency,
        codes: drafts.settings.codes,
        provisioning: drafts.settings.provisioning,
        stir: drafts.settings.stir,
        recording: drafts.settings.recording,
        speech: drafts.settings.speech,
    }
}

fn phone_of(draft: PhoneDraft) -> Option<(String, Phone)> {
    let extension = draft.extension?.value;
    let name = draft.name.unwrap_or_else(|| extension.clone());
    let watch = draft.watch.map(|list| list.into_iter().map(|marked| marked.value).collect());
    let device = Device {
        brand: draft.brand.unwrap_or_default(),
        mac: draft.mac.map(|marked| marked.value),
        keys: draft.keys.into_iter().map(|marked| marked.value).collect(),
    };
    let phone = Phone {
        device,
        extension: extension.clone(),
        name,
        secret: draft.secret?.value,
        contacts_max: draft.contacts_max,
        ring_timeout: draft.ring_timeout,
        rights: Rights { watch, ..draft.rights },
        reliable: draft.reliable,
        dtmf: draft.dtmf,
        record: draft.record,
        pickup_groups: draft.pickup_groups,
        location: draft.location,
        withhold: draft.withhold,
        record_key: draft.record_key,
        auto_answer_for: draft.auto_answer_for.into_iter().map(|by| by.value).collect(),
        srtp: draft.srtp.map(|srtp| srtp.value).unwrap_or_default(),
        media: draft.media,
    };
    Some((extension, phone))
}

fn trunk_of(draft: TrunkDraft) -> Option<Trunk> {
    let peers = hops(&draft).map(|peer| peer.value.clone()).collect();
    Some(Trunk {
        name: draft.name?.value,
        mode: draft.mode?.value,
        peers,
        user: draft.user.map(|user| user.value),
        auth_user: draft.auth_user.map(|user| user.value),
        secret: draft.secret.map(|secret| secret.value).unwrap_or_default(),
        registrar: draft.registrar.map(|registrar| registrar.value),
        expires: draft.expires,
        caller_id: draft.caller_id,
        ring_timeout: draft.ring_timeout,
        try_timeout: draft.try_timeout,
        large_to_tcp: draft.large_to_tcp,
        probe: draft.probe,
        caps: draft.caps,
        reliable: draft.reliable,
        dtmf: draft.dtmf,
        record: draft.record,
        replaces: draft.replaces,
        outbound: draft.outbound,
        keepalive: draft.keepalive,
        health: draft.health,
        dialect: draft.dialect,
        srtp: draft.srtp.map(|srtp| srtp.value).unwrap_or_default(),
        media: draft.media,
        profile: draft.profile.map(|profile| profile.value),
        written: draft.written,
        stir_in: draft.stir_in.map(|stir_in| stir_in.value).unwrap_or_default(),
        stir_out: draft.stir_out,
    })
}
