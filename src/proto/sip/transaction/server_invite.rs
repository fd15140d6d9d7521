//! The INVITE server transaction: RFC 3261 Figure 7 with the Accepted state of RFC 6026 §7.1.

use std::time::Duration;

use super::{Output, Setting, earliest, fire};
use crate::proto::time::Instant;

/// Where the transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The user is working on it.
    Proceeding,
    /// A 300 to 699 was sent; the ACK is awaited.
    Completed,
    /// The ACK came.
    Confirmed,
    /// A 2xx was sent: the user retransmits it, the transaction absorbs INVITEs (RFC 6026).
    Accepted,
    /// Gone.
    Terminated,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The INVITE again.
    Invite,
    /// An ACK.
    Ack,
    /// The user sends 1xx.
    Provisional,
    /// The user sends 2xx.
    Success,
    /// The user sends 3xx to 6xx.
    Failure,
    /// Retransmit the final response.
    TimerG,
    /// No ACK came.
    TimerH,
    /// Retransmitted ACKs are over.
    TimerI,
    /// Retransmitted INVITEs are over.
    TimerL,
    /// The response could not be sent.
    TransportError,
}

/// The figure; `None` means "absorbed in this state".
fn step(state: State, input: Input) -> Option<(State, Option<Output>)> {
    use Input as I;
    use State as S;
    Some(match (state, input) {
        (S::Proceeding, I::Invite | I::Provisional) => (S::Proceeding, Some(Output::Transmit)),
        (S::Proceeding, I::Success) => (S::Accepted, Some(Output::Transmit)),
        (S::Proceeding, I::Failure) => (S::Completed, Some(Output::Transmit)),
        (S::Completed, I::Invite | I::TimerG) => (S::Completed, Some(Output::Transmit)),
        (S::Completed, I::Ack) => (S::Confirmed, None),
        (S::Completed, I::TimerH) => (S::Terminated, Some(Output::TimedOut)),
        (S::Confirmed, I::TimerI) | (S::Accepted, I::TimerL) => (S::Terminated, None),
        (S::Accepted, I::Success) => (S::Accepted, Some(Output::Transmit)),
        (S::Accepted, I::Ack) => (S::Accepted, Some(Output::PassUp)),
        (S::Proceeding | S::Completed | S::Accepted, I::TransportError) => {
            (state, Some(Output::TransportFailed))
        }
        _ => return None,
    })
}

/// One INVITE server transaction.
#[derive(Debug)]
pub struct ServerInvite {
    setting: Setting,
    /// Where it is.
    pub state: State,
    timer_g: Option<Instant>,
    interval_g: Duration,
    timer_h: Option<Instant>,
    timer_i: Option<Instant>,
    timer_l: Option<Instant>,
}

impl ServerInvite {
    /// The INVITE just came.
    #[must_use]
    pub const fn new(setting: Setting) -> Self {
        Self {
            setting,
            state: State::Proceeding,
            timer_g: None,
            interval_g: Duration::ZERO,
            timer_h: None,
            timer_i: None,
            timer_l: None,
        }
    }

    /// A message came, or the user responds.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let Some((next, output)) = step(self.state, input) else { return };
        out.extend(output);
        if next == self.state {
            return;
        }
        let timers = self.setting.timers;
        (self.timer_g, self.timer_h) = (None, None);
        match next {
            State::Completed => {
                self.interval_g = timers.t1;
                self.timer_g = (!self.setting.is_reliable).then_some(now + timers.t1);
                self.timer_h = Some(now + timers.give_up());
            }
            State::Confirmed => self.timer_i = Some(now + self.setting.linger(timers.t4)),
            State::Accepted => self.timer_l = Some(now + timers.give_up()),
            _ => {}
        }
        self.state = next;
    }

    /// When it next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        earliest([self.timer_g, self.timer_h, self.timer_i, self.timer_l])
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        if fire(&mut self.timer_h, now) {
            self.handle(now, Input::TimerH, out);
        }
        if fire(&mut self.timer_g, now) {
            self.interval_g = (self.interval_g * 2).min(self.setting.timers.t2);
            self.timer_g = Some(now + self.interval_g);
            self.handle(now, Input::TimerG, out);
        }
        if fire(&mut self.timer_i, now) {
            self.handle(now, Input::TimerI, out);
        }
        if fire(&mut self.timer_l, now) {
            self.handle(now, Input::TimerL, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_7() {
        use Input as I;
        use State as S;
        insta::assert_snapshot!(super::super::grid(
            &[S::Proceeding, S::Completed, S::Confirmed, S::Accepted, S::Terminated],
            &[
                I::Invite,
                I::Ack,
                I::Provisional,
                I::Success,
                I::Failure,
                I::TimerG,
                I::TimerH,
                I::TimerI,
                I::TimerL,
                I::TransportError
            ],
            step
        ));
    }
}
