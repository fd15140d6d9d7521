//! Questions to the database, on a connection that cannot write.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::de::DeserializeOwned;

use super::{StoreError, StoredBinding};
use crate::edge::command::reply::{
    CallDetail, CallRow, RecordRow, TimelineRow, rfc3339, seconds_between,
};
use crate::edge::provisioning::StoredToken;
use crate::proto::time::Wall;
use crate::switch::cdr::record::{CallId, VERDICT};
use crate::switch::services::PhoneServices;

/// Records in one answer, whatever is asked for: an answer is one line of the control protocol.
pub(super) const RECORDS_MAX: usize = 1000;

/// Which records; all conditions hold together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordFilter {
    /// At most this many, and at most 1000.
    pub limit: usize,
    /// Began before this time: the next page of a longer list.
    pub before: Option<Wall>,
    /// Began at this time or later.
    pub since: Option<Wall>,
    /// The caller contains this text.
    pub caller: Option<String>,
    /// The called number contains this text.
    pub called: Option<String>,
}

impl Default for RecordFilter {
    fn default() -> Self {
        Self { limit: 50, before: None, since: None, caller: None, called: None }
    }
}

const COLUMNS: &str = "call, began, answered, ended, talk_us, direction, caller, called, trunk,
    cause, hung_up_by, withheld";

pub(super) fn records(
    connection: &Connection,
    filter: &RecordFilter,
) -> Result<Vec<RecordRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM record
         WHERE began < ?1 AND began >= ?2
           AND (?3 IS NULL OR instr(caller, ?3) > 0) AND (?4 IS NULL OR instr(called, ?4) > 0)
         ORDER BY began DESC, call LIMIT ?5"
    );
    let mut select = connection.prepare_cached(&sql)?;
    let rows = select.query_map(
        params![
            filter.before.map_or(i64::MAX, |at| at.0),
            filter.since.map_or(i64::MIN, |at| at.0),
            filter.caller,
            filter.called,
            i64::try_from(filter.limit.min(RECORDS_MAX)).unwrap_or(0),
        ],
        head,
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn head(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    let (began, ended) = (Wall(row.get(1)?), Wall(row.get(3)?));
    let talk_us = u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0);
    Ok(RecordRow {
        call: row.get(0)?,
        direction: row.get(5)?,
        caller: row.get(6)?,
        called: row.get(7)?,
        trunk: row.get(8)?,
        began: rfc3339(began),
        answered: row.get::<_, Option<i64>>(2)?.map(|at| rfc3339(Wall(at))),
        ended: rfc3339(ended),
        duration_seconds: seconds_between(began, ended),
        talk_seconds: Duration::from_micros(talk_us).as_secs_f64(),
        cause: row.get(9)?,
        hung_up_by: row.get(10)?,
        withheld: row.get(11)?,
    })
}

pub(super) fn record(
    connection: &Connection,
    call: CallId,
) -> Result<Option<CallDetail>, StoreError> {
    let sql = format!("SELECT {COLUMNS}, segments, timeline, legs FROM record WHERE call = ?1");
    let found = connection
        .prepare_cached(&sql)?
        .query_row([call.to_string()], |row| {
            let texts: [String; 3] = [row.get(12)?, row.get(13)?, row.get(14)?];
            Ok((head(row)?, texts))
        })
        .optional()?;
    let Some((head, [segments, timeline, legs])) = found else { return Ok(None) };
    let timeline: Vec<TimelineRow> = json(&timeline)?;
    let verdict = timeline.iter().rev().find(|row| row.what == VERDICT);
    Ok(Some(CallDetail {
        audio: verdict.map(|row| row.text.clone()),
        call: CallRow {
            id: head.call,
            direction: head.direction,
            caller: head.caller,
            withheld: head.withheld,
            called: head.called,
            trunk: head.trunk,
            state: "ended".to_owned(),
            began: head.began,
            answered: head.answered,
            duration_seconds: head.duration_seconds,
            recording: String::new(),
        },
        recording: None,
        ended: Some(head.ended),
        cause: Some(head.cause),
        hung_up_by: Some(head.hung_up_by),
        segments: json(&segments)?,
        timeline,
        legs: json(&legs)?,
    }))
}

pub(super) fn bindings(
    connection: &Connection,
) -> Result<HashMap<String, Vec<StoredBinding>>, StoreError> {
    let mut select = connection.prepare(
        "SELECT aor, contact, expires_at, call_id, cseq, path, instance, reg_id, flow, user_agent,
            q FROM binding ORDER BY aor, position",
    )?;
    let mut rows = select.query([])?;
    let mut found: HashMap<String, Vec<StoredBinding>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let binding = StoredBinding {
            contact: row.get(1)?,
            expires_at: Wall(row.get(2)?),
            call_id: row.get(3)?,
            cseq: row.get(4)?,
            path: json(&row.get::<_, String>(5)?)?,
            instance: row.get(6)?,
            reg_id: row.get(7)?,
            flow: row.get(8)?,
            user_agent: row.get(9)?,
            q: row.get(10)?,
        };
        found.entry(row.get(0)?).or_default().push(binding);
    }
    Ok(found)
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// The tokens of phones.
pub(super) fn tokens(connection: &Connection) -> Result<HashMap<String, StoredToken>, StoreError> {
    let mut select = connection.prepare("SELECT extension, mac, token FROM phone_token")?;
    let rows = select.query_map([], |row| {
        Ok((row.get(0)?, StoredToken { mac: row.get(1)?, token: row.get(2)? }))
    })?;
    rows.map(|row| row.map_err(StoreError::from)).collect()
}

/// What phones have switched on.
pub(super) fn services(
    connection: &Connection,
) -> Result<HashMap<String, PhoneServices>, StoreError> {
    let mut select = connection.prepare(
        "SELECT extension, dnd, forward_all, forward_busy, forward_no_answer, reject_anonymous
         FROM phone_service",
    )?;
    let rows = select.query_map([], |row| {
        let services = PhoneServices {
            dnd: row.get(1)?,
            forward_all: row.get(2)?,
            forward_busy: row.get(3)?,
            forward_no_answer: row.get(4)?,
            reject_anonymous: row.get(5)?,
        };
        Ok((row.get(0)?, services))
    })?;
    rows.map(|row| row.map_err(StoreError::from)).collect()
}
