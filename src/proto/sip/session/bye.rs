//! Ending a session (RFC 3261 §15) by whatever its state asks for: a response, CANCEL or BYE.

use super::*;

impl Session {
    /// Why the peer refused or ended the session, as far as it said.
    #[must_use]
    pub const fn peer_reasons(&self) -> Reasons {
        self.peer_reasons
    }

    /// Ends the session from our side. `status` answers an INVITE that is still open; `reason` becomes the
    /// Reason header (RFC 3326) of a CANCEL or BYE.
    pub fn hang_up(&mut self, status: u16, reason: Option<String>, out: &mut Vec<Out>) {
        match self.state {
            State::Incoming => {
                let headers: Vec<_> =
                    reason.into_iter().map(|reason| (HeaderName::Reason, reason)).collect();
                self.reject(status, reason_phrase(status), &headers, out);
            }
            State::Outgoing => {
                self.state = State::Cancelling;
                if let Some(client) = self.initial {
                    out.push(Out::Cancel { client, reason });
                }
            }
            // A 2xx that is not acknowledged yet must be before BYE may go (§15).
            State::Established if self.unacked.is_some() && self.server.is_none() => {
                self.hangup_after_ack = Some(reason);
            }
            State::Established => {
                self.acknowledge(None, out);
                self.send_bye(reason, out);
            }
            State::Cancelling | State::Ending | State::Over => {}
        }
    }

    pub(super) fn send_bye(&mut self, reason: Option<String>, out: &mut Vec<Out>) {
        if matches!(self.state, State::Over) || self.state == State::Ending && self.bye.is_some() {
            return;
        }
        self.refuse_open_server(out);
        self.retry = None;
        self.unacked = None;
        let Some(dialog) = self.dialog.as_mut() else {
            self.state = State::Over;
            return;
        };
        let Some(dest) = dialog.dest() else {
            self.state = State::Over;
            return;
        };
        let uri = dialog.request_uri();
        let mut builder = dialog.request(&Method::Bye, None);
        if let Some(reason) = &reason {
            builder.add(HeaderName::Reason, reason);
        }
        builder.add(HeaderName::UserAgent, &self.setting.user_agent);
        self.add_credentials(&Method::Bye, &uri, None, &mut builder);
        let client = ClientKey(self.tokens.next_u64());
        self.bye = Some((client, reason));
        self.state = State::Ending;
        out.push(Out::Send { client, dest, method: Method::Bye, request: builder.finish() });
    }

    pub(super) fn bye_answered(&mut self, response: &Message, out: &mut Vec<Out>) {
        if response.status() < 200 {
            return;
        }
        if self.is_challenge_met(response) {
            let reason = self.bye.take().and_then(|(_, reason)| reason);
            return self.send_bye(reason, out);
        }
        self.state = State::Over;
    }

    /// The BYE could not be sent, or nobody answered it. Where the way back that the peer's own messages took
    /// is gone, such as a connection that it closed in the meantime, its Contact is tried once.
    pub(super) fn bye_failed(&mut self, why: Failure, out: &mut Vec<Out>) {
        let is_lost = why == Failure::Transport
            && self.dialog.as_mut().is_some_and(|dialog| dialog.forget_flow());
        let reason = self.bye.take().and_then(|(_, reason)| reason);
        if is_lost {
            return self.send_bye(reason, out);
        }
        self.state = State::Over;
    }

    pub(super) fn receive_bye(&mut self, open: &OpenServer, out: &mut Vec<Out>) {
        self.peer_reasons = Reasons::of(&open.request);
        self.respond(open, 200, out);
        let was_ending = self.state == State::Ending || self.hangup_after_ack.is_some();
        // What the peer had asked for and hung up on (§15.1.2).
        self.refuse_open_server(out);
        self.unacked = None;
        self.hangup_after_ack = None;
        self.retry = None;
        self.client = None;
        self.state = State::Over;
        if !was_ending {
            out.push(Out::Event(Event::Ended(Ending::Bye)));
        }
    }

    fn refuse_open_server(&mut self, out: &mut Vec<Out>) {
        self.refuse_refer(487, out);
        if let Some(open) = self.server.take() {
            self.respond(&open, 487, out);
        }
    }
}
