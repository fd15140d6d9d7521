//! Files of every kind, each with a second of 1 kHz.

use std::path::{Path, PathBuf};

use super::*;

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
    let text = std::fs::read_to_string(folder.join("prompts.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rows: Vec<(&str, &str)> = lines
        .map(|line| {
            let mut parts = line.splitn(3, '|');
            (parts.next().unwrap(), parts.next().unwrap())
        })
        .collect();
    assert!(!rows.is_empty());
    for (language, _) in &rows {
        for (_, prompt) in &rows {
            assert!(rows.contains(&(language, prompt)), "{prompt} has no text in {language}");
            let clips = read(&folder.join(language).join(format!("{prompt}.ogg"))).unwrap();
            assert!(heard(&clips[0]).0 > 0.5, "{prompt} in {language}");
        }
    }
    assert!(heard(&read(&folder.join("music/hold.ogg")).unwrap()[0]).0 > 10.0);
}
