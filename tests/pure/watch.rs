//! Phones that watch others: SUBSCRIBE as raw text, and what came of it.

use crate::sim::phone::Ask;
use crate::sim::text::Text;
use crate::sim::world::{PhoneId, World};

/// A subscription as its subscriber knows it.
#[derive(Clone, Debug)]
pub struct Watch {
    pub id: PhoneId,
    pub uri: String,
    pub headers: String,
    pub call_id: String,
    pub tag: String,
    /// Our tag, once there is an answer with one.
    pub to_tag: String,
    pub cseq: u32,
}

/// The usual headers of a phone with lamps.
pub const BLF: &str = "Event: dialog\r\nAccept: application/dialog-info+xml\r\n";
pub const MWI: &str = "Event: message-summary\r\nAccept: application/simple-message-summary\r\n";

impl Watch {
    pub fn new(w: &mut World, id: PhoneId, whom: &str, headers: &str) -> Self {
        let (call_id, tag) = (w[id].fresh("watch"), w[id].fresh("tag"));
        Self {
            id,
            uri: format!("sip:{whom}@tandem"),
            headers: headers.to_owned(),
            call_id,
            tag,
            to_tag: String::new(),
            cseq: 0,
        }
    }

    /// Sends a SUBSCRIBE, waits a moment and gives the status.
    pub fn ask(&mut self, w: &mut World, headers: &str) -> u16 {
        self.cseq += 10;
        let to_tag =
            if self.to_tag.is_empty() { String::new() } else { format!(";tag={}", self.to_tag) };
        let ask = Ask {
            method: "SUBSCRIBE".into(),
            uri: self.uri.clone(),
            from: format!("<sip:{}@tandem>;tag={}", w[self.id].user, self.tag),
            to: format!("<{}>{to_tag}", self.uri),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            headers: format!("Contact: {}\r\n{}{headers}", w[self.id].contact(), self.headers),
            body: String::new(),
            call: None,
            tries: 0,
        };
        let now = w.now;
        w[self.id].ask(now, ask);
        w.flush(self.id.0);
        w.run_for(200);
        let answer = self.answer(w);
        let (status, tag) = (answer.status(), answer.tag_of_to());
        if status == 200 {
            self.to_tag = tag;
        }
        status
    }

    /// The latest answer.
    pub fn answer<'w>(&self, w: &'w World) -> &'w Text {
        let is_own = |text: &&Text| !text.is_request() && text.call_id() == self.call_id;
        w[self.id].got.iter().rev().map(|(_, text)| text).find(is_own).expect("it is answered")
    }

    /// The NOTIFYs that came, without repetitions.
    pub fn notifies<'w>(&self, w: &'w World) -> Vec<&'w Text> {
        let mut found: Vec<&Text> = w[self.id].requests("NOTIFY");
        found.retain(|text| text.call_id() == self.call_id);
        found.dedup_by_key(|text| text.cseq());
        found
    }

    pub fn last<'w>(&self, w: &'w World) -> &'w Text {
        self.notifies(w).last().copied().expect("a NOTIFY came")
    }

    /// What the documents said, one after the other.
    pub fn story(&self, w: &World) -> Vec<String> {
        self.notifies(w).iter().map(|text| states(&text.body)).collect()
    }
}

/// A phone that watches, with its first NOTIFY.
pub fn watching(w: &mut World, id: PhoneId, whom: &str, headers: &str) -> Watch {
    let mut watch = Watch::new(w, id, whom, headers);
    assert_eq!(watch.ask(w, "Expires: 600\r\n"), 200);
    assert_eq!(watch.notifies(w).len(), 1, "a NOTIFY comes at once");
    watch
}

/// Direction and state of every dialog of a document: `recipient early`.
pub fn states(body: &str) -> String {
    let dialogs = body.split("<dialog ").skip(1).map(|dialog| {
        let state = dialog.split("<state>").nth(1).unwrap().split('<').next().unwrap();
        format!("{} {state}", attribute(dialog, "direction"))
    });
    dialogs.collect::<Vec<_>>().join(", ")
}

/// The first attribute of this name.
pub fn attribute(text: &str, name: &str) -> String {
    let at = format!(" {name}=\"");
    text.split(&at).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("").to_owned()
}
