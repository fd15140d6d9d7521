//! Statements of who calls, signed in a way that everybody can see through: what is tested here is who is believed,
//! and not the cryptography, which is the edge's.

use sha2::{Digest, Sha256};
use tandem::proto::stir::passport::{Statement, Type};
use tandem::proto::stir::{Attestation, Kind, Party};
use tandem::switch::stir::Check;

pub use tandem::proto::stir::Failure;
pub use tandem::proto::stir::signature::Signature;

use super::world::{EPOCH, Flying, World};

/// Where the certificate of good signatures is.
pub const GOOD: &str = "https://good.example.net/cert.pem";
/// A certificate that cannot be fetched.
pub const GONE: &str = "https://gone.example.net/cert.pem";
/// A certificate of an authority that nobody trusts.
pub const STRANGE: &str = "https://strange.example.net/cert.pem";
/// A certificate whose server says nothing for longer than a call waits.
pub const SLOW: &str = "https://slow.example.net/cert.pem";
/// An id of an origin.
pub const ORIGID: &str = "123e4567-e89b-12d3-a456-426655440000";

/// The signature of these bytes.
pub fn signature(input: &str) -> Signature {
    let digest: [u8; 32] = Sha256::digest(input).into();
    [digest, digest].concat().try_into().unwrap()
}

/// Now, as tokens count.
pub fn seconds(now: u64) -> i64 {
    (EPOCH.0 + i64::try_from(now).unwrap()) / 1_000_000
}

/// A statement in the making.
#[derive(Clone, Debug)]
pub struct Stated {
    pub x5u: &'static str,
    pub iat: i64,
    pub orig: &'static str,
    pub dest: &'static str,
    /// Who sent the call elsewhere.
    pub by: Option<&'static str>,
    pub attest: Attestation,
}

impl Stated {
    pub fn now(w: &World, orig: &'static str, dest: &'static str) -> Self {
        let iat = seconds(w.now);
        Self { x5u: GOOD, iat, orig, dest, by: None, attest: Attestation::A }
    }

    /// The header line.
    pub fn line(&self) -> String {
        let [orig, dest] = [self.orig, self.dest].map(|text| Party::Number(text.to_owned()));
        let statement = Statement { x5u: self.x5u, iat: self.iat, orig: &orig, dest: &dest };
        let (kind, input) = match self.by {
            None => (Type::Shaken, statement.shaken(self.attest, ORIGID)),
            Some(by) => (Type::Div, statement.div(&Party::Number(by.to_owned()))),
        };
        let value = statement.value(kind, &input, &signature(&input));
        format!("Identity: {value}\r\n")
    }
}

fn verdict(check: &Check) -> Result<(), Failure> {
    match check.x5u.as_str() {
        GOOD if check.signature == signature(&check.input) => Ok(()),
        GOOD => Err(Failure::new(Kind::Invalid, "the signature is not the certificate's")),
        STRANGE => Err(Failure::new(Kind::Unsupported, "nobody trusts it")),
        _ => Err(Failure::new(Kind::BadInfo, "it is not there")),
    }
}

impl World {
    pub(super) fn verify(&mut self, id: u64, checks: Vec<Check>) {
        let result = checks.iter().try_for_each(verdict);
        let is_slow = checks.iter().any(|check| check.x5u == SLOW);
        self.checked.extend(checks);
        if !self.is_stir_dead && !is_slow {
            self.fly(self.now + 1_000, Flying::Verified(id, result));
        }
    }

    pub(super) fn sign(&mut self, id: u64, input: String) {
        let signature = signature(&input);
        self.signed.push(input);
        if !self.is_stir_dead {
            self.fly(self.now + 1_000, Flying::Signed(id, signature));
        }
    }
}
