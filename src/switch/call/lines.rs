//! What of a call shows on the lamps of other phones: which of its phones are on the line, and how far.

use super::*;
use crate::proto::sip::session::State;
use crate::proto::sip::subscription::dialog_info;
use crate::proto::sip::subscription::dialog_info::{Direction, Entry, Party};
use crate::switch::identity::NOBODY;

/// A phone of ours in a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Its extension.
    pub extension: String,
    /// Its dialog.
    pub entry: Entry,
}

/// What was told of a leg last, as far as it changes.
#[derive(Debug)]
pub(super) struct ToldLine {
    tag: String,
    state: dialog_info::State,
    far: String,
}

impl Call {
    /// Tells which phones are on the line, all of them, if that is another state than was told last.
    pub(super) fn tell_lines(&mut self, out: &mut Vec<Output>) {
        if self.phase == Phase::Over {
            // Whoever forgets the call forgets its lines.
            return;
        }
        let mut told = self.told_lines.iter();
        // Without a copy: this is asked after everything that happens to the call.
        let is_same = self.shown().all(|(at, leg, state)| {
            told.next().is_some_and(|told| {
                told.tag == leg.session.local_tag()
                    && told.state == state
                    && told.far == self.far_number(at)
            })
        });
        if is_same && told.next().is_none() {
            return;
        }
        let lines: Vec<_> =
            self.shown().map(|(at, leg, state)| self.line_of(at, leg, state)).collect();
        self.told_lines = lines
            .iter()
            .map(|line| ToldLine {
                tag: line.entry.our_tag.clone(),
                state: line.entry.state,
                far: line.entry.remote.number.clone(),
            })
            .collect();
        out.push(Output::Lines(lines));
    }

    /// The legs of phones that are on the line.
    fn shown(&self) -> impl Iterator<Item = (At, &Leg, dialog_info::State)> {
        self.legs()
            .filter(|(_, leg)| !leg.is_trunk)
            .filter_map(|(at, leg)| Some((at, leg, self.line_state(leg)?)))
    }

    /// How far a leg is; `None` once it is being ended, whatever its dialog still waits for.
    fn line_state(&self, leg: &Leg) -> Option<dialog_info::State> {
        if self.phase == Phase::Closing {
            return None;
        }
        match leg.session.state() {
            // A caller waits as long as nobody rings.
            State::Incoming if self.phase == Phase::Setup => Some(dialog_info::State::Trying),
            State::Incoming => Some(dialog_info::State::Early),
            State::Outgoing if leg.session.is_early() => Some(dialog_info::State::Early),
            State::Outgoing => Some(dialog_info::State::Trying),
            State::Established => Some(dialog_info::State::Confirmed),
            State::Cancelling | State::Ending | State::Over => None,
        }
    }

    fn line_of(&self, at: At, leg: &Leg, state: dialog_info::State) -> Line {
        let is_caller = leg.invite.is_some();
        let entry = Entry {
            call_id: leg.session.call_id().to_owned(),
            our_tag: leg.session.local_tag().to_owned(),
            peer_tag: leg.session.remote_tag(),
            direction: if is_caller { Direction::Initiator } else { Direction::Recipient },
            state,
            local: self.shown_as(&leg.party),
            remote: self.shown_as(self.far_number(at)),
        };
        Line { extension: leg.party.clone(), entry }
    }

    fn shown_as(&self, number: &str) -> Party {
        let name = self.snapshot.phone(number).map(|phone| phone.name.clone());
        Party { number: number.to_owned(), name: name.unwrap_or_default() }
    }

    /// The number at the other end, as far as it is known.
    fn far_number(&self, at: At) -> &str {
        let across = self.across(at).or(matches!(at, At::B(_)).then_some(At::A));
        match across.and_then(|at| self.leg(at)) {
            Some(leg) if leg.is_trunk || leg.shown.is_withheld => leg.number_told(),
            Some(leg) => &leg.party,
            None if matches!(at, At::B(_)) && self.began.is_withheld => NOBODY,
            None if matches!(at, At::B(_)) => &self.began.caller,
            None => &self.dialled,
        }
    }
}
