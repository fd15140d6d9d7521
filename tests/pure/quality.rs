//! Phones tell how a call sounded (RFC 6035), by PUBLISH.

use crate::scene::{talking, two_phones, with_trunks};
use crate::sim::phone::Ask;
use crate::sim::text::Text;
use crate::sim::world::{PhoneId, World};

const EVENT: &str = "Event: vq-rtcpxr\r\nExpires: 600\r\n";
const TYPE: &str = "Content-Type: application/vq-rtcpxr\r\n";

fn report(call_id: &str) -> String {
    format!(
        "VQIntervalReport\r\nCallID: {call_id}\r\nLocalMetrics:\r\nPacketLoss:NLR=2.5 JDR=0.5\r\n\
         Delay:RTD=80\r\nQualityEst:MOSLQ=4.1 MOSCQ=3.9\r\nRemoteMetrics:\r\nPacketLoss:NLR=50.0\r\n"
    )
}

/// Sends a PUBLISH and gives the last answer to it.
fn publish(w: &mut World, id: PhoneId, headers: &str, body: &str) -> Text {
    let (call_id, tag) = (w[id].fresh("publish"), w[id].fresh("tag"));
    let kind = if body.is_empty() || headers.contains("Content-Type") { "" } else { TYPE };
    let ask = Ask {
        method: "PUBLISH".into(),
        uri: "sip:collector@tandem".into(),
        from: format!("<sip:{}@tandem>;tag={tag}", w[id].user),
        to: "<sip:collector@tandem>".into(),
        call_id: call_id.clone(),
        cseq: 1,
        headers: format!("{kind}{headers}"),
        body: body.to_owned(),
        call: None,
        tries: 0,
    };
    let now = w.now;
    w[id].ask(now, ask);
    w.flush(id.0);
    w.run_for(200);
    let is_own = |text: &&Text| text.call_id() == call_id;
    w[id].got.iter().rev().map(|(_, text)| text).find(is_own).expect("it is answered").clone()
}

/// The fields of the latest event `quality`.
fn told(w: &World) -> Vec<(&'static str, String)> {
    let mut events = w.events.iter().rev().filter(|(kind, _)| *kind == "quality");
    events.next().expect("it is told").1.clone()
}

/// Row 134.
#[test]
fn row_134_an_entity_tag_is_good_for_one_refresh() {
    let (mut w, a, b) = two_phones();
    let first = publish(&mut w, a, EVENT, &report("gone"));
    assert_eq!((first.status(), first.get("Expires")), (200, "600"));
    let tag = first.get("SIP-ETag").to_owned();
    let refresh = |tag: &str| format!("{EVENT}SIP-If-Match: {tag}\r\n");
    assert_eq!(publish(&mut w, b, &refresh(&tag), "").status(), 412, "it is another's");
    let again = publish(&mut w, a, &refresh(&tag), "");
    assert_eq!(again.status(), 200);
    let fresh = again.get("SIP-ETag").to_owned();
    assert_ne!(fresh, tag);
    assert_eq!(publish(&mut w, a, &refresh(&tag), "").status(), 412, "it was replaced");
    assert_eq!(publish(&mut w, a, &refresh("nonsense"), "").status(), 412);
    let modified = publish(&mut w, a, &refresh(&fresh), &report("gone"));
    assert_eq!(modified.status(), 200);
    let last = modified.get("SIP-ETag").to_owned();
    let end = format!("Event: vq-rtcpxr\r\nExpires: 0\r\nSIP-If-Match: {last}\r\n");
    let ended = publish(&mut w, a, &end, "");
    assert_eq!((ended.status(), ended.get("Expires")), (200, "0"));
    assert_eq!(w.board.counts().publications, 0);
    assert_eq!(publish(&mut w, a, &refresh(&last), "").status(), 412, "it is over");
    let short = publish(&mut w, a, EVENT, &report("gone")).get("SIP-ETag").to_owned();
    assert_eq!(w.board.counts().publications, 1);
    w.run_for(601_000);
    assert_eq!(w.board.counts().publications, 0);
    assert_eq!(publish(&mut w, a, &refresh(&short), "").status(), 412, "it has expired");
    w.assert_empty();
}

/// Row 134: what cannot be taken is refused in the right words.
#[test]
fn row_134_other_events_and_bodies_are_refused() {
    let (mut w, a, carrier, _) = with_trunks();
    let body = report("gone");
    for (headers, body, status) in [
        ("Event: presence\r\n", &*body, 489),
        ("", &body, 489),
        ("Event: vq-rtcpxr\r\n", "", 400),
        ("Event: vq-rtcpxr\r\n", "PacketLoss:NLR=1\r\n", 400),
        ("Event: vq-rtcpxr\r\nContent-Type: text/plain\r\n", "CallID: x", 415),
        ("Event: vq-rtcpxr\r\nExpires: 5\r\n", &body, 423),
        ("Event: vq-rtcpxr\r\n", &body, 200),
    ] {
        let answer = publish(&mut w, a, headers, body);
        assert_eq!(answer.status(), status, "{headers}");
        match status {
            489 => assert_eq!(answer.get("Allow-Events"), "vq-rtcpxr"),
            415 => assert_eq!(answer.get("Accept"), "application/vq-rtcpxr"),
            423 => assert_eq!(answer.get("Min-Expires"), "60"),
            _ => {}
        }
    }
    assert_eq!(publish(&mut w, carrier, EVENT, &body).status(), 405, "trunks do not report");
    w[a].secret = "guessed".into();
    assert_eq!(publish(&mut w, a, EVENT, &body).status(), 403);
    w.assert_empty();
}

#[test]
fn a_report_of_a_live_call_is_in_its_timeline() {
    let (mut w, a, b) = talking();
    let (own, other) = (w[b].last().call_id.clone(), w[a].last().call_id.clone());
    assert_eq!(publish(&mut w, b, EVENT, &report(&own)).status(), 200);
    let call = w.call();
    let figures =
        [("NLR", "2.5"), ("JDR", "0.5"), ("RTD", "80"), ("MOSLQ", "4.1"), ("MOSCQ", "3.9")];
    let fields = told(&w);
    assert!(fields.contains(&("call", call.to_string())), "{fields:?}");
    assert!(fields.contains(&("phone", "1002".to_owned())), "{fields:?}");
    for (name, value) in figures {
        assert!(fields.contains(&(name, value.to_owned())), "{name} in {fields:?}");
    }
    // A phone tells of its own leg only.
    assert_eq!(publish(&mut w, b, EVENT, &report(&other)).status(), 200);
    assert!(told(&w).iter().all(|(name, _)| *name != "call"));
    w.hang_up(a);
    w.assert_empty();
    let lines: Vec<_> =
        w.record().timeline.iter().filter(|line| line.what == "media.reported").collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].leg, "b1");
    assert_eq!(lines[0].text, "interval: NLR=2.5 JDR=0.5 RTD=80 MOSLQ=4.1 MOSCQ=3.9");
    // The last report comes when the call is over: it is an event.
    let late = report(&own).replace("VQIntervalReport", "VQSessionReport: CallTerm");
    assert_eq!(publish(&mut w, b, EVENT, &late).status(), 200);
    assert!(told(&w).contains(&("moment", "end".to_owned())));
}
