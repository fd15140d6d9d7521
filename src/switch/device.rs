//! The device that a phone is, as far as it gets its configuration from us: what it is, and what is on its keys.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::proto::sip::transport::Transport;
use crate::switch::snapshot::Secret;

/// Who made it, which decides the form of its files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Brand {
    /// Anything else: JSON and text for people and programs.
    #[default]
    Generic,
    /// Yealink.
    Yealink,
    /// Grandstream.
    Grandstream,
    /// Fanvil.
    Fanvil,
    /// Snom.
    Snom,
    /// Alcatel-Lucent Enterprise.
    Alcatel,
    /// Flyingvoice.
    Flyingvoice,
}

impl Brand {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Yealink,
        Self::Grandstream,
        Self::Fanvil,
        Self::Snom,
        Self::Alcatel,
        Self::Flyingvoice,
        Self::Generic,
    ];

    /// The word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Yealink => "yealink",
            Self::Grandstream => "grandstream",
            Self::Fanvil => "fanvil",
            Self::Snom => "snom",
            Self::Alcatel => "alcatel",
            Self::Flyingvoice => "flyingvoice",
        }
    }

    /// The brand of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|brand| brand.word() == word)
    }
}

/// A hardware address; its `Display` is twelve small hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Reads any of the usual spellings: with `:`, `-` or `.` between the digits, or nothing.
    ///
    /// `None` for anything else, for the address of nobody (all zeros) and for one of a group.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_separator = |byte: &u8| matches!(byte, b':' | b'-' | b'.');
        if text.len() > 17 {
            return None;
        }
        let mut digits = Vec::with_capacity(12);
        for byte in text.bytes().filter(|byte| !is_separator(byte)) {
            digits.push(u8::try_from(char::from(byte).to_digit(16)?).ok()?);
        }
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        let bytes = <[u8; 6]>::try_from(bytes).ok()?;
        let is_group = bytes[0] & 1 == 1;
        (!is_group && bytes != [0; 6]).then_some(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a key does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// A lamp that shows an extension, and calls it or picks it up.
    Blf,
    /// Dials.
    Speed,
}

/// A key beside the screen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// What it does.
    pub kind: KeyKind,
    /// The extension or number.
    pub value: String,
    /// What is written beside it.
    pub label: String,
}

/// A phone's device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// Who made it.
    pub brand: Brand,
    /// Its hardware address, by which most brands name their files.
    pub mac: Option<Mac>,
    /// Its keys, in order.
    pub keys: Vec<Key>,
}

/// A socket that phones fetch their files from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WebListen {
    /// Under TLS? Without it only on a loopback address, for a proxy of the same machine.
    pub is_secure: bool,
    /// Where it is bound.
    pub address: SocketAddr,
}

impl fmt::Display for WebListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", if self.is_secure { "https" } else { "http" }, self.address)
    }
}

/// A server that phones are told: a host, and a port if it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// An address or a name.
    pub host: String,
    /// The port.
    pub port: Option<u16>,
}

impl Server {
    /// The host as it stands before a port.
    #[must_use]
    pub fn bracketed(&self) -> String {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.host.clone(),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bracketed())?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// `[provisioning]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvisioningSettings {
    /// Where phones fetch their files; nothing is served if there are none.
    pub listen: Vec<WebListen>,
    /// What the address begins with that phones are told, without a slash at its end.
    pub url: Option<String>,
    /// Where they register; the host of `url` if absent.
    pub server: Option<Server>,
    /// Where they register when that one is gone.
    pub backup_server: Option<Server>,
    /// How they register: UDP, TCP or TLS.
    pub transport: Transport,
    /// Do they check our certificate?
    pub verifies: bool,
    /// Codecs, the first preferred.
    pub codecs: Vec<String>,
    /// Their time server.
    pub ntp: Option<String>,
    /// The password of their own web pages.
    pub admin_password: Secret,
    /// The folder with templates that replace ours.
    pub templates: Option<String>,
}

impl Default for ProvisioningSettings {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            url: None,
            server: None,
            backup_server: None,
            transport: Transport::Udp,
            verifies: true,
            codecs: ["g722", "pcma", "pcmu"].map(str::to_owned).to_vec(),
            ntp: None,
            admin_password: Secret::default(),
            templates: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_is_read_in_every_usual_spelling() {
        for text in ["00:15:65:aB:cd:0e", "001565ABCD0E", "00-15-65-ab-cd-0e", "0015.65ab.cd0e"] {
            assert_eq!(Mac::parse(text).unwrap().to_string(), "001565abcd0e", "{text}");
        }
        for text in ["", "00:15:65:ab:cd", "001565abcd0e00", "001565abcd0g", "000000000000"] {
            assert_eq!(Mac::parse(text), None, "{text}");
        }
        assert_eq!(Mac::parse("01:00:5e:00:01:4b"), None, "a group");
        assert_eq!(Mac::parse("0:0:1:5:6:5:a:b:c:d:0:e"), None, "too long to be one");
        assert_eq!(Mac::parse("٠٠1565abcd0e"), None);
    }

    #[test]
    fn an_address_of_six_stands_in_brackets() {
        let server = |host: &str, port| Server { host: host.to_owned(), port }.to_string();
        assert_eq!(server("2001:db8::1", Some(5061)), "[2001:db8::1]:5061");
        assert_eq!(server("pbx.example.com", None), "pbx.example.com");
    }
}
