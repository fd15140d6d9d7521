use super::*;
use crate::switch::route::caps::DialSettings;

fn china() -> (DialSettings, Dialect) {
    let mobile = ["13", "15", "18"].map(str::to_owned).to_vec();
    let dial = DialSettings { country_code: Some("86".into()), mobile, ..Default::default() };
    let dialect =
        Dialect { area_code: Some("020".into()), mobile_bare: true, ..Dialect::default() };
    (dial, dialect)
}

#[test]
fn a_number_has_one_canonical_form() {
    let (dial, dialect) = china();
    let numbering = Numbering::of(&dial, &dialect);
    for (number, expected) in [
        ("+862012345678", Some("+862012345678")),
        ("00862012345678", Some("+862012345678")),
        ("02012345678", Some("+862012345678")),
        ("12345678", Some("+862012345678")),
        ("13800138000", Some("+8613800138000")),
        ("013800138000", Some("+8613800138000")),
        ("0044163296000", Some("+44163296000")),
        ("10086", None),
        ("1001", None),
        ("alice", None),
        ("+", None),
        ("00", None),
        ("", None),
    ] {
        assert_eq!(numbering.canonical(number).as_deref(), expected, "{number}");
    }
    // Without a country only what names its country has one.
    let (nowhere, plain) = (DialSettings::default(), Dialect::default());
    let numbering = Numbering::of(&nowhere, &plain);
    assert_eq!(numbering.canonical("02012345678"), None);
    assert_eq!(numbering.canonical("00862012345678").as_deref(), Some("+862012345678"));
}

#[test]
fn every_form_is_written_and_read_back() {
    let (dial, dialect) = china();
    let numbering = Numbering::of(&dial, &dialect);
    use NumberForm as F;
    for (number, form, expected) in [
        ("02012345678", F::AsIs, "02012345678"),
        ("02012345678", F::E164, "+862012345678"),
        ("02012345678", F::E164Bare, "862012345678"),
        ("02012345678", F::International, "00862012345678"),
        ("+862012345678", F::National, "02012345678"),
        ("+862012345678", F::Local, "12345678"),
        ("+861012345678", F::Local, "01012345678"),
        ("+8613800138000", F::Local, "13800138000"),
        ("+8613800138000", F::National, "13800138000"),
        ("+44163296000", F::Local, "0044163296000"),
        ("10086", F::E164, "10086"),
        ("1001", F::E164, "1001"),
    ] {
        assert_eq!(numbering.write(number, form), expected, "{number} {form:?}");
        if let Some(canonical) = numbering.canonical(number).filter(|_| form != F::AsIs) {
            assert_eq!(numbering.received(expected, form), canonical, "{expected} {form:?}");
        }
    }
    assert_eq!(numbering.received("0201", F::E164Bare), "+86201");
    assert_eq!(numbering.received("110", F::E164Bare), "110");
    assert_eq!(numbering.received("02012345678", F::AsIs), "02012345678");
}

#[test]
fn every_word_of_the_configuration_is_read_as_it_is_written() {
    for word in NumberForm::WORDS {
        assert_eq!(NumberForm::from_word(word).map(NumberForm::word), Some(*word));
    }
    for word in ["none", "in", "out", "both"] {
        assert_eq!(Trust::from_word(word).map(Trust::word), Some(word));
    }
    assert_eq!(Trust::from_word("some"), None);
    assert_eq!(IdentityHeader::WORDS, ["pai", "ppi", "rpid"]);
}

#[test]
fn a_call_that_is_forwarded_for_ever_names_the_latest_who_did() {
    let mut caller = Caller::new("1001", "");
    for number in 0..30 {
        let (number, name) = (number.to_string(), String::new());
        caller.was_diverted(Diverted { number, name, reason: Reason::NoAnswer, is_private: false });
    }
    assert_eq!(caller.diverted.len(), crate::proto::sip::identity::DIVERSIONS_MAX);
    assert_eq!(caller.diverted[0].number, "29");
}
