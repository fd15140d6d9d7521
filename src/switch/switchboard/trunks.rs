//! Trunks: who is one by its address, and our registrations at carriers.

use sha2::{Digest, Sha256};

use super::peers::large_on;
use super::*;
use crate::proto::hex::uuid;
use crate::proto::sip::auth::client::Account;
use crate::proto::sip::endpoint::Failure;
use crate::proto::sip::method::Method;
use crate::proto::sip::registration::client::{State, Wish};
use crate::proto::sip::transport::{Host, NextHop};
use crate::proto::sip::uri::{Uri, escape_user};
use crate::switch::health::Figures;
use crate::switch::snapshot::{PeerAddress, Trunk, TrunkMode};

/// Registrations that are being taken back at a time; with more the oldest is left to end by itself.
const LEAVING_MAX: usize = 64;

/// A trunk as an operator sees it.
#[derive(Clone, Debug)]
pub struct TrunkView {
    /// Its name.
    pub name: String,
    /// `peer`, `account` or `register`.
    pub mode: &'static str,
    /// `up`, `down`, `trying`, `configured`, `backing off` if every place of it failed of late, or `poor` if what came
    /// of calls makes a place of it the last to be tried.
    pub state: &'static str,
    /// Why.
    pub reason: String,
    /// Live calls on it.
    pub calls: usize,
    /// What came of calls by it in the last minutes.
    pub figures: Figures,
}

impl Switchboard {
    /// The trunk that a request comes from: by its address, by its registration to us, or by the Contact
    /// that we registered with it.
    pub(super) fn trunk_of(&self, now: Instant, flow: &Flow, request: &Message) -> Option<String> {
        let uri = Uri::parse(request.uri());
        let called =
            |registrant: &Registrant| uri.as_ref().is_some_and(|uri| registrant.is_called(uri));
        // Two accounts at one carrier share its addresses; what they registered tells them apart.
        if let Some((name, _)) = self.registrants.iter().find(|(_, own)| called(own)) {
            return Some(name.clone());
        }
        if let Some(trunk) = self.trunk_by_address(flow) {
            return Some(trunk.name.clone());
        }
        let by_registration = self.snapshot.trunks.iter().find(|trunk| {
            let user = trunk.user.as_deref().unwrap_or("");
            trunk.mode == TrunkMode::Account
                && self
                    .registrar
                    .bindings(user, now)
                    .iter()
                    .any(|binding| is_same_flow(&binding.flow, flow))
        });
        if let Some(trunk) = by_registration {
            return Some(trunk.name.clone());
        }
        let user = uri?.user;
        let ours = |(_, registrant): &(&String, &Registrant)| {
            !user.is_empty()
                && Uri::parse(&registrant.wish().contact).is_some_and(|uri| uri.user == user)
                && registrant
                    .wish()
                    .hops
                    .iter()
                    .filter_map(NextHop::socket_address)
                    .any(|address| address.ip() == flow.remote.ip())
        };
        self.registrants.iter().find(ours).map(|(name, _)| name.clone())
    }

    /// The trunk that has the flow's address among its peers.
    pub(super) fn trunk_by_address(&self, flow: &Flow) -> Option<&Trunk> {
        self.snapshot.trunks.iter().find(|trunk| {
            trunk.mode != TrunkMode::Account
                && trunk.peers.iter().filter_map(hop_of).any(|hop| self.peers.is_from(&hop, flow))
        })
    }

    /// Makes the registrations that the configuration asks for; unchanged ones stay.
    pub(super) fn sync_registrants(&mut self, now: Instant) {
        let wishes: BTreeMap<_, _> = self
            .snapshot
            .trunks
            .iter()
            .filter_map(|trunk| Some((trunk.name.clone(), self.wish_of(trunk)?)))
            .collect();
        let gone: Vec<_> = self
            .registrants
            .iter()
            .filter(|(name, registrant)| wishes.get(*name) != Some(registrant.wish()))
            .map(|(name, _)| name.clone())
            .collect();
        let gone = gone.into_iter().filter_map(|name| self.registrants.remove(&name));
        // What is registered anew under the same Contact must not be taken back.
        let is_kept = |old: &Registrant| wishes.values().any(|wish| old.has_contact_of(wish));
        self.leaving.extend(gone.filter(|old| !is_kept(old)));
        while self.leaving.len() > LEAVING_MAX {
            self.leaving.pop_front();
        }
        for (name, wish) in wishes {
            if !self.registrants.contains_key(&name) {
                let seed = self.tokens.fork();
                self.registrants.insert(name, Registrant::new(now, wish, seed));
            }
        }
    }

    fn wish_of(&self, trunk: &Trunk) -> Option<Wish> {
        if trunk.mode != TrunkMode::Register {
            return None;
        }
        let first = trunk.peers.first()?;
        let hops: Vec<_> = trunk.peers.iter().filter_map(hop_of).collect();
        let hop = hops.first()?;
        let user = trunk.user.clone()?;
        let login = trunk.login()?.to_owned();
        let of_first = || PeerAddress { port: None, ..first.clone() }.domain();
        let domain = trunk.registrar.as_ref().map_or_else(of_first, PeerAddress::domain);
        let (_, local) = self.endpoint.locals().source_for(&Dest::Hop(hop.clone()));
        Some(Wish {
            registrar: format!("sip:{domain}"),
            aor: format!("sip:{}@{domain}", escape_user(&user)),
            contact: format!(
                "sip:{}@{local};transport={}",
                escape_user(&user),
                hop.transport().word()
            ),
            hops,
            outbound: trunk.outbound.then(|| (instance_of(trunk, &domain), 1)),
            keepalive: trunk.keepalive,
            account: Account { user: login, secret: trunk.secret.0.clone() },
            expires: trunk.expires,
        })
    }

    pub(super) fn run_registrants(&mut self, now: Instant, out: &mut Vec<Output>) {
        let mut due = Vec::new();
        let mut changed = Vec::new();
        for (name, registrant) in &mut self.registrants {
            let before = registrant.state().clone();
            let (register, ping) = registrant.handle_timeout(now);
            due.extend(register);
            out.extend(ping.map(|(flow, bytes)| Output::Transmit {
                dest: Dest::Flow(flow),
                packet: bytes.into(),
                attempt: None,
            }));
            if *registrant.state() != before {
                changed.push((name.clone(), registrant.state().clone()));
            }
        }
        self.trunk_events(changed, out);
        for (client, hop, request) in due {
            self.send_register(now, (client, Dest::Hop(hop), request), out);
        }
    }

    /// What arrived may be the answer to a ping of ours.
    pub(super) fn registrant_pong(
        &mut self,
        now: Instant,
        flow: &Flow,
        bytes: &[u8],
        out: &mut Vec<Output>,
    ) -> bool {
        let mut changed = Vec::new();
        let is_ours = self.registrants.iter_mut().any(|(name, registrant)| {
            let before = registrant.state().clone();
            let is_ours = registrant.pong(now, flow, bytes);
            if *registrant.state() != before {
                changed.push((name.clone(), registrant.state().clone()));
            }
            is_ours
        });
        self.trunk_events(changed, out);
        is_ours
    }

    /// A connection is gone: a carrier that called us on it is given another one.
    pub(super) fn registrants_cut_off(
        &mut self,
        now: Instant,
        connection: u64,
        out: &mut Vec<Output>,
    ) {
        let all = self.registrants.iter_mut();
        let changed: Vec<_> = all
            .filter_map(|(name, registrant)| {
                let is_cut = registrant.connection_closed(now, connection);
                is_cut.then(|| (name.clone(), registrant.state().clone()))
            })
            .collect();
        self.trunk_events(changed, out);
    }

    /// Carriers of trunks that are configured no more, or otherwise, are told at once: they would send our callers where
    /// nobody takes them until the old registration ends.
    pub(super) fn registrants_gone(&mut self, now: Instant, out: &mut Vec<Output>) {
        let due: Vec<_> = self.leaving.iter_mut().filter_map(Registrant::leave).collect();
        for (client, hop, request) in due {
            self.send_register(now, (client, Dest::Hop(hop), request), out);
        }
        self.leaving.retain(Registrant::is_open);
    }

    /// The daemon stops: carriers are told, so that they send our callers elsewhere at once.
    pub(super) fn registrants_leave(&mut self, now: Instant, out: &mut Vec<Output>) {
        let due: Vec<_> = self.registrants.values_mut().filter_map(Registrant::leave).collect();
        for (client, hop, request) in due {
            self.send_register(now, (client, Dest::Hop(hop), request), out);
        }
    }

    fn trunk_events(&self, changed: Vec<(String, State)>, out: &mut Vec<Output>) {
        for change in changed {
            self.trunk_event(Some(change), out);
        }
    }

    fn send_register(
        &mut self,
        now: Instant,
        (client, dest, request): (ClientKey, Dest, Packet),
        out: &mut Vec<Output>,
    ) {
        let trunk = self.registrants.iter().find(|(_, registrant)| registrant.owns(client));
        let large = large_on(trunk.and_then(|(name, _)| self.snapshot.trunk(name)));
        self.with_endpoint(now, out, |endpoint, events| {
            endpoint.request(now, client, NOBODY, dest, &Method::Register, &request, large, events);
        });
    }

    pub(super) fn registrant_answered(
        &mut self,
        now: Instant,
        client: ClientKey,
        (response, flow): (&Message, &Flow),
        out: &mut Vec<Output>,
    ) {
        let again = if let Some(old) = self.leaving.iter_mut().find(|old| old.owns(client)) {
            let again = old.answered(now, response, flow);
            self.leaving.retain(Registrant::is_open);
            again
        } else {
            let all = &mut self.registrants;
            let Some((name, registrant)) = all.iter_mut().find(|(_, own)| own.owns(client)) else {
                return;
            };
            let before = registrant.state().clone();
            let again = registrant.answered(now, response, flow);
            let changed =
                (registrant.state() != &before).then(|| (name.clone(), registrant.state().clone()));
            self.trunk_event(changed, out);
            again
        };
        if let Some((again, hop, request)) = again {
            // Of several servers the one that asked knows its nonce.
            let asked = self.endpoint.sent(client).map(|(dest, _)| dest.clone());
            self.send_register(now, (again, asked.unwrap_or(Dest::Hop(hop)), request), out);
        }
    }

    pub(super) fn registrant_failed(
        &mut self,
        now: Instant,
        client: ClientKey,
        why: Failure,
        out: &mut Vec<Output>,
    ) {
        self.leaving.retain(|old| !old.owns(client));
        let Some((name, registrant)) = self.registrants.iter_mut().find(|(_, r)| r.owns(client))
        else {
            return;
        };
        registrant.unanswered(now, why);
        let changed = Some((name.clone(), registrant.state().clone()));
        self.trunk_event(changed, out);
    }

    fn trunk_event(&self, changed: Option<(String, State)>, out: &mut Vec<Output>) {
        let Some((trunk, state)) = changed else { return };
        let (kind, reason) = match state {
            State::Registered => ("trunk.up", "registered".to_owned()),
            State::Trying => ("trunk.trying", String::new()),
            State::Failed(words) => ("trunk.down", words),
        };
        out.push(Output::Event { kind, fields: vec![("trunk", trunk), ("reason", reason)] });
    }

    /// Every trunk as an operator sees it.
    #[must_use]
    pub fn trunks(&self, now: Instant) -> Vec<TrunkView> {
        self.snapshot.trunks.iter().map(|trunk| self.trunk_view(now, trunk)).collect()
    }

    pub(super) fn trunk_view(&self, now: Instant, trunk: &Trunk) -> TrunkView {
        let (mut state, mut reason) = self.trunk_state(now, trunk);
        let (back_offs, is_all) = self.back_offs_of(now, trunk);
        if is_all && state != "down" {
            state = "backing off";
        }
        let (figures, poor) = self.health_of(now, trunk);
        if !poor.is_empty() && matches!(state, "up" | "configured") {
            state = "poor";
        }
        for words in back_offs.into_iter().chain(poor) {
            reason = format!("{reason}; {words}");
        }
        let is_its = |call: &&CallEntry| call.trunk.as_deref() == Some(trunk.name.as_str());
        let calls = self.calls.values().filter(is_its).count();
        let mode = mode_word(trunk.mode);
        TrunkView { name: trunk.name.clone(), mode, state, reason, calls, figures }
    }

    /// Where a trunk is registered, if it may be at several places.
    fn registered_words(&self, trunk: &Trunk) -> String {
        let hop = self.registrants.get(&trunk.name).and_then(Registrant::hop);
        match hop.filter(|_| trunk.peers.len() > 1) {
            Some(hop) => format!("registered at {hop}"),
            None => "registered".to_owned(),
        }
    }

    fn trunk_state(&self, now: Instant, trunk: &Trunk) -> (&'static str, String) {
        match trunk.mode {
            TrunkMode::Peer => {
                let known = self.probes.state_of(trunk);
                known.unwrap_or_else(|| ("configured", "by address".to_owned()))
            }
            TrunkMode::Account => {
                let user = trunk.user.as_deref().unwrap_or("");
                match self.registrar.bindings(user, now).first() {
                    Some(binding) => ("up", format!("registered from {}", binding.flow)),
                    None => ("down", "not registered".to_owned()),
                }
            }
            TrunkMode::Register => match self.registrants.get(&trunk.name).map(Registrant::state) {
                Some(State::Registered) => ("up", self.registered_words(trunk)),
                Some(State::Failed(words)) => ("down", words.clone()),
                _ => ("trying", "registering".to_owned()),
            },
        }
    }
}

/// Is it the very way that was registered? A datagram from the address of a connection is not.
fn is_same_flow(registered: &Flow, flow: &Flow) -> bool {
    (registered.transport, registered.remote, registered.connection)
        == (flow.transport, flow.remote, flow.connection)
}

/// The instance that we are for a carrier, as a URN: the same after every start (RFC 5626 §4.1).
fn instance_of(trunk: &Trunk, domain: &str) -> String {
    let user = trunk.user.as_deref().unwrap_or("");
    let digest = Sha256::digest(format!("tandem\n{}\n{user}@{domain}", trunk.name));
    format!("urn:uuid:{}", uuid(&digest.into()))
}

const fn mode_word(mode: TrunkMode) -> &'static str {
    match mode {
        TrunkMode::Peer => "peer",
        TrunkMode::Account => "account",
        TrunkMode::Register => "register",
    }
}

/// A configured peer as a next hop.
pub(super) fn hop_of(peer: &PeerAddress) -> Option<NextHop> {
    // An IPv6 address stands without its brackets here.
    let ip = peer.host.parse().map(Host::Ip).ok();
    let host = ip.or_else(|| Host::parse(&peer.host))?;
    Some(NextHop { transport: peer.transport, host, port: peer.port, domain: None })
}
