//! What an administrator is told of `[provisioning]` and of devices.

use super::super::tests::{findings, loaded};

const SIP: &str = "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n";
const ON: &str =
    "[provisioning]\nlisten = [\"http:127.0.0.1:8080\"]\nurl = \"https://pbx.example.com/\"\n";

/// The findings for this section, and for one phone with these keys.
fn told(section: &str, phone: &str) -> String {
    let tandem = format!("{SIP}{section}");
    let phones = format!("[[phone]]\nextension = \"1001\"\nsecret = \"wren-Kf7q2-maple\"\n{phone}");
    findings(&[("tandem.toml", &tandem), ("phones.toml", &phones)])
}

#[test]
fn passwords_go_over_https_or_not_at_all() {
    let said = told("[provisioning]\nlisten = [\"http:0.0.0.0:8080\"]\n", "");
    assert!(
        said.starts_with("tandem.toml:4:11: error[plain-http]: `listen`: passwords are"),
        "{said}"
    );
    let said = told(&ON.replace("https:", "http:"), "");
    assert!(said.contains("tandem.toml:5:7: error[plain-http]: `url`: "), "{said}");
    assert_eq!(told(&ON.replace("https://pbx.example.com/", "http://[::1]:8080"), ""), "");
    let said = told(&ON.replace("http:127.0.0.1", "https:127.0.0.1"), "");
    assert!(said.contains("tandem.toml:4:10: error[missing-certificate]: https needs"), "{said}");
    let said = told("[provisioning]\nlisten = [\"http:127.0.0.1:8080\"]\n", "");
    assert!(said.contains("tandem.toml:4:10: error[missing-key]: "), "{said}");
    for url in ["pbx.example.com", "ftp://x", "https://", "https://a b", "https://x/?a=b"] {
        let said = told(&ON.replace("https://pbx.example.com/", url), "");
        assert!(said.contains("error[bad-url]"), "{url}: {said}");
    }
}

#[test]
fn a_transport_without_a_listener_is_told() {
    let said = told(&format!("{ON}transport = \"tls\"\n"), "");
    assert!(
        said.starts_with("tandem.toml:6:13: warning[missing-listener]: phones are told tls"),
        "{said}"
    );
    let said = told(&format!("{ON}transport = \"wss\"\n"), "");
    assert!(
        said.contains("error[bad-value]: `transport`: phones cannot register by `wss`"),
        "{said}"
    );
}

#[test]
fn devices_are_checked() {
    let said = told(ON, "brand = \"yealnk\"\n");
    assert!(
        said.contains("phones.toml:4:9: error[bad-value]")
            && said.contains("did you mean \"yealink\"?"),
        "{said}"
    );
    let said = told(ON, "brand = \"yealink\"\n");
    assert!(said.starts_with("phones.toml:2:13: warning[missing-mac]: "), "{said}");
    // Nobody asks for it while nothing is served.
    assert_eq!(told("", "brand = \"yealink\"\n"), "");
    assert_eq!(told(ON, "brand = \"yealink\"\nmac = \"00-15-65-AB-CD-EF\"\n"), "");
    let said = told(ON, "mac = \"00:15:65\"\n");
    assert!(said.contains("phones.toml:4:7: error[bad-mac]: "), "{said}");
    let second = "mac = \"001565abcdef\"\n[[phone]]\nextension = \"1002\"\nsecret = \"heron-T9x4d-birch\"\nmac = \"00:15:65:ab:cd:ef\"\n";
    let said = told(ON, second);
    assert!(said.contains("phones.toml:8:7: error[duplicate]: the device 001565abcdef is already the one of phones.toml:4:7"), "{said}");
    let said =
        told(ON, "keys = [\"blf:1009\", \"blf\", \"speed:1 2\", \"speed:10086:Carrier: main\"]\n");
    assert!(said.contains("phones.toml:4:9: warning[missing-reference]: "), "{said}");
    assert_eq!(said.matches("error[bad-key]").count(), 2, "{said}");
}

#[test]
fn every_value_arrives() {
    let section = "server = \"sip.example.com:5061\"\nbackup_server = \"[2001:db8::1]\"\ntransport = \"udp\"\nverify_certificate = false\ncodecs = [\"pcma\"]\nntp = \"ntp.example.com\"\nadmin_password = \"word\"\n";
    let phones = "[[phone]]\nextension = \"1001\"\nsecret = \"wren-Kf7q2-maple\"\nbrand = \"snom\"\nmac = \"001565ABCDEF\"\nkeys = [\"blf:1001\", \"speed:10086:Carrier: main\"]\n";
    let tandem = format!("{SIP}{ON}{section}");
    let loaded = loaded(&[("tandem.toml", &tandem), ("phones.toml", phones)]);
    let settings = &loaded.snapshot.provisioning;
    assert_eq!(settings.url.as_deref(), Some("https://pbx.example.com"));
    assert_eq!(settings.server.as_ref().unwrap().to_string(), "sip.example.com:5061");
    assert_eq!(settings.backup_server.as_ref().unwrap().to_string(), "[2001:db8::1]");
    assert_eq!((settings.verifies, settings.codecs.as_slice()), (false, &["pcma".to_owned()][..]));
    assert_eq!(
        (settings.ntp.as_deref(), settings.admin_password.0.as_str()),
        (Some("ntp.example.com"), "word")
    );
    let device = &loaded.snapshot.phone("1001").unwrap().device;
    assert_eq!(
        (device.brand.word(), device.mac.unwrap().to_string().as_str()),
        ("snom", "001565abcdef")
    );
    let labels: Vec<_> = device.keys.iter().map(|key| key.label.as_str()).collect();
    assert_eq!(labels, ["1001", "Carrier: main"]);
    assert!(!format!("{settings:?}").contains("word\""), "{settings:?}");
}

#[test]
fn extensions_that_take_the_room_of_outside_numbers_are_told_once() {
    let phone = |extension| {
        format!("[[phone]]\nextension = \"{extension}\"\nsecret = \"wren-Kf7q2-maple\"\n")
    };
    let phones: String = ["1001", "101", "9001", "alice", "0123", "1234567"].map(phone).concat();
    let said = findings(&[("tandem.toml", SIP), ("phones.toml", &phones)]);
    assert_eq!(
        said.lines().next(),
        Some(
            "phones.toml:5:13: warning[odd-extension]: 101, 9001, 0123 and 1 more: not 4 to 6 digits of which the first is 1 to 8"
        )
    );
    assert_eq!(said.matches("warning").count(), 1, "{said}");
}
