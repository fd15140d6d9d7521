//! Who is known to be one of ours: registered flows, and sources with a phone or a call.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use super::source::Source;

/// Counted, because several bindings and calls may share an address. Bounded by what they belong to.
#[derive(Debug, Default)]
pub(super) struct Friends {
    flows_of: HashMap<String, Vec<SocketAddr>>,
    flows: HashMap<SocketAddr, u32>,
    hosts: HashMap<Source, u32>,
    dialogs: HashMap<Source, u32>,
}

fn count<K: std::hash::Hash + Eq>(map: &mut HashMap<K, u32>, key: K, is_more: bool) {
    if is_more {
        *map.entry(key).or_default() += 1;
        return;
    }
    if let Some(left) = map.get_mut(&key) {
        *left = left.saturating_sub(1);
        if *left == 0 {
            map.remove(&key);
        }
    }
}

impl Friends {
    /// The flows that an address of record is registered from now.
    pub(super) fn bound(&mut self, aor: &str, flows: Vec<SocketAddr>) {
        for flow in self.flows_of.remove(aor).unwrap_or_default() {
            count(&mut self.flows, flow, false);
            count(&mut self.hosts, Source::of(flow.ip()), false);
        }
        for flow in &flows {
            count(&mut self.flows, *flow, true);
            count(&mut self.hosts, Source::of(flow.ip()), true);
        }
        if !flows.is_empty() {
            self.flows_of.insert(aor.to_owned(), flows);
        }
    }

    /// A dialog with a peer there begins or ends.
    pub(super) fn dialog(&mut self, ip: IpAddr, is_more: bool) {
        count(&mut self.dialogs, Source::of(ip), is_more);
    }

    pub(super) fn is_registered(&self, flow: SocketAddr) -> bool {
        self.flows.contains_key(&flow)
    }

    pub(super) fn is_registered_as(&self, aor: &str, flow: SocketAddr) -> bool {
        self.flows_of.get(aor).is_some_and(|flows| flows.contains(&flow))
    }

    pub(super) fn has_dialog(&self, source: Source) -> bool {
        self.dialogs.contains_key(&source)
    }

    /// Is there a phone or a call of ours at this source?
    pub(super) fn has_any(&self, source: Source) -> bool {
        self.hosts.contains_key(&source) || self.dialogs.contains_key(&source)
    }
}
