//! DTLS and ICE with real sockets: two sides of the relay agree on keys with each other through a proxy that the test has
//! in between, which checks as a browser does, and may hold back, repeat and forge.

use tandem::edge::media_io::identity;
use tandem::proto::nat::ice::{IceCredentials, IcePlan, check_of};
use tandem::proto::srtp::{Association, Fingerprint, Hash, Protection};

use super::*;

/// The two calls of the relay: the one under test, and the one that is its peer.
const NEAR: u64 = 7;
const FAR: u64 = 8;
const PASSWORD: &str = "a-password-of-the-relay";

struct Hop {
    bed: Bed,
    /// Plain phones on the other sides.
    near: Phone,
    far: Phone,
    /// What the relay takes for its peers: the near call's, and the far call's.
    proxies: [UdpSocket; 2],
    relay: [SocketAddr; 2],
    /// The number that the phones' next packets have.
    next: std::cell::Cell<u16>,
}

fn ours() -> Fingerprint {
    identity().unwrap().fingerprint().clone()
}

fn dtls(number: u64, is_active: bool, fingerprint: Fingerprint) -> Protection {
    let fingerprints = vec![fingerprint];
    Protection::Dtls(Box::new(Association { number, is_active, fingerprints, keys: None }))
}

fn ice(ufrag: &str) -> IcePlan {
    let local = IceCredentials { ufrag: ufrag.into(), password: PASSWORD.into() };
    IcePlan { local, remote_ufrag: Some("them".into()), is_peer_lite: false }
}

impl Hop {
    fn new(low: u16) -> Self {
        let bed = Bed::new(low, low + 7);
        let open = |call| {
            bed.handle.open(call, LOCAL, LOCAL).unwrap();
            let MediaEvent::Opened { a, b } = bed.event() else { panic!("not opened") };
            (SocketAddr::new(LOCAL, a.0), Phone::new(b))
        };
        let ((near_port, near), (far_port, far)) = (open(NEAR), open(FAR));
        bed.handle.set_leg(NEAR, Side::B, near.plan()).unwrap();
        bed.handle.set_leg(FAR, Side::B, far.plan()).unwrap();
        Self {
            bed,
            near,
            far,
            proxies: [socket(), socket()],
            relay: [near_port, far_port],
            next: 10.into(),
        }
    }

    fn set(&self, call: u64, protection: Protection, ice: Option<IcePlan>) {
        let place = usize::from(call == FAR);
        let announced = self.proxies[place].local_addr().ok();
        let plan = LegPlan {
            remote_rtp: announced.filter(|_| ice.is_none()),
            protection,
            ice,
            is_rtcp_mux: true,
            ..self.near.plan()
        };
        self.bed.handle.set_leg(call, Side::A, plan).unwrap();
    }

    /// Passes one datagram on, from the relay's near side to its far side or back, as often as wanted; its first byte.
    fn pass(&self, from: usize, copies: usize) -> Option<u8> {
        let mut buffer = [0; 2_048];
        self.proxies[from].set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (length, source) = self.proxies[from].recv_from(&mut buffer).ok()?;
        assert_eq!(source, self.relay[from]);
        for _ in 0..copies {
            self.proxies[1 - from].send_to(&buffer[..length], self.relay[1 - from]).unwrap();
        }
        Some(buffer[0])
    }

    /// Passes everything on until both sides have keys, or one has none for good.
    fn shake_hands(&self, copies: usize) -> Vec<MediaEvent> {
        let mut events = Vec::new();
        for _ in 0..2_000 {
            while self.pass(0, copies).is_some() || self.pass(1, copies).is_some() {}
            let is_end = |event: &MediaEvent| {
                matches!(event, MediaEvent::Keyed { .. } | MediaEvent::NotKeyed { .. })
            };
            events.extend(self.bed.events.try_iter().map(|(_, event)| event));
            let failed = events.iter().any(|event| matches!(event, MediaEvent::NotKeyed { .. }));
            if failed || events.iter().filter(|event| is_end(event)).count() == 2 {
                return events;
            }
        }
        panic!("no end: {events:?}");
    }

    /// Checks from the near proxy, as a browser does that has chosen this way.
    fn check(&self, ufrag: &str) -> Option<u8> {
        let username = format!("{ufrag}:them");
        let check = check_of(
            &username,
            PASSWORD,
            *b"abcdefghijkl",
            &[(0x802a, vec![0; 8]), (0x25, vec![])],
        );
        self.proxies[0].send_to(&check, self.relay[0]).unwrap();
        self.proxies[0].set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut buffer = [0; 2_048];
        let (_, source) = self.proxies[0].recv_from(&mut buffer).ok()?;
        assert_eq!(source, self.relay[0]);
        Some(buffer[0])
    }

    /// The plain phones hear each other over the encrypted hop, and the packets on it are not what they sent.
    fn talks(&self) {
        for _ in 0..5 {
            let sequence = self.next.replace(self.next.get() + 1);
            let mut buffer = [0; 2_048];
            for (from, to, place) in [(&self.near, &self.far, 0), (&self.far, &self.near, 1)] {
                from.speaks(&header(sequence, 5));
                self.proxies[place].set_read_timeout(Some(PATIENCE)).unwrap();
                let (length, _) = self.proxies[place].recv_from(&mut buffer).expect("on the hop");
                assert!(length > 172 && buffer[12..172].iter().any(|byte| *byte != 0x80));
                self.proxies[1 - place].send_to(&buffer[..length], self.relay[1 - place]).unwrap();
                assert_eq!(to.hears_audio().1, vec![0x80; 160]);
            }
        }
    }
}

fn keys_of(events: &[MediaEvent]) -> Vec<&tandem::proto::srtp::Keys> {
    let keys = events.iter().filter_map(|event| match event {
        MediaEvent::Keyed { keys, .. } => Some(&**keys),
        _ => None,
    });
    keys.collect()
}

/// Rows 155, 156: two legs agree on keys by DTLS and talk; every datagram comes twice, and reports share the port.
#[test]
fn row_155_a_handshake_over_real_sockets_makes_a_call() {
    let hop = Hop::new(21_760);
    hop.set(NEAR, dtls(1, true, ours()), None);
    hop.set(FAR, dtls(2, false, ours()), None);
    let events = hop.shake_hands(2);
    let [one, other] = keys_of(&events)[..] else { panic!("{events:?}") };
    assert_eq!((&one.send, &one.receive), (&other.receive, &other.send));
    hop.talks();
    // The same association again, as after a hold: nothing is agreed on anew, and all goes on.
    hop.set(NEAR, dtls(1, true, ours()), None);
    hop.talks();
    assert_eq!(hop.pass(0, 1), None, "no new handshake");
    // Another one: the old keys are good for nothing.
    hop.set(NEAR, dtls(3, true, ours()), None);
    hop.set(FAR, dtls(4, false, ours()), None);
    let events = hop.shake_hands(1);
    assert!(keys_of(&events).iter().all(|keys| *keys != one && *keys != other));
    hop.talks();
}

/// Row 155: what begins before the answer is there is kept, and goes on when it says whose it must be.
#[test]
fn row_155_a_client_hello_may_come_before_the_answer() {
    let hop = Hop::new(21_768);
    hop.set(NEAR, dtls(1, true, ours()), None);
    assert_eq!(hop.pass(0, 1), Some(22), "a record of a handshake");
    hop.bed.settled();
    hop.set(FAR, Protection::Pending, None);
    assert_eq!(hop.pass(1, 1), None, "nobody answers yet");
    hop.set(FAR, dtls(2, false, ours()), None);
    assert_eq!(hop.pass(1, 1), Some(22), "at once, and not when it is sent again");
    hop.shake_hands(1);
    hop.talks();
}

/// Row 155: a certificate that the description does not name is told, and nothing is heard.
#[test]
fn row_155_a_wrong_certificate_is_told() {
    let hop = Hop::new(21_776);
    let other = Fingerprint { hash: Hash::Sha256, digest: vec![1; 32] };
    hop.set(NEAR, dtls(1, true, other), None);
    hop.set(FAR, dtls(2, false, ours()), None);
    let events = hop.shake_hands(1);
    let told = |event: &MediaEvent| matches!(event, MediaEvent::NotKeyed { side: Side::A, why } if why.contains("certificate"));
    assert!(events.iter().any(told), "{events:?}");
    hop.near.speaks(&header(1, 5));
    hop.near.speaks(&header(2, 5));
    let sent = hop.bed.settled();
    assert_eq!(sent.a.packets_out, 0, "nothing in the clear");
}

/// Row 155: without ICE a stranger's ClientHello that comes first gives way to the one from where the peer is.
#[test]
fn row_155_a_stranger_who_is_first_changes_nothing() {
    let hop = Hop::new(21_792);
    hop.set(NEAR, dtls(1, false, ours()), None);
    hop.set(FAR, dtls(2, true, ours()), None);
    let mut hello = [0; 2_048];
    hop.proxies[1].set_read_timeout(Some(PATIENCE)).unwrap();
    let (length, _) = hop.proxies[1].recv_from(&mut hello).unwrap();
    let stranger = socket();
    stranger.send_to(&hello[..length], hop.relay[0]).unwrap();
    assert!(stranger.recv_from(&mut [0; 2_048]).is_ok(), "it is taken for the peer behind a NAT");
    // The peer's own comes when it is sent again.
    let events = hop.shake_hands(1);
    assert_eq!(keys_of(&events).len(), 2, "{events:?}");
    hop.talks();
}

/// Rows 155, 157: under ICE nothing begins before a check has come, and what others send changes nothing
/// (CVE-2023-51443).
#[test]
fn row_157_ice_comes_before_dtls() {
    let hop = Hop::new(21_784);
    hop.set(FAR, dtls(2, true, ours()), None);
    hop.set(NEAR, dtls(1, false, ours()), Some(ice("relay")));
    let mut hello = [0; 2_048];
    hop.proxies[1].set_read_timeout(Some(PATIENCE)).unwrap();
    let (length, _) = hop.proxies[1].recv_from(&mut hello).unwrap();
    let stranger = socket();
    stranger.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    for _ in 0..50 {
        stranger.send_to(&hello[..length], hop.relay[0]).unwrap();
        let forged = check_of("relay:them", "not-the-password-at-all", *b"abcdefghijkl", &[]);
        stranger.send_to(&forged, hop.relay[0]).unwrap();
    }
    assert!(stranger.recv_from(&mut [0; 2_048]).is_err(), "a stranger gets no answer");
    let stats = hop.bed.settled();
    assert_eq!((stats.a.dropped_handshake, stats.a.dropped_checks), (50, 50));
    assert_eq!(hop.check("relay"), Some(1), "an answer to a check");
    let events = hop.shake_hands(1);
    assert_eq!(keys_of(&events).len(), 2);
    let peer = hop.proxies[0].local_addr().unwrap();
    let latched = |event: &MediaEvent| matches!(event, MediaEvent::Latched { side: Side::A, address } if *address == peer);
    assert!(events.iter().any(latched), "{events:?}");
    hop.talks();
    // A restart: the old name is answered still, the new one as well, and the keys stay.
    hop.set(NEAR, dtls(1, false, ours()), Some(ice("again")));
    assert_eq!(hop.check("relay"), Some(1));
    assert_eq!(hop.check("again"), Some(1));
    assert_eq!(hop.check("relay"), None);
    hop.talks();
}
