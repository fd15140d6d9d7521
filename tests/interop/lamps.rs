//! Lamps: sipp as a phone that watches another one.

use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::programs;
use crate::sipp::{HUNG_UP, Sipp, request};

/// Takes a NOTIFY that has this in its headers or its body, and answers it.
fn notify(wanted: &str) -> String {
    let wanted = wanted.replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<recv request=\"NOTIFY\"><action><ereg regexp=\"{wanted}\" search_in=\"msg\" check_it=\"true\" \
         assign_to=\"found\" /></action></recv><send><![CDATA[\nSIP/2.0 200 OK\n[last_Via:]\n\
         [last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\nContent-Length: 0\n\n]]></send>"
    )
}

/// A request of the phone 1001 inside its dialog.
fn own_request(method: &str, headers: &str) -> String {
    request(method, 3, "")
        .replace("\"Caller\" <sip:+8613800138000@[local_ip]:[local_port]>", "<sip:1001@tandem>")
        .replace("Max-Forwards: 70\n", &format!("Max-Forwards: 70\n{headers}"))
}

/// 1001 watches 1002, and does this from then on; the first NOTIFY is still to come.
fn watch(daemon: &Daemon, then: &str) -> Sipp {
    let uri = format!("1002@127.0.0.1:{}", daemon.port);
    let args = ["-m", "1", "-s", "1002", "-auth_uri", &uri];
    let put = [("secret", SECRETS[0].1), ("then", then)];
    let watcher = Sipp::start(daemon, "watch.xml", &put, free_port(), &args);
    daemon.wait_for("the lamp", |daemon| {
        let rows = daemon.ask(&["subscriptions"]);
        rows[0]["watched"] == "1002" && rows[0]["is_waiting"] == false
    });
    watcher
}

#[test]
fn a_lamp_sees_a_call_ring_talk_and_end() {
    let (bob, daemon) = (free_port(), Daemon::start(programs(), &[]));
    let (extension, secret) = SECRETS[1];
    let put = [("extension", extension), ("secret", secret), ("status", "200")];
    Sipp::start(&daemon, "register.xml", &put, bob, &["-m", "1"]).succeed();
    let steps = ["</dialog-info>", ">trying<", ">early<", ">confirmed<", ">terminated<"];
    let steps: String = steps.map(notify).concat();
    let end = own_request("SUBSCRIBE", "Event: dialog\nExpires: 0\n");
    let last = notify("terminated;reason=timeout");
    let watcher = watch(&daemon, &format!("{steps}{end}<recv response=\"200\" />{last}"));
    let called = Sipp::start(&daemon, "uas_rings.xml", &[("then", HUNG_UP)], bob, &["-m", "1"]);
    let bye = own_request("BYE", "");
    let then = format!("<pause milliseconds=\"300\" />{bye}<recv response=\"200\" />");
    let put = [("secret", SECRETS[0].1), ("status", "200"), ("talk", &then)];
    let uri = format!("1002@127.0.0.1:{}", daemon.port);
    let args = ["-m", "1", "-s", "1002", "-auth_uri", &uri];
    Sipp::start(&daemon, "uac_login.xml", &put, free_port(), &args).succeed();
    called.succeed();
    watcher.succeed();
    assert_eq!(daemon.ask(&["subscriptions"]).as_array().map(Vec::len), Some(0));
    daemon.wait_for_records(1);
    daemon.assert_healthy();
}

#[test]
fn a_lamp_is_asked_to_come_again_when_the_daemon_stops() {
    let mut daemon = Daemon::start(programs(), &[]);
    let told = notify("</dialog-info>") + &notify("terminated;reason=probation;retry-after=5");
    let watcher = watch(&daemon, &told);
    daemon.terminate();
    assert_eq!(daemon.wait_for_exit(), Some(0));
    watcher.succeed();
}
