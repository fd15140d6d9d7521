//! The rows of the interop table that concern offer and answer, one test or more each.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

const AT: MediaAddress = MediaAddress {
    ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
    rtp_port: 20_000,
    rtcp_port: 20_001,
};

fn body(version: u64, rest: &str) -> Vec<u8> {
    let head = format!("v=0\no=phone 77 {version} IN IP4 198.51.100.5\ns=-\n");
    format!("{head}c=IN IP4 198.51.100.5\nt=0 0\n{rest}").into_bytes()
}

const BASIC: &str = "m=audio 4000 RTP/AVP 8 0 101\na=rtpmap:101 telephone-event/8000\n";
const PCMA: &str = "m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000\n";

fn sdp(rest: &str) -> Sdp {
    Sdp::parse(&body(1, rest)).unwrap()
}

/// A leg whose peer offered `BASIC` and was answered with PCMA.
fn caller() -> Negotiator {
    let mut leg = Negotiator::new(500);
    leg.offer_from_peer(&body(1, BASIC)).unwrap();
    leg.answer_to_peer(&sdp(PCMA), AT).unwrap();
    leg
}

/// A leg that was offered `BASIC` and answered with PCMA.
fn called() -> Negotiator {
    let mut leg = Negotiator::new(900);
    leg.offer_to_peer(Some(&sdp(BASIC)), AT);
    leg.answer_from_peer(&body(1, PCMA)).unwrap();
    leg
}

fn version(body: &[u8]) -> String {
    Sdp::parse(body).unwrap().origin.version
}

fn audio(body: &[u8]) -> Media {
    Sdp::parse(body).unwrap().media.into_iter().find(Media::is_audio).unwrap()
}

fn names(formats: &[Format]) -> Vec<String> {
    formats.iter().map(|f| format!("{} {}", f.payload_type, f.rtpmap())).collect()
}

/// Row 84.
#[test]
fn a_late_offer_holds_our_full_capability_set_and_its_answer_is_agreed() {
    let mut leg = Negotiator::new(1);
    let offer = leg.late_offer_to_peer(None, AT);
    assert_eq!(
        names(&audio(&offer).rtp_formats()),
        [
            "8 PCMA/8000",
            "0 PCMU/8000",
            "9 G722/8000",
            "111 opus/48000/2",
            "101 telephone-event/8000"
        ]
    );
    let answer = leg.answer_from_peer(&body(1, PCMA)).unwrap();
    assert_eq!(answer.direction, Direction::SendRecv);
    assert_eq!(names(&leg.plan().send_formats), ["8 PCMA/8000", "101 telephone-event/8000"]);
}

/// Row 84.
#[test]
fn an_answer_without_an_offer_is_refused() {
    let mut leg = Negotiator::new(1);
    assert_eq!(leg.answer_from_peer(&body(1, PCMA)), Err(SdpRefusal::NoOffer));
    assert_eq!(leg.answer_locally(AT), Err(SdpRefusal::NoOffer));
}

/// Row 85.
#[test]
fn a_late_offer_inside_a_call_holds_more_than_the_current_codec() {
    let mut leg = called();
    let offer = audio(&leg.late_offer_to_peer(None, AT));
    let all = names(&offer.rtp_formats());
    assert_eq!(all.first().map(String::as_str), Some("8 PCMA/8000"));
    for codec in ["0 PCMU/8000", "9 G722/8000", "111 opus/48000/2"] {
        assert!(all.iter().any(|f| f == codec), "{codec} is missing in {all:?}");
    }
    // What the far side could do, if it is known.
    let mut leg = called();
    let offer = audio(&leg.late_offer_to_peer(Some(&sdp(BASIC)), AT));
    assert_eq!(offer.formats, ["8", "0", "101"]);
}

/// Row 85.
#[test]
fn the_answer_to_a_late_offer_can_end_the_peers_own_hold() {
    let mut leg = caller();
    leg.offer_from_peer(&body(2, &format!("{PCMA}a=sendonly\n"))).unwrap();
    leg.answer_locally(AT).unwrap();
    leg.late_offer_to_peer(Some(&sdp(BASIC)), AT);
    let answer = leg.answer_from_peer(&body(3, PCMA)).unwrap();
    assert_eq!((answer.direction, leg.hold()), (Direction::SendRecv, Hold::Off));
}

/// Row 90.
#[test]
fn a_failed_reinvite_leaves_the_agreed_session_intact() {
    let mut leg = caller();
    let before = leg.plan();
    leg.offer_from_peer(&body(2, "m=audio 5000 RTP/AVP 9\n")).unwrap();
    leg.rollback();
    assert_eq!(leg.plan(), before);
    leg.offer_to_peer(Some(&sdp("m=audio 4000 RTP/AVP 18\n")), AT);
    assert_eq!(
        leg.answer_from_peer(&body(2, "m=audio 1 RTP/AVP 9\n")),
        Err(SdpRefusal::NoCommonCodec)
    );
    leg.rollback();
    assert_eq!(leg.plan(), before);
    // Nothing is open any more, so this changes nothing.
    leg.rollback();
    assert_eq!(leg.plan(), before);
}

/// Row 91.
#[test]
fn the_version_grows_by_one_on_a_change_and_stays_on_a_refresh() {
    let mut leg = Negotiator::new(u64::MAX);
    let first = leg.offer_to_peer(Some(&sdp(BASIC)), AT);
    let origin = Sdp::parse(&first).unwrap().origin;
    assert_eq!(origin.session_id.parse::<u64>().unwrap(), u64::MAX >> 1);
    leg.answer_from_peer(&body(1, PCMA)).unwrap();
    assert_eq!(leg.reoffer(AT), first);
    leg.answer_from_peer(&body(1, PCMA)).unwrap();
    let held = leg.offer_to_peer(Some(&sdp(&format!("{BASIC}a=sendonly\n"))), AT);
    assert_eq!((version(&first), version(&held)), ("1".into(), "2".into()));
    leg.rollback();
    // A body that was refused has used its version up.
    assert_eq!(version(&leg.offer_to_peer(Some(&sdp(BASIC)), AT)), "3");
}

/// Row 92.
#[test]
fn the_same_version_is_answered_with_the_same_body() {
    let mut leg = caller();
    let answered = leg.last_body().unwrap();
    let again = leg.offer_from_peer(&body(1, BASIC)).unwrap();
    assert!(again.is_refresh && !again.contradicts_version);
    assert_eq!(leg.answer_locally(AT).unwrap(), answered);
    let changed = leg.offer_from_peer(&body(2, BASIC)).unwrap();
    assert!(!changed.is_refresh);
}

/// Row 92.
#[test]
fn a_hold_under_an_unchanged_version_is_told_apart_from_a_refresh() {
    let mut leg = caller();
    let hold = leg.offer_from_peer(&body(1, &format!("{BASIC}a=sendonly\n"))).unwrap();
    assert!(hold.is_refresh && hold.contradicts_version);
    assert_eq!(hold.hold, Hold::SendOnly);
}

/// Row 93.
#[test]
fn refused_streams_keep_their_place_and_their_number() {
    let mut leg = Negotiator::new(1);
    let offer = "m=video 6000 RTP/AVPF 96\na=rtpmap:96 VP8/90000\na=mid:v\n\
                 m=audio 4000 RTP/AVPF 8 0\na=mid:a\na=rtcp-mux\nm=image 7000 udptl t38\n";
    let peer = leg.offer_from_peer(&body(1, offer)).unwrap();
    assert_eq!(peer.audio, 1);
    let answer = leg.answer_to_peer(&sdp(PCMA), AT).unwrap();
    let lines: Vec<String> = String::from_utf8(answer)
        .unwrap()
        .lines()
        .filter(|l| l.starts_with("m=") || l.starts_with("a=mid") || l.contains("mux"))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        lines,
        ["m=video 0 RTP/AVPF 96", "m=audio 20000 RTP/AVPF 8", "a=mid:a", "m=image 0 udptl t38"]
    );
    let next = Sdp::parse(&leg.offer_to_peer(Some(&sdp(BASIC)), AT)).unwrap();
    let places: Vec<_> = next.media.iter().map(|m| (m.kind.as_str(), m.port)).collect();
    assert_eq!(places, [("video", 0), ("audio", 20_000), ("image", 0)]);
    assert_eq!(next.media[1].proto, "RTP/AVPF");
}

/// Row 93.
#[test]
fn the_first_offer_to_a_leg_drops_the_far_sides_other_streams_and_attributes() {
    let far = "m=audio 4000 RTP/AVPF 111 8\na=rtpmap:111 opus/48000/2\na=fmtp:111 useinbandfec=1\n\
               a=ptime:20\na=rtcp-mux\na=mid:0\na=extmap:1 urn:x\na=ssrc:1 cname:a\n\
               a=rtcp-fb:111 nack\na=candidate:1 1 udp 1 10.0.0.1 9 typ host\n\
               a=crypto:1 AES x\na=setup:actpass\nm=video 5000 RTP/AVP 96\n";
    let mut leg = Negotiator::new(3);
    let offer = String::from_utf8(leg.offer_to_peer(Some(&sdp(far)), AT)).unwrap();
    assert_eq!(
        offer,
        "v=0\r\no=- 3 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 111 8\r\na=rtpmap:111 opus/48000/2\r\n\
         a=fmtp:111 useinbandfec=1\r\na=rtpmap:8 PCMA/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    );
}

/// Row 94.
#[test]
fn every_form_of_hold_is_understood_and_gets_its_complement() {
    let basic = |c: &str, port: u16, session: &str, media: &str| {
        format!(
            "v=0\no=a 1 2 IN IP4 198.51.100.5\ns=-\nc={c}\nt=0 0\n{session}\
             m=audio {port} RTP/AVP 8\n{media}"
        )
    };
    let (ip, zero, six) = ("IN IP4 198.51.100.5", "IN IP4 0.0.0.0", "IN IP6 ::");
    let cases = [
        (basic(ip, 4000, "", ""), Hold::Off, "sendrecv", 20_000),
        (basic(ip, 4000, "", "a=sendonly\n"), Hold::SendOnly, "recvonly", 20_000),
        (basic(ip, 4000, "", "a=inactive\n"), Hold::Inactive, "inactive", 20_000),
        (basic(ip, 4000, "", "a=recvonly\n"), Hold::Off, "sendonly", 20_000),
        (basic(ip, 4000, "a=sendonly\n", ""), Hold::SendOnly, "recvonly", 20_000),
        (basic(ip, 4000, "a=inactive\n", "a=sendrecv\n"), Hold::Off, "sendrecv", 20_000),
        (basic(zero, 4000, "", ""), Hold::SendOnly, "recvonly", 20_000),
        (basic(zero, 4000, "", "a=sendonly\n"), Hold::SendOnly, "recvonly", 20_000),
        (basic(zero, 4000, "", "a=recvonly\n"), Hold::Inactive, "inactive", 20_000),
        (basic(six, 4000, "", ""), Hold::SendOnly, "recvonly", 20_000),
        (basic(ip, 4000, "", "c=IN IP4 0.0.0.0\n"), Hold::SendOnly, "recvonly", 20_000),
        (basic(ip, 0, "", ""), Hold::Inactive, "inactive", 0),
    ];
    for (offer, hold, complement, port) in cases {
        let mut leg = caller();
        assert_eq!(leg.offer_from_peer(offer.as_bytes()).unwrap().hold, hold, "{offer}");
        let answer = audio(&leg.answer_locally(AT).unwrap());
        let direction = answer.direction.unwrap().as_str();
        assert_eq!((direction, answer.port), (complement, port), "{offer}");
        assert_eq!(leg.hold(), hold);
        assert_eq!(leg.plan().send, hold == Hold::Off, "{offer}");
    }
}

/// Row 94.
#[test]
fn a_hold_crosses_as_a_direction_with_our_own_address() {
    let mut leg = called();
    let far =
        Sdp::parse(b"v=0\no=a 1 2 IN IP4 1.2.3.4\ns=-\nc=IN IP4 0.0.0.0\nm=audio 9 RTP/AVP 8\n");
    let offer = leg.offer_to_peer(Some(&far.unwrap()), AT);
    let media = audio(&offer);
    assert_eq!((media.direction, media.port), (Some(Direction::SendOnly), 20_000));
    assert!(!String::from_utf8(offer).unwrap().contains("0.0.0.0"));
}

/// Row 95.
#[test]
fn when_both_hold_the_stream_stays_inactive_until_both_resume() {
    let (mut a, mut b) = (caller(), called());
    let relay = |from: &mut Negotiator, to: &mut Negotiator, v, offer: &str, answer: &str| {
        let offer = from.offer_from_peer(&body(v, &format!("{PCMA}a={offer}\n"))).unwrap();
        to.offer_to_peer(Some(&offer.sdp), AT);
        let answer = to.answer_from_peer(&body(v, &format!("{PCMA}a={answer}\n"))).unwrap();
        audio(&from.answer_to_peer(&answer.sdp, AT).unwrap()).direction.unwrap()
    };
    assert_eq!(relay(&mut a, &mut b, 2, "sendonly", "recvonly"), Direction::RecvOnly);
    // B holds too; A's phone carelessly answers as if it had never held.
    assert_eq!(relay(&mut b, &mut a, 3, "sendonly", "sendrecv"), Direction::Inactive);
    assert!(!b.plan().send && !b.plan().receive && !a.plan().send && !a.plan().receive);
    // A resumes; B's phone claims to be back as well, but B never said so itself.
    assert_eq!(relay(&mut a, &mut b, 4, "sendrecv", "sendrecv"), Direction::SendOnly);
    assert_eq!((a.hold(), b.hold()), (Hold::Off, Hold::SendOnly));
    assert_eq!(relay(&mut b, &mut a, 5, "sendrecv", "sendrecv"), Direction::SendRecv);
    assert!(a.plan().send && a.plan().receive && b.plan().send && b.plan().receive);
}

/// Row 95.
#[test]
fn a_resume_answered_locally_claims_no_more_than_the_far_side_allows() {
    let (mut a, far_hold) = (caller(), sdp(&format!("{PCMA}a=sendonly\n")));
    a.offer_to_peer(Some(&far_hold), AT);
    a.answer_from_peer(&body(2, &format!("{PCMA}a=recvonly\n"))).unwrap();
    a.offer_from_peer(&body(3, PCMA)).unwrap();
    let answer = audio(&a.answer_locally(AT).unwrap());
    assert_eq!(answer.direction, Some(Direction::SendOnly));
}

/// Row 96.
#[test]
fn old_and_new_numbers_are_both_received_during_a_codec_change() {
    let mut leg = called();
    leg.offer_to_peer(Some(&sdp("m=audio 4000 RTP/AVP 9\n")), AT);
    let numbers = |leg: &Negotiator| {
        let formats = leg.plan().receive_formats;
        formats.iter().map(|f| f.payload_type).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&leg), [8, 101, 9]);
    leg.answer_from_peer(&body(2, "m=audio 4000 RTP/AVP 9\n")).unwrap();
    assert_eq!(numbers(&leg), [9, 8, 101]);
    assert_eq!(names(&leg.plan().send_formats), ["9 G722/8000"]);
    // One exchange later nothing old is in flight.
    leg.reoffer(AT);
    leg.answer_from_peer(&body(2, "m=audio 4000 RTP/AVP 9\n")).unwrap();
    assert_eq!(numbers(&leg), [9]);
}

/// Row 96.
#[test]
fn a_number_keeps_its_codec_for_the_whole_session() {
    let far = |codec: &str| sdp(&format!("m=audio 4000 RTP/AVP 96\na=rtpmap:96 {codec}\n"));
    let mut leg = Negotiator::new(1);
    leg.offer_to_peer(Some(&far("opus/48000/2")), AT);
    leg.answer_from_peer(&body(1, "m=audio 1 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n")).unwrap();
    let offer = audio(&leg.offer_to_peer(Some(&far("iLBC/8000")), AT));
    assert_eq!(names(&offer.rtp_formats()), ["97 iLBC/8000"]);
}

/// Row 97.
#[test]
fn each_side_sends_under_the_numbers_of_the_other() {
    let mut leg = Negotiator::new(1);
    let far = "m=audio 4000 RTP/AVP 96 101\na=rtpmap:96 opus/48000/2\n\
               a=rtpmap:101 telephone-event/48000\n";
    leg.offer_to_peer(Some(&sdp(far)), AT);
    let theirs = "m=audio 4000 RTP/AVP 111 110\na=rtpmap:111 OPUS/48000/2\n\
                  a=rtpmap:110 telephone-event/48000\n";
    leg.answer_from_peer(&body(1, theirs)).unwrap();
    let plan = leg.plan();
    let numbers = |list: &[Format]| list.iter().map(|f| f.payload_type).collect::<Vec<_>>();
    assert_eq!(numbers(&plan.send_formats), [111, 110]);
    assert_eq!(plan.telephone_event_pt, Some(110));
    // Under our numbers, and under theirs where those are free.
    assert_eq!(numbers(&plan.receive_formats), [96, 101, 111, 110]);
}

/// Row 98.
#[test]
fn every_negotiated_format_may_come_and_no_other() {
    let mut leg = Negotiator::new(1);
    leg.offer_to_peer(Some(&sdp("m=audio 4000 RTP/AVP 8 0 9 18\n")), AT);
    leg.answer_from_peer(&body(1, "m=audio 4000 RTP/AVP 0 8\n")).unwrap();
    let plan = leg.plan();
    assert_eq!(names(&plan.send_formats), ["0 PCMU/8000", "8 PCMA/8000"]);
    assert_eq!(names(&plan.receive_formats), ["8 PCMA/8000", "0 PCMU/8000"]);
}

/// Row 99.
#[test]
fn packet_times_cross_from_leg_to_leg() {
    let (mut a, mut b) = (Negotiator::new(1), Negotiator::new(2));
    let offer =
        a.offer_from_peer(&body(1, &format!("{BASIC}a=ptime:30\na=maxptime:60\n"))).unwrap();
    let relayed = audio(&b.offer_to_peer(Some(&offer.sdp), AT));
    assert_eq!((relayed.ptime_ms, relayed.maxptime_ms), (Some(30), Some(60)));
    let answer = b.answer_from_peer(&body(1, &format!("{PCMA}a=ptime:20.5\n"))).unwrap();
    assert_eq!(audio(&a.answer_to_peer(&answer.sdp, AT).unwrap()).ptime_ms, Some(20));
    assert_eq!((a.plan().ptime_ms, b.plan().ptime_ms), (Some(30), Some(20)));
    assert_eq!((a.plan().maxptime_ms, b.plan().maxptime_ms), (Some(60), None));
}

/// Row 100.
#[test]
fn codecs_are_compared_by_meaning_and_not_by_spelling() {
    let make = |map: &str, fmtp: Option<&str>| Format::new(96, Some(map), fmtp).unwrap();
    assert!(make("opus/48000", None).is_same_codec(&make("OPUS/48000/2", None)));
    assert!(make("G722/16000", None).is_same_codec(&Format::new(9, None, None).unwrap()));
    assert!(make("pcmu/8000/1", None).is_same_codec(&Format::new(0, None, None).unwrap()));
    assert!(!make("L16/8000", None).is_same_codec(&make("L16/16000", None)));
    let amr = |fmtp| make("AMR/8000", fmtp);
    assert!(!amr(Some("mode-set=7; octet-align=1")).is_same_codec(&amr(None)));
    assert!(amr(Some("octet-align=0")).is_same_codec(&amr(None)));
    assert_eq!(Format::new(96, None, None), None);
    assert_eq!(make("opus/48000", None).rtpmap(), "opus/48000/2");
}

/// Row 100.
#[test]
fn silence_frames_of_g729_are_on_unless_one_side_denies_them() {
    let answer = |offered: &str, far: &str| {
        let mut leg = Negotiator::new(1);
        leg.offer_from_peer(&body(1, &format!("m=audio 4000 RTP/AVP 18\n{offered}"))).unwrap();
        let far = sdp(&format!("m=audio 4000 RTP/AVP 18\n{far}"));
        let fmtps = audio(&leg.answer_to_peer(&far, AT).unwrap()).fmtps;
        fmtps.first().map(|(_, fmtp)| fmtp.clone())
    };
    assert_eq!(answer("", ""), None);
    assert_eq!(answer("a=fmtp:18 annexb=no\n", "").as_deref(), Some("annexb=no"));
    assert_eq!(answer("", "a=fmtp:18 annexb=no\n").as_deref(), Some("annexb=no"));
    assert_eq!(
        answer("a=fmtp:18 annexb=yes\n", "a=fmtp:18 annexb=yes\n").as_deref(),
        Some("annexb=yes")
    );
}

/// Row 101.
#[test]
fn no_common_codec_is_refused_with_its_warning() {
    let mut leg = caller();
    let before = leg.plan();
    leg.offer_from_peer(&body(2, "m=audio 4000 RTP/AVP 18\n")).unwrap();
    let refusal = leg.answer_to_peer(&sdp(PCMA), AT).unwrap_err();
    assert_eq!((refusal.status(), refusal.warning().0), (488, 305));
    assert_eq!(leg.answer_locally(AT), Err(SdpRefusal::NoCommonCodec));
    leg.rollback();
    assert_eq!(leg.plan(), before);
}

/// Row 101.
#[test]
fn secure_only_and_audioless_offers_are_refused_with_a_reason() {
    let refusal = |rest: &str| Negotiator::new(1).offer_from_peer(&body(1, rest)).unwrap_err();
    assert_eq!(refusal("m=audio 4000 RTP/SAVP 8\n"), SdpRefusal::SecureOnly);
    assert_eq!(refusal("m=audio 4000 UDP/TLS/RTP/SAVPF 8\n"), SdpRefusal::SecureOnly);
    assert_eq!(refusal("m=image 4000 udptl t38\n"), SdpRefusal::NoAudio);
    assert_eq!(refusal("m=audio 0 RTP/AVP 8\nm=image 4000 udptl t38\n"), SdpRefusal::NoAudio);
    assert_eq!(
        refusal("m=audio 4000 RTP/AVP 101\na=rtpmap:101 telephone-event/8000\n"),
        SdpRefusal::NoCommonCodec
    );
    let both = "m=audio 4000 RTP/SAVP 8\nm=audio 4002 RTP/AVP 8\n";
    assert_eq!(Negotiator::new(1).offer_from_peer(&body(1, both)).unwrap().audio, 1);
}

/// Row 102.
#[test]
fn rtcp_goes_to_its_attribute_or_to_the_next_port() {
    let rtcp = |port: u16, attribute: &str| {
        let mut leg = Negotiator::new(1);
        let offer = format!("m=audio {port} RTP/AVP 8\n{attribute}");
        leg.offer_from_peer(&body(1, &offer)).unwrap();
        leg.answer_locally(AT).unwrap();
        leg.plan().remote_rtcp.map(|address| address.to_string())
    };
    assert_eq!(rtcp(4000, "").as_deref(), Some("198.51.100.5:4001"));
    assert_eq!(rtcp(4001, "").as_deref(), Some("198.51.100.5:4002"));
    assert_eq!(rtcp(4000, "a=rtcp:5000\n").as_deref(), Some("198.51.100.5:5000"));
    assert_eq!(rtcp(4000, "a=rtcp:5000 IN IP4 203.0.113.1\n").as_deref(), Some("203.0.113.1:5000"));
    assert_eq!(rtcp(65_535, ""), None);
}

/// Row 102.
#[test]
fn our_rtcp_port_is_announced_only_if_it_is_not_the_next_and_mux_is_refused() {
    let mut leg = Negotiator::new(1);
    leg.offer_from_peer(&body(1, &format!("{BASIC}a=rtcp-mux\n"))).unwrap();
    let odd = MediaAddress { rtcp_port: 30_001, ..AT };
    let text = String::from_utf8(leg.answer_locally(odd).unwrap()).unwrap();
    assert!(text.contains("a=rtcp:30001\r\n") && !text.contains("rtcp-mux"), "{text}");
    leg.offer_from_peer(&body(2, BASIC)).unwrap();
    assert!(!String::from_utf8(leg.answer_locally(AT).unwrap()).unwrap().contains("a=rtcp:"));
}

/// Row 139.
#[test]
fn an_offerer_receives_before_the_answer() {
    let mut leg = Negotiator::new(1);
    leg.offer_to_peer(Some(&sdp(BASIC)), AT);
    let plan = leg.plan();
    assert!(plan.receive && !plan.send && plan.remote_rtp.is_none());
    assert_eq!(plan.receive_formats.len(), 3);
}

#[test]
fn a_leg_that_joins_is_offered_what_the_other_has_agreed_on() {
    let mut caller = caller();
    let offered = caller.agreed_remote().unwrap();
    assert_eq!(offered.media[0].formats, ["8", "101"]);
    let mut agent = Negotiator::new(4);
    agent.offer_to_peer(Some(&offered), AT);
    agent.answer_from_peer(&body(1, PCMA)).unwrap();
    assert!(caller.plan().is_carried_by(&agent.plan()));
    // The next agent takes only what the caller once offered: it must be asked again.
    let mut next = Negotiator::new(5);
    next.offer_to_peer(Some(&sdp(BASIC)), AT);
    let answer = next.answer_from_peer(&body(1, "m=audio 1 RTP/AVP 0\n")).unwrap();
    assert!(!caller.plan().is_carried_by(&next.plan()));
    caller.offer_to_peer(Some(&answer.sdp), AT);
    caller.answer_from_peer(&body(2, "m=audio 1 RTP/AVP 0\n")).unwrap();
    assert_eq!(names(&caller.plan().send_formats), ["0 PCMU/8000"]);
    assert!(caller.plan().is_carried_by(&next.plan()));
}

#[test]
fn an_offer_while_ours_is_open_is_glare() {
    let mut leg = caller();
    leg.reoffer(AT);
    assert_eq!(leg.offer_from_peer(&body(2, BASIC)).unwrap_err().status(), 491);
}

#[test]
fn an_answer_without_maps_is_read_with_those_of_the_offer() {
    let mut leg = Negotiator::new(1);
    leg.offer_to_peer(Some(&sdp("m=audio 1 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n")), AT);
    let answer = leg.answer_from_peer(&body(1, "m=audio 4000 RTP/AVP 96\n")).unwrap();
    assert_eq!(names(&answer.sdp.media[0].rtp_formats()), ["96 opus/48000/2"]);
}

#[test]
fn a_200_may_revise_the_answer_of_its_183_but_an_equal_one_changes_nothing() {
    let (mut a, mut b) = (Negotiator::new(1), Negotiator::new(2));
    let offer = a.offer_from_peer(&body(1, BASIC)).unwrap();
    b.offer_to_peer(Some(&offer.sdp), AT);
    let early = b.answer_from_peer(&body(1, PCMA)).unwrap();
    assert!(early.is_changed);
    let first = a.answer_to_peer(&early.sdp, AT).unwrap();
    assert!(!b.answer_from_peer(&body(1, PCMA)).unwrap().is_changed);
    assert_eq!(a.answer_to_peer(&early.sdp, AT).unwrap(), first);
    let other = b.answer_from_peer(&body(1, "m=audio 4444 RTP/AVP 0\n")).unwrap();
    assert!(other.is_changed);
    assert_eq!(version(&a.answer_to_peer(&other.sdp, AT).unwrap()), "2");
}

#[test]
fn redundancy_never_crosses_because_it_names_numbers_inside() {
    let far = "m=audio 1 RTP/AVP 96 8\na=rtpmap:96 red/8000\na=fmtp:96 8/8\n";
    let offer = audio(&Negotiator::new(1).offer_to_peer(Some(&sdp(far)), AT));
    assert_eq!(offer.formats, ["8"]);
}

proptest! {
    /// Row 91, for any order of events on two legs.
    #[test]
    fn a_version_stands_for_one_body_and_never_goes_back(
        steps in proptest::collection::vec((0..8_u8, 0..6_usize, 0..4_u64), 1..40),
    ) {
        let held = format!("{PCMA}a=sendonly\n");
        let with_fax = format!("{BASIC}m=image 5000 udptl t38\n");
        let pool = [BASIC, PCMA, &held, &with_fax, "m=audio 0 RTP/AVP 8\n", "m=audio 4 RTP/AVP 9\n"];
        let mut leg = Negotiator::new(1);
        let mut last: Option<Vec<u8>> = None;
        for (step, which, version) in steps {
            let other = &pool[which];
            let sent = match step {
                0 | 1 => leg.offer_from_peer(&body(version, other)).ok().and(None),
                2 => leg.answer_from_peer(&body(version, other)).ok().and(None),
                3 => leg.answer_to_peer(&sdp(other), AT).ok(),
                4 => leg.answer_locally(AT).ok(),
                5 => (!leg.owes_answer()).then(|| leg.offer_to_peer(Some(&sdp(other)), AT)),
                6 => (!leg.owes_answer()).then(|| leg.reoffer(AT)),
                _ => { leg.rollback(); None }
            };
            let _ = leg.plan();
            let Some(sent) = sent else { continue };
            if let Some(before) = last.filter(|before| *before != sent) {
                prop_assert_eq!(version_number(&sent), version_number(&before) + 1);
            }
            last = Some(sent);
        }
    }
}

fn version_number(body: &[u8]) -> u64 {
    version(body).parse().unwrap()
}
