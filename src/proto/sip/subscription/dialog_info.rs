//! Who is on the phone, as a document (RFC 4235): always the whole state.

use std::fmt::Write as _;

use crate::proto::sip::uri::escape_user;
use crate::proto::xml::escape;

/// How far a dialog has come (RFC 4235 §3.7.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// The INVITE is on its way, and nobody has said anything.
    Trying,
    /// It rings.
    Early,
    /// They talk.
    Confirmed,
    /// It is over.
    Terminated,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Early => "early",
            Self::Confirmed => "confirmed",
            Self::Terminated => "terminated",
        }
    }
}

/// Who began a dialog, as the watched side sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// The watched side calls.
    Initiator,
    /// The watched side is called.
    Recipient,
}

/// One end of a dialog.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Party {
    /// Its number.
    pub number: String,
    /// Its name; may be empty.
    pub name: String,
}

/// A dialog of the watched side. `local` is the watched side, `remote` the other one; the dialog itself goes
/// from the watched phone to us, so that it can be named in a `Replaces` that is sent to us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its Call-ID.
    pub call_id: String,
    /// Our tag.
    pub our_tag: String,
    /// The watched phone's tag, once it has said one.
    pub peer_tag: Option<String>,
    /// Who began it.
    pub direction: Direction,
    /// How far it has come.
    pub state: State,
    /// The watched side.
    pub local: Party,
    /// The other side.
    pub remote: Party,
}

/// Writes the document with all that is known of `number`. Addresses get the host that the subscriber reached
/// us by.
#[must_use]
pub fn write(version: u32, number: &str, host: &str, entries: &[Entry]) -> String {
    let mut out = String::with_capacity(256 + 640 * entries.len());
    let _ = write!(
        out,
        "<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" \
         version=\"{version}\" state=\"full\" entity=\"{}\">\r\n",
        address(number, host)
    );
    for entry in entries {
        write_entry(&mut out, entry, host);
    }
    out.push_str("</dialog-info>\r\n");
    out
}

fn write_entry(out: &mut String, entry: &Entry, host: &str) {
    let direction = match entry.direction {
        Direction::Initiator => "initiator",
        Direction::Recipient => "recipient",
    };
    let _ = write!(
        out,
        "<dialog id=\"{}\" call-id=\"{}\"",
        escape(&entry.our_tag),
        escape(&entry.call_id)
    );
    if let Some(tag) = &entry.peer_tag {
        let _ = write!(out, " local-tag=\"{}\"", escape(tag));
    }
    let _ = write!(
        out,
        " remote-tag=\"{}\" direction=\"{direction}\">\r\n<state>{}</state>\r\n",
        escape(&entry.our_tag),
        entry.state.word()
    );
    for (element, party) in [("local", &entry.local), ("remote", &entry.remote)] {
        let uri = address(&party.number, host);
        let _ = write!(out, "<{element}><identity");
        if !party.name.is_empty() {
            let _ = write!(out, " display=\"{}\"", escape(&party.name));
        }
        let _ = write!(out, ">{uri}</identity><target uri=\"{uri}\"/></{element}>\r\n");
    }
    out.push_str("</dialog>\r\n");
}

/// The URI of a number, fit for an attribute and for text.
fn address(number: &str, host: &str) -> String {
    escape(&format!("sip:{}@{host}", escape_user(number)))
}
