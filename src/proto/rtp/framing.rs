//! How the bytes of a payload stand for time, for codecs whose packets may be cut
//! and joined between frames (RFC 3551 §4.2, RFC 3952 §3.2).

use std::time::Duration;

use crate::proto::sdp::Format;

/// Milliseconds that every receiver should take in one packet (RFC 3551 §4.2).
/// Also the most that is ever joined, since joining delays.
pub const RECEIVABLE_MS: u32 = 200;

/// Milliseconds of the shortest packets that are made, whatever a peer asks for: half of what any phone sends,
/// and no way to have us send a thousand packets a second.
const SHORTEST_MS: u32 = 5;

/// Payload bytes that are joined at most, so that the packet with its headers fits
/// an Ethernet frame. A longer packet that came whole is left whole.
pub const JOINED_MAX: usize = 1_400;

/// What a peer has said about the length of the packets it is sent (RFC 8866 §6.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketTime {
    /// `a=ptime`: the milliseconds of audio that it wants in a packet.
    pub ptime_ms: Option<u32>,
    /// `a=maxptime`: the milliseconds of audio that it can take in a packet.
    pub maxptime_ms: Option<u32>,
}

/// Where the payload of a codec may be cut, and how long the pieces are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Every frame has this many bytes and RTP ticks; a sample is a frame too.
    Even { bytes: u16, ticks: u16 },
    /// Frames of 10 bytes and 10 ms; one of 2 bytes may end a packet, which is
    /// comfort noise (RFC 3551 §4.5.6).
    G729,
    /// Frames of 30 ms in 24, 20 or 4 bytes, as their first byte says
    /// (RFC 3551 §4.5.3).
    G723,
}

const G729_FRAME: usize = 10;
const G729_SILENCE: usize = 2;
const G729_TICKS: u32 = 80;
const G723_TICKS: u32 = 240;
const G723_LONGEST: usize = 24;

impl Framing {
    /// `None` for a codec whose packets are left as they are.
    pub(super) fn of(format: &Format) -> Option<Self> {
        let channels = u16::from(format.channels.max(1));
        let even = |bytes, ticks| Some(Self::Even { bytes, ticks });
        // Samples, at any clock and in any number of channels (RFC 3551 §4.2).
        match format.name.to_ascii_uppercase().as_str() {
            "PCMU" | "PCMA" | "L8" => return even(channels, 1),
            "L16" => return even(channels.saturating_mul(2), 1),
            _ if channels > 1 || format.clock_rate != 8_000 => return None,
            _ => {}
        }
        match format.name.to_ascii_uppercase().as_str() {
            // Two samples share a byte, and the clock counts half of them (§4.5.2).
            "G722" => even(1, 1),
            "GSM" => even(33, 160),
            "G728" => even(5, 20),
            "G726-16" | "AAL2-G726-16" => even(1, 4),
            "G726-24" | "AAL2-G726-24" => even(3, 8),
            "G726-32" | "AAL2-G726-32" => even(1, 2),
            "G726-40" | "AAL2-G726-40" => even(5, 8),
            "ILBC" if format.parameter("mode") == Some("20") => even(38, 160),
            "ILBC" => even(50, 240),
            "G729" => Some(Self::G729),
            "G723" => Some(Self::G723),
            _ => None,
        }
    }

    /// The length of a payload; `None` if it is empty or not of whole frames.
    pub(super) fn ticks(self, payload: &[u8]) -> Option<u32> {
        let frames = |count: usize, ticks: u32| u32::try_from(count).ok()?.checked_mul(ticks);
        let whole = match self {
            Self::Even { bytes, ticks } => {
                let bytes = usize::from(bytes);
                let count = payload.len().checked_div(bytes)?;
                (payload.len() == count * bytes).then_some(frames(count, ticks.into())?)
            }
            Self::G729 => {
                let count = payload.len().div_ceil(G729_FRAME);
                let rest = payload.len() % G729_FRAME;
                matches!(rest, 0 | G729_SILENCE).then_some(frames(count, G729_TICKS)?)
            }
            Self::G723 => {
                let (mut rest, mut count) = (payload, 0_usize);
                while let Some(length) = g723_frame(rest) {
                    rest = rest.get(length..)?;
                    count += 1;
                }
                rest.is_empty().then_some(frames(count, G723_TICKS)?)
            }
        };
        whole.filter(|ticks| *ticks > 0)
    }

    /// Bytes and ticks of the longest run of frames at the head of a payload that is
    /// not longer than `most` ticks; one frame if even that is longer.
    fn cut(self, payload: &[u8], most: u32) -> (usize, u32) {
        let frames = (most / self.frame_ticks()).max(1);
        let count = usize::try_from(frames).unwrap_or(usize::MAX);
        let bytes = match self {
            Self::Even { bytes, .. } => usize::from(bytes).saturating_mul(count),
            Self::G729 => G729_FRAME.saturating_mul(count),
            Self::G723 => {
                let (mut at, mut left) = (0_usize, count);
                while left > 0
                    && let Some(length) = payload.get(at..).and_then(g723_frame)
                {
                    at = at.saturating_add(length);
                    left -= 1;
                }
                at
            }
        };
        let head = payload.get(..bytes).unwrap_or(payload);
        (head.len(), self.ticks(head).unwrap_or_default())
    }

    /// Ticks of one frame.
    fn frame_ticks(self) -> u32 {
        match self {
            Self::Even { ticks, .. } => u32::from(ticks).max(1),
            Self::G729 => G729_TICKS,
            Self::G723 => G723_TICKS,
        }
    }

    /// Ticks of the whole frames that fit into this many bytes.
    fn ticks_within(self, bytes: usize) -> u32 {
        let frame = match self {
            Self::Even { bytes, .. } => usize::from(bytes).max(1),
            Self::G729 => G729_FRAME,
            Self::G723 => G723_LONGEST,
        };
        u32::try_from(bytes / frame).unwrap_or_default().saturating_mul(self.frame_ticks())
    }

    /// Whether nothing may be joined to the end of this payload.
    fn is_closed(self, payload: &[u8]) -> bool {
        self == Self::G729 && payload.len() % G729_FRAME == G729_SILENCE
    }
}

/// Bytes of the frame that a payload begins with; `None` at its end, and for the
/// fourth kind, which the RFC reserves.
fn g723_frame(payload: &[u8]) -> Option<usize> {
    match payload.first()? & 3 {
        0 => Some(G723_LONGEST),
        1 => Some(20),
        2 => Some(4),
        _ => None,
    }
}

/// What a leg wants of the packets of one codec, in ticks and whole frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    framing: Framing,
    /// Shorter packets are joined up to this; 0 if they are left.
    join: u32,
    /// Longer packets are cut.
    most: u32,
    clock_rate: u32,
}

impl Packing {
    /// The wish of a leg for a codec; `None` for a codec that is never cut.
    ///
    /// `a=ptime` bounded by `a=maxptime` is what every packet shall have. With
    /// `a=maxptime` alone, longer packets are cut; with neither, those longer than
    /// [`RECEIVABLE_MS`]. Less than 5 ms counts as 5 ms.
    #[must_use]
    pub fn new(format: &Format, wish: PacketTime) -> Option<Self> {
        let framing = Framing::of(format)?;
        let clock_rate = format.clock_rate;
        let ticks = |ms: u32| {
            let exact = u64::from(ms.max(SHORTEST_MS)).saturating_mul(clock_rate.into()) / 1_000;
            let exact = u32::try_from(exact).unwrap_or(u32::MAX);
            let frame = framing.frame_ticks();
            (exact / frame).max(1).saturating_mul(frame)
        };
        let longest = wish.maxptime_ms.unwrap_or(u32::MAX);
        let wanted = wish.ptime_ms.map(|ms| ms.min(longest));
        let most = ticks(wanted.or(wish.maxptime_ms).unwrap_or(RECEIVABLE_MS));
        let joinable = ticks(RECEIVABLE_MS).min(framing.ticks_within(JOINED_MAX));
        let join = wanted.map_or(0, |_| most.min(joinable));
        Some(Self { framing, join, most, clock_rate })
    }

    /// The length of a payload; `None` if it must be left as it is.
    pub(super) fn ticks(&self, payload: &[u8]) -> Option<u32> {
        self.framing.ticks(payload)
    }

    /// Whether a payload of this length is a packet as it stands.
    pub(super) fn is_whole(&self, payload: &[u8], ticks: u32) -> bool {
        ticks <= self.most && (ticks >= self.join || self.is_closed(payload))
    }

    /// How long the pieces are that a payload is cut into.
    pub(super) fn piece(&self) -> u32 {
        if self.join > 0 { self.join } else { self.most }
    }

    /// How many pieces a payload of this length makes.
    pub(super) fn pieces(&self, ticks: u32) -> u16 {
        u16::try_from(ticks.div_ceil(self.piece().max(1))).unwrap_or(u16::MAX).max(1)
    }

    /// Bytes and ticks of the first piece of a payload.
    pub(super) fn first_piece(&self, payload: &[u8]) -> (usize, u32) {
        self.framing.cut(payload, self.piece())
    }

    /// Whether what is left after the last full piece goes out with nothing added.
    pub(super) fn is_closed(&self, payload: &[u8]) -> bool {
        self.join == 0 || self.framing.is_closed(payload)
    }

    /// How long this many ticks are.
    pub(super) fn span(&self, ticks: u32) -> Duration {
        let micros = u64::from(ticks).saturating_mul(1_000_000);
        Duration::from_micros(micros.checked_div(self.clock_rate.into()).unwrap_or_default())
    }
}
