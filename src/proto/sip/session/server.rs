//! INVITE as its server (RFC 3261 §13.3) and the ACK that ends it.

use super::*;

impl Session {
    /// A session that the peer's INVITE asks for. `tag` is our tag on every response.
    #[must_use]
    pub fn incoming(
        setting: Setting,
        seed: [u8; 32],
        server: ServerKey,
        request: Message,
        flow: Flow,
        tag: String,
    ) -> Self {
        let mut session = Self::empty(setting, Tokens::new(seed), State::Incoming);
        session.call_id = request.call_id().into_owned();
        session.local_tag.clone_from(&tag);
        session.note_allow(&request);
        session.note_session_id(&request);
        session.has_offer = request.sdp().is_some();
        session.invite_cseq = request.cseq().number;
        session.provisionals = reliable::Provisionals::new(session.setting.reliable, &request);
        session.server = Some(OpenServer { server, request, flow, tag });
        session
    }

    /// The INVITE that waits for its final response.
    #[must_use]
    pub fn open_request(&self) -> Option<&Message> {
        self.server.as_ref().map(|open| &open.request)
    }

    /// Is this the transaction of an INVITE that waits for our final response?
    #[must_use]
    pub fn is_open(&self, server: ServerKey) -> bool {
        self.server.as_ref().is_some_and(|open| open.server == server)
    }

    /// Sends a provisional response, with early media if there is a body. To a peer that wants it so it is
    /// repeated until it is acknowledged, and waits until the one before it is.
    pub fn progress(&mut self, now: Instant, status: u16, body: Option<&[u8]>, out: &mut Vec<Out>) {
        if self.state != State::Incoming {
            return;
        }
        if self.is_reliable() {
            return self.progress_reliably(now, status, body, out);
        }
        if let Some(open) = &self.server {
            let packet = self.response(open, status, reason_phrase(status), &[]).finish_sdp(body);
            out.push(Out::Respond { server: open.server, status, packet });
        }
    }

    /// Answers the INVITE: 200 with our answer, or with our offer if it had none. The body is left out where a
    /// reliable response carried it already; while that one is not acknowledged the 200 waits.
    pub fn accept(&mut self, now: Instant, body: Option<&[u8]>, out: &mut Vec<Out>) {
        if self.state == State::Incoming {
            self.accept_or_wait(now, body, out);
        }
    }

    pub(super) fn accept_now(&mut self, now: Instant, body: Option<&[u8]>, out: &mut Vec<Out>) {
        let Some(open) = self.server.take() else { return };
        let flow = Some(open.flow);
        // The early dialog has counted the requests so far.
        let early = self.provisionals.dialog.take();
        let made = || Dialog::from_request(&open.request, &open.tag, &self.setting.contact, flow);
        let Some(dialog) = early.or_else(made) else { return };
        self.dialog = Some(dialog);
        self.stamp();
        self.state = State::Established;
        self.send_ok(now, &open, body, out);
    }

    /// Refuses the INVITE; the session is over.
    pub fn reject(
        &mut self,
        status: u16,
        reason: &str,
        headers: &[(HeaderName, String)],
        out: &mut Vec<Out>,
    ) {
        if self.state != State::Incoming {
            return;
        }
        if let Some(open) = self.server.take() {
            let packet = self.response(&open, status, reason, headers).finish();
            out.push(Out::Respond { server: open.server, status, packet });
        }
        self.provisionals.stop();
        self.state = State::Over;
    }

    /// The peer cancelled its INVITE (the CANCEL itself is answered by the transaction layer).
    pub fn cancelled(&mut self, out: &mut Vec<Out>) {
        if self.state != State::Incoming {
            return;
        }
        if let Some(open) = self.server.take() {
            self.respond(&open, 487, out);
        }
        self.provisionals.stop();
        self.state = State::Over;
        out.push(Out::Event(Event::Ended(Ending::Cancelled)));
    }

    /// Sends a 200 to an INVITE and repeats it until the ACK comes (§13.3.1.4), over any transport.
    pub(super) fn send_ok(
        &mut self,
        now: Instant,
        open: &OpenServer,
        body: Option<&[u8]>,
        out: &mut Vec<Out>,
    ) {
        let packet = self.response(open, 200, "OK", &[]).finish_sdp(body);
        self.across.was_told();
        self.timer.accepted(now, &open.request);
        let timers = self.setting.timers;
        self.unacked = Some(Unacked {
            server: open.server,
            packet: packet.clone(),
            cseq: open.request.cseq().number,
            resend_at: now + timers.t1,
            interval: timers.t1,
            give_up_at: now + timers.give_up(),
        });
        out.push(Out::Respond { server: open.server, status: 200, packet });
    }

    pub(super) fn resend_unacked(&mut self, now: Instant, out: &mut Vec<Out>) {
        let Some(unacked) = &mut self.unacked else { return };
        if unacked.give_up_at <= now {
            self.unacked = None;
            self.hangup_after_ack = None;
            out.push(Out::Event(Event::Ended(Ending::NoAck)));
            self.send_bye(None, out);
        } else if unacked.resend_at <= now {
            unacked.interval = (unacked.interval * 2).min(self.setting.timers.t2);
            unacked.resend_at = now + unacked.interval;
            let (server, packet) = (unacked.server, unacked.packet.clone());
            out.push(Out::Respond { server, status: 200, packet });
        }
    }

    pub(super) fn receive_ack(&mut self, _now: Instant, request: &Message, out: &mut Vec<Out>) {
        let number = request.cseq().number;
        if self.unacked.take_if(|unacked| unacked.cseq == number).is_none() {
            return;
        }
        if let Some(reason) = self.hangup_after_ack.take() {
            return self.send_bye(reason, out);
        }
        if self.state == State::Established {
            let body = request.sdp().map(<[u8]>::to_vec);
            out.push(Out::Event(Event::Acked { body }));
        }
    }
}
