//! Failed logins by user name, from all sources together.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::bucket::{Bucket, Rate};
use super::source::Source;
use crate::proto::time::Instant;

/// Names that nobody here has share so many buckets by a keyed hash: however many are tried, the memory is the
/// same, and the one who tries cannot tell them from names that somebody has.
const STRANGERS: usize = 4096;
/// Sources that a user is remembered to have logged in from.
const PLACES_MAX: usize = 4;

/// A user of ours.
#[derive(Clone, Debug, Default)]
pub(super) struct User {
    /// Failures from places where the user never was.
    pub(super) elsewhere: Bucket,
    /// Failures from places where the user was.
    at_home: Bucket,
    /// Latest first.
    places: Vec<Source>,
    pub(super) failed: u64,
    pub(super) silenced: u64,
    pub(super) quiet_until: Instant,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Users {
    key: [u8; 32],
    known: HashMap<String, User>,
    strangers: Vec<Bucket>,
}

impl Users {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key, known: HashMap::new(), strangers: vec![Bucket::default(); STRANGERS] }
    }

    fn stranger(&mut self, name: &str) -> Option<&mut Bucket> {
        let hash = Sha256::new().chain_update(self.key).chain_update(name).finalize();
        let index = hash.iter().take(2).fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        self.strangers.get_mut(index % STRANGERS)
    }

    /// Was the user logged in from there?
    pub(super) fn is_at_home(&self, name: &str, source: Source) -> bool {
        self.known.get(name).is_some_and(|user| user.places.contains(&source))
    }

    /// May a password be tried for this name?
    pub(super) fn may_try(
        &mut self,
        now: Instant,
        name: &str,
        is_known: bool,
        source: Source,
        rate: Rate,
    ) -> bool {
        let hashed = self.stranger(name).copied().unwrap_or_default();
        match self.known.get(name) {
            Some(user) if user.places.contains(&source) => user.at_home.has(now, rate),
            Some(user) => user.elsewhere.has(now, rate),
            None if is_known => true,
            None => hashed.has(now, rate),
        }
    }

    /// A login as this user failed.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        name: &str,
        is_known: bool,
        source: Source,
        rate: Rate,
    ) {
        if !is_known {
            self.stranger(name).map(|bucket| bucket.take(now, rate));
            return;
        }
        let user = self.known.entry(name.to_owned()).or_default();
        user.failed += 1;
        let bucket =
            if user.places.contains(&source) { &mut user.at_home } else { &mut user.elsewhere };
        bucket.take(now, rate);
    }

    /// A user logged in from there.
    pub(super) fn came(&mut self, name: &str, source: Source) {
        let user = self.known.entry(name.to_owned()).or_default();
        if user.places.first() != Some(&source) {
            user.places.retain(|known| *known != source);
            user.places.insert(0, source);
            user.places.truncate(PLACES_MAX);
        }
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut User> {
        self.known.get_mut(name)
    }

    /// Forgets users that the configuration no longer has.
    pub(super) fn retain(&mut self, is_known: impl Fn(&str) -> bool) {
        self.known.retain(|name, _| is_known(name));
    }

    /// Those for whom a login failed.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &User)> {
        self.known.iter().filter(|(_, user)| user.failed > 0)
    }
}
