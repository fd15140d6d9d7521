//! A device that is registered over several flows (RFC 5626): whatever is sent to it takes the one that works, and only
//! such as may be taken.

use crate::scene::heard;
use crate::sim::office::{office, secret_of};
use crate::sim::phone::{Ask, Body, Reply, ok, ring};
use crate::sim::world::{PhoneId, World};

const DESK: &str = "expires=600;+sip.instance=\"<urn:uuid:desk>\"";

/// The flows of 1002's one device, the latest last. Each has further headers in its REGISTER.
fn flows(w: &mut World, headers: [&str; 2]) -> [PhoneId; 2] {
    let flows = ["10.0.0.41:5060", "10.0.0.42:5060"].map(|at| {
        let id = w.party(at, at);
        w[id].domain = "tandem".into();
        w[id].user = "1002".into();
        w[id].secret = secret_of("1002");
        w[id].habits.on_invite = vec![(20, ring()), (300, ok())];
        id
    });
    for ((id, headers), reg_id) in flows.into_iter().zip(headers).zip(1..) {
        let contact = format!("{};{DESK};reg-id={reg_id}", w[id].contact());
        let headers = format!("Supported: path, outbound, gruu\r\n{headers}");
        let now = w.now;
        w[id].register(now, &contact, &headers);
        w.flush(id.0);
        w.run_for(5_000);
        assert!(w[id].response(200).is_some());
    }
    flows
}

fn invites(w: &World, flows: [PhoneId; 2]) -> [usize; 2] {
    flows.map(|id| w[id].requests("INVITE").len())
}

fn vanish(w: &mut World, id: PhoneId) {
    let at = w[id].at;
    w.unreachable.insert(at);
}

fn dial_uri(w: &mut World, id: PhoneId, uri: &str) {
    let now = w.now;
    w[id].dial_uri(now, uri.to_owned(), &Body::Auto, "");
    w.flush(id.0);
    w.run_for(1_000);
}

/// An operator's call rings the phone on its other flow, as any call does.
#[test]
fn an_operators_call_takes_the_flow_that_works() {
    for is_reachable in [true, false] {
        let mut w = World::new(office());
        let third = w.phone("1003");
        w[third].habits.on_invite = vec![(20, ring()), (200, ok())];
        let [first, second] = flows(&mut w, ["", ""]);
        if is_reachable {
            w[second].habits.on_invite = vec![(20, Reply::status(430))];
        } else {
            vanish(&mut w, second);
        }
        w.originate("1002", "1003").unwrap();
        w.run_for(2_000);
        assert_eq!(heard(&w), (true, true));
        w.hang_up(first);
        w.assert_empty();
        assert_eq!(w.record().cause.key, "normal");
    }
}

/// A message goes by the other flow where the first is gone. After silence it does not: its sender has given up, and the
/// device may have it already.
#[test]
fn a_message_takes_the_flow_that_works() {
    for (case, expected) in [("430", [1, 1]), ("gone", [1, 0]), ("silent", [0, 1])] {
        let mut w = World::new(office());
        let a = w.phone("1001");
        let [first, second] = flows(&mut w, ["", ""]);
        match case {
            "430" => w[second].habits.on_method = vec![("MESSAGE", Reply::status(430))],
            "gone" => vanish(&mut w, second),
            _ => w[second].habits.answers = false,
        }
        let now = w.now;
        let (call_id, tag) = (w[a].fresh("message"), w[a].fresh("tag"));
        let ask = Ask {
            method: "MESSAGE".into(),
            from: format!("<sip:1001@tandem>;tag={tag}"),
            to: "<sip:1002@tandem>".into(),
            uri: "sip:1002@tandem".into(),
            call_id,
            cseq: 1,
            headers: "Content-Type: text/plain\r\n".into(),
            body: "hi".into(),
            call: None,
            tries: 0,
        };
        w[a].ask(now, ask);
        w.flush(a.0);
        w.run_for(40_000);
        let got = [first, second].map(|id| w[id].requests("MESSAGE").len().min(1));
        assert_eq!(got, expected, "{case}");
        assert_eq!(w[a].statuses("MESSAGE").contains(&200), case != "silent", "{case}");
        w.assert_empty();
    }
}

/// What was called by `sips` goes under TLS or nowhere, on whichever flow it goes (RFC 5630 §5.3).
#[test]
fn a_sips_call_takes_no_flow_in_the_clear() {
    let edge = "10.0.0.77:5061";
    let path = format!("Path: <sip:{edge};transport=tls;lr>\r\n");
    for headers in [[path.as_str(), ""], ["", path.as_str()]] {
        let mut w = World::new(office());
        let a = w.phone("1001");
        let clear = flows(&mut w, headers)[usize::from(!headers[0].is_empty())];
        w.unreachable.insert(edge.parse().unwrap());
        dial_uri(&mut w, a, "sips:1002@tandem");
        let under_tls = w.wires.iter().filter(|wire| wire.to == edge.parse().unwrap());
        assert!(under_tls.count() > 0, "{headers:?}");
        assert!(w[clear].requests("INVITE").is_empty(), "{headers:?}");
        assert_eq!(w[a].last().status, 480);
        w.assert_empty();
    }
}

/// A temporary GRUU is that of one registration; where flows were registered with Call-IDs of their own, it is that of one
/// flow, whichever of them is the latest.
#[test]
fn a_temporary_gruu_reaches_the_flow_that_it_was_given_for() {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let both = flows(&mut w, ["", ""]);
    for (index, id) in both.into_iter().enumerate() {
        let answer = w[id].response(200).unwrap().clone();
        let own = format!("reg-id={}", index + 1);
        let contact = answer.all("Contact").find(|value| value.contains(&own)).unwrap();
        let (_, rest) = contact.split_once(";temp-gruu=\"").unwrap();
        let uri = rest.split('"').next().unwrap().to_owned();
        let before = invites(&w, both);
        dial_uri(&mut w, a, &uri);
        let after = invites(&w, both);
        assert_eq!((after[index], after[1 - index]), (before[index] + 1, before[1 - index]));
        w.hang_up(a);
        w.run_for(1_000);
    }
    w.assert_empty();
}

/// The caller gives up while the second flow rings, and before it has said anything.
#[test]
fn a_caller_who_gives_up_ends_the_second_flow_too() {
    for (rings, wait) in [(true, 500), (false, 300)] {
        let mut w = World::new(office());
        let a = w.phone("1001");
        let [first, second] = flows(&mut w, ["", ""]);
        vanish(&mut w, second);
        let answer = if rings { (20, ring()) } else { (100, Reply::status(100)) };
        w[first].habits.on_invite = vec![answer];
        w.dial(a, "1002");
        w.run_for(wait);
        assert_eq!(w[first].requests("INVITE").len(), 1);
        w.cancel(a);
        w.run_for(1_000);
        assert_eq!(w[a].last().status, 487);
        assert_eq!(w[first].requests("CANCEL").len(), 1);
        w.assert_empty();
        assert_eq!(w.record().cause.key, "cancelled");
    }
}

/// The first flow was silent so long that the second one was rung, and answers after all: one of them has the call.
#[test]
fn a_late_answer_on_the_first_flow_leaves_the_call_to_the_second() {
    for second_answers_after in [500, 10_000] {
        let mut w = World::new(office());
        let a = w.phone("1001");
        let [first, second] = flows(&mut w, ["", ""]);
        w[second].habits.on_invite = vec![(32_900, ok())];
        w[first].habits.on_invite = vec![(20, ring()), (second_answers_after, ok())];
        w.dial(a, "1002");
        w.run_for(45_000);
        assert_eq!(w[a].last().status, 200);
        assert_eq!(heard(&w), (true, true));
        assert_eq!(w.records.len(), 0, "the call goes on");
        w.hang_up(a);
        w.run_for(70_000);
        w.assert_empty();
        assert_eq!(w.record().cause.key, "normal");
    }
}
