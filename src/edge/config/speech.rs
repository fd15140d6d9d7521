//! `[speech]`: prompts, and the voices that say what is none.

use super::item::{Given, Item};
use super::secure::optional;
use super::settings::{Settings, quoted};
use super::source::{Marked, Wrong};
use crate::switch::phrase::Language;

type Key = Item<Settings>;

pub(super) static SPEECH: &[Key] = &[
    Key::text(
        "sounds",
        "a folder, or nothing",
        Given::Default { shows: |s| quoted(s.speech.sounds.as_deref().unwrap_or("")) },
        |s, text| {
            s.speech.sounds = optional(text)?;
            Ok(())
        },
        "Where the prompts are: a folder with `en` and `zh-CN` in it, beside this file unless it begins with /. A reload reads changed files again.",
    ),
    Key::text(
        "language",
        "en or zh-CN",
        Given::Default { shows: |s| quoted(s.speech.language.code()) },
        |s, text| {
            s.speech.language = language(text)?;
            Ok(())
        },
        "What prompts and texts are said in where nothing else is asked for.",
    ),
];

fn language(text: Marked<&str>) -> Result<Language, Wrong> {
    Language::of(text.value).ok_or_else(|| {
        Wrong::new("bad-value", format!("`{}` is no language that is spoken here", text.value))
            .help("write \"en\" or \"zh-CN\"")
    })
}
