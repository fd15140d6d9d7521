//! One device among those of an extension: by its GRUU (RFC 5627), and by whichever of its flows works (RFC 5626).

use super::*;
use crate::proto::sip::registration::gruu::Device;
use crate::proto::sip::uri::Uri;
use crate::switch::call::{Plan, Target};
use crate::switch::cause::{self, Cause};

/// What somebody dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    /// The number, for the dial plan.
    pub(super) number: String,
    /// The one device of that extension that is meant.
    pub(super) device: Option<Device>,
}

impl Switchboard {
    /// What a URI asks for: a number, one device, or help.
    pub(super) fn wanted(&self, uri: &str, number: String) -> Wanted {
        if let Some(number) = self.snapshot.emergency.number_of(uri) {
            return Wanted { number: number.to_owned(), device: None };
        }
        if number.is_empty() && is_service(uri) {
            // None of ours; the record says which one it was.
            return Wanted { number: uri.to_owned(), device: None };
        }
        let device = Uri::parse(uri).and_then(|uri| self.registrar.device(&uri));
        let device = device.filter(|device| self.snapshot.phone(device.aor()).is_some());
        match device {
            Some(device) => Wanted { number: device.aor().to_owned(), device: Some(device) },
            None => Wanted { number, device: None },
        }
    }

    /// Leaves of a plan what leads to the device that is meant.
    pub(super) fn only_device(
        &self,
        now: Instant,
        device: Option<&Device>,
        mut plan: Plan,
    ) -> Result<Plan, &'static Cause> {
        let Some(device) = device else { return Ok(plan) };
        let bindings = self.registrar.bindings_of(device, now);
        plan.retain(|target| bindings.iter().any(|known| known.contact == target.uri));
        if plan.groups.is_empty() { Err(&cause::UNREACHABLE) } else { Ok(plan) }
    }
}

/// Is it a service URN (RFC 5031)?
pub(super) fn is_service(uri: &str) -> bool {
    uri.get(..12).is_some_and(|start| start.eq_ignore_ascii_case("urn:service:"))
}

/// Leaves one target for each device: a device that registered over several flows is rung on the one that it refreshed
/// last, and on the next one only when that fails (RFC 5626 §6). `bindings` and `targets` are in the same order.
pub(super) fn one_for_each_device(bindings: &[&Binding], targets: Vec<Target>) -> Vec<Target> {
    let mut pairs: Vec<_> = bindings.iter().zip(targets).enumerate().collect();
    pairs.sort_by_key(|(_, (binding, _))| binding.expires_at);
    let mut devices: Vec<(usize, Option<&str>, Target)> = Vec::new();
    for (index, (binding, mut target)) in pairs {
        let instance = binding.instance.as_deref().filter(|_| binding.reg_id.is_some());
        let known = instance.and_then(|_| devices.iter().position(|(_, own, _)| *own == instance));
        match known.and_then(|at| devices.get_mut(at)) {
            Some((place, _, first)) => {
                *place = index.min(*place);
                std::mem::swap(first, &mut target);
                first.next_flow = Some(Box::new(target));
            }
            None => devices.push((index, instance, target)),
        }
    }
    devices.sort_by_key(|(index, ..)| *index);
    devices.into_iter().map(|(_, _, target)| target).collect()
}
