//! Whether messages wait, as a document (RFC 3842 §5).

use std::fmt::Write as _;

use crate::proto::sip::uri::escape_user;

/// Messages of one mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Not listened to yet.
    pub new: u32,
    /// Listened to and kept.
    pub old: u32,
    /// The urgent ones among the new.
    pub new_urgent: u32,
    /// The urgent ones among the old.
    pub old_urgent: u32,
}

/// What a mailbox holds. Without counts nobody has counted: then nothing waits, and no figure is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Voice messages.
    pub voice: Option<Counts>,
}

impl Summary {
    /// Does a message wait to be heard?
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.voice.is_some_and(|counts| counts.new > 0)
    }
}

/// Writes the document of the mailbox of `number`, whose address gets the host that the subscriber reached us
/// by.
#[must_use]
pub fn write(number: &str, host: &str, summary: &Summary) -> String {
    let word = if summary.is_waiting() { "yes" } else { "no" };
    let mut out = format!(
        "Messages-Waiting: {word}\r\nMessage-Account: sip:{}@{host}\r\n",
        escape_user(number)
    );
    if let Some(Counts { new, old, new_urgent, old_urgent }) = summary.voice {
        let _ = write!(out, "Voice-Message: {new}/{old} ({new_urgent}/{old_urgent})\r\n");
    }
    out
}
