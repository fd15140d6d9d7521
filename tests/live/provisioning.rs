//! Desk phones that fetch their configuration, and `tandem phone`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::live::daemon::{Daemon, PATIENCE, SECRETS, doctor_row, free_port, run};
use crate::live::phone::Phone;
use crate::live::secure::Authority;
use crate::{phone, programs, words};

/// The Yealink that the first phone is.
const MAC: &str = "001565abcdef";

/// A daemon that serves files under TLS, with the first phone a Yealink.
struct Bed {
    daemon: Daemon,
    authority: Authority,
    web: SocketAddr,
}

fn bed(extra: &str) -> Bed {
    let authority = Authority::new();
    let [udp, web] = [free_port(), free_port()];
    let pem = std::env::temp_dir().join(format!("tandem-web-{}-{udp}.pem", std::process::id()));
    std::fs::write(&pem, authority.certify(&["pbx.example.com"])).unwrap();
    let tandem = format!(
        "[tls]\ncertificates = [{:?}]\n[provisioning]\nlisten = [\"https:127.0.0.1:{web}\"]\n\
         url = \"https://pbx.example.com:{web}\"\nserver = \"127.0.0.1\"\nbackup_server = \"127.0.0.2:5099\"\n{extra}",
        pem.display().to_string()
    );
    // Behind the second phone, to whom the keys are: the first one gets them by hand.
    let phones =
        "brand = \"yealink\"\nmac = \"00:15:65:AB:CD:EF\"\nkeys = [\"blf:1001:Ann & Co\"]\n";
    let listen = [format!("udp:127.0.0.1:{udp}")];
    let files = [("tandem.toml", tandem.as_str()), ("phones.toml", phones)];
    let daemon = Daemon::listening(programs(), udp, &listen, &files);
    Bed { daemon, authority, web: SocketAddr::from(([127, 0, 0, 1], web)) }
}

impl Bed {
    fn pem(&self) -> std::path::PathBuf {
        let name = format!("tandem-web-{}-{}.pem", std::process::id(), self.daemon.port);
        std::env::temp_dir().join(name)
    }

    /// Sends a request and gives the whole answer; nothing if the server closes without one.
    fn ask(&self, request: &str) -> String {
        let Ok(mut stream) = self.authority.connect(self.web, "pbx.example.com") else {
            return String::new();
        };
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    /// The status and the body of what is at this path.
    fn get(&self, path: &str) -> (u16, String) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: pbx\r\nConnection: close\r\n\r\n");
        let answer = self.ask(&request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, body.to_owned())
    }

    /// The path of a phone's files, ending with a slash.
    fn path(&self, args: &[&str]) -> String {
        let reply = self.daemon.ask(&[&["phone", "provision"], args].concat());
        let url = reply["url"].as_str().unwrap_or_else(|| panic!("{reply:#}")).to_owned();
        let base = format!("https://pbx.example.com:{}", self.web.port());
        url.strip_prefix(&base).unwrap_or_else(|| panic!("{url}")).to_owned()
    }

    /// The events of these kinds so far.
    fn events(&self, prefix: &str) -> Vec<Value> {
        let output = self.daemon.run(&["events", "--since", "0", "--json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ours = events.filter(|event| {
            event["params"]["kind"].as_str().is_some_and(|kind| kind.starts_with(prefix))
        });
        ours.collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.pem());
    }
}

fn lines(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(" = ")).collect()
}

fn code(daemon: &Daemon, args: &[&str]) -> (Option<i32>, String) {
    let output = daemon.run(args);
    (output.status.code(), words(&output))
}

#[test]
fn a_phone_registers_with_what_it_fetched() {
    let bed = bed("");
    let path = bed.path(&["1002"]);
    let (status, text) = bed.get(&format!("{path}{MAC}.cfg"));
    assert_eq!(status, 200, "{text}");
    let file = lines(&text);
    assert_eq!(file["account.1.outbound_proxy.1.address"], "127.0.0.1");
    assert_eq!(file["account.1.outbound_proxy.1.port"], bed.daemon.port.to_string());
    assert_eq!(file["account.1.outbound_proxy.2.address"], "127.0.0.2");
    assert_eq!(file["linekey.2.label"], "Ann & Co");
    let (user, secret) = (file["account.1.auth_name"], file["account.1.password"]);
    let mut device = Phone::new(user, secret, bed.daemon.address());
    device.register();
    // Each fetch is told, without what it was worth.
    let events = bed.events("phone.prov");
    assert_eq!(events.len(), 1, "{events:#?}");
    let fields = &events[0]["params"]["fields"];
    assert_eq!((&fields["extension"], &fields["from"]), (&"1002".into(), &"127.0.0.1".into()));
    assert_eq!(fields["file"], format!("{MAC}.cfg"));
    assert_eq!(bed.events("phone.token").len(), 1);
    let token = path.split('/').nth(2).unwrap();
    let all = words(&bed.daemon.run(&["events", "--since", "0", "--json"])) + &bed.daemon.log();
    assert!(!all.contains(token) && !all.contains(secret), "{all}");
    let counted = |name| doctor_row(&bed.daemon.ask(&["doctor"]), name);
    assert_eq!((counted("files fetched by phones"), counted("fetches refused")), (1, 0));
}

#[test]
fn whatever_is_wrong_has_the_same_answer_and_is_counted() {
    let bed = bed("");
    let path = bed.path(&["1002"]);
    let not_found = (404, "Not found\n".to_owned());
    for path in [
        "/p/aaaaaaaaaaaaaaaaaaaaaaaaaa/001565abcdef.cfg".to_owned(),
        format!("{path}001565abcdee.cfg"),
        format!("{path}y000000000108.cfg"),
        format!("{path}../1001/001565abcdef.cfg"),
        "/".to_owned(),
        "/p/".to_owned(),
    ] {
        assert_eq!(bed.get(&path), not_found, "{path}");
    }
    // Our own name for a common file is no guess; the other device's name is told.
    let counted = doctor_row(&bed.daemon.ask(&["doctor"]), "fetches refused");
    assert_eq!(counted, 5);
    let told = bed.events("phone.provisioning_refused");
    assert_eq!((told.len(), &told[0]["params"]["fields"]["extension"]), (1, &"1002".into()));
    let post = bed
        .ask(&format!("POST {path}{MAC}.cfg HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"));
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    let huge = format!("GET {path}{MAC}.cfg HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(30_000));
    assert!(!bed.ask(&huge).contains("200 OK"));
    // A phone that is right and asks without end is told to wait, and the events stay readable.
    let statuses: Vec<u16> = (0..40).map(|_| bed.get(&format!("{path}{MAC}.cfg")).0).collect();
    assert!(statuses.starts_with(&[200; 20]) && statuses.contains(&429), "{statuses:?}");
    assert!(bed.events("phone.provisioned").len() < 35);
    // Who speaks no TLS is told nothing.
    let mut plain = TcpStream::connect(bed.web).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(format!("GET {path}{MAC}.cfg HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut rest = Vec::new();
    let _ = plain.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("HTTP"), "{rest:?}");
}

#[test]
fn who_guesses_addresses_is_banned_like_who_guesses_passwords() {
    let bed = bed("[guard]\ntrusted = [\"192.0.2.1\"]\n");
    let path = bed.path(&["1002"]);
    for guess in 0..10 {
        let (status, _) = bed.get(&format!("/p/guess{guess}/{MAC}.cfg"));
        assert_eq!(status, 404, "{guess}");
    }
    assert_eq!(bed.get(&format!("{path}{MAC}.cfg")), (0, String::new()), "silence");
    let guard = bed.daemon.ask(&["guard"]);
    assert_eq!(guard["rows"][0]["reason"], "wrong provisioning addresses", "{guard:#}");
    assert!(code(&bed.daemon, &["guard", "unban", "127.0.0.1"]).0 == Some(0));
    assert_eq!(bed.get(&format!("{path}{MAC}.cfg")).0, 200);
}

#[test]
fn a_new_token_closes_the_old_address_and_survives_a_crash() {
    let mut bed = bed("");
    let first = bed.path(&["1002"]);
    assert_eq!(bed.path(&["1002"]), first, "asking changes nothing");
    let second = bed.path(&["1002", "--new-token"]);
    let at = |bed: &Bed, path: &str| bed.get(&format!("{path}{MAC}.cfg")).0;
    assert_eq!((at(&bed, &first), at(&bed, &second)), (404, 200));
    bed.daemon.kill_and_restart();
    assert_eq!((at(&bed, &first), at(&bed, &second)), (404, 200));
    // Another device on the same extension does not have it, nor does a phone that is gone and comes back.
    let phones = bed.daemon.read("phones.toml");
    bed.daemon.write("phones.toml", &phones.replace("AB:CD:EF", "AB:CD:EE"));
    assert_eq!(code(&bed.daemon, &["reload"]).0, Some(0));
    assert_eq!(at(&bed, &second), 404);
    let third = bed.path(&["1002"]);
    assert_eq!(bed.get(&format!("{third}001565abcdee.cfg")).0, 200);
    bed.daemon.write("phones.toml", "");
    assert_eq!(code(&bed.daemon, &["reload"]).0, Some(0));
    assert_eq!(bed.get(&format!("{third}001565abcdee.cfg")).0, 404);
    bed.daemon.write("phones.toml", &phones.replace("AB:CD:EF", "AB:CD:EE"));
    assert_eq!(code(&bed.daemon, &["reload"]).0, Some(0));
    assert_eq!(bed.get(&format!("{third}001565abcdee.cfg")).0, 404);
}

#[test]
fn a_reload_brings_new_certificates_and_templates() {
    let mut bed = bed("");
    let folder = bed.daemon.dir.join("conf/templates");
    let section = "[provisioning]\ntemplates = \"templates\"\n";
    let tandem = bed.daemon.read("tandem.toml").replace("[provisioning]\n", section);
    bed.daemon.write("tandem.toml", &tandem);
    assert_eq!(code(&bed.daemon, &["reload"]).0, Some(1), "there is no such folder");
    std::fs::create_dir(&folder).unwrap();
    let path = format!("{}{MAC}.cfg", bed.path(&["1002"]));
    std::fs::write(folder.join("yealink.cfg"), "mine = {{ extension }}\n").unwrap();
    assert!(bed.get(&path).1.starts_with("#!version"), "before the reload");
    assert_eq!(code(&bed.daemon, &["reload"]).0, Some(0));
    assert_eq!(bed.get(&path), (200, "mine = 1002\n".to_owned()));
    std::fs::write(folder.join("yealink.cfg"), "mine = {{ extensoin }}\n").unwrap();
    let (exit, text) = code(&bed.daemon, &["reload"]);
    assert!(exit == Some(1) && text.contains("templates/yealink.cfg:1: "), "{text}");
    assert_eq!(bed.get(&path), (200, "mine = 1002\n".to_owned()));
    std::fs::remove_file(folder.join("yealink.cfg")).unwrap();
    // The certificate of another authority, in the same file.
    let new = Authority::new();
    std::fs::write(bed.pem(), new.certify(&["pbx.example.com"])).unwrap();
    assert!(new.connect(bed.web, "pbx.example.com").is_err());
    assert_eq!(code(&bed.daemon, &["reload"]).0, Some(0));
    bed.authority = new;
    assert!(bed.get(&path).1.starts_with("#!version"));
}

#[test]
fn one_address_does_not_take_every_place() {
    let bed = bed("");
    let path = format!("{}{MAC}.cfg", bed.path(&["1002"]));
    let taken: Vec<_> = (0..64).map(|_| TcpStream::connect(bed.web).unwrap()).collect();
    // Accepted in order: the next one is closed at once, long before the others' time is up.
    let mut one = TcpStream::connect(bed.web).unwrap();
    one.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(one.read(&mut [0; 8]).unwrap_or(0), 0);
    drop(taken);
    bed.daemon.wait_for("a free place", |_| bed.get(&path).0 == 200);
}

#[test]
fn a_phone_is_added_shown_and_given_a_new_password() {
    let bed = bed("");
    let daemon = &bed.daemon;
    let before = daemon.read("phones.toml");
    let added = daemon.ask(&[
        "phone",
        "add",
        "1003",
        "--name",
        "Carol \"C\" \\",
        "--brand",
        "snom",
        "--mac",
        "00:04:13:aa:bb:cc",
    ]);
    let secret = added["secret"].as_str().unwrap().to_owned();
    assert_eq!((secret.len(), &added["is_reloaded"]), (24, &true.into()), "{added:#}");
    assert!(daemon.read("phones.toml").starts_with(&before), "what was there stays");
    let url = added["provision"]["url"].as_str().unwrap();
    let path = url.split_once("://").unwrap().1.split_once('/').unwrap().1;
    let (status, file) = bed.get(&format!("/{path}snomD735-000413AABBCC.htm"));
    assert!(
        status == 200 && file.contains(&secret) && file.contains("Carol &quot;C&quot; \\"),
        "{file}"
    );
    let mut carol = Phone::new("1003", &secret, daemon.address());
    carol.register();

    let shown = daemon.ask(&["phone", "show", "1003"]);
    assert_eq!((&shown["is_registered"], &shown["brand"]), (&true.into(), &"snom".into()));
    assert_eq!(shown["server"], daemon.address().to_string());
    assert_eq!(
        (&shown["secret"], &shown["url"], &shown["has_url"]),
        (&Value::Null, &Value::Null, &true.into())
    );
    let (_, text) = code(daemon, &["phone", "show", "1003"]);
    assert!(
        !text.contains(&secret) && !text.contains(url) && text.contains("--secret shows it"),
        "{text}"
    );
    let (_, text) = code(daemon, &["phone", "show", "1003", "--secret"]);
    for part in
        [secret.as_str(), url, "backup server  127.0.0.2:5099", "registered, idle", "000413aabbcc"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }

    let middle = daemon.read("phones.toml");
    let (exit, text) = code(daemon, &["phone", "reset-secret", "1003"]);
    assert_eq!(exit, Some(0), "{text}");
    let new = text.lines().find_map(|line| line.strip_prefix("password  ")).unwrap().to_owned();
    assert_eq!(daemon.read("phones.toml"), middle.replace(&secret, &new));
    assert_eq!(daemon.ask(&["phone", "show", "1003"])["is_registered"], false, "it is out at once");
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| carol.register()));
    assert!(refused.is_err(), "the old password");
    Phone::new("1003", &new, daemon.address()).register();
    // The phone's address is as it was: it fetches the new password.
    assert!(bed.get(&format!("/{path}settings.xml")).1.contains(&new));
    let (exit, text) = code(daemon, &["phone", "provision", "1003", "--print"]);
    assert!(exit == Some(0) && text.starts_with("<?xml") && text.contains(&new), "{text}");
    let (exit, text) = code(daemon, &["phone", "provision", "1003"]);
    assert!(exit == Some(0) && text.contains(url) && text.contains("Setting URL"), "{text}");
}

#[test]
fn a_change_that_is_refused_leaves_the_file_as_it_was() {
    let bed = bed("");
    let daemon = &bed.daemon;
    let before = daemon.read("phones.toml");
    for (args, part) in [
        (&["phone", "add", "1001"][..], "error[duplicate]"),
        (&["phone", "add", "1003", "--brand", "yealnk"], "did you mean \"yealink\"?"),
        (&["phone", "add", "1003", "--mac", "001565abcdef"], "error[duplicate]"),
        (&["phone", "add", "10 03"], "error[bad-name]"),
        (&["phone", "reset-secret", "1009"], "there is no phone 1009"),
        (&["phone", "show", "1009"], "there is no phone 1009"),
        (&["phone", "provision", "1009"], "there is no phone 1009"),
        (&["phone", "provision", "1002", "--print", "x.cfg"], "it has 001565abcdef.cfg"),
    ] {
        let (exit, text) = code(daemon, args);
        assert!(exit == Some(1) && text.contains(part), "{args:?}: {exit:?} {text}");
        let output = daemon.run(&[args, &["--json"]].concat());
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(answer["error"]["message"].is_string(), "{answer:#}");
    }
    assert_eq!(daemon.read("phones.toml"), before);
    let left: Vec<_> = std::fs::read_dir(daemon.dir.join("conf")).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // A folder that no daemon reads is changed all the same, and nothing is reloaded.
    let other = daemon.dir.join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("tandem.toml"), "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n")
        .unwrap();
    let args = ["phone", "add", "1003", "--config", other.to_str().unwrap()];
    let (exit, text) = code(daemon, &args);
    assert!(exit == Some(0) && text.contains("after a start or a reload"), "{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode;
    let modes = ["tandem.toml", "phones.toml"]
        .map(|file| mode(&std::fs::metadata(other.join(file)).unwrap().permissions()));
    assert_eq!(modes[0], modes[1]);
    let nowhere = daemon.dir.join("nowhere.sock");
    let output = run(
        &programs(),
        &nowhere,
        &["phone", "reset-secret", "1003", "--config", other.to_str().unwrap()],
    );
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_eq!(daemon.ask(&["phones"]).as_array().map(Vec::len), Some(SECRETS.len()));
}

#[test]
fn without_the_section_nothing_is_served_and_a_phone_is_shown_all_the_same() {
    let daemon = crate::daemon(&[]);
    let _device = phone(&daemon, 0);
    let (exit, text) = code(&daemon, &["phone", "provision", "1001"]);
    assert!(exit == Some(1) && text.contains("section [provisioning]"), "{text}");
    let shown = daemon.ask(&["phone", "show", "1001", "--secret"]);
    assert_eq!((&shown["secret"], &shown["server"]), (&SECRETS[0].1.into(), &Value::Null));
    assert_eq!(shown["contacts"].as_array().map(Vec::len), Some(1));
    let added = daemon.ask(&["phone", "add", "1003"]);
    assert_eq!((&added["is_reloaded"], &added["provision"]), (&true.into(), &Value::Null));
}
