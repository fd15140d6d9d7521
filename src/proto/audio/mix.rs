//! Several voices at once: everybody hears the sum of the others.

use super::saturate;

/// The sum of one frame of all parties, in 32 bits: 65,535 of them cannot overflow it.
#[derive(Clone, Debug, Default)]
pub struct Mix {
    sum: Vec<i32>,
}

impl Mix {
    /// Begins with a frame of so many samples, all silent.
    pub fn begin(&mut self, samples: usize) {
        self.sum.clear();
        self.sum.resize(samples, 0);
    }

    /// Adds what a party says. What is longer than the frame is left out, and one that
    /// ends before it is silent for the rest.
    pub fn add(&mut self, voice: &[i16]) {
        for (sum, sample) in self.sum.iter_mut().zip(voice) {
            *sum = sum.saturating_add(i32::from(*sample));
        }
    }

    /// Appends what a party hears: the sum without its `own` voice, which was added
    /// before; nothing of its own, if it only listens. What is too loud is cut off.
    pub fn without(&self, own: &[i16], out: &mut Vec<i16>) {
        out.reserve(self.sum.len());
        let silence = std::iter::repeat(&0);
        let own = own.iter().chain(silence);
        out.extend(
            self.sum
                .iter()
                .zip(own)
                .map(|(sum, own)| saturate(sum.saturating_sub(i32::from(*own)))),
        );
    }
}
