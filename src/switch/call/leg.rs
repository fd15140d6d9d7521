//! One leg: a dialog with one party and its side of offer/answer. Only a leg knows both SIP and SDP.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use super::Target;
use crate::proto::sdp::Negotiator;
use crate::proto::sip::endpoint::{ClientKey, ServerKey};
use crate::proto::sip::method::Method;
use crate::proto::sip::session::Session;
use crate::switch::call::Origin;
use crate::switch::health::Place;
use crate::switch::identity::Shown;

/// Transactions of a leg whose responses still find it, of either kind: more than any retry needs.
const CLIENTS_MAX: usize = 16;

/// One leg of a call.
#[derive(Debug)]
pub struct Leg {
    /// `a`, `b1`, `b2`….
    pub label: String,
    /// The extension, number or trunk at its end.
    pub party: String,
    /// Is that a trunk?
    pub is_trunk: bool,
    /// Who is at its end: a phone of ours, or who calls or was dialled by a trunk.
    pub(super) shown: Shown,
    /// Is that known, and not only what was dialled?
    pub(super) is_asserted: bool,
    /// Its INVITE usage.
    pub session: Session,
    /// Its session description.
    pub negotiator: Negotiator,
    /// Our address for its audio.
    pub media_ip: IpAddr,
    /// Where its signalling goes.
    pub signalling: Option<SocketAddr>,
    /// The last final status of its INVITE, either way.
    pub status: u16,
    /// The transaction of the INVITE that made it, if the peer sent it.
    pub(super) invite: Option<ServerKey>,
    /// Where its first INVITE went, if an address was known.
    pub(super) place: Place,
    /// Is nobody to be told what came of that, or was he told? Only our own INVITE to a trunk tells of the trunk.
    pub(super) is_counted: bool,
    /// Where its phone sends calls that find it busy, and those that it does not answer.
    pub(super) forwards: [Option<String>; 2],
    /// Another flow of the same device.
    pub(super) next_flow: Option<Box<Target>>,
    /// What the timeline says that its audio is encrypted by.
    pub(super) protection_told: &'static str,
    /// Did it answer anything at all?
    pub has_answered_anything: bool,
    /// Its transactions, latest last.
    clients: Vec<ClientKey>,
    /// Those of PRACK and INFO, of which the peer makes us send as many as it likes, latest last.
    asides: VecDeque<ClientKey>,
}

impl Leg {
    pub(super) fn new(
        label: String,
        party: String,
        is_trunk: bool,
        shown: Shown,
        session: Session,
        session_id: u64,
        media_ip: IpAddr,
    ) -> Self {
        Self {
            label,
            party,
            is_trunk,
            is_asserted: !is_trunk,
            shown,
            session,
            negotiator: Negotiator::new(session_id),
            media_ip,
            signalling: None,
            status: 0,
            invite: None,
            place: None,
            forwards: [None, None],
            next_flow: None,
            is_counted: true,
            protection_told: "",
            has_answered_anything: false,
            clients: Vec::new(),
            asides: VecDeque::new(),
        }
    }

    /// Whom it belongs to.
    pub(super) fn peer(&self) -> Origin {
        if self.is_trunk {
            Origin::Trunk(self.party.clone())
        } else {
            Origin::Phone(self.party.clone())
        }
    }

    /// The number to show where it is a trunk: a caller who is withheld has none.
    pub(super) fn number_told(&self) -> &str {
        if self.shown.is_withheld { crate::switch::identity::NOBODY } else { &self.shown.number }
    }

    /// Call-ID and our tag: what its dialog is found by.
    #[must_use]
    pub fn key(&self) -> (String, String) {
        (self.session.call_id().to_owned(), self.session.local_tag().to_owned())
    }

    /// Its transactions.
    pub fn clients(&self) -> impl Iterator<Item = &ClientKey> {
        self.clients.iter().chain(&self.asides)
    }

    pub(super) fn remember(&mut self, client: ClientKey, method: &Method) {
        if matches!(method, Method::Prack | Method::Info) {
            if self.asides.len() >= CLIENTS_MAX {
                self.asides.pop_front();
            }
            return self.asides.push_back(client);
        }
        if self.clients.len() >= CLIENTS_MAX {
            // The first one stays: further answers of the INVITE come by it.
            self.clients.remove(1);
        }
        self.clients.push(client);
    }
}
