//! The daemon's start, end, and start again.

use crate::live::daemon::{Daemon, SECRETS};
use crate::live::phone::Phone;
use crate::{connect, daemon, hang_up, phone, words};

#[test]
fn a_daemon_that_is_told_to_stop_lets_calls_end_and_takes_no_more() {
    let mut daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, _) = connect(&mut alice, &mut bob);
    daemon.terminate();
    daemon.wait_for("the drain", |daemon| daemon.ask(&["status"])["is_draining"] == true);
    let mut second = Phone::new(SECRETS[0].0, SECRETS[0].1, daemon.address());
    second.invite("1002");
    assert!(second.last_answer.starts_with("SIP/2.0 503"), "{}", second.last_answer);
    hang_up((&mut alice, &a), &mut bob);
    assert_eq!(daemon.wait_for_exit(), Some(0));
    assert!(!daemon.socket().exists(), "the control socket is removed");
    daemon.start_again();
    let records = daemon.records();
    let causes: Vec<_> = records.iter().map(|record| record["cause"].as_str().unwrap()).collect();
    assert!(causes.contains(&"normal"), "{causes:?}");
    assert!(!causes.contains(&"system_error"), "{causes:?}");
}

#[test]
fn calls_that_outlast_the_drain_are_hung_up() {
    let mut daemon = daemon(&[("tandem.toml", "[limits]\ndrain_seconds = 1\n")]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    connect(&mut alice, &mut bob);
    daemon.terminate();
    std::thread::scope(|scope| {
        scope.spawn(|| alice.hung_up());
        scope.spawn(|| bob.hung_up());
    });
    assert_eq!(daemon.wait_for_exit(), Some(0));
    daemon.start_again();
    let records = daemon.records();
    assert_eq!((records.len(), &records[0]["cause"]), (1, &"shutting_down".into()));
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused() {
    let daemon = daemon(&[]);
    let other = daemon.start_another("state", "other.sock");
    assert_eq!(other.status.code(), Some(2), "{}", words(&other));
    assert!(words(&other).contains("another tandemd uses the state folder"), "{}", words(&other));
}

#[test]
fn a_second_daemon_on_the_same_control_socket_is_refused() {
    let daemon = daemon(&[]);
    // Its SIP ports are free, so that the control socket is what it stumbles on.
    let free = crate::live::daemon::free_port();
    daemon.write(
        "tandem.toml",
        &format!("[sip]\nlisten = [\"udp:127.0.0.1:{free}\"]\n[media]\nports = \"22000-32699\"\n"),
    );
    let other = daemon.start_another("other-state", "control.sock");
    assert_eq!(other.status.code(), Some(2), "{}", words(&other));
    assert!(words(&other).contains("another daemon answers on"), "{}", words(&other));
    assert!(daemon.run(&["status"]).status.success(), "the first one goes on");
}

#[test]
fn a_port_in_use_is_named() {
    let daemon = daemon(&[]);
    let other = daemon.start_another("other-state", "other.sock");
    assert_eq!(other.status.code(), Some(2), "{}", words(&other));
    let text = words(&other);
    assert!(text.contains(&format!("cannot listen on udp:127.0.0.1:{}", daemon.port)), "{text}");
    assert!(text.contains("in use"), "{text}");
    assert!(!text.contains("os error"), "words, not numbers: {text}");
}

#[test]
fn a_configuration_with_errors_does_not_start() {
    let daemon = daemon(&[]);
    daemon.write("routes.toml", "[[route]]\nmatch = \"^0(.+)$\"\ntrunks = [\"carier\"]\n");
    let other = daemon.start_another("other-state", "other.sock");
    assert_eq!(other.status.code(), Some(1), "{}", words(&other));
    assert!(
        words(&other).contains("routes.toml:3:11: error[missing-reference]"),
        "{}",
        words(&other)
    );
}

fn called_after(daemon: &Daemon, alice: &mut Phone, bob: &mut Phone) {
    let phones = daemon.ask(&["phones"]);
    assert_eq!(phones[1]["contacts"].as_array().map(Vec::len), Some(1), "{phones:#}");
    let (a, _) = connect(alice, bob);
    hang_up((alice, &a), bob);
}

#[test]
fn a_phone_is_reached_after_a_restart_without_registering_again() {
    let mut daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    assert!(daemon.stop());
    daemon.start_again();
    called_after(&daemon, &mut alice, &mut bob);
    daemon.kill_and_restart();
    called_after(&daemon, &mut alice, &mut bob);
    assert_eq!(daemon.wait_for_records(2).len(), 2);
}

/// Row 162, half-broken configuration: a restart over it starts with the last good one, and says so.
#[test]
fn a_daemon_restarted_over_a_broken_configuration_starts_with_the_last_good_one() {
    let mut daemon = daemon(&[]);
    let good = daemon.read("phones.toml");
    assert_eq!(daemon.ask(&["status"])["is_last_good"], false);
    daemon.write("phones.toml", "[[phone]]\nextension = 1001\n");
    assert!(daemon.stop());
    daemon.start_again();
    let status = daemon.ask(&["status"]);
    assert_eq!((&status["is_last_good"], &status["revision"]), (&true.into(), &1.into()));
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, _) = connect(&mut alice, &mut bob);
    hang_up((&mut alice, &a), &mut bob);
    assert!(!daemon.run(&["reload"]).status.success(), "still broken");
    daemon.write("phones.toml", &good);
    assert!(daemon.run(&["reload"]).status.success());
    assert_eq!(daemon.ask(&["status"])["is_last_good"], false);
    assert!(daemon.stop());
}
