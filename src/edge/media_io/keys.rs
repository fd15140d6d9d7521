//! Digits for a side's peer that the other side's packets do not bring it: as events, or else as tones in the audio.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::call::{Leg, send_rtp};
use super::player::Player;
use super::saying::Playlist;
use crate::proto::audio::{Codec, DtmfGenerator};
use crate::proto::rtp::telephone_event::{EventPacket, PAUSE, Received, Receiver, Sender};
use crate::proto::rtp::{Carried, Clip, Converter, HEADER_LEN, Header, payload_of};
use crate::proto::sdp::Format;
use crate::proto::time::Instant;

/// Digits that wait for the one before; a further one is dropped: nobody presses keys that fast.
const KEYS_MAX: usize = 32;
/// A digit that was shorter is played this long: what ITU-T Q.24 has receivers hear, with a margin.
const TONE_MIN: Duration = Duration::from_millis(80);
/// A longer one is cut: who holds a key down means it once.
const TONE_MAX: Duration = Duration::from_secs(1);

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its event (RFC 4733 §3.2).
    pub event: u8,
    /// How long it was down.
    pub duration: Duration,
}

/// What is on its way to one side's peer. There is none before the first digit.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Reads the other side's events, on this clock.
    receiver: Option<(u32, Receiver)>,
    /// Writes events under this number and clock.
    sender: Option<(u8, u32, Sender)>,
    /// Tones that wait for the one before.
    tones: VecDeque<Key>,
    /// Those that its peer cannot be brought in its stream: for its signalling.
    untaken: Vec<Key>,
}

impl Keys {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let receiver = self.receiver.as_ref().and_then(|(_, receiver)| receiver.next_timeout());
        let sender = self.sender.as_ref().and_then(|(_, _, sender)| sender.next_timeout());
        receiver.into_iter().chain(sender).min()
    }

    /// Is an event being sent, so that no audio may be (RFC 4733 §2.5.1)?
    pub(super) fn is_muted(&self) -> bool {
        self.sender.as_ref().is_some_and(|(_, _, sender)| sender.is_muted())
    }
}

/// The events that the peer takes: on the clock of its codec, if it has them so (RFC 4733 §2.5.1.1).
fn events_of(formats: &[Format]) -> Option<(u8, u32)> {
    let rate = formats.iter().find(|format| format.is_speech())?.clock_rate;
    let mut events = formats.iter().filter(|format| format.is_telephone_event());
    let first = events.clone().next()?;
    let format = events.find(|format| format.clock_rate == rate).unwrap_or(first);
    Some((format.payload_type, format.clock_rate))
}

impl Leg {
    /// Digits for its signalling since this was asked last.
    pub(super) fn untaken_keys(&mut self) -> Vec<Key> {
        self.keys.as_mut().map(|keys| std::mem::take(&mut keys.untaken)).unwrap_or_default()
    }

    /// Does this side's peer take digits in its stream in any way that we can make?
    fn takes_keys(&self) -> bool {
        let spoken = self.plan.send_formats.iter().find(|format| format.is_speech());
        let is_encoded =
            |format: &Format| Codec::of(&format.name, format.clock_rate, format.channels).is_some();
        let may_be_tones = !self.plan.is_toneless && spoken.is_some_and(is_encoded);
        self.plan.send && (events_of(&self.plan.send_formats).is_some() || may_be_tones)
    }

    /// Are these digits of the other side, which its peer does not take as they come?
    pub(super) fn needs_keys_of(&self, carried: &Carried) -> bool {
        let converts = |converter: &Converter| converter.conversion().digits.is_some();
        carried.is_digits
            && carried.to.is_none()
            && !self.converter.as_deref().is_some_and(converts)
    }

    /// Takes an event of the other side that this side's peer does not take as it is. Each key is given out once, when it is
    /// up again, and however many of its packets came.
    pub(super) fn read_key(&mut self, now: Instant, header: &Header, packet: &[u8], rate: u32) {
        let keys = self.keys.get_or_insert_default();
        if keys.receiver.as_ref().is_none_or(|(known, _)| *known != rate) {
            keys.receiver = Some((rate, Receiver::new(rate)));
        }
        let mut heard = Vec::new();
        if let Some((_, receiver)) = &mut keys.receiver {
            let payload = packet.get(payload_of(packet)).unwrap_or_default();
            receiver.handle(now, header, payload, &mut heard);
        }
        self.press_all(now, &heard);
    }

    fn press_all(&mut self, now: Instant, heard: &[Received]) {
        for received in heard {
            if let Received::Ended { event, duration } = *received {
                self.press(now, Key { event, duration });
            }
        }
    }

    /// Has this side's peer hear a key.
    pub(super) fn press(&mut self, now: Instant, key: Key) {
        let takes_keys = self.takes_keys();
        let formats = &self.plan.send_formats;
        let keys = self.keys.get_or_insert_default();
        if !takes_keys {
            if keys.untaken.len() < KEYS_MAX {
                keys.untaken.push(key);
            }
            return;
        }
        let Some((number, rate)) = events_of(formats) else {
            // Who hears music is on hold: a key that waited for the end of that would mean nothing any more.
            if keys.tones.len() < KEYS_MAX && self.music.is_none() {
                keys.tones.push_back(key);
            }
            return self.play_key(now);
        };
        if keys.sender.as_ref().is_none_or(|(known, of, _)| (*known, *of) != (number, rate)) {
            keys.sender = Some((number, rate, Sender::new(rate)));
        }
        self.repacketiser.clear();
        let timestamp = self.outgoing.next_timestamp(now, rate);
        if let Some((_, _, sender)) = &mut keys.sender {
            // What is no key, and what is too much, is not sent.
            let _ = sender.send(now, timestamp, key.event, key.duration);
        }
    }

    /// Plays the next tone, if nothing else is played. Who is on hold hears its music.
    pub(super) fn play_key(&mut self, now: Instant) {
        if self.player.is_some() {
            return;
        }
        let Some(key) = self.keys.as_mut().and_then(|keys| keys.tones.pop_front()) else { return };
        let spoken = self.plan.send_formats.iter().find(|format| format.is_speech());
        let codec =
            spoken.and_then(|spoken| Codec::of(&spoken.name, spoken.clock_rate, spoken.channels));
        // A tenth of a second of audio is encoded here: as much as a converted call is in that time.
        let clip =
            codec.and_then(|codec| Clip::encode(codec, &tone(key, codec.sample_rate())).ok());
        if let Some(clip) = clip {
            self.repacketiser.clear();
            let tone = Playlist::of(Arc::from([clip]));
            if let Some(player) = Player::new(tone, &self.plan.send_formats, now, false) {
                self.begin(player);
            }
        }
    }

    /// Sends what is due of digits.
    pub(super) fn keys_on(&mut self, now: Instant) {
        let Some(keys) = &mut self.keys else { return };
        let mut heard = Vec::new();
        if let Some((_, receiver)) = &mut keys.receiver {
            receiver.handle_timeout(now, &mut heard);
        }
        self.press_all(now, &heard);
        let destination = self.latch.destination().filter(|_| self.plan.send);
        let Self { keys, outgoing, stats, sockets, guard, .. } = self;
        let Some((number, rate, sender)) = keys.as_mut().and_then(|keys| keys.sender.as_mut())
        else {
            return;
        };
        let mut due: Vec<EventPacket> = Vec::new();
        sender.handle_timeout(now, &mut due);
        let Some(destination) = destination else { return };
        for EventPacket { marker, timestamp, payload } in due {
            let [_, _, high, low] = payload;
            let duration = u16::from_be_bytes([high, low]);
            let lasted = u64::from(duration) * 1_000_000 / u64::from((*rate).max(1));
            let began = Instant::from_micros(now.as_micros().saturating_sub(lasted));
            let header = outgoing.event(began, timestamp, duration, marker);
            let header = Header { payload_type: *number, ..header };
            let mut packet = [0; HEADER_LEN + 4];
            if let Some(place) = packet.last_chunk_mut() {
                *place = payload;
            }
            if let Some(first) = packet.first_mut() {
                // Version 2, and nothing else.
                *first = 0x80;
            }
            if header.write(&mut packet)
                && send_rtp(&sockets.rtp, guard, &packet, destination, stats)
            {
                outgoing.sent(payload.len());
            }
        }
    }
}

/// A key as samples, with the pause that tells it from the next.
fn tone(key: Key, rate: u32) -> Vec<i16> {
    let ms = |span: Duration| u16::try_from(span.as_millis()).unwrap_or(u16::MAX);
    let length = ms(key.duration.clamp(TONE_MIN, TONE_MAX));
    let mut samples = Vec::new();
    if let Some(mut made) = DtmfGenerator::new(key.event, length, ms(PAUSE), rate) {
        made.play(usize::MAX, &mut samples);
    }
    samples
}
