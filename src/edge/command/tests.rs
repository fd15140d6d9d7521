//! Every method, and what is said about a wrong one.

use serde_json::json;

use super::*;
use crate::proto::time::Wall;
use crate::switch::call::Side;
use crate::switch::phrase::{Language, Spoken};
use crate::switch::speech::{Say, Saying};

fn read(method: &str, params: Value) -> Result<Command, RpcError> {
    Command::from_rpc(method, Some(&params))
}

#[test]
fn every_method_becomes_its_command() {
    let call = CallId(0xabc);
    let grid = [
        ("status", json!({}), Command::Status),
        ("phones.list", json!(null), Command::Phones),
        ("subscriptions.list", json!(null), Command::Subscriptions),
        (
            "phone.show",
            json!({"extension": "1001", "secret": true}),
            Command::PhoneShow { extension: "1001".into(), with_secret: true },
        ),
        (
            "phone.provision",
            json!({"extension": "1001", "file": ""}),
            Command::PhoneProvision {
                extension: "1001".into(),
                is_new: false,
                file: Some(String::new()),
            },
        ),
        (
            "phone.clear",
            json!({"extension": "1001"}),
            Command::PhoneClear { extension: "1001".into() },
        ),
        ("trunks.list", json!([]), Command::Trunks),
        (
            "trunk.test",
            json!({"trunk": "a", "number": "+8620"}),
            Command::TrunkTest { trunk: "a".into(), number: "+8620".into() },
        ),
        ("trunk.explain", json!({"trunk": "a b"}), Command::TrunkExplain { trunk: "a b".into() }),
        ("calls.list", json!({}), Command::Calls),
        ("call.show", json!({"call": "0000000000000abc"}), Command::CallShow { call }),
        ("call.hangup", json!({"call": "abc"}), Command::CallHangup { call }),
        (
            "call.originate",
            json!({"from": "1001", "to": "+8620", "auto_answer": true}),
            Command::CallOriginate {
                from: "1001".into(),
                to: "+8620".into(),
                answers_itself: true,
            },
        ),
        ("events.subscribe", json!({"since": 7}), Command::Events { since: Some(7) }),
        ("events.subscribe", json!({}), Command::Events { since: None }),
        ("reload", json!({"dry_run": true}), Command::Reload { is_dry_run: true }),
        ("doctor", json!({}), Command::Doctor),
        ("guard", json!({}), Command::Guard),
        (
            "guard.unban",
            json!({"address": "2001:db8::/64"}),
            Command::GuardUnban { address: "2001:db8::".parse().unwrap() },
        ),
        (
            "records.list",
            json!({"limit": 5, "since": "2026-01-31T08:00:00+08:00", "caller": "1001"}),
            Command::Records(RecordFilter {
                limit: 5,
                since: Some(Wall(1_769_817_600_000_000)),
                caller: Some("1001".to_owned()),
                ..RecordFilter::default()
            }),
        ),
    ];
    for (method, params, command) in grid {
        assert_eq!(read(method, params), Ok(command), "{method}");
    }
    let tested = METHODS.len();
    assert_eq!(tested, 31, "a new method needs a line above or below");
}

#[test]
fn what_is_asked_of_recordings_becomes_its_command() {
    let call = CallId(0xabc);
    let grid = [
        (
            "call.record",
            json!({"call": "abc", "order": "pause"}),
            Command::CallRecord { call, order: RecordOrder::Pause },
        ),
        (
            "recordings.list",
            json!({"limit": 5}),
            Command::Recordings(RecordingFilter { limit: 5, before: None, since: None }),
        ),
        (
            "recording.delete",
            json!({"call": "abc", "reason": " asked by the customer "}),
            Command::RecordingDelete { call, reason: "asked by the customer".into() },
        ),
        ("audit.list", json!({}), Command::Audit { limit: 50 }),
    ];
    for (method, params, command) in grid {
        assert_eq!(read(method, params), Ok(command), "{method}");
    }
    let message = |method, params| read(method, params).unwrap_err().message;
    let wrong = message("call.record", json!({"call": "abc", "order": "stop"}));
    assert_eq!(wrong, "`order` must be start, pause or resume");
    let wrong = message("recording.delete", json!({"call": "abc", "reason": " "}));
    assert_eq!(wrong, "`reason` must be a line of up to 200 bytes");
}

#[test]
fn what_is_asked_of_rooms_becomes_its_command() {
    let call = CallId(0xabc);
    let order = |call, order| Command::RoomOrder { room: "800".into(), call, order };
    let grid = [
        (
            "call.watch",
            json!({"call": "abc", "phone": "1003", "heard_by": "called"}),
            Command::CallWatch { call, phone: "1003".into(), heard_by: HeardBy::Called },
        ),
        ("rooms.list", json!({}), Command::Rooms),
        ("room.show", json!({"room": "800"}), Command::RoomShow { room: "800".into() }),
        ("room.order", json!({"room": "800", "order": "lock"}), order(None, RoomOrder::Lock(true))),
        (
            "room.order",
            json!({"room": "800", "call": "abc", "order": "gain", "gain_db": -6}),
            order(Some(call), RoomOrder::Gain(-6)),
        ),
        (
            "room.order",
            json!({"room": "800", "call": null, "order": "kick"}),
            order(None, RoomOrder::Kick),
        ),
    ];
    for (method, params, command) in grid {
        assert_eq!(read(method, params), Ok(command), "{method}");
    }
    let message = |method, params| read(method, params).unwrap_err().message;
    let wrong = message("room.order", json!({"room": "800", "order": "gain", "gain_db": 21}));
    assert_eq!(wrong, "`gain_db` must be a number of dB from -20 to 20");
    let wrong = message("room.order", json!({"room": "800", "order": "paint"}));
    assert_eq!(wrong, "`order` must be one of lock, unlock, mute, unmute, kick, gain");
    let wrong = message("call.watch", json!({"call": "abc", "phone": "1003", "heard_by": "all"}));
    assert_eq!(wrong, "`heard_by` must be nobody, caller, called or both");
}

#[test]
fn a_full_page_says_where_the_next_begins() {
    let row = |began: &str| reply::RecordRow { began: began.to_owned(), ..Default::default() };
    let page = reply::RecordsReply::page(vec![row("2"), row("1")], 2);
    assert_eq!(page.next_before.as_deref(), Some("1"));
    assert_eq!(reply::RecordsReply::page(page.records, 3).next_before, None);
    assert_eq!(reply::RecordsReply::page(Vec::new(), 0).next_before, None);
}

#[test]
fn a_wrong_name_is_answered_with_the_right_one() {
    let error = read("call.shwo", json!({})).unwrap_err();
    assert_eq!((error.code, error.data), (-32601, Some(json!({"suggestion": "call.show"}))));
    let error = read("reload", json!({"dryrun": true})).unwrap_err();
    assert_eq!((error.code, error.data), (-32602, Some(json!({"suggestion": "dry_run"}))));
    assert_eq!(error.message, "unknown parameter `dryrun`; did you mean `dry_run`?");
}

#[test]
fn malformed_parameters_are_refused_in_words() {
    let message = |method, params| read(method, params).unwrap_err().message;
    assert_eq!(message("call.show", json!({})), "`call` is missing");
    assert_eq!(message("call.show", json!({"call": 5})), "`call` must be a string");
    assert_eq!(message("call.show", json!({"call": "+1"})), "`call` must be up to 16 hex digits");
    assert_eq!(message("call.show", json!(["x"])), "parameters are named: send an object");
    assert_eq!(
        message("call.originate", json!({"from": "1001", "to": "a\r\nb"})),
        "`to` must be an extension or a number to dial"
    );
    assert_eq!(message("reload", json!({"dry_run": 1})), "`dry_run` must be true or false");
    assert_eq!(
        message("records.list", json!({"since": "yesterday"})),
        "`since` must be a time such as 2026-01-31T08:00:00Z"
    );
}

#[test]
fn what_is_to_be_said_becomes_its_command() {
    let call = CallId(0xabc);
    let say = |what, language| Say { what, language };
    let prompts = ["conf-count", "n-7"].map(|name| Spoken::Prompt(name.into()));
    let grid = [
        (
            "call.say",
            json!({"call": "abc", "text": "Hello", "side": "b"}),
            Command::Speech(SpeechCommand::Say {
                call,
                sides: vec![Side::B],
                say: say(Saying::Text("Hello".into()), None),
            }),
        ),
        (
            "call.say",
            json!({"call": "abc", "prompts": "conf-count  n-7", "language": "zh-CN"}),
            Command::Speech(SpeechCommand::Say {
                call,
                sides: vec![Side::A, Side::B],
                say: say(Saying::Phrase(prompts.to_vec()), Some(Language::Chinese)),
            }),
        ),
        ("call.silence", json!({"call": "abc"}), Command::Speech(SpeechCommand::Silence { call })),
        (
            "call.transcribe",
            json!({"call": "abc", "on": false}),
            Command::Speech(SpeechCommand::Transcribe { call, is_on: false }),
        ),
        (
            "speech.preview",
            json!({"file": "/a.wav"}),
            Command::Speech(SpeechCommand::Preview {
                say: say(Saying::File("/a.wav".into()), None),
            }),
        ),
    ];
    for (method, params, command) in grid {
        assert_eq!(read(method, params), Ok(command), "{method}");
    }
    let long = "字".repeat(601);
    for (params, words) in [
        (json!({"text": long}), "1 to 600 characters, not 601"),
        (json!({"text": " "}), "1 to 600"),
        (json!({"file": "a.wav"}), "begin with /"),
        (json!({"text": "a", "file": "/a"}), "one of"),
        (json!({}), "one of"),
        (json!({"prompts": ""}), "names of prompts"),
        (json!({"text": "a", "language": "fr"}), "en or zh-CN"),
    ] {
        let message = read("speech.preview", params).unwrap_err().message;
        assert!(message.contains(words), "{message}");
    }
}
