//! Files of every kind, each with a second of 1 kHz.

use std::path::{Path, PathBuf};

use super::*;
use crate::switch::phrase::{Language, Spoken};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sounds").join(name)
}

/// Seconds and frequency of a clip.
fn heard(clip: &Clip) -> (f64, f64) {
    let codec = clip.codec();
    let mut decoder = codec.decoder().unwrap();
    let mut samples = Vec::new();
    let mut index = 0;
    while let Some(payload) = clip.packet(index) {
        decoder.decode(payload, &mut samples).unwrap();
        index += 1;
    }
    let rate = f64::from(codec.sample_rate());
    let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
    let periods = middle.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
    let length = |samples: &[i16]| f64::from(u32::try_from(samples.len()).unwrap()) / rate;
    (length(&samples), f64::from(u32::try_from(periods).unwrap()) / length(middle))
}

#[test]
fn every_kind_of_file_becomes_clips_in_every_codec() {
    for name in ["tone.wav", "alaw.wav", "tone.mp3", "tone.flac", "tone.ogg", "tone.opus"] {
        let clips = read(&fixture(name)).unwrap();
        assert_eq!(clips.len(), CODECS.len(), "{name}");
        for clip in clips.iter() {
            let (seconds, frequency) = heard(clip);
            assert!((0.98..1.12).contains(&seconds), "{name} in {:?}: {seconds} s", clip.codec());
            assert!(
                (990.0..1_010.0).contains(&frequency),
                "{name} in {:?}: {frequency} Hz",
                clip.codec()
            );
        }
    }
}

#[test]
fn what_is_no_sound_is_refused_in_words() {
    let error = |path: &Path| read(path).unwrap_err().to_string();
    assert!(error(&fixture("none.wav")).starts_with("it cannot be read"));
    let folder = std::env::temp_dir().join(format!("tandem-sounds-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = folder.join("text.wav");
    std::fs::write(&text, "this is no sound").unwrap();
    assert!(!error(&text).is_empty());
    // A header that is whole, and nothing behind it.
    let empty = folder.join("empty.wav");
    let shape = crate::proto::recording::wav::Shape { rate: 8_000, tracks: 1 };
    std::fs::write(&empty, shape.header(0)).unwrap();
    assert!(read(&empty).is_err());
    // Cut off in the middle: what is there is the sound, or it is refused.
    let bytes = std::fs::read(fixture("tone.ogg")).unwrap();
    for part in [10, 100, 3_000] {
        let cut = folder.join("cut.ogg");
        std::fs::write(&cut, &bytes[..part]).unwrap();
        let _ = read(&cut);
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Every prompt is there in every language, and whatever lies in sounds/ can be played.
#[test]
fn the_sounds_that_we_ship_are_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sounds");
    let library = Library::new(Some(folder.clone()));
    let text = std::fs::read_to_string(folder.join("prompts.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rows: Vec<[&str; 3]> = lines
        .map(|line| {
            let mut parts = line.splitn(3, '|');
            std::array::from_fn(|_| parts.next().unwrap())
        })
        .collect();
    assert!(rows.len() > 200);
    for [language, prompt, text] in &rows {
        for other in Language::ALL {
            let is_there = rows.iter().any(|row| row[..2] == [other.code(), *prompt]);
            assert!(is_there, "{prompt} has no text in {}", other.code());
        }
        let language = Language::of(language).unwrap();
        let sound = decode_file(&library.find(language, prompt).unwrap()).unwrap();
        let is_loud = |sample: &i16| sample.unsigned_abs() > 330;
        let ms = |samples: usize| samples as u64 * 1_000 / u64::from(sound.rate);
        let begin = ms(sound.samples.iter().position(is_loud).unwrap());
        let end = ms(sound.samples.iter().rev().position(is_loud).unwrap());
        let length = ms(sound.samples.len());
        // Parts are to sound joined; a sentence has air around it.
        let is_sentence = text.ends_with(['.', ':', '。', '：']);
        let (least, most) = if is_sentence { (500, 260) } else { (100, 90) };
        assert!(length > least && begin < most && end < most, "{prompt}: {begin} {end} {length}");
        assert!(is_sentence || length < 1_400, "{prompt} in {}: {length} ms", language.code());
    }
    for language in Language::ALL {
        let files = std::fs::read_dir(folder.join(language.code())).unwrap().count();
        assert_eq!(files * Language::ALL.len(), rows.len(), "a file without a text");
    }
    assert!(heard(&read(&folder.join("music/hold.ogg")).unwrap()[0]).0 > 10.0);
}

/// A phrase is its parts, each read once; a name is no way to another file.
#[test]
fn a_phrase_is_made_of_prompts_and_nothing_else_can_be_named() {
    let library = Library::new(Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("sounds")));
    let names = crate::switch::phrase::phrase(Language::English, &[Spoken::Number(22)]);
    let clips = library.phrase(Language::English, &names).unwrap();
    assert_eq!(clips.len(), 2);
    let again = library.phrase(Language::English, &names).unwrap();
    assert!(Clips::ptr_eq(&clips[0], &again[0]), "it is kept");
    let sound = library.samples(Language::English, &names).unwrap();
    let parts = clips.iter().map(|clips| heard(&clips[0]).0).sum::<f64>();
    let length = f64::from(u32::try_from(sound.samples.len()).unwrap()) / 16_000.0;
    assert!((parts - length) < 0.04 && parts >= length, "{parts} {length}");
    for name in ["", "none", "../music/hold", "n-1.ogg", "/etc/passwd", &"n".repeat(200)] {
        let error = library.find(Language::Chinese, name).unwrap_err();
        assert!(matches!(error, SoundError::NoSuchPrompt { .. }), "{name}");
    }
    library.set_folder(None);
    let error = library.phrase(Language::English, &names).unwrap_err();
    assert!(error.to_string().contains("[speech]"), "{error}");
}
