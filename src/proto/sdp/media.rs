//! One `m=` section (RFC 8866 §5.14).

use std::fmt;

use super::attribute::{Direction, RtcpAttribute, parse_milliseconds};
use super::codec_match::Format;
use super::crypto::{CRYPTO_MAX, Crypto, Unusable};
use super::session::{Connection, Line, SdpError, write_lines};

/// What a stream carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `image`: T.38 fax
    Image,
    /// `application`
    Application,
    /// `text`
    Text,
    /// `message`
    Message,
    /// Any other word.
    Other(String),
}

impl MediaKind {
    fn parse(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "audio" => Self::Audio,
            "video" => Self::Video,
            "image" => Self::Image,
            "application" => Self::Application,
            "text" => Self::Text,
            "message" => Self::Message,
            other => Self::Other(other.into()),
        }
    }

    /// The word on the `m=` line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Image => "image",
            Self::Application => "application",
            Self::Text => "text",
            Self::Message => "message",
            Self::Other(word) => word,
        }
    }
}

/// One stream of a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// What it carries.
    pub kind: MediaKind,
    /// The port packets are wanted on; 0 refuses or ends the stream.
    pub port: u16,
    /// How many port pairs, nearly always 1.
    pub port_count: u16,
    /// The transport, as written: `RTP/AVP`, `udptl`.
    pub proto: String,
    /// The formats, as written: payload types for RTP.
    pub formats: Vec<String>,
    /// The stream's own `c=` line.
    pub connection: Option<Connection>,
    /// The stream's own direction attribute.
    pub direction: Option<Direction>,
    /// `a=rtpmap` lines: payload type and `name/clock[/channels]`.
    pub rtpmaps: Vec<(u8, String)>,
    /// `a=fmtp` lines: payload type and parameters.
    pub fmtps: Vec<(u8, String)>,
    /// Milliseconds of audio that the sender wants in a packet.
    pub ptime_ms: Option<u32>,
    /// Milliseconds of audio that the sender can take in a packet.
    pub maxptime_ms: Option<u32>,
    /// Where RTCP goes, if not to the next port.
    pub rtcp: Option<RtcpAttribute>,
    /// `a=crypto` lines that we can use, in the sender's order; at most 16.
    pub crypto: Vec<Crypto>,
    /// Why the first `a=crypto` line that we cannot use is none of them. Such lines are not written.
    pub unusable_crypto: Option<Unusable>,
    /// All other lines of the section, in order of arrival.
    pub others: Vec<Line>,
}

impl Media {
    /// A bare section with no attributes.
    #[must_use]
    pub fn new(kind: MediaKind, port: u16, proto: &str) -> Self {
        Self {
            kind,
            port,
            port_count: 1,
            proto: proto.into(),
            formats: Vec::new(),
            connection: None,
            direction: None,
            rtpmaps: Vec::new(),
            fmtps: Vec::new(),
            ptime_ms: None,
            maxptime_ms: None,
            rtcp: None,
            crypto: Vec::new(),
            unusable_crypto: None,
            others: Vec::new(),
        }
    }

    pub(super) fn parse(value: &str, formats_max: usize) -> Result<Self, SdpError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(kind), Some(port), Some(proto)) = (words.next(), words.next(), words.next())
        else {
            return Err(SdpError::BadMedia);
        };
        let (port, count) = port.split_once('/').unwrap_or((port, "1"));
        let mut media =
            Self::new(MediaKind::parse(kind), port.parse().map_err(|_| SdpError::BadMedia)?, proto);
        media.port_count = count.parse().map_err(|_| SdpError::BadMedia)?;
        media.formats = words.take(formats_max.saturating_add(1)).map(str::to_owned).collect();
        if media.formats.len() > formats_max {
            return Err(SdpError::TooManyFormats);
        }
        // A refused stream without any format is seen in the field.
        if media.formats.is_empty() && media.port != 0 {
            return Err(SdpError::BadMedia);
        }
        Ok(media)
    }

    pub(super) fn add_line(&mut self, kind: char, value: String) -> Result<(), SdpError> {
        match kind {
            'c' if self.connection.is_none() => {
                let connection = Connection::parse(&value).ok_or(SdpError::BadConnection)?;
                self.connection = Some(connection);
            }
            'a' if self.read_attribute(&value) => {}
            _ => self.others.push(Line { kind, value }),
        }
        Ok(())
    }

    /// Takes an attribute into its field; `false` leaves it to `others`.
    fn read_attribute(&mut self, attribute: &str) -> bool {
        if let Some(direction) = Direction::from_attribute(attribute) {
            self.direction = Some(direction);
            return true;
        }
        let Some((name, value)) = attribute.split_once(':') else { return false };
        match name.to_ascii_lowercase().as_str() {
            "rtpmap" => push_numbered(&mut self.rtpmaps, value),
            "fmtp" => push_numbered(&mut self.fmtps, value),
            "ptime" => set_once(&mut self.ptime_ms, parse_milliseconds(value)),
            "maxptime" => set_once(&mut self.maxptime_ms, parse_milliseconds(value)),
            "rtcp" => set_once(&mut self.rtcp, RtcpAttribute::parse(value)),
            "crypto" => {
                self.read_crypto(value);
                true
            }
            _ => false,
        }
    }

    fn read_crypto(&mut self, value: &str) {
        match Crypto::parse(value) {
            Ok(line) if self.crypto.len() < CRYPTO_MAX => self.crypto.push(line),
            Ok(_) => {}
            Err(why) => {
                self.unusable_crypto.get_or_insert(why);
            }
        }
    }

    /// Whether it carries audio.
    #[must_use]
    pub fn is_audio(&self) -> bool {
        self.kind == MediaKind::Audio
    }

    /// Whether it is fax by T.38 over UDPTL; over TCP it is nothing that we carry.
    #[must_use]
    pub fn is_fax(&self) -> bool {
        self.kind == MediaKind::Image
            && self.proto.eq_ignore_ascii_case("udptl")
            && self.formats.iter().any(|format| format.eq_ignore_ascii_case("t38"))
    }

    /// Whether the transport is RTP in the clear, with or without feedback.
    #[must_use]
    pub fn is_plain_rtp(&self) -> bool {
        ["RTP/AVP", "RTP/AVPF"].iter().any(|p| p.eq_ignore_ascii_case(&self.proto))
    }

    /// Whether the transport is SRTP, keyed by SDES or DTLS.
    #[must_use]
    pub fn is_secure_rtp(&self) -> bool {
        let proto = self.proto.to_ascii_uppercase();
        proto.ends_with("RTP/SAVP") || proto.ends_with("RTP/SAVPF")
    }

    /// Whether the transport is SRTP that may be keyed in the description itself (RFC 4568 §3.1).
    #[must_use]
    pub fn is_keyed_here(&self) -> bool {
        ["RTP/SAVP", "RTP/SAVPF"].iter().any(|p| p.eq_ignore_ascii_case(&self.proto))
    }

    /// Whether it says how keys are agreed on, as far as it shows without the session's lines.
    fn has_keys(&self) -> bool {
        !self.is_keyed_here() || !self.crypto.is_empty() || self.attribute("fingerprint").is_some()
    }

    /// Whether it is audio that one of our kinds of leg could take part in.
    #[must_use]
    pub fn is_audio_rtp(&self) -> bool {
        self.is_audio() && (self.is_plain_rtp() || (self.is_secure_rtp() && self.has_keys()))
    }

    /// The value of the first uninterpreted attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.others.iter().find_map(|line| line.attribute(name))
    }

    /// The RTP formats in order of preference. A dynamic payload type without an
    /// `a=rtpmap` has no meaning and is left out, as is a repeated number.
    #[must_use]
    pub fn rtp_formats(&self) -> Vec<Format> {
        let mut found: Vec<Format> = Vec::with_capacity(self.formats.len());
        for number in self.formats.iter().filter_map(|word| word.parse().ok()) {
            let rtpmap = self.rtpmaps.iter().find(|(n, _)| *n == number).map(|(_, v)| v.as_str());
            let fmtp = self.fmtps.iter().find(|(n, _)| *n == number).map(|(_, v)| v.as_str());
            if found.iter().all(|format| format.payload_type != number)
                && let Some(format) = Format::new(number, rtpmap, fmtp)
            {
                found.push(format);
            }
        }
        found
    }

    /// Replaces the formats with their maps and parameters.
    pub fn set_rtp_formats(&mut self, formats: &[Format]) {
        self.formats = formats.iter().map(|f| f.payload_type.to_string()).collect();
        self.rtpmaps = formats.iter().map(|f| (f.payload_type, f.rtpmap())).collect();
        self.fmtps =
            formats.iter().filter_map(|f| Some((f.payload_type, f.fmtp.clone()?))).collect();
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {}", self.kind.as_str(), self.port)?;
        if self.port_count != 1 {
            write!(f, "/{}", self.port_count)?;
        }
        write!(f, " {}", self.proto)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))?;
        if self.formats.is_empty() {
            // The grammar wants one, even where nothing will flow.
            f.write_str(" 0")?;
        }
        f.write_str("\r\n")?;
        write_lines(f, &self.others, "i")?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        write_lines(f, &self.others, "cbk")?;
        for (number, map) in &self.rtpmaps {
            write!(f, "a=rtpmap:{number} {map}\r\n")?;
            for (_, fmtp) in self.fmtps.iter().filter(|(n, _)| n == number) {
                write!(f, "a=fmtp:{number} {fmtp}\r\n")?;
            }
        }
        let is_unmapped = |n: &u8| self.rtpmaps.iter().all(|(mapped, _)| mapped != n);
        for (number, fmtp) in self.fmtps.iter().filter(|(n, _)| is_unmapped(n)) {
            write!(f, "a=fmtp:{number} {fmtp}\r\n")?;
        }
        if let Some(ms) = self.ptime_ms {
            write!(f, "a=ptime:{ms}\r\n")?;
        }
        if let Some(ms) = self.maxptime_ms {
            write!(f, "a=maxptime:{ms}\r\n")?;
        }
        if let Some(rtcp) = &self.rtcp {
            write!(f, "a={rtcp}\r\n")?;
        }
        if let Some(direction) = self.direction {
            write!(f, "a={direction}\r\n")?;
        }
        self.crypto.iter().try_for_each(|line| write!(f, "a={line}\r\n"))?;
        write_lines(f, &self.others, "a")
    }
}

fn push_numbered(table: &mut Vec<(u8, String)>, value: &str) -> bool {
    let Some((number, rest)) = value.trim().split_once(' ') else { return false };
    let Ok(number) = number.parse::<u8>() else { return false };
    // The first line for a number counts; a second one is kept raw.
    if number > 127 || table.iter().any(|(n, _)| *n == number) {
        return false;
    }
    table.push((number, rest.trim().into()));
    true
}

fn set_once<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    if slot.is_some() || value.is_none() {
        return false;
    }
    *slot = value;
    true
}
