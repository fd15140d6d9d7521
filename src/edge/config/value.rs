//! Values with a syntax of their own: addresses, ports, numbers, patterns.

use crate::proto::sip::location::ELEMENTS;
use std::net::SocketAddr;

use regex::{Regex, RegexBuilder};

use super::source::Wrong;
use crate::proto::network::Network;
use crate::switch::dtmf::Dtmf;
use crate::switch::recording::RecordRule;
use crate::switch::snapshot::{
    Destination, Listen, MediaForm, PeerAddress, Reliable, SrtpPolicy, Transport, TrunkMode,
};

/// Bytes a compiled `match` may take; a larger one is refused rather than slow.
const PATTERN_SIZE_MAX: usize = 1 << 20;

/// Characters of an extension, a name or a user.
const TOKEN_MAX: usize = 64;

/// The port of a name server if none is written (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// `udp:0.0.0.0:5060`.
pub(super) fn listen(text: &str) -> Result<Listen, Wrong> {
    let wrong = |message: String| Wrong::new("bad-address", message);
    let example = "write transport:address:port, such as \"udp:0.0.0.0:5060\" or \"tcp:[::]:5060\"";
    let (transport, rest) = match text.split_once(':') {
        Some((word @ ("udp" | "tcp" | "tls" | "ws" | "wss"), rest)) => {
            (Transport::from_word(word).unwrap_or(Transport::Udp), rest)
        }
        _ => {
            let help = format!("{example}; the transports are udp, tcp, tls, ws and wss");
            return Err(wrong(format!("`{text}` names no transport")).help(help));
        }
    };
    match rest.parse::<SocketAddr>() {
        Ok(address) => Ok(Listen { transport, address }),
        Err(_) => Err(wrong(format!("`{rest}` is not an IP address with a port")).help(example)),
    }
}

/// `20000-29999`.
pub(super) fn ports(text: &str) -> Result<(u16, u16), Wrong> {
    let wrong = |message: &str| {
        Wrong::new("bad-port-range", format!("`{text}` {message}"))
            .help("write the first and the last port, such as \"20000-29999\"")
    };
    let Some((first, last)) = text.split_once('-') else {
        return Err(wrong("is not a range of ports"));
    };
    let (Ok(first), Ok(last)) = (first.trim().parse::<u16>(), last.trim().parse::<u16>()) else {
        return Err(wrong("is not a range of ports from 1024 to 65535"));
    };
    if first < 1024 {
        return Err(wrong("reaches below port 1024"));
    }
    if last < first {
        return Err(wrong("ends before it begins"));
    }
    // A call takes RTP and RTCP on each of its two legs.
    if last - first < 3 {
        return Err(wrong("is too short for one call, which takes four ports"));
    }
    Ok((first, last))
}

/// `127.0.0.1:53`, `127.0.0.1`, `[::1]:53`.
pub(super) fn nameserver(text: &str) -> Result<SocketAddr, Wrong> {
    let address = text.parse().ok();
    let address = address.or_else(|| text.parse().ok().map(|ip| SocketAddr::new(ip, DNS_PORT)));
    address.filter(|address| address.port() > 0 && !address.ip().is_unspecified()).ok_or_else(
        || {
            Wrong::new("bad-address", format!("`{text}` is not the address of a name server")).help(
                "write an IP address, with a port unless it is 53, such as \"127.0.0.1:5353\"",
            )
        },
    )
}

/// `10.0.0.0/8`, `192.0.2.1`.
pub(super) fn network(text: &str) -> Result<Network, Wrong> {
    Network::parse(text).ok_or_else(|| {
        Wrong::new("bad-address", format!("`{text}` is not a network"))
            .help("write an address or a network, such as \"10.0.0.0/8\"")
    })
}

/// `host`, `host:port`, `tcp:host:port`, `tls:host:port`.
pub(super) fn peer(text: &str) -> Result<PeerAddress, Wrong> {
    let wrong = |message: &str| {
        Wrong::new("bad-address", format!("`{text}` {message}"))
            .help("write host, host:port, tcp:host:port or tls:host:port, such as \"sip.example.com:5060\"")
    };
    let (transport, rest) = match text.split_once(':') {
        Some(("udp", rest)) => (Some(Transport::Udp), rest),
        Some(("tcp", rest)) => (Some(Transport::Tcp), rest),
        Some(("tls", rest)) => (Some(Transport::Tls), rest),
        Some(("sip" | "sips" | "ws" | "wss", _)) => return Err(wrong("is not a host")),
        _ => (None, text),
    };
    let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
        let Some((host, after)) = rest.split_once(']') else {
            return Err(wrong("has an unclosed `[`"));
        };
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(wrong("has no IPv6 address in its brackets"));
        }
        (host, after.strip_prefix(':').or(if after.is_empty() { None } else { Some("?") }))
    } else {
        match rest.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(wrong("needs [ ] around an IPv6 address"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        }
    };
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(is_host) {
        return Err(wrong("has no valid host"));
    }
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err(wrong("has no valid port")),
    };
    Ok(PeerAddress { transport, host: host.to_owned(), port })
}

/// `phone:1001`, `room:800`.
pub(super) fn destination(text: &str) -> Result<Destination, Wrong> {
    let wrong = Wrong::new("bad-destination", format!("`{text}` is not a destination"));
    match text.split_once(':') {
        Some(("phone", extension)) if !extension.is_empty() => {
            Ok(Destination::Phone(extension.to_owned()))
        }
        Some(("room", number)) if !number.is_empty() => Ok(Destination::Room(number.to_owned())),
        None if !text.is_empty() => Err(wrong.help(format!("write \"phone:{text}\""))),
        _ => Err(wrong.help(
            "write phone: and an extension, or room: and its number, such as \"phone:1001\"",
        )),
    }
}

/// An extension, a trunk's name or a user: what stands in a URI without escaping.
pub(super) fn token(text: &str) -> Result<String, Wrong> {
    let wrong = |message: String| Wrong::new("bad-name", message);
    if text.is_empty() {
        return Err(wrong("must not be empty".to_owned()));
    }
    if text.len() > TOKEN_MAX {
        return Err(wrong(format!("is longer than {TOKEN_MAX} characters")));
    }
    let is_good = |c: &char| c.is_ascii_alphanumeric() || "-_.+*".contains(*c);
    match text.chars().find(|c| !is_good(c)) {
        None => Ok(text.to_owned()),
        Some(bad) => Err(wrong(format!("`{text}` contains `{}`", bad.escape_debug()))
            .help("use letters, digits and - _ . + *")),
    }
}

/// A public number: digits with a leading `+` where it is international.
pub(super) fn number(text: &str) -> Result<String, Wrong> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if !digits.is_empty() && digits.len() <= 32 && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new("bad-number", format!("`{text}` is not a telephone number"));
    let kept: String = digits.chars().filter(char::is_ascii_digit).collect();
    if kept.is_empty() {
        return Err(wrong.help("write digits, with + and the country code where there is one"));
    }
    let plus = if text.trim_start().starts_with('+') { "+" } else { "" };
    Err(wrong.help(format!("write \"{plus}{kept}\"")))
}

/// Who may make a phone answer by itself: an extension, or `trunk:` and a name.
pub(super) fn answers_for(text: &str) -> Result<String, Wrong> {
    let name = text.strip_prefix("trunk:").unwrap_or(text);
    token(name).map(|_| text.to_owned())
}

/// A realm: what stands in a quoted string and as a domain.
pub(super) fn realm(text: &str) -> Result<String, Wrong> {
    let is_good = |c: char| c.is_ascii_graphic() && !"\"\\<>".contains(c);
    if text.is_empty() || text.len() > 253 || !text.chars().all(is_good) {
        return Err(Wrong::new("bad-name", "a realm is one word without quotes")
            .help("use your domain, such as \"pbx.example.com\""));
    }
    Ok(text.to_owned())
}

/// How a trunk and we know each other.
pub(super) fn mode(text: &str) -> Result<TrunkMode, Wrong> {
    match text {
        "peer" => Ok(TrunkMode::Peer),
        "account" => Ok(TrunkMode::Account),
        "register" => Ok(TrunkMode::Register),
        _ => {
            let near = crate::edge::command::nearest(text, ["peer", "account", "register"]);
            let help = near.map_or_else(
                || "write \"peer\", \"account\" or \"register\"".to_owned(),
                |near| format!("did you mean \"{near}\"? The modes are peer, account, register"),
            );
            Err(Wrong::new("bad-value", format!("there is no mode `{text}`")).help(help))
        }
    }
}

/// Whether a party's conversations are recorded.
pub(super) fn record(text: &str) -> Result<RecordRule, Wrong> {
    RecordRule::ALL.into_iter().find(|rule| rule.word() == text).ok_or_else(|| {
        Wrong::new("bad-value", format!("`{text}` is not known"))
            .help("write \"as_usual\", \"always\" or \"never\"")
    })
}

/// In which form a party is brought digits.
pub(super) fn dtmf(text: &str) -> Result<Dtmf, Wrong> {
    Dtmf::ALL.into_iter().find(|form| form.word() == text).ok_or_else(|| {
        Wrong::new("bad-value", format!("`{text}` is not known"))
            .help("write \"auto\", \"rfc4733\", \"info\" or \"inband\"")
    })
}

/// When ringing is acknowledged.
pub(super) fn reliable(text: &str) -> Result<Reliable, Wrong> {
    match text {
        "no" => Ok(Reliable::No),
        "when_required" => Ok(Reliable::WhenRequired),
        "when_supported" => Ok(Reliable::WhenSupported),
        _ => Err(Wrong::new("bad-value", format!("`{text}` is not known"))
            .help("write \"no\", \"when_required\" or \"when_supported\"")),
    }
}

/// Whether audio is encrypted.
pub(super) fn srtp(text: &str) -> Result<SrtpPolicy, Wrong> {
    SrtpPolicy::from_word(text).ok_or_else(|| {
        Wrong::new("bad-value", format!("`{text}` is not known"))
            .help("write \"off\", \"optional\" or \"required\"")
    })
}

/// How audio travels.
pub(super) fn media_form(text: &str) -> Result<MediaForm, Wrong> {
    MediaForm::from_word(text).ok_or_else(|| {
        Wrong::new("bad-value", format!("`{text}` is not known"))
            .help("write \"auto\", \"plain\" or \"webrtc\"")
    })
}

/// A `match`.
pub(super) fn pattern(text: &str) -> Result<Regex, Wrong> {
    RegexBuilder::new(text).size_limit(PATTERN_SIZE_MAX).build().map_err(|error| {
        // The crate's message draws the pattern over several lines; its last line says what.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or("").trim();
        let last = last.strip_prefix("error: ").unwrap_or(last);
        Wrong::new("bad-pattern", format!("not a regular expression: {last}"))
            .help("an example is \"^0(.+)$\"; a literal + or . is written \\\\+ or \\\\.")
    })
}

/// The group references of a rewrite, as the regex crate reads them: `$1`, `${1}`, `$name`.
pub(super) fn groups(rewrite: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = rewrite;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let Some(end) = after.find('}') else { break };
            found.push(after[..end].to_owned());
            rest = &after[end + 1..];
        } else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
            if end > 0 {
                found.push(rest[..end].to_owned());
            }
            rest = &rest[end..];
        }
    }
    found
}
/// `FLR:5`: an element of a civic address, and its text.
pub(super) fn civic(text: &str) -> Result<(String, String), Wrong> {
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    let value = value.trim();
    let known = ELEMENTS.iter().find(|known| known.eq_ignore_ascii_case(name));
    match known {
        Some(known)
            if !value.is_empty() && value.len() <= 128 && !value.contains(char::is_control) =>
        {
            Ok(((*known).to_owned(), value.to_owned()))
        }
        Some(_) => Err(Wrong::new("bad-value", format!("`{text}` has no text that can be told"))
            .help("for example `FLR:5`")),
        None => {
            let wrong = Wrong::new("bad-value", format!("`{name}` is no element of an address"));
            Err(wrong.help(format!("the elements are {}", ELEMENTS.join(", "))))
        }
    }
}
