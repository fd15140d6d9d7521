//! One-way audio, as an operator is told of it: phones that do not send, and one that says nothing.

use crate::{connect, daemon, hang_up, only_call, phone, talk, words};

/// More than three seconds, under which nothing is said.
const PACKETS: usize = 170;

/// Row 147: the live call and its record say who was not heard, and where its packets were to come from.
#[test]
fn row_147_a_phone_that_sends_nothing_is_named_with_its_address() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    bob.talk(&b, 660.0, PACKETS);
    let expected = format!(
        "one_way: 1001 was not heard: no packet came from its address ({}); is UDP from there to our media ports let in?",
        alice.audio_address()
    );
    let call = only_call(&daemon);
    let live = daemon.ask(&["call", "show", &call]);
    assert_eq!(live["audio"], expected.as_str(), "{live}");
    assert_eq!(live["legs"][0]["packets_in"], 0);
    assert!(live["legs"][1]["packets_in"].as_u64().unwrap() >= PACKETS as u64, "{live}");
    assert!(live["legs"][1]["mos"].as_f64().unwrap() > 3.5, "{live}");
    let text = words(&daemon.run(&["call", "show", &call]));
    assert!(text.contains(&expected) && text.contains("MOS"), "{text}");
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    let record = daemon.ask(&["call", "show", &call]);
    assert_eq!(record["audio"], expected.as_str(), "{record}");
    let events = words(&daemon.run(&["events", "--since", "0", "--json"]));
    let told: Vec<_> = events.lines().filter(|line| line.contains("call.one_way")).collect();
    assert!(told.len() == 1 && told[0].contains(&expected), "{events}");
    daemon.assert_healthy();
}

/// Row 147: where both are heard that is said as well, with a score for each.
#[test]
fn row_147_a_call_that_both_hear_says_so() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    talk((&alice, &a), (&bob, &b), PACKETS);
    let call = only_call(&daemon);
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    let record = daemon.ask(&["call", "show", &call]);
    assert_eq!(record["audio"], "both_ways", "{record}");
    for leg in [0, 1] {
        let leg = &record["legs"][leg];
        assert!(leg["mos"].as_f64().unwrap() > 3.5 && leg["loss_percent"] == 0.0, "{leg}");
        assert_eq!(leg["dropped"], "", "{leg}");
    }
    daemon.assert_healthy();
}
