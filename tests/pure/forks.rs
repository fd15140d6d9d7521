//! One call, several phones: who wins, who is told what.

use crate::scene::{heard, outcome};
use crate::sim::office::office;
use crate::sim::phone::{Body, Reply, early, ok, ring};
use crate::sim::world::{PhoneId, World};

/// 1001 calls 1002, which has a desk phone and a soft phone.
fn two_devices() -> (World, PhoneId, PhoneId, PhoneId) {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let desk = w.phone("1002");
    let soft = w.second_phone("soft", "1002");
    (w, a, desk, soft)
}

/// Row 111: the phones that lost are told that another one answered, so they show no missed call.
#[test]
fn row_111_the_first_answer_wins_and_the_others_are_told() {
    let (mut w, a, desk, soft) = two_devices();
    w[desk].habits.on_invite = vec![(20, ring()), (2000, ok())];
    w.dial(a, "1002");
    w.run_for(3_000);
    assert_eq!(heard(&w), (true, true));
    let cancels = w[soft].requests("CANCEL");
    assert_eq!(cancels.len(), 1);
    assert_eq!(cancels[0].get("Reason"), "SIP;cause=200;text=\"Call completed elsewhere\"");
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[soft].last().status, 487);
    insta::assert_snapshot!(w.ladder());
}

/// Row 112: two devices answer within a millisecond: one bridge, the other gets ACK and BYE.
#[test]
fn row_112_two_phones_answer_within_a_millisecond() {
    let (mut w, a, desk, soft) = two_devices();
    w[desk].habits.on_invite = vec![(20, ring()), (1000, ok())];
    w[soft].habits.on_invite = vec![(20, ring()), (1001, ok())];
    w.dial(a, "1002");
    w.run_for(1_500);
    assert_eq!(heard(&w), (true, true));
    assert_eq!((w[soft].requests("ACK").len(), w[soft].requests("BYE").len()), (1, 1));
    assert!(w[desk].requests("BYE").is_empty());
    assert_eq!(w[a].statuses("INVITE").iter().filter(|status| **status == 200).count(), 1);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

/// Row 112: the same 200 twice makes one call.
#[test]
fn row_112_a_duplicated_200_is_acknowledged_again_and_changes_nothing() {
    let (mut w, a, desk, _) = two_devices();
    w[desk].habits.on_invite = vec![(20, ring()), (1000, ok())];
    w.net
        .drop_once
        .push(Box::new(|wire| wire.text.is("ACK") && wire.to.ip().to_string() == "10.0.0.12"));
    w.dial(a, "1002");
    w.run_for(3_000);
    assert_eq!(w[desk].requests("ACK").len(), 1, "the second ACK arrived");
    assert_eq!(heard(&w), (true, true));
    w.hang_up(desk);
    w.assert_empty();
}

#[test]
fn one_busy_phone_does_not_stop_the_other_from_ringing() {
    let (mut w, a, desk, soft) = two_devices();
    w[desk].habits.on_invite = vec![(20, Reply::status(486))];
    w[soft].habits.on_invite = vec![(20, ring()), (1000, ok())];
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(soft);
    w.assert_empty();
}

/// Row 110: 6xx ends the ringing everywhere.
#[test]
fn row_110_a_6xx_of_one_phone_stops_them_all() {
    let (mut w, a, desk, soft) = two_devices();
    w[desk].habits.on_invite = vec![(20, ring()), (800, Reply::status(603))];
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(w[a].last().status, 603);
    assert_eq!(w[soft].requests("CANCEL").len(), 1);
    w.assert_empty();
    assert_eq!(outcome(&w), ("declined", "called", false));
}

/// Row 110: of several refusals the caller gets the one that tells most.
#[test]
fn row_110_the_best_refusal_reaches_the_caller() {
    for (one, other, best) in [(480, 486, 486), (486, 480, 486), (404, 486, 486), (500, 480, 480)] {
        let (mut w, a, desk, soft) = two_devices();
        w[desk].habits.on_invite = vec![(20, Reply::status(one))];
        w[soft].habits.on_invite = vec![(40, Reply::status(other))];
        w.dial(a, "1002");
        w.run_for(500);
        assert_eq!(w[a].last().status, best, "{one} and {other}");
        w.assert_empty();
    }
}

/// Row 110: a challenge of a phone is not the caller's business.
#[test]
fn row_110_a_challenge_of_a_called_phone_does_not_reach_the_caller() {
    let (mut w, a, desk, soft) = two_devices();
    let challenge = Reply::status(401).header("WWW-Authenticate: Digest realm=\"x\", nonce=\"1\"");
    w[desk].habits.on_invite = vec![(20, challenge.clone())];
    w[soft].habits.on_invite = vec![(40, challenge)];
    w.dial(a, "1002");
    w.run_for(500);
    assert_eq!(w[a].last().status, 403);
    assert_eq!(w[desk].requests("INVITE").len(), 1, "no credentials for strangers");
    w.assert_empty();
}

/// Row 25, 107: a proxy behind the contact forks: an early dialog for each tag, each further 2xx is
/// acknowledged and ended.
#[test]
fn row_025_further_answers_of_a_forking_proxy_are_acknowledged_and_ended() {
    let mut w = World::new(office());
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.on_invite = vec![
        (20, ring().tag("one")),
        (30, early().tag("two")),
        (1000, ok()),
        (1010, ok().tag("one")),
    ];
    w.dial(a, "1002");
    w.run_for(1_024);
    // The phone keeps the request open for the second branch's answer.
    let invite = w[b].requests("INVITE")[0].clone();
    w[b].calls[0].open = Some(invite);
    // The first ACK of the second answer is lost, so that answer comes again.
    w.net.drop_once.push(Box::new(|wire| wire.text.is("ACK") && wire.text.tag_of_to() == "one"));
    w.run_for(1_500);
    assert_eq!(heard(&w), (true, true));
    let byes: Vec<_> = w[b].requests("BYE").iter().map(|bye| bye.tag_of_to()).collect();
    assert_eq!(byes, ["one"], "it is ended once");
    let acked: Vec<_> = w[b].requests("ACK").iter().map(|ack| ack.tag_of_to()).collect();
    assert_eq!(acked, [w[b].last().local_tag.clone(), "one".to_owned()]);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

/// Row 107: forked 18x with SDP: the latest announcement is heard, the answer replaces it.
#[test]
fn row_107_early_media_of_two_branches_and_the_answer_of_one() {
    let (mut w, a, desk, soft) = two_devices();
    w[desk].habits.on_invite = vec![(20, early())];
    w[soft].habits.on_invite = vec![(40, early()), (1000, ok())];
    w.dial(a, "1002");
    w.run_for(300);
    assert!(w.media.open[&w.call()].a_hears_b());
    w.run_for(1_000);
    let open = &w.media.open[&w.call()];
    assert!(
        open.hearing().contains("b hears a: yes PCMU/8000 (0) via 10.0.0.13:4000"),
        "{}",
        open.hearing()
    );
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn a_phone_that_redirects_while_another_rings_is_left_out() {
    let (mut w, a, desk, soft) = two_devices();
    w[desk].habits.on_invite = vec![(20, Reply::status(302).contact("<sip:1003@10.0.0.1>"))];
    w[soft].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn an_answer_with_nothing_in_it_ends_the_call() {
    let (mut w, a, desk, _) = two_devices();
    w[desk].habits.on_invite = vec![(20, Reply::status(200).body(Body::None))];
    w.dial(a, "1002");
    w.run_for(500);
    assert_eq!(w[a].last().status, 488);
    assert_eq!((w[desk].requests("ACK").len(), w[desk].requests("BYE").len()), (1, 1));
    w.assert_empty();
    assert_eq!(outcome(&w), ("bad_media_exchange", "system", false));
}

/// Row 34: the breadth that a request allows is shared by its branches, and never exceeded (RFC 5393 §5).
#[test]
fn row_034_a_request_forks_no_wider_than_it_may() {
    for (header, status, share) in
        [("", 200, "30"), ("Max-Breadth: 5\r\n", 200, "2"), ("Max-Breadth: 1\r\n", 440, "")]
    {
        let (mut w, a, desk, soft) = two_devices();
        w[desk].habits.on_invite = vec![(20, ok())];
        w.dial_with(a, "1002", &Body::Auto, header);
        w.run_for(500);
        assert_eq!(w[a].last().status, status, "{header}");
        for phone in [desk, soft] {
            let got: Vec<_> = w[phone]
                .requests("INVITE")
                .iter()
                .map(|invite| invite.get("Max-Breadth").to_owned())
                .collect();
            assert!(got.iter().all(|value| value == share), "{header}: {got:?}");
            assert_eq!(got.is_empty(), status != 200);
        }
        if status == 200 {
            w.hang_up(a);
        }
        w.assert_empty();
    }
}

/// A branch behind the called side's proxy answers when the call is long over: it is taken and hung up, once.
#[test]
fn row_025_an_answer_that_comes_after_the_call_is_hung_up() {
    let mut w = World::new(office());
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    let text = w[b].requests("INVITE")[0].clone();
    w.hang_up(a);
    w.run_for(2_000);
    assert!(w.calls.is_empty(), "the call is over");
    let late = format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {};tag=late\r\nCall-ID: {}\r\nCSeq: {} INVITE\r\n\
         Contact: <sip:other@10.0.0.12:5060>\r\nContent-Length: 0\r\n\r\n",
        text.get("Via"),
        text.get("From"),
        text.get("To"),
        text.call_id(),
        text.cseq()
    );
    let before = (w[b].requests("ACK").len(), w[b].requests("BYE").len());
    for _ in 0..2 {
        w.raw(b, &late);
        w.run_for(100);
    }
    assert_eq!(w[b].requests("ACK").len(), before.0 + 2);
    let byes = w[b].requests("BYE");
    assert_eq!(byes.len(), before.1 + 1);
    assert_eq!(byes[before.1].uri(), "sip:other@10.0.0.12:5060");
    assert!(byes[before.1].get("To").ends_with(";tag=late"));
    w.assert_empty();
}
