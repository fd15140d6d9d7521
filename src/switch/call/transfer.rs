//! A phone hands its call to somebody else (RFC 3515, RFC 5589 §6): who stays is connected to whom it named.

use super::*;
use crate::proto::sdp::{Direction, Sdp};
use crate::proto::sip::message::build::reason_phrase;
use crate::proto::sip::session::Referred;
use crate::switch::cause;
use crate::switch::cdr::record::SegmentKind;
use crate::switch::identity::Shown;

/// Transfers of one call: more than people make, fewer than a loop of phones would.
pub(super) const TRANSFERS_MAX: u8 = 20;

/// A transfer under way. Leg a is who stays; the branch `by` is who transfers.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) by: usize,
    /// It said who it is (RFC 3892), and the new party is told.
    is_referred: bool,
    /// The phone that transfers has hung up.
    is_gone: bool,
    /// What it wished came to nothing, and it is rung itself.
    is_recall: bool,
}

impl Call {
    /// A peer wants the call to go to somebody else.
    pub(super) fn referred(&mut self, now: Instant, at: At, wish: Referred, out: &mut Vec<Output>) {
        if let Some((status, why)) = self.refusal_of_transfer(at) {
            let label = self.leg(at).map(|leg| leg.label.clone()).unwrap_or_default();
            self.note(now, &label, "transfer.refused", why);
            return self.on_session(now, at, out, |session, sip| session.refuse_refer(status, sip));
        }
        let by = match (at, self.winner) {
            (At::B(index), _) => index,
            // Who stays is leg a from now on, whoever called.
            (_, Some(winner)) => {
                if let (Some(a), Some(b)) = (&mut self.a, self.branches.get_mut(winner)) {
                    std::mem::swap(a, b);
                }
                self.is_swapped = !self.is_swapped;
                winner
            }
            _ => return,
        };
        self.end_watch(out);
        self.winner = None;
        self.transfers += 1;
        let label = self.leg(At::B(by)).map(|leg| leg.label.clone()).unwrap_or_default();
        self.note(now, &label, "transfer.wanted", format!("to {}", wish.dialled));
        let fields = vec![("leg", label), ("to", wish.dialled.clone())];
        self.event("call.transfer", fields, out);
        self.segments.change(self.elapsed(now), SegmentKind::Transfer);
        // Nobody need send while the new phone rings.
        out.push(Output::Media(MediaOp::Watch { talk: Duration::ZERO, hold: Duration::ZERO }));
        self.transfer =
            Some(Transfer { by, is_referred: wish.is_referred, is_gone: false, is_recall: false });
        self.on_session(now, At::B(by), out, |session, sip| session.accept_refer(sip));
        match wish.replaces {
            Some(replaces) => self.fetch(now, replaces, out),
            None => self.locate_for_transfer(now, wish.dialled, wish.uri, out),
        }
    }

    /// Why a transfer cannot be, and the status that says so.
    fn refusal_of_transfer(&self, at: At) -> Option<(u16, &'static str)> {
        let leg = self.leg(at)?;
        if leg.is_trunk {
            // It would let whoever calls from outside place calls at our expense.
            return Some((403, "a trunk may not transfer"));
        }
        if self.transfers >= TRANSFERS_MAX {
            return Some((403, "too many transfers of one call"));
        }
        let stays = self.across(at).and_then(|other| self.leg(other));
        let is_ready = self.phase == Phase::Talking
            && self.transfer.is_none()
            && self.modifying.is_none()
            && !self.is_fetching
            && self.joining.is_none()
            && !self.reoffer_due
            && stays.is_some_and(|leg| leg.session.state() == session::State::Established);
        if self.is_fax() {
            return Some((491, "a fax is under way"));
        }
        (!is_ready).then_some((491, "the call is not settled"))
    }

    pub(super) fn locate_for_transfer(
        &mut self,
        now: Instant,
        dialled: String,
        uri: Option<String>,
        out: &mut Vec<Output>,
    ) {
        let Some(transfer) = &self.transfer else { return };
        let by = self.leg(At::B(transfer.by)).map(Leg::key);
        let why = Why::Transferred { is_told: transfer.is_referred };
        let shown = self.who_is_shown();
        self.refusal = None;
        self.ring_deadline = Some(now + ASKED_MAX);
        self.groups.clear();
        self.elsewhere.clear();
        self.dialled.clone_from(&dialled);
        out.push(Output::Locate(Locate { dialled, by, shown, uri, why }));
    }

    /// Who stays is who calls: the caller of the call (`None`), or whoever came after.
    pub(super) fn who_is_shown(&self) -> Option<Shown> {
        let leg = self.a.as_ref().filter(|leg| !leg.label.starts_with('a'))?;
        let mut shown = leg.shown.clone();
        if !leg.is_trunk {
            shown.number.clone_from(&leg.party);
        }
        Some(shown)
    }

    /// The dial plan's answer.
    pub(super) fn located_for_transfer(
        &mut self,
        now: Instant,
        plan: Result<Plan, &'static Cause>,
        out: &mut Vec<Output>,
    ) {
        if self.transfer.is_none() {
            return;
        }
        let mut plan = match plan {
            Ok(plan) => plan,
            Err(cause) => return self.transfer_failed(now, cause, None, out),
        };
        let bound = self.bound_for_branches();
        plan.retain(|target| can_reach(bound, target.media_ip));
        if plan.groups.is_empty() {
            return self.transfer_failed(now, &cause::NO_MEDIA, None, out);
        }
        self.note(now, "", "route.matched", plan.because);
        self.groups = plan.groups;
        self.ring_next_group(now, out);
    }

    /// What the ports of the branches' side, which are open already, are bound to.
    pub(super) fn bound_for_branches(&self) -> IpAddr {
        let (a, b) = self.media_bind;
        if self.side_of(At::B(0)) == Side::B { b } else { a }
    }

    /// What the new party is offered: what the one who stays can do, whoever held it until now.
    pub(super) fn offer_of_who_stays(&self) -> Option<Sdp> {
        if self.transfer.is_some() {
            return self.offer_to_who_comes();
        }
        self.a.as_ref()?.negotiator.remote().cloned()
    }

    pub(super) fn offer_to_who_comes(&self) -> Option<Sdp> {
        let mut sdp = self.a.as_ref()?.negotiator.remote()?.clone();
        let audio = sdp.audio_index()?;
        sdp.media.get_mut(audio)?.direction = Some(Direction::SendRecv);
        Some(sdp)
    }

    /// Early media of the new party is heard as far as who stays listens already.
    pub(super) fn early_transfer(&mut self, index: usize, body: &[u8], out: &mut Vec<Output>) {
        let Some(leg) = self.branches.get_mut(index) else { return };
        if leg.negotiator.answer_from_peer(body).is_ok() {
            self.apply_media(At::B(index), out);
        }
    }

    /// The new party answered and is connected: who transferred is told, and let go.
    pub(super) fn transferred(&mut self, now: Instant, index: usize, out: &mut Vec<Output>) {
        let Some(transfer) = self.transfer.take() else { return };
        let (label, party) = self
            .branches
            .get(index)
            .map(|leg| (leg.label.clone(), leg.party.clone()))
            .unwrap_or_default();
        self.note(now, &label, "transfer.done", format!("connected to {party}"));
        self.event("call.transferred", vec![("to", party)], out);
        self.introduce(At::A, At::B(index));
        self.tell_due = true;
        let side = self.side_of(At::B(index));
        if self.is_saying(side) {
            // It was meant for who is gone.
            out.push(Output::Media(MediaOp::Silence { side }));
        }
        if !transfer.is_gone {
            self.on_session(now, At::B(transfer.by), out, |session, sip| {
                session.notify_referrer(200, "OK", true, sip);
                session.hang_up(480, Some("SIP;cause=200;text=\"transferred\"".to_owned()), sip);
            });
        }
        self.reoffer_due = true;
    }

    /// Nobody took the call: who transferred has it back. If it has hung up it is rung; if that fails as
    /// well, the call ends.
    pub(super) fn transfer_failed(
        &mut self,
        now: Instant,
        cause: &'static Cause,
        status: Option<u16>,
        out: &mut Vec<Output>,
    ) {
        let Some(mut transfer) = self.transfer.take() else { return };
        self.elsewhere.clear();
        self.ring_deadline = None;
        self.try_deadline = None;
        self.note(now, "", "transfer.failed", cause.text);
        self.event("call.transfer_failed", vec![("cause", cause.key.to_owned())], out);
        let status = status.unwrap_or(cause.sip);
        if !transfer.is_gone {
            let by = transfer.by;
            self.on_session(now, At::B(by), out, |session, sip| {
                session.notify_referrer(status, reason_phrase(status), true, sip);
            });
            self.winner = Some(by);
            self.apply_media(At::B(by), out);
            let settings = &self.snapshot.media;
            let (talk, hold) = (settings.dead_after, settings.dead_after_hold);
            out.push(Output::Media(MediaOp::Watch { talk, hold }));
            self.review_recording(now, out);
            self.segments.change(self.elapsed(now), SegmentKind::Talk);
            return self.note_hold(now, out);
        }
        if transfer.is_recall {
            return self.fail(now, cause, None, HungUpBy::System, out);
        }
        let party = self.branches.get(transfer.by).map(|leg| leg.party.clone()).unwrap_or_default();
        self.note(now, "", "transfer.recall", format!("ringing {party} again"));
        transfer.is_recall = true;
        transfer.is_referred = false;
        self.transfer = Some(transfer);
        self.locate_for_transfer(now, party, None, out);
    }

    /// Setting up comes to nothing: the call ends, or a transfer fails.
    pub(super) fn give_up(
        &mut self,
        now: Instant,
        cause: &'static Cause,
        status: Option<u16>,
        by: HungUpBy,
        out: &mut Vec<Output>,
    ) {
        if self.transfer.is_some() {
            self.transfer_failed(now, cause, status, out);
        } else {
            self.fail(now, cause, status, by, out);
        }
    }

    /// A branch that is not connected hung up: perhaps the phone that transfers, which is done with the call.
    pub(super) fn transferor_gone(&mut self, now: Instant, index: usize) {
        if let Some(transfer) = self.transfer.as_mut().filter(|transfer| transfer.by == index) {
            transfer.is_gone = true;
            self.note(now, "", "transfer.alone", "who transfers has hung up");
        }
    }

    /// The call ends while a transfer is under way.
    pub(super) fn end_transfer(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.reoffer_due = false;
        self.joining = None;
        let Some(transfer) = self.transfer.take().filter(|transfer| !transfer.is_gone) else {
            return;
        };
        self.on_session(now, At::B(transfer.by), out, |session, sip| {
            session.notify_referrer(487, reason_phrase(487), true, sip);
        });
    }

    /// Offers who stays what the new party speaks, once that is known and nothing else is under way there.
    pub(super) fn run_reoffer(&mut self, now: Instant, out: &mut Vec<Output>) {
        let is_free =
            self.modifying.is_none() && self.a.as_ref().is_some_and(|leg| leg.session.can_modify());
        let new = self.winner.and_then(|index| self.branches.get(index));
        let is_known = new.is_none_or(|leg| !leg.negotiator.awaits_answer());
        if !self.reoffer_due || !is_free || !is_known {
            return;
        }
        let answer = new.and_then(|leg| leg.negotiator.agreed_remote());
        self.reoffer_due = false;
        if let Some(answer) = answer {
            self.reoffer_first(now, &answer, out);
        }
        if std::mem::take(&mut self.tell_due) {
            self.send_news(now, At::A, out);
        }
    }
}

/// Can ports that are bound like this be reached at this address of ours?
pub(super) fn can_reach(bound: IpAddr, ip: IpAddr) -> bool {
    ip == bound || bound.is_unspecified() && bound.is_ipv4() == ip.is_ipv4()
}
