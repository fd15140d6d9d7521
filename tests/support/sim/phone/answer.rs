//! What a test phone answers.

use super::*;

impl Phone {
    /// Has the peer acknowledged what this phone answered in a call? It may not hang up before (RFC 3261 §15).
    pub fn is_acknowledged(&self, call: usize) -> bool {
        let call_id = &self.calls[call].call_id;
        !self.repeats.iter().any(|repeat| repeat.call_id == *call_id)
    }

    /// Answers the open request of a call.
    pub fn say(&mut self, now: u64, call: usize, reply: &Reply) {
        let Some(open) = self.calls[call].open.clone() else { return };
        let body = match &reply.body {
            Body::None => String::new(),
            Body::Text(text) => text.clone(),
            Body::Auto if open.body.is_empty() => self.offer(call),
            Body::Auto => self.answer_to(call, &open.body),
        };
        let is_invite = open.method() == "INVITE";
        let text = self.write_response(&open, reply, &self.calls[call].local_tag.clone(), &body);
        self.out.push(text.clone());
        self.answered.insert(key(&open), Some(text.clone()));
        let state = &mut self.calls[call];
        if reply.status < 200 {
            return;
        }
        if reply.status < 300 && reply.tag.is_none() {
            state.remote_sdp =
                if open.body.is_empty() { state.remote_sdp.clone() } else { open.body.clone() };
        }
        if reply.tag.is_none() {
            state.open = None;
            if is_invite && state.state == State::Incoming {
                state.status = reply.status;
                state.state = if reply.status < 300 { State::Up } else { State::Over };
            }
        }
        if is_invite {
            self.repeats.push(Repeat {
                call_id: open.call_id().to_owned(),
                cseq: open.cseq(),
                text,
                again_at: if self.habits.repeats { now + T1 } else { u64::MAX },
                interval: T1,
                until: now + 64 * T1,
            });
        }
    }

    pub(super) fn write_response(
        &self,
        request: &Text,
        reply: &Reply,
        tag: &str,
        body: &str,
    ) -> String {
        let mut out = format!("SIP/2.0 {} Said So\r\n", reply.status);
        for via in request.all("Via") {
            out += &format!("Via: {via}\r\n");
        }
        for route in request.all("Record-Route") {
            out += &format!("Record-Route: {route}\r\n");
        }
        let tag = reply.tag.as_deref().unwrap_or(tag);
        let to = request.get("To");
        let to =
            if request.tag_of_to().is_empty() { format!("{to};tag={tag}") } else { to.to_owned() };
        let contact = match reply.contact.as_deref() {
            Some("") => String::new(),
            Some(contact) => format!("Contact: {contact}\r\n"),
            None => format!("Contact: {}\r\n", self.contact()),
        };
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        out += &format!(
            "From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{contact}{}{content}Content-Length: {}\r\n\r\n{body}",
            request.get("From"),
            request.call_id(),
            request.get("CSeq"),
            reply.headers,
            body.len()
        );
        out
    }
}
