use super::*;
use crate::proto::sip::message::Parsed;

fn invite(headers: &str) -> Message {
    let text = format!(
        "INVITE sip:1@x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: \"F\" <sip:+8610@x>;tag=1\r\nTo: <sip:1@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\
         {headers}Content-Length: 0\r\n\r\n"
    );
    match Message::parse(text.as_bytes()) {
        Parsed::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

fn party(number: &str, name: &str) -> Party {
    Party { number: number.into(), name: name.into() }
}

#[test]
fn an_asserted_identity_is_a_sip_uri_or_a_tel_one() {
    for (headers, expected) in [
        ("P-Asserted-Identity: <sip:+8620@c>\r\n", Some(party("+8620", ""))),
        (
            "P-Asserted-Identity: \"A, \\\"B\\\"\" <sip:+8620@c>, <tel:+8621>\r\n",
            Some(party("+8620", "A, \"B\"")),
        ),
        ("P-Asserted-Identity: <tel:+86-20-1;phone-context=x>\r\n", Some(party("+86201", ""))),
        // In two lines, the tel one first, with the name there.
        (
            "P-Asserted-Identity: \"N\" <tel:+86>\r\nP-Asserted-Identity: <sip:+8620@c>\r\n",
            Some(party("+8620", "N")),
        ),
        ("P-Asserted-Identity: <sip:carrier.example>, <tel:+8621>\r\n", Some(party("+8621", ""))),
        ("P-Asserted-Identity: <sip:anonymous@x>, <tel:+8621>\r\n", Some(party("+8621", ""))),
        ("P-Asserted-Identity: sip:+8620@c\r\n", Some(party("+8620", ""))),
        ("P-Asserted-Identity: <mailto:a@b>\r\n", None),
        ("P-Asserted-Identity: \"open <sip:1@c>\r\n", None),
        ("P-Asserted-Identity: <sip:anonymous@anonymous.invalid>\r\n", None),
        ("P-Asserted-Identity: ,,;;<<>>\r\n", None),
        ("", None),
    ] {
        assert_eq!(asserted(&invite(headers)), expected, "{headers}");
    }
    let long = format!("P-Asserted-Identity: <sip:{}@c>\r\n", "1".repeat(NUMBER_MAX + 1));
    assert_eq!(asserted(&invite(&long)), None);
    let long = format!("P-Asserted-Identity: \"{}\" <sip:1@c>\r\n", "n".repeat(1000));
    assert_eq!(asserted(&invite(&long)).unwrap().name.len(), NAME_MAX);
}

#[test]
fn a_remote_party_is_the_calling_one() {
    for (headers, expected) in [
        (
            "Remote-Party-ID: \"N\" <sip:+8620@c>;party=calling;screen=yes\r\n",
            Some((party("+8620", "N"), false)),
        ),
        (
            "Remote-Party-ID: <sip:+8620@c>;party=calling;privacy=full\r\n",
            Some((party("+8620", ""), true)),
        ),
        (
            "Remote-Party-ID: <sip:1@c>;party=called, <sip:+8620@c>;privacy=off\r\n",
            Some((party("+8620", ""), false)),
        ),
        ("Remote-Party-ID: <sip:1@c>;party=called\r\n", None),
        ("Remote-Party-ID: <sip:\r\n", None),
    ] {
        assert_eq!(remote_party(&invite(headers)), expected, "{headers}");
    }
}

#[test]
fn nobody_is_nobody_in_many_words() {
    let of = |from: &str| {
        let text = String::from_utf8(invite("").raw().to_vec()).unwrap();
        let text = text.replace("\"F\" <sip:+8610@x>", from);
        let Parsed::Message(message) = Message::parse(text.as_bytes()) else { panic!("{text}") };
        (is_from_anonymous(&message), super::from(&message).is_some())
    };
    for nobody in [
        "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
        "<sip:Anonymous@192.0.2.1>",
        "<sip:+8610@anonymous.invalid>",
        "<sip:unavailable@unknown.invalid>",
        "<sip:restricted@c>",
    ] {
        assert_eq!(of(nobody), (true, false), "{nobody}");
    }
    assert_eq!(of("<sip:+8610@c>"), (false, true));
    assert_eq!(of("<sip:carrier.example>"), (false, false));
}

#[test]
fn privacy_is_a_list_of_wishes() {
    let of = |value: &str| Privacy::of(&invite(&format!("Privacy: {value}\r\n")));
    for value in ["id", "ID;critical", "user;id", "header", "id, user"] {
        assert!(of(value).is_withheld, "{value}");
    }
    assert!(of("none").is_none && !of("none").is_withheld);
    assert!(of("none;id").is_withheld && !of("none;id").is_none, "hiding is the safe reading");
    assert!(!of("session").is_withheld && of("session;critical").unserved().is_none());
    assert_eq!(of("sphinx;critical").unserved().as_deref(), Some("sphinx"));
    assert_eq!(of("sphinx").unserved(), None);
    assert!(of("history").hides_history);
}

#[test]
fn diversions_are_read_and_written() {
    let read = Diversion::of(&invite(
        "Diversion: \"B, C\" <sip:+8621@c>;reason=no-answer;counter=1;privacy=full\r\n\
         Diversion: <tel:+8620>;reason=\"user-busy\", <sip:bad\r\n",
    ));
    let of = |number: &str, name: &str, reason, is_private| Diversion {
        number: number.into(),
        name: name.into(),
        reason,
        is_private,
    };
    let both =
        [of("+8621", "B, C", Reason::NoAnswer, true), of("+8620", "", Reason::UserBusy, false)];
    assert_eq!(read, both);
    assert_eq!(
        both[0].value("@h;user=phone"),
        "\"B, C\" <sip:+8621@h;user=phone>;reason=no-answer;privacy=full;counter=1"
    );
    let history = Diversion::history(&both, "@h", "sip:+8699@c");
    assert_eq!(
        history,
        [
            "<sip:+8620@h>;index=1",
            "<sip:+8621@h;cause=486?Privacy=history>;index=1.1;mp=1",
            "<sip:+8699@c;cause=408>;index=1.1.1;mp=1.1",
        ]
    );
    // And back: names are the only thing that is lost.
    let headers = format!("History-Info: {}\r\n", history.join(", "));
    let back = Diversion::of(&invite(&headers));
    assert_eq!(back, [of("+8621", "", Reason::NoAnswer, true), both[1].clone()]);
}

#[test]
fn a_call_that_was_forwarded_without_end_has_a_bounded_history() {
    let many = "Diversion: <sip:1@c>\r\n".repeat(60);
    assert_eq!(Diversion::of(&invite(&many)).len(), DIVERSIONS_MAX);
    let many = "History-Info: <sip:1@c;cause=302>;index=1\r\n".repeat(60);
    assert_eq!(Diversion::of(&invite(&many)).len(), DIVERSIONS_MAX);
}

#[test]
fn user_to_user_is_bounded() {
    let long = format!("User-to-User: {}\r\n", "ab".repeat(300));
    assert!(user_to_user(&invite(&long)).is_empty());
    let three = "User-to-User: 56a390;encoding=hex\r\n".repeat(3);
    assert_eq!(user_to_user(&invite(&three)), ["56a390;encoding=hex"; 2]);
}

/// From goes to records, screens and every leg, like the identity headers: what these may not hold it may not either.
#[test]
fn a_from_that_cannot_be_kept_names_nobody() {
    let long = "9".repeat(NUMBER_MAX + 1);
    for (user, is_kept) in [("+8620", true), ("%0d%0aX", false), ("%1b[31m", false), (&long, false)]
    {
        let text = format!(
            "INVITE sip:1@x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@x>;tag=1\r\nTo: <sip:1@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n"
        );
        let Parsed::Message(message) = Message::parse(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(from(&message).is_some(), is_kept, "{user}");
    }
}
