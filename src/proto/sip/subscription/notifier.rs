//! One subscription at its notifier (RFC 6665 §4.2): its dialog, its time, and the NOTIFY that is under way.

use super::{EventHeader, Reason};
use crate::proto::sip::dialog::{Dialog, OutOfOrder};
use crate::proto::sip::endpoint::ClientKey;
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::values::CSEQ_MAX;
use crate::proto::sip::message::{Message, Packet};
use crate::proto::sip::method::Method;
use crate::proto::sip::transport::{Dest, Flow};
use crate::proto::time::{Instant, Wall};

/// 2025-01-01 00:00:00 UTC, in microseconds: from it to the largest CSeq number are 68 years.
const CSEQ_EPOCH: i64 = 1_735_689_600_000_000;
/// CSeq numbers that are left for the NOTIFYs of one subscription.
const CSEQ_ROOM: i64 = 1 << 24;

/// What becomes of a subscription after an answer to its NOTIFY.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It goes on.
    Lives,
    /// The subscriber knows nothing of it: it is to be forgotten without a word.
    Gone,
}

/// A subscription. There is never more than one NOTIFY of it without an answer.
#[derive(Debug)]
pub struct Notifier {
    dialog: Dialog,
    event: EventHeader,
    expires_at: Instant,
    /// The NOTIFY that is not answered yet.
    open: Option<ClientKey>,
    ending: Option<Reason>,
    /// The number of the next document.
    version: u32,
}

impl Notifier {
    /// The subscription that our 200 with this tag makes of a SUBSCRIBE; `None` without From or To.
    ///
    /// Its CSeq numbers begin at the seconds of the wall clock: a subscriber that keeps its Call-ID over a
    /// restart of ours never sees them go back (RFC 3261 §12.2.2), unless it got more than one NOTIFY in
    /// every second of its life.
    #[must_use]
    pub fn new(
        request: &Message,
        tag: &str,
        contact: &str,
        flow: Flow,
        event: EventHeader,
        (wall, expires_at): (Wall, Instant),
    ) -> Option<Self> {
        let mut dialog = Dialog::from_request(request, tag, contact, Some(flow))?;
        let seconds = wall.0.saturating_sub(CSEQ_EPOCH) / 1_000_000;
        // A machine that lost its clock is back in 1970.
        let seconds = seconds.max(0) % (i64::from(CSEQ_MAX) - CSEQ_ROOM);
        dialog.local_cseq = u32::try_from(seconds).unwrap_or(0);
        Some(Self { dialog, event, expires_at, open: None, ending: None, version: 0 })
    }

    /// Call-ID and our tag: what its dialog is found by.
    #[must_use]
    pub fn key(&self) -> (String, String) {
        (self.dialog.call_id.clone(), self.dialog.local_tag.clone())
    }

    /// When it ends unless it is refreshed.
    #[must_use]
    pub const fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// The address that the subscriber's messages came from last.
    #[must_use]
    pub const fn flow(&self) -> Option<Flow> {
        self.dialog.flow()
    }

    /// The number of the next document.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Is a NOTIFY on its way?
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.open.is_some()
    }

    /// Will the next NOTIFY be the last?
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Is this SUBSCRIBE of this subscription? Its dialog has been found by Call-ID and our tag.
    #[must_use]
    pub fn is_asked_by(&self, request: &Message) -> bool {
        let is_same = EventHeader::of(request).is_some_and(|event| event.is_same(&self.event));
        is_same && self.ending.is_none() && self.dialog.matches(request)
    }

    /// Takes in a further SUBSCRIBE: its place in the order, the way it came, and its Contact, because it
    /// refreshes the target (RFC 6665 §4.4.1).
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`]: answer 500.
    pub fn receive(&mut self, request: &Message, flow: Flow) -> Result<(), OutOfOrder> {
        self.dialog.receive(request, flow)?;
        self.dialog.follow(flow);
        self.dialog.refresh_target(request);
        Ok(())
    }

    /// It has until then now.
    pub const fn renew(&mut self, expires_at: Instant) {
        self.expires_at = expires_at;
    }

    /// The next NOTIFY is the last one, and says why; the first reason stays.
    pub fn end(&mut self, reason: Reason) {
        self.ending.get_or_insert(reason);
    }

    /// Writes a NOTIFY with this state of what is watched. `None` if there is no way to the subscriber.
    pub fn notify(
        &mut self,
        now: Instant,
        client: ClientKey,
        user_agent: &str,
        (content_type, body): (&str, &str),
    ) -> Option<(Dest, Packet)> {
        let dest = self.dialog.dest()?;
        let mut builder = self.dialog.request(&Method::Notify, None);
        builder.add(HeaderName::Event, &self.event);
        match self.ending {
            Some(reason) => builder
                .add(HeaderName::SubscriptionState, format_args!("terminated;reason={reason}")),
            None => {
                let left = self.expires_at.since(now).as_secs();
                builder.add(HeaderName::SubscriptionState, format_args!("active;expires={left}"));
            }
        }
        builder.add(HeaderName::UserAgent, user_agent);
        self.version = self.version.wrapping_add(1);
        self.open = Some(client);
        Some((dest, builder.finish_with(content_type, body.as_bytes())))
    }

    /// The subscriber answered the NOTIFY that is under way.
    ///
    /// A refusal ends the subscription (RFC 6665 §4.2.2), unless it says when to come again. 408 and 504 are
    /// said by proxies for silence, with which the subscription stays, and 500 and 503 of this one request
    /// (RFC 5057 §5.1).
    pub fn answered(&mut self, response: &Message) -> Fate {
        if response.status() < 200 {
            return Fate::Lives;
        }
        self.open = None;
        match response.status() {
            200..=299 | 408 | 500 | 503 | 504 => Fate::Lives,
            _ if response.has(HeaderName::RetryAfter) => Fate::Lives,
            _ => Fate::Gone,
        }
    }

    /// The NOTIFY that is under way got no answer, or could not be sent: the subscriber keeps what it has
    /// until its time is over. True if the way that it came is broken, and there is another to its Contact.
    pub fn unanswered(&mut self, is_broken: bool) -> bool {
        self.open = None;
        is_broken && self.dialog.forget_flow()
    }
}
