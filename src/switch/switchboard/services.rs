//! Service codes: a phone switches something on or off, and calls to it go by what is on.

use super::*;
use crate::proto::sip::identity::Reason;
use crate::switch::call::Plan;
use crate::switch::cause::{self, Cause};
use crate::switch::identity::Diverted;
use crate::switch::route::{self, Decision, decide};
use crate::switch::services::{PhoneServices, Wish};

/// How often one call may be forwarded before anybody rings.
const FORWARDS_MAX: usize = 5;

/// Where a call goes by the services of the phone that it was for.
#[derive(Debug)]
pub(super) struct SentOn {
    pub(super) origin: Origin,
    pub(super) caller: Caller,
    pub(super) dialled: String,
    /// For the timeline.
    pub(super) remark: String,
}

impl Switchboard {
    /// What phones have switched on.
    #[must_use]
    pub const fn services(&self) -> &BTreeMap<String, PhoneServices> {
        &self.services
    }

    /// Puts back what was stored before a restart. False if there is no such phone any more: whoever gets its extension
    /// later must not find it.
    pub fn restore_services(&mut self, extension: &str, services: PhoneServices) -> bool {
        let is_known = self.snapshot.phone(extension).is_some();
        if is_known && !services.is_plain() {
            self.services.insert(extension.to_owned(), services);
        }
        is_known
    }

    /// Forgets phones that are no longer configured.
    pub(super) fn sync_services(&mut self, out: &mut Vec<Output>) {
        let gone: Vec<_> = self
            .services
            .keys()
            .filter(|name| self.snapshot.phone(name).is_none())
            .cloned()
            .collect();
        for extension in gone {
            self.services.remove(&extension);
            out.push(Output::StoreServices { extension, services: PhoneServices::default() });
        }
    }

    /// Switches everything off that a phone has on. False if there is no such phone.
    pub fn clear_services(&mut self, extension: &str, out: &mut Vec<Output>) -> bool {
        if self.snapshot.phone(extension).is_none() {
            return false;
        }
        if self.services.remove(extension).is_some() {
            self.services_changed(extension, "all is off", out);
        }
        true
    }

    fn services_changed(&self, extension: &str, words: &str, out: &mut Vec<Output>) {
        let services = self.services.get(extension).cloned().unwrap_or_default();
        let fields = vec![("extension", extension.to_owned()), ("what", words.to_owned())];
        out.push(Output::Event { kind: "phone.service", fields });
        out.push(Output::StoreServices { extension: extension.to_owned(), services });
    }

    /// Serves the code that a phone dialled: the plan of a call that rings nobody, and what it did. `None` if it is no
    /// code, or who dialled it is no phone.
    pub(super) fn serve_code(
        &mut self,
        origin: &Origin,
        dialled: &str,
        out: &mut Vec<Output>,
    ) -> Option<Result<Plan, &'static Cause>> {
        let Origin::Phone(extension) = origin else { return None };
        let wish = self.snapshot.codes.read(dialled)?;
        if matches!(wish, Wish::Incomplete(_)) {
            return Some(Err(&cause::INVALID_NUMBER));
        }
        // What it could not dial itself it cannot have dialled for it.
        if let Wish::On(_, Some(number)) = &wish
            && let Err(cause) = self.may_forward(extension, number)
        {
            return Some(Err(cause));
        }
        let own = self.services.entry(extension.clone()).or_default();
        let words = own.set(&wish);
        self.services.retain(|_, own| !own.is_plain());
        self.services_changed(extension, &words, out);
        let because = format!("service code: {words}");
        Some(Ok(Plan { because, ..Plan::default() }))
    }

    /// May a phone send its calls to this number? Not to itself, and nowhere that it may not dial.
    fn may_forward(&self, extension: &str, number: &str) -> Result<(), &'static Cause> {
        let origin = Origin::Phone(extension.to_owned());
        if route::emergency(&self.snapshot, &origin, number).is_some() {
            return Err(&cause::FORBIDDEN);
        }
        match decide(&self.snapshot, &origin, number)? {
            Decision::Phone { extension: to, .. } if to == extension => Err(&cause::LOOP),
            _ => self.is_class_open(extension, number),
        }
    }

    /// Follows the services of whom a call is for, until somebody is to be rung. `None`: it goes where it was dialled to.
    pub(super) fn sent_on(
        &mut self,
        now: Instant,
        origin: &Origin,
        caller: &Caller,
        dialled: &str,
    ) -> Result<Option<SentOn>, (&'static Cause, String)> {
        let mut on: Option<SentOn> = None;
        if self.services.is_empty() {
            return Ok(on);
        }
        for _ in 0..FORWARDS_MAX {
            let (origin, shown, dialled) = match &on {
                Some(on) => (&on.origin, &on.caller, on.dialled.as_str()),
                None => (origin, caller, dialled),
            };
            let decision = decide(&self.snapshot, origin, dialled);
            let Ok(Decision::Phone { extension, .. }) = decision else { return Ok(on) };
            let Some(own) = self.services.get(&extension) else { return Ok(on) };
            if *origin == Origin::Phone(extension.clone()) {
                // It calls itself, or has a call back that it transferred in vain.
                return Ok(on);
            }
            let is_hidden = shown.shown.is_withheld;
            if own.reject_anonymous && is_hidden && matches!(origin, Origin::Trunk(_)) {
                let words = format!("{extension} takes no calls without a number");
                return Err((&cause::ANONYMOUS_REJECTED, words));
            }
            let is_there = !self.registrar.bindings(&extension, now).is_empty();
            let (number, reason) = match own {
                PhoneServices { forward_all: Some(number), .. } => (number, Reason::Unconditional),
                PhoneServices { dnd: true, forward_busy: Some(number), .. } => {
                    (number, Reason::DoNotDisturb)
                }
                PhoneServices { dnd: true, .. } => {
                    let words = format!("{extension} does not want to be disturbed");
                    return Err((&cause::DO_NOT_DISTURB, words));
                }
                PhoneServices { forward_no_answer: Some(number), .. } if !is_there => {
                    (number, Reason::Unavailable)
                }
                _ => return Ok(on),
            };
            let dialled = number.clone();
            let remark = format!("{extension} sends the call to {dialled}");
            let shown = on.map_or_else(|| caller.clone(), |on| on.caller);
            let caller = self.as_sent_on(now, shown, &extension, &dialled, reason);
            on = Some(SentOn { origin: Origin::Phone(extension), caller, dialled, remark });
        }
        Err((&cause::LOOP, format!("forwarded {FORWARDS_MAX} times")))
    }

    /// The caller of a call that a phone sends elsewhere: inside it is who called, outside the phone itself.
    fn as_sent_on(
        &mut self,
        now: Instant,
        mut shown: Caller,
        extension: &str,
        number: &str,
        reason: Reason,
    ) -> Caller {
        let own = self.named(extension);
        let (number_of, name) = (extension.to_owned(), own.shown.name.clone());
        let is_private = own.shown.is_withheld;
        shown.was_diverted(Diverted { number: number_of, name, reason, is_private });
        // Whoever asked for an answer without a hand asked one phone.
        shown.answer_by = None;
        self.as_seen_there(now, &Origin::Phone(extension.to_owned()), (shown, own), number)
    }
}
