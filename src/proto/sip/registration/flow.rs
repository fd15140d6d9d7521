//! Keeping the way to us open: a NAT between us and a carrier forgets a flow of datagrams that nobody uses.

use std::time::Duration;

use crate::proto::nat::stun;
use crate::proto::sip::transport::{Flow, Transport};
use crate::proto::time::Instant;
use crate::proto::token::Tokens;

/// What goes out where nobody promised an answer: SIP passes over line ends before a message (RFC 3261 §7.5).
const LINE_ENDS: &[u8] = b"\r\n\r\n";
/// STUN requests in a row without an answer after which the flow is broken.
const UNANSWERED_MAX: u32 = 3;
/// The pause before an unanswered one is sent again.
const AGAIN: Duration = Duration::from_secs(2);

/// The pings of one flow. Streams have none of these: who serves the connection pings it.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    every: Duration,
    next_at: Option<Instant>,
    /// The carrier keeps flows (RFC 5626 §5.4), so it answers STUN on them.
    is_answered: bool,
    /// The request that waits for its answer.
    open: Option<[u8; 12]>,
    unanswered: u32,
    /// Where the carrier sees us.
    seen: Option<std::net::SocketAddr>,
}

impl Pulse {
    /// The pings of a flow that was just registered.
    pub(super) fn new(now: Instant, flow: &Flow, every: Duration, is_answered: bool) -> Self {
        let has_pings = flow.transport == Transport::Udp && !every.is_zero();
        Self { every, next_at: has_pings.then(|| now + every), is_answered, ..Self::default() }
    }

    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        self.next_at
    }

    /// What is to be sent now, if anything.
    ///
    /// # Errors
    ///
    /// The flow is broken; the words say why.
    pub(super) fn beat(
        &mut self,
        now: Instant,
        tokens: &mut Tokens,
    ) -> Result<Option<Vec<u8>>, &'static str> {
        if self.next_at.is_none_or(|at| at > now) {
            return Ok(None);
        }
        if !self.is_answered {
            self.next_at = Some(now + self.every);
            return Ok(Some(LINE_ENDS.to_vec()));
        }
        if self.unanswered >= UNANSWERED_MAX {
            return Err("the carrier no longer answers on the flow");
        }
        let mut id = [0; 12];
        let drawn =
            tokens.next_u64().to_be_bytes().into_iter().chain(tokens.next_u64().to_be_bytes());
        for (byte, chance) in id.iter_mut().zip(drawn) {
            *byte = chance;
        }
        self.open = Some(id);
        self.unanswered += 1;
        self.next_at = Some(now + AGAIN);
        Ok(Some(stun::binding_request(id)))
    }

    /// Is this the answer to our ping?
    ///
    /// # Errors
    ///
    /// It says that the NAT has given us another address: the carrier calls one that is not ours any more.
    pub(super) fn pong(&mut self, now: Instant, bytes: &[u8]) -> Result<bool, &'static str> {
        let Some(seen) = self.open.and_then(|id| stun::mapped_address(bytes, id)) else {
            return Ok(false);
        };
        self.open = None;
        self.unanswered = 0;
        self.next_at = Some(now + self.every);
        if self.seen.replace(seen).is_some_and(|before| before != seen) {
            return Err("the NAT gave us another address");
        }
        Ok(true)
    }
}
