//! What was encoded once and is likely to be wanted again.

use std::collections::HashMap;
use std::hash::Hash;

use super::Clips;

/// Memory for encoded sounds: some twenty minutes of them. When it is full the one that was wanted longest ago goes, and is read
/// again when it is wanted.
pub const KEPT_BYTES_MAX: usize = 32 << 20;

/// Sounds by name, within a number of bytes.
#[derive(Debug)]
pub struct Kept<K> {
    sounds: HashMap<K, Entry>,
    bytes: usize,
    bytes_max: usize,
    /// Counts up with each use.
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    clips: Clips,
    bytes: usize,
    used: u64,
}

impl<K: Eq + Hash + Clone> Kept<K> {
    /// With room for so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { sounds: HashMap::new(), bytes: 0, bytes_max, clock: 0 }
    }

    /// A sound, if it is still there.
    pub fn get(&mut self, name: &K) -> Option<Clips> {
        self.clock += 1;
        let entry = self.sounds.get_mut(name)?;
        entry.used = self.clock;
        Some(Clips::clone(&entry.clips))
    }

    /// Keeps a sound, unless it alone is too much.
    pub fn put(&mut self, name: K, clips: &Clips) {
        let bytes = clips.iter().map(super::Clip::bytes).sum::<usize>();
        if bytes > self.bytes_max {
            return;
        }
        self.clock += 1;
        let entry = Entry { clips: Clips::clone(clips), bytes, used: self.clock };
        self.bytes += bytes;
        if let Some(before) = self.sounds.insert(name, entry) {
            self.bytes -= before.bytes;
        }
        while self.bytes > self.bytes_max {
            let oldest = self.sounds.iter().min_by_key(|(_, entry)| entry.used);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { return };
            if let Some(gone) = self.sounds.remove(&name) {
                self.bytes -= gone.bytes;
            }
        }
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.sounds.clear();
        self.bytes = 0;
    }

    /// Bytes that are taken.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Clip, Codec};
    use super::*;

    fn clips(seconds: usize) -> Clips {
        vec![Clip::encode(Codec::Pcma, &vec![0; 8_000 * seconds]).unwrap()].into()
    }

    #[test]
    fn the_sound_that_was_wanted_longest_ago_goes_first() {
        let second = clips(1)[0].bytes();
        let mut kept = Kept::new(3 * second);
        for name in ["a", "b", "c"] {
            kept.put(name, &clips(1));
        }
        assert!(kept.get(&"a").is_some());
        kept.put("d", &clips(1));
        let is_there = ["a", "b", "c", "d"].map(|name| kept.get(&name).is_some());
        assert_eq!(is_there, [true, false, true, true]);
        // The same again takes nothing more; what is too much alone is not kept, and drives nothing out.
        kept.put("d", &clips(1));
        kept.put("e", &clips(4));
        assert_eq!((kept.bytes(), kept.get(&"e").is_none()), (3 * second, true));
        kept.put("f", &clips(3));
        assert_eq!((kept.bytes(), kept.sounds.len()), (3 * second, 1));
        kept.clear();
        assert_eq!(kept.bytes(), 0);
    }
}
