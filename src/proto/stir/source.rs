//! Where certificates may be fetched from: the address in a token is a stranger's wish.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::proto::network::Network;

/// The port of an address without one.
const HTTPS: u16 = 443;
/// Ports where nothing else is written: 8443 is what repositories of certificates use beside the usual one.
const USUAL_PORTS: [u16; 2] = [HTTPS, 8_443];
/// Characters of a host's name.
const HOST_MAX: usize = 253;

/// An `https` address, taken apart.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct CertificateUrl {
    /// A name or an address, without brackets, in lower case.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What is asked for: path and query.
    pub path: String,
}

impl CertificateUrl {
    /// Reads it; `None` for anything but a plain `https` address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let scheme = text.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("https://"))?;
        let rest = text.strip_prefix(scheme)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, port.strip_prefix(':').or(if port.is_empty() { None } else { Some("?") }))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None => HTTPS,
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        };
        let is_clean = path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        (is_host(host) && is_clean).then(|| Self { host: host.to_ascii_lowercase(), port, path })
    }

    /// The address that the host is, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// As it stands in `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == HTTPS { host } else { format!("{host}:{}", self.port) }
    }
}

fn is_host(host: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    !host.is_empty() && host.len() <= HOST_MAX && host.bytes().all(is_part)
}

/// An entry of the list of sources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// `*`: any name.
    Any,
    /// `certs.example.com`, or with a port.
    Host(String, Option<u16>),
    /// `*.example.com`, or with a port: any name below.
    Below(String, Option<u16>),
    /// `10.0.0.0/8`: addresses that names may lead to although they are not public, and that may stand in the place
    /// of a name.
    Network(Network),
}

impl Source {
    /// Reads an entry; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Some(network) = Network::parse(text) {
            return Some(Self::Network(network));
        }
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok().filter(|port| *port > 0)?)),
            None => (text, None),
        };
        let host = host.to_ascii_lowercase();
        match host.strip_prefix("*.") {
            Some(domain) => is_host(domain).then(|| Self::Below(domain.to_owned(), port)),
            None => is_host(&host).then_some(Self::Host(host, port)),
        }
    }

    fn has(&self, url: &CertificateUrl) -> bool {
        let is_port = |port: &Option<u16>| match port {
            Some(port) => *port == url.port,
            None => USUAL_PORTS.contains(&url.port),
        };
        let address = url.address();
        match self {
            Self::Any => address.is_none() && is_port(&None),
            Self::Host(host, port) => *host == url.host && is_port(port),
            Self::Below(domain, port) => {
                let before = url.host.strip_suffix(domain.as_str());
                before.is_some_and(|before| before.len() > 1 && before.ends_with('.'))
                    && is_port(port)
            }
            Self::Network(network) => address.is_some_and(|ip| network.contains(ip)),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, host, port) = match self {
            Self::Any => return f.write_str("*"),
            Self::Network(network) => return network.fmt(f),
            Self::Host(host, port) => ("", host, port),
            Self::Below(host, port) => ("*.", host, port),
        };
        write!(f, "{before}{host}")?;
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// May this be fetched at all?
#[must_use]
pub fn is_allowed(sources: &[Source], url: &CertificateUrl) -> bool {
    sources.iter().any(|source| source.has(url))
}

/// May it be fetched from this address, which its name led to? One that is not public has to be listed: a name of a
/// stranger's could lead to machines that only we can reach.
#[must_use]
pub fn is_address_allowed(sources: &[Source], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    is_public(ip)
        || sources.iter().any(|source| matches!(source, Source::Network(net) if net.contains(ip)))
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_special =
                a == 0 || a >= 224 || (a, b, c) == (192, 0, 0) || (a, b & 0xfe) == (198, 18);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_documentation()
                || is_shared
                || is_special)
        }
        IpAddr::V6(ip) => {
            // What embeds an address of the old kind leads where that one does (6to4).
            let segments = ip.segments();
            let is_global = segments[0] & 0xe000 == 0x2000;
            let is_documentation = segments[..2] == [0x2001, 0x0db8];
            let inner = (segments[0] == 0x2002).then(|| {
                let [a, b] = segments[1].to_be_bytes();
                let [c, d] = segments[2].to_be_bytes();
                Ipv4Addr::new(a, b, c, d)
            });
            is_global && !is_documentation && inner.is_none_or(|inner| is_public(IpAddr::V4(inner)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_certificates_are_plain_https() {
        let parsed = |text| CertificateUrl::parse(text).map(|url| (url.authority(), url.path));
        let some = |authority: &str, path: &str| Some((authority.to_owned(), path.to_owned()));
        assert_eq!(
            parsed("https://Cert.example.org/a/b.pem?c=d"),
            some("cert.example.org", "/a/b.pem?c=d")
        );
        assert_eq!(parsed("HTTPS://cert.example.org:8443"), some("cert.example.org:8443", "/"));
        assert_eq!(parsed("https://[::1]:9/x"), some("[::1]:9", "/x"));
        for wrong in [
            "http://cert.example.org/a",
            "https://",
            "https:///a",
            "https://a:0/",
            "https://a:x/",
            "https://user@a/",
            "https://user:secret@a/",
            "https://a/#b",
            "https://[a]/",
            "https://a b/",
            "ftp://a/",
            "https://[::1]x/",
            "file:///etc/passwd",
            "",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    /// Row 163: certificates come from hosts that are listed, and never from inside.
    #[test]
    fn row_163_only_listed_hosts_and_public_addresses_are_asked() {
        let sources = ["certs.example.com", "*.example.net:9443", "10.1.0.0/16"]
            .map(|text| Source::parse(text).unwrap());
        for (url, verdict) in [
            ("https://certs.example.com/a", true),
            ("https://CERTS.example.com:8443/a", true),
            ("https://certs.example.com:22/a", false),
            ("https://certs.example.com.evil.net/a", false),
            ("https://example.net:9443/a", false),
            ("https://a.b.example.net:9443/a", true),
            ("https://a.example.net/a", false),
            ("https://xexample.net:9443/a", false),
            ("https://10.1.2.3:1234/a", true),
            ("https://10.2.2.3/a", false),
            ("https://203.0.113.1/a", false),
        ] {
            assert_eq!(
                is_allowed(&sources, &CertificateUrl::parse(url).unwrap()),
                verdict,
                "{url}"
            );
        }
        let any = [Source::Any];
        let url = |text| CertificateUrl::parse(text).unwrap();
        assert!(is_allowed(&any, &url("https://x.example/a")));
        assert!(!is_allowed(&any, &url("https://x.example:22/a")));
        assert!(!is_allowed(&any, &url("https://8.8.8.8/a")));
        assert!(!is_allowed(&[], &url("https://x.example/a")));
        for (ip, verdict) in [
            ("8.8.8.8", true),
            ("10.1.0.1", true),
            ("10.2.0.1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("::1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("2a00::1", true),
            ("::ffff:127.0.0.1", false),
            ("2002:7f00:1::1", false),
            ("64:ff9b::7f00:1", false),
            ("224.0.0.1", false),
        ] {
            assert_eq!(is_address_allowed(&sources, ip.parse().unwrap()), verdict, "{ip}");
        }
    }

    #[test]
    fn entries_are_written_as_they_are_read() {
        for text in ["*", "a.example", "*.a.example:8443", "10.0.0.0/8"] {
            assert_eq!(Source::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "a b", "https://a", "a:", "a:0", "*."] {
            assert_eq!(Source::parse(wrong), None, "{wrong}");
        }
    }
}
