//! The log: a thread writes its lines, so that nobody who logs waits for who reads.
//!
//! Standard error is a pipe to journald or to a terminal. When its reader stops, a write to it blocks, and with it
//! would block the thread that all signalling lives on.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written. When it is full a line is dropped and counted, and the count is written as soon
/// as there is room.
const LINES_MAX: usize = 4_096;
/// Bytes that are written at once.
const BATCH: usize = 64 * 1024;
/// How long the end of the program waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

enum Entry {
    Line(Vec<u8>),
    /// Says when everything before it is written.
    Flush(SyncSender<()>),
}

/// Where the lines of the log go in.
#[derive(Clone, Debug)]
pub struct Log {
    lines: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

/// The end of the program: what was logged is written before it is dropped.
#[derive(Debug)]
pub struct Flush(SyncSender<Entry>);

/// Starts the thread that writes to `sink`; `is_json` says how a line of its own looks.
///
/// # Errors
/// When the system has no thread to give.
pub fn start(sink: impl Write + Send + 'static, is_json: bool) -> io::Result<(Log, Flush)> {
    let (lines, receiver) = sync_channel(LINES_MAX);
    let lost = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&lost);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        write_all(&receiver, &counter, sink, is_json);
    })?;
    Ok((Log { lines: lines.clone(), lost }, Flush(lines)))
}

/// Writes until the last [`Log`] is gone.
fn write_all(lines: &Receiver<Entry>, lost: &AtomicU64, mut sink: impl Write, is_json: bool) {
    let mut batch = Vec::new();
    while let Ok(first) = lines.recv() {
        let mut next = Some(first);
        let mut flushed = Vec::new();
        while let Some(entry) = next.take() {
            match entry {
                Entry::Line(line) => batch.extend_from_slice(&line),
                Entry::Flush(done) => flushed.push(done),
            }
            if batch.len() < BATCH {
                next = lines.try_recv().ok();
            }
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let words = "lines of the log are lost: they came faster than they are read";
            let _ = if is_json {
                writeln!(batch, r#"{{"level":"WARN","fields":{{"message":"{lost} {words}"}}}}"#)
            } else {
                writeln!(batch, "WARN {lost} {words}")
            };
        }
        // A reader that is gone is nobody's to tell.
        let _ = sink.write_all(&batch).and_then(|()| sink.flush());
        batch.clear();
        for done in flushed {
            let _ = done.try_send(());
        }
    }
}

impl Write for Log {
    /// Takes a whole line, always.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Entry::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, is_done) = sync_channel(1);
        // When the log is full its reader does not read: there is nobody to wait for.
        if self.0.try_send(Entry::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(LAST_WORDS);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Keeps what is written; each write waits for a word when there is somebody to give it.
    struct Sink {
        kept: Arc<Mutex<Vec<u8>>>,
        begun: SyncSender<()>,
        go: Option<Receiver<()>>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.begun.try_send(());
            if let Some(go) = &self.go {
                let _ = go.recv();
            }
            self.kept.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_is_written_before_the_end() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (begun, _ignored) = sync_channel(8);
        let (mut log, flush) =
            start(Sink { kept: Arc::clone(&kept), begun, go: None }, false).unwrap();
        let mut expected = String::new();
        for n in 0..1_000 {
            let line = format!("line {n}\n");
            log.write_all(line.as_bytes()).unwrap();
            expected.push_str(&line);
        }
        drop(flush);
        assert_eq!(String::from_utf8(kept.lock().unwrap().clone()).unwrap(), expected);
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_stops_nobody() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (begun, has_begun) = sync_channel(8);
        let (open, go) = sync_channel(8);
        let sink = Sink { kept: Arc::clone(&kept), begun, go: Some(go) };
        let (mut log, flush) = start(sink, false).unwrap();
        log.write_all(b"first\n").unwrap();
        has_begun.recv().unwrap();
        for _ in 0..LINES_MAX + 7 {
            log.write_all(b"more\n").unwrap();
        }
        open.send(()).unwrap();
        has_begun.recv().unwrap();
        open.send(()).unwrap();
        drop(flush);
        let text = String::from_utf8(kept.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("first\nmore\n"), "{text}");
        assert!(text.contains("WARN 7 lines of the log are lost"), "{text}");
        assert_eq!(text.lines().filter(|line| *line == "more").count(), LINES_MAX);
    }
}
