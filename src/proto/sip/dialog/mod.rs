//! Dialogs (RFC 3261 §12): who the peer is, the way to it, and the order of requests.

#[cfg(test)]
mod tests;

use super::header::HeaderName;
use super::header::name_addr::NameAddr;
use super::header::params::Params;
use super::message::Message;
use super::message::build::Builder;
use super::method::Method;
use super::transport::{Dest, Flow, NextHop};
use super::uri::Uri;

/// Route values kept for a dialog; more are cut off, which such a path would not survive anyway.
const ROUTES_MAX: usize = 32;

/// A dialog, early or confirmed, seen from our side.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// The Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// The peer's tag; empty for a peer of RFC 2543.
    pub remote_tag: String,
    /// Our From or To value without its tag.
    local: String,
    /// The peer's From or To value without its tag.
    remote: String,
    /// The CSeq number of our latest request.
    pub local_cseq: u32,
    /// The CSeq number of the peer's latest request.
    remote_cseq: Option<u32>,
    /// Routes for our requests, topmost first, raw.
    route_set: Vec<String>,
    /// The peer's Contact URI, raw.
    remote_target: String,
    /// Our Contact value.
    contact: String,
    /// The way back that the peer's own messages took: used where there are no routes, because a phone
    /// behind a NAT is not to be reached at its Contact.
    flow: Option<Flow>,
    /// Where our INVITE went, while the peer has given no Contact: a Request-URI in a domain that is only a name, as at
    /// many carriers, leads nowhere.
    reached: Option<Box<NextHop>>,
    /// The domain that showed its certificate when the dialog began: at the bare address of a Contact or a route it
    /// has to show the same one, since no certificate is for the address.
    domain: Option<Box<str>>,
    /// The Session-ID of our requests (RFC 7989); none while it is empty.
    pub session_id: String,
}

/// A request whose CSeq is not above the last one of its dialog: 500 (RFC 3261 §12.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfOrder;

impl Dialog {
    /// The dialog that our response with `local_tag` makes of a request (§12.1.1).
    #[must_use]
    pub fn from_request(
        request: &Message,
        local_tag: &str,
        contact: &str,
        flow: Option<Flow>,
    ) -> Option<Self> {
        Some(Self {
            call_id: request.call_id().into_owned(),
            local_tag: local_tag.to_owned(),
            remote_tag: request.from_tag().unwrap_or_default(),
            local: without_tag(&request.text(HeaderName::To)?),
            remote: without_tag(&request.text(HeaderName::From)?),
            local_cseq: 0,
            remote_cseq: Some(request.cseq().number),
            route_set: routes(request),
            // Without the Contact that it must have, the peer may still be found where it says it is.
            remote_target: request.contact_uri().or_else(|| from_uri(request)).unwrap_or_default(),
            contact: contact.to_owned(),
            flow,
            reached: None,
            domain: None,
            session_id: String::new(),
        })
    }

    /// The dialog that a response makes of a request of ours (§12.1.2). `dest` is where the request went.
    #[must_use]
    pub fn from_response(response: &Message, contact: &str, dest: &Dest) -> Option<Self> {
        let mut route_set = routes(response);
        route_set.reverse();
        let remote_target = response.contact_uri().unwrap_or_default();
        let reached = match dest {
            Dest::Hop(hop) if remote_target.is_empty() => Some(Box::new(hop.clone())),
            _ => None,
        };
        Some(Self {
            call_id: response.call_id().into_owned(),
            local_tag: response.from_tag().unwrap_or_default(),
            remote_tag: response.to_tag().unwrap_or_default(),
            local: without_tag(&response.text(HeaderName::From)?),
            remote: without_tag(&response.text(HeaderName::To)?),
            local_cseq: response.cseq().number,
            remote_cseq: None,
            route_set,
            remote_target,
            contact: contact.to_owned(),
            flow: match dest {
                Dest::Flow(flow) => Some(*flow),
                Dest::Hop(_) => None,
            },
            reached,
            domain: match dest {
                Dest::Hop(hop) if hop.transport().is_secure() => hop.domain(),
                _ => None,
            },
            session_id: String::new(),
        })
    }

    /// Goes on counting where an early dialog of the same peer is: both are one (§12.3).
    pub fn count_on(&mut self, early: &Self) {
        self.local_cseq = self.local_cseq.max(early.local_cseq);
        self.remote_cseq = early.remote_cseq;
    }

    /// Where the peer is if it gave no Contact: where our request reached it.
    #[must_use]
    pub fn with_default_target(mut self, request_uri: &str) -> Self {
        if self.remote_target.is_empty() {
            self.remote_target = request_uri.to_owned();
        }
        self
    }

    /// Is this message of this dialog? For a request the From tag is the peer's.
    #[must_use]
    pub fn matches(&self, request: &Message) -> bool {
        request.call_id() == self.call_id
            && request.to_tag().unwrap_or_default() == self.local_tag
            && request.from_tag().unwrap_or_default() == self.remote_tag
    }

    /// Where the next request goes.
    #[must_use]
    pub fn dest(&self) -> Option<Dest> {
        let hop = |uri: &str| {
            let mut hop = Uri::parse(uri)?.next_hop()?;
            if hop.transport().is_secure() && hop.domain().is_none() {
                hop.domain = self.domain.clone();
            }
            Some(Dest::Hop(hop))
        };
        if let Some(first) = self.route_set.first() {
            return hop(NameAddr::parse(first).ok()?.uri);
        }
        let reached = || self.reached.as_deref().cloned().map(Dest::Hop);
        self.flow.map(Dest::Flow).or_else(reached).or_else(|| hop(&self.remote_target))
    }

    /// The address that the peer's messages came from.
    #[must_use]
    pub const fn flow(&self) -> Option<Flow> {
        self.flow
    }

    /// The way back is broken: from now on requests go to the peer's Contact. False if they did already, or
    /// if that leads to the same place.
    pub fn forget_flow(&mut self) -> bool {
        let Some(flow) = self.flow.take() else { return false };
        // Nobody but us could find a GRUU of ours, and we by that flow.
        let is_gruu = Uri::parse(&self.remote_target).is_some_and(|uri| uri.params.has("gr"));
        if !self.route_set.is_empty() || is_gruu {
            return false;
        }
        self.dest().is_some_and(|dest| dest.address() != Some(flow.remote))
    }

    /// The peer came back this way, where one has been forgotten: from now on its messages take it.
    pub const fn follow(&mut self, flow: Flow) {
        self.flow = Some(flow);
    }

    /// The peer's Contact URI.
    #[must_use]
    pub fn remote_target(&self) -> &str {
        &self.remote_target
    }

    /// Begins the next request of the dialog (§12.2.1.1); an ACK takes the CSeq number of its INVITE.
    /// The caller adds what is its own and closes it.
    #[must_use]
    pub fn request(&mut self, method: &Method, ack_for: Option<u32>) -> Builder {
        let number = ack_for.unwrap_or_else(|| {
            self.local_cseq += 1;
            self.local_cseq
        });
        let (uri, routes) = self.target_and_routes();
        let mut builder = Builder::request(method, &uri);
        for route in routes {
            builder.add(HeaderName::Route, route);
        }
        builder.add(HeaderName::MaxForwards, 70);
        builder.add(HeaderName::From, format_args!("{};tag={}", self.local, self.local_tag));
        if self.remote_tag.is_empty() {
            builder.add(HeaderName::To, &self.remote);
        } else {
            builder.add(HeaderName::To, format_args!("{};tag={}", self.remote, self.remote_tag));
        }
        builder.add(HeaderName::CallId, &self.call_id);
        builder.add(HeaderName::CSeq, format_args!("{number} {method}"));
        if matches!(method, Method::Invite | Method::Update | Method::Notify) {
            builder.add(HeaderName::Contact, &self.contact);
        }
        if !self.session_id.is_empty() {
            builder.add(HeaderName::SessionId, &self.session_id);
        }
        builder
    }

    /// The Request-URI of the next request; for a strict first route it is that route.
    #[must_use]
    pub fn request_uri(&self) -> String {
        self.target_and_routes().0
    }

    /// The Request-URI and the Route values: with a strict router in front they change places (§12.2.1.1).
    fn target_and_routes(&self) -> (String, Vec<String>) {
        let first = self.route_set.first().and_then(|route| NameAddr::parse(route).ok());
        let Some(first) = first else { return (self.remote_target.clone(), Vec::new()) };
        let is_loose = first.parsed_uri().is_none_or(|uri| uri.params.has("lr"));
        if is_loose {
            return (self.remote_target.clone(), self.route_set.clone());
        }
        let mut routes: Vec<_> = self.route_set.iter().skip(1).cloned().collect();
        routes.push(format!("<{}>", self.remote_target));
        (first.uri.to_owned(), routes)
    }

    /// Takes in a request of the peer: its place in the order, and the way it came.
    ///
    /// # Errors
    ///
    /// [`OutOfOrder`]: answer 500. A gap is allowed (§12.2.2).
    pub fn receive(&mut self, request: &Message, flow: Flow) -> Result<(), OutOfOrder> {
        let number = request.cseq().number;
        if self.remote_cseq.is_some_and(|last| number <= last) {
            return Err(OutOfOrder);
        }
        self.remote_cseq = Some(number);
        if self.flow.is_some() {
            self.flow = Some(flow);
        }
        Ok(())
    }

    /// A target refresh: the Contact of a re-INVITE, an UPDATE or their responses (§12.2, RFC 3311 §5), or of a
    /// SUBSCRIBE (RFC 6665 §4.4.1). The route set stays as it was made.
    pub fn refresh_target(&mut self, message: &Message) {
        if matches!(message.method(), Method::Invite | Method::Update | Method::Subscribe)
            && let Some(uri) = message.contact_uri()
        {
            self.remote_target = uri;
            self.reached = None;
        }
    }
}

fn from_uri(request: &Message) -> Option<String> {
    let from = request.text(HeaderName::From)?;
    NameAddr::parse(&from).ok().map(|from| from.uri.to_owned())
}

/// All Record-Route values, in the message's order.
fn routes(message: &Message) -> Vec<String> {
    let mut list = message.list(HeaderName::RecordRoute);
    list.truncate(ROUTES_MAX);
    list
}

/// A From or To value without its tag; its other parameters and its display name stay.
fn without_tag(value: &str) -> String {
    let Ok(address) = NameAddr::parse(value) else { return value.to_owned() };
    let mut out = String::with_capacity(value.len());
    if !address.raw_name.is_empty() {
        out.push_str(address.raw_name);
        out.push(' ');
    }
    out.push('<');
    out.push_str(address.uri);
    out.push('>');
    for (name, value) in Params::iter(address.params) {
        if name.eq_ignore_ascii_case("tag") {
            continue;
        }
        out.push(';');
        out.push_str(name);
        if let Some(value) = value {
            out.push('=');
            out.push_str(value);
        }
    }
    out
}
