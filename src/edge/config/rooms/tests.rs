//! What an administrator is told of `[[room]]`.

use super::super::tests::{findings, loaded};

const SIP: &str = "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n";
const PHONE: &str = "[[phone]]\nextension = \"1001\"\nsecret = \"a long random word\"\n";
const TRUNK: &str = "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\npeers = [\"192.0.2.1\"]\n";

fn told(rooms: &str, number: &str) -> String {
    let numbers = match number {
        "" => String::new(),
        to => format!("[[number]]\nnumber = \"+8620\"\ntrunk = \"carrier\"\nto = \"{to}\"\n"),
    };
    findings(&[
        ("tandem.toml", SIP),
        ("phones.toml", PHONE),
        ("trunks.toml", TRUNK),
        ("numbers.toml", &numbers),
        ("rooms.toml", rooms),
    ])
}

#[test]
fn rooms_are_checked_where_they_stand() {
    let room = "[[room]]\nnumber = \"800\"\n";
    let grid = [
        ("[[room]]\nname = \"x\"\n".to_owned(), "", "rooms.toml:1:1: error[missing-key]"),
        ("[[room]]\nnumber = \"8oo\"\n".to_owned(), "", "rooms.toml:2:10: error[bad-number]"),
        (format!("{room}{room}"), "", "rooms.toml:4:10: error[duplicate]"),
        ("[[room]]\nnumber = \"1001\"\n".to_owned(), "", "is the extension of a phone"),
        ("[[room]]\nnumber = \"911\"\n".to_owned(), "", "is an emergency number"),
        (format!("{room}pin = \"12ab\"\n"), "", "rooms.toml:3:7: error[bad-number]"),
        (format!("{room}pin = \"123\"\n"), "", "rooms.toml:3:7: warning[weak-secret]"),
        (format!("{room}pin = \"4711\"\nmoderator_pin = \"4711\"\n"), "", "error[duplicate]"),
        (format!("{room}members_max = 201\n"), "", "rooms.toml:3:15: error[out-of-range]"),
        (format!("{room}pins = \"4711\"\n"), "", "did you mean `pin`?"),
        (room.to_owned(), "room:801", "did you mean \"room:800\"?"),
        (room.to_owned(), "room:800", "warning[open-room]"),
        (String::new(), "room:800", "define it in rooms.toml"),
    ];
    for (rooms, number, words) in grid {
        let said = told(&rooms, number);
        assert!(said.contains(words), "{rooms} {number}: {said}");
    }
    let good = format!("{room}pin = \"47110\"\nmoderator_pin = \"90210\"\nmuted = true\n");
    let said = told(&good, "room:800");
    assert!(said.contains("rooms.toml:2:10: warning[silent-room]"), "{said}");
    assert!(!said.contains("error") && said.matches("warning").count() == 1, "{said}");
}

#[test]
fn a_room_has_what_is_written() {
    let rooms = "[[room]]\nnumber = \"800\"\nname = \"Weekly\"\npin = \"47110\"\nchimes = false\n";
    let snapshot = loaded(&[("tandem.toml", SIP), ("rooms.toml", rooms)]).snapshot;
    let room = snapshot.room("800").unwrap();
    assert_eq!((room.name.as_str(), room.pin.0.as_str()), ("Weekly", "47110"));
    assert_eq!((room.members_max, room.chimes, room.is_muted), (50, false, false));
}
