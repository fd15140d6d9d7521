//! One trunk with everything that decides whether a call by it works, and a call that shows it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::trunks::hop_of;
use super::*;
use crate::proto::sip::transport::NextHop;
use crate::switch::call::{Plan, Start};
use crate::switch::cdr::record::{Began, Direction};
use crate::switch::snapshot::{Trunk, TrunkMode};

/// Who calls in a test of a trunk without a caller id.
const USER: &str = "tandem";

/// A place of a trunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceView {
    /// The peer as it is configured, or the contact that it registered.
    pub peer: String,
    /// Where a request to it goes, with the transport; a name that is not located yet stays one.
    pub place: String,
    /// The address that our requests and our audio come from: what the carrier has to let in.
    pub ours: SocketAddr,
    /// What is known of it: `answers OPTIONS`, why it is backed off, or nothing.
    pub words: String,
}

/// What [`Switchboard::explain`] says.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The line of the list.
    pub trunk: TrunkView,
    /// Its places in the order that a call would try them now.
    pub places: Vec<PlaceView>,
}

impl Switchboard {
    /// Everything of one trunk; `None` if there is none of this name.
    pub fn explain(&mut self, now: Instant, name: &str) -> Option<Explained> {
        let snapshot = Arc::clone(&self.snapshot);
        let trunk = snapshot.trunk(name)?;
        let mut places: Vec<_> = match trunk.mode {
            TrunkMode::Account => self.registered_places(now, trunk),
            TrunkMode::Peer | TrunkMode::Register => {
                let peers: Vec<_> = trunk.peers.iter().map(|peer| (peer, hop_of(peer))).collect();
                let of = |(peer, hop): (&_, Option<NextHop>)| {
                    let hop = hop?;
                    let ways = self.ways_to(now, hop.clone());
                    let named = ToString::to_string(peer);
                    let view = |dest: Dest| {
                        let is_last = self.is_tried_last(now, name, &dest);
                        (is_last, self.place_view(now, trunk, &named, &hop, &dest))
                    };
                    Some(ways.into_iter().map(view).collect::<Vec<_>>())
                };
                peers.into_iter().filter_map(of).flatten().collect()
            }
        };
        // As a call does it: what failed of late is tried last.
        places.sort_by_key(|(is_last, _)| *is_last);
        let places = places.into_iter().map(|(_, place)| place).collect();
        Some(Explained { trunk: self.trunk_view(now, trunk), places })
    }

    /// Places a call to the first place of a trunk, which nobody is connected with: it listens for some seconds after
    /// the answer, and its record says what came back. `None` if there is no such trunk.
    ///
    /// # Errors
    ///
    /// See [`OriginateError`].
    pub fn test_trunk(
        &mut self,
        now: Instant,
        name: &str,
        number: &str,
        out: &mut Vec<Output>,
    ) -> Option<Result<CallId, OriginateError>> {
        let snapshot = Arc::clone(&self.snapshot);
        let trunk = snapshot.trunk(name)?;
        if self.is_draining || self.calls.len() >= snapshot.limits.calls_max {
            return Some(Err(OriginateError::Refused));
        }
        let number_shown = trunk.caller_id.clone().unwrap_or_else(|| USER.to_owned());
        let caller = Caller::new(number_shown, "");
        let mut targets = self.trunk_targets(now, trunk, number, &caller, false);
        targets.sort_by_key(|target| self.is_tried_last(now, name, &target.dest));
        let Some(target) = targets.into_iter().next() else {
            return Some(Err(OriginateError::NotRegistered));
        };
        let because = format!("a test of trunk {name}");
        let plan = Ok(Plan { groups: VecDeque::new(), because, visit: None });
        let media_bind = self.media_bind(target.media_ip, plan.as_ref());
        let call = self.new_call_id(now);
        let began = Began {
            call,
            at: self.wall(now),
            direction: Direction::Outbound,
            caller: caller.shown.number.clone(),
            is_withheld: false,
            called: number.to_owned(),
            trunk: name.to_owned(),
        };
        let start = Start {
            began,
            origin: Origin::Operator(String::new()),
            snapshot,
            seed: self.tokens.fork(),
            incoming: None,
            plan,
            first: Some(vec![target]),
            media_bind,
            user_agent: self.user_agent.clone(),
            max_forwards: 70,
            remarks: Vec::new(),
            is_service: false,
            is_emergency: false,
            caller: caller.shown.clone(),
        };
        self.calls.insert(call, CallEntry::default());
        self.start_call(call, caller, start, out);
        Some(Ok(call))
    }

    fn registered_places(&self, now: Instant, trunk: &Trunk) -> Vec<(bool, PlaceView)> {
        let user = trunk.user.as_deref().unwrap_or("");
        let view = |binding: &Binding| {
            let dest = binding.dest();
            let (_, ours) = self.endpoint.locals().source_for(&dest);
            let left = binding.expires_at.since(now).as_secs();
            let words = format!("registered, {left} s left");
            (
                false,
                PlaceView { peer: binding.contact.clone(), place: dest.to_string(), ours, words },
            )
        };
        self.registrar.bindings(user, now).into_iter().map(view).collect()
    }

    fn place_view(
        &self,
        now: Instant,
        trunk: &Trunk,
        peer: &str,
        hop: &NextHop,
        dest: &Dest,
    ) -> PlaceView {
        let (_, ours) = self.endpoint.locals().source_for(dest);
        let target = match dest {
            Dest::Hop(hop) => hop.target(),
            Dest::Flow(_) => None,
        };
        let backed_off = target.and_then(|target| self.back_off_words(now, target));
        let is_located = target.is_some();
        let words = backed_off
            .or_else(|| self.probes.words_of(&trunk.name, hop))
            .unwrap_or_else(|| if is_located { "" } else { "not located yet" }.to_owned());
        let place = target.map(|target| target.address);
        let told = self.healths.of_place(now, &trunk.name, place).why_last(&trunk.health);
        let words = match told {
            Some(why) if words.is_empty() => format!("tried last: {why}"),
            Some(why) => format!("{words}; tried last: {why}"),
            None => words,
        };
        PlaceView { peer: peer.to_owned(), place: dest.to_string(), ours, words }
    }
}
