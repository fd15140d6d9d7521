//! `[guard]`: what a stranger may do before he is silenced.

use std::time::Duration;

use super::bucket::Rate;
use crate::proto::network::Network;

/// `[guard]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardSettings {
    /// Never limited, never banned.
    pub trusted: Vec<Network>,
    /// Words in `User-Agent`, in lower case, by which scanners give themselves away.
    pub scanners: Vec<String>,
    /// Requests of one source whose sender is not known yet, per second; ten seconds' worth at once. 0: no limit.
    pub requests_per_second: u32,
    /// Failed logins of one source, per minute, as many at once. 0: no limit.
    pub failures_per_minute: u32,
    /// Failed logins as one user, from all sources together, per minute, twice as many at once. 0: no limit.
    pub user_failures_per_minute: u32,
    /// How long a first ban lasts; each further one lasts twice as long. Zero: nobody is banned.
    pub ban: Duration,
    /// How long a ban lasts at most.
    pub ban_max: Duration,
}

impl GuardSettings {
    pub(super) const fn requests(&self) -> Rate {
        let per_second = self.requests_per_second;
        Rate::new(per_second.saturating_mul(10), per_second.saturating_mul(60))
    }

    pub(super) const fn failures(&self) -> Rate {
        Rate::new(self.failures_per_minute, self.failures_per_minute)
    }

    pub(super) const fn user_failures(&self) -> Rate {
        let per_minute = self.user_failures_per_minute;
        Rate::new(per_minute.saturating_mul(2), per_minute)
    }
}

/// Programs that ring every address of the Internet for numbers and passwords.
const SCANNERS: [&str; 12] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sipcli",
    "sip-scan",
    "sundayddr",
    "pplsip",
    "vaxsipuseragent",
    "vaxipuseragent",
    "iwar",
    "siparmyknife",
    "smap",
];

impl Default for GuardSettings {
    fn default() -> Self {
        let own = ["127.0.0.1", "::1"];
        Self {
            trusted: own.iter().filter_map(|text| Network::parse(text)).collect(),
            scanners: SCANNERS.map(str::to_owned).to_vec(),
            requests_per_second: 20,
            failures_per_minute: 10,
            user_failures_per_minute: 10,
            ban: Duration::from_secs(60),
            ban_max: Duration::from_secs(24 * 3600),
        }
    }
}
