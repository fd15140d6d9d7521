use super::*;

const LONG: Duration = Duration::from_secs(10);

fn party(name: &str, told: &str) -> Facts {
    Facts {
        party: name.to_owned(),
        told: told.parse().ok(),
        may_speak: true,
        may_hear: true,
        flow: Packets { came: 500, passed: 500, sent: 500, sampled: 20, ..Packets::default() },
        ..Facts::default()
    }
}

fn alice() -> Facts {
    party("1001", "192.0.2.7:4000")
}

fn bob() -> Facts {
    party("1002", "10.0.0.8:4002")
}

/// What is said once Alice's packets fare like this and Bob is like that.
fn said(flow: Packets, change: impl FnOnce(&mut Facts, &mut Facts)) -> String {
    let (mut a, mut b) = (Facts { flow, ..alice() }, bob());
    change(&mut a, &mut b);
    Hearing::of(&a, &b, LONG).unwrap().to_string()
}

fn nothing(_: &mut Facts, _: &mut Facts) {}

/// Row 147: each way in which a side is not heard, in the words of the record.
#[test]
fn row_147_one_way_audio_has_a_sentence_for_each_of_its_causes() {
    let none = Packets { sent: 500, ..Packets::default() };
    let some = Packets { came: 500, ..none };
    let whole = alice().flow;
    let table = [
        (said(whole, nothing), "both_ways"),
        (
            said(none, nothing),
            "one_way: 1001 was not heard: no packet came from its address (192.0.2.7:4000); is UDP from there to our media ports let in?",
        ),
        (
            said(none, |a, _| a.told = "192.168.1.7:4000".parse().ok()),
            "one_way: 1001 was not heard: no packet came from its address (192.168.1.7:4000); behind NAT? Is UDP to our media ports let in?",
        ),
        (
            said(none, |a, _| a.told = None),
            "one_way: 1001 was not heard: it gave no address for its audio, and no packet came",
        ),
        (
            said(Packets { strangers: 40, ..none }, |a, _| {
                a.stranger = "198.51.100.1:9".parse().ok()
            }),
            "one_way: 1001 was not heard: strangers' packets were dropped: 40 came from 198.51.100.1:9, and not from its address (192.0.2.7:4000)",
        ),
        (
            said(Packets { unauthentic: 40, ..none }, nothing),
            "one_way: 1001 was not heard: 40 packets came that its SRTP key does not open",
        ),
        (
            said(Packets { malformed: 3, ..none }, nothing),
            "one_way: 1001 was not heard: 3 packets came that are no RTP",
        ),
        (said(none, |a, _| a.may_speak = false), "one_way: 1001 was not heard: it was on hold"),
        (
            said(Packets { on_hold: 500, ..some }, |_, b| b.may_hear = false),
            "one_way: 1001 was not heard: 500 packets came but it was on hold",
        ),
        (
            said(Packets { wrong_codec: 500, ..some }, nothing),
            "one_way: 1001 was not heard: 500 packets came of a codec that was not agreed on",
        ),
        (
            said(Packets { sampled: 20, silent: 20, passed: 500, ..some }, nothing),
            "one_way: 1001 was not heard: 500 packets came and were silence; is its microphone muted or unplugged?",
        ),
        (
            said(Packets { on_hold: 500, ..some }, |_, b| b.told = None),
            "one_way: 1001 was not heard: 1002 gave no address to send it to",
        ),
        (
            said(some, |_, b| (b.flow.sent, b.flow.not_taken) = (0, 500)),
            "one_way: 1001 was not heard: the system did not take what we sent to 10.0.0.8:4002: 500 packets; is there a route to it, and no firewall here?",
        ),
        (
            said(whole, |_, b| b.far_loss_percent = Some(99.6)),
            "one_way: 1001 was not heard: 1002 reports that it did not get 100 % of what we sent to 10.0.0.8:4002; is UDP from us let in there?",
        ),
        (
            said(Packets { late: 500, ..some }, nothing),
            "one_way: 1001 was not heard: 500 packets came and none could be passed on (500 too late)",
        ),
        (
            said(none, |_, b| b.flow = Packets { sent: 0, ..Packets::default() }),
            "no_audio: 1001 was not heard: no packet came from its address (192.0.2.7:4000); is UDP from there to our media ports let in?; and 1002 was not heard: no packet came from its address (10.0.0.8:4002); behind NAT? Is UDP to our media ports let in?",
        ),
    ];
    for (said, expected) in table {
        assert_eq!(said, expected);
    }
}

#[test]
fn what_is_no_fault_is_not_called_one() {
    let flow = |flow| Facts { flow, ..alice() };
    let heard = Hearing::of(&flow(alice().flow), &bob(), LONG).unwrap();
    assert!(!heard.is_fault() && heard.word() == "both_ways");
    let held = Facts { may_speak: false, ..flow(Packets::default()) };
    assert!(!Hearing::of(&held, &bob(), LONG).unwrap().is_fault());
    let missing = Hearing::of(&flow(Packets::default()), &bob(), LONG).unwrap();
    assert!(missing.is_fault() && missing.word() == "one_way");
    // A few packets of silence, and a pause between words, are not yet a dead microphone.
    let quiet = |sampled, silent| flow(Packets { sampled, silent, ..alice().flow });
    for facts in [quiet(5, 5), quiet(20, 19), quiet(0, 0)] {
        assert_eq!(Hearing::of(&facts, &bob(), LONG), Some(Hearing::BothWays));
    }
    assert_eq!(Hearing::of(&flow(Packets::default()), &bob(), TALK_MIN / 2), None);
}

#[test]
fn what_was_dropped_is_listed_with_why() {
    let flow = Packets { strangers: 1, wrong_codec: 2, not_taken: 3, ..Packets::default() };
    assert_eq!(flow.dropped(), "1 from strangers, 2 of another codec, 3 not taken by the system");
    assert_eq!(Packets::default().dropped(), "");
    let before = Packets { strangers: 1, wrong_codec: 5, ..Packets::default() };
    assert_eq!(flow.since(before), Packets { wrong_codec: 0, strangers: 0, ..flow });
}
