//! Two sides that share no codec.

use tandem::switch::snapshot::Snapshot;

use crate::scene::heard;
use crate::sim::office::{BACKUP, CARRIER, NUMBER, office};
use crate::sim::phone::{ok, ring};
use crate::sim::sdp::{Codec, DIGITS, G722, G729, HOLD, OPUS, PCMA, PCMU, TALK, codecs};
use crate::sim::world::{PhoneId, World};

/// 1001 and 1002 speak these, and 1002 answers after a second.
fn phones(office: Snapshot, first: &[Codec], second: &[Codec]) -> (World, PhoneId, PhoneId) {
    let mut w = World::new(office);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[a].codecs = first.to_vec();
    w[b].codecs = second.to_vec();
    w[b].habits.on_invite = vec![(20, ring()), (1_000, ok())];
    (w, a, b)
}

/// The numbers that the latest INVITE offered a phone, in their order.
fn offered(w: &World, id: PhoneId) -> Vec<u8> {
    let invites = w[id].requests("INVITE");
    codecs(&invites.last().unwrap().body).into_iter().map(|(number, _)| number).collect()
}

fn answered(w: &World, id: PhoneId) -> Vec<u8> {
    codecs(&w[id].response(200).unwrap().body).into_iter().map(|(number, _)| number).collect()
}

/// Row 101: a phone that refuses what the caller speaks is asked again, once, with what we make of it.
#[test]
fn row_101_a_phone_without_the_callers_codec_is_offered_more() {
    let (mut w, a, b) = phones(office(), &[PCMA, DIGITS], &[OPUS, DIGITS]);
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(w[b].requests("INVITE").len(), 2);
    assert_eq!(
        codecs(&w[b].requests("INVITE")[0].body).len(),
        2,
        "at first what the caller speaks"
    );
    assert_eq!(offered(&w, b), [8, 0, 9, 111, 101]);
    assert_eq!(answered(&w, a), [8, 101], "the caller has its codec");
    assert_eq!(heard(&w), (true, true));
    assert!(w.media.open[&w.call()].hearing().contains("made into"));
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w.record().cause.key, "normal");
}

/// Who shares a codec is never offered, and never answered with, another one.
#[test]
fn what_both_speak_is_not_converted() {
    let (mut w, a, b) = phones(office(), &[OPUS, PCMU, DIGITS], &[G722, PCMU, DIGITS]);
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(w[b].requests("INVITE").len(), 1);
    assert_eq!(offered(&w, b), [111, 0, 101]);
    assert_eq!(answered(&w, a), [0, 101]);
    assert!(!w.media.open[&w.call()].hearing().contains("made into"));
}

/// A caller without G.711 is made understood at once, in the codec that is nearest.
#[test]
fn row_101_a_caller_without_g711_is_made_understood_at_once() {
    let (mut w, a, b) = phones(office(), &[OPUS, DIGITS], &[PCMU, G722, DIGITS]);
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(w[b].requests("INVITE").len(), 1);
    assert_eq!(offered(&w, b), [111, 8, 0, 9, 101]);
    assert_eq!(heard(&w), (true, true));
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.modify(a, "INVITE", TALK);
    w.run_for(500);
    assert_eq!(heard(&w), (true, true), "after a hold");
    w.hang_up(b);
    w.assert_empty();
}

/// Row 101: what cannot be decoded cannot be made into anything: 488 with a Warning, as ever.
#[test]
fn row_101_what_we_do_not_decode_is_refused() {
    let (mut w, a, b) = phones(office(), &[G729], &[PCMU]);
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(w[b].requests("INVITE").len(), 1);
    assert_eq!(w[a].last().status, 488);
    w.assert_empty();
    assert_eq!(w.record().cause.key, "no_common_codec");
}

/// A phone that takes nothing of all we have is asked twice and no more.
#[test]
fn row_101_a_phone_that_takes_nothing_is_asked_twice() {
    let (mut w, a, b) = phones(office(), &[PCMU], &[G729]);
    w.dial(a, "1002");
    w.run_for(3_000);
    assert_eq!(w[b].requests("INVITE").len(), 2);
    assert_eq!(w[a].last().status, 488);
    w.assert_empty();
}

/// Where the admin wants none of it, nothing is converted.
#[test]
fn conversion_can_be_switched_off() {
    let mut office = office();
    office.media.converts = false;
    let (mut w, a, b) = phones(office, &[PCMA], &[OPUS]);
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(w[b].requests("INVITE").len(), 1);
    assert_eq!(w[a].last().status, 488);
}

/// A trunk is offered what its list has, made of what the phone speaks if need be, and G.711 if it has no list.
#[test]
fn a_trunk_is_offered_what_it_takes() {
    for (list, offer) in [(&["PCMU"][..], vec![0_u8, 101]), (&[], vec![111, 8, 0, 101])] {
        let mut office = office();
        let carrier = office.trunks.iter_mut().find(|trunk| trunk.name == "carrier").unwrap();
        carrier.dialect.codecs = list.iter().map(|name| (*name).to_owned()).collect();
        let mut w = World::new(office);
        let a = w.phone("1001");
        w[a].codecs = vec![OPUS, DIGITS];
        let carrier = w.party("carrier", CARRIER);
        w.party("backup", BACKUP);
        w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
        w.dial(a, "013800138000");
        w.run_for(1_500);
        assert_eq!(offered(&w, carrier), offer, "{list:?}");
        assert_eq!(heard(&w), (true, true));
        w.hang_up(a);
        w.assert_empty();
    }
}

/// And a caller from a trunk reaches a phone that speaks something else.
#[test]
fn a_caller_from_a_trunk_is_understood() {
    let mut w = World::new(office());
    let a = w.phone("1002");
    w[a].codecs = vec![OPUS, DIGITS];
    w[a].habits.on_invite = vec![(20, ring()), (500, ok())];
    let carrier = w.party("carrier", CARRIER);
    w.dial(carrier, NUMBER);
    w.run_for(1_500);
    assert_eq!(heard(&w), (true, true));
    assert_eq!(answered(&w, carrier), [0, 101]);
    w.hang_up(a);
    w.assert_empty();
}

/// Row 94: a side that is converted can hold the other one, which has to be offered what it speaks.
#[test]
fn row_094_who_is_converted_may_hold() {
    let (mut w, a, b) = phones(office(), &[OPUS, DIGITS], &[PCMU, DIGITS]);
    w.dial(a, "1002");
    w.run_for(2_000);
    w.modify(b, "INVITE", HOLD);
    w.run_for(500);
    assert_eq!(w[b].statuses("INVITE").last(), Some(&200));
    w.modify(b, "INVITE", TALK);
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}
