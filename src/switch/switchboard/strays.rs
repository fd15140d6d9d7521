//! Answers to INVITEs whose call is over: each is acknowledged and hung up (RFC 3261 §13.2.2.4).

use super::*;
use crate::proto::sip::dialog::Dialog;
use crate::proto::sip::endpoint::Large;
use crate::proto::sip::message::Parsed;
use crate::proto::sip::method::Method;

/// Sessions that were hung up here and whose answer may come again; with more, the oldest gets a second
/// BYE, which is answered 481.
pub(super) const STRAYS_MAX: usize = 256;

/// More requests than a branch was sent before its answer.
const CSEQ_GAP: u32 = 100;

impl Switchboard {
    /// A response for a call. If that is over and a branch behind a proxy answers all the same, somebody
    /// holds a phone to the ear: the session is taken and ended.
    pub(super) fn call_answered(
        &mut self,
        now: Instant,
        client: ClientKey,
        call: CallId,
        response: Message,
        out: &mut Vec<Output>,
    ) {
        if self.calls.contains_key(&call) {
            return to_call(call, call::Input::Response { client, response }, out);
        }
        if response.method() != &Method::Invite || !(200..300).contains(&response.status()) {
            return;
        }
        let Some((dest, packet)) = self.endpoint.sent(client) else { return };
        let Parsed::Message(invite) = Message::parse(packet) else { return };
        // Neither ACK nor BYE carries a Contact.
        let dialog = Dialog::from_response(&response, "", dest);
        let Some(mut dialog) = dialog.map(|dialog| dialog.with_default_target(invite.uri())) else {
            return;
        };
        // The call may have sent PRACKs in this dialog; a gap in the numbers is allowed (RFC 3261 §12.2.2).
        dialog.local_cseq += CSEQ_GAP;
        let Some(dest) = dialog.dest() else { return };
        let ack = dialog.request(&Method::Ack, Some(response.cseq().number)).finish();
        let stray = (client, dialog.remote_tag.clone());
        let is_known = self.strays.contains(&stray);
        if !is_known {
            self.strays.push_back(stray);
            if self.strays.len() > STRAYS_MAX {
                self.strays.pop_front();
            }
        }
        let bye = (!is_known).then(|| dialog.request(&Method::Bye, None).finish());
        let bye = bye.map(|bye| (ClientKey(self.tokens.next_u64()), bye));
        self.with_endpoint(now, out, |endpoint, events| {
            endpoint.send_ack(now, dest.clone(), &ack, events);
            if let Some((client, bye)) = bye {
                let large = Large::Datagram;
                endpoint.request(now, client, NOBODY, dest, &Method::Bye, &bye, large, events);
            }
        });
    }
}
