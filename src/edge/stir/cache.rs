//! Chains by their addresses: those that are there, those that were not to be had of late, those under way.

use std::collections::HashMap;
use std::time::Duration;

use super::certificate::Chain;
use super::fetch::Fetched;
use super::worker::Waiting;
use crate::proto::stir::source::CertificateUrl;
use crate::proto::stir::{Failure, Kind};
use crate::proto::time::Instant;

/// Addresses that are remembered. When all are taken the one that is over first makes room.
pub(super) const ADDRESSES_MAX: usize = 1_024;
/// Fetches at the same time; a further one counts as failed.
pub(super) const FETCHES_MAX: usize = 32;
/// How long a failure is remembered: nobody makes us ask one server again and again.
const FAILED_FOR: Duration = Duration::from_secs(30);

/// What is known of an address.
enum Entry {
    Chain(Box<Chain>, Instant),
    Failed(Failure, Instant),
    /// It is being fetched for these.
    Wanted(Vec<Waiting>),
}

/// What there is of an address.
pub(super) enum Found<'c> {
    Chain(&'c mut Chain),
    Failed(Failure),
    /// It is under way, or has to be fetched if the flag says so.
    Wanted {
        is_new: bool,
    },
}

#[derive(Default)]
pub(super) struct Cache {
    entries: HashMap<CertificateUrl, Entry>,
    fetches: usize,
}

impl Cache {
    /// What is known of this address; a fetch of what is not known has to follow.
    pub(super) fn find(&mut self, now: Instant, url: &CertificateUrl) -> Found<'_> {
        let is_over = match self.entries.get(url) {
            Some(Entry::Chain(_, until) | Entry::Failed(_, until)) => *until <= now,
            Some(Entry::Wanted(_)) => false,
            None => true,
        };
        if is_over {
            if self.fetches >= FETCHES_MAX {
                let why = "too many certificates are being fetched";
                return Found::Failed(Failure::new(Kind::BadInfo, why));
            }
            self.make_room();
            self.fetches += 1;
            self.entries.insert(url.clone(), Entry::Wanted(Vec::new()));
            return Found::Wanted { is_new: true };
        }
        match self.entries.get_mut(url) {
            Some(Entry::Chain(chain, _)) => Found::Chain(chain),
            Some(Entry::Failed(failure, _)) => Found::Failed(*failure),
            Some(Entry::Wanted(_)) | None => Found::Wanted { is_new: false },
        }
    }

    /// Somebody waits for what is under way.
    pub(super) fn wait(&mut self, url: &CertificateUrl, waiting: Waiting) {
        if let Some(Entry::Wanted(list)) = self.entries.get_mut(url) {
            list.push(waiting);
        }
    }

    /// A fetch is over; gives who waited for it.
    pub(super) fn fetched(
        &mut self,
        now: Instant,
        url: CertificateUrl,
        fetched: Fetched,
    ) -> Vec<Waiting> {
        self.fetches = self.fetches.saturating_sub(1);
        let entry = match fetched {
            Ok((chain, kept)) => Entry::Chain(Box::new(chain), now + kept),
            Err(failure) => Entry::Failed(failure, now + FAILED_FOR),
        };
        match self.entries.insert(url, entry) {
            Some(Entry::Wanted(waiting)) => waiting,
            _ => Vec::new(),
        }
    }

    /// Forgets what is not under way: the configuration is another.
    pub(super) fn clear(&mut self) {
        self.entries.retain(|_, entry| matches!(entry, Entry::Wanted(_)));
    }

    fn make_room(&mut self) {
        if self.entries.len() < ADDRESSES_MAX {
            return;
        }
        let until = |entry: &Entry| match entry {
            Entry::Chain(_, until) | Entry::Failed(_, until) => Some(*until),
            // Fewer than there is room for.
            Entry::Wanted(_) => None,
        };
        let first = self
            .entries
            .iter()
            .filter_map(|(url, entry)| Some((until(entry)?, url)))
            .min_by_key(|(until, _)| *until)
            .map(|(_, url)| url.clone());
        if let Some(url) = first {
            self.entries.remove(&url);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(number: usize) -> CertificateUrl {
        CertificateUrl::parse(&format!("https://c.example/{number}")).unwrap()
    }

    const GONE: Failure = Failure::new(Kind::BadInfo, "gone");

    /// Row 163: so many fetches at a time, so many addresses, and a failure for half a minute.
    #[test]
    fn row_163_fetches_and_addresses_are_bounded() {
        let (mut cache, now) = (Cache::default(), Instant::START);
        for number in 0..FETCHES_MAX {
            assert!(matches!(cache.find(now, &url(number)), Found::Wanted { is_new: true }));
            assert!(matches!(cache.find(now, &url(number)), Found::Wanted { is_new: false }));
        }
        let refused = cache.find(now, &url(FETCHES_MAX));
        assert!(matches!(refused, Found::Failed(Failure { kind: Kind::BadInfo, .. })));
        for number in 0..FETCHES_MAX {
            assert!(cache.fetched(now, url(number), Err(GONE)).is_empty());
        }
        let soon = now + (FAILED_FOR - Duration::from_secs(1));
        assert!(matches!(cache.find(soon, &url(0)), Found::Failed(failure) if failure == GONE));
        assert!(matches!(cache.find(now + FAILED_FOR, &url(0)), Found::Wanted { is_new: true }));
        cache.fetched(now, url(0), Err(GONE));
        for number in 0..2 * ADDRESSES_MAX {
            let later = now + Duration::from_secs(number as u64);
            assert!(matches!(
                cache.find(later, &url(number + 100)),
                Found::Wanted { is_new: true }
            ));
            cache.fetched(later, url(number + 100), Err(GONE));
            assert!(cache.entries.len() <= ADDRESSES_MAX);
        }
        cache.clear();
        assert!(cache.entries.is_empty());
    }
}
