//! The sound files that the configuration names.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::decode::Drafts;
use super::source::{Report, Wrong};
use crate::edge::sounds::{self, Clips, SoundSet};

/// Reads them; one that cannot be used is an error, and silence where only the last good configuration is left.
pub(super) fn read(
    report: &mut Report,
    drafts: &Drafts,
    base: &Path,
    is_last_good: bool,
) -> SoundSet {
    let settings = &drafts.settings;
    let mut one = |file: &Option<String>, section: &str, key: &str| -> Option<Clips> {
        let path = base.join(file.as_ref()?);
        match sounds::read(&path) {
            Ok(clips) => Some(clips),
            Err(error) => {
                let wrong = Wrong::new("bad-sound", format!("{}: {error}", path.display()))
                    .help("WAV, MP3, FLAC, Ogg Vorbis and Ogg Opus are read");
                let at = settings.spot(section, key);
                if is_last_good {
                    report.warn(at, wrong)
                } else {
                    report.error(at, wrong)
                }
                None
            }
        }
    };
    SoundSet {
        hold: one(&settings.media.hold_music, "media", "hold_music"),
        notice: one(&settings.recording.notice, "recording", "notice"),
    }
}
