//! The guard alone: who is silenced for what, and that its tables stay small whoever comes.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use proptest::prelude::*;

fn guard() -> Guard {
    Guard::new(GuardSettings::default(), [7; 32])
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn flow(n: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(0x0B00_0000 + n), 5060))
}

fn source(n: u32) -> Source {
    Source::of(flow(n).ip())
}

/// Fails to log in until it is banned; how often that was.
fn fail_until_banned(guard: &mut Guard, now: Instant, n: u32) -> usize {
    (1..100)
        .find(|_| {
            guard.failed(now, flow(n), "1001", true);
            guard.is_banned(now, source(n))
        })
        .expect("a ban")
}

#[test]
fn ten_failures_are_a_ban_and_each_ban_is_twice_as_long() {
    let mut guard = guard();
    let mut now = at(1000);
    for (count, seconds) in [(1, 60), (2, 120), (3, 240), (4, 480)] {
        assert_eq!(fail_until_banned(&mut guard, now, 1), 10);
        let span = Duration::from_secs(seconds);
        let reason = "failed logins";
        let banned = GuardEvent::Banned { source: source(1), reason, span, count };
        assert_eq!(guard.take_events(), [banned]);
        now += span - Duration::from_millis(1);
        assert!(guard.is_banned(now, source(1)));
        now += Duration::from_millis(1);
        assert_eq!(guard.next_timeout(), Some(now));
        guard.handle_timeout(now);
        assert!(!guard.is_banned(now, source(1)));
        let unbanned = GuardEvent::Unbanned { source: source(1), why: "expired" };
        assert_eq!(guard.take_events(), [unbanned]);
    }
    for _ in 0..20 {
        fail_until_banned(&mut guard, now, 1);
        let until = guard.next_timeout().unwrap();
        assert!(until.since(now) <= Duration::from_secs(24 * 3600), "bounded");
        now = until;
        guard.handle_timeout(now);
    }
    // A day of peace, and it is the first ban again.
    now += Duration::from_secs(24 * 3600);
    guard.handle_timeout(now);
    fail_until_banned(&mut guard, now, 1);
    assert_eq!(guard.next_timeout(), Some(now + Duration::from_secs(60)));
}

#[test]
fn ten_wrong_provisioning_addresses_are_a_ban_except_where_a_phone_is() {
    let mut guard = guard();
    let now = at(1000);
    guard.bound("1001", vec![flow(2)]);
    for _ in 0..9 {
        guard.wrong_token(now, flow(1).ip());
        guard.wrong_token(now, flow(2).ip());
    }
    assert!(!guard.is_banned(now, source(1)));
    for _ in 0..5 {
        guard.wrong_token(now, flow(1).ip());
        guard.wrong_token(now, flow(2).ip());
        guard.wrong_token(now, Ipv4Addr::LOCALHOST.into());
    }
    assert!(guard.is_banned(now, source(1)));
    assert!(!guard.is_banned(now, source(2)), "a phone is registered there");
    assert!(!guard.is_banned(now, Source::of(Ipv4Addr::LOCALHOST.into())), "trusted");
    let events = guard.take_events();
    let [GuardEvent::Banned { reason, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(*reason, "wrong provisioning addresses");
}

#[test]
fn failures_that_come_slowly_are_no_ban() {
    let mut guard = guard();
    for n in 0..1000 {
        guard.failed(at(n * 31_000), flow(1), "1001", true);
        assert!(!guard.is_banned(at(n * 31_000), source(1)));
    }
}

#[test]
fn a_source_with_a_phone_or_a_call_of_ours_is_limited_and_not_banned() {
    let mut guard = guard();
    let now = at(0);
    guard.bound("1002", vec![flow(1)]);
    guard.dialog(flow(2).ip(), true);
    for n in [1, 2] {
        let other_port = SocketAddr::new(flow(n).ip(), 999);
        let tried = (0..100).filter(|_| {
            let may = guard.may_log_in(now, other_port, "1001", true);
            if may {
                guard.failed(now, other_port, "1001", true);
            }
            may
        });
        assert_eq!(tried.count(), 10, "its bucket of failures");
        assert!(!guard.is_banned(now, source(n)));
        // The phone that is registered there is not kept out by its neighbour, from a new port either.
        assert!(guard.may_log_in(now, SocketAddr::new(flow(1).ip(), 77), "1002", true));
    }
    guard.bound("1002", Vec::new());
    guard.failed(now, flow(1), "1001", true);
    assert!(guard.is_banned(now, source(1)), "nobody of ours is there any more");
}

/// A guess that comes from everywhere is slow, and the phone itself does not feel it.
#[test]
fn a_user_is_not_locked_out_by_the_guesses_of_others() {
    let mut guard = guard();
    guard.bound("1001", vec![flow(1)]);
    let tried = |guard: &mut Guard, user: &str, is_known: bool, now: Instant| {
        (100..1100)
            .filter(|n| {
                let may = guard.may_log_in(now, flow(*n), user, is_known);
                if may {
                    guard.failed(now, flow(*n), user, is_known);
                }
                may
            })
            .count()
    };
    let known = tried(&mut guard, "1001", true, at(0));
    assert_eq!(known, 20);
    assert_eq!(tried(&mut guard, "nobody", false, at(0)), known, "no telling them apart");
    assert_eq!(tried(&mut guard, "1001", true, at(60_000)), 10);
    assert!(guard.may_log_in(at(60_000), flow(1), "1001", true), "its flow");
    let rebooted = SocketAddr::new(flow(1).ip(), 61_000);
    assert!(guard.may_log_in(at(60_000), rebooted, "1001", true), "its place");
    guard.bound("1001", Vec::new());
    assert!(guard.may_log_in(at(60_000), rebooted, "1001", true), "where it was last");
}

#[test]
fn trusted_networks_are_let_alone() {
    let trusted = vec![Network::parse("11.0.0.0/8").unwrap()];
    let mut guard = Guard::new(GuardSettings { trusted, ..GuardSettings::default() }, [7; 32]);
    for _ in 0..1000 {
        guard.failed(at(0), flow(1), "1001", true);
        guard.scanned(at(0), source(1));
        guard.challenged(at(0), source(1));
        assert!(guard.is_friend(flow(1)) && guard.may_log_in(at(0), flow(1), "1001", true));
    }
    assert!(!guard.is_banned(at(0), source(1)));
}

#[test]
fn scanners_are_known_by_their_user_agent() {
    let guard = guard();
    let found = |agent: &str| {
        let text =
            format!("OPTIONS sip:x SIP/2.0\r\nVia: x\r\n{agent}\r\n\r\nUser-Agent: sipcli\r\n");
        guard.scanner(text.as_bytes()).map(str::to_owned)
    };
    assert_eq!(found("User-Agent: friendly-scanner").as_deref(), Some("friendly-scanner"));
    assert_eq!(found("user-agent:  SIPVicious 0.3").as_deref(), Some("sipvicious"));
    assert_eq!(found("USER-AGENT: VaxSIPUserAgent/3.5").as_deref(), Some("vaxsipuseragent"));
    assert_eq!(found("User-Agent: Yealink SIP-T46S"), None);
    assert_eq!(found("Subject: sipcli"), None, "nor what stands elsewhere");
}

#[test]
fn an_operator_forgives() {
    let mut guard = guard();
    fail_until_banned(&mut guard, at(0), 1);
    let rows = guard.rows(at(0));
    assert_eq!((rows[0].name.as_str(), rows[0].state, rows[0].bans), ("11.0.0.1", "banned", 1));
    assert!(guard.unban(flow(1).ip()) && !guard.unban(flow(1).ip()));
    assert!(!guard.is_banned(at(0), source(1)));
    assert_eq!(fail_until_banned(&mut guard, at(0), 1), 10);
    assert_eq!(guard.next_timeout(), Some(at(60_000)), "forgotten, so it is the first again");
}

/// Two million sources, each with enough for a ban: the tables keep their bounds, and whoever brought them all
/// has not pushed his own longer ban out.
#[test]
fn millions_of_sources_need_no_more_memory_than_thousands() {
    let mut guard = guard();
    let mut now = at(0);
    fail_until_banned(&mut guard, now, 1);
    now += Duration::from_secs(60);
    guard.handle_timeout(now);
    fail_until_banned(&mut guard, now, 1);
    assert!(guard.is_banned(now, source(1)));
    for n in 0..2_000_000_u32 {
        let ip = if n % 2 == 0 {
            IpAddr::V4(Ipv4Addr::from_bits(0x2000_0000 + n))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(n) << 64 | 0x2001 << 112))
        };
        let source = Source::of(ip);
        guard.request(now, source);
        if n % 10 == 0 {
            guard.scanned(now, source);
            guard.scanned(now, source);
        }
        if n % 100_000 == 0 {
            assert!(guard.watch.len() <= SOURCES_MAX && guard.bans.kept() <= BANS_MAX);
            guard.take_events();
        }
    }
    assert_eq!((guard.watch.len(), guard.bans.kept()), (SOURCES_MAX, BANS_MAX));
    assert!(guard.is_banned(now, source(1)), "his own ban is longer than all of those");
    assert!(guard.events.len() <= EVENTS_MAX);
    // Once they are quiet, the next few strangers sweep them out.
    now += Duration::from_secs(3600);
    guard.handle_timeout(now);
    for n in 0..100_000 {
        guard.request(now + Duration::from_secs(u64::from(n)), source(1_000_000 + n));
    }
    assert!(guard.watch.len() < 100, "{}", guard.watch.len());
}

proptest! {
    /// Whatever happens in whatever order: the bounds hold, and a score that is let alone is gone in five minutes.
    #[test]
    fn nothing_breaks_the_bounds(steps in prop::collection::vec((0_u8..8, 0_u32..40, 0_u64..30_000), 1..400)) {
        let mut guard = guard();
        let mut now = at(0);
        for (what, n, ms) in steps {
            now += Duration::from_millis(ms);
            match what {
                0 => { guard.request(now, source(n)); }
                1 => guard.failed(now, flow(n), "1001", true),
                2 => guard.came(now, flow(n), "1001"),
                3 => guard.scanned(now, source(n)),
                4 => guard.challenged(now, source(n)),
                5 => guard.handle_timeout(now),
                6 => guard.bound("1001", vec![flow(n)]),
                _ => { guard.unban(flow(n).ip()); }
            }
            for row in guard.rows(now) {
                prop_assert!(row.score <= BAN_SCORE);
                prop_assert!(row.until.is_none_or(|until| until.since(now) <= Duration::from_secs(24 * 3600)));
            }
            prop_assert!(guard.watch.len() <= 40);
        }
        now += Duration::from_secs(48 * 3600);
        guard.handle_timeout(now);
        prop_assert_eq!(guard.counts().banned, 0);
        prop_assert!(guard.rows(now).iter().all(|row| row.score == 0));
    }
}
