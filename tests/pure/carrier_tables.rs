//! The tables of the simulated carrier themselves: every quirk has a name of its own, and names what it stands for.

use std::collections::BTreeSet;

use crate::sim::carrier::registrar::HABITS;
use crate::sim::carrier::{PLAIN, all};

/// Rows of the catalogue of wire cases that no quirk may be taken away from without another one for it.
const ROWS: [u16; 62] = [
    2, 4, 12, 13, 17, 20, 21, 22, 23, 25, 26, 28, 29, 30, 32, 33, 36, 37, 46, 54, 55, 60, 65, 66,
    69, 70, 72, 73, 74, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 89, 90, 91, 92, 93, 94, 95, 96, 97,
    99, 101, 102, 103, 104, 106, 107, 108, 109, 112, 113, 114, 115, 116,
];

/// The same for transfer, subscriptions and messages.
const REQUESTS: [u16; 15] =
    [117, 118, 120, 122, 123, 125, 126, 127, 128, 129, 130, 131, 134, 135, 137];

#[test]
fn every_quirk_has_a_name_and_rows_of_its_own() {
    let quirks = all().into_iter().filter(|quirk| quirk.name != PLAIN.name);
    let named = quirks.map(|quirk| (quirk.name, quirk.rows));
    let habits = HABITS.iter().map(|habit| (habit.name, habit.rows));
    let (mut names, mut rows) = (BTreeSet::new(), BTreeSet::new());
    for (name, own) in named.chain(habits) {
        assert!(names.insert(name), "{name} is there twice");
        assert!(!own.is_empty(), "{name} stands for no row");
        rows.extend(own.iter().copied());
    }
    let missing: Vec<_> = ROWS.iter().chain(&REQUESTS).filter(|row| !rows.contains(row)).collect();
    assert!(missing.is_empty(), "no quirk stands for {missing:?}");
    assert!(names.len() > 190, "{} quirks", names.len());
}
