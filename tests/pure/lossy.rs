//! Reliable responses, digits and take-overs over a network that loses, doubles and reorders packets.

use std::collections::BTreeMap;

use tandem::switch::snapshot::Reliable;

use crate::sim::network::Dice;
use crate::sim::office::office;
use crate::sim::phone::{Body, Reply, State, ok, ring};
use crate::sim::world::{PhoneId, World};

fn world(seed: u8) -> (World, [PhoneId; 4]) {
    let mut snapshot = office();
    for phone in snapshot.phones.values_mut() {
        phone.reliable = Reliable::WhenSupported;
        phone.pickup_groups = vec!["all".into()];
    }
    let mut w = World::seeded(snapshot, seed);
    let phones =
        [w.phone("1001"), w.phone("1002"), w.phone("1003"), w.second_phone("soft", "1001")];
    for id in phones {
        w[id].habits.pracks = true;
    }
    (w, phones)
}

fn end(w: &mut World, id: PhoneId) {
    match w[id].calls.last().map(|call| (call.state, call.is_caller)) {
        Some((State::Calling, _)) => w.cancel(id),
        Some((State::Incoming, false)) => w.say(id, &Reply::status(486)),
        Some((State::Up, _)) => w.hang_up(id),
        _ => {}
    }
}

/// Plays one call from a seed: who rings how, who takes it over or picks it up, who ends it when. Gives the
/// causes, and what was taken.
fn play(seed: u8) -> Vec<&'static str> {
    let (mut w, [a, b, c, soft]) = world(seed);
    let mut dice = Dice::new(u64::from(seed) + 77);
    let early = |rseq: u32| {
        let reply = Reply::status(183).body(Body::Auto).header("Require: 100rel");
        reply.header(&format!("RSeq: {rseq}"))
    };
    w[b].habits.on_invite = vec![(20, early(1)), (600, ring()), (4_000 + dice.below(4_000), ok())];
    (w.net.loss, w.net.duplicates, w.net.jitter_us) = (150, 100, 30_000);
    let body = if dice.below(3) == 0 { Body::None } else { Body::Auto };
    w.dial_with(a, "1002", &body, "Supported: 100rel\r\n");
    w.run_for(200 + dice.below(9_000));
    let (by, of) = if dice.below(2) == 0 { (soft, a) } else { (c, b) };
    if let Some(call) = w[of].calls.last().cloned() {
        let tags = format!("to-tag={};from-tag={}", call.remote_tag, call.local_tag);
        let headers = format!("Replaces: {};{tags}\r\nSupported: 100rel\r\n", call.call_id);
        w.dial_with(by, "1002", &Body::Auto, &headers);
    }
    w.run_for(dice.below(9_000));
    for id in [a, b, c, soft] {
        if dice.below(2) == 0 {
            end(&mut w, id);
            w.run_for(dice.below(1_000));
        }
    }
    w.run_for(20_000);
    w.net.loss = 0;
    for _ in 0..4 {
        for id in [a, b, c, soft] {
            end(&mut w, id);
        }
        w.run_for(40_000);
    }
    // A phone that never learnt of the end of its call is no concern of ours; the daemon has none left.
    w.assert_empty();
    let taken = ["call.replaced", "call.picked_up"];
    let taken = w.events.iter().map(|(kind, _)| *kind).filter(|kind| taken.contains(kind));
    w.records.iter().map(|record| record.cause.key).chain(taken).collect()
}

#[test]
fn two_hundred_calls_with_loss_leave_nothing_and_one_record_each() {
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 1..=200 {
        for cause in play(seed) {
            *causes.entry(cause).or_default() += 1;
        }
    }
    let (over, up) = (causes.remove("call.replaced"), causes.remove("call.picked_up"));
    assert!(over > Some(20) && up > Some(20), "{over:?} taken over, {up:?} picked up");
    let known = ["normal", "cancelled", "no_ack", "busy", "no_answer", "no_prack", "dialog_lost"];
    let strange: Vec<_> = causes.iter().filter(|(cause, _)| !known.contains(cause)).collect();
    assert!(causes["normal"] > 50, "{causes:?}");
    assert!(strange.iter().map(|(_, count)| **count).sum::<usize>() <= 10, "{causes:?}");
}
