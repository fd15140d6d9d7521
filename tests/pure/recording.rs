//! Which calls are recorded, and what pauses that.

use std::time::Duration;

use tandem::switch::call::{Input, TapeOp};
use tandem::switch::recording::{RecordOrder, RecordRule, Recorded};
use tandem::switch::snapshot::Snapshot;

use crate::scene::talking;
use crate::sim::office::{BACKUP, CARRIER, NUMBER, office};
use crate::sim::phone::{Reply, State, ok, ring};
use crate::sim::sdp::HOLD;
use crate::sim::world::{PhoneId, World};
use crate::transfer::{refer_in, replacing};

/// Without a beep.
const BEGIN: TapeOp = TapeOp::Begin { beep: Duration::ZERO };

fn recorded() -> Snapshot {
    let mut office = office();
    office.recording.calls = Recorded::All;
    office
}

/// 1001 calls 1002, who answers after a second; 1003 and the carrier answer too.
fn called(office: Snapshot) -> (World, [PhoneId; 3], PhoneId) {
    let mut w = World::new(office);
    let phones = ["1001", "1002", "1003"].map(|extension| w.phone(extension));
    let carrier = w.party("carrier", CARRIER);
    w.party("backup", BACKUP);
    for id in phones.into_iter().chain([carrier]) {
        w[id].habits.on_invite = vec![(20, ring()), (1_000, ok())];
    }
    w.dial(phones[0], "1002");
    (w, phones, carrier)
}

fn tape(w: &World) -> &[TapeOp] {
    let mut tapes = w.media.tapes.values();
    let tape = tapes.next().map_or(&[][..], Vec::as_slice);
    assert!(tapes.next().is_none(), "one call is recorded");
    tape
}

fn order(w: &mut World, order: RecordOrder) {
    let call = w.call();
    w.input(call, Input::Record { order, by: "an operator".to_owned() });
}

/// What the timeline of the only record says of the recording.
fn told(w: &World) -> Vec<&str> {
    let lines = w.record().timeline.iter().map(|line| line.what);
    lines.filter(|what| what.starts_with("recording.")).collect()
}

/// Row 165: a recording begins with the answer and not before, and only where the configuration says so.
#[test]
fn row_165_a_call_is_recorded_from_its_answer_on_where_that_is_wanted() {
    let (mut w, [a, ..], _) = called(recorded());
    w.run_for(500);
    assert_eq!(tape(&w), [], "while it rings nothing is recorded");
    w.run_for(1_500);
    assert_eq!(tape(&w), [BEGIN]);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(told(&w), ["recording.began"]);
    let (w, ..) = talking();
    assert_eq!(tape(&w), [], "by default nobody is recorded");
}

/// Row 165: what is wanted by either side decides, and who is never recorded is not, whoever else is.
#[test]
fn row_165_the_rule_of_either_party_decides() {
    use RecordRule::{Always, AsUsual, Never};
    let grid = [
        (Recorded::None, AsUsual, AsUsual, false),
        (Recorded::None, Always, AsUsual, true),
        (Recorded::None, AsUsual, Always, true),
        (Recorded::All, Never, AsUsual, false),
        (Recorded::All, AsUsual, Never, false),
        (Recorded::All, Always, Never, false),
    ];
    for (calls, first, second, is_recorded) in grid {
        let mut office = office();
        office.recording.calls = calls;
        for (extension, rule) in [("1001", first), ("1002", second)] {
            office.phones.get_mut(extension).unwrap().record = rule;
        }
        let (mut w, ..) = called(office);
        w.run_for(2_000);
        assert_eq!(tape(&w) == [BEGIN], is_recorded, "{calls:?} {first:?} {second:?}");
        order(&mut w, RecordOrder::Start);
        let may_be_ordered = first != Never && second != Never;
        assert_eq!(tape(&w) == [BEGIN], may_be_ordered, "{first:?} {second:?}");
    }
}

/// Row 165: the rule of a trunk holds for calls in and out.
#[test]
fn row_165_a_trunk_may_be_recorded_by_itself() {
    let mut office = office();
    office.trunks.iter_mut().find(|trunk| trunk.name == "carrier").unwrap().record =
        RecordRule::Always;
    let (mut w, [a, ..], carrier) = called(office);
    w.run_for(2_000);
    assert_eq!(tape(&w), []);
    w.hang_up(a);
    w.run_for(1_000);
    w.dial(carrier, NUMBER);
    w.run_for(2_000);
    assert_eq!(tape(&w), [BEGIN]);
}

/// Row 165: card data is kept out by a pause, which the record tells; orders that make no sense change nothing.
#[test]
fn row_165_a_recording_is_paused_and_goes_on() {
    let (mut w, [a, ..], _) = called(recorded());
    w.run_for(500);
    order(&mut w, RecordOrder::Pause);
    w.run_for(1_500);
    for wish in [RecordOrder::Resume, RecordOrder::Pause, RecordOrder::Pause, RecordOrder::Start] {
        order(&mut w, wish);
    }
    order(&mut w, RecordOrder::Start);
    assert_eq!(tape(&w), [BEGIN, TapeOp::Pause, TapeOp::Resume]);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(told(&w), ["recording.began", "recording.paused", "recording.resumed"]);
}

/// Row 165: who is transferred to somebody who is never recorded is not recorded with him.
#[test]
fn row_165_a_transfer_to_who_is_never_recorded_pauses() {
    let mut office = recorded();
    office.phones.get_mut("1003").unwrap().record = RecordRule::Never;
    let (mut w, [a, b, c], _) = called(office);
    w.run_for(2_000);
    refer_in(&mut w, a, 0, "<sip:1003@10.0.0.1>");
    w.run_for(3_000);
    assert_eq!(tape(&w), [BEGIN, TapeOp::Pause]);
    order(&mut w, RecordOrder::Resume);
    assert_eq!(tape(&w), [BEGIN, TapeOp::Pause], "nobody can order it");
    refer_in(&mut w, b, 0, "<sip:1001@10.0.0.1>");
    w.run_for(3_000);
    assert_eq!(tape(&w), [BEGIN, TapeOp::Pause]);
    w.hang_up(c);
    w.assert_empty();
}

/// Row 165: and with whom he is connected next he is recorded again.
#[test]
fn row_165_it_goes_on_when_he_is_gone() {
    let mut office = recorded();
    office.phones.get_mut("1003").unwrap().record = RecordRule::Never;
    let (mut w, [a, b, c], _) = called(office);
    w.run_for(2_000);
    refer_in(&mut w, a, 0, "<sip:1003@10.0.0.1>");
    w.run_for(3_000);
    w[a].habits.on_invite = vec![(20, ring()), (500, ok())];
    refer_in(&mut w, c, 0, "<sip:1001@10.0.0.1>");
    w.run_for(3_000);
    assert_eq!(tape(&w), [BEGIN, TapeOp::Pause, TapeOp::Resume]);
    w.hang_up(b);
    w.assert_empty();
}

/// A disk that is full costs the recording; the call does not notice, and its record says why.
#[test]
fn a_recorder_that_refuses_does_not_end_the_call() {
    let (mut w, [a, b, _], _) = called(recorded());
    w.media.refuses_tapes = true;
    w[b].habits.on_invite = vec![(20, Reply::status(180)), (1_000, ok())];
    w.run_for(3_000);
    order(&mut w, RecordOrder::Pause);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(told(&w), ["recording.began", "recording.failed"]);
    assert_eq!(w.record().cause.key, "normal");
}

/// Row 165: the record key of a phone that may do so keeps card data out, and that of any other changes nothing.
#[test]
fn row_165_the_record_key_of_a_phone_pauses() {
    for may in [true, false] {
        let mut office = recorded();
        office.phones.get_mut("1002").unwrap().record_key = may;
        let (mut w, [a, b, _], _) = called(office);
        w.run_for(2_000);
        for wanted in ["off", "on", "sideways"] {
            w.in_dialog(b, "INFO", &format!("Record: {wanted}\r\n"), "");
            w.run_for(100);
            assert_eq!(w[b].statuses("INFO").last(), Some(&200), "{wanted}");
        }
        let all = [BEGIN, TapeOp::Pause, TapeOp::Resume];
        assert_eq!(tape(&w), if may { &all[..] } else { &all[..1] });
        w.hang_up(a);
        w.assert_empty();
        let refused = told(&w).iter().filter(|what| **what == "recording.refused").count();
        assert_eq!(refused, if may { 0 } else { 2 });
    }
}

/// Row 165: an attended transfer brings who is never recorded into a call that is.
#[test]
fn row_165_an_attended_transfer_to_who_is_never_recorded_pauses() {
    let mut office = recorded();
    office.phones.get_mut("1003").unwrap().record = RecordRule::Never;
    let (mut w, [a, b, c], _) = called(office);
    w.run_for(2_000);
    let first = w.call();
    w.modify(a, "INVITE", HOLD);
    w.run_for(300);
    w.dial(a, "1003");
    w.run_for(2_000);
    let to = replacing(&w, a, w[a].last_index());
    let index = w[a].last_index() - 1;
    refer_in(&mut w, a, index, &to);
    w.run_for(2_000);
    assert_eq!(w.media.tapes[&first], [BEGIN, TapeOp::Pause]);
    assert_eq!(w.media.tapes.len(), 1, "the call of the two was never recorded");
    w.hang_up(b);
    w.run_for(1_000);
    assert_eq!(w[c].last().state, State::Over);
    w.assert_empty();
}

/// Row 165: a pause that was ordered outlives who is never recorded, and may be ordered while he is on the line.
#[test]
fn row_165_a_pause_outlives_a_bar() {
    for orders_before in [true, false] {
        let mut office = recorded();
        office.phones.get_mut("1003").unwrap().record = RecordRule::Never;
        let (mut w, [a, b, c], _) = called(office);
        w.run_for(2_000);
        if orders_before {
            order(&mut w, RecordOrder::Pause);
        }
        refer_in(&mut w, a, 0, "<sip:1003@10.0.0.1>");
        w.run_for(3_000);
        if !orders_before {
            order(&mut w, RecordOrder::Pause);
        }
        w[a].habits.on_invite = vec![(20, ring()), (500, ok())];
        refer_in(&mut w, c, 0, "<sip:1001@10.0.0.1>");
        w.run_for(3_000);
        assert!(!tape(&w).contains(&TapeOp::Resume), "{:?}", tape(&w));
        order(&mut w, RecordOrder::Resume);
        assert_eq!(tape(&w).last(), Some(&TapeOp::Resume));
        w.hang_up(b);
        w.assert_empty();
    }
}

/// A disk that fills up in the course of a call ends the recording for good: the call goes on, says so, and begins none anew.
#[test]
fn a_recording_that_fails_is_over() {
    let (mut w, [a, ..], _) = called(recorded());
    w.run_for(2_000);
    let call = w.call();
    w.input(call, Input::NotRecorded { why: "the disk is full", has_begun: true });
    for wish in [RecordOrder::Start, RecordOrder::Pause, RecordOrder::Resume] {
        order(&mut w, wish);
    }
    assert_eq!(tape(&w), [BEGIN]);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(told(&w), ["recording.began", "recording.failed"]);
}
