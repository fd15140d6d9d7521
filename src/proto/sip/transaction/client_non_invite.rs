//! The non-INVITE client transaction: RFC 3261 Figure 6.

use std::time::Duration;

use super::{Output, Setting, earliest, fire};
use crate::proto::time::Instant;

/// Where the transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Sent, nothing came back.
    Trying,
    /// A provisional response came.
    Proceeding,
    /// A final response came.
    Completed,
    /// Gone.
    Terminated,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// 1xx.
    Provisional,
    /// 2xx to 6xx.
    Final,
    /// Retransmit.
    TimerE,
    /// Nobody answered.
    TimerF,
    /// Retransmitted finals are over.
    TimerK,
    /// The request could not be sent.
    TransportError,
}

/// The figure; `None` means "absorbed in this state".
fn step(state: State, input: Input) -> Option<(State, Option<Output>)> {
    use Input as I;
    use State as S;
    Some(match (state, input) {
        (S::Trying | S::Proceeding, I::Provisional) => (S::Proceeding, Some(Output::PassUp)),
        (S::Trying | S::Proceeding, I::Final) => (S::Completed, Some(Output::PassUp)),
        (S::Trying | S::Proceeding, I::TimerE) => (state, Some(Output::Transmit)),
        (S::Trying | S::Proceeding, I::TimerF) => (S::Terminated, Some(Output::TimedOut)),
        (S::Trying | S::Proceeding, I::TransportError) => {
            (S::Terminated, Some(Output::TransportFailed))
        }
        (S::Completed, I::TimerK) => (S::Terminated, None),
        _ => return None,
    })
}

/// One non-INVITE client transaction; it begins when the request has been sent once.
#[derive(Debug)]
pub struct ClientNonInvite {
    setting: Setting,
    /// Where it is.
    pub state: State,
    timer_e: Option<Instant>,
    interval_e: Duration,
    timer_f: Option<Instant>,
    timer_k: Option<Instant>,
}

impl ClientNonInvite {
    /// The request was just sent.
    #[must_use]
    pub fn new(setting: Setting, now: Instant) -> Self {
        let t1 = setting.timers.t1;
        Self {
            setting,
            state: State::Trying,
            timer_e: (!setting.is_reliable).then_some(now + t1),
            interval_e: t1,
            timer_f: Some(now + setting.timers.give_up()),
            timer_k: None,
        }
    }

    /// A response came, or the transport failed.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let Some((next, output)) = step(self.state, input) else { return };
        out.extend(output);
        if next != self.state && matches!(next, State::Completed | State::Terminated) {
            (self.timer_e, self.timer_f) = (None, None);
        }
        if next == State::Completed && self.state != next {
            self.timer_k = Some(now + self.setting.linger(self.setting.timers.t4));
        }
        self.state = next;
    }

    /// When it next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        earliest([self.timer_e, self.timer_f, self.timer_k])
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        if fire(&mut self.timer_f, now) {
            self.handle(now, Input::TimerF, out);
        }
        if fire(&mut self.timer_e, now) {
            // Doubling stops at T2; in Proceeding it sits at T2 at once, because the peer has shown that it
            // is alive (§17.1.2.2).
            let t2 = self.setting.timers.t2;
            let doubled = (self.interval_e * 2).min(t2);
            self.interval_e = if self.state == State::Proceeding { t2 } else { doubled };
            self.timer_e = Some(now + self.interval_e);
            self.handle(now, Input::TimerE, out);
        }
        if fire(&mut self.timer_k, now) {
            self.handle(now, Input::TimerK, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_6() {
        use Input as I;
        use State as S;
        insta::assert_snapshot!(super::super::grid(
            &[S::Trying, S::Proceeding, S::Completed, S::Terminated],
            &[I::Provisional, I::Final, I::TimerE, I::TimerF, I::TimerK, I::TransportError],
            step
        ));
    }
}
