//! A called phone sends the call elsewhere (RFC 3261 §8.1.3.4).
//!
//! Its Contacts are read as numbers of the dial plan, so they reach nothing that the phone itself could not
//! dial. The best is rung first; the next one follows when it comes to nothing.

use super::*;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::header::values::q_value;
use crate::proto::sip::session::State;
use crate::switch::identity::Reason;

/// How often a call may be sent elsewhere.
const REDIRECTS_MAX: usize = 5;
/// Contacts of one redirection that are tried; the others are left out.
const CONTACTS_MAX: usize = 8;

/// Where a call may go besides, and where it has been.
#[derive(Debug, Default)]
pub(super) struct Elsewhere {
    /// Numbers, the dialog of the phone that named them (its rights decide), and why.
    next: VecDeque<(String, (String, String), Reason)>,
    been: Vec<String>,
}

impl Elsewhere {
    pub(super) fn clear(&mut self) {
        self.next.clear();
    }
}

impl Call {
    /// A branch answered 3xx; false if that is a refusal like any other.
    pub(super) fn redirect(
        &mut self,
        now: Instant,
        index: usize,
        contacts: &[String],
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(leg) = self.branches.get(index) else { return false };
        let is_last = !self.branches.iter().any(|leg| leg.session.state() == State::Outgoing);
        if leg.is_trunk || !is_last {
            return false;
        }
        let (key, label) = (leg.key(), leg.label.clone());
        // Who has rung before sends this call away; who has not sends every call there.
        let usual =
            if leg.has_answered_anything { Reason::Deflection } else { Reason::Unconditional };
        let contacts = contacts.iter().take(CONTACTS_MAX);
        let mut numbers: Vec<_> =
            contacts.filter_map(|contact| number_of(contact, usual)).collect();
        numbers.sort_by_key(|(q, ..)| std::cmp::Reverse(*q));
        for (_, number, reason) in numbers.into_iter().rev() {
            self.elsewhere.next.push_front((number, key.clone(), reason));
        }
        if self.elsewhere.been.is_empty() {
            self.elsewhere.been.push(self.dialled.clone());
        }
        self.goes_elsewhere(now, &label, out)
    }

    /// A phone refused the call, with 0 for no answer at all: false if it sends no such calls elsewhere.
    pub(super) fn forward_refused(
        &mut self,
        now: Instant,
        index: usize,
        status: u16,
        out: &mut Vec<Output>,
    ) -> bool {
        let has_rung = self.branches.get(index).is_some_and(|leg| leg.has_answered_anything);
        let reason = match status {
            486 | 600 => Reason::UserBusy,
            0 | 408 | 480 | 503 if has_rung => Reason::NoAnswer,
            0 | 408 | 480 | 503 => Reason::Unavailable,
            _ => return false,
        };
        self.forward(now, index, reason, out)
    }

    /// A phone sends calls of this kind elsewhere: `index` is the branch that told, the last that rang. False if it does
    /// not.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        index: usize,
        reason: Reason,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(leg) = self.branches.get(index) else { return false };
        let [busy, no_answer] = &leg.forwards;
        let to = if reason == Reason::UserBusy { busy } else { no_answer };
        let others_ring = self
            .branches
            .iter()
            .enumerate()
            .any(|(other, leg)| other != index && leg.session.state() == State::Outgoing);
        let (Some(number), false, None) = (to.clone(), others_ring, self.winner) else {
            return false;
        };
        let (key, label) = (leg.key(), leg.label.clone());
        if self.elsewhere.been.is_empty() {
            self.elsewhere.been.push(self.dialled.clone());
        }
        self.elsewhere.next.push_front((number, key, reason));
        self.goes_elsewhere(now, &label, out)
    }

    /// Rings the next number that the call was sent to, if there is one that it has not been at.
    pub(super) fn goes_elsewhere(
        &mut self,
        now: Instant,
        label: &str,
        out: &mut Vec<Output>,
    ) -> bool {
        while let Some((number, key, reason)) = self.elsewhere.next.pop_front() {
            let has_been = self.elsewhere.been.contains(&number);
            if has_been || self.elsewhere.been.len() > REDIRECTS_MAX {
                let why =
                    if has_been { "the call has been there" } else { "too many redirections" };
                self.note(now, label, "leg.not_redirected", format!("to {number}: {why}"));
                continue;
            }
            self.elsewhere.been.push(number.clone());
            self.note(now, label, "leg.redirected", format!("to {number}"));
            self.ring_deadline = Some(now + ASKED_MAX);
            self.dialled.clone_from(&number);
            let shown = self.who_is_shown();
            let why = Why::Redirected(reason);
            let by = Some(key);
            out.push(Output::Locate(Locate { dialled: number, by, shown, uri: None, why }));
            return true;
        }
        false
    }
}

/// A Contact's number, how much it is preferred, and why the call goes there: the `cause` of its URI (RFC 4458) says it
/// better than the status.
fn number_of(contact: &str, usual: Reason) -> Option<(u16, String, Reason)> {
    let address = NameAddr::parse(contact).ok()?;
    let uri = address.parsed_uri()?;
    let number = uri.dialled().into_owned();
    let reason = uri.params.get("cause").map_or(usual, |cause| Reason::of_cause(&cause));
    let q = address.params.get("q").map_or(1000, |text| q_value(&text));
    Some((q, number, reason)).filter(|(_, number, _)| !number.is_empty())
}
