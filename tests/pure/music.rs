//! Music on hold: who hears it, and that nobody else is asked for anything.

use tandem::switch::snapshot::Snapshot;

use crate::scene::heard;
use crate::sim::office::office;
use crate::sim::phone::{Reply, ok, ring};
use crate::sim::sdp::{Form, HOLD, TALK};
use crate::sim::world::{PhoneId, World};
use crate::transfer::{connected, refer_in};

fn with_music() -> Snapshot {
    let mut office = office();
    office.media.hold_music = Some("music.ogg".into());
    office
}

fn talking() -> (World, [PhoneId; 3]) {
    let mut w = World::new(with_music());
    let phones = ["1001", "1002", "1003"].map(|extension| w.phone(extension));
    for id in phones {
        w[id].habits.on_invite = vec![(20, ring()), (500, ok())];
    }
    w.dial(phones[0], "1002");
    w.run_for(1_500);
    assert_eq!(heard(&w), (true, true));
    (w, phones)
}

/// Which side hears music.
fn music(w: &World) -> [bool; 2] {
    w.media.open[&w.call()].music
}

/// Row 94: every way of holding plays music to the other side, whose phone is not asked.
#[test]
fn row_094_who_is_on_hold_hears_music_and_is_not_asked() {
    let forms = [
        HOLD,
        Form::Direction("inactive"),
        Form::SessionDirection("sendonly"),
        Form::ZeroAddress,
        Form::ZeroAddressSendOnly,
    ];
    for form in forms {
        let (mut w, [a, b, _]) = talking();
        w.modify(a, "INVITE", form);
        w.run_for(500);
        assert_eq!(music(&w), [false, true], "{form:?}");
        assert_eq!(w[b].requests("INVITE").len(), 1, "{form:?}: its phone knows nothing of it");
        w.modify(a, "INVITE", TALK);
        w.run_for(500);
        assert_eq!(music(&w), [false, false], "{form:?}");
        assert_eq!((heard(&w), w[b].requests("INVITE").len()), ((true, true), 1), "{form:?}");
        w.hang_up(b);
        w.assert_empty();
        let kinds: Vec<_> = w.record().segments.iter().map(|segment| segment.kind.word()).collect();
        assert!(kinds.contains(&"hold"), "{kinds:?}");
    }
}

/// Row 95: both hold, and each resumes for itself.
#[test]
fn row_095_both_may_hold() {
    let (mut w, [a, b, _]) = talking();
    w.modify(a, "INVITE", HOLD);
    w.run_for(300);
    w.modify(b, "INVITE", HOLD);
    w.run_for(300);
    assert_eq!(music(&w), [true, true]);
    w.modify(a, "INVITE", TALK);
    w.run_for(300);
    assert_eq!(music(&w), [true, false], "1002 holds still");
    w.modify(b, "INVITE", TALK);
    w.run_for(300);
    assert_eq!((music(&w), heard(&w)), ([false, false], (true, true)));
    w.hang_up(a);
    w.assert_empty();
}

/// Who is transferred hears music until the new party answers, and then that party.
#[test]
fn who_is_transferred_hears_music_until_the_answer() {
    let (mut w, [a, b, c]) = talking();
    w.modify(a, "INVITE", HOLD);
    w.run_for(300);
    refer_in(&mut w, a, 0, "<sip:1003@10.0.0.1>");
    w.run_for(300);
    assert!(music(&w).contains(&true), "while 1003 rings");
    w.run_for(2_000);
    assert_eq!(music(&w), [false, false]);
    assert!(connected(&w, b, c));
    w.hang_up(c);
    w.assert_empty();
}

/// A transfer that nobody takes gives the holder his call back, and the other side its music.
#[test]
fn a_transfer_that_fails_is_a_hold_again() {
    let (mut w, [a, b, c]) = talking();
    w[c].habits.on_invite = vec![(500, Reply::status(486))];
    w.modify(a, "INVITE", HOLD);
    w.run_for(300);
    refer_in(&mut w, a, 0, "<sip:1003@10.0.0.1>");
    w.run_for(2_000);
    assert_eq!(music(&w), [false, true]);
    w.modify(a, "INVITE", TALK);
    w.run_for(500);
    assert_eq!((music(&w), heard(&w)), ([false, false], (true, true)));
    w.hang_up(b);
    w.assert_empty();
}

/// Who is on hold changes its codec meanwhile: it keeps its music, and is heard after the hold.
#[test]
fn who_is_on_hold_may_change_its_session() {
    for form in [HOLD, Form::Direction("inactive")] {
        let (mut w, [a, b, _]) = talking();
        w.modify(a, "INVITE", form);
        w.run_for(300);
        w[b].codecs.reverse();
        w.modify(b, "INVITE", TALK);
        w.run_for(500);
        assert_eq!(w[b].statuses("INVITE").last(), Some(&200));
        assert_eq!(music(&w), [false, true], "{form:?}");
        assert!(w.media.open[&w.call()].b.send, "{form:?}: it can be played to");
        w.modify(a, "INVITE", TALK);
        w.run_for(500);
        assert_eq!((music(&w), heard(&w)), ([false, false], (true, true)), "{form:?}");
        w.hang_up(a);
        w.assert_empty();
    }
}

/// Row 147: who holds may be silent for as long as a hold may last, though it said that it would send.
#[test]
fn row_147_who_holds_may_be_silent() {
    for form in [HOLD, Form::Direction("inactive")] {
        let (mut w, [a, ..]) = talking();
        assert!(!w.media.open[&w.call()].a.is_holding);
        w.modify(a, "INVITE", form);
        w.run_for(300);
        let open = &w.media.open[&w.call()];
        assert!(open.a.is_holding && !open.b.is_holding, "{form:?}");
        w.modify(a, "INVITE", TALK);
        w.run_for(300);
        assert!(!w.media.open[&w.call()].a.is_holding);
    }
}
