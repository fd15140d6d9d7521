use super::*;
use crate::proto::sip::transport::Host;
use std::collections::{BTreeMap, BTreeSet};

/// A name server of the test: what it does not know does not exist.
#[derive(Default)]
struct Zone {
    records: BTreeMap<Question, Answer>,
    asked: Vec<String>,
}

impl Zone {
    fn naptr(mut self, name: &str, records: &[(u16, u16, &str, &str, &str)]) -> Self {
        let record =
            |(order, preference, flags, service, to): &(u16, u16, &str, &str, &str)| Naptr {
                order: *order,
                preference: *preference,
                flags: (*flags).into(),
                service: (*service).into(),
                regexp: String::new(),
                replacement: (*to).into(),
            };
        let list = records.iter().map(record).collect();
        self.records.insert(Question::Naptr(name.into()), Answer::Naptr(list));
        self
    }

    fn srv(mut self, name: &str, records: &[(u16, u16, u16, &str)]) -> Self {
        let record = |(priority, weight, port, target): &(u16, u16, u16, &str)| Srv {
            priority: *priority,
            weight: *weight,
            port: *port,
            target: (*target).into(),
        };
        let list = records.iter().map(record).collect();
        self.records.insert(Question::Srv(name.into()), Answer::Srv(list));
        self
    }

    fn host(mut self, name: &str, addresses: &[&str]) -> Self {
        let list = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self.records.insert(Question::Addresses(name.into()), Answer::Addresses(list));
        self
    }

    fn says(&mut self, question: &Question) -> Answer {
        let kind = match question {
            Question::Naptr(_) => "NAPTR",
            Question::Srv(_) => "SRV",
            Question::Addresses(_) => "A",
        };
        self.asked.push(format!("{kind} {}", question.name()));
        self.records.get(question).cloned().unwrap_or(match question {
            Question::Naptr(_) => Answer::Naptr(Vec::new()),
            Question::Srv(_) => Answer::Srv(Vec::new()),
            Question::Addresses(_) => Answer::Addresses(Vec::new()),
        })
    }

    /// Locates `host[:port]`, with `tcp:` or `udp:` in front if somebody said so.
    fn locate(&mut self, text: &str) -> Located {
        let mut locator = Locator::new([1; 32]);
        let (mut asked, mut found) = (Vec::new(), Vec::new());
        let both = [Transport::Udp, Transport::Tcp];
        assert!(locator.locate(Instant::START, &hop(text), &both, &mut asked));
        while let Some(question) = asked.pop() {
            let answer = self.says(&question);
            locator.answer(&question, &answer, &mut asked, &mut found);
        }
        assert!(locator.is_empty() && locator.next_timeout().is_none());
        found.remove(0).located
    }

    /// The places in order, where chance has no say.
    fn targets(&mut self, text: &str) -> Vec<String> {
        let located = self.locate(text);
        let targets = Locator::new([1; 32]).order(Instant::START, &located.servers);
        targets.iter().map(ToString::to_string).collect()
    }
}

fn hop(text: &str) -> NextHop {
    let (transport, text) = match text.split_once(':') {
        Some((word @ ("udp" | "tcp"), rest)) => (Transport::from_word(word), rest),
        _ => (None, text),
    };
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.parse().unwrap())),
        None => (text, None),
    };
    NextHop { transport, host: Host::parse(host).unwrap(), port, domain: None }
}

fn target(text: &str) -> Target {
    hop(text).target().unwrap()
}

/// Row 45: RFC 3263 §4.1: NAPTR names the services, those that we do not speak are passed over.
#[test]
fn row_045_naptr_chooses_the_transport_and_the_name() {
    let mut zone = Zone::default()
        .naptr(
            "example.com",
            &[
                (50, 50, "s", "SIPS+D2T", "_sips._tcp.example.com."),
                (90, 70, "S", "sip+d2u", "_sip._udp.Other.example."),
                (90, 50, "s", "SIP+D2T", "_sip._tcp.example.com."),
                (10, 10, "u", "E2U+sip", ""),
            ],
        )
        .srv("_sip._tcp.example.com", &[(0, 1, 5070, "a.example.com.")])
        .srv("_sip._udp.other.example", &[(0, 1, 5080, "b.example.com.")])
        .host("a.example.com", &["192.0.2.1", "2001:db8::1"])
        .host("b.example.com", &["192.0.2.2"]);
    let expected = ["tcp:192.0.2.1:5070", "tcp:[2001:db8::1]:5070", "udp:192.0.2.2:5080"];
    assert_eq!(zone.targets("example.com"), expected);
    assert_eq!(zone.asked.first().unwrap(), "NAPTR example.com");
    assert_eq!(zone.asked.len(), 5, "{:?}", zone.asked);
}

/// Row 45: without NAPTR every transport's SRV is asked for, and UDP goes first.
#[test]
fn row_045_without_naptr_srv_is_asked_for_each_transport() {
    let mut zone = Zone::default()
        .srv("_sip._tcp.example.com", &[(0, 1, 5070, "a.example.com")])
        .srv(
            "_sip._udp.example.com",
            &[(20, 1, 5062, "a.example.com"), (10, 1, 5061, "a.example.com")],
        )
        .host("a.example.com", &["192.0.2.1"]);
    let expected = ["udp:192.0.2.1:5061", "udp:192.0.2.1:5062", "tcp:192.0.2.1:5070"];
    assert_eq!(zone.targets("example.com"), expected);
}

/// Row 45: what is written decides what is asked (RFC 3263 §4.1, §4.2).
#[test]
fn row_045_transport_and_port_decide_what_is_asked() {
    for (text, asked, targets) in [
        ("tcp:example.com", "SRV _sip._tcp.example.com, A a.example.com", "tcp:192.0.2.1:5070"),
        ("example.com:5090", "A example.com", "udp:192.0.2.9:5090"),
        ("tcp:example.com:5090", "A example.com", "tcp:192.0.2.9:5090"),
        ("udp:example.com", "SRV _sip._udp.example.com, A example.com", "udp:192.0.2.9:5060"),
    ] {
        let mut zone = Zone::default()
            .srv("_sip._tcp.example.com", &[(0, 1, 5070, "a.example.com")])
            .host("a.example.com", &["192.0.2.1"])
            .host("example.com", &["192.0.2.9"]);
        assert_eq!(zone.targets(text).join(", "), targets, "{text}");
        assert_eq!(zone.asked.join(", "), asked, "{text}");
    }
    // A literal address is its own place.
    assert_eq!(target("192.0.2.1").to_string(), "udp:192.0.2.1:5060");
}

/// Row 45: no records at all is the host itself on the default port.
#[test]
fn row_045_a_domain_without_records_is_a_host() {
    let mut zone = Zone::default().host("example.com", &["192.0.2.9"]);
    assert_eq!(zone.targets("example.com"), ["udp:192.0.2.9:5060"]);
    assert_eq!(Zone::default().targets("nowhere.example"), Vec::<String>::new());
}

/// Row 45: a target of "." says that the service is not to be had; then the host is not asked instead.
#[test]
fn row_045_a_service_that_is_refused_is_not_looked_for_elsewhere() {
    let refused = || {
        Zone::default()
            .srv("_sip._udp.example.com", &[(0, 0, 0, ".")])
            .host("example.com", &["192.0.2.9"])
            .host("a.example.com", &["192.0.2.1"])
    };
    assert_eq!(refused().targets("example.com"), Vec::<String>::new());
    let mut with_tcp = refused().srv("_sip._tcp.example.com", &[(0, 1, 5070, "a.example.com")]);
    assert_eq!(with_tcp.targets("example.com"), ["tcp:192.0.2.1:5070"]);
}

/// Row 45: RFC 2782's order: priorities strictly, weights by their share, weight 0 hardly ever but sometimes.
#[test]
fn row_045_weights_are_shares_and_zero_is_a_small_one() {
    let mut zone = Zone::default()
        .srv(
            "_sip._udp.example.com",
            &[(1, 0, 5000, "h"), (1, 10, 5010, "h"), (1, 30, 5030, "h"), (0, 0, 4000, "h")],
        )
        .host("h", &["192.0.2.1"]);
    let located = zone.locate("udp:example.com");
    let mut locator = Locator::new([3; 32]);
    let mut seconds: BTreeMap<u16, u32> = BTreeMap::new();
    for _ in 0..4_000 {
        let ports: Vec<_> = locator
            .order(Instant::START, &located.servers)
            .iter()
            .map(|target| target.address.port())
            .collect();
        assert_eq!(ports[0], 4000);
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 4);
        *seconds.entry(ports[1]).or_default() += 1;
    }
    // Of 41 numbers one is for weight 0, ten are for 10, thirty for 30.
    assert!((50..160).contains(&seconds[&5000]), "{seconds:?}");
    assert!((850..1_100).contains(&seconds[&5010]), "{seconds:?}");
    assert!((2_750..3_100).contains(&seconds[&5030]), "{seconds:?}");
    let again = |seed| Locator::new([seed; 32]).order(Instant::START, &located.servers);
    assert_eq!(again(5), again(5), "the same seed, the same order");
}

/// Row 45: a name server that says nothing does not keep a request waiting for ever, and half an answer is
/// marked as such.
#[test]
fn row_045_a_silent_name_server_ends_the_look_up() {
    let mut locator = Locator::new([1; 32]);
    let (mut asked, mut found) = (Vec::new(), Vec::new());
    locator.locate(Instant::START, &hop("example.com"), &[Transport::Udp], &mut asked);
    locator.locate(Instant::START, &hop("example.com"), &[Transport::Udp], &mut asked);
    assert_eq!(asked.len(), 1, "one look-up serves both");
    let failed = |locator: &mut Locator, question: &Question, found: &mut Vec<Found>| {
        let mut next = Vec::new();
        locator.answer(question, &Answer::Failed, &mut next, found);
        next
    };
    let srv = failed(&mut locator, &asked[0], &mut found);
    assert_eq!(srv, [Question::Srv("_sip._udp.example.com".into())]);
    let host = failed(&mut locator, &srv[0], &mut found);
    let ip = Answer::Addresses(vec!["192.0.2.1".parse().unwrap()]);
    locator.answer(&host[0], &ip, &mut Vec::new(), &mut found);
    assert!(!found[0].located.is_whole && found[0].located.servers.len() == 1);

    locator.locate(Instant::START, &hop("example.org"), &[Transport::Udp], &mut asked);
    let at = locator.next_timeout().unwrap();
    assert_eq!(at, Instant::START + WALK_MAX);
    found.clear();
    locator.handle_timeout(at, &mut found);
    assert_eq!(found.len(), 1);
    assert!(found[0].located.servers.is_empty() && locator.is_empty());
}

/// Row 45: a zone with more servers than anybody tries, and more hops than anybody locates.
#[test]
fn row_045_every_table_has_its_limit() {
    let many: Vec<_> = (0..200).map(|port| (0, 1, 5000 + port, "h")).collect();
    let ips: Vec<_> = (0..50).map(|n| format!("192.0.2.{n}")).collect();
    let ips: Vec<_> = ips.iter().map(String::as_str).collect();
    let mut zone = Zone::default().srv("_sip._udp.example.com", &many).host("h", &ips);
    let located = zone.locate("udp:example.com");
    assert_eq!(located.servers.len(), SERVERS_MAX);
    assert!(located.servers.iter().all(|server| server.addresses.len() == ADDRESSES_MAX));
    assert_eq!(zone.targets("udp:example.com").len(), TARGETS_MAX);
    let mut locator = Locator::new([1; 32]);
    for n in 0..WALKS_MAX + 5 {
        let is_begun = locator.locate(
            Instant::START,
            &hop(&format!("h{n}.example")),
            &[Transport::Udp],
            &mut Vec::new(),
        );
        assert_eq!(is_begun, n < WALKS_MAX);
    }
}

/// Rows 45, 46: a place that failed is tried last, until its time is over or it answers.
#[test]
fn row_046_a_place_that_failed_is_tried_last_until_its_time_is_over() {
    let mut zone = Zone::default()
        .srv("_sip._udp.example.com", &[(0, 1, 1, "h"), (1, 1, 2, "h"), (2, 1, 3, "h")])
        .host("h", &["192.0.2.1"]);
    let located = zone.locate("udp:example.com");
    let mut locator = Locator::new([1; 32]);
    let ports = |locator: &mut Locator, seconds: u64| -> Vec<u16> {
        let at = Instant::from_millis(seconds * 1000);
        locator.order(at, &located.servers).iter().map(|t| t.address.port()).collect()
    };
    let (one, two) = (target("192.0.2.1:1"), target("192.0.2.1:2"));
    assert!(locator.failed(Instant::START, one, Why::Silent, BACK_OFF));
    assert!(!locator.failed(Instant::START, one, Why::Silent, BACK_OFF), "no news");
    assert!(locator.failed(Instant::START, two, Why::Unavailable, Duration::from_secs(100)));
    assert_eq!(ports(&mut locator, 1), [3, 1, 2]);
    assert_eq!(ports(&mut locator, 61), [1, 3, 2], "silence is over");
    assert!(locator.failed(Instant::from_millis(61_000), one, Why::Unreachable, BACK_OFF));
    // An answer ends silence, but not what a server asked for itself; nor does a lost packet shorten that.
    locator.answered(one);
    locator.answered(two);
    let is_news =
        locator.failed(Instant::from_millis(61_000), two, Why::Silent, Duration::from_secs(1));
    assert!(!is_news, "nothing is another than it was");
    assert_eq!(ports(&mut locator, 62), [1, 3, 2]);
    assert_eq!(ports(&mut locator, 101), [1, 2, 3]);
    for port in 0..3_000 {
        let place = Target { address: ([192, 0, 2, 1], port).into(), ..one };
        locator.failed(Instant::START, place, Why::Silent, BACK_OFF);
    }
    let known = (0..3_000)
        .filter(|port| {
            let place = Target { address: ([192, 0, 2, 1], *port).into(), ..one };
            locator.back_off(Instant::START, place).is_some()
        })
        .count();
    assert_eq!(known, 1024);
}

/// Row 46: whatever a server writes, it is left alone for a sensible time.
#[test]
fn row_046_retry_after_is_bounded() {
    use crate::proto::sip::message::{Message, Parsed};
    for (value, seconds) in [
        ("Retry-After: 27\r\n", 27),
        ("Retry-After: 27 (in a meeting);duration=60\r\n", 27),
        ("Retry-After: 0\r\n", 1),
        ("Retry-After: 18000;duration=3600\r\n", 3600),
        ("Retry-After: 99999999999999999999999\r\n", 3600),
        ("Retry-After: soon\r\n", 60),
        ("", 60),
    ] {
        let text = format!(
            "SIP/2.0 503 No\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=f\r\n\
             To: <sip:b@x>;tag=t\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{value}Content-Length: 0\r\n\r\n"
        );
        let Parsed::Message(response) = Message::parse(text.as_bytes()) else { panic!("{value}") };
        assert_eq!(retry_after(&response).as_secs(), seconds, "{value}");
    }
}
