use super::*;
use crate::proto::sip::message::Parsed;
use crate::proto::sip::transport::Transport;

const POLICY: Policy = Policy {
    expires_min: Duration::from_secs(60),
    expires_max: Duration::from_secs(7200),
    expires_default: Duration::from_secs(3600),
    contacts_max: 3,
};

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: 0,
        local: "127.0.0.1:5060".parse().unwrap(),
        remote: "127.0.0.1:4000".parse().unwrap(),
        connection: 0,
    }
}

fn register(call_id: &str, cseq: u32, headers: &[&str]) -> Message {
    let mut text = format!(
        "REGISTER sip:tandem SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:4000;branch=z9hG4bK1\r\nFrom: <sip:1001@tandem>;tag=1\r\nTo: <sip:1001@tandem>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n"
    );
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let Parsed::Message(message) = Message::parse(text.as_bytes()) else { panic!("{text}") };
    message
}

struct Bench(Registrar);

impl Bench {
    fn at(&mut self, seconds: u64, call_id: &str, cseq: u32, headers: &[&str]) -> Outcome {
        let now = Instant::from_millis(seconds * 1000);
        self.0.register(now, "1001", &register(call_id, cseq, headers), flow(), &POLICY)
    }

    fn contacts(&mut self, seconds: u64) -> Vec<String> {
        let Outcome::Accepted { contacts, .. } = self.at(seconds, "query", 1, &[]) else {
            panic!()
        };
        contacts
    }
}

fn bench() -> Bench {
    Bench(Registrar::default())
}

fn status(outcome: &Outcome) -> u16 {
    match outcome {
        Outcome::Accepted { .. } => 200,
        Outcome::Refused { status, .. } => *status,
    }
}

/// Row 52: `*` with Expires 0 removes everything; in any other company it is 400.
#[test]
fn row_052_star_removes_all_and_stands_alone() {
    let mut b = bench();
    b.at(0, "c1", 1, &["Contact: <sip:a@127.0.0.1:4000>"]);
    b.at(0, "c2", 1, &["Contact: <sip:b@127.0.0.1:4001>"]);
    for headers in [
        &["Contact: *"][..],
        &["Contact: *", "Expires: 60"],
        &["Contact: *", "Contact: <sip:a@x>", "Expires: 0"],
    ] {
        assert_eq!(status(&b.at(1, "c1", 2, headers)), 400, "{headers:?}");
    }
    assert_eq!(b.contacts(1).len(), 2);
    assert_eq!(status(&b.at(1, "c1", 2, &["Contact: *", "Expires: 0"])), 200);
    assert_eq!(b.contacts(1), [""; 0]);
    assert!(b.0.is_empty());
}

/// Row 53: a lower or equal CSeq under the same Call-ID changes nothing, not even the other contacts of
/// the request.
#[test]
fn row_053_an_old_cseq_changes_nothing() {
    let mut b = bench();
    b.at(0, "c1", 5, &["Contact: <sip:a@127.0.0.1:4000>"]);
    for cseq in [4, 5] {
        let outcome = b.at(
            1,
            "c1",
            cseq,
            &["Contact: <sip:new@127.0.0.1:4009>, <sip:a@127.0.0.1:4000>;expires=0"],
        );
        assert_eq!(status(&outcome), 500);
        assert_eq!(b.contacts(1), ["<sip:a@127.0.0.1:4000>;expires=3599"]);
    }
    assert_eq!(status(&b.at(1, "c1", 6, &["Contact: <sip:a@127.0.0.1:4000>;expires=0"])), 200);
    assert_eq!(b.contacts(1), [""; 0]);
}

/// Row 54: the contact's own expires beats the header, the header beats the default; too short is 423
/// with Min-Expires, too long is shortened.
#[test]
fn row_054_expiry_policy() {
    let mut b = bench();
    b.at(0, "c1", 1, &["Contact: <sip:a@h>;expires=100, <sip:b@h>", "Expires: 200"]);
    assert_eq!(b.contacts(0), ["<sip:a@h>;expires=100", "<sip:b@h>;expires=200"]);
    b.at(0, "c1", 2, &["Contact: <sip:a@h>"]);
    assert!(b.contacts(0).contains(&"<sip:a@h>;expires=3600".to_owned()));
    let short = b.at(0, "c1", 3, &["Contact: <sip:a@h>;expires=59"]);
    assert_eq!(
        short,
        Outcome::Refused {
            status: 423,
            reason: "Interval Too Brief".into(),
            min_expires: Some(60)
        }
    );
    b.at(0, "c1", 4, &["Contact: <sip:a@h>;expires=999999"]);
    assert!(b.contacts(0).contains(&"<sip:a@h>;expires=7200".to_owned()));
}

/// Row 55: the answer lists all current bindings with what remains.
#[test]
fn row_055_the_answer_lists_every_binding() {
    let mut b = bench();
    b.at(0, "c1", 1, &["Contact: <sip:a@127.0.0.1:4000;line=1>;q=0.5;expires=100"]);
    let outcome = b.at(40, "c2", 1, &["Contact: \"x\" <sip:b@127.0.0.1:4001>;expires=100"]);
    let Outcome::Accepted { contacts, .. } = outcome else { panic!() };
    assert_eq!(
        contacts,
        ["<sip:a@127.0.0.1:4000;line=1>;expires=60;q=0.500", "<sip:b@127.0.0.1:4001>;expires=100"]
    );
}

/// Row 56: a REGISTER without Contact asks and changes nothing.
#[test]
fn row_056_no_contact_is_a_query() {
    let mut b = bench();
    b.at(0, "c1", 1, &["Contact: <sip:a@h>"]);
    assert_eq!(
        b.at(0, "c1", 1, &[]),
        Outcome::Accepted {
            contacts: vec!["<sip:a@h>;expires=3600".into()],
            has_changed: false,
            is_outbound: false
        }
    );
}

/// Row 57: a phone that reboots comes back with a new Call-ID and port and replaces its old binding.
#[test]
fn row_057_a_rebooted_phone_leaves_no_ghost() {
    let mut b = bench();
    let contact = |port: u16| {
        format!("Contact: <sip:a@127.0.0.1:{port}>;+sip.instance=\"<urn:uuid:7>\";reg-id=1")
    };
    b.at(0, "c1", 9, &[&contact(4000), "Supported: outbound"]);
    b.at(5, "c2", 1, &[&contact(4444), "Supported: outbound"]);
    assert_eq!(
        b.contacts(5),
        ["<sip:a@127.0.0.1:4444>;expires=3600;+sip.instance=\"<urn:uuid:7>\";reg-id=1"]
    );
}

/// Row 58: one instance on several addresses of record (an ATA) keeps them apart.
#[test]
fn row_058_an_instance_is_scoped_to_its_address() {
    let mut b = bench();
    let request = register("c1", 1, &["Contact: <sip:a@h>;+sip.instance=\"<urn:uuid:7>\""]);
    for aor in ["1001", "1002"] {
        b.0.register(Instant::START, aor, &request, flow(), &POLICY);
    }
    assert_eq!(b.0.len(), 2);
    assert_eq!(b.0.bindings("1001", Instant::START).len(), 1);
}

/// Row 59: a flow number through a first hop without Outbound is 439; without `outbound` it means
/// nothing.
#[test]
fn row_059_reg_id_needs_outbound_on_the_first_hop() {
    let mut b = bench();
    let contact = "Contact: <sip:a@h>;+sip.instance=\"<urn:uuid:7>\";reg-id=1";
    let via = "Via: SIP/2.0/UDP 10.0.0.9";
    assert_eq!(status(&b.at(0, "c1", 1, &[contact, "Supported: outbound", via])), 439);
    assert_eq!(
        status(&b.at(0, "c1", 1, &[contact, "Supported: outbound", via, "Path: <sip:p@h;lr;ob>"])),
        200
    );
    assert_eq!(status(&b.at(0, "c1", 2, &[contact, via])), 200);
    assert!(b.contacts(0).iter().any(|contact| !contact.contains("reg-id")));
}

#[test]
fn the_sixth_contact_is_refused_in_words() {
    let mut b = bench();
    for n in 0..3 {
        assert_eq!(
            status(&b.at(0, &format!("c{n}"), 1, &[&format!("Contact: <sip:a@h:{}>", 4000 + n)])),
            200
        );
    }
    let Outcome::Refused { status, reason, .. } = b.at(0, "c9", 1, &["Contact: <sip:a@h:4009>"])
    else {
        panic!()
    };
    assert_eq!((status, reason.as_str()), (403, "Too Many Contacts (at most 3)"));
}

#[test]
fn a_closed_connection_takes_its_own_bindings_and_no_others() {
    let mut registrar = Registrar::default();
    let mut register = |aor: &str, connection, contact: &str| {
        let flow = Flow { transport: Transport::Tcp, connection, ..flow() };
        let contact = format!("Contact: <sip:{contact}@h;transport=tcp>");
        let request = register(contact.as_str(), 1, &[&contact]);
        assert_eq!(status(&registrar.register(Instant::START, aor, &request, flow, &POLICY)), 200);
    };
    for (aor, connection, contact) in
        [("1003", 1, "a"), ("1001", 1, "a"), ("1001", 2, "b"), ("1002", 1, "a"), ("1002", 0, "b")]
    {
        register(aor, connection, contact);
    }
    // It has moved to another connection.
    let again = self::register("a2", 2, &["Contact: <sip:a@h;transport=tcp>"]);
    let flow = Flow { transport: Transport::Tcp, connection: 3, ..flow() };
    registrar.register(Instant::START, "1003", &again, flow, &POLICY);
    assert_eq!(registrar.connection_closed(9), [""; 0]);
    assert_eq!(registrar.connection_closed(0), [""; 0]);
    assert_eq!(registrar.connection_closed(1), ["1001", "1002"]);
    let left = |aor: &str| registrar.bindings(aor, Instant::START).len();
    assert_eq!(["1001", "1002", "1003"].map(left), [1, 1, 1]);
    assert_eq!(registrar.connection_closed(3), ["1003"]);
    assert_eq!(registrar.connection_closed(2), ["1001"]);
    assert_eq!((registrar.len(), registrar.on_connection.len()), (1, 0));
}

#[test]
fn what_expires_is_gone_and_leaves_no_timer() {
    let mut b = bench();
    b.at(0, "c1", 1, &["Contact: <sip:a@h>;expires=100"]);
    b.at(50, "c1", 2, &["Contact: <sip:a@h>;expires=100"]);
    let mut changed = Vec::new();
    while let Some(at) = b.0.next_timeout() {
        changed.extend(b.0.handle_timeout(at).into_iter().map(|aor| (at.as_millis(), aor)));
    }
    assert_eq!(changed, [(150_000, "1001".to_owned())]);
    assert!(b.0.is_empty());
}
