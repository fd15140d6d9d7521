//! Somebody hangs up at every millisecond of every kind of call.

use tandem::switch::snapshot::Secret;

use crate::sim::office::{CARRIER, office};
use crate::sim::phone::{Body, Reply, State, early, ok, ring};
use crate::sim::sdp::HOLD;
use crate::sim::world::{PhoneId, World};

/// A kind of call: the world, who places it, who may be in it besides, and what is done in it when.
struct Scene {
    w: World,
    a: PhoneId,
    called: Vec<PhoneId>,
    acts: Option<(u64, Act)>,
}

/// What is done in the middle of a call.
#[derive(Clone, Copy)]
enum Act {
    /// The caller holds.
    Hold,
    /// This phone hands the call to 1003.
    Refer(PhoneId),
}

fn plain(body: &Body) -> Scene {
    let mut w = World::new(office());
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.on_invite = vec![(5, ring()), (15, ok())];
    w.dial_with(a, "1002", body, "");
    Scene { w, a, called: vec![b], acts: None }
}

fn forked() -> Scene {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let (desk, soft) = (w.phone("1002"), w.second_phone("soft", "1002"));
    w[desk].habits.on_invite = vec![(5, early()), (15, ok())];
    w[soft].habits.on_invite = vec![(5, ring()), (16, ok())];
    w.dial(a, "1002");
    Scene { w, a, called: vec![desk, soft], acts: None }
}

fn trunk() -> Scene {
    let mut snapshot = office();
    snapshot.trunks[0].user = Some("us".into());
    snapshot.trunks[0].secret = Secret("s".into());
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    let challenge = "Proxy-Authenticate: Digest realm=\"c\", nonce=\"n\", qop=\"auth\"";
    w[carrier].habits.on_method = vec![("INVITE", Reply::status(407).header(challenge))];
    w[carrier].habits.on_invite = vec![(5, early()), (15, ok())];
    w.dial(a, "0123");
    Scene { w, a, called: vec![carrier], acts: None }
}

fn held(body: &Body) -> Scene {
    Scene { acts: Some((70, Act::Hold)), ..plain(body) }
}

fn operators() -> Scene {
    let mut w = World::new(office());
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    for id in [a, b] {
        w[id].habits.on_invite = vec![(5, ring()), (15, ok())];
    }
    w.originate("1001", "1002").unwrap();
    Scene { w, a, called: vec![b], acts: None }
}

fn redirected() -> Scene {
    let mut w = World::new(office());
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    w[b].habits.on_invite = vec![(5, Reply::status(302).contact("<sip:1003@10.0.0.1>"))];
    w[c].habits.on_invite = vec![(5, ring()), (15, ok())];
    w.dial(a, "1002");
    Scene { w, a, called: vec![c], acts: None }
}

/// The caller or the called phone hands the call on to 1003, which answers like this.
fn transferred(by_caller: bool, answers: Vec<(u64, Reply)>) -> Scene {
    let mut scene = plain(&Body::Auto);
    let c = scene.w.phone("1003");
    scene.w[c].habits.on_invite = answers;
    let by = if by_caller { scene.a } else { scene.called[0] };
    scene.called.push(c);
    Scene { acts: Some((70, Act::Refer(by))), ..scene }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Who {
    Caller,
    Called,
    Both,
    Operator,
}

fn hang_up(w: &mut World, id: PhoneId) {
    if w[id].calls.is_empty() {
        return;
    }
    let last = w[id].last();
    match (last.state, last.is_caller) {
        (State::Calling, _) => w.cancel(id),
        (State::Incoming, false) => w.say(id, &Reply::status(486)),
        (State::Up, _) => w.hang_up(id),
        _ => {}
    }
}

/// Plays the scene once for each millisecond and each one who may end it then.
fn sweep(name: &str, until_ms: u64, scene: impl Fn() -> Scene) {
    for who in [Who::Caller, Who::Called, Who::Both, Who::Operator] {
        for at in 0..until_ms {
            let Scene { mut w, a, called, acts } = scene();
            let began = w.now;
            if let Some((from, act)) = acts {
                w.run_for(from);
                match act {
                    Act::Hold => w.modify(a, "INVITE", HOLD),
                    Act::Refer(by) => {
                        w.in_dialog(by, "REFER", "Refer-To: <sip:1003@10.0.0.1>\r\n", "");
                    }
                }
                w.run_for(at.saturating_sub(from));
            } else {
                w.run_for(at);
            }
            if matches!(who, Who::Caller | Who::Both) {
                hang_up(&mut w, a);
            }
            if matches!(who, Who::Called | Who::Both) {
                for id in called.clone() {
                    hang_up(&mut w, id);
                }
            }
            if who == Who::Operator {
                for call in w.calls.keys().copied().collect::<Vec<_>>() {
                    w.operator_hangs_up(call);
                }
            }
            w.run_for(5_000);
            // Whoever is still in a call hangs up, so that all of them end.
            for id in called.iter().copied().chain([a]) {
                hang_up(&mut w, id);
            }
            w.assert_empty();
            assert!(w.records.len() <= 1, "{name}: {who:?} at {at} ms");
            for record in &w.records {
                let is_ours = ["bad_media_exchange", "no_ack", "dialog_lost", "no_media"];
                assert!(
                    !is_ours.contains(&record.cause.key),
                    "{name}: {who:?} at {at} ms ended as {}\n{}",
                    record.cause.key,
                    w.ladder_of(record)
                );
            }
            for id in called.iter().copied().chain([a]) {
                for call in &w[id].calls {
                    assert_eq!(
                        call.state,
                        State::Over,
                        "{name}: {who:?} at {at} ms leaves {} in a call (began {began})",
                        w[id].name
                    );
                }
            }
        }
    }
}

#[test]
fn a_plain_call_ended_at_any_moment() {
    sweep("plain", 70, || plain(&Body::Auto));
}

#[test]
fn a_call_with_a_late_offer_ended_at_any_moment() {
    sweep("late", 80, || plain(&Body::None));
}

#[test]
fn a_forked_call_ended_at_any_moment() {
    sweep("forked", 70, forked);
}

#[test]
fn a_call_by_a_trunk_that_challenges_ended_at_any_moment() {
    sweep("trunk", 90, trunk);
}

#[test]
fn a_call_ended_at_any_moment_of_a_hold() {
    sweep("held", 110, || held(&Body::Auto));
}

#[test]
fn an_operators_call_ended_at_any_moment() {
    sweep("operator", 90, operators);
}

#[test]
fn a_redirected_call_ended_at_any_moment() {
    sweep("redirected", 90, redirected);
}

#[test]
fn a_transferred_call_ended_at_any_moment() {
    for by_caller in [false, true] {
        sweep("transferred", 130, || transferred(by_caller, vec![(5, ring()), (15, ok())]));
        sweep("refused transfer", 110, || {
            transferred(by_caller, vec![(5, ring()), (15, Reply::status(486))])
        });
    }
}
