//! A leg goes from one call to another: attended transfer (RFC 3891).

use super::*;
use crate::proto::sip::endpoint::Large;
use crate::proto::sip::session::{Out, Replaces};
use crate::switch::call::{Handed, Leg};
use crate::switch::cause;

impl Switchboard {
    /// A call wants the party that one of its phones talks to in another call. The phone may name only
    /// dialogs of its own.
    pub(super) fn fetch(
        &self,
        call: CallId,
        replaces: &Replaces,
        by: &(String, String),
        bound: IpAddr,
        out: &mut Vec<Output>,
    ) {
        let asker = self.dialogs.get(by).map(|entry| &entry.peer);
        // Which tag is ours depends on who counts (RFC 3891 §3): both are tried.
        let found = replaces.tags.iter().find_map(|tag| {
            let key = (replaces.call_id.clone(), tag.clone());
            self.dialogs.get(&key).map(|entry| (key, entry))
        });
        let refusal = match found {
            Some((key, entry)) if entry.call != call && asker == Some(&entry.peer) => {
                let wanted = call::Input::Wanted { leg: key, to: call, bound };
                return to_call(entry.call, wanted, out);
            }
            Some(_) => &cause::FORBIDDEN,
            None => &cause::DIALOG_LOST,
        };
        to_call(call, call::Input::Fetched(Err(refusal)), out);
    }

    /// A call gives somebody away, or cannot.
    pub(super) fn hand_over(
        &mut self,
        now: Instant,
        from: CallId,
        to: CallId,
        handed: Option<Handed>,
        out: &mut Vec<Output>,
    ) {
        let leg = match handed {
            Some(Handed::Leg(leg)) => leg,
            Some(number) => return to_call(to, call::Input::Fetched(Ok(number)), out),
            None => return to_call(to, call::Input::Fetched(Err(&cause::PEER_REFUSED)), out),
        };
        let key = leg.key();
        if let Some(entry) = self.calls.get_mut(&from) {
            entry.dialogs.retain(|known| *known != key);
        }
        let Some(entry) = self.calls.get_mut(&to) else {
            return self.hang_up_leg(now, *leg, out);
        };
        entry.dialogs.push(key.clone());
        self.subscriptions.line_moves(from, &key, to);
        if let Some(entry) = self.dialogs.get_mut(&key) {
            entry.call = to;
        }
        for client in leg.clients() {
            self.endpoint.give_to(*client, Owner(to.0));
        }
        to_call(to, call::Input::Fetched(Ok(Handed::Leg(leg))), out);
    }

    /// Nobody is there to take the leg: its peer is hung up.
    fn hang_up_leg(&mut self, now: Instant, mut leg: Leg, out: &mut Vec<Output>) {
        let source = self.dialogs.remove(&leg.key()).and_then(|dialog| dialog.counted);
        if let Some(ip) = source {
            self.guard.dialog(ip, false);
        }
        let mut sip = Vec::new();
        leg.session.hang_up(480, None, &mut sip);
        for item in sip {
            self.with_endpoint(now, out, |endpoint, events| match item {
                Out::Send { client, dest, method, request } => {
                    let large = Large::Datagram;
                    endpoint.request(now, client, NOBODY, dest, &method, &request, large, events);
                }
                Out::SendAck { dest, request } => {
                    endpoint.send_ack(now, dest, &request, events);
                }
                Out::Cancel { .. } | Out::Respond { .. } | Out::Event(_) => {}
            });
        }
    }
}
