//! Questions to the name server: hosts file first, then DNS, remembered as long as the records allow.

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::proto::sip::locate::{Answer, Naptr, Question, SERVERS_MAX, Srv};

/// Questions that wait for an answer; a further one counts as not answered.
const ASKED_MAX: usize = 4096;
/// Answers remembered.
const REMEMBERED_MAX: u64 = 8192;
/// How long one question may take; one that a server needs longer for counts as not answered.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// How long one server has, so that there is time for another try.
const SERVER_TIME: Duration = Duration::from_millis(1400);
/// The shortest time that records are believed: a TTL of 0 would ask for every request.
const TTL_MIN: Duration = Duration::from_secs(5);
/// The longest one.
const TTL_MAX: Duration = Duration::from_secs(3600);
/// The longest time that the absence of records is believed: whoever mends a zone waits for it.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(30);
/// Names that the administrator of this machine gives to addresses (hosts(5)).
const HOSTS: &str = "/etc/hosts";

/// The name servers as the switchboard's task sees them: nothing here waits.
pub(super) struct Dns {
    resolver: Option<Arc<TokioResolver>>,
    asked: HashSet<Question>,
    /// Questions that were one too many.
    refused: VecDeque<Question>,
    tx: mpsc::Sender<(Question, Answer)>,
    rx: mpsc::Receiver<(Question, Answer)>,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Dns {
    /// Asks these servers; the system's if there are none.
    pub(super) fn new(servers: &[SocketAddr]) -> Self {
        // One answer for each question at most, so it is never full.
        let (tx, rx) = mpsc::channel(ASKED_MAX);
        Self { resolver: open(servers), asked: HashSet::new(), refused: VecDeque::new(), tx, rx }
    }

    /// From now on asks these servers; what was remembered is forgotten.
    pub(super) fn configure(&mut self, servers: &[SocketAddr]) {
        self.resolver = open(servers);
    }

    /// Asks; one question at a time is enough however many want to know.
    pub(super) fn ask(&mut self, question: Question) {
        if self.asked.contains(&question) {
            return;
        }
        if self.asked.len() >= ASKED_MAX {
            if self.refused.len() < ASKED_MAX {
                self.refused.push_back(question);
            }
            return;
        }
        self.asked.insert(question.clone());
        let (tx, resolver) = (self.tx.clone(), self.resolver.clone());
        tokio::spawn(async move {
            let found = timeout(ANSWER_TIME, look_up(&question, resolver.as_deref())).await;
            let answer = found.unwrap_or(Answer::Failed);
            if answer == Answer::Failed {
                tracing::debug!(name = question.name(), "the name server did not answer");
            }
            let _ = tx.send((question, answer)).await;
        });
    }

    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<(Question, Answer)> {
        if let Some(question) = self.refused.pop_front() {
            return Poll::Ready((question, Answer::Failed));
        }
        let Poll::Ready(Some((question, answer))) = self.rx.poll_recv(cx) else {
            return Poll::Pending;
        };
        self.asked.remove(&question);
        Poll::Ready((question, answer))
    }
}

/// `None` if there is no name server to ask: then names are those of the hosts file.
fn open(servers: &[SocketAddr]) -> Option<Arc<TokioResolver>> {
    let provider = TokioRuntimeProvider::default();
    let builder = if servers.is_empty() {
        TokioResolver::builder(provider)
            .inspect_err(|error| tracing::warn!(%error, "no name server: /etc/resolv.conf"))
            .ok()?
    } else {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, provider)
    };
    builder
        .with_options(options())
        .build()
        .inspect_err(|error| tracing::warn!(%error, "no name server can be asked"))
        .ok()
        .map(Arc::new)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = SERVER_TIME;
    options.attempts = 1;
    options.cache_size = REMEMBERED_MAX;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.positive_min_ttl = Some(TTL_MIN);
    options.positive_max_ttl = Some(TTL_MAX);
    options.negative_min_ttl = Some(TTL_MIN);
    options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
    // Read here at each question, so that a change of it counts at once.
    options.use_hosts_file = ResolveHosts::Never;
    options
}

async fn look_up(question: &Question, resolver: Option<&TokioResolver>) -> Answer {
    let own = hosts(host_of(question)).await;
    match question {
        // Whoever writes a name into the hosts file says where it is.
        Question::Naptr(_) if !own.is_empty() => Answer::Naptr(Vec::new()),
        Question::Srv(_) if !own.is_empty() => Answer::Srv(Vec::new()),
        Question::Addresses(_) if !own.is_empty() => Answer::Addresses(own),
        _ => match resolver {
            Some(resolver) => ask(question, resolver).await,
            None => Answer::Failed,
        },
    }
}

/// The name without the service in front of it.
fn host_of(question: &Question) -> &str {
    let name = question.name();
    match question {
        Question::Srv(_) => name.splitn(3, '.').nth(2).unwrap_or(name),
        Question::Naptr(_) | Question::Addresses(_) => name,
    }
}

async fn hosts(name: &str) -> Vec<IpAddr> {
    if let Ok(ip) = name.parse() {
        return vec![ip];
    }
    let read = tokio::task::spawn_blocking(|| std::fs::read_to_string(HOSTS)).await;
    let text = read.ok().and_then(Result::ok).unwrap_or_default();
    addresses_in(&text, name)
}

fn addresses_in(hosts: &str, name: &str) -> Vec<IpAddr> {
    let of_line = |line: &str| {
        let line = line.split('#').next().unwrap_or("");
        let mut words = line.split_ascii_whitespace();
        let ip = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(ip)
    };
    hosts.lines().filter_map(of_line).collect()
}

async fn ask(question: &Question, resolver: &TokioResolver) -> Answer {
    // With the dot at its end a name is whole: the search list is for host names of one word.
    let whole = |name: &str| format!("{name}.");
    match question {
        Question::Naptr(name) => {
            let found = resolver.lookup(whole(name), RecordType::NAPTR).await;
            records(found, naptr).map_or(Answer::Failed, Answer::Naptr)
        }
        Question::Srv(name) => {
            let found = resolver.lookup(whole(name), RecordType::SRV).await;
            records(found, srv).map_or(Answer::Failed, Answer::Srv)
        }
        Question::Addresses(name) => {
            let name = if name.contains('.') { whole(name) } else { name.to_string() };
            match resolver.lookup_ip(name).await {
                Ok(found) => Answer::Addresses(found.iter().collect()),
                Err(error) if error.is_no_records_found() => Answer::Addresses(Vec::new()),
                Err(_) => Answer::Failed,
            }
        }
    }
}

/// The records of one kind; `None` if the server said nothing of the name.
fn records<T>(
    found: Result<Lookup, NetError>,
    read: impl Fn(&RData) -> Option<T>,
) -> Option<Vec<T>> {
    match found {
        Ok(found) => {
            let records = found.answers().iter().filter_map(|record| read(&record.data));
            Some(records.take(SERVERS_MAX).collect())
        }
        Err(error) if error.is_no_records_found() => Some(Vec::new()),
        Err(_) => None,
    }
}

fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = data else { return None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Naptr {
        order: record.order,
        preference: record.preference,
        flags: text(&record.flags),
        service: text(&record.services),
        regexp: text(&record.regexp),
        replacement: record.replacement.to_ascii(),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(record) = data else { return None };
    Some(Srv {
        priority: record.priority,
        weight: record.weight,
        port: record.port,
        target: record.target.to_ascii(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 45: names of the hosts file go on working, whatever their case and what stands behind them.
    #[test]
    fn row_045_the_hosts_file_is_read_as_hosts_5_says() {
        let text = "127.0.0.1 localhost # me\n::1\tlocalhost ip6-loopback\n#10.0.0.1 gone\n\n\
                    10.0.0.2 PBX.example pbx\nnonsense pbx\n";
        let of = |name: &str| addresses_in(text, name);
        assert_eq!(of("localhost"), ["127.0.0.1", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
        assert_eq!(of("pbx.example"), ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        assert!(of("gone").is_empty() && of("me").is_empty() && of("10.0.0.2").is_empty());
        assert_eq!(host_of(&Question::Srv("_sip._udp.pbx.example".into())), "pbx.example");
    }
}
