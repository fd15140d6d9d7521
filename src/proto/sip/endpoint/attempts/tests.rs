use super::*;
use crate::proto::sip::endpoint::Event;
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::locals::Locals;
use crate::proto::sip::locate::Srv;
use crate::proto::sip::message::build::Builder;
use crate::proto::sip::transaction::Timers;
use crate::proto::sip::transport::{Flow, Host};

/// An endpoint whose events are carried out by a domain with three servers, by SRV priority.
struct Scene {
    endpoint: Endpoint,
    now: Instant,
    out: Vec<Event>,
    /// Everything sent that was not looked at yet.
    sent: Vec<(Dest, Packet, Option<Attempt>)>,
    told: Vec<String>,
}

const KEY: ClientKey = ClientKey(0x42);

impl Scene {
    fn new() -> Self {
        let all = "0.0.0.0:5060".parse().unwrap();
        let locals = Locals {
            listeners: vec![(Transport::Udp, all), (Transport::Tcp, all)],
            ..Locals::default()
        };
        Self {
            endpoint: Endpoint::new(Timers::default(), locals, [7; 32]),
            now: Instant::START,
            out: Vec::new(),
            sent: Vec::new(),
            told: Vec::new(),
        }
    }

    /// The method to `example.com`, padded to a size.
    fn ask(&mut self, method: &Method, dest: Dest, size: usize, large: Large) {
        let request = ours(method, size);
        self.endpoint.request(
            self.now,
            KEY,
            Owner(1),
            dest,
            method,
            &request,
            large,
            &mut self.out,
        );
        self.serve();
    }

    fn serve(&mut self) {
        while !self.out.is_empty() {
            for event in std::mem::take(&mut self.out) {
                match event {
                    Event::Transmit { dest, packet, attempt } => {
                        self.sent.push((dest, packet, attempt));
                    }
                    Event::Ask(question) => {
                        let answer = says(&question);
                        self.endpoint.dns_answered(self.now, &question, &answer, &mut self.out);
                    }
                    Event::Response { response, .. } => {
                        self.told.push(response.status().to_string());
                    }
                    Event::Failed { why, .. } => self.told.push(format!("{why:?}")),
                    Event::BackedOff { target, why, .. } => {
                        self.told.push(format!("{target} {why:?}"));
                    }
                    other => self.told.push(format!("{other:?}")),
                }
            }
        }
    }

    /// The start and the place of everything sent since, and its branch.
    fn sent(&mut self) -> Vec<String> {
        let line = |(dest, packet, _): &(Dest, Packet, _)| {
            let text = String::from_utf8_lossy(packet).into_owned();
            let method = text.split(' ').next().unwrap_or("").to_owned();
            let via = text.lines().find(|line| line.starts_with("Via:")).unwrap_or("").to_owned();
            let branch = via.rsplit("branch=").next().unwrap_or("").to_owned();
            // The branch of an ACK for a 2xx is drawn.
            let branch = branch.strip_prefix("z9hG4bK0000000000000042").map_or("~", |rest| rest);
            let via = via.split(' ').nth(1).unwrap_or("");
            let via = via.trim_start_matches("SIP/2.0/");
            format!("{method} {dest} {via} {branch}").trim().to_owned()
        };
        let lines = self.sent.iter().map(line).collect();
        self.sent.clear();
        lines
    }

    fn told(&mut self) -> String {
        std::mem::take(&mut self.told).join(", ")
    }

    /// Answers the latest request that was sent.
    fn answer(&mut self, status: u16, headers: &str) {
        let (_, packet, _) = self.sent.last().unwrap().clone();
        self.answer_to(&packet, status, headers);
    }

    fn answer_to(&mut self, packet: &Packet, status: u16, headers: &str) {
        let Parsed::Message(request) = Message::parse(packet) else { panic!() };
        let at = "192.0.2.1:5060".parse().unwrap();
        let flow =
            Flow { transport: Transport::Udp, listener: 0, local: at, remote: at, connection: 0 };
        let mut builder = Builder::response(&request, status, "x", Some("t"), &flow);
        if !headers.is_empty() {
            builder.add(HeaderName::RetryAfter, headers);
        }
        let bytes = builder.finish();
        self.endpoint.receive(self.now, flow, &bytes, &mut self.out);
        self.serve();
    }

    /// The latest packet could not be sent.
    fn fail(&mut self) {
        let attempt = self.sent.last().unwrap().2.unwrap();
        self.endpoint.transport_failed(self.now, attempt, &mut self.out);
        self.serve();
    }

    fn run(&mut self, seconds: u64) {
        let until = self.now + std::time::Duration::from_secs(seconds);
        while let Some(at) = self.endpoint.next_timeout().filter(|at| *at <= until) {
            self.now = at;
            self.endpoint.handle_timeout(at, &mut self.out);
            self.serve();
        }
        self.now = until;
    }
}

fn says(question: &Question) -> Answer {
    match (question, question.name()) {
        (Question::Naptr(_), _) => Answer::Naptr(Vec::new()),
        (Question::Srv(_), "_sip._udp.example.com") => {
            let record = |n: u16| Srv {
                priority: n,
                weight: 0,
                port: 5060,
                target: format!("h{n}.example.com"),
            };
            Answer::Srv((1..=3).map(record).collect())
        }
        (Question::Srv(_), "_sip._udp.both.example" | "_sip._tcp.both.example") => {
            let target = "h1.both.example".to_owned();
            Answer::Srv(vec![Srv { priority: 1, weight: 0, port: 5060, target }])
        }
        (Question::Srv(_), _) => Answer::Srv(Vec::new()),
        (Question::Addresses(_), name) => {
            let last = name.strip_prefix('h').and_then(|rest| rest.get(..1));
            let ip = last.and_then(|n| format!("192.0.2.{n}").parse().ok());
            Answer::Addresses(ip.into_iter().collect())
        }
    }
}

fn domain() -> Dest {
    let host = Host::parse("example.com").unwrap();
    Dest::Hop(NextHop { transport: None, host, port: None, domain: None })
}

fn place(text: &str) -> Dest {
    Target { transport: Transport::Udp, address: text.parse().unwrap() }.into()
}

fn ours(method: &Method, size: usize) -> Vec<u8> {
    let head = format!(
        "{method} sip:b@example.com SIP/2.0\r\nFrom: <sip:a@x>;tag=f\r\nTo: <sip:b@example.com>\r\n\
         Call-ID: o\r\nCSeq: 7 {method}\r\nMax-Forwards: 70\r\nContact: <sip:a@192.0.2.9:5060>\r\n"
    );
    let padding = "a".repeat(size.saturating_sub(head.len()));
    format!("{head}Subject: {padding}\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

const AT: &str = "UDP";

/// Row 45: every request goes on to the next place on silence, a broken transport and 503, each time with a
/// new branch, whatever its method.
#[test]
fn row_045_every_method_goes_on_with_a_new_branch() {
    for method in [Method::Register, Method::Invite, Method::Options, Method::Bye, Method::Update] {
        let mut s = Scene::new();
        s.ask(&method, domain(), 0, Large::ToTcp);
        assert_eq!(s.told(), "", "{method}");
        s.fail();
        assert_eq!(s.told(), "udp:192.0.2.1:5060 Unreachable");
        let mut expected = vec![
            format!("{method} udp:192.0.2.1:5060 {AT}"),
            format!("{method} udp:192.0.2.2:5060 {AT} .1"),
        ];
        s.answer(503, "");
        if method == Method::Invite {
            expected.push(format!("ACK udp:192.0.2.2:5060 {AT} .1"));
        }
        expected.push(format!("{method} udp:192.0.2.3:5060 {AT} .2"));
        assert_eq!(s.told(), "udp:192.0.2.2:5060 Unavailable");
        assert_eq!(s.sent(), expected);
        s.run(31);
        s.sent.retain(|(_, packet, _)| !packet.starts_with(b"ACK"));
        s.answer(200, "");
        assert_eq!(s.told(), "200");
        s.run(70);
        assert_eq!(s.endpoint.counts(), (0, 0), "{method}");
        assert!(s.endpoint.tries.is_empty() && s.endpoint.accepted.is_empty());
    }
}

/// Row 45: 64 T1 without anything, and only then, is silence; who said 100 is not left.
#[test]
fn row_045_silence_is_no_response_at_all() {
    let mut s = Scene::new();
    s.ask(&Method::Register, domain(), 0, Large::ToTcp);
    s.run(31);
    assert!(s.sent().iter().all(|line| line.contains("192.0.2.1")));
    s.run(2);
    assert_eq!(s.told(), "udp:192.0.2.1:5060 Silent");
    // The last copy to the first place went half a second before it counted as silent.
    let again = s.sent().split_off(1);
    let is_second = |line: &String| line.contains("192.0.2.2") && line.ends_with(".1");
    assert!(!again.is_empty() && again.iter().all(is_second), "{again:?}");
    s.ask(&Method::Options, domain(), 0, Large::ToTcp);
    // The silent one is last now.
    s.answer(100, "");
    s.run(33);
    assert!(s.told().ends_with("TimedOut"), "a server that works on it is not left");
}

/// Row 45: when nobody is left the last failure is told, and a failure that comes late is not the next one's.
#[test]
fn row_045_the_last_failure_is_told() {
    let mut s = Scene::new();
    s.ask(&Method::Invite, domain(), 0, Large::ToTcp);
    let first = s.sent.last().unwrap().2.unwrap();
    s.fail();
    s.endpoint.transport_failed(s.now, first, &mut s.out);
    s.serve();
    assert_eq!(s.told(), "udp:192.0.2.1:5060 Unreachable", "the first attempt fails once");
    s.fail();
    s.fail();
    let told = s.told();
    assert!(told.ends_with("udp:192.0.2.3:5060 Unreachable, Transport"), "{told}");
    assert_eq!(s.endpoint.counts(), (0, 0));
    // All of them failed: they are tried in their order again.
    s.sent.clear();
    s.ask(&Method::Invite, domain(), 0, Large::ToTcp);
    assert_eq!(s.sent(), [format!("INVITE udp:192.0.2.1:5060 {AT}")]);
}

/// Row 45: CANCEL and the ACK of a failure go where the attempt went; a cancelled request goes nowhere else.
#[test]
fn row_045_cancel_and_ack_belong_to_their_attempt() {
    let mut s = Scene::new();
    s.ask(&Method::Invite, domain(), 0, Large::ToTcp);
    s.fail();
    let second = s.sent.last().unwrap().1.clone();
    s.sent.clear();
    s.answer_to(&second, 180, "");
    s.endpoint.cancel(s.now, KEY, None, &mut s.out);
    s.serve();
    assert_eq!(s.sent(), [format!("CANCEL udp:192.0.2.2:5060 {AT} .1")]);
    s.answer_to(&second, 503, "");
    assert_eq!(s.sent(), [format!("ACK udp:192.0.2.2:5060 {AT} .1")]);
    let told = s.told();
    assert!(told.ends_with("180, udp:192.0.2.2:5060 Unavailable, 503"), "{told}");
    // A 503 that comes again is acknowledged again, and no more than that.
    s.answer_to(&second, 503, "");
    assert_eq!(s.sent(), [format!("ACK udp:192.0.2.2:5060 {AT} .1")]);
    assert_eq!(s.told(), "");
    s.run(70);
    assert_eq!(s.endpoint.counts(), (0, 0));
}

/// Row 45: a request that waits for its look-up can be cancelled, and does not wait for ever.
#[test]
fn row_045_a_request_that_waits_for_a_look_up_ends() {
    for is_cancelled in [true, false] {
        let mut s = Scene::new();
        let request = ours(&Method::Invite, 0);
        let mut out = Vec::new();
        let (m, l) = (Method::Invite, Large::ToTcp);
        s.endpoint.request(s.now, KEY, Owner(1), domain(), &m, &request, l, &mut out);
        assert!(matches!(out[..], [Event::Ask(Question::Naptr(_))]));
        assert!(s.endpoint.is_open(KEY));
        assert_eq!(s.endpoint.counts(), (1, 0));
        if is_cancelled {
            s.endpoint.cancel(s.now, KEY, None, &mut s.out);
            s.serve();
            assert_eq!(s.told(), "Transport");
        }
        s.run(13);
        assert_eq!(s.told(), if is_cancelled { "" } else { "Transport" });
        assert!(s.sent().is_empty());
        assert_eq!(s.endpoint.counts(), (0, 0));
    }
}

/// Row 45: the ACK for a 2xx to a name goes to the host of it that answered.
#[test]
fn row_045_the_ack_goes_to_the_host_that_answered() {
    let mut s = Scene::new();
    s.ask(&Method::Invite, domain(), 0, Large::ToTcp);
    s.fail();
    s.answer(200, "");
    s.sent.clear();
    // The second one failed in the meantime for somebody else: it is still the one that answered.
    s.endpoint.send_ack(s.now, domain(), &ours(&Method::Ack, 0), &mut s.out);
    s.serve();
    assert_eq!(s.sent(), [format!("ACK udp:192.0.2.2:5060 {AT} ~")]);
    s.run(70);
    s.endpoint.send_ack(s.now, domain(), &ours(&Method::Ack, 0), &mut s.out);
    s.serve();
    assert_eq!(s.sent().len(), 1, "without its INVITE it goes to the first one");
    assert_eq!(s.endpoint.counts(), (0, 0));
}

/// Row 45: who hands over an address is told of its failure: that list is its own.
#[test]
fn row_045_an_address_is_not_tried_elsewhere() {
    let mut s = Scene::new();
    s.ask(&Method::Invite, place("192.0.2.1:5060"), 0, Large::ToTcp);
    s.answer(503, "27");
    assert_eq!(s.told(), "udp:192.0.2.1:5060 Unavailable, 503");
    let target = Target { transport: Transport::Udp, address: "192.0.2.1:5060".parse().unwrap() };
    let left = |s: &Scene, seconds: u64| {
        s.endpoint.back_off(Instant::from_millis(seconds * 1000), target).is_some()
    };
    assert!(left(&s, 26) && !left(&s, 27), "row 46: as long as it asked for");
}

/// Row 38: above 1300 bytes by TCP, with a Via that says so; where TCP is refused, as a datagram after all.
#[test]
fn row_038_a_large_request_goes_by_tcp_and_by_udp_if_that_is_refused() {
    let mut s = Scene::new();
    s.ask(&Method::Invite, place("192.0.2.1:5060"), 1_400, Large::ToTcp);
    assert_eq!(s.sent.len(), 1);
    let packet = s.sent[0].1.clone();
    assert!(String::from_utf8_lossy(&packet).contains("Contact: <sip:a@192.0.2.9:5060>"));
    s.fail();
    assert_eq!(s.told(), "tcp:192.0.2.1:5060 Unreachable");
    let expected = ["INVITE tcp:192.0.2.1:5060 TCP", "INVITE udp:192.0.2.1:5060 UDP .1"];
    assert_eq!(s.sent(), expected);
    s.run(40);
    assert!(s.told().ends_with("TimedOut"));
    // For a while it is not asked again whether it takes connections.
    let mut s = Scene::new();
    for expected in [expected.as_slice(), &["OPTIONS udp:192.0.2.1:5060 UDP"]] {
        let method = if expected.len() == 2 { Method::Invite } else { Method::Options };
        s.ask(&method, place("192.0.2.1:5060"), 1_400, Large::ToTcp);
        if expected.len() == 2 {
            s.fail();
        }
        assert_eq!(s.sent(), expected);
        s.run(33);
        s.sent.clear();
    }
}

/// Row 38: a server that has both transports by itself is asked once by each.
#[test]
fn row_038_no_place_is_tried_twice() {
    let mut s = Scene::new();
    let host = Host::parse("both.example").unwrap();
    let dest = Dest::Hop(NextHop { transport: None, host, port: None, domain: None });
    s.ask(&Method::Register, dest, 2_000, Large::ToTcp);
    s.fail();
    s.fail();
    assert_eq!(s.sent(), ["REGISTER tcp:192.0.2.1:5060 TCP", "REGISTER udp:192.0.2.1:5060 UDP .1"]);
    assert!(s.told().ends_with("Transport"));
    assert_eq!(s.endpoint.counts(), (0, 0));
}

/// Row 38: not at 1300 bytes, not where the trunk does not want it, not on a flow, not after a 503.
#[test]
fn row_038_and_only_then() {
    let via = "Via: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bK0000000000000042\r\n".len();
    let base = ours(&Method::Options, 400).len() - 400;
    for (size, sent) in [(1_300, "udp"), (1_301, "tcp")] {
        let mut s = Scene::new();
        s.ask(&Method::Options, place("192.0.2.1:5060"), size - base - via, Large::ToTcp);
        let (dest, packet, _) = &s.sent[0];
        assert_eq!(dest.transport().word(), sent, "{size}");
        assert_eq!(packet.len(), size);
    }
    let mut s = Scene::new();
    s.ask(&Method::Options, place("192.0.2.1:5060"), 5_000, Large::Datagram);
    assert_eq!(s.sent(), ["OPTIONS udp:192.0.2.1:5060 UDP"]);
    let remote = "192.0.2.1:5060".parse().unwrap();
    let flow =
        Flow { transport: Transport::Udp, listener: 0, local: remote, remote, connection: 0 };
    s.ask(&Method::Options, Dest::Flow(flow), 5_000, Large::ToTcp);
    assert_eq!(s.sent(), ["OPTIONS udp:192.0.2.1:5060 UDP"]);
    // A server that answers 503 by TCP answers it by UDP too.
    let mut s = Scene::new();
    s.ask(&Method::Options, place("192.0.2.1:5060"), 1_400, Large::ToTcp);
    s.answer(503, "");
    assert_eq!(s.sent(), ["OPTIONS tcp:192.0.2.1:5060 TCP"]);
    let told = s.told();
    assert_eq!(told, "tcp:192.0.2.1:5060 Unavailable, udp:192.0.2.1:5060 Unavailable, 503");
}

/// Row 38: an ACK with a large answer goes the way of the INVITE that it is for.
#[test]
fn row_038_a_large_ack_follows_its_invite() {
    for (size, word) in [(1_400, "tcp"), (300, "udp")] {
        let mut s = Scene::new();
        s.ask(&Method::Invite, place("192.0.2.1:5060"), size, Large::ToTcp);
        s.answer(200, "");
        s.sent.clear();
        let ack = ours(&Method::Ack, 1_400);
        s.endpoint.send_ack(s.now, place("192.0.2.1:5060"), &ack, &mut s.out);
        s.serve();
        assert_eq!(s.sent(), [format!("ACK {word}:192.0.2.1:5060 {} ~", word.to_uppercase())]);
    }
}
