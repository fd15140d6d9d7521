use super::*;
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::method::Method;
use crate::proto::sip::transport::{NextHop, Transport};

fn flow(transport: Transport) -> Flow {
    Flow {
        transport,
        listener: 0,
        local: "127.0.0.1:5060".parse().unwrap(),
        remote: "127.0.0.1:4000".parse().unwrap(),
        connection: u64::from(transport.is_reliable()),
    }
}

fn endpoint() -> Endpoint {
    let locals = Locals {
        listeners: vec![
            (Transport::Udp, "127.0.0.1:5060".parse().unwrap()),
            (Transport::Tcp, "127.0.0.1:5060".parse().unwrap()),
        ],
        ..Locals::default()
    };
    Endpoint::new(Timers::default(), locals, [7; 32])
}

fn hop(transport: Transport) -> Dest {
    Dest::Hop(NextHop::address(transport, "127.0.0.1:4000".parse().unwrap()))
}

fn request(method: &str, branch: &str, extra: &str) -> String {
    format!(
        "{method} sip:b@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:4000;rport;branch={branch}\r\nFrom: <sip:a@x>;tag=f\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n{extra}Content-Length: 0\r\n\r\n"
    )
}

/// A request of ours as the user hands it over: no Via.
fn ours(method: &str) -> String {
    format!(
        "{method} sip:b@127.0.0.1:4000 SIP/2.0\r\nRoute: <sip:p@127.0.0.1;lr>\r\nFrom: <sip:a@x>;tag=f\r\nTo: <sip:b@x>\r\nCall-ID: o\r\nCSeq: 7 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn response(to: &Packet, status: u16, tag: &str) -> Vec<u8> {
    let Parsed::Message(request) = Message::parse(to) else { panic!() };
    Builder::response(&request, status, "x", Some(tag), &flow(Transport::Udp)).finish().to_vec()
}

/// The texts sent, first words of the start line only.
fn sent(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Transmit { packet, .. } => {
                let text = String::from_utf8_lossy(packet);
                let mut words = text.split_whitespace();
                let first = words.next()?.to_owned();
                Some(if first == "SIP/2.0" { words.next()?.to_owned() } else { first })
            }
            _ => None,
        })
        .collect()
}

/// Runs the clock to `until` and notes when something is sent or told, in milliseconds.
fn run(endpoint: &mut Endpoint, until: u64) -> Vec<(u64, String)> {
    let mut log = Vec::new();
    while let Some(at) = endpoint.next_timeout().filter(|at| at.as_millis() <= until) {
        let mut out = Vec::new();
        endpoint.handle_timeout(at, &mut out);
        for event in &out {
            let text = match event {
                Event::BackedOff { .. } => continue,
                Event::Failed { why, .. } => format!("{why:?}"),
                Event::NoAck { .. } => "NoAck".to_owned(),
                event => sent(std::slice::from_ref(event)).concat(),
            };
            log.push((at.as_millis(), text));
        }
    }
    log
}

fn start(endpoint: &mut Endpoint, method: Method, transport: Transport) -> (ClientKey, Packet) {
    let key = ClientKey(42);
    let mut out = Vec::new();
    endpoint.request(
        Instant::START,
        key,
        Owner(1),
        hop(transport),
        &method,
        ours(method.as_str()).as_bytes(),
        Large::ToTcp,
        &mut out,
    );
    let Some(Event::Transmit { packet, .. }) = out.pop() else { panic!() };
    (key, packet)
}

/// Row 22: the retransmission schedule of an INVITE and a REGISTER that nobody answers.
#[test]
fn row_022_unanswered_requests_follow_table_4() {
    let mut e = endpoint();
    start(&mut e, Method::Invite, Transport::Udp);
    let times: Vec<_> = run(&mut e, 100_000);
    let expected = [
        (500, "INVITE"),
        (1500, "INVITE"),
        (3500, "INVITE"),
        (7500, "INVITE"),
        (15_500, "INVITE"),
        (31_500, "INVITE"),
        (32_000, "TimedOut"),
    ];
    assert_eq!(times, expected.map(|(at, what)| (at, what.to_owned())));
    start(&mut e, Method::Register, Transport::Udp);
    let times: Vec<_> = run(&mut e, 100_000).into_iter().map(|(at, _)| at).collect();
    assert_eq!(
        times,
        [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]
    );
    assert_eq!(e.counts(), (0, 0));
}

/// Row 22: over TCP nothing is sent twice, and the entries go at once or at the time-out.
#[test]
fn row_022_a_reliable_transport_retransmits_nothing() {
    let mut e = endpoint();
    start(&mut e, Method::Invite, Transport::Tcp);
    assert_eq!(run(&mut e, 100_000), [(32_000, "TimedOut".to_owned())]);
    let (_, packet) = start(&mut e, Method::Options, Transport::Tcp);
    let mut out = Vec::new();
    e.receive(Instant::START, flow(Transport::Tcp), &response(&packet, 200, "t"), &mut out);
    run(&mut e, 1);
    assert_eq!(e.counts(), (0, 0));
}

/// Row 21: a retransmitted INVITE gets the last response and makes no second call.
#[test]
fn row_021_a_retransmitted_invite_gets_the_last_response() {
    let mut e = endpoint();
    let invite = request("INVITE", "z9hG4bKa", "");
    let mut out = Vec::new();
    e.receive(Instant::START, flow(Transport::Udp), invite.as_bytes(), &mut out);
    let Some(Event::Request { server, request, flow: from, tag }) = out.pop() else { panic!() };
    for status in [180, 486] {
        let packet = Builder::response(&request, status, "x", Some(&tag), &from).finish();
        e.respond(Instant::START, server, status, packet, &mut out);
        assert_eq!(sent(&out), [status.to_string()]);
        out.clear();
        e.receive(Instant::START, flow(Transport::Udp), invite.as_bytes(), &mut out);
        assert_eq!(sent(&out), [status.to_string()]);
        assert_eq!(out.len(), 1);
        out.clear();
    }
    let log = run(&mut e, 100_000);
    assert_eq!(log.first(), Some(&(500, "486".to_owned())));
    assert_eq!(log.last(), Some(&(32_000, "NoAck".to_owned())));
    assert_eq!(log.len(), 11, "G doubles up to T2: {log:?}");
    assert_eq!(e.counts(), (0, 0));
}

/// Row 24: the ACK of a failure has the INVITE's branch, CSeq number and Route; each retransmitted
/// failure gets it again.
#[test]
fn row_024_the_ack_of_a_failure_mirrors_the_invite() {
    let mut e = endpoint();
    let (_, invite) = start(&mut e, Method::Invite, Transport::Udp);
    let mut out = Vec::new();
    for _ in 0..2 {
        e.receive(Instant::START, flow(Transport::Udp), &response(&invite, 486, "t9"), &mut out);
    }
    assert_eq!(sent(&out), ["ACK", "ACK"]);
    let Some(Event::Transmit { packet, .. }) = out.pop() else { panic!() };
    let (Parsed::Message(ack), Parsed::Message(invite)) =
        (Message::parse(&packet), Message::parse(&invite))
    else {
        panic!()
    };
    assert_eq!(ack.branch(), invite.branch());
    assert_eq!(ack.cseq().number, 7);
    assert_eq!(ack.to_tag().as_deref(), Some("t9"));
    assert_eq!(ack.text(HeaderName::Route), invite.text(HeaderName::Route));
    run(&mut e, 100_000);
    assert_eq!(e.counts(), (0, 0));
}

/// Row 25: several 2xx are all passed up, by RFC 6026 for 64 T1.
#[test]
fn row_025_every_2xx_is_passed_up() {
    let mut e = endpoint();
    let (_, invite) = start(&mut e, Method::Invite, Transport::Udp);
    let mut out = Vec::new();
    for (at, tag) in [(0, "t1"), (0, "t2"), (31_000, "t1")] {
        e.receive(
            Instant::from_millis(at),
            flow(Transport::Udp),
            &response(&invite, 200, tag),
            &mut out,
        );
    }
    let passed = out.iter().filter(|event| matches!(event, Event::Response { .. })).count();
    assert_eq!(passed, 3);
    run(&mut e, 100_000);
    assert_eq!(e.counts(), (0, 0));
}

/// Row 27: a CANCEL waits for a provisional response.
#[test]
fn row_027_a_cancel_before_any_response_is_held() {
    let mut e = endpoint();
    let (key, invite) = start(&mut e, Method::Invite, Transport::Udp);
    let mut out = Vec::new();
    e.cancel(Instant::START, key, None, &mut out);
    assert_eq!(sent(&out), [""; 0]);
    e.receive(Instant::START, flow(Transport::Udp), &response(&invite, 100, ""), &mut out);
    assert_eq!(sent(&out), ["CANCEL"]);
    // Nothing more comes: the INVITE ends 64 T1 after the CANCEL.
    let log = run(&mut e, 100_000);
    assert!(log.contains(&(32_000, "TimedOut".to_owned())), "{log:?}");
    assert_eq!(e.counts(), (0, 0));
}

/// Rows 28 and 29: a CANCEL that matches gets 200 with the INVITE's tag, one that does not 481, and one
/// after the final response has no effect.
#[test]
fn row_028_cancel_is_answered_by_what_it_matches() {
    let mut e = endpoint();
    let mut out = Vec::new();
    e.receive(
        Instant::START,
        flow(Transport::Udp),
        request("CANCEL", "z9hG4bKzz", "").as_bytes(),
        &mut out,
    );
    assert_eq!(sent(&out), ["481"]);
    out.clear();
    e.receive(
        Instant::START,
        flow(Transport::Udp),
        request("INVITE", "z9hG4bKa", "").as_bytes(),
        &mut out,
    );
    let Some(Event::Request { server, request: invite, flow: from, tag }) = out.pop() else {
        panic!()
    };
    e.adopt(server, Owner(5));
    e.receive(
        Instant::START,
        flow(Transport::Udp),
        request("CANCEL", "z9hG4bKa", "").as_bytes(),
        &mut out,
    );
    assert_eq!(sent(&out), ["200"]);
    assert!(matches!(out.last(), Some(Event::Cancel { owner: Some(Owner(5)), .. })));
    let Some(Event::Transmit { packet, .. }) = out.first() else { panic!() };
    let Parsed::Message(ok) = Message::parse(packet) else { panic!() };
    assert_eq!(ok.to_tag().as_deref(), Some(tag.as_str()));
    out.clear();
    e.respond(
        Instant::START,
        server,
        487,
        Builder::response(&invite, 487, "x", Some(&tag), &from).finish(),
        &mut out,
    );
    out.clear();
    let late = request("CANCEL", "z9hG4bKa", "").replace("CSeq: 1", "CSeq:  1");
    let mut e2 = Vec::new();
    // A retransmission of the CANCEL is absorbed by its own transaction: 200 again, no second happening.
    e.receive(Instant::START, flow(Transport::Udp), late.as_bytes(), &mut e2);
    assert_eq!((sent(&e2), e2.len()), (vec!["200".to_owned()], 1));
}

/// Row 32: the same request by another path gets 482.
#[test]
fn row_032_a_merged_request_is_refused() {
    let mut e = endpoint();
    let mut out = Vec::new();
    e.receive(
        Instant::START,
        flow(Transport::Udp),
        request("INVITE", "z9hG4bKa", "").as_bytes(),
        &mut out,
    );
    out.clear();
    e.receive(
        Instant::START,
        flow(Transport::Udp),
        request("INVITE", "z9hG4bKb", "").as_bytes(),
        &mut out,
    );
    assert_eq!(sent(&out), ["482"]);
}

/// Row 35: a peer of RFC 2543 has no magic branch; its retransmissions, ACK and CANCEL are matched all
/// the same.
#[test]
fn row_035_a_peer_without_magic_branches_is_matched() {
    let old = |method: &str, to: &str| {
        request(method, "1", "")
            .replace(";rport;branch=1", "")
            .replace("To: <sip:b@x>", &format!("To: <sip:b@x>{to}"))
    };
    let mut e = endpoint();
    let mut out = Vec::new();
    e.receive(Instant::START, flow(Transport::Udp), old("INVITE", "").as_bytes(), &mut out);
    let Some(Event::Request { server, request: invite, flow: from, tag }) = out.pop() else {
        panic!()
    };
    e.receive(Instant::START, flow(Transport::Udp), old("INVITE", "").as_bytes(), &mut out);
    assert!(out.is_empty(), "absorbed while nothing was answered");
    e.receive(Instant::START, flow(Transport::Udp), old("CANCEL", "").as_bytes(), &mut out);
    assert!(matches!(out.last(), Some(Event::Cancel { .. })));
    out.clear();
    e.respond(
        Instant::START,
        server,
        487,
        Builder::response(&invite, 487, "x", Some(&tag), &from).finish(),
        &mut out,
    );
    out.clear();
    e.receive(
        Instant::START,
        flow(Transport::Udp),
        old("ACK", &format!(";tag={tag}")).as_bytes(),
        &mut out,
    );
    assert!(out.is_empty());
    assert!(!run(&mut e, 100_000).iter().any(|(_, what)| what == "NoAck"));
    assert_eq!(e.counts(), (0, 0));
}

/// Rows 36 and 37: where a response goes: the source with rport, sent-by's port without, maddr first.
#[test]
fn row_036_responses_find_their_way_back() {
    for (via, to) in [
        ("127.0.0.1:4777;rport;branch=z9hG4bK1", "127.0.0.1:4000"),
        ("127.0.0.1:4777;branch=z9hG4bK2", "127.0.0.1:4777"),
        ("127.0.0.1;branch=z9hG4bK3", "127.0.0.1:5060"),
        ("127.0.0.1:4777;maddr=127.0.0.9;branch=z9hG4bK4", "127.0.0.9:4777"),
    ] {
        let mut e = endpoint();
        let mut out = Vec::new();
        let text =
            request("OPTIONS", "z9hG4bKa", "").replace("127.0.0.1:4000;rport;branch=z9hG4bKa", via);
        e.receive(Instant::START, flow(Transport::Udp), text.as_bytes(), &mut out);
        let Some(Event::Request { server, request, flow: from, tag }) = out.pop() else {
            panic!("{via}")
        };
        e.respond(
            Instant::START,
            server,
            200,
            Builder::response(&request, 200, "OK", Some(&tag), &from).finish(),
            &mut out,
        );
        let Some(Event::Transmit { dest, packet, .. }) = out.pop() else { panic!() };
        assert_eq!(dest.address().unwrap().to_string(), to, "{via}");
        let is_filled = String::from_utf8_lossy(&packet).contains(";rport=4000;");
        assert_eq!(is_filled, via.contains("rport"), "{via}");
    }
}

/// Rows 47 and 48: an unreachable port and a closed connection fail what is in flight at once.
#[test]
fn row_047_a_transport_error_ends_the_transaction_at_once() {
    let mut e = endpoint();
    let (key, _) = start(&mut e, Method::Invite, Transport::Udp);
    let mut out = Vec::new();
    e.transport_failed(Instant::from_millis(3), Attempt { client: key, number: 0 }, &mut out);
    assert!(matches!(out.remove(0), Event::BackedOff { .. }));
    assert!(matches!(out[..], [Event::Failed { why: Failure::Transport, .. }]));
    assert_eq!(e.counts(), (0, 0));

    out.clear();
    let on = flow(Transport::Tcp);
    e.request(
        Instant::START,
        key,
        Owner(1),
        Dest::Flow(on),
        &Method::Invite,
        ours("INVITE").as_bytes(),
        Large::ToTcp,
        &mut out,
    );
    out.clear();
    e.connection_closed(Instant::from_millis(3), on.connection, &mut out);
    assert!(matches!(out[..], [Event::Failed { why: Failure::Transport, .. }]));
    assert_eq!(e.counts(), (0, 0));
}

/// Row 48: a connection that closes fails what is on it, in order, and nothing else; one that ends otherwise is not
/// remembered on it.
#[test]
fn row_048_a_closed_connection_fails_what_is_on_it_and_nothing_else() {
    let mut e = endpoint();
    let on = |connection| Dest::Flow(Flow { connection, ..flow(Transport::Tcp) });
    let ask = |e: &mut Endpoint, key, dest: &Dest, method: Method| {
        let text = ours(method.as_str());
        let (dest, text, mut out) = (dest.clone(), text.as_bytes(), Vec::new());
        e.request(
            Instant::START,
            ClientKey(key),
            Owner(1),
            dest,
            &method,
            text,
            Large::ToTcp,
            &mut out,
        );
    };
    for key in [9, 3, 6] {
        ask(&mut e, key, &on(1), Method::Options);
    }
    ask(&mut e, 5, &on(2), Method::Invite);
    ask(&mut e, 7, &hop(Transport::Udp), Method::Options);
    let mut out = Vec::new();
    e.connection_closed(Instant::from_millis(3), 8, &mut out);
    assert!(out.is_empty());
    e.connection_closed(Instant::from_millis(3), 1, &mut out);
    let failed: Vec<_> = out
        .iter()
        .map(|event| match event {
            Event::Failed { client, why: Failure::Transport, .. } => client.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!((failed, e.counts().0), (vec![3, 6, 9], 2));
    assert_eq!(e.on_connection.keys().copied().collect::<Vec<_>>(), [2]);
    run(&mut e, 60_000);
    assert_eq!((e.counts(), e.on_connection.len()), ((0, 0), 0));
}

/// Row 50: a non-INVITE request that its user never answers gets no late 408.
#[test]
fn row_050_no_late_408_is_sent() {
    let mut e = endpoint();
    let mut out = Vec::new();
    e.receive(
        Instant::START,
        flow(Transport::Udp),
        request("OPTIONS", "z9hG4bKa", "").as_bytes(),
        &mut out,
    );
    assert_eq!(run(&mut e, 100_000), []);
    assert_eq!(e.counts(), (0, 0));
}

/// A challenge leaves nothing behind.
#[test]
fn a_forgotten_response_keeps_no_transaction() {
    let mut e = endpoint();
    let mut out = Vec::new();
    e.receive(
        Instant::START,
        flow(Transport::Udp),
        request("REGISTER", "z9hG4bKa", "").as_bytes(),
        &mut out,
    );
    let Some(Event::Request { server, request, flow: from, tag }) = out.pop() else { panic!() };
    e.respond_and_forget(
        server,
        Builder::response(&request, 401, "x", Some(&tag), &from).finish(),
        &mut out,
    );
    assert_eq!(sent(&out), ["401"]);
    assert_eq!(e.counts(), (0, 0));
}

/// A flood of refused strangers leaves no timers behind either.
#[test]
fn timers_of_forgotten_transactions_are_swept() {
    let mut e = endpoint();
    let mut out = Vec::new();
    for number in 0..3 * STALE_TIMERS_MAX {
        let text = request("OPTIONS", &format!("z9hG4bKa{number}"), "");
        let text = text.replace("Call-ID: c", &format!("Call-ID: c{number}"));
        e.receive(Instant::START, flow(Transport::Udp), text.as_bytes(), &mut out);
        let Some(Event::Request { server, .. }) = out.pop() else { panic!() };
        e.respond_and_forget(server, Packet::from(Vec::new()), &mut out);
        out.clear();
        assert!(e.waiting() <= STALE_TIMERS_MAX + 1);
    }
}

/// Who saw an INVITE pass cannot end it from elsewhere: a CANCEL is never challenged.
#[test]
fn a_cancel_from_another_address_finds_no_invite() {
    let mut e = endpoint();
    let mut out = Vec::new();
    let at =
        |ip: &str| Flow { remote: format!("{ip}:4000").parse().unwrap(), ..flow(Transport::Udp) };
    let invite = request("INVITE", "z9hG4bKa", "");
    e.receive(Instant::START, at("127.0.0.1"), invite.as_bytes(), &mut out);
    out.clear();
    let cancel = request("CANCEL", "z9hG4bKa", "");
    e.receive(Instant::START, at("127.0.0.9"), cancel.as_bytes(), &mut out);
    assert_eq!(sent(&out), ["481"]);
    assert!(!out.iter().any(|event| matches!(event, Event::Cancel { .. })));
    out.clear();
    // Another branch of CANCEL's own transaction would be wrong: the true one comes from the caller.
    let mut e = endpoint();
    e.receive(Instant::START, at("127.0.0.1"), invite.as_bytes(), &mut out);
    out.clear();
    e.receive(Instant::START, at("127.0.0.1"), cancel.as_bytes(), &mut out);
    assert_eq!(sent(&out), ["200"]);
    assert!(out.iter().any(|event| matches!(event, Event::Cancel { .. })));
}
