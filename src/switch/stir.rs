//! Whose statements of identity are believed, and what we ourselves state (RFC 8224, RFC 8588).

use std::fmt;

use crate::proto::stir::source::Source;
use crate::proto::stir::{Attestation, Failure, Home, Kind, canonical, signature::Signature};
use crate::switch::cause::{self, Cause};
use crate::switch::snapshot::{DialSettings, Snapshot};

/// What is done with the Identity headers of calls that come by a trunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum StirIn {
    /// They are not looked at.
    #[default]
    Off,
    /// They are checked, and what came of it is told to operators and phones.
    Note,
    /// The same, and whoever sent the call hears what is wrong with them (RFC 9410).
    Reason,
    /// A call is refused whose Identity is wrong.
    Reject,
    /// A call is refused whose Identity is wrong or missing.
    Require,
}

impl StirIn {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Off, Self::Note, Self::Reason, Self::Reject, Self::Require];

    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Note => "note",
            Self::Reason => "reason",
            Self::Reject => "reject",
            Self::Require => "require",
        }
    }
}

/// `[stir]`: files are read by the edge.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StirSettings {
    /// The authorities that certificates of callers must be from.
    pub authorities: Option<String>,
    /// Where certificates may be fetched from.
    pub sources: Vec<Source>,
    /// Our private key.
    pub key: Option<String>,
    /// Our certificate, to compare the key with.
    pub certificate: Option<String>,
    /// Where others find our certificate.
    pub certificate_url: Option<String>,
    /// Numbers that are ours beside those of `[[number]]`.
    pub numbers: Vec<Owned>,
    /// Are phones told by `verstat` what came of the check?
    pub verstat: bool,
    /// What the ids of origins are derived from; the edge makes it of the key.
    pub origin_seed: [u8; 32],
}

impl StirSettings {
    /// Can we sign?
    #[must_use]
    pub const fn can_sign(&self) -> bool {
        self.key.is_some() && self.certificate_url.is_some()
    }
}

/// Numbers that are ours: digits in canonical form, `x` for any digit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Owned(String);

impl Owned {
    /// Reads `+862012345678` or `+8620123456xx`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let is_good = digits.bytes().all(|b| b.is_ascii_digit() || b == b'x');
        let has_country = digits.bytes().take(3).all(|b| b.is_ascii_digit());
        (is_good && has_country && (7..=15).contains(&digits.len()))
            .then(|| Self(digits.to_owned()))
    }

    /// Is this number one of them?
    #[must_use]
    pub fn has(&self, number: &str) -> bool {
        self.0.len() == number.len()
            && self
                .0
                .bytes()
                .zip(number.bytes())
                .all(|(own, other)| own == other || own == b'x' && other.is_ascii_digit())
    }
}

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

/// How numbers are read here.
#[must_use]
pub fn home(dial: &DialSettings) -> Home<'_> {
    Home {
        country_code: dial.country_code.as_deref(),
        national_prefix: &dial.national_prefix,
        international_prefixes: &dial.international_prefixes,
    }
}

/// Who answers for the number that a call shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vouched {
    /// A phone of ours that logged in, under a number that it may show.
    Phone,
    /// Nobody here: it came in so.
    Nobody,
}

/// How sure we are of a caller. Full attestation is for numbers that are configured as ours alone (RFC 8588 §4).
#[must_use]
pub fn attestation(snapshot: &Snapshot, vouched: Vouched, number: &str) -> Attestation {
    let home = home(&snapshot.dial);
    let is_public = |own: &str| canonical(own, home).is_some_and(|own| own == number);
    let is_ours = snapshot.stir.numbers.iter().any(|own| own.has(number))
        || snapshot.numbers.iter().any(|own| is_public(&own.number));
    match vouched {
        Vouched::Phone if is_ours => Attestation::A,
        Vouched::Phone => Attestation::B,
        Vouched::Nobody => Attestation::C,
    }
}

/// One signature to check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// Where the certificate is.
    pub x5u: String,
    /// What was signed.
    pub input: String,
    /// The signature.
    pub signature: Signature,
    /// The number that the certificate has to speak for; `None` where a URI was signed.
    pub speaks_for: Option<String>,
}

/// What came of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verdict {
    /// Nobody wanted to know.
    #[default]
    Unasked,
    /// It is who it says, as sure as the signer was.
    Passed(Option<Attestation>),
    /// It is not, or nothing says so.
    Failed(Failure),
    /// We could not find out.
    Unknown(&'static str),
    /// The caller gave up meanwhile.
    Cancelled,
}

impl Verdict {
    /// A line for the timeline, with its kind.
    #[must_use]
    pub fn remark(self) -> Option<(&'static str, String)> {
        match self {
            Self::Unasked | Self::Cancelled => None,
            Self::Passed(Some(level)) => {
                Some(("stir.verified", format!("attestation {}", level.word())))
            }
            Self::Passed(None) => Some(("stir.verified", "no attestation".to_owned())),
            Self::Failed(failure) if failure.kind == Kind::Missing => {
                Some(("stir.missing", failure.why.to_owned()))
            }
            Self::Failed(failure) => Some(("stir.failed", failure.to_string())),
            Self::Unknown(why) => Some(("stir.unchecked", why.to_owned())),
        }
    }

    /// Why the call is refused, if the trunk's policy says so.
    #[must_use]
    pub fn refusal(self, policy: StirIn) -> Option<&'static Cause> {
        match self {
            Self::Cancelled => Some(&cause::CANCELLED),
            Self::Failed(failure) => match (policy, failure.kind) {
                (StirIn::Require, Kind::Missing) => Some(&cause::IDENTITY_MISSING),
                (StirIn::Reject, Kind::Missing) => None,
                (StirIn::Reject | StirIn::Require, kind) => Some(cause_of(kind)),
                _ => None,
            },
            _ => None,
        }
    }

    /// What whoever sent the call is told, if the policy says so.
    #[must_use]
    pub fn told(self, policy: StirIn) -> Option<Failure> {
        let Self::Failed(failure) = self else { return None };
        let is_told = match policy {
            StirIn::Off | StirIn::Note => false,
            // Most calls have none, and nobody asked for it.
            StirIn::Reason | StirIn::Reject => failure.kind != Kind::Missing,
            StirIn::Require => true,
        };
        is_told.then_some(failure)
    }

    /// The value of `verstat` (3GPP TS 24.229 §7.2A.20, with the levels of ATIS-1000082).
    #[must_use]
    pub const fn verstat(self) -> Option<&'static str> {
        Some(match self {
            Self::Unasked | Self::Cancelled => return None,
            Self::Passed(Some(Attestation::A)) => "TN-Validation-Passed",
            Self::Passed(Some(Attestation::B)) => "TN-Validation-Passed-B",
            Self::Passed(Some(Attestation::C)) => "TN-Validation-Passed-C",
            Self::Failed(Failure { kind: Kind::Missing, .. })
            | Self::Passed(None)
            | Self::Unknown(_) => "No-TN-Validation",
            Self::Failed(_) => "TN-Validation-Failed",
        })
    }
}

const fn cause_of(kind: Kind) -> &'static Cause {
    match kind {
        Kind::Missing => &cause::IDENTITY_MISSING,
        Kind::BadInfo => &cause::IDENTITY_UNFETCHED,
        Kind::Unsupported => &cause::IDENTITY_UNSUPPORTED,
        Kind::Invalid => &cause::IDENTITY_INVALID,
        Kind::Stale => &cause::IDENTITY_STALE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::snapshot::{Destination, Number};

    /// Row 164: A for numbers that are ours, and for nothing else.
    #[test]
    fn row_164_full_attestation_is_for_our_own_numbers() {
        let mut snapshot = Snapshot::default();
        snapshot.dial.country_code = Some("86".into());
        snapshot.numbers.push(Number {
            number: "+862012345678".into(),
            trunk: "carrier".into(),
            to: Destination::Phone("1001".into()),
        });
        snapshot.stir.numbers.push(Owned::parse("+8620999990xx").unwrap());
        for (vouched, number, level) in [
            (Vouched::Phone, "862012345678", Attestation::A),
            (Vouched::Phone, "862099999042", Attestation::A),
            (Vouched::Phone, "862099999142", Attestation::B),
            (Vouched::Phone, "8620999990421", Attestation::B),
            (Vouched::Phone, "12155551212", Attestation::B),
            (Vouched::Nobody, "862012345678", Attestation::C),
            (Vouched::Nobody, "12155551212", Attestation::C),
        ] {
            assert_eq!(attestation(&snapshot, vouched, number), level, "{vouched:?} {number}");
        }
        for wrong in ["862012345678", "+86x", "+8x201234567", "+86201234567a", "+12345678901234567"]
        {
            assert_eq!(Owned::parse(wrong), None, "{wrong}");
        }
    }

    /// Row 163: what each policy does with each kind of failure.
    #[test]
    fn row_163_policies_decide_who_is_refused_and_who_is_told() {
        let failed = |kind| Verdict::Failed(Failure::new(kind, "why"));
        let kinds = [Kind::Missing, Kind::BadInfo, Kind::Unsupported, Kind::Invalid, Kind::Stale];
        let statuses =
            |policy| kinds.map(|kind| failed(kind).refusal(policy).map_or(0, |cause| cause.sip));
        assert_eq!(statuses(StirIn::Note), [0; 5]);
        assert_eq!(statuses(StirIn::Reason), [0; 5]);
        assert_eq!(statuses(StirIn::Reject), [0, 436, 437, 438, 403]);
        assert_eq!(statuses(StirIn::Require), [428, 436, 437, 438, 403]);
        for kind in kinds {
            let told = StirIn::ALL.map(|policy| failed(kind).told(policy).is_some());
            let is_there = kind != Kind::Missing;
            assert_eq!(told, [false, false, is_there, is_there, true], "{kind:?}");
        }
        // What is our own trouble is nobody's fault.
        for policy in StirIn::ALL {
            assert_eq!(Verdict::Unknown("too many wait").refusal(policy), None);
        }
    }
}
