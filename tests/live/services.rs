//! Service codes against the running daemon: they outlive it, and the operator sees them and takes them back.

use crate::{daemon, phone};

#[test]
fn do_not_disturb_outlives_the_daemon_until_an_operator_ends_it() {
    let mut daemon = daemon(&[]);
    let mut bob = phone(&daemon, 1);
    let mut talk = bob.invite("*78");
    bob.answered(&mut talk);
    bob.hung_up();
    daemon.wait_for_records(1);
    assert_eq!(daemon.records()[0]["cause"], "served");
    daemon.kill_and_restart();
    let shown = daemon.ask(&["phone", "show", "1002"]);
    assert_eq!(shown["services"], serde_json::json!(["dnd"]), "{shown}");
    let mut alice = phone(&daemon, 0);
    alice.invite("1002");
    alice.expect("SIP/2.0 486");
    let records = daemon.wait_for_records(2);
    assert_eq!(records[0]["cause"], "do_not_disturb", "{records:?}");
    let text = String::from_utf8(daemon.run(&["phone", "clear", "1002"]).stdout).unwrap();
    assert!(text.contains("services       none"), "{text}");
    alice.invite("1002");
    let invite = bob.expect("INVITE");
    bob.respond(&invite, "486 Busy Here", "");
    daemon.wait_for_records(3);
    assert_eq!(daemon.run(&["phone", "clear", "7777"]).status.code(), Some(1));
    daemon.assert_healthy();
}

/// A phone that was taken out while the daemon was down leaves nothing to whoever gets its extension later.
#[test]
fn who_gets_an_extension_later_finds_nothing_switched_on() {
    let mut daemon = daemon(&[]);
    let mut bob = phone(&daemon, 1);
    let mut talk = bob.invite("*721001");
    bob.answered(&mut talk);
    bob.hung_up();
    daemon.wait_for_records(1);
    let with = daemon.read("phones.toml");
    let (without, _) = with.rsplit_once("[[phone]]").unwrap();
    for text in [without, &with] {
        assert!(daemon.stop());
        daemon.write("phones.toml", text);
        daemon.start_again();
        assert_eq!(daemon.ask(&["status"])["phones"], text.matches("[[phone]]").count());
    }
    let shown = daemon.ask(&["phone", "show", "1002"]);
    assert_eq!(shown["services"], serde_json::json!([]), "{shown}");
}
