//! PASSporT (RFC 8225) in the Identity header (RFC 8224 §4): one token, what it claims, and how it is written.

use std::fmt;

use super::base64url::{decode, encode};
use super::json::{Value, quoted};
use super::number::is_canonical;
use super::signature::Signature;

/// Identity headers of a request that are read; further ones are passed over.
pub const IDENTITIES_MAX: usize = 8;
/// Bytes of an Identity header; a longer one is invalid.
pub const IDENTITY_MAX: usize = 8_192;
/// Bytes of the address of a certificate.
const X5U_MAX: usize = 1_024;
/// Destinations in a token.
const DESTINATIONS_MAX: usize = 16;

/// Why a call's identity is not what it claims to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What kind of failure: by it the call is answered.
    pub kind: Kind,
    /// In words.
    pub why: &'static str,
}

/// The failures of RFC 8224 §6.2.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// There is no Identity header that we could check.
    Missing,
    /// The certificate could not be fetched, or may not be fetched from there.
    BadInfo,
    /// The certificate is of no use: unknown authority, expired.
    Unsupported,
    /// The token is malformed, was not signed with that certificate, or is for another call.
    Invalid,
    /// It is too old, or from the future.
    Stale,
}

impl Kind {
    /// The status that says so.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Missing => 428,
            Self::BadInfo => 436,
            Self::Unsupported => 437,
            Self::Invalid => 438,
            Self::Stale => 403,
        }
    }

    /// The status's words here: 403 has its own.
    #[must_use]
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Missing => "Use Identity Header",
            Self::BadInfo => "Bad Identity Info",
            Self::Unsupported => "Unsupported Credential",
            Self::Invalid => "Invalid Identity Header",
            Self::Stale => "Stale Date",
        }
    }
}

impl Failure {
    /// A failure with its words.
    #[must_use]
    pub const fn new(kind: Kind, why: &'static str) -> Self {
        Self { kind, why }
    }

    const fn invalid(why: &'static str) -> Self {
        Self { kind: Kind::Invalid, why }
    }

    /// A Reason value for a call that goes on all the same (RFC 9410).
    #[must_use]
    pub fn reason(&self) -> String {
        format!("STIR;cause={};text=\"{}\"", self.kind.status(), self.kind.phrase())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.kind.status(), self.kind.phrase(), self.why)
    }
}

/// How sure the signer is of who calls (RFC 8588 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attestation {
    /// It knows the caller, who may use the number.
    A,
    /// It knows the caller.
    B,
    /// It knows where the call came in.
    C,
}

impl Attestation {
    /// The letter.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::A, Self::B, Self::C].into_iter().find(|level| level.word() == word)
    }
}

/// A side of a call, as tokens write it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Party {
    /// A telephone number in its canonical form.
    Number(String),
    /// A URI.
    Uri(String),
}

impl Party {
    /// Are they the same? Of URIs the case does not count.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Uri(one), Self::Uri(other)) => one.eq_ignore_ascii_case(other),
            _ => self == other,
        }
    }

    /// As a member of an object: its name and value.
    fn member(&self) -> (&'static str, String) {
        match self {
            Self::Number(number) => ("tn", quoted(number)),
            Self::Uri(uri) => ("uri", quoted(uri)),
        }
    }

    fn one(&self) -> String {
        let (name, value) = self.member();
        format!("{{\"{name}\":{value}}}")
    }

    fn list(&self) -> String {
        let (name, value) = self.member();
        format!("{{\"{name}\":[{value}]}}")
    }

    fn read(name: &str, value: &Value) -> Option<Self> {
        let text = value.text()?;
        match name {
            "tn" if is_canonical(text) => Some(Self::Number(text.to_owned())),
            "uri" if !text.is_empty() => Some(Self::Uri(text.to_owned())),
            _ => None,
        }
    }
}

/// What a token is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Who calls (RFC 8225).
    Base,
    /// Who calls, and how sure that is (RFC 8588).
    Shaken,
    /// Who sent the call elsewhere (RFC 8946).
    Div,
}

/// A token that was read; its signature is not checked yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Passport {
    /// What is signed.
    pub input: String,
    /// The signature.
    pub signature: Signature,
    /// Where the certificate is.
    pub x5u: String,
    /// What it is for.
    pub kind: Type,
    /// When it was made, in seconds since 1970.
    pub iat: i64,
    /// Who calls.
    pub orig: Party,
    /// Who is called.
    pub dest: Vec<Party>,
    /// How sure that is, in [`Type::Shaken`].
    pub attest: Option<Attestation>,
    /// Who sent the call elsewhere, in [`Type::Div`].
    pub div: Option<Party>,
}

/// The value of an Identity header, in its parts.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'v> {
    /// The token.
    pub token: &'v str,
    info: Option<&'v str>,
    alg: Option<&'v str>,
    ppt: Option<&'v str>,
}

impl<'v> Identity<'v> {
    /// Cuts the value; `None` if it is malformed.
    #[must_use]
    pub fn parse(value: &'v str) -> Option<Self> {
        let (token, mut rest) = value.split_once(';').unwrap_or((value, ""));
        let mut identity = Self { token: token.trim(), info: None, alg: None, ppt: None };
        while !rest.trim().is_empty() {
            let (name, after) = rest.split_once('=')?;
            let after = after.trim_start();
            let (text, after) = match after.as_bytes().first() {
                Some(b'<') => after.get(1..)?.split_once('>')?,
                Some(b'"') => after.get(1..)?.split_once('"')?,
                _ => {
                    let end = after.find(';').unwrap_or(after.len());
                    let (text, after) = after.split_at(end);
                    (text.trim(), after)
                }
            };
            let after = after.trim_start();
            rest = if after.is_empty() { "" } else { after.strip_prefix(';')? };
            let slot = match name.trim().to_ascii_lowercase().as_str() {
                "info" => &mut identity.info,
                "alg" => &mut identity.alg,
                "ppt" => &mut identity.ppt,
                _ => continue,
            };
            if slot.replace(text).is_some() {
                return None;
            }
        }
        Some(identity)
    }
}

impl Passport {
    /// Reads the value of an Identity header; `None` for a type of token that we know nothing of, which is passed over
    /// (RFC 8224 §6.2).
    ///
    /// # Errors
    ///
    /// [`Failure`] if it is malformed, or signed in a way that nobody can check.
    pub fn read(value: &str) -> Result<Option<Self>, Failure> {
        if value.len() > IDENTITY_MAX {
            return Err(Failure::invalid("the header is too long"));
        }
        let malformed = Failure::invalid("the header is malformed");
        let identity = Identity::parse(value).ok_or(malformed)?;
        let mut parts = identity.token.split('.');
        let (Some(head), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Failure::invalid("the token does not have three parts"));
        };
        if head.is_empty() || claims.is_empty() {
            return Err(Failure::invalid("the token is in the compact form"));
        }
        let part = |text| decode(text).and_then(|bytes| Value::object(&bytes));
        let head_object = part(head).ok_or(Failure::invalid("the token's head is not readable"))?;
        let Some(kind) = kind_of(&identity, &head_object)? else { return Ok(None) };
        let x5u = x5u_of(&identity, &head_object)?;
        let body = part(claims).ok_or(Failure::invalid("the token's claims are not readable"))?;
        let signature = decode(signature).and_then(|bytes| bytes.try_into().ok());
        let signature = signature.ok_or(Failure::invalid("the signature is not one of ES256"))?;
        let claim = |why| Failure::invalid(why);
        let iat = match body.get("iat") {
            Some(Value::Whole(iat)) => *iat,
            _ => return Err(claim("the claim iat is missing or not a number")),
        };
        let orig = body.get("orig").and_then(one_party).ok_or(claim("the claim orig is wrong"))?;
        let dest = body.get("dest").and_then(parties).ok_or(claim("the claim dest is wrong"))?;
        let attest = body.get("attest").and_then(Value::text).and_then(Attestation::from_word);
        let div = body.get("div").and_then(one_party);
        let has_origin = body.get("origid").and_then(Value::text).is_some_and(is_uuid);
        match kind {
            Type::Shaken if attest.is_none() => return Err(claim("the claim attest is wrong")),
            Type::Shaken if !has_origin => return Err(claim("the claim origid is no UUID")),
            Type::Div if div.is_none() => return Err(claim("the claim div is wrong")),
            _ => {}
        }
        let attest = attest.filter(|_| kind == Type::Shaken);
        let input = format!("{head}.{claims}");
        Ok(Some(Self { input, signature, x5u, kind, iat, orig, dest, attest, div }))
    }
}

/// The type of a token whose algorithm we know.
fn kind_of(identity: &Identity<'_>, head: &Value) -> Result<Option<Type>, Failure> {
    let text = |name| head.get(name).and_then(Value::text);
    if !text("typ").is_some_and(|typ| typ.eq_ignore_ascii_case("passport")) {
        return Err(Failure::invalid("the token is no PASSporT"));
    }
    let ppt = match head.get("ppt") {
        None => None,
        Some(value) => Some(value.text().ok_or(Failure::invalid("ppt is not a word"))?),
    };
    if identity.ppt.is_some() && identity.ppt != ppt {
        return Err(Failure::invalid("the header and the token name different types"));
    }
    let kind = match ppt {
        None => Type::Base,
        Some("shaken") => Type::Shaken,
        Some("div") => Type::Div,
        Some(_) => return Ok(None),
    };
    // "none" and whatever else another library might believe.
    if text("alg") != Some("ES256") || identity.alg.is_some_and(|alg| alg != "ES256") {
        return Err(Failure::new(Kind::Unsupported, "the algorithm is not ES256"));
    }
    Ok(Some(kind))
}

/// Where the certificate is: the header and the token must agree.
fn x5u_of(identity: &Identity<'_>, head: &Value) -> Result<String, Failure> {
    let x5u = head.get("x5u").and_then(Value::text).unwrap_or_default();
    if x5u.is_empty() || x5u.len() > X5U_MAX || !x5u.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::new(Kind::BadInfo, "the token names no certificate"));
    }
    match identity.info {
        Some(info) if info != x5u => {
            Err(Failure::new(Kind::BadInfo, "the header and the token name different certificates"))
        }
        _ => Ok(x5u.to_owned()),
    }
}

fn one_party(value: &Value) -> Option<Party> {
    let Value::Object(members) = value else { return None };
    match members.as_slice() {
        [(name, value)] => Party::read(name, value),
        _ => None,
    }
}

fn parties(value: &Value) -> Option<Vec<Party>> {
    let Value::Object(members) = value else { return None };
    let mut found = Vec::new();
    for (name, value) in members {
        let Value::List(list) = value else { return None };
        for value in list {
            found.push(Party::read(name, value)?);
        }
    }
    (1..=DESTINATIONS_MAX).contains(&found.len()).then_some(found)
}

/// `8-4-4-4-12` hex digits (RFC 9562 §4).
pub fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A token in the making: who calls whom, and when that was.
#[derive(Clone, Debug)]
pub struct Statement<'s> {
    /// Where our certificate is.
    pub x5u: &'s str,
    /// In seconds since 1970.
    pub iat: i64,
    /// Who calls.
    pub orig: &'s Party,
    /// Who is called.
    pub dest: &'s Party,
}

impl Statement<'_> {
    /// The bytes to sign of a SHAKEN token (RFC 8588): members in order and without blanks (RFC 8225 §9).
    #[must_use]
    pub fn shaken(&self, attest: Attestation, origid: &str) -> String {
        let Self { iat, orig, dest, .. } = self;
        self.input(
            Type::Shaken,
            &format!(
                "{{\"attest\":\"{}\",\"dest\":{},\"iat\":{iat},\"orig\":{},\"origid\":{}}}",
                attest.word(),
                dest.list(),
                orig.one(),
                quoted(origid)
            ),
        )
    }

    /// The bytes to sign of a token that says who sent the call elsewhere (RFC 8946 §4).
    #[must_use]
    pub fn div(&self, by: &Party) -> String {
        let Self { iat, orig, dest, .. } = self;
        self.input(
            Type::Div,
            &format!(
                "{{\"dest\":{},\"div\":{},\"iat\":{iat},\"orig\":{}}}",
                dest.list(),
                by.one(),
                orig.one()
            ),
        )
    }

    fn input(&self, kind: Type, claims: &str) -> String {
        let head = format!(
            "{{\"alg\":\"ES256\",\"ppt\":\"{}\",\"typ\":\"passport\",\"x5u\":{}}}",
            word(kind),
            quoted(self.x5u)
        );
        format!("{}.{}", encode(head.as_bytes()), encode(claims.as_bytes()))
    }

    /// The value of the Identity header, once the bytes are signed.
    #[must_use]
    pub fn value(&self, kind: Type, input: &str, signature: &Signature) -> String {
        let (signature, x5u) = (encode(signature), self.x5u);
        format!("{input}.{signature};info=<{x5u}>;alg=ES256;ppt={}", word(kind))
    }
}

const fn word(kind: Type) -> &'static str {
    match kind {
        Type::Base => "base",
        Type::Shaken => "shaken",
        Type::Div => "div",
    }
}
