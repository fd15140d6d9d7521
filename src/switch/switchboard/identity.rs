//! Who a call is shown as when it begins here, and when a phone sends it elsewhere.

use super::devices::Wanted;
use super::*;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::identity::Privacy;
use crate::proto::sip::registration::gruu::Device;
use crate::switch::call::Why;
use crate::switch::cause::{self, Cause};
use crate::switch::identity::{Caller, Diverted, Numbering, answer_wish, caller_of, referred_by};
use crate::switch::route::{Decision, decide};
use crate::switch::snapshot::OtherFrom;

/// Who calls whom, by an INVITE.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) caller: Caller,
    pub(super) dialled: String,
    /// The one device that is meant.
    pub(super) device: Option<Device>,
}

impl Switchboard {
    /// Reads who calls and whom. A trunk's numbers become canonical by its dialect; a phone may dial a prefix that
    /// withholds its number.
    pub(super) fn read_wish(&self, origin: &Origin, request: &Message) -> Wish {
        let mut caller = caller_of(&self.snapshot, origin, request);
        let Wanted { number: mut dialled, device } =
            self.wanted(request.uri(), calls::dialled(request));
        match origin {
            Origin::Trunk(name) => {
                if let Some(trunk) = self.snapshot.trunk(name) {
                    let numbering = Numbering::of(&self.snapshot.dial, &trunk.dialect);
                    dialled = numbering.received(&dialled, trunk.dialect.receives);
                }
            }
            Origin::Phone(_) | Origin::Operator(_) => {
                let prefix = self.snapshot.dial.withhold_prefix.as_str();
                let bare = Some(prefix).filter(|prefix| !prefix.is_empty());
                let bare = bare.and_then(|prefix| dialled.strip_prefix(prefix));
                if let Some(bare) = bare.filter(|bare| !bare.is_empty()).map(str::to_owned) {
                    caller.shown.is_withheld = true;
                    dialled = bare;
                }
            }
        }
        Wish { caller, dialled, device }
    }

    /// May the From of a phone's call name whom it names? Anonymous is nobody else, and help is refused to nobody.
    pub(super) fn is_own_identity(
        &self,
        origin: &Origin,
        request: &Message,
    ) -> Result<(), &'static Cause> {
        let Origin::Phone(extension) = origin else { return Ok(()) };
        let Some(user) = from_user(request) else { return Ok(()) };
        if self.is_emergency(request) {
            return Ok(());
        }
        let is_own = user.eq_ignore_ascii_case("anonymous") || self.is_number_of(extension, &user);
        match self.snapshot.sip.other_from {
            OtherFrom::Refuse if !is_own => Err(&cause::OTHER_IDENTITY),
            _ => Ok(()),
        }
    }

    /// Can a call do what its INVITE insists on: privacy of a kind that we know (RFC 3323 §5), an answer without a hand
    /// (RFC 5373 §4.2.2)? With the refusal what it was, for the timeline.
    pub(super) fn is_served(
        &self,
        origin: &Origin,
        wish: (&Caller, &str),
        request: &Message,
    ) -> Result<(), (&'static Cause, String)> {
        let (caller, dialled) = wish;
        if self.is_emergency(request) {
            return Ok(());
        }
        if let Some(unknown) = Privacy::of(request).unserved() {
            return Err((&cause::NO_PRIVACY, format!("no privacy of the kind {unknown}")));
        }
        if answer_wish(request) != Some(true) {
            return Ok(());
        }
        let phone = match decide(&self.snapshot, origin, dialled) {
            Ok(Decision::Phone { extension, .. }) => self.snapshot.phone(&extension),
            _ => None,
        };
        let may = caller.answer_by.as_ref().zip(phone);
        if !may.is_some_and(|(by, phone)| phone.auto_answer_for.contains(by)) {
            let text = format!("{dialled} does not answer by itself for who calls");
            return Err((&cause::FORBIDDEN, text));
        }
        Ok(())
    }

    /// A call sent elsewhere by the phone it rang, or that a phone transfers: that phone's rights decide.
    /// Inside, the new phone is shown who calls; outside, the call leaves under the number of the phone that
    /// sent it there, unless the trunk takes that of who calls.
    pub(super) fn locate(
        &mut self,
        now: Instant,
        call: CallId,
        wanted: &call::Locate,
        out: &mut Vec<Output>,
    ) {
        let Some(entry) = self.calls.get(&call) else { return };
        let is_sips = entry.is_sips;
        let peer_of = |key: &(String, String)| self.dialogs.get(key).map(|entry| &entry.peer);
        let by = match &wanted.by {
            Some(key) => peer_of(key),
            None => entry
                .dialogs
                .iter()
                .filter_map(peer_of)
                .rfind(|peer| matches!(peer, Origin::Phone(_))),
        };
        let by = by.cloned();
        let mut shown = entry.caller.clone();
        let hidden = Some(&entry.caller.shown).filter(|shown| shown.is_withheld);
        let hidden = hidden.map(|shown| shown.number.clone());
        if let Some(other) = &wanted.shown {
            shown = Caller { diverted: shown.diverted, ..Caller::default() };
            shown.shown = other.clone();
        }
        // Whoever asked for it, asked one phone.
        shown.answer_by = None;
        let Some(Origin::Phone(extension)) = by else {
            return to_call(call, call::Input::Located(Err(&cause::FORBIDDEN)), out);
        };
        let own = self.named(&extension);
        let own_is_withheld = own.shown.is_withheld;
        let hides_in_call = hidden.is_some_and(|number| self.is_number_of(&extension, &number));
        if let Why::Redirected(reason) = wanted.why {
            let withholds = own_is_withheld;
            let (number, name) = (extension.clone(), own.shown.name.clone());
            let by = Diverted { number, name, reason, is_private: withholds };
            shown.was_diverted(by);
            if let Some(entry) = self.calls.get_mut(&call) {
                entry.caller.diverted.clone_from(&shown.diverted);
            }
        }
        let found = wanted.uri.as_deref().map(|uri| self.wanted(uri, wanted.dialled.clone()));
        let (dialled, device) = match &found {
            Some(found) => (&found.number, found.device.as_ref()),
            None => (&wanted.dialled, None),
        };
        let origin = Origin::Phone(extension.clone());
        let caller = self.as_seen_there(now, &origin, (shown, own), dialled);
        let mut planned = self.planned(now, &origin, &caller, dialled, out);
        // Who withholds his number, for good or in this call, is not told to whom he hands it.
        let is_told =
            wanted.why == Why::Transferred { is_told: true } && !own_is_withheld && !hides_in_call;
        if let (true, Ok(plan)) = (is_told, &mut planned.plan) {
            for target in plan.groups.iter_mut().flatten() {
                let trunk = target.is_trunk.then_some(target.party.as_str());
                let host = crate::proto::sip::transport::Host::Ip(target.media_ip).to_string();
                let by = referred_by(&self.snapshot, &extension, trunk, &host);
                let by: Vec<_> = by.map(|by| (HeaderName::ReferredBy, by)).into_iter().collect();
                target.add_headers(&by);
            }
        }
        self.charge(now, call, planned.charges);
        let is_kept = is_sips && !planned.is_emergency;
        let plan = planned.plan;
        let plan = plan.and_then(|plan| if is_kept { calls::only_secure(plan) } else { Ok(plan) });
        let plan = plan.and_then(|plan| self.only_device(now, device, plan));
        // A room is on a thread of its own choice, and a call that lives stays on its thread.
        let is_room = |plan: &call::Plan| plan.visit.is_some();
        let plan =
            plan.and_then(|plan| if is_room(&plan) { Err(&cause::NO_WAY_IN) } else { Ok(plan) });
        to_call(call, call::Input::Located(plan), out);
    }

    /// Who is shown where a phone sends a call: inside whoever calls, outside the phone itself.
    pub(super) fn as_seen_there(
        &mut self,
        now: Instant,
        origin: &Origin,
        (shown, own): (Caller, Caller),
        dialled: &str,
    ) -> Caller {
        let goes_inside = self.snapshot.phone(dialled).is_some() || {
            let inner = self.plan(now, origin, &shown, dialled);
            inner.is_ok_and(|plan| !plan.groups.iter().flatten().any(|target| target.is_trunk))
        };
        if goes_inside {
            return shown;
        }
        let original = Some(Box::new(shown.shown));
        Caller { original, diverted: shown.diverted, user_to_user: shown.user_to_user, ..own }
    }

    /// Is this the phone's own number, or one of its identities?
    fn is_number_of(&self, extension: &str, number: &str) -> bool {
        let rights = self.snapshot.phone(extension).map(|phone| &phone.rights);
        number == extension
            || rights.is_some_and(|rights| rights.identities.iter().any(|own| own == number))
    }

    /// An extension as a caller, with its name if it has one.
    pub(super) fn named(&self, extension: &str) -> Caller {
        let phone = self.snapshot.phone(extension);
        let mut caller = Caller::new(extension, phone.map_or("", |phone| phone.name.as_str()));
        caller.shown.is_withheld = phone.is_some_and(|phone| phone.withhold);
        caller
    }
}

/// The user in a From.
fn from_user(request: &Message) -> Option<String> {
    let from = request.text(HeaderName::From).unwrap_or_default();
    let uri = NameAddr::parse(&from).ok()?.parsed_uri()?;
    Some(uri.dialled().into_owned()).filter(|user| !user.is_empty())
}
