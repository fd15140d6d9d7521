//! Configuration: files to one checked snapshot, all mistakes at once, and the plan of a reload.

mod check;
mod codes;
mod decode;
mod diagnostic;
pub mod edit;
mod item;
mod last_good;
mod plan;
mod profiles;
mod protect;
mod provision;
mod reachable;
mod recording;
mod reference;
mod rooms;
mod secure;
mod settings;
mod sounds;
mod source;
mod speech;
mod stir;
mod tables;
mod trunk;
mod value;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use self::decode::{Drafts, Source};
pub use self::diagnostic::{Diagnostic, Severity};
pub use self::last_good::{keep, load_or_last_good};
pub use self::plan::{Change, Plan, diff};
pub use self::reachable::one_way_audio;
pub use self::reference::reference;
pub use self::settings::{ControlSettings, DEFAULT_SOCKET};
use self::source::{Report, Spot, Wrong};
use crate::edge::provisioning::Templates;
use crate::edge::sip_io::tls::Tls;
use crate::edge::sounds::SoundSet;
use crate::edge::stir::Material;
use crate::switch::snapshot::Snapshot;

/// The generated reference may lie beside the configuration; it is not part of it.
const REFERENCE: &str = "reference.toml";

/// Bytes of one file; ten thousand phones are about one megabyte.
const FILE_SIZE_MAX: u64 = 256 << 20;

/// A configuration that passed the check.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the switch works by; its revision is 1, and a reload counts on from the old one.
    pub snapshot: Snapshot,
    /// What the control server needs.
    pub control: ControlSettings,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
    /// Is it the copy of the last good one, because the files have errors?
    pub is_last_good: bool,
    /// The certificates that it names, read.
    pub tls: Tls,
    /// The templates of the files that phones fetch, read.
    pub templates: Templates,
    /// Our key for statements of who calls, and whose certificates are believed.
    pub stir: Arc<Material>,
    /// The sounds that it names, read.
    pub sounds: SoundSet,
    /// What speech is made with.
    pub speech: Arc<crate::edge::speech::Material>,
}

/// Reads and checks every file of the directory.
///
/// # Errors
///
/// All findings, warnings among them, in the order of files and lines, if one of them is an error.
pub fn load(dir: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(dir, dir, false, None)
}

/// The same with another text in the place of one file.
fn load_instead(dir: &Path, instead: (Source, &str)) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(dir, dir, false, Some(instead))
}

/// The same for a copy of the files: what they name lies beside the original.
fn load_beside(dir: &Path, base: &Path, is_last_good: bool) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(dir, base, is_last_good, None)
}

fn load_with(
    dir: &Path,
    base: &Path,
    is_last_good: bool,
    instead: Option<(Source, &str)>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut report = Report::default();
    let mut drafts = Drafts::default();
    unknown_files(&mut report, dir);
    drafts.profiles = profiles::read(&mut report, dir);
    for source in Source::ALL {
        let file = match instead {
            Some((other, text)) if other == source => {
                Some(report.add_file(source.file(), text.trim_start_matches('\u{feff}').into()))
            }
            _ => open(&mut report, dir, source),
        };
        if let Some(file) = file {
            decode::read(&mut report, source, file, &mut drafts);
        }
    }
    check::check(&mut report, &drafts);
    let tls = secure::read(&mut report, &mut drafts, base, is_last_good);
    let templates = provision::read(&mut report, &drafts, base, is_last_good);
    let stir = stir::read(&mut report, &mut drafts, base, is_last_good);
    let sounds = sounds::read(&mut report, &drafts, base, is_last_good);
    let speech = Arc::new(speech::read(&mut report, &drafts, base, is_last_good));
    let findings = report.finish();
    let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
    let (Some(tls), Some(templates), Some(stir), false) = (tls, templates, stir, has_errors) else {
        return Err(findings);
    };
    let control = drafts.settings.control.clone();
    let snapshot = check::snapshot(drafts);
    let stir = Arc::new(stir);
    Ok(Loaded {
        snapshot,
        control,
        warnings: findings,
        is_last_good,
        tls,
        templates,
        stir,
        sounds,
        speech,
    })
}

/// Adds the file's text to the report; a file other than `tandem.toml` may be absent.
fn open(report: &mut Report, dir: &Path, source: Source) -> Option<usize> {
    open_file(report, dir, source.file(), source == Source::Tandem, FILE_SIZE_MAX)
}

/// Adds the text of a file with this name inside the directory.
fn open_file(
    report: &mut Report,
    dir: &Path,
    name: &str,
    is_needed: bool,
    size_max: u64,
) -> Option<usize> {
    let path = dir.join(name);
    let read = std::fs::metadata(&path).and_then(|meta| {
        if meta.len() > size_max {
            let text = format!("the file is larger than {} MiB", size_max >> 20);
            return Err(std::io::Error::other(text));
        }
        std::fs::read(&path)
    });
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_needed => {
            return None;
        }
        Err(error) => {
            let file = report.add_file(name, String::new());
            let wrong = if error.kind() == std::io::ErrorKind::NotFound {
                let message = format!("there is no {name} in {}", dir.display());
                Wrong::new("missing-file", message).help("see conf/ for a working one")
            } else {
                Wrong::new("unreadable-file", error.to_string())
            };
            report.error(Spot { file, offset: None }, wrong);
            return None;
        }
    };
    match String::from_utf8(bytes) {
        // A byte order mark is what some editors leave; the parser takes it for a key.
        Ok(text) => Some(report.add_file(name, text.trim_start_matches('\u{feff}').into())),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let bytes = error.into_bytes();
            let text = String::from_utf8_lossy(bytes.get(..at).unwrap_or(&[])).into_owned();
            let file = report.add_file(name, text);
            let wrong = Wrong::new("not-utf8", "the file is not UTF-8 from here on");
            report.error(Spot { file, offset: Some(at) }, wrong.help("save it as UTF-8"));
            None
        }
    }
}

/// A misspelt file would be a part of the configuration that silently is not there.
fn unknown_files(report: &mut Report, dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        // Editors keep their own copies under names that begin with a dot.
        .filter(|name| name.ends_with(".toml") && !name.starts_with('.') && name != REFERENCE)
        .filter(|name| !Source::ALL.iter().any(|source| source.file() == name))
        .collect();
    names.sort();
    for name in names {
        let near = report.nearest(&name, Source::ALL.iter().map(|source| source.file()));
        let wrong = Wrong::new("unknown-file", "no such file belongs to the configuration");
        let wrong = match near {
            Some(near) => wrong.help(format!("did you mean {near}?")),
            None => {
                let known: Vec<_> = Source::ALL.iter().map(|source| source.file()).collect();
                wrong.help(format!("the files are {}", known.join(", ")))
            }
        };
        let file = report.add_file(&name, String::new());
        report.error(Spot { file, offset: None }, wrong);
    }
}
