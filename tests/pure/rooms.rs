//! Calls that talk to us: into a room with its PIN and its doors, and beside another call.

use std::sync::Arc;

use tandem::proto::rtp::telephone_event::event_of;
use tandem::switch::call::{HeardBy, InRoom, Input, Seat, Side, SpeechInput, room_number};
use tandem::switch::cdr::record::CallId;
use tandem::switch::recording::Recorded;
use tandem::switch::rooms::{RoomOrder, RoomSettings};
use tandem::switch::snapshot::{Destination, Secret, Snapshot};
use tandem::switch::speech::PlayEnd;
use tandem::switch::switchboard::RoomRefused;

use crate::sim::office::{CARRIER, NUMBER, office};
use crate::sim::phone::{Reply, State, ok, ring};
use crate::sim::world::{PhoneId, World};
use crate::transfer::refer_in;

fn room(pin: &str, moderator_pin: &str) -> RoomSettings {
    RoomSettings {
        number: "800".into(),
        name: "Weekly".into(),
        pin: Secret(pin.into()),
        moderator_pin: Secret(moderator_pin.into()),
        members_max: 2,
        ..RoomSettings::default()
    }
}

fn with(room: RoomSettings) -> Snapshot {
    let mut office = office();
    office.rooms.push(Arc::new(room));
    office
}

fn world(room: RoomSettings) -> (World, [PhoneId; 3]) {
    let mut w = World::new(with(room));
    let phones = ["1001", "1002", "1003"].map(|extension| w.phone(extension));
    w.party("carrier", CARRIER);
    for id in phones {
        w[id].habits.on_invite = vec![(20, ring()), (500, ok())];
    }
    (w, phones)
}

/// The calls, oldest first.
fn calls(w: &World) -> Vec<CallId> {
    w.calls.keys().copied().collect()
}

/// The caller's keys, as they come in the stream of a side in a room.
fn key(w: &mut World, call: CallId, keys: &str) {
    for key in keys.chars() {
        let event = event_of(key).unwrap();
        w.input(call, Input::Digit { side: Side::A, event });
    }
}

fn seat(w: &World, call: CallId) -> Option<Seat> {
    w.media.rooms.get(&(call, Side::A)).copied()
}

fn is_in(w: &World, call: CallId) -> bool {
    seat(w, call).is_some_and(|seat| seat.room == InRoom::Numbered(room_number("800")))
}

fn said(w: &World, call: CallId) -> Vec<&str> {
    let told = w.media.told.iter().filter(|(to, _)| *to == call);
    told.map(|(_, words)| words.as_str()).collect()
}

/// 1001 and 1002 in a room without a PIN.
fn two_in_a_room() -> (World, [PhoneId; 3], [CallId; 2]) {
    let (mut w, phones) = world(room("", ""));
    w.dial(phones[0], "800");
    w.run_for(1_000);
    w.dial(phones[1], "800");
    w.run_for(1_000);
    let all = calls(&w);
    (w, phones, [all[0], all[1]])
}

#[test]
fn a_room_without_a_pin_lets_everybody_in_until_it_is_full() {
    let (mut w, [a, b, c], [first, second]) = two_in_a_room();
    assert!(is_in(&w, first) && is_in(&w, second));
    assert_eq!(said(&w, first), ["conf-alone"]);
    assert_eq!(said(&w, second), ["conf-count Number(2)"]);
    let place = seat(&w, first).unwrap();
    assert_eq!((place.heard_by, place.is_muted, place.chimes), (HeardBy::Both, false, true));
    w.dial(c, "800");
    w.run_for(1_000);
    assert_eq!(w[c].last().status, 486, "refused before it is answered, so it costs nothing");
    for phone in [a, b] {
        w.hang_up(phone);
    }
    w.assert_empty();
    let causes: Vec<_> = w.records.iter().map(|record| record.cause.key).collect();
    assert_eq!(causes, ["room_full", "normal", "normal"]);
    assert!(w.records.iter().skip(1).all(|record| record.answered.is_some()));
}

#[test]
fn a_pin_is_asked_for_three_times() {
    let (mut w, [a, ..]) = world(room("47110", ""));
    w.dial(a, "800");
    w.run_for(500);
    let call = w.call();
    assert_eq!(said(&w, call), ["conf-enter-pin"]);
    assert_eq!(seat(&w, call).map(|seat| seat.room), Some(InRoom::Own), "its keys are heard");
    key(&mut w, call, "47111");
    assert_eq!(said(&w, call)[1..], ["conf-wrong-pin", "conf-enter-pin"]);
    key(&mut w, call, "4711");
    assert!(!is_in(&w, call), "it is not whole");
    w.run_for(10_000);
    assert_eq!(said(&w, call).len(), 5, "waiting ends it");
    key(&mut w, call, "9*47110");
    w.run_for(100);
    assert!(is_in(&w, call), "a star begins anew");
    w.hang_up(a);
    w.assert_empty();
    let shown = format!("{:?}", w.record());
    assert!(!shown.contains("4711"), "no digit is written anywhere");
}

/// A PIN that the other begins with waits for more digits, and a room with a PIN for moderators alone takes none for a guest.
#[test]
fn a_shorter_pin_waits_for_a_longer_one() {
    let (mut w, [a, b, c]) = world(RoomSettings { members_max: 9, ..room("12", "1299") });
    for (phone, keys, is_moderator) in [(a, "12", false), (b, "1299", true), (c, "12#", false)] {
        w.dial(phone, "800");
        w.run_for(500);
        let call = *calls(&w).last().unwrap();
        key(&mut w, call, keys);
        w.run_for(if keys == "12" { 11_000 } else { 100 });
        assert!(is_in(&w, call), "{keys}");
        key(&mut w, call, "*5");
        assert_eq!(said(&w, call).contains(&"conf-locked"), is_moderator, "{keys}");
        key(&mut w, call, "*5");
    }
    let (mut w, [a, ..]) = world(room("", "1299"));
    w.dial(a, "800");
    w.run_for(500);
    let call = w.call();
    key(&mut w, call, "#");
    assert!(is_in(&w, call));
}

/// A room is recorded from its door on: before that a PIN is keyed in.
#[test]
fn a_room_is_recorded_behind_its_door() {
    let mut office = with(room("12", ""));
    office.recording.calls = Recorded::All;
    let mut w = World::new(office);
    let a = w.phone("1001");
    w.dial(a, "800");
    w.run_for(500);
    let call = w.call();
    assert!(w.media.tapes.is_empty());
    key(&mut w, call, "12");
    assert_eq!(w.media.tapes.len(), 1);
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn a_wrong_pin_ends_the_call_after_three_tries() {
    let (mut w, [a, ..]) = world(room("47110", ""));
    w.dial(a, "800");
    w.run_for(500);
    let call = w.call();
    key(&mut w, call, "00000");
    key(&mut w, call, "11111");
    key(&mut w, call, "22222");
    assert_eq!(said(&w, call).last(), Some(&"conf-goodbye"));
    key(&mut w, call, "47110");
    w.run_for(8_000);
    assert_eq!(w[a].last().state, State::Over);
    w.assert_empty();
    assert_eq!(w.record().cause.key, "wrong_pin");
}

#[test]
fn a_last_word_is_heard_to_its_end_and_no_longer() {
    let (mut w, [a, ..]) = world(room("12", ""));
    w.dial(a, "800");
    w.run_for(500);
    let call = w.call();
    key(&mut w, call, "000000");
    assert_eq!(said(&w, call).last(), Some(&"conf-goodbye"));
    let tokens: Vec<u64> = w.media.said.iter().map(|(_, token, _)| *token).collect();
    for token in tokens {
        assert_eq!(w[a].last().state, State::Up);
        let end = PlayEnd::Done;
        w.input(call, Input::Speech(SpeechInput::Played { side: Side::A, token, end }));
    }
    w.run_for(100);
    assert_eq!(w[a].last().state, State::Over);
    w.assert_empty();
}

#[test]
fn who_keys_nothing_in_is_let_go() {
    let (mut w, [a, ..]) = world(room("47110", ""));
    w.dial(a, "800");
    w.run_for(60_000);
    w.assert_empty();
    assert_eq!(w.record().cause.key, "wrong_pin");
    assert_eq!(w[a].last().state, State::Over);
}

#[test]
fn a_pin_by_info_counts_as_well() {
    let (mut w, [a, ..]) = world(room("12", ""));
    w.dial(a, "800");
    w.run_for(500);
    let call = w.call();
    for digit in ['1', '2'] {
        let body = format!("Signal={digit}\r\nDuration=100\r\n");
        w.in_dialog(a, "INFO", "Content-Type: application/dtmf-relay\r\n", &body);
        w.run_for(100);
    }
    assert!(is_in(&w, call));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn members_mute_themselves_and_moderators_lock() {
    let (mut w, [a, b, c]) = world(RoomSettings { members_max: 9, ..room("12", "99") });
    for (phone, pin) in [(a, "12"), (b, "99")] {
        w.dial(phone, "800");
        w.run_for(500);
        let call = *calls(&w).last().unwrap();
        key(&mut w, call, pin);
        w.run_for(100);
    }
    let [guest, moderator] = calls(&w)[..] else { panic!("two calls") };
    key(&mut w, guest, "*6");
    assert!(seat(&w, guest).unwrap().is_muted);
    assert_eq!(said(&w, guest).last(), Some(&"conf-muted"));
    key(&mut w, guest, "*6");
    assert!(!seat(&w, guest).unwrap().is_muted);
    key(&mut w, guest, "*5*7");
    assert!(!seat(&w, moderator).unwrap().is_muted, "a guest mutes nobody");
    key(&mut w, moderator, "*5*7");
    assert_eq!(said(&w, moderator).last(), Some(&"conf-locked"));
    assert!(seat(&w, guest).unwrap().is_muted && !seat(&w, moderator).unwrap().is_muted);
    w.dial(c, "800");
    w.run_for(500);
    let late = *calls(&w).last().unwrap();
    key(&mut w, late, "12");
    w.run_for(8_000);
    assert_eq!(w[c].last().state, State::Over);
    assert_eq!(w.records.last().unwrap().cause.key, "room_locked");
    for phone in [a, b] {
        w.hang_up(phone);
    }
    w.assert_empty();
}

#[test]
fn an_operator_changes_a_room() {
    let (mut w, [a, b, _], [first, second]) = two_in_a_room();
    let order = |w: &mut World, member, order| {
        w.with_board(|board, out| board.order_room("800", member, order, out))
    };
    assert_eq!(order(&mut w, Some(first), RoomOrder::Gain(6)), Ok(()));
    assert_eq!(seat(&w, first).unwrap().gain_db, 6);
    assert_eq!(order(&mut w, None, RoomOrder::Mute(true)), Ok(()));
    assert!(seat(&w, first).unwrap().is_muted && seat(&w, second).unwrap().is_muted);
    let nobody = order(&mut w, Some(CallId(1)), RoomOrder::Kick);
    assert_eq!(nobody, Err(RoomRefused::NoSuchMember));
    assert_eq!(order(&mut w, Some(first), RoomOrder::Kick), Ok(()));
    w.run_for(8_000);
    assert_eq!((w[a].last().state, w[b].last().state), (State::Over, State::Up));
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(order(&mut w, None, RoomOrder::Lock(true)), Err(RoomRefused::Empty));
}

#[test]
fn a_public_number_and_an_operator_lead_into_a_room() {
    let mut office = with(room("", ""));
    office.numbers[0].to = Destination::Room("800".into());
    let mut w = World::new(office);
    let a = w.phone("1001");
    w[a].habits.on_invite = vec![(20, ring()), (500, ok())];
    let carrier = w.party("carrier", CARRIER);
    w.dial(carrier, NUMBER);
    w.run_for(500);
    w.originate("1001", "800").unwrap();
    w.run_for(1_000);
    let all = calls(&w);
    assert!(all.iter().all(|call| is_in(&w, *call)), "{all:?}");
    assert_eq!(all.len(), 2);
    w.hang_up(a);
    w.hang_up(carrier);
    w.assert_empty();
}

#[test]
fn a_call_that_lives_is_not_sent_into_a_room() {
    let (mut w, [a, b, _]) = world(room("", ""));
    w.dial(a, "1002");
    w.run_for(1_000);
    refer_in(&mut w, b, 0, "<sip:800@10.0.0.1>");
    w.run_for(3_000);
    assert_eq!((w[a].last().state, w[b].last().state), (State::Up, State::Up));
    w.hang_up(a);
    w.assert_empty();
    let told: Vec<_> = w.record().timeline.iter().map(|line| line.text.as_str()).collect();
    assert!(told.iter().any(|text| text.contains("cannot be sent into a room")), "{told:?}");
}

/// 1001 talks to 1002, and 1003 is rung to listen.
fn watched() -> (World, [PhoneId; 3], [CallId; 2]) {
    let (mut w, phones) = world(room("", ""));
    w.dial(phones[0], "1002");
    w.run_for(1_000);
    let target = w.call();
    let watch = ("1003", HeardBy::Nobody);
    let now = w.instant();
    w.with_board(|board, out| board.watch(now, target, watch, out)).unwrap();
    w.run_for(1_000);
    let watcher = *calls(&w).last().unwrap();
    (w, phones, [target, watcher])
}

#[test]
fn a_third_one_listens_whispers_and_talks() {
    let (mut w, [a, _, c], [target, watcher]) = watched();
    for side in [Side::A, Side::B] {
        let place = w.media.rooms.get(&(target, side)).copied();
        assert_eq!(place.map(|place| place.room), Some(InRoom::Own), "{side:?}");
    }
    let heard = |w: &World| seat(w, watcher).map(|seat| (seat.room, seat.heard_by));
    assert_eq!(heard(&w), Some((InRoom::OfCall(target), HeardBy::Nobody)));
    for (keyed, heard_by) in [("1", HeardBy::Caller), ("2", HeardBy::Called), ("3", HeardBy::Both)]
    {
        key(&mut w, watcher, keyed);
        assert_eq!(heard(&w), Some((InRoom::OfCall(target), heard_by)));
    }
    w.hang_up(c);
    w.run_for(1_000);
    assert_eq!(w.media.rooms.len(), 0, "the two hear each other as before");
    w.hang_up(a);
    w.assert_empty();
    let told: Vec<_> = w.records.last().unwrap().timeline.iter().map(|line| line.what).collect();
    assert!(told.contains(&"call.watched") && told.contains(&"call.unwatched"), "{told:?}");
}

#[test]
fn who_listens_goes_with_the_call() {
    let (mut w, [a, _, c], _) = watched();
    w.hang_up(a);
    w.run_for(8_000);
    assert_eq!(w[c].last().state, State::Over);
    w.assert_empty();
    assert_eq!(w.records.len(), 2);
}

#[test]
fn a_transfer_is_not_listened_to() {
    let (mut w, [a, b, c], _) = watched();
    refer_in(&mut w, b, 0, "<sip:1003@10.0.0.1>");
    w.run_for(8_000);
    assert_eq!(w[c].calls[0].state, State::Over, "it hears nothing of the new party");
    assert_eq!(w[c].last().state, State::Up, "it is the new party");
    assert!(w.media.rooms.is_empty());
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn what_is_not_there_or_only_listens_is_not_listened_to() {
    let (mut w, _, [_, watcher]) = watched();
    for nothing in [CallId(1), watcher] {
        let watch = ("1002", HeardBy::Both);
        let now = w.instant();
        w.with_board(|board, out| board.watch(now, nothing, watch, out)).unwrap();
        w.run_for(8_000);
        assert_eq!(w.calls.len(), 2, "{nothing}");
    }
}

/// Whatever a room's caller does and whenever it goes, nothing is left of it.
#[test]
fn a_caller_may_go_at_any_moment() {
    for after in (0..3_000).step_by(100) {
        let (mut w, [a, b, _]) = world(room("12", "99"));
        w.dial(b, "800");
        w.run_for(200);
        let other = w.call();
        key(&mut w, other, "99");
        w.dial(a, "800");
        w.run_for(300);
        let call = *calls(&w).last().unwrap();
        if after > 1_000 {
            key(&mut w, call, "12*6");
        }
        w.run_for(after);
        if w[a].last().state == State::Up {
            w.hang_up(a);
        } else {
            w.cancel(a);
        }
        w.hang_up(b);
        w.assert_empty();
        assert_eq!(w.records.len(), 2, "{after}");
    }
}

/// An answer that never comes, a refusal, a phone without media: a listener's call ends as any other.
#[test]
fn a_listener_that_does_not_answer_leaves_nothing() {
    for reply in [Reply::status(486), Reply::status(603)] {
        let (mut w, [a, _, c]) = world(room("", ""));
        w[c].habits.on_invite = vec![(20, reply)];
        w.dial(a, "1002");
        w.run_for(1_000);
        let target = w.call();
        let watch = ("1003", HeardBy::Both);
        let now = w.instant();
        w.with_board(|board, out| board.watch(now, target, watch, out)).unwrap();
        w.run_for(1_000);
        assert!(w.media.rooms.is_empty());
        w.hang_up(a);
        w.assert_empty();
    }
}
