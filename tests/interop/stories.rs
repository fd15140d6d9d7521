//! The main job with sipp on both ends: phones, a carrier, and everything that can go wrong between them.

use serde_json::Value;

use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::programs;
use crate::sipp::{HUNG_UP, RE_INVITED, Sipp, request, talk};

/// A daemon with a carrier on `carrier` and another one behind it on `backup`.
fn exchange(carrier: u16, backup: u16) -> Daemon {
    exchange_with(carrier, backup, "")
}

/// The same with further lines in `[sip]`.
fn exchange_with(carrier: u16, backup: u16, sip: &str) -> Daemon {
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"127.0.0.1:{carrier}\"]\ntry_timeout_seconds = 2\n\
         [[trunk]]\nname = \"backup\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"127.0.0.1:{backup}\"]\n"
    );
    let numbers = "[[number]]\nnumber = \"+862012345678\"\ntrunk = \"carrier\"\nto = \"phone:1001\"\n\
                   [[number]]\nnumber = \"+862012345679\"\ntrunk = \"carrier\"\nto = \"phone:1002\"\n";
    let routes =
        "[[route]]\nmatch = \"^0(.+)$\"\ntrunks = [\"carrier\", \"backup\"]\nrewrite = \"+86$1\"\n";
    Daemon::start(
        programs(),
        &[
            ("tandem.toml", sip),
            ("trunks.toml", &trunks),
            ("numbers.toml", numbers),
            ("routes.toml", routes),
        ],
    )
}

fn register(daemon: &Daemon, which: usize, port: u16, transport: &str) {
    let (extension, secret) = SECRETS[which];
    let put = [("extension", extension), ("secret", secret), ("status", "200")];
    Sipp::start(daemon, "register.xml", &put, port, &["-m", "1", "-t", transport]).succeed();
}

fn refuse_with(daemon: &Daemon, status: &str, extra: &str, port: u16) -> Sipp {
    Sipp::start(
        daemon,
        "uas_status.xml",
        &[("status", status), ("extra", extra)],
        port,
        &["-m", "1"],
    )
}

/// The carrier calls a number and expects this final answer.
fn carrier_expects(daemon: &Daemon, number: &str, status: u16, port: u16) -> Sipp {
    let then = format!(
        "<recv response=\"{status}\" />{}",
        request("ACK", 1, "").replace("[next_url]", "sip:[service]@[remote_ip]:[remote_port]")
    );
    Sipp::start(daemon, "uac_trunk.xml", &[("then", &then)], port, &["-m", "1", "-s", number])
}

/// The BYE of the phone that `uac_login.xml` plays.
fn phone_bye() -> String {
    request("BYE", 3, "")
        .replace("\"Caller\" <sip:+8613800138000@[local_ip]:[local_port]>", "<sip:1001@tandem>")
}

/// The phone 1001 calls a number and answers the challenge. sipp has to be told that a digest covers the
/// Request-URI: left alone it signs the server's address.
fn login_and_call(daemon: &Daemon, number: &str, put: &[(&str, &str)]) {
    let uri = format!("{number}@127.0.0.1:{}", daemon.port);
    Sipp::start(
        daemon,
        "uac_login.xml",
        put,
        free_port(),
        &["-m", "1", "-s", number, "-auth_uri", &uri],
    )
    .succeed();
}

/// A request of the phone that `uac_login.xml` plays, inside its call.
fn phone_request(method: &str, cseq: u32, headers: &str) -> String {
    request(method, cseq, "")
        .replace("\"Caller\" <sip:+8613800138000@[local_ip]:[local_port]>", "<sip:1001@tandem>")
        .replace("sip:+8613800138000@", "sip:1001@")
        .replace("Max-Forwards: 70\n", &format!("Max-Forwards: 70\n{headers}"))
}

fn one_record(daemon: &Daemon, cause: &str) -> Value {
    let records = daemon.wait_for_records(1);
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["cause"], cause, "{records:?}");
    daemon.assert_healthy();
    records[0].clone()
}

#[test]
fn sipp_registers_with_digest_over_udp_and_tcp() {
    let daemon = exchange(free_port(), free_port());
    register(&daemon, 0, free_port(), "u1");
    register(&daemon, 1, free_port(), "t1");
    let phones = daemon.ask(&["phones"]);
    for row in phones.as_array().unwrap() {
        // sipp closes its connection when it is done, and the binding goes with it.
        let is_there = row["contacts"].as_array().is_some_and(|contacts| !contacts.is_empty());
        assert!(is_there || row["extension"] == "1002", "{phones}");
    }
    let put = [("extension", "1001"), ("secret", "wrong"), ("status", "403")];
    Sipp::start(&daemon, "register.xml", &put, free_port(), &["-m", "1"]).succeed();
    daemon.assert_healthy();
}

#[test]
fn a_phone_calls_a_phone() {
    let (bob, daemon) = (free_port(), exchange(free_port(), free_port()));
    register(&daemon, 1, bob, "u1");
    let called = Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], bob, &["-m", "1"]);
    let then = format!("<pause milliseconds=\"300\" />{}<recv response=\"200\" />", phone_bye());
    let put = [("secret", SECRETS[0].1), ("status", "200"), ("talk", &then)];
    login_and_call(&daemon, "1002", &put);
    called.succeed();
    let record = one_record(&daemon, "normal");
    assert_eq!(
        (&record["direction"], &record["hung_up_by"]),
        (&"internal".into(), &"caller".into()),
        "{record}"
    );
}

#[test]
fn a_phone_calls_out_and_the_carrier_gets_the_rewritten_number() {
    let carrier = free_port();
    let daemon = exchange(carrier, free_port());
    let called =
        Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], carrier, &["-m", "1"]);
    let then = format!("<pause milliseconds=\"300\" />{}<recv response=\"200\" />", phone_bye());
    let put = [("secret", SECRETS[0].1), ("status", "200"), ("talk", &then)];
    login_and_call(&daemon, "013800138000", &put);
    assert!(
        called.messages().contains("INVITE sip:+8613800138000@127.0.0.1"),
        "{}",
        called.messages()
    );
    called.succeed();
    let record = one_record(&daemon, "normal");
    assert_eq!(
        (&record["direction"], &record["trunk"]),
        (&"outbound".into(), &"carrier".into()),
        "{record}"
    );
}

#[test]
fn a_caller_from_the_carrier_reaches_a_phone() {
    let (alice, carrier) = (free_port(), free_port());
    let daemon = exchange(carrier, free_port());
    register(&daemon, 0, alice, "u1");
    let called = Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], alice, &["-m", "1"]);
    Sipp::start(
        &daemon,
        "uac_trunk.xml",
        &[("then", &talk(300))],
        carrier,
        &["-m", "1", "-s", "+862012345678"],
    )
    .succeed();
    called.succeed();
    let record = one_record(&daemon, "normal");
    assert_eq!(
        (&record["direction"], &record["caller"]),
        (&"inbound".into(), &"+8613800138000".into()),
        "{record}"
    );
}

#[test]
fn a_called_phone_hangs_up_first() {
    let (alice, carrier) = (free_port(), free_port());
    let daemon = exchange(carrier, free_port());
    register(&daemon, 0, alice, "u1");
    let caller = Sipp::start(
        &daemon,
        "uac_trunk.xml",
        &[(
            "then",
            &format!("<recv response=\"200\" rrs=\"true\" />{}{HUNG_UP}", request("ACK", 1, "")),
        )],
        carrier,
        &["-m", "1", "-s", "+862012345678"],
    );
    Sipp::start(&daemon, "uas_hangs_up.xml", &[], alice, &["-m", "1"]).succeed();
    caller.succeed();
    let record = one_record(&daemon, "normal");
    assert_eq!(record["hung_up_by"], "called", "{record}");
}

#[test]
fn a_busy_phone_is_busy_for_the_caller() {
    let (alice, carrier) = (free_port(), free_port());
    let daemon = exchange(carrier, free_port());
    register(&daemon, 0, alice, "u1");
    let called = refuse_with(&daemon, "486 Busy Here", "X-Why: lunch", alice);
    carrier_expects(&daemon, "+862012345678", 486, carrier).succeed();
    called.succeed();
    one_record(&daemon, "busy");
}

#[test]
fn a_decline_stays_a_decline() {
    let (alice, carrier) = (free_port(), free_port());
    let daemon = exchange(carrier, free_port());
    register(&daemon, 0, alice, "u1");
    let called = refuse_with(&daemon, "603 Decline", "X-Why: no", alice);
    carrier_expects(&daemon, "+862012345678", 603, carrier).succeed();
    called.succeed();
    one_record(&daemon, "declined");
}

#[test]
fn a_caller_who_gives_up_cancels_the_called_phone() {
    let (alice, carrier) = (free_port(), free_port());
    let daemon = exchange(carrier, free_port());
    register(&daemon, 0, alice, "u1");
    let called = Sipp::start(&daemon, "uas_cancelled.xml", &[], alice, &["-m", "1"]);
    Sipp::start(&daemon, "uac_cancel.xml", &[], carrier, &["-m", "1", "-s", "+862012345678"])
        .succeed();
    called.succeed();
    one_record(&daemon, "cancelled");
}

#[test]
fn a_phone_that_redirects_sends_the_caller_on() {
    let (alice, bob, carrier) = (free_port(), free_port(), free_port());
    let daemon = exchange(carrier, free_port());
    register(&daemon, 0, alice, "u1");
    register(&daemon, 1, bob, "u1");
    let forwards =
        refuse_with(&daemon, "302 Moved Temporarily", "Contact: <sip:1002@tandem>", alice);
    let answers = Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], bob, &["-m", "1"]);
    Sipp::start(
        &daemon,
        "uac_trunk.xml",
        &[("then", &talk(200))],
        carrier,
        &["-m", "1", "-s", "+862012345678"],
    )
    .succeed();
    forwards.succeed();
    answers.succeed();
    one_record(&daemon, "normal");
}

/// 404 and 486 of a carrier are its last word; 500 and 503 are the next carrier's turn.
#[test]
fn a_failing_carrier_is_left_for_the_next_one() {
    for (status, is_tried) in [
        ("404 Not Found", false),
        ("486 Busy Here", false),
        ("500 Server Error", true),
        ("503 Service Unavailable", true),
    ] {
        let (carrier, backup) = (free_port(), free_port());
        let daemon = exchange(carrier, backup);
        let first = refuse_with(&daemon, status, "X-Why: test", carrier);
        let second =
            Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], backup, &["-m", "1"]);
        let expected = if is_tried { "200" } else { &status[..3] };
        let then = if is_tried {
            format!("<pause milliseconds=\"100\" />{}<recv response=\"200\" />", phone_bye())
        } else {
            String::new()
        };
        let put = [("secret", SECRETS[0].1), ("status", expected), ("talk", then.as_str())];
        login_and_call(&daemon, "013800138000", &put);
        first.succeed();
        if is_tried {
            second.succeed();
        }
        let record = one_record(
            &daemon,
            match status {
                "404 Not Found" => "unknown_number",
                "486 Busy Here" => "busy",
                _ => "normal",
            },
        );
        assert_eq!(record["trunk"] == "backup", is_tried, "{status}: {record}");
    }
}

/// Nobody listens on the first carrier's port: ICMP says so, and the next one is tried at once.
#[test]
fn an_unreachable_carrier_costs_no_time() {
    let (carrier, backup) = (free_port(), free_port());
    let daemon = exchange(carrier, backup);
    let second = Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], backup, &["-m", "1"]);
    let then = format!("{}<recv response=\"200\" />", phone_bye());
    let put = [("secret", SECRETS[0].1), ("status", "200"), ("talk", then.as_str())];
    login_and_call(&daemon, "013800138000", &put);
    second.succeed();
    let record = one_record(&daemon, "normal");
    assert_eq!(record["trunk"], "backup");
    let took =
        record["duration_seconds"].as_f64().unwrap() - record["talk_seconds"].as_f64().unwrap();
    assert!(took < 1.5, "ICMP was not heard, it took {took} s: {record}");
}

#[test]
fn hold_and_resume_cross_the_call() {
    let (alice, carrier) = (free_port(), free_port());
    let daemon = exchange(carrier, free_port());
    register(&daemon, 0, alice, "u1");
    let called = Sipp::start(&daemon, "uas_hold.xml", &[], alice, &["-m", "1"]);
    Sipp::start(&daemon, "uac_hold.xml", &[], carrier, &["-m", "1", "-s", "+862012345678"])
        .succeed();
    called.succeed();
    let record = one_record(&daemon, "normal");
    let detail = daemon.ask(&["call", "show", record["call"].as_str().unwrap()]);
    let kinds: Vec<_> = detail["segments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["kind"].as_str().unwrap().to_owned())
        .collect();
    assert!(kinds.ends_with(&["talk".into(), "hold".into(), "talk".into()]), "{kinds:?}");
}

/// 1001 calls 1002, hands it the trunk's number, hears of it, and is let go; 1002 talks on and hangs up.
#[test]
fn a_phone_hands_its_call_to_a_number_outside() {
    let (bob, carrier) = (free_port(), free_port());
    let daemon = exchange(carrier, free_port());
    register(&daemon, 1, bob, "u2");
    let then = format!("{RE_INVITED}{HUNG_UP}");
    let stays = Sipp::start(&daemon, "uas_answer.xml", &[("then", &then)], bob, &["-m", "1"]);
    let target = Sipp::start(&daemon, "uas_hangs_up.xml", &[], carrier, &["-m", "1"]);
    // News comes twice: that it is tried, and that it was done.
    let news = HUNG_UP.replace("request=\"BYE\"", "request=\"NOTIFY\"");
    let refer = phone_request(
        "REFER",
        3,
        "Refer-To: <sip:08012345678@tandem>\nReferred-By: <sip:1001@tandem>\n",
    );
    let talk = format!("{refer}<recv response=\"202\" />{news}{news}{HUNG_UP}");
    login_and_call(
        &daemon,
        "1002",
        &[("secret", SECRETS[0].1), ("status", "200"), ("talk", &talk)],
    );
    target.succeed();
    stays.succeed();
    let record = one_record(&daemon, "normal");
    let detail = daemon.ask(&["call", "show", record["call"].as_str().unwrap()]);
    let kinds: Vec<_> =
        detail["segments"].as_array().unwrap().iter().map(|s| s["kind"].clone()).collect();
    assert!(kinds.contains(&"transfer".into()), "{kinds:?}");
}

/// Both sides send re-INVITE at the same moment: one of them gets 491, nobody is stuck, the call goes on.
#[test]
fn glare_leaves_the_call_alive() {
    let (alice, carrier) = (free_port(), free_port());
    let daemon = exchange(carrier, free_port());
    register(&daemon, 0, alice, "u1");
    let called = Sipp::start(&daemon, "uas_glare.xml", &[], alice, &["-m", "1"]);
    Sipp::start(&daemon, "uac_glare.xml", &[], carrier, &["-m", "1", "-s", "+862012345678"])
        .succeed();
    called.succeed();
    one_record(&daemon, "normal");
}

/// 80 calls with every twentieth message of the caller lost, in both directions: retransmissions carry all of
/// them through. sipp forgets a call whose first INVITE it lost, so the called side loses nothing; and it
/// takes a repeated 200 for the answer to its BYE, so it talks for longer than we repeat one (64*T1). Both
/// sides repeat from 100 ms on: with sipp's 500 ms its last repetition of a BYE would come when our
/// transaction, which lives for 64 times *our* T1, is over.
#[test]
fn lost_messages_lose_no_calls() {
    let (alice, carrier) = (free_port(), free_port());
    let daemon = exchange_with(carrier, free_port(), "t1_ms = 100\n");
    register(&daemon, 0, alice, "u1");
    let called = Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], alice, &[]);
    let args = ["-m", "80", "-l", "80", "-r", "40", "-lost", "5", "-s", "+862012345678"];
    let then = talk(6600).replace("retrans=\"500\"", "retrans=\"100\"");
    Sipp::start(&daemon, "uac_trunk.xml", &[("then", &then)], carrier, &args).succeed();
    let records = daemon.wait_for_records(80);
    drop(called);
    assert_eq!(records.len(), 80);
    assert!(records.iter().all(|record| record["cause"] == "normal"), "{records:?}");
    daemon.assert_healthy();
}

#[test]
fn a_stranger_is_challenged_and_an_unknown_number_is_unknown() {
    let carrier = free_port();
    let daemon = exchange(carrier, free_port());
    carrier_expects(&daemon, "+8699999", 404, carrier).succeed();
    carrier_expects(&daemon, "+862012345678", 401, free_port()).succeed();
    one_record(&daemon, "unknown_number");
}

#[test]
fn a_stop_lets_the_live_call_finish() {
    let (alice, carrier) = (free_port(), free_port());
    let mut daemon = exchange(carrier, free_port());
    register(&daemon, 0, alice, "u1");
    let called = Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], alice, &["-m", "1"]);
    let caller = Sipp::start(
        &daemon,
        "uac_trunk.xml",
        &[("then", &talk(1500))],
        carrier,
        &["-m", "1", "-s", "+862012345678"],
    );
    daemon
        .wait_for("an answered call", |daemon| daemon.ask(&["calls"]).to_string().contains("talk"));
    assert!(daemon.stop(), "{}", daemon.log());
    caller.succeed();
    called.succeed();
}

/// Row 162: the drain ends the other calls after a second, and waits for this one.
#[test]
fn row_162_an_emergency_call_is_not_cut_off_by_the_drain() {
    let carrier = free_port();
    let mut daemon = exchange_with(carrier, free_port(), "[limits]\ndrain_seconds = 1\n");
    let _called = Sipp::start(&daemon, "uas_answer.xml", &[("then", HUNG_UP)], carrier, &[]);
    let then = format!("<pause milliseconds=\"6000\" />{}<recv response=\"200\" />", phone_bye());
    let put = [("secret", SECRETS[0].1), ("status", "200"), ("talk", then.as_str())];
    std::thread::scope(|scope| {
        let calling = scope.spawn(|| login_and_call(&daemon, "110", &put));
        daemon.wait_for("the talk", |daemon| daemon.ask(&["status"])["calls_answered"] == 1);
        daemon.terminate();
        calling.join().unwrap();
    });
    assert_eq!(daemon.wait_for_exit(), Some(0));
    daemon.start_again();
    one_record(&daemon, "normal");
}
