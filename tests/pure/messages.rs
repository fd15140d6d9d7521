//! MESSAGE from phone to phone.

use crate::scene::two_phones;
use crate::sim::office::{CARRIER, office};
use crate::sim::phone::{Ask, Reply};
use crate::sim::text::Text;
use crate::sim::world::{PhoneId, World};
use tandem::switch::snapshot::OtherFrom;

/// Sends a message as `from` and gives the latest status after a while; 0 if there is none.
fn say(w: &mut World, id: PhoneId, from: &str, to: &str, headers: &str, body: &str) -> u16 {
    let call_id = send(w, id, from, to, headers, body);
    w.run_for(1_000);
    let is_own = |text: &&Text| text.call_id() == call_id;
    w[id].got.iter().rev().map(|(_, text)| text).find(is_own).map_or(0, Text::status)
}

/// Sends a message and gives its Call-ID.
fn send(w: &mut World, id: PhoneId, from: &str, to: &str, headers: &str, body: &str) -> String {
    let (call_id, tag) = (w[id].fresh("message"), w[id].fresh("tag"));
    let uri = if to.contains(':') { to.to_owned() } else { format!("sip:{to}@tandem") };
    let ask = Ask {
        method: "MESSAGE".into(),
        from: format!("<sip:{from}@tandem>;tag={tag}"),
        to: format!("<{uri}>"),
        uri,
        call_id: call_id.clone(),
        cseq: 1,
        headers: format!("Contact: {}\r\nContent-Type: text/plain\r\n{headers}", w[id].contact()),
        body: body.to_owned(),
        call: None,
        tries: 0,
    };
    let now = w.now;
    w[id].ask(now, ask);
    w.flush(id.0);
    call_id
}

/// Row 135.
#[test]
fn row_135_a_message_goes_from_who_logged_in_without_a_contact() {
    let (mut w, a, b) = two_phones();
    let headers =
        "Date: Sat, 21 Nov 2026 07:42:22 GMT\r\nP-Asserted-Identity: <sip:boss@tandem>\r\n";
    assert_eq!(say(&mut w, a, "boss", "1002", headers, "Grüße, 你好"), 200);
    let got = w[b].requests("MESSAGE")[0].clone();
    assert_eq!(got.body, "Grüße, 你好");
    assert_eq!(got.get("Content-Type"), "text/plain");
    assert_eq!(got.get("Date"), "Sat, 21 Nov 2026 07:42:22 GMT");
    assert!(got.get("From").starts_with("\"Alice\" <sip:1001@10.0.0.1>"), "{}", got.get("From"));
    assert_eq!(got.uri(), "sip:1002@10.0.0.12:5060");
    assert_eq!(got.get("Max-Forwards"), "69");
    for absent in ["Contact", "Authorization", "P-Asserted-Identity", "Record-Route"] {
        assert!(!got.has(absent), "{absent}");
    }
    assert!(!w[a].response(200).unwrap().has("Contact"));
    let told: Vec<_> = w.events.iter().filter(|(kind, _)| *kind == "message.relayed").collect();
    let fields = [("from", "1001"), ("to", "1002"), ("status", "200")];
    assert_eq!(told[0].1, fields.map(|(name, value)| (name, value.to_owned())));
    w.assert_empty();
}

/// A message that asks for it comes from nobody; the key of a phone is for its calls.
#[test]
fn row_117_a_message_is_withheld_only_if_it_asks_for_that() {
    let mut snapshot = office();
    snapshot.phones.get_mut("1001").unwrap().withhold = true;
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    assert_eq!(say(&mut w, a, "1001", "1002", "", "hi"), 200);
    assert_eq!(say(&mut w, a, "1001", "1002", "Privacy: id\r\n", "hi"), 200);
    let from: Vec<_> = w[b].requests("MESSAGE").iter().map(|m| m.get("From").to_owned()).collect();
    assert!(from[0].contains("<sip:1001@"), "{from:?}");
    assert!(from[1].contains("<sip:anonymous@anonymous.invalid>"), "{from:?}");
    w.assert_empty();
}

/// Row 135: whoever claims to be somebody else is refused where calls are.
#[test]
fn row_135_another_identity_is_refused_where_the_policy_says_so() {
    let mut snapshot = office();
    snapshot.sip.other_from = OtherFrom::Refuse;
    snapshot.phones.get_mut("1001").unwrap().rights.identities = vec!["+8620".into()];
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    assert_eq!(say(&mut w, a, "boss", "1002", "", "hi"), 403);
    assert_eq!(say(&mut w, a, "+8620", "1002", "", "hi"), 200);
    assert!(w[b].requests("MESSAGE")[0].get("From").contains("<sip:+8620@"));
    w.assert_empty();
}

/// Row 135: nobody's word is taken for it.
#[test]
fn row_135_strangers_and_trunks_send_no_messages() {
    let (mut w, a, b) = two_phones();
    let stranger = w.party("1002", "192.0.2.66:5060");
    w[stranger].habits.logs_in = false;
    assert_eq!(say(&mut w, stranger, "1002", "1001", "", "hi"), 401);
    w[b].secret = "guessed".into();
    assert_eq!(say(&mut w, b, "1002", "1001", "", "hi"), 403);
    let carrier = w.party("carrier", CARRIER);
    assert_eq!(say(&mut w, carrier, "1002", "1001", "", "hi"), 405);
    assert!(w[a].requests("MESSAGE").is_empty());
    w.assert_empty();
}

/// Row 135: what is too large for a datagram is refused, and not sent in pieces.
#[test]
fn row_135_a_message_is_no_larger_than_1300_bytes_on_udp() {
    let (mut w, a, b) = two_phones();
    for (length, status) in [(800, 200), (1_200, 513), (1_300, 513), (1_301, 413)] {
        assert_eq!(say(&mut w, a, "1001", "1002", "", &"x".repeat(length)), status, "{length}");
    }
    assert_eq!(w[b].requests("MESSAGE").len(), 1);
    let sent = w.wires.iter().filter(|wire| wire.to == w[b].at && wire.text.is("MESSAGE"));
    assert!(sent.count() == 1, "only the small one left us");
    w.assert_empty();
}

/// Over connections there is room; a device that has none is left out, and others get it.
#[test]
fn over_connections_a_message_may_be_longer() {
    let mut w = World::new(office());
    let connected = |w: &mut World, user: &str, at: &str| {
        let id = w.party(user, at);
        w[id].is_tcp = true;
        w[id].domain = "tandem".into();
        w.register(id);
        id
    };
    let a = connected(&mut w, "1001", "10.0.0.21:5060");
    let b = connected(&mut w, "1002", "10.0.0.22:5060");
    let desk = w.second_phone("desk", "1002");
    assert_eq!(say(&mut w, a, "1001", "1002", "", &"x".repeat(16_384)), 200);
    assert_eq!(say(&mut w, a, "1001", "1002", "", &"x".repeat(16_385)), 413);
    assert_eq!(w[b].requests("MESSAGE").len(), 1);
    assert_eq!(w[desk].requests("MESSAGE").len(), 0);
    w.assert_empty();
}

/// What is sent by `sips` goes under TLS on every hop, or nowhere, as calls do.
#[test]
fn a_secret_message_is_not_told_where_others_listen() {
    let (mut w, a, b) = two_phones();
    assert_eq!(say(&mut w, a, "1001", "sips:1002@tandem", "", "hi"), 480);
    assert!(w[b].requests("MESSAGE").is_empty());
    w.assert_empty();
}

#[test]
fn a_message_to_nobody_is_refused_like_a_call() {
    let (mut w, a, _) = two_phones();
    for (to, headers, status) in [
        ("1009", "", 404),
        // Registered nowhere.
        ("1003", "", 480),
        // A number of a trunk's: messages do not leave the house.
        ("0123", "", 404),
        ("1002", "Content-Encoding: gzip\r\n", 415),
    ] {
        assert_eq!(say(&mut w, a, "1001", to, headers, "hi"), status, "{to} {headers}");
    }
    // A number of ours leads to its phone.
    assert_eq!(say(&mut w, a, "1001", crate::sim::office::NUMBER, "", "hi"), 200);
    w.assert_empty();
}

#[test]
fn every_device_gets_it_and_the_first_that_takes_it_answers() {
    let (mut w, a, b) = two_phones();
    let desk = w.second_phone("desk", "1002");
    w[b].habits.on_method = vec![("MESSAGE", Reply::status(486)), ("MESSAGE", Reply::status(486))];
    assert_eq!(say(&mut w, a, "1001", "1002", "", "one"), 200);
    assert_eq!(w[b].requests("MESSAGE").len(), 1);
    assert_ne!(
        w[b].requests("MESSAGE")[0].call_id(),
        w[desk].requests("MESSAGE")[0].call_id(),
        "a device with two contacts would take the second copy for a loop"
    );
    w[desk].habits.on_method = vec![("MESSAGE", Reply::status(603))];
    assert_eq!(
        say(&mut w, a, "1001", "1002", "", "two"),
        486,
        "nobody takes it: the first refusal"
    );
    w.assert_empty();
}

#[test]
fn what_a_device_asks_of_us_is_not_asked_of_the_sender() {
    let (mut w, a, b) = two_phones();
    for (said, passed) in [(401, 480), (407, 480), (302, 480), (503, 500), (415, 415), (202, 202)] {
        w[b].habits.on_method = vec![("MESSAGE", Reply::status(said))];
        assert_eq!(say(&mut w, a, "1001", "1002", "", "hi"), passed, "{said}");
    }
    w.assert_empty();
}

/// RFC 4320 §4.2: no 408 to a request that is no INVITE.
#[test]
fn after_silence_the_sender_is_not_told_late() {
    let (mut w, a, b) = two_phones();
    w[b].habits.answers = false;
    assert_eq!(say(&mut w, a, "1001", "1002", "", "hi"), 401, "only the challenge is answered");
    assert_eq!(w.board.counts().messages, 1);
    w.run_for(60_000);
    assert_eq!(w[a].statuses("MESSAGE"), [401]);
    assert_eq!(w.board.counts().messages, 0);
    let at = w[b].at;
    w.unreachable.insert(at);
    assert_eq!(say(&mut w, a, "1001", "1002", "", "hi"), 480, "an address that refuses is known");
    w.assert_empty();
}

#[test]
fn a_lost_answer_is_said_again_and_the_message_is_sent_once() {
    let (mut w, a, b) = two_phones();
    let at = w[a].at;
    w.net.drop_once.push(Box::new(move |wire| wire.to == at && wire.text.status() == 200));
    assert_eq!(say(&mut w, a, "1001", "1002", "", "hi"), 200);
    w.run_for(2_000);
    assert_eq!(w[a].statuses("MESSAGE").last(), Some(&200));
    assert_eq!(w[b].requests("MESSAGE").len(), 1);
    w.assert_empty();
}

#[test]
fn a_phone_may_have_so_many_under_way() {
    let mut snapshot = office();
    snapshot.phones.get_mut("1001").unwrap().rights.identities = vec!["+8620".into()];
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.answers = false;
    for index in 0..40 {
        let from = if index % 2 == 0 { "1001" } else { "+8620" };
        send(&mut w, a, from, "1002", "", "hi");
    }
    w.run_for(1_000);
    assert_eq!(w.board.counts().messages, 32);
    let refused: Vec<_> = w[a].statuses("MESSAGE").into_iter().filter(|s| *s == 500).collect();
    assert_eq!(refused.len(), 8);
    assert_eq!(w[a].response(500).unwrap().get("Retry-After"), "5");
    assert_eq!(say(&mut w, b, "1002", "1001", "", "hi"), 200, "others are not held up");
    w.assert_empty();
}
