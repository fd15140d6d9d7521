//! The challenged side: answering 401 and 407 (RFC 3261 §22.2, RFC 7616 §3.4).

use super::AuthParams;
use super::digest::{Algorithm, Inputs};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::params::quote;
use crate::proto::sip::message::Message;
use crate::proto::token::Tokens;

/// Challenges of one response that are looked at; a response with more is cut off.
const CHALLENGES_MAX: usize = 16;
/// How often one request is sent again for the sake of credentials: once, and once more for `stale`.
const ATTEMPTS_MAX: u8 = 3;

/// Our account at a peer.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The user name.
    pub user: String,
    /// The password.
    pub secret: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.user)
    }
}

/// A challenge that we can answer.
#[derive(Clone, Debug)]
struct Challenge {
    header: HeaderName,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    is_session: bool,
    /// The algorithm token as the server wrote it; absent if it wrote none.
    written: Option<String>,
    qop: Option<&'static str>,
    is_stale: bool,
    count: u32,
}

/// The credentials of one dialog or registration with one peer.
#[derive(Clone, Debug)]
pub struct Credentials {
    account: Account,
    challenges: Vec<Challenge>,
    attempts: u8,
    /// The realm that the peer asked in elsewhere, such as at our registration.
    realm: Option<String>,
}

/// Why a challenge is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The peer challenged again though the credentials were fresh: they are wrong.
    WrongPassword,
    /// No challenge with an algorithm that we speak.
    NotUnderstood,
    /// The realm is another than the one this peer used before: the digest could be meant for someone
    /// else, so nothing is sent.
    OtherRealm,
}

impl Credentials {
    /// Credentials that have seen no challenge yet.
    #[must_use]
    pub const fn new(account: Account) -> Self {
        Self { account, challenges: Vec::new(), attempts: 0, realm: None }
    }

    /// The same, for a peer that has asked in this realm before.
    #[must_use]
    pub fn known_in(mut self, realm: Option<String>) -> Self {
        self.realm = realm;
        self
    }

    /// The realm that the peer asked in last.
    #[must_use]
    pub fn realm(&self) -> Option<&str> {
        self.challenges.last().map(|challenge| challenge.realm.as_str())
    }

    /// Takes in the challenges of a 401 or 407. On success the request may be sent again.
    ///
    /// # Errors
    ///
    /// See [`Refused`]; the response is then the request's final answer.
    pub fn challenged(&mut self, response: &Message) -> Result<(), Refused> {
        let found = challenges(response);
        if found.is_empty() {
            return Err(Refused::NotUnderstood);
        }
        self.attempts += 1;
        if self.attempts > ATTEMPTS_MAX {
            return Err(Refused::WrongPassword);
        }
        let knows =
            |header| self.challenges.iter().find(|known: &&Challenge| known.header == header);
        for challenge in &found {
            if let Some(known) = knows(challenge.header) {
                if known.realm != challenge.realm {
                    return Err(Refused::OtherRealm);
                }
                // A second challenge is fair only when the nonce had worn out.
                if self.attempts > 1 && !challenge.is_stale {
                    return Err(Refused::WrongPassword);
                }
            }
        }
        for challenge in found {
            self.challenges.retain(|known| known.header != challenge.header);
            self.challenges.push(challenge);
        }
        Ok(())
    }

    /// Takes in a challenge of a request inside a dialog. Whoever is called can ask there, behind a carrier that asks for
    /// nothing itself, and have our digest for its own realm: only a realm that asked before the dialog began is
    /// answered.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub fn challenged_in_dialog(&mut self, response: &Message) -> Result<(), Refused> {
        let is_known = |realm: &String| {
            self.realm.as_ref() == Some(realm)
                || self.challenges.iter().any(|known| known.realm == *realm)
        };
        if challenges(response).iter().any(|challenge| !is_known(&challenge.realm)) {
            return Err(Refused::OtherRealm);
        }
        self.challenged(response)
    }

    /// The request was accepted: the next challenge starts a new count of attempts.
    pub const fn accepted(&mut self) {
        self.attempts = 0;
    }

    /// The headers for a request, one per challenge seen. Counts the nonces up.
    pub fn headers(
        &mut self,
        method: &str,
        uri: &str,
        body: &[u8],
        tokens: &mut Tokens,
    ) -> Vec<(HeaderName, String)> {
        let account = &self.account;
        self.challenges
            .iter_mut()
            .map(|challenge| {
                challenge.count += 1;
                let name = match challenge.header {
                    HeaderName::ProxyAuthenticate => HeaderName::ProxyAuthorization,
                    _ => HeaderName::Authorization,
                };
                (name, answer(challenge, account, method, uri, body, tokens))
            })
            .collect()
    }
}

fn answer(
    challenge: &Challenge,
    account: &Account,
    method: &str,
    uri: &str,
    body: &[u8],
    tokens: &mut Tokens,
) -> String {
    let cnonce = tokens.tag();
    let nc = format!("{:08x}", challenge.count);
    let response = Inputs {
        algorithm: challenge.algorithm,
        is_session: challenge.is_session,
        username: &account.user,
        realm: &challenge.realm,
        secret: &account.secret,
        method,
        uri,
        nonce: &challenge.nonce,
        qop: challenge.qop.map(|qop| (qop, nc.as_str(), cnonce.as_str())),
        body,
    }
    .response();
    let mut out = format!(
        "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
        quote(&account.user),
        quote(&challenge.realm),
        quote(&challenge.nonce),
        quote(uri)
    );
    if let Some(written) = &challenge.written {
        out.push_str(&format!(", algorithm={written}"));
    }
    match challenge.qop {
        Some(qop) => out.push_str(&format!(", qop={qop}, nc={nc}, cnonce=\"{cnonce}\"")),
        None if challenge.is_session => out.push_str(&format!(", cnonce=\"{cnonce}\"")),
        None => {}
    }
    if let Some(opaque) = &challenge.opaque {
        out.push_str(&format!(", opaque={}", quote(opaque)));
    }
    out
}

/// The topmost challenge that we understand, for each of the two headers (RFC 8760 §2.4).
fn challenges(response: &Message) -> Vec<Challenge> {
    [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate]
        .into_iter()
        .filter_map(|header| {
            response.texts(header).take(CHALLENGES_MAX).find_map(|value| challenge(header, &value))
        })
        .collect()
}

fn challenge(header: HeaderName, value: &str) -> Option<Challenge> {
    let params = AuthParams::digest(value)?;
    let written = params.get("algorithm").map(std::borrow::Cow::into_owned);
    let (algorithm, is_session) = Algorithm::parse(written.as_deref())?;
    let offered = params.get("qop").unwrap_or_default();
    let offers = |qop: &str| offered.split(',').any(|word| word.trim().eq_ignore_ascii_case(qop));
    let qop = if offers("auth") {
        Some("auth")
    } else if offers("auth-int") {
        Some("auth-int")
    } else {
        None
    };
    if qop.is_none() && !offered.trim().is_empty() {
        return None;
    }
    Some(Challenge {
        header,
        realm: params.get("realm")?.into_owned(),
        nonce: params.get("nonce")?.into_owned(),
        opaque: params.get("opaque").map(std::borrow::Cow::into_owned),
        algorithm,
        is_session,
        written,
        qop,
        is_stale: params.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        count: 0,
    })
}
