//! The session level of a description, and the line structure (RFC 8866 §5).

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use super::attribute::Direction;
use super::media::Media;
use super::webrtc::IceLines;
use super::{BODY_MAX, FORMATS_MAX, LINES_MAX, MEDIA_MAX};

/// One session description.
///
/// What the exchange needs is parsed; every other line is kept as it came, in
/// its order, under the level it was found in.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Sdp {
    /// The `o=` line.
    pub origin: Origin,
    /// The `s=` line; `-` if it was empty or absent.
    pub session_name: String,
    /// The session-level `c=` line.
    pub connection: Option<Connection>,
    /// The session-level direction attribute.
    pub direction: Option<Direction>,
    /// All other session-level lines, in order of arrival.
    pub others: Vec<Line>,
    /// The streams, in the order that both sides must keep (RFC 3264 §6).
    pub media: Vec<Media>,
}

/// The `o=` line (RFC 8866 §5.2).
///
/// The numbers are kept as text: peers send values beyond 64 bits, and the
/// exchange only asks whether two of them are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The user name; `-` where the host has no such notion.
    pub username: String,
    /// The session id.
    pub session_id: String,
    /// The version, which grows by one with every change (RFC 3264 §8).
    pub version: String,
    /// The address of the machine that made the description.
    pub address: Connection,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            username: "-".into(),
            session_id: "0".into(),
            version: "0".into(),
            address: Connection::default(),
        }
    }
}

/// A network address as `c=`, `o=` and `a=rtcp` write it (RFC 8866 §5.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The network type; always `IN`.
    pub net_type: String,
    /// The address type: `IP4` or `IP6`.
    pub addr_type: String,
    /// An address, a host name, or an address with a multicast suffix.
    pub address: String,
}

impl Default for Connection {
    fn default() -> Self {
        Self { net_type: "IN".into(), addr_type: "IP4".into(), address: "0.0.0.0".into() }
    }
}

impl Connection {
    /// The line for an IP address.
    #[must_use]
    pub fn of_ip(ip: IpAddr) -> Self {
        let addr_type = if ip.is_ipv4() { "IP4" } else { "IP6" };
        Self { net_type: "IN".into(), addr_type: addr_type.into(), address: ip.to_string() }
    }

    /// Reads `IN IP4 192.0.2.1`; `None` if a part is missing.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        Some(Self {
            net_type: words.next()?.into(),
            addr_type: words.next()?.into(),
            address: words.next()?.into(),
        })
    }

    /// The address as a number; `None` for a host name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        // The suffix is the time to live and the count of a multicast address.
        let bare = self.address.split('/').next().unwrap_or_default();
        bare.parse().ok()
    }

    /// Where packets can be sent: `None` for a host name, for the unspecified
    /// address (a hold, RFC 3264 §8.4) and for multicast.
    #[must_use]
    pub fn unicast_ip(&self) -> Option<IpAddr> {
        self.ip().filter(|ip| {
            let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
            !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
        })
    }

    /// Whether this is `0.0.0.0` or `::`, the old way to say "hold"
    /// (RFC 3264 §8.4).
    #[must_use]
    pub fn is_unspecified(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_unspecified())
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.net_type, self.addr_type, self.address)
    }
}

/// A line that the exchange does not interpret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The letter before the equals sign.
    pub kind: char,
    /// What follows the equals sign, without the line end.
    pub value: String,
}

impl Line {
    /// For an `a=name:value` or `a=name` line, its value (empty for a flag).
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        if self.kind != 'a' {
            return None;
        }
        let (found, value) = self.value.split_once(':').unwrap_or((&self.value, ""));
        found.eq_ignore_ascii_case(name).then_some(value)
    }
}

/// Why a body is not a session description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpError {
    /// Longer than [`BODY_MAX`] bytes.
    TooLong,
    /// More lines than [`LINES_MAX`].
    TooManyLines,
    /// More streams than [`MEDIA_MAX`].
    TooManyMedia,
    /// More formats on one `m=` line than [`FORMATS_MAX`].
    TooManyFormats,
    /// No `o=` line, or one with fewer than six words.
    BadOrigin,
    /// A `c=` line without its three words.
    BadConnection,
    /// An `m=` line without kind, port, protocol and format.
    BadMedia,
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the session description is too long",
            Self::TooManyLines => "the session description has too many lines",
            Self::TooManyMedia => "the session description has too many m= lines",
            Self::TooManyFormats => "an m= line has too many formats",
            Self::BadOrigin => "the o= line is missing or malformed",
            Self::BadConnection => "a c= line is malformed",
            Self::BadMedia => "an m= line is malformed",
        })
    }
}

impl std::error::Error for SdpError {}

impl Sdp {
    /// Reads a body as the field sends it.
    ///
    /// Accepts LF for CRLF, bytes that are not UTF-8 (replaced), lines out of
    /// order, missing `v=`, `s=` and `t=` lines, and text that is no line.
    ///
    /// # Errors
    ///
    /// A malformed `o=`, `c=` or `m=` line, or a limit of this module; answer 400.
    pub fn parse(body: &[u8]) -> Result<Self, SdpError> {
        if body.len() > BODY_MAX {
            return Err(SdpError::TooLong);
        }
        let text = String::from_utf8_lossy(body);
        let mut sdp = Self { session_name: "-".into(), ..Self::default() };
        let mut origin = None;
        for (count, raw) in text.split('\n').enumerate() {
            if count >= LINES_MAX {
                return Err(SdpError::TooManyLines);
            }
            let Some((kind, value)) = split_line(raw) else { continue };
            match kind {
                'o' => origin = origin.or(Some(parse_origin(&value)?)),
                'v' => {}
                's' if sdp.media.is_empty() => {
                    let name = value.trim();
                    sdp.session_name = if name.is_empty() { "-" } else { name }.into();
                }
                'm' if sdp.media.len() >= MEDIA_MAX => return Err(SdpError::TooManyMedia),
                'm' => sdp.media.push(Media::parse(&value, FORMATS_MAX)?),
                _ => match sdp.media.last_mut() {
                    Some(media) => media.add_line(kind, value)?,
                    None => sdp.add_line(kind, value)?,
                },
            }
        }
        sdp.origin = origin.ok_or(SdpError::BadOrigin)?;
        Ok(sdp)
    }

    fn add_line(&mut self, kind: char, value: String) -> Result<(), SdpError> {
        if kind == 'c' && self.connection.is_none() {
            self.connection = Some(Connection::parse(&value).ok_or(SdpError::BadConnection)?);
            return Ok(());
        }
        if kind == 'a'
            && let Some(direction) = Direction::from_attribute(&value)
        {
            self.direction = Some(direction);
            return Ok(());
        }
        self.others.push(Line { kind, value });
        Ok(())
    }

    /// Writes the description in the order of RFC 8866 §5, with CRLF.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// The address a stream's packets go to: its own `c=`, else the session's.
    #[must_use]
    pub fn connection_of<'a>(&'a self, media: &'a Media) -> Option<&'a Connection> {
        media.connection.as_ref().or(self.connection.as_ref())
    }

    /// The direction a stream declares: its own, else the session's, else
    /// `sendrecv` (RFC 8866 §6.7).
    #[must_use]
    pub fn direction_of(&self, media: &Media) -> Direction {
        media.direction.or(self.direction).unwrap_or_default()
    }

    /// What a stream's sender is ready for, with all forms of hold folded in:
    /// the attribute, an unspecified address, port 0 (RFC 3264 §8.4).
    #[must_use]
    pub fn effective_direction_of(&self, media: &Media) -> Direction {
        if media.port == 0 {
            return Direction::Inactive;
        }
        let declared = self.direction_of(media);
        // Where ICE finds the way the address is what stands there before it is known (RFC 8840 §4.1.2).
        let has_address = || IceLines::of(self, media).is_none();
        if self.connection_of(media).is_some_and(Connection::is_unspecified) && has_address() {
            declared.intersect(Direction::SendOnly)
        } else {
            declared
        }
    }

    /// The first stream of this description that is audio over RTP, plain or with
    /// keys, and not refused; else the first audio stream at all.
    #[must_use]
    pub fn audio_index(&self) -> Option<usize> {
        let live = |m: &&Media| m.is_audio_rtp() && m.port != 0;
        let by = |wanted: &dyn Fn(&&Media) -> bool| self.media.iter().position(|m| wanted(&m));
        by(&live).or_else(|| by(&|m| m.is_audio_rtp())).or_else(|| by(&|m| m.is_audio()))
    }
}

impl fmt::Display for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let o = &self.origin;
        write!(f, "v=0\r\no={} {} {} {}\r\n", o.username, o.session_id, o.version, o.address)?;
        write!(f, "s={}\r\n", self.session_name)?;
        write_lines(f, &self.others, "iuep")?;
        if let Some(connection) = &self.connection {
            write!(f, "c={connection}\r\n")?;
        }
        write_lines(f, &self.others, "b")?;
        if !self.others.iter().any(|line| line.kind == 't') {
            f.write_str("t=0 0\r\n")?;
        }
        write_lines(f, &self.others, "trzk")?;
        if let Some(direction) = self.direction {
            write!(f, "a={direction}\r\n")?;
        }
        write_lines(f, &self.others, "a")?;
        self.media.iter().try_for_each(|media| write!(f, "{media}"))
    }
}

/// Writes the lines of these kinds, in the order of `kinds`. Lines of kinds that
/// RFC 8866 does not know go nowhere: a receiver may refuse the whole body.
pub(super) fn write_lines(f: &mut fmt::Formatter<'_>, lines: &[Line], kinds: &str) -> fmt::Result {
    for kind in kinds.chars() {
        for line in lines.iter().filter(|line| line.kind == kind) {
            f.write_char(kind)?;
            write!(f, "={}\r\n", line.value)?;
        }
    }
    Ok(())
}

fn split_line(raw: &str) -> Option<(char, String)> {
    let line = raw.trim_end_matches('\r');
    let mut chars = line.chars();
    let kind = chars.next().filter(char::is_ascii_lowercase)?;
    let value = chars.as_str().strip_prefix('=')?;
    // A lone CR would end the line for a stricter reader than this one.
    Some((kind, value.replace('\r', " ")))
}

fn parse_origin(value: &str) -> Result<Origin, SdpError> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    // A user name with a space in it is seen in the field: count from the end.
    let [name @ .., session_id, version, net_type, addr_type, address] = words.as_slice() else {
        return Err(SdpError::BadOrigin);
    };
    if name.is_empty() {
        return Err(SdpError::BadOrigin);
    }
    Ok(Origin {
        username: name.join("_"),
        session_id: (*session_id).into(),
        version: (*version).into(),
        address: Connection {
            net_type: (*net_type).into(),
            addr_type: (*addr_type).into(),
            address: (*address).into(),
        },
    })
}
