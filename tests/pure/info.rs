//! INFO (RFC 6086): row 118 of the wire catalogue.

use std::time::Duration;

use tandem::switch::call::{Input, Side};
use tandem::switch::dtmf::Dtmf;

use crate::scene::{heard, talking, two_phones};
use crate::sim::office::office;
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::world::{PhoneId, World};

/// A call to a phone that says in its 200 what it takes.
fn talking_with(allow: &str) -> (World, PhoneId, PhoneId) {
    let (mut w, a, b) = two_phones();
    let answer = ok().header(&format!("Allow: {allow}"));
    w[b].habits.on_invite = vec![(20, ring()), (500, answer)];
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    (w, a, b)
}

/// An INFO with this body, as raw text since it is no description; its status.
fn info(w: &mut World, id: PhoneId, headers: &str, body: &str) -> u16 {
    let last = w[id].last().clone();
    let call = w[id].last_index();
    w[id].calls[call].cseq += 1;
    let (from, to) = if last.is_caller { ("1001", "1002") } else { ("1002", "1001") };
    let text = format!(
        "INFO {} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
         From: <sip:{from}@tandem>;tag={}\r\nTo: <sip:{to}@tandem>;tag={}\r\nCall-ID: {}\r\nCSeq: {} INFO\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        last.target,
        last.local_tag,
        last.remote_tag,
        last.call_id,
        last.cseq + 1,
        body.len()
    );
    w.raw(id, &text);
    w.run_for(100);
    w[id].statuses("INFO").last().copied().unwrap_or(0)
}

const RELAY: &str = "Content-Type: application/dtmf-relay\r\n";

#[test]
fn row_118_an_empty_info_keeps_alive_and_an_unknown_package_is_469() {
    let (mut w, a, b) = talking();
    assert_eq!(info(&mut w, a, "", ""), 200);
    assert_eq!(info(&mut w, a, "Info-Package: conjuring\r\n", ""), 469);
    assert_eq!(w[a].response(469).unwrap().get("Recv-Info"), "nil");
    assert_eq!(info(&mut w, a, "Content-Type: application/media_control+xml\r\n", "<x/>"), 415);
    assert!(w[a].response(415).unwrap().get("Accept").contains("application/dtmf-relay"));
    assert_eq!(info(&mut w, a, RELAY, "Signal=many\r\n"), 400);
    assert!(w[b].requests("INFO").is_empty());
    assert!(!w.events.iter().any(|(kind, _)| *kind == "call.digit"));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn row_118_a_digit_goes_to_a_side_that_takes_info() {
    for (allow, taken) in [("INVITE, ACK, BYE, CANCEL, INFO", true), ("INVITE, ACK, BYE", false)] {
        let (mut w, a, b) = talking_with(allow);
        assert_eq!(info(&mut w, a, RELAY, "Signal=5\r\nDuration=240\r\n"), 200);
        assert_eq!(info(&mut w, a, "Content-Type: application/dtmf\r\n", "#"), 200);
        let bodies: Vec<_> = w[b].requests("INFO").iter().map(|info| info.body.clone()).collect();
        let passed: &[&str] = if taken { &["Signal=5\r\nDuration=240\r\n", "#\r\n"] } else { &[] };
        assert_eq!(bodies, passed, "{allow}");
        let digits = w.events.iter().filter(|(kind, _)| *kind == "call.digit").count();
        assert_eq!(digits, 2);
        w.hang_up(b);
        w.assert_empty();
        let lines: Vec<_> =
            w.record().timeline.iter().filter(|line| line.what == "digit").collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].text.contains("240 ms") && !lines[1].text.contains('#'), "not which one");
    }
}

/// Nobody is there yet who could take it; what the peer says to a digit changes nothing.
#[test]
fn row_118_a_digit_before_the_answer_and_one_that_is_refused() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite =
        vec![(20, ring()), (1_000, ok().header("Allow: INVITE, ACK, BYE, INFO"))];
    w.dial_with(a, "1002", &Body::Auto, "");
    w.run_for(200);
    let tag = w[a].response(180).unwrap().tag_of_to();
    let call = w[a].last_index();
    w[a].calls[call].remote_tag = tag;
    assert_eq!(info(&mut w, a, RELAY, "Signal=1\r\n"), 200);
    w.run_for(1_000);
    w[b].habits.on_method = vec![("INFO", Reply::status(500))];
    assert_eq!(info(&mut w, a, RELAY, "Signal=2\r\n"), 200);
    assert_eq!(w[b].requests("INFO").len(), 1);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn row_118_outside_a_call_there_is_no_info() {
    let (mut w, a, _) = two_phones();
    w.raw(
        a,
        "INFO sip:1002@tandem SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:1001@tandem>;tag=x\r\nTo: <sip:1002@tandem>;tag=y\r\nCall-ID: none\r\nCSeq: 1 INFO\r\n\
         Content-Length: 0\r\n\r\n",
    );
    w.run_for(100);
    assert_eq!(w[a].statuses("INFO"), [481]);
    w.assert_empty();
}

/// A digit that is lost on the way is repeated before the next one goes: behind it, its CSeq would be refused.
#[test]
fn row_118_digits_go_one_after_the_other() {
    let (mut w, a, b) = talking_with("INVITE, ACK, BYE, CANCEL, INFO");
    let to = w[b].at;
    let mut left = 2;
    w.net.drop_all.push(Box::new(move |wire| {
        let is_lost = wire.text.is("INFO") && wire.to == to && left > 0;
        left -= usize::from(is_lost);
        is_lost
    }));
    for digit in ["1", "2", "3"] {
        assert_eq!(info(&mut w, a, RELAY, &format!("Signal={digit}\r\n")), 200);
    }
    w.run_for(5_000);
    let seen: Vec<_> = w[b].requests("INFO").iter().map(|info| info.body.clone()).collect();
    let digits: Vec<_> = seen.iter().filter_map(|body| body.lines().next()).collect();
    assert_eq!(digits, ["Signal=1", "Signal=2", "Signal=3"]);
    w.hang_up(a);
    w.assert_empty();
}

/// Row 152: a side that takes no INFO has the digit in its stream; one that takes neither keeps nothing from the other.
#[test]
fn row_152_a_digit_by_info_is_an_event_for_a_side_that_takes_no_info() {
    let (mut w, a, b) = talking_with("INVITE, ACK, BYE");
    assert_eq!(info(&mut w, a, RELAY, "Signal=#\r\nDuration=240\r\n"), 200);
    assert!(w[b].requests("INFO").is_empty());
    assert_eq!(w.media.keys, [(Side::B, 11, Duration::from_millis(240))]);
    // The other way: what the stream cannot have is asked of the signalling.
    let call = w.call();
    let pressed = |side| Input::Pressed { side, event: 5, duration: Duration::from_millis(100) };
    w.input(call, pressed(Side::B));
    assert!(w[b].requests("INFO").is_empty(), "it takes none");
    w.hang_up(b);
    w.assert_empty();
    let lines: Vec<_> = w.record().timeline.iter().filter(|line| line.what == "digit").collect();
    assert!(
        lines[0].text.ends_with("in the audio's stream") && lines[1].text.contains("takes none")
    );

    let (mut w, _, b) = talking_with("INVITE, ACK, BYE, INFO");
    let call = w.call();
    w.input(call, pressed(Side::B));
    w.run_for(100);
    let bodies: Vec<_> = w[b].requests("INFO").iter().map(|info| info.body.clone()).collect();
    assert_eq!(bodies, ["Signal=5\r\nDuration=100\r\n"]);
    assert_eq!(w.media.keys, []);
}

/// Row 152: `dtmf` of a phone says in which form it is brought digits, whatever else it takes.
#[test]
fn row_152_the_form_of_digits_is_as_configured() {
    let table = [
        // The form, whether the phone says that it takes INFO, and then: INFOs, events or tones.
        (Dtmf::Auto, true, 1, 0),
        (Dtmf::Auto, false, 0, 1),
        (Dtmf::Rfc4733, true, 0, 1),
        (Dtmf::Inband, true, 0, 1),
        (Dtmf::Info, true, 1, 0),
        (Dtmf::Info, false, 0, 0),
    ];
    for (dtmf, takes_info, infos, keys) in table {
        let mut office = office();
        office.phones.get_mut("1002").unwrap().dtmf = dtmf;
        let mut w = World::new(office);
        let [a, b] = ["1001", "1002"].map(|extension| w.phone(extension));
        let allow = if takes_info { "Allow: INVITE, ACK, BYE, INFO" } else { "Allow: INVITE, ACK" };
        w[b].habits.on_invite = vec![(20, ring()), (500, ok().header(allow))];
        w.dial(a, "1002");
        w.run_for(1_000);
        assert_eq!(info(&mut w, a, RELAY, "Signal=5\r\n"), 200);
        assert_eq!((w[b].requests("INFO").len(), w.media.keys.len()), (infos, keys), "{dtmf:?}");
        let open = &w.media.open[&w.call()];
        let events = open.b.send_formats.iter().any(|format| format.is_telephone_event());
        assert_eq!(events, matches!(dtmf, Dtmf::Auto | Dtmf::Rfc4733), "{dtmf:?}");
        assert_eq!(open.b.is_toneless, matches!(dtmf, Dtmf::Info | Dtmf::Rfc4733), "{dtmf:?}");
    }
}
