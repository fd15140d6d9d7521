//! Session-ID (RFC 7989): one name for a conversation on all its hops, and who is said to be at the other end.

use super::*;

/// The halves of a leg's session identifier that its user gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionIds {
    /// That of the party across, which stands first in what we send.
    pub near: u128,
    /// What the peer is called on the other leg if it does not name itself.
    pub given: u128,
}

/// What a session says of the party across, and what it knows of its own.
#[derive(Debug)]
pub(super) struct Across {
    ids: SessionIds,
    /// The peer's own half, once it has said it.
    far: Option<u128>,
    /// Headers that name the party across.
    headers: Vec<(HeaderName, String)>,
    /// The peer has not been sent them yet.
    is_news: bool,
}

impl Across {
    pub(super) const fn new(ids: SessionIds) -> Self {
        Self { ids, far: None, headers: Vec::new(), is_news: false }
    }

    /// The value of Session-ID; the nil one stands for a half that is not known (§5).
    pub(super) fn session_id(&self) -> String {
        format!("{:032x};remote={:032x}", self.ids.near, self.far.unwrap_or(0))
    }

    /// Adds the headers to a message that the peer is sure to get: it is repeated until it is answered.
    pub(super) fn add_to_sure(&mut self, builder: &mut Builder) {
        self.was_told();
        self.add_to(builder);
    }

    pub(super) const fn was_told(&mut self) {
        self.is_news = false;
    }

    pub(super) fn add_to(&self, builder: &mut Builder) {
        for (name, value) in &self.headers {
            builder.add(*name, value);
        }
    }
}

impl Session {
    /// The half that names the peer: its own, or the one that it was given.
    #[must_use]
    pub fn peer_session_id(&self) -> u128 {
        self.across.far.unwrap_or(self.across.ids.given)
    }

    /// Says who is at the other end now: its half of the session identifier, and headers for our 18x, 2xx and later
    /// requests.
    pub fn introduce(&mut self, near: u128, headers: Vec<(HeaderName, String)>) {
        self.across.ids.near = near;
        if self.across.headers != headers {
            self.across.is_news = true;
            self.across.headers = headers;
        }
        self.stamp();
    }

    /// Has the peer not been told yet who is at the other end, and can it be?
    #[must_use]
    pub const fn owes_news(&self) -> bool {
        self.across.is_news && !self.across.headers.is_empty() && self.can_modify()
    }

    /// Tells the peer who is at the other end, if it takes UPDATE (RFC 4916 §4.3). A re-INVITE would tell it as well, but
    /// only the user knows the description that it has to repeat.
    pub fn tell_across(&mut self, out: &mut Vec<Out>) {
        if self.owes_news() && self.peer_allows_update {
            self.send_update(out);
        }
    }

    /// Takes in the peer's half.
    pub(super) fn note_session_id(&mut self, message: &Message) {
        let Some(text) = message.text(HeaderName::SessionId) else { return };
        let Some(id) = read(&text) else { return };
        if self.across.far != Some(id) {
            self.across.far = Some(id);
            self.stamp();
        }
    }

    /// Gives every dialog of the session its identifier.
    pub(super) fn stamp(&mut self) {
        let text = self.across.session_id();
        let early = self.early.iter_mut().map(|early| &mut early.dialog);
        let all = self.dialog.iter_mut().chain(self.provisionals.dialog.iter_mut()).chain(early);
        for dialog in all {
            dialog.session_id.clone_from(&text);
        }
    }
}

/// The first half of a value: 32 lower-case hexadecimal digits, not all of them zero.
fn read(value: &str) -> Option<u128> {
    let word = value.split(';').next()?.trim();
    let is_hex = word.len() == 32 && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let id = is_hex.then(|| u128::from_str_radix(word, 16).ok()).flatten()?;
    (id != 0).then_some(id)
}
