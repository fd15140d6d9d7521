//! SIP over connections (RFC 3261 §18): framing, keep-alives, and what happens when one breaks.

use std::net::{TcpListener, TcpStream};

use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::live::phone::Phone;
use crate::live::wire::Wire;
use crate::{connect, daemon, hang_up, phone, programs, tcp_phone};

fn contacts(daemon: &Daemon, which: usize) -> usize {
    daemon.ask(&["phones"])[which]["contacts"].as_array().map_or(0, Vec::len)
}

fn options(port: u16, cseq: u32) -> String {
    format!(
        "OPTIONS sip:tandem@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:{port};branch=z9hG4bKo{cseq}\r\nMax-Forwards: 70\r\nFrom: <sip:x@127.0.0.1>;tag=o\r\nTo: <sip:tandem@127.0.0.1>\r\nCall-ID: options-{port}\r\nCSeq: {cseq} OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

fn stranger(daemon: &Daemon) -> (Wire, u16) {
    let wire = Wire::connected(TcpStream::connect(daemon.address()).unwrap());
    let port = wire.local().port();
    (wire, port)
}

const PATIENCE: std::time::Duration = crate::live::daemon::PATIENCE;

#[test]
fn a_phone_is_called_on_the_connection_it_registered_with() {
    let daemon = daemon(&[]);
    let mut alice = phone(&daemon, 0);
    let mut bob = tcp_phone(&daemon, 1);
    let row = daemon.ask(&["phones"])[1]["contacts"][0].clone();
    assert_eq!(row["transport"], "tcp");
    assert_eq!(row["from"], bob.local().to_string());
    let (a, _) = connect(&mut alice, &mut bob);
    hang_up((&mut alice, &a), &mut bob);
    let records = daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "normal");
    daemon.assert_healthy();
}

#[test]
fn a_message_split_anywhere_is_one_message() {
    let daemon = daemon(&[]);
    let (mut wire, port) = stranger(&daemon);
    for (cseq, step) in [(1, 1), (2, 7), (3, 64), (4, 300)] {
        let text = options(port, cseq);
        for piece in text.as_bytes().chunks(step) {
            wire.send(piece, daemon.address());
        }
        let answer = wire.receive(PATIENCE).unwrap();
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        assert!(answer.contains(&format!("CSeq: {cseq} OPTIONS")), "{answer}");
    }
}

#[test]
fn two_messages_in_one_segment_are_two_messages() {
    let daemon = daemon(&[]);
    let (mut wire, port) = stranger(&daemon);
    wire.send(format!("{}{}", options(port, 1), options(port, 2)).as_bytes(), daemon.address());
    for cseq in [1, 2] {
        let answer = wire.receive(PATIENCE).unwrap();
        assert!(answer.contains(&format!("CSeq: {cseq} OPTIONS")), "{answer}");
    }
}

/// Row 39: the server's half; a flow dies by it only at the client that pings.
#[test]
fn row_039_a_double_line_end_is_answered_with_one() {
    let daemon = daemon(&[]);
    let (mut wire, port) = stranger(&daemon);
    wire.send(b"\r\n\r\n", daemon.address());
    assert_eq!(wire.receive(PATIENCE).unwrap(), "\r\n");
    wire.send(format!("\r\n\r\n{}", options(port, 1)).as_bytes(), daemon.address());
    assert_eq!(wire.receive(PATIENCE).unwrap(), "\r\n");
    assert!(wire.receive(PATIENCE).unwrap().starts_with("SIP/2.0 200"));
}

#[test]
fn a_stream_without_content_length_gets_400_and_is_closed() {
    let daemon = daemon(&[]);
    let (mut wire, port) = stranger(&daemon);
    let text = options(port, 1).replace("Content-Length: 0\r\n", "");
    wire.send(text.as_bytes(), daemon.address());
    let rest = wire.receive_to_the_end(PATIENCE);
    assert!(rest.starts_with("SIP/2.0 400 "), "{rest}");
    assert!(rest.contains("CSeq: 1 OPTIONS\r\n") && rest.contains("branch=z9hG4bKo1"), "{rest}");
    daemon.wait_for("the connection's end", |daemon| {
        crate::live::daemon::doctor_row(&daemon.ask(&["doctor"]), "connections") == 0
    });
}

/// The Via names an address that the request did not come from; the answer says where it did come from.
#[test]
fn a_400_for_a_broken_stream_names_the_real_source() {
    let daemon = daemon(&[]);
    let (mut wire, port) = stranger(&daemon);
    let text = options(port, 1)
        .replace("Content-Length: 0\r\n", "")
        .replace(&format!("TCP 127.0.0.1:{port};"), "TCP 192.0.2.7:5060;rport;");
    wire.send(text.as_bytes(), daemon.address());
    let rest = wire.receive_to_the_end(PATIENCE);
    assert!(rest.contains(";received=127.0.0.1"), "{rest}");
    assert!(rest.contains(&format!(";rport={port}")), "{rest}");
}

#[test]
fn what_is_no_sip_at_all_is_closed_without_a_word() {
    let daemon = daemon(&[]);
    let (mut wire, _) = stranger(&daemon);
    wire.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", daemon.address());
    assert_eq!(wire.receive_to_the_end(PATIENCE), "");
}

#[test]
fn a_closed_connection_takes_its_binding_with_it() {
    let daemon = daemon(&[]);
    let bob = tcp_phone(&daemon, 1);
    assert_eq!(contacts(&daemon, 1), 1);
    drop(bob);
    daemon.wait_for("the binding's end", |daemon| contacts(daemon, 1) == 0);
    let mut alice = phone(&daemon, 0);
    alice.invite("1002");
    let records = daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "unreachable");
    daemon.assert_healthy();
}

/// A dialog is not its connection: the phone may come back on another one. If it does not, its silence is
/// what ends the call.
#[test]
fn a_call_whose_phone_went_away_with_its_connection_ends_by_its_silence() {
    let daemon =
        daemon(&[("tandem.toml", "[media]\nports = \"22000-32699\"\ndead_after_seconds = 1\n")]);
    let mut alice = phone(&daemon, 0);
    let mut bob = tcp_phone(&daemon, 1);
    let _ = connect(&mut alice, &mut bob);
    drop(bob);
    alice.hung_up();
    assert_eq!(daemon.wait_for_records(1)[0]["cause"], "dead_media");
    daemon.assert_healthy();
}

#[test]
fn a_call_is_hung_up_though_the_other_connection_is_gone() {
    let daemon = daemon(&[]);
    let mut alice = phone(&daemon, 0);
    let mut bob = tcp_phone(&daemon, 1);
    let (a, _) = connect(&mut alice, &mut bob);
    drop(bob);
    daemon.wait_for("the binding's end", |daemon| contacts(daemon, 1) == 0);
    alice.bye(&a);
    assert_eq!(daemon.wait_for_records(1)[0]["cause"], "normal");
    daemon.assert_healthy();
}

#[test]
fn a_connection_that_breaks_while_it_rings_ends_the_call() {
    let daemon = daemon(&[("tandem.toml", "t1_ms = 50\n")]);
    let mut alice = phone(&daemon, 0);
    let mut bob = tcp_phone(&daemon, 1);
    alice.invite("1002");
    let invite = bob.expect("INVITE");
    bob.respond(&invite, "180 Ringing", "");
    alice.expect("SIP/2.0 180");
    drop(bob);
    let answer = alice.expect("SIP/2.0 ");
    assert!(!answer.starts_with("SIP/2.0 1") && !answer.starts_with("SIP/2.0 2"), "{answer}");
    let records = daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "unreachable", "{}", records[0]);
}

#[test]
fn a_trunk_over_tcp_is_called_and_calls_back_on_the_connection() {
    let carrier = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = carrier.local_addr().unwrap().port();
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"tcp:127.0.0.1:{port}\"]\n"
    );
    let routes = "[[route]]\nmatch = \"^0(.+)$\"\ntrunks = [\"carrier\"]\nrewrite = \"+86$1\"\n";
    let daemon = daemon(&[("trunks.toml", &trunks), ("routes.toml", routes)]);
    let mut alice = phone(&daemon, 0);
    let mut a = alice.invite("02012345678");
    let (stream, _) = carrier.accept().unwrap();
    let mut peer = Phone::over("+862012345678", "", daemon.address(), Wire::connected(stream));
    let invite = peer.expect("INVITE sip:+862012345678@");
    assert!(invite.contains("SIP/2.0/TCP"), "{invite}");
    peer.respond(&invite, "180 Ringing", "");
    let b = peer.pick_up(&invite);
    alice.answered(&mut a);
    std::thread::scope(|scope| {
        scope.spawn(|| alice.hung_up());
        peer.bye(&b);
    });
    let records = daemon.wait_for_records(1);
    assert_eq!((&records[0]["cause"], &records[0]["trunk"]), (&"normal".into(), &"carrier".into()));
    daemon.assert_healthy();
}

#[test]
fn a_trunk_that_refuses_connections_is_unreachable() {
    let port = free_port();
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"tcp:127.0.0.1:{port}\"]\n"
    );
    let routes = "[[route]]\nmatch = \"^0(.+)$\"\ntrunks = [\"carrier\"]\n";
    let daemon = daemon(&[("trunks.toml", &trunks), ("routes.toml", routes)]);
    let mut alice = phone(&daemon, 0);
    alice.invite("0123");
    alice.expect("SIP/2.0 500");
    let records = daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "peer_unreachable", "{}", records[0]);
}

#[test]
fn a_daemon_without_free_descriptors_goes_on_serving_the_connections_it_has() {
    let daemon = Daemon::limited(programs(), 64);
    let mut wires: Vec<Wire> = Vec::new();
    // The backlog takes what the process cannot accept.
    for _ in 0..100 {
        wires.push(stranger(&daemon).0);
    }
    let mut alice = Phone::new(SECRETS[0].0, SECRETS[0].1, daemon.address());
    alice.register();
    let port = wires[0].local().port();
    wires[0].send(options(port, 1).as_bytes(), daemon.address());
    assert!(wires[0].receive(PATIENCE).unwrap().starts_with("SIP/2.0 200"));
    // Once some are gone, those that waited are served.
    wires.drain(..60);
    let last = wires.last_mut().unwrap();
    let port = last.local().port();
    last.send(options(port, 1).as_bytes(), daemon.address());
    assert!(last.receive(PATIENCE).unwrap().starts_with("SIP/2.0 200"));
}

#[test]
fn a_registration_at_a_trunk_over_tcp_is_answered_on_its_connection() {
    let carrier = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = carrier.local_addr().unwrap().port();
    let trunks = format!(
        "[[trunk]]\nname = \"provider\"\nmode = \"register\"\npeers = [\"tcp:127.0.0.1:{port}\"]\nuser = \"account1\"\nsecret = \"plover-W8r3n-alder\"\n"
    );
    let daemon = daemon(&[("trunks.toml", &trunks)]);
    let (stream, _) = carrier.accept().unwrap();
    let mut peer = Phone::over("account1", "", daemon.address(), Wire::connected(stream));
    let register = peer.expect("REGISTER");
    assert!(register.contains("SIP/2.0/TCP"), "{register}");
    let contact = crate::live::phone::header(&register, "Contact");
    assert!(contact.contains("transport=tcp"), "a call comes back the same way: {contact}");
    peer.confirm(&register, &format!("Contact: {contact};expires=600\r\n"));
    daemon.wait_for("the trunk", |daemon| daemon.ask(&["trunks"])[0]["state"] == "up");
}

/// A daemon that stops says what it has to say, on connections too, and meets a challenge of it: the carrier sends
/// callers elsewhere at once, and not only when the registration runs out.
#[test]
fn a_registration_over_tcp_is_taken_back_by_a_daemon_that_stops() {
    let carrier = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = carrier.local_addr().unwrap().port();
    let trunks = format!(
        "[[trunk]]\nname = \"provider\"\nmode = \"register\"\npeers = [\"tcp:127.0.0.1:{port}\"]\nuser = \"account1\"\nsecret = \"plover-W8r3n-alder\"\n"
    );
    let mut daemon = daemon(&[("trunks.toml", &trunks)]);
    let (stream, _) = carrier.accept().unwrap();
    let mut peer = Phone::over("account1", "", daemon.address(), Wire::connected(stream));
    let register = peer.expect("REGISTER");
    peer.confirm(&register, "Expires: 600\r\n");
    daemon.wait_for("the trunk", |daemon| daemon.ask(&["trunks"])[0]["state"] == "up");
    daemon.terminate();
    let last = peer.expect("REGISTER");
    assert!(last.contains(";expires=0"), "{last}");
    let named = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
    let is_named = |line: &&str| named.iter().any(|name| line.starts_with(name));
    let copied: String = last.lines().filter(is_named).map(|line| format!("{line}\r\n")).collect();
    let challenge = "WWW-Authenticate: Digest realm=\"provider\", nonce=\"n1\"";
    peer.send(&format!(
        "SIP/2.0 401 Unauthorized\r\n{copied}{challenge}\r\nContent-Length: 0\r\n\r\n"
    ));
    let again = peer.expect("REGISTER");
    assert!(again.contains(";expires=0") && again.contains("nonce=\"n1\""), "{again}");
    peer.confirm(&again, "");
    assert_eq!(daemon.wait_for_exit(), Some(0));
}
