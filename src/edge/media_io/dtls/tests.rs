//! Two associations against each other, in virtual time, over a network that loses and repeats.

use std::collections::VecDeque;

use super::*;

struct Pair {
    sides: [Association; 2],
    /// On the way to each side.
    ways: [VecDeque<Vec<u8>>; 2],
    now: Instant,
    progress: [Option<Progress>; 2],
    longest: usize,
    work: Duration,
    step: Duration,
}

fn ours() -> Fingerprint {
    identity().unwrap().fingerprint().clone()
}

fn other() -> Fingerprint {
    Fingerprint { hash: Hash::Sha256, digest: vec![1; 32] }
}

impl Pair {
    fn new(expected: [&[Fingerprint]; 2]) -> Self {
        let now = Instant::from_millis(1_000);
        let sides = [0, 1].map(|side| Association::new(now, side == 0, expected[side]).unwrap());
        let (work, step) = Default::default();
        let (ways, progress) = Default::default();
        Self { sides, ways, now, progress, longest: 0, work, step }
    }

    fn act(&mut self, side: usize, packet: Option<&[u8]>) {
        let mut sent = Vec::new();
        let mut send = |bytes: &[u8]| sent.push(bytes.to_vec());
        let clock = Clock::start();
        let progress = match packet {
            Some(packet) => self.sides[side].packet(self.now, packet, &mut send),
            None => self.sides[side].handle_timeout(self.now, &mut send),
        };
        let took = clock.now().since(Instant::START);
        self.work += took;
        self.step = self.step.max(took);
        self.longest = sent.iter().map(Vec::len).max().unwrap_or(0).max(self.longest);
        self.ways[1 - side].extend(sent);
        if progress != Progress::Waiting {
            assert!(self.progress[side].replace(progress).is_none(), "it is told once");
        }
    }

    /// Runs until both have an end, or nothing more comes. `lost`: whether the datagram of this number is.
    fn run(&mut self, lost: impl Fn(usize) -> bool, copies: usize) {
        let mut number = 0;
        for _ in 0..2_000 {
            let way = (0..2).find(|side| !self.ways[*side].is_empty());
            if let Some(side) = way {
                let packet = self.ways[side].pop_front().unwrap();
                number += 1;
                for _ in (0..copies).filter(|_| !lost(number)) {
                    if self.progress[side].as_ref().is_none_or(|p| matches!(p, Progress::Keyed(_)))
                    {
                        self.act(side, Some(&packet));
                    }
                }
                continue;
            }
            if self.progress.iter().flatten().any(|end| matches!(end, Progress::Failed(_))) {
                break;
            }
            let open = |side: &usize| self.progress[*side].is_none();
            let due = (0..2)
                .filter(open)
                .filter_map(|side| Some((self.sides[side].next_timeout()?, side)));
            let Some((at, side)) = due.min() else { break };
            self.now = self.now.max(at);
            self.act(side, None);
        }
    }

    fn keys(&self) -> [Keys; 2] {
        [0, 1].map(|side| match &self.progress[side] {
            Some(Progress::Keyed(keys)) => *keys.clone(),
            other => panic!("side {side}: {other:?}"),
        })
    }
}

/// Row 155: both sides have the same keys, crosswise; no datagram is longer than a path takes.
#[test]
fn row_155_a_handshake_gives_both_sides_their_keys() {
    let (ours, either) = (ours(), [other(), ours()]);
    let mut pair = Pair::new([std::slice::from_ref(&ours), &either]);
    pair.run(|_| false, 1);
    let [client, server] = pair.keys();
    assert_eq!((&client.send, &client.receive), (&server.receive, &server.send));
    assert_eq!(client.send.suite(), Suite::AeadAes256Gcm);
    assert!(pair.longest <= 1_200, "{}", pair.longest);
    eprintln!("both sides together took {:?}, the longest step {:?}", pair.work, pair.step);
}

/// Row 155: flights are sent again when they are lost, and passed over when they come twice.
#[test]
fn row_155_lost_and_repeated_flights_end_in_the_same_keys() {
    let ours = ours();
    for (every, copies) in [(2, 1), (3, 1), (4, 2), (usize::MAX, 3)] {
        let mut pair = Pair::new([std::slice::from_ref(&ours), std::slice::from_ref(&ours)]);
        pair.run(|number| number % every == 1 && number < 12, copies);
        let [client, server] = pair.keys();
        assert_eq!(client.send, server.receive, "one in {every} lost, {copies} copies");
    }
}

/// Row 155: a certificate that the description does not name ends it, and gives no keys.
#[test]
fn row_155_another_certificate_gives_no_keys() {
    let (ours, other) = (ours(), other());
    for wrong in [0, 1] {
        let mut expected = [std::slice::from_ref(&ours); 2];
        expected[wrong] = std::slice::from_ref(&other);
        let mut pair = Pair::new(expected);
        pair.run(|_| false, 1);
        assert_eq!(pair.progress[wrong], Some(Progress::Failed(Failure::Certificate)));
    }
}

/// Row 155: nobody there: it is tried for a while, ever more slowly, and given up.
#[test]
fn row_155_a_handshake_that_nobody_answers_ends() {
    let ours = ours();
    let mut pair = Pair::new([std::slice::from_ref(&ours), std::slice::from_ref(&ours)]);
    let began = pair.now;
    pair.run(|_| true, 1);
    assert_eq!(pair.progress[0], Some(Progress::Failed(Failure::Handshake)));
    let took = pair.now.since(began);
    assert!(
        took > Duration::from_secs(5) && took < HANDSHAKE_WITHIN + Duration::from_millis(1),
        "{took:?}"
    );
}

proptest::proptest! {
    #[test]
    fn row_155_no_datagram_panics(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        cut in 0_usize..400,
        flips in proptest::collection::vec((0_usize..400, proptest::prelude::any::<u8>()), 0..8),
    ) {
        let ours = ours();
        let mut pair = Pair::new([std::slice::from_ref(&ours), std::slice::from_ref(&ours)]);
        pair.act(0, None);
        let mut hello = pair.ways[1].pop_front().unwrap();
        for (at, byte) in flips {
            if let Some(place) = hello.get_mut(at) {
                *place = byte;
            }
        }
        hello.truncate(cut.max(1));
        pair.act(1, Some(&hello));
        if pair.progress[1].is_none() {
            pair.act(1, Some(&bytes));
        }
    }
}
