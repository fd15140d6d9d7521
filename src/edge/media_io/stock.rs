//! Sockets that are bound before a call asks for them.
//!
//! To bind four sockets takes a worker some fifty microseconds, and to ask it and to hear of it costs two
//! switches of threads, which take longer. So a worker lays pairs aside while it has nothing else to do, and
//! who starts a call takes them and tells the worker afterwards.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use super::socket::SocketPair;

/// Pairs that are kept for each address: eight calls can begin before the worker has to act.
pub(super) const PAIRS_MAX: usize = 16;
/// Addresses that pairs are kept for. Calls on further ones wait for their sockets.
pub(super) const ADDRESSES_MAX: usize = 8;
/// A worker lays nothing aside while it has fewer free pairs than this: they may be the last ones of an address
/// that no pair is laid aside for.
pub(super) const FREE_MIN: usize = 4 * PAIRS_MAX;

/// The shelf between a worker and those who start calls. It is locked for the time of a push or a pop.
#[derive(Clone, Debug, Default)]
pub(super) struct Stock(Arc<Mutex<Vec<(IpAddr, SocketPair)>>>);

impl Stock {
    fn shelf(&self) -> MutexGuard<'_, Vec<(IpAddr, SocketPair)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pair on each of two addresses, which may be the same.
    pub(super) fn take(&self, a_ip: IpAddr, b_ip: IpAddr) -> Option<(SocketPair, SocketPair)> {
        let mut shelf = self.shelf();
        let mut pick = |ip| {
            let at = shelf.iter().position(|(on, _)| *on == ip)?;
            Some(shelf.swap_remove(at).1)
        };
        let a = pick(a_ip)?;
        match pick(b_ip) {
            Some(b) => Some((a, b)),
            None => {
                shelf.push((a_ip, a));
                None
            }
        }
    }

    /// Puts back what the worker was not told of.
    pub(super) fn put_back(&self, ip: IpAddr, pair: SocketPair) {
        self.shelf().push((ip, pair));
    }

    /// Lays one aside. Never waits: gives it back when the shelf is in use.
    pub(super) fn lay_aside(&self, ip: IpAddr, pair: SocketPair) -> Result<(), SocketPair> {
        match self.0.try_lock() {
            Ok(mut shelf) => shelf.push((ip, pair)),
            Err(TryLockError::Poisoned(error)) => error.into_inner().push((ip, pair)),
            Err(TryLockError::WouldBlock) => return Err(pair),
        }
        Ok(())
    }

    /// The first of these addresses that has too few; `None` when the shelf is in use.
    pub(super) fn missing(&self, addresses: &[IpAddr]) -> Option<Option<IpAddr>> {
        let shelf = self.0.try_lock().ok()?;
        let count = |ip: &IpAddr| shelf.iter().filter(|(on, _)| on == ip).count();
        Some(addresses.iter().copied().find(|ip| count(ip) < PAIRS_MAX))
    }

    /// Takes everything off the shelf; nothing when it is in use.
    pub(super) fn clear(&self) -> Vec<SocketPair> {
        let Ok(mut shelf) = self.0.try_lock() else { return Vec::new() };
        shelf.drain(..).map(|(_, pair)| pair).collect()
    }
}
