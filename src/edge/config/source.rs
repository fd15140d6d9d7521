//! The files' text, places in it, and the list of findings.

use super::diagnostic::{Diagnostic, Severity};

/// A place in one of the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Spot {
    /// Index into [`Report::files`].
    pub(super) file: usize,
    /// Byte offset; `None` means the file as a whole.
    pub(super) offset: Option<usize>,
}

/// A value and where it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marked<T> {
    pub(super) value: T,
    pub(super) at: Spot,
}

/// What a value's own syntax check found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wrong {
    pub(super) rule: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Wrong {
    pub(super) fn new(rule: &'static str, message: impl Into<String>) -> Self {
        Self { rule, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A file by name, with the offsets at which its lines begin.
#[derive(Debug)]
struct File {
    name: String,
    text: String,
    lines: Vec<usize>,
}

/// Collects findings; places become lines and columns here.
#[derive(Debug, Default)]
pub(super) struct Report {
    files: Vec<File>,
    list: Vec<Diagnostic>,
    suggestions: usize,
}

/// Searches for a near name per run. Each looks at every known name, so ten thousand broken
/// references to ten thousand phones must not take minutes; the rest go without a suggestion.
const SUGGESTIONS_MAX: usize = 200;

impl Report {
    /// Adds a file and returns its index.
    pub(super) fn add_file(&mut self, name: &str, text: String) -> usize {
        let starts =
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(i, _)| i + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        self.files.push(File { name: name.to_owned(), text, lines });
        self.files.len() - 1
    }

    /// The text of a file, handed out once so that the tree may borrow it beside the report.
    pub(super) fn text(&self, file: usize) -> String {
        self.files.get(file).map(|file| file.text.clone()).unwrap_or_default()
    }

    pub(super) fn error(&mut self, at: Spot, wrong: Wrong) {
        self.push(at, Severity::Error, wrong);
    }

    pub(super) fn warn(&mut self, at: Spot, wrong: Wrong) {
        self.push(at, Severity::Warning, wrong);
    }

    fn push(&mut self, at: Spot, severity: Severity, wrong: Wrong) {
        let (line, col) = self.line_col(at);
        let file = self.files.get(at.file).map(|file| file.name.clone()).unwrap_or_default();
        self.list.push(Diagnostic {
            file,
            line,
            col,
            severity,
            rule: wrong.rule,
            message: wrong.message,
            suggestion: wrong.help,
        });
    }

    /// `trunks.toml:3:8`, for a message that points at a second place.
    pub(super) fn place(&self, at: Spot) -> String {
        let (line, col) = self.line_col(at);
        let name = self.files.get(at.file).map_or("", |file| file.name.as_str());
        format!("{name}:{line}:{col}")
    }

    fn line_col(&self, at: Spot) -> (u32, u32) {
        let (Some(file), Some(offset)) = (self.files.get(at.file), at.offset) else {
            return (0, 0);
        };
        let line = file.lines.partition_point(|start| *start <= offset).max(1);
        let start = file.lines.get(line - 1).copied().unwrap_or(0);
        let before = file.text.get(start..offset.min(file.text.len())).unwrap_or("");
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (number(line), number(before.chars().count() + 1))
    }

    /// The nearest of `names`, if one is near and the budget of searches is not used up.
    pub(super) fn nearest<'n>(
        &mut self,
        word: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.suggestions += 1;
        if self.suggestions > SUGGESTIONS_MAX {
            return None;
        }
        crate::edge::command::nearest(word, names)
    }

    /// The findings in the order of files and lines.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        let order = |name: &str| self.files.iter().position(|file| file.name == name);
        self.list.sort_by(|a, b| {
            (order(&a.file), a.line, a.col, a.rule).cmp(&(order(&b.file), b.line, b.col, b.rule))
        });
        self.list
    }
}
