//! The shipped profiles of carriers, each read from its file: what a call by such a trunk says, header by header, and
//! what is read of one that comes by it.

use std::path::{Path, PathBuf};

use tandem::edge::config::load;
use tandem::switch::snapshot::Snapshot;

use crate::sim::office::CARRIER;
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::sdp::{Codec, OPUS, PCMA, PCMU};
use crate::sim::text::Text;
use crate::sim::world::{PhoneId, World};

/// What names somebody, and what says how; anything else is the same for every trunk.
const TOLD: [&str; 11] = [
    "From",
    "To",
    "Contact",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Privacy",
    "Diversion",
    "History-Info",
    "Referred-By",
    "User-to-User",
];

/// A folder with a configuration; gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(profile: &str, trunk: &str) -> Self {
        let name = format!("tandem-profiles-{profile}-{}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        let _ = std::fs::remove_dir_all(&folder.0);
        std::fs::create_dir_all(folder.0.join("profiles")).unwrap();
        let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/profiles");
        for entry in std::fs::read_dir(conf).unwrap() {
            let from = entry.unwrap().path();
            let to = folder.0.join("profiles").join(from.file_name().unwrap());
            std::fs::copy(from, to).unwrap();
        }
        let dial = "country_code = \"86\"\nmobile = [\"13\"]\nallow = [\"local\", \"national\", \
             \"mobile\", \"international\"]\n";
        let phone = |extension: &str, name: &str| {
            format!(
                "[[phone]]\nextension = \"{extension}\"\nname = \"{name}\"\nsecret = \"secret-{extension}\"\n"
            )
        };
        let (number, other) = ("+862012345678", "+862011112222");
        let route = |name: &str, pattern: &str, rewrite: &str| {
            format!(
                "[[route]]\nname = \"{name}\"\nmatch = '{pattern}'\ntrunks = [\"carrier\"]\nrewrite = \"{rewrite}\"\n"
            )
        };
        for (file, text) in [
            (
                "tandem.toml",
                format!(
                    "[sip]\nlisten = [\"udp:0.0.0.0:5060\", \"tcp:0.0.0.0:5060\"]\n[dial]\n{dial}"
                ),
            ),
            ("phones.toml", phone("1001", "Alice") + &phone("1002", "Bob")),
            (
                "trunks.toml",
                format!("[[trunk]]\nname = \"carrier\"\nprofile = \"{profile}\"\n{trunk}"),
            ),
            (
                "numbers.toml",
                format!(
                    "[[number]]\nnumber = \"{number}\"\ntrunk = \"carrier\"\nto = \"phone:1002\"\n\
                     [[number]]\nnumber = \"{other}\"\ntrunk = \"carrier\"\nto = \"phone:1001\"\n"
                ),
            ),
            ("routes.toml", route("abroad", "^00(.+)$", "+$1") + &route("out", "^0(.+)$", "+86$1")),
        ] {
            std::fs::write(folder.0.join(file), text).unwrap();
        }
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const PEER: &str = "mode = \"peer\"\npeers = [\"203.0.113.10:5060\"]\nprobe_seconds = 0\n";

fn snapshot(profile: &str, keys: &str) -> Snapshot {
    let folder = Folder::new(profile, keys);
    load(&folder.0).unwrap_or_else(|list| panic!("{list:#?}")).snapshot
}

/// The start line and what names somebody, without tags.
fn said(text: &Text) -> String {
    let mut out = format!("  {}\n", text.start);
    for name in TOLD {
        for value in text.all(name) {
            let value = value.split(";tag=").next().unwrap();
            out += &format!("  {name}: {value}\n");
        }
    }
    out
}

fn out_by(w: &mut World, a: PhoneId, carrier: PhoneId, number: &str, headers: &str) -> String {
    let before = w[carrier].requests("INVITE").len();
    w.dial_with(a, number, &Body::Auto, headers);
    w.run_for(500);
    let text = said(w[carrier].requests("INVITE")[before]);
    w.hang_up(a);
    w.run_for(40_000);
    text
}

/// The caller and the called number as this carrier writes them.
struct Form {
    caller: &'static str,
    called: &'static str,
    headers: &'static str,
}

/// Calls out: a mobile number, one abroad, one withheld, one that a phone forwards; and a call in.
fn story(profile: &str, keys: &str, form: &Form) -> String {
    let mut w = World::new(snapshot(profile, keys));
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    let carrier = w.party("carrier", CARRIER);
    w[carrier].habits.on_invite = vec![(20, ring()), (100, ok())];
    w[carrier].habits.on_method = vec![("REGISTER", Reply::status(200))];
    let mut text = String::new();
    for (title, number, headers) in [
        ("mobile", "013800138000", ""),
        ("same area", "02087654321", ""),
        ("abroad", "00442079460000", ""),
        ("help", "110", ""),
        ("withheld", "013800138000", "Privacy: id\r\n"),
    ] {
        text += &format!("{title}:\n{}", out_by(&mut w, a, carrier, number, headers));
    }
    w[b].habits.on_invite = vec![(20, Reply::status(302).contact("<sip:013800138000@tandem>"))];
    text += &format!("forwarded by 1002:\n{}", out_by(&mut w, a, carrier, "1002", ""));
    // And a call in.
    w[b].habits.on_invite = vec![(20, ok())];
    w[carrier].user = form.caller.into();
    w.dial_with(carrier, form.called, &Body::Auto, form.headers);
    w.run_for(500);
    text += &format!("call in:\n{}", said(w[b].requests("INVITE").last().unwrap()));
    let connected = w[carrier].response(200).map(|ok| ok.get("P-Asserted-Identity").to_owned());
    text += &format!("  answered: {}\n", connected.unwrap_or_default());
    w.hang_up(carrier);
    w.assert_empty();
    let began = &w.records.last().unwrap().began;
    text + &format!("  record: {} -> {}\n", began.caller, began.called)
}

const E164: Form = Form {
    caller: "anonymous",
    called: "+862012345678",
    headers: "P-Asserted-Identity: \"Carol\" <sip:+862087654321@carrier.example;user=phone>\r\n",
};

fn caller_id(more: &str) -> String {
    format!("{PEER}caller_id = \"+862012345678\"\n{more}")
}

#[test]
fn generic() {
    let form = Form { caller: "02087654321", called: "862012345678", headers: E164.headers };
    insta::assert_snapshot!(story("generic", &caller_id(""), &form));
}

#[test]
fn e164_pai() {
    insta::assert_snapshot!(story("e164-pai", &caller_id(""), &E164));
}

#[test]
fn e164_history() {
    insta::assert_snapshot!(story("e164-history", &caller_id(""), &E164));
}

#[test]
fn e164_rpid() {
    let headers = "Remote-Party-ID: \"Carol\" <sip:+862087654321@x>;party=calling;screen=yes\r\n";
    let form = Form { headers, ..E164 };
    insta::assert_snapshot!(story("e164-rpid", &caller_id(""), &form));
}

#[test]
fn national_from() {
    let form = Form { caller: "02087654321", called: "02012345678", headers: E164.headers };
    insta::assert_snapshot!(story("national-from", &caller_id(""), &form));
}

#[test]
fn cn_gateway() {
    let form = Form { caller: "013800138000", called: "12345678", headers: "" };
    let keys = caller_id("area_code = \"020\"\n");
    insta::assert_snapshot!(story("cn-gateway", &keys, &form));
}

#[test]
fn sipgate_trunking() {
    let form = Form { caller: "862087654321", called: "862012345678", headers: "" };
    let keys = "mode = \"register\"\npeers = [\"203.0.113.10:5060\"]\nuser = \"1234567t0\"\n\
         secret = \"a long random word\"\nregistrar = \"sipconnect.sipgate.de\"\ncaller_id = \"+862012345678\"\n";
    insta::assert_snapshot!(story("sipgate-trunking", keys, &form));
}

#[test]
fn telnyx() {
    insta::assert_snapshot!(story("telnyx", &caller_id(""), &E164));
}

#[test]
fn twilio() {
    let form = Form { caller: "+862087654321", ..E164 };
    insta::assert_snapshot!(story("twilio", &caller_id(""), &form));
}

/// Every file that is shipped is one of the tests above.
#[test]
fn every_shipped_profile_has_a_test() {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/profiles");
    let tests = include_str!("profiles.rs");
    for entry in std::fs::read_dir(conf).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".toml").unwrap().to_owned();
        assert!(tests.contains(&format!("story(\"{name}\"")), "{name}");
    }
}

#[test]
fn a_trunks_own_keys_win_over_its_profile() {
    let own = "trust = \"none\"\nidentity = []\ncalled_prefix = \"9\"\n";
    let snapshot = snapshot("e164-pai", &caller_id(own));
    let dialect = &snapshot.trunks[0].dialect;
    assert!(dialect.identity.is_empty() && !dialect.trust.outward && dialect.user_phone);
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    w[carrier].habits.on_invite = vec![(20, ok())];
    let text = out_by(&mut w, a, carrier, "013800138000", "");
    assert_eq!(
        text,
        "  INVITE sip:9+8613800138000@203.0.113.10:5060 SIP/2.0\n  \
         From: \"Alice\" <sip:+862012345678@198.51.100.1;user=phone>\n  \
         To: <sip:9+8613800138000@203.0.113.10:5060>\n  Contact: <sip:+862012345678@198.51.100.1:5060>\n"
    );
    w.assert_empty();
}

/// What the trunk is offered is what its codecs say, as far as the phone has them; what it chooses is heard.
#[test]
fn a_trunk_is_offered_its_codecs_in_its_order() {
    const G729: Codec = (18, "G729/8000");
    for (codecs, expected) in [
        ("[]", "0 8 18"),
        ("[\"PCMA\", \"PCMU\"]", "8 0"),
        ("[\"g729\"]", "18"),
        // Nothing of it: it is made of what there is.
        ("[\"opus\"]", "111"),
        // And if that cannot be, the trunk decides over what there is.
        ("[\"gsm\"]", "0 8 18"),
    ] {
        let mut w = World::new(snapshot("generic", &caller_id(&format!("codecs = {codecs}\n"))));
        let a = w.phone("1001");
        let carrier = w.party("carrier", CARRIER);
        w[a].codecs = vec![PCMU, PCMA, G729];
        w[carrier].codecs = vec![PCMU, PCMA, G729, OPUS];
        w[carrier].habits.on_invite = vec![(20, ok())];
        w.dial(a, "013800138000");
        w.run_for(500);
        let offer = w[carrier].requests("INVITE")[0].body.clone();
        let line = offer.lines().find(|line| line.starts_with("m=audio")).unwrap();
        assert!(line.ends_with(&format!("RTP/AVP {expected}")), "{codecs}: {line}");
        assert_eq!(crate::scene::heard(&w), (true, true), "{codecs}");
        w.hang_up(a);
        w.assert_empty();
    }
}

#[test]
fn a_trunk_that_wants_no_session_timer_is_asked_for_none() {
    for (wants, expected) in [(true, true), (false, false)] {
        let keys = caller_id(&format!("session_timers = {wants}\n"));
        let mut w = World::new(snapshot("generic", &keys));
        let a = w.phone("1001");
        let carrier = w.party("carrier", CARRIER);
        w[carrier].habits.on_invite = vec![(20, ok())];
        w.dial(a, "013800138000");
        w.run_for(200);
        assert_eq!(w[carrier].requests("INVITE")[0].has("Session-Expires"), expected);
        w.hang_up(a);
        w.assert_empty();
    }
}
