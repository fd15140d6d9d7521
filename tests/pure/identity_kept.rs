//! Row 117, what may not leak and what changes: lamps, pickups, transfers, news within a call, and headers of any kind.

use tandem::switch::identity::{Dialect, IdentityHeader, Trust};
use tandem::switch::snapshot::Snapshot;

use crate::sim::network::Dice;
use crate::sim::office::{CARRIER, NUMBER, office};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::sdp::{HOLD, TALK};
use crate::sim::world::{PhoneId, World};
use crate::watch::{BLF, watching};

const BOTH: Trust = Trust { inward: true, outward: true };
const NONE: Trust = Trust { inward: false, outward: false };

fn trusting(trust: Trust) -> Snapshot {
    let mut snapshot = office();
    snapshot.trunks[0].dialect = Dialect { trust, ..Dialect::default() };
    for phone in snapshot.phones.values_mut() {
        phone.pickup_groups = vec!["all".into()];
    }
    snapshot
}

/// Everything that a phone got, as one text.
fn all(w: &World, id: PhoneId) -> String {
    w[id].got.iter().map(|(_, text)| format!("{text:?}\n")).collect()
}

#[test]
fn row_117_a_withheld_caller_shows_on_no_lamp() {
    for from_outside in [true, false] {
        let mut w = World::new(trusting(BOTH));
        let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
        let carrier = w.party("carrier", CARRIER);
        let watch = watching(&mut w, c, "1002", BLF);
        w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
        let caller = if from_outside { carrier } else { a };
        w[carrier].user = "+862087654321".into();
        let number = if from_outside { NUMBER } else { "1002" };
        w.dial_with(caller, number, &Body::Auto, "Privacy: id\r\n");
        w.run_for(2_000);
        w.hang_up(caller);
        w.assert_empty();
        let told: String = watch.notifies(&w).iter().map(|text| text.body.clone()).collect();
        assert!(told.contains("sip:anonymous@"), "{told}");
        assert!(!told.contains("1001") && !told.contains("87654321") && !told.contains("Alice"));
        let rung = all(&w, b);
        assert!(!rung.contains("1001@") && !rung.contains("87654321") && !rung.contains("Alice"));
    }
}

/// A phone that picks a call up is told who calls, unless that is withheld.
#[test]
fn row_117_who_picks_up_is_told_who_calls_unless_that_is_withheld() {
    for (privacy, expected) in [("", "\"Alice\" <sip:1001@tandem>"), ("Privacy: id\r\n", "")] {
        let mut w = World::new(trusting(NONE));
        let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
        w.dial_with(a, "1002", &Body::Auto, privacy);
        w.run_for(500);
        let invite = w[b].requests("INVITE")[0].clone();
        let (to, from) = (w[b].last().local_tag.clone(), invite.tag_of_from());
        let named = format!("{};to-tag={to};from-tag={from}", invite.call_id());
        let headers = format!("Replaces: {named}\r\n");
        w.dial_with(c, "1002", &Body::Auto, &headers);
        w.run_for(500);
        let ok = w[c].response(200).unwrap();
        assert_eq!(ok.get("P-Asserted-Identity"), expected);
        // The caller is told who took it, not who was called.
        let told = w[a].response(200).unwrap().get("P-Asserted-Identity");
        assert_eq!(told, "<sip:1003@tandem>");
        assert!(privacy.is_empty() || !all(&w, c).contains("1001@"));
        w.hang_up(a);
        w.assert_empty();
    }
}

/// An attended transfer: both who are left are told of each other.
#[test]
fn row_117_both_sides_of_an_attended_transfer_are_told() {
    let mut w = World::new(trusting(NONE));
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    let accepts = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE";
    for phone in [b, c] {
        w[phone].habits.on_invite = vec![(20, ok().header(accepts))];
    }
    w.dial(a, "1002");
    w.run_for(500);
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.dial(a, "1003");
    w.run_for(500);
    let (first, second) = (w[a].last_index() - 1, w[a].last().clone());
    let to = format!(
        "Refer-To: <sip:1003@10.0.0.1?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>\r\n",
        second.call_id, second.remote_tag, second.local_tag
    );
    let now = w.now;
    w[a].in_dialog(now, first, "REFER", &to, String::new());
    w.flush(a.0);
    w.run_for(2_000);
    for (phone, other) in [(b, "<sip:1003@tandem>"), (c, "\"Bob\" <sip:1002@tandem>")] {
        let got = w[phone].got.iter().map(|(_, text)| text);
        let mut told = got.filter(|text| text.is("INVITE") || text.is("UPDATE"));
        let last = told.next_back().unwrap().get("P-Asserted-Identity");
        assert_eq!(last, other, "{}", w[phone].name);
    }
    w.hang_up(b);
    w.assert_empty();
}

/// A phone that withholds its number hands a call on: whom it goes to is not told by Referred-By either.
#[test]
fn row_117_who_withholds_his_number_is_in_no_referred_by() {
    for is_withheld in [false, true] {
        let mut snapshot = trusting(BOTH);
        let phone = snapshot.phones.get_mut("1002").unwrap();
        phone.withhold = is_withheld;
        phone.rights.identities = vec!["+862012345678".into()];
        let mut w = World::new(snapshot);
        let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
        let carrier = w.party("carrier", CARRIER);
        for party in [b, c, carrier] {
            w[party].habits.on_invite = vec![(20, ok())];
        }
        for (number, to) in [("1003", c), ("013800138000", carrier)] {
            w.dial(a, "1002");
            w.run_for(500);
            let by = "Referred-By: <sip:1002@tandem>\r\n";
            w.in_dialog(b, "REFER", &format!("Refer-To: <sip:{number}@10.0.0.1>\r\n{by}"), "");
            w.run_for(1_000);
            let invite = w[to].requests("INVITE")[0].clone();
            assert_eq!(invite.has("Referred-By"), !is_withheld, "{invite:?}");
            w.hang_up(to);
            w.run_for(1_000);
        }
        w.assert_empty();
    }
}

/// Who hides himself in one call alone, and hands that on.
#[test]
fn row_117_who_hides_in_a_call_is_in_no_referred_by_of_it() {
    for (headers, is_told) in [("", true), ("Privacy: id\r\n", false)] {
        let mut w = World::new(trusting(NONE));
        let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
        for party in [b, c] {
            w[party].habits.on_invite = vec![(20, ok())];
        }
        w.dial_with(a, "1002", &Body::Auto, headers);
        w.run_for(500);
        let by = "Referred-By: <sip:1001@tandem>\r\n";
        w.in_dialog(a, "REFER", &format!("Refer-To: <sip:1003@10.0.0.1>\r\n{by}"), "");
        w.run_for(1_000);
        let invite = w[c].requests("INVITE")[0].clone();
        assert_eq!(invite.has("Referred-By"), is_told, "{invite:?}");
        w.hang_up(c);
        w.assert_empty();
    }
}

/// A phone that takes no UPDATE is told by a re-INVITE that changes nothing else; one that was told already by none.
#[test]
fn row_117_a_phone_without_update_is_told_of_a_transfer_by_a_re_invite() {
    let mut w = World::new(trusting(NONE));
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    for phone in [b, c] {
        w[phone].habits.on_invite = vec![(20, ok())];
    }
    w.dial(a, "1002");
    w.run_for(500);
    let before = w[b].last().remote_sdp.clone();
    w.in_dialog(a, "REFER", "Refer-To: <sip:1003@10.0.0.1>\r\n", "");
    w.run_for(2_000);
    let told: Vec<_> = w[b].requests("INVITE").into_iter().skip(1).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].get("P-Asserted-Identity"), "<sip:1003@tandem>");
    assert_eq!(told[0].body, before, "the same description, with the same version");
    assert!(w[b].requests("UPDATE").is_empty());
    assert_eq!(crate::scene::heard(&w), (true, true));
    w.hang_up(b);
    w.assert_empty();
}

/// The carrier connects its side with somebody else and says so: by UPDATE, or by a re-INVITE that crosses the call.
#[test]
fn row_117_a_trusted_trunk_may_say_that_somebody_else_is_there_now() {
    let dave = "P-Asserted-Identity: \"Dave\" <sip:+862099990000@x>\r\n";
    for (trust, privacy, expected) in [
        (BOTH, "", "\"Dave\" <sip:+862099990000@tandem>"),
        (BOTH, "Privacy: id\r\n", ""),
        (NONE, "", ""),
    ] {
        for method in ["UPDATE", "INVITE"] {
            let mut w = World::new(trusting(trust));
            let a = w.phone("1001");
            let carrier = w.party("carrier", CARRIER);
            w[carrier].habits.on_invite = vec![(20, ok())];
            w.dial(a, "0123");
            w.run_for(500);
            let headers = format!("{dave}{privacy}");
            if method == "UPDATE" {
                w.in_dialog(carrier, "UPDATE", &headers, "");
            } else {
                let (now, call) = (w.now, w[carrier].last_index());
                w[carrier].calls[call].form = HOLD;
                let body = w[carrier].offer(call);
                w[carrier].in_dialog(now, call, "INVITE", &headers, body);
                w.flush(carrier.0);
            }
            w.run_for(500);
            let told = w[a].requests(method).last().map(|text| text.get("P-Asserted-Identity"));
            assert_eq!(told.unwrap_or_default(), expected, "{method} {trust:?} {privacy}");
            assert!(!expected.is_empty() || !all(&w, a).contains("99990000"));
            if method == "INVITE" {
                w.modify(carrier, "INVITE", TALK);
                w.run_for(500);
            }
            w.hang_up(a);
            w.assert_empty();
        }
    }
}

/// Who is withheld by an anonymous From stays so when the trunk repeats who he is.
#[test]
fn row_117_a_refresh_does_not_uncover_who_is_withheld() {
    let carol = "P-Asserted-Identity: \"Carol\" <sip:+862087654321@x>\r\n";
    let mut w = World::new(trusting(BOTH));
    let b = w.phone("1002");
    let carrier = w.party("carrier", CARRIER);
    w[b].habits.on_invite = vec![(20, ok().header("Allow: INVITE, ACK, BYE, UPDATE"))];
    w[carrier].user = "anonymous".into();
    w.dial_with(carrier, NUMBER, &Body::Auto, carol);
    w.run_for(500);
    w.in_dialog(carrier, "UPDATE", carol, "");
    w.run_for(500);
    assert!(!all(&w, b).contains("87654321"), "{}", all(&w, b));
    w.hang_up(carrier);
    w.assert_empty();
}

const NAMES: [&str; 16] = [
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Diversion",
    "History-Info",
    "Referred-By",
    "User-to-User",
    "Call-Info",
    "Alert-Info",
    "Answer-Mode",
    "Priv-Answer-Mode",
    "Session-ID",
    "Privacy",
    "Reply-To",
    "P-Charging-Vector",
    "Identity",
];

const PIECES: [&str; 20] = [
    "<sip:+8666666@x>",
    "<tel:+8666666;phone-context=+86>",
    "\"+8666666\" ",
    "\"a, \\\"+8666666",
    ",",
    ";",
    "<sip:+8666666",
    "sip:+8666666@x",
    ";reason=\"+8666666\"",
    ";privacy=full",
    ";party=calling",
    ";index=1.1;mp=1",
    "?Privacy=history>",
    "+8666666",
    "id;none;critical",
    "%00%0d%0a+8666666",
    "\t",
    ">",
    ";cause=302",
    ";answer-after=0",
];

/// Some headers of these names, made of these pieces.
fn some_headers(dice: &mut Dice, with_privacy: bool) -> String {
    let mut text = String::new();
    for _ in 0..=dice.below(6) {
        let name = NAMES[usize::try_from(dice.below(16)).unwrap()];
        let pieces = (0..=dice.below(5)).map(|_| PIECES[usize::try_from(dice.below(20)).unwrap()]);
        let value: String = pieces.collect();
        if with_privacy || name != "Privacy" {
            text += &format!("{name}: {value}\r\n");
        }
    }
    text
}

/// Nobody was sent what an untrusted side claimed, and no record has it.
fn assert_clean(w: &World, ids: &[PhoneId], story: &str) {
    for id in ids {
        for (_, text) in &w[*id].got {
            // A response gives the request's own headers back.
            let told = if text.is_request() {
                format!("{text:?}")
            } else {
                text.get("P-Asserted-Identity").to_owned()
            };
            assert!(!told.contains("666666"), "{story}\n{told}");
        }
    }
    assert!(!w.records.is_empty());
    assert!(w.records.iter().all(|record| !record.began.caller.contains("666666")), "{story}");
}

/// Headers of every kind, whole and broken, in any number: what an untrusted side claims reaches nobody and no record,
/// and nothing of it brings the switch down.
#[test]
fn row_117_whatever_headers_come_nothing_untrusted_gets_through() {
    let mut dice = Dice::new(7);
    for round in 0..150 {
        let trust = if round % 3 == 0 { BOTH } else { NONE };
        let mut snapshot = trusting(trust);
        snapshot.trunks[0].dialect.identity = vec![IdentityHeader::Asserted];
        let mut w = World::new(snapshot);
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        let carrier = w.party("carrier", CARRIER);
        w[carrier].user = "+862087654321".into();
        let (of_trunk, of_phone) = (some_headers(&mut dice, true), some_headers(&mut dice, false));
        for phone in [b, carrier] {
            let mut answer = ok();
            answer.headers = some_headers(&mut dice, true);
            w[phone].habits.on_invite = vec![(20, answer)];
        }
        w.dial_with(carrier, NUMBER, &Body::Auto, &of_trunk);
        w.dial_with(a, "0123", &Body::Auto, &of_phone);
        w.run_for(500);
        for id in [a, b] {
            if w[id].calls.last().is_some_and(|call| call.status == 200) {
                w.hang_up(id);
            }
        }
        w.assert_empty();
        if trust == NONE {
            assert_clean(&w, &[a, b, carrier], &format!("{of_trunk}\n{of_phone}"));
        }
    }
}

/// A caller from outside who names himself as one of our phones is shown to nobody as that phone; the record has what he said.
#[test]
fn row_117_nobody_outside_is_shown_as_a_phone_of_ours() {
    for (is_trusted, shown) in [(false, "anonymous"), (true, "1001")] {
        let mut snapshot = office();
        snapshot.trunks[0].dialect.trust.inward = is_trusted;
        let mut w = World::new(snapshot);
        let (b, carrier) = (w.phone("1002"), w.party("carrier", CARRIER));
        w[b].habits.on_invite = vec![(20, Reply::status(486))];
        w[carrier].user = "1001".into();
        w.dial(carrier, NUMBER);
        w.run_for(1_000);
        let from = w[b].requests("INVITE")[0].get("From").to_owned();
        assert!(from.contains(&format!("<sip:{shown}@")), "{from}");
        assert_eq!(w.record().began.caller, "1001");
        w.assert_empty();
    }
}
