//! Scenes that many tests begin with.

use crate::sim::office::{BACKUP, CARRIER, office};
use crate::sim::phone::{ok, ring};
use crate::sim::world::{PhoneId, World};

/// 1001 and 1002 are registered; 1002 rings when it is called.
pub fn two_phones() -> (World, PhoneId, PhoneId) {
    let mut w = World::new(office());
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    (w, a, b)
}

/// 1001 talks to 1002; nothing is under way.
pub fn talking() -> (World, PhoneId, PhoneId) {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (1000, ok())];
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true), "both sides hear each other");
    w.assert_media_agrees(a, b);
    (w, a, b)
}

/// 1001 is registered, the trunks `carrier` and `backup` are there.
pub fn with_trunks() -> (World, PhoneId, PhoneId, PhoneId) {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let (carrier, backup) = (w.party("carrier", CARRIER), w.party("backup", BACKUP));
    (w, a, carrier, backup)
}

/// Does a hear b, and b a?
pub fn heard(w: &World) -> (bool, bool) {
    let open = &w.media.open[&w.call()];
    (open.a_hears_b(), open.b_hears_a())
}

/// The cause of the only record, who hung up, and whether it was answered.
pub fn outcome(w: &World) -> (&'static str, &'static str, bool) {
    let record = w.record();
    (record.cause.key, record.hung_up_by.word(), record.answered.is_some())
}
