//! Names to addresses, by the system's resolver, remembered for a while.

use std::collections::HashMap;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::proto::sip::endpoint::ClientKey;
use crate::proto::sip::message::Packet;
use crate::proto::sip::transport::NextHop;
use crate::proto::time::Instant;

/// How long an answer is believed; the system's resolver gives no lifetime.
const REMEMBER: Duration = Duration::from_secs(30);
/// Names remembered or asked for at a time; a packet to a further name counts as not sent.
const NAMES_MAX: usize = 1024;
/// Packets that wait for one name; a further one counts as not sent.
const WAITING_MAX: usize = 256;

/// A packet that waits for an address.
pub(super) type Waiting = (NextHop, Packet, Option<ClientKey>);

/// A name with its addresses, none if it has none, and what waited for it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) waiting: Vec<Waiting>,
}

#[derive(Debug)]
pub(super) struct Resolver {
    known: HashMap<String, (Instant, Vec<IpAddr>)>,
    asked: HashMap<String, Vec<Waiting>>,
    now: Instant,
    tx: mpsc::Sender<(String, Vec<IpAddr>)>,
    rx: mpsc::Receiver<(String, Vec<IpAddr>)>,
}

impl Default for Resolver {
    fn default() -> Self {
        // One answer for each name asked for at most, so it is never full.
        let (tx, rx) = mpsc::channel(NAMES_MAX);
        Self { known: HashMap::new(), asked: HashMap::new(), now: Instant::START, tx, rx }
    }
}

impl Resolver {
    /// Brings the clock up to date.
    pub(super) fn tick(&mut self, now: Instant) {
        self.now = now;
        if self.known.len() >= NAMES_MAX / 2 {
            self.known.retain(|_, (at, _)| now.since(*at) < REMEMBER);
        }
    }

    /// The addresses of a name, if it was looked up a short while ago.
    pub(super) fn known(&self, name: &str) -> Option<&[IpAddr]> {
        let (at, addresses) = self.known.get(name)?;
        if self.now.since(*at) < REMEMBER { Some(addresses) } else { None }
    }

    /// Asks for a name; false if the packet cannot wait for it.
    pub(super) fn look_up(&mut self, name: &str, waiting: Option<Waiting>) -> bool {
        if let Some(list) = self.asked.get_mut(name) {
            let has_room = list.len() < WAITING_MAX;
            if has_room {
                list.extend(waiting);
            }
            return has_room;
        }
        if self.asked.len() + self.known.len() >= NAMES_MAX {
            return false;
        }
        self.asked.insert(name.to_owned(), waiting.into_iter().collect());
        let (name, tx) = (name.to_owned(), self.tx.clone());
        tokio::spawn(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let addresses =
                found.map(|list| list.map(|address| address.ip()).collect()).unwrap_or_default();
            let _ = tx.send((name, addresses)).await;
        });
        true
    }

    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        let Poll::Ready(Some((name, addresses))) = self.rx.poll_recv(cx) else {
            return Poll::Pending;
        };
        let waiting = self.asked.remove(&name).unwrap_or_default();
        if !addresses.is_empty() {
            self.known.insert(name.clone(), (self.now, addresses.clone()));
        }
        Poll::Ready(Answer { name, addresses, waiting })
    }
}
