//! What is on disk after a crash, and what is not there twice.

use std::net::SocketAddr;

use super::*;
use crate::edge::command::reply;
use crate::switch::cause;
use crate::switch::cdr::record::{
    Direction, HungUpBy, LegRecord, Segment, SegmentKind, TimelineEntry,
};
use crate::switch::services::PhoneServices;

const SOON: Duration = Duration::from_secs(30);

/// A directory that is gone after the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let name = format!("tandem-store-{:016x}", crate::edge::entropy::seed().unwrap());
        Self(std::env::temp_dir().join(name))
    }

    /// What a power cut leaves: the files as they are while the daemon runs.
    fn after_a_crash(&self) -> Self {
        let copy = Self::new();
        std::fs::create_dir_all(&copy.0).unwrap();
        for name in [DATABASE, "tandem.db-wal"] {
            let _ = std::fs::copy(self.0.join(name), copy.0.join(name));
        }
        copy
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn began(call: u64) -> Began {
    Began {
        call: CallId(call),
        at: Wall(1_750_000_000_000_000 + i64::try_from(call).unwrap() * 1_000_000),
        direction: Direction::Outbound,
        caller: "1001".to_owned(),
        is_withheld: call % 2 == 1,
        called: format!("0{call}"),
        trunk: "carrier".to_owned(),
    }
}

fn record(call: u64) -> Box<Record> {
    let segment = |kind, from, until| Segment {
        kind,
        from: Duration::from_secs(from),
        until: Duration::from_secs(until),
    };
    let began = began(call);
    Box::new(Record {
        answered: Some(began.at.plus(Duration::from_secs(2))),
        ended: began.at.plus(Duration::from_secs(12)),
        began,
        cause: &cause::NORMAL,
        hung_up_by: HungUpBy::Called,
        segments: vec![segment(SegmentKind::Ring, 0, 2), segment(SegmentKind::Talk, 2, 12)],
        timeline: vec![TimelineEntry {
            at: Duration::from_millis(5),
            leg: "b1".to_owned(),
            what: "sip.out",
            text: "INVITE".to_owned(),
        }],
        legs: vec![LegRecord {
            leg: "a".to_owned(),
            party: "1001".to_owned(),
            signalling: Some(SocketAddr::from(([127, 0, 0, 1], 5060))),
            status: 200,
            packets_in: 500,
            jitter_ms: 1.5,
            ..LegRecord::default()
        }],
    })
}

fn binding(contact: &str) -> StoredBinding {
    StoredBinding {
        contact: contact.to_owned(),
        expires_at: Wall(5),
        call_id: "c".to_owned(),
        cseq: u32::MAX,
        path: vec!["<sip:p;lr>".to_owned()],
        instance: Some("<urn:uuid:1>".to_owned()),
        reg_id: Some(1),
        flow: "udp 127.0.0.1:5060".to_owned(),
        user_agent: "phone".to_owned(),
        q: 1000,
    }
}

fn all(store: &Store) -> Vec<RecordRow> {
    store.records(&RecordFilter { limit: 1000, ..RecordFilter::default() }).unwrap()
}

/// The state of the files at the moment of a `kill -9`, with 60 of 100 calls live.
#[test]
fn a_crash_leaves_one_record_for_each_of_a_hundred_calls() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    (0..100).for_each(|call| store.call_began(began(call)).unwrap());
    store.flush(SOON).unwrap();
    (0..40).for_each(|call| store.call_ended(record(call)).unwrap());
    store.flush(SOON).unwrap();
    assert_eq!(store.stats().journal, 60);

    let crashed = dir.after_a_crash();
    let store = Store::open(&crashed.0).unwrap();
    assert_eq!(store.stats().recovered, 60);
    let rows = all(&store);
    let count = |cause: &str| rows.iter().filter(|row| row.cause == cause).count();
    assert_eq!((rows.len(), count("normal"), count("system_error")), (100, 40, 60));
    let withheld =
        |call: u64| rows.iter().find(|row| row.call == CallId(call).to_string()).unwrap().withheld;
    assert_eq!([38, 39, 98, 99].map(withheld), [false, true, false, true]);
    let cut = store.record(CallId(99)).unwrap().unwrap();
    assert_eq!(cut.hung_up_by.as_deref(), Some("system"));
    let ended = reply::parse_rfc3339(cut.ended.as_deref().unwrap()).unwrap();
    assert!(ended > began(99).at, "it ends when the daemon was last known to live");
    let span = u64::try_from(ended.0 - began(99).at.0).unwrap();
    assert_eq!(cut.segments.iter().map(|s| s.until_us - s.from_us).sum::<u64>(), span);

    // A second crash right after adds nothing.
    drop(store);
    let store = Store::open(&crashed.0).unwrap();
    assert_eq!((all(&store).len(), store.stats().recovered), (100, 0));
}

/// The directory of the process that is going to be killed.
const VICTIM: &str = "TANDEM_STORE_VICTIM";

/// Not a test by itself: what the killed process does. It says when the first 61 of 100 calls have
/// ended on disk, and goes on with the others until it dies.
#[test]
fn the_process_that_is_killed() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let store = Store::open(Path::new(&dir)).unwrap();
    (0..100).for_each(|call| store.call_began(began(call)).unwrap());
    (0..40).for_each(|call| store.call_ended(record(call)).unwrap());
    store.flush(SOON).unwrap();
    for call in (40..90).cycle() {
        store.call_ended(record(call)).unwrap();
        store.bindings_set("1001".to_owned(), vec![binding("sip:a")]).unwrap();
        store.flush(SOON).unwrap();
        if call == 60 {
            println!("\nready");
        }
    }
}

#[test]
fn kill_9_leaves_one_record_for_each_of_a_hundred_calls() {
    use std::io::BufRead as _;
    let dir = Dir::new();
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["edge::store::tests::the_process_that_is_killed", "--exact", "--nocapture"])
        .env(VICTIM, &dir.0)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(victim.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "ready"));
    victim.kill().unwrap();
    victim.wait().unwrap();

    let store = Store::open(&dir.0).unwrap();
    let rows = all(&store);
    let normal = rows.iter().filter(|row| row.cause == "normal").count();
    let cut = rows.iter().filter(|row| row.cause == "system_error").count();
    println!("{normal} finished, {cut} cut off");
    assert_eq!((rows.len(), normal + cut), (100, 100));
    assert!((61..=90).contains(&normal), "{normal}");
    let calls: std::collections::HashSet<_> = rows.iter().map(|row| &row.call).collect();
    assert_eq!(calls.len(), 100);
}

#[test]
fn a_record_comes_back_whole() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    store.call_began(began(7)).unwrap();
    store.call_ended(record(7)).unwrap();
    store.flush(SOON).unwrap();
    let detail = store.record(CallId(7)).unwrap().unwrap();
    let whole = record(7);
    assert_eq!(all(&store), [RecordRow::from(&*whole)]);
    assert_eq!(detail.segments, whole.segments.iter().map(Into::into).collect::<Vec<_>>());
    assert_eq!(detail.timeline, whole.timeline.iter().map(Into::into).collect::<Vec<_>>());
    assert_eq!(detail.legs, whole.legs.iter().map(Into::into).collect::<Vec<_>>());
    assert_eq!(detail.call.duration_seconds, 12.0);
    assert_eq!(store.record(CallId(8)).unwrap(), None);
}

#[test]
fn the_first_record_of_a_call_wins() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    store.call_ended(record(1)).unwrap();
    store.call_ended(Box::new(Record { cause: &cause::INTERNAL, ..*record(1) })).unwrap();
    store.flush(SOON).unwrap();
    let causes: Vec<_> = all(&store).into_iter().map(|row| row.cause).collect();
    assert_eq!(causes, ["normal"]);
}

#[test]
fn bindings_of_a_phone_are_replaced_and_survive() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    store.bindings_set("1001".to_owned(), vec![binding("sip:a"), binding("sip:b")]).unwrap();
    store.bindings_set("1002".to_owned(), vec![binding("sip:c")]).unwrap();
    store.bindings_set("1001".to_owned(), vec![binding("sip:d")]).unwrap();
    store.bindings_set("1002".to_owned(), Vec::new()).unwrap();
    store.close(SOON).unwrap();
    drop(store);
    let store = Store::open(&dir.0).unwrap();
    let expected = HashMap::from([("1001".to_owned(), vec![binding("sip:d")])]);
    assert_eq!(store.load_bindings().unwrap(), expected);
}

#[test]
fn records_are_filtered_and_paged_newest_first() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    (0..20).for_each(|call| store.call_ended(record(call)).unwrap());
    store.flush(SOON).unwrap();
    let called = |filter: RecordFilter| -> Vec<String> {
        store.records(&filter).unwrap().into_iter().map(|row| row.called).collect()
    };
    let filter = RecordFilter { limit: 3, ..RecordFilter::default() };
    assert_eq!(called(filter.clone()), ["019", "018", "017"]);
    let next = RecordFilter { before: Some(began(17).at), ..filter.clone() };
    assert_eq!(called(next), ["016", "015", "014"]);
    let ones = RecordFilter { called: Some("01".into()), since: Some(began(18).at), ..filter };
    assert_eq!(called(ones), ["019", "018"]);
    let none = RecordFilter { caller: Some("2%".to_owned()), ..RecordFilter::default() };
    assert_eq!(called(none), Vec::<String>::new());
}

#[test]
fn what_the_queue_cannot_hold_is_spilled_in_order_and_nothing_is_lost() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    // A reader's lock on the whole file stops the writer, as a stalled disk would.
    let blocker = Connection::open(dir.0.join(DATABASE)).unwrap();
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let count = 2 * queue::QUEUE_MAX as u64 + 2000;
    (0..count).for_each(|call| store.call_ended(record(call)).unwrap());
    for round in 0..100 {
        store.bindings_set("1001".to_owned(), vec![binding(&format!("sip:{round}"))]).unwrap();
    }
    let stats = store.stats();
    // Beside a full queue the writer may hold a batch and what came while it emptied the queue.
    assert!(stats.spilled > 1000 && stats.spilled < 2002 + queue::QUEUE_MAX as u64, "{stats:?}");
    blocker.execute_batch("COMMIT").unwrap();
    store.flush(SOON).unwrap();
    let stats = store.stats();
    assert_eq!((stats.queued, stats.lost), (0, 0), "{stats:?}");
    assert_eq!(store.load_bindings().unwrap()["1001"][0].contact, "sip:99");
    let rows: u32 = blocker.query_row("SELECT count(*) FROM record", [], |row| row.get(0)).unwrap();
    assert_eq!(u64::from(rows), count);
}

#[test]
fn a_state_directory_serves_one_daemon() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    assert!(matches!(Store::open(&dir.0), Err(StoreError::InUse(_))));
    drop(store);
    Store::open(&dir.0).unwrap();
}

#[test]
fn a_database_of_a_newer_daemon_is_left_alone() {
    let dir = Dir::new();
    drop(Store::open(&dir.0).unwrap());
    let raw = Connection::open(dir.0.join(DATABASE)).unwrap();
    raw.pragma_update(None, "user_version", 99).unwrap();
    let error = Store::open(&dir.0).unwrap_err();
    assert!(matches!(error, StoreError::TooNew { found: 99, known: 5 }), "{error}");
}

/// Records of a daemon that did not know of withheld callers say that none was.
#[test]
fn a_database_of_an_older_daemon_is_brought_up_to_date() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    store.call_ended(record(1)).unwrap();
    store.flush(SOON).unwrap();
    drop(store);
    let raw = Connection::open(dir.0.join(DATABASE)).unwrap();
    for table in ["journal", "record"] {
        raw.execute_batch(&format!("ALTER TABLE {table} DROP COLUMN withheld")).unwrap();
    }
    raw.execute_batch("DROP TABLE phone_service; DROP TABLE recording; DROP TABLE audit").unwrap();
    raw.pragma_update(None, "user_version", 2).unwrap();
    drop(raw);
    let store = Store::open(&dir.0).unwrap();
    assert!(!all(&store)[0].withheld);
    store.call_ended(record(3)).unwrap();
    store.flush(SOON).unwrap();
    assert!(all(&store)[0].withheld);
}

/// A figure to look at with `--release --no-capture`.
#[test]
fn batches_make_an_insert_cheap() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    let clock = crate::edge::clock::Clock::start();
    let count = 20_000_u64;
    for call in 0..count {
        store.call_began(began(call)).unwrap();
        store.call_ended(record(call)).unwrap();
    }
    store.flush(SOON).unwrap();
    let took = clock.now().since(crate::proto::time::Instant::START);
    let stats = store.stats();
    println!("{count} calls in {took:?}, {} batches, {} spilled", stats.batches, stats.spilled);
    assert_eq!((stats.written, stats.lost, stats.journal), (2 * count, 0, 0));
    assert!(stats.batches < count / 100, "{stats:?}");
}

#[test]
fn a_phones_token_survives_a_crash_and_a_void_one_does_not() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    let token = |mac: Option<&str>, token: &str| StoredToken {
        mac: mac.map(str::to_owned),
        token: token.to_owned(),
    };
    store.token_set("1001".to_owned(), Some(token(Some("001565abcdef"), "first"))).unwrap();
    store.token_set("1001".to_owned(), Some(token(None, "second"))).unwrap();
    store.token_set("1002".to_owned(), Some(token(None, "other"))).unwrap();
    store.token_set("1002".to_owned(), None).unwrap();
    store.flush(SOON).unwrap();
    let copy = dir.after_a_crash();
    let again = Store::open(&copy.0).unwrap();
    let tokens = again.load_tokens().unwrap();
    assert_eq!(tokens, HashMap::from([("1001".to_owned(), token(None, "second"))]));
}

#[test]
fn what_a_phone_has_switched_on_survives_a_crash() {
    let dir = Dir::new();
    let store = Store::open(&dir.0).unwrap();
    let on = PhoneServices {
        dnd: true,
        forward_busy: Some("+8613800138000".to_owned()),
        ..PhoneServices::default()
    };
    store.services_set("1001".to_owned(), PhoneServices::default()).unwrap();
    store.services_set("1001".to_owned(), on.clone()).unwrap();
    store.services_set("1002".to_owned(), on.clone()).unwrap();
    store.services_set("1002".to_owned(), PhoneServices::default()).unwrap();
    store.flush(SOON).unwrap();
    let copy = dir.after_a_crash();
    let again = Store::open(&copy.0).unwrap();
    assert_eq!(again.load_services().unwrap(), HashMap::from([("1001".to_owned(), on)]));
}
