//! One source as a steady stream of samples, for a mixer with a clock of its own.

use std::collections::VecDeque;

use super::Listener;
use crate::proto::audio::{AudioError, Codec, Resampler};
use crate::proto::rtp::jitter_buffer::Delay;
use crate::proto::rtp::packet::Header;
use crate::proto::time::Instant;

/// Milliseconds of a frame: what every call of [`Ear::take`] gives.
pub const EAR_FRAME_MS: u32 = 20;
/// Frames that a source may be late in a row and still be made up for: longer, and it is silent.
const CONCEALED_MAX: u32 = 2;
/// Frames over which the samples that wait are watched. What waited in all of them is delay that nobody needs: the source's
/// clock is faster than ours, or the network was slow once.
const WATCHED: u32 = 150;
/// Frames that may wait at most; older ones are left out.
const WAITING_MAX: usize = 6;
/// The part of a frame over which what is left out is faded: 2.5 ms.
const FADE_PART: usize = 8;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// What came.
    Sound,
    /// What would have come: a good part of it was lost, or is late.
    MadeUp,
    /// Nobody sent anything.
    Silence,
}

/// Hears one source, whatever codec it speaks, at the rate that the mixer wants.
///
/// The jitter buffer lets packets out when they are to be played, the mixer asks when its own clock says so. Between the two
/// lies a little more than nothing: it grows by a frame when a frame was missing, and shrinks when that was never needed.
#[derive(Debug)]
pub struct Ear {
    rate: u32,
    listener: Option<(Listener, Resampler)>,
    /// Samples at the mixer's rate.
    waiting: Vec<i16>,
    /// Which of them came, and which are made up: how many of each in a row.
    made_up: VecDeque<(usize, bool)>,
    /// Somebody speaks, as far as frames were there.
    is_talking: bool,
    late_frames: u32,
    /// The least that was left after a frame, in so many frames.
    least_left: usize,
    watched: u32,
}

impl Ear {
    /// An ear that has heard nothing; `rate` samples a second.
    #[must_use]
    pub const fn new(rate: u32) -> Self {
        Self {
            rate,
            listener: None,
            waiting: Vec::new(),
            made_up: VecDeque::new(),
            is_talking: false,
            late_frames: 0,
            least_left: usize::MAX,
            watched: 0,
        }
    }

    /// At which rate it gives samples.
    #[must_use]
    pub const fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes a packet of speech; with an empty payload, the number of one that is none.
    ///
    /// # Errors
    ///
    /// [`AudioError`] if the codec cannot be had, or not at this rate.
    pub fn hear(
        &mut self,
        now: Instant,
        header: &Header,
        codec: Codec,
        payload: &[u8],
    ) -> Result<(), AudioError> {
        if self.listener.as_ref().is_none_or(|(known, _)| known.codec() != codec) {
            if payload.is_empty() {
                return Ok(());
            }
            let listener = Listener::new(codec, Delay::default())?;
            let resampler = Resampler::new(codec.sample_rate(), self.rate)?;
            self.listener = Some((listener, resampler));
        }
        if let Some((listener, _)) = &mut self.listener {
            listener.insert(now, header, payload);
        }
        Ok(())
    }

    /// The number of a packet that is no speech: it is no loss.
    pub fn skip(&mut self, now: Instant, header: &Header) {
        if let Some((listener, _)) = &mut self.listener {
            listener.insert(now, header, &[]);
        }
    }

    /// Samples of a frame.
    #[must_use]
    pub fn frame(&self) -> usize {
        usize::try_from(self.rate * EAR_FRAME_MS / 1_000).unwrap_or_default()
    }

    /// Gives the next frame, in place of what is in `out`.
    pub fn take(&mut self, now: Instant, out: &mut Vec<i16>) -> Taken {
        out.clear();
        let frame = self.frame();
        self.fill(now);
        if self.waiting.len() < frame && self.is_talking {
            self.make_up(frame);
        }
        if self.waiting.len() < frame {
            // What is there waits for the rest of its frame.
            out.resize(frame, 0);
            self.is_talking = false;
            return Taken::Silence;
        }
        if !std::mem::replace(&mut self.is_talking, true) {
            (self.least_left, self.watched) = (usize::MAX, 0);
        }
        self.shrink(frame);
        let made_up = self.drain(frame, Some(out));
        if made_up * 4 > frame { Taken::MadeUp } else { Taken::Sound }
    }

    /// Takes samples out, and says how many of them were made up.
    fn drain(&mut self, count: usize, out: Option<&mut Vec<i16>>) -> usize {
        let count = count.min(self.waiting.len());
        let taken = self.waiting.drain(..count);
        if let Some(out) = out {
            out.extend(taken);
        }
        let (mut left, mut made_up) = (count, 0);
        while left > 0
            && let Some((run, is_made_up)) = self.made_up.front_mut()
        {
            let part = left.min(*run);
            made_up += if *is_made_up { part } else { 0 };
            (*run, left) = (*run - part, left - part);
            if *run == 0 {
                self.made_up.pop_front();
            }
        }
        made_up
    }

    /// Counts what has been added to the samples that wait.
    fn added(&mut self, before: usize, is_made_up: bool) {
        let count = self.waiting.len().saturating_sub(before);
        match self.made_up.back_mut() {
            Some((run, known)) if *known == is_made_up => *run += count,
            _ if count > 0 => self.made_up.push_back((count, is_made_up)),
            _ => {}
        }
    }

    /// Decodes all that is due.
    fn fill(&mut self, now: Instant) {
        loop {
            let before = self.waiting.len();
            let Some((listener, resampler)) = &mut self.listener else { return };
            let Some(piece) = listener.next(now) else { break };
            let is_made_up = piece.is_made_up;
            resampler.process(piece.samples, &mut self.waiting);
            self.late_frames = 0;
            self.added(before, is_made_up);
        }
        let most = WAITING_MAX * usize::try_from(self.rate * EAR_FRAME_MS / 1_000).unwrap_or(1);
        let excess = self.waiting.len().saturating_sub(most);
        if excess > 0 {
            self.drain(excess, None);
        }
    }

    /// A frame is missing in the middle of speech: it is made up for, and what comes waits one frame longer from now on.
    fn make_up(&mut self, frame: usize) {
        let before = self.waiting.len();
        let Some((listener, resampler)) = &mut self.listener else { return };
        if self.late_frames >= CONCEALED_MAX {
            return;
        }
        self.late_frames += 1;
        let length = listener.codec().sample_rate() * EAR_FRAME_MS / 1_000;
        let concealed = listener.conceal(usize::try_from(length).unwrap_or_default());
        resampler.process(concealed, &mut self.waiting);
        // A resampler begins with less than it was given.
        let missing = frame.saturating_sub(self.waiting.len());
        self.waiting.extend(std::iter::repeat_n(0, missing));
        self.added(before, true);
    }

    /// Leaves out a frame if another one waited behind it all the time.
    fn shrink(&mut self, frame: usize) {
        self.least_left = self.least_left.min(self.waiting.len().saturating_sub(frame));
        self.watched += 1;
        if self.watched < WATCHED {
            return;
        }
        let is_needless = self.least_left >= frame;
        (self.least_left, self.watched) = (usize::MAX, 0);
        if !is_needless {
            return;
        }
        // The first samples of what is left out fade into those that come after it, so that there is no step.
        let fade = frame / FADE_PART;
        for index in 0..fade {
            let (Some(old), Some(new)) =
                (self.waiting.get(index).copied(), self.waiting.get(index + frame).copied())
            else {
                return;
            };
            let blended = fade_over(old, new, index, fade);
            if let Some(place) = self.waiting.get_mut(index + frame) {
                *place = blended;
            }
        }
        self.drain(frame, None);
    }

    /// Samples that wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

fn fade_over(old: i16, new: i16, index: usize, length: usize) -> i16 {
    let whole = i32::try_from(length.max(1)).unwrap_or(1);
    let part = i32::try_from(index).unwrap_or(whole);
    let value = (i32::from(old) * (whole - part) + i32::from(new) * part) / whole;
    i16::try_from(value).unwrap_or_default()
}
