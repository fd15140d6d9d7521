//! What a leg's packets sound like: recorded, made into another codec, or covered by a sound of our own.

use super::call::{Leg, Side, send_rtp};
use super::listeners::Listeners;
use super::player::Player;
use super::saying::Playlist;
use crate::edge::sounds::Clips;
use crate::proto::rtp::{Carried, Converter, Header, payload_of};
use crate::proto::time::Instant;
use crate::switch::speech::PlayEnd;

impl Leg {
    /// Gives those who listen what this side said.
    pub(super) fn record(
        &self,
        now: Instant,
        side: Side,
        header: &Header,
        packet: &[u8],
        tap: &mut Listeners,
    ) {
        let voice = self.voices.iter().find(|(number, _)| *number == header.payload_type);
        if let Some((_, codec)) = voice {
            let payload = packet.get(payload_of(packet)).unwrap_or_default();
            let track = usize::from(side == Side::B);
            tap.packet((track, now), (header.ssrc, header.timestamp), *codec, payload);
        }
    }

    /// Is this packet to be made into another codec? Digits and comfort noise are while speech is: all of them have one
    /// order and one clock.
    pub(super) fn converts(&self, carried: &Carried) -> bool {
        carried.conversion.is_some() || !carried.is_speech && self.converter.is_some()
    }

    pub(super) fn convert(
        &mut self,
        now: Instant,
        header: &Header,
        packet: &[u8],
        carried: &Carried,
    ) {
        if let Some(conversion) = carried.conversion
            && self.converter.as_ref().is_none_or(|known| known.conversion() != conversion)
        {
            // Without memory for it the peer hears nothing, and the next packet tries again.
            let made = if self.ear.is_fax {
                Converter::for_fax(conversion)
            } else {
                Converter::new(conversion)
            };
            self.converter = made.ok().map(Box::new);
        }
        let payload = packet.get(payload_of(packet)).unwrap_or_default();
        let Some(destination) = self.latch.destination() else { return };
        let Self { converter, outgoing, stats, sockets, guard, .. } = self;
        let Some(converter) = converter else { return };
        if carried.is_digits {
            let mut send = |bytes: &[u8]| send_rtp(&sockets.rtp, guard, bytes, destination, stats);
            let payload = (payload, carried.clock_rate);
            return converter.digit(now, header, payload, outgoing, &mut send);
        }
        // Comfort noise is a silence that has its number.
        converter.speech(now, header, if carried.is_speech { payload } else { &[] });
        self.convert_on(now);
    }

    /// Sends what is due of what is converted.
    pub(super) fn convert_on(&mut self, now: Instant) {
        let destination = self.latch.destination().filter(|_| self.plan.send);
        let Self { converter, outgoing, stats, sockets, guard, .. } = self;
        let Some(playing) = converter else { return };
        let Some(destination) = destination else { return *converter = None };
        let mut send = |bytes: &[u8]| send_rtp(&sockets.rtp, guard, bytes, destination, stats);
        playing.play(now, outgoing, &mut send);
    }

    /// Plays a beep, which interrupts nothing that is said once, and is left out where it cannot be heard.
    pub(super) fn beep(&mut self, now: Instant, clips: &Clips) {
        let is_busy = self.player.as_ref().is_some_and(|player| !player.is_looped());
        if is_busy || self.saying.is_waiting() || self.ear.is_fax {
            return;
        }
        let beep = Playlist::of(clips.clone());
        if let Some(player) = Player::new(beep, &self.plan.send_formats, now, false) {
            self.begin(player);
        }
    }

    pub(super) fn begin(&mut self, player: Player) {
        self.repacketiser.clear();
        // What is converted begins anew behind it, with its own place in time.
        self.converter = None;
        self.resting = self.player.take().filter(Player::is_looped);
        self.player = Some(player);
    }

    /// The plan has changed: what is played is played on if it can be, and what waited begins.
    pub(super) fn go_on_playing(&mut self, now: Instant) {
        let formats = &self.plan.send_formats;
        self.resting = self.resting.take().and_then(|player| player.fitted(formats));
        let token = self.player.as_ref().and_then(Player::token);
        self.player = self.player.take().and_then(|player| player.fitted(formats));
        if self.player.is_none() {
            self.saying.ended(token, PlayEnd::Cut);
        }
        self.say_next(now);
        self.go_on_with_music(now);
    }

    /// Sends what is due of the sound that is played.
    pub(super) fn play_on(&mut self, now: Instant) {
        let Some(player) = &mut self.player else { return };
        let Some(destination) = self.latch.destination().filter(|_| self.plan.send) else {
            return self.stop_saying();
        };
        let (sockets, guard, stats) = (&self.sockets, &mut self.guard, &mut self.stats);
        let mut send = |bytes: &[u8]| send_rtp(&sockets.rtp, guard, bytes, destination, stats);
        if player.play(now, &mut self.outgoing, &mut send) {
            return;
        }
        if self.go_on_saying() {
            // What comes next begins in the place of the packet that would have been due.
            return self.play_on(now);
        }
        self.player = None;
        self.play_key(now);
        self.go_on_with_music(now);
    }

    /// This side's peer hears this again and again from now on, or the far side again. What is said once is said to its end.
    pub(super) fn set_music(&mut self, now: Instant, clips: Option<Clips>) {
        self.player = self.player.take().filter(|player| !player.is_looped());
        self.resting = None;
        self.music = clips;
        self.go_on_with_music(now);
    }

    /// Plays the music of the hold, where it was, if there is one and nothing else is played.
    pub(super) fn go_on_with_music(&mut self, now: Instant) {
        if let (Some(music), None) = (&self.music, &self.player) {
            let rested = self.resting.take().map(|player| player.from(now));
            self.player = rested.or_else(|| {
                let music = Playlist::of(music.clone());
                Player::new(music, &self.plan.send_formats, now, true)
            });
            self.repacketiser.clear();
            self.converter = None;
        }
    }
}
