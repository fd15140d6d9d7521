//! Row 117 of the wire catalogue: who a call says it is, by the trust in who says it and in who is told
//! (RFC 3325 §5 to §7, RFC 3323).

use tandem::switch::identity::{ForwardedCaller, Forwarding, IdentityHeader, Trust};
use tandem::switch::snapshot::Snapshot;

use crate::scene::outcome;
use crate::sim::office::{BACKUP, CARRIER, NUMBER, office};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::text::Text;
use crate::sim::world::{PhoneId, World};

const BOTH: Trust = Trust { inward: true, outward: true };
const NONE: Trust = Trust { inward: false, outward: false };
const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// The office with a carrier that is trusted like this.
fn trusting(trust: Trust) -> Snapshot {
    let mut snapshot = office();
    snapshot.trunks[0].dialect.trust = trust;
    snapshot.dial.country_code = Some("86".into());
    snapshot
}

/// A caller from the trunk, with these headers; what rang at 1002, and the world after the call.
fn called_with(snapshot: Snapshot, headers: &str, from: &str) -> (World, Text) {
    let mut w = World::new(snapshot);
    let b = w.phone("1002");
    let carrier = w.party("carrier", CARRIER);
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    w[carrier].user = "+8613800138000".into();
    if !from.is_empty() {
        w[carrier].user = from.to_owned();
    }
    w.dial_with(carrier, NUMBER, &Body::Auto, headers);
    w.run_for(1_000);
    let invite = w[b].requests("INVITE")[0].clone();
    w.hang_up(carrier);
    w.assert_empty();
    (w, invite)
}

/// A phone's call to the trunk; what got there.
fn calls_out(snapshot: Snapshot, headers: &str) -> (World, Text) {
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial_with(a, "013800138000", &Body::Auto, headers);
    w.run_for(1_000);
    let invite = w[carrier].requests("INVITE")[0].clone();
    w.hang_up(a);
    w.assert_empty();
    (w, invite)
}

fn asserted(number: &str) -> String {
    format!("P-Asserted-Identity: \"Carol\" <sip:{number}@carrier.example>\r\n")
}

#[test]
fn row_117_who_calls_is_what_a_trusted_trunk_asserts() {
    for (headers, number, name) in [
        (asserted("+862087654321"), "+862087654321", "Carol"),
        ("P-Asserted-Identity: <tel:+862087654321>\r\n".into(), "+862087654321", ""),
        (
            "P-Asserted-Identity: \"C, \\\"D\\\"\" <sip:+8620@x>, <tel:+8621>\r\n".into(),
            "+8620",
            "C, \\\"D\\\"",
        ),
        ("Remote-Party-ID: \"R\" <sip:+8622@x>;party=calling\r\n".into(), "+8622", "R"),
        // The asserted identity comes first, then the older header.
        (format!("Remote-Party-ID: <sip:+8622@x>\r\n{}", asserted("+8620")), "+8620", "Carol"),
        ("P-Asserted-Identity: \"open <sip:+8620@x>\r\n".into(), "+8613800138000", ""),
        (String::new(), "+8613800138000", ""),
    ] {
        let (w, invite) = called_with(trusting(BOTH), &headers, "");
        let shown = format!("<sip:{number}@");
        assert!(invite.get("From").contains(&shown), "{headers}: {}", invite.get("From"));
        let quoted = if name.is_empty() { String::new() } else { format!("\"{name}\" ") };
        assert!(invite.get("From").starts_with(&format!("{quoted}<")), "{}", invite.get("From"));
        assert_eq!(w.record().began.caller, number);
        assert!(!w.record().began.is_withheld);
    }
}

/// Whatever headers come, an untrusted trunk is its From, and nothing of what it claims reaches anybody.
#[test]
fn row_117_nothing_that_an_untrusted_trunk_claims_reaches_anybody() {
    let claims = [
        asserted("+8666666"),
        "P-Asserted-Identity: <tel:+8666666>\r\n".into(),
        "P-Preferred-Identity: <sip:+8666666@x>\r\n".into(),
        "Remote-Party-ID: \"+8666666\" <sip:+8666666@x>;party=calling;screen=yes\r\n".into(),
        "Diversion: <sip:+8666666@x>;reason=no-answer\r\n".into(),
        "History-Info: <sip:+8666666@x>;index=1, <sip:1@x;cause=302>;index=1.1\r\n".into(),
        "Referred-By: <sip:+8666666@x>\r\n".into(),
        "User-to-User: +8666666;encoding=hex\r\n".into(),
        "Call-Info: <sip:+8666666@x>;answer-after=0\r\n".into(),
        "Alert-Info: <http://+8666666>;info=alert-autoanswer\r\n".into(),
        "P-Asserted-Identity: ,,\"<sip:+8666666@x>\r\nRemote-Party-ID: <sip:+8666666\r\n".into(),
    ];
    let all = claims.concat();
    for headers in claims.iter().chain([&all]) {
        for trust in [NONE, Trust { inward: false, outward: true }] {
            let (w, _) = called_with(trusting(trust), headers, "");
            let told = w.wires.iter().filter(|wire| wire.to != w.us(wire.to.ip()));
            for wire in told {
                let mut lines = wire.text.headers.iter();
                assert!(!lines.any(|(_, value)| value.contains("666666")), "{:?}", wire.text);
            }
            assert_eq!(w.record().began.caller, "+8613800138000");
            assert!(w.record().timeline.iter().all(|line| !line.text.contains("666666")));
        }
    }
}

/// A phone may claim what it likes: it is who it logged in as.
#[test]
fn row_117_a_phone_asserts_nothing() {
    let mut snapshot = trusting(BOTH);
    snapshot.trunks[0].dialect.identity =
        vec![IdentityHeader::Asserted, IdentityHeader::RemoteParty];
    let claims = "P-Asserted-Identity: <sip:+8666666@x>\r\nRemote-Party-ID: <sip:+8666666@x>\r\n\
         P-Preferred-Identity: <sip:+8666666@x>\r\nDiversion: <sip:+8666666@x>\r\n\
         History-Info: <sip:+8666666@x>;index=1\r\n";
    let (w, invite) = calls_out(snapshot.clone(), claims);
    assert!(invite.headers.iter().all(|(_, value)| !value.contains("666666")), "{invite:?}");
    assert_eq!(invite.get("P-Asserted-Identity"), "\"Alice\" <sip:1001@198.51.100.1>");
    assert!(!invite.has("Diversion") && !invite.has("History-Info"));
    assert_eq!(w.record().began.caller, "1001");
    // What it may be, it may ask to be.
    let rights = &mut snapshot.phones.get_mut("1001").unwrap().rights;
    rights.identities = vec!["+862012345678".into()];
    let wish = "P-Preferred-Identity: <sip:+862012345678@tandem>\r\n";
    let (w, invite) = calls_out(snapshot, wish);
    assert!(invite.get("From").contains("<sip:+862012345678@"));
    assert!(invite.get("P-Asserted-Identity").contains("+862012345678"));
    assert_eq!(w.record().began.caller, "+862012345678");
}

#[test]
fn row_117_a_withheld_caller_is_hidden_from_the_phone_and_kept_in_the_record() {
    let anonymous = "anonymous";
    for (headers, from) in [
        (format!("{}Privacy: id\r\n", asserted("+862087654321")), ""),
        (format!("{}Privacy: user;id;critical\r\n", asserted("+862087654321")), anonymous),
        (format!("{}Privacy: header\r\n", asserted("+862087654321")), ""),
        ("Remote-Party-ID: <sip:+862087654321@x>;privacy=full\r\n".into(), anonymous),
        (asserted("+862087654321"), anonymous),
    ] {
        let (w, invite) = called_with(trusting(BOTH), &headers, from);
        assert!(invite.get("From").starts_with(NOBODY), "{headers}: {}", invite.get("From"));
        let all = format!("{invite:?}");
        assert!(!all.contains("87654321") && !all.contains("Carol"), "{all}");
        assert!(!invite.has("Privacy"), "the phone is outside of those who are trusted");
        assert_eq!(w.record().began.caller, "+862087654321");
        assert!(w.record().began.is_withheld);
    }
    // What may be told is told, and an untrusted trunk is asked nothing but not to hide.
    let open = format!("{}Privacy: none\r\n", asserted("+862087654321"));
    let (w, invite) = called_with(trusting(BOTH), &open, anonymous);
    assert!(invite.get("From").contains("+862087654321") && !w.record().began.is_withheld);
    let (w, invite) = called_with(trusting(NONE), "Privacy: id\r\n", "");
    assert!(invite.get("From").starts_with(NOBODY));
    assert_eq!(
        (w.record().began.caller.as_str(), w.record().began.is_withheld),
        ("+8613800138000", true)
    );
}

#[test]
fn row_117_a_phone_that_hides_itself_is_told_only_to_who_keeps_it() {
    let with_key = |key: bool, trust| {
        let mut snapshot = trusting(trust);
        snapshot.phones.get_mut("1001").unwrap().withhold = key;
        snapshot.trunks[0].caller_id = Some("+862012345678".into());
        snapshot
    };
    for (key, headers) in [(false, "Privacy: id\r\n"), (true, "")] {
        let (w, invite) = calls_out(with_key(key, NONE), headers);
        assert!(invite.get("From").starts_with(NOBODY));
        for name in ["P-Asserted-Identity", "Remote-Party-ID"] {
            assert!(!invite.has(name), "{name}");
        }
        assert_eq!(invite.get("Privacy"), "id", "or the carrier shows whose account it is");
        let all = format!("{invite:?}");
        assert!(
            !all.contains("1001@") && !all.contains("Alice") && !all.contains("12345678"),
            "{all}"
        );
        assert_eq!(
            (w.record().began.caller.as_str(), w.record().began.is_withheld),
            ("1001", true)
        );
        let (_, invite) = calls_out(with_key(key, BOTH), headers);
        assert!(invite.get("From").starts_with(NOBODY));
        assert!(invite.get("P-Asserted-Identity").contains("<sip:+862012345678@"));
        assert_eq!(invite.get("Privacy"), "id");
    }
    let (w, invite) = calls_out(with_key(true, NONE), "Privacy: none\r\n");
    assert!(invite.get("From").contains("+862012345678"), "this call it wants to be seen");
    assert!(!w.record().began.is_withheld);
    // Inside the house, too, and on the lamps of those who watch.
    let mut w = World::new(with_key(true, NONE));
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w.dial(a, "1002");
    w.run_for(500);
    let invite = w[b].requests("INVITE")[0].clone();
    assert!(invite.get("From").starts_with(NOBODY) && invite.get("Contact").contains("anonymous@"));
    w.cancel(a);
    w.assert_empty();
}

#[test]
fn row_117_a_prefix_withholds_the_number_of_one_call() {
    let mut snapshot = trusting(NONE);
    snapshot.dial.withhold_prefix = "*67".into();
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w.dial(a, "*671002");
    w.run_for(500);
    assert!(w[b].requests("INVITE")[0].get("From").starts_with(NOBODY));
    w.cancel(a);
    w.assert_empty();
    assert_eq!((w.record().began.called.as_str(), w.record().began.is_withheld), ("1002", true));
}

/// Help has to know who calls.
#[test]
fn row_117_an_emergency_call_is_never_withheld() {
    let mut snapshot = trusting(NONE);
    snapshot.phones.get_mut("1001").unwrap().withhold = true;
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    w[carrier].habits.on_invite = vec![(20, ok())];
    w.dial_with(a, "110", &Body::Auto, "Privacy: sphinx;critical\r\n");
    w.run_for(500);
    assert!(w[carrier].requests("INVITE")[0].get("From").contains("<sip:1001@"));
    w.hang_up(a);
    w.assert_empty();
}

/// RFC 3323 §5.
#[test]
fn row_117_privacy_that_is_critical_and_unknown_is_refused() {
    let mut w = World::new(trusting(BOTH));
    let a = w.phone("1001");
    w.dial_with(a, "1002", &Body::Auto, "Privacy: sphinx;critical\r\n");
    w.run_for(500);
    assert_eq!(w[a].last().status, 500);
    w.assert_empty();
    assert_eq!(outcome(&w).0, "no_privacy");
    assert!(w.record().timeline.iter().any(|line| line.text.contains("sphinx")));
}

#[test]
fn row_117_each_trunk_has_its_own_headers() {
    for (list, expected) in [
        (vec![], [false, false, false]),
        (vec![IdentityHeader::Asserted], [true, false, false]),
        (vec![IdentityHeader::Preferred], [false, true, false]),
        (vec![IdentityHeader::RemoteParty, IdentityHeader::Asserted], [true, false, true]),
    ] {
        let mut snapshot = trusting(NONE);
        snapshot.trunks[0].dialect.identity = list;
        let (_, invite) = calls_out(snapshot, "");
        let names = ["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"];
        assert_eq!(names.map(|name| invite.has(name)), expected);
    }
}

/// Who answers is named towards the caller, by us and not by what the phone says of itself.
#[test]
fn row_117_the_caller_is_told_who_answered() {
    let mut w = World::new(trusting(BOTH));
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    let lie = "P-Asserted-Identity: <sip:+8666666@x>";
    w[b].habits.on_invite = vec![(20, ring().header(lie)), (500, ok().header(lie))];
    w.dial(a, "1002");
    w.run_for(1_000);
    for status in [180, 200] {
        let told = w[a].got.iter().map(|(_, text)| text);
        let mut told = told.filter(|t| t.status() == status && t.method() == "INVITE");
        let told = told.next().unwrap().get("P-Asserted-Identity");
        assert_eq!(told, "\"Bob\" <sip:1002@tandem>", "{status}");
    }
    w.hang_up(a);
    w.assert_empty();
}

/// A called phone may hide itself as well.
#[test]
fn row_117_who_answers_may_be_withheld() {
    let mut w = World::new(trusting(BOTH));
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.on_invite = vec![(20, ring()), (500, ok().header("Privacy: id"))];
    w.dial(a, "1002");
    w.run_for(1_000);
    assert!(w[a].response(180).unwrap().has("P-Asserted-Identity"));
    assert!(!w[a].response(200).unwrap().has("P-Asserted-Identity"));
    w.hang_up(a);
    w.assert_empty();
}

/// What a phone chose of its identities goes before the trunk's own number, which stands for extensions.
#[test]
fn row_117_an_identity_of_the_phone_goes_before_the_trunks_number() {
    let mut snapshot = trusting(NONE);
    snapshot.trunks[0].caller_id = Some("+862012345678".into());
    let rights = &mut snapshot.phones.get_mut("1001").unwrap().rights;
    rights.identities = vec!["+862055556666".into()];
    let wish = "P-Preferred-Identity: <sip:+862055556666@tandem>\r\n";
    for (headers, expected) in [(wish, "+862055556666"), ("", "+862012345678")] {
        let (_, invite) = calls_out(snapshot.clone(), headers);
        assert!(
            invite.get("From").contains(&format!("<sip:{expected}@")),
            "{}",
            invite.get("From")
        );
    }
}

#[test]
fn row_117_who_answered_crosses_between_those_who_are_trusted() {
    // A trusted carrier says who it connected; the phone is told.
    for (trust, privacy, expected) in [
        (BOTH, "", "\"Carol\" <sip:+862087654321@tandem>"),
        (BOTH, "Privacy: id", ""),
        (NONE, "", ""),
    ] {
        let mut w = World::new(trusting(trust));
        let a = w.phone("1001");
        let carrier = w.party("carrier", CARRIER);
        let says = asserted("+862087654321");
        let mut answer = ok().header(says.trim_end());
        if !privacy.is_empty() {
            answer = answer.header(privacy);
        }
        w[carrier].habits.on_invite = vec![(20, answer)];
        w.dial(a, "013800138000");
        w.run_for(500);
        let told = w[a].response(200).unwrap().get("P-Asserted-Identity").to_owned();
        assert_eq!(told, expected, "{trust:?} {privacy}");
        w.hang_up(a);
        w.assert_empty();
    }
    // And a carrier is told who answered here by a number that it knows, if it is trusted.
    for (trust, expected) in [(BOTH, "\"Bob\" <sip:+862012345678@198.51.100.1>"), (NONE, "")] {
        let (w, _) = called_with(trusting(trust), "", "");
        let ok = w
            .wires
            .iter()
            .find(|wire| wire.text.status() == 200 && wire.to == CARRIER.parse().unwrap());
        assert_eq!(ok.unwrap().text.get("P-Asserted-Identity"), expected);
    }
}

#[test]
fn row_117_who_stays_is_told_of_a_transfer_by_update() {
    let mut w = World::new(trusting(BOTH));
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    w[b].habits.on_invite = vec![(20, ring()), (200, ok())];
    w[c].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(1_000);
    w.in_dialog(b, "REFER", "Refer-To: <sip:1003@10.0.0.1>\r\n", "");
    w.run_for(1_000);
    let update = w[a].requests("UPDATE");
    assert_eq!(update.len(), 1);
    assert_eq!(update[0].get("P-Asserted-Identity"), "<sip:1003@tandem>");
    assert!(update[0].body.is_empty());
    w.hang_up(a);
    w.assert_empty();
}

fn forwarding(to: &str, headers: &[&str]) -> Reply {
    let mut reply = Reply::status(302).contact(to);
    for header in headers {
        reply = reply.header(header);
    }
    reply
}

/// 1002 sends a call from outside to a mobile phone outside, by the other trunk.
fn forwarded(snapshot: Snapshot, headers: &str, contact: &str) -> (World, Text) {
    let mut w = World::new(snapshot);
    let b = w.phone("1002");
    let (carrier, backup) = (w.party("carrier", CARRIER), w.party("backup", BACKUP));
    w[carrier].user = "+862087654321".into();
    w[b].habits.on_invite = vec![(20, forwarding(contact, &["Diversion: <sip:+8666666@x>"]))];
    w[backup].habits.on_invite = vec![(20, ok())];
    w.dial_with(carrier, NUMBER, &Body::Auto, headers);
    w.run_for(1_000);
    let invite = w[backup].requests("INVITE")[0].clone();
    w.hang_up(carrier);
    w.assert_empty();
    (w, invite)
}

fn by_backup(forms: &[Forwarding], trust: Trust) -> Snapshot {
    let mut snapshot = trusting(BOTH);
    snapshot.routes[0].trunks = vec!["backup".into()];
    snapshot.dial.allow.push(tandem::switch::route::class::Class::International);
    let dialect = &mut snapshot.trunks[1].dialect;
    (dialect.trust, dialect.forwarding) = (trust, forms.to_vec());
    snapshot
}

#[test]
fn row_127_a_trusted_trunk_is_told_who_forwarded_the_call() {
    let contact = "<sip:013800138000@10.0.0.1>";
    let (_, invite) = forwarded(by_backup(&[Forwarding::Diversion], BOTH), "", contact);
    // The extension by the number that leads to it.
    assert_eq!(
        invite.get("Diversion"),
        "\"Bob\" <sip:+862012345678@198.51.100.1>;reason=unconditional;privacy=off;counter=1"
    );
    assert!(invite.get("From").contains("<sip:1002@"), "under the number of who forwarded it");
    let both = [Forwarding::Diversion, Forwarding::History];
    let busy = "<sip:013800138000@10.0.0.1;cause=486>";
    let (_, invite) = forwarded(by_backup(&both, BOTH), "", busy);
    assert!(invite.get("Diversion").contains("reason=user-busy"));
    assert_eq!(
        invite.get("History-Info"),
        "<sip:+862012345678@198.51.100.1>;index=1, \
         <sip:+8613800138000@203.0.113.20:5060;cause=486>;index=1.1;mp=1"
    );
    // What a trusted trunk had told before stays, behind it.
    let before = "Diversion: <sip:+862099990000@x>;reason=no-answer\r\n";
    let (_, invite) = forwarded(by_backup(&both, BOTH), before, busy);
    let all: Vec<_> = invite.all("Diversion").collect();
    assert_eq!(all.len(), 2);
    assert!(all[1].contains("<sip:+862099990000@198.51.100.1>;reason=no-answer"), "{all:?}");
    assert!(
        invite.headers.iter().all(|(_, value)| !value.contains("666666")),
        "not what the phone says"
    );
    // Nobody else is told.
    for (forms, trust) in [(&both[..], NONE), (&[][..], BOTH)] {
        let (_, invite) = forwarded(by_backup(forms, trust), before, busy);
        assert!(!invite.has("Diversion") && !invite.has("History-Info"));
    }
}

#[test]
fn row_127_an_extension_without_a_number_is_not_told_outside() {
    let mut snapshot = by_backup(&[Forwarding::Diversion, Forwarding::History], BOTH);
    snapshot.numbers[0].to = tandem::switch::snapshot::Destination::Phone("1003".into());
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    let backup = w.party("backup", BACKUP);
    w[b].habits.on_invite = vec![(20, forwarding("<sip:013800138000@10.0.0.1>", &[]))];
    w[backup].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    let invite = w[backup].requests("INVITE")[0].clone();
    assert!(!invite.has("Diversion") && !invite.has("History-Info"));
    w.hang_up(a);
    w.assert_empty();
}

/// A trunk that takes it is told who calls, and not who forwarded the call, as the caller.
#[test]
fn row_127_a_forwarded_call_may_show_who_calls() {
    let mut snapshot = by_backup(&[Forwarding::Diversion], BOTH);
    snapshot.trunks[1].dialect.forwarded_caller = ForwardedCaller::Original;
    snapshot.trunks[1].caller_id = Some("+862011112222".into());
    let contact = "<sip:013800138000@10.0.0.1>";
    let (_, invite) = forwarded(snapshot.clone(), "", contact);
    assert!(invite.get("From").contains("<sip:+862087654321@"), "{}", invite.get("From"));
    let (_, invite) = forwarded(snapshot, "Privacy: id\r\n", contact);
    assert!(invite.get("From").starts_with(NOBODY));
    assert!(invite.get("P-Asserted-Identity").contains("+862087654321"));
}

#[test]
fn row_127_a_phone_shows_who_forwarded_the_call() {
    let mut w = World::new(trusting(BOTH));
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    w[b].habits.on_invite = vec![(20, ring()), (500, forwarding("<sip:1003@10.0.0.1>", &[]))];
    w[c].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(1_000);
    let invite = w[c].requests("INVITE")[0].clone();
    assert!(invite.get("From").contains("<sip:1001@"));
    assert_eq!(
        invite.get("Diversion"),
        "\"Bob\" <sip:1002@tandem>;reason=deflection;privacy=off;counter=1"
    );
    let ok = w[a].response(200).unwrap();
    assert_eq!(ok.get("P-Asserted-Identity"), "<sip:1003@tandem>", "who answered in the end");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 127: Referred-By names the phone that transferred, whatever it says of itself, and what forwarded the call
/// before is kept over the transfer.
#[test]
fn row_127_referred_by_and_history_over_a_transfer() {
    for (trust, outside) in [(BOTH, true), (NONE, false)] {
        let mut snapshot = trusting(BOTH);
        snapshot.routes[0].trunks = vec!["backup".into()];
        snapshot.trunks[1].dialect.trust = trust;
        snapshot.trunks[1].dialect.forwarding = vec![Forwarding::Diversion];
        snapshot.dial.allow.push(tandem::switch::route::class::Class::International);
        let mut w = World::new(snapshot);
        let (b, c) = (w.phone("1002"), w.phone("1003"));
        let (carrier, backup) = (w.party("carrier", CARRIER), w.party("backup", BACKUP));
        w[carrier].user = "+862087654321".into();
        w[b].habits.on_invite = vec![(20, ok())];
        w[c].habits.on_invite = vec![(20, ok())];
        w[backup].habits.on_invite = vec![(20, ok())];
        let before = "Diversion: <sip:+862099990000@x>;reason=no-answer\r\n";
        w.dial_with(carrier, NUMBER, &Body::Auto, before);
        w.run_for(500);
        let lie = "Referred-By: <sip:+8666666@x>\r\n";
        w.in_dialog(b, "REFER", &format!("Refer-To: <sip:1003@10.0.0.1>\r\n{lie}"), "");
        w.run_for(1_000);
        let invite = w[c].requests("INVITE")[0].clone();
        assert_eq!(invite.get("Referred-By"), "<sip:1002@10.0.0.1>");
        assert!(invite.get("Diversion").contains("<sip:+862099990000@tandem>;reason=no-answer"));
        w.in_dialog(c, "REFER", &format!("Refer-To: <sip:013800138000@10.0.0.1>\r\n{lie}"), "");
        w.run_for(1_000);
        let invite = w[backup].requests("INVITE")[0].clone();
        // 1003 has no number outside: it is not named. The history is, where it is kept.
        assert!(!invite.has("Referred-By"), "{}", invite.get("Referred-By"));
        assert_eq!(invite.get("Diversion").contains("+862099990000"), outside);
        w.hang_up(carrier);
        w.assert_empty();
    }
}

#[test]
fn user_to_user_crosses_where_it_is_trusted() {
    let uui = "User-to-User: 56a390f3d2b7310023a2;encoding=hex;purpose=isdn-uui\r\n";
    let value = "56a390f3d2b7310023a2;encoding=hex;purpose=isdn-uui";
    for (trust, expected) in [(BOTH, value), (NONE, "")] {
        let (_, invite) = called_with(trusting(trust), uui, "");
        assert_eq!(invite.get("User-to-User"), expected);
        let (_, invite) = calls_out(trusting(trust), uui);
        assert_eq!(invite.get("User-to-User"), expected);
    }
}

fn session_id(text: &Text) -> (String, String) {
    let value = text.get("Session-ID");
    let (local, rest) = value.split_once(";remote=").unwrap_or((value, ""));
    (local.to_owned(), rest.to_owned())
}

const NIL: &str = "00000000000000000000000000000000";

/// RFC 7989 §6: each side's half stands first in what it is told of the other, on every hop.
#[test]
fn a_session_has_one_identifier_on_both_legs() {
    let (mine, yours) = ("a".repeat(32), "b".repeat(32));
    let mut w = World::new(trusting(NONE));
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    let line = format!("Session-ID: {yours};remote={mine}");
    w[b].habits.on_invite = vec![(20, ring().header(&line)), (200, ok().header(&line))];
    w.dial_with(a, "1002", &Body::Auto, &format!("Session-ID: {mine};remote={NIL}\r\n"));
    w.run_for(1_000);
    let at =
        |w: &World, id: PhoneId, method: &str| session_id(w[id].requests(method).last().unwrap());
    assert_eq!(at(&w, b, "INVITE"), (mine.clone(), NIL.to_owned()));
    assert_eq!(at(&w, b, "ACK"), (mine.clone(), yours.clone()));
    assert_eq!(session_id(w[a].response(180).unwrap()), (yours.clone(), mine.clone()));
    assert_eq!(session_id(w[a].response(200).unwrap()), (yours.clone(), mine.clone()));
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(at(&w, b, "BYE"), (mine.clone(), yours.clone()));
    let ids: Vec<_> = w.record().legs.iter().map(|leg| leg.session_id.clone()).collect();
    assert_eq!(ids, [mine, yours]);
}

/// Who has none is given one; what is none is passed over.
#[test]
fn a_party_without_a_session_identifier_is_given_one() {
    let mut w = World::new(trusting(NONE));
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.on_invite = vec![(20, ok().header("Session-ID: NONSENSE;remote="))];
    w.dial_with(a, "1002", &Body::Auto, &format!("Session-ID: {NIL}\r\n"));
    w.run_for(1_000);
    let (of_a, remote) = session_id(w[b].requests("INVITE")[0]);
    let (of_b, remote_of_a) = session_id(w[a].response(200).unwrap());
    assert_eq!((remote.as_str(), remote_of_a.as_str()), (NIL, NIL));
    assert!(of_a.len() == 32 && of_b.len() == 32 && of_a != of_b && of_a != NIL);
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(session_id(w[a].requests("BYE")[0]).0, of_b);
    let ids: Vec<_> = w.record().legs.iter().map(|leg| leg.session_id.clone()).collect();
    assert_eq!(ids, [of_a, of_b]);
}
