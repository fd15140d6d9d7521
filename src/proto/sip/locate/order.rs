//! The order of servers by priority and weight (RFC 2782).

use super::Server;
use crate::proto::sip::transport::Target;
use crate::proto::token::Tokens;

/// Places that one request tries.
pub const TARGETS_MAX: usize = 16;

/// Every place, by service, priority and chance; one that is named twice keeps its first turn.
pub(super) fn order(servers: &[Server], tokens: &mut Tokens) -> Vec<Target> {
    let mut left: Vec<&Server> = servers.iter().collect();
    // Weight 0 goes first within a priority, so that it has a small chance at all.
    left.sort_by_key(|server| (server.rank, server.priority, server.weight != 0));
    let mut targets = Vec::new();
    while let Some(first) = left.first() {
        let class = (first.rank, first.priority);
        let size = left.iter().take_while(|s| (s.rank, s.priority) == class).count();
        let weights = left.iter().take(size).map(|server| server.weight);
        let server = left.remove(pick(weights, tokens));
        for target in server.targets() {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    targets.truncate(TARGETS_MAX);
    targets
}

/// The running sum of the weights, and the first place where it reaches a number drawn from 0 to the whole
/// sum, both included.
fn pick(weights: impl Iterator<Item = u16> + Clone, tokens: &mut Tokens) -> usize {
    let sum: u64 = weights.clone().map(u64::from).sum();
    let drawn = tokens.below(sum + 1);
    let mut running = 0;
    let reaches = |weight: u16| {
        running += u64::from(weight);
        running >= drawn
    };
    weights.map(reaches).position(|is_reached| is_reached).unwrap_or(0)
}
