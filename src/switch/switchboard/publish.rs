//! PUBLISH: phones tell how a call sounded (RFC 3903, RFC 6035).

use std::collections::{BTreeSet, HashMap};

use super::admit::Asked;
use super::*;
use crate::proto::sip::quality::{self, Report};
use crate::proto::sip::subscription::EventHeader;

/// Publications that are remembered, which is all that an entity tag is good for. With more, the one that would
/// end first is forgotten: whoever refreshes it is answered 412 and publishes anew.
pub(super) const PUBLICATIONS_MAX: usize = 4096;

#[derive(Debug)]
struct Publication {
    owner: String,
    deadline: Instant,
}

/// The entity tags that are in force. What was published is passed on at once, and not kept.
#[derive(Debug, Default)]
pub(super) struct Publications {
    by_tag: HashMap<String, Publication>,
    deadlines: BTreeSet<(Instant, String)>,
}

impl Publications {
    pub(super) fn len(&self) -> usize {
        self.by_tag.len()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while self.next_timeout().is_some_and(|at| at <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, tag)) = self.deadlines.pop_first() {
            self.by_tag.remove(&tag);
        }
    }

    fn is_of(&self, tag: &str, owner: &str) -> bool {
        self.by_tag.get(tag).is_some_and(|publication| publication.owner == owner)
    }

    fn remove(&mut self, tag: &str) {
        if let Some(old) = self.by_tag.remove(tag) {
            self.deadlines.remove(&(old.deadline, tag.to_owned()));
        }
    }

    fn insert(&mut self, tag: String, owner: &str, deadline: Instant) {
        if self.by_tag.len() >= PUBLICATIONS_MAX {
            self.forget_first();
        }
        self.deadlines.insert((deadline, tag.clone()));
        self.by_tag.insert(tag, Publication { owner: owner.to_owned(), deadline });
    }
}

impl Switchboard {
    /// A PUBLISH of a phone that has logged in (RFC 3903 §6).
    pub(super) fn publish(
        &mut self,
        now: Instant,
        phone: &str,
        asked: &Asked,
        out: &mut Vec<Output>,
    ) {
        let request = &asked.request;
        let event = EventHeader::of(request);
        if !event.is_some_and(|event| event.package.eq_ignore_ascii_case(quality::PACKAGE)) {
            let events = [(HeaderName::AllowEvents, quality::PACKAGE.to_owned())];
            return self.refuse(now, asked, 489, &events, out);
        }
        let known = request.text(HeaderName::SipIfMatch).map(|tag| tag.trim().to_owned());
        if known.as_ref().is_some_and(|tag| !self.publications.is_of(tag, phone)) {
            return self.refuse(now, asked, 412, &[], out);
        }
        let report = match read(request, known.is_some()) {
            Ok(report) => report,
            Err(status) => {
                let accept = [(HeaderName::Accept, quality::CONTENT_TYPE.to_owned())];
                let headers = if status == 415 { &accept[..] } else { &[] };
                return self.refuse(now, asked, status, headers, out);
            }
        };
        let Some(span) = self.span_of(now, asked, out) else { return };
        if let Some(tag) = known {
            self.publications.remove(&tag);
        }
        let tag = self.tokens.tag();
        if !span.is_zero() {
            self.publications.insert(tag.clone(), phone, now + span);
        }
        let headers =
            [(HeaderName::SipEtag, tag), (HeaderName::Expires, span.as_secs().to_string())];
        self.respond(now, asked, 200, "OK", &headers, out);
        if let Some(report) = report {
            self.reported(phone, &report, out);
        }
    }

    /// Passes a report on: to the call, if the phone is still on that line, and to whoever follows events.
    fn reported(&self, phone: &str, report: &Report, out: &mut Vec<Output>) {
        let figures = report.figures.iter();
        let words: Vec<_> =
            figures.clone().map(|(name, value)| format!("{name}={value}")).collect();
        let mut fields = vec![
            ("phone", phone.to_owned()),
            ("sip_call_id", report.call_id.clone()),
            ("moment", report.moment.word().to_owned()),
        ];
        if let Some((call, tag)) = self.subscriptions.line_of(phone, &report.call_id) {
            fields.push(("call", call.to_string()));
            let text = format!("{}: {}", report.moment.word(), words.join(" "));
            let leg = (report.call_id.clone(), tag);
            to_call(call, call::Input::Reported { leg, text }, out);
        }
        fields.extend(figures.map(|(name, value)| (*name, value.clone())));
        out.push(Output::Event { kind: "quality", fields });
    }
}

/// Reads the report in a PUBLISH; there is none in one that only refreshes or ends.
fn read(request: &Message, is_known: bool) -> Result<Option<Report>, u16> {
    if request.body().is_empty() {
        return if is_known { Ok(None) } else { Err(400) };
    }
    let kind = request.text(HeaderName::ContentType).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case(quality::CONTENT_TYPE) {
        return Err(415);
    }
    Report::read(request.body()).map(Some).ok_or(400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_too_many_tags_the_one_that_ends_first_is_forgotten() {
        let mut all = Publications::default();
        for index in 0..=PUBLICATIONS_MAX as u64 {
            // The later it comes, the sooner it ends.
            all.insert(index.to_string(), "1001", Instant::from_millis(1_000_000 - index));
        }
        assert_eq!((all.len(), all.deadlines.len()), (PUBLICATIONS_MAX, PUBLICATIONS_MAX));
        let before_last = (PUBLICATIONS_MAX - 1).to_string();
        assert!(!all.is_of(&before_last, "1001") && all.is_of("0", "1001"));
        assert!(!all.is_of("0", "1002"), "it is the owner's");
        all.remove("0");
        all.handle_timeout(Instant::from_millis(1_000_000));
        assert_eq!((all.len(), all.next_timeout()), (0, None));
    }
}
