//! What calls tell of trunks: who is tried last for it, and who is told.

use super::*;
use crate::switch::health::{Change, Figures, Outcome, Place};
use crate::switch::snapshot::Trunk;

impl Switchboard {
    /// An INVITE to a trunk came to its end.
    pub(super) fn trunk_tried(
        &mut self,
        now: Instant,
        (trunk, place): (&str, Place),
        outcome: Outcome,
        out: &mut Vec<Output>,
    ) {
        // A call may outlive its trunk's configuration.
        let Some(trunk) = self.snapshot.trunk(trunk) else { return };
        let change = self.healths.count(now, (&trunk.name, place), outcome, &trunk.health);
        out.extend(change.map(told));
    }

    pub(super) fn run_healths(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.healths.next_timeout().is_none_or(|at| at > now) {
            return;
        }
        let snapshot = &self.snapshot;
        let bounds = |name: &str| snapshot.trunk(name).map(|trunk| &trunk.health);
        out.extend(self.healths.handle_timeout(now, bounds).into_iter().map(told));
    }

    /// Is this a place that is tried last: one that failed of late, or that carries too few calls?
    pub(super) fn is_tried_last(&self, now: Instant, trunk: &str, dest: &Dest) -> bool {
        self.healths.is_last(trunk, dest.address()) || self.is_backing_off(now, dest)
    }

    /// The figures of a trunk, and why places of it are tried last.
    pub(super) fn health_of(&self, now: Instant, trunk: &Trunk) -> (Figures, Vec<String>) {
        let why = |place: Place| {
            let why = self.healths.of_place(now, &trunk.name, place).why_last(&trunk.health)?;
            Some(match place {
                Some(address) => format!("{address} is tried last: {why}"),
                None => format!("tried last: {why}"),
            })
        };
        let words = self.healths.last_of(&trunk.name).filter_map(why).collect();
        (self.healths.of(now, &trunk.name), words)
    }
}

fn told(change: Change) -> Output {
    let kind = if change.why.is_some() { "trunk.poor" } else { "trunk.recovered" };
    let place = change.place.map(|place| place.to_string()).unwrap_or_default();
    let reason = change.why.unwrap_or_default();
    let fields = vec![("trunk", change.trunk), ("place", place), ("reason", reason)];
    Output::Event { kind, fields }
}
