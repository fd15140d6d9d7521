use super::*;
use crate::proto::sip::message::Parsed;
use crate::proto::sip::transport::Transport;

fn flow() -> Flow {
    let (local, remote) = (([10, 0, 0, 1], 5060).into(), ([203, 0, 113, 9], 4_000).into());
    Flow { transport: Transport::Udp, listener: 0, local, remote, connection: 0 }
}

fn message(text: &str) -> Message {
    match Message::parse(text.as_bytes()) {
        Parsed::Message(message) => message,
        other => panic!("{other:?}"),
    }
}

fn subscribe(call: usize) -> Message {
    message(&format!(
        "SUBSCRIBE sip:1002@tandem SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bK{call}\r\n\
         From: <sip:1001@tandem>;tag=a\r\nTo: <sip:1002@tandem>\r\nCall-ID: {call}\r\nCSeq: 1 SUBSCRIBE\r\n\
         Contact: <sip:1001@10.0.0.11>\r\nEvent: dialog\r\nContent-Length: 0\r\n\r\n"
    ))
}

fn add(all: &mut Subscriptions, call: usize, watcher: &str, out: &mut Vec<Notify>) {
    let (request, tag) = (subscribe(call), format!("t{call}"));
    let event = EventHeader { package: "dialog".into(), id: None };
    let wanted = Wanted {
        request: &request,
        tag: &tag,
        contact: "<sip:1002@10.0.0.1>",
        flow: flow(),
        event: &event,
        package: Package::Dialog,
        resource: "1002",
        host: "tandem",
        watcher,
        span: Duration::from_secs(60),
    };
    all.subscribe(Instant::START, Wall(1_795_246_942_000_000), &wanted, out);
}

#[test]
fn a_phone_has_room_for_so_many_and_others_for_theirs() {
    let (mut all, mut out) = (Subscriptions::new([1; 32], "test".into()), Vec::new());
    for call in 0..SUBSCRIPTIONS_PER_PHONE_MAX {
        assert_eq!(all.has_room("1001"), Ok(()));
        add(&mut all, call, "1001", &mut out);
    }
    assert_eq!(all.has_room("1001"), Err(Full::Phone));
    assert_eq!(all.has_room("1003"), Ok(()));
    assert_eq!(out.len(), SUBSCRIPTIONS_PER_PHONE_MAX);
    // All are silent, and nothing of them stays behind.
    let end = Instant::from_millis(60_000);
    assert_eq!(all.next_timeout(), Some(end));
    all.handle_timeout(end, &mut out);
    assert_eq!(out.len(), SUBSCRIPTIONS_PER_PHONE_MAX, "no second NOTIFY before an answer");
    let waiting: Vec<_> = out.drain(..).map(|notify| notify.client).collect();
    for client in waiting {
        assert!(all.failed(end, client, Failure::TimedOut, &mut out));
    }
    assert!(out.is_empty() && all.is_empty() && all.next_timeout().is_none());
    assert!(all.clients.is_empty() && all.dialogs.is_empty() && all.deadlines.is_empty());
    assert!(all.by_resource.is_empty() && all.by_watcher.is_empty());
    assert_eq!(all.has_room("1001"), Ok(()));
}

#[test]
fn an_answer_to_something_else_is_not_ours() {
    let mut all = Subscriptions::new([1; 32], "test".into());
    let answer = message(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=a\r\n\
         To: <sip:b@c>;tag=b\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(!all.answered(Instant::START, ClientKey(7), &answer, &mut Vec::new()));
    assert!(!all.failed(Instant::START, ClientKey(7), Failure::Transport, &mut Vec::new()));
}

/// A connection that broke, a NAT that forgot: the phone is tried where it says that it is, once.
#[test]
fn a_broken_way_is_left_for_the_contact() {
    let (mut all, mut out) = (Subscriptions::new([1; 32], "test".into()), Vec::new());
    add(&mut all, 1, "1001", &mut out);
    let first = out.pop().unwrap();
    assert_eq!(first.dest, Dest::Flow(flow()));
    assert!(all.failed(Instant::START, first.client, Failure::Transport, &mut out));
    let second = out.pop().unwrap();
    assert_eq!(second.dest.address(), Some(([10, 0, 0, 11], 5060).into()));
    assert!(all.failed(Instant::START, second.client, Failure::Transport, &mut out));
    assert!(out.is_empty(), "nothing has changed, and there is no other way");
    assert_eq!(all.len(), 1);
}

/// A phone whose connection broke comes back on another one: from then on it is told there.
#[test]
fn a_phone_that_comes_back_is_told_where_it_is_now() {
    let (mut all, mut out) = (Subscriptions::new([1; 32], "test".into()), Vec::new());
    add(&mut all, 1, "1001", &mut out);
    for _ in 0..2 {
        let broken = out.pop().unwrap();
        assert!(all.failed(Instant::START, broken.client, Failure::Transport, &mut out));
    }
    let again = message(
        "SUBSCRIBE sip:1002@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.11;branch=z9hG4bKb\r\n\
         From: <sip:1001@tandem>;tag=a\r\nTo: <sip:1002@tandem>;tag=t1\r\nCall-ID: 1\r\n\
         CSeq: 2 SUBSCRIBE\r\nContact: <sip:1001@10.0.0.11>\r\nEvent: dialog\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let (id, now) = (all.find("1", "t1").unwrap(), flow());
    let now = Flow { remote: ([203, 0, 113, 9], 4_001).into(), ..now };
    assert_eq!(all.receive(id, &again, now), Ok(()));
    all.refresh(Instant::START, id, Duration::from_secs(60), &mut out);
    assert_eq!(out.pop().unwrap().dest, Dest::Flow(now));
}
