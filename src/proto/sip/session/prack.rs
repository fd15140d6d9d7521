//! Reliable provisional responses as the client of an INVITE (RFC 3262 §4): each is acknowledged by PRACK in
//! its early dialog.

use super::*;

/// PRACKs whose answers are awaited. With more, a further reliable response is not acknowledged until it comes
/// again: whoever answers no PRACK cannot have ever more of them sent to whomever its Contact names.
const PRACKS_MAX: usize = 8;

/// An early dialog of our INVITE.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) dialog: Dialog,
    /// The number of the latest reliable response.
    rseq: Option<u32>,
    /// What acknowledges it, while an offer of the peer waits for our answer.
    owed: Option<String>,
    /// The answer that a reliable response carried.
    pub(super) answer: Option<Vec<u8>>,
    /// Offer and answer are complete.
    pub(super) is_settled: bool,
}

/// A PRACK that waits for its answer.
#[derive(Debug)]
pub(super) struct OpenPrack {
    client: ClientKey,
    tag: String,
    rack: String,
    body: Option<Vec<u8>>,
}

impl OpenPrack {
    pub(super) fn is(&self, client: ClientKey) -> bool {
        self.client == client
    }
}

impl Session {
    pub(super) fn invite_progress(&mut self, status: u16, response: &Message, out: &mut Vec<Out>) {
        if self.state != State::Outgoing {
            return;
        }
        let Some(tag) = response.to_tag() else {
            return out.push(Out::Event(Event::Progress { status, body: None, is_offer: false }));
        };
        self.note_early(&tag, response);
        let mut body = response.sdp().map(<[u8]>::to_vec);
        let mut is_offer = false;
        let has_offer = self.has_offer;
        let early = self.early.iter_mut().find(|early| early.dialog.remote_tag == tag);
        if let (Some(early), Some(rseq)) = (early, rseq_of(response)) {
            let is_next = early.rseq.is_none_or(|last| last.checked_add(1) == Some(rseq));
            if !is_next || self.pracks.len() >= PRACKS_MAX {
                // It comes again while its PRACK is under way, or before one that was lost (§4).
                return;
            }
            early.rseq = Some(rseq);
            early.dialog.refresh_target(response);
            let rack = format!("{rseq} {} INVITE", response.cseq().number);
            is_offer = !has_offer && body.is_some() && !early.is_settled;
            if is_offer {
                early.owed = Some(rack);
            } else {
                if early.is_settled {
                    body = None;
                } else if body.is_some() {
                    (early.answer, early.is_settled) = (body.clone(), true);
                }
                self.send_prack(&tag, rack, None, out);
            }
        } else if self.early.iter().any(|early| early.dialog.remote_tag == tag && early.is_settled)
        {
            // What was agreed reliably is not agreed again (RFC 6337 §3.1.1).
            body = None;
        }
        if status == 199 {
            // That branch is over; the others are not (RFC 6228 §5).
            return self.early.retain(|early| early.dialog.remote_tag != tag);
        }
        out.push(Out::Event(Event::Progress { status, body, is_offer }));
    }

    fn note_early(&mut self, tag: &str, response: &Message) {
        let is_known = self.early.iter().any(|early| early.dialog.remote_tag == tag);
        if is_known || self.early.len() >= EARLY_MAX {
            return;
        }
        let dialog = self.dialog_of(response);
        self.early.extend(dialog.map(|dialog| Early {
            dialog,
            rseq: None,
            owed: None,
            answer: None,
            is_settled: false,
        }));
    }

    /// Answers the offer of the reliable response that came last, by its PRACK (RFC 3262 §5).
    pub fn prack(&mut self, answer: Option<&[u8]>, out: &mut Vec<Out>) {
        let Some(early) = self.early.iter_mut().rfind(|early| early.owed.is_some()) else { return };
        let Some(rack) = early.owed.take() else { return };
        early.is_settled = answer.is_some();
        let tag = early.dialog.remote_tag.clone();
        self.send_prack(&tag, rack, answer.map(<[u8]>::to_vec), out);
    }

    fn send_prack(&mut self, tag: &str, rack: String, body: Option<Vec<u8>>, out: &mut Vec<Out>) {
        let Some(early) = self.early.iter_mut().find(|early| early.dialog.remote_tag == tag) else {
            return;
        };
        let Some(dest) = early.dialog.dest() else { return };
        let uri = early.dialog.request_uri();
        let mut builder = early.dialog.request(&Method::Prack, None);
        builder.add(HeaderName::RAck, &rack);
        builder.add(HeaderName::UserAgent, &self.setting.user_agent);
        self.add_credentials(&Method::Prack, &uri, body.as_deref(), &mut builder);
        let request = builder.finish_sdp(body.as_deref());
        let client = ClientKey(self.tokens.next_u64());
        self.pracks.push(OpenPrack { client, tag: tag.to_owned(), rack, body });
        out.push(Out::Send { client, dest, method: Method::Prack, request });
    }

    /// What became of a PRACK of ours; false if it was none. One that is refused changes nothing here: whoever
    /// does not take it refuses the INVITE.
    pub(super) fn is_prack_answered(
        &mut self,
        response: &Message,
        client: ClientKey,
        out: &mut Vec<Out>,
    ) -> bool {
        let Some(index) = self.pracks.iter().position(|open| open.client == client) else {
            return false;
        };
        if response.status() >= 200 {
            let open = self.pracks.remove(index);
            if self.is_challenge_met(response) {
                self.send_prack(&open.tag, open.rack, open.body, out);
            }
        }
        true
    }

    /// The dialog that a 2xx makes: where an early one was, its numbers go on.
    pub(super) fn dialog_of(&self, response: &Message) -> Option<Dialog> {
        let invite = self.invite.as_ref()?;
        let dialog = Dialog::from_response(response, &self.setting.contact, &invite.dest)?;
        let mut dialog = dialog.with_default_target(&invite.uri);
        dialog.session_id = self.across.session_id();
        let early = self.early.iter().find(|early| early.dialog.remote_tag == dialog.remote_tag);
        if let Some(early) = early {
            dialog.count_on(&early.dialog);
        }
        Some(dialog)
    }

    /// A peer wants reliable responses that we did not say we support: the INVITE is worth sending again
    /// (RFC 3261 §21.4.15).
    pub(super) fn is_extension_met(&mut self, response: &Message) -> bool {
        let wanted = response.list(HeaderName::Require);
        let is_known =
            !wanted.is_empty() && wanted.iter().all(|w| w.eq_ignore_ascii_case("100rel"));
        response.status() == 421
            && is_known
            && self.setting.reliable == Reliable::WhenRequired
            && !std::mem::replace(&mut self.advertises_reliable, true)
    }
}

/// The number of a reliable response.
fn rseq_of(response: &Message) -> Option<u32> {
    let is_reliable = response.lists(HeaderName::Require, "100rel");
    let rseq = response.text(HeaderName::RSeq).filter(|_| is_reliable)?;
    rseq.trim().parse().ok()
}
