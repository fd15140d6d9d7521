//! The INVITE client transaction: RFC 3261 Figure 5 with the Accepted state of RFC 6026 §7.2.

use std::time::Duration;

use super::{Output, Setting, earliest, fire};
use crate::proto::time::Instant;

/// Where the transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Sent, nothing came back.
    Calling,
    /// A provisional response came.
    Proceeding,
    /// A 300 to 699 came and was acknowledged.
    Completed,
    /// A 2xx came; further ones are passed up (RFC 6026).
    Accepted,
    /// Gone.
    Terminated,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// 1xx.
    Provisional,
    /// 2xx.
    Success,
    /// 3xx to 6xx.
    Failure,
    /// Retransmit.
    TimerA,
    /// Nobody answered.
    TimerB,
    /// Retransmitted finals are over.
    TimerD,
    /// Further 2xx are over.
    TimerM,
    /// The request could not be sent.
    TransportError,
}

/// The figure; `None` means "absorbed in this state".
fn step(state: State, input: Input) -> Option<(State, Option<Output>)> {
    use Input as I;
    use State as S;
    Some(match (state, input) {
        (S::Calling | S::Proceeding, I::Provisional) => (S::Proceeding, Some(Output::PassUp)),
        (S::Calling | S::Proceeding, I::Success) => (S::Accepted, Some(Output::PassUp)),
        (S::Calling | S::Proceeding, I::Failure) => (S::Completed, Some(Output::PassUp)),
        (S::Calling, I::TimerA) => (S::Calling, Some(Output::Transmit)),
        // In Proceeding, B runs only after our CANCEL (RFC 3261 §9.1).
        (S::Calling | S::Proceeding, I::TimerB) => (S::Terminated, Some(Output::TimedOut)),
        (S::Calling | S::Proceeding, I::TransportError) => {
            (S::Terminated, Some(Output::TransportFailed))
        }
        (S::Completed, I::Failure) => (S::Completed, Some(Output::Ack)),
        (S::Completed, I::TransportError) => (S::Terminated, Some(Output::TransportFailed)),
        (S::Completed, I::TimerD) | (S::Accepted, I::TimerM) => (S::Terminated, None),
        (S::Accepted, I::Success) => (S::Accepted, Some(Output::PassUp)),
        _ => return None,
    })
}

/// One INVITE client transaction; it begins when the request has been sent once.
#[derive(Debug)]
pub struct ClientInvite {
    setting: Setting,
    /// Where it is.
    pub state: State,
    timer_a: Option<Instant>,
    interval_a: Duration,
    timer_b: Option<Instant>,
    timer_d: Option<Instant>,
    timer_m: Option<Instant>,
}

impl ClientInvite {
    /// The request was just sent.
    #[must_use]
    pub fn new(setting: Setting, now: Instant) -> Self {
        let t1 = setting.timers.t1;
        Self {
            setting,
            state: State::Calling,
            timer_a: (!setting.is_reliable).then_some(now + t1),
            interval_a: t1,
            timer_b: Some(now + setting.timers.give_up()),
            timer_d: None,
            timer_m: None,
        }
    }

    /// A response came, or the transport failed.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let Some((next, output)) = step(self.state, input) else { return };
        out.extend(output);
        if input == Input::Failure && self.state != State::Completed {
            out.push(Output::Ack);
        }
        if next == self.state {
            return;
        }
        (self.timer_a, self.timer_b) = (None, None);
        match next {
            State::Completed => {
                self.timer_d = Some(now + self.setting.linger(self.setting.timers.d()));
            }
            State::Accepted => self.timer_m = Some(now + self.setting.timers.give_up()),
            _ => {}
        }
        self.state = next;
    }

    /// Our CANCEL was sent: without a final response the transaction ends after 64 T1 (RFC 3261 §9.1).
    pub fn cancelled(&mut self, now: Instant) {
        if matches!(self.state, State::Calling | State::Proceeding) {
            self.timer_b = Some(now + self.setting.timers.give_up());
        }
    }

    /// When it next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        earliest([self.timer_a, self.timer_b, self.timer_d, self.timer_m])
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        if fire(&mut self.timer_b, now) {
            self.handle(now, Input::TimerB, out);
        }
        if fire(&mut self.timer_a, now) {
            self.interval_a *= 2;
            self.timer_a = Some(now + self.interval_a);
            self.handle(now, Input::TimerA, out);
        }
        if fire(&mut self.timer_d, now) {
            self.handle(now, Input::TimerD, out);
        }
        if fire(&mut self.timer_m, now) {
            self.handle(now, Input::TimerM, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_5() {
        use Input as I;
        use State as S;
        insta::assert_snapshot!(super::super::grid(
            &[S::Calling, S::Proceeding, S::Completed, S::Accepted, S::Terminated],
            &[
                I::Provisional,
                I::Success,
                I::Failure,
                I::TimerA,
                I::TimerB,
                I::TimerD,
                I::TimerM,
                I::TransportError
            ],
            step
        ));
    }
}
