//! Who watches what (RFC 6665): every subscription to us, and what its subscriber has been told.
//!
//! It is a machine of the switchboard's. A subscriber is sent the whole state, once for each change; while a
//! NOTIFY is not answered nothing is sent to it, and the newest state goes when it is.
//!
//! Subscriptions do not outlive the daemon. A refresh of a lost one is answered 481, and the phone asks anew;
//! a daemon that stops in order says so before. To keep them on disk would cost a write for every NOTIFY, as
//! the CSeq and the version of the document count on; instead the CSeq begins at the wall clock.

mod lines;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use crate::proto::sip::endpoint::{ClientKey, Failure};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::values::delta_seconds;
use crate::proto::sip::message::{Message, Packet};
use crate::proto::sip::subscription::dialog_info::{self, Entry, State};
use crate::proto::sip::subscription::message_summary::{self, Summary};
use crate::proto::sip::subscription::{EventHeader, Fate, Notifier, Package, Reason};
use crate::proto::sip::transport::{Dest, Flow};
use crate::proto::time::{Instant, Wall};
use crate::proto::token::Tokens;
use crate::switch::call::Line;
use crate::switch::cdr::record::CallId;

/// The first pause before a NOTIFY that came to nothing is sent again; it doubles.
const RETRY_MIN: Duration = Duration::from_secs(60);
/// The longest such pause.
const RETRY_MAX: Duration = Duration::from_secs(16 * 60);
/// Subscriptions in all: 500 phones with a panel of 100 keys each. The next one is answered 503.
pub const SUBSCRIPTIONS_MAX: usize = 50_000;
/// Subscriptions of one extension, over all its devices: more than the keys of a phone with every panel there
/// is. The next one is answered 403.
pub const SUBSCRIPTIONS_PER_PHONE_MAX: usize = 500;

/// A NOTIFY to send.
#[derive(Debug)]
pub struct Notify {
    /// Its transaction.
    pub client: ClientKey,
    /// Where to.
    pub dest: Dest,
    /// The request without our Via.
    pub request: Packet,
}

/// A SUBSCRIBE that is to be granted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The request.
    pub request: &'a Message,
    /// Our tag on the answer.
    pub tag: &'a str,
    /// Our Contact.
    pub contact: &'a str,
    /// Where it came from.
    pub flow: Flow,
    /// What it says of the event.
    pub event: &'a EventHeader,
    /// The package.
    pub package: Package,
    /// The extension that is watched.
    pub resource: &'a str,
    /// The host by which the subscriber names it.
    pub host: &'a str,
    /// The extension that watches.
    pub watcher: &'a str,
    /// For how long; zero asks once.
    pub span: Duration,
}

/// Why there is no room for a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// The phone has [`SUBSCRIPTIONS_PER_PHONE_MAX`].
    Phone,
    /// There are [`SUBSCRIPTIONS_MAX`].
    Tandem,
}

/// One subscription, for lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionView {
    /// The extension that watches.
    pub watcher: String,
    /// The event package.
    pub event: &'static str,
    /// The extension that is watched.
    pub resource: String,
    /// Where its subscriber is.
    pub flow: Option<Flow>,
    /// Until when.
    pub expires_at: Instant,
    /// How many NOTIFYs it was sent.
    pub notified: u32,
    /// Is one on its way?
    pub is_waiting: bool,
}

/// The state that a subscriber is told.
#[derive(Clone, PartialEq, Debug)]
enum Shown {
    Lines(Vec<Entry>),
    Mailbox(Summary),
}

#[derive(Debug)]
struct Subscription {
    notifier: Notifier,
    package: Package,
    resource: String,
    host: String,
    watcher: String,
    source: IpAddr,
    /// What the latest NOTIFY said.
    told: Option<Shown>,
    /// A NOTIFY is owed even if nothing has changed: every SUBSCRIBE is answered by one (RFC 6665 §4.2.1.2).
    is_owed: bool,
    /// For when it is noted in the deadlines.
    deadline: Instant,
    /// When the NOTIFY that came to nothing is sent again, and the pause before that.
    again: Option<(Instant, Duration)>,
}

/// All subscriptions.
#[derive(Debug)]
pub struct Subscriptions {
    tokens: Tokens,
    user_agent: String,
    /// In order, so that the same inputs give the same outputs.
    entries: BTreeMap<u64, Subscription>,
    next_id: u64,
    /// By Call-ID and our tag.
    dialogs: HashMap<(String, String), u64>,
    /// By the NOTIFY that is on its way.
    clients: HashMap<ClientKey, u64>,
    by_resource: HashMap<(Package, String), BTreeSet<u64>>,
    by_watcher: HashMap<String, usize>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// NOTIFYs that came to nothing.
    retries: BTreeSet<(Instant, u64)>,
    lines: lines::Lines,
    /// Only those that hold something; it has no more than there are phones.
    mailboxes: HashMap<String, Summary>,
}

impl Subscriptions {
    /// None yet.
    #[must_use]
    pub fn new(seed: [u8; 32], user_agent: String) -> Self {
        Self {
            tokens: Tokens::new(seed),
            user_agent,
            entries: BTreeMap::new(),
            next_id: 1,
            dialogs: HashMap::new(),
            clients: HashMap::new(),
            by_resource: HashMap::new(),
            by_watcher: HashMap::new(),
            deadlines: BTreeSet::new(),
            retries: BTreeSet::new(),
            lines: lines::Lines::default(),
            mailboxes: HashMap::new(),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Calls and extensions that are noted as being on the line, whichever are more.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines.len()
    }

    /// All of them, in the order they came.
    pub fn views(&self) -> impl Iterator<Item = SubscriptionView> {
        self.entries.values().map(|entry| SubscriptionView {
            watcher: entry.watcher.clone(),
            event: entry.package.token(),
            resource: entry.resource.clone(),
            flow: entry.notifier.flow(),
            expires_at: entry.notifier.expires_at(),
            notified: entry.notifier.version(),
            is_waiting: entry.notifier.is_waiting(),
        })
    }

    /// Is there room for one more of this phone?
    ///
    /// # Errors
    ///
    /// [`Full`] says what there is too much of.
    pub fn has_room(&self, watcher: &str) -> Result<(), Full> {
        if self.entries.len() >= SUBSCRIPTIONS_MAX {
            return Err(Full::Tandem);
        }
        let own = self.by_watcher.get(watcher).copied().unwrap_or(0);
        if own >= SUBSCRIPTIONS_PER_PHONE_MAX { Err(Full::Phone) } else { Ok(()) }
    }

    /// The subscription of this dialog.
    #[must_use]
    pub fn find(&self, call_id: &str, tag: &str) -> Option<u64> {
        self.dialogs.get(&(call_id.to_owned(), tag.to_owned())).copied()
    }

    /// Who subscribed, and the address it speaks from.
    #[must_use]
    pub fn subscriber(&self, id: u64) -> Option<(&str, IpAddr)> {
        self.entries.get(&id).map(|entry| (entry.watcher.as_str(), entry.source))
    }

    /// Grants a subscription, for which [`Self::has_room`] said yes and whose 200 has been sent.
    pub fn subscribe(
        &mut self,
        now: Instant,
        wall: Wall,
        wanted: &Wanted<'_>,
        out: &mut Vec<Notify>,
    ) {
        let deadline = now + wanted.span;
        let Some(mut notifier) = Notifier::new(
            wanted.request,
            wanted.tag,
            wanted.contact,
            wanted.flow,
            wanted.event.clone(),
            (wall, deadline),
        ) else {
            return;
        };
        if wanted.span.is_zero() {
            notifier.end(Reason::Timeout);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.dialogs.insert(notifier.key(), id);
        let resource = (wanted.package, wanted.resource.to_owned());
        self.by_resource.entry(resource).or_default().insert(id);
        *self.by_watcher.entry(wanted.watcher.to_owned()).or_default() += 1;
        self.deadlines.insert((deadline, id));
        let entry = Subscription {
            notifier,
            package: wanted.package,
            resource: wanted.resource.to_owned(),
            host: wanted.host.to_owned(),
            watcher: wanted.watcher.to_owned(),
            source: wanted.flow.remote.ip(),
            told: None,
            is_owed: true,
            deadline,
            again: None,
        };
        self.entries.insert(id, entry);
        self.tell(now, id, out);
    }

    /// May this SUBSCRIBE refresh or end the subscription of its dialog?
    ///
    /// # Errors
    ///
    /// The status to refuse it with: 481 if it names another subscription, 500 if it is out of order.
    pub fn receive(&mut self, id: u64, request: &Message, flow: Flow) -> Result<(), u16> {
        let entry = self.entries.get_mut(&id).ok_or(481_u16)?;
        if !entry.notifier.is_asked_by(request) {
            return Err(481);
        }
        entry.notifier.receive(request, flow).map_err(|_| 500_u16)?;
        entry.source = flow.remote.ip();
        Ok(())
    }

    /// Gives a subscription more time, or ends it with none; its 200 has been sent.
    pub fn refresh(&mut self, now: Instant, id: u64, span: Duration, out: &mut Vec<Notify>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if span.is_zero() {
            return self.end(now, id, Reason::Timeout, out);
        }
        self.deadlines.remove(&(entry.deadline, id));
        entry.deadline = now + span;
        self.deadlines.insert((entry.deadline, id));
        entry.notifier.renew(entry.deadline);
        entry.is_owed = true;
        self.tell(now, id, out);
    }

    /// The phones of a call that are on the line are these now.
    pub fn lines_changed(
        &mut self,
        now: Instant,
        call: CallId,
        lines: Vec<Line>,
        out: &mut Vec<Notify>,
    ) {
        for extension in self.lines.set(call, lines) {
            self.changed(now, Package::Dialog, extension, out);
        }
    }

    /// A dialog, named by Call-ID and our tag, goes on in another call.
    pub fn line_moves(&mut self, from: CallId, key: &(String, String), to: CallId) {
        self.lines.give(from, key, to);
    }

    /// How many dialogs an extension has, ringing or talking, on all its devices.
    #[must_use]
    pub fn on_the_line(&self, extension: &str) -> usize {
        self.lines.of(extension).len()
    }

    /// The call that a phone is on with this Call-ID, and our tag there.
    #[must_use]
    pub fn line_of(&self, extension: &str, call_id: &str) -> Option<(CallId, String)> {
        self.lines.find(extension, call_id)
    }

    /// A mailbox holds this now. Whoever keeps the messages calls it; until then every mailbox is empty.
    pub fn mailbox_changed(
        &mut self,
        now: Instant,
        extension: &str,
        summary: Summary,
        out: &mut Vec<Notify>,
    ) {
        if summary == Summary::default() {
            self.mailboxes.remove(extension);
        } else {
            self.mailboxes.insert(extension.to_owned(), summary);
        }
        self.changed(now, Package::MessageSummary, extension.to_owned(), out);
    }

    fn changed(&mut self, now: Instant, package: Package, resource: String, out: &mut Vec<Notify>) {
        let watching = self.by_resource.get(&(package, resource));
        let watching: Vec<_> = watching.into_iter().flatten().copied().collect();
        for id in watching {
            self.tell(now, id, out);
        }
    }

    /// An answer to a request of ours; false if that was no NOTIFY of a subscription.
    pub fn answered(
        &mut self,
        now: Instant,
        client: ClientKey,
        response: &Message,
        out: &mut Vec<Notify>,
    ) -> bool {
        let Some(id) = self.clients.get(&client).copied() else { return false };
        if response.status() < 200 {
            return true;
        }
        self.clients.remove(&client);
        let Some(entry) = self.entries.get_mut(&id) else { return true };
        match entry.notifier.answered(response) {
            Fate::Lives if response.status() >= 300 => {
                let after = response.text(HeaderName::RetryAfter);
                let after = after.and_then(|value| delta_seconds(&value)).unwrap_or(0);
                self.again(now, id, Duration::from_secs(after.into()));
                self.tell(now, id, out);
            }
            Fate::Lives => {
                self.is_well(id);
                self.tell(now, id, out);
            }
            Fate::Gone => self.remove(id),
        }
        true
    }

    /// A NOTIFY came to nothing. What it said is sent again after a pause: the lamp would show the state before until
    /// the next change.
    fn again(&mut self, now: Instant, id: u64, after: Duration) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let before = entry.again.take();
        if let Some((at, _)) = before {
            self.retries.remove(&(at, id));
        }
        let pause = before.map_or(RETRY_MIN, |(_, pause)| (pause * 2).min(RETRY_MAX));
        let at = now + pause.max(after.min(RETRY_MAX));
        entry.again = Some((at, pause));
        self.retries.insert((at, id));
    }

    /// A subscriber answers again.
    fn is_well(&mut self, id: u64) {
        let again = self.entries.get_mut(&id).and_then(|entry| entry.again.take());
        if let Some((at, _)) = again {
            self.retries.remove(&(at, id));
        }
    }

    /// A request of ours had no answer; false if that was no NOTIFY of a subscription.
    pub fn failed(
        &mut self,
        now: Instant,
        client: ClientKey,
        why: Failure,
        out: &mut Vec<Notify>,
    ) -> bool {
        let Some(id) = self.clients.remove(&client) else { return false };
        let Some(entry) = self.entries.get_mut(&id) else { return true };
        entry.is_owed |= entry.notifier.unanswered(why == Failure::Transport);
        if entry.notifier.is_ending() {
            // Nobody is there to be told of the end.
            self.remove(id);
        } else {
            self.again(now, id, Duration::ZERO);
            self.tell(now, id, out);
        }
        true
    }

    /// When it next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let firsts = [self.deadlines.first(), self.retries.first()];
        firsts.into_iter().flatten().map(|(at, _)| *at).min()
    }

    /// Ends what was not refreshed, and says again what came to nothing.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Notify>) {
        while let Some((at, id)) = self.retries.first().copied().filter(|(at, _)| *at <= now) {
            self.retries.remove(&(at, id));
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.is_owed = true;
                self.tell(now, id, out);
            }
        }
        while let Some((at, id)) = self.deadlines.first().copied() {
            if at > now {
                return;
            }
            self.deadlines.remove(&(at, id));
            self.end(now, id, Reason::Timeout, out);
        }
    }

    /// Each one with who watches and who is watched.
    pub fn watching(&self) -> impl Iterator<Item = (u64, &str, &str)> {
        self.entries.iter().map(|(id, s)| (*id, s.watcher.as_str(), s.resource.as_str()))
    }

    /// Ends one: its subscriber is told why.
    pub fn end(&mut self, now: Instant, id: u64, reason: Reason, out: &mut Vec<Notify>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.notifier.end(reason);
        self.deadlines.remove(&(entry.deadline, id));
        self.tell(now, id, out);
    }

    /// Sends a subscriber what it does not know yet, unless it still owes the answer to the last NOTIFY.
    fn tell(&mut self, now: Instant, id: u64, out: &mut Vec<Notify>) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let is_last = entry.notifier.is_ending();
        if entry.notifier.is_waiting() {
            return;
        }
        let state = match entry.package {
            Package::Dialog => Shown::Lines(self.lines.of(&entry.resource)),
            Package::MessageSummary => {
                Shown::Mailbox(self.mailboxes.get(&entry.resource).copied().unwrap_or_default())
            }
        };
        if !(entry.is_owed || is_last || entry.told.as_ref() != Some(&state)) {
            return;
        }
        let body = entry.document(&state, &self.lines);
        let client = ClientKey(self.tokens.next_u64());
        let kind = entry.package.content_type();
        let sent = entry.notifier.notify(now, client, &self.user_agent, (kind, &body));
        let is_sent = sent.is_some();
        out.extend(sent.map(|(dest, request)| Notify { client, dest, request }));
        if is_last {
            return self.remove(id);
        }
        entry.is_owed = false;
        entry.told = Some(state);
        if is_sent {
            self.clients.insert(client, id);
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.dialogs.remove(&entry.notifier.key());
        self.deadlines.remove(&(entry.deadline, id));
        if let Some((at, _)) = entry.again {
            self.retries.remove(&(at, id));
        }
        let resource = (entry.package, entry.resource);
        if let Some(watching) = self.by_resource.get_mut(&resource) {
            watching.remove(&id);
            if watching.is_empty() {
                self.by_resource.remove(&resource);
            }
        }
        if let Some(own) = self.by_watcher.get_mut(&entry.watcher) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                self.by_watcher.remove(&entry.watcher);
            }
        }
    }
}

impl Subscription {
    /// The body of the next NOTIFY. A dialog that was told of and is no more is told as ended, once.
    fn document(&self, state: &Shown, lines: &lines::Lines) -> String {
        let entries = match state {
            Shown::Mailbox(summary) => {
                return message_summary::write(&self.resource, &self.host, summary);
            }
            Shown::Lines(entries) => entries,
        };
        let told = match &self.told {
            Some(Shown::Lines(told)) => told.as_slice(),
            _ => &[],
        };
        let ended = told.iter().filter(|entry| !lines.has(&self.resource, entry)).cloned();
        let ended = ended.map(|entry| Entry { state: State::Terminated, ..entry });
        let all: Vec<_> = ended.chain(entries.iter().cloned()).collect();
        dialog_info::write(self.notifier.version(), &self.resource, &self.host, &all)
    }
}
