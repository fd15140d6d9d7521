//! What SRTP costs: nanoseconds for a G.711 packet of 20 ms, sealed and opened, by suite, and what that is of a core for a
//! call with one encrypted side.
//!
//! `cargo run --release --locked --example bench-srtp`
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a program for a terminal, which stops where it cannot go on"
)]

use std::time::Instant;

use tandem::proto::srtp::{
    GuardedLeg, Keys, LIFETIME_MAX, MATERIAL_MAX, MasterKey, Protection, Suite,
};

const PACKETS: usize = 400_000;
const ROUNDS: usize = 5;
/// Packets in a second, each way.
const RATE: f64 = 50.0;
const LONGEST: usize = 200;

fn leg(send: &MasterKey, receive: &MasterKey) -> GuardedLeg {
    let (send, receive) = (send.clone(), receive.clone());
    let mut leg = GuardedLeg::default();
    leg.set(&Protection::Keyed(Box::new(Keys { send, receive, receive_lifetime: LIFETIME_MAX })));
    leg
}

fn main() {
    for suite in Suite::ALL {
        let (one, two) =
            (MasterKey::cut(suite, &[3; MATERIAL_MAX]), MasterKey::cut(suite, &[4; MATERIAL_MAX]));
        let (mut near, mut far) = (leg(&one, &two), leg(&two, &one));
        let (mut seal, mut open) = (f64::MAX, f64::MAX);
        let mut number = 0_u16;
        for _ in 0..ROUNDS {
            let mut sealed = vec![[0_u8; LONGEST]; PACKETS];
            let mut length = 0;
            let begin = Instant::now();
            for place in &mut sealed {
                let mut packet = [0x80_u8; 172];
                packet[2..4].copy_from_slice(&number.to_be_bytes());
                number = number.wrapping_add(1);
                let bytes = near.seal_rtp(&packet).expect("a new number");
                length = bytes.len();
                place[..length].copy_from_slice(bytes);
            }
            seal = seal.min(begin.elapsed().as_nanos() as f64 / PACKETS as f64);
            let begin = Instant::now();
            for place in &mut sealed {
                far.open_rtp(&mut place[..length]).expect("of the peer's key");
            }
            open = open.min(begin.elapsed().as_nanos() as f64 / PACKETS as f64);
        }
        let share = (seal + open) * RATE / 1e9 * 100.0;
        println!(
            "{suite}: sealed in {seal:.0} ns, opened in {open:.0} ns; {share:.4} % of a core per call"
        );
    }
}
