//! Where somebody is who calls for help (RFC 6442): a URI to ask at, or a document in the body (PIDF-LO, RFC 4119), which
//! has a civic address (RFC 5139).

use super::header::HeaderName;
use super::header::name_addr::NameAddr;
use super::message::Message;
use crate::proto::xml::escape;

/// The document's type.
pub const CONTENT_TYPE: &str = "application/pidf+xml";
/// What the header calls the part with the document.
const CONTENT_ID: &str = "location@tandem.invalid";
/// The largest document that is passed on: with it a request is still one that SIP elements take.
const DOCUMENT_MAX: usize = 16 * 1024;
/// URIs that are passed on; the others are left out.
const URIS_MAX: usize = 4;
/// The longest URI.
const URI_MAX: usize = 512;

/// The parts of a civic address in the order of its schema (RFC 5139 §3, and those of RFC 4119 §2.2.1).
pub const ELEMENTS: [&str; 29] = [
    "country", "A1", "A2", "A3", "A4", "A5", "A6", "PRM", "PRD", "RD", "STS", "POD", "POM",
    "RDSEC", "RDBR", "RDSUBBR", "HNO", "HNS", "LMK", "LOC", "FLR", "NAM", "PC", "BLD", "UNIT",
    "ROOM", "SEAT", "PLC", "PCN",
];

/// Where somebody is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Location {
    /// URIs to ask at, raw.
    uris: Vec<String>,
    /// The document.
    document: Option<Vec<u8>>,
    /// May whoever passes the call on route by it (`Geolocation-Routing`)?
    may_route: bool,
}

impl Location {
    /// What a request tells; `None` if that is nothing.
    #[must_use]
    pub fn of(request: &Message) -> Option<Self> {
        let values = request.list(HeaderName::Geolocation);
        let mut uris = Vec::new();
        let mut is_in_body = false;
        for value in &values {
            let Ok(address) = NameAddr::parse(value) else { continue };
            let (scheme, _) = address.uri.split_once(':').unwrap_or_default();
            match scheme.to_ascii_lowercase().as_str() {
                "cid" => is_in_body = true,
                "http" | "https" | "sip" | "sips" | "pres" if address.uri.len() <= URI_MAX => {
                    uris.push(address.uri.to_owned());
                }
                _ => {}
            }
        }
        uris.truncate(URIS_MAX);
        let document = request.part(CONTENT_TYPE).filter(|_| is_in_body).map(<[u8]>::to_vec);
        let document = document.filter(|document| document.len() <= DOCUMENT_MAX);
        let routing = request.text(HeaderName::GeolocationRouting).unwrap_or_default();
        let may_route = routing.trim().eq_ignore_ascii_case("yes");
        let is_nothing = uris.is_empty() && document.is_none();
        (!is_nothing).then_some(Self { uris, document, may_route })
    }

    /// A place that is known by its address. Elements that are not [`ELEMENTS`] are left out.
    #[must_use]
    pub fn civic(user: &str, domain: &str, address: &[(String, String)]) -> Self {
        let mut parts = String::new();
        for name in ELEMENTS {
            for (_, value) in address.iter().filter(|(known, _)| known == name) {
                parts.push_str(&format!("<ca:{name}>{}</ca:{name}>", escape(value)));
            }
        }
        let entity = escape(&format!("pres:{user}@{domain}"));
        let document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
             <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
             xmlns:gp=\"urn:ietf:params:xml:ns:pidf:geopriv10\" \
             xmlns:ca=\"urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr\" entity=\"{entity}\">\
             <tuple id=\"location\"><status><gp:geopriv><gp:location-info>\
             <ca:civicAddress>{parts}</ca:civicAddress></gp:location-info>\
             <gp:usage-rules/><gp:method>Manual</gp:method></gp:geopriv></status></tuple></presence>\r\n"
        );
        Self { uris: Vec::new(), document: Some(document.into_bytes()), may_route: true }
    }

    /// The document for the body.
    #[must_use]
    pub fn document(&self) -> Option<&[u8]> {
        self.document.as_deref()
    }

    /// The headers that go with it.
    #[must_use]
    pub fn headers(&self) -> Vec<(HeaderName, String)> {
        let in_body = self.document.as_ref().map(|_| format!("<cid:{CONTENT_ID}>"));
        let values: Vec<_> =
            in_body.into_iter().chain(self.uris.iter().map(|uri| format!("<{uri}>"))).collect();
        let routing = if self.may_route { "yes" } else { "no" };
        vec![
            (HeaderName::Geolocation, values.join(", ")),
            (HeaderName::GeolocationRouting, routing.to_owned()),
        ]
    }
}

/// A session description and a document in one body: its type, and the body (RFC 5621 §3).
#[must_use]
pub fn mixed(sdp: &[u8], document: &[u8]) -> (String, Vec<u8>) {
    let has = |bytes: &[u8], text: &str| memchr::memmem::find(bytes, text.as_bytes()).is_some();
    let mut boundary = "tandem-location".to_owned();
    while has(document, &boundary) || has(sdp, &boundary) {
        boundary.push('+');
    }
    let mut body = format!("--{boundary}\r\nContent-Type: application/sdp\r\n\r\n").into_bytes();
    body.extend_from_slice(sdp);
    let head = format!(
        "\r\n--{boundary}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-ID: <{CONTENT_ID}>\r\n\
         Content-Disposition: render;handling=optional\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(document);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/mixed;boundary=\"{boundary}\""), body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::sip::message::Parsed;

    fn invite(headers: &str, body: &[u8]) -> Message {
        let mut text = format!(
            "INVITE sip:110@pbx SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: <sip:1001@pbx>;tag=1\r\nTo: <sip:110@pbx>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\
             {headers}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        text.extend_from_slice(body);
        let Parsed::Message(message) = Message::parse(&text) else { panic!() };
        message
    }

    fn written(location: &Location) -> Message {
        let (kind, body) = mixed(b"v=0\r\n", location.document().unwrap());
        let headers: String = location
            .headers()
            .iter()
            .map(|(name, value)| format!("{}: {value}\r\n", name.as_str()))
            .collect();
        invite(&format!("Content-Type: {kind}\r\n{headers}"), &body)
    }

    #[test]
    fn an_address_is_written_in_the_order_of_its_schema_and_escaped() {
        let address = [("HNO", "5"), ("country", "CN"), ("RD", "A<B & \"C\"\n")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let location = Location::civic("1001", "pbx", &address);
        let text = String::from_utf8(location.document().unwrap().to_vec()).unwrap();
        let inner = "<ca:civicAddress><ca:country>CN</ca:country>\
                     <ca:RD>A&lt;B &amp; &quot;C&quot; </ca:RD><ca:HNO>5</ca:HNO></ca:civicAddress>";
        assert!(text.contains(inner), "{text}");
        let message = written(&location);
        assert_eq!(message.sdp(), Some(&b"v=0\r\n"[..]));
        assert_eq!(message.part(CONTENT_TYPE), location.document());
        assert_eq!(Location::of(&message), Some(location), "and read again");
    }

    #[test]
    fn a_boundary_is_in_no_part() {
        let (kind, body) = mixed(b"v=0\r\n", b"--tandem-location+\r\n");
        assert!(kind.contains("tandem-location++"), "{kind}");
        let message = invite(&format!("Content-Type: {kind}\r\n"), &body);
        assert_eq!(message.part(CONTENT_TYPE), Some(&b"--tandem-location+\r\n"[..]));
    }

    #[test]
    fn what_a_phone_says_is_read_within_bounds() {
        let by_uri = invite("Geolocation: <https://lis.example/1>, <ftp://x/y>;a=b, junk\r\n", b"");
        let location = Location::of(&by_uri).unwrap();
        assert_eq!(location.headers()[0].1, "<https://lis.example/1>");
        assert_eq!(location.headers()[1].1, "no");
        for nothing in ["", "Geolocation: <cid:gone>\r\n", "Geolocation: <data:x>\r\n"] {
            assert_eq!(Location::of(&invite(nothing, b"")), None, "{nothing}");
        }
        let long = format!("Geolocation: <https://x/{}>\r\n", "a".repeat(URI_MAX));
        assert_eq!(Location::of(&invite(&long, b"")), None);
        let large =
            Location { document: Some(vec![b'x'; DOCUMENT_MAX + 1]), ..Location::default() };
        assert_eq!(Location::of(&written(&large)), None);
    }
}
