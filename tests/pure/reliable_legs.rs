//! Reliable provisional responses (RFC 3262) where more than two phones have to do with a call: row 105 of the
//! wire catalogue.

use crate::scene::{heard, outcome};
use crate::sim::office::{BACKUP, CARRIER, office};
use crate::sim::phone::{Body, Reply, State, early, ok, ring};
use crate::sim::sdp::{self, HOLD, PCMA, PCMU, TALK};
use crate::sim::world::{PhoneId, World};
use tandem::switch::snapshot::Reliable;

/// An office where everybody may have it, with phones that acknowledge by themselves.
fn world(extensions: &[&str]) -> (World, Vec<PhoneId>) {
    world_of(extensions, true)
}

fn world_of(extensions: &[&str], converts: bool) -> (World, Vec<PhoneId>) {
    let mut snapshot = office();
    snapshot.media.converts = converts;
    snapshot.phones.values_mut().for_each(|phone| phone.reliable = Reliable::WhenSupported);
    snapshot.trunks.iter_mut().for_each(|trunk| trunk.reliable = Reliable::WhenSupported);
    let mut w = World::new(snapshot);
    let phones: Vec<_> = extensions.iter().map(|extension| w.phone(extension)).collect();
    for id in &phones {
        w[*id].habits.pracks = true;
    }
    (w, phones)
}

fn reliably(reply: Reply, rseq: u32) -> Reply {
    reply.header("Require: 100rel").header(&format!("RSeq: {rseq}"))
}

const REQUIRES: &str = "Require: 100rel\r\n";

/// Row 105: the trunk that sent early media fails; the next one speaks something else, which the caller, who has its
/// answer, learns by a re-INVITE.
#[test]
fn row_105_another_branch_answers_than_the_one_whose_answer_the_caller_has() {
    let (mut w, phones) = world(&["1001"]);
    let a = phones[0];
    let (carrier, backup) = (w.party("carrier", CARRIER), w.party("backup", BACKUP));
    w[carrier].codecs = vec![PCMU];
    w[backup].codecs = vec![PCMA];
    w[carrier].habits.on_invite = vec![(20, reliably(early(), 1)), (500, Reply::status(503))];
    w[backup].habits.on_invite = vec![(20, reliably(early(), 5)), (500, Reply::status(200))];
    w.dial_with(a, "0123", &Body::Auto, REQUIRES);
    w.run_for(2_000);
    assert_eq!(w[a].last().state, State::Up);
    assert_eq!((w[carrier].requests("PRACK").len(), w[backup].requests("PRACK").len()), (1, 1));
    let reinvite = w[a].requests("INVITE");
    assert_eq!(reinvite.len(), 1, "the caller is told");
    assert_eq!(sdp::codecs(&reinvite[0].body)[0].0, 8);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

/// Row 105: a transfer rings a phone that is reliable; who stays hears of it as always.
#[test]
fn row_105_the_target_of_a_transfer_is_acknowledged() {
    let (mut w, phones) = world(&["1001", "1002", "1003"]);
    let [a, b, c] = phones[..] else { unreachable!() };
    w[b].habits.on_invite = vec![(20, reliably(ring(), 1)), (200, ok())];
    w[c].habits.on_invite =
        vec![(20, reliably(early(), 1)), (300, reliably(ring(), 2)), (500, Reply::status(200))];
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(600);
    w.in_dialog(b, "REFER", "Refer-To: <sip:1003@10.0.0.1>\r\n", "");
    w.run_for(1_500);
    assert_eq!(w[c].requests("PRACK").len(), 2);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(c);
    w.assert_empty();
    assert_eq!(w[a].requests("BYE").len(), 1);
}

/// Row 105: the phone that an operator's call rings first.
#[test]
fn row_105_an_operators_phone_is_acknowledged_and_may_hold_before_it_answers() {
    let (mut w, phones) = world(&["1001", "1002"]);
    let [a, b] = phones[..] else { unreachable!() };
    w[a].habits.on_invite = vec![(20, reliably(early(), 1)), (500, Reply::status(200))];
    w[b].habits.on_invite = vec![(20, reliably(ring(), 1)), (200, ok())];
    w.originate("1001", "1002").unwrap();
    w.run_for(200);
    w.modify(a, "UPDATE", HOLD);
    w.run_for(50);
    w.modify(a, "UPDATE", TALK);
    w.run_for(50);
    assert_eq!(w[a].statuses("UPDATE"), [200, 200]);
    w.run_for(2_000);
    assert_eq!((w[a].requests("PRACK").len(), w[b].requests("PRACK").len()), (1, 1));
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 105: a branch answers when the call is over: the BYE counts on from its PRACKs.
#[test]
fn row_105_an_answer_that_crosses_the_cancel_is_hung_up_in_order() {
    let (mut w, phones) = world(&["1001", "1002"]);
    let [a, b] = phones[..] else { unreachable!() };
    w[b].habits.on_invite =
        vec![(20, reliably(ring(), 1)), (60, reliably(early(), 2)), (196, ok())];
    w.dial(a, "1002");
    w.run_for(210);
    assert_eq!(w[b].requests("PRACK").len(), 2);
    w.cancel(a);
    w.run_for(2_000);
    let (pracks, byes) = (w[b].requests("PRACK"), w[b].requests("BYE"));
    assert_eq!(byes.len(), 1);
    assert!(byes[0].cseq() > pracks[1].cseq(), "{} {}", byes[0].cseq(), pracks[1].cseq());
    w.assert_empty();
}

/// Row 105: two phones ring reliably; the caller is told of one thing after the other.
#[test]
fn row_105_forked_branches_are_acknowledged_each() {
    let (mut w, phones) = world(&["1001", "1002"]);
    let [a, desk] = phones[..] else { unreachable!() };
    let soft = w.second_phone("soft", "1002");
    w[desk].codecs = vec![PCMU];
    w[soft].codecs = vec![PCMA];
    w[desk].habits.on_invite = vec![(20, reliably(early(), 10)), (100, reliably(ring(), 11))];
    w[soft].habits.on_invite = vec![(30, reliably(early(), 20)), (400, Reply::status(200))];
    for body in [Body::Auto, Body::None] {
        w.dial_with(a, "1002", &body, REQUIRES);
        w.run_for(2_000);
        assert_eq!(w[a].last().state, State::Up, "{body:?}");
        assert_eq!(heard(&w), (true, true), "{body:?}");
        assert_eq!(w[desk].requests("CANCEL").last().map(|c| c.has("Reason")), Some(true));
        w.hang_up(a);
        w.run_for(2_000);
    }
    assert_eq!((w[desk].requests("PRACK").len(), w[soft].requests("PRACK").len()), (4, 2));
    w.assert_empty();
}

/// Row 84: the branch that answers offers nothing that the caller has agreed to: the caller is asked again, where nothing is
/// converted.
#[test]
fn row_084_a_late_branch_with_other_codecs_than_the_caller_was_offered() {
    let (mut w, phones) = world_of(&["1001"], false);
    let a = phones[0];
    let (carrier, backup) = (w.party("carrier", CARRIER), w.party("backup", BACKUP));
    w[carrier].codecs = vec![PCMU];
    w[backup].codecs = vec![PCMA];
    w[carrier].habits.on_invite = vec![(20, reliably(early(), 1)), (500, Reply::status(503))];
    w[backup].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial_with(a, "0123", &Body::None, REQUIRES);
    w.run_for(2_000);
    assert_eq!(w[a].last().state, State::Up);
    assert_eq!(sdp::codecs(&w[a].requests("INVITE")[0].body)[0].0, 8);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(backup);
    w.assert_empty();
}

/// Row 104 inside a call: there are no 18x to a re-INVITE, so whoever requires them gets the answer at once.
#[test]
fn row_104_a_re_invite_may_require_it_where_it_is_on() {
    for reliable in [Reliable::WhenRequired, Reliable::No] {
        let mut snapshot = office();
        snapshot.phones.values_mut().for_each(|phone| phone.reliable = reliable);
        let mut w = World::new(snapshot);
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        w[b].habits.on_invite = vec![(20, ring()), (200, ok())];
        w.dial(a, "1002");
        w.run_for(500);
        let body = w[a].last().local_sdp.replace("sendrecv", "sendonly");
        w.in_dialog(a, "INVITE", REQUIRES, &body.replace("77 1 ", "77 2 "));
        w.run_for(300);
        let last = *w[a].statuses("INVITE").last().unwrap();
        assert_eq!(last, if reliable == Reliable::No { 420 } else { 200 });
        w.hang_up(b);
        w.assert_empty();
    }
}

/// Row 104: a PRACK of ours is challenged, refused, or never answered: the call goes on as the peer has it.
#[test]
fn row_104_what_becomes_of_our_prack() {
    for (reply, count) in [
        (Some(Reply::status(481)), 1),
        (Some(Reply::status(500)), 1),
        (Some(Reply::status(401).header("WWW-Authenticate: Digest realm=\"x\", nonce=\"1\"")), 1),
        (None, 1),
    ] {
        let (mut w, phones) = world(&["1001", "1002"]);
        let [a, b] = phones[..] else { unreachable!() };
        w[b].habits.on_invite = vec![(20, reliably(early(), 1)), (40_000, ok())];
        match reply {
            Some(reply) => w[b].habits.on_method = vec![("PRACK", reply)],
            None => w.net.drop_all.push(Box::new(|wire| wire.text.is("PRACK"))),
        }
        w.dial(a, "1002");
        w.run_for(42_000);
        assert!(w[b].requests("PRACK").len() <= count);
        assert_eq!(heard(&w), (true, true));
        w.hang_up(a);
        w.assert_empty();
    }
}

/// However many responses were acknowledged, the answer to an INVITE that had to be sent twice is heard.
#[test]
fn row_105_the_answer_is_heard_after_many_reliable_responses() {
    let (mut w, phones) = world(&["1001", "1002"]);
    let [a, b] = phones[..] else { unreachable!() };
    w[b].habits.on_method = vec![("INVITE", Reply::status(421).header("Require: 100rel"))];
    let mut snapshot = office();
    snapshot.phones.values_mut().for_each(|phone| phone.reliable = Reliable::WhenRequired);
    w.reload(snapshot);
    let rings = (1..=20).map(|n| (u64::from(n) * 20, reliably(ring(), n)));
    w[b].habits.on_invite = rings.chain([(1_000, ok())]).collect();
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(w[b].requests("PRACK").len(), 20);
    assert_eq!(w[a].last().state, State::Up);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// A peer that answers no PRACK does not make us send it, or whomever its Contact names, ever more of them.
#[test]
fn row_105_pracks_without_answers_have_a_limit() {
    let (mut w, phones) = world(&["1001", "1002"]);
    let [a, b] = phones[..] else { unreachable!() };
    let rings = (1..=40).map(|n| (u64::from(n) * 10, reliably(ring(), n)));
    w[b].habits.on_invite = rings.chain([(20_000, ok())]).collect();
    w[b].habits.answers = false;
    w.dial(a, "1002");
    w.run_for(10_000);
    let pracks = w[b].requests("PRACK");
    let racks: std::collections::BTreeSet<_> = pracks.iter().map(|p| p.get("RAck")).collect();
    assert_eq!(racks.len(), 8);
    w[b].habits.answers = true;
    w.run_for(12_000);
    assert_eq!(w[a].last().state, State::Up);
    w.hang_up(a);
    w.assert_empty();
}

/// Row 106: a PRACK that the 200 overtook brings an offer while one of ours is open: that one stands.
#[test]
fn row_106_a_late_prack_does_not_offer_across_a_reinvite() {
    let (mut w, phones) = world(&["1001", "1002"]);
    let [a, b] = phones[..] else { unreachable!() };
    w[b].habits.on_invite = vec![(20, early()), (300, ring()), (600, ok())];
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(200);
    w[a].habits.pracks = false;
    w.run_for(1_000);
    assert_eq!(w[a].last().state, State::Up);
    w[a].habits.on_modify = None;
    w.modify(b, "INVITE", HOLD);
    w.run_for(100);
    assert_eq!(w[a].requests("INVITE").len(), 1, "it is open");
    let ringing = w[a].response(180).expect("it rang").clone();
    let rack = format!("RAck: {} {} INVITE\r\n", ringing.get("RSeq"), ringing.cseq());
    let offer = w[a].last().local_sdp.replace("sendrecv", "sendonly");
    w.in_dialog(a, "PRACK", &rack, &offer);
    w.run_for(100);
    assert_eq!(w[a].statuses("PRACK").last(), Some(&491));
    w.say(a, &ok());
    w.run_for(500);
    assert_eq!(w[b].statuses("INVITE").last(), Some(&200), "it is on hold");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 106, 107: what one branch of a proxy offers early is not taken while another one may still answer our offer.
#[test]
fn row_106_an_early_offer_of_one_branch_does_not_shut_out_another() {
    let (mut w, phones) = world(&["1001", "1002"]);
    let [a, b] = phones[..] else { unreachable!() };
    let one = reliably(Reply::status(183).body(Body::Auto), 1).tag("one");
    w[b].habits.on_invite = vec![(20, one), (40, ring().tag("two")), (900, ok().tag("two"))];
    w.dial(a, "1002");
    w.run_for(300);
    let call = w[b].last_index();
    w[b].calls[call].local_tag = "one".into();
    w.modify(b, "UPDATE", TALK);
    w.run_for(200);
    assert_eq!(w[b].statuses("UPDATE"), [500]);
    w[b].calls[call].local_tag = "two".into();
    w.run_for(1_500);
    assert_eq!(w[a].last().state, State::Up);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}
