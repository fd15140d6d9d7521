//! The non-INVITE server transaction: RFC 3261 Figure 8.

use super::{Output, Setting, fire};
use crate::proto::time::Instant;

/// Where the transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The user is working on it; nothing was sent.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// A final response was sent.
    Completed,
    /// Gone.
    Terminated,
}

/// What happens to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The request again.
    Request,
    /// The user sends 1xx.
    Provisional,
    /// The user sends 2xx to 6xx.
    Final,
    /// Retransmitted requests are over.
    TimerJ,
    /// The response could not be sent.
    TransportError,
}

/// The figure; `None` means "absorbed in this state".
fn step(state: State, input: Input) -> Option<(State, Option<Output>)> {
    use Input as I;
    use State as S;
    Some(match (state, input) {
        (S::Trying | S::Proceeding, I::Provisional) => (S::Proceeding, Some(Output::Transmit)),
        (S::Trying | S::Proceeding, I::Final) => (S::Completed, Some(Output::Transmit)),
        (S::Proceeding | S::Completed, I::Request) => (state, Some(Output::Transmit)),
        (S::Proceeding | S::Completed, I::TransportError) => {
            (S::Terminated, Some(Output::TransportFailed))
        }
        (S::Completed, I::TimerJ) => (S::Terminated, None),
        _ => return None,
    })
}

/// One non-INVITE server transaction.
#[derive(Debug)]
pub struct ServerNonInvite {
    setting: Setting,
    /// Where it is.
    pub state: State,
    /// Past this, a request that its user never answered is dropped in silence (RFC 4320 §4.2).
    abandoned: Option<Instant>,
    timer_j: Option<Instant>,
}

impl ServerNonInvite {
    /// The request just came.
    #[must_use]
    pub fn new(setting: Setting, now: Instant) -> Self {
        let abandoned = Some(now + setting.timers.give_up());
        Self { setting, state: State::Trying, abandoned, timer_j: None }
    }

    /// A message came, or the user responds.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        let Some((next, output)) = step(self.state, input) else { return };
        out.extend(output);
        if next == State::Completed && self.state != next {
            self.abandoned = None;
            self.timer_j = Some(now + self.setting.linger(self.setting.timers.give_up()));
        }
        self.state = next;
    }

    /// When it next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        super::earliest([self.timer_j, self.abandoned])
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        if fire(&mut self.timer_j, now) {
            self.handle(now, Input::TimerJ, out);
        }
        if fire(&mut self.abandoned, now) {
            // A 408 now would reach a client that has given up: RFC 4320 §4.2 forbids it.
            self.state = State::Terminated;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figure_8() {
        use Input as I;
        use State as S;
        insta::assert_snapshot!(super::super::grid(
            &[S::Trying, S::Proceeding, S::Completed, S::Terminated],
            &[I::Request, I::Provisional, I::Final, I::TimerJ, I::TransportError],
            step
        ));
    }
}
