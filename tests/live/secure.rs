//! SIP under TLS and over WebSockets, with certificates of the test's own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Output;

use crate::live::daemon::{Daemon, PATIENCE, SECRETS, free_port, run};
use crate::live::phone::Phone;
use crate::live::secure::{Authority, accept, web_socket};
use crate::live::wire::Wire;
use crate::{assert_hears, connect, daemon, hang_up, phone, programs, talk};

/// A daemon with listeners of every transport: UDP, TCP and TLS, plain and secure WebSockets.
struct Bed {
    daemon: Daemon,
    authority: Authority,
    tls: SocketAddr,
    ws: SocketAddr,
    wss: SocketAddr,
}

/// The second phone speaks SIP over a WebSocket and is no browser.
const PLAIN: &str = "media = \"plain\"\n";

fn bed() -> Bed {
    let authority = Authority::new();
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let [udp, tls, ws, wss] = ports;
    let listen: Vec<String> = [("udp", udp), ("tcp", udp), ("tls", tls), ("ws", ws), ("wss", wss)]
        .iter()
        .map(|(transport, port)| format!("{transport}:127.0.0.1:{port}"))
        .collect();
    let folder = std::env::temp_dir().join(format!("tandem-tls-{}-{udp}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (first, second) = (folder.join("first.pem"), folder.join("second.pem"));
    std::fs::write(&first, authority.certify(&["pbx.example.com"])).unwrap();
    std::fs::write(&second, authority.certify(&["other.example.org"])).unwrap();
    let text =
        format!("[tls]\ncertificates = [\"{}\", \"{}\"]\n", first.display(), second.display());
    let daemon = Daemon::listening(
        programs(),
        udp,
        &listen,
        &[("tandem.toml", &text), ("phones.toml", PLAIN)],
    );
    let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
    Bed { daemon, authority, tls: at(tls), ws: at(ws), wss: at(wss) }
}

impl Bed {
    fn certificate(&self) -> std::path::PathBuf {
        let name = format!("tandem-tls-{}-{}", std::process::id(), self.daemon.port);
        std::env::temp_dir().join(name).join("first.pem")
    }

    fn over(&self, which: usize, server: SocketAddr, wire: Wire) -> Phone {
        let (extension, secret) = SECRETS[which];
        let mut phone = Phone::over(extension, secret, server, wire);
        phone.register();
        phone
    }
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(folder) = self.certificate().parent() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// Row 41: a phone behind TLS is called on the connection that it made; row 44: our Contact names TLS.
#[test]
fn row_041_a_phone_under_tls_is_called_on_its_connection() {
    let bed = bed();
    let wire = Wire::tls(&bed.authority, bed.tls, "pbx.example.com").unwrap();
    let mut bob = bed.over(1, bed.tls, wire);
    let mut alice = phone(&bed.daemon, 0);
    let row = bed.daemon.ask(&["phones"])[1]["contacts"][0].clone();
    assert_eq!((&row["transport"], &row["from"]), (&"tls".into(), &bob.local().to_string().into()));
    let (a, b) = connect(&mut alice, &mut bob);
    let [at_alice, at_bob] = talk((&alice, &a), (&bob, &b), 50);
    assert_hears("alice", &at_alice, 660.0, 50);
    assert_hears("bob", &at_bob, 440.0, 50);
    hang_up((&mut alice, &a), &mut bob);
    // And the other way round.
    let (b, _) = connect(&mut bob, &mut alice);
    assert!(b.target_of_peer().contains("transport=tls"), "{b:?}");
    hang_up((&mut bob, &b), &mut alice);
    assert_eq!(bed.daemon.wait_for_records(2)[0]["cause"], "normal");
    bed.daemon.assert_healthy();
}

/// Row 42: the Contact of a browser leads nowhere, its connection does.
#[test]
fn row_042_a_browser_is_called_on_its_web_socket() {
    let bed = bed();
    let mut browser = bed.over(0, bed.ws, Wire::ws(bed.ws));
    let wss = Wire::wss(&bed.authority, bed.wss, "pbx.example.com");
    let mut secure = bed.over(1, bed.wss, wss);
    for phone in [&mut browser, &mut secure] {
        phone.claimed_host = Some("k2t8j0.invalid".to_owned());
    }
    let (a, b) = connect(&mut browser, &mut secure);
    assert!(a.target_of_peer().contains("transport=ws"), "{a:?}");
    let [at_browser, at_secure] = talk((&browser, &a), (&secure, &b), 50);
    assert_hears("ws", &at_browser, 660.0, 50);
    assert_hears("wss", &at_secure, 440.0, 50);
    hang_up((&mut browser, &a), &mut secure);
    assert_eq!(bed.daemon.wait_for_records(1)[0]["cause"], "normal");
    // A line end keeps the connection open and is answered.
    browser.send("\r\n\r\n");
    assert_eq!(browser.receive(), "\r\n");
    bed.daemon.assert_healthy();
}

/// Row 44: what is called by `sips` goes under TLS all the way, or nowhere.
#[test]
fn row_044_a_sips_call_is_not_taken_out_of_tls() {
    let bed = bed();
    let way = || Wire::tls(&bed.authority, bed.tls, "pbx.example.com").unwrap();
    let mut alice = bed.over(0, bed.tls, way());
    alice.scheme = "sips";
    let plain = phone(&bed.daemon, 1);
    alice.invite("1002");
    let refusal = std::mem::take(&mut alice.last_answer);
    let refusal = if refusal.contains(" 100 ") { alice.expect("480") } else { refusal };
    assert!(refusal.contains("no secure way"), "{refusal}");
    drop(plain);
    let mut bob = bed.over(1, bed.tls, way());
    let (a, _) = connect(&mut alice, &mut bob);
    assert!(a.target_of_peer().starts_with("sips:"), "{a:?}");
    hang_up((&mut alice, &a), &mut bob);
    let records = bed.daemon.wait_for_records(2);
    let mut causes: Vec<_> = records.iter().filter_map(|record| record["cause"].as_str()).collect();
    causes.sort_unstable();
    assert_eq!(causes, ["normal", "not_secure"]);
    bed.daemon.assert_healthy();
}

/// Row 44: nor does a phone that sends it elsewhere take it out of TLS.
#[test]
fn row_044_a_sips_call_that_is_redirected_stays_under_tls() {
    let bed = bed();
    let way = || Wire::tls(&bed.authority, bed.tls, "pbx.example.com").unwrap();
    let (extension, secret) = SECRETS[0];
    // The caller's own extension is registered by UDP alone.
    let mut alice = Phone::over(extension, secret, bed.tls, way());
    alice.scheme = "sips";
    let _elsewhere = phone(&bed.daemon, 0);
    let mut bob = bed.over(1, bed.tls, way());
    alice.invite("1002");
    let invite = bob.expect("INVITE");
    bob.extension = extension.to_owned();
    bob.respond(&invite, "302 Moved Temporarily", "");
    let refusal = alice.expect("480");
    assert!(refusal.contains("no secure way"), "{refusal}");
    bed.daemon.wait_for_records(1);
    bed.daemon.assert_healthy();
}

#[test]
fn a_web_socket_that_is_not_for_sip_is_refused() {
    let bed = bed();
    let stream = std::net::TcpStream::connect(bed.ws).unwrap();
    let refusal = web_socket(stream, "chat").err().unwrap();
    assert!(refusal.contains("400"), "{refusal}");
    // Neither is a plain stream a WebSocket, nor one without TLS a secure one; others are served on.
    for port in [bed.ws, bed.wss, bed.tls] {
        let mut stream = std::net::TcpStream::connect(port).unwrap();
        stream.write_all(b"OPTIONS sip:x SIP/2.0\r\n\r\n\x00\xff").unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"SIP/2.0"), "{}", String::from_utf8_lossy(&rest));
    }
    bed.over(0, bed.ws, Wire::ws(bed.ws));
    bed.daemon.assert_healthy();
}

/// Row 43, as a server: the name that the client asks for decides which certificate it is shown.
#[test]
fn row_043_the_certificate_is_the_one_of_the_name_that_is_asked_for() {
    let bed = bed();
    for (name, is_ours) in
        [("pbx.example.com", true), ("other.example.org", true), ("third.example.net", false)]
    {
        let wire = Wire::tls(&bed.authority, bed.tls, name);
        assert_eq!(wire.is_ok(), is_ours, "{name}");
    }
}

/// A reload reads the certificates again although their names are the same; who is connected stays.
#[test]
fn a_new_certificate_is_shown_after_a_reload() {
    let bed = bed();
    let before = Wire::tls(&bed.authority, bed.tls, "pbx.example.com").unwrap();
    let mut bob = bed.over(1, bed.tls, before);
    let new = Authority::new();
    std::fs::write(bed.certificate(), new.certify(&["pbx.example.com"])).unwrap();
    assert!(Wire::tls(&new, bed.tls, "pbx.example.com").is_err(), "before the reload");
    assert!(bed.daemon.run(&["reload"]).status.success());
    assert!(Wire::tls(&new, bed.tls, "pbx.example.com").is_ok(), "after it");
    let mut alice = phone(&bed.daemon, 0);
    let (a, _) = connect(&mut alice, &mut bob);
    hang_up((&mut alice, &a), &mut bob);
    // A broken file is refused, with its name, and changes nothing.
    std::fs::write(bed.certificate(), "nothing\n").unwrap();
    let refused = bed.daemon.run(&["reload"]);
    assert!(!refused.status.success());
    let words = said(&refused);
    assert!(words.contains("first.pem holds no certificate"), "{words}");
    assert!(Wire::tls(&new, bed.tls, "pbx.example.com").is_ok());
}

/// A carrier at `localhost` that shows a certificate for `names`; gives what it was asked for, and what it got.
fn carrier(names: &[&str], extra: &str) -> (Option<String>, Option<String>) {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let file = std::env::temp_dir().join(format!("tandem-ca-{}-{port}.pem", std::process::id()));
    std::fs::write(&file, &authority.pem).unwrap();
    let tandem = format!("[tls]\nauthorities = \"{}\"\n{extra}", file.display());
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\npeers = [\"tls:localhost:{port}\"]\n"
    );
    let daemon = daemon(&[("tandem.toml", &tandem), ("trunks.toml", &trunks)]);
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let result = match accept(stream, &authority.certify(names)) {
        Err(_) => (None, None),
        Ok((mut stream, name)) => {
            let mut buffer = [0; 4096];
            let length = stream.read(&mut buffer).unwrap_or(0);
            let first = String::from_utf8_lossy(&buffer[..length]).into_owned();
            (name, first.lines().next().map(str::to_owned))
        }
    };
    let _ = std::fs::remove_file(file);
    drop(daemon);
    result
}

/// Row 43, as a client: the domain that was looked up is asked for and has to be shown (RFC 5922 §7).
#[test]
fn row_043_a_carrier_has_to_be_the_domain_that_was_looked_up() {
    let asked = Some("localhost".to_owned());
    let (name, first) = carrier(&["localhost"], "");
    assert_eq!(name, asked);
    assert!(first.unwrap().starts_with("OPTIONS sip:localhost"));
    let (name, first) = carrier(&["sip:localhost", "sip:tandem.example"], "");
    assert!(name == asked && first.is_some(), "a SIP URI names a domain too");
    for wrong in [&["127.0.0.1"][..], &["carrier.example"], &["sip:other", "localhost"]] {
        let (_, first) = carrier(wrong, "");
        assert_eq!(first, None, "{wrong:?}");
    }
}

#[test]
fn a_listener_without_a_certificate_is_an_error_that_says_what_to_do() {
    let folder = std::env::temp_dir().join(format!("tandem-nocert-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let text = "[sip]\nlisten = [\"udp:127.0.0.1:5060\", \"tls:127.0.0.1:5061\"]\n";
    std::fs::write(folder.join("tandem.toml"), text).unwrap();
    let checked = run(&programs(), Path::new("none"), &["check", folder.to_str().unwrap()]);
    let words = said(&checked);
    assert_eq!(checked.status.code(), Some(1));
    assert!(words.contains("tandem.toml:2:33: error[missing-certificate]"), "{words}");
    assert!(words.contains("[tls] certificates"), "{words}");
    std::fs::remove_dir_all(folder).unwrap();
}
