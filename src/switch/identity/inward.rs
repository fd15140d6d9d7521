//! What a peer says of itself, as far as it is believed.

use super::number::Numbering;
use super::{Caller, Diverted, NOBODY, Shown};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::identity::{self, DIVERSIONS_MAX, Diversion, Privacy};
use crate::proto::sip::message::Message;
use crate::switch::call::Origin;
use crate::switch::snapshot::{Phone, Snapshot, Trunk};

/// Who calls, by an INVITE of this peer.
#[must_use]
pub fn caller_of(snapshot: &Snapshot, origin: &Origin, request: &Message) -> Caller {
    match origin {
        Origin::Phone(extension) | Origin::Operator(extension) => {
            phone_caller(snapshot.phone(extension), extension, request)
        }
        Origin::Trunk(name) => match snapshot.trunk(name) {
            Some(trunk) => trunk_caller(snapshot, trunk, request),
            None => Caller::new(NOBODY, ""),
        },
    }
}

/// A phone is who it logged in as, or one of its identities; what it asserts beside that is passed over (RFC 3325 §5).
fn phone_caller(phone: Option<&Phone>, extension: &str, request: &Message) -> Caller {
    let is_own = |number: &String| {
        number == extension || phone.is_some_and(|phone| phone.rights.identities.contains(number))
    };
    let wished = [identity::preferred(request), identity::from(request)];
    let number = wished.into_iter().flatten().map(|party| party.number).find(is_own);
    let name = phone.map(|phone| phone.name.clone()).filter(|name| !name.is_empty());
    let privacy = Privacy::of(request);
    let is_usual = phone.is_some_and(|phone| phone.withhold) && !privacy.is_none;
    let is_withheld = privacy.is_withheld || identity::is_from_anonymous(request) || is_usual;
    let number = number.unwrap_or_else(|| extension.to_owned());
    let name = name.unwrap_or_else(|| display_name(request));
    Caller {
        shown: Shown { number, name, is_withheld },
        is_critical: privacy.is_critical,
        user_to_user: identity::user_to_user(request),
        answer_by: answer_wish(request).map(|_| extension.to_owned()),
        ..Caller::default()
    }
}

fn trunk_caller(snapshot: &Snapshot, trunk: &Trunk, request: &Message) -> Caller {
    let dialect = &trunk.dialect;
    let numbering = Numbering::of(&snapshot.dial, dialect);
    let read = |number: &str| numbering.received(number, dialect.receives);
    let privacy = Privacy::of(request);
    let (from, is_nobody) = (identity::from(request), identity::is_from_anonymous(request));
    let is_trusted = dialect.trust.inward;
    let remote = identity::remote_party(request).filter(|_| is_trusted);
    let asserted = identity::asserted(request).filter(|_| is_trusted);
    let is_hidden_by_remote = remote.as_ref().is_some_and(|(_, is_hidden)| *is_hidden);
    let told = asserted.or_else(|| remote.map(|(party, _)| party));
    // `none` says that what is told may be shown, even beside an anonymous From (RFC 3323 §4.3).
    let may_show = privacy.is_none && told.is_some();
    let is_withheld = !may_show && (privacy.is_withheld || is_hidden_by_remote || is_nobody);
    let mut party = told.or_else(|| from.clone()).unwrap_or_default();
    if party.name.is_empty() {
        party.name = from.map(|from| from.name).unwrap_or_default();
    }
    let number = if party.number.is_empty() { NOBODY.to_owned() } else { read(&party.number) };
    // A stranger who calls himself one of our phones would be believed by whoever he calls.
    let is_spoofed = !is_trusted && snapshot.phone(&number).is_some();
    let is_withheld = is_withheld || is_spoofed;
    let caller = Caller {
        shown: Shown { number, name: party.name, is_withheld },
        is_critical: privacy.is_critical,
        ..Caller::default()
    };
    if !is_trusted {
        return caller;
    }
    let diverted = Diversion::of(request).into_iter().take(DIVERSIONS_MAX).map(|by| Diverted {
        number: read(&by.number),
        name: by.name,
        reason: by.reason,
        is_private: by.is_private || privacy.hides_history,
    });
    Caller {
        diverted: diverted.collect(),
        user_to_user: identity::user_to_user(request),
        answer_by: answer_wish(request).map(|_| format!("trunk:{}", trunk.name)),
        ..caller
    }
}

fn display_name(request: &Message) -> String {
    let from = request.text(HeaderName::From).unwrap_or_default();
    NameAddr::parse(&from).map(|from| from.display_name().into_owned()).unwrap_or_default()
}

/// Who answered on a trunk, by a response that says so; `None` if that is not believed or not said.
#[must_use]
pub fn connected_of(snapshot: &Snapshot, trunk: &str, response: &Message) -> Option<Shown> {
    let dialect = &snapshot.trunk(trunk)?.dialect;
    let party = identity::asserted(response).filter(|_| dialect.trust.inward)?;
    let numbering = Numbering::of(&snapshot.dial, dialect);
    Some(Shown {
        number: numbering.received(&party.number, dialect.receives),
        name: party.name,
        is_withheld: Privacy::of(response).is_withheld,
    })
}

/// Who is at the other end of a trunk from now on, by a re-INVITE or an UPDATE that asserts it, read like the INVITE of a
/// caller: who was hidden by an anonymous From stays so. `None` if that is not believed or not said.
#[must_use]
pub fn changed_of(snapshot: &Snapshot, trunk: &str, request: &Message) -> Option<Shown> {
    let trunk = snapshot.trunk(trunk).filter(|trunk| trunk.dialect.trust.inward)?;
    identity::asserted(request)?;
    Some(trunk_caller(snapshot, trunk, request).shown)
}

/// Does an INVITE ask to be answered without a hand? `Some(true)`: or not at all (RFC 5373 §4.2). Phones have three ways to
/// say it.
#[must_use]
pub fn answer_wish(request: &Message) -> Option<bool> {
    for name in [HeaderName::AnswerMode, HeaderName::PrivAnswerMode] {
        let Some(text) = request.text(name) else { continue };
        let mut words = text.split(';').map(str::trim);
        if words.next().is_some_and(|mode| mode.eq_ignore_ascii_case("auto")) {
            return Some(words.any(|word| word.eq_ignore_ascii_case("require")));
        }
    }
    let calls = request.list(HeaderName::CallInfo);
    let by_call_info =
        calls.iter().any(|value| value.to_ascii_lowercase().contains("answer-after="));
    let alerts = request.list(HeaderName::AlertInfo);
    let by_alert_info = alerts.iter().any(|value| {
        let value = value.to_ascii_lowercase();
        ["alert-autoanswer", "auto answer", "auto-answer", "answer-after="]
            .iter()
            .any(|word| value.contains(word))
    });
    (by_call_info || by_alert_info).then_some(false)
}
