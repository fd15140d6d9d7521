//! SRTP on one side of the relay, and none on the other.

use tandem::proto::srtp::{GuardedLeg, Keys, LIFETIME_MAX, MasterKey, Protection, Suite};

use super::*;

/// Four packets around the end of a round, of a phone with the key of [`theirs`]: made by a Python program on another
/// library. Each has 20 bytes of the low byte of its number.
const SPOKEN: [(Suite, [&str; 4]); 4] = [
    (
        Suite::AesCm128HmacSha1_80,
        [
            "8008fffe0013ffd8cafebabe0b35fec38c9cf3e314cd8563daacf1f8e3a3ce76be57795a57401d4c402b",
            "8008ffff0013ffeccafebabeb2ac7f57e3781313e9afc13ab78685a1feac6d986e2eafdd85254ed23594",
            "8008000000140000cafebabee8cea0b8bcbb167a113423b5653901ad4b006d963444ca12b8068b7f7017",
            "8008000100140014cafebabe11684569dbfc0dce7d49ba9417e03aa5791e6413936d9fc97dbc85b095ca",
        ],
    ),
    (
        Suite::AesCm128HmacSha1_32,
        [
            "8008fffe0013ffd8cafebabe0b35fec38c9cf3e314cd8563daacf1f8e3a3ce76be57795a",
            "8008ffff0013ffeccafebabeb2ac7f57e3781313e9afc13ab78685a1feac6d986e2eafdd",
            "8008000000140000cafebabee8cea0b8bcbb167a113423b5653901ad4b006d963444ca12",
            "8008000100140014cafebabe11684569dbfc0dce7d49ba9417e03aa5791e6413936d9fc9",
        ],
    ),
    (
        Suite::AeadAes128Gcm,
        [
            "8008fffe0013ffd8cafebabe1b485cf542eb36178a6666f058ee464e5b1f874ecf844c73b20b743f12feabfd9ab1d11a",
            "8008ffff0013ffeccafebabe7cbb71ba3e18bf6bae13c4d8eadda8681b968666c51c4f72c2d2fe35220a235a1c232124",
            "8008000000140000cafebabe4837f274dc42b3de47524d31b263966e3a2ac2662722cf0be8dc90cfc0c26489dd79c159",
            "8008000100140014cafebabe29184a921c9959f7fd2c3a6c431cd517687756ea24b1dab7134f8e47ca0ce507591341cc",
        ],
    ),
    (
        Suite::AeadAes256Gcm,
        [
            "8008fffe0013ffd8cafebabe037333a10da888d9c88049b44997e375c0f0a6d41b65775d4d2fe7fee116ead53dbf445d",
            "8008ffff0013ffeccafebabe5f8571d213f2e5d9be516afb70532cf166dc6d9fd3b33baeafe727dc81a78b233c9ae635",
            "8008000000140000cafebabe98e0652e5b2b8cc903e6172f17ed7bad949e5d4d6eee1f0953b85cef72255be75399ad40",
            "8008000100140014cafebabe03d0db7e867caf6368bd32cad9c5620c87c4651386746ee334548c241ab57a02a3420d2e",
        ],
    ),
];

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn theirs(suite: Suite) -> MasterKey {
    let bytes: Vec<u8> = (0..suite.material_len()).map(|i| (7 * i + 3).to_le_bytes()[0]).collect();
    MasterKey::new(suite, &bytes).unwrap()
}

fn key(suite: Suite, seed: u8) -> MasterKey {
    MasterKey::new(suite, &vec![seed; suite.material_len()]).unwrap()
}

fn keyed(send: MasterKey, receive: MasterKey) -> Protection {
    Protection::Keyed(Box::new(Keys { send, receive, receive_lifetime: LIFETIME_MAX }))
}

/// The relay's side of a phone with the key of [`theirs`].
fn ours(suite: Suite) -> Protection {
    keyed(key(suite, 9), theirs(suite))
}

/// What the phone at the protected side has.
fn phones(suite: Suite) -> GuardedLeg {
    let mut leg = GuardedLeg::default();
    leg.set(&keyed(theirs(suite), key(suite, 9)));
    leg
}

/// A call whose side A is protected.
fn protected_call(bed: &Bed, suite: Suite) -> (Phone, Phone) {
    let (a, b) = bed.call();
    protect(bed, &a, ours(suite));
    (a, b)
}

fn protect(bed: &Bed, phone: &Phone, protection: Protection) {
    let plan = LegPlan { protection, ..phone.plan() };
    bed.handle.set_leg(CALL, Side::A, plan).unwrap();
    bed.settled();
}

fn speaks(phone: &Phone, guard: &mut GuardedLeg, header: &Header) {
    phone.rtp.send_to(guard.seal_rtp(&packet(header)).unwrap(), phone.relay.0).unwrap();
}

fn hears(phone: &Phone, guard: &mut GuardedLeg) -> Header {
    let mut buffer = [0; 2_048];
    let (length, _) = phone.rtp.recv_from(&mut buffer).expect("a packet");
    let opened = guard.open_rtp(&mut buffer[..length]).expect("of the relay's key");
    assert_eq!(opened, 172);
    assert!(buffer[12..172].iter().all(|byte| *byte == 0x80));
    Header::read(&buffer[..opened]).unwrap()
}

/// Waits until what was sent has been counted: a command may overtake a packet.
fn counted(bed: &Bed, what: impl Fn(&CallStats) -> bool) -> CallStats {
    let mut looks = std::iter::repeat_with(|| bed.settled()).take(100_000);
    looks.find(what).expect("the packets are counted")
}

/// Row 153: from a phone that encrypts to one that does not, over the end of a round, and back.
#[test]
fn row_153_a_protected_side_and_a_plain_one_hear_each_other() {
    for (place, (suite, packets)) in (0_u16..).zip(SPOKEN) {
        let low = 21_520 + 4 * place;
        let bed = Bed::new(low, low + 3);
        let (a, b) = protected_call(&bed, suite);
        for (number, bytes) in (65_534_u32..).zip(packets) {
            a.rtp.send_to(&hex(bytes), a.relay.0).unwrap();
            let (header, audio) = b.hears_audio();
            assert_eq!(header.payload_type, 8);
            assert_eq!(audio, [number.to_le_bytes()[0]; 20], "{suite}");
        }
        let mut guard = phones(suite);
        let first = b.speaks_and(&a, &mut guard, 1);
        let second = b.speaks_and(&a, &mut guard, 2);
        assert_eq!(second.sequence, first.sequence + 1);
        assert!(
            first.sequence < 0x8001,
            "a receiver that misses the first packets is in the same round"
        );
        let stats = bed.close();
        assert_eq!((stats.a.packets_in, stats.a.dropped_auth, stats.a.lost), (4, 0, 0));
        assert_eq!((stats.a.bytes_in, stats.a.bytes_out), (4 * 32, 2 * 172), "without tags");
    }
}

impl Phone {
    /// Speaks in the clear to a phone that hears it protected.
    fn speaks_and(&self, to: &Phone, guard: &mut GuardedLeg, sequence: u16) -> Header {
        self.speaks(&header(sequence, 2));
        hears(to, guard)
    }
}

/// Row 138: what is not of the peer's key moves nothing and counts for nothing but itself.
#[test]
fn row_138_only_an_authentic_packet_is_anybodys() {
    let suite = Suite::AesCm128HmacSha1_80;
    let bed = Bed::new(21_540, 21_543);
    let (a, b) = protected_call(&bed, suite);
    let (mut guard, stranger) = (phones(suite), socket());
    for n in 0..20 {
        // From elsewhere and from the phone's own address: in the clear, and of another key.
        stranger.send_to(&packet(&header(n, 1)), a.relay.0).unwrap();
        a.speaks(&header(n, 1));
        let mut other = GuardedLeg::default();
        other.set(&keyed(key(suite, 77), key(suite, 9)));
        speaks(&a, &mut other, &header(n, 1));
        stranger.send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], a.relay.0).unwrap();
    }
    speaks(&a, &mut guard, &header(0, 1));
    assert_eq!(b.hears().payload_type, 8);
    let once = guard.seal_rtp(&packet(&header(1, 1))).unwrap().to_vec();
    for _ in 0..3 {
        a.rtp.send_to(&once, a.relay.0).unwrap();
    }
    b.hears();
    let stats = counted(&bed, |stats| stats.a.dropped_replay == 2);
    assert_eq!(
        (stats.a.dropped_auth, stats.a.dropped_malformed),
        (60, 20),
        "the reports are too short"
    );
    assert_eq!((stats.a.dropped_replay, stats.a.packets_in, stats.a.dropped_stranger), (2, 2, 0));
    assert_eq!((stats.a.latched, stats.a.lost, stats.b.packets_out), (None, 0, 2));
    assert_eq!(bed.handle.counters().packets_from_strangers, 0);
}

/// Row 138: a peer that is known by its key may be found at another host in the middle of a call.
#[test]
fn row_138_an_authentic_peer_may_move() {
    let suite = Suite::AeadAes128Gcm;
    let (bed, time) = Bed::on_a_stopped_clock(21_544, 21_547);
    let (a, b) = protected_call(&bed, suite);
    let mut guard = phones(suite);
    speaks(&a, &mut guard, &header(0, 1));
    b.hears();
    // Long after the window, and to a socket on another address of the loopback.
    time.fetch_add(60_000, Ordering::SeqCst);
    let moved = UdpSocket::bind("127.0.0.2:0").unwrap();
    for n in 1..=3 {
        moved.send_to(guard.seal_rtp(&packet(&header(n, 1))).unwrap(), a.relay.0).unwrap();
    }
    b.hears();
    assert_eq!(bed.settled().a.latched, moved.local_addr().ok());
}

/// Row 153: a hold and a resume with the keys as they are go on in the same round; row 154: a new key counts at once,
/// and what was sent under the old one before is taken.
#[test]
fn row_153_and_154_a_hold_keeps_the_round_and_a_new_key_begins_one() {
    let suite = Suite::AesCm128HmacSha1_32;
    let bed = Bed::new(21_548, 21_551);
    let (a, b) = protected_call(&bed, suite);
    for bytes in SPOKEN[1].1.iter().take(3) {
        a.rtp.send_to(&hex(bytes), a.relay.0).unwrap();
        b.hears_audio();
    }
    let held = LegPlan { receive: false, send: false, protection: ours(suite), ..a.plan() };
    bed.handle.set_leg(CALL, Side::A, held).unwrap();
    protect(&bed, &a, ours(suite));
    a.rtp.send_to(&hex(SPOKEN[1].1[3]), a.relay.0).unwrap();
    assert_eq!(b.hears_audio().1, [1; 20], "in the second round still");
    let mut old = phones(suite);
    protect(&bed, &a, keyed(key(suite, 20), key(suite, 21)));
    let mut renewed = GuardedLeg::default();
    renewed.set(&keyed(key(suite, 21), key(suite, 20)));
    speaks(&a, &mut old, &header(5, 4));
    b.hears();
    b.speaks(&header(1, 2));
    hears(&a, &mut renewed);
    speaks(&a, &mut renewed, &header(6, 4));
    b.hears();
    speaks(&a, &mut old, &header(7, 4));
    counted(&bed, |stats| stats.a.dropped_auth == 1);
    // Before there is a key nothing passes, either way.
    protect(&bed, &a, Protection::Pending);
    a.speaks(&header(8, 4));
    b.speaks(&header(2, 2));
    counted(&bed, |stats| (stats.a.dropped_direction, stats.a.send_failed) == (1, 1));
    protect(&bed, &a, Protection::Clear);
    a.speaks(&header(9, 4));
    assert_eq!(b.hears().payload_type, 8);
    b.speaks(&header(3, 2));
    a.hears();
}

/// Reports cross, opened and sealed, with names and numbers translated.
#[test]
fn reports_of_a_protected_side_cross() {
    for (place, suite) in (0_u16..).zip(Suite::ALL) {
        let low = 21_552 + 4 * place;
        let bed = Bed::new(low, low + 3);
        let (a, b) = protected_call(&bed, suite);
        let mut guard = phones(suite);
        speaks(&a, &mut guard, &header(10, 1));
        let to_b = b.hears();
        b.speaks(&header(20, 2));
        let to_a = hears(&a, &mut guard);
        let report = |words: &[u32]| -> Vec<u8> {
            words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect()
        };
        let number = u32::from(to_a.sequence);
        let from_a =
            report(&[0x81c8_000c, 1, 5, 6, 1_600, 1, 160, to_a.ssrc.0, 0, number, 7, 8, 9]);
        let sealed = guard.seal_rtcp(&from_a).unwrap().to_vec();
        a.rtcp.send_to(&sealed, a.relay.1).unwrap();
        let mut buffer = [0; 2_048];
        let (length, _) = b.rtcp.recv_from(&mut buffer).unwrap();
        let first = rtcp::packets(&buffer[..length]).unwrap().next().unwrap();
        assert_eq!((first.packet_type, &first.body[..4]), (200, &to_b.ssrc.0.to_be_bytes()[..]));
        a.rtcp.send_to(&sealed, a.relay.1).unwrap();
        a.rtcp.send_to(&from_a, a.relay.1).unwrap();
        a.rtcp.send_to(guard.seal_rtcp(&from_a).unwrap(), a.relay.1).unwrap();
        b.rtcp.recv_from(&mut buffer).expect("the one behind those that were dropped");
        let number = u32::from(to_b.sequence);
        let from_b =
            report(&[0x81c8_000c, 2, 5, 6, 3_200, 1, 160, to_b.ssrc.0, 0, number, 7, 8, 9]);
        b.rtcp.send_to(&from_b, b.relay.1).unwrap();
        let (length, _) = a.rtcp.recv_from(&mut buffer).unwrap();
        let opened = guard.open_rtcp(&mut buffer[..length]).expect("sealed");
        let first = rtcp::packets(&buffer[..opened]).unwrap().next().unwrap();
        assert_eq!((first.packet_type, &first.body[..4]), (200, &to_a.ssrc.0.to_be_bytes()[..]));
        let stats = bed.close();
        assert_eq!((stats.a.rtcp_in, stats.a.rtcp_out, stats.b.rtcp_out), (2, 1, 2), "{suite}");
        assert_eq!((stats.a.dropped_replay, stats.a.dropped_auth), (1, 1), "{suite}");
    }
}
