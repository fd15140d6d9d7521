//! Privacy (RFC 3323 §4.2): what a caller wants hidden.

use crate::proto::sip::header::HeaderName;
use crate::proto::sip::message::Message;

/// What the Privacy headers of a request ask for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Privacy {
    /// `id`, `user` or `header`: who calls is not to be told.
    pub is_withheld: bool,
    /// `none`: nothing is to be hidden, whatever is usual (§4.3).
    pub is_none: bool,
    /// `critical`: better no call than one that tells.
    pub is_critical: bool,
    /// `history`: who forwarded the call is not to be told (RFC 7044 §10.2).
    pub hides_history: bool,
    /// Wishes that we do not know.
    pub unknown: Vec<String>,
}

/// Wishes that are read; more say nothing new.
const WISHES_MAX: usize = 16;

impl Privacy {
    /// Reads the headers of a request.
    #[must_use]
    pub fn of(request: &Message) -> Self {
        let mut privacy = Self::default();
        let lines: Vec<_> = request.texts(HeaderName::Privacy).collect();
        let words = lines.iter().flat_map(|line| line.split([';', ','])).map(str::trim);
        for word in words.filter(|word| !word.is_empty()).take(WISHES_MAX) {
            match word.to_ascii_lowercase().as_str() {
                "id" | "user" | "header" => privacy.is_withheld = true,
                "none" => privacy.is_none = true,
                "critical" => privacy.is_critical = true,
                "history" => privacy.hides_history = true,
                // The relay hides where the audio comes from in any case.
                "session" => {}
                other => privacy.unknown.push(other.chars().take(32).collect()),
            }
        }
        // Against §4.3 beside others; hiding is the safe reading.
        privacy.is_none &= !privacy.is_withheld;
        privacy
    }

    /// The wishes that cannot be granted although the caller insists: answer 500, which names them (RFC 3323 §5).
    #[must_use]
    pub fn unserved(&self) -> Option<String> {
        (self.is_critical && !self.unknown.is_empty()).then(|| self.unknown.join(", "))
    }
}
