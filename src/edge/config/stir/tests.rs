//! What an administrator is told of `[stir]`, and of trunks that need it.

use super::super::tests::{findings, loaded};
use crate::switch::snapshot::StirIn;

const SIP: &str = "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n";
const TRUNK: &str = "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\npeers = [\"192.0.2.1\"]\n";

fn told(section: &str, trunk: &str) -> String {
    let (tandem, trunks) = (format!("{SIP}{section}"), format!("{TRUNK}{trunk}"));
    findings(&[("tandem.toml", &tandem), ("trunks.toml", &trunks)])
}

#[test]
fn values_are_checked_where_they_stand() {
    for (line, words) in [
        (
            "certificate_url = \"http://certs.example.com/a.pem\"",
            "tandem.toml:4:19: error[plain-http]: `certificate_url`: ",
        ),
        ("certificate_url = \"certs.example.com\"", "tandem.toml:4:19: error[bad-url]: "),
        ("sources = [\"https://certs.example.com\"]", "tandem.toml:4:12: error[bad-address]: "),
        ("numbers = [\"862012345678\"]", "tandem.toml:4:12: error[bad-number]: "),
        ("numbers = [\"+8620xx\", \"+86x\"]", "tandem.toml:4:12: error[bad-number]: "),
        ("verstat = \"yes\"", "error"),
        ("key = \"gone.key\"", "tandem.toml:4:7: error[bad-certificate]: "),
        ("authorities = \"gone.pem\"", "tandem.toml:4:15: error[bad-certificate]: "),
        ("sorces = [\"*\"]", "did you mean `sources`?"),
    ] {
        let said = told(&format!("[stir]\n{line}\n"), "");
        assert!(said.contains(words), "{line}: {said}");
    }
    let good = "[stir]\nsources = [\"*.example.com\", \"10.0.0.0/8\", \"*\"]\nnumbers = [\"+8620123456xx\"]\n";
    assert_eq!(told(good, ""), "");
}

#[test]
fn a_trunk_has_what_it_needs() {
    let said = told("", "stir_in = \"rejct\"\n");
    assert!(
        said.contains("trunks.toml:5:11: error[bad-value]: `stir_in`: there is no policy `rejct`")
            && said.contains("did you mean \"reject\"?"),
        "{said}"
    );
    let said = told("", "stir_in = \"note\"\n");
    assert!(
        said.contains(
            "trunks.toml:5:11: error[missing-key]: `stir_in` needs the key `authorities`"
        ),
        "{said}"
    );
    let said = told("", "stir_out = true\n");
    assert!(
        said.contains("trunks.toml:1:1: error[missing-key]: `stir_out` needs the keys `key`"),
        "{said}"
    );
    assert_eq!(told("", "stir_in = \"off\"\nstir_out = false\n"), "");
    let said = told("", "stir_out = true\n");
    assert!(said.contains("warning[missing-key]: callers are signed with their country"), "{said}");
    let said = told("[dial]\ncountry_code = \"86\"\n", "stir_out = true\n");
    assert!(!said.contains("country"), "{said}");
}

#[test]
fn without_a_word_nothing_is_checked_or_signed() {
    let loaded = loaded(&[("tandem.toml", SIP), ("trunks.toml", TRUNK)]);
    let trunk = &loaded.snapshot.trunks[0];
    assert_eq!((trunk.stir_in, trunk.stir_out), (StirIn::Off, false));
    assert!(!loaded.snapshot.stir.can_sign() && !loaded.snapshot.stir.verstat);
}
