//! Rows 52 to 62 and 68 to 76 of the wire catalogue: REGISTER with digest, over the wire.

use crate::scene::{outcome, two_phones};
use crate::sim::office::office;
use crate::sim::phone::{ok, ring};
use crate::sim::text::{Login, Text, auth_param, md5_challenge};
use crate::sim::world::{PhoneId, World};

/// Sends a REGISTER and gives its last answer.
fn register(w: &mut World, id: PhoneId, contacts: &str, headers: &str) -> Text {
    let now = w.now;
    w[id].register(now, contacts, headers);
    w.flush(id.0);
    w.run_for(200);
    let answer =
        w[id].got.iter().rev().map(|(_, text)| text).find(|text| text.method() == "REGISTER");
    answer.expect("an answer").clone()
}

fn contacts(answer: &Text) -> Vec<String> {
    answer.all("Contact").map(str::to_owned).collect()
}

/// A phone that has not registered yet.
fn alone() -> (World, PhoneId) {
    let mut w = World::new(office());
    let a = w.party("1001", "10.0.0.11:5060");
    w[a].domain = "tandem".into();
    (w, a)
}

#[test]
fn row_052_a_star_removes_all_contacts_and_stands_alone() {
    let (mut w, a) = alone();
    register(&mut w, a, "<sip:1@10.0.0.11>, <sip:2@10.0.0.11>", "Expires: 600\r\n");
    for (contacts, expires) in [("*", 600), ("*, <sip:3@10.0.0.11>", 0)] {
        let answer = register(&mut w, a, contacts, &format!("Expires: {expires}\r\n"));
        assert_eq!(answer.status(), 400, "{contacts} {expires}");
    }
    assert_eq!(w.bindings["1001"].len(), 2, "nothing changed");
    let answer = register(&mut w, a, "*", "Expires: 0\r\n");
    assert_eq!((answer.status(), contacts(&answer)), (200, Vec::new()));
    assert!(w.bindings["1001"].is_empty());
}

#[test]
fn row_053_an_older_request_of_the_same_call_changes_nothing() {
    let (mut w, a) = alone();
    register(&mut w, a, "<sip:1@10.0.0.11>", "Expires: 600\r\n");
    let text = |cseq: u32, extra: &str| {
        format!(
            "REGISTER sip:tandem SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
             From: <sip:1001@tandem>;tag=r{cseq}\r\nTo: <sip:1001@tandem>\r\nCall-ID: registration-1001\r\n\
             CSeq: {cseq} REGISTER\r\n{extra}Contact: <sip:1@10.0.0.11>;expires=0\r\nContact: <sip:9@10.0.0.11>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    w.raw(a, &text(1, ""));
    w.run_for(100);
    let (_, challenge) = md5_challenge(w[a].response(401).unwrap()).unwrap();
    let login =
        Login { user: "1001", secret: "secret-1001", method: "REGISTER", uri: "sip:tandem", nc: 1 };
    let extra = format!("Authorization: {}\r\n", login.answer(&challenge));
    w.raw(a, &text(1, &extra));
    w.run_for(100);
    assert_eq!(w[a].statuses("REGISTER").last(), Some(&500));
    let left: Vec<_> = w.bindings["1001"].iter().map(|binding| binding.contact.as_str()).collect();
    assert_eq!(left, ["sip:1@10.0.0.11"], "all or nothing");
}

#[test]
fn row_054_expires_of_the_contact_beats_the_header_and_the_policy_beats_both() {
    let (mut w, a) = alone();
    let granted = |answer: &Text| -> Vec<String> {
        contacts(answer).iter().map(|value| value.rsplit('=').next().unwrap().to_owned()).collect()
    };
    let answer = register(&mut w, a, "<sip:1@h>;expires=300, <sip:2@h>", "Expires: 900\r\n");
    assert_eq!(granted(&answer), ["300", "900"]);
    let answer = register(&mut w, a, "<sip:1@h>;expires=99999", "");
    assert_eq!(granted(&answer).last().unwrap(), "7200", "shortened");
    let answer = register(&mut w, a, "<sip:3@h>", "");
    assert_eq!(granted(&answer).last().unwrap(), "3600", "the default");
    let answer = register(&mut w, a, "<sip:1@h>;expires=30", "");
    assert_eq!((answer.status(), answer.get("Min-Expires")), (423, "60"));
    assert_eq!(w.bindings["1001"].len(), 3);
}

#[test]
fn row_055_the_200_lists_all_bindings_with_what_is_left() {
    let (mut w, a) = alone();
    register(&mut w, a, "<sip:1@h>;expires=600", "");
    w.run_for(100_000);
    let answer = register(&mut w, a, "<sip:2@h>;expires=600", "");
    let listed = contacts(&answer);
    assert_eq!(listed.len(), 2);
    let first: u32 = listed[0].rsplit('=').next().unwrap().parse().unwrap();
    assert!((495..=500).contains(&first), "{listed:?}");
    assert!(answer.has("Date"));
}

#[test]
fn row_056_a_register_without_contact_is_a_query() {
    let (mut w, a) = alone();
    register(&mut w, a, "<sip:1@h>;expires=600", "");
    let stored = w.bindings["1001"].clone();
    let answer = register(&mut w, a, "", "");
    assert_eq!((answer.status(), contacts(&answer).len()), (200, 1));
    assert_eq!(w.bindings["1001"], stored);
}

#[test]
fn row_057_a_phone_that_reboots_replaces_its_old_contact() {
    let (mut w, a) = alone();
    let instance = "+sip.instance=\"<urn:uuid:1>\";reg-id=1";
    register(
        &mut w,
        a,
        &format!("<sip:1001@10.0.0.11:5060>;{instance}"),
        "Supported: outbound\r\n",
    );
    let answer = register(
        &mut w,
        a,
        &format!("<sip:1001@10.0.0.11:6123>;{instance}"),
        "Supported: outbound\r\n",
    );
    let listed = contacts(&answer);
    assert_eq!(listed.len(), 1);
    assert!(listed[0].contains(":6123"), "{listed:?}");
}

#[test]
fn row_058_one_device_may_serve_two_extensions() {
    let mut w = World::new(office());
    let instance = "+sip.instance=\"<urn:uuid:ata>\";reg-id=1";
    for extension in ["1001", "1002"] {
        let id = w.party(extension, &format!("10.0.0.11:{extension}"));
        w[id].domain = "tandem".into();
        let contact = format!("<sip:{extension}@10.0.0.11>;{instance}");
        assert_eq!(register(&mut w, id, &contact, "Supported: outbound\r\n").status(), 200);
    }
    assert_eq!((w.bindings["1001"].len(), w.bindings["1002"].len()), (1, 1));
}

#[test]
fn row_059_a_flow_through_a_hop_without_outbound_is_439() {
    let (mut w, a) = alone();
    let contact = "<sip:1001@10.0.0.11>;+sip.instance=\"<urn:uuid:1>\";reg-id=1";
    let headers = "Via: SIP/2.0/UDP 10.0.0.99;branch=z9hG4bKdeeper\r\nSupported: outbound\r\n";
    assert_eq!(register(&mut w, a, contact, headers).status(), 439);
    assert!(!w.bindings.contains_key("1001"));
}

#[test]
fn row_060_a_path_is_the_way_to_the_contact() {
    let (mut w, b) = {
        let mut w = World::new(office());
        let b = w.party("1002", "10.0.0.12:5060");
        w[b].domain = "tandem".into();
        (w, b)
    };
    let proxy = w.party("proxy", "10.0.0.50:5060");
    w[proxy].habits.on_invite = vec![(20, ring())];
    let a = w.phone("1001");
    let answer = register(&mut w, b, "<sip:1002@192.168.0.9>", "Path: <sip:10.0.0.50;lr>\r\n");
    assert_eq!(answer.status(), 200);
    w.dial(a, "1002");
    w.run_for(500);
    let invite = w[proxy].requests("INVITE")[0];
    assert_eq!((invite.uri(), invite.get("Route")), ("sip:1002@192.168.0.9", "<sip:10.0.0.50;lr>"));
    w.cancel(a);
    w.assert_empty();
}

#[test]
fn row_061_a_phone_behind_a_nat_is_called_where_it_registered_from() {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let b = w.party("1002", "192.0.2.44:61234");
    w[b].domain = "tandem".into();
    w[b].habits.on_invite = vec![(20, ring()), (200, ok())];
    register(&mut w, b, "<sip:1002@192.168.0.9:5060>", "");
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(w[b].requests("INVITE")[0].uri(), "sip:1002@192.168.0.9:5060");
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

#[test]
fn row_062_nobody_binds_contacts_to_another_users_address() {
    let (mut w, a) = alone();
    w[a].user = "1002".into();
    w[a].secret = "secret-1001".into();
    // It logs in as 1001 and wants 1002.
    let me = "<sip:1002@tandem>";
    let _ = me;
    assert_eq!(register(&mut w, a, "<sip:1002@10.0.0.11>", "").status(), 403, "not its password");
    w.raw(a, &register_text("1001", "1002", ""));
    w.run_for(100);
    let (_, challenge) = md5_challenge(w[a].response(401).unwrap()).unwrap();
    let login =
        Login { user: "1001", secret: "secret-1001", method: "REGISTER", uri: "sip:tandem", nc: 9 };
    w.raw(a, &register_text("1001", "1002", &login.answer(&challenge)));
    w.run_for(100);
    assert_eq!(w[a].statuses("REGISTER").last(), Some(&403));
    assert!(w.bindings.is_empty());
}

fn register_text(from: &str, to: &str, login: &str) -> String {
    let login =
        if login.is_empty() { String::new() } else { format!("Authorization: {login}\r\n") };
    format!(
        "REGISTER sip:tandem SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
         From: <sip:{from}@tandem>;tag={{branch}}\r\nTo: <sip:{to}@tandem>\r\nCall-ID: {{branch}}\r\n\
         CSeq: 1 REGISTER\r\n{login}Contact: <sip:{to}@10.0.0.11>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A challenge for 1001, and what comes of answers to it.
fn answer_with(
    w: &mut World,
    a: PhoneId,
    challenge: &str,
    user: &str,
    secret: &str,
    nc: u32,
) -> u16 {
    let login = Login { user, secret, method: "REGISTER", uri: "sip:tandem", nc };
    w.raw(a, &register_text("1001", "1001", &login.answer(challenge)));
    w.run_for(100);
    *w[a].statuses("REGISTER").last().unwrap()
}

fn challenge(w: &mut World, a: PhoneId) -> String {
    w.raw(a, &register_text("1001", "1001", ""));
    w.run_for(100);
    md5_challenge(w[a].response(401).unwrap()).unwrap().1
}

#[test]
fn row_068_a_replayed_request_is_challenged_again() {
    let (mut w, a) = alone();
    let nonce = challenge(&mut w, a);
    assert_eq!(answer_with(&mut w, a, &nonce, "1001", "secret-1001", 1), 200);
    assert_eq!(answer_with(&mut w, a, &nonce, "1001", "secret-1001", 1), 401, "the same count");
    assert_eq!(answer_with(&mut w, a, &nonce, "1001", "secret-1001", 2), 200);
    assert!(w.events.iter().any(|(kind, fields)| *kind == "auth.failed"
        && fields.iter().any(|(name, value)| *name == "reason" && value == "replayed")));
}

#[test]
fn row_069_an_old_nonce_with_the_right_password_is_stale() {
    let (mut w, a) = alone();
    let nonce = challenge(&mut w, a);
    w.run_for(301_000);
    assert_eq!(answer_with(&mut w, a, &nonce, "1001", "secret-1001", 1), 401);
    let again = w[a].response(401).unwrap();
    assert!(again.all("WWW-Authenticate").all(|value| auth_param(value, "stale") == "true"));
    assert!(w.events.iter().all(|(kind, _)| *kind != "auth.failed"), "no failed login");
    let nonce = md5_challenge(again).unwrap().1;
    assert_eq!(answer_with(&mut w, a, &nonce, "1001", "secret-1001", 1), 200);
}

/// Row 72: strongest first, one per algorithm; an MD5-only phone finds its own.
#[test]
fn row_072_the_challenges_come_strongest_first() {
    use tandem::proto::sip::auth::digest::Algorithm;
    let mut snapshot = office();
    snapshot.sip.digest = vec![Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];
    let mut w = World::new(snapshot);
    let a = w.party("1001", "10.0.0.11:5060");
    w[a].domain = "tandem".into();
    let nonce = challenge(&mut w, a);
    let asked: Vec<_> = w[a]
        .response(401)
        .unwrap()
        .all("WWW-Authenticate")
        .map(|value| auth_param(value, "algorithm"))
        .collect();
    assert_eq!(asked, ["SHA-512-256", "SHA-256", "MD5"]);
    assert_eq!(answer_with(&mut w, a, &nonce, "1001", "secret-1001", 1), 200);
}

#[test]
fn row_076_an_unknown_user_and_a_wrong_password_look_the_same() {
    let answer = |user: &str, secret: &str| {
        let (mut w, a) = alone();
        let nonce = challenge(&mut w, a);
        assert_eq!(answer_with(&mut w, a, &nonce, user, secret, 1), 403);
        let text = w[a].response(403).unwrap().clone();
        let at = w[a].got.last().unwrap().0;
        let names: Vec<_> = text.headers.iter().map(|(name, _)| name.clone()).collect();
        (text.start, names, text.body, at)
    };
    assert_eq!(answer("1001", "wrong"), answer("9999", "wrong"));
}

#[test]
fn a_registration_ends_and_the_phone_is_unreachable() {
    let (mut w, a, b) = two_phones();
    register(&mut w, b, "*", "Expires: 0\r\n");
    register(&mut w, b, "<sip:1002@10.0.0.12:5060>;expires=60", "");
    w.run_for(61_000);
    assert!(w.bindings["1002"].is_empty());
    w.dial(a, "1002");
    w.run_for(500);
    assert_eq!(w[a].last().status, 480);
    w.assert_empty();
}

#[test]
fn a_sixth_contact_is_refused_in_words() {
    let (mut w, a) = alone();
    let list: Vec<_> = (1..=6).map(|index| format!("<sip:{index}@h>")).collect();
    let answer = register(&mut w, a, &list.join(", "), "");
    assert_eq!(answer.status(), 403);
    assert!(answer.start.contains("at most 5"), "{}", answer.start);
}

#[test]
fn bindings_survive_a_restart() {
    let (mut w, _, _) = two_phones();
    let stored = w.bindings.clone();
    let mut again = World::new(office());
    for (aor, list) in stored {
        again.board.restore(&aor, list);
    }
    let b = again.party("1002", "10.0.0.12:5060");
    again[b].habits.on_invite = vec![(20, ring())];
    let a = again.party("1001", "10.0.0.11:5060");
    again[a].domain = "tandem".into();
    again.dial(a, "1002");
    again.run_for(500);
    assert_eq!(again[b].requests("INVITE").len(), 1);
    again.cancel(a);
    again.assert_empty();
    w.assert_empty();
}

/// A phone that registers all the time leaves one timer, not one for each REGISTER.
#[test]
fn registering_again_and_again_costs_no_memory() {
    let (mut w, a) = alone();
    for _ in 0..50 {
        register(&mut w, a, "<sip:1@10.0.0.11>", "Expires: 3600\r\n");
    }
    assert!(w.board.registrar().waiting() <= 2, "{}", w.board.registrar().waiting());
    w.run_for(3_605_000);
    assert!(w.bindings["1001"].is_empty(), "it expires all the same");
}

/// RFC 4475 §3.3.4: what cannot be an address of record is a bad request, not a forbidden one.
#[test]
fn an_address_of_record_of_another_scheme_is_refused_as_malformed() {
    let (mut w, a) = alone();
    let text = |extra: &str| {
        format!(
            "REGISTER sip:tandem SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
             From: <isbn:2983792873>;tag=r\r\nTo: <isbn:2983792873>\r\nCall-ID: unksm2\r\nCSeq: 1 REGISTER\r\n\
             {extra}Contact: <sip:1@10.0.0.11>\r\nContent-Length: 0\r\n\r\n"
        )
    };
    w.raw(a, &text(""));
    w.run_for(100);
    let (_, challenge) = md5_challenge(w[a].response(401).unwrap()).unwrap();
    let login =
        Login { user: "1001", secret: "secret-1001", method: "REGISTER", uri: "sip:tandem", nc: 1 };
    w.raw(a, &text(&format!("Authorization: {}\r\n", login.answer(&challenge))));
    w.run_for(100);
    assert_eq!(w[a].got.last().unwrap().1.status(), 400);
}

/// A reload with a new password, realm and lifetime: the old login and what it bound are good no more.
#[test]
fn a_reload_applies_realm_lifetime_and_passwords() {
    let (mut w, a, _) = two_phones();
    let mut snapshot = office();
    snapshot.sip.realm = "elsewhere".into();
    snapshot.phones.get_mut("1001").unwrap().secret.0 = "new".into();
    w.reload(snapshot);
    assert!(w.bindings["1001"].is_empty(), "bound with the old password");
    assert_eq!(w.bindings["1002"].len(), 1);
    let old = register(&mut w, a, "<sip:1@10.0.0.11>", "");
    assert_eq!(old.status(), 403);
    w[a].secret = "new".into();
    let new = register(&mut w, a, "<sip:1@10.0.0.11>", "");
    assert_eq!(new.status(), 200);
    assert_eq!(
        auth_param(w[a].response(401).unwrap().get("WWW-Authenticate"), "realm"),
        "elsewhere"
    );
}
