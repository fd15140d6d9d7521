//! Who a message says it is from, beside From: asserted identities, privacy and diversions (RFC 3325, RFC 3323,
//! RFC 5806, RFC 7044). What is read here is a claim; whether it is believed is the switch's business.

mod diversion;
mod privacy;
#[cfg(test)]
mod tests;

use super::header::name_addr::NameAddr;
use super::header::{HeaderName, split_list};
use super::message::Message;
use super::uri::{Scheme, Uri};

pub use diversion::{DIVERSIONS_MAX, Diversion, Reason};
pub use privacy::Privacy;

/// The longest display name that is kept, in characters; the rest is cut off.
pub const NAME_MAX: usize = 128;
/// The longest number that From and the identity headers may name, in bytes; one that is longer is not read.
pub const NUMBER_MAX: usize = 128;
/// The From and To URI of somebody who does not say who he is (RFC 3323 §4.1.1.3).
pub const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// Values of one identity header that are looked at; more are passed over.
const VALUES_MAX: usize = 8;

/// Somebody by number and name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Party {
    /// The user of the URI, or the number of a `tel` one.
    pub number: String,
    /// The display name, without quotes.
    pub name: String,
}

/// The caller in P-Asserted-Identity: of a `sip` value, or of a `tel` one where that has no user (RFC 3325 §9.1 allows
/// one of each). `None` if there is none that can be read.
#[must_use]
pub fn asserted(message: &Message) -> Option<Party> {
    of_list(message, HeaderName::PAssertedIdentity)
}

/// Whom a phone would like to be (P-Preferred-Identity, RFC 3325 §9.2).
#[must_use]
pub fn preferred(message: &Message) -> Option<Party> {
    of_list(message, HeaderName::PPreferredIdentity)
}

fn of_list(message: &Message, name: HeaderName) -> Option<Party> {
    let values: Vec<_> = message.list(name).into_iter().take(VALUES_MAX).collect();
    let read = values.iter().filter_map(|value| Some((scheme_of(value)?, party_of(value)?)));
    let read: Vec<_> = read.collect();
    let of = |wanted: &[Scheme]| {
        let mut found = read.iter().filter(|(scheme, _)| wanted.contains(scheme));
        found.find(|(_, party)| !is_anonymous_user(&party.number)).map(|(_, party)| party)
    };
    let by_sip = of(&[Scheme::Sip, Scheme::Sips]);
    let mut party = by_sip.or_else(|| of(&[Scheme::Tel]))?.clone();
    if party.name.is_empty() {
        let named = read.iter().find(|(_, other)| !other.name.is_empty());
        party.name = named.map(|(_, other)| other.name.clone()).unwrap_or_default();
    }
    Some(party)
}

/// The caller in Remote-Party-ID (draft-ietf-sip-privacy-04), as peers that are older than RFC 3325 use it, and
/// whether he is to be hidden.
#[must_use]
pub fn remote_party(message: &Message) -> Option<(Party, bool)> {
    let values: Vec<_> =
        message.list(HeaderName::RemotePartyId).into_iter().take(VALUES_MAX).collect();
    values.iter().find_map(|value| {
        let address = NameAddr::parse(value).ok()?;
        let party = address.params.get("party");
        if party.is_some_and(|party| !party.eq_ignore_ascii_case("calling")) {
            return None;
        }
        // `full` and `uri` hide the number; `name` alone is rare, and hiding more than asked tells nobody anything.
        let hides =
            |word: &str| ["full", "uri", "name"].iter().any(|w| word.eq_ignore_ascii_case(w));
        let privacy = address.params.get("privacy").unwrap_or_default();
        let is_hidden = privacy.split([',', ';', '-']).any(|word| hides(word.trim()));
        Some((party_of(value)?, is_hidden))
    })
}

/// The caller in From. `None` if it has no user, one that stands for nobody, or one that cannot be kept.
#[must_use]
pub fn from(message: &Message) -> Option<Party> {
    let value = message.text(HeaderName::From)?;
    let address = NameAddr::parse(&value).ok()?;
    let uri = address.parsed_uri()?;
    let number = number_of(&uri)?;
    let is_nobody = is_anonymous_user(&number) || is_invalid_host(&uri);
    (!is_nobody).then(|| Party { number, name: cut(&address.display_name()) })
}

/// Does the From stand for nobody (RFC 3323 §4.1.1.3, and what carriers write instead)?
#[must_use]
pub fn is_from_anonymous(message: &Message) -> bool {
    let value = message.text(HeaderName::From).unwrap_or_default();
    let Ok(address) = NameAddr::parse(&value) else { return false };
    address
        .parsed_uri()
        .is_some_and(|uri| is_anonymous_user(&uri.dialled()) || is_invalid_host(&uri))
}

fn is_anonymous_user(user: &str) -> bool {
    ["anonymous", "restricted", "unavailable"].iter().any(|word| user.eq_ignore_ascii_case(word))
}

/// `anonymous.invalid`, `unknown.invalid`: no such host can be (RFC 2606).
fn is_invalid_host(uri: &Uri<'_>) -> bool {
    let host = uri.host.as_ref().map(ToString::to_string).unwrap_or_default();
    host.to_ascii_lowercase().ends_with(".invalid")
}

fn scheme_of(value: &str) -> Option<Scheme> {
    Some(Uri::parse(NameAddr::parse(value).ok()?.uri)?.scheme)
}

/// The number and name of an address; `None` without a number that can be kept.
fn party_of(value: &str) -> Option<Party> {
    let address = NameAddr::parse(value).ok()?;
    let number = number_of(&address.parsed_uri()?)?;
    Some(Party { number, name: cut(&address.display_name()) })
}

/// The number in a URI, without visual separators where it is a `tel` one (RFC 3966 §5.1.1).
pub(super) fn number_of(uri: &Uri<'_>) -> Option<String> {
    let number = uri.dialled();
    let number: String = match uri.scheme {
        Scheme::Tel => number.chars().filter(|c| !"-.()".contains(*c)).collect(),
        Scheme::Sip | Scheme::Sips => number.into_owned(),
        Scheme::Urn | Scheme::Other => return None,
    };
    let is_good = !number.is_empty() && number.len() <= NUMBER_MAX;
    (is_good && !number.chars().any(char::is_control)).then_some(number)
}

pub(super) fn cut(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect()
}

/// User-to-User information that may cross (RFC 7433): whole values of a bounded length, and few of them.
#[must_use]
pub fn user_to_user(message: &Message) -> Vec<String> {
    const USER_TO_USER_MAX: usize = 2;
    // 128 octets, the most that ISDN takes, in hexadecimal, and room for the parameters.
    const LENGTH_MAX: usize = 384;
    let lines = message.texts(HeaderName::UserToUser);
    let values = lines.flat_map(|line| split_list(&line).map(str::to_owned).collect::<Vec<_>>());
    values.filter(|value| value.len() <= LENGTH_MAX).take(USER_TO_USER_MAX).collect()
}
