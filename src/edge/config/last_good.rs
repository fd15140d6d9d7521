//! The last configuration that was in force, kept in the state folder: a daemon that is restarted over a broken
//! one starts with it, so that phones work and emergency calls leave.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::decode::Source;
use super::{Diagnostic, Loaded, load, load_beside, profiles};

/// The copy's folder in the state folder.
const FOLDER: &str = "last-good";
/// Where it is made before it takes the place of the one before.
const FOLDER_NEW: &str = "last-good.new";

/// Copies the files of a configuration that is in force now. They hold passwords: only the daemon's user reads
/// them.
///
/// # Errors
///
/// What the file system says; the copy before this one may be gone then.
pub fn keep(config: &Path, state: &Path) -> io::Result<()> {
    let (new, kept) = (state.join(FOLDER_NEW), state.join(FOLDER));
    let remove = |folder: &Path| match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    remove(&new)?;
    std::fs::DirBuilder::new().mode(0o700).create(&new)?;
    std::fs::DirBuilder::new().mode(0o700).create(new.join(profiles::FOLDER))?;
    let files = Source::ALL.iter().map(|source| source.file().to_owned());
    let profiles = profiles::names(config);
    let profiles = profiles.iter().map(|name| format!("{}/{name}.toml", profiles::FOLDER));
    for file in files.chain(profiles) {
        let mut from = match std::fs::File::open(config.join(&file)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut options = std::fs::OpenOptions::new();
        let mut to = options.create_new(true).write(true).mode(0o600).open(new.join(&file))?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()?;
    }
    remove(&kept)?;
    std::fs::rename(&new, &kept)
}

/// Reads the configuration; if it is broken, the last good one, with what is wrong with the new one.
///
/// # Errors
///
/// The findings, if there is no last good one or that is broken too.
pub fn load_or_last_good(
    config: &Path,
    state: &Path,
) -> Result<(Loaded, Vec<Diagnostic>), Vec<Diagnostic>> {
    match load(config) {
        Ok(loaded) => Ok((loaded, Vec::new())),
        Err(findings) => match load_beside(&state.join(FOLDER), config, true) {
            Ok(loaded) => Ok((loaded, findings)),
            Err(_) => Err(findings),
        },
    }
}
