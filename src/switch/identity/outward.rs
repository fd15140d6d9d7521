//! What a peer is told of who calls, who answered and who forwarded the call.

use super::dialect::{ForwardedCaller, Forwarding, FromHost, FromUser, IdentityHeader};
use super::number::{NumberForm, Numbering};
use super::{Caller, Shown};
use crate::proto::sip::header::HeaderName as H;
use crate::proto::sip::header::params::quote;
use crate::proto::sip::identity::{ANONYMOUS, Diversion};
use crate::proto::sip::uri::escape_user;
use crate::switch::call::Origin;
use crate::switch::snapshot::{Destination, Phone, Snapshot, Trunk, TrunkMode};

/// Header lines.
type Headers = Vec<(H, String)>;

/// What an INVITE says of its caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outward {
    /// The From value, without tag.
    pub from: String,
    /// The user of our Contact: a number that From does not tell must not stand there.
    pub contact_user: String,
    /// Further headers.
    pub headers: Headers,
}

/// Towards a phone of ours: it is shown who calls, unless he is withheld, and who forwarded the call.
#[must_use]
pub fn to_phone(snapshot: &Snapshot, caller: &Caller, phone: &Phone, host: &str) -> Outward {
    let realm = &snapshot.sip.realm;
    let Shown { number, name, is_withheld } = &caller.shown;
    let mut headers = Headers::new();
    let told = caller.diverted.iter().filter(|by| !by.is_private);
    let told =
        told.map(|by| (H::Diversion, diversion(by, by.number.clone()).value(&format!("@{realm}"))));
    headers.extend(told);
    headers.extend(caller.user_to_user.iter().map(|value| (H::UserToUser, value.clone())));
    let may_answer = |by: &String| phone.auto_answer_for.contains(by);
    if caller.answer_by.as_ref().is_some_and(may_answer) {
        headers.extend(answers_itself(realm));
    }
    if *is_withheld {
        return Outward {
            from: ANONYMOUS.to_owned(),
            contact_user: super::NOBODY.to_owned(),
            headers,
        };
    }
    let from = address(name, &format!("{}@{host}", escape_user(number)));
    Outward { from, contact_user: number.clone(), headers }
}

/// What makes phones answer by themselves: the header of RFC 5373, and those that phones knew before it.
#[must_use]
pub fn answers_itself(realm: &str) -> [(H, String); 3] {
    [
        (H::AnswerMode, "Auto".to_owned()),
        (H::CallInfo, format!("<sip:{realm}>;answer-after=0")),
        (H::AlertInfo, format!("<http://{realm}>;info=alert-autoanswer;delay=0")),
    ]
}

/// Towards a trunk, by its dialect. `local` is our address there, `target` the Request-URI. A call for help tells who
/// calls whatever he wants.
#[must_use]
pub fn to_trunk(
    snapshot: &Snapshot,
    caller: &Caller,
    trunk: &Trunk,
    local: &str,
    target: &str,
    is_emergency: bool,
) -> Outward {
    let dialect = &trunk.dialect;
    let numbering = Numbering::of(&snapshot.dial, dialect);
    let shown = shown_by(snapshot, caller, trunk, &numbering);
    // An extension is no number outside, however long it is.
    let is_extension = snapshot.phone(&shown.number).is_some();
    let form = if is_extension { NumberForm::AsIs } else { dialect.calling };
    let number = numbering.write(&shown.number, form);
    let tail = format!("@{}", host_of(snapshot, trunk, local));
    let is_withheld = shown.is_withheld && !is_emergency;
    let mut headers = Headers::new();
    if !is_withheld || dialect.trust.outward {
        headers.extend(identities(trunk, &shown, &number, &tail, is_withheld));
    }
    // Who is not trusted is asked as well: a carrier that is not would show whose account it is (RFC 3325 §7).
    if is_withheld {
        let critical = if caller.is_critical { ";critical" } else { "" };
        headers.push((H::Privacy, format!("id{critical}")));
    }
    if dialect.trust.outward {
        headers.extend(forwardings(snapshot, caller, trunk, &tail, target));
        headers.extend(caller.user_to_user.iter().map(|value| (H::UserToUser, value.clone())));
    }
    let account = trunk.user.as_deref().filter(|_| dialect.from_user == FromUser::Account);
    let from_user = account.unwrap_or(&number);
    if is_withheld {
        // A login tells the carrier whose call it is, and nobody who calls.
        let account = account.filter(|_| dialect.trust.outward);
        let from = account.map_or_else(
            || ANONYMOUS.to_owned(),
            |user| address("Anonymous", &format!("{}{tail}", escape_user(user))),
        );
        let contact_user = account.unwrap_or(super::NOBODY).to_owned();
        return Outward { from, contact_user, headers };
    }
    let phone = user_phone(trunk, from_user);
    let from = address(&shown.name, &format!("{}{tail}{phone}", escape_user(from_user)));
    Outward { from, contact_user: from_user.to_owned(), headers }
}

/// Whose number the trunk shows: the caller's of a forwarded call if it takes that, else that of who calls or forwarded;
/// the trunk's own one instead of an extension.
fn shown_by(
    snapshot: &Snapshot,
    caller: &Caller,
    trunk: &Trunk,
    numbering: &Numbering<'_>,
) -> Shown {
    let original = caller.original.as_deref().filter(|original| {
        let is_outside = numbering.canonical(&original.number).is_some();
        trunk.dialect.forwarded_caller == ForwardedCaller::Original && is_outside
    });
    if let Some(original) = original {
        return original.clone();
    }
    // An identity that a phone chose is a number already, and the admin let it have that.
    let is_extension = snapshot.phone(&caller.shown.number).is_some();
    let own = trunk.caller_id.clone().filter(|_| is_extension);
    let number = own.unwrap_or_else(|| caller.shown.number.clone());
    Shown { number, ..caller.shown.clone() }
}

fn identities(
    trunk: &Trunk,
    shown: &Shown,
    number: &str,
    tail: &str,
    is_withheld: bool,
) -> Headers {
    // Without a number there is nothing to assert.
    if number.is_empty() || number == super::NOBODY {
        return Headers::new();
    }
    let uri = format!("{}{tail}{}", escape_user(number), user_phone(trunk, number));
    let value = address(&shown.name, &uri);
    let usual = [IdentityHeader::Asserted];
    let list = &trunk.dialect.identity;
    // A trusted carrier that is not told in From is told here, or nowhere.
    let list = if list.is_empty() && is_withheld { &usual[..] } else { list };
    let header = |header: &IdentityHeader| match header {
        IdentityHeader::Asserted => (H::PAssertedIdentity, value.clone()),
        IdentityHeader::Preferred => (H::PPreferredIdentity, value.clone()),
        IdentityHeader::RemoteParty => {
            let privacy = if is_withheld { "full" } else { "off" };
            (H::RemotePartyId, format!("{value};party=calling;privacy={privacy};screen=yes"))
        }
    };
    list.iter().map(header).collect()
}

/// Who forwarded the call, as numbers that mean something outside: an extension without one is left out.
fn forwardings(
    snapshot: &Snapshot,
    caller: &Caller,
    trunk: &Trunk,
    tail: &str,
    target: &str,
) -> Headers {
    let dialect = &trunk.dialect;
    let numbering = Numbering::of(&snapshot.dial, dialect);
    let told: Vec<_> = caller
        .diverted
        .iter()
        .filter_map(|by| {
            let number = number_outside(snapshot, trunk, &numbering, &by.number)?;
            Some(diversion(by, numbering.write(&number, dialect.calling)))
        })
        .collect();
    if told.is_empty() {
        return Headers::new();
    }
    let tail = if dialect.user_phone { format!("{tail};user=phone") } else { tail.to_owned() };
    let headers = dialect.forwarding.iter().flat_map(|form| match form {
        Forwarding::Diversion => {
            told.iter().map(|by| (H::Diversion, by.value(&tail))).collect::<Vec<_>>()
        }
        Forwarding::History => {
            vec![(H::HistoryInfo, Diversion::history(&told, &tail, target).join(", "))]
        }
    });
    headers.collect()
}

fn diversion(by: &super::Diverted, number: String) -> Diversion {
    Diversion { number, name: by.name.clone(), reason: by.reason, is_private: by.is_private }
}

/// The number that somebody has outside: a phone that of a `[[number]]` which leads to it, on this trunk if there is
/// one, or an identity of its own, or the trunk's; anybody else his own, if it is one.
fn number_outside(
    snapshot: &Snapshot,
    trunk: &Trunk,
    numbering: &Numbering<'_>,
    number: &str,
) -> Option<String> {
    let Some(phone) = snapshot.phone(number) else { return numbering.canonical(number) };
    let leads_there =
        |to: &Destination| matches!(to, Destination::Phone(to) if *to == phone.extension);
    let own = || snapshot.numbers.iter().filter(|number| leads_there(&number.to));
    let here = own().find(|number| number.trunk == trunk.name).or_else(|| own().next());
    here.map(|number| number.number.clone())
        .or_else(|| phone.rights.identities.iter().find_map(|own| numbering.canonical(own)))
        .or_else(|| trunk.caller_id.clone())
}

/// Who is at the other end, for a response or a request inside a dialog with this peer (RFC 3325 §5, RFC 4916 §4).
#[must_use]
pub fn connected(snapshot: &Snapshot, peer: &Origin, shown: &Shown, local: &str) -> Headers {
    let name = match peer {
        Origin::Phone(_) | Origin::Operator(_) => {
            let uri = format!("{}@{}", escape_user(&shown.number), snapshot.sip.realm);
            let is_told =
                !shown.is_withheld && !shown.number.is_empty() && shown.number != super::NOBODY;
            let value = is_told.then(|| (H::PAssertedIdentity, address(&shown.name, &uri)));
            return value.into_iter().collect();
        }
        Origin::Trunk(name) => name,
    };
    let Some(trunk) = snapshot.trunk(name).filter(|trunk| trunk.dialect.trust.outward) else {
        return Headers::new();
    };
    let numbering = Numbering::of(&snapshot.dial, &trunk.dialect);
    let Some(number) = number_outside(snapshot, trunk, &numbering, &shown.number) else {
        return Headers::new();
    };
    let number = numbering.write(&number, trunk.dialect.calling);
    let tail = format!("@{}", host_of(snapshot, trunk, local));
    let uri = format!("{}{tail}{}", escape_user(&number), user_phone(trunk, &number));
    let mut headers = vec![(H::PAssertedIdentity, address(&shown.name, &uri))];
    if shown.is_withheld {
        headers.push((H::Privacy, "id".to_owned()));
    }
    headers
}

/// Who transferred a call, for the INVITE that comes of it (RFC 3892): a phone is told by extension, a trusted trunk by a
/// number that it has outside, any other trunk nothing.
#[must_use]
pub fn referred_by(
    snapshot: &Snapshot,
    extension: &str,
    trunk: Option<&str>,
    host: &str,
) -> Option<String> {
    let Some(name) = trunk else {
        return Some(format!("<sip:{}@{host}>", escape_user(extension)));
    };
    let trunk = snapshot.trunk(name).filter(|trunk| trunk.dialect.trust.outward)?;
    let numbering = Numbering::of(&snapshot.dial, &trunk.dialect);
    let number = number_outside(snapshot, trunk, &numbering, extension)?;
    let number = numbering.write(&number, trunk.dialect.calling);
    Some(format!("<sip:{}@{}>", escape_user(&number), host_of(snapshot, trunk, host)))
}

/// The host of our URIs towards a trunk.
fn host_of(snapshot: &Snapshot, trunk: &Trunk, local: &str) -> String {
    let registrar = trunk.registrar.as_ref().map(|registrar| registrar.domain());
    let is_registered = trunk.mode == TrunkMode::Register;
    match trunk.dialect.from_host {
        FromHost::Auto => registrar.filter(|_| is_registered).unwrap_or_else(|| local.to_owned()),
        FromHost::Address => local.to_owned(),
        FromHost::Carrier => registrar
            .or_else(|| trunk.peers.first().map(|peer| peer.domain()))
            .unwrap_or_else(|| local.to_owned()),
        FromHost::Realm => snapshot.sip.realm.clone(),
    }
}

/// `;user=phone` where the trunk wants it and the user is a number (RFC 3261 §19.1.1).
fn user_phone(trunk: &Trunk, user: &str) -> &'static str {
    if is_number(user) && trunk.dialect.user_phone { ";user=phone" } else { "" }
}

/// Is it a telephone number?
pub(super) fn is_number(user: &str) -> bool {
    let digits = user.strip_prefix('+').unwrap_or(user);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn address(name: &str, uri: &str) -> String {
    if name.is_empty() { format!("<sip:{uri}>") } else { format!("{} <sip:{uri}>", quote(name)) }
}

/// A called number as the trunk wants it. Numbers for help go as they are.
#[must_use]
pub fn called(snapshot: &Snapshot, trunk: &Trunk, number: &str, is_emergency: bool) -> String {
    if is_emergency {
        return number.to_owned();
    }
    let numbering = Numbering::of(&snapshot.dial, &trunk.dialect);
    let form = trunk.dialect.called;
    let written =
        if form == NumberForm::AsIs { number.to_owned() } else { numbering.write(number, form) };
    format!("{}{written}", trunk.dialect.called_prefix)
}

/// The parameter of a Request-URI for a trunk.
#[must_use]
pub fn called_tail(trunk: &Trunk, number: &str) -> &'static str {
    user_phone(trunk, number)
}
