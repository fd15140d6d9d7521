//! Digits that a leg sends by INFO.

use super::*;
use crate::proto::sip::session::Digit;

impl Call {
    /// A key was pressed. It goes to the other leg if that is known to take it; whoever else wants digits, such
    /// as a menu, has them by [`Output::Digit`]. The timeline says that there was one, not which: people type
    /// PINs.
    pub(super) fn digit(&mut self, now: Instant, at: At, digit: Digit, out: &mut Vec<Output>) {
        let label = self.leg(at).map(|leg| leg.label.clone()).unwrap_or_default();
        let mut is_passed = false;
        if let Some(other) = self.across(at) {
            self.on_session(now, other, out, |session, sip| {
                is_passed = session.send_digit(digit, sip);
            });
        }
        let end = if is_passed { "passed on" } else { "kept: the other side takes no INFO" };
        self.note(now, &label, "digit", format!("by INFO, {} ms, {end}", digit.duration_ms));
        let ms = digit.duration_ms.to_string();
        let passed = is_passed.to_string();
        let fields = vec![("leg", label.clone()), ("ms", ms), ("passed", passed)];
        self.event("call.digit", fields, out);
        out.push(Output::Digit { leg: label, digit });
    }
}
