//! What strangers get: silence for scanners, the same answers for known and unknown users, bans that end.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tandem::switch::guard::Network;
use tandem::switch::snapshot::OtherFrom;
use tandem::switch::switchboard::Load;

use crate::scene::{heard, outcome, talking, two_phones};
use crate::sim::office::{CARRIER, office};
use crate::sim::phone::{ok, ring};
use crate::sim::text::{Login, Text, md5_challenge};
use crate::sim::world::{PhoneId, World};

const STRANGER: &str = "192.0.2.66:5060";

/// A request of a stranger, complete.
fn request(w: &mut World, id: PhoneId, method: &str, user: &str, headers: &str) {
    let uri = if method == "REGISTER" { "sip:tandem".into() } else { format!("sip:{user}@tandem") };
    w.raw(
        id,
        &format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@tandem>;tag={{branch}}\r\nTo: <sip:{user}@tandem>\r\nCall-ID: {{branch}}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:{user}@{{me}}>\r\n{headers}Content-Length: 0\r\n\r\n"
        ),
    );
    w.run_for(50);
}

/// Sends the request twice, the second time with a login, and gives both answers.
fn guess(w: &mut World, id: PhoneId, method: &str, user: &str, secret: &str) -> Vec<Text> {
    let before = w[id].got.len();
    request(w, id, method, user, "");
    let challenge = w[id].got.last().and_then(|(_, text)| md5_challenge(text));
    if let Some((header, challenge)) = challenge {
        let uri =
            if method == "REGISTER" { "sip:tandem".into() } else { format!("sip:{user}@tandem") };
        let login = Login { user, secret, method, uri: &uri, nc: 1 }.answer(&challenge);
        request(w, id, method, user, &format!("{header}: {login}\r\n"));
        if method == "INVITE" {
            w.run_for(500);
        }
    }
    w[id].got[before..].iter().map(|(_, text)| text.clone()).collect()
}

fn stranger() -> (World, PhoneId) {
    let mut w = World::new(office());
    let id = w.party("stranger", STRANGER);
    (w, id)
}

fn events<'w>(w: &'w World, kind: &str) -> Vec<&'w Vec<(&'static str, String)>> {
    w.events.iter().filter(|(known, _)| *known == kind).map(|(_, fields)| fields).collect()
}

fn field<'f>(fields: &'f [(&'static str, String)], name: &str) -> &'f str {
    fields.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

#[test]
fn a_scanner_hears_nothing_and_two_packets_are_a_ban() {
    let (mut w, x) = stranger();
    let scanner = "User-Agent: friendly-scanner\r\n";
    for _ in 0..2 {
        request(&mut w, x, "OPTIONS", "100", scanner);
    }
    assert!(w[x].got.is_empty());
    let banned = events(&w, "guard.banned");
    assert_eq!((field(banned[0], "source"), field(banned[0], "seconds")), ("192.0.2.66", "60"));
    // Whatever it calls itself now, and whatever it sends.
    request(&mut w, x, "OPTIONS", "100", "");
    w.raw(x, "garbage\r\n\r\n");
    assert!(w[x].got.is_empty());
    assert_eq!(w.board.counts().dropped, 0, "not even parsed");
    w.run_for(60_000);
    assert_eq!(field(events(&w, "guard.unbanned")[0], "why"), "expired");
    request(&mut w, x, "OPTIONS", "100", "");
    assert_eq!(w[x].statuses("OPTIONS"), [200]);
    w.assert_empty();
}

/// Walks the extensions, as svwar does under another name: it learns nothing and is banned.
#[test]
fn a_walk_over_the_extensions_ends_in_silence() {
    let (mut w, x) = stranger();
    for extension in 950..1250 {
        request(&mut w, x, "REGISTER", &extension.to_string(), "");
    }
    let statuses = w[x].statuses("REGISTER");
    assert!(statuses.iter().all(|status| *status == 401), "known or not: {statuses:?}");
    assert!((90..130).contains(&statuses.len()), "{}", statuses.len());
    assert_eq!(events(&w, "guard.banned").len(), 1);
    w.assert_empty();
}

/// Row 76, and a registered phone that goes on calling meanwhile.
#[test]
fn a_guesser_of_passwords_is_banned_and_leaves_one_record_in_a_minute() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (100, ok())];
    let x = w.party("stranger", STRANGER);
    for n in 0..40 {
        guess(&mut w, x, "INVITE", "1001", &format!("guess-{n}"));
    }
    // The first refusal is a transaction's, which repeats it until it is acknowledged.
    let refused = w[x].got.iter().filter(|(_, text)| text.status() == 403);
    let tried = refused.map(|(_, text)| text.call_id()).collect::<BTreeSet<_>>().len();
    assert!((8..=10).contains(&tried), "{tried}");
    assert_eq!(w.records.len(), 1, "the others are counted");
    let rows = w.board.guard().rows(w.instant());
    let row = rows.iter().find(|row| row.kind == "source").unwrap();
    assert_eq!((row.name.as_str(), row.state), ("192.0.2.66", "banned"));
    assert_eq!(usize::try_from(row.unrecorded).unwrap(), tried - 1);
    assert!(rows.iter().any(|row| row.kind == "user" && row.name == "1001" && row.failed > 0));
    // 1001 itself feels nothing of it.
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    // After the ban the next record says what was not written.
    w.run_for(61_000);
    guess(&mut w, x, "INVITE", "1001", "another");
    let last = w.records.iter().rev().find(|r| r.cause.key == "wrong_password").unwrap();
    let counted = last.timeline.iter().find(|entry| entry.what == "guard.counted").unwrap();
    assert!(counted.text.starts_with(&format!("{} more", tried - 1)), "{}", counted.text);
    w.assert_empty();
}

/// A guess from everywhere: the user's bucket slows it down, the phone's own flow does not feel it.
#[test]
fn a_distributed_guess_is_slow_and_locks_nobody_out() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (100, ok())];
    let mut answered = 0;
    for n in 0..60 {
        let x = w.party("stranger", &format!("198.18.0.{n}:5060"));
        answered += guess(&mut w, x, "REGISTER", "1001", "wrong")
            .iter()
            .filter(|text| text.status() == 403)
            .count();
    }
    assert!((20..24).contains(&answered), "{answered}");
    let limited = events(&w, "guard.limited");
    assert_eq!((limited.len(), field(limited[0], "whom")), (1, "1001"));
    w.register(a);
    // It reboots, and comes from another port of its address.
    let again = w.second_phone("rebooted", "1001");
    assert_eq!(w[again].statuses("REGISTER").last(), Some(&200));
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 76: status, headers, bytes and number of messages are the same, whatever is asked.
#[test]
fn row_076_known_and_unknown_users_are_answered_byte_for_byte_alike() {
    let methods =
        ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "PUBLISH", "MESSAGE", "REFER", "CONJURE"];
    let answers = |method: &str, user: &str, has_options: bool| {
        let mut snapshot = office();
        snapshot.sip.authenticate_options = has_options;
        let mut w = World::new(snapshot);
        let x = w.party("stranger", STRANGER);
        let answers = guess(&mut w, x, method, user, "wrong");
        w.run_for(40_000);
        assert!(!answers.is_empty());
        // Only what is drawn by lot is taken out: the same seed draws the same for both.
        let text = |answer: &Text| {
            let mut out = format!("{}\n", answer.start.replace(user, "USER"));
            for (name, value) in &answer.headers {
                out += &format!("{name}: {}\n", value.replace(user, "USER"));
            }
            out + &answer.body
        };
        let all: Vec<_> = w[x].got.iter().map(|(at, answer)| (*at, text(answer))).collect();
        (answers.len(), all)
    };
    for method in methods {
        for has_options in [false, true] {
            let known = answers(method, "1001", has_options);
            assert_eq!(known, answers(method, "7777", has_options), "{method}");
        }
    }
}

/// Nobody takes a carrier, a registered phone or a trusted network off the line, nor a call's other end.
#[test]
fn who_is_ours_is_never_banned() {
    let mut snapshot = office();
    snapshot.guard.trusted = vec![Network::parse("198.18.0.0/15").unwrap()];
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.on_invite = vec![(20, ring()), (100, ok())];
    let (carrier, trusted) = (w.party("carrier", CARRIER), w.party("proxy", "198.18.0.1:5060"));
    for id in [carrier, trusted, a] {
        let before = w[id].got.len();
        for _ in 0..300 {
            request(&mut w, id, "OPTIONS", "100", "User-Agent: sipvicious\r\n");
        }
        assert_eq!(w[id].got.len() - before, 300, "{}", w[id].name);
    }
    // Another program on the phone's machine: silenced, but the machine is not banned.
    let at: SocketAddr = w[a].at;
    let neighbour = w.party("neighbour", &format!("{}:9999", at.ip()));
    for _ in 0..30 {
        request(&mut w, neighbour, "OPTIONS", "100", "User-Agent: sipvicious\r\n");
        guess(&mut w, neighbour, "REGISTER", "1002", "wrong");
    }
    assert!(w[neighbour].statuses("OPTIONS").is_empty());
    assert!(events(&w, "guard.banned").is_empty());
    assert!(w[neighbour].statuses("REGISTER").iter().filter(|s| **s == 403).count() <= 12);
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(b);
    w.assert_empty();
}

/// A phone that never registered calls from an address where somebody misbehaves: its dialog goes on.
#[test]
fn a_dialog_goes_on_beside_a_neighbour_who_is_limited() {
    let mut w = World::new(office());
    let b = w.phone("1002");
    w[b].habits.on_invite = vec![(20, ring()), (100, ok())];
    let a = w.party("1001", "192.0.2.66:6000");
    w[a].domain = "tandem".into();
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    let x = w.party("stranger", STRANGER);
    for _ in 0..400 {
        w.raw(x, "OPTIONS sip:tandem SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch={branch}\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:x@y>\r\nCall-ID: {branch}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 9\r\nContent-Length: 0\r\n\r\n");
    }
    w.run_for(100);
    assert_eq!(w[x].statuses("OPTIONS").len(), 200, "the burst");
    assert_eq!(field(events(&w, "guard.limited")[0], "what"), "requests");
    assert!(events(&w, "guard.banned").is_empty());
    w.in_dialog(a, "INFO", "", "");
    w.run_for(100);
    assert_ne!(w[a].statuses("INFO").last(), None);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

#[test]
fn an_operator_ends_a_ban() {
    let (mut w, x) = stranger();
    for _ in 0..2 {
        request(&mut w, x, "OPTIONS", "100", "User-Agent: sipcli/v1.8\r\n");
    }
    let ip = STRANGER.parse::<SocketAddr>().unwrap().ip();
    assert!(w.with_board(|board, out| board.unban(ip, out)));
    assert_eq!(field(events(&w, "guard.unbanned")[0], "why"), "operator");
    request(&mut w, x, "OPTIONS", "100", "");
    assert_eq!(w[x].statuses("OPTIONS"), [200]);
}

/// Row 62's kind, for calls: who logged in is who calls.
#[test]
fn a_call_is_placed_by_who_logged_in() {
    for (policy, claims, status, shown) in [
        (OtherFrom::Replace, "1003", 200, "1001"),
        (OtherFrom::Refuse, "1003", 403, ""),
        (OtherFrom::Refuse, "1001", 200, "1001"),
        (OtherFrom::Refuse, "anonymous", 200, "anonymous"),
        (OtherFrom::Refuse, "+862012345678", 200, "+862012345678"),
    ] {
        let mut snapshot = office();
        snapshot.sip.other_from = policy;
        let own = &mut snapshot.phones.get_mut("1001").unwrap().rights;
        own.identities.push("+862012345678".into());
        let mut w = World::new(snapshot);
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        w[b].habits.on_invite = vec![(20, ring()), (100, ok())];
        let uri = "sip:1002@tandem";
        let text = |extra: &str, cseq: u32| {
            format!(
                "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
                 From: <sip:{claims}@tandem>;tag=f\r\nTo: <{uri}>\r\nCall-ID: who\r\nCSeq: {cseq} INVITE\r\n\
                 Contact: <sip:1001@{{me}}>\r\n{extra}Content-Length: 0\r\n\r\n"
            )
        };
        w.raw(a, &text("", 1));
        w.run_for(50);
        let (header, challenge) = md5_challenge(w[a].response(401).unwrap()).unwrap();
        let login = Login { user: "1001", secret: "secret-1001", method: "INVITE", uri, nc: 40 };
        w.raw(a, &text(&format!("{header}: {}\r\n", login.answer(&challenge)), 2));
        w.run_for(90);
        let invites = w[b].requests("INVITE");
        if status == 403 {
            assert!(w[a].statuses("INVITE").contains(&403) && invites.is_empty());
            w.run_for(40_000);
            assert_eq!(outcome(&w).0, "other_identity");
        } else {
            assert!(invites[0].get("From").contains(&format!("sip:{shown}@")), "{claims}");
        }
    }
}

/// Row 51: what is new is put off, what lives goes on.
#[test]
fn row_051_overload_sheds_what_is_new_and_nothing_that_lives() {
    let (mut w, a, b) = talking();
    let c = w.phone("1003");
    let now = w.instant();
    let load = Load { lag: std::time::Duration::from_secs(3), queued: 0, queue_max: 100 };
    w.with_board(|board, out| board.loaded(now, load, out));
    assert_eq!(events(&w, "overload").len(), 1);
    w.dial(c, "1002");
    request(&mut w, c, "OPTIONS", "100", "");
    w.run_for(100);
    for method in ["INVITE", "OPTIONS"] {
        assert_eq!(w[c].statuses(method).last(), Some(&503), "{method}");
    }
    let after: u32 = w[c].response(503).unwrap().get("Retry-After").parse().unwrap();
    assert!((5..=30).contains(&after));
    w.modify(a, "INVITE", crate::sim::sdp::TALK);
    w.run_for(200);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&200), "inside a dialog");
    w.hang_up(a);
    w.run_for(200);
    assert_eq!(w[a].statuses("BYE").last(), Some(&200));
    assert_eq!(w[b].requests("BYE").len(), 1);
    w.run_for(1_000);
    request(&mut w, c, "OPTIONS", "100", "");
    assert_eq!(w[c].statuses("OPTIONS").last(), Some(&200), "it is over");
    w.assert_empty();
}
