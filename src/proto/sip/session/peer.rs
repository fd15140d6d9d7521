//! What is known of the peer, for those who watch the call.

use super::*;

impl Session {
    /// The peer's tag, once it has said one: a caller in its INVITE, a called side in its first response.
    #[must_use]
    pub fn remote_tag(&self) -> Option<String> {
        let early = || self.early.last().map(|early| &early.dialog);
        let confirmed = self.dialog.as_ref().or_else(early);
        let tag = confirmed.map(|dialog| dialog.remote_tag.clone());
        tag.or_else(|| self.open_request()?.from_tag()).filter(|tag| !tag.is_empty())
    }

    /// Has a called side said that it works on our INVITE?
    #[must_use]
    pub const fn is_early(&self) -> bool {
        matches!(self.state, State::Outgoing) && !self.early.is_empty()
    }
}
