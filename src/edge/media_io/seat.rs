//! A side's place in a room: what it says goes into the mix and not across, and what it hears is the mix.

use std::time::Duration;

use super::call::{Leg, Side, send_rtp};
use super::keys::Key;
use super::listeners::Listeners;
use super::report::SAMPLED_EVERY;
use crate::edge::recording::Tap;
use crate::proto::audio::{Codec, DtmfDetector, Heard, Level};
use crate::proto::rtp::telephone_event::{Received, Receiver};
use crate::proto::rtp::{
    Carried, Conversion, EAR_FRAME_MS, Ear, Header, Speaker, Speech, Taken, payload_of,
};
use crate::proto::time::Instant;

/// Which room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoomKey {
    /// The one of a call: of its two sides and who listens to them, or of one that talks to us alone.
    OfCall(u64),
    /// One that has a number.
    Numbered(u64),
}

/// Who hears what a side says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// All others.
    All,
    /// Nobody: it listens.
    Nobody,
    /// One side of a call.
    Only(u64, Side),
}

/// How a side takes part in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Who hears it.
    pub audience: Audience,
    /// Nobody hears it for now.
    pub is_muted: bool,
    /// How much louder it is made, in dB; -20 to 20.
    pub gain_db: i8,
    /// The others hear a chime when it comes, and when it goes.
    pub chimes: bool,
}

impl Default for Part {
    fn default() -> Self {
        Self { audience: Audience::All, is_muted: false, gain_db: 0, chimes: false }
    }
}

/// From here on somebody speaks, in -dBov: a quiet voice on a telephone is about 40.
const SPEECH_DBOV: u8 = 46;
/// What is quieter, for as long as this, is not mixed: the noise of twenty rooms is loud.
const NOISE_DBOV: u8 = 62;
const NOISE_FRAMES: u32 = 25;
/// So many frames of speech make a talker, and so many without make it silent: not every breath is news.
const TALK_FRAMES: u32 = 4;
const PAUSE_FRAMES: u32 = 50;
/// Digits that wait to be told; nobody presses keys that fast.
const KEYS_MAX: usize = 32;
/// A tone that lasts less than ITU-T Q.24 has receivers hear was none.
const TONE_MS: u64 = 1_000;

/// A side in a room.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) key: RoomKey,
    pub(super) part: Part,
    ear: Ear,
    speaker: Option<Speaker>,
    /// What it says in this frame; empty if nothing.
    pub(super) voice: Vec<i16>,
    quiet_frames: u32,
    loud_frames: u32,
    /// It talks, as far as has been told.
    is_talking: bool,
    /// Reads its events, on this clock.
    receiver: Option<(u32, Receiver)>,
    /// Listens for tones, if it can press keys in no other way.
    detector: Option<DtmfDetector>,
    is_tone: bool,
    keys: Vec<Key>,
}

/// What a frame brought to light.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) talking: Option<bool>,
    pub(super) keys: Vec<Key>,
}

impl Seat {
    pub(super) fn new(key: RoomKey, part: Part, rate: u32) -> Self {
        Self {
            key,
            part,
            ear: Ear::new(rate),
            speaker: None,
            voice: Vec::new(),
            quiet_frames: NOISE_FRAMES,
            loud_frames: 0,
            is_talking: false,
            receiver: None,
            detector: None,
            is_tone: false,
            keys: Vec::new(),
        }
    }

    pub(super) fn set_rate(&mut self, rate: u32) {
        if self.ear.rate() != rate {
            self.ear = Ear::new(rate);
            (self.speaker, self.detector, self.is_tone) = (None, None, false);
        }
    }

    /// Takes the next frame of its source.
    fn frame(&mut self, now: Instant, hears_tones: bool) -> News {
        let taken = self.ear.take(now, &mut self.voice);
        if let Some((_, receiver)) = &mut self.receiver {
            let mut heard = Vec::new();
            receiver.handle_timeout(now, &mut heard);
            self.pressed(&heard);
        }
        if hears_tones {
            self.listen_for_tones(taken);
        } else {
            (self.detector, self.is_tone) = (None, false);
        }
        let level = match taken {
            Taken::Silence => u8::MAX,
            Taken::Sound | Taken::MadeUp => Level::of(&self.voice).minus_dbov(),
        };
        self.quiet_frames =
            if level <= NOISE_DBOV { 0 } else { self.quiet_frames.saturating_add(1) };
        let is_loud = level <= SPEECH_DBOV && !self.part.is_muted && !self.is_tone;
        let talking = self.judge(is_loud);
        if self.part.is_muted || self.is_tone || self.quiet_frames >= NOISE_FRAMES {
            self.voice.clear();
        } else {
            amplify(&mut self.voice, self.part.gain_db);
        }
        News { talking, keys: std::mem::take(&mut self.keys) }
    }

    /// Whether it has begun or ceased to talk.
    fn judge(&mut self, is_loud: bool) -> Option<bool> {
        let (limit, counts) =
            if self.is_talking { (PAUSE_FRAMES, !is_loud) } else { (TALK_FRAMES, is_loud) };
        self.loud_frames = if counts { self.loud_frames + 1 } else { 0 };
        if self.loud_frames < limit {
            return None;
        }
        self.loud_frames = 0;
        self.is_talking = !self.is_talking;
        Some(self.is_talking)
    }

    fn listen_for_tones(&mut self, taken: Taken) {
        let rate = self.ear.rate();
        let detector = self.detector.get_or_insert_with(|| DtmfDetector::new(rate));
        if taken == Taken::MadeUp {
            return detector.skip(self.voice.len());
        }
        let mut heard = Vec::new();
        detector.listen(&self.voice, &mut heard);
        for one in heard {
            match one {
                Heard::Started { .. } => self.is_tone = true,
                Heard::Ended { event, samples } => {
                    self.is_tone = false;
                    let ms = samples * 1_000 / u64::from(rate);
                    let duration = Duration::from_millis(ms.min(TONE_MS));
                    self.keep(Key { event, duration });
                }
            }
        }
    }

    fn pressed(&mut self, heard: &[Received]) {
        for received in heard {
            if let Received::Ended { event, duration } = *received {
                self.keep(Key { event, duration });
            }
        }
    }

    fn keep(&mut self, key: Key) {
        if self.keys.len() < KEYS_MAX {
            self.keys.push(key);
        }
    }
}

impl Leg {
    /// The rate of what it speaks and hears; 8 kHz before that is known.
    pub(super) fn sample_rate(&self) -> u32 {
        self.speech().map_or(8_000, |speech| speech.codec.sample_rate())
    }

    /// What its peer is sent, if we can make it.
    fn speech(&self) -> Option<Speech> {
        let formats = self.plan.send_formats.iter().filter(|format| format.is_speech());
        let mut known = formats.filter_map(|format| {
            let codec = Codec::of(&format.name, format.clock_rate, format.channels)?;
            Some((format.payload_type, codec))
        });
        let (payload_type, codec) = known.next()?;
        let packet_ms = Conversion::packet_ms(codec, self.plan.packet_time);
        Some(Speech { codec, payload_type, packet_ms })
    }

    /// A packet of this side goes into its room, and is recorded as any other; `false` if it is of no use there.
    pub(super) fn enter(
        &mut self,
        now: Instant,
        (header, packet): (&Header, &[u8]),
        carried: Option<Carried>,
        (side, tap): (Side, &mut Listeners),
        is_covered: bool,
    ) -> bool {
        if is_covered {
            // What is said into a hold with music is heard by nobody, nor by who listens.
            if let Some(seat) = &mut self.seat {
                seat.ear.skip(now, header);
            }
            return true;
        }
        if !self.take_in(now, header, packet, carried) {
            self.stats.dropped_payload_type += 1;
            return false;
        }
        if carried.is_some_and(|carried| carried.is_speech) {
            self.spoken = Some(header.payload_type);
            if self.stats.packets_in.is_multiple_of(SAMPLED_EVERY) {
                self.sample(header, packet);
            }
        }
        let is_heard = self.seat.as_ref().is_some_and(|seat| !seat.part.is_muted);
        if is_heard && !self.plan.is_holding {
            // What is said by who is muted is heard by nobody.
            self.record(now, side, header, packet, tap);
        }
        true
    }

    /// Takes a packet of this side into its room; `false` if it is of no use there.
    fn take_in(
        &mut self,
        now: Instant,
        header: &Header,
        packet: &[u8],
        carried: Option<Carried>,
    ) -> bool {
        let payload = packet.get(payload_of(packet)).unwrap_or_default();
        let voice = self.voices.iter().find(|(number, _)| *number == header.payload_type);
        let voice = voice.map(|(_, codec)| *codec);
        let is_holding = self.plan.is_holding;
        let Some(seat) = &mut self.seat else { return false };
        match (voice, carried) {
            // Who holds a room plays it the music of its phone.
            (Some(_), _) if is_holding => {
                seat.ear.skip(now, header);
                true
            }
            (Some(codec), _) => seat.ear.hear(now, header, codec, payload).is_ok(),
            (None, Some(carried)) if carried.is_digits => {
                seat.ear.skip(now, header);
                let rate = carried.clock_rate;
                if seat.receiver.as_ref().is_none_or(|(known, _)| *known != rate) {
                    seat.receiver = Some((rate, Receiver::new(rate)));
                }
                let mut heard = Vec::new();
                if let Some((_, receiver)) = &mut seat.receiver {
                    receiver.handle(now, header, payload, &mut heard);
                }
                seat.pressed(&heard);
                true
            }
            // Comfort noise: a silence that has its number.
            (None, Some(carried)) if !carried.is_speech => {
                seat.ear.skip(now, header);
                true
            }
            _ => false,
        }
    }

    /// What this side says in this frame.
    pub(super) fn next_frame(&mut self, now: Instant) -> News {
        let hears_tones = !self.plan.receive_formats.iter().any(|f| f.is_telephone_event());
        let Some(seat) = &mut self.seat else { return News::default() };
        seat.frame(now, hears_tones)
    }

    /// Has its peer hear a frame of the room, at the room's rate. The recorder hears it too, where it has nobody else on that side.
    pub(super) fn hear_room(
        &mut self,
        now: Instant,
        frame: &[i16],
        rate: u32,
        tap: Option<(Side, &mut Tap)>,
    ) {
        let speech = self.speech();
        let destination = self.latch.destination().filter(|_| self.plan.send);
        let is_covered =
            self.player.is_some() || self.keys.as_ref().is_some_and(|keys| keys.is_muted());
        let Self { seat, outgoing, stats, sockets, guard, .. } = self;
        let Some(seat) = seat else { return };
        let (Some(speech), Some(destination), false) = (speech, destination, is_covered) else {
            // It hears something else, or nothing: what comes then is a new beginning.
            if let Some(speaker) = &mut seat.speaker {
                speaker.begin_anew();
            }
            return;
        };
        if seat.speaker.as_ref().is_none_or(|speaker| speaker.speech() != speech) {
            // Without memory for it the peer hears nothing, and the next frame tries again.
            seat.speaker = Speaker::new(speech, rate).ok();
        }
        let Some(speaker) = &mut seat.speaker else { return };
        let mut tap = tap;
        let mut send = |bytes: &[u8]| {
            if let (Some((side, tap)), Some(header)) = (&mut tap, Header::read(bytes)) {
                let payload = bytes.get(payload_of(bytes)).unwrap_or_default();
                let track = usize::from(*side == Side::B);
                tap.packet((track, now), (header.ssrc, header.timestamp), speech.codec, payload);
            }
            send_rtp(&sockets.rtp, guard, bytes, destination, stats)
        };
        speaker.speak(now, frame, outgoing, &mut send);
    }
}

/// The length of a frame.
pub(super) const FRAME: Duration = Duration::from_millis(EAR_FRAME_MS as u64);

/// Makes it louder by so many dB. What becomes too loud is cut off.
fn amplify(voice: &mut [i16], gain_db: i8) {
    if gain_db == 0 {
        return;
    }
    let factor = 10_f32.powf(f32::from(gain_db.clamp(-20, 20)) / 20.0);
    for sample in voice {
        let louder = (f32::from(*sample) * factor).clamp(-32_768.0, 32_767.0);
        #[expect(clippy::cast_possible_truncation, reason = "it is within the range")]
        let louder = louder as i16;
        *sample = louder;
    }
}
