//! The attributes that offer/answer interprets (RFC 8866 §6, RFC 3605).

use std::fmt;

use super::session::Connection;

/// Which way a stream flows, as seen by the party that says so (RFC 8866 §6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// Sends and receives.
    #[default]
    SendRecv,
    /// Only sends; the usual form of a hold with music.
    SendOnly,
    /// Only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// From the two halves.
    #[must_use]
    pub fn from_flags(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Reads the value of an `a=` line; `None` if it is another attribute.
    #[must_use]
    pub fn from_attribute(value: &str) -> Option<Self> {
        let all = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];
        all.into_iter().find(|d| d.as_str().eq_ignore_ascii_case(value.trim()))
    }

    /// Whether the speaker sends.
    #[must_use]
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the speaker receives.
    #[must_use]
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same flow named by the other party (RFC 3264 §6.1).
    #[must_use]
    pub fn reverse(self) -> Self {
        Self::from_flags(self.receives(), self.sends())
    }

    /// What both allow.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self::from_flags(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a stream's RTCP goes if not to the next port (RFC 3605 §2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtcpAttribute {
    /// The port.
    pub port: u16,
    /// The address, if it differs from the stream's.
    pub address: Option<Connection>,
}

impl RtcpAttribute {
    /// Reads `53020` or `53020 IN IP4 192.0.2.4`; `None` if malformed.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (port, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        Some(Self { port: port.parse().ok()?, address: Connection::parse(rest) })
    }
}

impl fmt::Display for RtcpAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rtcp:{}", self.port)?;
        self.address.as_ref().map_or(Ok(()), |address| write!(f, " {address}"))
    }
}

/// Whole milliseconds of `a=ptime` and `a=maxptime`; peers send `20.5` and `0`.
pub(super) fn parse_milliseconds(value: &str) -> Option<u32> {
    let whole = value.trim().split('.').next()?;
    whole.parse().ok().filter(|ms| (1..=MILLISECONDS_MAX).contains(ms))
}

/// The longest packet time that is believed.
const MILLISECONDS_MAX: u32 = 1_000;
