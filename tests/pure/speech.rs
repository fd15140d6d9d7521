//! What is said to the parties of a call: who may be told, and how it ends.

use tandem::switch::call::{Input, SAYING_MAX, Side, SpeechInput};
use tandem::switch::phrase::Spoken;
use tandem::switch::recording::RecordRule;
use tandem::switch::speech::{PlayEnd, Say, Saying};

use crate::scene::heard;
use crate::sim::office::office;
use crate::sim::phone::{ok, ring};
use crate::sim::world::{PhoneId, World};

fn ringing() -> (World, PhoneId) {
    let mut w = World::new(office());
    let [a, b] = ["1001", "1002"].map(|extension| w.phone(extension));
    w[b].habits.on_invite = vec![(20, ring()), (2_000, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    (w, a)
}

fn say(w: &mut World, sides: &[Side], token: u64) {
    let what = Saying::Phrase(vec![Spoken::Prompt("goodbye".into()), Spoken::Number(7)]);
    let (say, by) = (Say { what, language: None }, "an operator".to_owned());
    let call = w.call();
    w.input(call, Input::Speech(SpeechInput::Say { sides: sides.to_vec(), token, say, by }));
}

fn played(w: &mut World, side: Side, token: u64, end: PlayEnd) {
    let call = w.call();
    w.input(call, Input::Speech(SpeechInput::Played { side, token, end }));
}

/// Every end of what was said: its name, side and how.
fn ends(w: &World) -> Vec<(String, String, String)> {
    let field = |fields: &[(&'static str, String)], name| {
        fields.iter().find(|(known, _)| *known == name).unwrap().1.clone()
    };
    let events = w.events.iter().filter(|(kind, _)| *kind == "call.played");
    events.map(|(_, f)| (field(f, "say"), field(f, "side"), field(f, "end"))).collect()
}

fn end(token: &str, side: &str, end: &str) -> (String, String, String) {
    (token.to_owned(), side.to_owned(), end.to_owned())
}

#[test]
fn what_is_said_has_one_end_for_each_side() {
    let (mut w, a) = ringing();
    // Nobody is connected yet.
    say(&mut w, &[Side::A], 1);
    assert_eq!((w.media.said.len(), ends(&w)), (0, vec![end("1", "a", "refused")]));
    w.run_for(3_000);
    assert_eq!(heard(&w), (true, true));
    say(&mut w, &[Side::A, Side::B], 2);
    assert_eq!(w.media.said.len(), 1);
    played(&mut w, Side::B, 2, PlayEnd::Done);
    // What is told twice, or of nothing, is no news.
    played(&mut w, Side::B, 2, PlayEnd::Done);
    played(&mut w, Side::A, 77, PlayEnd::Done);
    assert_eq!(ends(&w)[1..], [end("2", "b", "done")]);
    // Silence is for who is told something.
    let call = w.call();
    w.input(call, Input::Speech(SpeechInput::Silence { by: "an operator".to_owned() }));
    assert_eq!(w.media.silenced, [Side::A]);
    played(&mut w, Side::A, 2, PlayEnd::Cut);
    // There is a limit, and the end of the call is an end of it all.
    for token in 10..=10 + u64::try_from(SAYING_MAX).unwrap() {
        say(&mut w, &[Side::B], token);
    }
    let last = 10 + SAYING_MAX;
    assert_eq!(ends(&w).last(), Some(&end(&last.to_string(), "b", "refused")));
    w.hang_up(a);
    w.assert_empty();
    let ends = ends(&w);
    assert_eq!(ends.len(), 4 + SAYING_MAX, "{ends:?}");
    assert!(ends[4..].iter().all(|(_, side, end)| (side.as_str(), end.as_str()) == ("b", "cut")));
    let lines: Vec<_> =
        w.record().timeline.iter().filter(|line| line.what == "speech.said").collect();
    assert_eq!(lines[0].text, "goodbye Number(7), wanted by an operator");
}

/// A transcript is ordered, once, or begins by itself; whose conversations are never recorded, theirs are not written down.
#[test]
fn a_transcript_begins_and_ends_as_it_is_ordered() {
    let order = |w: &mut World, is_on| {
        let call = w.call();
        let by = "an operator".to_owned();
        w.input(call, Input::Speech(SpeechInput::Transcribe { is_on, by }));
    };
    let kinds = |w: &World| -> Vec<&'static str> {
        let lines = w.record().timeline.iter().map(|line| line.what);
        lines.filter(|what| what.starts_with("transcript.")).collect()
    };
    let (mut w, a) = ringing();
    order(&mut w, true);
    assert!(w.media.listened.is_empty(), "nobody is connected");
    w.run_for(3_000);
    for is_on in [true, true, false, false, true] {
        order(&mut w, is_on);
    }
    assert_eq!(w.media.listened, [true, false, true]);
    let (call, why) = (w.call(), "nobody listens");
    w.input(call, Input::Speech(SpeechInput::NotTranscribed { why }));
    order(&mut w, true);
    assert_eq!(w.media.listened.len(), 4, "it may be ordered again");
    w.hang_up(a);
    w.assert_empty();
    let [began, ended, failed] = ["transcript.began", "transcript.ended", "transcript.failed"];
    assert_eq!(kinds(&w), [began, ended, began, failed, began]);

    let connected = |never: bool| {
        let mut office = office();
        office.speech.transcribes_all = true;
        if never {
            office.phones.get_mut("1002").unwrap().record = RecordRule::Never;
        }
        let mut w = World::new(office);
        let [a, b] = ["1001", "1002"].map(|extension| w.phone(extension));
        w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
        w.dial(a, "1002");
        w.run_for(2_000);
        (w, a)
    };
    let (mut w, a) = connected(false);
    assert_eq!(w.media.listened, [true]);
    order(&mut w, false);
    w.run_for(1_000);
    assert_eq!(w.media.listened, [true, false], "what was ordered holds");
    w.hang_up(a);
    w.assert_empty();
    let (mut w, a) = connected(true);
    order(&mut w, true);
    assert!(w.media.listened.is_empty());
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(kinds(&w), ["transcript.refused"]);
}
