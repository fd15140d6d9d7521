//! `kill -9` in the middle of many calls: each of them has its record afterwards.

use std::collections::HashSet;

use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::programs;
use crate::sipp::{HUNG_UP, Sipp, talk};

#[test]
fn a_kill_in_the_middle_of_100_calls_loses_no_record() {
    let (alice, carrier) = (free_port(), free_port());
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"127.0.0.1:{carrier}\"]\n"
    );
    let numbers =
        "[[number]]\nnumber = \"+862012345678\"\ntrunk = \"carrier\"\nto = \"phone:1001\"\n";
    let mut daemon =
        Daemon::start(programs(), &[("trunks.toml", &trunks), ("numbers.toml", numbers)]);
    let put = [("extension", "1001"), ("secret", SECRETS[0].1), ("status", "200")];
    Sipp::start(&daemon, "register.xml", &put, alice, &["-m", "1"]).succeed();
    let _called = Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], alice, &[]);
    // Some are over before the end comes, the others are in the middle of their talk.
    let short = Sipp::start(
        &daemon,
        "uac_trunk.xml",
        &[("then", &talk(100))],
        carrier,
        &["-m", "20", "-l", "20", "-r", "50", "-s", "+862012345678"],
    );
    short.succeed();
    daemon.wait_for("20 records", |daemon| daemon.records().len() == 20);
    let _long = Sipp::start(
        &daemon,
        "uac_trunk.xml",
        &[("then", &talk(60_000))],
        carrier,
        &["-m", "100", "-l", "100", "-r", "100", "-s", "+862012345678"],
    );
    daemon.wait_for("100 live calls", |daemon| {
        daemon.ask(&["calls"]).as_array().is_some_and(|calls| calls.len() == 100)
    });
    let live: HashSet<String> = daemon
        .ask(&["calls"])
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["id"].as_str().unwrap().to_owned())
        .collect();
    daemon.kill_and_restart();
    let records = daemon.records();
    assert_eq!(records.len(), 120);
    let cut_off: HashSet<String> = records
        .iter()
        .filter(|record| record["cause"] == "system_error")
        .map(|record| record["call"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(cut_off, live);
    // The phone is still known: bindings survive as well.
    assert!(daemon.ask(&["phones"]).to_string().contains(&alice.to_string()));
    daemon.assert_healthy();
}
