//! OPTIONS to the peers of trunks, from time to time: whether a carrier is there is known before a call is
//! (RFC 3261 §11).

use std::time::Duration;

use super::peers::large_on;
use super::trunks::hop_of;
use super::*;
use crate::proto::sip::endpoint::Failure;
use crate::proto::sip::message::build::Builder;
use crate::proto::sip::method::Method;
use crate::proto::sip::transport::NextHop;
use crate::proto::sip::uri::escape_user;
use crate::switch::snapshot::{Trunk, TrunkMode};

/// Who asks, where the trunk has no caller id of its own.
const USER: &str = "tandem";

/// What is known of one peer.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Health {
    Unknown,
    Answers,
    /// Why it is thought to be away.
    Silent(String),
}

/// One peer of one trunk.
#[derive(Debug)]
struct Probe {
    every: Duration,
    next_at: Instant,
    /// The OPTIONS on its way.
    open: Option<ClientKey>,
    health: Health,
}

/// Every peer that is asked, by trunk and place.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// In order, so that the same inputs give the same outputs.
    probes: BTreeMap<(String, NextHop), Probe>,
    cseq: u32,
}

impl Probes {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.probes.values().map(|probe| probe.next_at).min()
    }

    /// A trunk's state and its reason, if it is asked at all.
    pub(super) fn state_of(&self, trunk: &Trunk) -> Option<(&'static str, String)> {
        let all: Vec<_> = self.of(&trunk.name).collect();
        let down = all.iter().filter_map(|(hop, probe)| match &probe.health {
            Health::Silent(why) => Some(format!("{hop}: {why}")),
            _ => None,
        });
        let down: Vec<_> = down.collect();
        let answers = all.iter().any(|(_, probe)| probe.health == Health::Answers);
        match (all.is_empty(), answers, down.len() == all.len()) {
            (true, ..) => None,
            (_, true, _) if down.is_empty() => Some(("up", "answers OPTIONS".to_owned())),
            (_, true, _) => Some(("up", format!("answers OPTIONS; {}", down.join("; ")))),
            (_, false, true) => Some(("down", down.join("; "))),
            (_, false, false) => Some(("trying", "no answer to OPTIONS yet".to_owned())),
        }
    }

    /// What is known of one peer; `None` if it is not asked.
    pub(super) fn words_of(&self, trunk: &str, peer: &NextHop) -> Option<String> {
        let (_, probe) = self.of(trunk).find(|(hop, _)| *hop == peer)?;
        Some(match &probe.health {
            Health::Unknown => "no answer to OPTIONS yet".to_owned(),
            Health::Answers => "answers OPTIONS".to_owned(),
            Health::Silent(why) => why.clone(),
        })
    }

    fn of(&self, trunk: &str) -> impl Iterator<Item = (&NextHop, &Probe)> {
        self.probes
            .iter()
            .filter(move |((name, _), _)| name == trunk)
            .map(|((_, hop), probe)| (hop, probe))
    }
}

impl Switchboard {
    /// Takes over which peers are asked; the first time they are asked is spread over the first seconds, so that
    /// a hundred trunks do not answer at once.
    pub(super) fn sync_probes(&mut self, now: Instant) {
        let mut old = std::mem::take(&mut self.probes.probes);
        let trunks = self.snapshot.trunks.iter();
        let asked = trunks.filter(|trunk| trunk.mode == TrunkMode::Peer && !trunk.probe.is_zero());
        let mut fresh = 0;
        for trunk in asked {
            for hop in trunk.peers.iter().filter_map(hop_of) {
                let key = (trunk.name.clone(), hop);
                let probe = old.remove(&key).filter(|probe| probe.every == trunk.probe);
                let probe = probe.unwrap_or_else(|| {
                    fresh += 1;
                    let next_at = now + Duration::from_millis(50) * fresh;
                    Probe { every: trunk.probe, next_at, open: None, health: Health::Unknown }
                });
                self.probes.probes.insert(key, probe);
            }
        }
    }

    pub(super) fn run_probes(&mut self, now: Instant, out: &mut Vec<Output>) {
        let mut due = Vec::new();
        for (key, probe) in &mut self.probes.probes {
            if probe.next_at > now {
                continue;
            }
            probe.next_at = now + probe.every;
            // One that is still on its way tells enough.
            if probe.open.is_none() {
                let client = ClientKey(self.tokens.next_u64());
                probe.open = Some(client);
                due.push((client, key.clone()));
            }
        }
        for (client, (trunk, hop)) in due {
            let trunk = self.snapshot.trunk(&trunk).cloned();
            let request = self.options_to(&hop, trunk.as_ref());
            let large = large_on(trunk.as_ref());
            let dest = Dest::Hop(hop);
            self.with_endpoint(now, out, |endpoint, events| {
                let method = Method::Options;
                endpoint.request(now, client, NOBODY, dest, &method, &request, large, events);
            });
        }
    }

    fn options_to(&mut self, hop: &NextHop, trunk: Option<&Trunk>) -> Packet {
        self.probes.cseq = self.probes.cseq.wrapping_add(1) & 0x7fff_ffff;
        let dest = Dest::Hop(hop.clone());
        let (_, local) = self.endpoint.locals().source_for(&dest);
        let user = trunk.and_then(|trunk| trunk.caller_id.as_deref()).unwrap_or(USER);
        let (contact, _) = self.contact_towards(&dest, user);
        let port = hop.port.map(|port| format!(":{port}")).unwrap_or_default();
        let transport = hop.transport().uri_parameter();
        let uri = format!("sip:{}{port}{transport}", hop.host);
        Builder::request(&Method::Options, &uri)
            .header(HeaderName::MaxForwards, 70)
            .header(
                HeaderName::From,
                format_args!("<sip:{}@{}>;tag={}", escape_user(user), local, self.tokens.tag()),
            )
            .header(HeaderName::To, format_args!("<{uri}>"))
            .header(HeaderName::CallId, self.tokens.call_id())
            .header(HeaderName::CSeq, format_args!("{} OPTIONS", self.probes.cseq))
            .header(HeaderName::Contact, contact)
            .header(HeaderName::Accept, "application/sdp")
            .header(HeaderName::UserAgent, &self.user_agent)
            .finish()
    }

    /// An answer to one of our OPTIONS. Whatever it says, somebody is there; but 503 and 408 say that it is not
    /// the carrier, or that it takes no calls.
    pub(super) fn probe_answered(
        &mut self,
        client: ClientKey,
        response: &Message,
        out: &mut Vec<Output>,
    ) {
        let health = match response.status() {
            100..200 => return,
            status @ (408 | 503) => Health::Silent(format!("{status} {}", response.reason())),
            _ => Health::Answers,
        };
        self.probe_told(client, health, out);
    }

    pub(super) fn probe_failed(&mut self, client: ClientKey, why: Failure, out: &mut Vec<Output>) {
        let why = match why {
            Failure::TimedOut => "no answer to OPTIONS",
            Failure::Transport => "cannot be reached",
        };
        self.probe_told(client, Health::Silent(why.to_owned()), out);
    }

    fn probe_told(&mut self, client: ClientKey, health: Health, out: &mut Vec<Output>) {
        let mut probes = self.probes.probes.iter_mut();
        let Some((key, probe)) = probes.find(|(_, probe)| probe.open == Some(client)) else {
            return;
        };
        let name = key.0.clone();
        let Some(trunk) = self.snapshot.trunk(&name) else { return };
        probe.open = None;
        let before = std::mem::replace(&mut probe.health, health);
        let is_news = before != probe.health;
        let Some((state, reason)) = self.probes.state_of(trunk).filter(|_| is_news) else { return };
        let kind = match state {
            "up" => "trunk.up",
            "down" => "trunk.down",
            _ => return,
        };
        out.push(Output::Event { kind, fields: vec![("trunk", name), ("reason", reason)] });
    }
}
