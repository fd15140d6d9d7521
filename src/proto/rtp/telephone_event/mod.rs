//! Digits as events in the audio's own stream (RFC 4733): read into exactly one digit
//! for each key, and sent.

mod receiver;
mod sender;

pub use receiver::{EVENT_MAX, EVENT_SILENCE, Received, Receiver};
pub use sender::{
    DIGIT_MAX, DIGIT_MIN, DIGITS_MAX, END_PACKETS, EventPacket, PAUSE, SendError, Sender, UPDATE,
};

/// The hook that is pressed for a moment, by the number that it has in IANA's registry.
pub const FLASH: u8 = 16;

/// The keys in the order of their events (RFC 4733 §3.2).
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// One report of an event: the payload of a packet (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// 0 to 15 are the keys.
    pub event: u8,
    /// It is over, and this is how long it was.
    pub is_end: bool,
    /// Power in dBm0 without its sign, 0 to 63.
    pub volume: u8,
    /// Units of timestamp since the packet's own.
    pub duration: u16,
}

impl TelephoneEvent {
    /// Reads the first report of a payload; `None` if it is cut. What comes after four
    /// bytes is passed over.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let [event, flags, high, low] = *payload.first_chunk()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { event, is_end: flags & 0x80 != 0, volume: flags & 0x3f, duration })
    }

    /// The payload.
    #[must_use]
    pub fn write(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        let end = if self.is_end { 0x80 } else { 0 };
        [self.event, end | (self.volume & 0x3f), high, low]
    }
}

/// The key of an event: `0` to `9`, `*`, `#`, `A` to `D`.
#[must_use]
pub fn key_of(event: u8) -> Option<char> {
    KEYS.get(usize::from(event)).map(|key| char::from(*key))
}

/// The event of a key.
#[must_use]
pub fn event_of(key: char) -> Option<u8> {
    let key = key.to_ascii_uppercase();
    let at = KEYS.iter().position(|known| char::from(*known) == key)?;
    u8::try_from(at).ok()
}
