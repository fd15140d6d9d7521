//! The check as an administrator sees it: whole reports, compared line by line.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::switch::snapshot::{Destination, Transport, TrunkMode};

/// A directory that is gone after the test.
pub(super) struct Dir(pub(super) PathBuf);

impl Dir {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let name = format!("tandem-config-{:016x}", crate::edge::entropy::seed().unwrap());
        let dir = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&dir.0).unwrap();
        for (name, text) in files {
            let path = dir.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) const SIP: &str = "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n";
pub(super) const CARRIER: &str =
    "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\npeers = [\"127.0.0.1:5080\"]\n";
pub(super) const ALICE: &str = "[[phone]]\nextension = \"1001\"\nsecret = \"wren-Kf7q2-maple\"\n";

pub(super) fn findings(files: &[(&str, &str)]) -> String {
    let dir = Dir::new(files);
    let list = match load(&dir.0) {
        Ok(loaded) => loaded.warnings,
        Err(list) => list,
    };
    list.iter().map(|finding| format!("{finding}\n")).collect()
}

pub(super) fn loaded(files: &[(&str, &str)]) -> Loaded {
    load(&Dir::new(files).0).unwrap_or_else(|list| panic!("{list:#?}"))
}

#[test]
fn the_shipped_configuration_is_clean() {
    let loaded = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.snapshot.phones.len(), 2);
    assert_eq!(loaded.snapshot.phone("1001").unwrap().name, "Alice");
    assert_eq!(loaded.control.socket, Path::new("/run/tandem/control.sock"));
}

#[test]
fn the_comments_of_the_shipped_configuration_work_when_their_marks_are_removed() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let dir = Dir::new(&[("profiles/none.txt", "")]);
    for name in profiles::names(&conf) {
        let name = format!("profiles/{name}.toml");
        fs::copy(conf.join(&name), dir.0.join(&name)).unwrap();
    }
    for source in Source::ALL {
        let text = fs::read_to_string(conf.join(source.file())).unwrap();
        let text: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with("[[") || rest.contains(" = ") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        fs::write(dir.0.join(source.file()), text).unwrap();
    }
    // The sounds lie beside the original.
    let loaded = load_beside(&dir.0, &conf, false).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.snapshot.trunks.len(), 1);
    assert_eq!(loaded.snapshot.numbers.len(), 1);
    assert_eq!(loaded.snapshot.routes.len(), 1);
}

/// Run with `TANDEM_WRITE_REFERENCE=1` to write the file after a key has changed.
#[test]
fn the_reference_file_is_what_the_items_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/reference.toml");
    if std::env::var_os("TANDEM_WRITE_REFERENCE").is_some() {
        fs::write(&path, reference()).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), reference());
}

/// The reference states defaults; a file that spells them all out must mean the same as none.
#[test]
fn the_defaults_of_the_reference_are_the_defaults() {
    let text = reference();
    let tandem = text.split("# ---- ").find(|part| part.starts_with("tandem.toml")).unwrap();
    let tandem = tandem.split_once('\n').unwrap().1;
    let listen = "[sip]\nlisten = [\"udp:0.0.0.0:5060\", \"tcp:0.0.0.0:5060\"]\n";
    let (spelt, bare) = (loaded(&[("tandem.toml", tandem)]), loaded(&[("tandem.toml", listen)]));
    assert_eq!(diff(&bare, &spelt), Plan::default());
    assert_eq!(spelt.snapshot.sip, bare.snapshot.sip);
}

#[test]
fn every_value_arrives_in_the_snapshot() {
    let trunks = "[[trunk]]\nname = \"gw\"\nmode = \"register\"\npeers = [\"tcp:[::1]:5070\", \"sip.example.com\"]\n\
        user = \"u@x\"\nsecret = \"wren-Kf7q2-maple\"\nexpires_seconds = 120\ncaller_id = \"+8620\"\n\
        ring_timeout_seconds = 30\ntry_timeout_seconds = 3\nlarge_to_tcp = false\n";
    let routes =
        "[[route]]\nmatch = '^9(?<rest>\\d+)$'\ntrunks = [\"gw\"]\nrewrite = \"+86${rest}\"\n";
    let numbers = "[[number]]\nnumber = \"+8620\"\ntrunk = \"gw\"\nto = \"phone:1001\"\n";
    let tandem = format!(
        "{SIP}t1_ms = 250\nauthenticate_options = true\nnameservers = [\"::1\", \"127.0.0.1:5353\"]\n\
         [media]\nworkers = 2\n"
    );
    let loaded = loaded(&[
        ("tandem.toml", &tandem),
        ("phones.toml", ALICE),
        ("trunks.toml", trunks),
        ("numbers.toml", numbers),
        ("routes.toml", routes),
    ]);
    let snapshot = &loaded.snapshot;
    assert_eq!(snapshot.sip.t1.as_millis(), 250);
    assert!(snapshot.sip.authenticate_options);
    assert_eq!(snapshot.media.workers, 2);
    assert_eq!(snapshot.phone("1001").unwrap().name, "1001");
    let trunk = snapshot.trunk("gw").unwrap();
    assert_eq!(trunk.mode, TrunkMode::Register);
    assert_eq!(trunk.peers[0].transport, Some(Transport::Tcp));
    assert_eq!((trunk.peers[0].host.as_str(), trunk.peers[0].port), ("::1", Some(5070)));
    assert_eq!((trunk.peers[1].host.as_str(), trunk.peers[1].port), ("sip.example.com", None));
    assert_eq!(trunk.try_timeout.as_secs(), 3);
    assert!(!trunk.large_to_tcp);
    let servers = ["[::1]:53", "127.0.0.1:5353"].map(|at| at.parse().unwrap());
    assert_eq!(snapshot.sip.nameservers, servers);
    assert_eq!(trunk.peers[0].to_string(), "tcp:[::1]:5070");
    assert_eq!(snapshot.numbers[0].to, Destination::Phone("1001".to_owned()));
    assert_eq!(snapshot.routes[0].name, "1");
}

#[test]
fn all_mistakes_of_all_files_are_reported_at_once() {
    let tandem = "[sip]\nlisten = [\"udp:0.0.0.0\", \"tls:0.0.0.0:5061\"]\nt1_ms = \"500\"\nrelm = \"x\"\n\
        contacts_max = 0\n[media]\nports = \"30000-20000\"\n[lmits]\n";
    let phones = "[[phone]]\nextention = \"1001\"\nsecret = 5\n[[trunk]]\nname = \"x\"\n";
    let trunks = format!("{CARRIER}{CARRIER}[[trunk]]\nname = \"b\"\nmode = \"regster\"\n");
    let routes = "[[route]]\nmatch = \"^0(.+\"\ntrunks = [\"carier\"]\n";
    let report = findings(&[
        ("tandem.toml", tandem),
        ("phones.toml", phones),
        ("trunks.toml", &trunks),
        ("routes.toml", routes),
        ("route.toml", ""),
    ]);
    assert_eq!(
        report,
        "\
route.toml: error[unknown-file]: no such file belongs to the configuration
  help: did you mean routes.toml?
tandem.toml:2:11: error[bad-address]: `listen`: `0.0.0.0` is not an IP address with a port
  help: write transport:address:port, such as \"udp:0.0.0.0:5060\" or \"tcp:[::]:5060\"
tandem.toml:2:26: error[missing-certificate]: tls needs a certificate
  help: name its file under [tls] certificates; the README has a command that makes one for a trial
tandem.toml:3:9: error[wrong-type]: `t1_ms` must be a whole number, found a string
  help: write a number from 10 to 10000 without quotes
tandem.toml:4:1: error[unknown-key]: [sip] has no key `relm`
  help: did you mean `realm`?
tandem.toml:5:16: error[out-of-range]: `contacts_max` must be from 1 to 100
  help: the nearest allowed value is 1
tandem.toml:7:9: error[bad-port-range]: `ports`: `30000-20000` ends before it begins
  help: write the first and the last port, such as \"20000-29999\"
tandem.toml:8:2: error[unknown-key]: `lmits` is not known in tandem.toml
  help: did you mean [limits]?
phones.toml:1:1: error[missing-key]: [[phone]] needs the key `extension`
  help: add extension = \"1001\"
phones.toml:2:1: error[unknown-key]: [[phone]] has no key `extention`
  help: did you mean `extension`?
phones.toml:3:10: error[wrong-type]: `secret` must be a string, found a whole number
  help: write it in \"quotes\"
phones.toml:4:3: error[unknown-key]: `trunk` is not known in phones.toml
  help: [[trunk]] belongs in trunks.toml
trunks.toml:6:8: error[duplicate]: trunk `carrier` is already defined at trunks.toml:2:8
  help: rename or remove one of them
trunks.toml:11:8: error[bad-value]: `mode`: there is no mode `regster`
  help: did you mean \"register\"? The modes are peer, account, register
routes.toml:2:9: error[bad-pattern]: `match`: not a regular expression: unclosed group
  help: an example is \"^0(.+)$\"; a literal + or . is written \\\\+ or \\\\.
routes.toml:3:11: error[missing-reference]: there is no trunk `carier`
  help: did you mean \"carrier\"?
"
    );
}

#[test]
fn several_syntax_errors_and_the_rest_of_the_file_are_reported_together() {
    let report = findings(&[(
        "tandem.toml",
        "[sip]\nlisten = [\"udp:1.2.3.4:5060\"]\nrealm = \nt1_ms = 5 5\nfoo = 1\n",
    )]);
    let places: Vec<_> = report.lines().filter(|line| !line.starts_with("  ")).collect();
    assert!(
        places.iter().any(|line| line.starts_with("tandem.toml:3:") && line.contains("[syntax]")),
        "{report}"
    );
    assert!(
        places.iter().any(|line| line.starts_with("tandem.toml:4:") && line.contains("[syntax]")),
        "{report}"
    );
    assert!(
        places.iter().any(|line| line.starts_with("tandem.toml:5:1: error[unknown-key]")),
        "{report}"
    );
}

#[test]
fn references_point_at_what_was_meant() {
    let numbers = "[[number]]\nnumber = \"+86 20-1234\"\ntrunk = \"carier\"\nto = \"1001\"\n\
        [[number]]\nnumber = \"+862012\"\ntrunk = \"carrier\"\nto = \"phone:1010\"\n\
        [[number]]\nnumber = \"+862012\"\ntrunk = \"carrier\"\nto = \"phone:1001\"\n";
    let report = findings(&[
        ("tandem.toml", SIP),
        ("phones.toml", &format!("{ALICE}{ALICE}")),
        ("trunks.toml", CARRIER),
        ("numbers.toml", numbers),
    ]);
    assert_eq!(
        report,
        "\
phones.toml:5:13: error[duplicate]: extension `1001` is already defined at phones.toml:2:13
  help: rename or remove one of them
numbers.toml:2:10: error[bad-number]: `number`: `+86 20-1234` is not a telephone number
  help: write \"+86201234\"
numbers.toml:3:9: error[missing-reference]: there is no trunk `carier`
  help: did you mean \"carrier\"?
numbers.toml:4:6: error[bad-destination]: `to`: `1001` is not a destination
  help: write \"phone:1001\"
numbers.toml:8:6: error[missing-reference]: there is no phone `1010`
  help: did you mean \"phone:1001\"?
numbers.toml:10:10: error[duplicate]: number `+862012` is already defined at numbers.toml:6:10
  help: remove one of them
"
    );
}

#[test]
fn a_trunk_has_what_its_mode_needs() {
    let trunks = "[[trunk]]\nname = \"a\"\nmode = \"peer\"\nregistrar = \"x\"\n\
        [[trunk]]\nname = \"b\"\nmode = \"account\"\n\
        [[trunk]]\nname = \"c\"\nmode = \"register\"\nuser = \"u\"\nsecret = \"short\"\n\
        [[trunk]]\nname = \"d\"\nmode = \"account\"\nuser = \"1001\"\nsecret = \"\"\n";
    let report = findings(&[("tandem.toml", SIP), ("phones.toml", ALICE), ("trunks.toml", trunks)]);
    assert_eq!(
        report,
        "\
trunks.toml:1:1: error[missing-key]: a trunk of mode `peer` needs the key `peers`
  help: add peers = …
trunks.toml:4:13: warning[unused-key]: `registrar` has no meaning in mode `peer`
  help: remove it, or set mode = \"register\"
trunks.toml:5:1: error[missing-key]: a trunk of mode `account` needs the key `user`
  help: add user = …
trunks.toml:5:1: error[missing-key]: a trunk of mode `account` needs the key `secret`
  help: add secret = …
trunks.toml:8:1: error[missing-key]: a trunk of mode `register` needs the key `peers`
  help: add peers = …
trunks.toml:12:10: warning[weak-secret]: the secret is shorter than 8 characters
  help: use a random word of 16 characters or more
trunks.toml:16:8: error[duplicate]: user `1001` is already defined at phones.toml:2:13
  help: rename or remove one of them
trunks.toml:17:10: warning[weak-secret]: the secret is empty: anybody can use this account
  help: use a random word of 16 characters or more
"
    );
}

/// A `register` trunk needs no more than its registrar: requests go there, and calls come from there.
#[test]
fn a_registrar_alone_is_a_peer_too() {
    let trunk = |rest: &str| {
        let text = format!(
            "[[trunk]]\nname = \"c\"\nmode = \"register\"\nuser = \"u\"\n\
             secret = \"a long random word\"\n{rest}\n"
        );
        loaded(&[("tandem.toml", SIP), ("trunks.toml", &text)]).snapshot.trunks.remove(0)
    };
    let alone = trunk("registrar = \"tcp:sip.example.com:5070\"");
    assert_eq!(
        alone.peers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["tcp:sip.example.com:5070"]
    );
    assert_eq!(alone.registrar.unwrap().domain(), "sip.example.com:5070");
    let beside = trunk("registrar = \"example.com\"\npeers = [\"[2001:db8::1]\"]");
    assert_eq!(
        beside.peers.iter().map(|peer| peer.domain()).collect::<Vec<_>>(),
        ["[2001:db8::1]"]
    );
    assert_eq!(beside.registrar.unwrap().domain(), "example.com");
}

#[test]
fn routes_that_cannot_do_what_they_say_are_named() {
    let route = |pattern: &str, rewrite: &str| {
        format!("[[route]]\nmatch = '{pattern}'\ntrunks = [\"carrier\"]\nrewrite = \"{rewrite}\"\n")
    };
    let routes = [
        route("^0(.+)$", "+86$10"),
        route("^1(.+)$", "$1abc$2"),
        route("^2.+$", "${1}"),
        route("5(.+)", "$1"),
        route("^.*$", "$0"),
        route("^9(.+)$", "$1"),
    ]
    .concat();
    let report = findings(&[
        ("tandem.toml", SIP),
        ("phones.toml", ALICE),
        ("trunks.toml", CARRIER),
        ("routes.toml", &routes),
    ]);
    assert_eq!(
        report,
        "\
routes.toml:4:11: error[unknown-group]: `match` has no group `10`
  help: write ${1}0
routes.toml:6:9: warning[shadowed-route]: also matches the extensions 1001
  help: a dialled extension rings its phone and never takes this route
routes.toml:8:11: error[unknown-group]: `match` has no group `1abc`
  help: write ${1}abc
routes.toml:8:11: error[unknown-group]: `match` has no group `2`
  help: its groups are $1 to $1
routes.toml:12:11: error[unknown-group]: `match` has no group `1`
  help: put the part to keep in ( ), as in \"^0(.+)$\"
routes.toml:14:9: warning[unanchored-pattern]: matches anywhere inside the dialled number
  help: begin it with ^, as in \"^5(.+)\"
routes.toml:22:9: warning[unreachable-route]: never reached: the route at routes.toml:18:9 already matches
  help: put the special route before the general one
"
    );
}

#[test]
fn listeners_that_meet_are_named() {
    let tandem = "[sip]\nlisten = [\"udp:0.0.0.0:5060\", \"udp:0.0.0.0:5060\", \"udp:127.0.0.1:5060\", \"udp:0.0.0.0:20010\", \"udp:127.0.0.1:0\", \"udp:127.0.0.1:0\"]\nexpires_max_seconds = 60\n";
    let report = findings(&[("tandem.toml", tandem)]);
    assert_eq!(
        report,
        "\
tandem.toml:2:31: error[duplicate]: the same address is listed at tandem.toml:2:11
  help: remove one of them
tandem.toml:2:51: warning[overlap]: overlaps the listener at tandem.toml:2:11
  help: an address of all interfaces already contains the other one
tandem.toml:2:73: error[overlap]: the port lies inside media.ports 20000-29999
  help: move one of them
tandem.toml:3:23: error[out-of-range]: `expires_max_seconds` must not be less than `expires_default_seconds`
"
    );
}

#[test]
fn a_missing_file_and_a_missing_section_are_named() {
    let report = findings(&[]);
    assert!(
        report.starts_with("tandem.toml: error[missing-file]: there is no tandem.toml in "),
        "{report}"
    );
    let report = findings(&[("tandem.toml", "[media]\nworkers = 1\n")]);
    assert!(
        report.starts_with("tandem.toml: error[missing-key]: the key `listen` of [sip]"),
        "{report}"
    );
    let report = findings(&[("tandem.toml", "[[sip]]\n"), ("phones.toml", "[phone]\n")]);
    assert!(
        report.contains("tandem.toml:1:3: error[wrong-type]: `sip` is a section, found a list"),
        "{report}"
    );
    assert!(
        report.contains("phones.toml:1:2: error[wrong-type]: each phone is a table of its own"),
        "{report}"
    );
}

#[test]
fn no_finding_shows_a_secret() {
    let phones = "[[phone]]\nextension = \"1001\"\nsecret = \"hush\\u0007\"\n[[phone]]\nextension = \"1002\"\nsecret = \"hush\"\n";
    let report = findings(&[("tandem.toml", SIP), ("phones.toml", phones)]);
    assert!(report.contains("bad-secret") && report.contains("weak-secret"), "{report}");
    assert!(!report.contains("hush"), "{report}");
}

#[test]
fn columns_count_characters_and_a_finding_is_json() {
    let phones = "[[phone]]\nextension = \"1001\"\nsecret = \"wren-Kf7q2-maple\"\nname = \"王\"\n";
    let dir = Dir::new(&[
        ("tandem.toml", SIP),
        ("phones.toml", &format!("{phones}\"王键\".x = 1 # 王\n")),
    ]);
    let findings = load(&dir.0).unwrap_err();
    let json = serde_json::to_value(&findings[0]).unwrap();
    assert_eq!(json["file"], "phones.toml");
    assert_eq!((json["line"].as_u64(), json["col"].as_u64()), (Some(5), Some(1)));
    assert_eq!(
        (json["severity"].as_str(), json["rule"].as_str()),
        (Some("error"), Some("unknown-key"))
    );
}

#[test]
fn a_plan_counts_and_names_what_changes() {
    let trunk = |name: &str, port: u16| {
        format!("[[trunk]]\nname = \"{name}\"\nmode = \"peer\"\npeers = [\"127.0.0.1:{port}\"]\n")
    };
    let phone = |extension: u16, secret: &str| {
        format!("[[phone]]\nextension = \"{extension}\"\nsecret = \"{secret}\"\n")
    };
    let old = loaded(&[
        ("tandem.toml", SIP),
        ("trunks.toml", &trunk("carrier", 5080)),
        (
            "phones.toml",
            &[phone(1001, "old-secret-1"), phone(1002, "old-secret-2"), phone(1003, "x-x-x-x-x")]
                .concat(),
        ),
    ]);
    let new = loaded(&[
        (
            "tandem.toml",
            &SIP.replace("5060", "5062")
                .replace("[sip]", "[media]\nworkers = 3\n[limits]\ncalls_max = 5\n[sip]"),
        ),
        ("trunks.toml", &[trunk("carrier", 5080), trunk("backup", 5081)].concat()),
        ("phones.toml", &[phone(1001, "new-secret-1"), phone(1002, "new-secret-2")].concat()),
    ]);
    let plan = diff(&old, &new);
    assert_eq!(
        plan.to_string(),
        "~2 phones (1001, 1002), -1 phone (1003), +1 trunk (backup), \
         ~3 settings (sip.listen, media.workers, limits.calls_max), 0 calls affected\n\
         after a restart only: sip.listen, media.workers"
    );
    assert!(diff(&new, &new).is_empty());
    assert_eq!(diff(&new, &new).to_string(), "nothing changes, 0 calls affected");
    assert_eq!(serde_json::to_value(&plan).unwrap()["trunks"]["added"][0], "backup");
}

proptest::proptest! {
    /// A reload reads what an editor saved in the middle of a thought: findings, never a panic.
    #[test]
    fn no_text_panics(
        source in 0_usize..5,
        cut in 0_usize..900,
        junk in "[\\[\\]{}=\"'#.,\\\\\\n a-z0-9$+:^()*王\u{0}-\u{1f}]{0,12}",
        skip in 0_usize..20,
    ) {
        let text = reference().replace("\n# ", "\n");
        let at = (0..=cut.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let rest: String = text[at..].chars().skip(skip).collect();
        let mut report = Report::default();
        let mut drafts = Drafts::default();
        let source = Source::ALL[source];
        let file = report.add_file(source.file(), format!("{}{junk}{rest}", &text[..at]));
        decode::read(&mut report, source, file, &mut drafts);
        check::check(&mut report, &drafts);
        report.finish();
    }
}

/// A figure to look at with `--release --no-capture`; the bound is what a slow debug run keeps.
#[test]
fn ten_thousand_phones_load_fast() {
    let phones: String = (0..10_000)
        .map(|i| format!("[[phone]]\nextension = \"{}\"\nname = \"Phone {i}\"\nsecret = \"wren-Kf7q2-{i}\"\n", 100_000 + i))
        .collect();
    let dir = Dir::new(&[
        ("tandem.toml", SIP),
        ("phones.toml", &phones),
        ("trunks.toml", CARRIER),
        ("routes.toml", "[[route]]\nmatch = \"^0(.+)$\"\ntrunks = [\"carrier\"]\n"),
    ]);
    let clock = crate::edge::clock::Clock::start();
    let loaded = load(&dir.0).unwrap();
    let took = clock.now().since(crate::proto::time::Instant::START);
    println!("10,000 phones in {took:?}");
    assert_eq!(loaded.snapshot.phones.len(), 10_000);
    assert!(took.as_secs() < 5, "{took:?}");
}

#[test]
fn what_protects_is_read_and_a_written_list_replaces_the_default() {
    let tandem = format!(
        "{SIP}other_from = \"refuse\"\n[guard]\ntrusted = []\nscanners = [\"Bad Thing\"]\nban_seconds = 5\n\
         [dial]\ncountry_code = \"86\"\nallow = [\"international\"]\nphone_minutes_per_hour = [\"premium:7\"]\n\
         [emergency]\nnumbers = [\"112\"]\ntrunks = [\"carrier\"]\n"
    );
    let phones = format!(
        "{ALICE}watch = [\"1001\"]\nidentities = [\"+8620\"]\nallow = []\noutside_calls_max = 2\nminutes_per_hour = [\"mobile:1\"]\n"
    );
    let trunks = format!("{CARRIER}calls_per_minute = 9\n");
    let files = [("tandem.toml", &*tandem), ("phones.toml", &phones), ("trunks.toml", &trunks)];
    let snapshot = loaded(&files).snapshot;
    assert!(snapshot.guard.trusted.is_empty());
    assert_eq!(snapshot.guard.scanners, ["bad thing"]);
    assert_eq!(snapshot.guard.ban.as_secs(), 5);
    assert_eq!(snapshot.dial.phone.minutes, [0, 0, 0, 0, 7]);
    assert_eq!(snapshot.emergency.trunks, ["carrier"]);
    let rights = &snapshot.phone("1001").unwrap().rights;
    assert_eq!((rights.identities.len(), rights.allow.as_deref()), (1, Some(&[][..])));
    assert_eq!(rights.watch.as_deref(), Some(&["1001".to_owned()][..]));
    assert_eq!((rights.caps.calls_max, rights.caps.minutes), (Some(2), Some([0, 0, 1, 0, 0])));
    assert_eq!(snapshot.trunks[0].caps.calls_per_minute, Some(9));
}

#[test]
fn mistakes_in_what_protects_are_found() {
    let tandem = format!(
        "{SIP}[guard]\ntrusted = [\"ten\"]\n[dial]\nallow = [\"moon\"]\nphone_minutes_per_hour = [\"premium\"]\n\
         [emergency]\ntrunks = [\"carier\"]\n"
    );
    let phones = format!("{ALICE}watch = [\"1001\", \"1010\"]\n");
    let watching = findings(&[("tandem.toml", SIP), ("phones.toml", &phones)]);
    assert!(watching.contains("error[missing-reference]: there is no phone `1010`"), "{watching}");
    let report = findings(&[("tandem.toml", &tandem), ("trunks.toml", CARRIER)]);
    let rules = ["error[bad-address]", "error[bad-value]", "error[missing-reference]"];
    assert!(rules.iter().all(|rule| report.contains(rule)), "{report}");
    assert_eq!(report.matches("error[").count(), 4, "{report}");
}

/// The list has a default that the admin may not have read, so only a written one makes it an error.
#[test]
fn an_extension_that_hides_an_emergency_number_is_told() {
    let phones = "[[phone]]\nextension = \"110\"\nsecret = \"wren-Kf7q2-maple\"\n";
    let report = findings(&[("tandem.toml", SIP), ("phones.toml", phones)]);
    assert!(report.contains("warning[emergency-number]"), "{report}");
    let tandem = format!("{SIP}[emergency]\nnumbers = [\"110\"]\n");
    let report = findings(&[("tandem.toml", &tandem), ("phones.toml", phones)]);
    assert!(report.contains("error[emergency-number]"), "{report}");
}

/// A service that leads past the emergency numbers would be one that limits may stop.
#[test]
fn a_service_leads_to_an_emergency_number() {
    for (text, rule) in [
        ("[\"sos:112\", \"sos.fire:119\"]", None),
        ("[\"sos.fire:18\"]", Some("error[emergency-service]")),
        ("[\"fire:119\"]", Some("error[bad-service]")),
        ("[\"sos..fire:119\"]", Some("error[bad-service]")),
    ] {
        let tandem = format!("{SIP}[emergency]\nservices = {text}\n");
        let report = findings(&[("tandem.toml", &tandem)]);
        assert!(rule.is_none_or(|rule| report.contains(rule)), "{text}: {report}");
        assert_eq!(report.contains("error["), rule.is_some(), "{text}: {report}");
    }
}

#[test]
fn a_private_address_is_not_told_to_a_carrier_on_the_internet() {
    use crate::proto::sip::locals::Locals;
    use crate::proto::sip::transport::Transport;
    let trunk = |name: &str, mode: &str, peer: &str| {
        format!("[[trunk]]\nname = \"{name}\"\nmode = \"{mode}\"\npeers = [\"{peer}\"]\n")
    };
    let trunks = [
        trunk("far", "peer", "203.0.113.9"),
        trunk("near", "peer", "tcp:10.9.9.9:5070"),
        trunk("named", "peer", "sip.example.com"),
    ];
    let loaded = loaded(&[("tandem.toml", SIP), ("trunks.toml", &trunks.concat())]);
    let locals = Locals {
        listeners: vec![(Transport::Udp, "0.0.0.0:5060".parse().unwrap())],
        default: "10.1.0.2".parse().unwrap(),
        local_networks: loaded.snapshot.sip.local_networks.clone(),
        ..Locals::default()
    };
    let found = |locals: &Locals| {
        let list = one_way_audio(&loaded.snapshot, locals);
        list.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let words = found(&locals);
    let [only] = &words[..] else { panic!("{words:?}") };
    assert!(only.starts_with("trunks.toml: error[one-way-audio]: trunk `far`: 203.0.113.9 would"));
    assert!(only.contains("10.1.0.2") && only.contains("[sip] advertise"), "{only}");
    let advertise = Some("198.51.100.7".parse().unwrap());
    assert!(found(&Locals { advertise, ..locals }).is_empty());
}
