//! Calls to and from trunks, and our registrations at carriers.

use std::time::Duration;

use tandem::switch::snapshot::{Secret, Snapshot, TrunkMode};

use crate::scene::{heard, outcome, with_trunks};
use crate::sim::office::{BACKUP, CARRIER, NUMBER, SIPCO, number, office, peer, route, trunk};
use crate::sim::phone::{Reply, early, ok, ring};
use crate::sim::text::auth_param;
use crate::sim::world::{PhoneId, World};

#[test]
fn a_phone_calls_out_by_a_route_that_rewrites_the_number() {
    let (mut w, a, carrier, _) = with_trunks();
    w[carrier].habits.on_invite = vec![(20, early()), (2000, ok())];
    w.dial(a, "013800138000");
    w.run_for(5_000);
    assert_eq!(heard(&w), (true, true));
    assert_eq!(w[carrier].requests("INVITE")[0].uri(), "sip:+8613800138000@203.0.113.10:5060");
    w.hang_up(carrier);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn the_next_trunk_is_tried_when_one_fails_and_only_then() {
    for (status, is_next) in [
        (500, true),
        (503, true),
        (502, true),
        (408, true),
        (486, false),
        (404, false),
        (603, false),
    ] {
        let (mut w, a, carrier, backup) = with_trunks();
        w[carrier].habits.on_invite = vec![(20, Reply::status(status))];
        w[backup].habits.on_invite = vec![(20, ring()), (500, ok())];
        w.dial(a, "0123");
        w.run_for(3_000);
        assert_eq!(w[backup].requests("INVITE").len(), usize::from(is_next), "{status}");
        if is_next {
            assert_eq!(heard(&w), (true, true));
            w.hang_up(a);
            w.assert_empty();
            assert_eq!(w.record().began.trunk, "backup");
        } else {
            assert_eq!(w[a].last().status, status);
            w.assert_empty();
        }
    }
}

#[test]
fn the_next_trunk_is_tried_when_one_is_silent() {
    let (mut w, a, carrier, backup) = with_trunks();
    w[carrier].habits.on_invite = Vec::new();
    w[backup].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "0123");
    w.run_for(4_500);
    assert!(w[backup].requests("INVITE").is_empty(), "five seconds have not passed");
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

/// A carrier that said 100 works on the call: what it takes to reach a mobile is no silence.
#[test]
fn a_trunk_that_said_trying_is_not_left() {
    let (mut w, a, carrier, backup) = with_trunks();
    w[carrier].habits.on_invite = vec![(20, Reply::status(100)), (9_000, ring()), (11_000, ok())];
    w.dial(a, "0123");
    w.run_for(12_000);
    assert!(w[backup].requests("INVITE").is_empty());
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Rows 47, 48: an ICMP error, or a refused connection, fails over at once.
#[test]
fn row_047_the_next_trunk_is_tried_at_once_when_one_is_unreachable() {
    let (mut w, a, _, backup) = with_trunks();
    w.unreachable.insert(CARRIER.parse().unwrap());
    w[backup].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "0123");
    w.run_for(600);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 46: a 503 of the carrier would make the phone shun us.
#[test]
fn row_046_a_503_of_the_last_trunk_reaches_the_caller_as_500() {
    let (mut w, a, carrier, backup) = with_trunks();
    for trunk in [carrier, backup] {
        w[trunk].habits.on_invite = vec![(20, Reply::status(503).header("Retry-After: 30"))];
    }
    w.dial(a, "0123");
    w.run_for(1_000);
    assert_eq!(w[a].last().status, 500);
    assert!(!w[a].response(500).unwrap().has("Retry-After"));
    w.assert_empty();
    assert_eq!(outcome(&w), ("peer_unavailable", "system", false));
}

#[test]
fn a_trunk_that_nobody_answers_for_fails_after_all_were_tried() {
    let (mut w, a, carrier, backup) = with_trunks();
    for trunk in [carrier, backup] {
        w[trunk].habits.on_invite = Vec::new();
    }
    w.dial(a, "0123");
    w.assert_empty();
    assert_eq!(w[a].last().status, 408);
    assert_eq!(outcome(&w), ("peer_timeout", "system", false));
}

#[test]
fn a_callee_behind_a_trunk_may_be_busy_after_a_183() {
    let (mut w, a, carrier, backup) = with_trunks();
    w[carrier].habits.on_invite = vec![(20, early()), (2_000, Reply::status(486))];
    w.dial(a, "0123");
    w.run_for(3_000);
    assert_eq!(w[a].last().status, 486);
    assert!(w[backup].requests("INVITE").is_empty());
    w.assert_empty();
}

fn challenged(secret: &str) -> (World, PhoneId, PhoneId) {
    let mut snapshot = office();
    snapshot.trunks[0].user = Some("tandem-01".into());
    snapshot.trunks[0].secret = Secret(secret.into());
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    (w, a, carrier)
}

const CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"carrier.example\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"";

/// Row 74: CSeq + 1, same Call-ID and From tag, one more try.
#[test]
fn row_074_a_trunk_that_challenges_gets_our_credentials_once() {
    let (mut w, a, carrier) = challenged("s3cret");
    w[carrier].habits.on_method = vec![("INVITE", Reply::status(407).header(CHALLENGE))];
    w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "0123");
    w.run_for(1_000);
    let invites = w[carrier].requests("INVITE");
    assert_eq!(invites.len(), 2);
    assert_eq!(invites[1].cseq(), invites[0].cseq() + 1);
    assert_eq!(invites[1].call_id(), invites[0].call_id());
    assert_eq!(invites[1].tag_of_from(), invites[0].tag_of_from());
    let login = invites[1].get("Proxy-Authorization");
    assert_eq!(auth_param(login, "username"), "tandem-01");
    assert_eq!(auth_param(login, "uri"), invites[1].uri());
    // Row 73: the ACK carries what its INVITE carried.
    assert!(w[carrier].requests("ACK").last().unwrap().has("Proxy-Authorization"));
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
    assert!(w[carrier].requests("BYE")[0].has("Proxy-Authorization"));
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

#[test]
fn row_074_a_trunk_that_challenges_for_ever_is_left() {
    let (mut w, a, carrier) = challenged("wrong");
    w[carrier].habits.on_invite = vec![(20, Reply::status(407).header(CHALLENGE))];
    w.dial(a, "0123");
    w.run_for(2_000);
    assert_eq!(w[carrier].requests("INVITE").len(), 2);
    assert_eq!(w[a].last().status, 403);
    w.assert_empty();
    assert_eq!(outcome(&w), ("refused_by_peer", "system", false));
}

/// Row 78: a challenge in another realm than the one of the trunk gets no answer.
#[test]
fn row_078_no_credentials_for_a_realm_that_turns_up_later() {
    let (mut w, a, carrier) = challenged("s3cret");
    w[carrier].habits.on_method = vec![("INVITE", Reply::status(407).header(CHALLENGE))];
    w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "0123");
    w.run_for(1_000);
    let evil = CHALLENGE.replace("carrier.example", "evil.example");
    w[carrier].habits.on_method = vec![("BYE", Reply::status(407).header(&evil))];
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[carrier].requests("BYE").len(), 1);
}

/// Row 78: a phone that challenges our BYE gets none at all.
#[test]
fn row_078_no_credentials_for_a_phone_that_challenges_us() {
    let (mut w, a, b) = crate::scene::talking();
    w[b].habits.on_method = vec![(
        "BYE",
        Reply::status(401).header("WWW-Authenticate: Digest realm=\"tandem\", nonce=\"1\""),
    )];
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[b].requests("BYE").len(), 1);
}

#[test]
fn a_caller_from_the_trunk_reaches_a_phone_by_its_number() {
    let mut w = World::new(office());
    let b = w.phone("1002");
    let carrier = w.party("carrier", CARRIER);
    w[b].habits.on_invite = vec![(20, ring()), (1000, ok())];
    w[carrier].user = "+8613800138000".into();
    w.dial(carrier, NUMBER);
    w.run_for(3_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(carrier);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn a_caller_from_the_trunk_reaches_no_extension_and_no_route() {
    for dialled in ["1002", "0123", "+862099999999"] {
        let mut w = World::new(office());
        let b = w.phone("1002");
        let carrier = w.party("carrier", CARRIER);
        w.dial(carrier, dialled);
        w.run_for(1_000);
        assert_eq!(w[carrier].last().status, 404, "{dialled}");
        assert!(w[b].requests("INVITE").is_empty());
        w.assert_empty();
    }
}

#[test]
fn a_stranger_is_challenged() {
    let mut w = World::new(office());
    let stranger = w.party("stranger", "192.0.2.66:5060");
    w[stranger].habits.logs_in = false;
    w.dial(stranger, NUMBER);
    w.run_for(500);
    assert_eq!(w[stranger].last().status, 401);
    w.assert_empty();
    assert!(w.records.is_empty());
}

/// A route whose trunk is ourselves: what comes in by a trunk reaches numbers only, so it ends there.
#[test]
fn row_033_a_route_that_leads_back_to_ourselves_ends() {
    let mut snapshot = office();
    snapshot.trunks = vec![trunk("loop", TrunkMode::Peer, &["10.0.0.1:5060"])];
    snapshot.numbers = vec![number("+8699", "loop", "1002")];
    snapshot.routes = vec![route("out", "^0(.+)$", &["loop"], Some("0$1"))];
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    w.dial(a, "0123");
    w.assert_empty();
    assert_eq!(w[a].last().status, 404);
    assert_eq!(w.records.len(), 2);
}

fn account_office() -> Snapshot {
    let mut snapshot = office();
    let mut gateway = trunk("gateway", TrunkMode::Account, &[]);
    gateway.user = Some("gw1".into());
    gateway.secret = Secret("secret-gw1".into());
    snapshot.trunks.push(gateway);
    snapshot.routes = vec![route("out", "^0(.+)$", &["gateway"], None)];
    snapshot.numbers.push(number("8000", "gateway", "1001"));
    snapshot
}

#[test]
fn a_gateway_registers_to_us_and_carries_calls_both_ways() {
    let mut w = World::new(account_office());
    let a = w.phone("1001");
    w[a].habits.on_invite = vec![(20, ring()), (500, ok())];
    let gateway = w.phone("gw1");
    w[gateway].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "0123");
    w.run_for(2_000);
    assert_eq!(w[gateway].requests("INVITE")[0].uri(), "sip:0123@10.0.0.12:5060");
    assert_eq!(heard(&w), (true, true));
    w.hang_up(gateway);
    w.run_for(40_000);
    w.dial(gateway, "8000");
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(gateway);
    w.assert_empty();
    let words: Vec<_> = w
        .records
        .iter()
        .map(|r| format!("{} {} {}", r.began.direction.word(), r.began.trunk, r.cause.key))
        .collect();
    assert_eq!(words, ["outbound gateway normal", "inbound gateway normal"]);
}

#[test]
fn a_gateway_that_is_not_registered_is_no_trunk() {
    let mut w = World::new(account_office());
    let a = w.phone("1001");
    w.dial(a, "0123");
    w.assert_empty();
    assert_eq!(outcome(&w).0, "no_trunk");
}

fn register_office() -> Snapshot {
    let mut snapshot = office();
    let mut sipco = trunk("sipco", TrunkMode::Register, &[SIPCO]);
    sipco.user = Some("acme".into());
    sipco.secret = Secret("s3cret".into());
    sipco.registrar = Some(peer("sipco.example"));
    snapshot.trunks = vec![sipco];
    snapshot.numbers = vec![number("acme", "sipco", "1001")];
    snapshot.routes = vec![route("out", "^0(.+)$", &["sipco"], None)];
    snapshot
}

const SIPCO_ASKS: &str =
    "WWW-Authenticate: Digest realm=\"sipco.example\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";

fn state_of_trunk(w: &World) -> (&'static str, String) {
    let now = tandem::proto::time::Instant::from_micros(w.now);
    let view = w.board.trunks(now).remove(0);
    (view.state, view.reason)
}

fn granted(seconds: u32) -> Reply {
    Reply::status(200)
        .contact(&format!("<sip:acme@198.51.100.1:5060;transport=udp>;expires={seconds}"))
}

/// Row 65: granted Expires, refresh early, same Call-ID, CSeq + 1.
#[test]
fn row_065_a_register_trunk_registers_and_refreshes_early() {
    let mut w = World::new(register_office());
    let sipco = w.party("sipco", SIPCO);
    w[sipco].habits.on_method = vec![
        ("REGISTER", Reply::status(401).header(SIPCO_ASKS)),
        ("REGISTER", granted(120)),
        ("REGISTER", granted(120)),
    ];
    w.run_for(1_000);
    assert_eq!(state_of_trunk(&w).0, "up");
    assert_eq!(w[sipco].requests("REGISTER").len(), 2);
    w.run_for(80_000);
    assert_eq!(w[sipco].requests("REGISTER").len(), 2, "not yet");
    w.run_for(35_000);
    let all = w[sipco].requests("REGISTER");
    assert_eq!(all.len(), 3, "before the 120 s are over");
    assert_eq!(all[2].call_id(), all[0].call_id());
    assert_eq!([all[1].cseq(), all[2].cseq()], [all[0].cseq() + 1, all[0].cseq() + 2]);
    assert_eq!(auth_param(all[1].get("Authorization"), "username"), "acme");
}

/// The domain of a registrar is written as a URI has it, whatever carries the request and whatever stands for it on
/// the way.
#[test]
fn row_065_the_domain_of_a_registrar_is_its_host_and_port() {
    for (registrar, peer_at, domain) in [
        (Some("tcp:sipco.example:5070"), SIPCO, "sipco.example:5070"),
        (Some("sipco.example"), SIPCO, "sipco.example"),
        (None, SIPCO, "203.0.113.30"),
    ] {
        let mut snapshot = register_office();
        snapshot.trunks[0].peers = vec![peer(peer_at)];
        snapshot.trunks[0].registrar = registrar.map(peer);
        let mut w = World::new(snapshot);
        let sipco = w.party("sipco", SIPCO);
        w[sipco].habits.on_method = vec![("REGISTER", granted(120))];
        w.run_for(1_000);
        let sent = w[sipco].requests("REGISTER")[0];
        assert_eq!(sent.uri(), format!("sip:{domain}"));
        assert!(sent.get("To").contains(&format!("<sip:acme@{domain}>")), "{}", sent.get("To"));
    }
}

#[test]
fn row_065_a_register_trunk_obeys_423_and_recovers_from_403() {
    let mut w = World::new(register_office());
    let sipco = w.party("sipco", SIPCO);
    w[sipco].habits.on_method = vec![
        ("REGISTER", Reply::status(423).header("Min-Expires: 1800")),
        ("REGISTER", Reply::status(403)),
        ("REGISTER", granted(1800)),
    ];
    w.run_for(1_000);
    let asked = w[sipco].requests("REGISTER")[1].get("Contact").to_owned();
    assert!(asked.ends_with("expires=1800"), "{asked}");
    assert_eq!(state_of_trunk(&w).0, "down");
    assert!(state_of_trunk(&w).1.contains("403"));
    w.run_for(20_000);
    assert_eq!(state_of_trunk(&w).0, "up");
    let kinds: Vec<_> =
        w.events.iter().map(|(kind, _)| *kind).filter(|kind| kind.starts_with("trunk")).collect();
    assert_eq!(kinds, ["trunk.down", "trunk.up"]);
}

#[test]
fn a_register_trunk_whose_carrier_is_gone_tries_again_and_again() {
    let mut w = World::new(register_office());
    w.unreachable.insert(SIPCO.parse().unwrap());
    w.run_for(1_000);
    assert!(state_of_trunk(&w).1.contains("cannot be reached"));
    w.run_for(600_000);
    let sipco = w.party("sipco", SIPCO);
    w[sipco].habits.on_method = vec![("REGISTER", granted(600))];
    w.unreachable.clear();
    w.run_for(600_000);
    assert_eq!(state_of_trunk(&w).0, "up");
}

/// Row 67: the carrier calls the Contact that we registered.
#[test]
fn row_067_a_call_to_our_registered_contact_comes_by_that_trunk() {
    let mut w = World::new(register_office());
    let a = w.phone("1001");
    w[a].habits.on_invite = vec![(20, ring()), (500, ok())];
    let sipco = w.party("sipco", SIPCO);
    w[sipco].habits.on_method = vec![("REGISTER", granted(600))];
    w.run_for(20_000);
    w.dial(sipco, "acme");
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(sipco);
    w.assert_empty();
    assert_eq!(w.record().began.trunk, "sipco");
}

#[test]
fn a_reload_keeps_a_registration_whose_trunk_did_not_change() {
    let mut w = World::new(register_office());
    let sipco = w.party("sipco", SIPCO);
    w[sipco].habits.on_method = vec![("REGISTER", granted(600)), ("REGISTER", granted(600))];
    w.run_for(1_000);
    w.reload(register_office());
    w.run_for(1_000);
    assert_eq!(w[sipco].requests("REGISTER").len(), 1);
    let mut other = register_office();
    other.trunks[0].expires = Duration::from_secs(900);
    w.reload(other);
    w.run_for(1_000);
    assert_eq!(w[sipco].requests("REGISTER").len(), 2);
}

#[test]
fn two_register_trunks_are_served_in_the_same_order_every_time() {
    let mut snapshot = register_office();
    for index in 0..6 {
        let mut more = snapshot.trunks[0].clone();
        more.name = format!("sipco-{index}");
        more.user = Some(format!("user-{index}"));
        snapshot.trunks.push(more);
    }
    let story = |snapshot: Snapshot| {
        let mut w = World::new(snapshot);
        w.party("sipco", SIPCO);
        w.run_for(5_000);
        w.wires.iter().map(|wire| format!("{:?}", wire.text)).collect::<Vec<_>>()
    };
    assert!(story(snapshot.clone()) == story(snapshot), "the same inputs give the same outputs");
}

/// The carrier is configured by name. A name server that fails for once does not make it a stranger, and
/// its dialogs are its own although its address was not known when they began.
#[test]
fn a_trunk_by_name_is_known_by_its_addresses() {
    let mut snapshot = office();
    snapshot.trunks[0] = trunk("carrier", TrunkMode::Peer, &["sip.carrier.example:5060"]);
    let mut w = World::new(snapshot);
    let carrier = w.party("carrier", CARRIER);
    w.has_addresses("sip.carrier.example", &["203.0.113.10"]);
    w.run_for(65_000);
    w.dns.clear();
    w.run_for(65_000);
    // Round robin: the name server tells another one of its addresses each time.
    w.has_addresses("sip.carrier.example", &["203.0.113.11"]);
    w.run_for(65_000);
    w.has_addresses("sip.carrier.example", &["203.0.113.10"]);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.on_invite = vec![(20, ok())];
    w.dial(carrier, NUMBER);
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(carrier);
    w.assert_empty();
    // And a call to it: a stranger with the right tags is asked who it is, the carrier is not.
    w.run_for(65_000);
    w[carrier].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(500);
    let stranger = w.party("stranger", "203.0.113.99:5060");
    let last = w[carrier].last().clone();
    w[stranger].calls.push(last);
    w[stranger].habits.logs_in = false;
    w.hang_up(stranger);
    w.run_for(500);
    assert_eq!(w[stranger].statuses("BYE"), [401]);
    w.hang_up(carrier);
    w.assert_empty();
    assert_eq!(w[carrier].statuses("BYE"), [200, 200]);
}

/// A trunk that is silent was left; what it says afterwards is no sign of life of the next one.
#[test]
fn a_trunk_that_was_left_does_not_speak_for_the_next_one() {
    let mut snapshot = office();
    snapshot.trunks.push(trunk("third", TrunkMode::Peer, &[SIPCO]));
    snapshot.routes[0].trunks.push("third".into());
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let (carrier, backup) = (w.party("carrier", CARRIER), w.party("backup", BACKUP));
    let third = w.party("third", SIPCO);
    w[carrier].habits.on_invite = vec![(7_000, Reply::status(100))];
    w[backup].habits.on_invite = Vec::new();
    w[third].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(11_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// What became of a later re-INVITE is not what became of the leg.
#[test]
fn a_leg_keeps_the_status_that_its_invite_ended_with() {
    let (mut w, a, carrier, _) = with_trunks();
    w[carrier].habits.on_invite = vec![(20, ok())];
    w[carrier].habits.on_modify = Some(Reply::status(488));
    w.dial(a, "0123");
    w.run_for(500);
    w.modify(a, "INVITE", crate::sim::sdp::HOLD);
    w.run_for(500);
    w.hang_up(a);
    w.assert_empty();
    let statuses: Vec<_> = w.record().legs.iter().map(|leg| leg.status).collect();
    assert_eq!(statuses, [200, 200]);
}
