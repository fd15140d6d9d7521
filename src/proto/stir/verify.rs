//! Do tokens speak of this call (RFC 8224 §6.2, RFC 8946 §5)? Their signatures are another matter.

use super::passport::{Failure, Kind, Party, Passport, Type};

/// Seconds by which a token may be older or newer than now (RFC 8224 §6.2 step 4).
pub const FRESH_SECONDS: i64 = 60;
/// Seconds that a token may be old if the call was sent elsewhere since: it may have rung somewhere before.
pub const DIVERTED_SECONDS: i64 = 300;
/// How often a call may have been sent elsewhere; tokens of further times are not looked at.
pub const DIVERSIONS_MAX: usize = 5;

/// The call that tokens are to speak of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Who calls, as the called side will be shown it.
    pub caller: Party,
    /// Who is called.
    pub called: Party,
    /// Now, in seconds since 1970.
    pub now: i64,
}

/// Tokens that together say that the caller calls whom he does: the one of the caller first, then those of
/// whoever sent the call elsewhere, in their order. All of their signatures have to be good.
pub type Chain<'p> = Vec<&'p Passport>;

/// Every chain among these tokens; one of them is enough.
///
/// # Errors
///
/// There is none: what is wrong with the first of the callers' tokens.
pub fn chains_of<'p>(
    passports: &'p [Passport],
    expected: &Expected,
) -> Result<Vec<Chain<'p>>, Failure> {
    let callers = passports.iter().filter(|passport| passport.kind != Type::Div);
    let mut chains = Vec::new();
    let mut first = None;
    for passport in callers {
        match chain_from(passport, passports, expected) {
            Ok(chain) => chains.push(chain),
            Err(failure) => first = first.or(Some(failure)),
        }
    }
    if chains.is_empty() {
        return Err(first.unwrap_or(Failure::new(Kind::Missing, "no token says who calls")));
    }
    Ok(chains)
}

fn chain_from<'p>(
    passport: &'p Passport,
    all: &'p [Passport],
    expected: &Expected,
) -> Result<Chain<'p>, Failure> {
    let invalid = |why| Failure::new(Kind::Invalid, why);
    if !passport.orig.is(&expected.caller) {
        return Err(invalid("the token is for another caller"));
    }
    let mut chain = vec![passport];
    let mut last = passport;
    while !last.dest.iter().any(|dest| dest.is(&expected.called)) {
        let next = all.iter().find(|next| {
            let is_used = chain.iter().any(|used| std::ptr::eq(*used, *next));
            let by = next.div.as_ref();
            !is_used
                && next.kind == Type::Div
                && next.orig.is(&passport.orig)
                && by.is_some_and(|by| last.dest.iter().any(|dest| dest.is(by)))
        });
        last = next
            .filter(|_| chain.len() <= DIVERSIONS_MAX)
            .ok_or(invalid("the token is for another called number"))?;
        chain.push(last);
    }
    for passport in &chain {
        let is_last = std::ptr::eq(*passport, last);
        let old = if is_last { FRESH_SECONDS } else { DIVERTED_SECONDS };
        is_fresh(passport.iat, expected.now, old)?;
    }
    Ok(chain)
}

fn is_fresh(iat: i64, now: i64, old: i64) -> Result<(), Failure> {
    let age = now.saturating_sub(iat);
    if age > old {
        return Err(Failure::new(Kind::Stale, "the token is too old"));
    }
    if age < -FRESH_SECONDS {
        return Err(Failure::new(Kind::Stale, "the token is from the future"));
    }
    Ok(())
}
