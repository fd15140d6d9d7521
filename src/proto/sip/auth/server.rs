//! The challenging side: keyed, time-stamped nonces with a window of counts (RFC 7616 §3.3, §3.4).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::AuthParams;
use super::digest::{Algorithm, Inputs, is_same};
use crate::proto::hex::hex;
use crate::proto::sip::uri::Uri;
use crate::proto::time::Instant;
use crate::proto::token::Tokens;

/// Nonces whose counts are remembered. When a new one finds no place the oldest is forgotten and counts
/// as stale from then on, so that forgetting never opens the door to a replay.
pub const NONCES_MAX: usize = 100_000;

/// What came of checking credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// They are right and fresh.
    Accepted,
    /// The password is right, the nonce is too old or not ours (a restart): 401 with `stale=true`.
    Stale,
    /// This count was used before: 401, as for a request that is none of the peer's own.
    Replayed,
    /// User or password is wrong: the two are not told apart.
    Wrong,
    /// The `uri` parameter names another resource than the request: 400.
    OtherUri,
    /// Something is missing or unknown: 400.
    Malformed,
}

/// Counts of one nonce: a window behind the highest one, because UDP reorders.
#[derive(Debug, Default)]
struct Counts {
    highest: u32,
    seen: u64,
}

impl Counts {
    /// Notes a count; false if it was used before or lies behind the window.
    fn take(&mut self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = if ahead >= 64 { 0 } else { self.seen << ahead };
            self.seen |= 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        if behind >= 64 || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

/// Makes challenges and checks credentials for one realm.
#[derive(Debug)]
pub struct Authenticator {
    realm: String,
    algorithms: Vec<Algorithm>,
    lifetime: Duration,
    key: [u8; 32],
    tokens: Tokens,
    counts: HashMap<String, Counts>,
    /// Nonces in the order of their birth.
    ages: VecDeque<(Instant, String)>,
    /// Nonces born before this are stale whatever their age.
    floor: Instant,
    /// The first instant after the birth of every nonce whose counts were forgotten.
    forgotten: Instant,
}

impl Authenticator {
    /// An authenticator with a key of its own.
    #[must_use]
    pub fn new(realm: &str, algorithms: &[Algorithm], lifetime: Duration, seed: [u8; 32]) -> Self {
        let mut tokens = Tokens::new(seed);
        Self {
            realm: realm.to_owned(),
            algorithms: algorithms.to_vec(),
            lifetime,
            key: tokens.fork(),
            tokens,
            counts: HashMap::new(),
            ages: VecDeque::new(),
            floor: Instant::START,
            forgotten: Instant::START,
        }
    }

    /// Takes a changed realm, algorithms and lifetime. Nonces that are out stay good as long as the new
    /// lifetime allows; credentials for another realm are none from now on.
    pub fn configure(&mut self, realm: &str, algorithms: &[Algorithm], lifetime: Duration) {
        realm.clone_into(&mut self.realm);
        self.algorithms = algorithms.to_vec();
        if lifetime > self.lifetime {
            // Counts that the shorter lifetime let go of are unknown: their nonces must not serve again.
            self.floor = self.floor.max(self.forgotten);
        }
        self.lifetime = lifetime;
    }

    /// The challenges for a 401, strongest first, one header each (RFC 8760 §2.3).
    pub fn challenges(&mut self, now: Instant, is_stale: bool) -> Vec<String> {
        let nonce = self.nonce(now);
        let stale = if is_stale { ", stale=true" } else { "" };
        self.algorithms
            .iter()
            .map(|algorithm| {
                format!(
                    "Digest realm=\"{}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}",
                    self.realm
                )
            })
            .collect()
    }

    /// A nonce: birth in microseconds, salt, and an HMAC over both.
    fn nonce(&mut self, now: Instant) -> String {
        let head = format!("{:016x}{:016x}", now.as_micros(), self.tokens.next_u64());
        let mac = self.mac(&head);
        head + &mac
    }

    fn mac(&self, head: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        mac.update(head.as_bytes());
        hex(mac.finalize().into_bytes().get(..12).unwrap_or(&[]))
    }

    /// When one of our nonces was born; `None` if it is not ours.
    fn born(&self, nonce: &str) -> Option<Instant> {
        let (head, mac) = nonce.split_at_checked(32)?;
        if !is_same(&self.mac(head), mac) {
            return None;
        }
        u64::from_str_radix(head.get(..16)?, 16).ok().map(Instant::from_micros)
    }

    /// The user name in credentials for this realm, with any `@domain` taken off.
    #[must_use]
    pub fn user_of(&self, credentials: &str) -> Option<String> {
        let params = AuthParams::digest(credentials)?;
        if params.get("realm")? != self.realm {
            return None;
        }
        let name = params.get("username")?;
        Some(name.split('@').next().unwrap_or("").to_owned())
    }

    /// Checks credentials for a request. `secret` is the user's password; give a made-up one for an
    /// unknown user, so that both take the same time.
    pub fn check(
        &mut self,
        now: Instant,
        credentials: &str,
        method: &str,
        request_uri: &str,
        body: &[u8],
        secret: &str,
    ) -> Verdict {
        let Some(params) = AuthParams::digest(credentials) else { return Verdict::Malformed };
        let get = |name: &str| params.get(name).unwrap_or_default();
        let (nonce, uri, cnonce, nc, qop) =
            (get("nonce"), get("uri"), get("cnonce"), get("nc"), get("qop"));
        let Some((algorithm, is_session)) = Algorithm::parse(params.get("algorithm").as_deref())
        else {
            return Verdict::Malformed;
        };
        let has_qop = qop.eq_ignore_ascii_case("auth") || qop.eq_ignore_ascii_case("auth-int");
        if nonce.is_empty() || uri.is_empty() || (!qop.is_empty() && !has_qop) {
            return Verdict::Malformed;
        }
        if !self.algorithms.contains(&algorithm) {
            return Verdict::Malformed;
        }
        let inputs = Inputs {
            algorithm,
            is_session,
            username: &get("username"),
            realm: &self.realm,
            secret,
            method,
            uri: &uri,
            nonce: &nonce,
            qop: has_qop.then_some((&*qop, &*nc, &*cnonce)),
            body,
        };
        if !is_same(&inputs.response(), &get("response").to_ascii_lowercase()) {
            return Verdict::Wrong;
        }
        if !is_same_resource(&uri, request_uri) {
            return Verdict::OtherUri;
        }
        let fresh = self
            .born(&nonce)
            .filter(|born| now.since(*born) <= self.lifetime && *born >= self.floor);
        let Some(born) = fresh else { return Verdict::Stale };
        // Without qop (RFC 2069) there is no count: such a nonce serves once.
        let count = if has_qop { u32::from_str_radix(&nc, 16).unwrap_or(0) } else { 1 };
        if has_qop && (cnonce.is_empty() || nc.len() != 8) {
            return Verdict::Malformed;
        }
        self.take(now, born, &nonce, count)
    }

    fn take(&mut self, now: Instant, born: Instant, nonce: &str, count: u32) -> Verdict {
        if let Some(counts) = self.counts.get_mut(nonce) {
            return if counts.take(count) { Verdict::Accepted } else { Verdict::Replayed };
        }
        while let Some((age, _)) = self.ages.front() {
            let is_over = now.since(*age) > self.lifetime;
            if !is_over && self.counts.len() < NONCES_MAX {
                break;
            }
            if let Some((age, old)) = self.ages.pop_front() {
                self.counts.remove(&old);
                self.forgotten = self.forgotten.max(age + Duration::from_micros(1));
                if !is_over {
                    self.floor = self.floor.max(self.forgotten);
                }
            }
        }
        let mut counts = Counts::default();
        let is_new = counts.take(count);
        self.counts.insert(nonce.to_owned(), counts);
        // Nonces come into use nearly in the order of their birth; the queue is kept strictly so.
        let at = self.ages.partition_point(|(age, _)| *age <= born);
        self.ages.insert(at, (born, nonce.to_owned()));
        if is_new { Verdict::Accepted } else { Verdict::Replayed }
    }

    /// How many nonces' counts are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.counts.len()
    }
}

fn is_same_resource(uri: &str, request_uri: &str) -> bool {
    if uri == request_uri {
        return true;
    }
    match (Uri::parse(uri), Uri::parse(request_uri)) {
        (Some(a), Some(b)) => a.is_equivalent(&b),
        _ => false,
    }
}
