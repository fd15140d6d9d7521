//! Aligned columns for people.

/// What a cell says at a glance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    Plain,
    Good,
    Bad,
    Dim,
    Head,
}

/// Colours, if the output is a terminal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) is_on: bool,
}

impl Paint {
    pub(super) fn paint(self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Head => "1",
        };
        if self.is_on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// One field of a row.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

/// A plain cell.
pub(super) fn cell(text: impl AsRef<str>) -> Cell {
    toned(text, Tone::Plain)
}

/// A cell in a colour.
pub(super) fn toned(text: impl AsRef<str>, tone: Tone) -> Cell {
    Cell { text: clean(text.as_ref()), tone }
}

/// Text of a peer without what would move the terminal's cursor or colour.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '·' } else { c }).collect()
}

/// Rows under a header; a column whose name begins with `>` is aligned right.
#[derive(Debug)]
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table, or the sentence for an empty one.
    pub(super) fn print(&self, paint: Paint, empty: &str) -> String {
        if self.rows.is_empty() {
            return format!("{empty}\n");
        }
        let names: Vec<&str> = self.head.iter().map(|name| name.trim_start_matches('>')).collect();
        let widths: Vec<usize> = (0..names.len())
            .map(|i| {
                let cells = self.rows.iter().filter_map(|row| row.get(i));
                cells.map(|cell| width(&cell.text)).max().unwrap_or(0).max(width(names[i]))
            })
            .collect();
        let mut out = String::new();
        let head: Vec<Cell> = names.iter().map(|name| toned(name, Tone::Head)).collect();
        for row in std::iter::once(&head).chain(&self.rows) {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate().take(widths.len()) {
                let fill = " ".repeat(widths[i].saturating_sub(width(&cell.text)));
                let text = paint.paint(&cell.text, cell.tone);
                let gap = if i == 0 { "" } else { "  " };
                if self.head[i].starts_with('>') {
                    line.push_str(&format!("{gap}{fill}{text}"));
                } else {
                    line.push_str(&format!("{gap}{text}{fill}"));
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Columns that the text takes in a terminal: 2 for a character of East Asian width, 0 for a mark
/// that sits on the one before it.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

pub(super) fn char_width(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f | 0x20d0..=0x20ff => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}
