//! Browsers across the switch: each leg has its own kind of audio, and DTLS and ICE end at the leg that has them (rows 155, 157
//! and 158 of the wire catalogue).

use tandem::proto::srtp::{Association, Fingerprint, Hash, Keys, Protection, Suite, exported};
use tandem::switch::call::{Input, Side};
use tandem::switch::snapshot::{MediaForm, Snapshot, SrtpPolicy};

use crate::scene::{heard, outcome};
use crate::sim::office::office;
use crate::sim::phone::{ok, ring};
use crate::sim::sdp::{HOLD, Secure, TALK};
use crate::sim::world::{PhoneId, World};
use crate::transfer::{connected, refer_in, replacing};

/// An office with a certificate.
fn web_office() -> Snapshot {
    let mut snapshot = office();
    snapshot.media.fingerprint = Some(Fingerprint { hash: Hash::Sha256, digest: vec![0xee; 32] });
    snapshot
}

/// 1001 is a browser; 1002 is a desk phone, and answers when it is called.
fn two(snapshot: Snapshot) -> (World, PhoneId, PhoneId) {
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[a].secure = Some(Secure::browser('1'));
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    w[a].habits.on_invite = vec![(20, ring()), (500, ok())];
    (w, a, b)
}

fn association(protection: &Protection) -> Association {
    match protection {
        Protection::Dtls(association) => (**association).clone(),
        other => panic!("{other:?}"),
    }
}

fn keys() -> Box<Keys> {
    Box::new(exported(Suite::AeadAes128Gcm, true, &[5; 56]).unwrap())
}

/// The relay has agreed on keys for a side.
fn keyed(w: &mut World, side: Side) {
    let call = w.call();
    let open = &w.media.open[&call];
    let plan = if side == Side::A { &open.a } else { &open.b };
    let number = association(&plan.protection).number;
    w.input(call, Input::Keyed { number, keys: keys() });
}

/// Rows 155, 157, 158: a browser calls a desk phone and is called by it; each has a description of its own kind.
#[test]
fn row_158_nothing_of_a_browser_reaches_a_desk_phone() {
    let mut snapshot = web_office();
    snapshot.phones.get_mut("1001").unwrap().media = MediaForm::Webrtc;
    let (mut w, a, b) = two(snapshot);
    for is_called in [false, true] {
        let (from, to, number) = if is_called { (b, a, "1001") } else { (a, b, "1002") };
        w.dial(from, number);
        w.run_for(1_500);
        assert_eq!(heard(&w), (true, true));
        let of_a = if is_called {
            w[a].requests("INVITE")[0].body.clone()
        } else {
            w[a].last().remote_sdp.clone()
        };
        let of_b = if is_called {
            w[b].last().remote_sdp.clone()
        } else {
            w[b].requests("INVITE")[0].body.clone()
        };
        for line in ["a=ice-lite", "UDP/TLS/RTP/SAVPF", "a=fingerprint:sha-256 EE:EE", "a=rtcp-mux"]
        {
            assert!(of_a.contains(line), "{line}: {of_a}");
        }
        for word in ["ice", "SAVP", "fingerprint", "setup", "mux", "mid", "extmap", "ssrc", "group"]
        {
            assert!(!of_b.contains(word), "{word}: {of_b}");
        }
        let open = &w.media.open[&w.call()];
        let (web, plain) = if is_called { (&open.b, &open.a) } else { (&open.a, &open.b) };
        assert!(web.ice.is_some() && web.is_rtcp_mux && plain.ice.is_none() && !plain.is_rtcp_mux);
        assert_eq!(
            (&plain.protection, association(&web.protection).keys),
            (&Protection::Clear, None)
        );
        keyed(&mut w, if is_called { Side::B } else { Side::A });
        w.hang_up(from);
        w.run_for(1_000);
        let _ = to;
    }
    w.assert_empty();
    let told: Vec<&str> =
        w.records.iter().flat_map(|record| &record.legs).map(|leg| leg.srtp).collect();
    assert_eq!(told, ["DTLS AEAD_AES_128_GCM", "", "", "DTLS AEAD_AES_128_GCM"]);
}

/// Row 155: a hold and what follows leave association, keys and ICE as they are.
#[test]
fn row_155_hold_and_resume_keep_the_association() {
    let (mut w, a, b) = two(web_office());
    w.dial(a, "1002");
    w.run_for(1_500);
    keyed(&mut w, Side::A);
    let before = w.media.open[&w.call()].a.clone();
    assert_eq!(association(&before.protection).keys, None, "the relay needs no telling");
    for (who, form) in [(a, HOLD), (a, TALK), (b, HOLD), (b, TALK)] {
        w.modify(who, "INVITE", form);
        w.run_for(500);
        let now = &w.media.open[&w.call()].a;
        assert_eq!(association(&now.protection).number, association(&before.protection).number);
        assert_eq!(association(&now.protection).keys, Some(keys()));
        assert_eq!(now.ice, before.ice);
    }
    assert_eq!(heard(&w), (true, true));
    w.hang_up(b);
    w.assert_empty();
}

/// Row 155: keys that cannot be agreed on end the call, and the story says why.
#[test]
fn row_155_a_call_without_keys_ends_with_a_cause() {
    for policy in [SrtpPolicy::Optional, SrtpPolicy::Required] {
        let mut snapshot = web_office();
        snapshot.phones.get_mut("1001").unwrap().srtp = policy;
        let (mut w, a, _) = two(snapshot);
        w.dial(a, "1002");
        w.run_for(1_500);
        let call = w.call();
        w.input(call, Input::NotKeyed(Side::A, "its certificate is not the one"));
        w.run_for(500);
        assert_eq!(outcome(&w), ("dtls_failed", "system", true));
        let told = w.record().timeline.iter().find(|entry| entry.what == "media.unkeyed").unwrap();
        assert_eq!(
            (told.leg.as_str(), told.text.as_str()),
            ("a", "its certificate is not the one")
        );
        w.assert_empty();
    }
}

/// Row 155: a browser that is handed to another call keeps its association, and finds its way to the new ports.
#[test]
fn row_155_a_browser_is_handed_over() {
    let mut w = World::new(web_office());
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    for (id, digit) in [(b, '2'), (c, '3')] {
        w[id].secure = Some(Secure::browser(digit));
    }
    w[a].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(b, "1001");
    w.run_for(1_500);
    keyed(&mut w, Side::A);
    let first_call = w.call();
    let first_plan = w.media.open[&w.call()].a.clone();
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.dial(c, "1001");
    w.run_for(1_500);
    let (first, second) = (w[a].last_index() - 1, w[a].last_index());
    let to = replacing(&w, a, second);
    refer_in(&mut w, a, first, &to);
    w.run_for(2_000);
    assert!(connected(&w, b, c));
    let open = &w.media.open[&w.call()];
    for plan in [&open.a, &open.b] {
        let association = association(&plan.protection);
        let ice = plan.ice.clone().unwrap();
        let is_b = association.fingerprints[0].digest == [0x22; 32];
        assert_eq!(association.keys.is_some(), is_b, "known keys move, others are agreed on there");
        if is_b {
            let stays = w.call() == first_call;
            let is_known = ice.local == first_plan.ice.as_ref().unwrap().local;
            assert_eq!(is_known, stays, "the way to other ports is found anew");
        }
    }
    w.hang_up(b);
    w.assert_empty();
}

/// Row 155: what a phone's policy refuses is refused with a reason; plain phones have no DTLS, whatever they offer.
#[test]
fn row_155_a_phone_may_be_kept_plain() {
    let mut snapshot = web_office();
    snapshot.phones.get_mut("1001").unwrap().media = MediaForm::Plain;
    let (mut w, a, _) = two(snapshot);
    w.dial(a, "1002");
    w.run_for(500);
    assert_eq!((w[a].last().status, outcome(&w).0), (488, "srtp_unusable"));
    w.assert_empty();
}
