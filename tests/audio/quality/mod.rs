//! What our conversions do to speech, judged by PESQ (ITU-T P.862) beside the bare codecs, and what losses and jitter do to it
//! beside a receiver that does nothing about them.
//!
//! The speech is espeak-ng's; the judge is `judge.py`, with PyPI's `pesq`. What was judged lies in `target/tmp/quality`.

mod network;
mod pairs;
mod path;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tandem::proto::audio::Codec;

/// What is judged, with the names of the files.
const CODECS: [(&str, Codec); 5] = [
    ("PCMA", Codec::Pcma),
    ("PCMU", Codec::Pcmu),
    ("G722", Codec::G722),
    ("Opus", Codec::Opus),
    ("L16", Codec::L16 { rate: 16_000, channels: 1 }),
];
/// Two voices, with hardly a pause: what is lost is heard.
const WORDS: [(&str, &str); 2] = [
    ("en-us", "The birch canoe slid on the smooth planks."),
    ("en-us+f3", "A large size in stockings is hard to sell."),
];

/// How PESQ listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Band {
    /// As by telephone, at 8 kHz.
    Narrow,
    /// Up to 7 kHz, at 16 kHz.
    Wide,
}

impl Band {
    const fn rate(self) -> u32 {
        match self {
            Self::Narrow => 8_000,
            Self::Wide => 16_000,
        }
    }

    const fn mode(self) -> &'static str {
        match self {
            Self::Narrow => "nb",
            Self::Wide => "wb",
        }
    }
}

/// Where the files lie, so that they can be listened to.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("quality").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Some seconds of speech at this rate.
fn speech(rate: u32) -> Vec<i16> {
    WORDS.iter().flat_map(|(voice, words)| spoken(voice, words, rate)).collect()
}

fn spoken(voice: &str, words: &str, rate: u32) -> Vec<i16> {
    let wav =
        Command::new("espeak-ng").args(["-v", voice, "-s", "150", "--stdout", words]).output();
    let mut sox = Command::new("sox")
        .args(["-D", "-t", "wav", "--ignore-length", "-", "-t", "raw", "-b", "16", "-c", "1"])
        .args(["-e", "signed-integer", "-L", "-", "gain", "-6", "rate", "-v", &rate.to_string()])
        // Loud, and not so loud that a codec would cut it off.
        .args(["norm", "-6"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sox");
    let mut input = sox.stdin.take().unwrap();
    let wav = wav.expect("espeak-ng").stdout;
    let writer = std::thread::spawn(move || input.write_all(&wav));
    let raw = sox.wait_with_output().unwrap().stdout;
    writer.join().unwrap().expect("sox read it all");
    let samples: Vec<i16> =
        raw.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    assert!(samples.len() > rate as usize * 2, "espeak-ng said {} samples", samples.len());
    samples
}

/// A WAV file (RIFF, 16 bits, mono).
fn write_wav(path: &Path, rate: u32, samples: &[i16]) {
    let length = u32::try_from(samples.len() * 2).unwrap();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + length).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((rate * 2).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend(length.to_le_bytes());
    bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}

/// Pairs of files that are to be judged.
struct Judge {
    folder: PathBuf,
    lines: String,
    asked: usize,
    /// What was asked, so that the same is judged once.
    known: HashMap<(Band, Vec<i16>), usize>,
}

impl Judge {
    /// What is judged is the speech, so many times.
    fn new(name: &str, times: usize) -> Self {
        let folder = folder(name);
        for band in [Band::Narrow, Band::Wide] {
            let path = folder.join(format!("reference-{}.wav", band.mode()));
            write_wav(&path, band.rate(), &speech(band.rate()).repeat(times));
        }
        Self { folder, lines: String::new(), asked: 0, known: HashMap::new() }
    }

    /// The place of the score in what [`Judge::scores`] gives.
    fn ask(&mut self, name: &str, band: Band, rate: u32, heard: &[i16]) -> usize {
        let (mode, file) = (band.mode(), format!("{name}-{}.wav", band.mode()));
        let path = self.folder.join(file);
        let heard = path::resampled(heard, rate, band.rate());
        write_wav(&path, band.rate(), &heard);
        let key = (band, heard);
        if let Some(place) = self.known.get(&key) {
            return *place;
        }
        let reference = self.folder.join(format!("reference-{mode}.wav"));
        let (reference, path) = (reference.display(), path.display());
        self.lines += &format!("{} {mode} {reference} {path}\n", band.rate());
        self.asked += 1;
        self.known.insert(key, self.asked - 1);
        self.asked - 1
    }

    fn scores(self) -> Vec<f64> {
        // Beside the programs: target/debug/deps/…, target/pesq.
        let own = std::env::current_exe().unwrap();
        let mut venv = own.ancestors().map(|folder| folder.join("pesq/bin/python"));
        let python = venv.find(|path| path.exists()).unwrap_or(PathBuf::from("python3"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio/quality/judge.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        child.stdin.take().unwrap().write_all(self.lines.as_bytes()).unwrap();
        let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let scores: Vec<f64> = said.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(scores.len(), self.asked, "numpy and pesq are needed (PyPI); they said {said}");
        scores
    }
}
