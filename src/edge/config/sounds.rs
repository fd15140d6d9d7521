//! The sound files that the configuration names.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::decode::Drafts;
use super::source::{Report, Wrong};
use crate::edge::sounds::{self, Clips, SoundSet};
use crate::switch::phrase::Language;

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
    let hold = one(&settings.media.hold_music, "media", "hold_music");
    let notice = one(&settings.recording.notice, "recording", "notice");
    let prompts = prompts(report, drafts, base, is_last_good);
    SoundSet { hold, notice, prompts }
}

/// The folder of prompts. A prompt that one language lacks is a warning: nobody hears half of a phrase.
fn prompts(
    report: &mut Report,
    drafts: &Drafts,
    base: &Path,
    is_last_good: bool,
) -> Option<PathBuf> {
    let folder = base.join(drafts.settings.speech.sounds.as_ref()?);
    let at = drafts.settings.spot("speech", "sounds");
    let mut names = Vec::new();
    for language in Language::ALL {
        match names_in(&folder.join(language.code())) {
            Ok(found) => names.push((language, found)),
            Err(error) => {
                let place = folder.join(language.code());
                let wrong = Wrong::new("bad-sounds", format!("{}: {error}", place.display()))
                    .help("a folder is needed with `en` and `zh-CN` in it, such as the `sounds` of the distribution");
                if is_last_good {
                    report.warn(at, wrong);
                } else {
                    report.error(at, wrong);
                }
                return None;
            }
        }
    }
    let all: BTreeSet<&String> = names.iter().flat_map(|(_, found)| found).collect();
    for (language, found) in &names {
        let missing: Vec<&str> =
            all.iter().filter(|name| !found.contains(**name)).map(|name| name.as_str()).collect();
        if let Some(first) = missing.first() {
            let words = format!("{} prompt(s) are missing in {}", missing.len(), language.code());
            report.warn(at, Wrong::new("missing-prompt", words).help(format!("one is `{first}`")));
        }
    }
    Some(folder)
}

/// The names of the files of a folder, without what they end with.
fn names_in(folder: &Path) -> std::io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}
