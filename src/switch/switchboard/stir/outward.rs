//! What leaves by trunks that want it: an INVITE states who calls, signed by us (RFC 8224 §6.1).

use super::*;
use crate::proto::hex::uuid;
use crate::proto::sip::endpoint::Failure as Unsent;
use crate::proto::sip::message::Parsed;
use crate::proto::sip::message::build::with_via;
use crate::proto::sip::method::Method;
use crate::proto::stir::passport::{Statement, Type};
use crate::proto::stir::signature::Signature;
use crate::proto::stir::{Home, date};
use crate::switch::stir::{Vouched, attestation};

/// INVITEs that wait for a signature; a further one leaves unsigned.
pub const SIGNED_MAX: usize = 1_024;
/// How long a signature may take; then the INVITE leaves without.
pub const SIGNATURE_TIME: Duration = Duration::from_secs(1);
/// A number up to this long is an extension or a short code: nobody outside knows whose it is.
const INTERNAL_MAX: usize = 6;

/// An INVITE of ours that waits for its signature.
#[derive(Debug)]
pub(super) struct Unsigned {
    call: CallId,
    client: ClientKey,
    dest: Dest,
    request: Packet,
    token: Token,
    until: Instant,
}

impl Unsigned {
    pub(super) const fn until(&self) -> Instant {
        self.until
    }
}

/// A token without its signature.
#[derive(Debug)]
struct Token {
    kind: Type,
    x5u: String,
    iat: i64,
    orig: Party,
    dest: Party,
    input: String,
    /// In words, for the timeline.
    what: String,
}

/// What an INVITE is to state.
enum Stated {
    /// Nothing.
    Nothing,
    /// What the call came with is about this number as well.
    AsItCame(Vec<String>),
    /// This, beside what the call came with.
    New(Vec<String>, Token),
}

impl Switchboard {
    /// Sends a request of a call; an INVITE that has to state who calls is signed before.
    pub(in crate::switch::switchboard) fn send_of_call(
        &mut self,
        now: Instant,
        call: CallId,
        (client, dest): (ClientKey, Dest),
        method: &Method,
        request: Packet,
        out: &mut Vec<Output>,
    ) {
        let is_wanted =
            || self.snapshot.stir.can_sign() && self.snapshot.trunks.iter().any(|t| t.stir_out);
        if *method != Method::Invite || !is_wanted() {
            return self.send_now(now, call, (client, dest), method, &request, out);
        }
        let add = |request: Packet, values: Vec<String>| {
            let add = |request: Packet, value| with_header(&request, HeaderName::Identity, value);
            values.iter().fold(request, |request, value| add(request, value))
        };
        match self.stated(now, call, &request) {
            Stated::Nothing => self.send_now(now, call, (client, dest), method, &request, out),
            Stated::AsItCame(values) => {
                let request = add(request, values);
                self.send_now(now, call, (client, dest), method, &request, out);
            }
            Stated::New(_, _) if self.stir.signed.len() >= SIGNED_MAX => {
                self.left_unsigned(call, "too many calls wait to be signed", out);
                self.send_now(now, call, (client, dest), method, &request, out);
            }
            Stated::New(values, token) => {
                let id = self.stir.next_id();
                let request = add(request, values);
                let until = now + SIGNATURE_TIME;
                out.push(Output::Sign { id, input: token.input.clone() });
                let unsigned = Unsigned { call, client, dest, request, token, until };
                self.stir.signed.insert(id, unsigned);
            }
        }
    }

    /// What an INVITE that leaves has to state.
    fn stated(&self, now: Instant, call: CallId, request: &[u8]) -> Stated {
        // It has no Via yet, without which nothing is a message.
        let request = with_via(request, "SIP/2.0/UDP request.invalid;branch=z9hG4bK0");
        let Parsed::Message(request) = Message::parse(&request) else { return Stated::Nothing };
        let key = (request.call_id().into_owned(), request.from_tag().unwrap_or_default());
        let trunk = match self.dialogs.get(&key).map(|entry| &entry.peer) {
            Some(Origin::Trunk(name)) => self.snapshot.trunk(name),
            _ => None,
        };
        let is_wanted = trunk.is_some_and(|trunk| trunk.stir_out) && request.to_tag().is_none();
        let (Some(entry), true) = (self.calls.get(&call), is_wanted) else {
            return Stated::Nothing;
        };
        let called = dialled(&request);
        let home = home(&self.snapshot.dial);
        let asserted = number_in(&request, HeaderName::PAssertedIdentity, home);
        let caller = asserted.or_else(|| number_in(&request, HeaderName::From, home));
        let (Some(caller), Some(number)) = (caller, canonical(&called, home)) else {
            return Stated::Nothing;
        };
        // Help is called without a detour.
        if caller.len() <= INTERNAL_MAX || self.is_emergency_number(&called) {
            return Stated::Nothing;
        }
        let (orig, dest) = (Party::Number(caller), Party::Number(number));
        let x5u = self.snapshot.stir.certificate_url.clone().unwrap_or_default();
        let statement = Statement { x5u: &x5u, iat: self.seconds(now), orig: &orig, dest: &dest };
        let came = entry.stir.statements.as_ref().filter(|came| came.orig.is(&orig));
        let (values, kind, input, what) = match came {
            Some(came) if came.dest.iter().any(|known| known.is(&dest)) => {
                return Stated::AsItCame(came.values.clone());
            }
            Some(came) => {
                let what = "who calls, as it came, and that the call was forwarded";
                let input = statement.div(&came.called);
                (came.values.clone(), Type::Div, input, what.to_owned())
            }
            None => {
                let level = self.level(entry, &orig);
                let what = format!("who calls, attestation {}", level.word());
                let origid = self.origin_id(entry);
                (Vec::new(), Type::Shaken, statement.shaken(level, &origid), what)
            }
        };
        let iat = statement.iat;
        Stated::New(values, Token { kind, x5u, iat, orig, dest, input, what })
    }

    /// How sure we are of the caller: of whoever came by a trunk we know nothing, unless his call leaves under the number
    /// of the phone that sent it on.
    fn level(&self, entry: &CallEntry, orig: &Party) -> Attestation {
        let home = home(&self.snapshot.dial);
        let Party::Number(number) = orig else { return Attestation::C };
        let is_strangers = matches!(entry.origin, Some(Origin::Trunk(_)) | None)
            && canonical(&entry.caller.shown.number, home).as_ref() == Some(number);
        let vouched = if is_strangers { Vouched::Nobody } else { Vouched::Phone };
        attestation(&self.snapshot, vouched, number)
    }

    /// A UUID for where calls come from, which tells nobody but us where that is (RFC 8588 §5).
    fn origin_id(&self, entry: &CallEntry) -> String {
        use sha2::{Digest, Sha256};
        let who = match &entry.origin {
            Some(Origin::Phone(extension) | Origin::Operator(extension)) => {
                format!("phone {extension}")
            }
            Some(Origin::Trunk(name)) => format!("trunk {name}"),
            None => String::new(),
        };
        let digest =
            Sha256::new().chain_update(self.snapshot.stir.origin_seed).chain_update(who).finalize();
        uuid(&digest.into())
    }

    /// The answer to [`Output::Sign`]; `None` if it could not be signed.
    pub fn stir_signed(
        &mut self,
        now: Instant,
        id: u64,
        signature: Option<&Signature>,
        out: &mut Vec<Output>,
    ) {
        let Some(unsigned) = self.stir.signed.remove(&id) else { return };
        let Unsigned { call, client, dest, request, token, .. } = unsigned;
        let request = match signature {
            Some(signature) => {
                let Token { kind, x5u, iat, orig, dest, input, what } = token;
                let statement = Statement { x5u: &x5u, iat, orig: &orig, dest: &dest };
                let value = statement.value(kind, &input, signature);
                to_call(call, call::Input::Noted { what: "stir.signed", text: what }, out);
                // Who checks it may want to see the moment there too (RFC 8224 §6.1).
                let request = with_header(&request, HeaderName::Date, &date::written(iat));
                with_header(&request, HeaderName::Identity, &value)
            }
            None => {
                self.left_unsigned(call, "it could not be signed", out);
                request
            }
        };
        self.send_now(now, call, (client, dest), &Method::Invite, &request, out);
    }

    fn left_unsigned(&self, call: CallId, why: &'static str, out: &mut Vec<Output>) {
        let fields = vec![("call", call.to_string()), ("why", why.to_owned())];
        out.push(Output::Event { kind: "stir.unsigned", fields });
        to_call(call, call::Input::Noted { what: "stir.unsigned", text: why.to_owned() }, out);
    }

    /// An INVITE that waits for its signature is not wanted any more; false if none waits.
    pub(in crate::switch::switchboard) fn is_unsigned_cancelled(
        &mut self,
        client: ClientKey,
        out: &mut Vec<Output>,
    ) -> bool {
        let found = self.stir.signed.iter().find(|(_, unsigned)| unsigned.client == client);
        let Some((&id, _)) = found else { return false };
        if let Some(unsigned) = self.stir.signed.remove(&id) {
            // It never left, so nobody will answer it.
            let failed = call::Input::Failed { client, why: Unsent::Transport };
            to_call(unsigned.call, failed, out);
        }
        true
    }

    /// A call is forgotten, and with it what it wanted signed.
    pub(in crate::switch::switchboard) fn forget_unsigned(&mut self, call: CallId) {
        self.stir.signed.retain(|_, unsigned| unsigned.call != call);
    }

    pub(super) fn run_signatures(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some((&id, unsigned)) = self.stir.signed.first_key_value()
            && unsigned.until <= now
        {
            self.stir_signed(now, id, None, out);
        }
    }
}

/// The number in an address of a request, in the form of tokens.
fn number_in(request: &Message, name: HeaderName, home: Home<'_>) -> Option<String> {
    let value = request.list(name).into_iter().next()?;
    let uri = NameAddr::parse(&value).ok()?.parsed_uri()?;
    canonical(&uri.dialled(), home)
}
