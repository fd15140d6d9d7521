//! The vectors of the RFCs, packets of an implementation of its own, and the rows of the interop table on SRTP.

use aes::Aes128;
use aes::cipher::KeyInit as _;
use proptest::prelude::*;
use ring::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};

use super::cipher::{Counter, Galois, Place, keyed};
use super::derivation::{Label, derive};
use super::receiver::Receiver;
use super::sender::rtcp_associated;
use super::sequence::{History, WINDOW};
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|d| u8::try_from(d).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// RFC 3711 §B.3.
#[test]
fn keys_are_derived_as_in_the_rfc() {
    let material = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let master = MasterKey::new(Suite::AesCm128HmacSha1_80, &material).unwrap();
    let key = hex("C61E7A93744F39EE10734AFE3FF7A087");
    assert_eq!(derive::<16>(&master, Label::RtpEncryption).to_vec(), key);
    let salt = hex("30CBBC08863D8C85D49DB34A9AE1");
    assert_eq!(derive::<14>(&master, Label::RtpSalt).to_vec(), salt);
    let authentication = hex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4");
    assert_eq!(derive::<20>(&master, Label::RtpAuthentication).to_vec(), authentication);
}

/// RFC 3711 §B.2: the first three blocks of the stream, and three around the last of a 16-bit counter's high byte.
#[test]
fn the_key_stream_is_that_of_the_rfc() {
    let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
    let counter = Counter {
        aes: Aes128::new_from_slice(&key).unwrap(),
        hmac: keyed(&[0; 20]),
        salt: hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap(),
        tag_len: 10,
    };
    let mut stream = vec![0; 0xff02 * 16];
    counter.apply(Place { ssrc: 0, index: 0 }, &mut stream);
    let first = hex(
        "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0",
    );
    let last = hex(
        "EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44",
    );
    assert_eq!((&stream[..48], &stream[0xfeff * 16..]), (&first[..], &last[..]));
}

fn galois(suite: Suite) -> Galois {
    let algorithm = if suite.key_len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
    let key: Vec<u8> = (0..32).take(suite.key_len()).collect();
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap());
    Galois { key: Some(key), salt: *b"Quid pro quo" }
}

/// RFC 7714 §16.1 and §16.2.
#[test]
fn rtp_under_gcm_is_that_of_the_rfc() {
    let of_128 = "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce";
    let of_256 = "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13";
    for (suite, expected) in [(Suite::AeadAes128Gcm, of_128), (Suite::AeadAes256Gcm, of_256)] {
        let galois = galois(suite);
        let header = hex("8040f17b 8041f8d3 5501a0b2");
        let (ssrc, sequence) = split_header(&header).unwrap();
        let place = Place { ssrc, index: sequence.into() };
        let mut text = b"Gallia est omnis divisa in partes tres".to_vec();
        let tag = galois.seal(place, &header, &mut text).unwrap();
        text.extend(tag);
        assert_eq!(text, hex(expected), "{suite}");
        galois.open(place, &header, &mut text).unwrap();
        assert!(text.starts_with(b"Gallia est omnis"));
        text[3] ^= 1;
        assert_eq!(galois.open(place, &header, &mut text), Err(Rejected::Unauthentic));
    }
}

/// RFC 7714 §17.1 and §17.3.
#[test]
fn rtcp_under_gcm_is_that_of_the_rfc() {
    let of_128 = "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade";
    let of_256 = "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be";
    for (suite, expected) in [(Suite::AeadAes128Gcm, of_128), (Suite::AeadAes256Gcm, of_256)] {
        let header = hex("81c8000d 4d617273");
        let mut text = hex(
            "4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef deadbeef deadbeef",
        );
        let place = Place { ssrc: 0x4d61_7273, index: 0x5d4 };
        let associated = rtcp_associated(&header, [0x80, 0, 0x05, 0xd4]).unwrap();
        let tag = galois(suite).seal(place, &associated, &mut text).unwrap();
        text.extend(tag);
        assert_eq!(text, hex(expected), "{suite}");
    }
}

/// A packet of 20 bytes; one with an extension and 24 bytes, in round 0x10001; reports with the numbers 0 and 5. Made
/// by a Python program on another library, from the keys of [`material`].
const FOREIGN: [(Suite, [&str; 4]); 4] = [
    (
        Suite::AesCm128HmacSha1_80,
        [
            "80080100000000a0cafebabefb3dd8cef496dbd3408c8461a45df63a47b7990ee58c5124d6281057dd67",
            "92e5fffe000000a0cafebabe0000000100000002bede000110aa00005a2ca9dfcdbc83bed6ffc5f8ab8505901370b99ffe6a42ca8b28c510ca1ae6a13b13",
            "80c80006cafebabeb0478924e4b0e563111bd0bdf2984dd2b6657fd6800000003a9ae22c6e9625a10ca3",
            "80c80006cafebabeb08ab44b5d9081086d6567e845a18fa33ab8057f80000005409225ecec2a6262d177",
        ],
    ),
    (
        Suite::AesCm128HmacSha1_32,
        [
            "80080100000000a0cafebabefb3dd8cef496dbd3408c8461a45df63a47b7990ee58c5124",
            "92e5fffe000000a0cafebabe0000000100000002bede000110aa00005a2ca9dfcdbc83bed6ffc5f8ab8505901370b99ffe6a42ca8b28c510",
            "80c80006cafebabeb0478924e4b0e563111bd0bdf2984dd2b6657fd6800000003a9ae22c6e9625a10ca3",
            "80c80006cafebabeb08ab44b5d9081086d6567e845a18fa33ab8057f80000005409225ecec2a6262d177",
        ],
    ),
    (
        Suite::AeadAes128Gcm,
        [
            "80080100000000a0cafebabeea557f3a562915cefd48bef69c7fd357ee7aa7bd5287e4ee1a2495d77fd0f13afd17153b",
            "92e5fffe000000a0cafebabe0000000100000002bede000110aa0000c47d971f6e45dbfce7e1fb7940722435ac7b68c47389434e59402c2d30cd437098294af9c86e126a",
            "80c80006cafebabe1565dcf9a9905a4cc3797da2692bb50b513200b2fc05de06d49c3d56c6bacf78e393fb5580000000",
            "80c80006cafebabe4240ab6940f4474c9fd8111b209f88c5a472cab47e8700471e2463dac375ecd85ed3297d80000005",
        ],
    ),
    (
        Suite::AeadAes256Gcm,
        [
            "80080100000000a0cafebabea66ff18592221b0d1540359f1dacd07e5cefd9c139db85d7d89097665ec4fe8a6ae48b6f",
            "92e5fffe000000a0cafebabe0000000100000002bede000110aa00008e4e5d686462cc1fbb941b18578aee4d2176b9bb44242907c69c51a1cc077a9dd917fcb395c550f9",
            "80c80006cafebabed63974214727176e6861b50f87843469759e3591816c37142df1c7505af305c74270ea6c80000000",
            "80c80006cafebabef1938311c6755eaee01814b7e1bfd531cc2355c7a967d9f39e4183d4d22b366ed03c5e1280000005",
        ],
    ),
];

fn material(suite: Suite) -> MasterKey {
    let bytes: Vec<u8> = (0..suite.material_len()).map(|i| (7 * i + 3).to_le_bytes()[0]).collect();
    MasterKey::new(suite, &bytes).unwrap()
}

fn other(suite: Suite, seed: u8) -> MasterKey {
    MasterKey::new(suite, &vec![seed; suite.material_len()]).unwrap()
}

fn keyed_leg(send: &MasterKey, receive: &MasterKey) -> GuardedLeg {
    let mut leg = GuardedLeg::default();
    leg.set(&protection(send, receive));
    leg
}

fn protection(send: &MasterKey, receive: &MasterKey) -> Protection {
    let (send, receive) = (send.clone(), receive.clone());
    Protection::Keyed(Box::new(Keys { send, receive, receive_lifetime: LIFETIME_MAX }))
}

/// Two legs that talk to each other.
fn pair(suite: Suite) -> (GuardedLeg, GuardedLeg) {
    let (one, two) = (material(suite), other(suite, 9));
    (keyed_leg(&one, &two), keyed_leg(&two, &one))
}

fn packet(sequence: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 160]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend(0..20);
    packet
}

/// Sends a packet across; what comes out.
fn cross(from: &mut GuardedLeg, to: &mut GuardedLeg, sequence: u16) -> Result<(), Rejected> {
    let plain = packet(sequence, 0xcafe_babe);
    let mut sent = from.seal_rtp(&plain).expect("it may be sent").to_vec();
    assert_ne!(sent[12..32], plain[12..], "it is encrypted");
    let length = to.open_rtp(&mut sent)?;
    assert_eq!(sent[..length], plain);
    Ok(())
}

#[test]
fn packets_are_those_of_another_implementation() {
    for (suite, [rtp, _, report_0, _]) in FOREIGN {
        let (mut leg, mut peer) = pair(suite);
        let plain = packet(0x100, 0xcafe_babe);
        assert_eq!(leg.seal_rtp(&plain).unwrap(), hex(rtp), "{suite}");
        let mut sealed = hex(rtp);
        let length = peer.open_rtp(&mut sealed).unwrap();
        assert_eq!(sealed[..length], plain, "{suite}");
        let mut report = hex("80c80006cafebabe");
        report.extend(0..20);
        assert_eq!(leg.seal_rtcp(&report).unwrap(), hex(report_0), "{suite}");
        let mut sealed = hex(report_0);
        let length = peer.open_rtcp(&mut sealed).unwrap();
        assert_eq!(sealed[..length], report, "{suite}");
    }
}

/// The header extension stays readable, and the reports' numbers need not be in a row.
#[test]
fn packets_of_a_late_round_and_later_reports_are_read() {
    for (suite, [_, extended, report_0, report_5]) in FOREIGN {
        let mut peer = keyed_leg(&other(suite, 9), &material(suite));
        for report in [report_5, report_0] {
            let mut sealed = hex(report);
            assert_eq!(peer.open_rtcp(&mut sealed), Ok(28), "{suite}");
            assert_eq!(sealed[8..28], (0..20).collect::<Vec<u8>>(), "{suite}");
            assert_eq!(peer.open_rtcp(&mut hex(report)), Err(Rejected::Replayed), "{suite}");
        }
        let mut receiver = Receiver::new(&material(suite), LIFETIME_MAX);
        receiver.begin_at(0xcafe_babe, 0x10001 << 16 | 0xfff0);
        let mut sealed = hex(extended);
        assert_eq!(receiver.rtp(&mut sealed), Ok(52), "{suite}");
        assert_eq!(sealed[28..52], (0..24).collect::<Vec<u8>>(), "{suite}");
    }
}

/// Row 153: a call longer than 65,536 packets goes on through hold and resume, with the keys as they were.
#[test]
fn row_153_the_rollover_counter_outlives_a_hold() {
    for suite in Suite::ALL {
        let (mut a, mut b) = pair(suite);
        let keys = (material(suite), other(suite, 9));
        for number in 65_000..131_100_u32 {
            let sequence = u16::try_from(number & 0xffff).unwrap();
            cross(&mut a, &mut b, sequence).unwrap();
        }
        // Hold and resume: every exchange sets the leg anew, and a port of zero leaves it without keys for a while.
        for between in [protection(&keys.0, &keys.1), Protection::Clear, Protection::Pending] {
            a.set(&between);
            a.set(&protection(&keys.0, &keys.1));
            b.set(&protection(&keys.1, &keys.0));
        }
        for number in 131_100..131_200_u32 {
            let sequence = u16::try_from(number & 0xffff).unwrap();
            cross(&mut a, &mut b, sequence).unwrap();
        }
    }
}

/// Row 153: a leg that comes from another call keeps its key and has counted on; it is understood from its first packet.
#[test]
fn row_153_a_leg_that_was_handed_over_is_read_in_its_round() {
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32] {
        let (mut phone, mut first_call) = pair(suite);
        for number in 65_000..140_000_u32 {
            let sequence = u16::try_from(number & 0xffff).unwrap();
            cross(&mut phone, &mut first_call, sequence).unwrap();
        }
        let mut second_call = keyed_leg(&other(suite, 9), &material(suite));
        for number in 140_000..140_100_u32 {
            let sequence = u16::try_from(number & 0xffff).unwrap();
            cross(&mut phone, &mut second_call, sequence).unwrap();
        }
        // What nobody has the key for is nothing in any round.
        let mut stranger = keyed_leg(&other(suite, 3), &other(suite, 4));
        let mut sealed = stranger.seal_rtp(&packet(9, 99)).unwrap().to_vec();
        assert_eq!(second_call.open_rtp(&mut sealed), Err(Rejected::Unauthentic));
    }
}

/// Row 153: another source begins in round zero, under the same key, and the first one may come back.
#[test]
fn row_153_a_new_source_begins_in_round_zero() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut a, mut b) = pair(suite);
    for sequence in (65_500..=65_535).chain(0..10) {
        cross(&mut a, &mut b, sequence).unwrap();
    }
    let mut second = keyed_leg(&material(suite), &other(suite, 9));
    let plain = packet(5, 77);
    let mut sealed = second.seal_rtp(&plain).unwrap().to_vec();
    assert_eq!(b.open_rtp(&mut sealed), Ok(32));
    cross(&mut a, &mut b, 10).unwrap();
}

/// Row 153: what was there is not taken again, nor is what is too old to tell.
#[test]
fn row_153_a_packet_is_taken_once() {
    for suite in Suite::ALL {
        let (mut a, mut b) = pair(suite);
        let mut seal = |sequence| a.seal_rtp(&packet(sequence, 1)).unwrap().to_vec();
        let (first, late, newest) = (seal(1), seal(100), seal(200));
        assert_eq!(b.open_rtp(&mut newest.clone()), Ok(32));
        assert_eq!(b.open_rtp(&mut late.clone()), Ok(32), "late, and new");
        for again in [&late, &newest, &first] {
            assert_eq!(b.open_rtp(&mut again.clone()), Err(Rejected::Replayed), "{suite}");
        }
    }
}

/// Row 153: two packets under one number would give each other away, whoever asks for it.
#[test]
fn row_153_no_number_is_sent_twice_under_a_key() {
    let suite = Suite::AeadAes128Gcm;
    let (mut a, _) = pair(suite);
    assert!(a.seal_rtp(&packet(7, 1)).is_some());
    assert!(a.seal_rtp(&packet(6, 1)).is_some(), "a late one has its own number");
    assert!(a.seal_rtp(&packet(7, 1)).is_none());
    // Branches take turns: early media of one, of the other, and the first one answers.
    assert!(a.set(&protection(&other(suite, 1), &other(suite, 2))), "a new key");
    assert!(a.seal_rtp(&packet(7, 1)).is_some(), "another key");
    assert!(!a.set(&protection(&material(suite), &other(suite, 9))), "one that was in use");
    assert!(a.seal_rtp(&packet(7, 1)).is_none(), "the first key knows its numbers");
    assert!(a.seal_rtp(&packet(8, 1)).is_some());
    assert!(a.seal_rtp(&packet(65_530, 1)).is_none(), "nor one of before its first round");
    assert!(a.seal_rtp(&packet(9, 1)).is_some());
}

/// Row 154: a new key of the peer counts at once; packets under the old one are taken until the first under the new.
#[test]
fn row_154_the_old_key_is_taken_until_the_new_one_is_heard() {
    for suite in Suite::ALL {
        let (mut old, mut ours) = pair(suite);
        cross(&mut old, &mut ours, 1).unwrap();
        let mut renewed = keyed_leg(&other(suite, 5), &other(suite, 9));
        ours.set(&protection(&other(suite, 9), &other(suite, 5)));
        cross(&mut old, &mut ours, 2).unwrap();
        // It begins anew, under numbers of its own.
        cross(&mut renewed, &mut ours, 40_000).unwrap();
        assert_eq!(cross(&mut old, &mut ours, 3), Err(Rejected::Unauthentic));
        cross(&mut renewed, &mut ours, 40_001).unwrap();
    }
}

/// Row 154: a key is good for as many packets as its line says.
#[test]
fn row_154_a_worn_out_key_is_not_taken() {
    let suite = Suite::AesCm128HmacSha1_32;
    let (mut a, mut b) = pair(suite);
    let mut keys = Keys { send: other(suite, 9), receive: other(suite, 4), receive_lifetime: 3 };
    a.set(&protection(&other(suite, 4), &other(suite, 9)));
    b.set(&Protection::Keyed(Box::new(keys.clone())));
    for sequence in 1..=3 {
        cross(&mut a, &mut b, sequence).unwrap();
    }
    assert_eq!(cross(&mut a, &mut b, 4), Err(Rejected::Unauthentic));
    keys.receive = other(suite, 6);
    b.set(&Protection::Keyed(Box::new(keys)));
    a.set(&protection(&other(suite, 6), &other(suite, 9)));
    cross(&mut a, &mut b, 5).unwrap();
}

#[test]
fn nothing_passes_before_the_keys_are_there() {
    let mut leg = GuardedLeg::default();
    assert!(leg.is_clear());
    let plain = packet(1, 1);
    assert_eq!(leg.seal_rtp(&plain), Some(&plain[..]));
    assert_eq!(leg.open_rtp(&mut plain.clone()), Ok(32));
    leg.set(&Protection::Pending);
    assert_eq!(leg.seal_rtp(&plain), None);
    assert_eq!(leg.open_rtp(&mut plain.clone()), Err(Rejected::Unkeyed));
    leg.set(&protection(&material(Suite::AeadAes256Gcm), &other(Suite::AeadAes256Gcm, 1)));
    assert_eq!(leg.open_rtp(&mut plain.clone()), Err(Rejected::Unauthentic), "in the clear");
    assert_eq!(leg.seal_rtp(&vec![0x80; GUARDED_MAX]), None, "no room for its tag");
}

#[test]
fn keys_do_not_show() {
    let text = format!(
        "{:?}",
        protection(&other(Suite::AeadAes128Gcm, 0xab), &material(Suite::AeadAes128Gcm))
    );
    assert!(
        text.contains("AEAD_AES_128_GCM") && !text.contains("171") && !text.contains("ab"),
        "{text}"
    );
}

#[test]
fn the_estimate_follows_the_figure_of_the_rfc() {
    let mut history = History::default();
    assert_eq!(history.estimate(65_535), Some(65_535));
    history.record(65_535);
    assert_eq!(history.estimate(0), Some(0x1_0000));
    history.record(0x1_0005);
    assert_eq!(history.estimate(65_530), Some(65_530));
    assert_eq!(history.estimate(0x8005), Some(0x1_8005), "half a round is still ahead");
    history.record(0x1_9000);
    assert_eq!(history.estimate(0x0fff), Some(0x2_0fff));
    let mut history = History::default();
    history.record(3);
    assert_eq!(history.estimate(65_530), None, "there is no round before the first");
}

proptest! {
    /// Against a set of all that was recorded.
    #[test]
    fn the_window_knows_what_was_there(indices in prop::collection::vec(0_u64..400, 1..200)) {
        let (mut history, mut seen) = (History::default(), std::collections::BTreeSet::new());
        for index in indices {
            let newest = seen.last().copied().unwrap_or(0);
            let expected = !seen.contains(&index) && (seen.is_empty() || index + WINDOW > newest);
            prop_assert_eq!(history.is_fresh(index), expected);
            if expected {
                history.record(index);
                seen.insert(index);
            }
        }
    }

    /// No bytes of a stranger are taken, make a leg panic, or keep the peer from being heard.
    #[test]
    fn hostile_packets_change_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..80), suite in 0_usize..4, flips in any::<u8>(),
    ) {
        let (mut a, mut b) = pair(Suite::ALL[suite]);
        prop_assert!(b.open_rtp(&mut bytes.clone()).is_err());
        prop_assert!(b.open_rtcp(&mut bytes.clone()).is_err());
        let _ = (b.seal_rtp(&bytes).map(<[u8]>::len), b.seal_rtcp(&bytes).map(<[u8]>::len));
        let mut forged = a.seal_rtp(&packet(9, 3)).unwrap().to_vec();
        let at = usize::from(flips) % forged.len();
        forged[at] ^= 1;
        prop_assert!(b.open_rtp(&mut forged).is_err(), "{at}");
        prop_assert_eq!(cross(&mut a, &mut b, 10), Ok(()));
    }
}
