//! Requests of the peer before the final response of an INVITE, either way.

use super::*;

impl Session {
    /// Is this the peer's tag, in the dialog or in an early one?
    #[must_use]
    pub fn is_with(&self, tag: &str) -> bool {
        let is_early = || self.early.iter().any(|early| early.dialog.remote_tag == tag);
        let asks = || self.open_request().and_then(Message::from_tag).is_some_and(|t| t == tag);
        self.dialog.as_ref().map_or_else(|| is_early() || asks(), |d| d.remote_tag == tag)
    }

    /// A request of the peer while only early dialogs exist.
    pub(super) fn early_request(&mut self, now: Instant, open: OpenServer, out: &mut Vec<Out>) {
        let method = open.request.method();
        let is_open = matches!(self.state, State::Incoming | State::Outgoing);
        let is_own = matches!(method, Method::Bye | Method::Invite);
        if is_open && !is_own && !self.is_in_order(&open) {
            return self.respond_with(&open, 500, &[(HeaderName::RetryAfter, "1".into())], out);
        }
        match (self.state, method) {
            // The caller may end an early dialog by BYE; the called side may not (RFC 3261 §15).
            (State::Incoming, Method::Bye) => {
                self.respond(&open, 200, out);
                self.cancelled(out);
            }
            (State::Incoming, Method::Prack) => self.receive_prack(now, open, out),
            (State::Incoming | State::Outgoing, Method::Update) => self.early_update(open, out),
            (State::Incoming | State::Outgoing, Method::Info) => self.receive_info(&open, out),
            (State::Incoming | State::Outgoing, Method::Options) => {
                self.receive_options(&open, out);
            }
            (State::Incoming, Method::Invite) => {
                // A second INVITE before the first one's final response (RFC 3261 §14.2).
                self.respond_with(&open, 500, &[(HeaderName::RetryAfter, "5".into())], out);
            }
            _ => self.respond(&open, 481, out),
        }
    }

    /// Takes a request into the order of its early dialog.
    fn is_in_order(&mut self, open: &OpenServer) -> bool {
        let dialog = if self.state == State::Incoming {
            if self.provisionals.dialog.is_none() {
                self.provisionals.dialog = self.server.as_ref().and_then(|server| {
                    let (request, flow) = (&server.request, Some(server.flow));
                    Dialog::from_request(request, &server.tag, &self.setting.contact, flow)
                });
            }
            self.stamp();
            self.provisionals.dialog.as_mut()
        } else {
            self.early_of(&open.request).map(|early| &mut early.dialog)
        };
        dialog.is_none_or(|dialog| dialog.receive(&open.request, open.flow).is_ok())
    }

    /// The early dialog of our INVITE that a request of the peer is in.
    fn early_of(&mut self, request: &Message) -> Option<&mut prack::Early> {
        let tag = request.from_tag().unwrap_or_default();
        self.early.iter_mut().find(|early| early.dialog.remote_tag == tag)
    }

    /// An UPDATE: with an offer only once the INVITE's offer and answer are complete (RFC 3311 §5.2).
    fn early_update(&mut self, open: OpenServer, out: &mut Vec<Out>) {
        let Some(body) = open.request.sdp().map(<[u8]>::to_vec) else {
            self.refresh_early_target(&open);
            return self.respond(&open, 200, out);
        };
        let is_ours = match self.state {
            State::Incoming => !self.has_offer && self.has_early_sdp(),
            _ => self.has_offer,
        };
        let is_settled = match self.state {
            State::Incoming => self.provisionals.is_settled(),
            _ => self.early_of(&open.request).is_some_and(|early| early.is_settled),
        };
        // To our user several branches are one description: what one of them offers would take the place of the
        // offer that another may still answer.
        let is_clear = self.early.len() <= 1;
        if is_settled && is_clear && self.early_offer.is_none() {
            self.refresh_early_target(&open);
            if let Some(early) = self.early_of(&open.request) {
                // Another description follows it: it must not come up again with the 2xx.
                early.answer = None;
            }
            return self.take_early_offer(open, body, out);
        }
        if is_ours && !is_settled {
            return self.respond(&open, 491, out);
        }
        let seconds = self.tokens.below(11).to_string();
        self.respond_with(&open, 500, &[(HeaderName::RetryAfter, seconds)], out);
    }

    fn refresh_early_target(&mut self, open: &OpenServer) {
        if let Some(dialog) = &mut self.provisionals.dialog {
            dialog.refresh_target(&open.request);
        } else if let Some(early) = self.early_of(&open.request) {
            early.dialog.refresh_target(&open.request);
        }
    }

    pub(super) fn take_early_offer(&mut self, open: OpenServer, body: Vec<u8>, out: &mut Vec<Out>) {
        self.early_offer = Some(open);
        out.push(Out::Event(Event::EarlyOffer { body }));
    }

    /// Answers the offer of a PRACK or an UPDATE that came before the final response, or refuses it with a
    /// status.
    pub fn answer_early(&mut self, answer: Result<&[u8], u16>, out: &mut Vec<Out>) {
        let Some(open) = self.early_offer.take() else { return };
        match answer {
            Ok(body) => {
                let mut builder =
                    Builder::response(&open.request, 200, "OK", Some(&open.tag), &open.flow);
                if open.request.method() == &Method::Update {
                    builder.add(HeaderName::Contact, &self.setting.contact);
                    builder.add(HeaderName::Allow, ALLOW);
                }
                builder.add(HeaderName::SessionId, self.across.session_id());
                builder.add(HeaderName::Server, &self.setting.user_agent);
                let packet = builder.finish_sdp(Some(body));
                out.push(Out::Respond { server: open.server, status: 200, packet });
            }
            Err(status) => self.respond(&open, status, out),
        }
    }
}
