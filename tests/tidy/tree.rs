//! The files of the project, without what is built.

use std::path::{Path, PathBuf};

/// A text file: its path from the root with forward slashes, and its content.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// Its lines with their numbers, without comments and without the test module that ends the file.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let code = self.text.get(..tests).unwrap_or("");
        code.lines().enumerate().filter_map(|(index, line)| {
            let code = line.split("//").next().unwrap_or("");
            (!code.trim().is_empty()).then_some((index + 1, code))
        })
    }

    /// Is all of it test code?
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.starts_with("tests/")
    }
}

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file whose path begins with `under`, in order.
pub(crate) fn files(under: &str) -> Vec<File> {
    let mut files = Vec::new();
    walk(&root(), "", &mut files);
    files.retain(|file| file.path.starts_with(under));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The Rust files among them.
pub(crate) fn rust(under: &str) -> Vec<File> {
    let mut files = files(under);
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

/// What is not the project's own: build results, what fuzzing leaves, version control.
const SKIPPED: &[&str] =
    &["target", ".git", "tests/fuzz/target", "tests/fuzz/corpus", "tests/fuzz/artifacts"];

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        if SKIPPED.contains(&path.as_str()) || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), files);
        } else if let Ok(text) = std::fs::read_to_string(entry.path()) {
            files.push(File { path, text });
        }
    }
}
