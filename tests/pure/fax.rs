//! Row 159 of the wire catalogue: fax by T.38 in the place of the audio (ITU-T T.38 Annex D, RFC 3362).

use tandem::proto::audio::FaxTone;
use tandem::proto::sdp::FaxPlan;
use tandem::switch::call::{Input, Side};

use crate::scene::{heard, outcome, talking, two_phones};
use crate::sim::office::{CARRIER, office};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::sdp::{self, HOLD, TALK};
use crate::sim::world::{PhoneId, World};

const ASKED: &str = "a=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=T38FaxRateManagement:transferredTCF\r\n\
                     a=T38FaxMaxBuffer:2000\r\na=T38FaxMaxDatagram:512\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n";
const ANSWERED: &str = "a=T38FaxVersion:0\r\na=T38MaxBitRate:9600\r\na=T38FaxFillBitRemoval:0\r\n\
                        a=T38FaxMaxDatagram:72\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n";

/// A description of the phone at this host with these streams.
fn body(host: u8, version: u32, streams: &str) -> String {
    format!(
        "v=0\r\no=phone 77 {version} IN IP4 10.0.0.{host}\r\ns=-\r\nc=IN IP4 10.0.0.{host}\r\nt=0 0\r\n{streams}"
    )
}

fn image(host: u8, version: u32, attributes: &str) -> String {
    body(host, version, &format!("m=image 5004 udptl t38\r\n{attributes}"))
}

/// The `m=` lines.
fn streams(sdp: &str) -> Vec<&str> {
    sdp.lines().filter(|line| line.starts_with("m=")).map(str::trim).collect()
}

fn t38(sdp: &str) -> String {
    sdp.lines().filter(|line| line.starts_with("a=T38")).map(|line| format!("{line}\r\n")).collect()
}

/// The plans of fax on side a and side b.
fn plans(w: &World) -> [Option<FaxPlan>; 2] {
    let open = &w.media.open[&w.call()];
    [open.a.fax, open.b.fax]
}

/// 1001, who called 1002, asks for fax, which 1002 takes.
fn faxing() -> (World, PhoneId, PhoneId) {
    let (mut w, a, b) = talking();
    w[b].habits.on_modify = Some(Reply::status(200).body(Body::Text(image(12, 2, ANSWERED))));
    w.in_dialog(a, "INVITE", "", &image(11, 2, ASKED));
    w.run_for(500);
    (w, a, b)
}

/// Row 159: the offer crosses with our port and their attributes, and so does the answer.
#[test]
fn row_159_a_re_invite_to_t38_crosses_the_call_and_back_to_audio() {
    let (mut w, a, b) = faxing();
    let asked = w[b].requests("INVITE")[1].body.clone();
    let ports = w.media.open[&w.call()].ports.unwrap();
    assert_eq!(streams(&asked), [format!("m=image {} udptl t38", ports.1.rtp)], "in place");
    assert_eq!(t38(&asked), ASKED, "the attributes are the peers' business");
    let answer = w[a].response(200).unwrap().body.clone();
    assert_eq!(streams(&answer), [format!("m=image {} udptl t38", ports.0.rtp)]);
    assert_eq!(t38(&answer), ANSWERED);
    assert!(!asked.contains("10.0.0.11") && !answer.contains("10.0.0.12"), "{asked}{answer}");
    let [at_a, at_b] = plans(&w);
    assert_eq!(at_a.unwrap().datagram_max, 512);
    assert_eq!(at_b.unwrap().datagram_max, 400, "72 is said by gateways that take more");
    let open = &w.media.open[&w.call()];
    assert_eq!(open.a.remote_rtp.unwrap().to_string(), "10.0.0.11:5004");
    assert!(open.a.send_formats.is_empty() && open.a.send && open.a.receive);
    // And back: audio in the place of the fax.
    w[b].habits.on_modify = Some(ok());
    let audio = body(11, 3, "m=audio 4000 RTP/AVP 0 8\r\n");
    w.in_dialog(a, "INVITE", "", &audio);
    w.run_for(500);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&200));
    let asked = w[b].requests("INVITE")[2].body.clone();
    assert!(asked.contains(&format!("m=audio {} RTP/AVP 0 8", ports.1.rtp)), "{asked}");
    assert_eq!((heard(&w), plans(&w)), ((true, true), [None, None]));
    let versions: Vec<_> =
        w[b].requests("INVITE").iter().map(|invite| sdp::origin(&invite.body, 2)).collect();
    assert_eq!([versions[1] - versions[0], versions[2] - versions[1]], [1, 1]);
    let forms: Vec<_> = w.events.iter().filter(|(kind, _)| *kind == "call.fax").collect();
    assert_eq!(forms.len(), 2, "{forms:?}");
    w.hang_up(a);
    w.assert_empty();
    let told: Vec<_> = w.record().timeline.iter().filter(|e| e.what == "media.fax").collect();
    assert_eq!(told.len(), 2, "{told:?}");
}

/// Row 159: a gateway that keeps the audio at port 0 gets its places kept; the answering side asks for fax as well.
#[test]
fn row_159_audio_at_port_zero_beside_the_image_keeps_its_place() {
    let (mut w, a, b) = talking();
    w[a].habits.on_modify = Some(Reply::status(200).body(Body::Text(image(11, 2, ASKED))));
    let both = format!("m=audio 0 RTP/AVP 0\r\nm=image 5004 udptl t38\r\n{ASKED}");
    w.in_dialog(b, "INVITE", "", &body(12, 2, &both));
    w.run_for(500);
    let answer = w[b].response(200).unwrap().body.clone();
    let ports = w.media.open[&w.call()].ports.unwrap();
    let port = ports.1.rtp;
    assert_eq!(streams(&answer), ["m=audio 0 RTP/AVP 0", &format!("m=image {port} udptl t38")]);
    assert!(plans(&w).iter().all(Option::is_some));
    // The other side ends it: each stream has its old place here.
    w[b].habits.on_modify = Some(Reply::status(200).body(Body::Text(body(
        12,
        3,
        "m=audio 4000 RTP/AVP 0\r\nm=image 0 udptl t38\r\n",
    ))));
    w.in_dialog(a, "INVITE", "", &body(11, 3, "m=audio 4000 RTP/AVP 0\r\n"));
    w.run_for(500);
    let asked = w[b].requests("INVITE").last().unwrap().body.clone();
    assert_eq!(streams(&asked), [&format!("m=audio {port} RTP/AVP 0"), "m=image 0 udptl t38"]);
    assert_eq!((heard(&w), plans(&w)), ((true, true), [None, None]));
    w.hang_up(a);
    w.assert_empty();
}

/// Rows 90 and 159: what refuses fax is told to who asked for it, and the audio goes on.
#[test]
fn row_159_a_refusal_falls_back_to_the_audio() {
    for (status, passed) in [(488, 488), (415, 415), (606, 488), (500, 488)] {
        let (mut w, a, b) = talking();
        w[b].habits.on_modify = Some(Reply::status(status));
        w.in_dialog(a, "INVITE", "", &image(11, 2, ASKED));
        w.run_for(500);
        assert_eq!(w[a].statuses("INVITE").last(), Some(&passed), "{status}");
        assert_eq!((heard(&w), plans(&w)), ((true, true), [None, None]));
        w[b].habits.on_modify = Some(ok());
        for form in [HOLD, TALK] {
            w.modify(a, "INVITE", form);
            w.run_for(500);
        }
        assert_eq!(heard(&w), (true, true));
        w.hang_up(a);
        w.assert_empty();
        assert_eq!(outcome(&w), ("normal", "caller", true));
    }
}

/// Row 159: 200 with the image refused is a refusal as well, after which the peer is offered its audio again.
#[test]
fn row_159_an_answer_without_the_fax_is_a_refusal_too() {
    for answer in ["m=image 0 udptl t38\r\n", "m=audio 4000 RTP/AVP 0\r\n"] {
        let (mut w, a, b) = talking();
        w[b].habits.on_method =
            vec![("INVITE", Reply::status(200).body(Body::Text(body(12, 2, answer))))];
        w.in_dialog(a, "INVITE", "", &image(11, 2, ASKED));
        w.run_for(1_000);
        assert_eq!(w[a].statuses("INVITE").last(), Some(&488), "{answer}");
        let last = w[b].requests("INVITE").last().unwrap().body.clone();
        assert!(last.contains("m=audio"), "{last}");
        assert_eq!((heard(&w), plans(&w)), ((true, true), [None, None]));
        w.hang_up(a);
        w.assert_empty();
    }
}

/// Row 159: fax over TCP, and fax before there is any call, are refused; the call that is there goes on.
#[test]
fn row_159_t38_over_tcp_is_488() {
    for proto in ["tcp", "TPTCP", "TCP/TLS/UDPTL"] {
        let (mut w, a, b) = talking();
        let offer = body(11, 2, &format!("m=image 5004 {proto} t38\r\n"));
        w.in_dialog(a, "INVITE", "", &offer);
        w.run_for(500);
        assert!(w[a].response(488).unwrap().get("Warning").starts_with("304"));
        assert_eq!((w[b].requests("INVITE").len(), heard(&w)), (1, (true, true)));
        w.hang_up(a);
        w.assert_empty();
    }
    let (mut w, a, b) = two_phones();
    w.dial_with(a, "1002", &Body::Text(image(11, 1, ASKED)), "");
    w.run_for(500);
    assert_eq!((w[a].last().status, w[b].requests("INVITE").len()), (488, 0));
    w.assert_empty();
}

/// Row 159: audio and image in the first INVITE: it begins as audio, and the place of the image is kept.
#[test]
fn row_159_an_invite_with_audio_and_image_begins_as_audio() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    let both = format!("m=audio 4000 RTP/AVP 0\r\nm=image 5004 udptl t38\r\n{ASKED}");
    w.dial_with(a, "1002", &Body::Text(body(11, 1, &both)), "");
    w.run_for(1_500);
    let ports = w.media.open[&w.call()].ports.unwrap();
    let audio = format!("m=audio {} RTP/AVP 0", ports.0.rtp);
    let answer = w[a].response(200).unwrap().body.clone();
    assert_eq!(streams(&answer), [&audio, "m=image 0 udptl t38"]);
    assert_eq!(heard(&w), (true, true));
    // Fax takes the place that was kept for it.
    w[b].habits.on_modify = Some(Reply::status(200).body(Body::Text(image(12, 2, ANSWERED))));
    let fax = format!("m=audio 0 RTP/AVP 0\r\nm=image 5004 udptl t38\r\n{ASKED}");
    w.in_dialog(a, "INVITE", "", &body(11, 2, &fax));
    w.run_for(500);
    let answer = w[a].response(200).unwrap().body.clone();
    let at = ports.0.rtp;
    assert_eq!(streams(&answer), ["m=audio 0 RTP/AVP 0", &format!("m=image {at} udptl t38")]);
    assert!(plans(&w).iter().all(Option::is_some));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 159: refreshes of either side repeat the image and nothing else, and concern nobody else.
#[test]
fn row_159_a_session_timer_during_t38_repeats_the_image() {
    let (mut w, a, b) = two_phones();
    let timer = "Session-Expires: 600;refresher=uac";
    w[b].habits.on_invite = vec![(20, ring()), (1_000, ok().header(timer))];
    w.dial(a, "1002");
    w.run_for(2_000);
    let answer = Reply::status(200).header(timer).body(Body::Text(image(12, 2, ANSWERED)));
    w[b].habits.on_modify = Some(answer);
    w.in_dialog(a, "INVITE", "", &image(11, 2, ASKED));
    w.run_for(500);
    let before = w[b].requests("INVITE")[1].body.clone();
    w.run_for(11 * 60_000);
    let invites = w[b].requests("INVITE");
    assert!(invites.len() >= 3, "{}", invites.len());
    assert_eq!(invites.last().unwrap().body, before, "the same body, of the same version");
    assert!(plans(&w).iter().all(Option::is_some));
    // And the peer's own.
    let count = w[b].requests("INVITE").len();
    w.in_dialog(a, "INVITE", "", &image(11, 2, ASKED));
    w.run_for(500);
    let answer = w[a].response(200).unwrap().body.clone();
    assert_eq!((streams(&answer).len(), t38(&answer).as_str()), (1, ANSWERED));
    assert_eq!(w[b].requests("INVITE").len(), count);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

/// Row 159: no transfer pulls a fax apart.
#[test]
fn row_159_a_transfer_during_a_fax_is_refused() {
    let (mut w, a, _) = faxing();
    w.in_dialog(a, "REFER", "Refer-To: <sip:1003@example.com>\r\n", "");
    w.run_for(500);
    assert_eq!(w[a].statuses("REFER").last(), Some(&491));
    assert!(plans(&w).iter().all(Option::is_some));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 159: a hold during a fax ends it: both sides are at the audio again, one of them on hold.
#[test]
fn row_159_a_hold_during_a_fax_is_a_return_to_the_audio() {
    let (mut w, a, b) = faxing();
    w[b].habits.on_modify = Some(ok());
    let audio = "m=audio 4000 RTP/AVP 0\r\n";
    w.in_dialog(a, "INVITE", "", &body(11, 3, &format!("{audio}a=sendonly\r\n")));
    w.run_for(500);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&200));
    assert_eq!(plans(&w), [None, None]);
    assert_eq!(heard(&w), (false, true));
    w.in_dialog(a, "INVITE", "", &body(11, 4, audio));
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 159: a trunk that is to have no fax is asked for none, and gets none.
#[test]
fn row_159_a_trunk_with_t38_off_stays_in_the_audio() {
    let mut snapshot = office();
    for trunk in &mut snapshot.trunks {
        trunk.dialect.t38 = false;
    }
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "013800138000");
    w.run_for(1_500);
    assert_eq!(heard(&w), (true, true));
    for side in [a, carrier] {
        w.in_dialog(side, "INVITE", "", &image(11, 9, ASKED));
        w.run_for(500);
        assert!(w[side].response(488).unwrap().get("Warning").starts_with("304"));
    }
    assert_eq!(w[carrier].requests("INVITE").len(), 1);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 160: the timeline and the event stream say that a call is the sound of a fax.
#[test]
fn row_160_a_tone_of_a_fax_is_told() {
    let (mut w, a, _) = talking();
    let call = w.call();
    w.input(call, Input::FaxTone(Side::A, FaxTone::Calling));
    w.input(call, Input::FaxTone(Side::B, FaxTone::Answering));
    w.run_for(100);
    let told: Vec<_> = w.events.iter().filter(|(kind, _)| *kind == "call.fax").collect();
    let tones: Vec<_> = told
        .iter()
        .flat_map(|(_, fields)| fields)
        .filter(|(n, _)| *n == "tone")
        .map(|(_, v)| v.as_str())
        .collect();
    assert_eq!(tones, ["cng", "ced"]);
    assert_eq!(heard(&w), (true, true), "the call goes on as it is");
    w.hang_up(a);
    w.assert_empty();
    let lines = w.record().timeline.iter().filter(|line| line.what == "media.fax");
    assert_eq!(lines.map(|line| line.leg.as_str()).collect::<Vec<_>>(), ["a", "b1"]);
}
