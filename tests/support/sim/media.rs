//! A media plane that carries no packets but knows which ones would arrive.

use std::collections::BTreeMap;
use std::time::Duration;

use tandem::proto::audio::Codec;
use tandem::proto::sdp::{Format, StreamPlan};
use tandem::switch::call::{Input, MediaOp, Ports, Seat, Side, SideStats, TapeOp};
use tandem::switch::cdr::record::CallId;
use tandem::switch::speech::Say;

/// What one call has open.
#[derive(Clone, Debug, Default)]
pub struct Open {
    pub ports: Option<(Ports, Ports)>,
    pub a: StreamPlan,
    pub b: StreamPlan,
    /// Which side hears music.
    pub music: [bool; 2],
    /// Silence that is reported, while talking and while held, once somebody asked for it.
    pub dead_after: Option<(Duration, Duration)>,
}

impl Open {
    /// One line: what each side could hear.
    pub fn hearing(&self) -> String {
        format!("a hears b: {}; b hears a: {}", path(&self.b, &self.a), path(&self.a, &self.b))
    }

    /// The addresses that audio is sent to, side a first.
    pub fn ends(&self) -> Vec<Option<std::net::IpAddr>> {
        [&self.a, &self.b].map(|plan| plan.remote_rtp.map(|address| address.ip())).to_vec()
    }

    pub fn a_hears_b(&self) -> bool {
        path(&self.b, &self.a).starts_with("yes")
    }

    pub fn b_hears_a(&self) -> bool {
        path(&self.a, &self.b).starts_with("yes")
    }
}

/// Would audio of the speaker reach the listener, as which codec and where?
fn path(speaker: &StreamPlan, listener: &StreamPlan) -> String {
    if !speaker.receive || !listener.send {
        return "no".to_owned();
    }
    let Some(to) = listener.remote_rtp else { return "no (no address)".to_owned() };
    // A speaker sends the first codec that it was told it may.
    let is_speech =
        |format: &&Format| !["telephone-event", "CN", "red"].contains(&format.name.as_str());
    let spoken = speaker.send_formats.iter().find(is_speech);
    let understood = spoken.and_then(|spoken| {
        listener.send_formats.iter().find(|format| {
            format.name.eq_ignore_ascii_case(&spoken.name) && format.clock_rate == spoken.clock_rate
        })
    });
    let end = to;
    match understood {
        Some(format) => {
            format!("yes {}/{} ({}) via {to}", format.name, format.clock_rate, format.payload_type)
        }
        None => match (spoken, converted(spoken, &listener.send_formats)) {
            (Some(spoken), Some(to)) => {
                format!("yes {} made into {} via {at}", spoken.name, to, at = end)
            }
            _ => "no (no common codec)".to_owned(),
        },
    }
}

/// What the relay makes of what is spoken, if the listener does not take it.
fn converted(spoken: Option<&Format>, takes: &[Format]) -> Option<String> {
    let codec = |format: &Format| Codec::of(&format.name, format.clock_rate, format.channels);
    codec(spoken?)?;
    takes.iter().find(|format| codec(format).is_some()).map(|format| format.name.clone())
}

/// All ports of all calls.
#[derive(Debug, Default)]
pub struct MediaPlane {
    pub open: BTreeMap<CallId, Open>,
    next: u16,
    /// The next `Open` is refused.
    pub refuses: bool,
    /// What the recorder was told about each call.
    pub tapes: BTreeMap<CallId, Vec<TapeOp>>,
    /// What sides are told, and who is told no more.
    pub said: Vec<(Vec<Side>, u64, Say)>,
    pub silenced: Vec<Side>,
    /// When a recogniser was to listen, and when not any more.
    pub listened: Vec<bool>,
    /// No recording begins.
    pub refuses_tapes: bool,
    /// Digits that are to be in the stream of a side.
    pub keys: Vec<(Side, u8, Duration)>,
    /// Sides that are in rooms.
    pub rooms: BTreeMap<(CallId, Side), Seat>,
    /// The calls that were told something, and in which words.
    pub told: Vec<(CallId, String)>,
    /// What the relay will have counted for each call; nothing if not said.
    pub figures: BTreeMap<CallId, Box<[SideStats; 2]>>,
}

impl MediaPlane {
    pub fn apply(&mut self, call: CallId, op: MediaOp) -> Option<Input> {
        match op {
            MediaOp::Open { .. } if self.refuses => Some(Input::MediaRefused("no port is free")),
            MediaOp::Open { .. } => {
                assert!(!self.open.contains_key(&call), "{call} opened its ports twice");
                let base = 20_000 + self.next * 4;
                self.next = (self.next + 1) % 2_000;
                let (a, b) =
                    (Ports { rtp: base, rtcp: base + 1 }, Ports { rtp: base + 2, rtcp: base + 3 });
                self.open.insert(call, Open { ports: Some((a, b)), ..Open::default() });
                Some(Input::MediaOpened { a, b })
            }
            MediaOp::Watch { talk, hold } => {
                let open = self.open.get_mut(&call).expect("ports that are not open are watched");
                open.dead_after = Some((talk, hold));
                None
            }
            MediaOp::Set(side, plan) => {
                let open = self.open.get_mut(&call).expect("a plan for ports that are not open");
                match side {
                    Side::A => open.a = plan,
                    Side::B => open.b = plan,
                }
                None
            }
            MediaOp::Press { side, event, duration } => {
                self.keys.push((side, event, duration));
                None
            }
            MediaOp::Music { side, is_on } => {
                let open = self.open.get_mut(&call).expect("music where no ports are open");
                let before =
                    std::mem::replace(&mut open.music[usize::from(side == Side::B)], is_on);
                assert_ne!(before, is_on, "music is told of when it changes");
                None
            }
            MediaOp::Say { sides, token, say } => {
                assert!(self.open.contains_key(&call), "{call} is told something without ports");
                self.told.push((call, say.what.words()));
                self.said.push((sides, token, say));
                None
            }
            MediaOp::Listen { is_on } => {
                self.listened.push(is_on);
                None
            }
            MediaOp::Silence { side } => {
                self.silenced.push(side);
                None
            }
            MediaOp::Tape(op) => {
                assert!(self.open.contains_key(&call), "{call} is recorded without ports");
                self.tapes.entry(call).or_default().push(op);
                (matches!(op, TapeOp::Begin { .. }) && self.refuses_tapes)
                    .then_some(Input::NotRecorded { why: "the disk is full", has_begun: false })
            }
            MediaOp::Room { side, place } => {
                assert!(self.open.contains_key(&call), "{call} is in a room without ports");
                match place {
                    Some(place) => self.rooms.insert((call, side), place),
                    None => self.rooms.remove(&(call, side)),
                };
                None
            }
            // The plane watches; a test says itself when a side is dead.
            MediaOp::Close => {
                self.rooms.retain(|(own, _), _| *own != call);
                self.open.remove(&call).expect("ports that are not open were closed");
                Some(Input::MediaClosed(self.figures.remove(&call).unwrap_or_default()))
            }
        }
    }
}
