//! Who may take a stream, and when.

use super::*;

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn header(sequence: u16) -> Header {
    Header { payload_type: 0, marker: false, sequence, timestamp: 0, ssrc: Ssrc(9) }
}

const PRIVATE: &str = "10.0.0.5:4000";
const PUBLIC: &str = "203.0.113.9:31000";
const STRANGER: &str = "198.51.100.66:666";

fn armed() -> Latch {
    let mut latch = Latch::default();
    latch.arm(at(0), Some(address(PRIVATE)));
    latch
}

fn feed(latch: &mut Latch, ms: u64, from: &str, first: u16, count: u16) -> Vec<Verdict> {
    let packet = |n: u16| {
        latch.packet(at(ms + 20 * u64::from(n)), address(from), &header(first.wrapping_add(n)))
    };
    (0..count).map(packet).collect()
}

/// Row 138.
#[test]
fn a_sequence_from_one_other_source_moves_the_latch_while_armed() {
    let mut latch = armed();
    let moved = Verdict::Moved(address(PUBLIC));
    let verdicts = feed(&mut latch, 0, PUBLIC, 10, 4);
    assert_eq!(verdicts, [Verdict::Stranger, Verdict::Stranger, moved, Verdict::Accept]);
    assert_eq!(latch.destination(), Some(address(PUBLIC)));
    assert_eq!(latch.learned(), Some(address(PUBLIC)));
}

/// Row 138.
#[test]
fn the_announced_address_wins_whenever_it_sends() {
    let mut latch = armed();
    assert_eq!(feed(&mut latch, 0, PRIVATE, 0, 1), [Verdict::Accept]);
    assert!(feed(&mut latch, 10, STRANGER, 0, 20).iter().all(|v| *v == Verdict::Stranger));
    let mut latch = armed();
    feed(&mut latch, 0, STRANGER, 0, 3);
    assert_eq!(feed(&mut latch, 70, PRIVATE, 0, 1), [Verdict::Moved(address(PRIVATE))]);
    assert_eq!(latch.learned(), None);
}

/// Row 138.
#[test]
fn spraying_single_packets_never_moves_the_latch() {
    let mut latch = armed();
    for n in 0..1_000_u16 {
        let from = SocketAddr::from(([198, 51, 100, 66], 1_000 + n));
        assert_eq!(latch.packet(at(u64::from(n)), from, &header(n)), Verdict::Stranger);
        // The same source, but out of sequence.
        let verdict = latch.packet(at(u64::from(n)), address(STRANGER), &header(n.wrapping_mul(7)));
        assert_eq!(verdict, Verdict::Stranger);
    }
    assert_eq!(latch.destination(), Some(address(PRIVATE)));
}

/// Row 138.
#[test]
fn after_the_window_only_another_port_of_the_same_silent_host_is_believed() {
    let mut latch = armed();
    feed(&mut latch, 0, PUBLIC, 0, 3);
    let late = 6_000;
    assert!(feed(&mut latch, late, STRANGER, 0, 50).iter().all(|v| *v == Verdict::Stranger));
    let rebound = "203.0.113.9:32000";
    assert_eq!(feed(&mut latch, 8_000, rebound, 5, 3)[2], Verdict::Moved(address(rebound)));
    // While it sends, a second phone behind the same NAT cannot take over.
    let other = "203.0.113.9:33000";
    assert!(feed(&mut latch, 8_045, other, 5, 10).iter().all(|v| *v == Verdict::Stranger));
}

/// Row 138.
#[test]
fn a_reinvite_arms_the_latch_again() {
    let mut latch = armed();
    feed(&mut latch, 0, PUBLIC, 0, 3);
    latch.arm(at(60_000), Some(address(PRIVATE)));
    assert_eq!(
        latch.destination(),
        Some(address(PUBLIC)),
        "an equal address keeps what was learned"
    );
    let moved = "192.0.2.77:5000";
    assert_eq!(feed(&mut latch, 60_010, moved, 0, 3)[2], Verdict::Moved(address(moved)));
    latch.arm(at(90_000), Some(address("192.0.2.78:6000")));
    assert_eq!(latch.destination(), Some(address("192.0.2.78:6000")));
}

#[test]
fn without_an_announced_address_the_first_sequence_is_believed() {
    let mut latch = Latch::default();
    latch.arm(at(0), None);
    assert_eq!(latch.destination(), None);
    assert_eq!(feed(&mut latch, 0, PUBLIC, 65_534, 3)[2], Verdict::Moved(address(PUBLIC)));
}

#[test]
fn rtcp_follows_the_host_of_rtp() {
    let mut latch = armed();
    let mut rtcp = RtcpLatch::default();
    rtcp.arm(Some(address("10.0.0.5:4001")));
    assert_eq!(rtcp.destination(&latch), Some(address("10.0.0.5:4001")));
    feed(&mut latch, 0, PUBLIC, 0, 3);
    assert_eq!(rtcp.destination(&latch), None);
    assert!(!rtcp.packet(address(STRANGER), &latch));
    assert!(rtcp.packet(address("203.0.113.9:31001"), &latch));
    assert_eq!(rtcp.destination(&latch), Some(address("203.0.113.9:31001")));
}

/// Row 138: who is known by a key may be found at another host at any time, once the old one is quiet.
#[test]
fn row_138_a_vouched_peer_moves_outside_the_window() {
    for (is_vouched, at_last) in
        [(false, Verdict::Stranger), (true, Verdict::Moved(address(PUBLIC)))]
    {
        let mut latch = armed();
        latch.vouch(is_vouched);
        assert_eq!(feed(&mut latch, 60_000, PRIVATE, 0, 1), [Verdict::Accept]);
        let busy = feed(&mut latch, 60_100, PUBLIC, 10, 4);
        assert_eq!(busy, [Verdict::Stranger; 4], "the old place still sends");
        assert_eq!(feed(&mut latch, 61_000, PUBLIC, 20, 3)[2], at_last);
    }
}

/// Row 157: under ICE only checks move the stream, and only addresses that were checked from are heard.
#[test]
fn row_157_checks_decide_where_a_peer_is() {
    let (mut latch, mut rtcp) = (Latch::default(), RtcpLatch::default());
    let at = |port: u16| SocketAddr::from(([198, 51, 100, 1], port));
    let header = Header::read(&[0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]).unwrap();
    let now = Instant::from_millis(1);
    latch.follow_checks(true);
    rtcp.follow(true, true);
    latch.arm(now, Some(at(9)));
    assert_eq!(latch.destination(), None, "what is announced is no way yet");
    for _ in 0..10 {
        assert_eq!(latch.packet(now, at(9), &header), Verdict::Stranger);
    }
    assert!(!latch.may_be_from(at(1)));
    assert_eq!(latch.checked(at(1), false), None);
    assert_eq!(latch.packet(now, at(1), &header), Verdict::Accept);
    assert_eq!(latch.destination(), None, "not nominated yet");
    // Aggressive nomination: every check nominates, the last one counts (RFC 8445 appendix B.5 has what is left of it).
    assert_eq!(latch.checked(at(1), true), Some(at(1)));
    assert_eq!(latch.checked(at(1), true), None, "once");
    assert_eq!(latch.checked(at(2), true), Some(at(2)));
    assert_eq!((latch.destination(), latch.learned()), (Some(at(2)), Some(at(2))));
    assert_eq!(rtcp.destination(&latch), Some(at(2)), "reports share the port");
    assert!(rtcp.packet(at(1), &latch) && !rtcp.packet(at(3), &latch));
    for port in 10..10 + u16::try_from(CHECKED_MAX).unwrap() {
        latch.checked(at(port), false);
    }
    assert!(!latch.may_be_from(at(1)), "the oldest leaves");
    latch.follow_checks(false);
    assert_eq!(latch.destination(), Some(at(9)));
    rtcp.follow(false, true);
    rtcp.checked(at(20), true);
    assert_eq!(rtcp.destination(&latch), Some(at(20)), "a port and checks of their own");
}
