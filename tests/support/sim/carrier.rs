//! A carrier: a party at a trunk's address that does, of all that carriers do wrong, what a test picks from the tables.
//!
//! It is a phone underneath. A quirk is a value: what it answers, how it rewrites what leaves, what it makes of our requests,
//! what it does of itself at some moment of a call, and what must come of it.

mod answers;
mod descriptions;
mod dialogs;
pub mod registrar;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::phone::{Habits, Phone, Reply};
use super::text::{Style, Text};
use super::world::{Flying, World};

/// In which direction a quirk shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The carrier calls us.
    In,
    /// We call the carrier.
    Out,
}

/// What must come of a call that would have been answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comes {
    /// Both hear each other, and it ends as who hangs up wants.
    Survives,
    /// It stands and ends as who hangs up wants; somebody is on hold, or has no address to be sent to.
    Quiet,
    /// Nobody is connected, for one of these causes.
    Refused(&'static [&'static str]),
    /// It is connected, and ends before anybody of ours hangs up, for one of these causes.
    Cut(&'static [&'static str]),
    /// It may be connected or not, and ends for one of these causes: it hangs on what we know of the carrier otherwise.
    Open(&'static [&'static str]),
    /// There is no call: what came was no request that one is made of.
    Nothing,
}

/// A moment of a call, as the carrier sees it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Moment {
    /// The first 18x, either way.
    Early,
    /// The 2xx of the first INVITE, either way.
    Answered,
    /// The first ACK, either way.
    Acked,
    /// Our first re-INVITE.
    Modified,
    Cancelled,
}

/// Replies, and how many milliseconds after the INVITE each is said.
pub type Script = fn() -> Vec<(u64, Reply)>;

/// What a carrier does of itself.
pub type Deed = fn(&mut Phone, u64, usize);

/// What becomes of a request of ours.
pub enum Take {
    Usual,
    Ignore,
    Say(Reply),
}

/// A message that leaves the carrier.
pub struct Packet {
    pub text: Text,
    pub style: Style,
    pub is_dropped: bool,
    pub after_ms: u64,
    /// Another source port than its own.
    pub port: Option<u16>,
    /// Further messages, and how many milliseconds later.
    pub extra: Vec<(u64, Text)>,
}

impl Packet {
    /// A response to an INVITE with this status.
    pub fn is_answer(&self, statuses: std::ops::Range<u16>) -> bool {
        self.text.method() == "INVITE" && statuses.contains(&self.text.status())
    }

    /// A first INVITE of the carrier's.
    pub fn is_call(&self) -> bool {
        self.text.is("INVITE") && self.text.tag_of_to().is_empty()
    }

    /// Replaces something in the body.
    pub fn sdp(&mut self, from: &str, to: &str) {
        self.text.body = self.text.body.replace(from, to);
    }
}

/// What a quirk remembers: how often something was.
#[derive(Clone, Default)]
pub struct Memory(BTreeMap<String, u32>);

impl Memory {
    /// How often this was asked before.
    pub fn count(&mut self, what: &str) -> u32 {
        let count = self.0.entry(what.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}

/// Loss and duplicates per thousand, and how much later a packet may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Weather {
    pub loss: u64,
    pub duplicates: u64,
    pub jitter_us: u64,
}

/// One thing that a carrier does otherwise than one would like.
#[derive(Clone)]
pub struct Quirk {
    pub name: &'static str,
    /// The rows of the catalogue of wire cases that it stands for.
    pub rows: &'static [u16],
    pub ways: &'static [Way],
    pub comes: Comes,
    /// How long a conversation is to last until it shows.
    pub lasts_s: u64,
    /// What it answers to a call.
    pub invite: Option<Script>,
    pub habits: Option<fn(&mut Habits)>,
    pub write: Option<fn(&mut Packet, &mut Memory)>,
    pub take: Option<fn(&Text, &mut Memory) -> Take>,
    pub deeds: &'static [(Moment, u64, Deed)],
    /// Its INVITE has no offer.
    pub is_late: bool,
    /// Headers of its INVITE, each with its line end.
    pub headers: &'static str,
    pub weather: Weather,
    /// What comes of a call of this that nobody answers.
    pub unanswered: &'static [&'static str],
    /// It cannot be told that a call is over.
    pub is_deaf: bool,
    /// It spoils its own hang-up or cancel: that is not asked of it.
    pub ends_badly: bool,
}

pub const BOTH: &[Way] = &[Way::In, Way::Out];
pub const IN: &[Way] = &[Way::In];
pub const OUT: &[Way] = &[Way::Out];

/// A carrier without a fault; quirks are written as what differs.
pub const PLAIN: Quirk = Quirk {
    name: "plain",
    rows: &[],
    ways: BOTH,
    comes: Comes::Survives,
    lasts_s: 9,
    invite: None,
    habits: None,
    write: None,
    take: None,
    deeds: &[],
    is_late: false,
    headers: "",
    weather: Weather { loss: 0, duplicates: 0, jitter_us: 0 },
    unanswered: &["no_answer"],
    is_deaf: false,
    ends_badly: false,
};

/// All of them.
pub fn all() -> Vec<&'static Quirk> {
    let tables = [answers::ALL, descriptions::ALL, dialogs::ALL, requests::ALL];
    tables.into_iter().flatten().collect()
}

pub struct Carrier {
    quirks: Vec<Quirk>,
    memory: Memory,
    seen: BTreeSet<(String, Moment)>,
    due: Vec<(u64, String, Deed)>,
    pub registrar: Option<registrar::Registrar>,
}

impl Carrier {
    pub fn new(quirks: Vec<Quirk>) -> Self {
        Self {
            quirks,
            memory: Memory::default(),
            seen: BTreeSet::new(),
            due: Vec::new(),
            registrar: None,
        }
    }

    pub fn next_timeout(&self) -> Option<u64> {
        self.due.iter().map(|(at, ..)| *at).min()
    }

    /// Notes what a message means for a call.
    pub fn note(&mut self, now: u64, text: &Text, is_ours: bool) {
        let is_invite = text.method() == "INVITE";
        let moment = match text.status() {
            0 if text.is("ACK") => Moment::Acked,
            0 if text.is("CANCEL") => Moment::Cancelled,
            0 if is_invite && is_ours && !text.tag_of_to().is_empty() => Moment::Modified,
            180..=189 if is_invite => Moment::Early,
            200..=299 if is_invite => Moment::Answered,
            _ => return,
        };
        let call = text.call_id().to_owned();
        // The ACK of a refusal, such as of a challenge, is no moment of a call.
        let is_early = !self.seen.contains(&(call.clone(), Moment::Answered));
        if moment == Moment::Acked && is_early || !self.seen.insert((call.clone(), moment)) {
            return;
        }
        for quirk in &self.quirks {
            for (when, after_ms, deed) in quirk.deeds {
                if *when == moment {
                    self.due.push((now + after_ms * 1000, call.clone(), *deed));
                }
            }
        }
    }

    pub fn take(&mut self, text: &Text) -> Take {
        if text.is("REGISTER")
            && let Some(registrar) = &mut self.registrar
        {
            return registrar.take(text);
        }
        for quirk in &self.quirks {
            match quirk.take.map_or(Take::Usual, |take| take(text, &mut self.memory)) {
                Take::Usual => {}
                other => return other,
            }
        }
        Take::Usual
    }

    fn write(&mut self, now: u64, text: &str) -> Packet {
        let mut packet = Packet {
            text: Text::read(text.as_bytes()),
            style: Style::Plain,
            is_dropped: false,
            after_ms: 0,
            port: None,
            extra: Vec::new(),
        };
        for quirk in &self.quirks {
            if let Some(write) = quirk.write {
                write(&mut packet, &mut self.memory);
            }
        }
        if !packet.is_dropped {
            self.note(now + packet.after_ms * 1000, &packet.text.clone(), false);
        }
        packet
    }
}

impl Phone {
    /// Does what a carrier has in mind for now.
    pub(super) fn carrier_acts(&mut self, now: u64) {
        let Some(carrier) = &mut self.carrier else { return };
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut carrier.due).into_iter().partition(|(at, ..)| *at <= now);
        carrier.due = later;
        for (_, call_id, deed) in due {
            if let Some(call) = self.calls.iter().position(|call| call.call_id == call_id) {
                deed(self, now, call);
            }
        }
    }
}

impl World {
    /// Sends what a phone wants sent.
    pub fn flush(&mut self, index: usize) {
        let phone = &mut self.phones[index];
        let (from, to, is_tcp) = (phone.at, phone.us, phone.is_tcp);
        let texts = std::mem::take(&mut phone.out);
        let Some(carrier) = &mut self.phones[index].carrier else {
            for text in texts {
                self.send(from, to, is_tcp, text.into_bytes(), None);
            }
            return;
        };
        let packets: Vec<_> = texts
            .iter()
            .map(|text| carrier.write(self.now, text))
            .filter(|p| !p.is_dropped)
            .collect();
        for packet in packets {
            let from = SocketAddr::new(from.ip(), packet.port.unwrap_or(from.port()));
            let first = (packet.after_ms, packet.text);
            for (after_ms, text) in std::iter::once(first).chain(packet.extra) {
                let bytes = text.write(packet.style).into_bytes();
                match after_ms {
                    0 => self.send(from, to, false, bytes, None),
                    _ => self.fly(self.now + after_ms * 1000, Flying::Held { from, to, bytes }),
                }
            }
        }
    }
}
