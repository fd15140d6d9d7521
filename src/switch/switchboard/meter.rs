//! What a call may cost: classes that a phone may dial, and caps of phones and trunks.

use super::*;
use crate::switch::call::Plan;
use crate::switch::cause::{self, Cause};
use crate::switch::route;
use crate::switch::route::caps::{Caps, Whose};
use crate::switch::route::class::Class;

/// Whose minutes a call talks.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    whose: Whose,
    class: Class,
    answered: Option<Instant>,
}

/// Where a call may go, and what is to be counted if it does.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) plan: Result<Plan, &'static Cause>,
    pub(super) charges: Vec<Charge>,
    /// For the timeline: a cap, or a record that stands for several.
    pub(super) remark: Option<(&'static str, String)>,
    pub(super) is_emergency: bool,
    /// It is a service code, and rings nobody.
    pub(super) is_service: bool,
}

impl Planned {
    pub(super) const fn refused(cause: &'static Cause) -> Self {
        Self {
            plan: Err(cause),
            charges: Vec::new(),
            remark: None,
            is_emergency: false,
            is_service: false,
        }
    }

    pub(super) const fn served(plan: Plan) -> Self {
        Self {
            plan: Ok(plan),
            charges: Vec::new(),
            remark: None,
            is_emergency: false,
            is_service: true,
        }
    }
}

impl Switchboard {
    /// Where a dialled number leads now, if what it costs is allowed.
    pub(super) fn planned(
        &mut self,
        now: Instant,
        origin: &Origin,
        caller: &Caller,
        dialled: &str,
        out: &mut Vec<Output>,
    ) -> Planned {
        let on = match self.sent_on(now, origin, caller, dialled) {
            Ok(on) => on,
            Err((cause, why)) => {
                return Planned { remark: Some(("call.unserved", why)), ..Planned::refused(cause) };
            }
        };
        let (origin, caller, dialled) = match &on {
            Some(on) => (&on.origin, &on.caller, on.dialled.as_str()),
            None => (origin, caller, dialled),
        };
        let plan = self.plan(now, origin, caller, dialled);
        let is_emergency = route::emergency(&self.snapshot, origin, dialled).is_some();
        let remark = on.as_ref().map(|on| ("call.forwarded", on.remark.clone()));
        let mut planned =
            Planned { plan, charges: Vec::new(), remark, is_emergency, is_service: false };
        let (Origin::Phone(extension) | Origin::Operator(extension)) = origin else {
            return planned;
        };
        let (Ok(plan), false) = (&mut planned.plan, is_emergency) else { return planned };
        let Some(class) = route::class(&self.snapshot, dialled) else { return planned };
        let refused = match self.may_dial(now, extension, class) {
            Ok(()) => self.without_full_trunks(now, class, plan),
            Err(refused) => Err(refused),
        };
        match refused {
            Ok(None) => {}
            Ok(Some(remark)) => planned.remark = Some(("guard.cap", remark)),
            Err((cause, why)) => {
                let fields = vec![
                    ("phone", extension.clone()),
                    ("class", class.word().to_owned()),
                    ("cause", cause.key.to_owned()),
                    ("why", why.clone()),
                ];
                out.push(Output::Event { kind: "guard.cap", fields });
                return Planned { remark: Some(("guard.cap", why)), ..Planned::refused(cause) };
            }
        }
        let first = planned.plan.iter().flat_map(|plan| &plan.groups).flatten().next();
        let trunk = first.map(|target| Whose::Trunk(target.party.clone()));
        planned.charges = std::iter::once(Whose::Phone(extension.clone()))
            .chain(trunk)
            .map(|whose| Charge { whose, class, answered: None })
            .collect();
        planned
    }

    /// May this phone place a call of this class now?
    fn may_dial(
        &mut self,
        now: Instant,
        extension: &str,
        class: Class,
    ) -> Result<(), (&'static Cause, String)> {
        let rights = self.snapshot.phone(extension).map(|phone| &phone.rights);
        let own = rights.and_then(|rights| rights.allow.as_deref());
        if !own.unwrap_or(&self.snapshot.dial.allow).contains(&class) {
            let why = format!("{} is not open to {extension}", class.word());
            return Err((&cause::CLASS_CLOSED, why));
        }
        let whose = Whose::Phone(extension.to_owned());
        let caps = self.caps_of(&whose);
        match self.meter.reached(now, &whose, &caps, class) {
            Some(cap) => Err((&cause::CAP_REACHED, format!("{extension} has had {cap}"))),
            None => Ok(()),
        }
    }

    /// Is the class of this number open to a phone, whatever it has talked?
    pub(super) fn is_class_open(
        &self,
        extension: &str,
        number: &str,
    ) -> Result<(), &'static Cause> {
        let Some(class) = route::class(&self.snapshot, number) else { return Ok(()) };
        let rights = self.snapshot.phone(extension).map(|phone| &phone.rights);
        let own = rights.and_then(|rights| rights.allow.as_deref());
        let is_open = own.unwrap_or(&self.snapshot.dial.allow).contains(&class);
        if is_open { Ok(()) } else { Err(&cause::CLASS_CLOSED) }
    }

    /// Takes trunks out of the plan that may carry no more of this class; says which.
    fn without_full_trunks(
        &mut self,
        now: Instant,
        class: Class,
        plan: &mut Plan,
    ) -> Result<Option<String>, (&'static Cause, String)> {
        let mut full: Vec<String> = Vec::new();
        for group in std::mem::take(&mut plan.groups) {
            let whose = group.first().map(|target| Whose::Trunk(target.party.clone()));
            let caps = whose.as_ref().map(|whose| self.caps_of(whose)).unwrap_or_default();
            let reached =
                whose.as_ref().and_then(|whose| self.meter.reached(now, whose, &caps, class));
            match (reached, whose) {
                (Some(cap), Some(Whose::Trunk(name))) => {
                    full.push(format!("trunk {name} has had {cap}"));
                }
                _ => plan.groups.push_back(group),
            }
        }
        full.dedup();
        let words = full.join(", ");
        if plan.groups.is_empty() {
            return Err((&cause::CAP_REACHED, words));
        }
        Ok(Some(words).filter(|words| !words.is_empty()))
    }

    fn caps_of(&self, whose: &Whose) -> Caps {
        let dial = &self.snapshot.dial;
        match whose {
            Whose::Phone(extension) => {
                let phone = self.snapshot.phone(extension);
                phone.map_or(dial.phone, |phone| phone.rights.caps.over(&dial.phone))
            }
            Whose::Trunk(name) => {
                let trunk = self.snapshot.trunk(name);
                trunk.map_or(dial.trunk, |trunk| trunk.caps.over(&dial.trunk))
            }
        }
    }

    /// A call begins, or goes elsewhere: it is counted from now on.
    pub(super) fn charge(&mut self, now: Instant, call: CallId, charges: Vec<Charge>) {
        for charge in &charges {
            let caps = self.caps_of(&charge.whose);
            self.meter.begin(now, &charge.whose, &caps);
        }
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.charges.extend(charges);
        }
    }

    /// A call was answered by `party`; if that is another trunk than the first of its route, that one is charged.
    pub(super) fn call_talks(&mut self, now: Instant, call: CallId, party: &str) {
        let Some(entry) = self.calls.get_mut(&call) else { return };
        let mut charges = std::mem::take(&mut entry.charges);
        for charge in &mut charges {
            if let Whose::Trunk(name) = &charge.whose
                && name != party
                && self.snapshot.trunk(party).is_some()
            {
                self.meter.end(now, &charge.whose, charge.class, None);
                charge.whose = Whose::Trunk(party.to_owned());
                let caps = self.caps_of(&charge.whose);
                self.meter.begin(now, &charge.whose, &caps);
            }
            self.meter.answered(now, &charge.whose, charge.class);
            charge.answered = Some(now);
        }
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.charges = charges;
        }
    }

    /// A call is over.
    pub(super) fn discharge(&mut self, now: Instant, charges: &[Charge]) {
        for charge in charges {
            self.meter.end(now, &charge.whose, charge.class, charge.answered);
        }
    }
}
