//! REGISTER: who may bind contacts to which address (RFC 3261 §10.3).

use super::admit::{Asked, Who};
use super::*;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::registration::{Outcome, Policy};
use crate::proto::sip::uri::Scheme;

impl Switchboard {
    pub(super) fn register(&mut self, now: Instant, asked: &Asked, out: &mut Vec<Output>) {
        let (origin, aor) = match self.login(now, asked, out) {
            Who::Answered => return,
            Who::Wrong(_) => return self.refuse(now, asked, 403, &[], out),
            Who::Known(Origin::Phone(extension)) => (Origin::Phone(extension.clone()), extension),
            Who::Known(Origin::Trunk(name)) => {
                let user = self
                    .snapshot
                    .trunk(&name)
                    .and_then(|trunk| trunk.user.clone())
                    .unwrap_or_default();
                (Origin::Trunk(name), user)
            }
            Who::Known(Origin::Operator(_)) => return,
        };
        // Nobody binds contacts to somebody else's address (§10.3 step 4).
        let to = asked.request.text(HeaderName::To).unwrap_or_default();
        let uri = NameAddr::parse(&to).ok().and_then(|to| to.parsed_uri());
        if !uri.as_ref().is_some_and(|uri| matches!(uri.scheme, Scheme::Sip | Scheme::Sips)) {
            // An address of record is a SIP or SIPS URI (§10.2).
            return self.refuse(now, asked, 400, &[], out);
        }
        let wanted = uri.map(|uri| uri.dialled().into_owned());
        if wanted.as_deref() != Some(aor.as_str()) {
            self.auth_event("the To address is another user's", asked, out);
            return self.refuse(now, asked, 403, &[], out);
        }
        let policy = self.policy_of(&origin);
        match self.registrar.register(now, &aor, &asked.request, asked.flow, &policy) {
            Outcome::Accepted { contacts, has_changed, is_outbound } => {
                let mut headers: Vec<_> =
                    contacts.into_iter().map(|value| (HeaderName::Contact, value)).collect();
                // Who is on the way is told back to who registered (RFC 3327 §5.3).
                let path = asked.request.list(HeaderName::Path).into_iter();
                headers.extend(path.map(|value| (HeaderName::Path, value)));
                headers.push((HeaderName::Supported, "path, outbound, gruu".to_owned()));
                if is_outbound {
                    headers.push((HeaderName::Require, "outbound".to_owned()));
                }
                headers.push((HeaderName::Date, http_date(self.wall(now))));
                self.respond(now, asked, 200, "OK", &headers, out);
                if has_changed {
                    self.bindings_changed(now, &aor, "registered", out);
                }
            }
            Outcome::Refused { status, reason, min_expires } => {
                let headers: Vec<_> = min_expires
                    .map(|least| (HeaderName::MinExpires, least.to_string()))
                    .into_iter()
                    .collect();
                self.respond(now, asked, status, &reason, &headers, out);
            }
        }
    }

    fn policy_of(&self, origin: &Origin) -> Policy {
        let sip = &self.snapshot.sip;
        let own = match origin {
            Origin::Phone(extension) => {
                self.snapshot.phone(extension).and_then(|phone| phone.contacts_max)
            }
            Origin::Trunk(_) | Origin::Operator(_) => None,
        };
        Policy {
            expires_min: sip.expires_min,
            expires_max: sip.expires_max,
            expires_default: sip.expires_default,
            contacts_max: own.unwrap_or(sip.contacts_max),
        }
    }

    /// Stores and tells what the bindings of an address are now.
    pub(super) fn bindings_changed(
        &mut self,
        now: Instant,
        aor: &str,
        why: &str,
        out: &mut Vec<Output>,
    ) {
        let bindings: Vec<_> = self.registrar.bindings(aor, now).into_iter().cloned().collect();
        self.guard.bound(aor, bindings.iter().map(|binding| binding.flow.remote).collect());
        self.guard_events(out);
        let kind = if bindings.is_empty() { "phone.unregistered" } else { "phone.registered" };
        let contacts =
            bindings.iter().map(|binding| binding.contact.as_str()).collect::<Vec<_>>().join(", ");
        let fields =
            vec![("extension", aor.to_owned()), ("contacts", contacts), ("why", why.to_owned())];
        out.push(Output::Event { kind, fields });
        out.push(Output::StoreBindings { aor: aor.to_owned(), bindings });
    }
}

/// The `Date` that phones without a clock set theirs by (RFC 3261 §20.17).
fn http_date(wall: Wall) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = wall.0.div_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil date from a day count, by eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let name = |list: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|i| list.get(i)).copied().unwrap_or("")
    };
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, month - 1),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(http_date(Wall(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(http_date(Wall(951_827_696_000_000)), "Tue, 29 Feb 2000 12:34:56 GMT");
        assert_eq!(http_date(Wall(1_795_246_942_000_000)), "Sat, 21 Nov 2026 07:42:22 GMT");
    }
}
