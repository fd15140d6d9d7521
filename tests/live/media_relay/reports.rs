//! What is told of a call's sound: reports of our own, figures, and who was not heard.

use std::sync::atomic::Ordering;

use super::*;
use tandem::proto::rtp::rtcp::Told;

/// The idle code of A-law: what a phone sends whose microphone is muted.
const IDLE: u8 = 0xd5;

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|word| word.to_be_bytes()).collect()
}

impl Phone {
    /// A 20 ms packet of G.711 under this number, with this byte all through it.
    fn says(&self, sequence: u16, payload_type: u8, byte: u8) {
        let mut bytes = packet(&Header { payload_type, ..header(sequence, 1) });
        bytes[12..].fill(byte);
        self.rtp.send_to(&bytes, self.relay.0).unwrap();
    }

    /// The next report, with the types of its packets.
    fn is_told(&self) -> (Vec<u8>, Vec<u8>) {
        let mut buffer = [0; 2_048];
        let (length, from) = self.rtcp.recv_from(&mut buffer).expect("a report");
        assert_eq!(from, self.relay.1);
        let types = rtcp::packets(&buffer[..length]).unwrap().map(|packet| packet.packet_type);
        (buffer[..length].to_vec(), types.collect())
    }

    fn reports(&self, compound: &[u8]) {
        self.rtcp.send_to(compound, self.relay.1).unwrap();
    }
}

impl Bed {
    /// A call whose first side speaks µ-law and its second A-law, so that what each hears is made here.
    fn converted(&self) -> (Phone, Phone) {
        let (a, b) = self.call();
        let formats = vec![Format::new(0, None, None).unwrap()];
        let plan = LegPlan { send_formats: formats.clone(), receive_formats: formats, ..a.plan() };
        self.handle.set_leg(CALL, Side::A, plan).unwrap();
        self.settled();
        (a, b)
    }

    /// The figures of a call ten seconds after both sides were connected, if somebody was not heard by then.
    fn unheard(&self) -> CallStats {
        loop {
            if let MediaEvent::Unheard(stats) = self.event() {
                return *stats;
            }
        }
    }
}

fn connected(bed: &Bed) {
    let never = DeadAfter { talk: Duration::ZERO, hold: Duration::ZERO };
    bed.handle.set_dead_after(CALL, never).unwrap();
    bed.settled();
}

/// Row 145: a leg whose stream is made here is told of it by us, and who speaks to it how that arrived, and at the end both
/// get a BYE.
#[test]
fn row_145_a_stream_of_our_own_has_reports_of_our_own() {
    let (bed, time) = Bed::on_a_stopped_clock(21_600, 21_603);
    let (a, b) = bed.converted();
    let (mut heard, mut sent) = (None, 0);
    // Less than a second: the first report comes after it.
    for n in 0..40_u16 {
        // One in ten is lost.
        if n % 10 != 5 {
            a.says(n, 0, 0x20);
            sent += 1;
        }
        while bed.settled().a.packets_in < sent {}
        time.fetch_add(20, Ordering::SeqCst);
        if heard.is_none() && bed.settled().b.packets_out > 0 {
            heard = Some(b.hears());
        }
    }
    let ours = heard.expect("what was converted").ssrc;
    time.fetch_add(4_000, Ordering::SeqCst);
    let (to_b, types) = b.is_told();
    assert_eq!(types, [200, 202], "a sender's");
    assert_eq!(to_b[4..8], ours.0.to_be_bytes());
    let (to_a, types) = a.is_told();
    assert_eq!(types, [201, 202], "nothing was sent to it");
    let block = Told::read(&to_a, Ssrc(1)).unwrap().about.expect("what came of it");
    assert_eq!((block.lost, block.newest_extended), (4, 39));
    assert_eq!(u32::from(block.fraction), 4 * 256 / 40);

    // The phone answers: it had our report for 5.25 s, lost an eighth of late, and thinks it sounds like 3.9.
    let asked_at = time.load(Ordering::SeqCst);
    let mid = Told::read(&to_b, Ssrc(0)).unwrap().sender_time.unwrap();
    time.store(asked_at + 6_125, Ordering::SeqCst);
    let mut answer = words(&[0x81c9_0007, 9, ours.0, 0x2000_0005, 99, 80, mid, 0x0005_4000]);
    answer.extend(words(&[
        0x80cf_000a,
        9,
        0x0700_0008,
        ours.0,
        0x2000_0000,
        0,
        0,
        0,
        0x5d7f_2a27,
        0,
        0,
    ]));
    b.reports(&answer);
    let stats = loop {
        let stats = bed.settled();
        if stats.b.rtcp_in == 1 {
            break stats;
        }
    };
    let far = stats.b.far.expect("its report");
    assert_eq!((far.loss_percent_now, far.jitter_us, far.mos_tenths), (12.5, 10_000, Some(39)));
    let round_trip = stats.b.round_trip.expect("a round trip").as_millis();
    assert!((850..=875).contains(&round_trip), "{round_trip} ms: the report went a moment before");
    bed.close();
    // What B said of our stream was for us, and A has had nothing but reports of ours with our end.
    let last = |phone: &Phone| loop {
        let (compound, types) = phone.is_told();
        let told = Told::read(&compound, Ssrc(1)).unwrap();
        if types.contains(&203) {
            return (told.about.is_some(), types);
        }
        assert!(told.about.is_some() || types == [200, 202] || types == [201, 202]);
    };
    assert_eq!(last(&a), (true, vec![201, 202, 203]));
    assert_eq!(last(&b).1[1..], [202, 203]);
}

/// Row 145: where reports cross, the way to each peer is measured all the same.
#[test]
fn row_145_the_round_trip_of_a_relayed_leg_is_known_by_what_crosses() {
    let (bed, time) = Bed::on_a_stopped_clock(21_604, 21_607);
    let (a, b) = bed.call();
    a.speaks(&header(10, 1));
    let ours = b.hears().ssrc.0;
    a.reports(&words(&[0x80c8_0006, 1, 0x1111_2222, 0x3333_4444, 1_600, 1, 160]));
    b.is_told();
    time.fetch_add(300, Ordering::SeqCst);
    b.reports(&words(&[0x81c9_0007, 9, ours, 0x8000_0001, 10, 8, 0x2222_3333, 0x4000]));
    let (_, types) = a.is_told();
    assert_eq!(types, [201, 202], "it crosses as well");
    let stats = bed.close();
    assert_eq!(stats.b.round_trip, Some(Duration::from_millis(50)), "300 ms, held for 250");
    assert_eq!(stats.a.round_trip, None);
    assert_eq!(stats.b.far.map(|far| far.loss_percent_now), Some(50.0));
    assert_eq!((stats.a.rtcp_out, stats.b.rtcp_out), (1, 1), "and none of our own");
}

/// Row 146: whatever a peer writes into its reports, the worker lives and the call goes on.
#[test]
fn row_146_hostile_reports_hurt_nobody() {
    let bed = Bed::new(21_608, 21_611);
    let (a, b) = bed.call();
    a.speaks(&header(1, 1));
    let ours = b.hears().ssrc.0;
    let reports = [
        words(&[0x9fc9_0001, 9]),
        words(&[0x81c9_0007, 9, ours, u32::MAX, u32::MAX, u32::MAX, u32::MAX, u32::MAX]),
        words(&[0x80c9_0001, 9, 0x80cf_0002, 9, 0x0700_ffff]),
        words(&[0x80c9_0001, 9, 0x80cf_0002, 9, 0x0700_0000]),
        words(&[0x80cf_0001, 9]),
        vec![0x80],
        vec![0xff; 1_900],
    ];
    for report in &reports {
        b.reports(report);
    }
    a.speaks(&header(2, 1));
    b.hears();
    while bed.settled().b.rtcp_in < reports.len() as u64 {}
    let stats = bed.close();
    assert_eq!(stats.b.far.map(|far| far.mos_tenths), Some(None));
    assert!(stats.b.far.unwrap().loss_percent <= 100.0);
}

/// Row 145: loss of one bad second shows in the worst five seconds and not in the whole alone.
#[test]
fn row_145_the_figures_of_a_leg_have_a_score_and_a_worst_one() {
    let (bed, time) = Bed::on_a_stopped_clock(21_612, 21_615);
    let (a, b) = bed.call();
    for n in 0..600_u16 {
        if !(300..350).contains(&n) {
            a.speaks(&header(n, 1));
            b.hears();
        }
        // The sums are looked at when the worker wakes.
        time.fetch_add(20, Ordering::SeqCst);
        bed.settled();
    }
    let sound = bed.close().a.sound;
    let (score, worst) = (sound.rating.unwrap().mos, sound.worst.unwrap().mos);
    assert!(score > 3.0 && worst < score - 0.5, "{sound:?}");
    assert_eq!(sound.longest_loss, 50);
    assert!((sound.loss_percent - 8.33).abs() < 0.1, "{sound:?}");
    assert!((18.0..=22.0).contains(&sound.loss_percent_worst), "{sound:?}");
}

/// Row 147: a phone that never sends is told of once, ten seconds after both were connected; one that both heard is not.
#[test]
fn row_147_a_side_that_nobody_heard_is_reported_while_the_call_lives() {
    let (bed, time) = Bed::on_a_stopped_clock(21_616, 21_619);
    let (a, b) = bed.call();
    // What came before both were connected does not count.
    a.speaks(&header(1, 1));
    b.hears();
    connected(&bed);
    b.speaks(&header(1, 2));
    a.hears();
    time.fetch_add(10_500, Ordering::SeqCst);
    let stats = bed.unheard();
    let before = stats.connected.expect("both were connected");
    assert_eq!((stats.a.passed - before.a.passed, stats.b.passed - before.b.passed), (0, 1));
    assert_eq!(before.ago, Duration::from_millis(10_500));
    time.fetch_add(10_500, Ordering::SeqCst);
    bed.settled();
    bed.handle.close(CALL).unwrap();
    let rest: Vec<_> = std::iter::from_fn(|| bed.events.recv_timeout(PATIENCE).ok())
        .map(|(_, event)| event)
        .take_while(|event| !matches!(event, MediaEvent::Closed(_)))
        .collect();
    assert!(!rest.iter().any(|event| matches!(event, MediaEvent::Unheard(_))), "{rest:?}");
}

/// Row 147: silence is told from speech, as long as it is G.711.
#[test]
fn row_147_a_muted_phone_is_heard_to_be_silent() {
    let bed = Bed::new(21_620, 21_623);
    let (a, b) = bed.call();
    for n in 0..100 {
        a.says(n, 8, IDLE);
        b.hears();
        b.says(n, 8, 0x2a);
        a.hears();
    }
    let stats = bed.close();
    assert_eq!((stats.a.sampled, stats.a.silent), (4, 4));
    assert_eq!((stats.b.sampled, stats.b.silent), (4, 0));
}

/// Row 147: whose packets were dropped, and from where they came.
#[test]
fn row_147_the_address_of_strangers_is_told() {
    let bed = Bed::new(21_624, 21_627);
    let (a, b) = bed.call();
    a.speaks(&header(0, 1));
    b.hears();
    let stranger = socket();
    for n in 0..30 {
        stranger.send_to(&packet(&header(n, 666)), a.relay.0).unwrap();
    }
    a.speaks(&header(1, 1));
    b.hears();
    let stats = bed.close();
    assert_eq!(stats.a.stranger, stranger.local_addr().ok());
    assert_eq!((stats.a.dropped_stranger, stats.a.passed), (30, 2));
}
