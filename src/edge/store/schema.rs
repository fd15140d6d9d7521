//! The database's shape and how an older one becomes today's.

use rusqlite::Connection;

/// Each entry brings the database from its index to the next `user_version`. Entries are never
/// edited once released; a change is a new entry.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    call TEXT PRIMARY KEY,
    began INTEGER NOT NULL,
    direction TEXT NOT NULL,
    caller TEXT NOT NULL,
    called TEXT NOT NULL,
    trunk TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    call TEXT PRIMARY KEY,
    began INTEGER NOT NULL,
    answered INTEGER,
    ended INTEGER NOT NULL,
    talk_us INTEGER NOT NULL,
    direction TEXT NOT NULL,
    caller TEXT NOT NULL,
    called TEXT NOT NULL,
    trunk TEXT NOT NULL,
    cause TEXT NOT NULL,
    hung_up_by TEXT NOT NULL,
    segments TEXT NOT NULL,
    timeline TEXT NOT NULL,
    legs TEXT NOT NULL
) STRICT;
CREATE INDEX record_began ON record (began);
CREATE INDEX record_caller ON record (caller, began);
CREATE INDEX record_called ON record (called, began);

CREATE TABLE binding (
    aor TEXT NOT NULL,
    position INTEGER NOT NULL,
    contact TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    call_id TEXT NOT NULL,
    cseq INTEGER NOT NULL,
    path TEXT NOT NULL,
    instance TEXT,
    reg_id INTEGER,
    flow TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    q INTEGER NOT NULL,
    PRIMARY KEY (aor, position)
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE phone_token (
    extension TEXT PRIMARY KEY,
    mac TEXT,
    token TEXT NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE journal ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;
ALTER TABLE record ADD COLUMN withheld INTEGER NOT NULL DEFAULT 0;
",
    "
CREATE TABLE phone_service (
    extension TEXT PRIMARY KEY,
    dnd INTEGER NOT NULL,
    forward_all TEXT,
    forward_busy TEXT,
    forward_no_answer TEXT,
    reject_anonymous INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
CREATE TABLE recording (
    call TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    began INTEGER NOT NULL,
    ended INTEGER,
    seconds REAL NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT,
    state TEXT NOT NULL,
    lost_seconds INTEGER NOT NULL,
    late_packets INTEGER NOT NULL,
    error TEXT,
    deleted INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX recording_began ON recording (began);
CREATE INDEX recording_open ON recording (state) WHERE state = 'open';

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
",
];

/// The version that this daemon writes.
pub(super) fn version() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Brings the database to today's version and returns the one it had.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<u32> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (version, sql) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        // One transaction per step: a power cut leaves a whole version, never half of one.
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(found)
}
