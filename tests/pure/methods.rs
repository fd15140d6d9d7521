//! What is refused whoever sends it, and the methods that make no call.

use crate::scene::{heard, talking, two_phones, with_trunks};
use crate::sim::office::{office, route, trunk};
use crate::sim::phone::{Reply, early, ok, ring};
use crate::sim::sdp::TALK;
use crate::sim::world::{PhoneId, World};
use tandem::switch::snapshot::TrunkMode;

fn send(w: &mut World, id: PhoneId, method: &str, uri: &str, headers: &str, body: &str) -> u16 {
    w.raw(
        id,
        &format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
             From: <sip:x@y>;tag={{branch}}\r\nTo: <{uri}>\r\nCall-ID: {{branch}}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:x@{{me}}>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    );
    w.run_for(100);
    w[id].statuses(method).last().copied().unwrap_or(0)
}

/// Rows 13, 14, 17, 114, 116.
#[test]
fn what_cannot_be_served_is_refused_in_the_right_words() {
    let mut w = World::new(office());
    let carrier = w.party("carrier", crate::sim::office::CARRIER);
    let sip = "sip:+862012345678@198.51.100.1";
    let text = "Content-Type: text/plain\r\n";
    let optional = "Content-Type: text/plain\r\nContent-Disposition: render;handling=optional\r\n";
    for (method, uri, headers, body, status) in [
        ("OPTIONS", "sip:198.51.100.1", "", "", 200),
        ("INVITE", "nobodyKnowsThisScheme:opaque", "", "", 416),
        ("INVITE", sip, "Require: 100rel, precondition\r\n", "", 420),
        ("INVITE", sip, text, "hello", 415),
        ("INVITE", sip, optional, "hello", 480),
        ("BYE", sip, "", "", 481),
        ("SUBSCRIBE", sip, "", "", 405),
        // Row 125: there is no call that it could be about.
        ("REFER", sip, "Refer-To: <sip:1001@tandem>\r\n", "", 403),
        ("CONJURE", sip, "", "", 501),
    ] {
        assert_eq!(send(&mut w, carrier, method, uri, headers, body), status, "{method} {headers}");
    }
    assert_eq!(w[carrier].response(420).unwrap().get("Unsupported"), "precondition");
    assert_eq!(w[carrier].response(415).unwrap().get("Accept"), "application/sdp");
    assert!(w[carrier].response(405).unwrap().get("Allow").contains("INVITE"));
    w.assert_empty();
}

/// Row 114 inside a dialog: what we do not know is refused there too, and changes nothing.
#[test]
fn row_114_an_extension_that_we_lack_is_refused_inside_a_dialog() {
    let (mut w, a, b) = talking();
    let body = w[a].last().local_sdp.replace("sendrecv", "sendonly");
    w.in_dialog(a, "INVITE", "Require: precondition\r\n", &body);
    w.run_for(200);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&420));
    assert_eq!(heard(&w), (true, true));
    w.modify(a, "INVITE", TALK);
    w.run_for(200);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&200));
    w.hang_up(b);
    w.assert_empty();
}

/// Row 13 inside a dialog: a body that is no description is no wish for an offer.
#[test]
fn row_013_a_re_invite_with_another_body_is_415() {
    let (mut w, a, b) = talking();
    let text = {
        let last = w[a].last().clone();
        format!(
            "INVITE {} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
             From: <sip:1001@tandem>;tag={}\r\nTo: <sip:1002@tandem>;tag={}\r\nCall-ID: {}\r\nCSeq: 77 INVITE\r\n\
             Contact: <sip:1001@{{me}}>\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
            last.target, last.local_tag, last.remote_tag, last.call_id
        )
    };
    w.raw(a, &text);
    w.run_for(200);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&415));
    assert_eq!(w[b].requests("INVITE").len(), 1);
    w.hang_up(b);
    w.assert_empty();
}

/// Row 106: an UPDATE with an offer while the first one is open.
#[test]
fn row_106_an_update_in_an_early_dialog_is_put_off() {
    let (mut w, a, _) = two_phones();
    w.dial(a, "1002");
    w.run_for(500);
    let tag = w[a].response(180).unwrap().tag_of_to();
    let call = w[a].last_index();
    w[a].calls[call].remote_tag = tag;
    w.modify(a, "UPDATE", TALK);
    w.run_for(100);
    let refused = w[a].response(500).unwrap();
    assert!(refused.has("Retry-After"));
    w.cancel(a);
    w.assert_empty();
}

#[test]
fn a_trunk_that_fails_behind_its_183_is_left_for_the_next() {
    let (mut w, a, carrier, backup) = with_trunks();
    w[carrier].habits.on_invite = vec![(20, early()), (2_000, Reply::status(503))];
    w[backup].habits.on_invite = vec![(20, early()), (500, ok())];
    w.dial(a, "0123");
    w.run_for(4_000);
    assert_eq!(heard(&w), (true, true));
    assert!(
        w.media.open[&w.call()]
            .hearing()
            .contains("b hears a: yes PCMU/8000 (0) via 203.0.113.20:4000")
    );
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn a_trunk_by_name_is_called_and_known_by_the_address_behind_it() {
    let mut snapshot = office();
    snapshot.trunks = vec![trunk("carrier", TrunkMode::Peer, &["SBC.carrier.example:5060"])];
    snapshot.routes = vec![route("out", "^0(.+)$", &["carrier"], None)];
    let mut w = World::new(snapshot);
    w.has_addresses("sbc.carrier.example", &["203.0.113.77"]);
    let a = w.phone("1001");
    let b = w.phone("1002");
    w[b].habits.on_invite = vec![(20, ring()), (100, ok())];
    let carrier = w.party("carrier", "203.0.113.77:5060");
    w[carrier].habits.on_invite = vec![(20, ring()), (100, ok())];
    w.dial(a, "0123");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(carrier);
    w.run_for(1_000);
    w.dial(carrier, crate::sim::office::NUMBER);
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(carrier);
    w.assert_empty();
}

#[test]
fn a_trunk_whose_name_leads_nowhere_is_left_at_once() {
    let mut snapshot = office();
    snapshot.trunks.insert(0, trunk("lost", TrunkMode::Peer, &["nowhere.example:5060"]));
    snapshot.routes = vec![route("out", "^0(.+)$", &["lost", "carrier"], None)];
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", crate::sim::office::CARRIER);
    w[carrier].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}
