//! Lamps: what phones that watch others are told of their calls (RFC 4235).

use crate::scene::{talking, two_phones, with_trunks};
use crate::sim::network::Dice;
use crate::sim::office::{NUMBER, office, phone, secret_of};
use crate::sim::phone::{Reply, State, ok, ring};
use crate::sim::sdp::HOLD;
use crate::sim::world::{PhoneId, World};
use crate::watch::{BLF, Watch, attribute, states, watching};

/// 1001 calls 1002, which rings after 20 ms and answers after a second; 1003 watches 1002 and 1001.
fn watched() -> (World, PhoneId, PhoneId, Watch, Watch) {
    let mut w = World::new(office());
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    let called = watching(&mut w, c, "1002", BLF);
    let caller = watching(&mut w, c, "1001", BLF);
    w[b].habits.on_invite = vec![(20, ring()), (1_000, ok())];
    (w, a, b, called, caller)
}

fn versions(w: &World, watch: &Watch) -> Vec<String> {
    let documents = watch.notifies(w).into_iter().map(|text| {
        let (_, document) = text.body.split_once("<dialog-info").unwrap();
        attribute(document, "version")
    });
    documents.collect()
}

/// Row 132.
#[test]
fn row_132_a_call_is_told_step_by_step() {
    let (mut w, a, b, called, caller) = watched();
    w.dial(a, "1002");
    w.run_for(3_000);
    w.hang_up(b);
    w.run_for(1_000);
    assert_eq!(
        called.story(&w),
        ["", "recipient trying", "recipient early", "recipient confirmed", "recipient terminated"]
    );
    assert_eq!(
        caller.story(&w),
        ["", "initiator trying", "initiator early", "initiator confirmed", "initiator terminated"]
    );
    assert_eq!(versions(&w, &called), ["0", "1", "2", "3", "4"]);
    let state = called.last(&w).get("Subscription-State").to_owned();
    assert!(state.starts_with("active;expires="), "{state}");
    w.assert_empty();
    assert_eq!(w.board.counts().lines, 0);
}

/// Row 132: the document names the dialog between the phone that rings and us, so that a phone can pick it
/// up with `Replaces`.
#[test]
fn row_132_the_dialog_that_rings_is_named_from_its_phone() {
    let (mut w, a, b, called, caller) = watched();
    w.dial(a, "1002");
    w.run_for(500);
    let invite = w[b].requests("INVITE")[0].clone();
    let body = &called.last(&w).body;
    assert_eq!(attribute(body, "call-id"), invite.call_id());
    assert_eq!(attribute(body, "remote-tag"), invite.tag_of_from());
    assert_eq!(attribute(body, "local-tag"), w[b].last().local_tag);
    assert_eq!(attribute(body, "entity"), "sip:1002@tandem");
    let local = "<local><identity display=\"Bob\">sip:1002@tandem</identity>";
    let remote = "<remote><identity display=\"Alice\">sip:1001@tandem</identity>";
    assert!(body.contains(local) && body.contains(remote), "{body}");
    let own = w[a].requests("INVITE").len();
    assert_eq!(own, 0);
    let body = &caller.last(&w).body;
    assert_eq!(attribute(body, "call-id"), w[a].last().call_id);
    assert_eq!(attribute(body, "local-tag"), w[a].last().local_tag);
    assert_eq!(attribute(body, "remote-tag"), w[a].response(180).unwrap().tag_of_to());
    w.cancel(a);
    w.assert_empty();
    assert_eq!(called.story(&w).last().unwrap(), "recipient terminated");
    assert_eq!(caller.story(&w).last().unwrap(), "initiator terminated");
}

/// Row 132: a name from the configuration, or a number from a trunk, cannot break the document.
#[test]
fn row_132_names_are_escaped() {
    let mut snapshot = office();
    snapshot.phones.get_mut("1002").unwrap().name = "A&B <\"'>".into();
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    let watch = watching(&mut w, a, "1002", BLF);
    w.dial(b, "1001");
    w.run_for(500);
    let told = watch.notifies(&w)[1];
    assert!(told.body.contains("display=\"A&amp;B &lt;&quot;&apos;&gt;\""), "{}", told.body);
    w.assert_empty();
}

#[test]
fn a_caller_from_a_trunk_is_shown_by_number() {
    let (mut w, a, carrier, _) = with_trunks();
    let b = w.phone("1002");
    w[carrier].user = "+8613800138000".into();
    let watch = watching(&mut w, a, "1002", BLF);
    w.dial(carrier, NUMBER);
    w.run_for(500);
    assert_eq!(watch.story(&w).last().unwrap(), "recipient early");
    let body = &watch.last(&w).body;
    assert!(body.contains(">sip:+8613800138000@tandem</identity>"), "{body}");
    w.say(b, &Reply::status(603));
    w.assert_empty();
    assert_eq!(watch.story(&w).last().unwrap(), "recipient terminated");
}

/// While a NOTIFY is not answered nothing is sent; then the newest state goes, once.
#[test]
fn what_changes_while_a_notify_is_open_is_told_together() {
    let (mut w, a, b, called, _) = watched();
    let c = called.id;
    w[c].habits.answers = false;
    w.dial(a, "1002");
    w.run_for(3_000);
    assert_eq!(called.story(&w), ["", "recipient trying"]);
    w[c].habits.answers = true;
    // The phone does not answer the copies of what it was silent about: the transaction times out.
    w.run_for(40_000);
    assert_eq!(called.story(&w), ["", "recipient trying", "recipient confirmed"]);
    w.hang_up(b);
    w.run_for(1_000);
    assert_eq!(called.story(&w).len(), 4);
    assert_eq!(versions(&w, &called), ["0", "1", "2", "3"]);
    w.assert_empty();
}

/// A call that came and went while the phone had not answered leaves nothing to tell.
#[test]
fn there_are_never_two_notifies_on_their_way() {
    let (mut w, a, _, called, _) = watched();
    // Answers to NOTIFYs take a second; a call changes its state faster.
    w.net.drop_all.push(Box::new(|wire| wire.text.method() == "NOTIFY" && wire.at % 3 == 0));
    for _ in 0..20 {
        w.dial(a, "1002");
        w.run_for(700);
        w.cancel(a);
        w.run_for(400);
    }
    w.run_for(60_000);
    let mut open: Option<u32> = None;
    let watcher = w[called.id].at;
    for wire in w.wires.iter().filter(|wire| wire.text.call_id() == called.call_id) {
        if wire.text.is("NOTIFY") {
            let again = open.is_none_or(|cseq| cseq == wire.text.cseq());
            assert!(again, "{} before {open:?} was answered", wire.text.cseq());
            open = Some(wire.text.cseq());
        } else if wire.from == watcher && wire.text.method() == "NOTIFY" && !wire.is_lost {
            open = None;
        }
    }
    assert_eq!(called.story(&w).last().unwrap().rsplit(' ').next(), Some("terminated"));
    w.assert_empty();
}

#[test]
fn every_device_of_an_extension_is_a_dialog_and_who_loses_is_over() {
    let (mut w, a, b) = two_phones();
    let second = w.second_phone("desk", "1002");
    w[b].habits.on_invite = vec![(20, ring())];
    w[second].habits.on_invite = vec![(20, ring()), (500, ok())];
    let c = w.phone("1003");
    let watch = watching(&mut w, c, "1002", BLF);
    w.dial(a, "1002");
    w.run_for(300);
    assert_eq!(states(&watch.last(&w).body), "recipient early, recipient early");
    w.run_for(2_000);
    // What lives comes last: some phones go by the last dialog of a document.
    assert_eq!(watch.story(&w).last().unwrap(), "recipient terminated, recipient confirmed");
    w.hang_up(a);
    w.assert_empty();
}

/// Who answers, refuses or fails, the lamp goes out.
#[test]
fn a_call_that_comes_to_nothing_leaves_no_light() {
    for status in [486, 404, 603, 302] {
        let (mut w, a, b, called, caller) = watched();
        w[b].habits.on_invite = vec![(20, ring()), (300, Reply::status(status))];
        w.dial(a, "1002");
        w.run_for(2_000);
        for watch in [&called, &caller] {
            assert!(watch.story(&w).last().unwrap().ends_with("terminated"), "{status}");
        }
        w.dial(a, "1003");
        w.run_for(2_000);
        w.cancel(a);
        w.assert_empty();
        assert_eq!(w.board.counts().lines, 0);
    }
}

#[test]
fn a_call_that_nobody_could_place_lights_nothing() {
    let (mut w, a, _, _, caller) = watched();
    w.dial(a, "777");
    w.run_for(1_000);
    assert_eq!(w[a].last().status, 404);
    assert_eq!(caller.notifies(&w).len(), 1);
    w.assert_empty();
}

/// A call whose task died has no lights either.
#[test]
fn a_dead_call_is_told_as_over() {
    let (mut w, a, _, called, _) = watched();
    w.dial(a, "1002");
    w.run_for(3_000);
    let call = w.call();
    w.kill(call);
    w.run_for(100);
    assert_eq!(called.story(&w).last().unwrap(), "recipient terminated");
    assert_eq!(w.board.counts().lines, 0);
}

/// In a transfer the lamp of who stays is lit all along, and says whom it talks to.
#[test]
fn a_transfer_changes_the_far_side_of_who_stays() {
    let (mut w, a, b) = talking();
    let c = w.phone("1003");
    w[c].habits.on_invite = vec![(20, ring()), (500, ok())];
    let d = w.party("watcher", "10.0.0.50:5060");
    w[d].user = "1003".into();
    w[d].secret = secret_of("1003");
    let watch = watching(&mut w, d, "1001", BLF);
    let gone = watching(&mut w, d, "1002", BLF);
    w.in_dialog(b, "REFER", "Refer-To: <sip:1003@tandem>\r\n", "");
    w.run_for(5_000);
    assert!(watch.story(&w).iter().all(|states| states == "initiator confirmed"));
    let body = &watch.last(&w).body;
    assert!(body.contains("<remote><identity>sip:1003@tandem</identity>"), "{body}");
    assert_eq!(gone.story(&w).last().unwrap(), "recipient terminated");
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(watch.story(&w).last().unwrap(), "initiator terminated");
    assert_eq!(w.board.counts().lines, 0);
}

/// Two calls of 1001 become one of the others: their lamps are lit all along.
#[test]
fn an_attended_transfer_leaves_the_lamps_of_who_stays_lit() {
    let (mut w, a, b) = talking();
    let c = w.phone("1003");
    w[c].habits.on_invite = vec![(20, ring()), (300, ok())];
    let d = w.party("watcher", "10.0.0.50:5060");
    w[d].user = "1003".into();
    w[d].secret = secret_of("1003");
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.dial(a, "1003");
    w.run_for(2_000);
    let staying = [watching(&mut w, d, "1002", BLF), watching(&mut w, d, "1003", BLF)];
    let leaving = watching(&mut w, d, "1001", BLF);
    assert_eq!(states(&leaving.last(&w).body), "initiator confirmed, initiator confirmed");
    let (first, second) = (w[a].last_index() - 1, w[a].last().clone());
    let replaces = format!(
        "{}%3Bto-tag%3D{}%3Bfrom-tag%3D{}",
        second.call_id, second.remote_tag, second.local_tag
    );
    let headers = format!("Refer-To: <sip:1003@10.0.0.1?Replaces={replaces}>\r\n");
    let now = w.now;
    w[a].in_dialog(now, first, "REFER", &headers, String::new());
    w.flush(a.0);
    w.run_for(3_000);
    for (watch, other) in staying.iter().zip(["1003", "1002"]) {
        let story = watch.story(&w);
        assert!(story.iter().all(|states| states == "recipient confirmed"), "{story:?}");
        let remote = watch.last(&w).body.split("<remote>").nth(1).unwrap().to_owned();
        assert!(remote.contains(&format!(">sip:{other}@tandem</identity>")), "{remote}");
    }
    assert!(leaving.story(&w).last().unwrap().ends_with("initiator terminated"));
    w.hang_up(b);
    w.assert_empty();
    for watch in &staying {
        assert_eq!(watch.story(&w).last().unwrap(), "recipient terminated");
    }
}

#[test]
fn an_operators_call_shows_on_both_lamps() {
    let (mut w, a, b, called, caller) = watched();
    w[a].habits.on_invite = vec![(20, ring()), (300, ok())];
    w.originate("1001", "1002").unwrap();
    w.run_for(4_000);
    assert_eq!(
        caller.story(&w),
        ["", "recipient trying", "recipient early", "recipient confirmed"],
        "the phone is rung first"
    );
    assert_eq!(called.story(&w).last().unwrap(), "recipient confirmed");
    w.hang_up(b);
    w.assert_empty();
}

/// Ten phones watch each other in a network that loses, doubles and reorders; calls come and go. Every lamp is
/// out in the end, no document is skipped or told twice, and nothing is left.
#[test]
fn in_a_bad_network_every_lamp_goes_out_in_the_end() {
    const PHONES: usize = 10;
    for seed in 1..=3_u8 {
        let mut snapshot = office();
        let names: Vec<_> = (0..PHONES).map(|index| (2_000 + index).to_string()).collect();
        snapshot.phones.extend(names.iter().map(|name| phone(name, "")));
        let mut w = World::seeded(snapshot, seed);
        let ids: Vec<_> = names.iter().map(|name| w.phone(name)).collect();
        let headers = format!("{BLF}Expires: 7200\r\n");
        let watches: Vec<_> = (0..PHONES)
            .flat_map(|watcher| [1, 2, 3].map(|step| (watcher, (watcher + step) % PHONES)))
            .map(|(watcher, whom)| {
                let mut watch = Watch::new(&mut w, ids[watcher], &names[whom], &headers);
                assert_eq!(watch.ask(&mut w, ""), 200);
                watch
            })
            .collect();
        (w.net.loss, w.net.duplicates, w.net.jitter_us) = (100, 50, 60_000);
        let mut dice = Dice::new(seed.into());
        let mut pick = |bound: usize| usize::try_from(dice.below(bound as u64)).unwrap();
        for _ in 0..120 {
            let (a, b) = (pick(PHONES), pick(PHONES));
            let answer = [(300, ok()), (200, Reply::status(486)), (900, ring())];
            w[ids[b]].habits.on_invite = vec![(20, ring()), answer[pick(3)].clone()];
            w.dial(ids[a], &names[b]);
            w.run_for(100 + 100 * pick(20) as u64);
            match (w[ids[a]].last().state, pick(2)) {
                (State::Calling, 0) => w.cancel(ids[a]),
                (State::Up, _) => w.hang_up(ids[a]),
                _ => {}
            }
        }
        w.run_for(300_000);
        w.net.loss = 0;
        for id in &ids {
            let open = w[*id].calls.iter().enumerate().filter(|(_, call)| call.state == State::Up);
            for call in open.map(|(index, _)| index).collect::<Vec<_>>() {
                let now = w.now;
                w[*id].hang_up(now, call);
            }
            w.flush(id.0);
        }
        w.assert_empty();
        assert_eq!(w.board.counts().subscriptions, watches.len(), "seed {seed}");
        for watch in &watches {
            let mut documents = watch.notifies(&w);
            documents.sort_by_key(|text| text.cseq());
            documents.dedup_by_key(|text| text.cseq());
            let numbers: Vec<_> = documents.iter().map(|text| text.cseq()).collect();
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
            let last = states(&documents.last().unwrap().body);
            let is_out = last.split(", ").all(|s| s.is_empty() || s.ends_with("terminated"));
            assert!(is_out, "seed {seed}: {} sees {last}", watch.call_id);
            for pair in documents.windows(2) {
                let (before, after) = (&pair[0].body, &pair[1].body);
                assert_ne!(without_version(before), without_version(after), "told twice");
            }
        }
    }
}

fn without_version(body: &str) -> String {
    let (_, document) = body.split_once("<dialog-info").unwrap();
    document.replace(&format!("version=\"{}\"", attribute(document, "version")), "")
}

/// A lamp blinks, its key is pressed: what the document says is all that the phone needs to pick the call up.
#[test]
fn a_call_that_blinks_on_a_lamp_is_picked_up() {
    let mut snapshot = office();
    for extension in ["1002", "1003"] {
        snapshot.phones.get_mut(extension).unwrap().pickup_groups = vec!["sales".into()];
    }
    let mut w = World::new(snapshot);
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    let watch = watching(&mut w, c, "1002", BLF);
    let picker = watching(&mut w, b, "1003", BLF);
    w.dial(a, "1002");
    w.run_for(500);
    let body = watch.last(&w).body.clone();
    let replaces = format!(
        "Replaces: {};to-tag={};from-tag={};early-only\r\n",
        attribute(&body, "call-id"),
        attribute(&body, "local-tag"),
        attribute(&body, "remote-tag")
    );
    w.dial_with(c, "1002", &crate::sim::phone::Body::Auto, &replaces);
    w.run_for(1_000);
    assert_eq!(w[c].last().status, 200);
    assert_eq!(w[a].last().state, State::Up);
    assert_eq!(watch.story(&w).last().unwrap(), "recipient terminated");
    assert!(picker.story(&w).last().unwrap().ends_with("confirmed"));
    assert!(picker.last(&w).body.contains(">sip:1001@tandem</identity>"));
    w.hang_up(a);
    w.assert_empty();
    assert!(picker.story(&w).last().unwrap().ends_with("terminated"));
}
