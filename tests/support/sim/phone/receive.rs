//! What a test phone does with what it gets.

use super::*;
use crate::sim::carrier::Take;

impl Phone {
    pub fn receive(&mut self, now: u64, bytes: &[u8]) {
        if bytes.trim_ascii().is_empty() || bytes.starts_with(&[0, 1]) {
            return self.pings.push((now, bytes.to_vec()));
        }
        let text = Text::read(bytes);
        self.got.push((now, text.clone()));
        if let Some(carrier) = &mut self.carrier {
            carrier.note(now, &text, true);
        }
        if text.is_request() {
            self.receive_request(now, text);
        } else {
            self.receive_response(now, &text);
        }
    }

    fn call_of(&self, text: &Text, our_tag: &str) -> Option<usize> {
        self.calls
            .iter()
            .position(|call| call.call_id == text.call_id() && call.local_tag == our_tag)
    }

    fn receive_request(&mut self, now: u64, text: Text) {
        if text.is("ACK") {
            self.repeats.retain(|r| r.call_id != text.call_id() || r.cseq != text.cseq());
            if let Some(call) = self.call_of(&text, &text.tag_of_to())
                && !text.body.is_empty()
            {
                self.calls[call].remote_sdp.clone_from(&text.body);
            }
            return;
        }
        match self.answered.get(&key(&text)) {
            Some(Some(again)) => return self.out.push(again.clone()),
            Some(None) => return,
            None => {}
        }
        self.answered.insert(key(&text), None);
        match self.carrier.as_mut().map_or(Take::Usual, |carrier| carrier.take(&text)) {
            Take::Usual => {}
            Take::Ignore => return,
            Take::Say(reply) => return self.reply_now(now, &text, &reply),
        }
        let instead = self.habits.on_method.iter().position(|(method, _)| *method == text.method());
        if let Some(index) = instead {
            let (_, reply) = self.habits.on_method.remove(index);
            return self.reply_now(now, &text, &reply);
        }
        let call = self.call_of(&text, &text.tag_of_to());
        match (text.method(), call) {
            ("INVITE", None) if text.tag_of_to().is_empty() => self.incoming(now, text),
            ("INVITE" | "UPDATE", Some(call)) => {
                self.calls[call].open = Some(text);
                if let Some(reply) = self.habits.on_modify.clone() {
                    self.say(now, call, &reply);
                }
            }
            ("CANCEL", _) => self.cancelled(now, &text),
            ("BYE", Some(call)) if self.habits.answers => {
                self.calls[call].state = State::Over;
                self.reply_now(now, &text, &Reply::status(200));
            }
            _ if self.habits.answers => self.reply_now(now, &text, &Reply::status(200)),
            _ => {}
        }
    }

    fn reply_now(&mut self, now: u64, request: &Text, reply: &Reply) {
        if request.is("INVITE")
            && let Some(call) = self.call_of(request, &request.tag_of_to())
        {
            self.calls[call].open = Some(request.clone());
            return self.say(now, call, reply);
        }
        let out = self.write_response(request, reply, "stray", "");
        self.answered.insert(key(request), Some(out.clone()));
        self.out.push(out);
    }

    fn incoming(&mut self, now: u64, text: Text) {
        let tag = self.fresh("tag");
        let call = PhoneCall {
            call_id: text.call_id().to_owned(),
            local_tag: tag,
            remote_tag: text.tag_of_from(),
            local: text.get("To").to_owned(),
            remote: text.get("From").split(";tag=").next().unwrap_or("").to_owned(),
            target: uri_of(text.get("Contact")),
            routes: text.all("Record-Route").map(str::to_owned).collect(),
            cseq: 100,
            is_caller: false,
            state: State::Incoming,
            remote_sdp: text.body.clone(),
            open: Some(text),
            invite: None,
            status: 0,
            form: TALK,
            settled: TALK,
            local_sdp: String::new(),
            version: 0,
        };
        let is_spoken = self.shares_a_codec(&call.remote_sdp);
        self.calls.push(call);
        let index = self.last_index();
        if !is_spoken {
            return self.due.push((now + 20_000, index, Reply::status(488)));
        }
        for (after, reply) in self.habits.on_invite.clone() {
            self.due.push((now + after * 1000, index, reply));
        }
    }

    fn cancelled(&mut self, now: u64, text: &Text) {
        if !self.habits.answers_cancel {
            return;
        }
        let open = self.calls.iter().position(|call| {
            call.open
                .as_ref()
                .is_some_and(|open| open.is("INVITE") && open.branch() == text.branch())
        });
        self.reply_now(now, text, &Reply::status(if open.is_some() { 200 } else { 481 }));
        if let Some(call) = open {
            self.due.retain(|(_, due, _)| *due != call);
            self.say(now, call, &Reply::status(487));
        }
    }

    fn receive_response(&mut self, now: u64, text: &Text) {
        if let Some(ack) = self.acks.get(&format!("{}{}", text.branch(), text.tag_of_to()))
            && text.status() >= 200
        {
            return self.out.push(ack.clone());
        }
        let Some(index) = self.pending.iter().position(|p| p.branch == text.branch()) else {
            return;
        };
        if text.method() == "CANCEL" {
            return;
        }
        if text.status() < 200 {
            if text.method() == "INVITE" {
                self.pending[index].again_at = u64::MAX;
                self.pending[index].until = u64::MAX;
                if let Some(call) = self.pending[index].ask.call
                    && !text.body.is_empty()
                {
                    self.calls[call].remote_sdp.clone_from(&text.body);
                }
                if let Some(call) = self.pending[index].ask.call
                    && self.calls[call].state == State::Calling
                {
                    self.calls[call].remote_tag = text.tag_of_to();
                }
                if let Some(call) = self.pending[index].ask.call
                    && self.habits.pracks
                    && text.has("RSeq")
                {
                    self.prack(now, call, text);
                }
            }
            return;
        }
        let pending = self.pending.remove(index);
        if pending.ask.method == "INVITE" {
            self.acknowledge(text, &pending.ask);
        }
        if matches!(text.status(), 401 | 407)
            && pending.ask.tries == 0
            && self.habits.logs_in
            && let Some((header, challenge)) = md5_challenge(text)
        {
            return self.again(now, pending.ask, header, &challenge);
        }
        if text.status() == 491
            && let Some(ms) = self.habits.again_after_491
        {
            return self.later.push((now + ms * 1000, pending.ask));
        }
        if let Some(call) = pending.ask.call
            && matches!(pending.ask.method.as_str(), "INVITE" | "UPDATE")
        {
            // What was refused is not so.
            let call = &mut self.calls[call];
            match text.status() {
                200..300 => call.settled = call.form,
                _ => call.form = call.settled,
            }
        }
        if let Some(call) = pending.ask.call
            && pending.ask.method == "INVITE"
            && self.calls[call].state == State::Calling
        {
            self.calls[call].status = text.status();
            self.calls[call].state = if text.status() < 300 { State::Up } else { State::Over };
        }
    }

    /// Acknowledges a reliable 18x once, with an answer if it is an offer.
    fn prack(&mut self, now: u64, call: usize, text: &Text) {
        let rack = format!("RAck: {} {} INVITE\r\n", text.get("RSeq"), text.cseq());
        let once = format!("{}{rack}", text.call_id());
        if self.pracked.contains(&once) {
            return;
        }
        self.pracked.push(once);
        self.calls[call].remote_tag = text.tag_of_to();
        self.calls[call].target = uri_of(text.get("Contact"));
        let is_late = self.calls[call].invite.as_ref().is_some_and(|invite| invite.body.is_empty());
        let body = if is_late && !text.body.is_empty() {
            self.answer_to(call, &text.body)
        } else {
            String::new()
        };
        self.in_dialog(now, call, "PRACK", &rack, body);
    }

    fn again(&mut self, now: u64, mut ask: Ask, header: &str, challenge: &str) {
        self.nonce_count += 1;
        let login = Login {
            user: if self.login.is_empty() { &self.user } else { &self.login },
            secret: &self.secret,
            method: &ask.method,
            uri: &ask.uri,
            nc: self.nonce_count,
        };
        let credentials = login.answer(challenge);
        ask.headers += &format!("{header}: {credentials}\r\n");
        ask.tries += 1;
        ask.cseq += 1;
        if let Some(call) = ask.call {
            self.calls[call].cseq = ask.cseq;
        } else {
            self.counter = self.counter.max(ask.cseq);
        }
        self.ask(now, ask);
    }

    fn acknowledge(&mut self, text: &Text, ask: &Ask) {
        let Some(call) = ask.call else { return };
        let is_ok = text.status() < 300;
        let mut body = String::new();
        let mut uri = ask.uri.clone();
        if is_ok {
            let is_first = self.calls[call].state == State::Calling;
            let state = &mut self.calls[call];
            state.remote_tag = text.tag_of_to();
            if text.has("Contact") {
                state.target = uri_of(text.get("Contact"));
            }
            if is_first {
                state.routes = text.all("Record-Route").map(str::to_owned).collect();
                state.routes.reverse();
            }
            state.remote_sdp.clone_from(&text.body);
            uri.clone_from(&state.target);
            if ask.body.is_empty() && self.habits.answers_in_ack && !text.body.is_empty() {
                body = self.answer_to(call, &text.body);
            }
        }
        if !self.habits.acks {
            return;
        }
        let branch = if is_ok { self.fresh("z9hG4bK") } else { text.branch() };
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let routes: String = match is_ok {
            true => self.calls[call].routes.iter().map(|r| format!("Route: {r}\r\n")).collect(),
            false => String::new(),
        };
        let ack = format!(
            "ACK {uri} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\n{routes}From: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} ACK\r\n{content}Content-Length: {}\r\n\r\n{body}",
            self.via(&branch),
            text.get("From"),
            text.get("To"),
            text.call_id(),
            text.cseq(),
            body.len()
        );
        self.acks.insert(format!("{}{}", text.branch(), text.tag_of_to()), ack.clone());
        self.out.push(ack);
    }
}
