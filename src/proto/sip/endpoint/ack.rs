//! Requests made from an INVITE of ours: the ACK of a failure and the CANCEL.

use crate::proto::sip::header::HeaderName;
use crate::proto::sip::message::build::Builder;
use crate::proto::sip::message::{Message, Packet, Parsed};
use crate::proto::sip::method::Method;

/// The ACK for a 300 to 699: the INVITE's Via, Route, From, Call-ID and CSeq number, the response's To
/// (RFC 3261 §17.1.1.3).
pub(super) fn ack_for(invite: &[u8], response: &Message) -> Option<Packet> {
    let invite = parsed(invite)?;
    let to = response.text(HeaderName::To)?;
    Some(from_invite(&invite, &Method::Ack, &to).finish())
}

/// The CANCEL of an INVITE: everything its own but the method (RFC 3261 §9.1).
pub(super) fn cancel_for(invite: &[u8], reason: Option<&str>) -> Option<Packet> {
    let invite = parsed(invite)?;
    let to = invite.text(HeaderName::To)?;
    let mut builder = from_invite(&invite, &Method::Cancel, &to);
    if let Some(reason) = reason {
        builder.add(HeaderName::Reason, reason);
    }
    Some(builder.finish())
}

fn parsed(invite: &[u8]) -> Option<Message> {
    match Message::parse(invite) {
        Parsed::Message(message) => Some(message),
        _ => None,
    }
}

fn from_invite(invite: &Message, method: &Method, to: &str) -> Builder {
    let mut builder = Builder::request(method, invite.uri());
    if let Some(via) = invite.top_via() {
        builder.add(HeaderName::Via, via);
    }
    for route in invite.texts(HeaderName::Route) {
        builder.add(HeaderName::Route, route);
    }
    builder.add(HeaderName::MaxForwards, 70);
    for from in invite.texts(HeaderName::From) {
        builder.add(HeaderName::From, from);
    }
    builder.add(HeaderName::To, to);
    builder.add(HeaderName::CallId, invite.call_id());
    builder.add(HeaderName::CSeq, format_args!("{} {method}", invite.cseq().number));
    // Every message of a session names it (RFC 7989 §6).
    for value in invite.texts(HeaderName::SessionId) {
        builder.add(HeaderName::SessionId, value);
    }
    // A proxy that asked for credentials may ask for them here too (RFC 3261 §22.1).
    for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
        for value in invite.texts(name) {
            builder.add(name, value);
        }
    }
    builder
}
