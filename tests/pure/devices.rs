//! One device among several of an extension: reached by its GRUU, and by whichever of its flows works.

use crate::scene::heard;
use crate::sim::office::{CARRIER, office};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::text::Text;
use crate::sim::world::{PhoneId, World};

/// Registers with further parameters and headers; the answer.
fn register(w: &mut World, id: PhoneId, params: &str, headers: &str) -> Text {
    let (now, contact) = (w.now, format!("{};{params}", w[id].contact()));
    w[id].register(now, &contact, headers);
    w.flush(id.0);
    w.run_for(200);
    let answers = w[id].got.iter().rev().map(|(_, text)| text);
    answers.into_iter().find(|text| text.method() == "REGISTER").unwrap().clone()
}

/// A device of 1002 that is registered with an instance.
fn device(w: &mut World, name: &str, instance: &str, supported: &str) -> (PhoneId, Text) {
    let id = w.second_phone(name, "1002");
    let params = format!("expires=600;+sip.instance=\"<urn:uuid:{instance}>\"");
    let answer = register(w, id, &params, &format!("Supported: {supported}\r\n"));
    w[id].habits.on_invite = vec![(20, ring()), (200, ok())];
    (id, answer)
}

/// The GRUUs of the device with this instance in a 200.
fn gruus(answer: &Text, instance: &str) -> (String, String) {
    let contact = answer.all("Contact").find(|value| value.contains(instance)).unwrap();
    let quoted = |name: &str| {
        let (_, rest) = contact.split_once(&format!(";{name}=\"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    (quoted("pub-gruu"), quoted("temp-gruu"))
}

/// Dials a URI.
fn dial(w: &mut World, id: PhoneId, uri: &str) {
    let (user, domain) = uri.strip_prefix("sip:").unwrap().split_once('@').unwrap();
    let before = std::mem::replace(&mut w[id].domain, domain.to_owned());
    w.dial(id, user);
    w[id].domain = before;
    w.run_for(1_000);
}

fn invites(w: &World, ids: [PhoneId; 2]) -> [usize; 2] {
    ids.map(|id| w[id].requests("INVITE").len())
}

/// Row 63: both are given to who knows what they are, and lead to that device alone.
#[test]
fn row_063_a_gruu_reaches_one_device() {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let (desk, answer) = device(&mut w, "desk", "desk", "gruu");
    let (soft, plain) = device(&mut w, "soft", "soft", "path");
    assert!(plain.all("Contact").all(|value| !value.contains("gruu=")), "nobody asked");
    let (public, temporary) = gruus(&answer, "desk");
    assert_eq!(public, "sip:1002@tandem;gr=urn:uuid:desk");
    assert!(temporary.starts_with("sip:tgruu.") && temporary.ends_with("@tandem;gr"));
    let phones = [desk, soft];
    for uri in [&public, &temporary] {
        let before = invites(&w, phones);
        dial(&mut w, a, uri);
        assert_eq!(heard(&w), (true, true), "{uri}");
        assert_eq!(invites(&w, phones), [before[0] + 1, before[1]], "{uri}");
        w.hang_up(a);
        w.run_for(1_000);
        assert_eq!(w.records.last().unwrap().began.called, "1002");
    }
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(invites(&w, phones), [3, 1], "the extension is all of them");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 63: a temporary one is another one at each refresh, the older ones hold as long as the device does not
/// register anew, and neither kind leads anywhere without the device.
#[test]
fn row_063_a_gruu_ends_with_its_registration() {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let (desk, answer) = device(&mut w, "desk", "desk", "gruu");
    let (soft, _) = device(&mut w, "soft", "soft", "gruu");
    let params = "expires=600;+sip.instance=\"<urn:uuid:desk>\"";
    let refreshed = register(&mut w, desk, params, "Supported: gruu\r\n");
    let (old, new) = (gruus(&answer, "desk"), gruus(&refreshed, "desk"));
    assert_eq!(old.0, new.0);
    assert_ne!(old.1, new.1);
    dial(&mut w, a, &old.1);
    assert_eq!(invites(&w, [desk, soft]), [1, 0]);
    w.hang_up(a);
    w.run_for(1_000);
    let ended = "expires=0;+sip.instance=\"<urn:uuid:desk>\"";
    register(&mut w, desk, ended, "Supported: gruu\r\n");
    for uri in [&old.0, &old.1, &new.1] {
        dial(&mut w, a, uri);
        assert_eq!(w[a].last().status, 480, "{uri}");
    }
    // A forged one is no number of ours.
    dial(&mut w, a, &new.1.replace("tgruu.", "tgruu.00"));
    assert_eq!(w[a].last().status, 404);
    assert_eq!(invites(&w, [desk, soft]), [1, 0]);
    w.assert_empty();
}

/// Row 63: a phone hands its call to a device by its GRUU.
#[test]
fn row_063_a_call_is_transferred_to_one_device() {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let third = w.phone("1003");
    w[third].habits.on_invite = vec![(20, ring()), (200, ok())];
    let (desk, answer) = device(&mut w, "desk", "desk", "gruu");
    let (soft, _) = device(&mut w, "soft", "soft", "gruu");
    w.dial(a, "1003");
    w.run_for(1_000);
    let (_, temporary) = gruus(&answer, "desk");
    w.in_dialog(third, "REFER", &format!("Refer-To: <{temporary}>\r\n"), "");
    w.run_for(2_000);
    assert_eq!(invites(&w, [desk, soft]), [1, 0]);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// A device that registered over two flows rings once, on the one that it refreshed last; when its edge says that
/// the flow is gone, or it cannot be reached, it rings on the other (RFC 5626 §6, §5.3).
#[test]
fn a_device_with_two_flows_rings_on_one_and_then_on_the_other() {
    for is_reachable in [true, false] {
        let mut w = World::new(office());
        let a = w.phone("1001");
        let flows = ["10.0.0.41:5060", "10.0.0.42:5060"].map(|at| {
            let id = w.party(at, at);
            w[id].domain = "tandem".into();
            w[id].user = "1002".into();
            w[id].secret = crate::sim::office::secret_of("1002");
            id
        });
        for (id, reg_id) in flows.into_iter().zip(1..) {
            let params = format!("expires=600;+sip.instance=\"<urn:uuid:desk>\";reg-id={reg_id}");
            let answer = register(&mut w, id, &params, "Supported: path, outbound\r\n");
            assert_eq!((answer.status(), answer.get("Require")), (200, "outbound"));
            w.run_for(5_000);
        }
        let [first, second] = flows;
        w[first].habits.on_invite = vec![(20, ring()), (300, ok())];
        w[second].habits.on_invite = vec![(20, ring()), (300, ok())];
        w.dial(a, "1002");
        w.run_for(1_000);
        assert_eq!(invites(&w, flows), [0, 1], "the latest");
        w.hang_up(a);
        w.run_for(1_000);
        if is_reachable {
            w[second].habits.on_invite = vec![(20, Reply::status(430))];
        } else {
            let at = w[second].at;
            w.unreachable.insert(at);
        }
        w.dial_with(a, "1002", &Body::Auto, "");
        w.run_for(1_000);
        assert_eq!(w[first].requests("INVITE").len(), 1);
        assert_eq!(heard(&w), (true, true));
        w.hang_up(a);
        w.assert_empty();
        assert_eq!(w.records.last().unwrap().cause.key, "normal");
    }
}

/// A GRUU is no way round the dial plan: who calls from outside reaches what has a number on his trunk, and nothing else.
#[test]
fn row_063_a_gruu_opens_no_extension_to_a_trunk() {
    let mut w = World::new(office());
    let (desk, answer) = device(&mut w, "desk", "desk", "gruu");
    let (soft, _) = device(&mut w, "soft", "soft", "gruu");
    let carrier = w.party("carrier", CARRIER);
    let (public, temporary) = gruus(&answer, "desk");
    for uri in [public, temporary] {
        dial(&mut w, carrier, &uri);
        assert_eq!(w[carrier].last().status, 404, "{uri}");
    }
    assert_eq!(invites(&w, [desk, soft]), [0, 0]);
    w.assert_empty();
}
