//! OPTIONS to the peers of trunks: a carrier that is away is known before a call is.

use std::time::Duration;

use crate::sim::office::{BACKUP, CARRIER, office};
use crate::sim::phone::{Reply, ok};
use crate::sim::world::World;

const EVERY: u64 = 60_000;

/// The office whose trunks `carrier` and `backup` are asked every minute.
fn asked() -> tandem::switch::snapshot::Snapshot {
    let mut snapshot = office();
    for trunk in &mut snapshot.trunks {
        trunk.probe = Duration::from_millis(EVERY);
    }
    snapshot
}

fn state(w: &World, name: &str) -> (String, String) {
    let views = w.board.trunks(w.instant());
    let view = views.into_iter().find(|view| view.name == name).unwrap();
    (view.state.to_owned(), view.reason)
}

fn events(w: &World, kind: &str) -> usize {
    w.events.iter().filter(|(known, _)| *known == kind).count()
}

#[test]
fn a_carrier_that_answers_anything_is_up() {
    for status in [200, 404, 405, 401, 501] {
        let mut w = World::new(asked());
        let carrier = w.party("carrier", CARRIER);
        w[carrier].habits.on_method = vec![("OPTIONS", Reply::status(status))];
        w.run_for(1_000);
        let options = w[carrier].requests("OPTIONS");
        assert_eq!(options.len(), 1);
        assert_eq!(options[0].uri(), "sip:203.0.113.10:5060");
        assert_eq!(options[0].get("Max-Forwards"), "70");
        assert_eq!(state(&w, "carrier").0, "up", "{status}");
        w.run_for(10 * EVERY);
        assert_eq!(w[carrier].requests("OPTIONS").len(), 11, "once a minute");
        assert_eq!(events(&w, "trunk.up"), 1, "told once");
    }
}

#[test]
fn a_carrier_that_is_silent_refuses_or_cannot_be_reached_is_down() {
    let mut w = World::new(asked());
    let carrier = w.party("carrier", CARRIER);
    w[carrier].habits.answers = false;
    w.run_for(1_000);
    assert_eq!(state(&w, "carrier").0, "trying");
    w.run_for(33_000);
    let (word, reason) = state(&w, "carrier");
    assert_eq!(word, "down");
    assert!(reason.contains("no answer to OPTIONS"), "{reason}");
    w[carrier].habits.answers = true;
    w.run_for(EVERY);
    assert_eq!(state(&w, "carrier").0, "up", "it is back");
    w[carrier].habits.on_method = vec![("OPTIONS", Reply::status(503))];
    w.run_for(EVERY);
    assert!(state(&w, "carrier").1.contains("503"), "{:?}", state(&w, "carrier"));
    let at = w[carrier].at;
    w.unreachable.insert(at);
    w.run_for(2 * EVERY);
    assert!(state(&w, "carrier").1.contains("cannot be reached"), "{:?}", state(&w, "carrier"));
    assert!(events(&w, "trunk.down") >= 2 && events(&w, "trunk.up") == 1);
}

/// A carrier that is known to be away is tried last, so the caller does not wait for it.
#[test]
fn a_call_goes_by_the_trunk_that_answers() {
    let mut w = World::new(asked());
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    let backup = w.party("backup", BACKUP);
    w[carrier].habits.answers = false;
    w[carrier].habits.on_invite = Vec::new();
    w[backup].habits.on_invite = vec![(20, ok())];
    w.run_for(40_000);
    w.dial(a, "0123");
    w.run_for(500);
    assert_eq!(w[a].last().status, 200);
    assert!(w[carrier].requests("INVITE").is_empty());
    w.hang_up(a);
    w.run_for(1_000);
}

#[test]
fn a_reload_that_asks_no_more_leaves_nothing_behind() {
    let mut w = World::new(asked());
    let carrier = w.party("carrier", CARRIER);
    w.run_for(1_000);
    w.reload(office());
    w.run_for(10 * EVERY);
    assert_eq!(w[carrier].requests("OPTIONS").len(), 1);
    assert_eq!(state(&w, "carrier").0, "configured");
    w.assert_empty();
}
