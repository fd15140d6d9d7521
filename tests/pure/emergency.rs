//! Row 162 of the wire catalogue: emergency calls pass everything.

use crate::scene::{heard, outcome};
use crate::sim::office::{BACKUP, CARRIER, office};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::world::{PhoneId, World};
use tandem::switch::snapshot::{OtherFrom, Snapshot};
use tandem::switch::switchboard::Load;

fn world(snapshot: Snapshot) -> (World, PhoneId, PhoneId, PhoneId) {
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let (carrier, backup) = (w.party("carrier", CARRIER), w.party("backup", BACKUP));
    for id in [carrier, backup] {
        w[id].habits.on_invite = vec![(20, ring()), (100, ok())];
    }
    (w, a, carrier, backup)
}

fn talks(w: &mut World, a: PhoneId, number: &str, by: PhoneId, sent: &str) {
    w.dial(a, number);
    w.run_for(1_500);
    assert_eq!(w[a].last().status, 200, "{number}");
    let invite = w[by].requests("INVITE");
    let uri = invite.last().expect("the trunk is called").uri();
    assert!(uri.starts_with(&format!("sip:{sent}@")), "{uri}");
    w.hang_up(a);
    w.run_for(1_000);
}

#[test]
fn row_162_with_and_without_a_prefix_and_without_any_route() {
    let mut snapshot = office();
    snapshot.routes.clear();
    let (mut w, a, carrier, _) = world(snapshot);
    for (dialled, sent) in [("110", "110"), ("112", "112"), ("0119", "119"), ("9911", "911")] {
        talks(&mut w, a, dialled, carrier, sent);
    }
    w.assert_empty();
}

#[test]
fn row_162_the_named_trunks_come_first_and_every_one_is_tried() {
    let mut snapshot = office();
    snapshot.emergency.trunks = vec!["backup".into(), "carrier".into()];
    let (mut w, a, carrier, backup) = world(snapshot);
    talks(&mut w, a, "112", backup, "112");
    assert!(w[carrier].requests("INVITE").is_empty());
    // Whatever the first one says: a 403 or a 486 is no reason to stop.
    for status in [403, 404, 486, 503, 600, 603] {
        w[backup].habits.on_invite = vec![(20, Reply::status(status))];
        talks(&mut w, a, "112", carrier, "112");
    }
    w.assert_empty();
}

/// Full, draining, overloaded, barred, capped: nothing stands in the way, neither for a phone that never registered.
#[test]
fn row_162_no_limit_cap_drain_or_overload_stands_in_the_way() {
    let mut snapshot = office();
    snapshot.limits.calls_max = 1;
    snapshot.dial.allow.clear();
    snapshot.dial.phone.calls_per_minute = 1;
    snapshot.dial.trunk.calls_max = 1;
    let (mut w, a, carrier, _) = world(snapshot);
    let b = w.phone("1002");
    let c = w.party("1003", "192.0.2.9:5060");
    w[c].domain = "tandem".into();
    w.dial(b, "1001");
    w.run_for(500);
    w.board.drain();
    let (now, lag) = (w.instant(), std::time::Duration::from_secs(9));
    w.with_board(|board, out| {
        board.loaded(now, Load { lag, queued: 0, queue_max: 1 }, out);
    });
    for id in [a, c, a, c] {
        talks(&mut w, id, "110", carrier, "110");
    }
    w.dial(a, "0123");
    w.run_for(500);
    assert_eq!(w[a].last().status, 503);
    w.cancel(b);
    w.assert_empty();
}

#[test]
fn row_162_a_ban_does_not_stop_it_and_the_ban_stays() {
    let (mut w, _, carrier, _) = world(office());
    let c = w.party("1003", "192.0.2.9:5060");
    w[c].domain = "tandem".into();
    for n in 0..3 {
        w.send_from("192.0.2.9:5061", &format!("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5061;branch=z9hG4bK{n}\r\nUser-Agent: sipvicious\r\n\r\n"));
    }
    w.run_for(100);
    assert_eq!(w.board.guard().counts().banned, 1);
    w.dial(c, "110");
    w.run_for(1_500);
    assert_eq!(heard(&w), (true, true));
    assert_eq!(w[carrier].requests("INVITE").len(), 1);
    // Its dialog is served, and nothing else of it.
    w.run_for(40_000);
    assert_eq!(heard(&w), (true, true), "it was acknowledged");
    let before = w[c].got.len();
    w[c].habits.repeats = false;
    w.dial(c, "1001");
    w.run_for(500);
    assert_eq!(w[c].got.len(), before);
    assert_eq!(w.board.guard().counts().banned, 1);
    let now = w.now;
    w[c].hang_up(now, 0);
    w.flush(c.0);
    w.run_for(200);
    assert_eq!(w[c].statuses("BYE"), [200]);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

/// Emergency numbers are no way around the ban for somebody who guesses passwords.
#[test]
fn emergency_numbers_do_not_make_guessing_cheap() {
    let (mut w, _, _, _) = world(office());
    let x = w.party("1001", "192.0.2.66:5060");
    w[x].domain = "tandem".into();
    w[x].secret = "wrong".into();
    w[x].habits.repeats = false;
    for _ in 0..200 {
        w.dial(x, "110");
        w.run_for(10);
    }
    let guesses = w[x].statuses("INVITE").iter().filter(|status| **status == 403).count();
    assert!(guesses < 20, "{guesses}");
    w.assert_empty();
}

#[test]
fn an_extension_of_the_same_number_is_rung() {
    let mut snapshot = office();
    snapshot.phones.extend([crate::sim::office::phone("110", "Reception")]);
    let (mut w, a, carrier, _) = world(snapshot);
    let reception = w.phone("110");
    w.dial(a, "110");
    w.run_for(500);
    assert_eq!(w[reception].requests("INVITE").len(), 1);
    assert!(w[carrier].requests("INVITE").is_empty());
    w.cancel(a);
    w.assert_empty();
}

/// Rows 14 and 162: phones that know services ask for one by its URN; what is not listed is the one above it.
#[test]
fn row_162_a_service_urn_is_its_number() {
    for (urn, sent) in [
        ("urn:service:sos", "112"),
        ("URN:Service:SOS.Police", "110"),
        ("urn:service:sos.fire", "119"),
        ("urn:service:sos.ambulance", "120"),
        ("urn:service:sos.marine", "112"),
        ("urn:service:sos.fire.forest", "119"),
    ] {
        let (mut w, a, carrier, _) = world(office());
        let now = w.now;
        w[a].dial_uri(now, urn.to_owned(), &Body::Auto, "");
        w.flush(a.0);
        w.run_for(3_000);
        let invites = w[carrier].requests("INVITE");
        assert_eq!(invites.len(), 1, "{urn}");
        assert!(
            invites[0].uri().starts_with(&format!("sip:{sent}@")),
            "{urn}: {}",
            invites[0].uri()
        );
        w.hang_up(a);
        w.assert_empty();
        assert_eq!(w.record().began.called, sent);
    }
    // A service that is no emergency is not known here; it is no bad scheme.
    let (mut w, a, carrier, _) = world(office());
    let now = w.now;
    w[a].dial_uri(now, "urn:service:counseling".to_owned(), &Body::Auto, "");
    w.flush(a.0);
    w.run_for(1_000);
    assert_eq!(w[a].last().status, 404);
    assert!(w[carrier].requests("INVITE").is_empty());
}

/// Where the numbers are others, services lead to them and never past them.
#[test]
fn services_follow_the_numbers() {
    let mut settings = office().emergency;
    settings.numbers = vec!["999".into(), "110".into()];
    assert_eq!(settings.number_of("urn:service:sos"), Some("999"));
    assert_eq!(settings.number_of("urn:service:sos.fire"), Some("999"));
    assert_eq!(settings.number_of("urn:service:sos.police"), Some("110"));
    for other in ["urn:service:", "urn:service:sosx", "sip:sos@x", "urn:service:counseling.sos"] {
        assert_eq!(settings.number_of(other), None, "{other}");
    }
}

fn located() -> Snapshot {
    let mut snapshot = office();
    let phone = snapshot.phones.get_mut("1001").unwrap();
    let address = [("country", "CN"), ("A3", "Guangzhou"), ("FLR", "5")];
    phone.location = address.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    snapshot
}

/// Row 162: whoever has to know is told, and the carrier gets the address that is configured, and on no other call.
#[test]
fn row_162_the_place_of_the_phone_goes_with_the_call() {
    let (mut w, a, carrier, _) = world(located());
    talks(&mut w, a, "110", carrier, "110");
    assert_eq!(heard_in(&w), (true, true));
    let invite = w[carrier].requests("INVITE")[0];
    assert!(invite.get("Content-Type").starts_with("multipart/mixed;"));
    assert_eq!(invite.get("Geolocation"), "<cid:location@tandem.invalid>");
    assert!(invite.body.contains("Content-ID: <location@tandem.invalid>\r\n"), "{}", invite.body);
    let inner = "<ca:country>CN</ca:country><ca:A3>Guangzhou</ca:A3><ca:FLR>5</ca:FLR>";
    assert!(invite.body.contains(inner), "{}", invite.body);
    let (_, fields) = w.events.iter().find(|(kind, _)| *kind == "call.emergency").unwrap();
    let field = |name| fields.iter().find(|(known, _)| *known == name).unwrap().1.as_str();
    assert_eq!(field("extension"), "1001");
    assert_eq!((field("number"), field("location")), ("110", "CN, Guangzhou, 5"));
    w.dial(a, "0123");
    w.run_for(1_000);
    let invite = w[carrier].requests("INVITE")[1];
    assert!(!invite.has("Geolocation") && invite.get("Content-Type") == "application/sdp");
    w.hang_up(a);
    w.assert_empty();
}

fn heard_in(w: &World) -> (bool, bool) {
    let record = w.records.last().unwrap();
    (record.answered.is_some(), record.cause.key == "normal")
}

/// Row 162: a carrier that takes no such body gets the call without it, once every trunk has been tried with it.
#[test]
fn row_162_a_body_that_nobody_takes_does_not_cost_the_call() {
    let (mut w, a, carrier, backup) = world(located());
    w[carrier].habits.on_method = vec![("INVITE", Reply::status(415))];
    w[backup].habits.on_invite = vec![(20, Reply::status(500))];
    w.dial(a, "110");
    w.run_for(3_000);
    assert_eq!(w[a].last().status, 200);
    let kinds: Vec<_> = w[carrier]
        .requests("INVITE")
        .iter()
        .map(|text| text.get("Content-Type").to_owned())
        .collect();
    assert!(kinds[0].starts_with("multipart/") && kinds[1] == "application/sdp", "{kinds:?}");
    assert_eq!(w[backup].requests("INVITE").len(), 1);
    w.hang_up(a);
    w.assert_empty();
}

/// Row 162: what the phone itself says of its place goes before the configuration.
#[test]
fn row_162_a_phone_says_where_it_is() {
    let (mut w, a, carrier, _) = world(located());
    let header = "Geolocation: <https://lis.example/1001>\r\nGeolocation-Routing: yes\r\n";
    w.dial_with(a, "110", &Body::Auto, header);
    w.run_for(1_500);
    let invite = w[carrier].requests("INVITE")[0];
    assert_eq!(invite.get("Geolocation"), "<https://lis.example/1001>");
    assert_eq!(invite.get("Geolocation-Routing"), "yes");
    assert_eq!(invite.get("Content-Type"), "application/sdp");
    w.hang_up(a);
    w.assert_empty();
}

/// Neither a From of somebody else nor the prefix that withholds the number stands in the way, whatever else there is to
/// do; who calls is who logged in.
#[test]
fn row_162_a_strange_from_and_a_withheld_number_are_no_hindrance() {
    let mut snapshot = office();
    snapshot.sip.other_from = OtherFrom::Refuse;
    snapshot.dial.withhold_prefix = "*67".into();
    snapshot.limits.calls_max = 0;
    let (mut w, a, carrier, _) = world(snapshot);
    for (from, number) in [("1003", "112"), ("1001", "*67112"), ("1003", "*670112")] {
        w[a].user = from.into();
        w.dial(a, number);
        // It logs in as itself, whatever its From says.
        w[a].user = "1001".into();
        w.run_for(1_500);
        assert_eq!(w[a].last().status, 200, "{number}");
        let invite = w[carrier].requests("INVITE").last().unwrap().to_owned();
        assert!(invite.uri().starts_with("sip:112@"), "{number}: {}", invite.uri());
        assert!(invite.get("From").contains("<sip:1001@"), "{number}: {}", invite.get("From"));
        w.hang_up(a);
        w.run_for(1_000);
    }
    w.assert_empty();
}
