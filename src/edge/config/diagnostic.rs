//! What is wrong with a configuration, where, and what would be right.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// It is used; somebody should look.
    Warning,
}

impl Severity {
    /// The word in the report.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One finding of the check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// The file's name inside the directory.
    pub file: String,
    /// From 1; 0 if the file as a whole is meant.
    pub line: u32,
    /// In characters, from 1; 0 if the file as a whole is meant.
    pub col: u32,
    /// Error or warning.
    pub severity: Severity,
    /// The stable id of the broken rule, such as `unknown-key`.
    pub rule: &'static str,
    /// What is wrong. Never holds a secret.
    pub message: String,
    /// What to write instead, if that can be said.
    pub suggestion: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.col)?;
        }
        write!(f, " {}[{}]: {}", self.severity.word(), self.rule, self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(f, "\n  help: {suggestion}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
