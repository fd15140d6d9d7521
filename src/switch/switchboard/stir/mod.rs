//! Statements of who calls: those of trunks' calls are checked before a call begins, ours are signed before its
//! INVITE leaves. Cryptography is the edge's; what waits for it waits here, for a while.

mod outward;

use std::time::Duration;

use super::admit::Asked;
use super::calls::dialled;
use super::*;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::message::build::with_header;
use crate::proto::sip::uri::Uri;
use crate::proto::stir::passport::IDENTITIES_MAX;
use crate::proto::stir::verify::Chain;
use crate::proto::stir::{
    Attestation, Expected, Failure, Kind, Party, Passport, canonical, chains_of,
};
use crate::switch::call::Plan;
use crate::switch::cause::Cause;
use crate::switch::snapshot::StirIn;
use crate::switch::stir::{Check, Verdict, home};

pub use outward::{SIGNATURE_TIME, SIGNED_MAX};

/// INVITEs that wait for a verdict; a further one goes on unchecked.
pub const CHECKED_MAX: usize = 1_024;
/// How long a verdict may take; the certificate may have to be fetched.
pub const VERDICT_TIME: Duration = Duration::from_secs(3);

/// What waits, and the clock of the world.
#[derive(Debug, Default)]
pub(super) struct Stir {
    next: u64,
    /// In the order of their ids, which is that of their times.
    checked: BTreeMap<u64, Waiting>,
    signed: BTreeMap<u64, outward::Unsigned>,
    /// By how many microseconds the wall clock is ahead of the one of the start: somebody may have set it since.
    ahead: i64,
}

impl Stir {
    pub(super) fn waiting(&self) -> usize {
        self.checked.len() + self.signed.len()
    }

    /// Calls that have not begun.
    pub(super) fn calls(&self) -> usize {
        self.checked.len()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let checked = self.checked.values().next().map(|waiting| waiting.until);
        let signed = self.signed.values().next().map(outward::Unsigned::until);
        checked.into_iter().chain(signed).min()
    }

    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// An INVITE that waits for its verdict.
#[derive(Debug)]
struct Waiting {
    asked: Asked,
    origin: Origin,
    finding: Finding,
    /// What else it came with, if this does not hold.
    others: VecDeque<Candidate>,
    /// What was wrong with those before, which is not forgotten for one that takes its time.
    failed: Option<Failure>,
    until: Instant,
}

/// Statements that say who calls, and what proves them.
#[derive(Debug)]
struct Candidate {
    checks: Vec<Check>,
    statements: Statements,
    attest: Option<Attestation>,
}

/// The statements that a call came with, which are good.
#[derive(Clone, Debug)]
struct Statements {
    /// Identity values, as they came.
    values: Vec<String>,
    orig: Party,
    /// Whom they say is called, and by which of those numbers the call came.
    dest: Vec<Party>,
    called: Party,
}

/// What is known of a call's identity when it begins.
#[derive(Debug, Default)]
pub(super) struct Finding {
    policy: StirIn,
    verdict: Verdict,
    statements: Option<Statements>,
    /// Has the caller had its 100?
    pub(super) is_trying: bool,
}

impl Finding {
    /// Why the call is refused.
    pub(super) fn refusal(&self) -> Result<(), &'static Cause> {
        self.verdict.refusal(self.policy).map_or(Ok(()), Err)
    }

    /// A line for the timeline.
    pub(super) fn remark(&self) -> Option<(&'static str, String)> {
        self.verdict.remark()
    }
}

/// What is kept of it for the call.
#[derive(Debug, Default)]
pub(super) struct OfCall {
    /// The caller's INVITE: its answers say what is wrong with its Identity.
    server: Option<ServerKey>,
    told: Option<Failure>,
    statements: Option<Statements>,
}

impl Switchboard {
    /// The wall clock is `wall` now: tokens are good for a minute, so that of the start is not enough once somebody has
    /// set the machine's.
    pub fn clock_is(&mut self, now: Instant, wall: Wall) {
        self.stir.ahead = wall.0.saturating_sub(self.wall(now).0);
    }

    /// Seconds since 1970.
    fn seconds(&self, now: Instant) -> i64 {
        self.wall(now).0.saturating_add(self.stir.ahead).div_euclid(1_000_000)
    }

    /// Checks the Identity of a trunk's call as far as that is possible here. If a signature has to be checked the
    /// INVITE waits for that, and `None` is returned.
    pub(super) fn screened(
        &mut self,
        now: Instant,
        origin: &Origin,
        asked: Asked,
        out: &mut Vec<Output>,
    ) -> Option<(Asked, Finding)> {
        let policy = match origin {
            Origin::Trunk(name) => self.snapshot.trunk(name).map(|trunk| trunk.stir_in),
            Origin::Phone(_) | Origin::Operator(_) => None,
        };
        let policy = policy.unwrap_or_default();
        let finding = Finding { policy, ..Finding::default() };
        if policy == StirIn::Off {
            return Some((asked, finding));
        }
        let mut found = match self.candidates(now, origin, &asked.request) {
            Ok(found) => found,
            Err(failure) => {
                return Some((asked, Finding { verdict: Verdict::Failed(failure), ..finding }));
            }
        };
        let first = found.pop_front().filter(|_| self.stir.checked.len() < CHECKED_MAX);
        let Some(Candidate { checks, statements, attest }) = first else {
            let verdict = Verdict::Unknown("too many calls wait to be checked");
            return Some((asked, Finding { verdict, ..finding }));
        };
        self.respond(now, &asked, 100, "Trying", &[], out);
        let id = self.stir.next_id();
        // If every signature is good.
        let verdict = Verdict::Passed(attest);
        let statements = Some(statements);
        let finding = Finding { verdict, statements, is_trying: true, ..finding };
        let until = now + VERDICT_TIME;
        let (origin, others) = (origin.clone(), found);
        let waiting = Waiting { asked, origin, finding, others, failed: None, until };
        self.stir.checked.insert(id, waiting);
        out.push(Output::Verify { id, checks });
        None
    }

    /// The statements in a request that say who calls; one of them has to hold.
    fn candidates(
        &self,
        now: Instant,
        origin: &Origin,
        request: &Message,
    ) -> Result<VecDeque<Candidate>, Failure> {
        let values: Vec<String> = request
            .texts(HeaderName::Identity)
            .take(IDENTITIES_MAX)
            .map(|value| value.into_owned())
            .collect();
        if values.is_empty() {
            return Err(Failure::new(Kind::Missing, "there is no Identity header"));
        }
        let mut passports = Vec::with_capacity(values.len());
        let mut broken = None;
        for value in &values {
            match Passport::read(value) {
                Ok(passport) => passports.extend(passport),
                Err(failure) => broken = broken.or(Some(failure)),
            }
        }
        let expected = self.expected(now, origin, request);
        let chains = chains_of(&passports, &expected).map_err(|failure| match broken {
            // What could not be read may have been what is missing.
            Some(broken) if failure.kind == Kind::Missing => broken,
            _ => failure,
        })?;
        let candidate = |chain: &Chain<'_>| {
            let is_of = |value: &&String| chain.iter().any(|link| value.starts_with(&link.input));
            Candidate {
                checks: chain.iter().map(|link| check_of(link)).collect(),
                statements: Statements {
                    values: values.iter().filter(is_of).cloned().collect(),
                    orig: expected.caller.clone(),
                    dest: chain.last().map(|last| last.dest.clone()).unwrap_or_default(),
                    called: expected.called.clone(),
                },
                attest: chain.first().and_then(|first| first.attest),
            }
        };
        Ok(chains.iter().map(candidate).collect())
    }

    /// Whom the call is said to be from and to, in the form of tokens.
    fn expected(&self, now: Instant, origin: &Origin, request: &Message) -> Expected {
        let home = home(&self.snapshot.dial);
        let number = |text: &str| canonical(text, home).map(Party::Number);
        let address = |name| request.text(name).unwrap_or_default().into_owned();
        let party = |address: &str| {
            let uri = NameAddr::parse(address).ok()?.parsed_uri()?;
            number(&uri.dialled())
        };
        // What the called side is shown has to be what was signed. A caller who is not shown may be named beside From.
        let caller = number(&self.read_wish(origin, request).caller.shown.number)
            .or_else(|| party(&address(HeaderName::PAssertedIdentity)))
            .unwrap_or_else(|| uri_of(&address(HeaderName::From)));
        let called = number(&dialled(request))
            .or_else(|| party(&address(HeaderName::To)))
            .unwrap_or_else(|| uri_of(&address(HeaderName::To)));
        Expected { caller, called, now: self.seconds(now) }
    }

    /// The answer to [`Output::Verify`]: are all signatures good?
    pub fn stir_verified(
        &mut self,
        now: Instant,
        id: u64,
        answer: Result<(), Failure>,
        out: &mut Vec<Output>,
    ) {
        let waiting = self.stir.checked.get_mut(&id);
        if let (Err(failure), Some(waiting)) = (answer, waiting)
            && let Some(next) = waiting.others.pop_front()
        {
            waiting.failed = waiting.failed.or(Some(failure));
            waiting.finding.verdict = Verdict::Passed(next.attest);
            waiting.finding.statements = Some(next.statements);
            return out.push(Output::Verify { id, checks: next.checks });
        }
        self.resume(now, id, answer.err().map(Verdict::Failed), out);
    }

    /// We could not find out whether the signatures are good.
    pub fn stir_not_verified(
        &mut self,
        now: Instant,
        id: u64,
        why: &'static str,
        out: &mut Vec<Output>,
    ) {
        self.resume(now, id, Some(Verdict::Unknown(why)), out);
    }

    /// A caller gave up before it was known who it is.
    pub(super) fn stir_cancelled(
        &mut self,
        now: Instant,
        server: ServerKey,
        out: &mut Vec<Output>,
    ) {
        let found = self.stir.checked.iter().find(|(_, waiting)| waiting.asked.server == server);
        if let Some((&id, _)) = found {
            self.resume(now, id, Some(Verdict::Cancelled), out);
        }
    }

    fn resume(&mut self, now: Instant, id: u64, instead: Option<Verdict>, out: &mut Vec<Output>) {
        let Some(waiting) = self.stir.checked.remove(&id) else { return };
        let Waiting { asked, origin, mut finding, .. } = waiting;
        if let Some(verdict) = instead {
            (finding.verdict, finding.statements) = (verdict, None);
        }
        self.invite_known(now, origin, Ok(()), finding, asked, out);
    }

    pub(super) fn run_stir(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some((&id, waiting)) = self.stir.checked.first_key_value()
            && waiting.until <= now
        {
            let late = Verdict::Unknown("no verdict in time");
            let verdict = waiting.failed.map_or(late, Verdict::Failed);
            self.resume(now, id, Some(verdict), out);
        }
        self.run_signatures(now, out);
    }

    /// A call begins: what was found is told, kept, and shown to phones.
    pub(super) fn stir_found(
        &mut self,
        call: CallId,
        server: ServerKey,
        finding: Finding,
        out: &mut Vec<Output>,
    ) {
        let told = finding.verdict.told(finding.policy);
        if let Verdict::Failed(failure) = finding.verdict
            && (told.is_some() || failure.kind != Kind::Missing)
        {
            let fields = vec![
                ("call", call.to_string()),
                ("status", failure.kind.status().to_string()),
                ("why", failure.why.to_owned()),
                ("refused", finding.refusal().is_err().to_string()),
            ];
            out.push(Output::Event { kind: "stir.failed", fields });
        }
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.stir = OfCall { server: Some(server), told, statements: finding.statements };
        }
    }

    /// Shows phones what came of the check, if they are to be shown it.
    pub(super) fn with_verstat(&self, finding: &Finding, mut plan: Plan) -> Plan {
        let Some(word) = finding.verdict.verstat().filter(|_| self.snapshot.stir.verstat) else {
            return plan;
        };
        let phones = plan.groups.iter_mut().flatten().filter(|target| !target.is_trunk);
        for target in phones {
            target.from = verstat_in(&target.from, word);
            let asserted = target.headers.iter_mut();
            for (_, value) in asserted.filter(|(name, _)| *name == HeaderName::PAssertedIdentity) {
                *value = verstat_in(value, word);
            }
        }
        plan
    }

    /// An answer to the caller's INVITE says what is wrong with its Identity (RFC 9410).
    pub(super) fn with_stir_reason(
        &self,
        call: CallId,
        server: ServerKey,
        status: u16,
        packet: Packet,
    ) -> Packet {
        let kept = self.calls.get(&call).map(|entry| &entry.stir);
        let told = kept.filter(|kept| kept.server == Some(server)).and_then(|kept| kept.told);
        let Some(failure) = told.filter(|_| status > 100) else { return packet };
        let packet = with_header(&packet, HeaderName::Reason, &failure.reason());
        let usual: &[u8] = b"SIP/2.0 403 Forbidden\r\n";
        match packet.strip_prefix(usual) {
            // RFC 8224 §6.2.2 has words of its own for it.
            Some(rest) if failure.kind == Kind::Stale => {
                [b"SIP/2.0 403 Stale Date\r\n", rest].concat().into()
            }
            _ => packet,
        }
    }
}

fn check_of(passport: &Passport) -> Check {
    // Who forwarded a call vouches for the number that it was forwarded from.
    let speaks_for = match passport.div.as_ref().unwrap_or(&passport.orig) {
        Party::Number(number) => Some(number.clone()),
        Party::Uri(_) => None,
    };
    Check {
        x5u: passport.x5u.clone(),
        input: passport.input.clone(),
        signature: passport.signature,
        speaks_for,
    }
}

/// An address as a URI of tokens: scheme, user and host.
fn uri_of(address: &str) -> Party {
    let raw = NameAddr::parse(address).map(|address| address.uri).unwrap_or_default();
    let bare = raw.split([';', '?']).next().unwrap_or_default();
    Party::Uri(bare.to_owned())
}

/// Puts `verstat` behind the number in an address; what has no number stays as it is.
fn verstat_in(value: &str, word: &str) -> String {
    let Ok(address) = NameAddr::parse(value) else { return value.to_owned() };
    let raw = address.uri;
    let user = Uri::parse(raw).map(|uri| uri.user).unwrap_or_default();
    let is_number = !user.is_empty() && user.bytes().all(|b| b.is_ascii_digit() || b == b'+');
    let marked = match raw.split_once('@') {
        Some((before, host)) if is_number => format!("{before};verstat={word}@{host}"),
        _ => return value.to_owned(),
    };
    value.replacen(raw, &marked, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verstat_stands_behind_a_number_and_nowhere_else() {
        for (from, to) in [
            ("<sip:+12155551212@h>", "<sip:+12155551212;verstat=X@h>"),
            ("\"A <b>\" <sip:1@h;user=phone>", "\"A <b>\" <sip:1;verstat=X@h;user=phone>"),
            ("<sip:anonymous@h>", "<sip:anonymous@h>"),
            ("<sip:h>", "<sip:h>"),
            ("broken <", "broken <"),
        ] {
            assert_eq!(verstat_in(from, "X"), to);
        }
    }
}
