//! Trunks by name, with a name server of the test's own (RFC 3263), and requests too large for a datagram.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crate::live::daemon::{Daemon, free_port};
use crate::live::dns::{NameServer, Zone};
use crate::live::phone::{Phone, header};
use crate::live::wire::Wire;
use crate::{connect, daemon, hang_up, phone};

const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ROUTES: &str = "[[route]]\nmatch = \"^0(.+)$\"\ntrunks = [\"carrier\"]\n";
const NUMBERS: &str =
    "[[number]]\nnumber = \"+862012345678\"\ntrunk = \"carrier\"\nto = \"phone:1002\"\n";

/// A daemon that asks this name server, with the trunk `carrier` at `peers`.
fn with_trunk(nameserver: Option<SocketAddr>, peers: &str) -> Daemon {
    let servers = nameserver.map(|at| format!("nameservers = [\"{at}\"]\n")).unwrap_or_default();
    let trunk = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = {peers}\ntry_timeout_seconds = 1\n"
    );
    let files = [
        ("tandem.toml", servers.as_str()),
        ("trunks.toml", trunk.as_str()),
        ("routes.toml", ROUTES),
        ("numbers.toml", NUMBERS),
    ];
    daemon(&files)
}

/// A server of the carrier on a port of its own.
fn server(daemon: &Daemon, socket: UdpSocket) -> Phone {
    Phone::over("carrier", "", daemon.address(), Wire::Udp(socket, None))
}

/// Row 45: NAPTR and SRV by a real resolver; the first server is dead, the second answers, and a call from it is
/// the trunk's.
#[test]
fn row_045_a_trunk_is_found_by_naptr_and_srv() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (dead, alive) = (free_port(), socket.local_addr().unwrap().port());
    let name_server = NameServer::start(
        Zone::default()
            .naptr("carrier.example", "SIP+D2U", "_sip._udp.sbc.example")
            .srv("_sip._udp.sbc.example", 20, alive, "b.sbc.example")
            .srv("_sip._udp.sbc.example", 10, dead, "a.sbc.example")
            .a("a.sbc.example", HOME)
            .a("b.sbc.example", HOME),
    );
    let daemon = with_trunk(Some(name_server.address), "[\"carrier.example\"]");
    let mut carrier = server(&daemon, socket);
    // Its dialogs are reached by a name: ACK and BYE have to look it up.
    carrier.claimed_host = Some("b.sbc.example".to_owned());
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let mut a = alice.invite("0123");
    let invite = carrier.expect("INVITE");
    assert!(invite.starts_with("INVITE sip:0123@carrier.example SIP/2.0"), "{invite}");
    carrier.pick_up(&invite);
    alice.answered(&mut a);
    hang_up((&mut alice, &a), &mut carrier);
    let asked = name_server.asked();
    assert_eq!(asked[0], "35 carrier.example");
    assert_eq!(asked[1], "33 _sip._udp.sbc.example");
    // Whatever was said is remembered, and so is what is not there (type 28, AAAA).
    for what in ["1 b.sbc.example", "28 b.sbc.example", "33 _sip._udp.sbc.example"] {
        assert_eq!(asked.iter().filter(|known| *known == what).count(), 1, "{what}: {asked:?}");
    }
    let trunk = daemon.ask(&["trunks"])[0].clone();
    let reason = trunk["reason"].as_str().unwrap();
    assert!(reason.contains(&format!("udp:127.0.0.1:{dead} backing off")), "{reason}");
    // A call from the server of the SRV record is the trunk's, and needs no login.
    let mut c = carrier.invite("+862012345678");
    bob.answer();
    carrier.answered(&mut c);
    hang_up((&mut carrier, &c), &mut bob);
    let records = daemon.wait_for_records(2);
    assert!(records.iter().all(|record| record["trunk"] == "carrier"), "{records:?}");
    daemon.assert_healthy();
}

/// Row 45: a name of the hosts file needs no name server.
#[test]
fn row_045_localhost_needs_no_name_server() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    // Nobody is there to be asked.
    let nobody = SocketAddr::from((HOME, free_port()));
    let daemon = with_trunk(Some(nobody), &format!("[\"localhost:{port}\"]"));
    let mut carrier = server(&daemon, socket);
    let mut alice = phone(&daemon, 0);
    let mut a = alice.invite("0123");
    carrier.answer();
    alice.answered(&mut a);
    hang_up((&mut alice, &a), &mut carrier);
    daemon.wait_for_records(1);
    daemon.assert_healthy();
}

/// Row 45: a name server that takes questions and says nothing: phones talk, and the call goes to the next peer.
#[test]
fn row_045_a_silent_name_server_holds_nobody_up() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let peers = format!("[\"carrier.example\", \"127.0.0.1:{port}\"]");
    let daemon = with_trunk(Some(silent.local_addr().unwrap()), &peers);
    let mut carrier = server(&daemon, socket);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let mut a = alice.invite("0123");
    let (b, _) = connect(&mut bob, &mut alice);
    hang_up((&mut bob, &b), &mut alice);
    carrier.answer();
    alice.answered(&mut a);
    hang_up((&mut alice, &a), &mut carrier);
    daemon.wait_for_records(2);
    daemon.assert_healthy();
}

/// Row 38: an INVITE over 1300 bytes to a carrier without TCP: refused there, it comes as a datagram.
#[test]
fn row_038_a_large_invite_comes_by_udp_where_tcp_is_refused() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let daemon = with_trunk(None, &format!("[\"127.0.0.1:{port}\"]"));
    let mut carrier = server(&daemon, socket);
    let mut alice = phone(&daemon, 0);
    alice.sdp_extra = format!("a=fmtp:0 x={}\r\n", "y".repeat(1_000));
    let mut a = alice.invite("0123");
    let invite = carrier.expect("INVITE");
    assert!(invite.len() > 1_300, "{invite}");
    assert!(header(&invite, "Via").starts_with("SIP/2.0/UDP"), "{invite}");
    assert!(header(&invite, "Via").ends_with(".1"), "the second attempt: {invite}");
    carrier.pick_up(&invite);
    alice.answered(&mut a);
    hang_up((&mut alice, &a), &mut carrier);
    // What was learnt is about TCP only: the next large one goes as a datagram at once.
    let mut a = alice.invite("0123");
    let invite = carrier.expect("INVITE");
    assert!(invite.len() > 1_300 && !header(&invite, "Via").ends_with(".1"), "{invite}");
    carrier.pick_up(&invite);
    alice.answered(&mut a);
    hang_up((&mut alice, &a), &mut carrier);
    daemon.wait_for_records(2);
    daemon.assert_healthy();
}
