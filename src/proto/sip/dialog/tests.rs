use super::*;
use crate::proto::sip::message::{Message, Parsed};
use crate::proto::sip::transport::Transport;

fn parse(bytes: &[u8]) -> Message {
    let Parsed::Message(message) = Message::parse(bytes) else {
        panic!("{}", String::from_utf8_lossy(bytes))
    };
    message
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: 0,
        local: "127.0.0.1:5060".parse().unwrap(),
        remote: "127.0.0.1:4000".parse().unwrap(),
        connection: 0,
    }
}

fn message(start: &str, extra: &str) -> Message {
    let cseq = if start.starts_with("BYE") { "9 BYE" } else { "8 INVITE" };
    parse(
        format!(
            "{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: \"A\" <sip:a@x>;tag=f;x=1\r\nTo: <sip:b@x>;tag=t\r\nCall-ID: c\r\nCSeq: {cseq}\r\nContact: <sip:peer@127.0.0.1:4000>\r\n{extra}\r\n"
        )
        .as_bytes(),
    )
}

const ROUTES: &str = "Record-Route: <sip:p1@127.0.0.1:1;lr>, <sip:p2@127.0.0.1:2;lr=on>\r\nRecord-Route: <sip:p3@127.0.0.1:3;lr>\r\n";

fn bye(dialog: &mut Dialog) -> Message {
    let packet = dialog
        .request(&Method::Bye, None)
        .header(HeaderName::Via, "SIP/2.0/UDP h;branch=z9hG4bK2")
        .finish();
    parse(&packet)
}

/// Row 79: the caller reverses Record-Route, the called side keeps its order; loose routers leave the
/// Request-URI alone.
#[test]
fn row_079_route_sets_have_the_right_order() {
    let response = message("SIP/2.0 200 OK", ROUTES);
    let mut uac = Dialog::from_response(&response, "<sip:me@h>", &Dest::Flow(flow())).unwrap();
    let request = bye(&mut uac);
    let users = |m: &Message| {
        m.list(HeaderName::Route)
            .iter()
            .map(|r| NameAddr::parse(r).unwrap().parsed_uri().unwrap().user.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(users(&request), ["p3", "p2", "p1"]);
    assert_eq!(request.uri(), "sip:peer@127.0.0.1:4000");
    assert_eq!(uac.dest().unwrap().to_string(), "udp:127.0.0.1:3");

    let mut uas = Dialog::from_request(
        &message("INVITE sip:b@x SIP/2.0", ROUTES),
        "t",
        "<sip:me@h>",
        Some(flow()),
    )
    .unwrap();
    assert_eq!(users(&bye(&mut uas)), ["p1", "p2", "p3"]);
}

/// Row 79: in front of a strict router the Request-URI and the routes change places.
#[test]
fn row_079_a_strict_router_gets_the_request_uri() {
    let response = message("SIP/2.0 200 OK", "Record-Route: <sip:p2@h2;lr>, <sip:p1@h1>\r\n");
    let mut dialog = Dialog::from_response(&response, "<sip:me@h>", &Dest::Flow(flow())).unwrap();
    let request = bye(&mut dialog);
    assert_eq!(request.uri(), "sip:p1@h1");
    assert_eq!(request.list(HeaderName::Route), ["<sip:p2@h2;lr>", "<sip:peer@127.0.0.1:4000>"]);
    assert_eq!(dialog.dest().unwrap().to_string(), "h1");
}

/// Row 80: re-INVITE and UPDATE refresh the target, BYE does not; the route set never changes.
#[test]
fn row_080_only_target_refreshes_move_the_target() {
    let mut dialog =
        Dialog::from_request(&message("INVITE sip:b@x SIP/2.0", ROUTES), "t", "<sip:me@h>", None)
            .unwrap();
    let moved = |start: &str| {
        let text =
            String::from_utf8(message(start, "Record-Route: <sip:evil@h;lr>\r\n").raw().to_vec())
                .unwrap();
        parse(text.replace("sip:peer@127.0.0.1:4000", "sip:new@127.0.0.1:4001").as_bytes())
    };
    dialog.refresh_target(&moved("BYE sip:b@x SIP/2.0"));
    assert_eq!(dialog.remote_target(), "sip:peer@127.0.0.1:4000");
    dialog.refresh_target(&moved("INVITE sip:b@x SIP/2.0"));
    assert_eq!(dialog.remote_target(), "sip:new@127.0.0.1:4001");
    assert_eq!(bye(&mut dialog).list(HeaderName::Route).len(), 3);
}

/// Row 81: a lower or equal CSeq is out of order; a gap is allowed.
#[test]
fn row_081_requests_of_a_dialog_are_ordered() {
    let mut dialog =
        Dialog::from_request(&message("INVITE sip:b@x SIP/2.0", ""), "t", "<sip:me@h>", None)
            .unwrap();
    let again = message("INVITE sip:b@x SIP/2.0", "");
    assert_eq!(dialog.receive(&again, flow()), Err(OutOfOrder));
    let later = parse(
        String::from_utf8(again.raw().to_vec())
            .unwrap()
            .replace("8 INVITE", "80 INVITE")
            .as_bytes(),
    );
    assert_eq!(dialog.receive(&later, flow()), Ok(()));
    assert_eq!(dialog.receive(&message("BYE sip:b@x SIP/2.0", ""), flow()), Err(OutOfOrder));
}

#[test]
fn tags_are_ours_and_theirs_and_other_parameters_stay() {
    let invite = message("INVITE sip:b@x SIP/2.0", "");
    let mut dialog = Dialog::from_request(&invite, "mine", "<sip:me@h>", None).unwrap();
    let request = bye(&mut dialog);
    assert_eq!(request.text(HeaderName::To).as_deref(), Some("\"A\" <sip:a@x>;x=1;tag=f"));
    assert_eq!(request.from_tag().as_deref(), Some("mine"));
    assert_eq!(request.cseq().number, 1);
}

/// A connection that its peer closed: the Contact is the only way left, unless it is the same one.
#[test]
fn a_broken_way_back_leaves_the_contact() {
    let invite = message("INVITE sip:b@x SIP/2.0", "");
    let dialog = |flow: Flow| Dialog::from_request(&invite, "t", "<sip:us>", Some(flow)).unwrap();
    let mut same = dialog(flow());
    assert!(!same.forget_flow());
    let closed = Flow { remote: "127.0.0.1:51234".parse().unwrap(), connection: 7, ..flow() };
    let mut other = dialog(closed);
    assert_eq!(other.dest(), Some(Dest::Flow(closed)));
    assert!(other.forget_flow() && !other.forget_flow());
    assert_eq!(other.dest().and_then(|dest| dest.address()), "127.0.0.1:4000".parse().ok());
}

/// A 2xx without the Contact that it must have: what follows goes where the INVITE went, until a re-INVITE brings one.
#[test]
fn an_answer_without_contact_is_followed_where_the_invite_went() {
    let answer = parse(
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=f\r\nTo: <sip:b@x>;tag=t\r\nCall-ID: c\r\nCSeq: 8 INVITE\r\n\r\n",
    );
    let proxy = Uri::parse("sip:192.0.2.7:5070").unwrap().next_hop().unwrap();
    let dialog = Dialog::from_response(&answer, "<sip:me@h>", &Dest::Hop(proxy)).unwrap();
    let mut dialog = dialog.with_default_target("sip:b@carrier.example");
    assert_eq!(dialog.dest().unwrap().to_string(), "udp:192.0.2.7:5070");
    assert_eq!(dialog.remote_target(), "sip:b@carrier.example");
    dialog.refresh_target(&message("INVITE sip:me@h SIP/2.0", ""));
    assert_eq!(dialog.dest().unwrap().to_string(), "udp:127.0.0.1:4000");
}
