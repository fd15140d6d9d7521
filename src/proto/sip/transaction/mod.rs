//! The four transaction machines (RFC 3261 §17 with RFC 6026), each figure one pure function.

pub mod client_invite;
pub mod client_non_invite;
pub mod server_invite;
pub mod server_non_invite;

use std::time::Duration;

use crate::proto::time::Instant;

/// The base timers of RFC 3261 Table 4.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timers {
    /// Round-trip time estimate.
    pub t1: Duration,
    /// The largest interval between retransmissions of a non-INVITE request or an INVITE response.
    pub t2: Duration,
    /// How long a message may live in the network.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}

impl Timers {
    /// The time-out of every transaction: 64 T1.
    #[must_use]
    pub fn give_up(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: longer than 64 T1 and at least 32 s over UDP (RFC 3261 §17.1.1.2).
    #[must_use]
    pub fn d(&self) -> Duration {
        self.give_up().max(Duration::from_secs(32))
    }
}

/// What every transaction machine is given beside its input.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The base timers.
    pub timers: Timers,
    /// Does the transport retransmit for us?
    pub is_reliable: bool,
}

impl Setting {
    /// A lingering timer, which is zero over a reliable transport.
    fn linger(&self, span: Duration) -> Duration {
        if self.is_reliable { Duration::ZERO } else { span }
    }
}

/// What a transaction wants done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// Give the message to the transaction user.
    PassUp,
    /// Send our request or our last response again.
    Transmit,
    /// Send the ACK for the final response that just came.
    Ack,
    /// Tell the user that nobody answered.
    TimedOut,
    /// Tell the user that the message could not be sent.
    TransportFailed,
}

/// The earlier of some deadlines.
fn earliest<const N: usize>(timers: [Option<Instant>; N]) -> Option<Instant> {
    timers.into_iter().flatten().min()
}

/// Takes a timer that is due.
fn fire(timer: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = timer.is_some_and(|at| at <= now);
    if is_due {
        *timer = None;
    }
    is_due
}

/// Writes the whole grid of a figure, one line for each state and input.
#[cfg(test)]
fn grid<S: Copy + std::fmt::Debug, I: Copy + std::fmt::Debug>(
    states: &[S],
    inputs: &[I],
    step: impl Fn(S, I) -> Option<(S, Option<Output>)>,
) -> String {
    let mut out = String::new();
    for state in states {
        for input in inputs {
            let cell = match step(*state, *input) {
                None => "-".to_owned(),
                Some((next, None)) => format!("{next:?}"),
                Some((next, Some(output))) => format!("{next:?} / {output:?}"),
            };
            out.push_str(&format!(
                "{:<12}{:<16}{cell}\n",
                format!("{state:?}"),
                format!("{input:?}")
            ));
        }
    }
    out
}
