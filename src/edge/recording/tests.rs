//! Files on a disk: whole, cut off, full, and deleted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::edge::clock::Clock;
use crate::edge::control::EventLog;
use crate::edge::store::{RecordingFilter, RecordingState, Store, StoredRecording};
use crate::proto::audio::Codec;
use crate::proto::recording::Tracks;
use crate::proto::rtp::Ssrc;
use crate::proto::time::{Instant, Wall};
use crate::switch::cdr::record::CallId;
use crate::switch::recording::{Format, RecordingSettings};

struct House {
    folder: PathBuf,
    store: Store,
    events: EventLog,
    clock: Clock,
}

impl House {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tandem-rec-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let store = Store::open(&folder).unwrap();
        let clock = Clock::start();
        Self { folder, store, events: EventLog::new(clock.wall()), clock }
    }

    fn files(&self) -> PathBuf {
        self.folder.join("recordings")
    }

    fn recorder(&self, settings: &RecordingSettings) -> Recorder {
        let config = RecorderConfig { folder: self.files() };
        let terms = Terms::of(settings);
        Recorder::start(config, terms, self.clock, self.store.clone(), self.events.clone()).unwrap()
    }

    fn rows(&self) -> Vec<StoredRecording> {
        self.store.flush(Duration::from_secs(10)).unwrap();
        self.store.recordings(&RecordingFilter { limit: 100, before: None, since: None }).unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// With no minimum of free space, so that the machine's disk does not decide.
fn settings() -> RecordingSettings {
    RecordingSettings { free_min_mb: 0, ..RecordingSettings::default() }
}

/// So many packets of 20 ms from side a, the last of them a moment ago.
fn speak(tap: &mut Tap, from: Instant, packets: u32) {
    for packet in 0..packets {
        let at = from + Duration::from_millis(u64::from(packet) * 20);
        tap.packet((0, at), (Ssrc(1), packet * 160), Codec::Pcmu, &[0x80; 160]);
        tap.tick(at);
    }
}

fn sha256sum(path: &Path) -> String {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(std::fs::read(path).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_call_becomes_a_file_whose_hash_is_in_the_row() {
    let house = House::new("whole");
    let recorder = house.recorder(&settings());
    let (mut tap, _control) = recorder.begin(CallId(0xabc)).unwrap();
    let from = tap.began();
    speak(&mut tap, from, 150);
    drop(tap);
    recorder.close();
    let [row] = &house.rows()[..] else { panic!("one recording") };
    assert_eq!((row.state, row.lost_seconds, row.late_packets), (RecordingState::Done, 0, 0));
    assert!((2.9..3.2).contains(&row.seconds), "{row:?}");
    let path = house.files().join(&row.file);
    assert!(row.file.ends_with("/0000000000000abc.wav"), "{}", row.file);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), row.bytes);
    assert_eq!(row.sha256, Some(sha256sum(&path)));
    let bytes = std::fs::read(&path).unwrap();
    let said = u32::from_le_bytes(bytes[40..44].try_into().unwrap());
    assert_eq!(u64::from(said) + 44, row.bytes);
    assert!(bytes[44 + 4_000..].chunks(4).take(20_000).all(|frame| frame[..2] != [0, 0]));
    assert_eq!((recorder.stats().done, recorder.stats().open), (1, 0));
}

/// Row 165: what is said in a pause never reaches the recorder, and the file has silence of its length.
#[test]
fn row_165_a_pause_is_silence() {
    let house = House::new("pause");
    let recorder = house.recorder(&settings());
    let (mut tap, control) = recorder.begin(CallId(1)).unwrap();
    let from = tap.began();
    speak(&mut tap, from, 50);
    control.pause(true);
    for packet in 50..100_u32 {
        let at = from + Duration::from_millis(u64::from(packet) * 20);
        tap.packet((0, at), (Ssrc(1), packet * 160), Codec::Pcmu, &[0x80; 160]);
    }
    control.pause(false);
    for packet in 100..150_u32 {
        let at = from + Duration::from_millis(u64::from(packet) * 20);
        tap.packet((0, at), (Ssrc(1), packet * 160), Codec::Pcmu, &[0x80; 160]);
    }
    drop(tap);
    recorder.close();
    let row = house.rows().remove(0);
    let bytes = std::fs::read(house.files().join(&row.file)).unwrap();
    let left: Vec<bool> = bytes[44..].chunks(4).map(|frame| frame[..2] != [0, 0]).collect();
    let heard =
        |from: usize, until: usize| left[from * 8..until * 8].iter().filter(|s| **s).count();
    assert_eq!(heard(50, 950), 900 * 8);
    assert_eq!(heard(1_050, 1_950), 0);
    assert_eq!(heard(2_050, 2_950), 900 * 8);
}

#[test]
fn a_daemon_that_dies_leaves_a_file_that_plays_and_says_so() {
    let house = House::new("cut");
    let file = "2026-11-21/00000000000000ff.wav".to_owned();
    house
        .store
        .recording_set(StoredRecording::begin(CallId(0xff), file.clone(), Wall(1)), None)
        .unwrap();
    house.store.flush(Duration::from_secs(10)).unwrap();
    let path = house.files().join(&file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let shape = crate::proto::recording::wav::Shape { rate: 8_000, tracks: 2 };
    // The header tells of less than there is, and the last frame is not whole.
    let mut bytes = shape.header(16_000).to_vec();
    bytes.extend([1; 32_003]);
    std::fs::write(&path, &bytes).unwrap();
    house.recorder(&settings()).close();
    let row = house.rows().remove(0);
    assert_eq!((row.state, row.seconds, row.bytes), (RecordingState::Cut, 1.0, 32_044));
    assert_eq!(row.sha256, Some(sha256sum(&path)));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes[..44], shape.header(32_000));
}

#[test]
fn a_disk_that_does_not_take_it_costs_the_recording_only() {
    let house = House::new("blocked");
    // Where the folder should be there is a file.
    std::fs::write(house.files(), "in the way").unwrap();
    let recorder = house.recorder(&settings());
    let (mut tap, _control) = recorder.begin(CallId(5)).unwrap();
    let from = tap.began();
    speak(&mut tap, from, 10);
    drop(tap);
    recorder.close();
    let row = house.rows().remove(0);
    assert_eq!(row.state, RecordingState::Failed);
    assert!(row.error.is_some());
    assert_eq!((recorder.stats().failed, recorder.stats().open), (1, 0));
}

#[test]
fn a_full_disk_is_seen_before_a_recording_begins() {
    let house = House::new("full");
    let recorder = house.recorder(&RecordingSettings { free_min_mb: u32::MAX, ..settings() });
    assert_eq!(recorder.begin(CallId(1)).err(), Some(StartRefused::DiskFull));
}

/// Row 165: old recordings are deleted, and deleted ones are in the audit with who and why.
#[test]
fn row_165_retention_and_deletion_leave_a_line_in_the_audit() {
    let house = House::new("keep");
    let now = house.clock.wall();
    let day = 86_400_000_000;
    for (call, days) in [(1, 91), (2, 89), (3, 1)] {
        let file = format!("day-{days}/{call}.wav");
        let mut row = StoredRecording::begin(CallId(call), file, Wall(now.0 - days * day));
        row.state = RecordingState::Done;
        let path = house.files().join(&row.file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "sound").unwrap();
        house.store.recording_set(row, None).unwrap();
    }
    house.store.flush(Duration::from_secs(10)).unwrap();
    let recorder = house.recorder(&settings());
    recorder.close();
    assert!(!house.files().join("day-91").exists(), "its folder is gone too");
    recorder.delete(CallId(3), "operator", "asked by the customer").unwrap();
    assert!(recorder.delete(CallId(3), "operator", "again").is_err());
    assert!(recorder.delete(CallId(9), "operator", "unknown").is_err());
    let states: Vec<_> = house.rows().iter().map(|row| (row.call.0, row.state)).collect();
    let (done, deleted) = (RecordingState::Done, RecordingState::Deleted);
    assert_eq!(states, [(3, deleted), (2, done), (1, deleted)]);
    let audit = house.store.audit(10).unwrap();
    let lines: Vec<_> = audit
        .iter()
        .map(|line| {
            (line.who.as_str(), line.what.as_str(), line.object.as_str(), line.detail.as_str())
        })
        .collect();
    let what = "recording.deleted";
    assert_eq!(
        lines,
        [
            ("operator", what, "0000000000000003", "asked by the customer"),
            ("retention", what, "0000000000000001", "kept for 90 days"),
        ]
    );
}

#[test]
fn tracks_follow_the_terms() {
    let house = House::new("mixed");
    let recorder = house.recorder(&settings());
    recorder.set_terms(Terms { tracks: Tracks::Mixed, ..Terms::of(&settings()) });
    let (mut tap, _control) = recorder.begin(CallId(1)).unwrap();
    let from = tap.began();
    speak(&mut tap, from, 50);
    drop(tap);
    recorder.close();
    let row = house.rows().remove(0);
    let bytes = std::fs::read(house.files().join(&row.file)).unwrap();
    assert_eq!(bytes[22], 1, "one track");
}

/// A codec that nobody decodes: the file grows by silence while the call goes on, and not at its end by all of it.
#[test]
fn a_call_without_a_sound_grows_as_it_goes() {
    let house = House::new("silent");
    let recorder = house.recorder(&settings());
    let (mut tap, _control) = recorder.begin(CallId(1)).unwrap();
    let from = tap.began();
    for second in 1..60 {
        tap.tick(from + Duration::from_secs(second));
    }
    // Then it is heard, and nothing of it is lost.
    for packet in 0..50_u32 {
        let at = from + Duration::from_millis(60_000 + u64::from(packet) * 20);
        tap.packet((0, at), (Ssrc(1), packet * 160), Codec::Pcmu, &[0x80; 160]);
    }
    drop(tap);
    recorder.close();
    let row = house.rows().remove(0);
    assert_eq!((row.late_packets, row.lost_seconds), (0, 0));
    let bytes = std::fs::read(house.files().join(&row.file)).unwrap();
    let left: Vec<bool> = bytes[44..].chunks(4).map(|frame| frame[..2] != [0, 0]).collect();
    assert_eq!(left.iter().filter(|heard| **heard).count(), 8_000);
    assert!(left[60_000 * 8..].iter().take(7_900).all(|heard| *heard));
}

/// Other terms apply at once: what runs ends there, has what was said until then, and the tap hears of it.
#[test]
fn a_recording_ends_when_the_room_does() {
    let house = House::new("room");
    let recorder = house.recorder(&settings());
    let (mut tap, _control) = recorder.begin(CallId(1)).unwrap();
    let from = tap.began();
    speak(&mut tap, from, 100);
    let patience = house.clock.now() + Duration::from_secs(20);
    let file = loop {
        let rows = house.rows();
        if let Some(row) = rows.first().filter(|row| house.files().join(&row.file).exists()) {
            break house.files().join(&row.file);
        }
        assert!(house.clock.now() < patience, "nothing is written");
    };
    assert!(!tap.has_failed());
    recorder.set_terms(Terms { free_min_mb: u32::MAX, ..Terms::of(&settings()) });
    while !tap.has_failed() && house.clock.now() < patience {
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(tap.has_failed());
    assert_eq!(recorder.begin(CallId(2)).err(), Some(StartRefused::DiskFull));
    drop(tap);
    recorder.close();
    let row = house.rows().remove(0);
    assert_eq!(row.state, RecordingState::Failed);
    assert_eq!(row.error.as_deref(), Some("there is too little room on the disk"));
    let bytes = std::fs::read(&file).unwrap();
    let length = std::fs::metadata(&file).unwrap().len();
    assert!(length > 44, "what was said is there");
    assert_eq!(u64::from(u32::from_le_bytes(bytes[40..44].try_into().unwrap())) + 44, length);
}

/// One that was on its way to the recorder when the room ended is refused there.
#[test]
fn a_recording_that_begins_as_the_room_ends_fails() {
    let house = House::new("late");
    let recorder = house.recorder(&settings());
    recorder.set_terms(Terms { free_min_mb: u32::MAX, ..Terms::of(&settings()) });
    let patience = house.clock.now() + Duration::from_secs(20);
    // Either the one call or the other meets the full disk.
    let begun = recorder.begin(CallId(1));
    if let Ok((tap, _control)) = &begun {
        while !tap.has_failed() && house.clock.now() < patience {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        assert!(tap.has_failed());
    }
    assert_eq!(recorder.begin(CallId(2)).err(), Some(StartRefused::DiskFull));
}

/// Samples as Opus: each track for itself, as long as they were, and the WAV is gone.
#[test]
fn a_recording_becomes_small() {
    let house = House::new("small");
    let recorder = house.recorder(&settings());
    recorder.set_terms(Terms { format: Format::Opus, ..Terms::of(&settings()) });
    let (mut tap, _control) = recorder.begin(CallId(0xabc)).unwrap();
    let from = tap.began();
    let mut encoder = Codec::Pcmu.encoder().unwrap();
    for packet in 0..150_u32 {
        let at = from + Duration::from_millis(u64::from(packet) * 20);
        for (side, hz) in [(0, 400.0_f32), (1, 1_000.0)] {
            let sample = |n: u32| {
                let phase = std::f32::consts::TAU * hz * ((packet * 160 + n) as f32) / 8_000.0;
                #[expect(clippy::cast_possible_truncation, reason = "it is in the range")]
                let sample = (phase.sin() * 8_000.0) as i16;
                sample
            };
            let samples: Vec<i16> = (0..160).map(sample).collect();
            let mut payload = Vec::new();
            encoder.encode(&samples, &mut payload).unwrap();
            let ssrc = Ssrc(u32::try_from(side).unwrap() + 1);
            tap.packet((side, at), (ssrc, packet * 160), Codec::Pcmu, &payload);
        }
        tap.tick(at);
    }
    drop(tap);
    let patience = house.clock.now() + Duration::from_secs(20);
    let row = loop {
        let rows = house.rows();
        if let Some(row) = rows.into_iter().find(|row| row.sha256.is_some()) {
            break row;
        }
        assert!(house.clock.now() < patience, "it is never whole");
    };
    recorder.close();
    assert!(row.file.ends_with(".opus"), "{}", row.file);
    assert_eq!(row.state, RecordingState::Done);
    let path = house.files().join(&row.file);
    assert_eq!(row.sha256.as_deref(), Some(sha256sum(&path).as_str()));
    let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() < 48_000 / 2, "{} bytes of three seconds", bytes.len());
    let [left, right] = tracks_of(&bytes);
    for (track, own, other) in [(&left, 400.0, 1_000.0), (&right, 1_000.0, 400.0)] {
        assert!((2.9..3.2).contains(&(track.len() as f32 / 48_000.0)), "{}", track.len());
        let middle = &track[48_000..96_000];
        assert!(level(middle, own) > 5_000.0, "{}", level(middle, own));
        assert!(level(middle, other) < 100.0, "{}", level(middle, other));
    }
}

/// The two tracks of an Ogg file, decoded: the first packet of each pair has its length written in it.
fn tracks_of(bytes: &[u8]) -> [Vec<i16>; 2] {
    let mut packets: Vec<Vec<u8>> = vec![Vec::new()];
    let mut rest = bytes;
    while !rest.is_empty() {
        assert_eq!(&rest[..4], b"OggS");
        let segments = usize::from(rest[26]);
        let mut at = 27 + segments;
        for length in &rest[27..27 + segments] {
            let length = usize::from(*length);
            packets.last_mut().unwrap().extend_from_slice(&rest[at..at + length]);
            at += length;
            if length < 255 {
                packets.push(Vec::new());
            }
        }
        rest = &rest[at..];
    }
    assert!(packets[0].starts_with(b"OpusHead") && packets[1].starts_with(b"OpusTags"));
    let mut decoders = [Codec::Opus.decoder().unwrap(), Codec::Opus.decoder().unwrap()];
    let mut tracks = [Vec::new(), Vec::new()];
    for packet in packets[2..].iter().filter(|packet| !packet.is_empty()) {
        let (length, from) = match packet[1] {
            short if short < 252 => (usize::from(short), 2),
            first => (usize::from(first) + 4 * usize::from(packet[2]), 3),
        };
        let first = [&packet[..1], &packet[from..from + length]].concat();
        decoders[0].decode(&first, &mut tracks[0]).unwrap();
        decoders[1].decode(&packet[from + length..], &mut tracks[1]).unwrap();
    }
    tracks
}

fn level(samples: &[i16], hz: f32) -> f32 {
    let (mut re, mut im) = (0.0_f32, 0.0_f32);
    for (index, sample) in samples.iter().enumerate() {
        let phase = std::f32::consts::TAU * hz * index as f32 / 48_000.0;
        re += f32::from(*sample) * phase.cos();
        im += f32::from(*sample) * phase.sin();
    }
    2.0 * re.hypot(im) / samples.len() as f32
}

/// A daemon that is stopped meanwhile leaves the samples, whole and with their hash; one that died leaves no half file.
#[test]
fn what_is_not_packed_stays_as_it_is() {
    let house = House::new("stays");
    let recorder = house.recorder(&settings());
    recorder.set_terms(Terms { format: Format::Opus, ..Terms::of(&settings()) });
    let taps: Vec<_> = (0..20)
        .map(|call| {
            let (mut tap, control) = recorder.begin(CallId(call)).unwrap();
            let from = tap.began();
            speak(&mut tap, from, 500);
            (tap, control)
        })
        .collect();
    drop(taps);
    recorder.close();
    let rows = house.rows();
    assert_eq!(rows.len(), 20);
    for row in &rows {
        let path = house.files().join(&row.file);
        assert_eq!(row.sha256.as_deref(), Some(sha256sum(&path).as_str()), "{}", row.file);
    }
    let day = house.files().join(rows[0].file.split('/').next().unwrap());
    let parts = std::fs::read_dir(day).unwrap().filter_map(Result::ok);
    assert!(!parts.into_iter().any(|file| file.path().to_string_lossy().ends_with(".part")));
}

/// A daemon that died while a recording was packed, or behind it: the next one finds what is whole, and leaves nothing beside it.
#[test]
fn what_was_being_packed_is_found_again() {
    let folder = std::env::temp_dir().join(format!("tandem-rec-found-{}", std::process::id()));
    let begin = || StoredRecording::begin(CallId(1), "d/1.wav".to_owned(), Wall(0));
    let there = |name: &str| folder.join("d").join(name).exists();
    let grid: [(&[&str], &str, bool, &str); 5] = [
        (&["1.wav", "1.opus.part"], "d/1.wav", false, "1.wav"),
        (&["1.wav", "1.opus"], "d/1.wav", true, "1.opus"),
        (&["1.wav", "1.opus"], "d/1.opus", true, "1.opus"),
        (&["1.opus"], "d/1.opus", true, "1.opus"),
        (&["1.opus"], "d/1.wav", true, "1.opus"),
    ];
    for (files, named, is_packed, left) in grid {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("d")).unwrap();
        for file in files {
            std::fs::write(folder.join("d").join(file), "x").unwrap();
        }
        let mut row = StoredRecording { file: named.to_owned(), ..begin() };
        assert_eq!(packing::recover(&folder, &mut row), is_packed, "{files:?} {named}");
        assert_eq!(row.file, format!("d/{left}"), "{files:?} {named}");
        let kept = ["1.wav", "1.opus", "1.opus.part"].into_iter().filter(|name| there(name));
        assert_eq!(kept.collect::<Vec<_>>(), [left], "{files:?} {named}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
