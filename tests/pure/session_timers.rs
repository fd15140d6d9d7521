//! Row 103 of the wire catalogue: session timers (RFC 4028).

use crate::scene::{outcome, talking, two_phones};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::world::{PhoneId, World};

const MINUTE: u64 = 60_000;

/// 1001 talks to 1002, which answered with these headers.
fn called_says(headers: &[&str]) -> (World, PhoneId, PhoneId) {
    let (mut w, a, b) = two_phones();
    let answer = headers.iter().fold(ok(), |answer, line| answer.header(line));
    w[b].habits.on_invite = vec![(20, ring()), (1_000, answer)];
    w.dial(a, "1002");
    w.run_for(2_000);
    (w, a, b)
}

/// 1001 talks to 1002, after an INVITE with these headers.
fn caller_says(headers: &str) -> (World, PhoneId, PhoneId) {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (1_000, ok())];
    w.dial_with(a, "1002", &Body::Auto, headers);
    w.run_for(2_000);
    (w, a, b)
}

#[test]
fn row_103_our_invite_asks_and_an_answer_without_terms_means_no_timer() {
    let (mut w, a, b) = talking();
    let invite = &w[b].requests("INVITE")[0];
    assert_eq!(invite.get("Supported"), "timer, replaces");
    assert_eq!(invite.get("Session-Expires"), "1800");
    assert_eq!(invite.get("Min-SE"), "", "90 is what it means without");
    w.run_for(120 * MINUTE);
    assert_eq!(w[b].requests("INVITE").len() + w[b].requests("UPDATE").len(), 1);
    // A caller that says nothing of timers is told nothing of them.
    assert_eq!(w[a].response(200).unwrap().get("Session-Expires"), "");
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn row_103_we_refresh_at_half_the_time_by_update_where_it_is_allowed() {
    let (mut w, a, b) =
        called_says(&["Allow: INVITE, UPDATE, BYE", "Session-Expires: 600;refresher=uac"]);
    w[b].habits.on_modify = Some(Reply::status(200).header("Session-Expires: 600;refresher=uac"));
    w.run_for(21 * MINUTE);
    let updates = w[b].requests("UPDATE");
    assert_eq!(updates.len(), 4, "every five minutes");
    assert_eq!(updates[0].get("Session-Expires"), "600;refresher=uac");
    assert!(updates[0].body.is_empty());
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

#[test]
fn row_103_or_by_a_re_invite_that_changes_nothing() {
    let (mut w, a, b) = called_says(&["Session-Expires: 600;refresher=uac"]);
    w[b].habits.on_modify = Some(ok().header("Session-Expires: 600;refresher=uac"));
    let before = w[b].requests("INVITE")[0].body.clone();
    let agreed = w.media.open[&w.call()].hearing();
    w.run_for(11 * MINUTE);
    let invites = w[b].requests("INVITE");
    assert_eq!(invites.len(), 3, "the first one and two refreshes");
    let origin = |body: &str| body.lines().find(|line| line.starts_with("o=")).map(str::to_owned);
    assert_eq!(origin(&invites[2].body), origin(&before), "the same version");
    assert_eq!(w.media.open[&w.call()].hearing(), agreed);
    assert!(w[a].requests("INVITE").is_empty(), "it concerns nobody else");
    w.assert_media_agrees(a, b);
    w.hang_up(b);
    w.assert_empty();
}

#[test]
fn row_103_update_that_is_not_known_after_all_becomes_a_re_invite() {
    let (mut w, a, b) =
        called_says(&["Allow: INVITE, UPDATE, BYE", "Session-Expires: 600;refresher=uac"]);
    w[b].habits.on_method = vec![("UPDATE", Reply::status(405))];
    w[b].habits.on_modify = Some(ok().header("Session-Expires: 600;refresher=uac"));
    w.run_for(11 * MINUTE);
    assert_eq!((w[b].requests("UPDATE").len(), w[b].requests("INVITE").len()), (1, 3));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn row_103_a_peer_that_should_refresh_and_does_not_is_hung_up() {
    for (expires, given_up_after) in [(600, 600 - 32), (90, 60)] {
        let (mut w, a, b) = called_says(&[&format!("Session-Expires: {expires};refresher=uas")]);
        w.run_for((given_up_after - 3) * 1_000);
        assert!(w[b].requests("BYE").is_empty());
        w.run_for(4_000);
        assert_eq!((w[a].requests("BYE").len(), w[b].requests("BYE").len()), (1, 1));
        w.assert_empty();
        assert_eq!(outcome(&w), ("session_expired", "system", true));
    }
}

#[test]
fn row_103_a_peer_that_refreshes_keeps_its_call() {
    for method in ["INVITE", "UPDATE"] {
        let headers = "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n";
        let (mut w, a, b) = caller_says(headers);
        let answer = w[a].response(200).unwrap();
        assert_eq!(answer.get("Session-Expires"), "600;refresher=uac");
        assert_eq!(answer.get("Require"), "timer");
        for _ in 0..4 {
            w.run_for(5 * MINUTE);
            let body =
                if method == "INVITE" { w[a].last().local_sdp.clone() } else { String::new() };
            w.in_dialog(a, method, headers, &body);
            w.run_for(500);
            assert_eq!(w[a].statuses(method).last(), Some(&200));
            assert_eq!(w[a].response(200).unwrap().get("Session-Expires"), "600;refresher=uac");
        }
        assert_eq!(w[b].requests("INVITE").len(), 1, "a refresh concerns nobody else");
        w.run_for(10 * MINUTE);
        w.assert_empty();
        assert_eq!(outcome(&w), ("session_expired", "system", true));
    }
}

#[test]
fn row_103_422_raises_what_we_ask_for() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_method = vec![("INVITE", Reply::status(422).header("Min-SE: 3600"))];
    w[b].habits.on_invite =
        vec![(20, ring()), (500, ok().header("Session-Expires: 3600;refresher=uas"))];
    w.dial(a, "1002");
    w.run_for(1_000);
    let invites = w[b].requests("INVITE");
    assert_eq!(invites.len(), 2);
    assert_eq!(invites[1].get("Session-Expires"), "3600");
    assert_eq!(invites[1].get("Min-SE"), "3600");
    assert_eq!(invites[0].get("Call-ID"), invites[1].get("Call-ID"));
    assert_eq!(w[a].last().status, 200);
    w.hang_up(a);
    w.assert_empty();
}

/// A peer that asks for a little more each time is not followed through a whole day of seconds, each of which would
/// leave a transaction behind.
#[test]
fn row_103_a_422_that_asks_for_ever_more_is_left() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_method = (0..100)
        .map(|n| ("INVITE", Reply::status(422).header(&format!("Min-SE: {}", 1_801 + n))))
        .collect();
    w.dial(a, "1002");
    w.run_for(5_000);
    assert_eq!(w[b].requests("INVITE").len(), 5);
    assert!(w[a].last().status >= 400);
    w.assert_empty();
}

/// A 422 that does not ask for more than it was offered is a refusal like any other, not a way to loop.
#[test]
fn row_103_a_senseless_422_does_not_loop() {
    for min_se in ["Min-SE: 90", "Min-SE: 99999999", "Min-SE: x", "X: 1"] {
        let (mut w, a, b) = two_phones();
        w[b].habits.on_invite = vec![(20, Reply::status(422).header(min_se))];
        w.dial(a, "1002");
        w.run_for(5_000);
        assert_eq!(w[b].requests("INVITE").len(), 1, "{min_se}");
        w.assert_empty();
    }
}

#[test]
fn row_103_too_short_an_interval_is_refused_with_ours() {
    let (mut w, a, b) = two_phones();
    w.dial_with(a, "1002", &Body::Auto, "Supported: timer\r\nSession-Expires: 60\r\n");
    w.run_for(500);
    assert_eq!(w[a].last().status, 422);
    assert_eq!(w[a].response(422).unwrap().get("Min-SE"), "90");
    assert!(w[b].requests("INVITE").is_empty());
    w.assert_empty();
}

/// A proxy asked for it on behalf of a phone that knows nothing of it: nobody could be told 422, and it is
/// we who refresh (RFC 4028 §9).
#[test]
fn row_103_for_a_caller_that_knows_no_timer_we_refresh_ourselves() {
    let (mut w, a, b) = caller_says("x: 60\r\n");
    let answer = w[a].response(200).unwrap();
    assert_eq!(answer.get("Session-Expires"), "90;refresher=uas");
    assert_eq!(answer.get("Require"), "");
    w[a].habits.on_modify = Some(Reply::status(200).header("Session-Expires: 90;refresher=uac"));
    w.run_for(5 * MINUTE);
    assert_eq!(w[a].requests("UPDATE").len(), 6, "the INVITE allowed UPDATE");
    w.hang_up(b);
    w.assert_empty();
}

/// Row 103: our 2xx never states more than was asked for, where nobody could be told 422, nor less than the shortest
/// that a proxy on the way takes (RFC 4028 §9).
#[test]
fn row_103_our_answer_stays_between_what_was_asked_and_what_is_taken() {
    for (headers, ours) in [
        ("Session-Expires: 120\r\n", "120;refresher=uas"),
        ("Supported: timer\r\nMin-SE: 3600\r\n", "3600;refresher=uas"),
        ("Supported: timer\r\nMin-SE: 200\r\n", "1800;refresher=uas"),
        ("Supported: timer\r\nMin-SE: 4294967295\r\n", "86400;refresher=uas"),
    ] {
        let mut snapshot = crate::sim::office::office();
        snapshot.sip.refreshing.min_se = std::time::Duration::from_secs(300);
        let mut w = World::new(snapshot);
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        w[b].habits.on_invite = vec![(20, ok())];
        w.dial_with(a, "1002", &Body::Auto, headers);
        w.run_for(500);
        assert_eq!(w[a].response(200).unwrap().get("Session-Expires"), ours, "{headers}");
        w.hang_up(a);
        w.assert_empty();
    }
}

/// A caller that knows timers and asks for none is offered ours, and we refresh.
#[test]
fn row_103_a_caller_that_did_not_ask_may_be_offered_a_timer() {
    let (mut w, a, b) = caller_says("Supported: timer\r\n");
    assert_eq!(w[a].response(200).unwrap().get("Session-Expires"), "1800;refresher=uas");
    w[a].habits.on_modify = Some(Reply::status(200).header("Session-Expires: 1800;refresher=uac"));
    w.run_for(31 * MINUTE);
    assert_eq!(w[a].requests("UPDATE").len(), 2);
    w.hang_up(b);
    w.assert_empty();
}

/// Our refresh that nobody answers is tried again; the session ends when its time is over, not before.
#[test]
fn row_103_an_unanswered_refresh_ends_the_call_only_at_the_sessions_end() {
    let (mut w, a, b) = called_says(&["Session-Expires: 600;refresher=uac"]);
    w.net.drop_all.push(Box::new(|wire| wire.to.ip().to_string() == "10.0.0.12"));
    w.run_for(560_000);
    assert!(w.records.is_empty(), "still talking");
    w.run_for(12_000);
    assert_eq!(w[a].requests("BYE").len(), 1);
    w.assert_empty();
    assert_eq!(outcome(&w), ("session_expired", "system", true));
    assert!(w[b].requests("INVITE").len() == 1, "nothing got through");
}

/// Row 119: with the timer switched off in the configuration we ask for nothing, and keep to what is asked.
#[test]
fn row_103_switched_off_we_ask_for_none() {
    let mut snapshot = crate::sim::office::office();
    snapshot.sip.refreshing.expires = std::time::Duration::ZERO;
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.on_invite = vec![(20, ok())];
    w.dial_with(a, "1002", &Body::Auto, "Supported: timer\r\nSession-Expires: 300\r\n");
    w.run_for(500);
    assert_eq!(w[b].requests("INVITE")[0].get("Session-Expires"), "");
    assert_eq!(w[a].response(200).unwrap().get("Session-Expires"), "300;refresher=uac");
    w.hang_up(a);
    w.assert_empty();
}
