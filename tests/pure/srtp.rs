//! Encrypted audio across the switch: each leg has keys of its own (rows 153 and 154 of the wire catalogue).

use tandem::proto::srtp::{Keys, Protection, Suite};
use tandem::switch::snapshot::{Snapshot, SrtpPolicy};

use crate::scene::{heard, outcome};
use crate::sim::office::{CARRIER, NUMBER, office};
use crate::sim::phone::{Body, Reply, early, ok, ring};
use crate::sim::sdp::{self, HOLD, Secure, TALK};
use crate::sim::world::{PhoneId, World};
use crate::transfer::{connected, refer_in, replacing};

const SAVP: &str = "RTP/SAVP";

/// An office where these phones have another policy than the rest.
fn with_policy(of: &[(&str, SrtpPolicy)]) -> Snapshot {
    let mut snapshot = office();
    for (extension, policy) in of {
        snapshot.phones.get_mut(*extension).unwrap().srtp = *policy;
    }
    snapshot
}

/// 1001 encrypts, if there is a transport for that; 1002 answers when it is called.
fn two(snapshot: Snapshot, proto: &str) -> (World, PhoneId, PhoneId) {
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[a].secure = (!proto.is_empty()).then(|| Secure::new(proto, 'A'));
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    (w, a, b)
}

fn call(w: &mut World, a: PhoneId) {
    w.dial(a, "1002");
    w.run_for(1_500);
}

fn keys(protection: &Protection) -> Keys {
    match protection {
        Protection::Keyed(keys) => *keys.clone(),
        other => panic!("{other:?}"),
    }
}

/// The keys of side a in the only call.
fn keys_of_a(w: &World) -> Keys {
    keys(&w.media.open[&w.call()].a.protection)
}

/// What the legs of a record were encrypted by.
fn suites(w: &World, record: usize) -> Vec<(String, &'static str)> {
    w.records[record].legs.iter().map(|leg| (leg.leg.clone(), leg.srtp)).collect()
}

fn story(w: &World, what: &str) -> Vec<(String, String)> {
    let lines = w.record().timeline.iter().filter(|entry| entry.what == what);
    lines.map(|entry| (entry.leg.clone(), entry.text.clone())).collect()
}

#[test]
fn row_154_a_phone_that_encrypts_talks_to_one_that_does_not() {
    for proto in [SAVP, "RTP/AVP", "RTP/SAVPF"] {
        let (mut w, a, b) = two(office(), proto);
        call(&mut w, a);
        assert_eq!(heard(&w), (true, true));
        let invite = &w[b].requests("INVITE")[0].body;
        assert!(invite.contains("RTP/AVP") && sdp::crypto(invite).is_empty(), "{invite}");
        let answer = w[a].last().remote_sdp.clone();
        assert!(answer.contains(proto), "{answer}");
        let [line] = sdp::crypto(&answer)[..] else { panic!("{answer}") };
        assert!(line.starts_with(&format!("1 {} inline:", Secure::SUITE)));
        let open = &w.media.open[&w.call()];
        assert_eq!(open.b.protection, Protection::Clear);
        assert_eq!(keys(&open.a.protection).receive.material(), [0; 30], "forty times A");
        w.hang_up(a);
        w.assert_empty();
        let expected = [("a".to_owned(), Secure::SUITE), ("b1".to_owned(), "")];
        assert_eq!(suites(&w, 0), expected);
        assert_eq!(story(&w, "media.srtp"), [("a".to_owned(), Secure::SUITE.to_owned())]);
        let told = w.events.iter().filter(|(kind, _)| *kind == "media.srtp").count();
        assert_eq!(told, 1);
        let all = format!("{:?}", w.records);
        assert!(!all.contains(&"A".repeat(40)) && !all.contains(line), "no key is kept");
    }
}

/// Row 153: nothing of a hold, a resume, a refresh or the other side's wishes changes a key.
#[test]
fn row_153_hold_and_resume_leave_the_keys_as_they_are() {
    let (mut w, a, b) = two(office(), SAVP);
    call(&mut w, a);
    let before = keys_of_a(&w);
    for (who, form) in [(a, HOLD), (a, TALK), (b, HOLD), (b, TALK), (a, TALK)] {
        w.modify(who, "INVITE", form);
        w.run_for(500);
        assert_eq!(keys_of_a(&w), before);
        assert_eq!(w.media.open[&w.call()].b.protection, Protection::Clear);
    }
    assert_eq!(heard(&w), (true, true));
    let asked = w[a].requests("INVITE");
    assert!(
        asked.iter().all(|invite| sdp::crypto(&invite.body).len() == 1),
        "the line that was agreed"
    );
    w.hang_up(b);
    w.assert_empty();
}

/// Row 154: the peer's new key counts from its answer on, and has a new one of ours.
#[test]
fn row_154_a_new_key_in_a_re_invite_changes_both() {
    let (mut w, a, b) = two(office(), SAVP);
    call(&mut w, a);
    let before = keys_of_a(&w);
    w[a].secure = Some(Secure::new(SAVP, 'Q'));
    w.modify(a, "INVITE", TALK);
    w.run_for(500);
    let after = keys_of_a(&w);
    assert!(after.send != before.send && after.receive != before.receive);
    // The other side refuses: what was agreed stays.
    w[b].habits.on_modify = Some(Reply::status(488));
    w[a].secure = Some(Secure::new(SAVP, 'Z'));
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    assert_eq!(keys_of_a(&w), after);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(story(&w, "media.srtp").len(), 1, "the suite is the same");
}

#[test]
fn row_154_who_must_encrypt_is_offered_nothing_else_and_may_not_do_without() {
    let required = with_policy(&[("1002", SrtpPolicy::Required)]);
    let (mut w, a, b) = two(required.clone(), "");
    w[b].secure = Some(Secure::new(SAVP, 'B'));
    call(&mut w, a);
    assert_eq!(heard(&w), (true, true));
    let offer = w[b].requests("INVITE")[0].body.clone();
    assert!(offer.contains(SAVP), "{offer}");
    let offered: Vec<_> =
        sdp::crypto(&offer).iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(offered, Suite::ALL.map(Suite::name));
    assert_eq!(w.media.open[&w.call()].a.protection, Protection::Clear);
    let own = keys(&w.media.open[&w.call()].b.protection);
    assert_eq!(own.send.suite(), Suite::AesCm128HmacSha1_80);
    w.hang_up(b);
    w.assert_empty();
    // It answers in the clear.
    let (mut w, a, b) = two(required.clone(), "");
    call(&mut w, a);
    assert_eq!((w[a].last().status, outcome(&w).0), (488, "srtp_required"));
    assert_eq!(w[b].requests("BYE").len(), 1, "its answer was acknowledged and ended");
    let told = w[a].response(488).unwrap().get("Warning").to_owned();
    assert!(told.starts_with("302 ") && told.contains("SRTP is required"), "{told}");
    w.assert_empty();
    // It calls in the clear.
    let (mut w, _, b) = two(required, "");
    w.dial(b, "1001");
    w.run_for(500);
    assert_eq!((w[b].last().status, outcome(&w).0), (488, "srtp_required"));
    assert_eq!(story(&w, "media.refused").len(), 1);
    w.assert_empty();
}

#[test]
fn row_154_who_is_not_to_encrypt_is_refused_with_a_word_for_it() {
    let off = with_policy(&[("1001", SrtpPolicy::Off)]);
    let (mut w, a, _) = two(off.clone(), SAVP);
    w.dial(a, "1002");
    w.run_for(500);
    assert_eq!((w[a].last().status, outcome(&w).0), (488, "srtp_unusable"));
    w.assert_empty();
    // Who leaves it open talks in the clear.
    let (mut w, a, _) = two(off, "RTP/AVP");
    call(&mut w, a);
    assert_eq!(heard(&w), (true, true));
    assert!(sdp::crypto(&w[a].last().remote_sdp).is_empty());
    w.hang_up(a);
    w.assert_empty();
    // Keys by DTLS, and lines that cannot be used.
    for (body, words) in [
        ("m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:sha-256 AA\r\n", "DTLS"),
        ("m=audio 4000 RTP/SAVP 0\r\n", "no key"),
        (
            "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 F8_128_HMAC_SHA1_80 inline:AAAA\r\n",
            "because of its suite",
        ),
    ] {
        let (mut w, a, _) = two(office(), "");
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\n{body}"
        );
        w.dial_with(a, "1002", &Body::Text(text), "");
        w.run_for(500);
        assert_eq!((w[a].last().status, outcome(&w).0), (488, "srtp_unusable"));
        let told = w[a].response(488).unwrap().get("Warning").to_owned();
        assert!(told.contains(words), "{told}");
        w.assert_empty();
    }
}

/// Row 154: a trunk whose audio must be encrypted, both ways.
#[test]
fn row_154_a_trunk_has_a_policy_too() {
    let mut snapshot = office();
    snapshot.trunks[0].srtp = SrtpPolicy::Required;
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    let carrier = w.party("carrier", CARRIER);
    w[carrier].secure = Some(Secure::new(SAVP, 'T'));
    for id in [b, carrier] {
        w[id].habits.on_invite = vec![(20, ring()), (500, ok())];
    }
    w.dial(a, "02087654321");
    w.run_for(1_500);
    assert!(w[carrier].requests("INVITE")[0].body.contains(SAVP));
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.run_for(500);
    w.dial(carrier, NUMBER);
    w.run_for(1_500);
    assert_eq!(heard(&w), (true, true));
    assert_eq!(keys_of_a(&w).send.suite().name(), Secure::SUITE);
    w.hang_up(carrier);
    w.run_for(500);
    w[carrier].secure = None;
    w.dial(carrier, NUMBER);
    w.run_for(500);
    assert_eq!(w[carrier].last().status, 488);
    w.assert_empty();
}

/// Early media of an encrypted leg, and the answer that repeats it: one key.
#[test]
fn row_154_early_media_has_the_keys_of_the_answer() {
    let (mut w, a, b) = two(office(), SAVP);
    w[b].habits.on_invite = vec![(20, early()), (500, ok())];
    w.dial(a, "1002");
    w.run_for(300);
    let ringing = keys_of_a(&w);
    w.run_for(1_500);
    assert_eq!(keys_of_a(&w), ringing);
    w.hang_up(a);
    w.assert_empty();
}

/// Row 85 with keys: a caller that offers nothing is offered what its policy says.
#[test]
fn row_154_a_late_offer_has_keys_where_they_are_required() {
    let (mut w, a, _) = two(with_policy(&[("1001", SrtpPolicy::Required)]), SAVP);
    w.dial_with(a, "1002", &Body::None, "");
    w.run_for(2_000);
    let offer = w[a].response(200).unwrap().body.clone();
    assert_eq!((offer.contains(SAVP), sdp::crypto(&offer).len()), (true, 4));
    assert_eq!(heard(&w), (true, true));
    assert_eq!(keys_of_a(&w).receive.material(), [0; 30]);
    w.hang_up(a);
    w.assert_empty();
}

/// Row 153: a leg that is handed to another call has other numbers there, and so other keys; who stays keeps its own.
#[test]
fn row_153_a_leg_that_is_handed_over_has_new_keys() {
    let mut w = World::new(office());
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    for (id, letter) in [(b, 'B'), (c, 'C')] {
        w[id].secure = Some(Secure::new(SAVP, letter));
        w[id].habits.on_invite = vec![(20, ring()), (500, ok())];
    }
    // Both call 1001, so that their offers have keys; it holds the first for the second.
    w[a].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(b, "1001");
    w.run_for(1_500);
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.dial(c, "1001");
    w.run_for(1_500);
    let before: Vec<Keys> = w.media.open.values().map(|open| keys(&open.a.protection)).collect();
    let (first, second) = (w[a].last_index() - 1, w[a].last_index());
    let to = replacing(&w, a, second);
    refer_in(&mut w, a, first, &to);
    w.run_for(2_000);
    assert!(connected(&w, b, c));
    let open = &w.media.open[&w.call()];
    let after = [keys(&open.a.protection), keys(&open.b.protection)];
    for (now, of) in after.iter().zip([&open.a, &open.b]) {
        let is_b = of.remote_rtp.map(|at| at.ip()) == Some(w[b].at.ip());
        let old = if is_b { &before[0] } else { &before[1] };
        assert_eq!(now.receive, old.receive, "the phones repeat their keys");
        assert_eq!(now.send == old.send, is_b, "who stays keeps ours");
    }
    assert_ne!(after[0].send, after[1].send);
    w.hang_up(b);
    w.assert_empty();
}

/// A device that takes a call over has keys of its own, in the place of the one before.
#[test]
fn row_153_who_takes_a_call_over_has_keys_of_its_own() {
    let (mut w, a, b) = two(office(), SAVP);
    call(&mut w, a);
    let before = keys_of_a(&w);
    let soft = w.second_phone("soft", "1001");
    w[soft].secure = Some(Secure::new(SAVP, 'S'));
    let last = w[a].last();
    let name = format!("{};to-tag={};from-tag={}", last.call_id, last.remote_tag, last.local_tag);
    w.dial_with(soft, "1002", &Body::Auto, &format!("Require: replaces\r\nReplaces: {name}\r\n"));
    w.run_for(500);
    assert!(connected(&w, soft, b));
    let after = keys_of_a(&w);
    assert!(after.send != before.send && after.receive != before.receive);
    w.hang_up(b);
    w.assert_empty();
}
