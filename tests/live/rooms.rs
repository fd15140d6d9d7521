//! Rooms and listeners through the running daemon: real sockets, a PIN in the stream, voices that are measured.

use crate::live::daemon::Daemon;
use crate::live::phone::{Phone, Talk};
use crate::{connect, daemon, hang_up, phone, tone, words};

const THIRD: &str = r#"
[[phone]]
extension = "1003"
secret = "stork-P3m8c-aspen"
"#;
const ROOMS: &str = r#"
[[room]]
number = "800"
pin = "47110"
moderator_pin = "90210"
[[room]]
number = "801"
"#;

fn three(daemon: &Daemon) -> [Phone; 3] {
    let [first, second] = [phone(daemon, 0), phone(daemon, 1)];
    let mut third = Phone::new("1003", "stork-P3m8c-aspen", daemon.address());
    third.register();
    [first, second, third]
}

/// Presses keys as events in the stream (RFC 4733).
fn press(phone: &Phone, talk: &Talk, keys: &str) {
    let target = talk.audio.expect("an address for audio");
    let mut sequence = 100_u16;
    for (index, key) in (1_u32..).zip(keys.chars()) {
        let event = "0123456789*#".find(key).expect("a key") as u8;
        for n in 1..=6_u16 {
            let end = if n > 3 { 0x80 } else { 0 };
            let duration = (n.min(3) * 400).to_be_bytes();
            let mut packet = vec![0x80, if n == 1 { 0x80 | 101 } else { 101 }];
            packet.extend(sequence.to_be_bytes());
            packet.extend((index * 4_000).to_be_bytes());
            packet.extend(77_u32.to_be_bytes());
            packet.extend([event, end | 10, duration[0], duration[1]]);
            phone.send_to_audio(target, &packet);
            sequence += 1;
        }
    }
}

/// All talk at once, each its own tone; gives how pure each of these is in what each hears at the end.
fn all_talk(phones: &[Phone; 3], talks: [&Talk; 3], packets: usize) -> Vec<Vec<f64>> {
    let tones = [440.0, 660.0, 1_050.0];
    std::thread::scope(|scope| {
        let running: Vec<_> = phones
            .iter()
            .zip(talks)
            .zip(tones)
            .map(|((phone, talk), hz)| scope.spawn(move || phone.talk(talk, hz, packets)))
            .collect();
        let heard = running.into_iter().map(|one| one.join().unwrap());
        heard
            .map(|received| {
                let half = &received.samples[received.samples.len().saturating_sub(8_000)..];
                tones.iter().map(|hz| tone::purity(half, *hz)).collect()
            })
            .collect()
    })
}

#[test]
fn three_phones_talk_in_a_room_behind_a_pin() {
    let daemon = daemon(&[("phones.toml", THIRD), ("rooms.toml", ROOMS)]);
    let mut phones = three(&daemon);
    let mut talks = Vec::new();
    for (phone, pin) in phones.iter_mut().zip(["90210", "47110", "47110"]) {
        let mut talk = phone.invite("800");
        phone.answered(&mut talk);
        // Its first packets are from nobody until the latch has seen some.
        phone.talk(&talk, 300.0, 10);
        press(phone, &talk, pin);
        talks.push(talk);
    }
    daemon.wait_for("three are in the room", |daemon| daemon.ask(&["rooms"])[0]["members"] == 3);
    let [a, b, c] = &talks[..] else { panic!("three") };
    // The greeting is over after some seconds.
    let heard = all_talk(&phones, [a, b, c], 250);
    for (who, heard) in heard.iter().enumerate() {
        for (whose, purity) in heard.iter().enumerate() {
            let is_right = if who == whose { *purity < 0.1 } else { *purity > 0.3 };
            assert!(is_right, "{who} hears {whose}: {heard:?}");
        }
    }
    let room = daemon.ask(&["room", "show", "800"]);
    assert_eq!(room["list"][0]["rank"], "moderator", "{room:#}");
    let call = room["list"][1]["call"].as_str().unwrap().to_owned();
    daemon.ask(&["room", "mute", "800", &call]);
    let heard = all_talk(&phones, [a, b, c], 150);
    assert!(heard[0][1] < 0.1 && heard[2][1] < 0.1, "1002 is muted: {heard:?}");
    assert!(heard[0][2] > 0.6, "{heard:?}");
    let said = words(&daemon.run(&["room", "show", "800"]));
    assert!(said.contains("muted") && said.contains("1002"), "{said}");
    for (phone, talk) in phones.iter_mut().zip(&talks) {
        phone.bye(talk);
    }
    let records = daemon.wait_for_records(3);
    assert!(records.iter().all(|record| record["cause"] == "normal"), "{records:#?}");
    let shown = words(&daemon.run(&["--json", "call", "show", &call]));
    assert!(!shown.contains("47110"), "no PIN is shown: {shown}");
    daemon.assert_healthy();
}

#[test]
fn a_third_phone_listens_to_a_call_and_is_heard_by_one() {
    let daemon = daemon(&[("phones.toml", THIRD), ("rooms.toml", ROOMS)]);
    let [mut alice, mut bob, mut boss] = three(&daemon);
    let (a, b) = connect(&mut alice, &mut bob);
    let call = crate::only_call(&daemon);
    daemon.ask(&["call", "watch", &call, "1003"]);
    let c = boss.answer();
    daemon.wait_for("the boss listens", |daemon| {
        let calls = daemon.ask(&["calls"]);
        calls
            .as_array()
            .is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["state"] == "talk"))
    });
    let phones = [alice, bob, boss];
    let heard = all_talk(&phones, [&a, &b, &c], 150);
    assert!(heard[2][0] > 0.3 && heard[2][1] > 0.3, "he hears both: {heard:?}");
    assert!(heard[0][1] > 0.8 && heard[1][0] > 0.8, "they hear each other alone: {heard:?}");
    press(&phones[2], &c, "2");
    daemon.wait_for("he whispers", |daemon| {
        let events = words(&daemon.run(&["call", "show", &watcher(daemon, &call)]));
        events.contains("heard by called")
    });
    let heard = all_talk(&phones, [&a, &b, &c], 150);
    assert!(heard[1][2] > 0.3 && heard[1][0] > 0.3, "the called hears him: {heard:?}");
    assert!(heard[0][2] < 0.1 && heard[0][1] > 0.8, "the caller does not: {heard:?}");
    let [mut alice, mut bob, mut boss] = phones;
    hang_up((&mut alice, &a), &mut bob);
    boss.hung_up();
    daemon.wait_for_records(2);
    daemon.assert_healthy();
}

/// The call that listens to this one.
fn watcher(daemon: &Daemon, call: &str) -> String {
    let calls = daemon.ask(&["calls"]);
    let ids = calls.as_array().into_iter().flatten().filter_map(|one| one["id"].as_str());
    ids.filter(|id| *id != call).map(str::to_owned).next().unwrap_or_default()
}

#[test]
fn a_room_says_who_is_there() {
    let speech = format!("[speech]\nsounds = \"{}/sounds\"\n", env!("CARGO_MANIFEST_DIR"));
    let files = [("tandem.toml", &*speech), ("phones.toml", THIRD), ("rooms.toml", ROOMS)];
    let daemon = daemon(&files);
    let [mut alice, ..] = three(&daemon);
    let mut talk = alice.invite("801");
    alice.answered(&mut talk);
    let heard = alice.talk(&talk, 300.0, 100);
    let loud = heard.samples.iter().filter(|sample| sample.unsigned_abs() > 1_000).count();
    assert!(loud > 2_000, "a voice says that it is alone: {loud} loud samples");
    daemon.ask(&["room", "kick", "801"]);
    alice.hung_up();
    daemon.wait_for_records(1);
    daemon.assert_healthy();
}
