//! INFO inside a dialog (RFC 6086): digits, and the empty one that keeps a session alive; OPTIONS there, and
//! what the peer allows.
//!
//! No info package is served. Digits come in the two forms that phones had before there were packages.

use std::collections::VecDeque;

use super::*;

/// What INFO may carry, for `Accept`.
const ACCEPTED: &str = "application/dtmf-relay, application/dtmf";
/// The length of a digit that does not say: what most phones press.
const DURATION_MS: u32 = 160;
/// The longest digit that is believed; a longer one counts as this long.
const DURATION_MS_MAX: u32 = 10_000;

/// A digit by INFO.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digit {
    /// `0` to `9`, `*`, `#`, `A` to `D`, or `!` for a flash of the hook.
    pub signal: char,
    /// How long it was pressed, in milliseconds.
    pub duration_ms: u32,
    /// Is it `application/dtmf-relay`, which says so? Else `application/dtmf`.
    pub is_relay: bool,
}

impl std::fmt::Debug for Digit {
    /// Digits are often PINs: which one it is does not show.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digit({} ms)", self.duration_ms)
    }
}

impl Digit {
    /// Reads the body of an INFO. `None` if it holds no digit, or more than one.
    #[must_use]
    pub fn parse(is_relay: bool, body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut found = Self { signal: '\0', duration_ms: DURATION_MS, is_relay };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once('=').unwrap_or(("signal", line));
            let value = value.trim();
            if name.trim().eq_ignore_ascii_case("signal") {
                if found.signal != '\0' {
                    return None;
                }
                found.signal = signal(value)?;
            } else if name.trim().eq_ignore_ascii_case("duration") {
                found.duration_ms = value.parse::<u32>().ok()?.min(DURATION_MS_MAX);
            }
        }
        (found.signal != '\0').then_some(found)
    }

    fn body(self) -> String {
        match self {
            Self { signal, duration_ms, is_relay: true } => {
                format!("Signal={signal}\r\nDuration={duration_ms}\r\n")
            }
            Self { signal, .. } => format!("{signal}\r\n"),
        }
    }
}

/// A key by its face, or by its number in RFC 4733 §3.2 where that has two digits.
fn signal(value: &str) -> Option<char> {
    let mut chars = value.chars();
    match (chars.next()?, chars.next()) {
        (key, None) => {
            let key = key.to_ascii_uppercase();
            matches!(key, '0'..='9' | '*' | '#' | 'A'..='D' | '!').then_some(key)
        }
        _ => match value {
            "10" => Some('*'),
            "11" => Some('#'),
            "12" => Some('A'),
            "13" => Some('B'),
            "14" => Some('C'),
            "15" => Some('D'),
            "16" => Some('!'),
            _ => None,
        },
    }
}

/// The digits on their way to a peer: one at a time, because a lost INFO that is repeated behind the next one has a
/// CSeq that is refused (RFC 3261 §12.2.2).
#[derive(Debug, Default)]
pub(super) struct Digits {
    open: Option<(ClientKey, Digit)>,
    waiting: VecDeque<Digit>,
}

/// Digits that wait for the answer to the one before. When it is full a further one is not passed on, and the
/// timeline says so.
const DIGITS_MAX: usize = 32;

impl Session {
    pub(super) fn receive_info(&self, open: &OpenServer, out: &mut Vec<Out>) {
        let request = &open.request;
        if request.has(HeaderName::InfoPackage) {
            let headers = [(HeaderName::RecvInfo, "nil".to_owned())];
            return self.respond_with(open, 469, &headers, out);
        }
        // The record key of desk phones, which no RFC has.
        let wanted = request.text(HeaderName::Record).unwrap_or_default();
        let is_on = wanted.trim().eq_ignore_ascii_case("on");
        if is_on || wanted.trim().eq_ignore_ascii_case("off") {
            self.respond(open, 200, out);
            return out.push(Out::Event(Event::RecordKey(is_on)));
        }
        if request.body().is_empty() {
            return self.respond(open, 200, out);
        }
        let content_type = request.text(HeaderName::ContentType).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        let is_relay = match media_type.as_str() {
            "application/dtmf-relay" => true,
            "application/dtmf" => false,
            _ => {
                let headers = [(HeaderName::Accept, ACCEPTED.to_owned())];
                return self.respond_with(open, 415, &headers, out);
            }
        };
        let Some(digit) = Digit::parse(is_relay, request.body()) else {
            return self.respond(open, 400, out);
        };
        self.respond(open, 200, out);
        out.push(Out::Event(Event::Digit(digit)));
    }

    /// Sends the peer a digit, behind those that it has not answered yet; false if it is not known to take INFO, or is
    /// too far behind.
    pub fn send_digit(&mut self, digit: Digit, out: &mut Vec<Out>) -> bool {
        if self.state != State::Established || !self.peer_allows_info {
            return false;
        }
        if self.digits.open.is_none() {
            return self.send_info(digit, out);
        }
        let has_room = self.digits.waiting.len() < DIGITS_MAX;
        if has_room {
            self.digits.waiting.push_back(digit);
        }
        has_room
    }

    fn send_info(&mut self, digit: Digit, out: &mut Vec<Out>) -> bool {
        let Some(dialog) = self.dialog.as_mut() else { return false };
        let Some(dest) = dialog.dest() else { return false };
        let uri = dialog.request_uri();
        let mut builder = dialog.request(&Method::Info, None);
        builder.add(HeaderName::UserAgent, &self.setting.user_agent);
        let body = digit.body();
        self.add_credentials(&Method::Info, &uri, Some(body.as_bytes()), &mut builder);
        let kind = if digit.is_relay { "application/dtmf-relay" } else { "application/dtmf" };
        let request = builder.finish_with(kind, body.as_bytes());
        let client = ClientKey(self.tokens.next_u64());
        self.digits.open = Some((client, digit));
        out.push(Out::Send { client, dest, method: Method::Info, request });
        true
    }

    /// What became of an INFO of ours, if it is one: answered, or over without an answer. A challenge is met; whatever
    /// else is said changes nothing, and the next digit goes.
    pub(super) fn is_digit_answered(
        &mut self,
        response: Option<&Message>,
        client: ClientKey,
        out: &mut Vec<Out>,
    ) -> bool {
        let Some((_, digit)) = self.digits.open.take_if(|(open, _)| *open == client) else {
            return false;
        };
        if response.is_some_and(|response| response.status() < 200) {
            self.digits.open = Some((client, digit));
            return true;
        }
        if self.state != State::Established {
            self.digits.waiting.clear();
            return true;
        }
        let again = response.is_some_and(|response| self.is_challenge_met(response));
        let next = if again { Some(digit) } else { self.digits.waiting.pop_front() };
        if let Some(next) = next {
            self.send_info(next, out);
        }
        true
    }

    /// OPTIONS inside a dialog: what could be done in it (RFC 3261 §11.2).
    pub(super) fn receive_options(&self, open: &OpenServer, out: &mut Vec<Out>) {
        let headers = [
            (HeaderName::Allow, ALLOW.to_owned()),
            (HeaderName::Accept, format!("application/sdp, {ACCEPTED}")),
            (HeaderName::Supported, self.supported().to_owned()),
        ];
        self.respond_with(open, 200, &headers, out);
    }

    pub(super) fn note_allow(&mut self, message: &Message) {
        if message.has(HeaderName::Allow) {
            self.peer_allows_update = message.lists(HeaderName::Allow, "UPDATE");
            self.peer_allows_info = message.lists(HeaderName::Allow, "INFO");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_is_read_in_the_forms_that_phones_write() {
        let read = |is_relay, body: &str| {
            Digit::parse(is_relay, body.as_bytes()).map(|digit| (digit.signal, digit.duration_ms))
        };
        for (is_relay, body, digit) in [
            (true, "Signal=5\r\nDuration=250\r\n", Some(('5', 250))),
            (true, "signal= #\nduration = 99999999", Some(('#', 10_000))),
            (true, "Signal=10", Some(('*', 160))),
            (true, "Signal=16", Some(('!', 160))),
            (false, "7", Some(('7', 160))),
            (false, "d\r\n", Some(('D', 160))),
            (false, "Signal=*", Some(('*', 160))),
            (false, "", None),
            (false, "17", None),
            (false, "x", None),
            (true, "Duration=160", None),
            (true, "Signal=1\nSignal=2", None),
            (true, "Signal=1\nDuration=long", None),
        ] {
            assert_eq!(read(is_relay, body), digit, "{body:?}");
        }
        assert!(Digit::parse(true, b"Signal=\xff").is_none());
    }
}
