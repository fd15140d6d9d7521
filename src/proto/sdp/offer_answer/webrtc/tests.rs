use super::*;
use crate::proto::sdp::{Hold, MediaAddress};
use crate::proto::srtp::{Hash, MasterKey, Suite, exported};

const AT: MediaAddress = MediaAddress {
    ip: std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9)),
    rtp_port: 30_000,
    rtcp_port: 30_001,
};

fn certificate(byte: u8) -> Fingerprint {
    Fingerprint { hash: Hash::Sha256, digest: vec![byte; 32] }
}

fn leg(form: MediaForm, is_browser: bool) -> Negotiator {
    let mut leg = Negotiator::new(7_000);
    leg.secure_by(SrtpPolicy::Optional, false, [1; 32]);
    leg.speak_webrtc(form, is_browser, certificate(0xee), [2; 32]);
    leg
}

/// As Chromium writes it: no address before candidates are known, video beside it.
fn browser(version: u32, byte: u8, setup: &str, ufrag: &str) -> String {
    format!(
        "v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
         a=group:BUNDLE 0 1\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS x\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 8 126\r\nc=IN IP4 0.0.0.0\r\n\
         a=rtcp:9 IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n\
         a=ice-options:trickle\r\na=candidate:1 1 udp 2113937151 4f1c.local 51001 typ host\r\n\
         a=fingerprint:{}\r\na=setup:{setup}\r\na=mid:0\r\n\
         a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=msid:x y\r\n\
         a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
         a=rtpmap:63 red/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:126 telephone-event/8000\r\na=ssrc:99 cname:z\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtcp-mux\r\n\
         a=rtpmap:96 VP8/90000\r\n",
        certificate(byte)
    )
}

fn plain(body: &str) -> Vec<u8> {
    format!("v=0\r\no=- 5 5 IN IP4 192.0.2.2\r\ns=-\r\nc=IN IP4 192.0.2.2\r\nt=0 0\r\n{body}")
        .into_bytes()
}

fn association(leg: &Negotiator) -> Association {
    match leg.plan().protection {
        Protection::Dtls(association) => *association,
        other => panic!("{other:?}"),
    }
}

fn has(body: &[u8], line: &str) -> bool {
    String::from_utf8_lossy(body).lines().any(|known| known == line)
}

/// A browser calls a plain phone; the leg of the browser with our answer, and what the phone was offered.
fn called() -> (Negotiator, Vec<u8>, Vec<u8>) {
    let (mut near, mut far) = (leg(MediaForm::Auto, false), leg(MediaForm::Auto, false));
    let offer = near.offer_from_peer(browser(1, 1, "actpass", "uuuu").as_bytes()).unwrap();
    assert_eq!(offer.hold, Hold::Off, "no address yet is no hold");
    let crossed = far.offer_to_peer(Some(&offer.sdp), AT);
    let answer = far.answer_from_peer(&plain("m=audio 4000 RTP/AVP 0\r\n")).unwrap();
    let body = near.answer_to_peer(&answer.sdp, AT).unwrap();
    (near, body, crossed)
}

/// Rows 155, 157 and 158: a browser's offer is answered as browsers want it, and nothing of that crosses.
#[test]
fn row_157_a_browser_is_answered_as_it_offers() {
    let (near, body, crossed) = called();
    for line in [
        "a=ice-lite",
        "a=group:BUNDLE 0",
        "m=audio 30000 UDP/TLS/RTP/SAVPF 0",
        "c=IN IP4 192.0.2.9",
        "a=rtcp-mux",
        "a=candidate:1 1 udp 2130706431 192.0.2.9 30000 typ host",
        "a=end-of-candidates",
        "a=setup:active",
        "a=mid:0",
        &format!("a=fingerprint:{}", certificate(0xee)),
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
    ] {
        assert!(has(&body, line), "{line}: {}", String::from_utf8_lossy(&body));
    }
    assert!(!String::from_utf8_lossy(&body).contains("candidate:1 2"), "one component");
    let crossed = String::from_utf8(crossed).unwrap();
    assert!(crossed.contains("RTP/AVP "), "{crossed}");
    for inner in ["ice", "fingerprint", "setup", "mid", "BUNDLE", "extmap", "mux", "ssrc", "fb"] {
        assert!(!crossed.contains(inner), "{inner}: {crossed}");
    }
    let plan = near.plan();
    let ice = plan.ice.unwrap();
    assert_eq!(ice.remote_ufrag.as_deref(), Some("uuuu"));
    assert!(!ice.is_peer_lite && ice.local.password.len() >= 22 && plan.is_rtcp_mux);
    assert_eq!((plan.send, plan.receive, plan.remote_rtp), (true, true, None));
    let association = association(&near);
    assert!(association.is_active && association.keys.is_none());
    assert_eq!(association.fingerprints, [certificate(1)]);
}

/// Row 155: who begins, by what the offer says, with ICE and without.
#[test]
fn row_155_roles_are_taken_as_they_are_offered() {
    for (offered, has_ice, answered) in [
        ("actpass", true, "active"),
        ("actpass", false, "passive"),
        ("active", true, "passive"),
        ("active", false, "passive"),
        ("passive", true, "active"),
        ("passive", false, "active"),
    ] {
        let mut near = leg(MediaForm::Auto, false);
        let mut offer = browser(1, 1, offered, "uuuu");
        if !has_ice {
            offer = offer.replace("a=ice-ufrag:uuuu\r\n", "").replace("0.0.0.0", "192.0.2.3");
        }
        near.offer_from_peer(offer.as_bytes()).unwrap();
        let body = near.answer_locally(AT).unwrap();
        assert!(has(&body, &format!("a=setup:{answered}")), "{offered}, ICE {has_ice}");
        assert_eq!(association(&near).is_active, answered == "active");
        assert_eq!(has(&body, "a=ice-lite"), has_ice);
    }
}

/// Row 155: another certificate is another association; the same one with other names of ICE is not, but they are answered
/// with other ones of ours (row 157).
#[test]
fn row_155_another_certificate_is_another_association() {
    let mut near = called().0;
    let (first, ice) = (association(&near), near.plan().ice.unwrap());
    let mut again = |version, byte, setup: &str, ufrag: &str| {
        near.offer_from_peer(browser(version, byte, setup, ufrag).as_bytes()).unwrap();
        near.answer_locally(AT).unwrap();
        (association(&near), near.plan().ice.unwrap())
    };
    assert_eq!(again(2, 1, "actpass", "uuuu"), (first.clone(), ice.clone()), "a refresh");
    let (restarted, anew) = again(3, 1, "actpass", "vvvv");
    assert_eq!(restarted, first, "a restart of ICE");
    assert!(anew.local != ice.local && anew.remote_ufrag.as_deref() == Some("vvvv"));
    let (other, _) = again(4, 2, "actpass", "vvvv");
    assert!(other.number != first.number && other.fingerprints == [certificate(2)]);
    let (turned, _) = again(5, 2, "active", "vvvv");
    assert!(turned.number != other.number && !turned.is_active, "another side begins");
}

/// Row 155: keys belong to their association, and to no other one; a leg that goes on elsewhere keeps them, and asks for
/// its way to be found anew.
#[test]
fn row_155_keys_stay_with_the_leg() {
    let mut near = called().0;
    let number = association(&near).number;
    let suite = Suite::AeadAes128Gcm;
    let keys = exported(suite, true, &[3; 56]).unwrap();
    near.keyed(number + 1, &keys);
    assert_eq!((association(&near).keys, near.protection_name()), (None, ""));
    near.keyed(number, &keys);
    assert_eq!(association(&near).keys.unwrap().send, MasterKey::new(suite, &[3; 28]).unwrap());
    assert_eq!(near.protection_name(), "DTLS AEAD_AES_128_GCM");

    let before = near.plan().ice.unwrap();
    near.renew_keys();
    let at = MediaAddress { rtp_port: 32_000, rtcp_port: 32_001, ..AT };
    let offer = near.offer_to_peer(None, at);
    assert!(has(&offer, "a=setup:active") && has(&offer, "a=mid:0") && has(&offer, "a=ice-lite"));
    assert!(has(&offer, "a=group:BUNDLE 0") && has(&offer, "a=rtcp-mux"));
    assert!(has(&offer, "a=candidate:1 1 udp 2130706431 192.0.2.9 32000 typ host"));
    assert!(!has(&offer, &format!("a=ice-ufrag:{}", before.local.ufrag)), "ICE begins anew");
    near.answer_from_peer(browser(2, 1, "passive", "wwww").as_bytes()).unwrap();
    let after = association(&near);
    assert!(after.number == number && after.keys.is_some() && after.is_active);
    let refreshed = near.reoffer(at);
    assert_eq!(refreshed, offer, "a refresh says the same");
}

/// A browser that is rung gets an offer that it can take, others get theirs; what it answers is checked.
#[test]
fn row_155_a_browser_is_offered_what_it_needs() {
    let mut near = leg(MediaForm::Auto, true);
    let offer = near.offer_to_peer(None, AT);
    for line in ["a=ice-lite", "a=group:BUNDLE 0", "a=mid:0", "a=setup:actpass", "a=rtcp-mux"] {
        assert!(has(&offer, line), "{line}: {}", String::from_utf8_lossy(&offer));
    }
    assert!(String::from_utf8_lossy(&offer).contains("UDP/TLS/RTP/SAVPF"));
    let early = near.plan();
    assert_eq!(early.protection, Protection::Pending, "nothing flows in the clear meanwhile");
    assert_eq!(early.ice.unwrap().remote_ufrag, None);
    let answer = |setup: &str| browser(1, 1, setup, "uuuu");
    let clear = plain("m=audio 4000 RTP/AVP 0\r\n");
    assert_eq!(near.clone().answer_from_peer(&clear), Err(SdpRefusal::NoFingerprint));
    let no_certificate = answer("active").replace("sha-256", "sha-1");
    let refused = near.clone().answer_from_peer(no_certificate.as_bytes());
    assert_eq!(refused, Err(SdpRefusal::NoFingerprint));
    let undecided = near.clone().answer_from_peer(answer("actpass").as_bytes());
    assert_eq!(undecided, Err(SdpRefusal::NoFingerprint));
    for (setup, is_active) in [("active", false), ("passive", true)] {
        let mut near = near.clone();
        near.answer_from_peer(answer(setup).as_bytes()).unwrap();
        assert_eq!(association(&near).is_active, is_active, "{setup}");
    }
    for (form, is_browser, is_offered) in [
        (MediaForm::Auto, false, false),
        (MediaForm::Webrtc, false, true),
        (MediaForm::Plain, true, false),
    ] {
        let offer = leg(form, is_browser).offer_to_peer(None, AT);
        assert_eq!(has(&offer, "a=ice-lite"), is_offered, "{form:?}");
    }
}

/// A client over a WebSocket that is no browser refuses our offer: it is asked once more, as any other phone. Who is
/// ordered to have it so is not.
#[test]
fn row_155_who_is_no_browser_is_asked_plainly() {
    for (form, is_asked) in [(MediaForm::Auto, true), (MediaForm::Webrtc, false)] {
        let mut near = leg(form, true);
        near.offer_to_peer(None, AT);
        let again = near.offer_more(AT);
        assert_eq!(again.is_some(), is_asked, "{form:?}");
        let Some(again) = again else { continue };
        let text = String::from_utf8_lossy(&again);
        assert!(text.contains("m=audio 30000 RTP/AVP "), "{text}");
        for word in ["ice", "fingerprint", "setup", "mid", "BUNDLE", "mux"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        near.answer_from_peer(&plain("m=audio 4000 RTP/AVP 0\r\n")).unwrap();
        assert_eq!(near.plan().protection, Protection::Clear);
        assert!(near.offer_more(AT).is_none());
    }
}

/// Row 157: a lite peer is taken at its word; ICE goes with keys in the description, or without any, as well.
#[test]
fn row_157_ice_stands_by_itself() {
    let lines = "a=ice-ufrag:uuuu\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";
    for (session, is_lite) in [("", false), ("a=ice-lite\r\n", true)] {
        let mut near = leg(MediaForm::Auto, false);
        let body = format!("{session}m=audio 4000 RTP/AVP 0\r\n{lines}");
        near.offer_from_peer(&plain(&body)).unwrap();
        let answer = near.answer_locally(AT).unwrap();
        assert!(has(&answer, "a=candidate:1 2 udp 2130706430 192.0.2.9 30001 typ host"));
        let plan = near.plan();
        assert_eq!(plan.ice.unwrap().is_peer_lite, is_lite);
        assert_eq!(plan.protection, Protection::Clear);
        assert_eq!(plan.remote_rtp, Some("192.0.2.2:4000".parse().unwrap()));
    }
    for bad in ["a=ice-ufrag:u\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n", "a=ice-ufrag:uuuu\r\n"] {
        let mut near = leg(MediaForm::Auto, false);
        near.offer_from_peer(&plain(&format!("m=audio 4000 RTP/AVP 0\r\n{bad}"))).unwrap();
        assert!(!has(&near.answer_locally(AT).unwrap(), "a=ice-lite"), "{bad}");
    }
}

/// Row 155: DTLS is refused where it is not to be, with a reason.
#[test]
fn row_155_dtls_is_refused_where_it_is_off() {
    let offer = browser(1, 1, "actpass", "uuuu");
    let refusal = |mut leg: Negotiator, offer: &str| leg.offer_from_peer(offer.as_bytes()).err();
    assert_eq!(refusal(leg(MediaForm::Plain, false), &offer), Some(SdpRefusal::KeysByDtls));
    let weak = offer.replace("sha-256", "sha-1");
    assert_eq!(refusal(leg(MediaForm::Auto, false), &weak), Some(SdpRefusal::NoFingerprint));
    let mut off = leg(MediaForm::Auto, false);
    off.secure_by(SrtpPolicy::Off, false, [1; 32]);
    assert_eq!(refusal(off, &offer), Some(SdpRefusal::SecureOnly));
    for proto in ["UDP/TLS/RTP/SAVP", "RTP/SAVPF", "RTP/SAVP"] {
        let mut near = leg(MediaForm::Auto, false);
        near.offer_from_peer(offer.replace("UDP/TLS/RTP/SAVPF", proto).as_bytes()).unwrap();
        let body = near.answer_locally(AT).unwrap();
        assert!(String::from_utf8_lossy(&body).contains(&format!("m=audio 30000 {proto} ")));
        assert!(!association(&near).fingerprints.is_empty(), "{proto}");
    }
}
