//! What is said to a side once: lists of sounds, one behind the other, each with an end that its owner is told.

use std::collections::VecDeque;

use super::call::{Call, Leg, Side};
use super::event::{MediaEvent, Outbox};
use super::player::Player;
use crate::edge::sounds::Clips;
use crate::proto::time::Instant;
use crate::switch::speech::PlayEnd;

/// Sounds in a list: a phrase has some thirty, an announcement of several of them a hundred. A longer list is refused by its length
/// before it comes here.
pub const PLAYLIST_MAX: usize = 128;
/// Lists that wait at a side. A further one is not taken, and its owner is told so.
pub const QUEUE_MAX: usize = 8;

/// Sounds that are said without a gap.
#[derive(Clone, Debug)]
pub struct Playlist {
    /// The sounds in order.
    pub clips: Vec<Clips>,
    /// The name by which its end is told; without one nobody is told, and nobody can silence it: a notice that the law asks for.
    pub token: Option<u64>,
}

impl Playlist {
    /// One sound whose end nobody waits for.
    pub(super) fn of(clips: Clips) -> Self {
        Self { clips: vec![clips], token: None }
    }
}

/// What waits to be said to a side, and what was.
#[derive(Debug, Default)]
pub(super) struct Saying {
    waiting: VecDeque<Playlist>,
    /// Emptied whenever the worker has looked after the side: no more than were taken since.
    ended: Vec<(u64, PlayEnd)>,
}

impl Saying {
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn ended(&mut self, token: Option<u64>, end: PlayEnd) {
        self.ended.extend(token.map(|token| (token, end)));
    }
}

impl Leg {
    /// Says a list behind what is being said, or as soon as the side can be sent to.
    pub(super) fn say(&mut self, now: Instant, list: Playlist) {
        if self.saying.waiting.len() >= QUEUE_MAX {
            return self.saying.ended(list.token, PlayEnd::Refused);
        }
        self.saying.waiting.push_back(list);
        self.say_next(now);
    }

    /// Begins with what waits, unless something is being said already.
    pub(super) fn say_next(&mut self, now: Instant) {
        if self.latch.destination().is_none() || !self.plan.send {
            return;
        }
        while self.player.as_ref().is_none_or(Player::is_looped) {
            let Some(list) = self.saying.waiting.pop_front() else { return };
            let token = list.token;
            match Player::new(list, &self.plan.send_formats, now, false) {
                Some(player) => self.begin(player),
                None => self.saying.ended(token, PlayEnd::Unplayable),
            }
        }
    }

    /// The list that is said now has ended: is there another one that goes on in its place?
    pub(super) fn go_on_saying(&mut self) -> bool {
        let Some(player) = &mut self.player else { return false };
        let token = player.token();
        self.saying.ended(token, PlayEnd::Done);
        while let Some(list) = self.saying.waiting.pop_front() {
            let token = list.token;
            if player.go_on_with(list) {
                return true;
            }
            self.saying.ended(token, PlayEnd::Unplayable);
        }
        false
    }

    /// Nothing that has a name is said any more.
    pub(super) fn silence(&mut self, now: Instant) {
        let Saying { waiting, ended } = &mut self.saying;
        waiting.retain(|list| {
            ended.extend(list.token.map(|token| (token, PlayEnd::Cut)));
            list.token.is_none()
        });
        if self.player.as_ref().is_some_and(|player| player.token().is_some()) {
            self.stop_saying();
            self.say_next(now);
            self.play_key(now);
            self.go_on_with_music(now);
        }
    }

    /// What is played is over before its end.
    pub(super) fn stop_saying(&mut self) {
        if let Some(player) = self.player.take() {
            self.saying.ended(player.token(), PlayEnd::Cut);
        }
    }
}

impl Call {
    /// Tells the owner what has been said, or not, since it was told last.
    pub(super) fn tell_played(&mut self, outbox: &mut Outbox) {
        for side in [Side::A, Side::B] {
            let id = self.id;
            for (token, end) in self.leg_mut(side).saying.ended.drain(..) {
                outbox.send(id, MediaEvent::Played { side, token, end });
            }
        }
    }

    /// The call is over, and so is what was being said.
    pub(super) fn end_saying(&mut self, outbox: &mut Outbox) {
        for side in [Side::A, Side::B] {
            let leg = self.leg_mut(side);
            leg.stop_saying();
            for list in std::mem::take(&mut leg.saying.waiting) {
                leg.saying.ended(list.token, PlayEnd::Cut);
            }
        }
        self.tell_played(outbox);
    }
}
