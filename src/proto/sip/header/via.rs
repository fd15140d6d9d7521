//! Via (RFC 3261 §20.42) with `rport` (RFC 3581).

use std::net::{IpAddr, SocketAddr};

use super::params::{Params, is_token};
use super::{has_control, is_closed};
use crate::proto::sip::transport::{Flow, Host};

/// The branch prefix that says "unique by RFC 3261's rules" (§8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// One Via value, borrowed from a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Via<'a> {
    /// The transport token as it stood, such as `UDP`.
    pub transport: &'a str,
    /// The sent-by host.
    pub host: Host,
    /// The sent-by port, if written.
    pub port: Option<u16>,
    /// Its parameters.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one Via value; white space is allowed wherever §25.1 has `SLASH`, `COLON` or `LWS`.
    ///
    /// `None` also for one that could not go back as it came: with a control character, or with a quote
    /// that swallows what we add behind it.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if has_control(text) || !is_closed(text) {
            return None;
        }
        let (name, rest) = text.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        if !name.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return None;
        }
        let rest = rest.trim_start();
        let at = rest.find([' ', '\t'])?;
        let (transport, rest) = rest.split_at(at);
        if !is_token(transport) {
            return None;
        }
        let rest = rest.trim();
        let (sent_by, params) = match rest.find(';') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = split_host_port(sent_by.trim())?;
        Some(Self { transport, host, port, params: Params::new(params) })
    }

    /// The branch, if there is one.
    #[must_use]
    pub fn branch(&self) -> Option<&'a str> {
        self.params.raw("branch").flatten().filter(|branch| !branch.is_empty())
    }

    /// Does the sender ask for the source port (RFC 3581 §3)?
    #[must_use]
    pub fn wants_rport(&self) -> bool {
        self.params.has("rport")
    }

    /// Where a response to a request with this topmost Via goes (RFC 3261 §18.2.2, RFC 3581 §4).
    #[must_use]
    pub fn response_flow(&self, flow: Flow) -> Flow {
        if flow.transport.is_reliable() {
            return flow;
        }
        let maddr = self.params.raw("maddr").flatten().and_then(|text| text.parse::<IpAddr>().ok());
        let port = self.port.unwrap_or(5060);
        let remote = match maddr {
            Some(ip) => SocketAddr::new(ip, port),
            None if self.wants_rport() => flow.remote,
            None => SocketAddr::new(flow.remote.ip(), port),
        };
        Flow { remote, ..flow }
    }

    /// The value as a server must give it back: with `received` where sent-by is not the source, and
    /// with `rport` filled in where it was asked for (RFC 3261 §18.2.1, RFC 3581 §4).
    #[must_use]
    pub fn stamp(raw: &str, source: SocketAddr) -> String {
        let Some(via) = Via::parse(raw) else { return raw.to_owned() };
        let differs = via.host != Host::Ip(source.ip());
        let head = raw.find(';').map_or(raw, |at| raw.split_at(at).0);
        let mut out = String::with_capacity(raw.len() + 48);
        out.push_str(head.trim_end());
        for (name, value) in via.params.iter() {
            if name.eq_ignore_ascii_case("received") {
                continue;
            }
            out.push(';');
            out.push_str(name);
            if name.eq_ignore_ascii_case("rport") {
                out.push_str(&format!("={}", source.port()));
            } else if let Some(value) = value {
                out.push('=');
                out.push_str(value);
            }
        }
        if differs || via.wants_rport() {
            out.push_str(&format!(";received={}", source.ip()));
        }
        out
    }
}

/// Splits `host[:port]`, the host possibly an IPv6 literal in brackets.
#[must_use]
pub fn split_host_port(text: &str) -> Option<(Host, Option<u16>)> {
    let (host, port) = match text.rfind(']') {
        Some(end) => text.split_at_checked(end + 1)?,
        None => match text.find(':') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        },
    };
    let port = match port.trim() {
        "" => None,
        port => Some(port.strip_prefix(':')?.trim().parse().ok()?),
    };
    Some((Host::parse(host.trim())?, port))
}
