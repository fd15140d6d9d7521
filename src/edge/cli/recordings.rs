//! Recordings and the audit as tables.

use super::show::dash;
use super::table::{Paint, Table, Tone, cell, toned};
use super::time::{local, span};
use crate::edge::command::recordings::{AuditRow, RecordingRow};

pub(super) fn recordings(rows: &[RecordingRow], paint: Paint) -> String {
    let mut table = Table::new(&["CALL", "BEGAN", ">LENGTH", ">SIZE", "STATE", "FILE"]);
    for row in rows {
        let tone = match row.state.as_str() {
            "failed" | "cut" => Tone::Bad,
            "deleted" => Tone::Dim,
            _ => Tone::Good,
        };
        let mut state = row.state.clone();
        if row.lost_seconds > 0 {
            state = format!("{state}, {} s lost", row.lost_seconds);
        }
        table.row(vec![
            cell(&row.call),
            cell(local(&row.began)),
            cell(span(row.seconds)),
            cell(format!("{} kB", row.bytes.div_ceil(1_000))),
            toned(&state, tone),
            dash(if row.state == "deleted" { "" } else { &row.file }),
        ]);
    }
    table.print(
        paint,
        "No recordings. `[recording] calls` in tandem.toml says which calls are recorded.",
    )
}

pub(super) fn audit(rows: &[AuditRow], paint: Paint) -> String {
    let mut table = Table::new(&["TIME", "WHO", "WHAT", "OBJECT", "WHY"]);
    for row in rows {
        table.row(vec![
            cell(local(&row.at)),
            cell(&row.who),
            cell(&row.what),
            cell(&row.object),
            cell(&row.detail),
        ]);
    }
    table.print(paint, "Nothing was audited yet.")
}
