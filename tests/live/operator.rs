//! The operator: `tandem` against the running daemon, with live calls.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::live::daemon::{Daemon, SECRETS, run};
use crate::live::phone::Phone;
use crate::live::wire::Wire;
use crate::{assert_hears, connect, daemon, hang_up, only_call, phone, programs, talk, words};

fn code(daemon: &Daemon, args: &[&str]) -> (Option<i32>, String) {
    let output = daemon.run(args);
    (output.status.code(), words(&output))
}

#[test]
fn the_call_after_the_last_one_is_refused_with_a_time_to_try_again() {
    let daemon = daemon(&[("tandem.toml", "[limits]\ncalls_max = 1\n")]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, _) = connect(&mut alice, &mut bob);
    let (extension, secret) = SECRETS[0];
    let mut second = Phone::new(extension, secret, daemon.address());
    second.invite("1002");
    let answer = second.last_answer.clone();
    assert!(answer.starts_with("SIP/2.0 503"), "{answer}");
    assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    hang_up((&mut alice, &a), &mut bob);
    assert_eq!(daemon.wait_for_records(1)[0]["cause"], "normal");
    // There is room for the next one.
    let (a, _) = connect(&mut alice, &mut bob);
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(2);
}

#[test]
fn a_bad_file_changes_nothing_and_is_named_to_the_column() {
    let daemon = daemon(&[]);
    let mut alice = phone(&daemon, 0);
    let good = daemon.read("phones.toml");
    daemon.write("phones.toml", &format!("{good}[[phone]]\nextension = \"1003\"\nsecrt = \"x\"\n"));
    let (exit, text) = code(&daemon, &["reload"]);
    assert_eq!(exit, Some(1), "{text}");
    assert!(text.contains("phones.toml:11:1: error[unknown-key]"), "{text}");
    assert!(text.contains("secret"), "the right word is suggested: {text}");
    assert_eq!(daemon.ask(&["status"])["revision"], 1);
    assert_eq!(daemon.ask(&["phones"]).as_array().map(Vec::len), Some(2));
    alice.register();
    let report = daemon.run(&["reload", "--json"]);
    assert_eq!(report.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let findings = report["error"]["data"]["diagnostics"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["line"] == 11), "{report:#}");
}

#[test]
fn a_reload_adds_a_phone_and_takes_one_away() {
    let daemon = daemon(&[]);
    let (_alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let without_bob = format!(
        "[[phone]]\nextension = \"1001\"\nname = \"Phone 1001\"\nsecret = \"{}\"\n[[phone]]\nextension = \"1003\"\nname = \"Carol\"\nsecret = \"otter-M3v8k-cedar\"\n",
        SECRETS[0].1
    );
    daemon.write("phones.toml", &without_bob);
    let (exit, plan) = code(&daemon, &["reload", "--dry-run"]);
    assert_eq!(exit, Some(0), "{plan}");
    assert!(plan.contains("1003") && plan.contains("1002"), "{plan}");
    assert!(plan.contains("Nothing was changed."), "{plan}");
    assert_eq!(daemon.ask(&["status"])["revision"], 1);
    assert_eq!(daemon.ask(&["phones"])[1]["extension"], "1002");
    let (exit, text) = code(&daemon, &["reload"]);
    assert_eq!(exit, Some(0), "{text}");
    let phones = daemon.ask(&["phones"]);
    let known: Vec<_> = phones
        .as_array()
        .unwrap()
        .iter()
        .map(|phone| phone["extension"].as_str().unwrap())
        .collect();
    assert_eq!(known, ["1001", "1003"]);
    assert_eq!(phones[0]["contacts"].as_array().map(Vec::len), Some(1));
    assert_eq!(daemon.ask(&["status"])["phones_registered"], 1);
    let mut carol = Phone::new("1003", "otter-M3v8k-cedar", daemon.address());
    carol.register();
    // Bob's login is one nobody knows any more.
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bob.register()));
    assert!(refused.is_err());
    // A phone that comes back does not find its old binding: it may be another person's.
    daemon.write(
        "phones.toml",
        &format!("{without_bob}[[phone]]\nextension = \"1002\"\nsecret = \"{}\"\n", SECRETS[1].1),
    );
    assert_eq!(code(&daemon, &["reload"]).0, Some(0));
    assert_eq!(daemon.ask(&["phones"])[1]["contacts"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_live_call_survives_a_reload_that_removes_its_phone() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, _) = connect(&mut alice, &mut bob);
    let first = daemon.read("phones.toml").split("[[phone]]").nth(1).unwrap().to_owned();
    daemon.write("phones.toml", &format!("[[phone]]{first}"));
    assert_eq!(code(&daemon, &["reload"]).0, Some(0));
    assert_eq!(daemon.ask(&["calls"]).as_array().map(Vec::len), Some(1));
    hang_up((&mut alice, &a), &mut bob);
    assert_eq!(daemon.wait_for_records(1)[0]["cause"], "normal");
    daemon.assert_healthy();
}

#[test]
fn what_needs_a_restart_is_said_by_the_reload() {
    let daemon = daemon(&[]);
    let changed = daemon.read("tandem.toml").replace("22000-32699", "22000-29999");
    daemon.write("tandem.toml", &changed);
    let (exit, text) = code(&daemon, &["reload", "--dry-run"]);
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains("restart"), "{text}");
}

#[test]
fn the_operator_connects_two_phones() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (exit, text) = code(&daemon, &["call", "originate", "1001", "1002"]);
    assert_eq!(exit, Some(0), "{text}");
    let a = alice.answer();
    let b = bob.answer();
    let [at_alice, at_bob] = talk((&alice, &a), (&bob, &b), 25);
    assert_hears("1001", &at_alice, 660.0, 25);
    assert_hears("1002", &at_bob, 440.0, 25);
    daemon.wait_for("the connection", |daemon| daemon.ask(&["calls"])[0]["state"] == "talk");
    assert!(text.contains(&only_call(&daemon)), "{text}");
    daemon.run(&["call", "hangup", &only_call(&daemon)]);
    alice.hung_up();
    bob.hung_up();
    daemon.wait_for_records(1);
}

#[test]
fn the_operators_phone_answers_by_itself_if_it_is_asked() {
    let daemon = daemon(&[]);
    let (mut alice, _bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (exit, text) = code(&daemon, &["call", "originate", "1001", "1002", "--auto-answer"]);
    assert_eq!(exit, Some(0), "{text}");
    let invite = alice.expect("INVITE");
    assert!(invite.contains("\r\nAnswer-Mode: Auto\r\n"), "{invite}");
    alice.respond(&invite, "486 Busy Here", "");
    daemon.wait_for_records(1);
}

/// The phone does not see who calls; the operator does, now and afterwards.
#[test]
fn a_withheld_caller_is_known_to_the_operator() {
    let daemon = daemon(&[("phones.toml", "withhold = true\n")]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    bob.invite("1001");
    let invite = alice.expect("INVITE");
    assert!(invite.contains("<sip:anonymous@anonymous.invalid>") && !invite.contains("1002@"));
    let id = only_call(&daemon);
    let (_, live) = code(&daemon, &["call", "show", &id]);
    alice.respond(&invite, "486 Busy Here", "");
    let record = &daemon.wait_for_records(1)[0];
    assert_eq!((&record["caller"], &record["withheld"]), (&"1002".into(), &true.into()));
    let (_, ended) = code(&daemon, &["call", "show", &id]);
    for text in [live, ended] {
        assert!(
            text.contains("1002 (withheld) -> 1001") && text.contains("\nsession   "),
            "{text}"
        );
    }
}

#[test]
fn a_call_that_rings_is_not_counted_as_answered() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    alice.invite("1002");
    let invite = bob.expect("INVITE");
    bob.respond(&invite, "180 Ringing", "");
    alice.expect("SIP/2.0 180");
    let status = daemon.ask(&["status"]);
    assert_eq!((&status["calls"], &status["calls_answered"]), (&1.into(), &0.into()), "{status:#}");
    assert_eq!(daemon.ask(&["calls"])[0]["state"], "ring");
    bob.respond(&invite, "486 Busy Here", "");
    alice.expect("SIP/2.0 486");
}

#[test]
fn the_operator_hangs_up_both_sides() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    connect(&mut alice, &mut bob);
    let call = only_call(&daemon);
    let (exit, text) = code(&daemon, &["call", "hangup", &call]);
    assert_eq!((exit, text.contains(&call)), (Some(0), true), "{text}");
    alice.hung_up();
    bob.hung_up();
    let records = daemon.wait_for_records(1);
    assert_eq!(
        (&records[0]["cause"], &records[0]["hung_up_by"]),
        (&"operator".into(), &"operator".into())
    );
    let (exit, text) = code(&daemon, &["call", "hangup", &call]);
    assert_eq!(exit, Some(1), "{text}");
    daemon.assert_healthy();
}

#[test]
fn a_call_can_be_looked_at_while_it_lives_and_afterwards() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, _) = connect(&mut alice, &mut bob);
    let call = only_call(&daemon);
    let row = daemon.ask(&["calls"])[0].clone();
    assert_eq!(daemon.ask(&["status"])["calls_answered"], 1);
    assert_eq!((&row["caller"], &row["called"]), (&"1001".into(), &"1002".into()));
    let (exit, table) = code(&daemon, &["calls"]);
    assert!(exit == Some(0) && table.contains(&call) && table.contains("talk"), "{table}");
    let live = daemon.ask(&["call", "show", &call]);
    assert_eq!((&live["cause"], &live["call"]["state"]), (&Value::Null, &"talk".into()));
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    let ended = daemon.ask(&["call", "show", &call]);
    assert_eq!((&ended["cause"], &ended["call"]["state"]), (&"normal".into(), &"ended".into()));
    let (exit, ladder) = code(&daemon, &["call", "show", &call, "--ladder"]);
    assert!(exit == Some(0) && ladder.contains("INVITE") && ladder.contains("BYE"), "{ladder}");
    assert_eq!(daemon.ask(&["calls"]), Value::Array(Vec::new()));
    assert_eq!(code(&daemon, &["calls"]), (Some(0), "No calls right now.\n".to_owned()));
}

fn numbers(daemon: &Daemon, since: u64) -> Vec<u64> {
    let output = daemon.run(&["events", "--since", &since.to_string(), "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.map(|event| event["params"]["seq"].as_u64().unwrap()).collect()
}

#[test]
fn events_go_on_where_a_reader_left_them() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let first = numbers(&daemon, 0);
    let (a, _) = connect(&mut alice, &mut bob);
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    let all = numbers(&daemon, 0);
    assert!(
        all.len() > first.len() && all.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{all:?}"
    );
    let rest = numbers(&daemon, *first.last().unwrap());
    assert_eq!([first, rest].concat(), all);
    assert_eq!(numbers(&daemon, *all.last().unwrap()), Vec::<u64>::new());
}

#[test]
fn every_answer_is_json_on_demand_and_every_failure_has_its_code() {
    let daemon = daemon(&[]);
    let conf = daemon.dir.join("conf");
    for args in [
        &["status"][..],
        &["phones"],
        &["subscriptions"],
        &["trunks"],
        &["calls"],
        &["records"],
        &["doctor"],
        &["reload", "--dry-run"],
        &["check", conf.to_str().unwrap()],
    ] {
        let output = daemon.run(&[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok(), "{args:?}");
    }
    // What the daemon refuses is 1, and told as JSON to those who asked for it.
    for args in [
        &["call", "show", "abc"][..],
        &["call", "hangup", "abc"],
        &["call", "originate", "1001", "1002"],
        &["call", "originate", "4711", "1002"],
    ] {
        let (exit, text) = code(&daemon, args);
        assert_eq!(exit, Some(1), "{args:?}: {text}");
        let output = daemon.run(&[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let answer: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", words(&output)));
        assert!(answer["error"]["message"].is_string(), "{answer:#}");
    }
    // A wrong command line and a daemon that is not there are 2.
    for args in [&["statsu"][..], &["records", "--since", "yesterday-ish"], &[]] {
        assert_eq!(code(&daemon, args).0, Some(2), "{args:?}");
    }
    let nowhere = run(&programs(), &daemon.dir.join("nowhere.sock"), &["status"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(words(&nowhere).contains("nowhere.sock"), "{}", words(&nowhere));
    let missing = daemon.run(&["check", "/nonexistent"]);
    assert_eq!(missing.status.code(), Some(1), "{}", words(&missing));
}

#[test]
fn completions_and_the_manual_are_printed_without_a_daemon() {
    let nowhere = std::path::PathBuf::from("/nonexistent/control.sock");
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&programs(), &nowhere, &["completions", shell]);
        assert!(output.status.success());
        let text = words(&output);
        assert!(text.contains("originate") && text.contains("doctor"), "{shell}: {text}");
    }
    let manual = words(&run(&programs(), &nowhere, &["man"]));
    assert!(manual.contains(".TH tandem 1"), "{manual}");
    for verb in ["reload", "originate", "\\-\\-ladder", "\\-\\-dry\\-run"] {
        assert!(manual.contains(verb), "the manual does not know {verb}:\n{manual}");
    }
}

/// What a carrier's support asks first: where we send from, and what leads to the trunk.
#[test]
fn a_trunk_is_explained() {
    let carrier = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = carrier.local_addr().unwrap();
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"{at}\", \"tcp:192.0.2.9\"]\ncaller_id = \"+862012345678\"\nprofile = \"house\"\nidentity = [\"rpid\"]\n[[trunk]]\nname = \"branch\"\nmode = \"account\"\nuser = \"branch\"\nsecret = \"a long random word\"\n"
    );
    let daemon = daemon(&[
        ("trunks.toml", &trunks),
        ("profiles/house.toml", "trust = \"in\"\nidentity = [\"pai\"]\ntry_timeout_seconds = 4\n"),
        (
            "numbers.toml",
            "[[number]]\nnumber = \"+862012345678\"\ntrunk = \"carrier\"\nto = \"phone:1001\"\n",
        ),
        (
            "routes.toml",
            "[[route]]\nmatch = \"^0(.+)$\"\ntrunks = [\"branch\", \"carrier\"]\nrewrite = \"+86$1\"\n",
        ),
    ]);
    let detail = daemon.ask(&["trunk", "explain", "carrier"]);
    assert_eq!(detail["trunk"]["state"], "configured");
    assert_eq!(detail["places"][0]["place"], format!("udp:{at}"));
    assert_eq!(detail["places"][0]["ours"], daemon.address().to_string());
    assert_eq!(detail["places"][1]["place"], "tcp:192.0.2.9:5060");
    let (exit, text) = code(&daemon, &["trunk", "explain", "carrier"]);
    assert_eq!(exit, Some(0), "{text}");
    for part in [
        "carrier (peer) is configured: by address. 0 live calls; of 0 in five minutes 0 answered, 0 failed.",
        &format!("  {} (udp, signalling)\n", daemon.address()),
        "  127.0.0.1 ports 22000-32699 (udp, audio)\n",
        "  +862012345678 to phone:1001\n",
        "^0(.+)$ sends +86$1\n",
        "  caller_id              +862012345678          trunks.toml\n",
        "  probe_seconds          never                  trunks.toml\n",
        "  try_timeout_seconds    4 s                    profile house\n",
        "  trust                  in                     profile house\n",
        "  identity               rpid                   trunks.toml\n",
        "  called_format          as_is                  default\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    // A profile that changes is in force after a reload.
    daemon.write("profiles/house.toml", "trust = \"both\"\n");
    let (_, text) = code(&daemon, &["reload"]);
    assert!(text.contains("~1 trunk (carrier)"), "{text}");
    let (_, text) = code(&daemon, &["trunk", "explain", "carrier"]);
    assert!(
        text.contains("  trust                  both                   profile house\n"),
        "{text}"
    );
    let (_, text) = code(&daemon, &["trunk", "explain", "branch"]);
    assert!(text.contains("branch (account) is down: not registered"), "{text}");
    assert!(text.contains("nobody has registered"), "{text}");
    let (exit, text) = code(&daemon, &["trunk", "explain", "carier"]);
    assert!(exit == Some(1) && text.contains("there is no trunk carier"), "{exit:?} {text}");
}

/// A carrier that answers the test call and talks, one that refuses it, and one that is not there.
#[test]
fn a_trunk_is_tested_by_a_real_call() {
    let carrier = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = carrier.local_addr().unwrap();
    let trunk = |name: &str, peer: &str| {
        format!(
            "[[trunk]]\nname = \"{name}\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"{peer}\"]\ncaller_id = \"+862012345678\"\n"
        )
    };
    let trunks = trunk("carrier", &at.to_string()) + &trunk("gone", "127.0.0.1:9");
    let daemon = daemon(&[("trunks.toml", &trunks)]);
    let mut far = Phone::over("far", "", daemon.address(), Wire::Udp(carrier, None));
    let test = |name: &str| code(&daemon, &["trunk", "test", name, "10086"]);
    let (exit, text) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| test("carrier"));
        let invite = far.expect("INVITE");
        assert!(invite.starts_with("INVITE sip:10086@"), "{invite}");
        assert!(invite.contains("From: <sip:+862012345678@"), "{invite}");
        let talk = far.pick_up(&invite);
        far.talk(&talk, 440.0, 50);
        far.hung_up();
        asked.join().unwrap()
    });
    assert_eq!(exit, Some(0), "{text}");
    assert!(
        text.contains("The trunk took the call, and ") && text.contains("packets of audio"),
        "{text}"
    );
    assert!(text.contains("ended") && text.contains("tested"), "{text}");
    let (exit, text) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| test("carrier"));
        let invite = far.expect("INVITE");
        far.respond(&invite, "486 Busy Here", "");
        far.expect("ACK");
        asked.join().unwrap()
    });
    assert!(exit == Some(1) && text.contains("486 Busy Here"), "{exit:?} {text}");
    let (exit, text) = test("gone");
    assert!(exit == Some(1) && text.contains("did not take the call"), "{exit:?} {text}");
    let (exit, text) = test("carier");
    assert!(exit == Some(1) && text.contains("there is no trunk carier"), "{exit:?} {text}");
    let causes: Vec<_> = daemon.wait_for_records(3).iter().map(|r| r["cause"].clone()).collect();
    assert!(causes.contains(&"tested".into()) && causes.contains(&"busy".into()), "{causes:?}");
    daemon.assert_healthy();
}

/// A call can be shown at every moment from its begin on: live, ending, and as a record. Asked over the socket
/// itself, since the command would be too slow to see the moments between.
#[test]
fn a_call_that_ends_is_never_unknown() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    for _ in 0..60 {
        let (a, _) = connect(&mut alice, &mut bob);
        let id = only_call(&daemon);
        let socket = UnixStream::connect(daemon.socket()).unwrap();
        let ask = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"call.show\",\"params\":{{\"call\":\"{id}\"}}}}\n"
        );
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut answers = BufReader::new(&socket).lines();
                loop {
                    (&socket).write_all(ask.as_bytes()).unwrap();
                    let answer: Value =
                        serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
                    assert!(answer["error"].is_null(), "{answer}");
                    if answer["result"]["cause"].is_string() {
                        return;
                    }
                }
            });
            hang_up((&mut alice, &a), &mut bob);
        });
    }
    daemon.assert_healthy();
}
