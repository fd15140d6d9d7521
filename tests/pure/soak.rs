//! A thousand calls with everything that goes wrong, from one seed.

use std::collections::BTreeMap;

use crate::sim::network::Dice;
use crate::sim::office::{office, phone};
use crate::sim::phone::{Body, Reply, State, ok, ring};
use crate::sim::sdp::{HOLD, TALK};
use crate::sim::world::{PhoneId, World};

/// Pairs of phones that call each other.
const PAIRS: usize = 25;

struct Trouble {
    /// Per thousand.
    loss: u64,
    duplicates: u64,
    jitter_us: u64,
}

fn world(seed: u8, trouble: &Trouble) -> World {
    let mut snapshot = office();
    for index in 0..2 * PAIRS {
        let (extension, phone) = phone(&format!("{}", 2000 + index), "");
        snapshot.phones.insert(extension, phone);
    }
    let mut w = World::seeded(snapshot, seed);
    for index in 0..2 * PAIRS {
        w.phone(&format!("{}", 2000 + index));
    }
    for phone in &mut w.phones {
        phone.habits.again_after_491 = Some(1_500);
    }
    w.net.loss = trouble.loss;
    w.net.duplicates = trouble.duplicates;
    w.net.jitter_us = trouble.jitter_us;
    w
}

/// What a caller will do in one call, and when.
enum Plan {
    Cancel,
    HangUp { by_caller: bool },
    HoldAndHangUp { by_caller: bool },
}

/// Plays calls until so many were placed; gives how often each cause came.
fn play(w: &mut World, dice: &mut Dice, calls: usize) -> BTreeMap<&'static str, usize> {
    let mut placed = 0;
    // For each pair: when it acts next, and what is left to do.
    let mut agenda: Vec<(u64, Vec<(u64, Act)>)> = vec![(0, Vec::new()); PAIRS];
    while placed < calls || agenda.iter().any(|(_, acts)| !acts.is_empty()) {
        for (pair, (next, acts)) in agenda.iter_mut().enumerate() {
            let (a, b) = (PhoneId(2 * pair), PhoneId(2 * pair + 1));
            while acts.first().is_some_and(|(at, _)| *at <= w.now) {
                let (_, act) = acts.remove(0);
                act.run(w, a, b);
            }
            if acts.is_empty() && *next <= w.now && placed < calls {
                placed += 1;
                *acts = begin(w, dice, a, b);
                let last = acts.last().map_or(w.now, |(at, _)| *at);
                *next = last + 1_000_000 * (5 + dice.below(40));
            }
        }
        w.run_for(50);
    }
    w.run_for(120_000);
    let mut causes = BTreeMap::new();
    for record in &w.records {
        *causes.entry(record.cause.key).or_default() += 1;
    }
    causes
}

#[derive(Clone, Copy)]
enum Act {
    Cancel,
    HangUp { by_caller: bool },
    Modify { by_caller: bool, holds: bool },
}

impl Act {
    fn run(self, w: &mut World, a: PhoneId, b: PhoneId) {
        let by = |by_caller| if by_caller { a } else { b };
        match self {
            Self::Cancel if w[a].last().state == State::Calling => w.cancel(a),
            Self::Cancel => w.hang_up_if_up(a),
            Self::HangUp { by_caller } => w.hang_up_if_up(by(by_caller)),
            Self::Modify { by_caller, holds } => {
                let id = by(by_caller);
                if !w[id].calls.is_empty() && w[id].last().state == State::Up {
                    w.modify(id, "INVITE", if holds { HOLD } else { TALK });
                }
            }
        }
    }
}

impl World {
    fn hang_up_if_up(&mut self, id: PhoneId) {
        if !self[id].calls.is_empty() && self[id].last().state == State::Up {
            self.hang_up(id);
        }
    }
}

fn begin(w: &mut World, dice: &mut Dice, a: PhoneId, b: PhoneId) -> Vec<(u64, Act)> {
    let answer_ms = 200 + dice.below(4_000);
    w[b].habits.on_invite = match dice.below(10) {
        0 => vec![(20, Reply::status(486))],
        1 => vec![(20, ring()), (answer_ms, Reply::status(603))],
        2 => vec![(answer_ms, ok())],
        _ => vec![(20, ring()), (answer_ms, ok())],
    };
    let number = w[b].user.clone();
    let body = if dice.below(8) == 0 { Body::None } else { Body::Auto };
    w.dial_with(a, &number, &body, "");
    let by_caller = dice.below(2) == 0;
    let plan = match dice.below(10) {
        0..3 => Plan::Cancel,
        3..7 => Plan::HangUp { by_caller },
        _ => Plan::HoldAndHangUp { by_caller },
    };
    let talk = 1_000_000 * (1 + dice.below(15));
    let start = w.now + answer_ms * 1000 + 500_000;
    match plan {
        Plan::Cancel => vec![
            (w.now + dice.below(answer_ms + 200) * 1000, Act::Cancel),
            (start + 60_000_000, Act::HangUp { by_caller }),
        ],
        Plan::HangUp { by_caller } => vec![
            (start + talk, Act::HangUp { by_caller }),
            (start + talk + 40_000_000, Act::HangUp { by_caller: !by_caller }),
        ],
        Plan::HoldAndHangUp { by_caller } => {
            let holder = dice.below(2) == 0;
            // Now and then both reach for the button.
            let other = if dice.below(4) == 0 { !holder } else { holder };
            vec![
                (start + talk, Act::Modify { by_caller: other, holds: true }),
                (start + talk, Act::Modify { by_caller: holder, holds: true }),
                (start + 2 * talk, Act::Modify { by_caller: holder, holds: false }),
                (start + 3 * talk, Act::HangUp { by_caller }),
                (start + 3 * talk + 40_000_000, Act::HangUp { by_caller: !by_caller }),
            ]
        }
    }
}

#[test]
fn a_thousand_calls_over_a_bad_network_leave_nothing_behind() {
    let mut w = world(7, &Trouble { loss: 20, duplicates: 20, jitter_us: 30_000 });
    let mut dice = Dice::new(99);
    let causes = play(&mut w, &mut dice, 1_000);
    w.assert_empty();
    assert_eq!(w.records.len(), causes.values().sum::<usize>());
    // Every call that got through to us has a record; of a caller whose own INVITE never did we know nothing.
    assert!(w.records.len() >= 990, "{} records", w.records.len());
    let expected = ["busy", "cancelled", "declined", "normal"];
    assert_eq!(causes.keys().copied().collect::<Vec<_>>(), expected, "{causes:?}");
}

/// A network that nobody would talk over: what comes of a call is open, what is left of it is not.
#[test]
fn calls_over_a_terrible_network_leave_nothing_behind() {
    for seed in 11..15 {
        let mut w = world(seed, &Trouble { loss: 0, duplicates: 0, jitter_us: 0 });
        (w.net.loss, w.net.duplicates, w.net.jitter_us) = (200, 100, 800_000);
        let causes = play(&mut w, &mut Dice::new(u64::from(seed)), 120);
        w.run_for(100_000);
        (w.net.loss, w.net.duplicates) = (0, 0);
        w.assert_empty();
        assert!(!causes.contains_key("internal.panic"));
    }
}

#[test]
fn a_thousand_calls_over_a_good_network_end_as_their_parties_wanted() {
    let mut w = world(8, &Trouble { loss: 0, duplicates: 0, jitter_us: 0 });
    let mut dice = Dice::new(5);
    let causes = play(&mut w, &mut dice, 1_000);
    w.assert_empty();
    assert_eq!(w.records.len(), 1_000);
    let expected = ["busy", "cancelled", "declined", "normal"];
    assert_eq!(causes.keys().copied().collect::<Vec<_>>(), expected, "{causes:?}");
}

#[test]
fn the_same_seed_gives_the_same_wire() {
    let story = || {
        let mut w = world(3, &Trouble { loss: 30, duplicates: 30, jitter_us: 50_000 });
        play(&mut w, &mut Dice::new(4), 60);
        w.wires.iter().map(|wire| format!("{} {:?}", wire.at, wire.text)).collect::<Vec<_>>()
    };
    assert!(story() == story(), "a call replays bit for bit");
}
