//! `[recording]`: which calls are recorded, where to, and for how long they are kept.

use super::item::{Given, Item};
use super::secure::optional;
use super::settings::{Settings, in_seconds, quoted, seconds};
use super::source::Wrong;
use crate::proto::recording::Tracks;
use crate::switch::recording::{Format, Recorded};

type Key = Item<Settings>;

pub(super) static RECORDING: &[Key] = &[
    Key::text(
        "calls",
        "none or all",
        Given::Default { shows: |s| quoted(s.recording.calls.word()) },
        |s, text| {
            s.recording.calls = match text.value {
                "none" => Recorded::None,
                "all" => Recorded::All,
                other => return Err(unknown(other, "none", "all")),
            };
            Ok(())
        },
        "Which conversations are recorded, unless a phone or trunk says otherwise by `record`. What the law asks for comes first.",
    ),
    Key::text(
        "folder",
        "an absolute path",
        Given::Optional { example: "\"/srv/recordings\"" },
        |s, text| {
            if !text.value.starts_with('/') {
                return Err(Wrong::new("bad-path", "a path that begins with / is needed"));
            }
            s.recording.folder = Some(text.value.to_owned());
            Ok(())
        },
        "Where the files go, in a folder for each day; `recordings` in the state folder if it is not written.",
    )
    .restart(),
    Key::text(
        "tracks",
        "dual or mixed",
        Given::Default { shows: |s| quoted(tracks_word(s.recording.tracks)) },
        |s, text| {
            s.recording.tracks = match text.value {
                "dual" => Tracks::Dual,
                "mixed" => Tracks::Mixed,
                other => return Err(unknown(other, "dual", "mixed")),
            };
            Ok(())
        },
        "A track for each side, the calling one left, or both in one.",
    ),
    Key::text(
        "format",
        "wav or opus",
        Given::Default { shows: |s| quoted(s.recording.format.word()) },
        |s, text| {
            s.recording.format = match text.value {
                "wav" => Format::Wav,
                "opus" => Format::Opus,
                other => return Err(unknown(other, "wav", "opus")),
            };
            Ok(())
        },
        "What a file is once it is whole: samples, or Opus in Ogg, which is a fifth to a tenth of that and takes some seconds of a processor for an hour.",
    ),
    Key::whole(
        "keep_days",
        (0, 36_500),
        |s, n| s.recording.keep_days = n,
        |s| s.recording.keep_days.to_string(),
        "Days until a recording is deleted, with a line in the audit; 0 never.",
    ),
    Key::whole(
        "free_min_mb",
        (0, 1_000_000),
        |s, n| s.recording.free_min_mb = n,
        |s| s.recording.free_min_mb.to_string(),
        "Megabytes that stay free on the disk: with less, no recording begins, and an event says so.",
    ),
    Key::text(
        "notice",
        "a sound file, or nothing",
        Given::Default { shows: |s| quoted(s.recording.notice.as_deref().unwrap_or("")) },
        |s, text| {
            s.recording.notice = optional(text)?;
            Ok(())
        },
        "What both sides hear when they begin to be recorded, instead of each other. A reload reads it again.",
    ),
    Key::whole(
        "beep_seconds",
        (0, 3_600),
        |s, n| s.recording.beep = seconds(n),
        |s| in_seconds(s.recording.beep),
        "How often both sides hear a short beep while they are recorded, the first time when it begins; 0 never.",
    ),
];

const fn tracks_word(tracks: Tracks) -> &'static str {
    match tracks {
        Tracks::Dual => "dual",
        Tracks::Mixed => "mixed",
    }
}

fn unknown(text: &str, one: &str, other: &str) -> Wrong {
    Wrong::new("bad-value", format!("`{text}` is not known"))
        .help(format!("write \"{one}\" or \"{other}\""))
}
