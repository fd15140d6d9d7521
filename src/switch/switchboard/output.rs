//! What the switchboard wants done, and what it counts.

use crate::proto::sip::endpoint::Attempt;
use crate::proto::sip::locate::Question;
use crate::proto::sip::message::Packet;
use crate::proto::sip::registration::Binding;
use crate::proto::sip::transport::Dest;
use crate::switch::call::{self, Start};
use crate::switch::cdr::record::CallId;
use crate::switch::guard::{GuardCounts, Source};
use crate::switch::services::PhoneServices;
use crate::switch::stir::Check;

/// What the switchboard wants done.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes to a place that needs no look-up; if that fails and `attempt` is named, say so with
    /// [`super::Switchboard::transport_failed`].
    Transmit {
        /// Where to.
        dest: Dest,
        /// What.
        packet: Packet,
        /// Which attempt wants to hear of a failure.
        attempt: Option<Attempt>,
    },
    /// Ask the name server this; the answer is for [`super::Switchboard::dns_answered`].
    Ask(Question),
    /// Check these signatures; the answer is for [`super::Switchboard::stir_verified`].
    Verify {
        /// Names the answer.
        id: u64,
        /// All of them have to be good.
        checks: Vec<Check>,
    },
    /// Sign these bytes with our key; the answer is for [`super::Switchboard::stir_signed`].
    Sign {
        /// Names the answer.
        id: u64,
        /// The bytes.
        input: String,
    },
    /// A call begins.
    StartCall(Box<Start>),
    /// Something for a call.
    ToCall(CallId, Box<call::Input>),
    /// The bindings of an address of record are these now.
    StoreBindings {
        /// The address of record: an extension or an account.
        aor: String,
        /// All of them.
        bindings: Vec<Binding>,
    },
    /// What a phone has switched on is this now.
    StoreServices {
        /// The phone.
        extension: String,
        /// All of it.
        services: PhoneServices,
    },
    /// Close the connections that this source made: it is banned.
    CutOff(Source),
    /// For the event stream.
    Event {
        /// The kind, such as `phone.registered`.
        kind: &'static str,
        /// Its fields.
        fields: Vec<(&'static str, String)>,
    },
}

/// Counts for `status` and `doctor`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Client transactions.
    pub client_transactions: usize,
    /// Server transactions.
    pub server_transactions: usize,
    /// Calls.
    pub calls: usize,
    /// Dialogs in the directory.
    pub dialogs: usize,
    /// Addresses of record with bindings.
    pub registered: usize,
    /// Messages between phones that nobody has answered yet.
    pub messages: usize,
    /// Entity tags of what phones published.
    pub publications: usize,
    /// Live subscriptions.
    pub subscriptions: usize,
    /// Calls or extensions that are noted as being on the line: none without a call.
    pub lines: usize,
    /// Calls in rooms, and calls that listen to others: none without a call.
    pub in_rooms: usize,
    /// INVITEs whose statement of who calls is being checked or signed.
    pub stir: usize,
    /// Nonces whose counts are remembered.
    pub nonces: usize,
    /// Messages dropped as unusable since the start.
    pub dropped: u64,
    /// Requests challenged since the start.
    pub challenged: u64,
    /// Requests refused for load since the start.
    pub shed: u64,
    /// What the guard counts.
    pub guard: GuardCounts,
}
