//! What calls may cost: classes that are closed, caps of phones and trunks.

use tandem::switch::route::class::Class;
use tandem::switch::snapshot::Snapshot;

use crate::scene::{heard, outcome};
use crate::sim::office::{BACKUP, CARRIER, office, route};
use crate::sim::phone::{Reply, ok, ring};
use crate::sim::world::{PhoneId, World};

/// 9 and anything goes out as it was dialled.
fn world(change: impl FnOnce(&mut Snapshot)) -> (World, PhoneId, PhoneId, PhoneId) {
    let mut snapshot = office();
    snapshot.routes.insert(0, route("outside", "^9(.+)$", &["carrier", "backup"], Some("$1")));
    change(&mut snapshot);
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let (carrier, backup) = (w.party("carrier", CARRIER), w.party("backup", BACKUP));
    for id in [carrier, backup] {
        w[id].habits.on_invite = vec![(20, ring()), (100, ok())];
    }
    (w, a, carrier, backup)
}

/// Dials and, if it was answered, talks so many minutes.
fn status(w: &mut World, a: PhoneId, number: &str, minutes: u64) -> u16 {
    w.dial(a, number);
    w.run_for(1_000);
    let status = w[a].last().status;
    if status == 200 {
        w.run_for(minutes * 60_000);
        w.hang_up(a);
        w.run_for(1_000);
    }
    status
}

#[test]
fn what_an_office_dials_is_open_and_the_rest_of_the_world_is_not() {
    let (mut w, a, _, _) = world(|_| {});
    for (number, expected) in [
        ("987654321", 200),
        ("0138001", 200),
        ("9013800138000", 200),
        ("900441632960000", 403),
        ("9+15550100", 403),
        ("9+88213500000", 403),
    ] {
        assert_eq!(status(&mut w, a, number, 0), expected, "{number}");
    }
    let cap = w.events.iter().find(|(kind, _)| *kind == "guard.cap").expect("an event");
    assert!(cap.1.contains(&("why", "international is not open to 1001".to_owned())));
    let record = w.records.iter().find(|record| record.cause.key == "class_closed").unwrap();
    assert!(record.timeline.iter().any(|entry| entry.what == "guard.cap"));
    w.assert_empty();
}

#[test]
fn a_class_is_opened_for_one_phone() {
    let (mut w, a, _, _) = world(|snapshot| {
        let rights = &mut snapshot.phones.get_mut("1001").unwrap().rights;
        rights.allow = Some(vec![Class::International]);
    });
    let b = w.phone("1002");
    assert_eq!(status(&mut w, a, "900441632960000", 0), 200);
    assert_eq!(status(&mut w, a, "987654321", 0), 403, "and nothing else");
    assert_eq!(status(&mut w, b, "900441632960000", 0), 403);
    w.assert_empty();
}

#[test]
fn calls_of_a_phone_are_capped_at_a_time_and_in_a_minute() {
    let (mut w, a, _, _) = world(|snapshot| {
        snapshot.dial.phone.calls_max = 2;
        snapshot.dial.phone.calls_per_minute = 3;
    });
    for _ in 0..3 {
        w.dial(a, "0123");
        w.run_for(500);
    }
    let statuses: Vec<_> = w[a].calls.iter().map(|call| call.status).collect();
    assert_eq!(statuses, [200, 200, 403]);
    let calls: Vec<_> = w.calls.keys().copied().collect();
    for call in calls {
        w.operator_hangs_up(call);
    }
    w.run_for(1_000);
    assert_eq!(status(&mut w, a, "0123", 0), 200);
    assert_eq!(status(&mut w, a, "0123", 0), 403, "the fourth in a minute");
    let why = |w: &World| w.records.last().map(|record| record.cause.key).unwrap();
    assert_eq!(why(&w), "cap_reached");
    // Calls inside the house are not counted.
    let b = w.phone("1002");
    w[b].habits.on_invite = vec![(20, ok())];
    assert_eq!(status(&mut w, a, "1002", 0), 200);
    w.run_for(60_000);
    assert_eq!(status(&mut w, a, "0123", 0), 200);
    w.assert_empty();
}

/// A call that talks past its cap goes on; the next one is refused until the hour is over.
#[test]
fn minutes_are_capped_by_the_hour() {
    let (mut w, a, carrier, _) = world(|snapshot| {
        snapshot.dial.allow = Class::ALL.to_vec();
        snapshot.dial.phone.minutes[Class::International.index()] = 10;
        snapshot.media.dead_after = std::time::Duration::ZERO;
    });
    w.dial(a, "900441632960000");
    w.run_for(11 * 60_000);
    assert_eq!(heard(&w), (true, true));
    let first = w.call();
    assert_eq!(status(&mut w, a, "900441632960001", 0), 403, "while the first one talks");
    assert!(w.calls.contains_key(&first));
    w.hang_up(carrier);
    w.run_for(1_000);
    assert_eq!(status(&mut w, a, "900441632960001", 0), 403, "and after it");
    assert_eq!(status(&mut w, a, "0123", 0), 200, "another class");
    w.run_for(61 * 60_000);
    assert_eq!(status(&mut w, a, "900441632960001", 0), 200);
    w.assert_empty();
}

#[test]
fn a_trunk_at_its_cap_is_passed_over() {
    let (mut w, a, carrier, backup) = world(|snapshot| snapshot.dial.trunk.calls_max = 1);
    for _ in 0..3 {
        w.dial(a, "0123");
        w.run_for(500);
    }
    assert_eq!((w[carrier].requests("INVITE").len(), w[backup].requests("INVITE").len()), (1, 1));
    assert_eq!(w[a].last().status, 403);
    w.hang_up(backup);
    w.run_for(500);
    assert_eq!(status(&mut w, a, "0123", 0), 200, "there is room again");
    assert_eq!(w[backup].requests("INVITE").len(), 2);
    w.hang_up(carrier);
    w.assert_empty();
}

/// The trunk that took the call is charged, not the one that was tried before it.
#[test]
fn a_failover_charges_the_trunk_that_answered() {
    let (mut w, a, carrier, backup) = world(|snapshot| snapshot.dial.trunk.calls_max = 1);
    w[carrier].habits.on_invite = vec![(20, Reply::status(503))];
    w.dial(a, "0123");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    w[carrier].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(1_000);
    assert_eq!(w[a].last().status, 200);
    assert_eq!(w[carrier].requests("INVITE").len(), 2);
    w.hang_up(carrier);
    w.hang_up(backup);
    w.assert_empty();
}

/// A redirect is a call of the phone that sends it, and an operator's call one of the phone that it is for.
#[test]
fn redirected_and_originated_calls_are_capped_as_well() {
    let (mut w, a, carrier, _) = world(|snapshot| {
        let rights = &mut snapshot.phones.get_mut("1001").unwrap().rights;
        rights.allow = Some(Class::ALL.to_vec());
    });
    let b = w.phone("1002");
    let away = Reply::status(302).contact("<sip:900441632960000@tandem>");
    w[b].habits.on_invite = vec![(20, away)];
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(w[a].last().status, 403, "1002 may not, though 1001 may");
    assert!(w[carrier].requests("INVITE").is_empty());
    w.run_for(40_000);
    assert_eq!(outcome(&w).0, "class_closed");
    w[b].habits.on_invite = vec![(20, ok())];
    w.originate("1002", "900441632960000").unwrap();
    w.run_for(40_000);
    assert!(w[carrier].requests("INVITE").is_empty());
    assert_eq!(w.records.last().unwrap().cause.key, "class_closed");
    w.assert_empty();
}
