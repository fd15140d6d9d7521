//! SIPVicious against the daemon: it learns nothing and is banned, while the phones go on calling.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::programs;
use crate::sipp::{HUNG_UP, Sipp, request};

/// The interpreter that has the tools: as `scripts/test` installed it, or the system's.
fn python() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_BIN_EXE_tandemd"));
    let venv = target.ancestors().find(|folder| folder.ends_with("target"));
    let own = venv.map(|target| target.join("sipvicious/bin/python"));
    own.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("python3"))
}

/// Runs one of its tools from an address of this machine that is not the daemon's; what it printed. Two of them
/// take the option for that address and forget it, so it is put in for them.
fn attack(daemon: &Daemon, name: &str, from: &str, args: &[&str]) -> String {
    let home = daemon.dir.join("sipvicious");
    std::fs::create_dir_all(&home).unwrap();
    let script = format!(
        "import functools, sys\nfrom sipvicious import {name} as tool\nsys.argv[0] = '{name}'\n\
         for known in ('DrinkOrSip', 'TakeASip', 'ASipOfRedWine'):\n    if hasattr(tool, known):\n        \
         setattr(tool, known, functools.partial(getattr(tool, known), bindingip='{from}'))\ntool.main()\n"
    );
    let output = Command::new(python())
        .args(["-c", &script, "-b", from, "-x", from, "-p", &daemon.port.to_string()])
        .args(args)
        .current_dir(&home)
        .env("HOME", &home)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("python is needed: {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(!said.contains("No module named"), "sipvicious is needed (PyPI: sipvicious): {said}");
    assert!(!said.contains("Traceback"), "{name}: {said}");
    said
}

/// A phone logs in and calls another; both speak from 127.0.0.1.
fn call(daemon: &Daemon, port: u16) {
    let talk = request("BYE", 3, "")
        .replace("\"Caller\" <sip:+8613800138000@[local_ip]:[local_port]>", "<sip:1001@tandem>");
    let talk = format!("<pause milliseconds=\"200\" />{talk}<recv response=\"200\" />");
    let put = [("secret", SECRETS[0].1), ("status", "200"), ("talk", talk.as_str())];
    let uri = format!("1002@127.0.0.1:{}", daemon.port);
    let args = ["-m", "1", "-s", "1002", "-auth_uri", &uri];
    Sipp::start(daemon, "uac_login.xml", &put, port, &args).succeed();
}

fn guarded(daemon: &Daemon, address: &str) -> Option<serde_json::Value> {
    let reply = daemon.ask(&["guard"]);
    reply["rows"].as_array().unwrap().iter().find(|row| row["name"] == address).cloned()
}

#[test]
fn sipvicious_learns_nothing_and_is_banned_while_the_phones_go_on() {
    let daemon = Daemon::start(programs(), &[]);
    let (alice, bob) = (free_port(), free_port());
    let (extension, secret) = SECRETS[1];
    let put = [("extension", extension), ("secret", secret), ("status", "200")];
    Sipp::start(&daemon, "register.xml", &put, bob, &["-m", "1"]).succeed();
    let _called = Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], bob, &[]);
    call(&daemon, alice);
    let dictionary = daemon.dir.join("words");
    std::fs::write(&dictionary, format!("1001\nsecret\n{}\n", SECRETS[0].1)).unwrap();
    let dictionary = dictionary.display().to_string();
    let attacks: [(&str, &str, &[&str]); 3] = [
        ("svmap", "127.0.0.21", &["127.0.0.1"]),
        (
            "svwar",
            "127.0.0.22",
            &["--maximumtime", "2", "--force", "-e", "1000-1010", "-m", "REGISTER", "127.0.0.1"],
        ),
        // Among its words is the right password.
        (
            "svcrack",
            "127.0.0.23",
            &["--maximumtime", "2", "-u", "1001", "-d", &dictionary, "127.0.0.1"],
        ),
    ];
    for (name, from, args) in attacks {
        let said = attack(&daemon, name, from, args);
        for learnt in ["Tandem", "1001 ", "reqauth", "noauth", SECRETS[0].1] {
            assert!(!said.contains(learnt), "{name}: {said}");
        }
        // It may leave after one packet without an answer, which is not enough for a ban; the second one is.
        if guarded(&daemon, from).is_some_and(|row| row["state"] != "banned") {
            attack(&daemon, name, from, args);
        }
        let row = guarded(&daemon, from).unwrap_or_else(|| panic!("{name}: {said}"));
        assert_eq!((&row["state"], &row["reason"]), (&"banned".into(), &"scanner".into()), "{row}");
    }
    call(&daemon, alice);
    let text = String::from_utf8_lossy(&daemon.run(&["guard"]).stdout).into_owned();
    assert!(text.contains("127.0.0.21") && text.contains("banned"), "{text}");
    assert!(daemon.run(&["guard", "unban", "127.0.0.21"]).status.success());
    assert!(!daemon.run(&["guard", "unban", "127.0.0.21"]).status.success(), "it is forgiven");
    assert!(guarded(&daemon, "127.0.0.21").is_none());
    assert_eq!(daemon.records().len(), 2, "the two calls and nothing else");
    daemon.assert_healthy();
}

/// The same under a name that nobody knows: what it asks is answered alike for all, until it is banned.
#[test]
fn a_scanner_under_another_name_learns_nothing_either() {
    let config = "[guard]\nscanners = []\n";
    let daemon = Daemon::start(programs(), &[("tandem.toml", config)]);
    let dictionary = daemon.dir.join("words");
    let words: String = (0..60).map(|n| format!("guess{n}\n")).collect();
    std::fs::write(&dictionary, words + SECRETS[0].1 + "\n").unwrap();
    let dictionary = dictionary.display().to_string();
    let args = ["--maximumtime", "2", "--force", "-e", "950-1200", "-m", "REGISTER", "127.0.0.1"];
    let walk = attack(&daemon, "svwar", "127.0.0.32", &args);
    // All are answered alike, so it sees no use in going on.
    assert!(walk.contains("found nothing") && !walk.contains("1001"), "{walk}");
    let args = ["--maximumtime", "2", "-u", "1001", "-d", &dictionary, "127.0.0.1"];
    let crack = attack(&daemon, "svcrack", "127.0.0.33", &args);
    assert!(crack.contains("found nothing") && !crack.contains(SECRETS[0].1), "{crack}");
    let row = guarded(&daemon, "127.0.0.33").unwrap_or_else(|| panic!("{crack}"));
    assert_eq!(row["state"], "banned", "{row}");
    assert!(row["failed_logins"].as_u64().is_some_and(|failed| failed <= 10), "{row}");
    daemon.assert_healthy();
}
