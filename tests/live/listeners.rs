//! Several sockets, and the other family of addresses.

use std::net::SocketAddr;

use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::live::phone::{Phone, header};
use crate::live::wire::Wire;
use crate::{assert_hears, connect, hang_up, programs, talk};

fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

fn registered(which: usize, server: SocketAddr) -> Phone {
    let (extension, secret) = SECRETS[which];
    let mut phone = Phone::new(extension, secret, server);
    phone.register();
    phone
}

#[test]
fn phones_talk_over_ipv6() {
    let port = free_port();
    let listen = [format!("udp:[::1]:{port}"), format!("tcp:[::1]:{port}")];
    let daemon = Daemon::listening(programs(), port, &listen, &[]);
    let (mut alice, mut bob) = (registered(0, at("::1", port)), registered(1, at("::1", port)));
    let (a, b) = connect(&mut alice, &mut bob);
    assert!(a.audio.unwrap().is_ipv6() && b.audio.unwrap().is_ipv6());
    let [at_alice, at_bob] = talk((&alice, &a), (&bob, &b), 50);
    assert_hears("1001", &at_alice, 660.0, 50);
    assert_hears("1002", &at_bob, 440.0, 50);
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    daemon.assert_healthy();
}

#[test]
fn a_phone_on_ipv6_talks_with_one_on_ipv4() {
    let port = free_port();
    let listen = [format!("udp:127.0.0.1:{port}"), format!("udp:[::1]:{port}")];
    let daemon = Daemon::listening(programs(), port, &listen, &[]);
    let (mut alice, mut bob) =
        (registered(0, at("127.0.0.1", port)), registered(1, at("::1", port)));
    let (a, b) = connect(&mut alice, &mut bob);
    assert!(a.audio.unwrap().is_ipv4() && b.audio.unwrap().is_ipv6());
    let [at_alice, at_bob] = talk((&alice, &a), (&bob, &b), 50);
    assert_hears("1001", &at_alice, 660.0, 50);
    assert_hears("1002", &at_bob, 440.0, 50);
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    daemon.assert_healthy();
}

#[test]
fn each_listener_answers_and_calls_from_its_own_socket() {
    let (first, second) = (free_port(), free_port());
    let listen = [format!("udp:127.0.0.1:{first}"), format!("udp:127.0.0.1:{second}")];
    let daemon = Daemon::listening(programs(), first, &listen, &[]);
    let mut alice = registered(0, at("127.0.0.1", first));
    let mut bob = registered(1, at("127.0.0.1", second));
    // What came from another port than the one that was asked would not reach these phones' NAT.
    assert_eq!(bob.heard_from(), Some(at("127.0.0.1", second)));
    alice.invite("1002");
    let invite = bob.expect("INVITE");
    assert_eq!(bob.heard_from(), Some(at("127.0.0.1", second)));
    assert!(header(&invite, "Via").contains(&format!("127.0.0.1:{second}")), "{invite}");
    assert!(header(&invite, "Contact").contains(&format!("127.0.0.1:{second}")), "{invite}");
    bob.respond(&invite, "486 Busy Here", "");
    alice.expect("SIP/2.0 486");
    assert_eq!(alice.heard_from(), Some(at("127.0.0.1", first)));
    daemon.wait_for_records(1);
}

#[test]
fn the_answer_says_where_the_request_came_from() {
    let port = free_port();
    let listen = [format!("udp:127.0.0.1:{port}")];
    let daemon = Daemon::listening(programs(), port, &listen, &[]);
    let mut wire = Wire::udp(daemon.address());
    let own = wire.local().port();
    let ask = |wire: &mut Wire, via: &str| {
        let text = format!(
            "OPTIONS sip:tandem@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nMax-Forwards: 70\r\nFrom: <sip:x@127.0.0.1>;tag=o\r\nTo: <sip:tandem@127.0.0.1>\r\nCall-ID: o-{own}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        wire.send(text.as_bytes(), daemon.address());
        let answer = wire.receive(crate::live::daemon::PATIENCE).unwrap();
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        header(&answer, "Via")
    };
    // rport: back to the real port, whatever the Via says (RFC 3581 §4).
    let via = ask(&mut wire, "192.0.2.7:5099;rport;branch=z9hG4bKone");
    assert!(via.contains(";received=127.0.0.1") && via.contains(&format!(";rport={own}")), "{via}");
    // Without it: to the port of the Via at the real address (RFC 3261 §18.2.2).
    let via = ask(&mut wire, &format!("192.0.2.7:{own};branch=z9hG4bKtwo"));
    assert!(via.contains(";received=127.0.0.1") && !via.contains("rport"), "{via}");
}

/// The listeners are listed in another order after the restart: the binding's place in it means another
/// socket now, its address does not.
#[test]
fn a_binding_finds_its_socket_after_the_listeners_were_put_in_another_order() {
    let (first, second) = (free_port(), free_port());
    let listen = [format!("udp:127.0.0.1:{first}"), format!("udp:127.0.0.1:{second}")];
    let mut daemon = Daemon::listening(programs(), first, &listen, &[]);
    let mut alice = registered(0, at("127.0.0.1", first));
    let mut bob = registered(1, at("127.0.0.1", second));
    assert!(daemon.stop());
    daemon.write(
        "tandem.toml",
        &format!(
            "[sip]\nlisten = [\"tcp:127.0.0.1:{first}\", \"udp:127.0.0.1:{first}\", \"udp:127.0.0.1:{second}\"]\n[media]\nports = \"22000-32699\"\n"
        ),
    );
    daemon.start_again();
    alice.invite("1002");
    let invite = bob.expect("INVITE");
    assert_eq!(bob.heard_from(), Some(at("127.0.0.1", second)));
    bob.respond(&invite, "486 Busy Here", "");
    alice.expect("SIP/2.0 486");
}
