//! What an operator sees and what a script gets: whole outputs and exit codes.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::table::{Table, Tone, cell, toned};
use super::*;
use crate::edge::command::reply::{CallDetail, DoctorReply, DoctorRow, LegRow, TimelineRow};
use crate::edge::command::{Command, CommandError, CommandRequest};
use crate::edge::config::load;
use crate::edge::control::{ControlServer, EventLog};
use crate::proto::time::Wall;

const NO_PAINT: Paint = Paint { is_on: false };

/// Runs a command line; the output, and the exit code or the error in words.
fn tandem(arguments: &[&str]) -> (String, Result<u8, (u8, String)>) {
    let line = std::iter::once("tandem").chain(arguments.iter().copied());
    let args = Args::try_parse_from(line).unwrap();
    let mut out = Out { to: Vec::new(), paint: NO_PAINT };
    let code = run::run(&args, &mut out).map_err(|error| (error.code(), error.to_string()));
    (String::from_utf8(out.to).unwrap(), code)
}

/// A daemon that answers as the closure says, on its own threads; gone after the test.
struct Daemon {
    dir: PathBuf,
    events: EventLog,
    _stop: watch::Sender<bool>,
    _runtime: tokio::runtime::Runtime,
}

impl Daemon {
    fn start(answer: fn(Command) -> Result<Value, CommandError>) -> Self {
        let name = format!("tandem-cli-{:016x}", crate::edge::entropy::seed().unwrap());
        let dir = std::env::temp_dir().join(name);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let guard = runtime.enter();
        let control = ControlServer::bind(&dir.join("s")).unwrap();
        let (sender, mut requests) = mpsc::channel::<CommandRequest>(4);
        let (stop, stopped) = watch::channel(false);
        let events = EventLog::new(Wall(1000));
        tokio::spawn(control.run(sender, events.clone(), stopped));
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let result = answer(request.command.clone());
                request.answer(result);
            }
        });
        drop(guard);
        Self { dir, events, _stop: stop, _runtime: runtime }
    }

    fn tandem(&self, arguments: &[&str]) -> (String, Result<u8, (u8, String)>) {
        let socket = self.dir.join("s");
        let mut line = vec!["--socket", socket.to_str().unwrap()];
        line.extend(arguments);
        tandem(&line)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn the_command_line_is_consistent() {
    Args::command().debug_assert();
    let (man, code) = tandem(&["man"]);
    assert!(man.contains(".TH tandem 1") && code == Ok(0));
    let (bash, code) = tandem(&["completions", "bash"]);
    assert!(bash.contains("_tandem()") && code == Ok(0));
    assert_eq!(tandem(&["reference"]), (crate::edge::config::reference(), Ok(0)));
}

#[test]
fn columns_align_whatever_the_script() {
    let mut table = Table::new(&["NAME", ">COUNT", "NOTE"]);
    table.row(vec![cell("王小明"), cell("5"), cell("x")]);
    table.row(vec![cell("Bob"), cell("12345"), cell("\u{1b}[31mred\n")]);
    table.row(vec![cell("Zoe\u{301}")]);
    assert_eq!(
        table.print(NO_PAINT, "-"),
        "NAME    COUNT  NOTE\n王小明      5  x\nBob     12345  ·[31mred·\nZoe\u{301}\n"
    );
    let mut table = Table::new(&["A"]);
    table.row(vec![toned("up", Tone::Good)]);
    let painted = table.print(Paint { is_on: true }, "-");
    assert_eq!(painted, "\u{1b}[1mA\u{1b}[0m\n\u{1b}[32mup\u{1b}[0m\n");
}

#[test]
fn spans_and_times_read_as_people_say_them() {
    let spans = [0.4, 7.0, 754.0, 3723.9, 273_600.0].map(time::span);
    assert_eq!(spans, ["0:00", "0:07", "12:34", "1:02:03", "3 d 4:00:00"]);
    let now = Wall(1_769_846_400_000_000);
    assert_eq!(time::ago("2026-01-31T07:59:30Z", now), "30 s ago");
    assert_eq!(time::ago("2026-01-31T07:00:00Z", now), "1 h ago");
    assert_eq!(time::parse("2h", now).unwrap(), "2026-01-31T06:00:00.000000Z");
    assert_eq!(time::parse("2026-01-31T08:00:00Z", now).unwrap(), "2026-01-31T08:00:00Z");
    assert!(time::parse("2026-01-31", now).unwrap().ends_with('Z'));
    for wrong in ["yesterday", "h", "", "五h", "2时"] {
        assert_eq!(time::parse(wrong, now).unwrap_err().code(), 2, "{wrong}");
    }
}

fn call_with_two_forks() -> CallDetail {
    let line = |at_us, leg: &str, what: &str, text: &str| TimelineRow {
        at_us,
        leg: leg.to_owned(),
        what: what.to_owned(),
        text: text.to_owned(),
    };
    let leg = |leg: &str, party: &str| LegRow {
        leg: leg.to_owned(),
        party: party.to_owned(),
        ..LegRow::default()
    };
    CallDetail {
        legs: vec![leg("a", "1001"), leg("b1", "1002"), leg("b2", "1002")],
        timeline: vec![
            line(0, "a", "sip.in", "INVITE"),
            line(900, "b1", "sip.out", "INVITE"),
            line(1100, "b2", "sip.out", "INVITE"),
            line(21_000, "b2", "sip.in", "180 Ringing"),
            line(22_000, "a", "sip.out", "180 Ringing"),
            line(2_100_000, "b2", "sip.in", "200 OK"),
            line(2_100_200, "", "call.answered", "by b2"),
            line(2_150_000, "a", "media.heard", "first audio from 127.0.0.1:4000"),
        ],
        ..CallDetail::default()
    }
}

#[test]
fn a_ladder_has_a_lane_for_each_leg() {
    let expected = "
            a: 1001                   Tandem                    b1: 1002                  b2: 1002
   0.000 s  │──────── INVITE ────────▶│                         │                         │
   0.001 s  │                         │──────── INVITE ────────▶│                         │
   0.001 s  │                         │─────────────────────────┼──────── INVITE ────────▶│
   0.021 s  │                         │◀────────────────────────┼────── 180 Ringing ──────│
   0.022 s  │◀───── 180 Ringing ──────│                         │                         │
   2.100 s  │                         │◀────────────────────────┼──────── 200 OK ─────────│
   2.100 s  │                         │ call.answered  by b2    │                         │
   2.150 s  │ media.heard  first audio from 127.0.0.1:4000      │                         │
";
    assert_eq!(format!("\n{}", ladder::ladder(&call_with_two_forks())), expected);
}

#[test]
fn without_a_daemon_it_says_what_to_do() {
    let (out, code) = tandem(&["--socket", "/nonexistent/control.sock", "calls"]);
    let error = "tandemd is not running? No socket at /nonexistent/control.sock.\n\
        Start it with `systemctl start tandemd`, or name its socket with --socket PATH.";
    assert_eq!((out.as_str(), code), ("", Err((2, error.to_owned()))));
}

#[test]
fn lists_are_tables_sentences_or_json() {
    let daemon = Daemon::start(|command| {
        Ok(match command {
            Command::Calls => json!([]),
            Command::Phones => json!([
                {"extension": "1001", "name": "Alice", "contacts": [{"uri": "sip:1001@10.0.0.5",
                    "transport": "udp", "from": "10.0.0.5:5060", "expires_in_seconds": 3599,
                    "user_agent": "Desk 7"}]},
                {"extension": "1002", "name": "王", "contacts": []},
            ]),
            _ => json!({}),
        })
    });
    assert_eq!(daemon.tandem(&["calls"]), ("No calls right now.\n".to_owned(), Ok(0)));
    assert_eq!(daemon.tandem(&["calls", "--json"]), ("[]\n".to_owned(), Ok(0)));
    let expected = "\
EXTENSION  NAME   STATE           FROM               EXPIRES  DEVICE  CONTACT
1001       Alice  registered      udp:10.0.0.5:5060   3599 s  Desk 7  sip:1001@10.0.0.5
1002       王     not registered
";
    assert_eq!(daemon.tandem(&["phones"]), (expected.to_owned(), Ok(0)));
    let (_, code) = daemon.tandem(&["status"]);
    assert!(code.unwrap_err().1.contains("of the same version?"));
}

#[test]
fn a_refusal_is_one_and_a_wrong_id_is_said() {
    let daemon = Daemon::start(|command| match command {
        Command::CallHangup { call } | Command::CallShow { call } => {
            Err(CommandError::NoSuchCall(call))
        }
        _ => Ok(json!({ "call": "00000000000000ab" })),
    });
    let no_call = "there is no call 00000000000000ab".to_owned();
    assert_eq!(daemon.tandem(&["call", "hangup", "ab"]).1, Err((1, no_call)));
    let (_, code) = daemon.tandem(&["call", "show", "xyz"]);
    assert_eq!(code, Err((1, "`call` must be up to 16 hex digits".to_owned())));
    let ringing = "Ringing 1001; the call is 00000000000000ab.\n".to_owned();
    assert_eq!(daemon.tandem(&["call", "originate", "1001", "1002"]), (ringing, Ok(0)));
}

#[test]
fn doctor_is_one_when_something_is_left_over() {
    fn reply(ports: u64) -> Value {
        let row = |name: &str, value, expected| DoctorRow { name: name.into(), value, expected };
        let rows = vec![row("calls", 0, None), row("media ports", ports, Some(0))];
        serde_json::to_value(DoctorReply { rows }).unwrap()
    }
    let expected = "\
WHAT         COUNT  SHOULD BE
calls            0  -
media ports      4          0
1 count is not what it should be.
";
    let expected = expected.replace("0  -\n", "0          -\n");
    assert_eq!(Daemon::start(|_| Ok(reply(4))).tandem(&["doctor"]), (expected, Ok(1)));
    let (out, code) = Daemon::start(|_| Ok(reply(0))).tandem(&["doctor"]);
    assert!(out.ends_with("Everything is as it should be.\n") && code == Ok(0), "{out}");
}

#[test]
fn a_refused_reload_shows_every_finding() {
    let daemon = Daemon::start(|_| {
        let missing = load(Path::new("/nonexistent")).unwrap_err();
        Err(CommandError::BadConfiguration(missing))
    });
    let (out, code) = daemon.tandem(&["reload", "--dry-run"]);
    let finding = "tandem.toml: error[missing-file]: there is no tandem.toml in /nonexistent\n  \
        help: see conf/ for a working one\n";
    assert_eq!(out, finding);
    let message = "the configuration has 1 error(s); the old one stays in force".to_owned();
    assert_eq!(code, Err((1, message)));
}

#[test]
fn a_reload_prints_its_plan() {
    let daemon = Daemon::start(|command| {
        assert_eq!(command, Command::Reload { is_dry_run: false });
        Ok(json!({ "is_applied": true, "revision": 2, "plan": {}, "warnings": [],
            "text": "+1 trunk (backup), 0 calls affected" }))
    });
    let expected = "+1 trunk (backup), 0 calls affected\nRevision 2 is in force.\n".to_owned();
    assert_eq!(daemon.tandem(&["reload"]), (expected, Ok(0)));
}

#[test]
fn events_end_where_the_present_begins() {
    let daemon = Daemon::start(|_| Ok(json!({})));
    assert_eq!(daemon.tandem(&["events"]), ("No events yet.\n".to_owned(), Ok(0)));
    for n in 0..60 {
        daemon.events.publish("call.began", &json!({ "call": "7f3a", "n": n, "who": "a b" }));
    }
    let (out, code) = daemon.tandem(&["events"]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!((lines.len(), code), (50, Ok(0)));
    assert!(lines[49].ends_with("  1060  call.began  call=7f3a n=59 who=\"a b\""), "{}", lines[49]);
    let (out, _) = daemon.tandem(&["events", "--since", "1058", "--json"]);
    let seqs: Vec<u64> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["params"]["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [1059, 1060]);
    let (out, _) = daemon.tandem(&["events", "--since", "500"]);
    assert!(out.starts_with("events 501 to 1000 are not kept any more\n"), "{out}");
}

#[test]
fn check_is_for_people_and_for_scripts() {
    let conf = concat!(env!("CARGO_MANIFEST_DIR"), "/conf");
    let (out, code) = tandem(&["check", conf]);
    assert!(out.ends_with(" is good: 2 phones, 0 trunks, 0 numbers, 0 routes.\n"), "{out}");
    assert_eq!(code, Ok(0));
    let (out, code) = tandem(&["check", "/nonexistent", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((report["errors"].as_u64(), code), (Some(1), Ok(1)));
    assert_eq!(report["diagnostics"][0]["rule"], "missing-file");
}

#[test]
fn a_call_and_its_records_are_shown_whole() {
    let daemon = Daemon::start(|command| {
        Ok(match command {
            Command::CallShow { .. } => serde_json::to_value(call_with_two_forks()).unwrap(),
            Command::Records(filter) => {
                assert_eq!((filter.limit, filter.caller.as_deref()), (3, Some("1001")));
                json!({ "records": [], "next_before": null })
            }
            _ => json!({}),
        })
    });
    let (out, code) = daemon.tandem(&["call", "show", "ab"]);
    assert!(out.contains("2.100 s  b2   sip.in         200 OK") && code == Ok(0), "{out}");
    let (out, _) = daemon.tandem(&["call", "show", "ab", "--ladder"]);
    assert_eq!(out, ladder::ladder(&call_with_two_forks()));
    let line = ["records", "--limit", "3", "--caller", "1001", "--since", "1d"];
    assert_eq!(daemon.tandem(&line), ("No records of such calls.\n".to_owned(), Ok(0)));
    assert_eq!(daemon.tandem(&["records", "--since", "soon"]).1.unwrap_err().0, 2);
}
