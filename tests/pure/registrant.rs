//! Our registrations at carriers: several servers, the way back kept open, routes that the carrier names.

use std::time::Duration;

use tandem::proto::nat::stun;
use tandem::proto::sip::transport::{Flow, Transport};
use tandem::switch::snapshot::{Secret, Snapshot, TrunkMode};

use crate::scene::heard;
use crate::sim::office::{number, office, peer, route, trunk};
use crate::sim::phone::{Reply, ok, ring};
use crate::sim::text::auth_param;
use crate::sim::world::{PhoneId, World};

const FIRST: &str = "203.0.113.31:5060";
const SECOND: &str = "203.0.113.32:5060";

/// A trunk that registers as `acme` at two servers.
fn registered() -> Snapshot {
    let mut snapshot = office();
    let mut own = trunk("sipco", TrunkMode::Register, &[FIRST, SECOND]);
    own.user = Some("acme".into());
    own.secret = Secret("s3cret".into());
    own.registrar = Some(peer("sipco.example"));
    snapshot.trunks = vec![own];
    snapshot.numbers = vec![number("acme", "sipco", "1001")];
    snapshot.routes = vec![route("out", "^0(.+)$", &["sipco"], None)];
    snapshot
}

fn granted() -> Reply {
    Reply::status(200).header("Expires: 600")
}

fn state(w: &World, name: &str) -> (&'static str, String) {
    let views = w.board.trunks(w.instant());
    let view = views.into_iter().find(|view| view.name == name).unwrap();
    (view.state, view.reason)
}

/// Dials the Contact that was registered, as the carrier has it.
fn call_contact(w: &mut World, from: PhoneId, contact: &str) {
    let (user, domain) = contact.split_once('@').unwrap();
    let before = std::mem::replace(&mut w[from].domain, domain.to_owned());
    w.dial(from, user);
    w[from].domain = before;
    w.run_for(1_000);
}

/// Row 65: a server that is away, and one that says 5xx, is left for the next one at once; nothing is tried for ever.
#[test]
fn row_065_the_next_server_is_tried_when_one_fails() {
    for is_silent in [true, false] {
        let mut w = World::new(registered());
        let (first, second) = (w.party("first", FIRST), w.party("second", SECOND));
        if is_silent {
            w[first].habits.answers = false;
        } else {
            w[first].habits.on_method = vec![("REGISTER", Reply::status(500))];
        }
        w[second].habits.on_method = vec![("REGISTER", granted())];
        w.run_for(33_000);
        let (state, reason) = state(&w, "sipco");
        assert_eq!(state, "up");
        assert!(reason.contains(SECOND), "{reason}");
        assert_eq!(w[second].requests("REGISTER").len(), 1);
    }
    // If none of them is well, there is a pause after each round.
    let mut w = World::new(registered());
    for at in [FIRST, SECOND] {
        let id = w.party(at, at);
        w[id].habits.on_method = (0..9).map(|_| ("REGISTER", Reply::status(503))).collect();
    }
    w.run_for(14_000);
    let asked = w.wires.iter().filter(|wire| wire.text.is("REGISTER")).count();
    assert_eq!(asked, 2, "one round");
}

/// Row 66: requests take the way that the carrier named, whatever server we registered at.
#[test]
fn row_066_a_service_route_is_taken_by_later_requests() {
    let mut w = World::new(registered());
    let a = w.phone("1001");
    let first = w.party("first", FIRST);
    let edge = w.party("edge", "203.0.113.77:5060");
    w[edge].habits.on_invite = vec![(20, ring()), (200, ok())];
    let routes = "Service-Route: <sip:203.0.113.77;lr>, <sip:core.sipco.example;lr>";
    w[first].habits.on_method = vec![("REGISTER", granted().header(routes))];
    w.run_for(1_000);
    w.dial(a, "0123");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    let invite = w[edge].requests("INVITE")[0];
    assert_eq!(invite.uri(), "sip:123@sipco.example".replace("123", "0123"));
    let all: Vec<_> = invite.all("Route").collect();
    assert_eq!(all.join(", "), "<sip:203.0.113.77;lr>, <sip:core.sipco.example;lr>");
    w.hang_up(a);
    w.assert_empty();
    // The next 200 without one takes it back; one that would need strict routing is passed over.
    for header in ["X: y", "Service-Route: <sip:203.0.113.77>"] {
        let mut w = World::new(registered());
        let (a, first) = (w.phone("1001"), w.party("first", FIRST));
        w[first].habits.on_method = vec![("REGISTER", granted().header(header))];
        w[first].habits.on_invite = vec![(20, ring()), (200, ok())];
        w.run_for(1_000);
        w.dial(a, "0123");
        w.run_for(1_000);
        assert_eq!(w[first].requests("INVITE")[0].all("Route").count(), 0);
        w.hang_up(a);
        w.assert_empty();
    }
}

/// Row 67: two accounts at one carrier share its addresses; each call comes by the one that was called.
#[test]
fn row_067_two_accounts_at_one_carrier_are_told_apart() {
    let mut snapshot = registered();
    let mut other = snapshot.trunks[0].clone();
    other.name = "sipco-2".into();
    other.user = Some("beta".into());
    for (trunk, at) in snapshot.trunks.iter_mut().zip([FIRST, FIRST]) {
        trunk.peers = vec![peer(at)];
    }
    other.peers = vec![peer(FIRST)];
    snapshot.trunks.push(other);
    snapshot.numbers.push(number("beta", "sipco-2", "1002"));
    let mut w = World::new(snapshot);
    let phones = ["1001", "1002"].map(|extension| w.phone(extension));
    for phone in phones {
        w[phone].habits.on_invite = vec![(20, ring()), (200, ok())];
    }
    let first = w.party("first", FIRST);
    w[first].habits.on_method = vec![("REGISTER", granted()), ("REGISTER", granted())];
    w.run_for(20_000);
    let contacts: Vec<_> = w[first]
        .requests("REGISTER")
        .iter()
        .map(|text| crate::sim::text::uri_of(text.get("Contact")).replacen("sip:", "", 1))
        .collect();
    for (user, name) in [("beta", "sipco-2"), ("acme", "sipco")] {
        let contact = contacts.iter().find(|contact| contact.starts_with(user)).unwrap();
        call_contact(&mut w, first, contact);
        assert_eq!(heard(&w), (true, true), "{user}");
        w.hang_up(first);
        w.run_for(40_000);
        let record = w.records.last().unwrap();
        assert_eq!(record.began.trunk, name);
        let line = record.timeline.iter().find(|line| line.text.starts_with("INVITE sip:"));
        assert!(!line.unwrap().text.contains("line="), "whoever reads records is no carrier");
    }
    w.assert_empty();
}

/// The registration is spread: a carrier that restarted does not have everybody back in the same second.
#[test]
fn row_064_refreshes_are_spread() {
    let mut snapshot = registered();
    for index in 0..20 {
        let mut more = snapshot.trunks[0].clone();
        (more.name, more.user) = (format!("sipco-{index}"), Some(format!("user-{index}")));
        snapshot.trunks.push(more);
    }
    let mut w = World::new(snapshot);
    let first = w.party("first", FIRST);
    w[first].habits.on_method = (0..60).map(|_| ("REGISTER", granted())).collect();
    w.run_for(599_000);
    let refreshes =
        w[first].got.iter().filter(|(at, text)| text.is("REGISTER") && *at > 10_000_000);
    let at: Vec<_> = refreshes.map(|(at, _)| at / 1_000_000).collect();
    assert_eq!(at.len(), 21, "each once before it ends");
    let (soonest, latest) = (at.iter().min().unwrap(), at.iter().max().unwrap());
    assert!(*soonest >= 420 && *latest <= 541 && latest - soonest > 60, "{at:?}");
}

/// Row 39: a NAT that sees four bytes every 25 s keeps the way back open, as long as the carrier knows us.
#[test]
fn row_039_the_way_back_is_kept_open() {
    let mut snapshot = registered();
    snapshot.trunks[0].keepalive = Duration::from_secs(25);
    let mut w = World::new(snapshot);
    let first = w.party("first", FIRST);
    w[first].habits.on_method = vec![("REGISTER", granted())];
    w.run_for(101_000);
    let pings: Vec<_> =
        w[first].pings.iter().map(|(at, bytes)| (at / 1_000_000, &bytes[..])).collect();
    let line_ends = &b"\r\n\r\n"[..];
    assert_eq!(pings, [25, 50, 75, 100].map(|at| (at, line_ends)));
    w.run_for(500_000);
    assert_eq!(w[first].requests("REGISTER").len(), 2, "and nothing else came of it");
}

/// A carrier that keeps flows answers STUN on them (RFC 5626 §4.4.2, §5.4): if it does not, or sees us at another address,
/// the flow is broken and we register anew.
#[test]
fn row_039_a_flow_that_does_not_answer_is_made_anew() {
    for is_moved in [false, true] {
        let mut snapshot = registered();
        snapshot.trunks[0].keepalive = Duration::from_secs(25);
        snapshot.trunks[0].outbound = true;
        let mut w = World::new(snapshot);
        let first = w.party("first", FIRST);
        let granted = || granted().header("Require: outbound");
        w[first].habits.on_method = (0..4).map(|_| ("REGISTER", granted())).collect();
        w.run_for(25_500);
        let asked = w[first].requests("REGISTER")[0].get("Contact").to_owned();
        assert!(
            asked.contains(";reg-id=1") && asked.contains("+sip.instance=\"<urn:uuid:"),
            "{asked}"
        );
        let answer = |w: &mut World, seen: &str| {
            let (_, request) = w[first].pings.last().unwrap().clone();
            let bytes = stun::binding_response(&request, seen.parse().unwrap()).unwrap();
            let (remote, now) = (w[first].at, w.instant());
            let local = w[first].us;
            let flow =
                Flow { transport: Transport::Udp, listener: 0, local, remote, connection: 0 };
            w.with_board(|board, out| board.receive(now, flow, &bytes, out));
        };
        answer(&mut w, "198.51.100.9:5060");
        w.run_for(25_500);
        assert_eq!(w[first].pings.len(), 2);
        if is_moved {
            answer(&mut w, "198.51.100.9:1024");
        } else {
            w.run_for(6_000);
            assert_eq!(w[first].pings.len(), 4, "three in a row");
        }
        w.run_for(1_000);
        assert_eq!(w[first].requests("REGISTER").len(), 2);
        assert_eq!(state(&w, "sipco").0, "up");
        let words: Vec<_> = w
            .events
            .iter()
            .map(|(kind, _)| *kind)
            .filter(|kind| kind.starts_with("trunk"))
            .collect();
        assert_eq!(words, ["trunk.up", "trunk.down", "trunk.up"]);
    }
}

/// The connection that the carrier calls us on is closed: it has another one before it needs it.
#[test]
fn a_lost_connection_is_made_anew_at_once() {
    let mut snapshot = registered();
    snapshot.trunks[0].peers = vec![peer(&format!("tcp:{FIRST}"))];
    let mut w = World::new(snapshot);
    let first = w.party("first", FIRST);
    w[first].is_tcp = true;
    w[first].habits.on_method = vec![("REGISTER", granted()), ("REGISTER", granted())];
    w.run_for(5_000);
    assert_eq!(state(&w, "sipco").0, "up");
    w.break_connection(first);
    w.run_for(1_000);
    assert_eq!(w[first].requests("REGISTER").len(), 2);
    assert_eq!(state(&w, "sipco").0, "up");
}

/// A daemon that stops in order tells the carrier, with the credentials that it has.
#[test]
fn a_daemon_that_stops_takes_its_registration_back() {
    let mut w = World::new(registered());
    let first = w.party("first", FIRST);
    w[first].habits.on_method = vec![("REGISTER", granted())];
    w.run_for(5_000);
    let now = w.instant();
    w.with_board(|board, out| board.leave(now, out));
    w.run_for(1_000);
    let all = w[first].requests("REGISTER");
    assert_eq!(all.len(), 2);
    assert!(all[1].get("Contact").ends_with("expires=0"), "{}", all[1].get("Contact"));
    assert_eq!(all[1].call_id(), all[0].call_id());
}

/// A carrier takes a Contact with another parameter for another phone, and would call both: after a reload, and after a
/// restart that took nothing back, ours is the same.
#[test]
fn row_067_our_contact_is_the_same_after_a_reload_and_a_restart() {
    let contact = |w: &World, id: PhoneId, turn: usize| {
        crate::sim::text::uri_of(w[id].requests("REGISTER")[turn].get("Contact")).to_owned()
    };
    let begin = |seed| {
        let mut w = World::seeded(registered(), seed);
        let first = w.party("first", FIRST);
        w[first].habits.on_method = vec![("REGISTER", granted()), ("REGISTER", granted())];
        w.run_for(1_000);
        (w, first)
    };
    let (mut w, first) = begin(1);
    let before = contact(&w, first, 0);
    let mut snapshot = registered();
    snapshot.trunks[0].keepalive = Duration::from_secs(25);
    w.reload(snapshot);
    w.run_for(1_000);
    assert_eq!(contact(&w, first, 1), before);
    let (w, first) = begin(2);
    assert_eq!(contact(&w, first, 0), before);
    // Another account, or another password, has another one; without a password nobody can work it out.
    let mut lines = vec![before.clone()];
    for (secret, seed) in [("other", 1), ("", 1), ("", 2)] {
        let mut snapshot = registered();
        snapshot.trunks[0].secret = Secret(secret.into());
        let mut w = World::seeded(snapshot, seed);
        let first = w.party("first", FIRST);
        w.run_for(1_000);
        lines.push(contact(&w, first, 0));
    }
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 4);
}

/// Who closes the connection after each answer is not asked again without end.
#[test]
fn a_carrier_that_closes_after_each_answer_is_asked_every_15_seconds() {
    let mut snapshot = registered();
    snapshot.trunks[0].peers = vec![peer(&format!("tcp:{FIRST}"))];
    let mut w = World::new(snapshot);
    let first = w.party("first", FIRST);
    w[first].is_tcp = true;
    w[first].habits.on_method = (0..99).map(|_| ("REGISTER", granted())).collect();
    for _ in 0..60 {
        w.run_for(1_000);
        w.break_connection(first);
    }
    let asked = w[first].requests("REGISTER").len();
    assert!((4..=6).contains(&asked), "{asked} in a minute");
}

/// A carrier that asks for the password with a new nonce each time is told once more that we go, and nothing else: what
/// comes late does not register us again.
#[test]
fn what_is_taken_back_stays_taken_back() {
    let asks =
        || Reply::status(401).header("WWW-Authenticate: Digest realm=\"sipco\", nonce=\"n\"");
    for (answers, expires) in [
        (vec![granted(), granted()], vec!["600", "0"]),
        (vec![granted(), asks(), granted()], vec!["600", "0", "0"]),
        (vec![granted(), Reply::status(503)], vec!["600", "0"]),
    ] {
        let mut snapshot = registered();
        snapshot.trunks[0].expires = Duration::from_secs(600);
        let mut w = World::new(snapshot);
        let first = w.party("first", FIRST);
        w[first].habits.on_method = answers.into_iter().map(|reply| ("REGISTER", reply)).collect();
        w.run_for(5_000);
        let now = w.instant();
        w.with_board(|board, out| board.leave(now, out));
        w.run_for(900_000);
        let all = w[first].requests("REGISTER");
        let asked: Vec<_> =
            all.iter().map(|text| text.get("Contact").split("expires=").nth(1).unwrap()).collect();
        assert_eq!(asked, expires);
        assert_ne!(state(&w, "sipco").0, "up");
    }
}

/// `Retry-After: 0` is no invitation to ask as fast as the network carries it.
#[test]
fn a_pause_of_nothing_is_a_second() {
    let mut snapshot = registered();
    snapshot.trunks[0].peers = vec![peer(FIRST)];
    let mut w = World::new(snapshot);
    let first = w.party("first", FIRST);
    let reply = || Reply::status(503).header("Retry-After: 0");
    w[first].habits.on_method = (0..999).map(|_| ("REGISTER", reply())).collect();
    w.run_for(10_000);
    assert!(w[first].requests("REGISTER").len() <= 11);
}

/// A trunk that a reload takes away, or gives another account, is taken back at the carrier, which may ask for the password
/// again; one that only asks for another time keeps its Contact.
#[test]
fn a_reload_takes_back_what_is_configured_no_more() {
    let asks = "WWW-Authenticate: Digest realm=\"sipco.example\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    let other_account = |snapshot: &mut Snapshot| snapshot.trunks[0].user = Some("beta".into());
    let other_time = |snapshot: &mut Snapshot| {
        snapshot.trunks[0].expires = Duration::from_secs(900);
    };
    type Change<'a> = &'a dyn Fn(&mut Snapshot);
    let cases: [(Change<'_>, usize); 3] =
        [(&|snapshot| snapshot.trunks.clear(), 1), (&other_account, 1), (&other_time, 0)];
    for (change, taken_back) in cases {
        let mut w = World::new(registered());
        let first = w.party("first", FIRST);
        w[first].habits.on_method = vec![("REGISTER", granted())];
        w.run_for(5_000);
        w[first].habits.on_method = vec![("REGISTER", Reply::status(401).header(asks))];
        w[first].habits.on_method.extend((0..4).map(|_| ("REGISTER", granted())));
        let mut snapshot = registered();
        change(&mut snapshot);
        w.reload(snapshot);
        w.run_for(5_000);
        let ended: Vec<_> = w[first]
            .requests("REGISTER")
            .iter()
            .filter(|text| text.get("Contact").ends_with("expires=0"))
            .map(|text| text.has("Authorization"))
            .collect();
        assert_eq!(ended.iter().filter(|has_login| **has_login).count(), taken_back, "{ended:?}");
        w.assert_empty();
    }
}

/// Carriers give a number and, for the login, another name: who we are is the number, who logs in is the name.
#[test]
fn a_login_may_have_another_name_than_the_account() {
    let asks = "WWW-Authenticate: Digest realm=\"sipco.example\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"";
    let mut snapshot = registered();
    snapshot.trunks[0].auth_user = Some("acme@login".into());
    let mut w = World::new(snapshot);
    let first = w.party("first", FIRST);
    w[first].habits.on_method =
        vec![("REGISTER", Reply::status(401).header(asks)), ("REGISTER", granted())];
    w.run_for(2_000);
    let last = *w[first].requests("REGISTER").last().unwrap();
    assert!(last.get("To").contains("sip:acme@"), "{}", last.get("To"));
    assert_eq!(auth_param(last.get("Authorization"), "username"), "acme@login");
    assert_eq!(state(&w, "sipco").0, "up");
}

/// A gateway does the same with us; neither name alone is enough, and the login's is no address of record.
#[test]
fn a_gateway_may_log_in_under_another_name() {
    let mut snapshot = office();
    let mut gateway = trunk("gateway", TrunkMode::Account, &[]);
    gateway.user = Some("gw1".into());
    gateway.auth_user = Some("gw1-login".into());
    gateway.secret = Secret("secret-gw1".into());
    snapshot.trunks.push(gateway);
    for (name, status) in [("gw1-login", 200), ("gw1", 403)] {
        let mut w = World::new(snapshot.clone());
        let gateway = w.party("gw1", "10.0.0.90:5060");
        w[gateway].domain = "tandem".into();
        w[gateway].login = name.into();
        let (now, contact) = (w.now, format!("{};expires=300", w[gateway].contact()));
        w[gateway].register(now, &contact, "");
        w.flush(gateway.0);
        w.run_for(500);
        assert_eq!(w[gateway].statuses("REGISTER").last(), Some(&status), "{name}");
        assert_eq!(state(&w, "gateway").0, if status == 200 { "up" } else { "down" });
    }
}
