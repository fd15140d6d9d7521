//! What an administrator is told of peers whose audio is to be encrypted.

use super::super::tests::{findings, loaded};
use crate::switch::call::Origin;
use crate::switch::snapshot::SrtpPolicy;

const UDP: &str = "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n";
const PHONE: &str = "[[phone]]\nextension = \"1001\"\nsecret = \"wren-Kf7q2-maple\"\n";
const TRUNK: &str = "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\n";

fn told(phone: &str, trunk: &str) -> String {
    let (phones, trunks) = (format!("{PHONE}{phone}"), format!("{TRUNK}{trunk}"));
    findings(&[("tandem.toml", UDP), ("phones.toml", &phones), ("trunks.toml", &trunks)])
}

const PEERS: &str = "peers = [\"192.0.2.1\"]\n";

#[test]
fn a_policy_is_read_from_a_phone_a_trunk_and_a_profile() {
    let phones = format!("{PHONE}srtp = \"off\"\n");
    let trunks = format!("{TRUNK}peers = [\"tls:sip.example.com\"]\nprofile = \"far\"\n");
    let snapshot = loaded(&[
        ("tandem.toml", UDP),
        ("phones.toml", &phones),
        ("trunks.toml", &trunks),
        ("profiles/far.toml", "srtp = \"required\"\n"),
    ])
    .snapshot;
    assert_eq!(snapshot.srtp_for(&Origin::Phone("1001".to_owned())), SrtpPolicy::Off);
    assert_eq!(snapshot.srtp_for(&Origin::Trunk("carrier".to_owned())), SrtpPolicy::Required);
    let snapshot = loaded(&[("tandem.toml", UDP), ("phones.toml", PHONE)]).snapshot;
    assert_eq!(snapshot.srtp_for(&Origin::Phone("1001".to_owned())), SrtpPolicy::Optional);
}

#[test]
fn an_unknown_policy_is_an_error_with_the_words() {
    let said = told("srtp = \"must\"\n", PEERS);
    assert!(said.contains("phones.toml:4:8: error[bad-value]: "), "{said}");
    assert!(said.contains("\"required\""), "{said}");
}

#[test]
fn keys_that_would_cross_in_the_clear_are_warned_of() {
    let said = told("srtp = \"required\"\n", PEERS);
    assert!(said.contains("phones.toml:4:8: warning[clear-keys]: phone `1001`"), "{said}");
    for peers in [PEERS, "peers = [\"tls:sip.example.com\", \"tcp:192.0.2.2\"]\n"] {
        let said = told("", &format!("{peers}srtp = \"required\"\n"));
        assert!(said.contains("trunks.toml:5:8: warning[clear-keys]: trunk `carrier`"), "{said}");
    }
    let private = "peers = [\"tls:sip.example.com\"]\nsrtp = \"required\"\n";
    assert_eq!(told("srtp = \"optional\"\n", private), "");
}

/// The files of some brands say that SRTP is off, or nothing.
#[test]
fn a_phone_that_fetches_its_settings_and_must_encrypt_is_warned_of() {
    let provisioning = format!(
        "{UDP}[provisioning]\nlisten = [\"http:127.0.0.1:8080\"]\nurl = \"https://pbx.example.com\"\n"
    );
    for (brand, is_warned_of) in [("alcatel", true), ("fanvil", true), ("yealink", false)] {
        let phones = format!("{PHONE}brand = \"{brand}\"\nsrtp = \"required\"\n");
        let said = findings(&[("tandem.toml", &provisioning), ("phones.toml", &phones)]);
        let words = "warning[srtp-off]: the file that phone `1001` fetches";
        assert_eq!(said.contains(words), is_warned_of, "{brand}: {said}");
    }
}
