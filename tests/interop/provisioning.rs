//! curl fetches phones' files as a phone would, and baresip is set up with what stands in them.

use std::collections::BTreeMap;
use std::process::Command;

use crate::baresip::{STAYS, Way, assert_talked, start_by};
use crate::live::daemon::{Daemon, free_port};
use crate::live::secure::Authority;
use crate::programs;

/// A name with every sign that means something to a file, as it is written in TOML.
const HOSTILE: &str = "A\\\"b' <c>&d; ]]>";

struct House {
    daemon: Daemon,
    folder: std::path::PathBuf,
    sip_tls: u16,
    web: u16,
}

/// A daemon that phones reach under TLS, by SIP and by HTTP; 1003 to 1006 are desk phones with XML files.
fn house() -> House {
    let authority = Authority::new();
    let [udp, sip_tls, web] = [free_port(), free_port(), free_port()];
    let folder = std::env::temp_dir().join(format!("tandem-prov-{}-{web}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("pbx.pem"), authority.certify(&["pbx.example.com", "127.0.0.1"]))
        .unwrap();
    std::fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
    let tandem = format!(
        "[tls]\ncertificates = [{:?}]\n[provisioning]\nlisten = [\"https:127.0.0.1:{web}\"]\n\
         url = \"https://pbx.example.com:{web}\"\nserver = \"127.0.0.1\"\ntransport = \"tls\"\ncodecs = [\"pcmu\"]\n",
        folder.join("pbx.pem").display().to_string()
    );
    let desk = |(number, brand): (u32, &str)| {
        format!(
            "[[phone]]\nextension = \"{number}\"\nname = \"{HOSTILE}\"\nsecret = \"plover-Q2w8e-{number}\"\n\
             brand = \"{brand}\"\nmac = \"00156500{number}\"\nkeys = [\"blf:1001:{HOSTILE}\"]\n"
        )
    };
    let desks = [(1003, "grandstream"), (1004, "fanvil"), (1005, "snom"), (1006, "alcatel")];
    // The two keys go to 1002, whose table is the last one that the daemon's own file has.
    let phones =
        format!("brand = \"yealink\"\nmac = \"001565abcdef\"\n{}", desks.map(desk).concat());
    let listen = [format!("udp:127.0.0.1:{udp}"), format!("tls:127.0.0.1:{sip_tls}")];
    let files = [("tandem.toml", tandem.as_str()), ("phones.toml", phones.as_str())];
    let daemon = Daemon::listening(programs(), udp, &listen, &files);
    House { daemon, folder, sip_tls, web }
}

impl House {
    fn curl(&self, url: &str) -> Vec<u8> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "20", "--cacert"])
            .arg(self.folder.join("ca.pem"))
            .args(["--resolve", &format!("pbx.example.com:{}:127.0.0.1", self.web)])
            .arg(url)
            .output()
            .expect("curl is needed");
        assert!(output.status.success(), "{url}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// The main file of a phone, by the address and the name that the operator is told.
    fn fetched(&self, extension: &str) -> Vec<u8> {
        let reply = self.daemon.ask(&["phone", "provision", extension]);
        let (url, file) = (reply["url"].as_str().unwrap(), reply["files"][0].as_str().unwrap());
        self.curl(&format!("{url}{}", file.replace("MODEL", "D735")))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// 1001 is set up from JSON, 1002 from a Yealink's file; both register by TLS and talk.
#[test]
fn baresip_talks_with_what_curl_fetched() {
    let house = house();
    let json: serde_json::Value = serde_json::from_slice(&house.fetched("1001")).unwrap();
    let text = String::from_utf8(house.fetched("1002")).unwrap();
    let file: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once(" = ")).collect();
    assert_eq!(file["account.1.sip_server.1.transport_type"], "2", "TLS");
    assert_eq!(file["account.1.outbound_proxy.1.port"], house.sip_tls.to_string());
    assert_eq!(json["server_port"], house.sip_tls);
    let word = |key: &str| json[key].as_str().unwrap().to_owned();
    let (user, password, server) = (word("auth_user"), word("password"), word("server"));
    let settings =
        format!("sip_cafile {}\nsip_verify_server yes\n", house.folder.join("ca.pem").display());
    let transport = format!(";transport={}", word("transport"));
    let way = Way {
        transport: &transport,
        settings: &settings,
        server: &server,
        ..Way::plain(house.sip_tls)
    };
    let bob = (file["account.1.auth_name"], file["account.1.password"]);
    let bob = start_by(&way, &house.daemon, bob, (660.0, STAYS + 6), "answermode=auto", None);
    house.daemon.wait_for("1002 to register", |daemon| {
        daemon.ask(&["phone", "show", "1002"])["is_registered"] == true
    });
    let dial = format!("/dial sip:1002@{server}:{}{transport}", house.sip_tls);
    let alice = (user.as_str(), password.as_str());
    let alice =
        start_by(&way, &house.daemon, alice, (440.0, STAYS), "answermode=manual", Some(&dial));
    assert_talked(&house.daemon, alice, bob);
}

/// Python's XML reader takes every vendor's file, with the name in it as it is.
#[test]
fn every_xml_file_is_xml_to_others() {
    let house = house();
    let script = "import sys, xml.etree.ElementTree as e\n\
                  root = e.fromstring(sys.stdin.buffer.read())\n\
                  texts = [n.text or '' for n in root.iter()] + [v for n in root.iter() for v in n.attrib.values()]\n\
                  print(root.tag, texts.count(sys.argv[1]))\n";
    for (extension, tag) in
        [("1003", "gs_provision"), ("1004", "sysConf"), ("1005", "settings"), ("1006", "settings")]
    {
        let file = house.fetched(extension);
        let mut python = Command::new("python3")
            .args(["-c", script, &HOSTILE.replace('\\', "")])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("python3 is needed");
        std::io::Write::write_all(&mut python.stdin.take().unwrap(), &file).unwrap();
        let output = python.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let count = said.trim().strip_prefix(tag).and_then(|rest| rest.trim().parse::<u32>().ok());
        // The display name and the key's label.
        assert!(count.is_some_and(|count| count >= 2), "{extension}: {said}");
    }
}
