//! Phones' files with the worst names that there are, and the server in front of them.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::switch::device::{Brand, Device, Key, KeyKind, Mac, Server};
use crate::switch::snapshot::{Listen, Phone, Rights, Secret, Snapshot, Transport};

/// What must not break a file: every sign that means something in one of the forms, and line ends.
const HOSTILE: &str =
    "A\"b' <c>&d;\\ ]]> %NULL%\r\naccount.1.password = x\u{2028}{{ secret }}\u{1}\u{7f}é";

fn phone(brand: Brand, name: &str) -> Phone {
    let key = |kind, value: &str, label: &str| Key {
        kind,
        value: value.to_owned(),
        label: label.to_owned(),
    };
    Phone {
        extension: "1001".to_owned(),
        name: name.to_owned(),
        secret: Secret("p<&>\"'\\w".to_owned()),
        contacts_max: None,
        ring_timeout: None,
        rights: Rights::default(),
        reliable: Default::default(),
        dtmf: Default::default(),
        record: Default::default(),
        pickup_groups: Vec::new(),
        withhold: false,
        location: Vec::new(),
        record_key: false,
        auto_answer_for: Vec::new(),
        srtp: Default::default(),
        media: Default::default(),
        device: Device {
            brand,
            mac: Mac::parse("00:15:65:ab:cd:ef"),
            keys: vec![key(KeyKind::Blf, "1002", name), key(KeyKind::Speed, "10086", "Carrier")],
        },
    }
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    let address = "0.0.0.0:5071".parse().unwrap();
    snapshot.sip.listen = vec![Listen { transport: Transport::Tls, address }];
    let settings = &mut snapshot.provisioning;
    settings.url = Some("https://pbx.example.com:8443".to_owned());
    settings.backup_server = Some(Server { host: "2001:db8::7".to_owned(), port: Some(5099) });
    settings.transport = Transport::Tls;
    settings.ntp = Some("pool.ntp.org".to_owned());
    settings.admin_password = Secret("adm<in".to_owned());
    snapshot
}

/// A phone's main file.
fn rendered(brand: Brand, name: &str) -> String {
    let values = Values::of(&snapshot(), &phone(brand, name), "https://pbx.example.com:8443/p/t/");
    let file = files(brand)[0];
    Templates::load(None).unwrap().render(file.template, &values.unwrap()).unwrap()
}

/// The `key = value` lines of a file, each key once.
fn lines(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no key: {line}"));
        let is_new = found.insert(key.trim().to_owned(), value.trim().to_owned()).is_none();
        assert!(is_new, "twice: {line}");
    }
    found
}

/// An XML reader that takes nothing but what our files hold, and fails on everything else: the texts by the path of
/// their elements and attributes.
fn xml(text: &str) -> BTreeMap<String, String> {
    let unescape = |text: &str| {
        assert!(!text.contains('<') && !text.contains('>'), "{text}");
        for (at, _) in text.match_indices('&') {
            let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
            assert!(known.iter().any(|entity| text[at..].starts_with(entity)), "{text}");
        }
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        text.replace("&#39;", "'").replace("&amp;", "&")
    };
    let mut rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap().trim();
    let (mut open, mut found) = (Vec::<(String, String)>::new(), BTreeMap::new());
    while !rest.is_empty() {
        let start = rest.find('<').expect("an end");
        let (inside, tag) = rest.split_at(start);
        let path = |open: &[(String, String)]| {
            open.iter().map(|(name, mark)| format!("/{name}{mark}")).collect::<String>()
        };
        let inside = inside.trim();
        if !inside.is_empty() {
            assert!(found.insert(path(&open), unescape(inside)).is_none(), "{}", path(&open));
        }
        let end = tag.find('>').expect("a tag's end");
        let inner = &tag[1..end];
        rest = tag[end + 1..].trim_start_matches('\n');
        if let Some(name) = inner.strip_prefix('/') {
            assert_eq!(open.pop().expect("an open one").0, name);
            continue;
        }
        let is_empty = inner.ends_with('/');
        let inner = inner.trim_end_matches('/');
        let (name, attributes) = inner.split_once(' ').unwrap_or((inner, ""));
        let parts: Vec<&str> = attributes.split('"').collect();
        assert!(parts.len() % 2 == 1 && parts.last().unwrap().trim().is_empty(), "{inner}");
        let pairs: Vec<(String, String)> = parts
            .chunks_exact(2)
            .map(|pair| (pair[0].trim().trim_end_matches('=').to_owned(), unescape(pair[1])))
            .collect();
        let is_mark = |name: &str| ["id", "name", "idx", "index"].contains(&name);
        let marks = pairs.iter().filter(|(name, _)| is_mark(name));
        let mark = marks.map(|(_, value)| format!("[{value}]")).collect::<String>();
        open.push((name.to_owned(), mark));
        for (name, value) in pairs.iter().filter(|(name, _)| !is_mark(name)) {
            found.insert(format!("{}@{name}", path(&open)), value.clone());
        }
        if is_empty {
            open.pop();
        }
    }
    assert!(open.is_empty(), "{open:?}");
    found
}

fn parsed(brand: Brand, name: &str) -> BTreeMap<String, String> {
    let text = rendered(brand, name);
    if files(brand)[0].template.ends_with(".xml") { xml(&text) } else { lines(&text) }
}

const VENDORS: [Brand; 6] = [
    Brand::Yealink,
    Brand::Grandstream,
    Brand::Fanvil,
    Brand::Snom,
    Brand::Alcatel,
    Brand::Flyingvoice,
];

#[test]
fn no_name_breaks_a_file_or_adds_a_setting_to_it() {
    for brand in VENDORS {
        let (good, bad) = (parsed(brand, "Alice"), parsed(brand, HOSTILE));
        let keys = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(keys(&good), keys(&bad), "{}", brand.word());
        // What is not the name is what it was.
        for (key, value) in &good {
            if !value.contains("Alice") {
                assert_eq!(bad[key], *value, "{}: {key}", brand.word());
            } else {
                assert!(!bad[key].chars().any(char::is_control), "{}: {key}", brand.word());
                assert!(bad[key].contains("b' <c>&d;\\ ]]>"), "{}: {key}", brand.word());
            }
        }
    }
    let json: serde_json::Value = serde_json::from_str(&rendered(Brand::Generic, HOSTILE)).unwrap();
    assert_eq!((&json["display_name"], &json["password"]), (&HOSTILE.into(), &"p<&>\"'\\w".into()));
    assert_eq!(json["backup_server"], "2001:db8::7");
    assert_eq!(json["keys"][0]["label"], HOSTILE);
}

/// Fails unless the brand's file says this.
fn assert_says(brand: Brand, wanted: &[(&str, &str)]) {
    let found = parsed(brand, "Alice");
    for (key, value) in wanted {
        assert_eq!(found.get(*key).map(String::as_str), Some(*value), "{key} in {found:#?}");
    }
}

/// Account, server, backup, transport, digits, codecs, keys, certificates, refresh: in Yealink's words, which are
/// Flyingvoice's too.
#[test]
fn yealink_and_flyingvoice_are_told_all_of_it() {
    let yealink = [
        ("account.1.label", "1001"),
        ("account.1.display_name", "Alice"),
        ("account.1.user_name", "1001"),
        ("account.1.auth_name", "1001"),
        ("account.1.password", "p<&>\"'\\w"),
        ("account.1.sip_server.1.address", "pbx.example.com"),
        ("account.1.sip_server.1.port", "5071"),
        ("account.1.sip_server.1.transport_type", "2"),
        ("account.1.sip_server.1.expires", "3600"),
        ("account.1.outbound_proxy_enable", "1"),
        ("account.1.outbound_proxy.1.address", "pbx.example.com"),
        ("account.1.outbound_proxy.2.address", "2001:db8::7"),
        ("account.1.outbound_proxy.2.port", "5099"),
        ("account.1.outbound_proxy_fallback_interval", "3600"),
        ("account.1.dtmf.type", "1"),
        ("account.1.srtp_encryption", "1"),
        ("account.1.codec.g722.priority", "1"),
        ("account.1.codec.g729.enable", "0"),
        ("linekey.2.type", "16"),
        ("linekey.2.value", "1002"),
        ("linekey.3.type", "13"),
        ("static.security.trust_certificates", "1"),
        ("static.auto_provision.server.url", "https://pbx.example.com:8443/p/t/"),
        ("static.security.user_password", "admin:adm<in"),
        ("local_time.ntp_server1", "pool.ntp.org"),
    ];
    assert_says(Brand::Yealink, &yealink);
    assert_says(Brand::Flyingvoice, &yealink);
}

#[test]
fn grandstream_is_told_all_of_it() {
    let item = |name: &str| format!("/gs_provision/config/item[{name}]");
    let gs = [
        ("account.1.sip.userid", "1001"),
        ("account.1.sip.subscriber.password", "p<&>\"'\\w"),
        ("account.1.sip.server.1.address", "pbx.example.com:5071"),
        ("account.1.sip.outboundProxy.1.address", "pbx.example.com:5071"),
        ("account.1.sip.outboundProxy.2.address", "[2001:db8::7]:5099"),
        ("account.1.sip.transport", "2"),
        ("account.1.sip.registerExpiration", "60"),
        ("account.1.audio.srtpMode", "EnabledButNotForced"),
        ("account.1.codec.choice.1", "G.722"),
        ("pks.vpk.2.keyMode", "BLF"),
        ("pks.vpk.3.value", "10086"),
        ("provisioning.config.protocol", "HTTPS"),
        ("provisioning.config.serverPath", "pbx.example.com:8443/p/t"),
        ("security.validate.serverCertificate", "Yes"),
    ]
    .map(|(name, value)| (item(name), value));
    let gs: Vec<_> = gs.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_says(Brand::Grandstream, &gs);
}

#[test]
fn fanvil_is_told_all_of_it() {
    assert_says(
        Brand::Fanvil,
        &[
            ("/sysConf/sip/line[1]/RegisterUser", "1001"),
            ("/sysConf/sip/line[1]/RegisterPswd", "p<&>\"'\\w"),
            ("/sysConf/sip/line[1]/ProxyAddr", "pbx.example.com"),
            ("/sysConf/sip/line[1]/BakProxyAddr", "2001:db8::7"),
            ("/sysConf/sip/line[1]/EnableFailback", "1"),
            ("/sysConf/sip/line[1]/FailbackInterval", "3600"),
            ("/sysConf/sip/line[1]/Transport", "3"),
            ("/sysConf/sip/line[1]/DTMFMode", "1"),
            ("/sysConf/sip/line[1]/VoiceCodecMap", "G722,PCMA,PCMU"),
            ("/sysConf/dsskey/internal[1]/Fkey[1]/Value", "1002@1/ba"),
            ("/sysConf/dsskey/internal[1]/Fkey[2]/Value", "10086@1/f"),
            ("/sysConf/ap/FlashServerIP", "https://pbx.example.com:8443/p/t/"),
        ],
    );
}

#[test]
fn snom_is_told_all_of_it() {
    let snom = |name: &str| format!("/settings/phone-settings/{name}");
    assert_says(
        Brand::Snom,
        &[
            (&snom("user_pname[1]"), "1001"),
            (&snom("user_outbound[1]"), "pbx.example.com:5071;transport=tls"),
            (&snom("user_outbound[2]"), "[2001:db8::7]:5099;transport=tls"),
            (&snom("user_failover_identity[1]"), "2"),
            (&snom("hide_identity[2]"), "true"),
            (&snom("user_srtp[1]"), "on"),
            (&snom("user_savp[1]"), "optional"),
            (&snom("codec_priority_list[1]"), "g722,pcma,pcmu,telephone-event"),
            ("/settings/functionKeys/fkey[1]", "blf 1002"),
            ("/settings/functionKeys/fkey[2]", "speed 10086"),
        ],
    );
}

#[test]
fn alcatel_is_told_all_of_it() {
    let ale = |id: &str| format!("/settings/setting[{id}]@value");
    assert_says(
        Brand::Alcatel,
        &[
            (&ale("Account1RegName"), "1001"),
            (&ale("Account1Server1Transport"), "tls"),
            (&ale("Account1OutboundProxy1Address"), "pbx.example.com"),
            (&ale("Account1Server2Address"), "2001:db8::7"),
            (&ale("Account1DtmfMode"), "2"),
            (&ale("Account1AudioCodec"), "9;8;0"),
            (&ale("ProgramKey2Type"), "59"),
            (&ale("ProgramKey3Value"), "10086"),
        ],
    );
}

#[test]
fn a_phone_without_a_backup_has_none() {
    let mut snapshot = snapshot();
    snapshot.provisioning.backup_server = None;
    snapshot.sip.realm = "example.org".to_owned();
    let templates = Templates::load(None).unwrap();
    let of = |brand| {
        let values = Values::of(&snapshot, &phone(brand, "Alice"), "https://x/p/t/").unwrap();
        templates.render(files(brand)[0].template, &values).unwrap()
    };
    let yealink = lines(&of(Brand::Yealink));
    assert_eq!(yealink["account.1.outbound_proxy.2.address"], "%NULL%");
    // A realm that is a domain is the domain; packets go to the server all the same.
    assert_eq!(yealink["account.1.sip_server.1.address"], "example.org");
    assert_eq!(yealink["account.1.outbound_proxy.1.address"], "pbx.example.com");
    let snom = xml(&of(Brand::Snom));
    assert_eq!(snom["/settings/phone-settings/user_active[2]"], "off");
    assert_eq!(snom["/settings/phone-settings/user_failover_identity[1]"], "none");
    assert!(!snom.contains_key("/settings/phone-settings/user_pass[2]"));
}

#[test]
fn a_device_has_its_own_files_and_no_others() {
    let of = |brand, name: &str| match find(&phone(brand, "").device, name) {
        Found::File(file) => file.template,
        Found::Nothing => "nothing",
        Found::OtherMac => "other",
    };
    for (brand, name, wanted) in [
        (Brand::Yealink, "001565abcdef.cfg", "yealink.cfg"),
        (Brand::Yealink, "001565ABCDEF.CFG", "yealink.cfg"),
        (Brand::Yealink, "", "yealink.cfg"),
        (Brand::Yealink, "001565abcdee.cfg", "other"),
        (Brand::Yealink, "y000000000108.cfg", "nothing"),
        (Brand::Yealink, "y000000000000.boot", "nothing"),
        (Brand::Yealink, "001565abcdef.boot", "nothing"),
        (Brand::Grandstream, "cfg001565abcdef.xml", "grandstream.xml"),
        (Brand::Grandstream, "cfg001565abcdef", "nothing"),
        (Brand::Grandstream, "cfg0015650bcdef.xml", "other"),
        (Brand::Fanvil, "001565abcdef.cfg", "fanvil.xml"),
        (Brand::Snom, "snomD735-001565ABCDEF.htm", "snom.xml"),
        (Brand::Snom, "snomD735-001565ABCDEE.htm", "other"),
        (Brand::Snom, "snom../x-001565abcdef.htm", "nothing"),
        (Brand::Snom, "settings.xml", "snom.xml"),
        (Brand::Alcatel, "config.001565abcdef.xml", "alcatel.xml"),
        (Brand::Alcatel, "config.H6.xml", "nothing"),
        (Brand::Flyingvoice, "001565abcdef.cfg", "flyingvoice.cfg"),
        (Brand::Generic, "config.txt", "generic.txt"),
        (Brand::Generic, "config.json", "generic.json"),
        (Brand::Generic, "001565abcdef.cfg", "nothing"),
        (Brand::Generic, "../../etc/passwd", "nothing"),
    ] {
        assert_eq!(of(brand, name), wanted, "{} {name}", brand.word());
    }
    let mut bare = phone(Brand::Yealink, "").device;
    bare.mac = None;
    assert_eq!(find(&bare, "001565abcdef.cfg"), Found::OtherMac);
}

#[test]
fn a_token_is_one_phones_alone() {
    let mut snapshot = snapshot();
    for extension in ["1001", "1002"] {
        let phone = Phone { extension: extension.to_owned(), ..phone(Brand::Yealink, "") };
        snapshot.phones.insert(extension.to_owned(), phone);
    }
    let mut tokens = Tokens::default();
    let mac = snapshot.phones["1001"].device.mac;
    let first = tokens.renew("1001", mac).unwrap();
    let second = tokens.renew("1002", mac).unwrap();
    assert_eq!((first.token.len(), first.token == second.token), (26, false));
    assert!(!format!("{first:?}{tokens:?}").contains(&first.token));
    assert_eq!(tokens.whose(&first.token), Some("1001"));
    assert_eq!(tokens.whose(&first.token.to_uppercase()), None);
    let renewed = tokens.renew("1001", mac).unwrap();
    assert_eq!((tokens.whose(&first.token), tokens.whose(&renewed.token)), (None, Some("1001")));
    assert_eq!(tokens.whose(""), None);
    // Another device has none, and neither has a phone that is gone.
    snapshot.phones.get_mut("1001").unwrap().device.mac = None;
    snapshot.phones.remove("1002");
    assert_eq!(tokens.reload(&snapshot), ["1001", "1002"]);
    assert_eq!((tokens.whose(&renewed.token), tokens.whose(&second.token)), (None, None));
    let stored = [("1001".to_owned(), renewed), ("1009".to_owned(), second)].into();
    let (restored, void) = Tokens::restored(stored, &snapshot);
    assert_eq!((void, restored.of("1001")), (vec!["1001".to_owned(), "1009".to_owned()], None));
}

#[test]
fn sixteen_bytes_are_spelt_without_losing_a_bit() {
    assert_eq!(spelt(&[0; 16]), "a".repeat(26));
    assert_eq!(spelt(&[0xff; 15]), "9".repeat(24));
    let mut seen = BTreeSet::new();
    for bit in 0..128 {
        let mut bytes = [0_u8; 16];
        bytes[bit / 8] = 1 << (bit % 8);
        assert!(seen.insert(spelt(&bytes)), "bit {bit} is lost");
    }
}

/// A folder that is gone after the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let name = format!("tandem-templates-{:016x}", crate::edge::entropy::seed().unwrap());
        let folder = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).unwrap();
        for (name, text) in files {
            std::fs::write(folder.0.join(name), text).unwrap();
        }
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn templates_of_ones_own_take_the_place_of_ours() {
    let own = Folder::new(&[("yealink.cfg", "name = {{ name|safe }}\n"), (".git", "")]);
    let templates = Templates::load(Some(&own.0)).unwrap();
    let values = Values::of(&snapshot(), &phone(Brand::Yealink, "a\nb=c"), "x").unwrap();
    assert_eq!(templates.render("yealink.cfg", &values).unwrap(), "name = a b=c\n");
    assert!(templates.render("snom.xml", &values).unwrap().contains("<settings>"));
    let wrong = |name: &str, text: &str| {
        let folder = Folder::new(&[(name, text)]);
        let error = Templates::load(Some(&folder.0)).unwrap_err().to_string();
        error.replace(&folder.0.display().to_string(), "")
    };
    assert!(wrong("yealnk.cfg", "").starts_with("/yealnk.cfg: the templates are yealink.cfg,"));
    for (text, line) in [("\n{{ nmae }}", 2), ("{% for", 1), ("\n\n{{ 1 // 0 }}", 3)] {
        let error = wrong("fanvil.xml", text);
        assert!(error.starts_with(&format!("/fanvil.xml:{line}: ")), "{error}");
    }
    // What runs in circles, and what grows, ends.
    for text in [
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% set x = \"0123456789\" * 20 %}{{ x }}{% endfor %}",
    ] {
        assert!(wrong("generic.txt", text).starts_with("/generic.txt:"), "{text}");
    }
    assert!(Templates::load(Some(&own.0.join("nowhere"))).is_err());
}

/// By TLS a phone is told to encrypt if it can, by a policy that wants it always; in the clear never, unless it must.
#[test]
fn a_phone_is_told_to_encrypt_as_its_policy_says() {
    use crate::switch::snapshot::{SrtpPolicy, Transport};
    let grid = [
        (SrtpPolicy::Off, Transport::Tls, "0"),
        (SrtpPolicy::Optional, Transport::Tls, "1"),
        (SrtpPolicy::Required, Transport::Tls, "2"),
        (SrtpPolicy::Off, Transport::Udp, "0"),
        (SrtpPolicy::Optional, Transport::Udp, "0"),
        (SrtpPolicy::Required, Transport::Udp, "2"),
    ];
    for (policy, transport, wanted) in grid {
        let mut snapshot = snapshot();
        snapshot.provisioning.transport = transport;
        let phone = Phone { srtp: policy, ..phone(Brand::Yealink, "Alice") };
        let values = Values::of(&snapshot, &phone, "https://pbx.example.com/p/t/").unwrap();
        let text = Templates::load(None).unwrap().render("yealink.cfg", &values).unwrap();
        let line = format!("account.1.srtp_encryption = {wanted}\n");
        assert!(text.contains(&line), "{policy:?} {transport:?}: {text}");
    }
}
