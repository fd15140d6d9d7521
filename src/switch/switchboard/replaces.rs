//! INVITE with Replaces: which call it is about, and whether its sender may (RFC 3891).

use super::admit::Asked;
use super::*;
use crate::proto::sip::session::Replaces;
use crate::switch::call::{Incoming, Replacement};

/// Dialogs that are over and still answered 603; of an older one nobody knows any more: 481.
const ENDED_MAX: usize = 512;
/// A longer Call-ID is not remembered, so that strangers cannot fill the memory with them.
const CALL_ID_MAX: usize = 256;

impl Switchboard {
    /// Serves an INVITE with Replaces; false if it has none that is read, and is a call like any other. A call
    /// for help is always one.
    pub(super) fn is_replacing(
        &mut self,
        now: Instant,
        origin: &Origin,
        caller: &Caller,
        asked: &Asked,
        out: &mut Vec<Output>,
    ) -> bool {
        if !self.snapshot.takes_replaces(origin) || self.is_emergency(&asked.request) {
            return false;
        }
        let Some(replaces) = Replaces::of(&asked.request) else { return false };
        let status = match replaces {
            Ok(replaces) => match self.replacement(origin, caller, asked, &replaces) {
                Ok((call, wish)) => {
                    self.adopt(call, asked);
                    to_call(call, call::Input::Replace(Box::new(wish)), out);
                    return true;
                }
                Err(status) => status,
            },
            Err(_) => 400,
        };
        self.refuse(now, asked, status, &[], out);
        true
    }

    /// The call that is meant, and what its sender may do there; else the status.
    fn replacement(
        &self,
        origin: &Origin,
        caller: &Caller,
        asked: &Asked,
        replaces: &Replaces,
    ) -> Result<(CallId, Replacement), u16> {
        let [to, from] = &replaces.tags;
        // We stand in the middle: either side's view of a dialog may be named (§3). RFC 2543 has no tags: "0".
        let tag = |text: &str| if text == "0" { String::new() } else { text.to_owned() };
        let views = [(to, from), (from, to)]
            .map(|(ours, theirs)| ((replaces.call_id.clone(), ours.clone()), tag(theirs)));
        let found =
            views.iter().find_map(|(key, theirs)| Some((key, theirs, self.dialogs.get(key)?)));
        let Some((key, theirs, entry)) = found else {
            let is_ended = views.iter().any(|(key, _)| self.ended.contains(key));
            return Err(if is_ended { 603 } else { 481 });
        };
        let (may_take_over, may_pick_up) = match (origin, &entry.peer) {
            (Origin::Phone(by), Origin::Phone(of)) => (by == of, self.snapshot.may_pick_up(by, of)),
            (Origin::Phone(_) | Origin::Operator(_), _) => (false, false),
            // It speaks for whoever was transferred to it, and is trusted by its setting.
            (Origin::Trunk(_), _) => (true, false),
        };
        let (contact, media_ip) =
            self.contact_towards(&Dest::Flow(asked.flow), &calls::dialled(&asked.request));
        let incoming = Incoming {
            server: asked.server,
            request: asked.request.clone(),
            flow: asked.flow,
            tag: asked.tag.clone(),
            contact,
            media_ip,
        };
        let wish = Replacement {
            leg: key.clone(),
            remote_tag: theirs.clone(),
            is_early_only: replaces.is_early_only,
            may_take_over,
            may_pick_up,
            by: origin.clone(),
            shown: caller.shown.clone(),
            incoming,
        };
        Ok((entry.call, wish))
    }

    /// Remembers a dialog that is over.
    pub(super) fn dialog_ended(&mut self, key: (String, String)) {
        if key.0.len() > CALL_ID_MAX {
            return;
        }
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(key);
    }
}
