//! Rows 91 to 102 of the wire catalogue: what re-INVITEs and UPDATEs say, across the call.

use tandem::proto::rtp::{
    Arrival, Header, Incoming, OutgoingStream, PacketTime, PayloadMap, Repacketiser, Ssrc,
};
use tandem::proto::sdp::StreamPlan;
use tandem::proto::time::Instant;
use tandem::switch::cdr::record::SegmentKind;

use crate::scene::{heard, talking, two_phones};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::sdp::{self, DIGITS, Form, G722, HOLD, OPUS, PCMA, PCMU, TALK};
use crate::sim::world::{PhoneId, World};

/// Calls with what each side offers and answers.
fn call_with(caller: &[sdp::Codec], called: &[sdp::Codec]) -> (World, PhoneId, PhoneId) {
    let (mut w, a, b) = two_phones();
    w[a].codecs = caller.to_vec();
    w[b].codecs = called.to_vec();
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "1002");
    w.run_for(1_500);
    (w, a, b)
}

/// Row 91: one up on a change, the same on a refresh; the id is a positive 63-bit number.
#[test]
fn row_091_our_version_goes_up_by_one_with_every_change() {
    let (mut w, a, b) = talking();
    for form in [HOLD, TALK, HOLD] {
        w.modify(a, "INVITE", form);
        w.run_for(500);
    }
    let seen: Vec<_> = w[b].requests("INVITE").iter().map(|invite| invite.body.clone()).collect();
    let first = sdp::origin(&seen[0], 2);
    let versions: Vec<_> = seen.iter().map(|body| sdp::origin(body, 2) - first).collect();
    assert_eq!(versions, [0, 1, 2, 3]);
    let ids: Vec<_> = seen.iter().map(|body| sdp::origin(body, 1)).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && *id > 0 && *id < 1 << 63), "{ids:?}");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 92: the same `o=` line: answered, nobody else is asked, our version stays.
#[test]
fn row_092_a_refresh_is_answered_and_goes_no_further() {
    for method in ["INVITE", "UPDATE"] {
        let (mut w, a, b) = talking();
        let before = sdp::origin(&w[a].last().remote_sdp, 2);
        w.modify(a, method, TALK);
        w.run_for(500);
        assert_eq!(w[a].statuses(method).last(), Some(&200));
        assert_eq!(sdp::origin(&w[a].response(200).unwrap().body, 2), before);
        assert_eq!(w[b].requests("INVITE").len(), 1, "{method}");
        assert_eq!(heard(&w), (true, true));
        w.hang_up(a);
        w.assert_empty();
    }
}

/// A phone that never counts its version up and holds all the same.
#[test]
fn row_092_a_hold_without_a_new_version_is_a_hold() {
    let (mut w, a, b) = talking();
    let body = w[a].last().local_sdp.replace("a=sendrecv", "a=sendonly");
    w.in_dialog(a, "INVITE", "", &body);
    w.run_for(500);
    assert_eq!(heard(&w), (false, true));
    assert_eq!(w[b].requests("INVITE").len(), 2);
    w.hang_up(a);
    w.assert_empty();
}

/// Row 92: another packet time alone, under the same version, is no new session (RFC 3264 §8): the other side is not
/// asked, but who asked has it from now on.
#[test]
fn row_092_a_packet_time_without_a_new_version_goes_no_further() {
    for method in ["INVITE", "UPDATE"] {
        let (mut w, a, b) = talking();
        let before = sdp::origin(&w[a].last().remote_sdp, 2);
        let plans = |w: &World| w.media.open[&w.call()].clone();
        assert_eq!(lengths(&plans(&w).b, &plans(&w).a, &[20; 4]), [20; 4]);
        let body = format!("{}a=ptime:40\r\n", w[a].last().local_sdp);
        w.in_dialog(a, method, "", &body);
        w.run_for(500);
        assert_eq!(w[a].statuses(method).last(), Some(&200));
        assert_eq!(sdp::origin(&w[a].response(200).unwrap().body, 2), before);
        assert_eq!(w[b].requests("INVITE").len(), 1, "{method}");
        assert_eq!(lengths(&plans(&w).b, &plans(&w).a, &[20; 4]), [40; 2]);
        assert_eq!(lengths(&plans(&w).a, &plans(&w).b, &[20; 4]), [20; 4]);
        assert_eq!(heard(&w), (true, true));
        w.hang_up(a);
        w.assert_empty();
    }
}

#[test]
fn an_update_without_a_body_is_a_keep_alive() {
    let (mut w, a, b) = talking();
    w.in_dialog(a, "UPDATE", "", "");
    w.run_for(500);
    assert_eq!(w[a].statuses("UPDATE"), [200]);
    assert_eq!(w[b].requests("INVITE").len(), 1);
    w.hang_up(a);
    w.assert_empty();
}

/// Row 93: the places of refused streams stay, in answers and in later offers.
#[test]
fn row_093_streams_keep_their_places() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ok())];
    let body = "v=0\r\no=phone 1 1 IN IP4 10.0.0.11\r\ns=-\r\nc=IN IP4 10.0.0.11\r\nt=0 0\r\n\
                m=video 5000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 4000 RTP/AVP 0\r\na=mid:sound\r\n";
    w.dial_with(a, "1002", &Body::Text(body.into()), "");
    w.run_for(1_000);
    let lines = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with("m=")).map(str::to_owned).collect()
    };
    let answer = w[a].response(200).unwrap().body.clone();
    assert!(lines(&answer)[0].starts_with("m=video 0 RTP/AVP"), "{answer}");
    assert!(lines(&answer)[1].starts_with("m=audio 2"), "{answer}");
    assert!(answer.contains("a=mid:sound"));
    w.modify(b, "INVITE", HOLD);
    w.run_for(500);
    let offer = w[a].requests("INVITE")[0].body.clone();
    assert_eq!(lines(&offer).len(), 2);
    assert!(lines(&offer)[0].starts_with("m=video 0 "), "{offer}");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 94: every way of saying hold, by either side, by re-INVITE and by UPDATE; what is heard then, and
/// what the answer says.
#[test]
fn row_094_every_form_of_hold() {
    // The form; does the holder still hear, is it still heard; what it may be answered.
    let forms: [(Form, (bool, bool), &[&str]); 9] = [
        (Form::Direction("sendonly"), (false, true), &["recvonly"]),
        (Form::Direction("inactive"), (false, false), &["inactive"]),
        (Form::Direction("recvonly"), (true, false), &["sendonly"]),
        (Form::SessionDirection("sendonly"), (false, true), &["recvonly"]),
        (Form::SessionDirection("inactive"), (false, false), &["inactive"]),
        (Form::SessionDirection("recvonly"), (true, false), &["sendonly"]),
        (Form::ZeroAddress, (false, true), &["recvonly"]),
        (Form::ZeroAddressSendOnly, (false, true), &["recvonly"]),
        (Form::PortZero, (false, false), &["inactive", "sendrecv", "recvonly"]),
    ];
    for (form, (hears, is_heard), answers) in forms {
        for by_caller in [true, false] {
            for method in ["INVITE", "UPDATE"] {
                let story =
                    format!("{form:?} by {} with {method}", if by_caller { "a" } else { "b" });
                let (mut w, a, b) = talking();
                let holder = if by_caller { a } else { b };
                w.modify(holder, method, form);
                w.run_for(2_000);
                assert_eq!(w[holder].statuses(method).last(), Some(&200), "{story}");
                let (a_hears, b_hears) = heard(&w);
                let got = if by_caller { (a_hears, b_hears) } else { (b_hears, a_hears) };
                assert_eq!(
                    got,
                    (hears, is_heard),
                    "{story}: {}",
                    w.media.open[&w.call()].hearing()
                );
                let answer = w[holder].response(200).unwrap().body.clone();
                assert!(answers.contains(&sdp::direction(&answer)), "{story}: {answer}");
                w.modify(holder, method, TALK);
                w.run_for(2_000);
                assert_eq!(heard(&w), (true, true), "{story}: resumed");
                w.assert_media_agrees(a, b);
                w.hang_up(a);
                w.assert_empty();
                let kinds: Vec<_> =
                    w.record().segments.iter().map(|segment| segment.kind).collect();
                let has_hold = kinds.contains(&SegmentKind::Hold);
                assert_eq!(has_hold, !hears, "{story}: {kinds:?}");
            }
        }
    }
}

/// Row 94: the answer may hold as well.
#[test]
fn row_094_a_call_that_is_answered_on_hold_is_held() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring())];
    w.dial(a, "1002");
    w.run_for(500);
    let call = w[b].last_index();
    w[b].calls[call].form = HOLD;
    w.say(b, &ok());
    w.run_for(500);
    assert_eq!(heard(&w), (true, false));
    w.modify(b, "INVITE", TALK);
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 95: it stays quiet until both have resumed.
#[test]
fn row_095_both_hold_and_both_have_to_resume() {
    for first in [0, 1] {
        let (mut w, a, b) = talking();
        w.modify(a, "INVITE", HOLD);
        w.run_for(1_000);
        assert_eq!(heard(&w), (false, true));
        w.modify(b, "INVITE", HOLD);
        w.run_for(1_000);
        assert_eq!(heard(&w), (false, false));
        let (one, other) = if first == 0 { (a, b) } else { (b, a) };
        w.modify(one, "INVITE", TALK);
        w.run_for(1_000);
        let still = if first == 0 { (true, false) } else { (false, true) };
        assert_eq!(heard(&w), still, "the one who resumed hears the other's music");
        w.modify(other, "INVITE", TALK);
        w.run_for(1_000);
        assert_eq!(heard(&w), (true, true));
        w.assert_media_agrees(a, b);
        w.hang_up(a);
        w.assert_empty();
        if first == 0 {
            insta::assert_snapshot!(w.ladder());
        }
    }
}

/// Row 96: another codec in mid-call; what is in flight under the old number is still taken.
#[test]
fn row_096_the_codec_changes_in_mid_call() {
    let (mut w, a, b) = talking();
    w[a].codecs = vec![PCMA, DIGITS];
    w.modify(a, "INVITE", TALK);
    w.run_for(500);
    let open = &w.media.open[&w.call()];
    assert!(open.hearing().matches("yes PCMA/8000 (8)").count() == 2, "{}", open.hearing());
    let taken: Vec<_> = open.a.receive_formats.iter().map(|format| format.payload_type).collect();
    assert!(taken.contains(&0) && taken.contains(&8), "{taken:?}");
    w.hang_up(b);
    w.assert_empty();
}

/// Row 97: each side is sent its own numbers.
#[test]
fn row_097_each_side_is_sent_its_own_numbers() {
    let (mut w, a, b) = two_phones();
    w[a].codecs = vec![OPUS, (101, "telephone-event/48000")];
    let body = "v=0\r\no=phone 1 1 IN IP4 10.0.0.12\r\ns=-\r\nc=IN IP4 10.0.0.12\r\nt=0 0\r\n\
                m=audio 4000 RTP/AVP 96 97\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 telephone-event/48000\r\n";
    w[b].habits.on_invite = vec![(20, Reply::status(200).body(Body::Text(body.into())))];
    w.dial(a, "1002");
    w.run_for(1_000);
    let open = &w.media.open[&w.call()];
    let numbers = |plan: &StreamPlan| -> Vec<u8> {
        plan.send_formats.iter().map(|format| format.payload_type).collect()
    };
    assert_eq!((numbers(&open.a), numbers(&open.b)), (vec![111, 101], vec![96, 97]));
    assert_eq!((open.a.telephone_event_pt, open.b.telephone_event_pt), (Some(101), Some(97)));
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 98: all formats of the answer may be used without a further word.
#[test]
fn row_098_a_peer_may_switch_between_the_formats_of_the_answer() {
    let (mut w, a, _) = call_with(&[PCMU, PCMA, G722, DIGITS], &[PCMA, PCMU, DIGITS]);
    let open = &w.media.open[&w.call()];
    let taken: Vec<_> = open.b.receive_formats.iter().map(|format| format.payload_type).collect();
    assert!(taken.contains(&0) && taken.contains(&8) && !taken.contains(&9), "{taken:?}");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 99: what each side says about packet time reaches the other.
#[test]
fn row_099_the_packet_time_crosses_the_call() {
    let (mut w, a, b) = two_phones();
    let body = "v=0\r\no=phone 1 1 IN IP4 10.0.0.11\r\ns=-\r\nc=IN IP4 10.0.0.11\r\nt=0 0\r\n\
                m=audio 4000 RTP/AVP 0\r\na=ptime:30\r\na=maxptime:60\r\n";
    w[b].habits.on_invite = vec![(20, ok())];
    w.dial_with(a, "1002", &Body::Text(body.into()), "");
    w.run_for(500);
    let offered = &w[b].requests("INVITE")[0].body;
    assert!(offered.contains("a=ptime:30") && offered.contains("a=maxptime:60"), "{offered}");
    assert_eq!(w.media.open[&w.call()].a.ptime_ms, Some(30));
    w.hang_up(a);
    w.assert_empty();
}

/// Milliseconds of the packets that a side is sent, when the other sends it these.
fn lengths(from: &StreamPlan, to: &StreamPlan, sent_ms: &[u32]) -> Vec<usize> {
    let wish = PacketTime { ptime_ms: to.ptime_ms, maxptime_ms: to.maxptime_ms };
    let carried =
        PayloadMap::between(&from.receive_formats, &to.send_formats, wish).get(0).unwrap();
    let mut stream = OutgoingStream::new(Ssrc(1), 0, 0);
    let mut repacketiser = Repacketiser::default();
    let mut heard = Vec::new();
    let mut send = |packet: &[u8]| {
        heard.push((packet.len() - 12) / 8);
        true
    };
    let mut timestamp = 0;
    for (sequence, ms) in (0..).zip(sent_ms) {
        let header = Header { payload_type: 0, marker: false, sequence, timestamp, ssrc: Ssrc(2) };
        let mut packet = vec![0x80; 12 + *ms as usize * 8];
        header.write(&mut packet);
        let incoming = Incoming {
            header,
            arrival: Arrival::Newer { missing: 0 },
            payload_type: carried.to.unwrap(),
            clock_rate: carried.clock_rate,
            packing: carried.packing,
        };
        repacketiser.packet(Instant::START, &incoming, &mut packet, &mut stream, &mut send);
        timestamp += ms * 8;
    }
    repacketiser.flush(Instant::START, &mut stream, &mut send);
    heard
}

/// Row 99: each side is sent packets of the length that it asked for, also after a re-INVITE.
#[test]
fn row_099_each_side_gets_the_packet_time_that_it_asks_for() {
    let (mut w, a, b) = two_phones();
    let body = |host: u8, version: u8, times: &str| {
        format!(
            "v=0\r\no=phone 1 {version} IN IP4 10.0.0.{host}\r\ns=-\r\nc=IN IP4 10.0.0.{host}\r\nt=0 0\r\n\
             m=audio 4000 RTP/AVP 0\r\n{times}"
        )
    };
    let called = body(12, 1, "a=ptime:60\r\n");
    w[b].habits.on_invite = vec![(20, Reply::status(200).body(Body::Text(called)))];
    w.dial_with(a, "1002", &Body::Text(body(11, 1, "a=ptime:20\r\n")), "");
    w.run_for(500);
    assert!(w[b].requests("INVITE")[0].body.contains("a=ptime:20"));
    assert!(w[a].response(200).unwrap().body.contains("a=ptime:60"));
    let open = w.media.open[&w.call()].clone();
    assert_eq!(lengths(&open.a, &open.b, &[20, 20, 20, 30, 30]), [60, 60]);
    assert_eq!(lengths(&open.b, &open.a, &[60, 30, 30]), [20; 6]);
    // The caller wants 40 ms now; the called phone names no length but the longest that it takes.
    let answer = body(12, 2, "a=maxptime:30\r\n");
    w[b].habits.on_modify = Some(Reply::status(200).body(Body::Text(answer)));
    w.in_dialog(a, "INVITE", "", &body(11, 2, "a=ptime:40\r\na=maxptime:80\r\n"));
    w.run_for(500);
    let open = w.media.open[&w.call()].clone();
    assert_eq!((open.a.maxptime_ms, open.b.maxptime_ms), (Some(80), Some(30)));
    assert_eq!(lengths(&open.b, &open.a, &[20, 20, 60, 20]), [40, 40, 40]);
    assert_eq!(lengths(&open.a, &open.b, &[10, 20, 40]), [10, 20, 30, 10]);
    w.hang_up(a);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

/// Row 100: parameters cross as they are; a codec is no codec of another clock.
#[test]
fn row_100_codec_parameters_cross_the_call() {
    let (mut w, a, b) = two_phones();
    let body = "v=0\r\no=phone 1 1 IN IP4 10.0.0.11\r\ns=-\r\nc=IN IP4 10.0.0.11\r\nt=0 0\r\n\
                m=audio 4000 RTP/AVP 18 9 97\r\na=fmtp:18 annexb=no\r\na=rtpmap:97 iLBC/8000\r\na=fmtp:97 mode=30\r\n";
    w[b].codecs = vec![sdp::G729, G722];
    w[b].habits.on_invite = vec![(20, ok())];
    w.dial_with(a, "1002", &Body::Text(body.into()), "");
    w.run_for(500);
    let offered = &w[b].requests("INVITE")[0].body;
    for line in ["a=fmtp:18 annexb=no", "a=rtpmap:9 G722/8000", "a=fmtp:97 mode=30"] {
        assert!(offered.contains(line), "{offered}");
    }
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 101: no common codec in a re-INVITE: 488, and the call goes on.
#[test]
fn row_101_a_re_invite_without_a_common_codec_is_488_and_the_call_goes_on() {
    let (mut w, a, b) = talking();
    let body = w[a].last().local_sdp.clone();
    let body =
        body.replace("o=phone 77 1", "o=phone 77 2").replace("RTP/AVP 0 8 101", "RTP/AVP 98");
    let body = format!("{body}a=rtpmap:98 telephone-event/8000\r\n");
    w.in_dialog(a, "INVITE", "", &body);
    w.run_for(500);
    let refused = w[a].response(488).expect("it is refused here");
    assert!(refused.get("Warning").starts_with("305"), "{}", refused.get("Warning"));
    assert_eq!(w[b].requests("INVITE").len(), 1);
    assert_eq!(heard(&w), (true, true));
    // The other side answers with what was not offered.
    let alien = w[b].last().local_sdp.replace("RTP/AVP 0 8 101", "RTP/AVP 18");
    w[b].habits.on_modify = Some(Reply::status(200).body(Body::Text(alien)));
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&488));
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 90: what one side refuses of our own request, such as its session timer, is nothing that the other side asked
/// for, and without the header that explains it it would be malformed there.
#[test]
fn row_090_a_refusal_of_what_we_asked_for_does_not_cross() {
    for (status, header, passed) in [
        (488, "Warning: 305 x \"y\"", 488),
        (480, "X: 1", 480),
        (422, "Min-SE: 90", 488),
        (420, "Unsupported: timer", 488),
        (421, "Require: 100rel", 488),
        (405, "Allow: BYE", 488),
    ] {
        let (mut w, a, b) = talking();
        w[b].habits.on_modify = Some(Reply::status(status).header(header));
        w.modify(a, "INVITE", HOLD);
        w.run_for(500);
        assert_eq!(w[a].statuses("INVITE").last(), Some(&passed), "{status}");
        assert_eq!(heard(&w), (true, true));
        w.hang_up(a);
        w.assert_empty();
    }
}

/// The same before there is a session: the caller hears a status that is whole without the headers of another leg.
#[test]
fn a_refusal_of_what_we_asked_for_is_480_to_the_caller() {
    for (status, header, passed) in [
        (486, "X: 1", 486),
        (404, "X: 1", 404),
        (422, "Min-SE: 90", 480),
        (420, "Unsupported: timer", 480),
        (421, "Require: 100rel", 480),
        (405, "Allow: BYE", 480),
    ] {
        let (mut w, a, b) = two_phones();
        w[b].habits.on_invite = vec![(20, Reply::status(status).header(header))];
        w.dial(a, "1002");
        w.run_for(1_000);
        assert_eq!(w[a].last().status, passed, "{status}");
        w.assert_empty();
    }
}

#[test]
fn a_hold_that_never_ends_is_part_of_the_record() {
    let (mut w, a, b) = talking();
    w.modify(a, "INVITE", HOLD);
    w.run_for(10_000);
    w.hang_up(b);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

/// Row 102: where RTCP goes: to the port that was named, else to the next one, odd or even; one port for both is not
/// offered and not agreed to.
#[test]
fn row_102_rtcp_goes_where_the_peer_wants_it() {
    for (port, line, rtcp) in [
        (4_000, "", 4_001),
        (4_001, "", 4_002),
        (4_000, "a=rtcp:7777\r\n", 7_777),
        (4_000, "a=rtcp-mux\r\n", 4_001),
    ] {
        let (mut w, a, b) = two_phones();
        w[b].habits.on_invite = vec![(20, ring()), (200, ok())];
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 10.0.0.11\r\ns=-\r\nc=IN IP4 10.0.0.11\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0\r\n{line}"
        );
        w.dial_with(a, "1002", &Body::Text(offer), "");
        w.run_for(500);
        let open = &w.media.open[&w.call()];
        assert_eq!(open.a.remote_rtp, Some(format!("10.0.0.11:{port}").parse().unwrap()));
        assert_eq!(
            open.a.remote_rtcp,
            Some(format!("10.0.0.11:{rtcp}").parse().unwrap()),
            "{line}"
        );
        for sdp in [&w[b].requests("INVITE")[0].body, &w[a].response(200).unwrap().body] {
            assert!(!sdp.contains("rtcp-mux"), "{sdp}");
        }
        w.hang_up(a);
        w.assert_empty();
    }
}
