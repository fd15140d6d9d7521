//! One next hop on its way from a name to its servers: NAPTR, SRV, addresses (RFC 3263 §4.1, §4.2).

use super::{Answer, Located, Naptr, Question, Server, Srv};
use crate::proto::sip::transport::{Host, NextHop, Transport};
use crate::proto::time::Instant;

/// Servers of one next hop; a domain with more has the first ones tried.
pub const SERVERS_MAX: usize = 32;
/// Addresses of one server.
pub const ADDRESSES_MAX: usize = 8;
/// Services of a domain: more than there are transports.
const SERVICES_MAX: usize = 8;

/// A server whose addresses are not known yet.
#[derive(Debug)]
struct Named {
    server: Server,
    host: Box<str>,
}

#[derive(Debug)]
enum Stage {
    Naptr,
    /// The service that each question asks for, in order of preference.
    Srv(Vec<Transport>),
    Addresses(Vec<Named>),
}

#[derive(Debug)]
pub(super) struct Walk {
    pub(super) hop: NextHop,
    pub(super) until: Instant,
    name: Box<str>,
    supported: Vec<Transport>,
    stage: Stage,
    /// The questions of this stage with what came.
    open: Vec<(Question, Option<Answer>)>,
    is_whole: bool,
}

impl Walk {
    pub(super) fn new(hop: NextHop, supported: &[Transport], until: Instant) -> Self {
        let name: Box<str> = hop.host.to_string().into();
        let mut walk = Self {
            hop,
            until,
            name,
            supported: supported.to_vec(),
            stage: Stage::Naptr,
            open: Vec::new(),
            is_whole: true,
        };
        match (walk.hop.port, walk.hop.transport) {
            // With a port the name is a host's (§4.2).
            (Some(_), _) => walk.ask_for_the_host(),
            (None, Some(transport)) => {
                let service = (transport, service_name(transport, &walk.name));
                walk.ask_for_services(vec![service]);
            }
            (None, None) => walk.open = vec![(Question::Naptr(walk.name.clone()), None)],
        }
        walk
    }

    /// What it waits for.
    pub(super) fn questions(&self) -> impl Iterator<Item = &Question> {
        self.open.iter().filter(|(_, answer)| answer.is_none()).map(|(question, _)| question)
    }

    /// Takes in an answer, if it waits for it; gives the servers if it was the last one.
    pub(super) fn answer(
        &mut self,
        question: &Question,
        answer: &Answer,
        asked: &mut Vec<Question>,
    ) -> Option<Located> {
        let mut is_ours = false;
        for (known, slot) in &mut self.open {
            if known == question && slot.is_none() {
                *slot = Some(answer.clone());
                is_ours = true;
            }
        }
        if !is_ours {
            return None;
        }
        self.is_whole &= *answer != Answer::Failed;
        if self.questions().next().is_some() {
            return None;
        }
        let answers: Vec<_> = std::mem::take(&mut self.open);
        match std::mem::replace(&mut self.stage, Stage::Naptr) {
            Stage::Naptr => self.has_services(&answers),
            Stage::Srv(services) => self.has_servers(&services, &answers),
            Stage::Addresses(named) => return Some(self.has_addresses(named, &answers)),
        }
        if self.open.is_empty() {
            // Nothing to ask for: the service is not to be had (RFC 2782, a target of ".").
            return Some(Located { servers: Vec::new(), is_whole: self.is_whole });
        }
        asked.extend(self.questions().cloned());
        None
    }

    fn has_services(&mut self, answers: &[(Question, Option<Answer>)]) {
        let records = match answers.first() {
            Some((_, Some(Answer::Naptr(records)))) => records.as_slice(),
            _ => &[],
        };
        let mut services = usable(records, &self.supported);
        if services.is_empty() {
            let own = |transport: &Transport| (*transport, service_name(*transport, &self.name));
            // TLS is taken where the domain names it, or whoever calls; its records alone do not ask for it.
            let is_default = |transport: &&Transport| !transport.is_secure();
            services = self.supported.iter().filter(is_default).map(own).collect();
        }
        self.ask_for_services(services);
    }

    fn ask_for_services(&mut self, mut services: Vec<(Transport, Box<str>)>) {
        services.truncate(SERVICES_MAX);
        self.stage = Stage::Srv(services.iter().map(|(transport, _)| *transport).collect());
        self.open = services.into_iter().map(|(_, name)| (Question::Srv(name), None)).collect();
        if self.open.is_empty() {
            self.ask_for_the_host();
        }
    }

    fn has_servers(&mut self, services: &[Transport], answers: &[(Question, Option<Answer>)]) {
        let mut named = Vec::new();
        let mut is_refused = false;
        for (rank, (transport, (_, answer))) in services.iter().zip(answers).enumerate() {
            let Some(Answer::Srv(records)) = answer else { continue };
            for record in records {
                match Host::parse(record.target.trim_end_matches('.')) {
                    Some(host) => {
                        named.push(named_server(*transport, rank, record, &host));
                    }
                    None => is_refused = true,
                }
            }
        }
        match (named.is_empty(), is_refused) {
            (false, _) => self.ask_for_addresses(named),
            // Without SRV records the name is a host's (§4.2).
            (true, false) => self.ask_for_the_host(),
            (true, true) => {}
        }
    }

    fn ask_for_the_host(&mut self) {
        let record = Srv { priority: 0, weight: 0, port: self.hop.port(), target: String::new() };
        let named = named_server(self.hop.transport(), 0, &record, &self.hop.host);
        self.ask_for_addresses(vec![named]);
    }

    fn ask_for_addresses(&mut self, mut named: Vec<Named>) {
        named.sort_by_key(|named| (named.server.rank, named.server.priority));
        named.truncate(SERVERS_MAX);
        self.open.clear();
        for Named { host, .. } in &named {
            let question = Question::Addresses(host.clone());
            if !self.open.iter().any(|(known, _)| *known == question) {
                self.open.push((question, None));
            }
        }
        self.stage = Stage::Addresses(named);
    }

    fn has_addresses(&self, named: Vec<Named>, answers: &[(Question, Option<Answer>)]) -> Located {
        let fill = |Named { mut server, host }: Named| {
            let answer = answers.iter().find(|(question, _)| question.name() == &*host);
            if let Some((_, Some(Answer::Addresses(list)))) = answer {
                server.addresses = list.iter().copied().take(ADDRESSES_MAX).collect();
            }
            server
        };
        let mut servers: Vec<_> = named.into_iter().map(fill).collect();
        servers.retain(|server| !server.addresses.is_empty());
        Located { servers, is_whole: self.is_whole }
    }
}

fn named_server(transport: Transport, rank: usize, record: &Srv, host: &Host) -> Named {
    let server = Server {
        transport,
        rank: u8::try_from(rank).unwrap_or(u8::MAX),
        priority: record.priority,
        weight: record.weight,
        port: record.port,
        addresses: Vec::new(),
    };
    Named { server, host: host.to_string().into() }
}

/// `_sip._udp.example.com`, and `_sips._tcp.example.com` for TLS (RFC 3263 §4.1).
fn service_name(transport: Transport, name: &str) -> Box<str> {
    match transport {
        Transport::Tls => format!("_sips._tcp.{name}").into(),
        transport => format!("_sip._{}.{name}", transport.word()).into(),
    }
}

/// The services that we speak, best first (RFC 3263 §4.1).
fn usable(records: &[Naptr], supported: &[Transport]) -> Vec<(Transport, Box<str>)> {
    let mut list: Vec<_> = records
        .iter()
        .filter(|record| record.flags.eq_ignore_ascii_case("s") && record.regexp.is_empty())
        .filter_map(|record| {
            let transport = if record.service.eq_ignore_ascii_case("SIP+D2U") {
                Transport::Udp
            } else if record.service.eq_ignore_ascii_case("SIP+D2T") {
                Transport::Tcp
            } else if record.service.eq_ignore_ascii_case("SIPS+D2T") {
                Transport::Tls
            } else {
                return None;
            };
            let name = record.replacement.trim_end_matches('.').to_ascii_lowercase();
            let is_usable = supported.contains(&transport) && !name.is_empty();
            is_usable.then(|| ((record.order, record.preference), (transport, name.into())))
        })
        .collect();
    list.sort_by_key(|(order, _)| *order);
    let mut services: Vec<(Transport, Box<str>)> = Vec::new();
    for (_, service) in list {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}
