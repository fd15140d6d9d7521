//! What real calls tell of a trunk: one that answers OPTIONS and carries no call is tried last.

use crate::scene::{heard, with_trunks};
use crate::sim::office::NUMBER;
use crate::sim::phone::{Reply, ok, ring};
use crate::sim::world::{PhoneId, World};

/// Calls once and hangs up if it was answered; who of the two trunks was asked.
fn call(w: &mut World, a: PhoneId, trunks: [PhoneId; 2]) -> [usize; 2] {
    let before = trunks.map(|trunk| w[trunk].requests("INVITE").len());
    w.dial(a, "0123");
    w.run_for(1_000);
    w.hang_up(a);
    w.run_for(1_000);
    let after = trunks.map(|trunk| w[trunk].requests("INVITE").len());
    [after[0] - before[0], after[1] - before[1]]
}

fn view(w: &World, name: &str) -> (String, String, [u32; 3]) {
    let views = w.board.trunks(w.instant());
    let view = views.into_iter().find(|view| view.name == name).unwrap();
    let figures = view.figures;
    (view.state.to_owned(), view.reason, [figures.tried, figures.answered, figures.failed])
}

fn events(w: &World, kind: &str) -> usize {
    w.events.iter().filter(|(known, _)| *known == kind).count()
}

#[test]
fn a_trunk_whose_calls_fail_is_tried_last_until_that_is_forgotten() {
    let (mut w, a, carrier, backup) = with_trunks();
    let trunks = [carrier, backup];
    // It is there, and says so to every OPTIONS; but no call comes through.
    w[carrier].habits.on_invite = vec![(20, Reply::status(502))];
    w[backup].habits.on_invite = vec![(20, ring()), (100, ok())];
    for turn in 0..10 {
        assert_eq!(call(&mut w, a, trunks), [1, 1], "call {turn}");
    }
    let (state, reason, figures) = view(&w, "carrier");
    assert_eq!((state.as_str(), figures), ("poor", [10, 0, 10]));
    assert!(reason.contains("10 of 10 calls failed in 5 minutes"), "{reason}");
    assert_eq!(view(&w, "backup").2, [10, 10, 0]);
    assert_eq!(events(&w, "trunk.poor"), 1, "told once");
    assert_eq!(call(&mut w, a, trunks), [0, 1], "the other one comes first");
    let explained = w.board.explain(w.instant(), "carrier").unwrap();
    assert!(explained.places[0].words.contains("tried last"), "{explained:?}");
    // It is not left for good: after the window it is asked again, and is well.
    w[carrier].habits.on_invite = vec![(20, ring()), (100, ok())];
    w.run_for(6 * 60_000);
    assert_eq!(events(&w, "trunk.recovered"), 1);
    assert_eq!(call(&mut w, a, trunks), [1, 0]);
    assert_eq!(view(&w, "carrier").2, [1, 1, 0]);
    w.assert_empty();
}

/// Busy people, wrong numbers and callers who give up are no fault of the carrier's.
#[test]
fn a_trunk_is_not_blamed_for_whom_it_reaches() {
    let (mut w, a, carrier, backup) = with_trunks();
    for status in [486, 480, 404, 603] {
        w[carrier].habits.on_invite = vec![(20, Reply::status(status))];
        for _ in 0..5 {
            assert_eq!(call(&mut w, a, [carrier, backup]), [1, 0]);
        }
    }
    w[carrier].habits.on_invite = vec![(20, ring())];
    for _ in 0..5 {
        w.dial(a, "0123");
        w.run_for(1_000);
        w.cancel(a);
        w.run_for(1_000);
    }
    assert!(w[backup].requests("INVITE").is_empty());
    assert_eq!(view(&w, "carrier").2, [25, 0, 0]);
    assert_eq!(events(&w, "trunk.poor"), 0);
    w.assert_empty();
}

#[test]
fn silence_counts_once_for_each_call() {
    let (mut w, a, carrier, backup) = with_trunks();
    w[carrier].habits.on_invite = Vec::new();
    w[backup].habits.on_invite = vec![(20, ring()), (100, ok())];
    w.dial(a, "0123");
    w.run_for(7_000);
    w.hang_up(a);
    w.run_for(40_000);
    assert_eq!(view(&w, "carrier").2, [1, 0, 1]);
    w.assert_empty();
}

/// The share that is too much is the admin's to say, and nothing is one of its values.
#[test]
fn bounds_are_those_of_the_trunk() {
    let (mut w, a, carrier, backup) = with_trunks();
    let mut snapshot = (**w.board.snapshot()).clone();
    snapshot.trunks[0].health.failures_max_percent = 0;
    w.reload(snapshot);
    w[carrier].habits.on_invite = vec![(20, Reply::status(500))];
    w[backup].habits.on_invite = vec![(20, ring()), (100, ok())];
    for _ in 0..20 {
        assert_eq!(call(&mut w, a, [carrier, backup]), [1, 1]);
    }
    assert_eq!(view(&w, "carrier").2, [20, 0, 20]);
    w.run_for(6 * 60_000);
    assert_eq!(view(&w, "carrier").2, [0, 0, 0]);
    w.assert_empty();
}

/// Who called us, and was handed from one call to another, says nothing of how his trunk carries our calls.
#[test]
fn a_caller_who_is_transferred_is_no_call_of_ours_to_his_trunk() {
    let (mut w, _, carrier, _) = with_trunks();
    let (b, c) = (w.phone("1002"), w.phone("1003"));
    for phone in [b, c] {
        w[phone].habits.on_invite = vec![(20, ok())];
    }
    w.dial(carrier, NUMBER);
    w.run_for(500);
    w.dial(b, "1003");
    w.run_for(500);
    let (first, second) = (w[b].last_index() - 1, w[b].last_index());
    let old = w[b].calls[first].clone();
    let to = format!(
        "Refer-To: <sip:1001@10.0.0.1?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>\r\n",
        old.call_id, old.remote_tag, old.local_tag
    );
    let now = w.now;
    w[b].in_dialog(now, second, "REFER", &to, String::new());
    w.flush(b.0);
    w.run_for(2_000);
    assert!(heard(&w).0, "he talks to 1003 now");
    w.hang_up(carrier);
    w.assert_empty();
    assert_eq!(view(&w, "carrier").2, [0, 0, 0]);
}
