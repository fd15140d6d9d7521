//! A call's messages as a ladder: its legs are columns, with Tandem after the calling one.

use super::table::{char_width, clean, width};
use crate::edge::command::reply::CallDetail;

/// Columns between two lifelines.
const GAP: usize = 26;

/// Columns for the time before the first lifeline.
const MARGIN: usize = 12;

const TANDEM: &str = "Tandem";

/// Draws the ladder, a line per entry of the timeline.
pub(super) fn ladder(detail: &CallDetail) -> String {
    let lanes = lanes(detail);
    let mut out = header(detail, &lanes);
    for entry in &detail.timeline {
        let text = clean(&entry.text);
        let lane = lanes.iter().position(|lane| *lane == entry.leg);
        let tandem = lanes.iter().position(|lane| lane == TANDEM).unwrap_or(0);
        let mut line = Line::new(lanes.len());
        line.put(0, &format!("{:>8.3} s", seconds(entry.at_us)));
        match (entry.what.as_str(), lane) {
            ("sip.in", Some(lane)) => line.arrow(lane, tandem, lane, &text),
            ("sip.out", Some(lane)) => line.arrow(tandem, lane, lane, &text),
            (what, lane) => {
                let at = MARGIN + lane.unwrap_or(tandem) * GAP + 2;
                line.put(at, &format!("{what}  {text}"));
            }
        }
        out.push_str(&line.finish());
    }
    out
}

#[expect(clippy::cast_precision_loss, reason = "a call is shorter than 2^52 microseconds")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// `a`, Tandem, and the called legs in the order in which they appear.
fn lanes(detail: &CallDetail) -> Vec<String> {
    let mut lanes = vec!["a".to_owned(), TANDEM.to_owned()];
    let legs = detail.legs.iter().map(|leg| &leg.leg);
    for leg in legs.chain(detail.timeline.iter().map(|entry| &entry.leg)) {
        if !leg.is_empty() && !lanes.contains(leg) {
            lanes.push(leg.clone());
        }
    }
    lanes
}

/// The legs' names and parties above their lifelines.
fn header(detail: &CallDetail, lanes: &[String]) -> String {
    let mut line = Line { cells: Vec::new() };
    for (index, lane) in lanes.iter().enumerate() {
        let party = detail.legs.iter().find(|leg| leg.leg == *lane).map(|leg| clean(&leg.party));
        let name = match party {
            Some(party) if !party.is_empty() => format!("{lane}: {party}"),
            _ => lane.clone(),
        };
        line.put(MARGIN + index * GAP, &fit(&name, GAP - 2));
    }
    line.finish()
}

/// The text cut to this many columns.
fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut used = 1;
    let kept: String = text
        .chars()
        .take_while(|c| {
            used += char_width(*c);
            used <= columns
        })
        .collect();
    format!("{kept}…")
}

/// One line as terminal columns; a wide character is followed by an empty one.
struct Line {
    cells: Vec<Option<char>>,
}

impl Line {
    fn new(lanes: usize) -> Self {
        let mut line = Self { cells: Vec::new() };
        (0..lanes).for_each(|lane| line.put(MARGIN + lane * GAP, "│"));
        line
    }

    fn put(&mut self, at: usize, text: &str) {
        let end = at + width(text);
        if self.cells.len() < end {
            self.cells.resize(end, Some(' '));
        }
        let mut column = at;
        for c in text.chars() {
            let wide = char_width(c);
            // A combining mark would need a cell of its own: left out.
            if wide > 0 {
                self.cells[column] = Some(c);
                if wide == 2 {
                    self.cells[column + 1] = None;
                }
                column += wide;
            }
        }
    }

    /// An arrow from lane to lane; one of them is `leg`, the other is Tandem.
    fn arrow(&mut self, from: usize, to: usize, leg: usize, label: &str) {
        let (left, right) = (from.min(to), from.max(to));
        let (start, end) = (MARGIN + left * GAP + 1, MARGIN + right * GAP);
        for column in start..end {
            let is_lifeline = (column - MARGIN).is_multiple_of(GAP);
            self.put(column, if is_lifeline { "┼" } else { "─" });
        }
        if from < to {
            self.put(end - 1, "▶")
        } else {
            self.put(start, "◀")
        }
        // The label stands in the gap beside the leg, so that it never hides a lifeline.
        let gap = if leg == left { left } else { right - 1 };
        let label = format!(" {} ", fit(label, GAP - 7));
        let room = GAP - 1;
        self.put(MARGIN + gap * GAP + 1 + (room - width(&label)) / 2, &label);
    }

    fn finish(self) -> String {
        let text: String = self.cells.into_iter().flatten().collect();
        format!("{}\n", text.trim_end())
    }
}
