//! Statements of who calls, over the wire: OpenSSL checks what the daemon signs, and signs what the daemon checks.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::{Value, json};
use tandem::edge::clock::Clock;

use crate::live::daemon::{Daemon, free_port};
use crate::live::phone::{Phone, header};
use crate::live::secure::{Authority, accept};
use crate::live::wire::Wire;
use crate::{daemon, hang_up, phone, words};

const CALLER: &str = "12155551212";
const NUMBER: &str = "862012345678";
const X5U: &str = "https://certs.example.com/ours.pem";

/// A folder with what OpenSSL makes, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("tandem-live-stir-{}-{}", std::process::id(), free_port());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Runs `openssl` there; gives its output.
    fn openssl(&self, args: &str, input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(&self.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "openssl {args}: {}", words(&output));
        output.stdout
    }

    fn key(&self, name: &str) {
        self.openssl(&format!("ecparam -name prime256v1 -genkey -noout -out {name}"), b"");
    }

    /// Base64 for URLs, by OpenSSL.
    fn encode(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8(self.openssl("base64 -A", bytes)).unwrap();
        text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_")
    }

    fn decode(&self, text: &str) -> Vec<u8> {
        let padding = "=".repeat((4 - text.len() % 4) % 4);
        let text = format!("{}{padding}", text.replace('-', "+").replace('_', "/"));
        self.openssl("base64 -d -A", text.as_bytes())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Two numbers side by side become what OpenSSL reads.
fn to_der(signature: &[u8]) -> Vec<u8> {
    let number = |half: &[u8]| {
        let lead = half.iter().take_while(|byte| **byte == 0).count();
        let digits = &half[lead..];
        let sign = if digits[0] >= 0x80 { &[0][..] } else { &[] };
        let length = u8::try_from(sign.len() + digits.len()).unwrap();
        [&[2, length], sign, digits].concat()
    };
    let body = [number(&signature[..32]), number(&signature[32..])].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}

fn from_der(der: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = &der[2..];
    while !rest.is_empty() {
        let length = usize::from(rest[1]);
        let digits = &rest[2..2 + length];
        let digits = digits.strip_prefix(&[0]).unwrap_or(digits);
        out.extend(std::iter::repeat_n(0, 32 - digits.len()));
        out.extend_from_slice(digits);
        rest = &rest[2 + length..];
    }
    out
}

/// A daemon with the trunk `carrier` at a socket of the test's, and this section.
fn with_carrier(stir: &str, trunk: &str) -> (Daemon, Phone) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let trunk = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"127.0.0.1:{port}\"]\n{trunk}"
    );
    let daemon = daemon(&[
        ("tandem.toml", stir),
        ("trunks.toml", &trunk),
        (
            "routes.toml",
            "[[route]]\nmatch = \"^0(.+)$\"\ntrunks = [\"carrier\"]\nrewrite = \"+86$1\"\n",
        ),
        (
            "numbers.toml",
            &format!(
                "[[number]]\nnumber = \"+{NUMBER}\"\ntrunk = \"carrier\"\nto = \"phone:1002\"\n"
            ),
        ),
    ]);
    let carrier = Phone::over(&format!("+{CALLER}"), "", daemon.address(), Wire::Udp(socket, None));
    (daemon, carrier)
}

/// Row 164: a key of OpenSSL's making signs, and OpenSSL finds the signature good.
#[test]
fn row_164_openssl_verifies_what_the_daemon_signs() {
    let folder = Folder::new();
    folder.key("ours.key");
    folder.openssl("req -new -x509 -key ours.key -subj /CN=ours -days 2 -out ours.pem", b"");
    folder.openssl("pkey -in ours.key -pubout -out ours.pub", b"");
    let stir = format!(
        "[stir]\nkey = {:?}\ncertificate = {:?}\ncertificate_url = \"{X5U}\"\n",
        folder.path("ours.key"),
        folder.path("ours.pem")
    );
    let trunk = format!("caller_id = \"+{NUMBER}\"\nstir_out = true\n");
    let (daemon, mut carrier) = with_carrier(&stir, &trunk);
    let mut alice = phone(&daemon, 0);
    let mut a = alice.invite("013800138000");
    let invite = carrier.expect("INVITE");
    let identity = header(&invite, "Identity");
    let (token, params) = identity.split_once(';').unwrap();
    assert_eq!(params, format!("info=<{X5U}>;alg=ES256;ppt=shaken"));
    let parts: Vec<&str> = token.split('.').collect();
    let object = |part: &str| serde_json::from_slice::<Value>(&folder.decode(part)).unwrap();
    let head = json!({ "alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": X5U });
    assert_eq!(object(parts[0]), head);
    let claims = object(parts[1]);
    assert_eq!(claims["attest"], "A");
    assert_eq!(claims["orig"], json!({ "tn": NUMBER }));
    assert_eq!(claims["dest"], json!({ "tn": ["8613800138000"] }));
    let now = Clock::start().wall().0 / 1_000_000;
    assert!((now - claims["iat"].as_i64().unwrap()).abs() < 60, "{claims}");
    std::fs::write(folder.path("signature"), to_der(&folder.decode(parts[2]))).unwrap();
    let said = folder.openssl(
        "dgst -sha256 -verify ours.pub -signature signature",
        format!("{}.{}", parts[0], parts[1]).as_bytes(),
    );
    assert_eq!(String::from_utf8(said).unwrap().trim(), "Verified OK");
    carrier.pick_up(&invite);
    alice.answered(&mut a);
    hang_up((&mut alice, &a), &mut carrier);
    let call = daemon.wait_for_records(1)[0]["call"].as_str().unwrap().to_owned();
    let story = words(&daemon.run(&["call", "show", &call]));
    assert!(story.contains("who calls, attestation A"), "{story}");
    let explained = words(&daemon.run(&["trunk", "explain", "carrier"]));
    assert!(explained.contains("stir_out"), "{explained}");
    daemon.assert_healthy();
}

/// A server of one certificate under TLS; counts what it is asked.
fn serve(authority: &Authority, chain: &Path) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (pem, chain) = (authority.certify(&["127.0.0.1"]), chain.to_owned());
    let count = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok((mut stream, _)) = accept(stream.unwrap(), &pem) else { continue };
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                bytes.push(byte[0]);
            }
            asked.fetch_add(1, Relaxed);
            let body = std::fs::read_to_string(&chain).unwrap();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/pem-certificate-chain";
            let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.flush();
        }
    });
    (port, count)
}

/// Makes an authority of statements, and a certificate for [`CALLER`] with its key, by OpenSSL; gives the authority of
/// the server that it is fetched from.
fn certified(folder: &Folder) -> Authority {
    let authority = Authority::new();
    std::fs::write(folder.path("web.pem"), &authority.pem).unwrap();
    folder.key("ca.key");
    folder.openssl("req -new -x509 -key ca.key -subj /CN=STI-CA -days 2 -out ca.pem", b"");
    folder.key("leaf.key");
    folder.openssl("req -new -key leaf.key -subj /CN=SHAKEN -out leaf.csr", b"");
    // TNAuthList with the one number (RFC 8226 §9).
    let digits: String = CALLER.bytes().map(|byte| format!("{byte:02x}")).collect();
    let extensions = format!(
        "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n1.3.6.1.5.5.7.1.26=DER:300fa20d160b{digits}\n"
    );
    std::fs::write(folder.path("leaf.ext"), extensions).unwrap();
    folder.openssl(
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile leaf.ext -out leaf.pem",
        b"",
    );
    authority
}

/// Row 163: an authority, a certificate for one number and a token, all of OpenSSL's making, are believed; the
/// certificate is fetched over HTTPS, once.
#[test]
fn row_163_a_token_of_openssl_is_believed_and_a_forged_one_is_not() {
    let folder = Folder::new();
    let authority = certified(&folder);
    let (port, asked) = serve(&authority, &folder.0.join("leaf.pem"));
    let stir = format!(
        "[tls]\nauthorities = {:?}\n[stir]\nauthorities = {:?}\nsources = [\"127.0.0.1\"]\n",
        folder.path("web.pem"),
        folder.path("ca.pem")
    );
    let (daemon, mut carrier) = with_carrier(&stir, "stir_in = \"reject\"\n");
    let mut bob = phone(&daemon, 1);
    let token = |host: &str, orig: &str| {
        let x5u = format!("https://{host}:{port}/leaf.pem");
        let iat = Clock::start().wall().0 / 1_000_000;
        let head = json!({ "alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": x5u });
        let claims = json!({
            "attest": "A", "dest": { "tn": [NUMBER] }, "iat": iat, "orig": { "tn": orig },
            "origid": "123e4567-e89b-12d3-a456-426655440000",
        });
        let part = |value: Value| folder.encode(value.to_string().as_bytes());
        let input = format!("{}.{}", part(head), part(claims));
        let signature = from_der(&folder.openssl("dgst -sha256 -sign leaf.key", input.as_bytes()));
        (format!("{input}.{}", folder.encode(&signature)), x5u)
    };
    let line = |(token, x5u): (String, String)| {
        format!("Identity: {token};info=<{x5u}>;alg=ES256;ppt=shaken\r\n")
    };
    for _ in 0..2 {
        carrier.headers = line(token("127.0.0.1", CALLER));
        let mut c = carrier.invite(&format!("+{NUMBER}"));
        bob.answer();
        carrier.answered(&mut c);
        hang_up((&mut carrier, &c), &mut bob);
    }
    assert_eq!(asked.load(Relaxed), 1, "the second call found it remembered");
    let (mut forged, x5u) = token("127.0.0.1", CALLER);
    // Of another token, which says something else.
    let other = token("127.0.0.1", "12155551213").0;
    forged.truncate(forged.rfind('.').unwrap());
    forged.push_str(&other[other.rfind('.').unwrap()..]);
    for (headers, caller, status) in [
        (line((forged, x5u)), CALLER, 438),
        (line(token("127.0.0.1", "12155551213")), "12155551213", 438),
        (line(token("localhost", CALLER)), CALLER, 436),
        ("Identity: garbage\r\n".to_owned(), CALLER, 438),
    ] {
        carrier.headers = headers;
        carrier.extension = format!("+{caller}");
        let call = carrier.invite(&format!("+{NUMBER}"));
        let answer = carrier.refused(&call);
        assert!(answer.starts_with(&format!("SIP/2.0 {status} ")), "{answer}");
        assert!(answer.contains(&format!("Reason: STIR;cause={status};")), "{answer}");
    }
    assert_eq!(asked.load(Relaxed), 1);
    let records = daemon.wait_for_records(6);
    let causes: Vec<_> = records.iter().map(|record| record["cause"].as_str().unwrap()).collect();
    assert_eq!(causes.iter().filter(|cause| **cause == "normal").count(), 2, "{causes:?}");
    assert_eq!(
        causes.iter().filter(|cause| **cause == "identity_invalid").count(),
        3,
        "{causes:?}"
    );
    let first = records.last().unwrap()["call"].as_str().unwrap();
    let story = words(&daemon.run(&["call", "show", first]));
    assert!(story.contains("attestation A"), "{story}");
    daemon.assert_healthy();
}
