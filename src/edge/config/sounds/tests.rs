//! Sounds as an administrator names them.

use super::super::tests::{ALICE, SIP, findings, loaded};

const TONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sounds/tone.ogg");

#[test]
fn a_sound_is_read_when_the_configuration_is() {
    let text = format!("{SIP}[media]\nhold_music = \"{TONE}\"\n[recording]\nnotice = \"{TONE}\"\n");
    let sounds = loaded(&[("tandem.toml", &text), ("phones.toml", ALICE)]).sounds;
    assert!(sounds.hold.is_some() && sounds.notice.is_some());
    let none = loaded(&[("tandem.toml", SIP), ("phones.toml", ALICE)]).sounds;
    assert!(none.hold.is_none() && none.notice.is_none());
}

#[test]
fn a_sound_that_cannot_be_used_is_found_by_the_check() {
    let text = format!("{SIP}[media]\nhold_music = \"none.ogg\"\n");
    let found = findings(&[("tandem.toml", &text), ("phones.toml", ALICE)]);
    assert!(
        found.starts_with("error tandem.toml:4:14: ") || found.contains("tandem.toml:4:14"),
        "{found}"
    );
    assert!(found.contains("bad-sound") && found.contains("WAV, MP3, FLAC"), "{found}");
    let text = format!("{SIP}[recording]\nnotice = \"phones.toml\"\n");
    let found = findings(&[("tandem.toml", &text), ("phones.toml", ALICE)]);
    assert!(found.contains("bad-sound"), "a relative name is beside the file: {found}");
}

/// What is wrong in `[recording]` is told with what would be right.
#[test]
fn recordings_are_checked() {
    let grid = [
        ("calls = \"some\"", "write \"none\" or \"all\""),
        ("tracks = \"three\"", "write \"dual\" or \"mixed\""),
        ("folder = \"recordings\"", "begins with /"),
        ("keep_day = 3", "keep_days"),
    ];
    for (line, help) in grid {
        let text = format!("{SIP}[recording]\n{line}\n");
        let found = findings(&[("tandem.toml", &text)]);
        assert!(found.contains("tandem.toml:4:") && found.contains(help), "{line}: {found}");
    }
    let phone = format!("{ALICE}record = \"sometimes\"\n");
    let found = findings(&[("tandem.toml", SIP), ("phones.toml", &phone)]);
    assert!(found.contains("write \"as_usual\", \"always\" or \"never\""), "{found}");
}

/// Prompts are there in every language, or the check says which are not.
#[test]
fn the_folder_of_prompts_is_checked() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/sounds");
    let text =
        |folder: &str| format!("{SIP}[speech]\nsounds = \"{folder}\"\nlanguage = \"zh-cn\"\n");
    let good = loaded(&[("tandem.toml", &text(shipped)), ("phones.toml", ALICE)]);
    assert_eq!(good.warnings, []);
    assert_eq!(good.sounds.prompts.as_deref(), Some(std::path::Path::new(shipped)));
    assert_eq!(good.snapshot.speech.language.code(), "zh-CN");
    let found = findings(&[("tandem.toml", &text("none"))]);
    assert!(found.contains("tandem.toml:4:10") && found.contains("bad-sounds"), "{found}");
    // Beside the file, and one language has what the other lacks.
    let files = [("prompts/en/hello.wav", ""), ("prompts/zh-CN/goodbye.wav", "")];
    let text = text("prompts");
    let lacking = loaded(&[("tandem.toml", &text), ("phones.toml", ALICE), files[0], files[1]]);
    let warnings: Vec<String> = lacking.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("missing in en") && warnings[0].contains("goodbye"),
        "{warnings:?}"
    );
    let text = format!("{SIP}[speech]\nlanguage = \"de\"\n");
    let found = findings(&[("tandem.toml", &text)]);
    assert!(found.contains("tandem.toml:4:12") && found.contains("zh-CN"), "{found}");
}

/// What is wrong in the rest of `[speech]` is told with its place and what would be right.
#[test]
fn providers_of_speech_are_checked() {
    let grid = [
        ("tts = \"festival\"", "write \"none\", \"espeak\""),
        ("tts = \"http\"", "`tts_url`"),
        ("tts_url = \"ws://a/\"", "bad-url"),
        ("tts_url = \"example.com\"", "bad-url"),
        ("voices = [\"de=x\"]", "en=en-gb"),
        ("voices = [\"en=-w/tmp/x\"]", "en=en-gb"),
        ("tts_key_file = \"none.key\"", "bad-key-file"),
        ("asr = \"http\"", "`asr_url`"),
        ("asr = \"sphinx\"", "write \"none\", \"vosk\""),
        ("transcribe = \"all\"", "`asr`"),
        ("hot_words = \"none.txt\"", "bad-hot-words"),
        ("hot_words = \"words.txt\"", "line 2"),
    ];
    for (line, help) in grid {
        let text = format!("{SIP}[speech]\n{line}\n");
        let found = findings(&[("tandem.toml", &text), ("words.txt", "Tandem|3\na,b|4\n")]);
        assert!(found.contains("tandem.toml:4:") && found.contains(help), "{line}: {found}");
    }
    // An address of the wrong kind is none.
    let text = format!("{SIP}[speech]\nasr = \"vosk\"\nasr_url = \"http://a/\"\n");
    assert!(findings(&[("tandem.toml", &text)]).contains("ws:// or wss://"));
    let text = format!(
        "{SIP}[speech]\ntts = \"http\"\ntts_url = \"https://a/speech\"\ntts_key_file = \"a.key\"\nasr = \"vosk\"\n\
         asr_url = \"wss://[::1]:2700\"\nhot_words = \"words.txt\"\ntranscribe = \"all\"\n"
    );
    let good =
        loaded(&[("tandem.toml", &text), ("a.key", "secret\n"), ("words.txt", "Tandem|3\n\n")]);
    let speech = &good.speech;
    assert_eq!((speech.tts_key.as_deref(), speech.hot_words.len()), (Some("secret"), 1));
    assert!(speech.https.is_some() && speech.settings.transcribes_all);
}
