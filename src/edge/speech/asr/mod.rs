//! Calls become text: one thread that decodes what ears hand on, and a stream to the provider for each speaker.

mod utterance;
mod vosk;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::ear::{Ear, EarControl, Lane, REELS_MAX};
use super::material::Material;
use crate::edge::control::EventLog;
use crate::proto::recording::{Reel, Tape, Tracks};
use crate::proto::time::Instant;
use crate::switch::cdr::record::CallId;
use crate::switch::speech::AsrProvider;

/// Calls that are transcribed at a time; a further one is refused.
pub const CALLS_MAX: usize = 64;
/// Samples a second that recognisers are sent.
const RATE: u32 = 16_000;
/// Pieces that wait for a provider that is slow, some thirteen seconds. When it is full the next one is thrown away.
const PIECES_MAX: usize = 64;

/// Why a call is not transcribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenRefused {
    /// `[speech] asr` says nobody.
    NoProvider,
    /// As many calls are as may be.
    Full,
    /// The system has no thread for it.
    Gone,
}

impl ListenRefused {
    /// In words, for the timeline.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoProvider => "nobody listens: set `asr` in the section [speech]",
            Self::Full => "too many calls are transcribed already",
            Self::Gone => "there is no thread to listen",
        }
    }
}

/// What a transcript tells its call: a kind of the timeline, and words.
pub type Told = (&'static str, String);

/// One of the calls that are transcribed; a panic gives its place back too.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A transcript that begins.
struct Begin {
    call: CallId,
    at: Instant,
    material: Arc<Material>,
    reels: mpsc::Receiver<Reel>,
    lane: Arc<Lane>,
    told: mpsc::Sender<Told>,
}

/// Listens to calls; copies share the one thread, which begins with the first transcript and ends with the last copy.
#[derive(Clone)]
pub struct Listener {
    events: EventLog,
    begins: Arc<Mutex<Option<mpsc::Sender<Begin>>>>,
    material: Arc<Mutex<Arc<Material>>>,
    open: Arc<AtomicUsize>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Listener {
    /// With these settings, and whom texts are told.
    #[must_use]
    pub fn new(material: Arc<Material>, events: EventLog) -> Self {
        Self {
            events,
            begins: Arc::default(),
            material: Arc::new(Mutex::new(material)),
            open: Arc::default(),
        }
    }

    /// The way to the thread, which is started if it is not there.
    fn begins(&self) -> io::Result<mpsc::Sender<Begin>> {
        let mut place = self.begins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(begins) = place.as_ref().filter(|begins| !begins.is_closed()) {
            return Ok(begins.clone());
        }
        let (begins, mut wanted) = mpsc::channel::<Begin>(CALLS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (events, open) = (self.events.clone(), Arc::clone(&self.open));
        std::thread::Builder::new().name("listener".to_owned()).spawn(move || {
            runtime.block_on(async move {
                while let Some(begin) = wanted.recv().await {
                    let (events, place) = (events.clone(), Place(Arc::clone(&open)));
                    tokio::spawn(async move {
                        listen(begin, events).await;
                        drop(place);
                    });
                }
            });
        })?;
        *place = Some(begins.clone());
        Ok(begins)
    }

    /// With other settings for transcripts that begin from now on.
    pub fn set(&self, material: Arc<Material>) {
        *self.material.lock().unwrap_or_else(PoisonError::into_inner) = material;
    }

    /// Begins to transcribe a call: what the ear is given from now on.
    ///
    /// # Errors
    ///
    /// [`ListenRefused`]; the call goes on without.
    pub fn begin(
        &self,
        call: CallId,
        at: Instant,
        told: mpsc::Sender<Told>,
    ) -> Result<(Box<Ear>, EarControl), ListenRefused> {
        let material = Arc::clone(&self.material.lock().unwrap_or_else(PoisonError::into_inner));
        if material.settings.asr == AsrProvider::None {
            return Err(ListenRefused::NoProvider);
        }
        if self.open.fetch_add(1, Ordering::Relaxed) >= CALLS_MAX {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(ListenRefused::Full);
        }
        let (sender, reels) = mpsc::channel(REELS_MAX);
        let lane = Arc::new(Lane::default());
        let begin = Begin { call, at, material, reels, lane: Arc::clone(&lane), told };
        if !self.begins().is_ok_and(|begins| begins.try_send(begin).is_ok()) {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(ListenRefused::Gone);
        }
        let (ear, control) = Ear::new(at, lane, sender);
        Ok((Box::new(ear), control))
    }
}

/// One speaker of a call on the way to the provider.
struct Speaker {
    call: CallId,
    side: &'static str,
    material: Arc<Material>,
    events: EventLog,
    told: mpsc::Sender<Told>,
    pieces: mpsc::Receiver<Vec<i16>>,
    /// Samples that were sent, or were to be, since the transcript began.
    position: u64,
}

/// A text and where it belongs, in seconds since the transcript began.
struct Final {
    text: String,
    start: f64,
    end: f64,
    confidence: Option<f64>,
}

fn seconds(samples: u64) -> f64 {
    let millis = u32::try_from(samples * 1_000 / u64::from(RATE)).unwrap_or(u32::MAX);
    f64::from(millis) / 1_000.0
}

impl Speaker {
    fn publish(&self, kind: &'static str, fields: Value) {
        let mut object = Map::new();
        object.insert("call".into(), json!(self.call.to_string()));
        object.insert("side".into(), json!(self.side));
        if let Value::Object(fields) = fields {
            object.extend(fields);
        }
        self.events.publish(kind, &Value::Object(object));
    }

    fn partial(&self, text: &str) {
        self.publish("transcript.partial", json!({ "text": text }));
    }

    fn heard(&self, heard: &Final) {
        let Final { text, start, end, confidence } = heard;
        self.publish(
            "transcript.final",
            json!({ "text": text, "start": start, "end": end, "confidence": confidence }),
        );
    }

    /// The provider is away, or is back.
    fn tell(&self, kind: &'static str, words: &str) {
        self.publish(kind, json!({ "why": words }));
        // The call may have much to do, or be over: the event is there all the same.
        let _ = self.told.try_send((kind, format!("side {}: {words}", self.side)));
    }
}

/// Decodes a call until it ends, in the order and with the concealment of a recording.
async fn listen(mut begin: Begin, events: EventLog) {
    let mut tape = Tape::new(begin.at, RATE, Tracks::Dual);
    let mut ways = Vec::new();
    let mut speakers = Vec::new();
    for side in ["a", "b"] {
        let (way, pieces) = mpsc::channel(PIECES_MAX);
        ways.push(way);
        let speaker = Speaker {
            call: begin.call,
            side,
            material: Arc::clone(&begin.material),
            events: events.clone(),
            told: begin.told.clone(),
            pieces,
            position: 0,
        };
        speakers.push(tokio::spawn(async move {
            match speaker.material.settings.asr {
                AsrProvider::Vosk => vosk::run(speaker).await,
                AsrProvider::Http => utterance::run(speaker).await,
                AsrProvider::None => {}
            }
        }));
    }
    let (mut until, mut bytes, mut lost) = (begin.at, Vec::new(), 0_u64);
    let mut send = |bytes: &mut Vec<u8>| {
        for (side, way) in ways.iter().enumerate() {
            let sample = |frame: &[u8]| {
                let pair = frame.get(side * 2..side * 2 + 2)?.try_into().ok()?;
                Some(i16::from_le_bytes(pair))
            };
            let piece: Vec<i16> = bytes.chunks_exact(4).filter_map(sample).collect();
            lost += u64::from(!piece.is_empty() && way.try_send(piece).is_err());
        }
        bytes.clear();
    };
    while let Some(mut reel) = begin.reels.recv().await {
        until = reel.until;
        tape.take(&mut reel, &mut bytes);
        send(&mut bytes);
    }
    tape.finish(until, &mut bytes);
    send(&mut bytes);
    drop(ways);
    for speaker in speakers {
        // One that panicked has said nothing more.
        let _ = speaker.await;
    }
    let missed = begin.lane.lost.load(Ordering::Relaxed);
    if missed + lost > 0 {
        tracing::warn!(call = %begin.call, missed, lost, "a transcript has gaps");
    }
}
