//! What carriers answer to a call, and how: provisional responses, forks, statuses, challenges.

use super::*;
use crate::sim::phone::{Body, early, ok, ring};

const EVIL: &str =
    "Proxy-Authenticate: Digest realm=\"evil.example\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";

fn in_dialog(text: &Text, method: &str) -> bool {
    text.is(method) && !text.tag_of_to().is_empty()
}

fn again(packet: &mut Packet, after_ms: u64) {
    packet.extra.push((after_ms, packet.text.clone()));
}

fn other_tag(text: &Text, tag: &str) -> Text {
    let mut text = text.clone();
    let to = text.get("To").split(";tag=").next().unwrap_or("").to_owned();
    text.set("To", &format!("{to};tag={tag}"));
    text
}

pub(super) static ALL: &[Quirk] = &[
    PLAIN,
    Quirk {
        name: "sends_from_another_port",
        rows: &[36],
        write: Some(|packet, _| packet.port = Some(5080)),
        ..PLAIN
    },
    Quirk {
        name: "answers_from_another_port",
        rows: &[36],
        write: Some(|packet, _| {
            packet.port = (!packet.text.is_request()).then_some(5080);
        }),
        ..PLAIN
    },
    Quirk {
        name: "183_with_sdp_then_180",
        rows: &[107],
        ways: OUT,
        invite: Some(|| vec![(20, early()), (200, ring()), (1000, ok())]),
        ..PLAIN
    },
    Quirk {
        name: "180_with_sdp_then_200_without",
        rows: &[107],
        ways: OUT,
        invite: Some(|| vec![(20, ring().body(Body::Auto)), (1000, Reply::status(200))]),
        ..PLAIN
    },
    Quirk {
        name: "183_without_sdp",
        rows: &[107],
        ways: OUT,
        invite: Some(|| vec![(20, Reply::status(183)), (1000, ok())]),
        ..PLAIN
    },
    Quirk {
        name: "180_with_sdp_then_other_sdp",
        rows: &[107],
        ways: OUT,
        invite: Some(|| vec![(20, ring().body(Body::Auto)), (1000, ok())]),
        write: Some(|packet, _| {
            if packet.is_answer(180..190) {
                packet.sdp("m=audio 4", "m=audio 5");
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "early_dialogs_with_different_tags",
        rows: &[107],
        ways: OUT,
        invite: Some(|| {
            vec![
                (20, early().tag("one")),
                (40, ring().tag("two")),
                (60, early().tag("three")),
                (1000, ok()),
            ]
        }),
        ..PLAIN
    },
    Quirk {
        name: "199_of_a_branch",
        rows: &[108],
        ways: OUT,
        invite: Some(|| {
            let gone = Reply::status(199).tag("one");
            vec![(20, early().tag("one")), (100, gone), (120, ring()), (1000, ok())]
        }),
        ..PLAIN
    },
    Quirk {
        name: "every_provisional_there_is",
        rows: &[113],
        ways: OUT,
        invite: Some(|| {
            let statuses = [100, 101, 180, 181, 182, 183, 189, 199];
            let mut all: Vec<_> =
                (1..).zip(statuses).map(|(i, status)| (20 * i, Reply::status(status))).collect();
            all.push((1000, ok()));
            all
        }),
        ..PLAIN
    },
    Quirk {
        name: "answers_at_once",
        rows: &[107],
        ways: OUT,
        invite: Some(|| vec![(0, ok())]),
        ..PLAIN
    },
    Quirk {
        name: "rings_after_the_answer",
        rows: &[107],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(200..300) {
                let mut late = packet.text.clone();
                late.start = "SIP/2.0 180 Ringing".into();
                late.body.clear();
                packet.extra.push((300, late));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "busy_after_the_answer",
        rows: &[112],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(200..300) {
                let mut late = packet.text.clone();
                late.start = "SIP/2.0 486 Busy Here".into();
                late.body.clear();
                packet.extra.push((300, late));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "two_200_of_different_branches",
        rows: &[25, 112],
        ways: OUT,
        write: Some(|packet, memory| {
            if packet.is_answer(200..300) && memory.count("second 200") == 0 {
                packet.extra.push((1, other_tag(&packet.text, "other-branch")));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "200_of_a_branch_seconds_later",
        rows: &[25, 112],
        ways: OUT,
        write: Some(|packet, memory| {
            if packet.is_answer(200..300) && memory.count("late 200") == 0 {
                packet.extra.push((3_000, other_tag(&packet.text, "late-branch")));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "200_repeated_although_acknowledged",
        rows: &[23],
        ways: OUT,
        write: Some(|packet, memory| {
            if packet.is_answer(200..300) && memory.count("repeats 200") == 0 {
                for after_ms in [20, 500, 1_500, 3_500, 7_500, 20_000] {
                    again(packet, after_ms);
                }
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "every_answer_twice_and_once_more_late",
        rows: &[21, 23],
        write: Some(|packet, _| {
            if !packet.text.is_request() {
                again(packet, 3);
                again(packet, 2_000);
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "200_without_a_to_tag",
        rows: &[107],
        ways: OUT,
        write: Some(|packet, _| {
            if !packet.text.is_request() {
                let to = packet.text.get("To").split(";tag=").next().unwrap_or("").to_owned();
                packet.text.set("To", &to);
            }
        }),
        // Its own requests name a tag that we never heard of.
        ends_badly: true,
        ..PLAIN
    },
    Quirk {
        name: "trying_with_a_to_tag",
        rows: &[107],
        ways: OUT,
        invite: Some(|| vec![(5, Reply::status(100)), (20, ring()), (1000, ok())]),
        ..PLAIN
    },
    Quirk {
        name: "reason_phrases_that_are_none",
        rows: &[20],
        write: Some(|packet, _| {
            if !packet.text.is_request() {
                packet.text.start = format!("SIP/2.0 {} ", packet.text.status());
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "503_with_retry_after",
        rows: &[46],
        ways: OUT,
        invite: Some(|| vec![(20, Reply::status(503).header("Retry-After: 120"))]),
        comes: Comes::Refused(&["peer_unavailable"]),
        ..PLAIN
    },
    Quirk {
        name: "503_storm",
        rows: &[46],
        ways: OUT,
        invite: Some(|| vec![(20, Reply::status(503).header("Retry-After: 0"))]),
        write: Some(|packet, _| {
            if packet.is_answer(503..504) {
                for ms in 1..40 {
                    again(packet, ms);
                }
            }
        }),
        comes: Comes::Refused(&["peer_unavailable"]),
        ..PLAIN
    },
    Quirk {
        name: "480_after_early_media_with_retry_after",
        rows: &[107, 115],
        ways: OUT,
        invite: Some(|| {
            let gone = Reply::status(480).header("Retry-After: 18000;duration=3600");
            vec![(20, early()), (400, gone.header("Reason: Q.850;cause=31"))]
        }),
        comes: Comes::Refused(&["no_answer"]),
        ..PLAIN
    },
    Quirk {
        name: "603_that_names_a_blocker",
        rows: &[115],
        ways: OUT,
        invite: Some(|| {
            let why = "Reason: SIP;cause=603;text=\"Network Blocked\";location=TN";
            vec![(20, Reply::status(603).header(why))]
        }),
        comes: Comes::Refused(&["declined"]),
        ..PLAIN
    },
    Quirk {
        name: "302_that_leads_back_to_us",
        rows: &[109],
        ways: OUT,
        invite: Some(|| {
            let here = "<sip:0123@198.51.100.1:5060>;q=0.8, <sip:+86123@203.0.113.10>;q=0.9";
            vec![(20, Reply::status(302).contact(here))]
        }),
        comes: Comes::Refused(&["peer_refused"]),
        ..PLAIN
    },
    Quirk {
        name: "300_without_a_contact",
        rows: &[109],
        ways: OUT,
        invite: Some(|| vec![(20, Reply::status(300).contact(""))]),
        comes: Comes::Refused(&["peer_refused"]),
        ..PLAIN
    },
    Quirk {
        name: "407_for_ever",
        rows: &[74, 78],
        ways: OUT,
        take: Some(|text, memory| {
            if !text.is("INVITE") {
                return Take::Usual;
            }
            let nonce = memory.count("407");
            let asks = format!(
                "Proxy-Authenticate: Digest realm=\"carrier\", nonce=\"n{nonce}\", stale=true, qop=\"auth\""
            );
            Take::Say(Reply::status(407).header(&asks))
        }),
        comes: Comes::Refused(&["refused_by_peer"]),
        ..PLAIN
    },
    Quirk {
        name: "401_without_a_challenge",
        rows: &[73],
        ways: OUT,
        invite: Some(|| vec![(20, Reply::status(401))]),
        comes: Comes::Refused(&["refused_by_peer"]),
        ..PLAIN
    },
    Quirk {
        name: "407_in_the_dialog_from_a_realm_that_is_not_its_own",
        rows: &[78],
        take: Some(|text, _| {
            if in_dialog(text, "INVITE") || text.is("BYE") {
                return Take::Say(Reply::status(407).header(EVIL));
            }
            Take::Usual
        }),
        ..PLAIN
    },
    Quirk {
        name: "422_once",
        rows: &[103],
        ways: OUT,
        take: Some(|text, memory| {
            if text.is("INVITE") && memory.count("422") == 0 {
                return Take::Say(Reply::status(422).header("Min-SE: 3600"));
            }
            Take::Usual
        }),
        ..PLAIN
    },
    Quirk {
        name: "422_for_ever",
        rows: &[103],
        ways: OUT,
        take: Some(|text, memory| {
            if text.is("INVITE") {
                let min_se = 1_800 + 100 * memory.count("422");
                return Take::Say(Reply::status(422).header(&format!("Min-SE: {min_se}")));
            }
            Take::Usual
        }),
        comes: Comes::Refused(&["peer_refused"]),
        ..PLAIN
    },
    Quirk {
        name: "421_although_we_support_it",
        rows: &[104],
        ways: OUT,
        take: Some(|text, memory| {
            if text.is("INVITE") && memory.count("421") == 0 {
                return Take::Say(Reply::status(421).header("Require: 100rel"));
            }
            Take::Usual
        }),
        ..PLAIN
    },
    Quirk {
        name: "420_to_everything",
        rows: &[114],
        ways: OUT,
        invite: Some(|| vec![(20, Reply::status(420).header("Unsupported: timer"))]),
        comes: Comes::Refused(&["peer_refused"]),
        ..PLAIN
    },
    Quirk {
        name: "487_never_comes",
        rows: &[26, 29],
        ways: OUT,
        write: Some(|packet, _| packet.is_dropped |= packet.is_answer(487..488)),
        ..PLAIN
    },
    Quirk {
        name: "cancel_gets_no_answer",
        rows: &[28],
        ways: OUT,
        habits: Some(|habits| habits.answers_cancel = false),
        ..PLAIN
    },
    Quirk {
        name: "cancel_gets_481_and_the_call_goes_on",
        rows: &[28],
        ways: OUT,
        take: Some(|text, _| match text.is("CANCEL") {
            true => Take::Say(Reply::status(481)),
            false => Take::Usual,
        }),
        ..PLAIN
    },
    Quirk {
        name: "cancel_answered_by_200_for_the_call",
        rows: &[26],
        ways: OUT,
        habits: Some(|habits| habits.answers_cancel = false),
        deeds: &[(Moment::Cancelled, 700, |phone, now, call| phone.say(now, call, &ok()))],
        ..PLAIN
    },
    Quirk {
        name: "cancel_answered_by_200_half_a_minute_later",
        rows: &[26],
        ways: OUT,
        habits: Some(|habits| habits.answers_cancel = false),
        deeds: &[(Moment::Cancelled, 28_000, |phone, now, call| phone.say(now, call, &ok()))],
        ..PLAIN
    },
    Quirk {
        name: "200_to_cancel_from_another_dialog",
        rows: &[29],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.text.method() == "CANCEL" && packet.text.status() == 200 {
                packet.text = other_tag(&packet.text, "another");
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "a_via_too_many",
        rows: &[37],
        ways: OUT,
        write: Some(|packet, memory| {
            // The first answer only: it is dropped, its repetition is good.
            if packet.is_answer(200..300) && memory.count("via") == 0 {
                packet.text.push("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKmore");
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "prack_answered_481",
        rows: &[104],
        ways: OUT,
        invite: Some(|| {
            let reliable = early().header("Require: 100rel").header("RSeq: 9");
            vec![(20, reliable), (1000, ok())]
        }),
        take: Some(|text, _| match text.is("PRACK") {
            true => Take::Say(Reply::status(481)),
            false => Take::Usual,
        }),
        ..PLAIN
    },
    Quirk {
        name: "prack_never_answered",
        rows: &[104],
        ways: OUT,
        invite: Some(|| {
            let reliable = early().header("Require: 100rel").header("RSeq: 9");
            vec![(20, reliable), (1000, ok())]
        }),
        take: Some(|text, _| match text.is("PRACK") {
            true => Take::Ignore,
            false => Take::Usual,
        }),
        ..PLAIN
    },
    Quirk {
        name: "rseq_with_gaps_and_backwards",
        rows: &[104],
        ways: OUT,
        invite: Some(|| {
            let reliable =
                |rseq: u32| early().header("Require: 100rel").header(&format!("RSeq: {rseq}"));
            let odd = [(20, 5), (40, 9), (60, 4), (80, 5), (100, 0), (120, u32::MAX)];
            let mut all: Vec<_> = odd.into_iter().map(|(ms, rseq)| (ms, reliable(rseq))).collect();
            all.push((1000, ok()));
            all
        }),
        ..PLAIN
    },
    Quirk {
        name: "100rel_without_rseq",
        rows: &[104],
        ways: OUT,
        invite: Some(|| vec![(20, early().header("Require: 100rel")), (1000, ok())]),
        ..PLAIN
    },
    Quirk {
        name: "reliable_and_the_answer_has_no_sdp",
        rows: &[104, 107],
        ways: OUT,
        invite: Some(|| {
            let reliable = early().header("Require: 100rel").header("RSeq: 1");
            vec![(20, reliable), (1000, Reply::status(200))]
        }),
        ..PLAIN
    },
    Quirk {
        name: "insists_on_100rel_and_never_acknowledges",
        rows: &[104],
        ways: IN,
        headers: "Require: 100rel\r\n",
        unanswered: &["no_prack"],
        ..PLAIN
    },
    // The answer waits for a PRACK that never comes, and who hangs up meanwhile is too early for `no_prack`: the
    // record says that they talked, although the caller was told of no answer.
    Quirk {
        name: "offers_late_and_never_acknowledges_our_offer",
        rows: &[84, 104],
        ways: IN,
        headers: "Require: 100rel\r\n",
        is_late: true,
        comes: Comes::Open(&["normal", "cancelled", "no_prack"]),
        unanswered: &["no_prack"],
        ..PLAIN
    },
    Quirk {
        name: "insists_on_100rel",
        rows: &[104],
        ways: IN,
        headers: "Require: 100rel\r\n",
        habits: Some(|habits| habits.pracks = true),
        ..PLAIN
    },
];
