//! Rooms of one worker: everybody hears the sum of the others, fifty times a second.

use std::collections::HashMap;
use std::time::Duration;

use super::call::{Call, Leg, Side};
use super::event::{MediaEvent, Outbox};
use super::seat::{Audience, FRAME, Part, RoomKey, Seat};
use crate::proto::audio::Mix;
use crate::proto::time::Instant;

/// How late a frame may be before those that were due are left out: the thread was stopped.
const LATE_MAX: Duration = Duration::from_millis(200);
/// The rates that rooms have.
const RATES: [u32; 3] = [48_000, 16_000, 8_000];

/// The calls of a worker, by their slots.
pub(super) type Slots = [Option<Box<Call>>];

/// All rooms of a worker. There are no more than sides of calls: a room goes with the last one in it.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    rooms: HashMap<RoomKey, Room>,
    /// Nothing is due before; `None` without rooms.
    next_at: Option<Instant>,
}

#[derive(Debug)]
struct Room {
    /// Slots and sides.
    members: Vec<(usize, Side)>,
    rate: u32,
    next_at: Instant,
    mix: Mix,
    heard: Vec<i16>,
    chime: Option<Chime>,
}

impl Rooms {
    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        self.next_at
    }

    /// Puts a side into a room, changes how it takes part, or takes it out.
    pub(super) fn seat(
        &mut self,
        now: Instant,
        slots: &mut Slots,
        (slot, side): (usize, Side),
        wish: Option<(RoomKey, Part)>,
    ) {
        let Some(leg) = leg_of(slots, slot, side) else { return };
        let known = leg.seat.as_ref().map(|seat| seat.key);
        match (known, wish) {
            (Some(known), Some((key, part))) if known == key => {
                if let Some(seat) = &mut leg.seat {
                    seat.part = part;
                }
                return;
            }
            (Some(_), _) => self.leave(slots, slot, Some(side)),
            (None, _) => {}
        }
        let Some((key, part)) = wish else { return };
        let Some(leg) = leg_of(slots, slot, side) else { return };
        leg.take_seat(Seat::new(key, part, leg.sample_rate()));
        let room = self.rooms.entry(key).or_insert_with(|| Room {
            members: Vec::new(),
            rate: 0,
            next_at: now + FRAME,
            mix: Mix::default(),
            heard: Vec::new(),
            chime: None,
        });
        if part.chimes && !room.members.is_empty() {
            room.chime = Some(Chime { is_coming: true, at: 0 });
        }
        room.members.push((slot, side));
        room.set_rate(slots);
        self.plan_next();
    }

    /// A side, or both, leave their rooms.
    pub(super) fn leave(&mut self, slots: &mut Slots, slot: usize, side: Option<Side>) {
        for one in [Side::A, Side::B] {
            if side.is_some_and(|side| side != one) {
                continue;
            }
            let Some(seat) = leg_of(slots, slot, one).and_then(|leg| leg.seat.take()) else {
                continue;
            };
            let Some(room) = self.rooms.get_mut(&seat.key) else { continue };
            room.members.retain(|member| *member != (slot, one));
            if room.members.is_empty() {
                self.rooms.remove(&seat.key);
            } else {
                if seat.part.chimes {
                    room.chime = Some(Chime { is_coming: false, at: 0 });
                }
                room.set_rate(slots);
            }
        }
        self.plan_next();
    }

    /// What a side speaks has changed.
    pub(super) fn changed(&mut self, slots: &mut Slots, slot: usize, side: Side) {
        let Some(key) = leg_of(slots, slot, side).and_then(|leg| Some(leg.seat.as_ref()?.key))
        else {
            return;
        };
        if let Some(room) = self.rooms.get_mut(&key) {
            room.set_rate(slots);
        }
    }

    /// Mixes what is due.
    pub(super) fn mix(&mut self, now: Instant, slots: &mut Slots, outbox: &mut Outbox) {
        if self.next_at.is_none_or(|at| at > now) {
            return;
        }
        for room in self.rooms.values_mut() {
            if now.since(room.next_at) > LATE_MAX {
                room.next_at = now;
            }
            while room.next_at <= now {
                let at = room.next_at;
                room.next_at = at + FRAME;
                room.frame(now, at, slots, outbox);
            }
        }
        self.plan_next();
    }

    fn plan_next(&mut self) {
        self.next_at = self.rooms.values().map(|room| room.next_at).min();
    }
}

impl Room {
    /// The best rate that two of them have in common: what only one has nobody else could hear.
    fn set_rate(&mut self, slots: &mut Slots) {
        let legs = self.members.iter().filter_map(|(slot, side)| {
            Some(slots.get(*slot)?.as_deref()?.leg(*side).sample_rate())
        });
        let mut rates: Vec<u32> = legs.collect();
        rates.sort_unstable();
        let common = rates.iter().rev().nth(1).or(rates.first()).copied().unwrap_or(8_000);
        self.rate = RATES.into_iter().find(|rate| *rate <= common).unwrap_or(8_000);
        for (slot, side) in &self.members {
            let seat = leg_of(slots, *slot, *side).and_then(|leg| leg.seat.as_mut());
            if let Some(seat) = seat {
                seat.set_rate(self.rate);
            }
        }
    }

    /// One frame, which was due `at`.
    fn frame(&mut self, now: Instant, at: Instant, slots: &mut Slots, outbox: &mut Outbox) {
        let samples = usize::try_from(self.rate).unwrap_or_default() * 20 / 1_000;
        self.mix.begin(samples);
        // Those who are heard by one side alone.
        let mut whispers = Vec::new();
        for (slot, side) in &self.members {
            let Some(call) = slots.get_mut(*slot).and_then(Option::as_deref_mut) else { continue };
            let id = call.id;
            let news = call.leg_mut(*side).next_frame(at);
            if let Some(is_on) = news.talking {
                outbox.send(id, MediaEvent::Talking { side: *side, is_on });
            }
            // Two that are listened to press keys for each other, as before; anybody else presses them for us.
            let is_own =
                call.leg(*side).seat.as_ref().is_some_and(|seat| seat.key == RoomKey::OfCall(id));
            let is_for_other = is_own && call.leg(side.other()).seat.is_some();
            for key in news.keys {
                if is_for_other {
                    call.leg_mut(side.other()).press(now, key);
                    call.leg_mut(side.other()).keys_on(now);
                } else {
                    outbox.send(id, MediaEvent::Digit { side: *side, key });
                }
            }
            let Some(seat) = &call.leg(*side).seat else { continue };
            match seat.part.audience {
                Audience::All => self.mix.add(&seat.voice),
                Audience::Only(call, heard_by) if !seat.voice.is_empty() => {
                    whispers.push(((call, heard_by), (*slot, *side)));
                }
                Audience::Only(..) | Audience::Nobody => {}
            }
        }
        if let Some(chime) = &mut self.chime {
            self.heard.clear();
            let goes_on = chime.play(self.rate, samples, &mut self.heard);
            self.mix.add(&self.heard);
            self.chime = self.chime.take().filter(|_| goes_on);
        }
        for (slot, side) in &self.members {
            self.heard.clear();
            let Some(call) = slots.get(*slot).and_then(Option::as_deref) else { continue };
            let Some(seat) = &call.leg(*side).seat else { continue };
            let is_mixed = seat.part.audience == Audience::All;
            self.mix.without(if is_mixed { &seat.voice } else { &[] }, &mut self.heard);
            for (to, (from_slot, from_side)) in &whispers {
                if *to == (call.id, *side)
                    && let Some(Some(from)) = slots.get(*from_slot)
                    && let Some(whispering) = &from.leg(*from_side).seat
                {
                    add(&mut self.heard, &whispering.voice);
                }
            }
            if let Some(call) = slots.get_mut(*slot).and_then(Option::as_deref_mut) {
                call.hear_room(now, *side, &self.heard, self.rate);
            }
        }
    }
}

/// Two tones of a tenth of a second: rising for who comes, falling for who goes.
#[derive(Debug)]
struct Chime {
    is_coming: bool,
    /// Milliseconds that are over.
    at: u32,
}

/// The tones in Hz, and how long each is.
const CHIME_HZ: [f32; 2] = [660.0, 880.0];
const CHIME_MS: u32 = 120;
/// 24 dB below full scale: heard beside speech, and not over it.
const CHIME_LEVEL: f32 = 2_000.0;

impl Chime {
    /// Appends a frame of it; `false` when that was the last one.
    fn play(&mut self, rate: u32, samples: usize, out: &mut Vec<i16>) -> bool {
        let [low, high] = CHIME_HZ;
        let tones = if self.is_coming { [low, high] } else { [high, low] };
        let tone = tones[usize::from(self.at >= CHIME_MS)];
        let begin = self.at % CHIME_MS;
        let per_ms = (rate / 1_000).max(1);
        for index in 0..u32::try_from(samples).unwrap_or_default() {
            let at = begin * per_ms + index;
            let whole = CHIME_MS * per_ms;
            // It swells and fades for 10 ms, so that it does not click.
            let edge = as_float(at.min(whole.saturating_sub(at))) / as_float(10 * per_ms);
            let phase = std::f32::consts::TAU * tone * as_float(at) / as_float(rate);
            #[expect(clippy::cast_possible_truncation, reason = "it is well within the range")]
            let sample = (phase.sin() * CHIME_LEVEL * edge.clamp(0.0, 1.0)) as i16;
            out.push(sample);
        }
        self.at += 20;
        self.at < 2 * CHIME_MS
    }
}

fn as_float(number: u32) -> f32 {
    f32::from(u16::try_from(number).unwrap_or(u16::MAX))
}

fn add(frame: &mut [i16], voice: &[i16]) {
    for (sample, more) in frame.iter_mut().zip(voice) {
        *sample = sample.saturating_add(*more);
    }
}

fn leg_of(slots: &mut Slots, slot: usize, side: Side) -> Option<&mut Leg> {
    Some(slots.get_mut(slot)?.as_deref_mut()?.leg_mut(side))
}

impl Call {
    /// Has a side hear a frame of its room. What it hears is recorded in the other side's place, if nobody is there.
    fn hear_room(&mut self, now: Instant, side: Side, frame: &[i16], rate: u32) {
        // Digits that it is being brought go on with the room's own clock.
        self.leg_mut(side).keys_on(now);
        let is_alone = self.leg(side.other()).seat.is_none();
        let Self { a, b, tap, .. } = self;
        let leg = match side {
            Side::A => a,
            Side::B => b,
        };
        let tap = tap.recorder.as_deref_mut().filter(|_| is_alone).map(|tap| (side.other(), tap));
        leg.hear_room(now, frame, rate, tap);
    }
}

impl Leg {
    /// From now on it is in a room: what came from the other side, and was not sent yet, is not.
    fn take_seat(&mut self, seat: Seat) {
        self.repacketiser.clear();
        self.converter = None;
        self.seat = Some(Box::new(seat));
    }
}
