use super::dialog_info::{Direction, Entry, Party, State};
use super::message_summary::{Counts, Summary};
use super::*;
use crate::proto::sip::endpoint::ClientKey;
use crate::proto::sip::message::Parsed;
use crate::proto::sip::message::build::with_via;
use crate::proto::sip::transport::{Flow, Transport};
use crate::proto::time::{Instant, Wall};
use crate::proto::xml::escape;

fn subscribe(headers: &str) -> Message {
    let text = format!(
        "SUBSCRIBE sip:1002@tandem SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bKa\r\n\
         From: <sip:1001@tandem>;tag=a\r\nTo: <sip:1002@tandem>\r\nCall-ID: x\r\nCSeq: 1 SUBSCRIBE\r\n\
         {headers}Content-Length: 0\r\n\r\n"
    );
    match Message::parse(text.as_bytes()) {
        Parsed::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_is_a_token_with_an_id() {
    let of = |value: &str| EventHeader::of(&subscribe(&format!("Event: {value}\r\n")));
    let event = |package: &str, id: Option<&str>| {
        Some(EventHeader { package: package.into(), id: id.map(str::to_owned) })
    };
    assert_eq!(of("dialog"), event("dialog", None));
    assert_eq!(of("dialog ; id=7;call-id=x"), event("dialog", Some("7")));
    assert_eq!(of(";id=7"), None);
    assert_eq!(EventHeader::of(&subscribe("")), None);
    assert_eq!(EventHeader::of(&subscribe("o: dialog\r\n")), event("dialog", None));
    assert_eq!(of("Dialog;id=a").map(|event| event.to_string()).as_deref(), Some("Dialog;id=a"));
    let (a, b) = (of("Dialog;id=a"), of("dialog;id=A"));
    assert!(!a.unwrap().is_same(&b.unwrap()), "an id is compared byte by byte");
}

/// Row 129: neither a restart nor a new year takes the numbers back.
#[test]
fn numbers_of_notifies_rise_with_the_clock() {
    let flow = Flow {
        transport: Transport::Udp,
        listener: 0,
        local: ([10, 0, 0, 1], 5060).into(),
        remote: ([10, 0, 0, 11], 5060).into(),
        connection: 0,
    };
    let first = |seconds: i64| {
        let (request, event) = (subscribe("Event: dialog\r\n"), "dialog".to_owned());
        let event = EventHeader { package: event, id: None };
        let times = (Wall(seconds * 1_000_000), Instant::START);
        let mut notifier = Notifier::new(&request, "t", "<sip:x@y>", flow, event, times).unwrap();
        let sent = notifier.notify(Instant::START, ClientKey(1), "t", ("text/plain", ""));
        let packet = with_via(&sent.unwrap().1, "SIP/2.0/UDP x;branch=z9hG4bKx");
        match Message::parse(&packet) {
            Parsed::Message(notify) => notify.cseq().number,
            other => panic!("{other:?}"),
        }
    };
    let new_year = 1_798_761_600;
    let walls = [0, 1_735_689_600, 1_735_689_601, new_year - 1, new_year, 3_000_000_000];
    let numbers = walls.map(first);
    assert_eq!(numbers[0], numbers[1], "a clock that was never set counts from the beginning");
    assert!(numbers[1..].is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(first(i64::MAX / 1_000_000) > 0 && first(i64::MIN / 1_000_000) > 0);
}

#[test]
fn a_body_is_taken_by_who_accepts_it() {
    for (accept, is_accepted) in [
        ("", true),
        ("Accept: application/dialog-info+xml\r\n", true),
        ("Accept: text/plain, Application/Dialog-Info+XML;q=0.5\r\n", true),
        ("Accept: text/plain\r\nAccept: */*\r\n", true),
        ("Accept: application/*\r\n", true),
        ("Accept: application/pidf+xml\r\n", false),
        ("Accept: application/dialog-info+xml;q=0\r\n", false),
        ("Accept:\r\n", false),
    ] {
        assert_eq!(Package::Dialog.is_accepted_by(&subscribe(accept)), is_accepted, "{accept}");
    }
}

#[test]
fn nothing_from_outside_can_add_an_element() {
    let text = "<\"&'>\u{0}\r\n\u{1b}\u{85}\u{fffe}\u{ffff}\u{202e}é";
    let blanks = " ".repeat(7);
    assert_eq!(escape(text), format!("&lt;&quot;&amp;&apos;&gt;{blanks}\u{202e}é"));
    let nasty = || Party { number: "10\"/><dialog>".into(), name: "</state>&".into() };
    let entry = Entry {
        call_id: "a\"b".into(),
        our_tag: "t<".into(),
        peer_tag: Some("'".into()),
        direction: Direction::Recipient,
        state: State::Early,
        local: nasty(),
        remote: nasty(),
    };
    let document = dialog_info::write(3, "1<", "h\">", &[entry]);
    assert_eq!(document.matches("<dialog ").count(), 1, "{document}");
    assert_eq!(document.matches("</state>").count(), 1, "{document}");
    let quotes = document.matches('"').count();
    assert_eq!(quotes % 2, 0, "{document}");
}

#[test]
fn the_document_of_a_call_that_rings() {
    let entry = Entry {
        call_id: "c1".into(),
        our_tag: "ours".into(),
        peer_tag: Some("theirs".into()),
        direction: Direction::Recipient,
        state: State::Early,
        local: Party { number: "1002".into(), name: String::new() },
        remote: Party { number: "+8613800138000".into(), name: "Wang & Li".into() },
    };
    assert_eq!(
        dialog_info::write(4, "1002", "10.0.0.1:5060", &[entry]),
        "<?xml version=\"1.0\"?>\r\n\
         <dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"4\" state=\"full\" \
         entity=\"sip:1002@10.0.0.1:5060\">\r\n\
         <dialog id=\"ours\" call-id=\"c1\" local-tag=\"theirs\" remote-tag=\"ours\" direction=\"recipient\">\r\n\
         <state>early</state>\r\n\
         <local><identity>sip:1002@10.0.0.1:5060</identity><target uri=\"sip:1002@10.0.0.1:5060\"/></local>\r\n\
         <remote><identity display=\"Wang &amp; Li\">sip:+8613800138000@10.0.0.1:5060</identity>\
         <target uri=\"sip:+8613800138000@10.0.0.1:5060\"/></remote>\r\n\
         </dialog>\r\n</dialog-info>\r\n"
    );
}

#[test]
fn a_mailbox_that_nobody_counted_has_no_figures() {
    let counts = Counts { new: 2, old: 8, new_urgent: 0, old_urgent: 1 };
    assert_eq!(
        message_summary::write("1001", "tandem", &Summary::default()),
        "Messages-Waiting: no\r\nMessage-Account: sip:1001@tandem\r\n"
    );
    assert_eq!(
        message_summary::write("1001", "tandem", &Summary { voice: Some(counts) }),
        "Messages-Waiting: yes\r\nMessage-Account: sip:1001@tandem\r\nVoice-Message: 2/8 (0/1)\r\n"
    );
    assert!(!Summary { voice: Some(Counts { new: 0, ..counts }) }.is_waiting());
}
