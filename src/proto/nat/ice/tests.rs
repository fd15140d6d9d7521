use super::*;
use crate::proto::nat::stun::mapped_address;
use proptest::prelude::*;

const CONTROLLING: u16 = 0x802a;
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

fn plan(ufrag: &str, password: &str, remote: Option<&str>) -> IcePlan {
    let local = IceCredentials { ufrag: ufrag.into(), password: password.into() };
    IcePlan { local, remote_ufrag: remote.map(Into::into), is_peer_lite: false }
}

fn source() -> SocketAddr {
    "192.0.2.1:32853".parse().unwrap()
}

fn controlling() -> (u16, Vec<u8>) {
    (CONTROLLING, vec![0; 8])
}

fn nominating() -> (u16, Vec<u8>) {
    (USE_CANDIDATE, Vec::new())
}

/// Row 157: the sample request of RFC 5769 §2.1 is signed right; it comes from an agent that takes itself for controlled.
#[test]
fn row_157_the_sample_of_the_rfc_is_believed() {
    let hex = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
               002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
               000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    let mut agent = IceLite::new(plan("evtj", PASSWORD, Some("h6vY")));
    let mut out = Vec::new();
    assert_eq!(agent.check(&bytes, source(), &mut out), Check::Refused);
    assert_eq!(out[..2], BINDING_ERROR);
    assert_eq!(out[24..28], [0, 0, 4, 87], "role conflict");
    for wrong in [
        plan("evtj", "another", Some("h6vY")),
        plan("evtk", PASSWORD, Some("h6vY")),
        plan("evtj", PASSWORD, Some("h6vZ")),
    ] {
        assert_eq!(IceLite::new(wrong).check(&bytes, source(), &mut out), Check::Stranger);
        assert!(out.is_empty(), "a stranger gets no answer");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert_eq!(agent.check(&flipped, source(), &mut out), Check::Stranger, "byte {at}");
        assert_eq!(agent.check(&bytes[..at], source(), &mut out), Check::Stranger, "cut at {at}");
    }
}

/// Row 157: the answer says where the check came from, and is signed by our password.
#[test]
fn row_157_a_check_is_answered_with_where_it_came_from() {
    let mut agent = IceLite::new(plan("ours", PASSWORD, Some("theirs")));
    let (id, mut out) = (*b"abcdefghijkl", Vec::new());
    for (extra, is_nominated) in
        [(vec![controlling()], false), (vec![controlling(), nominating()], true)]
    {
        let check = check_of("ours:theirs", PASSWORD, id, &extra);
        assert_eq!(agent.check(&check, source(), &mut out), Check::Valid { is_nominated });
        assert_eq!(mapped_address(&out, id), Some(source()));
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, PASSWORD.as_bytes());
        let at = out.len() - FINGERPRINT_LEN - INTEGRITY_LEN;
        let signed = with_length(&out[..at], at + INTEGRITY_LEN).unwrap();
        hmac::verify(&key, &signed, &out[at + 4..at + INTEGRITY_LEN]).unwrap();
        let sum = checksum(&out[..out.len() - FINGERPRINT_LEN]);
        assert_eq!(out[out.len() - 4..], sum.to_be_bytes());
    }
    let strange = check_of("ours:theirs", PASSWORD, id, &[(0x7777, vec![1])]);
    assert_eq!(agent.check(&strange, source(), &mut out), Check::Refused);
    assert_eq!(out[24..28], [0, 0, 4, 20], "what must be known and is not");
    let optional = check_of("ours:theirs", PASSWORD, id, &[(0xc057, vec![0, 1, 0, 10])]);
    assert_eq!(agent.check(&optional, source(), &mut out), Check::Valid { is_nominated: false });
}

/// Row 157: what stands behind the signature nominates nobody.
#[test]
fn row_157_what_is_not_signed_is_not_read() {
    let mut agent = IceLite::new(plan("ours", PASSWORD, None));
    let check = check_of("ours:theirs", PASSWORD, *b"abcdefghijkl", &[]);
    let mut forged = check[..check.len() - FINGERPRINT_LEN].to_vec();
    attribute(USE_CANDIDATE.to_be_bytes(), &[], &mut forged);
    let mut forged = with_length(&forged, forged.len() + FINGERPRINT_LEN).unwrap();
    let sum = checksum(&forged);
    attribute(FINGERPRINT.to_be_bytes(), &sum.to_be_bytes(), &mut forged);
    let check = agent.check(&forged, source(), &mut Vec::new());
    assert_eq!(check, Check::Valid { is_nominated: false });
}

/// Row 157: after a restart both names are answered until the peer uses the new one; the old one nominates no more.
#[test]
fn row_157_a_restart_goes_over_to_new_credentials() {
    let (id, mut out) = (*b"abcdefghijkl", Vec::new());
    let old = check_of("ours:theirs", PASSWORD, id, &[nominating()]);
    let new = check_of("anew:again", "another-password-here", id, &[nominating()]);
    let mut agent = IceLite::new(plan("ours", PASSWORD, Some("theirs")));
    let mut check = |agent: &mut IceLite, bytes: &[u8]| agent.check(bytes, source(), &mut out);
    assert_eq!(check(&mut agent, &old), Check::Valid { is_nominated: true });
    assert_eq!(check(&mut agent, &new), Check::Stranger);
    agent.set(plan("anew", "another-password-here", Some("again")));
    assert_eq!(check(&mut agent, &old), Check::Valid { is_nominated: false });
    assert_eq!(check(&mut agent, &new), Check::Valid { is_nominated: true });
    assert_eq!(check(&mut agent, &old), Check::Stranger);
}

proptest! {
    #[test]
    fn row_157_no_datagram_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_ice(&bytes);
        let mut framed = check_of("ours:x", "secret", *b"abcdefghijkl", &[]);
        framed.splice(20..20, bytes.iter().copied());
        fuzz_ice(&framed);
        if let Some(framed) = with_length(&framed, framed.len()) {
            fuzz_ice(&framed);
        }
    }
}
