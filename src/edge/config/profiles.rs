//! Profiles of carriers: `profiles/NAME.toml` beside the configuration's files.

use std::collections::BTreeMap;
use std::path::Path;

use super::source::{Report, Spot, Wrong};
use super::trunk::TrunkDraft;
use super::{decode, open_file, value};

#[cfg(test)]
mod tests;

/// The folder, beside the files.
pub(super) const FOLDER: &str = "profiles";

/// Profiles that are read; a folder with more is refused.
const PROFILES_MAX: usize = 256;
/// Bytes of one profile.
const SIZE_MAX: u64 = 1 << 20;

/// Reads and checks every profile, whether a trunk follows it or not.
pub(super) fn read(report: &mut Report, dir: &Path) -> BTreeMap<String, TrunkDraft> {
    let names = names(dir);
    if names.len() > PROFILES_MAX {
        let file = report.add_file(FOLDER, String::new());
        let message = format!("there are more than {PROFILES_MAX} profiles");
        report.error(Spot { file, offset: None }, Wrong::new("out-of-range", message));
        return BTreeMap::new();
    }
    let mut profiles = BTreeMap::new();
    for name in names {
        let path = format!("{FOLDER}/{name}.toml");
        let Some(file) = open_file(report, dir, &path, true, SIZE_MAX) else { continue };
        if let Err(wrong) = value::token(&name) {
            report.error(Spot { file, offset: None }, wrong);
        }
        profiles.insert(name, decode::profile(report, file));
    }
    profiles
}

/// The names of the profiles in a configuration, in order.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir.join(FOLDER)) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    names
}
