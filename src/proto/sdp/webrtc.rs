//! What a description says beside its codecs to browsers: where checks go (RFC 8839), whose certificate DTLS must meet
//! (RFC 8122, RFC 8842), what shares a port (RFC 5761, RFC 9143).
//!
//! These lines stay where they are in the description, and are read when they are asked for: those of a stream before those
//! of the session.

use super::media::Media;
use super::session::{Line, Sdp};
use crate::proto::nat::ice::IceCredentials;
use crate::proto::srtp::{FINGERPRINTS_MAX, Fingerprint};

/// Characters of a name fragment and of a password (RFC 8839 §5.4).
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD: std::ops::RangeInclusive<usize> = 22..=256;

/// Who begins with DTLS (RFC 4145 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Whoever the other side likes.
    ActPass,
    /// Who says so.
    Active,
    /// The other side.
    Passive,
    /// Nobody, for now.
    HoldConn,
}

impl Setup {
    /// The word in a description.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
            Self::HoldConn => "holdconn",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::ActPass, Self::Active, Self::Passive, Self::HoldConn];
        all.into_iter().find(|setup| setup.word().eq_ignore_ascii_case(text.trim()))
    }
}

/// What a description says of DTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtlsLines {
    /// The certificates that it names, sorted; never empty.
    pub fingerprints: Vec<Fingerprint>,
    /// Who begins, if it says so.
    pub setup: Option<Setup>,
    /// The name of the association (RFC 8842 §4).
    pub tls_id: Option<String>,
}

impl DtlsLines {
    /// `None` if it names no certificate by a hash that is believed.
    #[must_use]
    pub fn of(sdp: &Sdp, media: &Media) -> Option<Self> {
        let of = |lines: &[Line]| -> Vec<Fingerprint> {
            let values = lines.iter().filter_map(|line| line.attribute("fingerprint"));
            values.filter_map(Fingerprint::parse).take(FINGERPRINTS_MAX).collect()
        };
        let mut fingerprints = of(&media.others);
        if fingerprints.is_empty() {
            fingerprints = of(&sdp.others);
        }
        fingerprints.sort();
        fingerprints.dedup();
        let setup = either(sdp, media, "setup").and_then(Setup::parse);
        let tls_id = either(sdp, media, "tls-id").map(str::to_owned);
        (!fingerprints.is_empty()).then_some(Self { fingerprints, setup, tls_id })
    }
}

/// What a description says of ICE. Its candidates are not read: a lite agent checks nothing, and where the peer is
/// its own checks show, so none, and names that only its own network resolves, do as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceLines {
    /// What checks are signed by.
    pub credentials: IceCredentials,
    /// It answers checks and sends none.
    pub is_lite: bool,
}

impl IceLines {
    /// `None` if it has no name fragment with its password.
    #[must_use]
    pub fn of(sdp: &Sdp, media: &Media) -> Option<Self> {
        // A few write other characters than the grammar has, such as `-`. What would break a user name they do not.
        let is_word = |text: &&str| text.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        let ufrag = either(sdp, media, "ice-ufrag").map(str::trim).filter(is_word)?;
        let password = either(sdp, media, "ice-pwd").map(str::trim).filter(is_word)?;
        if !UFRAG.contains(&ufrag.len()) || !PASSWORD.contains(&password.len()) {
            return None;
        }
        let credentials = IceCredentials { ufrag: ufrag.into(), password: password.into() };
        let is_lite = sdp.others.iter().any(|line| line.attribute("ice-lite").is_some());
        Some(Self { credentials, is_lite })
    }
}

/// Does the stream take reports on the port of its audio?
#[must_use]
pub(super) fn is_multiplexed(media: &Media) -> bool {
    media.attribute("rtcp-mux").is_some()
}

/// Is the stream in a group that shares one port (RFC 9143)?
#[must_use]
pub(super) fn is_bundled(sdp: &Sdp, media: &Media) -> bool {
    let Some(mid) = media.attribute("mid") else { return false };
    let groups = sdp.others.iter().filter_map(|line| line.attribute("group"));
    let mut bundles = groups.filter_map(|group| group.strip_prefix("BUNDLE "));
    bundles.any(|group| group.split_ascii_whitespace().any(|name| name == mid))
}

/// An attribute's line.
pub(super) fn attribute(value: impl Into<String>) -> Line {
    Line { kind: 'a', value: value.into() }
}

fn either<'a>(sdp: &'a Sdp, media: &'a Media, name: &str) -> Option<&'a str> {
    let of_session = || sdp.others.iter().find_map(|line| line.attribute(name));
    media.attribute(name).or_else(of_session)
}
