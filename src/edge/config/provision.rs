//! The section `[provisioning]`, what a `[[phone]]` says of its device, and the templates that are named.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use super::decode::Drafts;
use super::item::{Given, Item};
use super::protect::list;
use super::settings::{Settings, quoted};
use super::source::{Report, Spot, Wrong};
use super::value;
use crate::edge::provisioning::{Templates, needs_mac};
use crate::switch::device::{Brand, Key as PhoneKey, KeyKind, Mac, Server, WebListen};
use crate::switch::snapshot::{Secret, Transport};

type Key = Item<Settings>;

/// Codecs that every brand's template knows the name of.
const CODECS: [&str; 5] = ["g722", "pcma", "pcmu", "g729", "opus"];
/// Characters of a key's label.
const LABEL_MAX: usize = 32;
/// Characters of what a key dials.
const DIALLED_MAX: usize = 32;

pub(super) static PROVISIONING: &[Key] = &[
    Key::texts(
        "listen",
        "https:address:port, or http: on a loopback address",
        (0, 8),
        Given::Default { shows: |s| list(&s.provisioning.listen) },
        |s, text| {
            s.provisioning.listen.push(web_listen(text.value)?);
            Ok(())
        },
        "Where phones fetch their configuration, with the certificates of [tls]; nowhere unless written. Plain HTTP is for a proxy on this machine.",
    )
    .restart(),
    Key::text(
        "url",
        "https://host:port, or nothing",
        Given::Default { shows: |s| quoted(s.provisioning.url.as_deref().unwrap_or("")) },
        |s, text| {
            s.provisioning.url = optional(text.value, url)?;
            Ok(())
        },
        "What phones are told to fetch from; the certificate has to be for its host.",
    ),
    Key::text(
        "server",
        "host or host:port, or nothing",
        Given::Default { shows: |s| shown(s.provisioning.server.as_ref()) },
        |s, text| {
            s.provisioning.server = optional(text.value, server)?;
            Ok(())
        },
        "Where phones register (their first outbound proxy); the host of url and the port of the first listener if not written.",
    ),
    Key::text(
        "backup_server",
        "host or host:port, or nothing",
        Given::Default { shows: |s| shown(s.provisioning.backup_server.as_ref()) },
        |s, text| {
            s.provisioning.backup_server = optional(text.value, server)?;
            Ok(())
        },
        "Where they register while that one does not answer (their second outbound proxy).",
    ),
    Key::text(
        "transport",
        "udp, tcp or tls",
        Given::Default { shows: |s| quoted(s.provisioning.transport.word()) },
        |s, text| {
            s.provisioning.transport = transport(text.value)?;
            Ok(())
        },
        "How phones register.",
    ),
    Key::flag(
        "verify_certificate",
        |s, yes| s.provisioning.verifies = yes,
        |s| s.provisioning.verifies.to_string(),
        "Whether phones check our certificate; a phone has to know who signed it.",
    ),
    Key::list(
        "codecs",
        "g722, pcma, pcmu, g729 or opus",
        (1, 5),
        Given::Default { shows: |s| list(&s.provisioning.codecs) },
        |s| s.provisioning.codecs.clear(),
        |s, text| {
            s.provisioning.codecs.push(codec(text.value)?);
            Ok(())
        },
        "What phones offer, the first preferred; both sides of a call need one in common.",
    ),
    Key::text(
        "ntp",
        "a host, or nothing",
        Given::Default { shows: |s| quoted(s.provisioning.ntp.as_deref().unwrap_or("")) },
        |s, text| {
            let found: Option<Server> = optional(text.value, server)?;
            s.provisioning.ntp = found.map(|server| server.host);
            Ok(())
        },
        "Their time server; without it they keep the one they have.",
    ),
    Key::text(
        "admin_password",
        "text, or nothing",
        Given::Default { shows: |s| quoted(&s.provisioning.admin_password.0) },
        |s, text| {
            s.provisioning.admin_password = password(text.value)?;
            Ok(())
        },
        "The password of the phones' own web pages; without it they keep theirs, which is known to everybody.",
    ),
    Key::text(
        "templates",
        "a folder, or nothing",
        Given::Default { shows: |s| quoted(s.provisioning.templates.as_deref().unwrap_or("")) },
        |s, text| {
            s.provisioning.templates = optional(text.value, |text| Ok(text.to_owned()))?;
            Ok(())
        },
        "Templates of your own: a file there takes the place of ours of the same name, such as yealink.cfg. A reload reads them again.",
    ),
];

fn optional<T>(
    text: &str,
    read: impl FnOnce(&str) -> Result<T, Wrong>,
) -> Result<Option<T>, Wrong> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

fn shown(server: Option<&Server>) -> String {
    quoted(&server.map(ToString::to_string).unwrap_or_default())
}

fn web_listen(text: &str) -> Result<WebListen, Wrong> {
    let wrong = |rule, message: String| {
        Wrong::new(rule, message).help("write \"https:0.0.0.0:8443\", or \"http:127.0.0.1:8080\"")
    };
    let (is_secure, address) = match text.split_once(':') {
        Some(("https", address)) => (true, address),
        Some(("http", address)) => (false, address),
        _ => {
            return Err(wrong(
                "bad-address",
                format!("`{text}` begins with neither https: nor http:"),
            ));
        }
    };
    let Ok(address) = address.parse::<std::net::SocketAddr>() else {
        let message = format!("`{address}` is not an IP address with a port");
        return Err(wrong("bad-address", message));
    };
    if !is_secure && !address.ip().is_loopback() {
        let message = "passwords are not sent over plain HTTP, except on a loopback address";
        return Err(wrong("plain-http", message.to_owned()));
    }
    Ok(WebListen { is_secure, address })
}

/// Without the slash at its end.
fn url(text: &str) -> Result<String, Wrong> {
    let wrong = |rule, message: &str| {
        Wrong::new(rule, format!("`{text}` {message}"))
            .help("write \"https://pbx.example.com:8443\"")
    };
    let text = text.trim_end_matches('/');
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(wrong("bad-url", "is no https address"));
    };
    let host = rest.split('/').next().unwrap_or("");
    let host = value::peer(host).ok().filter(|peer| peer.transport.is_none());
    let is_path = |c: char| c.is_ascii_alphanumeric() || "-._~/:[]".contains(c);
    let Some(host) = host.filter(|_| rest.len() <= 200 && rest.chars().all(is_path)) else {
        return Err(wrong("bad-url", "has no valid host or path"));
    };
    let is_here = host.host == "localhost"
        || host.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if is_here => Ok(text.to_owned()),
        "http" => Err(wrong("plain-http", "would send passwords over plain HTTP")),
        _ => Err(wrong("bad-url", "is no https address")),
    }
}

fn server(text: &str) -> Result<Server, Wrong> {
    let peer = value::peer(text)?;
    if peer.transport.is_some() {
        let message = format!("`{text}` names a transport");
        return Err(Wrong::new("bad-address", message)
            .help("write host or host:port; `transport` is a key of its own"));
    }
    Ok(Server { host: peer.host, port: peer.port })
}

fn transport(text: &str) -> Result<Transport, Wrong> {
    match text {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        _ => Err(Wrong::new("bad-value", format!("phones cannot register by `{text}`"))
            .help("write \"udp\", \"tcp\" or \"tls\"")),
    }
}

fn codec(text: &str) -> Result<String, Wrong> {
    if CODECS.contains(&text) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new("bad-value", format!("`{text}` is no codec that phones are told"));
    Err(wrong.help(format!("the codecs are {}", CODECS.join(", "))))
}

/// What stands in every brand's files: no `:` for those that write user:password.
fn password(text: &str) -> Result<Secret, Wrong> {
    if text.len() > 64 || !text.chars().all(|c| c.is_ascii_graphic() && c != ':') {
        let message = "a phone's web password is one word of at most 64 letters, digits and signs, without a colon";
        return Err(Wrong::new("bad-secret", message));
    }
    Ok(Secret(text.to_owned()))
}

/// `yealink`.
pub(super) fn brand(text: &str) -> Result<Brand, Wrong> {
    Brand::from_word(text).ok_or_else(|| {
        let words = Brand::ALL.map(Brand::word);
        let wrong = Wrong::new("bad-value", format!("there are no files for the brand `{text}`"));
        match crate::edge::command::nearest(text, words) {
            Some(near) => wrong.help(format!("did you mean \"{near}\"?")),
            None => wrong.help(format!("the brands are {}", words.join(", "))),
        }
    })
}

/// `00:15:65:ab:cd:ef`.
pub(super) fn mac(text: &str) -> Result<Mac, Wrong> {
    Mac::parse(text).ok_or_else(|| {
        Wrong::new("bad-mac", format!("`{text}` is not the hardware address of a device"))
            .help("write twelve hex digits, such as \"00:15:65:ab:cd:ef\"")
    })
}

/// `blf:1002`, `blf:1002:Bob`, `speed:10086:Carrier`.
pub(super) fn key(text: &str) -> Result<PhoneKey, Wrong> {
    let wrong = |message: String| {
        Wrong::new("bad-key", message)
            .help("write \"blf:1002\" or \"speed:10086\", with a label as in \"blf:1002:Bob\"")
    };
    let (kind, rest) = match text.split_once(':') {
        Some(("blf", rest)) => (KeyKind::Blf, rest),
        Some(("speed", rest)) => (KeyKind::Speed, rest),
        _ => return Err(wrong(format!("`{text}` is not a key"))),
    };
    let (value, label) = rest.split_once(':').unwrap_or((rest, rest));
    let is_dialled = |c: char| c.is_ascii_alphanumeric() || "-_.+*#".contains(c);
    if value.is_empty() || value.len() > DIALLED_MAX || !value.chars().all(is_dialled) {
        return Err(wrong(format!("`{value}` cannot be dialled")));
    }
    if label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
        return Err(wrong(format!("a label is one line of at most {LABEL_MAX} characters")));
    }
    let label = if label.is_empty() { value } else { label };
    Ok(PhoneKey { kind, value: value.to_owned(), label: label.to_owned() })
}

/// Looks for what phones would be told that cannot be.
pub(super) fn check(report: &mut Report, drafts: &Drafts) {
    let settings = &drafts.settings;
    let provisioning = &settings.provisioning;
    let is_on = !provisioning.listen.is_empty();
    if is_on && provisioning.url.is_none() {
        let message = "[provisioning] with `listen` needs the key `url`";
        let help = "add url = \"https://pbx.example.com:8443\", as phones reach it";
        report.error(
            settings.spot("provisioning", "listen"),
            Wrong::new("missing-key", message).help(help),
        );
    }
    let wanted = provisioning.transport;
    if is_on && !settings.sip.listen.iter().any(|listen| listen.transport == wanted) {
        let message =
            format!("phones are told {}, and [sip] listen has no such listener", wanted.word());
        let written = settings.spot("provisioning", "transport");
        let at = if written.offset.is_some() {
            written
        } else {
            settings.spot("provisioning", "listen")
        };
        let help = "add one, or set provisioning.transport";
        report.warn(at, Wrong::new("missing-listener", message).help(help));
    }
    devices(report, drafts, is_on);
    extensions(report, drafts);
}

fn devices(report: &mut Report, drafts: &Drafts, is_on: bool) {
    let known = super::check::extensions(drafts);
    let mut macs: HashMap<Mac, Spot> = HashMap::new();
    for phone in &drafts.phones {
        if let Some(mac) = &phone.mac
            && let Some(first) = macs.insert(mac.value, mac.at)
        {
            let message =
                format!("the device {} is already the one of {}", mac.value, report.place(first));
            report.error(
                mac.at,
                Wrong::new("duplicate", message).help("each device has one extension"),
            );
        }
        if let (true, Some(brand), None, Some(extension)) =
            (is_on, phone.brand, &phone.mac, &phone.extension)
            && needs_mac(brand)
        {
            let message = format!("a phone of {} asks for a file named by its MAC", brand.word());
            let help = "add mac = \"…\", as it is printed on the phone";
            report.warn(extension.at, Wrong::new("missing-mac", message).help(help));
        }
        for key in &phone.keys {
            if key.value.kind == KeyKind::Blf && !known.contains(key.value.value.as_str()) {
                let message = format!(
                    "there is no phone `{}` whose lamp the key could show",
                    key.value.value
                );
                let wrong = Wrong::new("missing-reference", message);
                report.warn(key.at, wrong.help("write speed: for a number that is only dialled"));
            }
        }
    }
}

/// Extensions of digits that other plans have no room for: 4 to 6 of them, the first 1 to 8, keeps 0, 9 and * free
/// for outside lines and services. Told once, since many a house has others and nothing breaks by them.
fn extensions(report: &mut Report, drafts: &Drafts) {
    let is_odd = |extension: &str| {
        extension.bytes().all(|byte| byte.is_ascii_digit())
            && !((4..=6).contains(&extension.len())
                && matches!(extension.as_bytes()[0], b'1'..=b'8'))
    };
    let all = drafts.phones.iter().filter_map(|phone| phone.extension.as_ref());
    let odd: Vec<_> = all.filter(|extension| is_odd(&extension.value)).collect();
    let Some(first) = odd.first() else { return };
    let names: Vec<&str> = odd.iter().take(3).map(|extension| extension.value.as_str()).collect();
    let more = if odd.len() > 3 { format!(" and {} more", odd.len() - 3) } else { String::new() };
    let message =
        format!("{}{more}: not 4 to 6 digits of which the first is 1 to 8", names.join(", "));
    let help = "such extensions leave 0, 9 and * free for outside numbers and services";
    report.warn(first.at, Wrong::new("odd-extension", message).help(help));
}

/// Reads the templates; what is wrong with them is an error at the key. A daemon that starts with the last good
/// configuration has ours then.
pub(super) fn read(
    report: &mut Report,
    drafts: &Drafts,
    base: &Path,
    is_last_good: bool,
) -> Option<Templates> {
    let settings = &drafts.settings;
    let folder = settings.provisioning.templates.as_deref().map(|folder| base.join(folder));
    match Templates::load(folder.as_deref()) {
        Ok(templates) => Some(templates),
        Err(error) => {
            let wrong = Wrong::new("bad-template", error.to_string());
            let at = settings.spot("provisioning", "templates");
            if is_last_good {
                report.warn(at, wrong);
                return Templates::load(None).ok();
            }
            report.error(at, wrong.help("the README says what a template may use"));
            None
        }
    }
}
