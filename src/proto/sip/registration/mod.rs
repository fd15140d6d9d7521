//! The registrar (RFC 3261 §10.3, with RFC 3327 Path and RFC 5626 instances).

pub mod client;
mod flow;
pub mod gruu;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::time::Duration;

use super::header::name_addr::NameAddr;
use super::header::values::{delta_seconds, q_value};
use super::header::{HeaderName, split_list};
use super::message::Message;
use super::transport::{Dest, Flow};
use super::uri::Uri;
use crate::proto::time::Instant;
use gruu::{Device, Gruus};

/// Contacts in one REGISTER that are looked at; more are refused as malformed.
const CONTACTS_IN_REQUEST_MAX: usize = 32;
/// Path values kept with a binding; a request with more is refused.
const PATH_MAX: usize = 8;

/// How long bindings live and how many there may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Shortest life; a shorter wish gets 423.
    pub expires_min: Duration,
    /// Longest life; a longer wish is shortened.
    pub expires_max: Duration,
    /// When nothing is asked for.
    pub expires_default: Duration,
    /// Contacts of one address of record.
    pub contacts_max: usize,
}

/// One contact of an address of record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The contact's URI, byte for byte.
    pub contact: String,
    /// When it ends.
    pub expires_at: Instant,
    /// The Call-ID it was made with.
    pub call_id: String,
    /// The CSeq number it was made with.
    pub cseq: u32,
    /// Preference in thousandths.
    pub q: u16,
    /// The Path to it, topmost first (RFC 3327).
    pub path: Vec<String>,
    /// The device, `+sip.instance` with its quotes taken off (RFC 5626 §4.1).
    pub instance: Option<String>,
    /// Its flow number.
    pub reg_id: Option<u32>,
    /// Where the REGISTER came from: calls go back the same way.
    pub flow: Flow,
    /// What it calls itself.
    pub user_agent: String,
}

impl Binding {
    /// Where a request to this contact goes: along its Path, else back on the flow it registered by,
    /// which is the only way through a NAT.
    #[must_use]
    pub fn dest(&self) -> Dest {
        let by_path = self.path.first().and_then(|first| {
            let address = NameAddr::parse(first).ok()?;
            address.parsed_uri()?.next_hop()
        });
        by_path.map_or(Dest::Flow(self.flow), Dest::Hop)
    }
}

/// How a REGISTER is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// 200 with all bindings of the address.
    Accepted {
        /// The Contact values for the answer.
        contacts: Vec<String>,
        /// Do the stored bindings differ now?
        has_changed: bool,
        /// Was a flow of the device's own registered (RFC 5626 §6)?
        is_outbound: bool,
    },
    /// A refusal; nothing changed.
    Refused {
        /// The status.
        status: u16,
        /// Its reason phrase, which says what to do.
        reason: String,
        /// `Min-Expires` for 423.
        min_expires: Option<u32>,
    },
}

fn refuse(status: u16, reason: impl Into<String>) -> Outcome {
    Outcome::Refused { status, reason: reason.into(), min_expires: None }
}

/// All bindings.
#[derive(Debug, Default)]
pub struct Registrar {
    bindings: HashMap<String, Vec<Binding>>,
    /// When an address of record may have something to expire; may be early, never late.
    expiries: BinaryHeap<Reverse<(Instant, String)>>,
    /// The earliest entry of each address in `expiries`: a phone that registers again and again adds no
    /// further ones.
    scheduled: HashMap<String, Instant>,
    /// The addresses of record that have registered on a connection; may name too many, never too few. An entry
    /// goes with its connection.
    on_connection: HashMap<u64, BTreeSet<String>>,
    gruus: Gruus,
}

/// Who asks for what.
struct Ask<'a> {
    aor: &'a str,
    request: &'a Message,
    is_outbound: bool,
}

impl Ask<'_> {
    /// The domain that GRUUs are made at: the one that the device knows us by.
    fn gruu_domain(&self) -> Option<String> {
        if !self.request.lists(HeaderName::Supported, "gruu") {
            return None;
        }
        let to = self.request.text(HeaderName::To)?;
        let uri = NameAddr::parse(&to).ok()?.parsed_uri()?;
        let port = uri.port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("{}{port}", uri.host.as_ref()?))
    }
}

/// One contact wish of a request.
struct Wish {
    contact: String,
    expires: Duration,
    q: u16,
    instance: Option<String>,
    reg_id: Option<u32>,
}

impl Registrar {
    /// One whose temporary GRUUs are made with this key.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self { gruus: Gruus::new(key), ..Self::default() }
    }

    /// What a URI leads to, if it is a GRUU; whose domain it names is the caller's to check.
    #[must_use]
    pub fn device(&self, uri: &Uri<'_>) -> Option<Device> {
        self.gruus.read(uri)
    }

    /// The live bindings of a device.
    #[must_use]
    pub fn bindings_of(&self, device: &Device, now: Instant) -> Vec<&Binding> {
        let mut list = self.bindings(device.aor(), now);
        list.retain(|binding| self.gruus.is_of(device, binding));
        list
    }

    /// The live bindings of an address of record, best first.
    #[must_use]
    pub fn bindings(&self, aor: &str, now: Instant) -> Vec<&Binding> {
        let list = self.bindings.get(aor).map(Vec::as_slice).unwrap_or_default();
        let mut live: Vec<_> = list.iter().filter(|binding| binding.expires_at > now).collect();
        live.sort_by_key(|binding| Reverse(binding.q));
        live
    }

    /// All addresses of record that have bindings.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, &[Binding])> {
        self.bindings.iter().map(|(aor, list)| (aor.as_str(), list.as_slice()))
    }

    /// How many addresses of record have bindings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Is nobody registered?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Puts back what was stored before a restart.
    pub fn restore(&mut self, aor: &str, list: Vec<Binding>) {
        if let Some(first) = list.iter().map(|binding| binding.expires_at).min() {
            self.schedule(aor, first);
            self.bindings.insert(aor.to_owned(), list);
        }
    }

    /// Forgets an address of record: its phone is no longer configured.
    pub fn forget(&mut self, aor: &str) -> bool {
        self.bindings.remove(aor).is_some()
    }

    /// Serves an authorised REGISTER for `aor`. Either all of it takes effect or nothing.
    pub fn register(
        &mut self,
        now: Instant,
        aor: &str,
        request: &Message,
        flow: Flow,
        policy: &Policy,
    ) -> Outcome {
        let values = request.list(HeaderName::Contact);
        let call_id = request.call_id();
        let cseq = request.cseq().number;
        let mut list = self.bindings.get(aor).cloned().unwrap_or_default();
        list.retain(|binding| binding.expires_at > now);
        let ask = Ask { aor, request, is_outbound: false };
        if values.is_empty() {
            let contacts = self.render(&list, now, &ask);
            return Outcome::Accepted { contacts, has_changed: false, is_outbound: false };
        }
        let is_old = |binding: &Binding| binding.call_id == call_id && cseq <= binding.cseq;
        if values.iter().any(|value| value == "*") {
            if values.len() > 1 || request.expires() != Some(0) {
                return refuse(400, "Bad Request: * stands alone and needs Expires: 0");
            }
            if list.iter().any(is_old) {
                return refuse(500, "CSeq Out Of Order");
            }
            return self.store(now, &ask, Vec::new());
        }
        let path = request.list(HeaderName::Path);
        if values.len() > CONTACTS_IN_REQUEST_MAX || path.len() > PATH_MAX {
            return refuse(400, "Bad Request: too many Contact or Path values");
        }
        let has_outbound = request.lists(HeaderName::Supported, "outbound")
            || request.lists(HeaderName::Require, "outbound");
        let mut is_outbound = false;
        for value in &values {
            let wish = match read_wish(value, request, policy, has_outbound) {
                Ok(wish) => wish,
                Err(refusal) => return refusal,
            };
            if wish.reg_id.is_some() && !is_first_hop_outbound(request, &path) {
                return refuse(439, "First Hop Lacks Outbound Support");
            }
            is_outbound |= wish.reg_id.is_some();
            let same = list.iter().position(|binding| is_same_binding(binding, &wish));
            if same.and_then(|at| list.get(at)).is_some_and(is_old) {
                return refuse(500, "CSeq Out Of Order");
            }
            if let Some(at) = same {
                list.remove(at);
            }
            if wish.expires.is_zero() {
                continue;
            }
            list.push(Binding {
                contact: wish.contact,
                expires_at: now + wish.expires,
                call_id: call_id.clone().into_owned(),
                cseq,
                q: wish.q,
                path: path.clone(),
                instance: wish.instance,
                reg_id: wish.reg_id,
                flow,
                user_agent: request.text(HeaderName::UserAgent).unwrap_or_default().into_owned(),
            });
        }
        if list.len() > policy.contacts_max {
            return refuse(403, format!("Too Many Contacts (at most {})", policy.contacts_max));
        }
        self.store(now, &Ask { is_outbound, ..ask }, list)
    }

    fn store(&mut self, now: Instant, ask: &Ask<'_>, list: Vec<Binding>) -> Outcome {
        let contacts = self.render(&list, now, ask);
        let (aor, is_outbound) = (ask.aor, ask.is_outbound);
        let first = list.iter().map(|binding| binding.expires_at).min();
        match first {
            None => {
                self.bindings.remove(aor);
            }
            Some(first) => {
                self.schedule(aor, first);
                for connection in list.iter().map(|binding| binding.flow.connection) {
                    if connection > 0 {
                        self.on_connection.entry(connection).or_default().insert(aor.to_owned());
                    }
                }
                self.bindings.insert(aor.to_owned(), list);
            }
        }
        Outcome::Accepted { contacts, has_changed: true, is_outbound }
    }

    /// The Contact values of a 200: every binding with what remains of its life (RFC 3261 §10.3 step 8), and the GRUUs of
    /// devices if whoever asks knows what they are (RFC 5627 §5.2).
    fn render(&self, list: &[Binding], now: Instant, ask: &Ask<'_>) -> Vec<String> {
        let domain = ask.gruu_domain();
        list.iter()
            .map(|binding| {
                let mut value = render(binding, now);
                let pair = domain.as_deref().zip(binding.instance.as_deref());
                if let Some((domain, instance)) = pair {
                    let public = Gruus::public(ask.aor, domain, instance);
                    value.push_str(&format!(";pub-gruu=\"{public}\""));
                    let turn = ask.request.cseq().number;
                    let temporary = self.gruus.temporary(ask.aor, domain, binding, turn);
                    if let Some(temporary) = temporary {
                        value.push_str(&format!(";temp-gruu=\"{temporary}\""));
                    }
                }
                value
            })
            .collect()
    }

    fn schedule(&mut self, aor: &str, at: Instant) {
        if self.scheduled.get(aor).is_none_or(|known| at < *known) {
            self.scheduled.insert(aor.to_owned(), at);
            self.expiries.push(Reverse((at, aor.to_owned())));
        }
    }

    /// Entries that wait for their time, for tests and figures: at most a few for each address.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.expiries.len()
    }

    /// The connection of these bindings is gone. Those with a flow of their own go with it, because nobody
    /// can reach them any more (RFC 5626 §5.4 wants 430 for them).
    pub fn connection_closed(&mut self, connection: u64) -> Vec<String> {
        let mut changed = Vec::new();
        for aor in self.on_connection.remove(&connection).unwrap_or_default() {
            let Some(list) = self.bindings.get_mut(&aor) else { continue };
            let before = list.len();
            list.retain(|binding| binding.flow.connection != connection);
            let has_changed = list.len() != before;
            if list.is_empty() {
                self.bindings.remove(&aor);
            }
            if has_changed {
                changed.push(aor);
            }
        }
        changed
    }

    /// When a binding next ends.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.expiries.peek().map(|Reverse((at, _))| *at)
    }

    /// Drops what has expired; gives the addresses of record that lost a binding.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<String> {
        let mut changed = Vec::new();
        while let Some(Reverse((at, _))) = self.expiries.peek() {
            if *at > now {
                break;
            }
            let Some(Reverse((at, aor))) = self.expiries.pop() else { break };
            if self.scheduled.get(&aor) != Some(&at) {
                // An earlier entry has served this address since.
                continue;
            }
            self.scheduled.remove(&aor);
            let Some(list) = self.bindings.get_mut(&aor) else { continue };
            let before = list.len();
            list.retain(|binding| binding.expires_at > now);
            let has_changed = list.len() != before;
            match list.iter().map(|binding| binding.expires_at).min() {
                Some(next) => self.schedule(&aor, next),
                None => {
                    self.bindings.remove(&aor);
                }
            }
            if has_changed {
                changed.push(aor);
            }
        }
        changed
    }
}

fn render(binding: &Binding, now: Instant) -> String {
    let left = binding.expires_at.since(now);
    let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
    let mut value = format!("<{}>;expires={seconds}", binding.contact);
    if binding.q != 1000 {
        value.push_str(&format!(";q={}.{:03}", binding.q / 1000, binding.q % 1000));
    }
    if let Some(instance) = &binding.instance {
        value.push_str(&format!(";+sip.instance=\"{instance}\""));
    }
    if let Some(reg_id) = binding.reg_id {
        value.push_str(&format!(";reg-id={reg_id}"));
    }
    value
}

fn read_wish(
    value: &str,
    request: &Message,
    policy: &Policy,
    has_outbound: bool,
) -> Result<Wish, Outcome> {
    let bad = || refuse(400, "Bad Request: malformed Contact");
    let address = NameAddr::parse(value).map_err(|_| bad())?;
    Uri::parse(address.uri).ok_or_else(bad)?;
    let asked = match address.params.get("expires") {
        Some(text) => delta_seconds(&text).map(|seconds| Duration::from_secs(seconds.into())),
        None => request.expires().map(|seconds| Duration::from_secs(seconds.into())),
    };
    let asked = asked.unwrap_or(policy.expires_default);
    if !asked.is_zero() && asked < policy.expires_min {
        let least = u32::try_from(policy.expires_min.as_secs()).unwrap_or(u32::MAX);
        return Err(Outcome::Refused {
            status: 423,
            reason: "Interval Too Brief".into(),
            min_expires: Some(least),
        });
    }
    let reg_id =
        address.params.get("reg-id").and_then(|text| text.parse().ok()).filter(|id| *id > 0);
    let instance =
        address.params.get("+sip.instance").map(|text| text.replace(['"', '\r', '\n'], ""));
    Ok(Wish {
        contact: address.uri.to_owned(),
        expires: asked.min(policy.expires_max),
        q: address.params.get("q").map_or(1000, |text| q_value(&text)),
        // A flow number without an instance means nothing (RFC 5626 §6).
        reg_id: reg_id.filter(|_| has_outbound && instance.is_some()),
        instance,
    })
}

/// The same device and flow, else the same URI (RFC 5626 §6, RFC 3261 §10.3 step 7).
///
/// A device that reboots comes with a new Call-ID and often a new port: its instance says that it is the
/// same, so no ghost rings.
fn is_same_binding(binding: &Binding, wish: &Wish) -> bool {
    if let (Some(a), Some(b)) = (&binding.instance, &wish.instance) {
        return a == b && binding.reg_id == wish.reg_id;
    }
    match (Uri::parse(&binding.contact), Uri::parse(&wish.contact)) {
        (Some(a), Some(b)) => a.is_equivalent(&b),
        _ => binding.contact == wish.contact,
    }
}

/// Did the request come straight from the device, or does its first hop speak Outbound (RFC 5626 §6)?
fn is_first_hop_outbound(request: &Message, path: &[String]) -> bool {
    if request.list(HeaderName::Via).len() < 2 {
        return true;
    }
    path.last().is_some_and(|hop| {
        split_list(hop).any(|value| {
            NameAddr::parse(value)
                .ok()
                .and_then(|address| Some(address.parsed_uri()?.params.has("ob")))
                .unwrap_or(false)
        })
    })
}
