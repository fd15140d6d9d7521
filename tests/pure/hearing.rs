//! Who was heard by whom, as the timeline, the events and the record of a call tell it.

use std::time::Duration;

use tandem::switch::call::{Input, SideStats};
use tandem::switch::cdr::sound::{Packets, Sound};

use crate::scene::talking;
use crate::sim::sdp::HOLD;
use crate::sim::world::World;

/// What the relay counts on the two sides ten seconds after both were connected.
fn figures(a: Packets, b: Packets) -> Box<[SideStats; 2]> {
    let side = |talk: Packets| SideStats {
        talked: Duration::from_secs(10),
        talk,
        flow: talk,
        packets_in: talk.came,
        packets_out: talk.sent,
        sound: Sound { mos: Some(4.2), ..Sound::default() },
        ..SideStats::default()
    };
    Box::new([side(a), side(b)])
}

const SPEAKS: Packets = Packets { came: 500, passed: 500, sent: 500, ..EMPTY };
const DEAF: Packets = Packets { sent: 500, ..EMPTY };
const EMPTY: Packets = Packets {
    came: 0,
    passed: 0,
    sent: 0,
    strangers: 0,
    wrong_codec: 0,
    on_hold: 0,
    unauthentic: 0,
    malformed: 0,
    late: 0,
    not_taken: 0,
    checks: 0,
    handshakes: 0,
    sampled: 0,
    silent: 0,
};

fn events<'w>(w: &'w World, kind: &str) -> Vec<&'w str> {
    let all = w.events.iter().filter(|(known, _)| *known == kind);
    let why = |fields: &'w [(&str, String)]| fields.iter().find(|(name, _)| *name == "why");
    all.filter_map(|(_, fields)| Some(why(fields)?.1.as_str())).collect()
}

fn verdicts(w: &World) -> Vec<(&'static str, String)> {
    let lines = w
        .record()
        .timeline
        .iter()
        .filter(|line| matches!(line.what, "media.unheard" | "media.verdict"));
    lines.map(|line| (line.what, line.text.clone())).collect()
}

/// Row 147: said once while the call lives, and once for good.
#[test]
fn row_147_a_side_that_is_not_heard_is_told_of_live_and_in_the_record() {
    let (mut w, a, _) = talking();
    let call = w.call();
    w.input(call, Input::Unheard(figures(SPEAKS, DEAF)));
    let told = events(&w, "call.unheard");
    assert_eq!(told.len(), 1);
    let why = told[0].to_owned();
    let expected = "one_way: 1002 was not heard: no packet came from its address (";
    assert!(why.starts_with(expected), "{why}");
    w.media.figures.insert(call, figures(SPEAKS, DEAF));
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(events(&w, "call.one_way"), [why.as_str()]);
    assert_eq!(verdicts(&w), [("media.unheard", why.clone()), ("media.verdict", why)]);
    let leg = &w.record().legs[1];
    assert_eq!((leg.packets_in, leg.packets_out, leg.sound.mos), (0, 500, Some(4.2)));
}

/// Row 147: a call that both hear says so, and nobody is woken for it.
#[test]
fn row_147_a_call_that_both_hear_is_no_event() {
    let (mut w, a, _) = talking();
    let call = w.call();
    w.media.figures.insert(call, figures(SPEAKS, SPEAKS));
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(verdicts(&w), [("media.verdict", "both_ways".to_owned())]);
    assert_eq!(events(&w, "call.one_way"), [""; 0]);
    // Without figures, or when nobody answered, nothing is said.
    let (mut w, a, _) = talking();
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(verdicts(&w), []);
}

/// Row 147: who is held is not to be heard, and that is no fault.
#[test]
fn row_147_a_hold_is_not_called_one_way_audio() {
    let (mut w, a, b) = talking();
    let call = w.call();
    w.modify(a, "INVITE", HOLD);
    w.run_for(1_000);
    w.input(call, Input::Unheard(figures(SPEAKS, DEAF)));
    assert_eq!(events(&w, "call.unheard"), [""; 0]);
    w.media.figures.insert(call, figures(SPEAKS, DEAF));
    w.hang_up(b);
    w.assert_empty();
    let expected = "one_way: 1002 was not heard: it was on hold".to_owned();
    assert_eq!(verdicts(&w), [("media.verdict", expected)]);
    assert_eq!(events(&w, "call.one_way"), [""; 0]);
}
