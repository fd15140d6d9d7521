//! Reliable provisional responses as the server of an INVITE (RFC 3262 §3): one at a time, repeated until
//! PRACK comes.

use std::collections::VecDeque;

use super::*;

/// Provisional responses that wait for the PRACK of the one before. With more, the new one is left out: the
/// peer hears of the call's progress by those that are there.
const WAITING_MAX: usize = 8;

/// When provisional responses are sent and asked for reliably.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reliable {
    /// Never: `Require: 100rel` is refused with 420.
    No,
    /// Where the peer requires it, in its INVITE or by 421.
    #[default]
    WhenRequired,
    /// Wherever the peer supports it; our own INVITEs say that we do.
    WhenSupported,
}

impl Reliable {
    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::WhenRequired => "when_required",
            Self::WhenSupported => "when_supported",
        }
    }

    /// Is an INVITE that this peer sent answered reliably?
    fn is_for(self, request: &Message) -> bool {
        let requires = || request.lists(HeaderName::Require, "100rel");
        match self {
            Self::No => false,
            Self::WhenRequired => requires(),
            Self::WhenSupported => requires() || request.lists(HeaderName::Supported, "100rel"),
        }
    }
}

/// A reliable response that waits for its PRACK.
#[derive(Debug)]
struct Unpracked {
    rseq: u32,
    status: u16,
    packet: Packet,
    has_sdp: bool,
    /// Never again once the final response was sent.
    resend_at: Option<Instant>,
    interval: Duration,
    give_up_at: Instant,
}

/// What a server knows of its provisional responses.
#[derive(Debug, Default)]
pub(super) struct Provisionals {
    /// Are they reliable?
    is_on: bool,
    /// The number of the last one; zero before the first.
    rseq: u32,
    unpracked: Option<Unpracked>,
    waiting: VecDeque<(u16, Option<Vec<u8>>)>,
    /// A description was given to be sent: the only one that the INVITE gets.
    has_sdp: bool,
    /// It was sent.
    has_sent_sdp: bool,
    /// It was acknowledged: offer and answer are complete.
    is_settled: bool,
    /// The call was answered: the 2xx waits for a PRACK.
    is_withheld: bool,
    /// The early dialog, from the first request in it on.
    pub(super) dialog: Option<Dialog>,
}

impl Provisionals {
    pub(super) fn new(reliable: Reliable, request: &Message) -> Self {
        Self { is_on: reliable.is_for(request), ..Self::default() }
    }

    /// Are the INVITE's offer and answer complete, and known to be?
    pub(super) const fn is_settled(&self) -> bool {
        self.is_settled
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let unpracked = self.unpracked.as_ref()?;
        unpracked.resend_at.map(|at| at.min(unpracked.give_up_at))
    }

    /// Nothing is repeated and nothing follows any more; a PRACK that is under way still finds its response.
    pub(super) fn stop(&mut self) {
        self.waiting.clear();
        self.is_withheld = false;
        if let Some(unpracked) = &mut self.unpracked {
            unpracked.resend_at = None;
        }
    }
}

impl Session {
    /// Are our provisional responses acknowledged by PRACK?
    #[must_use]
    pub const fn is_reliable(&self) -> bool {
        self.provisionals.is_on
    }

    /// Has a description been given to a reliable response? Then the 2xx carries none (RFC 6337 §3.1.1).
    #[must_use]
    pub const fn has_early_sdp(&self) -> bool {
        self.provisionals.has_sdp
    }

    pub(super) fn progress_reliably(
        &mut self,
        now: Instant,
        status: u16,
        body: Option<&[u8]>,
        out: &mut Vec<Out>,
    ) {
        let provisionals = &mut self.provisionals;
        // One description is all that it may have.
        let body = body.filter(|_| !provisionals.has_sdp);
        provisionals.has_sdp |= body.is_some();
        if provisionals.is_withheld {
            return;
        }
        let Some(unpracked) = &provisionals.unpracked else {
            return self.send_reliably(now, status, body, out);
        };
        let last = provisionals.waiting.back().map_or(unpracked.status, |(status, _)| *status);
        let is_news = body.is_some() || last != status;
        if is_news && (body.is_some() || provisionals.waiting.len() < WAITING_MAX) {
            provisionals.waiting.push_back((status, body.map(<[u8]>::to_vec)));
        }
    }

    fn send_reliably(
        &mut self,
        now: Instant,
        status: u16,
        body: Option<&[u8]>,
        out: &mut Vec<Out>,
    ) {
        if self.provisionals.rseq == 0 {
            // Far enough from 2^31 - 1 that it never wraps (§3).
            let first = self.tokens.below((1 << 31) - (1 << 16));
            self.provisionals.rseq = u32::try_from(first).unwrap_or(0);
        }
        self.provisionals.rseq += 1;
        let rseq = self.provisionals.rseq;
        let Some(open) = &self.server else { return };
        let headers = [
            (HeaderName::Require, "100rel".to_owned()),
            (HeaderName::RSeq, rseq.to_string()),
            (HeaderName::Allow, ALLOW.to_owned()),
        ];
        let packet = self.response(open, status, reason_phrase(status), &headers).finish_sdp(body);
        let timers = self.setting.timers;
        out.push(Out::Respond { server: open.server, status, packet: packet.clone() });
        self.provisionals.has_sent_sdp |= body.is_some();
        self.provisionals.unpracked = Some(Unpracked {
            rseq,
            status,
            packet,
            has_sdp: body.is_some(),
            resend_at: Some(now + timers.t1),
            interval: timers.t1,
            give_up_at: now + timers.give_up(),
        });
    }

    /// Repeats what was not acknowledged: after T1, then twice as long each time, over any transport; after
    /// 64 T1 the INVITE is refused (§3).
    pub(super) fn resend_unpracked(&mut self, now: Instant, out: &mut Vec<Out>) {
        let Some(unpracked) = &mut self.provisionals.unpracked else { return };
        let Some(resend_at) = unpracked.resend_at else { return };
        if unpracked.give_up_at <= now {
            out.push(Out::Event(Event::Ended(Ending::NoPrack)));
            return self.reject(504, reason_phrase(504), &[], out);
        }
        if resend_at <= now {
            unpracked.interval *= 2;
            unpracked.resend_at = Some(now + unpracked.interval);
            let (status, packet) = (unpracked.status, unpracked.packet.clone());
            if let Some(open) = &self.server {
                out.push(Out::Respond { server: open.server, status, packet });
            }
        }
    }

    /// A PRACK: it names the response and the INVITE (§7.2).
    pub(super) fn receive_prack(&mut self, now: Instant, open: OpenServer, out: &mut Vec<Out>) {
        let named = open.request.text(HeaderName::RAck).and_then(|text| numbers(&text));
        let invite = self.invite_cseq;
        let Some(unpracked) = self
            .provisionals
            .unpracked
            .take_if(|unpracked| named == Some((unpracked.rseq, invite)))
        else {
            return self.respond(&open, 481, out);
        };
        let body = open.request.sdp().map(<[u8]>::to_vec);
        if unpracked.has_sdp && !self.has_offer {
            self.provisionals.is_settled = true;
            self.respond(&open, 200, out);
            out.push(Out::Event(Event::EarlyAnswer { body }));
        } else {
            self.provisionals.is_settled |= unpracked.has_sdp;
            // The 2xx may have overtaken it, and either side have offered something since.
            let is_late = self.state != State::Incoming;
            match body {
                None => self.respond(&open, 200, out),
                Some(_) if is_late && (self.server.is_some() || self.client.is_some()) => {
                    self.respond(&open, 491, out)
                }
                Some(body) if self.provisionals.is_settled => {
                    self.take_early_offer(open, body, out)
                }
                // Its first offer has no answer yet: the response is acknowledged all the same.
                Some(_) => self.respond(&open, 488, out),
            }
        }
        if self.state != State::Incoming {
            return;
        }
        if std::mem::take(&mut self.provisionals.is_withheld) {
            self.accept_now(now, None, out);
        } else if let Some((status, body)) = self.provisionals.waiting.pop_front() {
            self.send_reliably(now, status, body.as_deref(), out);
        }
    }

    /// Answers the INVITE now, or when the description that it already has was acknowledged: a 2xx must not
    /// overtake it (§3).
    pub(super) fn accept_or_wait(&mut self, now: Instant, body: Option<&[u8]>, out: &mut Vec<Out>) {
        let provisionals = &mut self.provisionals;
        provisionals.waiting.clear();
        if provisionals.unpracked.as_ref().is_some_and(|unpracked| unpracked.has_sdp) {
            provisionals.is_withheld = true;
            return;
        }
        let body = body.filter(|_| !provisionals.has_sent_sdp);
        provisionals.stop();
        self.accept_now(now, body, out);
    }
}

/// The numbers of a RAck: `RSeq CSeq INVITE`.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let mut words = text.split_ascii_whitespace();
    let (rseq, cseq, method) = (words.next()?, words.next()?, words.next()?);
    let is_whole = method == "INVITE" && words.next().is_none();
    is_whole.then_some((rseq.parse().ok()?, cseq.parse().ok()?))
}
