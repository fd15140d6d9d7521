//! re-INVITE (RFC 3261 §14) and UPDATE (RFC 3311), both ways.

use super::*;

impl Session {
    pub(super) fn receive_reinvite(&mut self, open: OpenServer, out: &mut Vec<Out>) {
        if self.server.is_some() {
            // Its first INVITE has no final response yet (§14.2).
            let seconds = self.tokens.below(11).to_string();
            return self.respond_with(&open, 500, &[(HeaderName::RetryAfter, seconds)], out);
        }
        if self.is_modifying() || self.unacked.is_some() {
            return self.respond(&open, 491, out);
        }
        self.take_offer(open, out);
    }

    pub(super) fn receive_update(&mut self, now: Instant, open: OpenServer, out: &mut Vec<Out>) {
        if open.request.sdp().is_none() {
            self.refresh_target(&open.request);
            self.timer.accepted(now, &open.request);
            return self.respond(&open, 200, out);
        }
        if self.is_modifying() {
            return self.respond(&open, 491, out);
        }
        if self.server.is_some() || self.unacked.is_some() {
            // An offer of the peer is still open (RFC 3311 §5.2).
            let seconds = self.tokens.below(11).to_string();
            return self.respond_with(&open, 500, &[(HeaderName::RetryAfter, seconds)], out);
        }
        self.take_offer(open, out);
    }

    const fn is_modifying(&self) -> bool {
        self.client.is_some() || self.owed_ack.is_some()
    }

    fn take_offer(&mut self, open: OpenServer, out: &mut Vec<Out>) {
        self.refresh_target(&open.request);
        let body = open.request.sdp().map(<[u8]>::to_vec);
        let is_update = open.request.method() == &Method::Update;
        self.server = Some(open);
        out.push(Out::Event(Event::Offer { body, is_update }));
    }

    pub(super) fn refresh_target(&mut self, message: &Message) {
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh_target(message);
        }
    }

    /// Tells the peer that its re-INVITE is worked on, so that it does not repeat it (§17.2.1).
    pub fn trying(&self, out: &mut Vec<Out>) {
        if let Some(open) = &self.server
            && open.request.method() == &Method::Invite
        {
            self.respond(open, 100, out);
        }
    }

    /// Accepts the peer's modification: the body is our answer, or our offer where it asked for one.
    pub fn accept_offer(&mut self, now: Instant, body: Option<&[u8]>, out: &mut Vec<Out>) {
        if self.state != State::Established {
            return;
        }
        let Some(open) = self.server.take() else { return };
        if open.request.method() == &Method::Invite {
            return self.send_ok(now, &open, body, out);
        }
        self.timer.accepted(now, &open.request);
        let packet = self.response(&open, 200, "OK", &[]).finish_sdp(body);
        out.push(Out::Respond { server: open.server, status: 200, packet });
    }

    /// Refuses the peer's modification; the session goes on as it was.
    pub fn refuse_offer(
        &mut self,
        status: u16,
        headers: &[(HeaderName, String)],
        out: &mut Vec<Out>,
    ) {
        if self.state != State::Established {
            return;
        }
        if let Some(open) = self.server.take() {
            self.respond_with(&open, status, headers, out);
        }
    }

    /// Modifies the session: with an offer, or without one to be made an offer. Only while
    /// [`Self::can_modify`].
    pub fn modify(&mut self, body: Option<Vec<u8>>, out: &mut Vec<Out>) {
        if self.can_modify() {
            self.glare_retries = 0;
            self.send_modify(body, out);
        }
    }

    /// Cancels a modification of ours: what becomes of it is told as always (RFC 3261 §9.1). One that only
    /// waits to be tried again is dropped, and counts as cancelled.
    pub fn cancel_modify(&mut self, out: &mut Vec<Out>) {
        if self.retry.take().is_some() {
            out.push(Out::Event(Event::NotModified { status: 487 }));
        } else if let Some(open) = &mut self.client {
            open.is_cancelled = true;
            out.push(Out::Cancel { client: open.client, reason: None });
        }
    }

    pub(super) fn send_modify(&mut self, body: Option<Vec<u8>>, out: &mut Vec<Out>) {
        let Some(dialog) = self.dialog.as_mut() else { return };
        let Some(dest) = dialog.dest() else { return self.lost(out) };
        let uri = dialog.request_uri();
        let mut builder = dialog.request(&Method::Invite, None);
        builder.add(HeaderName::Allow, ALLOW);
        builder.add(HeaderName::UserAgent, &self.setting.user_agent);
        builder.add(HeaderName::Supported, self.supported());
        self.timer.add_to_request(&mut builder);
        self.across.add_to_sure(&mut builder);
        self.add_credentials(&Method::Invite, &uri, body.as_deref(), &mut builder);
        let client = ClientKey(self.tokens.next_u64());
        let request = builder.finish_sdp(body.as_deref());
        self.client = Some(OpenClient::new(client, Method::Invite, body));
        out.push(Out::Send { client, dest, method: Method::Invite, request });
    }

    pub(super) fn modify_answered(&mut self, now: Instant, response: &Message, out: &mut Vec<Out>) {
        if self.client.as_ref().is_some_and(|open| open.method == Method::Update) {
            return self.update_answered(now, response, out);
        }
        let status = response.status();
        if status < 200 {
            return;
        }
        let Some(open) = self.client.take() else { return };
        if status < 300 {
            self.refresh_target(response);
            self.timer.was_accepted(now, response);
            if let Some(credentials) = &mut self.credentials {
                credentials.accepted();
            }
            self.owed_ack = Some(response.cseq().number);
            if open.body.is_some() || self.state != State::Established {
                self.acknowledge(None, out);
            }
            let body = response.sdp().map(<[u8]>::to_vec);
            if self.state == State::Established {
                out.push(Out::Event(Event::Modified { body }));
            }
            return;
        }
        if self.state != State::Established {
            return;
        }
        let is_wanted = !open.is_cancelled;
        if is_wanted
            && (self.is_challenge_met(response)
                || status == 422 && self.timer.is_raised_by(response))
        {
            return self.send_modify(open.body, out);
        }
        match status {
            491 if is_wanted
                && self.glare_retries < GLARE_RETRIES_MAX
                && open.method == Method::Invite =>
            {
                self.glare_retries += 1;
                let at = now + self.glare_pause();
                self.retry = Some(Retry { at, body: open.body });
            }
            // The dialog is gone over there (§12.2.1.2, RFC 5057 §5.1).
            408 | 481 => self.lost(out),
            _ => {
                // Whoever cancelled it is told so, however it was refused.
                let status = if is_wanted { status } else { 487 };
                out.push(Out::Event(Event::NotModified { status }));
            }
        }
    }

    /// How long to wait after 491: the owner of the Call-ID 2.1 to 4 s, the other side up to 2 s, in
    /// steps of 10 ms (§14.1).
    pub(super) fn glare_pause(&mut self) -> Duration {
        let steps =
            if self.owns_call_id { 210 + self.tokens.below(191) } else { self.tokens.below(201) };
        Duration::from_millis(steps * 10)
    }
}
