//! Row 154 of the interop table: keys in offers and answers, policies, and which keys stay.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::super::super::{MediaAddress, Sdp, StreamPlan, Unusable};
use super::*;

const AT: MediaAddress = MediaAddress {
    ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
    rtp_port: 20_000,
    rtcp_port: 20_001,
};
const K30: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
const L30: &str = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
const K28: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";

fn body(version: u64, rest: &str) -> Vec<u8> {
    let head = format!("v=0\no=phone 77 {version} IN IP4 198.51.100.5\ns=-\n");
    format!("{head}c=IN IP4 198.51.100.5\nt=0 0\n{rest}").into_bytes()
}

fn line(tag: u32, suite: &str, key: &str) -> String {
    format!("a=crypto:{tag} {suite} inline:{key}\n")
}

fn with_80(proto: &str, tag: u32, key: &str) -> String {
    format!("m=audio 4000 {proto} 8\n{}", line(tag, "AES_CM_128_HMAC_SHA1_80", key))
}

fn leg(policy: SrtpPolicy, is_private: bool) -> Negotiator {
    let mut leg = Negotiator::new(1);
    leg.secure_by(policy, is_private, [7; 32]);
    leg
}

fn plain() -> Sdp {
    Sdp::parse(&body(1, "m=audio 5000 RTP/AVP 8\n")).unwrap()
}

fn audio(body: &[u8]) -> Media {
    Sdp::parse(body).unwrap().media.into_iter().find(Media::is_audio).unwrap()
}

fn keys(plan: &StreamPlan) -> Keys {
    match &plan.protection {
        Protection::Keyed(keys) => *keys.clone(),
        other => panic!("{other:?}"),
    }
}

/// A leg whose peer offered this, answered.
fn answered(policy: SrtpPolicy, rest: &str) -> (Negotiator, Media) {
    let mut leg = leg(policy, false);
    leg.offer_from_peer(&body(1, rest)).unwrap();
    let answer = audio(&leg.answer_to_peer(&plain(), AT).unwrap());
    (leg, answer)
}

fn refusal(policy: SrtpPolicy, rest: &str) -> SdpRefusal {
    leg(policy, false).offer_from_peer(&body(1, rest)).unwrap_err()
}

const SECURE: [SrtpPolicy; 2] = [SrtpPolicy::Optional, SrtpPolicy::Required];

#[test]
fn row_154_the_first_line_that_we_know_is_taken_under_its_tag() {
    let lines = [
        line(1, "F8_128_HMAC_SHA1_80", K30),
        line(2, "AES_CM_128_HMAC_SHA1_80", &format!("{K30}|2^20|1:4")),
        line(3, "AES_CM_128_HMAC_SHA1_80", &format!("{K30} UNENCRYPTED_SRTP")),
        line(4, "AEAD_AES_128_GCM", K28),
        line(5, "AES_CM_128_HMAC_SHA1_80", K30),
    ];
    for policy in SECURE {
        let (leg, answer) =
            answered(policy, &format!("m=audio 4000 RTP/SAVP 8\n{}", lines.concat()));
        assert_eq!((answer.proto.as_str(), answer.crypto.len()), ("RTP/SAVP", 1));
        let ours = &answer.crypto[0];
        assert_eq!((ours.tag, ours.suite()), (4, Suite::AeadAes128Gcm));
        let keys = keys(&leg.plan());
        assert_eq!(
            (&keys.send, keys.receive.material()),
            (&ours.key, &(0..28).collect::<Vec<u8>>()[..])
        );
    }
}

/// RFC 8643: RTP/AVP with a key beside it, and SAVPF as what it is.
#[test]
fn row_154_a_key_beside_plain_rtp_is_taken() {
    for proto in ["RTP/AVP", "RTP/AVPF", "RTP/SAVPF"] {
        for policy in SECURE {
            let (leg, answer) = answered(policy, &with_80(proto, 9, K30));
            assert_eq!((answer.proto.as_str(), answer.crypto[0].tag), (proto, 9));
            assert_eq!(keys(&leg.plan()).send, answer.crypto[0].key);
        }
    }
    let (leg, answer) = answered(SrtpPolicy::Off, &with_80("RTP/AVP", 1, K30));
    assert!(answer.crypto.is_empty());
    assert_eq!(leg.plan().protection, Protection::Clear);
    let unusable = format!("m=audio 4000 RTP/AVP 8\n{}", line(1, "F8_128_HMAC_SHA1_80", K30));
    let (leg, answer) = answered(SrtpPolicy::Optional, &unusable);
    assert!(answer.crypto.is_empty(), "in the clear");
    assert_eq!(leg.plan().protection, Protection::Clear);
}

#[test]
fn row_154_a_refusal_says_what_is_missing() {
    let savp = "m=audio 4000 RTP/SAVP 8\n";
    let with_index = format!("{savp}{}", line(1, "AES_CM_128_HMAC_SHA1_80", &format!("{K30}|1:4")));
    for policy in SECURE {
        assert_eq!(refusal(policy, savp), SdpRefusal::NoUsableKey(None));
        let refused = refusal(policy, &with_index);
        assert_eq!(refused, SdpRefusal::NoUsableKey(Some(Unusable::Index)));
        assert!(refused.to_string().contains("MKI"), "{refused}");
        let dtls = "m=audio 4000 UDP/TLS/RTP/SAVPF 8\na=fingerprint:sha-256 AA\n";
        assert_eq!(refusal(policy, dtls), SdpRefusal::KeysByDtls);
    }
    assert_eq!(refusal(SrtpPolicy::Off, &with_80("RTP/SAVP", 1, K30)), SdpRefusal::SecureOnly);
    let clear = "m=audio 4000 RTP/AVP 8\n";
    assert_eq!(refusal(SrtpPolicy::Required, clear), SdpRefusal::ClearOnly);
    let half = format!("{clear}{}", line(1, "AES_CM_128_HMAC_SHA1_80", "AAAA"));
    assert_eq!(refusal(SrtpPolicy::Required, &half), SdpRefusal::NoUsableKey(Some(Unusable::Key)));
    for refused in [SdpRefusal::ClearOnly, SdpRefusal::KeysByDtls, SdpRefusal::NoUsableKey(None)] {
        assert_eq!((refused.status(), refused.warning().0), (488, 302));
    }
}

/// Phones that are "compatible" offer both kinds of stream.
#[test]
fn row_154_of_two_streams_the_one_with_keys_is_taken() {
    let secure = with_80("RTP/SAVP", 1, K30);
    for (rest, at) in [
        (format!("m=audio 4002 RTP/AVP 8\n{secure}"), 1),
        (format!("{secure}m=audio 4002 RTP/AVP 8\n"), 0),
    ] {
        for (policy, taken) in [(SrtpPolicy::Optional, at), (SrtpPolicy::Off, 1 - at)] {
            let mut leg = leg(policy, false);
            let offer = leg.offer_from_peer(&body(1, &rest)).unwrap();
            assert_eq!((offer.audio, offer.sdp.audio_index()), (taken, Some(taken)), "{rest}");
            let answer = Sdp::parse(&leg.answer_to_peer(&plain(), AT).unwrap()).unwrap();
            let ports: Vec<bool> = answer.media.iter().map(|media| media.port != 0).collect();
            assert_eq!(ports, [taken == 0, taken == 1]);
            assert_eq!(answer.audio_index(), Some(taken));
            assert_eq!(leg.agreed_remote().unwrap().audio_index(), Some(taken));
        }
    }
}

#[test]
fn row_154_our_offers_follow_the_policy_and_the_signalling() {
    for (policy, is_private, proto, lines) in [
        (SrtpPolicy::Off, true, "RTP/AVP", 0),
        (SrtpPolicy::Optional, false, "RTP/AVP", 0),
        (SrtpPolicy::Optional, true, "RTP/AVP", 4),
        (SrtpPolicy::Required, false, "RTP/SAVP", 4),
        (SrtpPolicy::Required, true, "RTP/SAVP", 4),
    ] {
        let mut leg = leg(policy, is_private);
        let offer = audio(&leg.offer_to_peer(Some(&plain()), AT));
        assert_eq!((offer.proto.as_str(), offer.crypto.len()), (proto, lines), "{policy:?}");
        let suites: Vec<Suite> = offer.crypto.iter().map(Crypto::suite).collect();
        assert_eq!(suites, Suite::ALL[..lines]);
        for (one, other) in offer.crypto.iter().zip(offer.crypto.iter().skip(1)) {
            assert_ne!(one.key.material()[..16], other.key.material()[..16], "a key each");
        }
        let waits = if lines > 0 { Protection::Pending } else { Protection::Clear };
        assert_eq!(leg.plan().protection, waits, "nothing flows before the answer has a key");
    }
}

#[test]
fn row_154_the_answers_key_goes_with_ours_of_its_suite() {
    let mut leg = leg(SrtpPolicy::Required, false);
    let offer = audio(&leg.offer_to_peer(Some(&plain()), AT));
    let answer = format!("m=audio 4000 RTP/SAVP 8\n{}", line(3, "AEAD_AES_128_GCM", K28));
    leg.answer_from_peer(&body(1, &answer)).unwrap();
    assert_eq!(keys(&leg.plan()).send, offer.crypto[2].key);
    for (answer, why) in [
        ("m=audio 4000 RTP/SAVP 8\n".to_owned(), SdpRefusal::NoUsableKey(None)),
        ("m=audio 4000 RTP/AVP 8\n".to_owned(), SdpRefusal::ClearOnly),
        (
            format!("m=audio 4000 RTP/SAVP 8\n{}", line(1, "X", K28)),
            SdpRefusal::NoUsableKey(Some(Unusable::Suite)),
        ),
    ] {
        leg.offer_to_peer(Some(&plain()), AT);
        assert_eq!(leg.answer_from_peer(&body(2, &answer)), Err(why));
        leg.rollback();
        assert_eq!(keys(&leg.plan()).send, offer.crypto[2].key, "the session stays");
    }
}

/// RFC 8643 §3.1: who does not want it answers without.
#[test]
fn row_154_an_offer_that_leaves_the_choice_may_be_answered_in_the_clear() {
    let mut leg = leg(SrtpPolicy::Optional, true);
    leg.offer_to_peer(Some(&plain()), AT);
    leg.answer_from_peer(&body(1, "m=audio 4000 RTP/AVP 8\n")).unwrap();
    assert_eq!(leg.plan().protection, Protection::Clear);
    // And one that was offered nothing may not begin with it.
    let mut leg = self::leg(SrtpPolicy::Optional, false);
    leg.offer_to_peer(Some(&plain()), AT);
    let answer = leg.answer_from_peer(&body(1, &with_80("RTP/SAVP", 1, K30)));
    assert_eq!(answer, Err(SdpRefusal::SecureOnly));
    leg.answer_from_peer(&body(1, &with_80("RTP/AVP", 1, K30))).unwrap();
    assert_eq!(leg.plan().protection, Protection::Clear);
}

#[test]
fn row_153_a_key_that_is_repeated_is_answered_with_ours_again() {
    let (mut leg, first) = answered(SrtpPolicy::Optional, &with_80("RTP/SAVP", 1, K30));
    let before = keys(&leg.plan());
    // A hold, a resume under another tag, and an offer of ours.
    for (version, tag, rest) in [(2, 1, "a=sendonly\n"), (3, 2, "")] {
        let offer = format!("{}{rest}", with_80("RTP/SAVP", tag, K30));
        leg.offer_from_peer(&body(version, &offer)).unwrap();
        let answer = audio(&leg.answer_to_peer(&plain(), AT).unwrap());
        assert_eq!((&answer.crypto[0].key, answer.crypto[0].tag), (&first.crypto[0].key, tag));
        assert_eq!(keys(&leg.plan()), before);
    }
    let offer = audio(&leg.offer_to_peer(Some(&plain()), AT));
    assert_eq!((offer.proto.as_str(), &offer.crypto[0].key), ("RTP/SAVP", &first.crypto[0].key));
    leg.answer_from_peer(&body(4, &with_80("RTP/SAVP", 2, K30))).unwrap();
    assert_eq!(keys(&leg.plan()), before);
    // A refresh of ours changes nothing either.
    assert_eq!(audio(&leg.reoffer(AT)).crypto[0].key, before.send);
}

#[test]
fn row_154_a_new_key_is_answered_with_a_new_one_and_a_failed_offer_changes_nothing() {
    let (mut leg, _) = answered(SrtpPolicy::Optional, &with_80("RTP/SAVP", 1, K30));
    let before = keys(&leg.plan());
    leg.offer_from_peer(&body(2, &with_80("RTP/SAVP", 1, L30))).unwrap();
    assert_eq!(keys(&leg.plan()), before, "not yet");
    leg.rollback();
    assert_eq!(keys(&leg.plan()), before);
    leg.offer_from_peer(&body(3, &with_80("RTP/SAVP", 1, L30))).unwrap();
    let answer = leg.answer_to_peer(&plain(), AT).unwrap();
    let after = keys(&leg.plan());
    assert!(after.send != before.send && after.receive != before.receive);
    assert_eq!(leg.answer_to_peer(&plain(), AT).unwrap(), answer, "the 200 repeats the 183");
    // In the clear and back again under the first key: ours is not one that was used before.
    leg.offer_from_peer(&body(4, "m=audio 4000 RTP/AVP 8\n")).unwrap();
    leg.answer_to_peer(&plain(), AT).unwrap();
    assert_eq!(leg.plan().protection, Protection::Clear);
    leg.offer_from_peer(&body(5, &with_80("RTP/SAVP", 1, K30))).unwrap();
    leg.answer_to_peer(&plain(), AT).unwrap();
    let again = keys(&leg.plan());
    assert!(again.receive == before.receive && again.send != before.send);
}

/// The phone that asks for an offer may be about to connect us to another one, which begins to count at zero.
#[test]
fn row_153_a_late_offer_has_new_keys() {
    let (mut leg, first) = answered(SrtpPolicy::Optional, &with_80("RTP/SAVP", 1, K30));
    let offer = audio(&leg.late_offer_to_peer(Some(&plain()), AT));
    assert_eq!((offer.proto.as_str(), offer.crypto.len()), ("RTP/SAVP", 4));
    assert!(offer.crypto.iter().all(|line| line.key != first.crypto[0].key));
    assert_eq!(keys(&leg.plan()).send, first.crypto[0].key, "until it is answered");
    leg.answer_from_peer(&body(2, &with_80("RTP/SAVP", 1, L30))).unwrap();
    assert_eq!(keys(&leg.plan()).send, offer.crypto[0].key);
}

/// At another place the numbers are others: nothing goes under the old keys, whoever offers first.
#[test]
fn row_153_a_leg_that_goes_on_elsewhere_has_new_keys() {
    for peer_offers in [false, true] {
        let (mut leg, first) = answered(SrtpPolicy::Optional, &with_80("RTP/SAVP", 1, K30));
        leg.renew_keys();
        assert_eq!(leg.plan().protection, Protection::Pending);
        if peer_offers {
            leg.offer_from_peer(&body(2, &with_80("RTP/SAVP", 1, K30))).unwrap();
            leg.answer_to_peer(&plain(), AT).unwrap();
        } else {
            leg.offer_to_peer(Some(&plain()), AT);
            assert_eq!(leg.plan().protection, Protection::Pending);
            leg.answer_from_peer(&body(2, &with_80("RTP/SAVP", 1, K30))).unwrap();
        }
        let after = keys(&leg.plan());
        assert_ne!(after.send, first.crypto[0].key);
        leg.offer_from_peer(&body(3, &with_80("RTP/SAVP", 1, K30))).unwrap();
        leg.answer_to_peer(&plain(), AT).unwrap();
        assert_eq!(keys(&leg.plan()), after, "and keeps those");
    }
}

/// A hold by port zero has no keys; whoever comes back gets new ones.
#[test]
fn row_153_a_port_of_zero_ends_the_keys() {
    let (mut leg, first) = answered(SrtpPolicy::Required, &with_80("RTP/SAVP", 1, K30));
    leg.offer_from_peer(&body(2, "m=audio 0 RTP/SAVP 8\n")).unwrap();
    let held = audio(&leg.answer_to_peer(&plain(), AT).unwrap());
    assert_eq!((held.port, held.crypto.len()), (0, 0));
    leg.offer_from_peer(&body(3, &with_80("RTP/SAVP", 1, K30))).unwrap();
    leg.answer_to_peer(&plain(), AT).unwrap();
    assert_ne!(keys(&leg.plan()).send, first.crypto[0].key);
}

#[test]
fn what_the_peer_wrote_is_not_passed_on_and_keys_do_not_show() {
    let mut caller = leg(SrtpPolicy::Optional, false);
    let offer = caller.offer_from_peer(&body(1, &with_80("RTP/SAVP", 1, K30))).unwrap();
    let mut called = Negotiator::new(2);
    let passed = called.offer_to_peer(Some(&offer.sdp), AT);
    let passed = String::from_utf8(passed).unwrap();
    assert!(passed.contains("RTP/AVP 8") && !passed.contains("crypto"), "{passed}");
    caller.answer_to_peer(&plain(), AT).unwrap();
    let shown = format!("{caller:?}{:?}{offer:?}", caller.plan());
    assert!(!shown.contains(K30) && shown.contains("MasterKey(AES_CM_128_HMAC_SHA1_80, …)"));
}

proptest! {
    /// Whatever stands in the lines, an answer has one of the offer's tags and suites, or no key at all.
    #[test]
    fn row_154_hostile_lines_are_answered_by_their_own_or_refused(
        lines in prop::collection::vec("[0-9]{1,2} (AES_CM_128_HMAC_SHA1_80|AEAD_AES_128_GCM|X) inline:[A-Za-z0-9+/|^:=]{0,48}( [A-Z=0-9_-]{0,12})?", 0..20),
        policy in 0_usize..3, is_savp in any::<bool>(), good in 0_usize..20,
    ) {
        let policy = [SrtpPolicy::Off, SrtpPolicy::Optional, SrtpPolicy::Required][policy];
        let mut rest = format!("m=audio 4000 RTP/{}AVP 8\n", if is_savp { "S" } else { "" });
        for (index, text) in lines.iter().enumerate() {
            rest += &format!("a=crypto:{text}\n");
            if index == good {
                rest += &line(77, "AES_CM_128_HMAC_SHA1_80", K30);
            }
        }
        let mut leg = leg(policy, false);
        let Ok(offer) = leg.offer_from_peer(&body(1, &rest)) else { return Ok(()) };
        let answer = audio(&leg.answer_to_peer(&plain(), AT).unwrap());
        let offered = &offer.sdp.media[0].crypto;
        prop_assert_eq!(answer.crypto.is_empty(), offered.is_empty() || policy == SrtpPolicy::Off);
        for ours in &answer.crypto {
            prop_assert!(ours.tag == offered[0].tag && ours.suite() == offered[0].suite());
            prop_assert!(keys(&leg.plan()).receive == offered[0].key);
        }
    }
}
