//! Who was heard by whom, and why not: one-way audio in a sentence that somebody can act on.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::cdr::sound::Packets;

/// Shorter than this nothing is said of a call: phones may take a second to begin.
pub const TALK_MIN: Duration = Duration::from_secs(3);
/// Samples that must have been silence before all of it is said to be: of one packet in 25, three seconds.
const SILENT_MIN: u64 = 6;
/// What the far end may lose before it is said not to hear, in percent.
const DEAF_PERCENT: f64 = 90.0;

/// What is known of one side of a call since both were connected.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Facts {
    /// The extension or trunk at its end.
    pub party: String,
    /// Where it said that it takes audio, which is where it usually sends from.
    pub told: Option<SocketAddr>,
    /// It may send to us: nobody holds it.
    pub may_speak: bool,
    /// It may be sent to.
    pub may_hear: bool,
    /// Its packets.
    pub flow: Packets,
    /// Where the latest packet came from that was not its.
    pub stranger: Option<SocketAddr>,
    /// What it says that it did not get of ours, in percent.
    pub far_loss_percent: Option<f64>,
}

/// Why a side was not heard by the other one. Addresses are those of the media.
#[derive(Clone, PartialEq, Debug)]
pub enum Why {
    /// Nothing came.
    NothingCame {
        /// Where it was to come from.
        from: Option<SocketAddr>,
    },
    /// Packets came, but from an address that is not its.
    Strangers {
        /// How many.
        count: u64,
        /// Where the latest came from.
        from: Option<SocketAddr>,
        /// Where it was to come from.
        told: Option<SocketAddr>,
    },
    /// Packets came that its key does not open.
    Unauthentic {
        /// How many.
        count: u64,
    },
    /// What came was no RTP.
    NoRtp {
        /// How many.
        count: u64,
    },
    /// It was on hold, or held the other side.
    OnHold {
        /// Packets that came all the same.
        count: u64,
    },
    /// Packets came, of a codec that was not agreed on.
    WrongCodec {
        /// How many.
        count: u64,
    },
    /// Packets came, and each that was looked at was silence.
    Silence {
        /// How many came.
        count: u64,
    },
    /// The other side gave no address to send to.
    NowhereToSend {
        /// The other side.
        to: String,
    },
    /// The system did not take what we sent.
    NotTaken {
        /// How many.
        count: u64,
        /// Where they were to go.
        to: Option<SocketAddr>,
    },
    /// The other side says that it did not get what we sent.
    NotReceived {
        /// The other side.
        by: String,
        /// What of it, in percent.
        percent: f64,
        /// Where we sent it.
        to: Option<SocketAddr>,
    },
    /// They came and did not go on, for no single reason.
    NotPassed {
        /// How many came.
        count: u64,
        /// What became of them.
        dropped: String,
    },
}

/// Who was heard.
#[derive(Clone, PartialEq, Debug)]
pub enum Hearing {
    /// Both.
    BothWays,
    /// One was not.
    OneWay {
        /// Who was not heard.
        unheard: String,
        /// Why.
        why: Why,
    },
    /// Neither was.
    NoAudio {
        /// Each, with why.
        each: Box<[(String, Why); 2]>,
    },
}

impl Hearing {
    /// The verdict on a call that has been connected for so long; `None` if that is too short for one.
    #[must_use]
    pub fn of(a: &Facts, b: &Facts, talked: Duration) -> Option<Self> {
        if talked < TALK_MIN {
            return None;
        }
        let name = |facts: &Facts| facts.party.clone();
        Some(match (unheard(a, b), unheard(b, a)) {
            (None, None) => Self::BothWays,
            (Some(why), None) => Self::OneWay { unheard: name(a), why },
            (None, Some(why)) => Self::OneWay { unheard: name(b), why },
            (Some(one), Some(two)) => {
                Self::NoAudio { each: Box::new([(name(a), one), (name(b), two)]) }
            }
        })
    }

    /// Is it a fault, and not a hold?
    #[must_use]
    pub fn is_fault(&self) -> bool {
        let is_hold = |why: &Why| matches!(why, Why::OnHold { .. });
        match self {
            Self::BothWays => false,
            Self::OneWay { why, .. } => !is_hold(why),
            Self::NoAudio { each } => !each.iter().all(|(_, why)| is_hold(why)),
        }
    }

    /// The word for it: `both_ways`, `one_way`, `no_audio`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::BothWays => "both_ways",
            Self::OneWay { .. } => "one_way",
            Self::NoAudio { .. } => "no_audio",
        }
    }
}

/// Why `by` did not hear `who`; `None` if it did as far as can be known.
fn unheard(who: &Facts, by: &Facts) -> Option<Why> {
    let flow = &who.flow;
    let is_on_hold = !who.may_speak || !by.may_hear;
    if flow.came == 0 {
        return Some(match () {
            () if flow.unauthentic > 0 => Why::Unauthentic { count: flow.unauthentic },
            () if flow.strangers > 0 => {
                Why::Strangers { count: flow.strangers, from: who.stranger, told: who.told }
            }
            () if flow.malformed > 0 => Why::NoRtp { count: flow.malformed },
            () if is_on_hold => Why::OnHold { count: 0 },
            () => Why::NothingCame { from: who.told },
        });
    }
    let count = flow.came;
    if flow.passed == 0 {
        return Some(match () {
            () if by.flow.not_taken > 0 => Why::NotTaken { count: by.flow.not_taken, to: by.told },
            () if flow.wrong_codec > 0 => Why::WrongCodec { count: flow.wrong_codec },
            () if is_on_hold => Why::OnHold { count },
            () if by.told.is_none() => Why::NowhereToSend { to: by.party.clone() },
            () if flow.on_hold > 0 => Why::OnHold { count },
            () => Why::NotPassed { count, dropped: flow.dropped() },
        });
    }
    if by.flow.sent == 0 && by.flow.not_taken > 0 {
        return Some(Why::NotTaken { count: by.flow.not_taken, to: by.told });
    }
    if flow.sampled >= SILENT_MIN && flow.silent == flow.sampled {
        return Some(Why::Silence { count });
    }
    let lost = by.far_loss_percent.filter(|percent| *percent >= DEAF_PERCENT)?;
    Some(Why::NotReceived { by: by.party.clone(), percent: lost, to: by.told })
}

impl fmt::Display for Hearing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BothWays => f.write_str("both_ways"),
            Self::OneWay { unheard, why } => write!(f, "one_way: {unheard} was not heard: {why}"),
            Self::NoAudio { each } => {
                let [(a, for_a), (b, for_b)] = &**each;
                write!(f, "no_audio: {a} was not heard: {for_a}; and {b} was not heard: {for_b}")
            }
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingCame { from: None } => {
                f.write_str("it gave no address for its audio, and no packet came")
            }
            Self::NothingCame { from: Some(from) } => {
                write!(f, "no packet came from its address ({from}); ")?;
                f.write_str(if is_private(from.ip()) {
                    "behind NAT? Is UDP to our media ports let in?"
                } else {
                    "is UDP from there to our media ports let in?"
                })
            }
            Self::Strangers { count, from, told } => write!(
                f,
                "strangers' packets were dropped: {count} came from {}, and not from its address ({})",
                Place(*from),
                Place(*told)
            ),
            Self::Unauthentic { count } => {
                write!(f, "{count} packets came that its SRTP key does not open")
            }
            Self::NoRtp { count } => write!(f, "{count} packets came that are no RTP"),
            Self::OnHold { count: 0 } => f.write_str("it was on hold"),
            Self::OnHold { count } => write!(f, "{count} packets came but it was on hold"),
            Self::WrongCodec { count } => {
                write!(f, "{count} packets came of a codec that was not agreed on")
            }
            Self::Silence { count } => write!(
                f,
                "{count} packets came and were silence; is its microphone muted or unplugged?"
            ),
            Self::NowhereToSend { to } => write!(f, "{to} gave no address to send it to"),
            Self::NotTaken { count, to } => write!(
                f,
                "the system did not take what we sent to {}: {count} packets; is there a route to it, and no firewall here?",
                Place(*to)
            ),
            Self::NotReceived { by, percent, to } => write!(
                f,
                "{by} reports that it did not get {percent:.0} % of what we sent to {}; is UDP from us let in there?",
                Place(*to)
            ),
            Self::NotPassed { count, dropped } if dropped.is_empty() => {
                write!(f, "{count} packets came and none could be passed on")
            }
            Self::NotPassed { count, dropped } => {
                write!(f, "{count} packets came and none could be passed on ({dropped})")
            }
        }
    }
}

/// An address, or that there is none.
struct Place(Option<SocketAddr>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("nowhere known"),
        }
    }
}

/// Is it an address that means another host elsewhere: private, link-local, or of a carrier's NAT (RFC 1918, RFC 6598)?
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
