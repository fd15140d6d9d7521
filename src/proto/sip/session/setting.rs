//! What a session is begun with.

use super::*;
use crate::proto::sip::location::Location;

/// What a session is set up with.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Our Contact value on this leg.
    pub contact: String,
    /// `User-Agent` and `Server`.
    pub user_agent: String,
    /// The base timers.
    pub timers: Timers,
    /// What is asked of the session timer.
    pub refreshing: Refreshing,
    /// When provisional responses are reliable.
    pub reliable: Reliable,
    /// May the peer's INVITEs replace dialogs of ours?
    pub replaces: bool,
    /// The session identifier.
    pub session_ids: SessionIds,
}

/// An INVITE to send.
#[derive(Clone, Debug)]
pub struct Invite {
    /// The Request-URI.
    pub uri: String,
    /// Preloaded routes, raw.
    pub routes: Vec<String>,
    /// The From value without tag.
    pub from: String,
    /// The To value.
    pub to: String,
    /// Max-Forwards: one less than on the other leg.
    pub max_forwards: u8,
    /// Further headers, such as P-Asserted-Identity.
    pub headers: Vec<(HeaderName, String)>,
    /// The offer.
    pub body: Option<Vec<u8>>,
    /// Where the caller is, for an emergency call: it goes beside the offer.
    pub location: Option<Location>,
    /// Where to.
    pub dest: Dest,
    /// Our account at the peer, if it may challenge us.
    pub credentials: Option<Credentials>,
}
