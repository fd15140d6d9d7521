//! Which calls are recorded, and the words for it.

use std::time::Duration;

use super::call::Origin;
use super::snapshot::Snapshot;
use crate::proto::recording::Tracks;

/// Which calls are recorded unless a phone or trunk says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Recorded {
    /// None, but on order.
    #[default]
    None,
    /// All that are answered.
    All,
}

impl Recorded {
    /// As it is written in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::All => "all",
        }
    }
}

/// What one phone or trunk wants of the recording of its calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RecordRule {
    /// What `[recording] calls` says.
    #[default]
    AsUsual,
    /// Its calls are recorded.
    Always,
    /// No conversation with it is recorded, whatever the other side wants and whoever orders it.
    Never,
}

impl RecordRule {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AsUsual, Self::Always, Self::Never];

    /// As it is written in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::AsUsual => "as_usual",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// What a finished recording is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Samples, as they were written.
    #[default]
    Wav,
    /// Opus in Ogg: a fifth to a tenth of it.
    Opus,
}

impl Format {
    /// As it is written in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Opus => "opus",
        }
    }
}

/// `[recording]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordingSettings {
    /// Which calls.
    pub calls: Recorded,
    /// Where the files go; `recordings` in the state folder if it is not written.
    pub folder: Option<String>,
    /// A track for each side, or one for both.
    pub tracks: Tracks,
    /// What it is made into when it is whole.
    pub format: Format,
    /// Days until a recording is deleted; zero never.
    pub keep_days: u32,
    /// Megabytes that stay free on the disk.
    pub free_min_mb: u32,
    /// How often both sides hear a beep while they are recorded; zero never.
    pub beep: Duration,
    /// The file that both sides hear when they begin to be recorded.
    pub notice: Option<String>,
}

impl Default for RecordingSettings {
    fn default() -> Self {
        Self {
            calls: Recorded::None,
            folder: None,
            tracks: Tracks::Dual,
            format: Format::Wav,
            keep_days: 90,
            free_min_mb: 500,
            beep: Duration::ZERO,
            notice: None,
        }
    }
}

/// What an operator or a phone orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordOrder {
    /// Begin, if the call is not recorded yet.
    Start,
    /// What is said from now on is not recorded: card numbers.
    Pause,
    /// Go on.
    Resume,
}

impl RecordOrder {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Start, Self::Pause, Self::Resume];

    /// The word of the command.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
        }
    }
}

/// May, and should, these parties be recorded? `None`: one of them never is.
#[must_use]
pub fn wanted(snapshot: &Snapshot, parties: [&Origin; 2]) -> Option<bool> {
    let rules = parties.map(|party| match party {
        Origin::Phone(extension) | Origin::Operator(extension) => {
            snapshot.phone(extension).map(|phone| phone.record).unwrap_or_default()
        }
        Origin::Trunk(name) => snapshot.trunk(name).map(|trunk| trunk.record).unwrap_or_default(),
    });
    if rules.contains(&RecordRule::Never) {
        return None;
    }
    Some(rules.contains(&RecordRule::Always) || snapshot.recording.calls == Recorded::All)
}
