//! The end: who hung up and why, the dialogs and ports that have to go, and the one record.

use super::*;
use crate::proto::sip::session::{Ending, State};
use crate::switch::cause::{self, Cause};
use crate::switch::cdr::record::{LegRecord, VERDICT};
use crate::switch::cdr::sound::Sound;
use crate::switch::health::Outcome;

/// Tells a phone that it missed nothing (RFC 3326 §2).
pub(super) const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

impl Call {
    /// A leg's session ended by itself.
    pub(super) fn ended(&mut self, now: Instant, at: At, how: Ending, out: &mut Vec<Output>) {
        let is_caller = (at == At::A) != self.is_swapped;
        let by = if is_caller { HungUpBy::Caller } else { HungUpBy::Called };
        if let At::B(index) = at
            && self.winner != Some(index)
        {
            // A branch that lost is no concern of the call.
            return self.transferor_gone(now, index);
        }
        let label = self.leg(at).map(|leg| leg.label.clone()).unwrap_or_default();
        match how {
            Ending::Bye => {
                self.note(now, &label, "leg.hung_up", "hung up");
                // The first phone of an operator's call may go before the second one answers.
                let is_answered = self.answered.is_some();
                let cause = match (self.is_service, is_answered) {
                    (true, _) => &cause::SERVED,
                    (_, true) => &cause::NORMAL,
                    (_, false) => &cause::CANCELLED,
                };
                let told = self.leg(at).and_then(|leg| leg.session.peer_reasons().q850);
                self.told_q850 = told.map(|q850| (cause.key, q850));
                self.fail(now, cause, None, by, out);
            }
            Ending::Cancelled => {
                self.note(now, &label, "leg.cancelled", "gave up before an answer");
                self.fail(now, &cause::CANCELLED, None, HungUpBy::Caller, out);
            }
            Ending::NoAck => {
                self.note(now, &label, "leg.no_ack", "the answer was never acknowledged");
                self.fail(now, &cause::NO_ACK, None, HungUpBy::System, out);
            }
            Ending::NoPrack => {
                self.note(
                    now,
                    &label,
                    "leg.no_prack",
                    "a reliable response was never acknowledged",
                );
                self.fail(now, &cause::NO_PRACK, None, HungUpBy::System, out);
            }
            Ending::Expired => {
                self.note(now, &label, "leg.expired", "the session was not refreshed in time");
                self.fail(now, &cause::SESSION_EXPIRED, None, HungUpBy::System, out);
            }
            Ending::Lost => {
                self.note(now, &label, "leg.lost", "the far end no longer knows the dialog");
                self.fail(now, &cause::DIALOG_LOST, None, HungUpBy::System, out);
            }
        }
    }

    pub(super) fn dead_media(
        &mut self,
        now: Instant,
        side: Side,
        silence: Duration,
        out: &mut Vec<Output>,
    ) {
        if self.phase != Phase::Talking {
            return;
        }
        let label = self.side_name(side);
        self.note(now, &label, "media.dead", format!("no audio for {} s", silence.as_secs()));
        self.fail(now, &cause::DEAD_MEDIA, None, HungUpBy::System, out);
    }

    /// Ends the call: every leg by what its state asks for, the ports, the segments. `status` answers the
    /// caller where a called party's own refusal tells more than the catalogue's row.
    pub(super) fn fail(
        &mut self,
        now: Instant,
        cause: &'static Cause,
        status: Option<u16>,
        by: HungUpBy,
        out: &mut Vec<Output>,
    ) {
        if matches!(self.phase, Phase::Closing | Phase::Over) {
            return;
        }
        self.phase = Phase::Closing;
        self.outcome = Some((cause, by, now));
        self.ring_deadline = None;
        self.try_deadline = None;
        self.modifying = None;
        self.end_transfer(now, out);
        self.leave_room(out);
        self.groups.clear();
        self.elsewhere.clear();
        self.linger_deadline = Some(now + self.timers().give_up() * 2 + LINGER_SLACK);
        self.note(now, "", "call.ended", format!("{}: {} ({})", cause.key, cause.text, by.word()));
        let answer = status.filter(|status| is_passed(*status)).unwrap_or(cause.sip);
        let answer = if answer < 300 { 480 } else { answer };
        let told = self.told_q850.filter(|(key, _)| *key == cause.key).map(|(_, q850)| q850);
        let reason = match told {
            _ if self.is_answered_elsewhere => ELSEWHERE.to_owned(),
            // What it means there is not ours to put in words.
            Some(q850) if q850 != cause.q850 => format!("Q.850;cause={q850}"),
            _ => format!("Q.850;cause={};text=\"{}\"", cause.q850, cause.text),
        };
        for index in 0..self.branches.len() {
            self.count(index, Outcome::Unanswered, out);
        }
        let ats: Vec<_> = self.legs().map(|(at, _)| at).collect();
        for at in ats {
            let reason = Some(reason.clone());
            self.on_session(now, at, out, |session, sip| session.hang_up(answer, reason, sip));
        }
        self.end_speech(now, out);
        match self.media {
            Media::Open(..) => {
                self.media = Media::Closing;
                out.push(Output::Media(MediaOp::Close));
                self.close_deadline = Some(now + MEDIA_CLOSE_TIMEOUT);
            }
            Media::Absent => self.media = Media::Closed,
            // Closed when the ports are there; the record does not wait for ports that carried nothing.
            Media::Opening => self.close_deadline = Some(now),
            Media::Closing | Media::Closed => {}
        }
        self.event(
            "call.ended",
            vec![("cause", cause.key.to_owned()), ("hung_up_by", by.word().to_owned())],
            out,
        );
    }

    /// Writes the record when the figures are there, and lets go when the dialogs are.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.review_music(out);
        self.run_reoffer(now, out);
        self.note_protection(now, out);
        self.review_fax(now, out);
        self.review_watch(now, out);
        if self.phase != Phase::Closing {
            return;
        }
        let can_record = matches!(self.media, Media::Closed) || self.media == Media::Opening;
        if can_record && !self.is_recorded {
            self.is_recorded = true;
            self.close_deadline = None;
            if let Some(record) = self.make_record() {
                out.push(Output::Record(Box::new(record)));
            }
        }
        let is_quiet = self.legs().all(|(_, leg)| leg.session.state() == State::Over);
        if self.is_recorded && is_quiet && self.media == Media::Closed && !self.is_fetching {
            self.phase = Phase::Over;
            self.linger_deadline = None;
            out.push(Output::Done);
        }
    }

    fn make_record(&mut self) -> Option<Record> {
        let (cause, hung_up_by, ended_at) = self.outcome?;
        if self.timeline_dropped > 0 {
            let text = format!("{} more lines were not kept", self.timeline_dropped);
            let at = ended_at.since(self.began_at);
            self.timeline.push(TimelineEntry {
                at,
                leg: String::new(),
                what: "timeline.full",
                text,
            });
        }
        if let Some(hearing) = &self.hearing {
            // Not by the way of the others: it is to be there however long the story is.
            self.timeline.push(TimelineEntry {
                at: ended_at.since(self.began_at),
                leg: String::new(),
                what: VERDICT,
                text: hearing.to_string(),
            });
        }
        let mut began = self.began.clone();
        if let Some(trunk) = &self.trunk_used
            && self.is_outbound()
        {
            began.trunk.clone_from(trunk);
        }
        let end = ended_at.since(self.began_at);
        Some(Record {
            answered: self.answered,
            ended: self.began.at.plus(end),
            cause,
            hung_up_by,
            segments: std::mem::take(&mut self.segments).finish(end),
            timeline: std::mem::take(&mut self.timeline),
            legs: self.leg_records(),
            began,
        })
    }

    pub(super) fn leg_records(&self) -> Vec<LegRecord> {
        let own = self.legs().map(|(at, leg)| {
            let here = self.side_of(at);
            let side = match at {
                At::A => Some(here),
                // Its side of the relay is the winner's; before an answer it is the only branch's.
                At::B(index) if self.winner == Some(index) || self.branches.len() == 1 => {
                    Some(here)
                }
                At::B(_) | At::First(_) => None,
            };
            (record_of(leg), side)
        });
        let given = self.given.iter().map(|(leg, side)| (leg.clone(), Some(*side)));
        own.chain(given)
            .map(|(leg, side)| match side {
                Some(side) => self.with_figures(leg, side),
                None => leg,
            })
            .collect()
    }

    /// Adds what the relay counted on a side.
    fn with_figures(&self, leg: LegRecord, side: Side) -> LegRecord {
        let Some([a, b]) = self.stats.as_deref() else { return leg };
        let stats = if side == Side::A { a } else { b };
        LegRecord {
            audio: stats.source.or_else(|| leg.audio.filter(|_| stats.packets_in > 0)),
            packets_in: stats.packets_in,
            packets_out: stats.packets_out,
            lost: stats.lost,
            jitter_ms: stats.jitter_ms,
            sound: stats.sound,
            dropped: stats.flow.dropped(),
            ..leg
        }
    }
}

/// A leg for the record, without figures.
pub(super) fn record_of(leg: &Leg) -> LegRecord {
    LegRecord {
        leg: leg.label.clone(),
        party: leg.party.clone(),
        sip_call_id: leg.session.call_id().to_owned(),
        session_id: format!("{:032x}", leg.session.peer_session_id()),
        signalling: leg.signalling,
        audio: leg.negotiator.plan().remote_rtp,
        srtp: leg.negotiator.protection_name(),
        status: leg.status,
        packets_in: 0,
        packets_out: 0,
        lost: 0,
        jitter_ms: 0.0,
        sound: Sound::default(),
        dropped: String::new(),
    }
}

/// Who ended a call that nobody answered: the called party where the fault is its own.
pub(super) fn refused_by(cause: &Cause) -> HungUpBy {
    match cause.fault {
        cause::Fault::Called => HungUpBy::Called,
        // It was given up before it was known where it goes.
        _ if cause.key == cause::CANCELLED.key => HungUpBy::Caller,
        _ => HungUpBy::System,
    }
}

/// May a called party's status go to the caller as it is? Failures of servers may not (RFC 3261 §16.7: a 503
/// would make the caller shun us), nor what was said of our own request.
const fn is_passed(status: u16) -> bool {
    matches!(status, 400..=499 | 600..=699) && !is_of_ours(status) && status != 491 && status != 481
}

/// Is it a matter between us and whoever refused: a login, a method, an extension, an interval? Elsewhere it would
/// lack the header that explains it.
pub(super) const fn is_of_ours(status: u16) -> bool {
    matches!(status, 401 | 405 | 407 | 420 | 421 | 422)
}
