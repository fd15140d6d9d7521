//! Who is on the phone, over all calls.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::proto::sip::subscription::dialog_info::Entry;
use crate::switch::call::Line;
use crate::switch::cdr::record::CallId;

/// Dialogs of one extension in a document: a lamp shows one, a screen a handful. Above it those that are
/// furthest are shown.
const SHOWN_MAX: usize = 8;

/// Call-ID and our tag.
type Key = (String, String);

/// Every phone that is on the line. It holds no more than the calls have legs.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// By extension, in the order of the dialogs, so that the same state gives the same document.
    by_extension: HashMap<String, BTreeMap<Key, (CallId, Entry)>>,
    by_call: HashMap<CallId, BTreeSet<String>>,
}

impl Lines {
    /// Takes over the lines of a call; gives the extensions that may show something else now.
    pub(super) fn set(&mut self, call: CallId, lines: Vec<Line>) -> BTreeSet<String> {
        let mut touched = self.by_call.remove(&call).unwrap_or_default();
        for extension in &touched {
            let Some(entries) = self.by_extension.get_mut(extension) else { continue };
            entries.retain(|_, (owner, _)| *owner != call);
            if entries.is_empty() {
                self.by_extension.remove(extension);
            }
        }
        let mut now = BTreeSet::new();
        for Line { extension, entry } in lines {
            let key = (entry.call_id.clone(), entry.our_tag.clone());
            let entries = self.by_extension.entry(extension.clone()).or_default();
            entries.insert(key, (call, entry));
            now.insert(extension);
        }
        touched.extend(now.iter().cloned());
        if !now.is_empty() {
            self.by_call.insert(call, now);
        }
        touched
    }

    /// A dialog goes on in another call, which will tell of it: until then it stays as it is.
    pub(super) fn give(&mut self, from: CallId, key: &Key, to: CallId) {
        let Some(extensions) = self.by_call.get(&from) else { return };
        for extension in extensions {
            let entries = self.by_extension.get_mut(extension);
            if let Some((owner, _)) = entries.and_then(|entries| entries.get_mut(key)) {
                *owner = to;
                let extension = extension.clone();
                self.by_call.entry(to).or_default().insert(extension);
                return;
            }
        }
    }

    /// The dialogs of an extension, at most [`SHOWN_MAX`], those that are furthest last: some phones show what
    /// the last dialog of a document says.
    pub(super) fn of(&self, extension: &str) -> Vec<Entry> {
        let Some(entries) = self.by_extension.get(extension) else { return Vec::new() };
        let mut shown: Vec<_> = entries.values().map(|(_, entry)| entry.clone()).collect();
        shown.sort_by_key(|entry| entry.state);
        let more = shown.len().saturating_sub(SHOWN_MAX);
        shown.drain(..more);
        shown
    }

    /// Is this dialog still on the line?
    pub(super) fn has(&self, extension: &str, entry: &Entry) -> bool {
        let key = (entry.call_id.clone(), entry.our_tag.clone());
        self.by_extension.get(extension).is_some_and(|entries| entries.contains_key(&key))
    }

    /// The call that an extension is on with this Call-ID, and our tag there.
    pub(super) fn find(&self, extension: &str, call_id: &str) -> Option<(CallId, String)> {
        let from = (call_id.to_owned(), String::new());
        let (key, (call, _)) = self.by_extension.get(extension)?.range(from..).next()?;
        (key.0 == call_id).then(|| (*call, key.1.clone()))
    }

    /// Calls with a line, and extensions: nothing without a call.
    pub(super) fn len(&self) -> usize {
        self.by_call.len().max(self.by_extension.len())
    }
}
