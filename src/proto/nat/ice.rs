//! ICE as a lite agent (RFC 8445 §2.5): the peer checks whether it reaches us, and we answer.
//!
//! What passes here is known to be the peer's by the password in our description. A lite agent checks nothing itself: it
//! may be reached where it says, and learns where the peer is from the checks that come.

use std::fmt;
use std::net::SocketAddr;

use ring::hmac;

use super::stun::{self, BINDING_REQUEST, HEADER, MAGIC};

/// A name fragment and the password that goes with it (RFC 8839 §5.4).
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// The name fragment.
    pub ufrag: String,
    /// What checks are signed by. `Debug` does not show it.
    pub password: String,
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({}, …)", self.ufrag)
    }
}

/// One leg's side of ICE as its descriptions agree on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IcePlan {
    /// Ours.
    pub local: IceCredentials,
    /// The peer's name fragment, if its description is there.
    pub remote_ufrag: Option<String>,
    /// It is a lite agent as well: nobody checks, and what the descriptions say is where both are (RFC 8445 §6.1.1).
    pub is_peer_lite: bool,
}

/// A lite agent.
#[derive(Debug)]
pub struct IceLite {
    plan: IcePlan,
    /// Credentials before a restart: what is under way by them is answered until the peer uses the new ones.
    before: Option<IcePlan>,
}

/// What a check was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The peer's, and answered. It reaches us from there; nominated: audio is to go there from now on.
    Valid {
        /// It has USE-CANDIDATE.
        is_nominated: bool,
    },
    /// The peer's, and answered with an error: it takes itself for the controlled one, or asks for what we do not know.
    Refused,
    /// Nobody's that we know, or no check at all: no answer.
    Stranger,
}

impl IceLite {
    /// An agent with these credentials.
    #[must_use]
    pub fn new(plan: IcePlan) -> Self {
        Self { plan, before: None }
    }

    /// Takes what has been agreed. Other credentials of ours are a restart (RFC 8445 §9).
    pub fn set(&mut self, plan: IcePlan) {
        let before = std::mem::replace(&mut self.plan, plan);
        if before.local != self.plan.local {
            self.before = Some(before);
        }
    }

    /// Reads a datagram of this source, and writes the answer, if it gets one, into `out`, which is emptied.
    pub fn check(&mut self, request: &[u8], source: SocketAddr, out: &mut Vec<u8>) -> Check {
        out.clear();
        let Some(read) = Request::read(request) else { return Check::Stranger };
        let is_current = read.is_for(&self.plan);
        let plan = match &self.before {
            _ if is_current => &self.plan,
            Some(before) if read.is_for(before) => before,
            _ => return Check::Stranger,
        };
        let key =
            hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, plan.local.password.as_bytes());
        if !read.is_signed_by(request, &key) {
            return Check::Stranger;
        }
        let id = request.get(8..HEADER).unwrap_or_default();
        if read.unknown.is_some() || read.is_controlled {
            // As a lite agent we never control (RFC 8445 §6.1.1): who takes itself for controlled has to switch.
            let (code, reason) = if read.is_controlled {
                (487, "Role Conflict")
            } else {
                (420, "Unknown Attribute")
            };
            refusal(id, code, reason, read.unknown, &key, out);
            return Check::Refused;
        }
        success(id, source, &key, out);
        if is_current {
            self.before = None;
        }
        Check::Valid { is_nominated: read.is_nominated && is_current }
    }
}

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;
const BINDING_ERROR: [u8; 2] = [0x01, 0x11];
/// Bytes of the two attributes at the end, with their headers.
const INTEGRITY_LEN: usize = 24;
const FINGERPRINT_LEN: usize = 8;
/// Attributes that are read; a browser's check has nine.
const ATTRIBUTES_MAX: usize = 32;

/// A binding request, read but not yet believed.
struct Request<'a> {
    username: &'a str,
    /// Where MESSAGE-INTEGRITY begins, and what it says.
    integrity_at: usize,
    integrity: &'a [u8],
    is_nominated: bool,
    is_controlled: bool,
    /// The first attribute that we would have to know.
    unknown: Option<u16>,
}

impl<'a> Request<'a> {
    /// `None` unless it has all that a check must have (RFC 8445 §7.1), and its checksum is right.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let length = u16::from_be_bytes(*bytes.get(2..4)?.first_chunk()?);
        let is_whole = usize::from(length) + HEADER == bytes.len();
        if !stun::is_stun(bytes) || bytes.get(..2)? != BINDING_REQUEST || !is_whole {
            return None;
        }
        let (mut username, mut integrity, mut unknown) = (None, None, None);
        let (mut is_nominated, mut is_controlled) = (false, false);
        let mut at = HEADER;
        for _ in 0..ATTRIBUTES_MAX {
            let [k0, k1, l0, l1] = *bytes.get(at..)?.first_chunk::<4>()?;
            let (kind, length) = (u16::from_be_bytes([k0, k1]), u16::from_be_bytes([l0, l1]));
            let value = bytes.get(at + 4..at + 4 + usize::from(length))?;
            match kind {
                FINGERPRINT => {
                    // The last one; what it covers begins with the header (RFC 8489 §14.7).
                    let sum = u32::from_be_bytes(*value.first_chunk()?);
                    if at + FINGERPRINT_LEN != bytes.len() || sum != checksum(bytes.get(..at)?) {
                        return None;
                    }
                    let (integrity_at, integrity) = integrity?;
                    let username = username?;
                    return Some(Self {
                        username,
                        integrity_at,
                        integrity,
                        is_nominated,
                        is_controlled,
                        unknown,
                    });
                }
                // What stands behind the signature is signed by nobody (RFC 8489 §14.5).
                _ if integrity.is_some() => {}
                USERNAME => username = std::str::from_utf8(value).ok(),
                MESSAGE_INTEGRITY => integrity = Some((at, value)),
                USE_CANDIDATE => is_nominated = true,
                ICE_CONTROLLED => is_controlled = true,
                PRIORITY | 0x8000.. => {}
                kind => unknown = unknown.or(Some(kind)),
            }
            at += 4 + usize::from(length).next_multiple_of(4);
        }
        None
    }

    fn is_for(&self, plan: &IcePlan) -> bool {
        let Some((ours, theirs)) = self.username.split_once(':') else { return false };
        ours == plan.local.ufrag && plan.remote_ufrag.as_ref().is_none_or(|known| known == theirs)
    }

    /// The signature covers all before it, under a length that ends with it (RFC 8489 §14.5).
    fn is_signed_by(&self, bytes: &[u8], key: &hmac::Key) -> bool {
        let Some(covered) = bytes.get(..self.integrity_at) else { return false };
        let Some(signed) = with_length(covered, self.integrity_at + INTEGRITY_LEN) else {
            return false;
        };
        hmac::verify(key, &signed, self.integrity).is_ok()
    }
}

/// A copy under a header that says that the message ends there.
fn with_length(bytes: &[u8], end: usize) -> Option<Vec<u8>> {
    let mut copy = bytes.to_vec();
    let length = u16::try_from(end.checked_sub(HEADER)?).ok()?;
    copy.get_mut(2..4)?.copy_from_slice(&length.to_be_bytes());
    Some(copy)
}

fn success(id: &[u8], source: SocketAddr, key: &hmac::Key, out: &mut Vec<u8>) {
    let mut mask = MAGIC.to_vec();
    mask.extend_from_slice(id);
    begin(stun::BINDING_SUCCESS, id, out);
    attribute(stun::XOR_MAPPED_ADDRESS, &stun::masked(source, &mask), out);
    finish(key, out);
}

fn refusal(
    id: &[u8],
    code: u16,
    reason: &str,
    unknown: Option<u16>,
    key: &hmac::Key,
    out: &mut Vec<u8>,
) {
    begin(BINDING_ERROR, id, out);
    let [hundreds, rest] = [code / 100, code % 100].map(|part| u8::try_from(part).unwrap_or(0));
    let mut value = vec![0, 0, hundreds, rest];
    value.extend_from_slice(reason.as_bytes());
    attribute(ERROR_CODE.to_be_bytes(), &value, out);
    if let Some(kind) = unknown.filter(|_| code == 420) {
        attribute(UNKNOWN_ATTRIBUTES.to_be_bytes(), &kind.to_be_bytes(), out);
    }
    finish(key, out);
}

fn begin(kind: [u8; 2], id: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&kind);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(id);
}

fn attribute(kind: [u8; 2], value: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(value.len()).unwrap_or(0);
    out.extend_from_slice(&kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Signs and sums up.
fn finish(key: &hmac::Key, out: &mut Vec<u8>) {
    let signed = with_length(out, out.len() + INTEGRITY_LEN).unwrap_or_default();
    let tag = hmac::sign(key, &signed);
    attribute(MESSAGE_INTEGRITY.to_be_bytes(), tag.as_ref(), out);
    if let Some(whole) = with_length(out, out.len() + FINGERPRINT_LEN) {
        *out = whole;
    }
    let sum = checksum(out);
    attribute(FINGERPRINT.to_be_bytes(), &sum.to_be_bytes(), out);
}

/// CRC-32 of ISO 3309, masked (RFC 8489 §14.7).
fn checksum(bytes: &[u8]) -> u32 {
    const MASK: u32 = 0x5354_554e;
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 }
        })
    });
    !sum ^ MASK
}

/// A check as a full agent sends it: for tests.
#[must_use]
pub fn check_of(username: &str, password: &str, id: [u8; 12], extra: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    begin(BINDING_REQUEST, &id, &mut out);
    attribute(USERNAME.to_be_bytes(), username.as_bytes(), &mut out);
    attribute(PRIORITY.to_be_bytes(), &[0x6e, 0, 1, 0xff], &mut out);
    for (kind, value) in extra {
        attribute(kind.to_be_bytes(), value, &mut out);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    finish(&key, &mut out);
    out
}

/// Runs one hostile datagram through an agent: for fuzzing.
pub fn fuzz_ice(datagram: &[u8]) {
    let local = IceCredentials { ufrag: "ours".into(), password: "secret".into() };
    let plan = IcePlan { local, remote_ufrag: None, is_peer_lite: false };
    let source = SocketAddr::from(([192, 0, 2, 1], 4_000));
    let mut out = Vec::new();
    let check = IceLite::new(plan).check(datagram, source, &mut out);
    debug_assert!(check != Check::Stranger || out.is_empty(), "a stranger gets no answer");
}

#[cfg(test)]
mod tests;
