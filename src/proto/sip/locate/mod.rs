//! Locating SIP servers (RFC 3263 §4): from a next hop by name to an ordered list of places.
//!
//! The name server is asked by outputs and answers by inputs. Which places failed of late is known here as
//! well, because it decides the order too.

mod back_off;
mod order;
#[cfg(test)]
mod tests;
mod walk;

use std::net::IpAddr;
use std::time::Duration;

pub use back_off::{BACK_OFF, BackOff, RETRY_AFTER_MAX, RETRY_AFTER_MIN, Why, retry_after};
pub use order::TARGETS_MAX;
pub use walk::{ADDRESSES_MAX, SERVERS_MAX};

use super::transport::{NextHop, Target, Transport};
use crate::proto::time::Instant;
use crate::proto::token::Tokens;
use back_off::BackOffs;
use walk::Walk;

/// Next hops that are being located at a time; a further one counts as not found.
pub const WALKS_MAX: usize = 1024;
/// How long one next hop may take to be located, whatever the name server does.
pub const WALK_MAX: Duration = Duration::from_secs(12);

/// What a name server is asked. Names are in lower case, without the dot at the end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Question {
    /// The NAPTR records of a domain: which services it has (RFC 3263 §4.1).
    Naptr(Box<str>),
    /// The SRV records of a service, such as `_sip._udp.example.com` (RFC 2782).
    Srv(Box<str>),
    /// The addresses of a host, of both families.
    Addresses(Box<str>),
}

impl Question {
    /// The name that is asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Naptr(name) | Self::Srv(name) | Self::Addresses(name) => name,
        }
    }
}

/// What a name server said. An empty list is an answer: there are no such records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// To [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`].
    Srv(Vec<Srv>),
    /// To [`Question::Addresses`], in the order that the name server gave.
    Addresses(Vec<IpAddr>),
    /// No answer came, or one that says nothing of the name.
    Failed,
}

/// A NAPTR record (RFC 3403 §4.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Naptr {
    /// Lower ones first.
    pub order: u16,
    /// Within an order, lower ones first.
    pub preference: u16,
    /// `s`: the replacement is a name with SRV records.
    pub flags: String,
    /// Such as `SIP+D2U`.
    pub service: String,
    /// Empty in every record that SIP uses.
    pub regexp: String,
    /// The name to go on with.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Srv {
    /// Lower ones first.
    pub priority: u16,
    /// The share within a priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` or nothing says that the service is not to be had there.
    pub target: String,
}

/// One server of a next hop, with what its turn depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// What it speaks.
    pub transport: Transport,
    /// The place of its service among those of the domain: all servers of a lower one go first.
    pub rank: u8,
    /// The SRV priority within that.
    pub priority: u16,
    /// The SRV weight within that.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// Its addresses, in the name server's order.
    pub addresses: Vec<IpAddr>,
}

/// What became of a next hop.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Located {
    /// Every server of it; none if it was not found.
    pub servers: Vec<Server>,
    /// Was every question answered? If not, the list may be another one than the domain wants.
    pub is_whole: bool,
}

impl Located {
    /// Every place of it, in no order.
    pub fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        self.servers.iter().flat_map(Server::targets)
    }
}

/// A next hop that is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Which.
    pub hop: NextHop,
    /// Its servers.
    pub located: Located,
}

/// All look-ups under way, and the places that failed.
#[derive(Debug)]
pub struct Locator {
    walks: Vec<Walk>,
    back_offs: BackOffs,
    tokens: Tokens,
}

impl Locator {
    /// One without look-ups and failures. The seed decides among servers of one priority.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { walks: Vec::new(), back_offs: BackOffs::default(), tokens: Tokens::new(seed) }
    }

    /// Begins to locate a next hop by name; `supported` are the transports that may be chosen where it names
    /// none. A look-up of the same hop that is under way serves both. False if there are too many.
    pub fn locate(
        &mut self,
        now: Instant,
        hop: &NextHop,
        supported: &[Transport],
        asked: &mut Vec<Question>,
    ) -> bool {
        if self.walks.iter().any(|walk| walk.hop == *hop) {
            return true;
        }
        if self.walks.len() >= WALKS_MAX {
            return false;
        }
        let walk = Walk::new(hop.clone(), supported, now + WALK_MAX);
        asked.extend(walk.questions().cloned());
        self.walks.push(walk);
        true
    }

    /// The name server answered. What follows from it is in `asked` and `found`.
    pub fn answer(
        &mut self,
        question: &Question,
        answer: &Answer,
        asked: &mut Vec<Question>,
        found: &mut Vec<Found>,
    ) {
        self.walks.retain_mut(|walk| match walk.answer(question, answer, asked) {
            None => true,
            Some(located) => {
                found.push(Found { hop: walk.hop.clone(), located });
                false
            }
        });
    }

    /// How many look-ups are under way.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.walks.len()
    }

    /// Is none under way?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.walks.is_empty()
    }

    /// When it next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.walks.iter().map(|walk| walk.until).min()
    }

    /// Ends look-ups that no name server finished.
    pub fn handle_timeout(&mut self, now: Instant, found: &mut Vec<Found>) {
        self.walks.retain(|walk| {
            let is_late = walk.until <= now;
            if is_late {
                found.push(Found { hop: walk.hop.clone(), located: Located::default() });
            }
            !is_late
        });
    }

    /// The places of some servers in the order to try them: RFC 2782's, with those that failed of late last.
    pub fn order(&mut self, now: Instant, servers: &[Server]) -> Vec<Target> {
        let mut targets = order::order(servers, &mut self.tokens);
        self.back_offs.sort(now, &mut targets);
        targets
    }

    /// Notes that a place failed; true if that is news.
    pub fn failed(&mut self, now: Instant, target: Target, why: Why, span: Duration) -> bool {
        self.back_offs.note(now, target, BackOff { until: now + span, why })
    }

    /// Notes that a place answered: silence and broken connections are forgotten, a 503 is not, because its
    /// server asked to be left alone for new work.
    pub fn answered(&mut self, target: Target) {
        self.back_offs.answered(target);
    }

    /// Is this place left alone now, until when, and why?
    #[must_use]
    pub fn back_off(&self, now: Instant, target: Target) -> Option<BackOff> {
        self.back_offs.of(now, target)
    }
}

impl Server {
    fn targets(&self) -> impl Iterator<Item = Target> + '_ {
        let of = |ip: &IpAddr| Target {
            transport: self.transport,
            address: std::net::SocketAddr::new(*ip, self.port),
        };
        self.addresses.iter().map(of)
    }
}
