//! INVITE as its client (RFC 3261 §13.2): early dialogs, forked answers, challenges, CANCEL.

use super::*;
use crate::proto::sip::location::{self, Location};

impl Session {
    /// Sends an INVITE. `client` names its transaction.
    #[must_use]
    pub fn outgoing(setting: Setting, seed: [u8; 32], invite: Invite, out: &mut Vec<Out>) -> Self {
        let mut session = Self::empty(setting, Tokens::new(seed), State::Outgoing);
        session.call_id = session.tokens.call_id();
        session.local_tag = session.tokens.tag();
        session.owns_call_id = true;
        session.credentials.clone_from(&invite.credentials);
        session.has_offer = invite.body.is_some();
        session.invite = Some(invite);
        session.send_invite(out);
        session
    }

    fn send_invite(&mut self, out: &mut Vec<Out>) {
        let Some(invite) = self.invite.take() else { return };
        self.cseq += 1;
        let mut builder = Builder::request(&Method::Invite, &invite.uri);
        for route in &invite.routes {
            builder.add(HeaderName::Route, route);
        }
        builder.add(HeaderName::MaxForwards, invite.max_forwards);
        builder.add(HeaderName::From, format_args!("{};tag={}", invite.from, self.local_tag));
        builder.add(HeaderName::To, &invite.to);
        builder.add(HeaderName::CallId, &self.call_id);
        builder.add(HeaderName::CSeq, format_args!("{} INVITE", self.cseq));
        builder.add(HeaderName::Contact, &self.setting.contact);
        builder.add(HeaderName::Allow, ALLOW);
        builder.add(HeaderName::UserAgent, &self.setting.user_agent);
        builder.add(HeaderName::Supported, self.supported());
        self.timer.add_to_request(&mut builder);
        builder.add(HeaderName::SessionId, self.across.session_id());
        for (name, value) in &invite.headers {
            builder.add(*name, value);
        }
        let located =
            invite.location.as_ref().and_then(Location::document).zip(invite.body.as_deref());
        let located = located.map(|(document, sdp)| location::mixed(sdp, document));
        let location = invite.location.as_ref();
        // Where there is no offer yet, the document has no place: what is left of it is the URIs.
        let headers = location.filter(|own| located.is_some() || own.document().is_none());
        for (name, value) in headers.map(Location::headers).unwrap_or_default() {
            builder.add(name, value);
        }
        let body = located.as_ref().map(|(_, body)| body.as_slice()).or(invite.body.as_deref());
        self.add_credentials(&Method::Invite, &invite.uri, body, &mut builder);
        let client = ClientKey(self.tokens.next_u64());
        self.initial = Some(client);
        let request = match &located {
            Some((kind, body)) => builder.finish_with(kind, body),
            None => builder.finish_sdp(body),
        };
        let dest = invite.dest.clone();
        self.invite = Some(invite);
        out.push(Out::Send { client, dest, method: Method::Invite, request });
    }

    /// Sends the INVITE again with another offer, after the peer has refused the first one for what it describes
    /// (RFC 3261 §21.4.26); false if it was refused for good, or never sent.
    pub fn invite_again(&mut self, offer: Vec<u8>, out: &mut Vec<Out>) -> bool {
        let is_refused = self.state == State::Over && self.dialog.is_none() && self.has_offer;
        let Some(invite) = self.invite.as_mut().filter(|_| is_refused) else { return false };
        invite.body = Some(offer);
        self.state = State::Outgoing;
        self.early.clear();
        self.send_invite(out);
        true
    }

    /// What we say that we support: only what is on for this peer (RFC 3261 §20.37).
    pub(super) fn supported(&self) -> &'static str {
        match (self.advertises_reliable, self.setting.replaces) {
            (true, true) => "timer, 100rel, replaces",
            (true, false) => "timer, 100rel",
            (false, true) => "timer, replaces",
            (false, false) => "timer",
        }
    }

    /// Adds the credentials that the peer has asked for so far.
    pub(super) fn add_credentials(
        &mut self,
        method: &Method,
        uri: &str,
        body: Option<&[u8]>,
        builder: &mut Builder,
    ) {
        if let Some(credentials) = &mut self.credentials {
            for (name, value) in
                credentials.headers(method.as_str(), uri, body.unwrap_or(&[]), &mut self.tokens)
            {
                builder.add(name, value);
            }
        }
    }

    /// Takes in a challenge of the first INVITE; true if it is to be sent again.
    fn is_invite_challenge_met(&mut self, response: &Message) -> bool {
        matches!(response.status(), 401 | 407)
            && self
                .credentials
                .as_mut()
                .is_some_and(|credentials| credentials.challenged(response).is_ok())
    }

    /// Takes in a challenge inside the dialog; true if the request is to be sent again.
    pub(super) fn is_challenge_met(&mut self, response: &Message) -> bool {
        matches!(response.status(), 401 | 407)
            && self
                .credentials
                .as_mut()
                .is_some_and(|credentials| credentials.challenged_in_dialog(response).is_ok())
    }

    pub(super) fn invite_answered(&mut self, now: Instant, response: &Message, out: &mut Vec<Out>) {
        match response.status() {
            100 => {}
            status @ 101..200 => self.invite_progress(status, response, out),
            200..300 => self.invite_accepted(now, response, out),
            status
                if self.state == State::Outgoing
                    && (self.is_invite_challenge_met(response)
                        || self.is_extension_met(response)
                        || status == 422 && self.timer.is_raised_by(response)) =>
            {
                self.early.clear();
                self.send_invite(out);
            }
            status => {
                self.peer_reasons = Reasons::of(response);
                let was_outgoing = self.state == State::Outgoing;
                if matches!(self.state, State::Outgoing | State::Cancelling) {
                    self.state = State::Over;
                }
                if was_outgoing {
                    let contacts =
                        if status < 400 { response.list(HeaderName::Contact) } else { Vec::new() };
                    let reason = response.reason().into_owned();
                    out.push(Out::Event(Event::Rejected { status, reason, contacts }));
                }
            }
        }
    }

    fn invite_accepted(&mut self, now: Instant, response: &Message, out: &mut Vec<Out>) {
        let tag = response.to_tag().unwrap_or_default();
        match self.state {
            State::Outgoing => {
                let Some(dialog) = self.dialog_of(response) else { return };
                let early = self.early.iter_mut().find(|early| early.dialog.remote_tag == tag);
                let (is_settled, answer) =
                    early.map(|early| (early.is_settled, early.answer.take())).unwrap_or_default();
                // Those of other branches stay: they may answer too.
                self.early.retain(|early| early.dialog.remote_tag != tag);
                self.dialog = Some(dialog);
                self.state = State::Established;
                self.note_allow(response);
                self.timer.was_accepted(now, response);
                if let Some(credentials) = &mut self.credentials {
                    credentials.accepted();
                }
                self.owed_ack = Some(response.cseq().number);
                if self.has_offer || is_settled {
                    self.acknowledge(None, out);
                }
                // What was agreed reliably stands, whatever the 2xx repeats of it.
                let body = if is_settled { answer } else { response.sdp().map(<[u8]>::to_vec) };
                out.push(Out::Event(Event::Answered { body }));
            }
            // The answer crossed our CANCEL: take it and hang up (§15, RFC 5407 §3).
            State::Cancelling => {
                self.dialog = self.dialog_of(response);
                self.owed_ack = Some(response.cseq().number);
                self.acknowledge(None, out);
                self.send_bye(None, out);
            }
            // The same answer again: its ACK was lost. Another one: a second branch answered (§13.2.2.4).
            _ if self.dialog.as_ref().is_some_and(|dialog| dialog.remote_tag == tag) => {
                self.acknowledge_again(response, out);
            }
            _ => self.hang_up_extra(response, out),
        }
    }

    /// Acknowledges and ends a session that a further branch of our INVITE set up.
    fn hang_up_extra(&mut self, response: &Message, out: &mut Vec<Out>) {
        let Some(mut dialog) = self.dialog_of(response) else { return };
        let Some(dest) = dialog.dest() else { return };
        let ack = dialog.request(&Method::Ack, Some(response.cseq().number)).finish();
        out.push(Out::SendAck { dest: dest.clone(), request: ack });
        if self.hung_up.contains(&dialog.remote_tag) {
            return;
        }
        if self.hung_up.len() < EARLY_MAX {
            self.hung_up.push(dialog.remote_tag.clone());
        }
        let client = ClientKey(self.tokens.next_u64());
        let request = dialog.request(&Method::Bye, None).finish();
        out.push(Out::Send { client, dest, method: Method::Bye, request });
    }

    /// Acknowledges the 2xx that waits for it; with the answer if it carried the peer's offer.
    pub fn acknowledge(&mut self, body: Option<&[u8]>, out: &mut Vec<Out>) {
        let Some(cseq) = self.owed_ack.take() else { return };
        let Some(dialog) = self.dialog.as_mut() else { return };
        let Some(dest) = dialog.dest() else { return };
        let tag = dialog.remote_tag.clone();
        let uri = dialog.request_uri();
        let mut builder = dialog.request(&Method::Ack, Some(cseq));
        // An ACK cannot be challenged: it carries what its INVITE carried (RFC 3261 §22.1).
        self.add_credentials(&Method::Ack, &uri, body, &mut builder);
        let request = builder.finish_sdp(body);
        if self.acks.len() >= ACKS_MAX {
            self.acks.pop_front();
        }
        self.acks.push_back((tag, cseq, dest.clone(), request.clone()));
        out.push(Out::SendAck { dest, request });
    }

    pub(super) fn acknowledge_again(&self, response: &Message, out: &mut Vec<Out>) {
        let (tag, cseq) = (response.to_tag().unwrap_or_default(), response.cseq().number);
        let own = self.acks.iter().find(|(own, number, ..)| (own, *number) == (&tag, cseq));
        if let Some((_, _, dest, request)) = own {
            out.push(Out::SendAck { dest: dest.clone(), request: request.clone() });
        }
    }

    pub(super) fn invite_failed(&mut self, why: Failure, out: &mut Vec<Out>) {
        let was_outgoing = self.state == State::Outgoing;
        if matches!(self.state, State::Outgoing | State::Cancelling) {
            self.state = State::Over;
        }
        if was_outgoing {
            out.push(Out::Event(Event::Failed(why)));
        }
    }
}
