//! From a decision of the dial plan to places that can be rung now.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::devices::one_for_each_device;
use super::trunks::hop_of;
use super::*;
use crate::proto::sip::auth::client::{Account, Credentials};
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::transport::{Host, NextHop, Transport};
use crate::proto::sip::uri::{Uri, escape_user};
use crate::switch::call::{Plan, Target, Visit};
use crate::switch::cause::{self, Cause};
use crate::switch::identity;
use crate::switch::route::{self, Decision, decide};
use crate::switch::snapshot::{Trunk, TrunkMode};

impl Switchboard {
    /// Where a dialled number leads now. Places that failed of late are tried last, but they are tried.
    pub(super) fn plan(
        &mut self,
        now: Instant,
        origin: &Origin,
        caller: &Caller,
        dialled: &str,
    ) -> Result<Plan, &'static Cause> {
        match decide(&self.snapshot, origin, dialled)? {
            Decision::Phone { extension, because } => {
                let group = self.phone_targets(now, &extension, caller);
                if group.is_empty() {
                    return Err(&cause::UNREACHABLE);
                }
                Ok(Plan { groups: VecDeque::from([group]), because, visit: None })
            }
            Decision::Trunks { trunks, number, because } => {
                let snapshot = Arc::clone(&self.snapshot);
                let is_help = route::emergency(&snapshot, origin, dialled).is_some();
                let mut targets: Vec<_> = trunks
                    .iter()
                    .filter_map(|name| snapshot.trunk(name))
                    .flat_map(|trunk| self.trunk_targets(now, trunk, &number, caller, is_help))
                    .collect();
                targets.sort_by_key(|target| self.is_tried_last(now, &target.party, &target.dest));
                let groups: VecDeque<_> = targets.into_iter().map(|target| vec![target]).collect();
                if groups.is_empty() {
                    return Err(&cause::NO_TRUNK);
                }
                Ok(Plan { groups, because, visit: None })
            }
            Decision::Room { number, because } => {
                let room = self.snapshot.room(&number).ok_or(&cause::UNKNOWN_NUMBER)?;
                let visit = Some(Visit::Room(Arc::clone(room)));
                Ok(Plan { groups: VecDeque::new(), because, visit })
            }
        }
    }

    /// A target for every live contact of a phone.
    pub(super) fn phone_targets(
        &self,
        now: Instant,
        extension: &str,
        caller: &Caller,
    ) -> Vec<Target> {
        let Some(phone) = self.snapshot.phone(extension) else { return Vec::new() };
        let mut ring_timeout = phone.ring_timeout.unwrap_or(self.snapshot.sip.ring_timeout);
        let own = self.services.get(extension);
        let forwards = own
            .map_or([None, None], |own| [own.forward_busy.clone(), own.forward_no_answer.clone()]);
        if forwards[1].is_some() {
            ring_timeout = ring_timeout.min(self.snapshot.codes.no_answer);
        }
        let realm = &self.snapshot.sip.realm;
        let bindings = self.registrar.bindings(extension, now);
        let targets = bindings
            .iter()
            .map(|binding| {
                let dest = binding.dest();
                let local = self.local_towards(&dest);
                let host = Host::Ip(local.ip()).to_string();
                let said = identity::to_phone(&self.snapshot, caller, phone, &host);
                let contact = contact_at(&dest, local, &said.contact_user);
                Target {
                    party: extension.to_owned(),
                    is_trunk: false,
                    uri: binding.contact.clone(),
                    routes: binding.path.clone(),
                    contact,
                    media_ip: local.ip(),
                    from: said.from,
                    to: format!("<sip:{}@{realm}>", escape_user(extension)),
                    headers: said.headers,
                    credentials: None,
                    ring_timeout,
                    try_timeout: None,
                    location: None,
                    forwards: forwards.clone(),
                    next_flow: None,
                    dest,
                }
            })
            .collect();
        one_for_each_device(&bindings, targets)
    }

    /// A target for every address of a trunk, in order.
    pub(super) fn trunk_targets(
        &mut self,
        now: Instant,
        trunk: &Trunk,
        number: &str,
        caller: &Caller,
        is_emergency: bool,
    ) -> Vec<Target> {
        let called = identity::called(&self.snapshot, trunk, number, is_emergency);
        let (user, tail) = (escape_user(&called), identity::called_tail(trunk, &called));
        let ways: Vec<(String, Vec<String>, Dest)> = match trunk.mode {
            TrunkMode::Register if self.has_service_route(trunk) => {
                self.service_ways(now, trunk, &user, tail)
            }
            TrunkMode::Peer | TrunkMode::Register => trunk
                .peers
                .iter()
                .filter_map(hop_of)
                .flat_map(|hop| {
                    let uri = format!("{}{tail}", uri_at(trunk, &user, &hop));
                    let ways = self.ways_to(now, hop);
                    ways.into_iter().map(move |dest| (uri.clone(), Vec::new(), dest))
                })
                .collect(),
            TrunkMode::Account => self
                .registrar
                .bindings(trunk.user.as_deref().unwrap_or(""), now)
                .into_iter()
                .map(|binding| {
                    let uri = format!("{}{tail}", with_user(&binding.contact, &user));
                    (uri, binding.path.clone(), binding.dest())
                })
                .collect(),
        };
        let account = match (trunk.login(), trunk.mode) {
            (Some(user), TrunkMode::Peer | TrunkMode::Register) => {
                Some(Account { user: user.to_owned(), secret: trunk.secret.0.clone() })
            }
            _ => None,
        };
        let registrant = self.registrants.get(&trunk.name);
        let realm = registrant.and_then(|registrant| registrant.realm()).map(str::to_owned);
        let credentials = account.map(|account| Credentials::new(account).known_in(realm));
        ways.into_iter()
            .map(|(uri, routes, dest)| {
                let local = self.local_towards(&dest);
                let host = Host::Ip(local.ip()).to_string();
                let snapshot = &self.snapshot;
                let said = identity::to_trunk(snapshot, caller, trunk, &host, &uri, is_emergency);
                let contact = contact_at(&dest, local, &said.contact_user);
                Target {
                    party: trunk.name.clone(),
                    is_trunk: true,
                    to: format!("<{}>", uri.split(';').next().unwrap_or(&uri)),
                    uri,
                    routes,
                    contact,
                    media_ip: local.ip(),
                    from: said.from,
                    headers: said.headers,
                    credentials: credentials.clone(),
                    ring_timeout: trunk.ring_timeout.unwrap_or(self.snapshot.sip.ring_timeout),
                    try_timeout: Some(trunk.try_timeout),
                    location: None,
                    forwards: [None, None],
                    next_flow: None,
                    dest,
                }
            })
            .collect()
    }

    fn has_service_route(&self, trunk: &Trunk) -> bool {
        let registrant = self.registrants.get(&trunk.name);
        registrant.is_some_and(|registrant| !registrant.service_route().is_empty())
    }

    /// The way that the carrier named when we registered (RFC 3608 §5), wherever the registration itself went.
    fn service_ways(
        &mut self,
        now: Instant,
        trunk: &Trunk,
        user: &str,
        tail: &str,
    ) -> Vec<(String, Vec<String>, Dest)> {
        let Some(registrant) = self.registrants.get(&trunk.name) else { return Vec::new() };
        let routes = registrant.service_route().to_vec();
        let first =
            routes.first().and_then(|route| NameAddr::parse(route).ok()?.parsed_uri()?.next_hop());
        let (Some(first), Some(hop)) = (first, registrant.hop().cloned()) else {
            return Vec::new();
        };
        let uri = format!("{}{tail}", uri_at(trunk, user, &hop));
        let ways = self.ways_to(now, first);
        ways.into_iter().map(|dest| (uri.clone(), routes.clone(), dest)).collect()
    }

    /// Our Contact value on a leg to `dest`, and our address there.
    pub(super) fn contact_towards(&self, dest: &Dest, user: &str) -> (String, IpAddr) {
        let local = self.local_towards(dest);
        (contact_at(dest, local, user), local.ip())
    }

    fn local_towards(&self, dest: &Dest) -> SocketAddr {
        self.endpoint.locals().source_for(dest).1
    }
}

fn contact_at(dest: &Dest, local: SocketAddr, user: &str) -> String {
    let transport = dest.transport().uri_parameter();
    format!("<sip:{}@{local}{transport}>", escape_user(user))
}

/// The Request-URI of a number at a peer: as it was configured, whatever place it is found at.
fn uri_at(trunk: &Trunk, user: &str, hop: &NextHop) -> String {
    let transport = hop.transport.map_or("", Transport::uri_parameter);
    let domain = match (&trunk.registrar, trunk.mode, &hop.host, hop.port) {
        (Some(registrar), TrunkMode::Register, ..) => registrar.domain(),
        // With a port it would be a host's name to whoever reads it (RFC 3263 §4.2).
        (_, _, Host::Name(name), None) => name.to_string(),
        (_, _, host, _) => format!("{host}:{}", hop.port()),
    };
    format!("sip:{user}@{domain}{transport}")
}

/// A contact with another user part: how a gateway that registered is told which number is wanted.
fn with_user(contact: &str, user: &str) -> String {
    let Some(uri) = Uri::parse(contact) else { return contact.to_owned() };
    let Some((scheme, rest)) = contact.split_once(':') else { return contact.to_owned() };
    let tail = if uri.user.is_empty() {
        rest
    } else {
        rest.split_once('@').map_or(rest, |(_, tail)| tail)
    };
    format!("{scheme}:{user}@{tail}")
}
