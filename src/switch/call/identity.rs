//! Who is at the other end of each leg: what its peer is told of it, and under which session identifier (RFC 3325 §5,
//! RFC 4916, RFC 7989).

use super::*;
use crate::proto::sip::identity::Privacy;
use crate::proto::sip::session::SessionIds;
use crate::proto::sip::transport::Host;
use crate::switch::identity::{Shown, changed_of, connected, connected_of};

/// The halves of the session identifier that parties are given who have none.
#[derive(Clone, Copy, Debug)]
pub(super) struct GivenIds {
    caller: u128,
    called: u128,
}

impl GivenIds {
    pub(super) fn new(tokens: &mut Tokens) -> Self {
        let mut draw = || u128::from(tokens.next_u64()) << 64 | u128::from(tokens.next_u64());
        Self { caller: draw(), called: draw() }
    }
}

impl Call {
    /// The identifiers of the leg that placed the call.
    pub(super) const fn ids_of_caller(&self) -> SessionIds {
        SessionIds { near: self.given_ids.called, given: self.given_ids.caller }
    }

    /// Those of a leg that joins who is there.
    pub(super) fn ids_of_called(&self) -> SessionIds {
        let near = self.a.as_ref().map(|leg| leg.session.peer_session_id());
        SessionIds { near: near.unwrap_or(self.given_ids.caller), given: self.given_ids.called }
    }

    /// Who a party that we ring is: a phone by its extension, a trunk by the number that was dialled.
    pub(super) fn who_is(&self, peer: &Origin) -> Shown {
        match peer {
            Origin::Trunk(_) => Shown { number: self.dialled.clone(), ..Shown::default() },
            Origin::Phone(extension) | Origin::Operator(extension) => {
                let phone = self.snapshot.phone(extension);
                Shown {
                    number: extension.clone(),
                    name: phone.map(|phone| phone.name.clone()).unwrap_or_default(),
                    is_withheld: phone.is_some_and(|phone| phone.withhold),
                }
            }
        }
    }

    /// A trusted trunk says in an answer to our INVITE who it connected; whoever answers may ask to be hidden.
    pub(super) fn note_connected(&mut self, at: At, response: &Message) {
        if let Some(leg) = self.leg_mut(at).filter(|_| Privacy::of(response).is_withheld) {
            leg.shown.is_withheld = true;
        }
        let of = |leg: &Leg| connected_of(&self.snapshot, &leg.party, response);
        let shown = self.leg(at).filter(|leg| leg.is_trunk).and_then(of);
        if let (Some(shown), Some(leg)) = (shown, self.leg_mut(at)) {
            (leg.shown, leg.is_asserted) = (shown, true);
        }
    }

    /// A trusted trunk says within a call that somebody else is there now, as after a transfer of its own. Gives the leg
    /// that has to be told.
    pub(super) fn note_changed(&mut self, at: At, request: &Message) -> Option<At> {
        if !matches!(request.method(), Method::Invite | Method::Update) {
            return None;
        }
        let leg = self.leg(at).filter(|leg| leg.is_trunk)?;
        let shown = changed_of(&self.snapshot, &leg.party, request)?;
        let other = self.across(at)?;
        let leg = self.leg_mut(at)?;
        if leg.shown == shown {
            return None;
        }
        (leg.shown, leg.is_asserted) = (shown, true);
        self.tell(other, at);
        Some(other)
    }

    /// Says on a leg who is at the other end. What a trunk was dialled by is no news to who dialled it.
    pub(super) fn tell(&mut self, to: At, of: At) {
        let (Some(leg), Some(other)) = (self.leg(to), self.leg(of)) else { return };
        let near = other.session.peer_session_id();
        let is_news = other.is_asserted || self.transfers > 0;
        let headers = if is_news {
            let host = Host::Ip(leg.media_ip).to_string();
            connected(&self.snapshot, &leg.peer(), &other.shown, &host)
        } else {
            Vec::new()
        };
        if let Some(leg) = self.leg_mut(to) {
            leg.session.introduce(near, headers);
        }
    }

    /// Sends a leg the news of who is there now, unless a request that is under way has told it: by UPDATE, or by a
    /// re-INVITE that changes nothing else.
    pub(super) fn send_news(&mut self, now: Instant, at: At, out: &mut Vec<Output>) {
        self.on_session(now, at, out, |session, sip| session.tell_across(sip));
        if self.modifying.is_none() && self.leg(at).is_some_and(|leg| leg.session.owes_news()) {
            self.refresh(now, at, out);
        }
    }

    /// Two legs are connected.
    pub(super) fn introduce(&mut self, one: At, other: At) {
        self.tell(one, other);
        self.tell(other, one);
    }
}
