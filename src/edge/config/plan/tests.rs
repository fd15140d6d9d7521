//! A change in any section is seen, or a reload would say that nothing changes and leave it out.

use super::super::tests::{SIP, loaded};
use super::*;

#[test]
fn a_change_in_every_section_is_seen() {
    let grid = [
        ("[media]\ntranscode = false", "media.transcode"),
        ("[control]\nsocket = \"/tmp/other.sock\"", "control.socket"),
        ("[limits]\ndrain_seconds = 7", "limits.drain_seconds"),
        ("[guard]\nban_seconds = 61", "guard.ban_seconds"),
        ("[dial]\ncountry_code = \"86\"", "dial.country_code"),
        ("[emergency]\nnumbers = [\"112\"]", "emergency.numbers"),
        ("[codes]\ndnd_on = \"*50\"", "codes.dnd_on"),
        ("[provisioning]\nserver = \"pbx.example.com\"", "provisioning.server"),
        ("[stir]\nverstat = true", "stir.verstat"),
        ("[recording]\ncalls = \"all\"", "recording.calls"),
        ("[recording]\nfolder = \"/srv/recordings\"", "recording.folder"),
        ("[recording]\nbeep_seconds = 15", "recording.beep_seconds"),
        ("[speech]\nlanguage = \"zh-CN\"", "speech.language"),
        ("[speech]\nvoices = [\"en=en-gb\"]", "speech.voices"),
        ("[speech]\nasr_url = \"ws://127.0.0.1:2700\"", "speech.asr_url"),
    ];
    let before = loaded(&[("tandem.toml", SIP)]);
    for (text, name) in grid {
        let after = loaded(&[("tandem.toml", &format!("{SIP}{text}\n"))]);
        let plan = diff(&before, &after);
        assert_eq!(plan.settings, [name], "{text}");
    }
    let tested: std::collections::HashSet<&str> =
        grid.iter().filter_map(|(_, name)| name.split('.').next()).collect();
    for (section, _) in SECTIONS {
        // Those two are changed by the tests of their own files.
        let is_tested = tested.contains(section) || ["sip", "tls"].contains(section);
        assert!(is_tested, "[{section}] needs a line above");
    }
}
