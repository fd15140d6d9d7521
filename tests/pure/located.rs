//! Peers by name: NAPTR, SRV and addresses, and places that fail (RFC 3263).

use tandem::proto::sip::locate::{Answer, Question};
use tandem::switch::snapshot::{Secret, Snapshot, TrunkMode};

use crate::scene::{heard, outcome};
use crate::sim::office::{BACKUP, CARRIER, NUMBER, office, route, trunk};
use crate::sim::phone::{Reply, ok, ring};
use crate::sim::text::param;
use crate::sim::world::{PhoneId, World};

const FIRST: &str = "203.0.113.1:5061";
const SECOND: &str = "203.0.113.2:5062";
const THIRD: &str = "203.0.113.3:5063";

/// The trunk is `carrier.example`, which has three servers, one after the other.
fn by_name(mode: TrunkMode) -> Snapshot {
    let mut snapshot = office();
    let mut carrier = trunk("carrier", mode, &["carrier.example"]);
    if mode == TrunkMode::Register {
        carrier.user = Some("acme".into());
        carrier.secret = Secret("s3cret".into());
    }
    snapshot.trunks = vec![carrier];
    snapshot.routes = vec![route("out", "^0(.+)$", &["carrier"], None)];
    snapshot
}

fn zone(w: &mut World) {
    w.has_naptr("carrier.example", &[(10, "SIP+D2U", "_sip._udp.sbc.example.")]);
    w.has_srv(
        "_sip._udp.sbc.example",
        &[
            (3, 0, 5063, "c.sbc.example"),
            (1, 0, 5061, "a.sbc.example"),
            (2, 0, 5062, "b.sbc.example"),
        ],
    );
    for (name, ip) in [("a", "203.0.113.1"), ("b", "203.0.113.2"), ("c", "203.0.113.3")] {
        w.has_addresses(&format!("{name}.sbc.example"), &[ip]);
    }
}

/// The servers, and 1001.
fn scene(mode: TrunkMode) -> (World, PhoneId, [PhoneId; 3]) {
    let mut w = World::new(by_name(mode));
    zone(&mut w);
    let a = w.phone("1001");
    let servers = [("first", FIRST), ("second", SECOND), ("third", THIRD)]
        .map(|(name, at)| w.party(name, at));
    (w, a, servers)
}

fn invites(w: &World, servers: [PhoneId; 3]) -> [usize; 3] {
    servers.map(|id| w[id].requests("INVITE").len())
}

fn view(w: &World) -> (&'static str, String) {
    let view = w.board.trunks(w.instant()).remove(0);
    (view.state, view.reason)
}

fn events(w: &World, kind: &str) -> Vec<String> {
    let of_kind = w.events.iter().filter(|(known, _)| *known == kind);
    let text = |fields: &Vec<(&str, String)>| {
        fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    of_kind.map(|(_, fields)| text(fields)).collect()
}

/// Row 45: a call goes to the first server, with the domain in its Request-URI, and the carrier's BYE comes from
/// another one of them.
#[test]
fn row_045_a_trunk_by_name_is_its_srv_records() {
    let (mut w, a, servers) = scene(TrunkMode::Peer);
    w[servers[0]].habits.on_invite = vec![(20, ring()), (100, ok())];
    w.dial(a, "0123");
    w.run_for(1_000);
    assert_eq!(invites(&w, servers), [1, 0, 0]);
    assert_eq!(w[servers[0]].requests("INVITE")[0].uri(), "sip:0123@carrier.example");
    assert_eq!(heard(&w), (true, true));
    let call = w[servers[0]].last().clone();
    w[servers[2]].calls.push(call);
    w[servers[2]].habits.logs_in = false;
    w.hang_up(servers[2]);
    w.assert_empty();
    assert_eq!(w[servers[2]].statuses("BYE"), [200]);
}

/// Row 45: a call from any address that the records name is the trunk's; any other is a stranger's.
#[test]
fn row_045_a_trunk_is_known_by_every_address_of_its_records() {
    for (at, status) in [(FIRST, 200), (THIRD, 200), ("203.0.113.4:5060", 401)] {
        let mut w = World::new({
            let mut snapshot = by_name(TrunkMode::Peer);
            snapshot.numbers = office().numbers;
            snapshot
        });
        zone(&mut w);
        let b = w.phone("1002");
        w[b].habits.on_invite = vec![(20, ok())];
        let server = w.party("server", at);
        w[server].habits.logs_in = false;
        w.dial(server, NUMBER);
        w.run_for(500);
        assert_eq!(w[server].statuses("INVITE").last(), Some(&status), "{at}");
        if status == 200 {
            w.hang_up(server);
        }
        w.assert_empty();
    }
}

/// Row 45: the call's own failover, with CANCEL, goes over the addresses of one name.
#[test]
fn row_045_a_call_goes_from_one_server_to_the_next() {
    let (mut w, a, servers) = scene(TrunkMode::Peer);
    w.unreachable.insert(FIRST.parse().unwrap());
    w[servers[1]].habits.on_invite = Vec::new();
    w[servers[2]].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(4_900);
    assert_eq!(invites(&w, servers)[2], 0, "the silent one has five seconds");
    w.run_for(600);
    assert_eq!(heard(&w), (true, true));
    let to_servers = w.wires.iter().filter(|wire| wire.to.ip().to_string().starts_with("203."));
    let invites = to_servers.filter(|wire| wire.text.is("INVITE"));
    let branches: std::collections::BTreeSet<_> = invites.map(|w| w.text.branch()).collect();
    assert_eq!(branches.len(), 3, "each attempt has a branch of its own");
    w.hang_up(a);
    w.assert_empty();
    // The next call goes to the one that works at once, and the operator sees why.
    let (state, reason) = view(&w);
    assert_eq!(state, "configured");
    assert!(!reason.contains("203.0.113.1"), "over a minute ago: {reason}");
    w.dial(a, "0124");
    w.run_for(100);
    w.hang_up(a);
    w.run_for(100);
    assert_eq!(
        events(&w, "trunk.backing_off")[0],
        "trunk=carrier target=udp:203.0.113.1:5061 seconds=60 \
         reason=backing off 60 s after it could not be reached"
    );
}

/// Row 45: REGISTER goes on to the next server by itself.
#[test]
fn row_045_a_registration_goes_from_one_server_to_the_next() {
    let (mut w, _, servers) = scene(TrunkMode::Register);
    w.unreachable.insert(FIRST.parse().unwrap());
    w[servers[1]].habits.on_method = vec![("REGISTER", Reply::status(503))];
    let granted = "<sip:acme@198.51.100.1:5060;transport=udp>;expires=600";
    w[servers[2]].habits.on_method = vec![("REGISTER", Reply::status(200).contact(granted))];
    w.run_for(1_000);
    assert_eq!(view(&w).0, "up");
    let mut sent: Vec<_> = w
        .wires
        .iter()
        .filter(|wire| wire.text.is("REGISTER") && wire.to.ip().to_string().starts_with("203"))
        .map(|wire| (wire.to.to_string(), wire.text.cseq(), wire.text.branch()))
        .collect();
    // The first one was sent again before the error came.
    sent.dedup();
    assert_eq!(sent.iter().map(|(to, ..)| to.as_str()).collect::<Vec<_>>(), [FIRST, SECOND, THIRD]);
    assert!(sent.iter().all(|(_, cseq, _)| *cseq == 1), "one request: {sent:?}");
    assert_eq!(sent[1].2, format!("{}.1", sent[0].2));
    assert_eq!(sent[2].2, format!("{}.2", sent[0].2));
    let (state, reason) = view(&w);
    assert_eq!(state, "up");
    assert!(reason.contains("203.0.113.2:5062 backing off 6"), "{reason}");
}

/// Row 45: a challenge is answered to the server that made it: another one knows nothing of its nonce.
#[test]
fn row_045_a_challenge_is_answered_to_the_server_that_made_it() {
    let mut snapshot = by_name(TrunkMode::Register);
    snapshot.trunks[0].expires = std::time::Duration::from_secs(60);
    let mut w = World::new(snapshot);
    zone(&mut w);
    w.has_srv(
        "_sip._udp.sbc.example",
        &[(1, 1, 5061, "a.sbc.example"), (1, 1, 5062, "b.sbc.example")],
    );
    let servers = [("first", FIRST), ("second", SECOND)].map(|(name, at)| w.party(name, at));
    let asks = "WWW-Authenticate: Digest realm=\"carrier.example\", nonce=\"n\", algorithm=MD5";
    let granted = "<sip:acme@198.51.100.1:5060;transport=udp>;expires=60";
    for server in servers {
        for _ in 0..40 {
            w[server].habits.on_method.push(("REGISTER", Reply::status(401).header(asks)));
            w[server].habits.on_method.push(("REGISTER", Reply::status(200).contact(granted)));
        }
    }
    w.run_for(600_000);
    let is_ours = |wire: &&crate::sim::network::Wire| {
        wire.text.is("REGISTER") && [FIRST, SECOND].contains(&wire.to.to_string().as_str())
    };
    let to: Vec<_> = w.wires.iter().filter(is_ours).map(|wire| wire.to.to_string()).collect();
    assert!(to.len() > 12 && to.contains(&FIRST.into()) && to.contains(&SECOND.into()), "{to:?}");
    assert!(to.chunks_exact(2).all(|pair| pair[0] == pair[1]), "{to:?}");
    assert_eq!(view(&w).0, "up");
}

/// Row 45: a server that said nothing to a call that left it is known as silent at once: the next call does not
/// wait for it.
#[test]
fn row_045_a_silent_server_costs_one_call_its_time() {
    let (mut w, a, servers) = scene(TrunkMode::Peer);
    w[servers[0]].habits.on_invite = Vec::new();
    w[servers[1]].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(5_500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.run_for(500);
    let reason = view(&w).1;
    assert!(reason.contains("203.0.113.1:5061 backing off 60 s after no answer"), "{reason}");
    // Until the first call has forgotten the branch that it cancelled.
    w.run_for(30_000);
    w.dial(a, "0123");
    w.run_for(300);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
    // A caller who gives up at once has seen nothing.
    w[servers[0]].habits.on_invite = Vec::new();
    w.dial(a, "0123");
    w.run_for(1_000);
    w.cancel(a);
    w.run_for(1_000);
    assert_eq!(view(&w), ("configured", "by address".into()));
    w.assert_empty();
}

/// Row 45: before the name was located for the first time a call waits for it like any request, and a dead name
/// server neither holds the call for ever nor takes away what was known.
#[test]
fn row_045_a_dead_name_server_holds_nothing_up() {
    let mut w = World::new(by_name(TrunkMode::Peer));
    w.is_dns_dead = true;
    let a = w.phone("1001");
    w.dial(a, "0123");
    w.run_for(20_000);
    assert_eq!(w[a].last().status, 500);
    w.assert_empty();
    assert_eq!(outcome(&w).0, "peer_unreachable");

    let (mut w, a, servers) = scene(TrunkMode::Peer);
    w[servers[0]].habits.on_invite = vec![(20, ok())];
    w.run_for(1_000);
    w.is_dns_dead = true;
    w.run_for(3_600_000);
    w.dial(a, "0123");
    w.run_for(200);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 45: what is known of a name outlives a reload, also of one that two trunks share: two accounts at one carrier.
#[test]
fn row_045_a_reload_forgets_no_name_that_stays() {
    let shared = || {
        let mut snapshot = by_name(TrunkMode::Peer);
        let mut second = snapshot.trunks[0].clone();
        second.name = "second".into();
        snapshot.trunks.push(second);
        snapshot
    };
    let mut w = World::new(shared());
    zone(&mut w);
    let a = w.phone("1001");
    let first = w.party("first", FIRST);
    w[first].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(500);
    w.is_dns_dead = true;
    w.reload(shared());
    // It is no stranger in the middle of its call, and is called without a name server.
    w.hang_up(first);
    w.run_for(500);
    assert_eq!(w[first].statuses("BYE"), [200]);
    w.dial(a, "0124");
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 45: half an answer is worth less than a whole one, but not for ever: a carrier that moves while one of its
/// names is broken is followed after a day.
#[test]
fn row_045_half_an_answer_counts_when_the_whole_one_is_old() {
    let (mut w, a, servers) = scene(TrunkMode::Peer);
    for server in servers {
        w[server].habits.on_invite = vec![(20, ok())];
    }
    w.run_for(1_000);
    w.dns.insert(Question::Addresses("b.sbc.example".into()), Answer::Failed);
    w.has_addresses("a.sbc.example", &["203.0.113.9"]);
    let moved = w.party("moved", "203.0.113.9:5061");
    w[moved].habits.on_invite = vec![(20, ok())];
    for (hours, expected) in [(23, [1, 0]), (2, [1, 1])] {
        w.run_for(hours * 3_600_000);
        w.dial(a, "0123");
        w.run_for(500);
        assert_eq!(heard(&w), (true, true));
        w.hang_up(a);
        w.run_for(500);
        assert_eq!([servers[0], moved].map(|id| w[id].requests("INVITE").len()), expected);
    }
    w.assert_empty();
}

/// Row 45: a BYE to a Contact that is a name is located, and goes on to the next place of it.
#[test]
fn row_045_a_bye_to_a_name_goes_to_the_next_place_of_it() {
    let (mut w, a, servers) = scene(TrunkMode::Peer);
    w.has_addresses("gw.example", &["203.0.113.1", "203.0.113.3"]);
    w[servers[0]].habits.on_invite = vec![(20, ok().contact("<sip:gw@gw.example:5063>"))];
    w[servers[0]].habits.repeats = false;
    w[servers[2]].habits.on_method = vec![("BYE", Reply::status(200))];
    w.dial(a, "0123");
    w.run_for(500);
    w.unreachable.insert("203.0.113.1:5063".parse().unwrap());
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[servers[2]].requests("BYE").len(), 1);
    assert_eq!(w[servers[2]].requests("BYE")[0].uri(), "sip:gw@gw.example:5063");
}

/// Row 45: a peer with a port is a host: nothing but its addresses is asked for.
#[test]
fn row_045_a_peer_with_a_port_has_its_addresses_looked_up_only() {
    let mut snapshot = by_name(TrunkMode::Peer);
    snapshot.trunks[0] = trunk("carrier", TrunkMode::Peer, &["carrier.example:5063"]);
    let mut w = World::new(snapshot);
    zone(&mut w);
    w.has_addresses("carrier.example", &["203.0.113.3"]);
    let a = w.phone("1001");
    let server = w.party("server", THIRD);
    w[server].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    assert_eq!(w[server].requests("INVITE")[0].uri(), "sip:0123@carrier.example:5063");
    assert!(w.asked.iter().all(|question| matches!(question, Question::Addresses(_))));
    w.hang_up(a);
    w.assert_empty();
}

/// The trunks `carrier` and `backup` by address.
fn by_address() -> (World, PhoneId, PhoneId, PhoneId) {
    crate::scene::with_trunks()
}

fn busy_for(after: &str) -> Vec<(u64, Reply)> {
    vec![(20, Reply::status(503).header(after))]
}

/// Row 46: a trunk that asks to be left alone is tried last for as long as it asked, and the operator sees it.
#[test]
fn row_046_retry_after_of_a_trunk_puts_it_last() {
    let (mut w, a, carrier, backup) = by_address();
    w[carrier].habits.on_invite = busy_for("Retry-After: 27");
    w[backup].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.run_for(500);
    assert_eq!(view(&w), ("backing off", "by address; backing off 27 s after 503".into()));
    assert_eq!(
        events(&w, "trunk.backing_off"),
        ["trunk=carrier target=udp:203.0.113.10:5060 seconds=27 reason=backing off 27 s after 503"]
    );
    for (ms, to_carrier) in [(10_000, 1), (20_000, 2)] {
        w.run_for(ms);
        w.dial(a, "0124");
        w.run_for(500);
        w.hang_up(a);
        w.run_for(500);
        assert_eq!(w[carrier].requests("INVITE").len(), to_carrier);
    }
    w.assert_empty();
    assert_eq!(view(&w).0, "configured");
}

/// Row 46: it is tried last, but it is tried: what we remember of a failure alone fails no call.
#[test]
fn row_046_a_trunk_that_backs_off_is_tried_if_nothing_else_is_left() {
    let (mut w, a, carrier, backup) = by_address();
    for trunk in [carrier, backup] {
        w[trunk].habits.on_invite = busy_for("Retry-After: 3000");
    }
    w.dial(a, "0123");
    w.run_for(500);
    assert_eq!(w[a].last().status, 500);
    w[backup].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    assert_eq!(w[carrier].requests("INVITE").len(), 2, "all fail: their own order");
    w.hang_up(a);
    w.assert_empty();
    let states: Vec<_> = w.board.trunks(w.instant()).iter().map(|trunk| trunk.state).collect();
    assert_eq!(states, ["backing off", "backing off"], "an answer does not end what was asked for");
}

/// A trunk whose INVITE is above 1300 bytes, because the caller's name is long.
fn large(to_tcp: bool) -> (World, PhoneId, PhoneId) {
    let mut snapshot = office();
    snapshot.phones.get_mut("1001").unwrap().name = "x".repeat(900);
    snapshot.trunks[0].large_to_tcp = to_tcp;
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    w.party("backup", BACKUP);
    w[carrier].habits.on_invite = vec![(20, ok())];
    (w, a, carrier)
}

/// Row 38: a large INVITE goes by TCP and says so in its Via, its Contact is one that can be called; where TCP is
/// refused, or the trunk does not want it, it is a datagram.
#[test]
fn row_038_a_large_invite_to_a_trunk_goes_by_tcp() {
    for (to_tcp, is_refused, vias) in
        [(true, false, vec!["TCP"]), (true, true, vec!["TCP", "UDP"]), (false, false, vec!["UDP"])]
    {
        let (mut w, a, carrier) = large(to_tcp);
        if is_refused {
            w.no_tcp.insert(CARRIER.parse().unwrap());
        }
        w.dial(a, "0123");
        w.run_for(500);
        assert_eq!(heard(&w), (true, true));
        let sent: Vec<_> = w
            .wires
            .iter()
            .filter(|wire| wire.text.is("INVITE") && wire.to.to_string() == CARRIER)
            .map(|wire| wire.text.clone())
            .collect();
        let via = |text: &crate::sim::text::Text| text.get("Via")[8..11].to_owned();
        assert_eq!(sent.iter().map(via).collect::<Vec<_>>(), vias);
        let contact = sent[0].get("Contact");
        assert!(contact.ends_with("@198.51.100.1:5060>") && param(contact, "transport").is_empty());
        // The carrier calls back to that Contact, and our BYE would be a small one again.
        w.hang_up(carrier);
        w.assert_empty();
        assert_eq!(w[carrier].statuses("BYE"), [200]);
    }
}

/// Row 38: the flow of a registered phone is kept whatever the size.
#[test]
fn row_038_a_phone_is_called_on_its_flow_whatever_the_size() {
    let (mut w, a, _) = large(true);
    let b = w.phone("1002");
    w[b].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    assert!(w[b].requests("INVITE")[0].get("Via").starts_with("SIP/2.0/UDP"));
    w.hang_up(a);
    w.assert_empty();
}
