//! Calls for help: whoever has to know is told, and where the caller is goes with the call.

use super::*;
use crate::proto::sip::location::Location;
use crate::switch::call::Plan;
use crate::switch::cause::Cause;

impl Switchboard {
    /// Tells of an emergency call, and adds where the caller is to what is sent: as its phone says, else as the
    /// configuration does. A carrier that takes no such body must not cost the call, so behind all tries with it there
    /// are those without.
    pub(super) fn calls_for_help(
        &self,
        origin: &Origin,
        dialled: &str,
        request: &Message,
        plan: Result<Plan, &'static Cause>,
        out: &mut Vec<Output>,
    ) -> Result<Plan, &'static Cause> {
        let phone = match origin {
            Origin::Phone(extension) => self.snapshot.phone(extension),
            _ => None,
        };
        let configured = phone.filter(|phone| !phone.location.is_empty());
        let realm = &self.snapshot.sip.realm;
        let location = Location::of(request).or_else(|| {
            configured.map(|phone| Location::civic(&phone.extension, realm, &phone.location))
        });
        let address: Vec<_> = configured
            .iter()
            .flat_map(|phone| &phone.location)
            .map(|(_, text)| text.as_str())
            .collect();
        let fields = vec![
            ("extension", phone.map(|phone| phone.extension.clone()).unwrap_or_default()),
            ("name", phone.map(|phone| phone.name.clone()).unwrap_or_default()),
            ("number", dialled.to_owned()),
            ("location", address.join(", ")),
        ];
        out.push(Output::Event { kind: "call.emergency", fields });
        let mut plan = plan?;
        let Some(location) = location else { return Ok(plan) };
        let plain = plan.groups.clone();
        for target in plan.groups.iter_mut().flatten() {
            target.location = Some(location.clone());
        }
        if location.document().is_some() {
            plan.groups.extend(plain);
        }
        Ok(plan)
    }
}
