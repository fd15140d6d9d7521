use super::super::tests::{ALICE, CARRIER, Dir, SIP, findings, loaded};
use super::super::{diff, keep, load, load_or_last_good};
use crate::switch::identity::{NumberForm, Trust};
use crate::switch::snapshot::WrittenIn;

const TANDEM: (&str, &str) =
    ("tandem.toml", "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n[dial]\ncountry_code = \"49\"\n");

fn following(profile: &str) -> String {
    format!("{CARRIER}profile = \"{profile}\"\n")
}

#[test]
fn a_trunk_has_what_its_profile_writes_unless_it_writes_it_itself() {
    let trunks = following("x") + "trust = \"in\"\n";
    let profile = "trust = \"both\"\ncalled_format = \"e164\"\nprobe_seconds = 7\n";
    let loaded = loaded(&[TANDEM, ("trunks.toml", &trunks), ("profiles/x.toml", profile)]);
    let trunk = loaded.snapshot.trunk("carrier").unwrap();
    assert_eq!(trunk.dialect.trust, Trust { inward: true, outward: false });
    assert_eq!((trunk.dialect.called, trunk.probe.as_secs()), (NumberForm::E164, 7));
    assert_eq!(trunk.profile.as_deref(), Some("x"));
    let by =
        |name: &str| trunk.written.iter().find(|(key, _)| *key == name).map(|(_, place)| *place);
    assert_eq!(by("trust"), Some(WrittenIn::Trunk));
    assert_eq!(by("called_format"), Some(WrittenIn::Profile));
    assert_eq!(by("calling_format"), None);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn mistakes_in_profiles_and_of_profiles_are_found_where_they_are() {
    let trunks =
        following("e164-pia") + "called_format = \"e146\"\nidentity = [\"pai\", \"rpidd\"]\n";
    let report = findings(&[
        TANDEM,
        ("trunks.toml", &trunks),
        ("profiles/e164-pai.toml", "trust = \"all\"\ncaled_format = \"e164\"\npeers = [\"x\"]\n"),
        ("profiles/unused.toml", "[trunk]\nname = \"x\"\nuser_phone = 1\n"),
        ("profiles/notes.txt", "nothing"),
    ]);
    assert_eq!(
        report,
        "\
profiles/e164-pai.toml:1:9: error[bad-value]: `trust`: `all` is not known
  help: the words are none, in, out, both
profiles/e164-pai.toml:2:1: error[unknown-key]: a profile has no key `caled_format`
  help: did you mean `called_format`?
profiles/e164-pai.toml:3:1: error[unknown-key]: a profile has no key `peers`
  help: its keys are KEYS
profiles/unused.toml:1:2: error[unknown-key]: a profile has no key `trunk`
  help: its keys are KEYS
trunks.toml:5:11: error[missing-reference]: there is no profile `e164-pia`
  help: did you mean \"e164-pai\"?
trunks.toml:6:17: error[bad-value]: `called_format`: `e146` is not known
  help: did you mean \"e164\"?
trunks.toml:7:20: error[bad-value]: `identity`: `rpidd` is not known
  help: did you mean \"rpid\"?
"
        .replace(
            "KEYS",
            &super::super::trunk::TRUNK
                .iter()
                .map(|item| item.name)
                .filter(|name| super::super::trunk::OF_PROFILE.contains(name))
                .collect::<Vec<_>>()
                .join(", ")
        )
    );
}

#[test]
fn a_dialect_that_lacks_something_elsewhere_is_warned_of() {
    let trunks = CARRIER.to_owned()
        + "called_format = \"national\"\nfrom_user = \"account\"\nforwarding = [\"diversion\"]\n";
    let phones =
        ALICE.to_owned() + "auto_answer_for = [\"1002\", \"trunk:carrier\", \"trunk:carier\"]\n";
    let report =
        findings(&[("tandem.toml", SIP), ("trunks.toml", &trunks), ("phones.toml", &phones)]);
    for line in [
        "phones.toml:4:20: error[missing-reference]: there is no phone `1002`",
        "phones.toml:4:28: warning[unused-key]: trunk `carrier` is not trusted",
        "phones.toml:4:45: error[missing-reference]: there is no trunk `carier`",
        "trunks.toml:1:1: warning[unused-key]: without `country_code`",
        "trunks.toml:1:1: warning[unused-key]: from_user",
        "trunks.toml:1:1: warning[unused-key]: `forwarding`",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}

#[test]
fn a_profile_that_changes_changes_its_trunks() {
    let of = |profile: &str| {
        loaded(&[TANDEM, ("trunks.toml", &following("x")), ("profiles/x.toml", profile)])
    };
    let plan = diff(&of("trust = \"none\"\n"), &of("trust = \"both\"\n"));
    assert_eq!(plan.trunks.changed, ["carrier"]);
}

#[test]
fn the_last_good_configuration_has_its_profiles() {
    let good =
        [TANDEM, ("trunks.toml", &following("x")), ("profiles/x.toml", "trust = \"both\"\n")];
    let (dir, state) = (Dir::new(&good), Dir::new(&[]));
    keep(&dir.0, &state.0).unwrap();
    std::fs::write(dir.0.join("profiles/x.toml"), "trust = 5\n").unwrap();
    assert!(load(&dir.0).is_err());
    let (loaded, findings) = load_or_last_good(&dir.0, &state.0).unwrap();
    assert_eq!(findings[0].file, "profiles/x.toml");
    assert!(loaded.is_last_good && loaded.snapshot.trunks[0].dialect.trust.outward);
}

#[test]
fn more_profiles_than_there_may_be_are_refused() {
    let names: Vec<_> = (0..=super::PROFILES_MAX).map(|n| format!("profiles/p{n}.toml")).collect();
    let mut files: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    files.push(TANDEM);
    assert!(findings(&files).contains("profiles: error[out-of-range]: there are more than 256"));
}
