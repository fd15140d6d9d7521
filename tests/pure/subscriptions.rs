//! Subscriptions as such: who is granted one, for how long, and how it ends.

use std::collections::BTreeSet;

use crate::scene::two_phones;
use crate::sim::network::Wire;
use crate::sim::office::office;
use crate::sim::phone::{Reply, ok, ring};
use crate::sim::world::World;
use crate::watch::{BLF, MWI, Watch, watching};
use tandem::switch::device::Mac;
use tandem::switch::snapshot::Secret;

/// Row 128.
#[test]
fn row_128_a_notify_comes_at_once_even_if_there_is_nothing_to_tell() {
    let (mut w, a, _) = two_phones();
    let mut watch = Watch::new(&mut w, a, "1002", BLF);
    assert_eq!(watch.ask(&mut w, "Expires: 600\r\n"), 200);
    let answer = watch.answer(&w).clone();
    assert_eq!(answer.get("Expires"), "600");
    assert_eq!(answer.get("Contact"), "<sip:1002@10.0.0.1:5060>");
    let notify = watch.last(&w).clone();
    assert_eq!(notify.get("Event"), "dialog");
    assert_eq!(notify.get("Subscription-State"), "active;expires=600");
    assert_eq!(notify.get("Content-Type"), "application/dialog-info+xml");
    assert_eq!(notify.get("Contact"), "<sip:1002@10.0.0.1:5060>");
    assert_eq!(notify.tag_of_from(), answer.tag_of_to(), "it is of the dialog that the 200 made");
    assert_eq!(notify.tag_of_to(), watch.tag);
    assert_eq!(notify.uri(), "sip:1001@10.0.0.11:5060", "it goes to the Contact");
    assert!(notify.body.contains("version=\"0\" state=\"full\" entity=\"sip:1002@tandem\""));
    let order: Vec<_> = w[a].got.iter().rev().take(2).map(|(_, text)| text.status()).collect();
    assert_eq!(order, [0, 200], "the 200 goes out before the NOTIFY");
    assert_eq!(w.board.counts().subscriptions, 1);
    assert_eq!(watch.ask(&mut w, "Expires: 0\r\n"), 200);
    w.assert_empty();
}

/// Row 128: what was lost is sent again, and a repeated SUBSCRIBE makes no second subscription.
#[test]
fn row_128_a_lost_answer_and_a_lost_notify_come_again() {
    let (mut w, a, _) = two_phones();
    let is_granted = |wire: &Wire| wire.text.status() == 200 && wire.text.method() == "SUBSCRIBE";
    w.net.drop_once.push(Box::new(is_granted));
    w.net.drop_once.push(Box::new(|wire| wire.text.is("NOTIFY")));
    let mut watch = Watch::new(&mut w, a, "1002", BLF);
    assert_eq!(watch.ask(&mut w, ""), 401, "the 200 is lost");
    w.run_for(2_000);
    assert_eq!(watch.answer(&w).status(), 200);
    assert_eq!(watch.notifies(&w).len(), 1);
    assert_eq!(w.board.counts().subscriptions, 1);
}

/// Row 129.
#[test]
fn row_129_after_a_restart_a_refresh_is_481_and_numbers_go_on() {
    let (mut w, a, b) = two_phones();
    let mut watch = watching(&mut w, a, "1002", BLF);
    for _ in 0..3 {
        w.dial(b, "1001");
        w.run_for(1_000);
    }
    let last = watch.last(&w).cseq();
    assert!(watch.notifies(&w).windows(2).all(|pair| pair[0].cseq() + 1 == pair[1].cseq()));
    let (at, mut again) = (w.now, World::seeded(office(), 2));
    // The daemon is back: the clock went on, and everything else is lost.
    again.run_until(at + 10_000_000);
    assert_eq!(again.phone("1001"), a);
    assert_eq!(watch.ask(&mut again, "Expires: 600\r\n"), 481);
    watch.to_tag.clear();
    assert_eq!(watch.ask(&mut again, "Expires: 600\r\n"), 200);
    assert!(watch.last(&again).cseq() > last, "{} after {last}", watch.last(&again).cseq());
}

/// Row 129: who stops in order says so, and phones need not wait for their next refresh.
#[test]
fn row_129_a_daemon_that_stops_asks_phones_to_come_again() {
    let (mut w, a, _) = two_phones();
    let watch = watching(&mut w, a, "1002", BLF);
    let now = w.instant();
    w.with_board(|board, out| board.leave(now, out));
    w.run_for(100);
    let end = watch.last(&w).get("Subscription-State");
    assert_eq!(end, "terminated;reason=probation;retry-after=5");
    assert_eq!(w.board.counts().subscriptions, 0);
}

/// Row 130.
#[test]
fn row_130_a_phone_that_does_not_know_the_subscription_is_forgotten() {
    for (status, header, left) in [
        (481, "", 0),
        (489, "", 0),
        (404, "", 0),
        (480, "Retry-After: 10", 1),
        (408, "", 1),
        (500, "", 1),
        (503, "", 1),
    ] {
        let (mut w, a, b) = two_phones();
        let watch = watching(&mut w, a, "1002", BLF);
        let reply = Reply::status(status);
        let reply = if header.is_empty() { reply } else { reply.header(header) };
        w[a].habits.on_method = vec![("NOTIFY", reply)];
        w.dial(b, "1001");
        w.run_for(1_000);
        assert_eq!(w.board.counts().subscriptions, left, "{status} {header}");
        assert!(watch.notifies(&w).len() >= 2);
        w.assert_empty();
    }
}

/// Row 130: a phone that is silent for a while has its subscription when it is back.
#[test]
fn row_130_silence_keeps_the_subscription_until_it_expires() {
    let (mut w, a, b) = two_phones();
    let watch = watching(&mut w, a, "1002", BLF);
    w[a].habits.answers = false;
    w.dial(b, "1001");
    w.run_for(40_000);
    assert_eq!(w.board.counts().subscriptions, 1);
    w[a].habits.answers = true;
    w.dial(b, "1001");
    w.run_for(1_000);
    assert_eq!(watch.last(&w).get("Event"), "dialog");
    assert_eq!(w.board.counts().subscriptions, 1);
    w[a].habits.answers = false;
    w.run_for(600_000);
    assert_eq!(w.board.counts().subscriptions, 0, "nobody refreshed it");
    w.assert_empty();
}

/// Row 131.
#[test]
fn row_131_what_cannot_be_granted_is_refused_in_the_right_words() {
    let (mut w, a, _) = two_phones();
    for (whom, headers, status) in [
        ("1002", "Event: presence\r\n", 489),
        ("1002", "", 489),
        ("1002", "Event: ;id=1\r\n", 489),
        ("1002", "Event: ua-profile;profile-type=device\r\n", 489),
        ("1002", "Event: dialog\r\nExpires: 59\r\n", 423),
        ("1002", "Event: dialog\r\nExpires: 60\r\n", 200),
        ("1002", "Event: dialog\r\nAccept: application/pidf+xml\r\n", 406),
        ("1002", "Event: message-summary\r\nAccept: application/dialog-info+xml\r\n", 406),
        ("1009", "Event: dialog\r\n", 404),
        ("1002", "Event: dialog\r\nRequire: eventlist\r\n", 420),
    ] {
        let mut watch = Watch::new(&mut w, a, whom, headers);
        assert_eq!(watch.ask(&mut w, ""), status, "{headers}");
        let answer = watch.answer(&w);
        match status {
            489 => assert_eq!(answer.get("Allow-Events"), "dialog, message-summary"),
            423 => assert_eq!(answer.get("Min-Expires"), "60"),
            _ => {}
        }
    }
    assert_eq!(w.board.counts().subscriptions, 1);
}

/// Row 136: a phone that looks for its configuration by naming its MAC is told of none, whether it logs in or not: the
/// MAC is printed on the box, and the address is worth the password.
#[test]
fn row_136_nobody_gets_a_phones_address_for_naming_its_mac() {
    let mut house = office();
    house.provisioning.url = Some("https://pbx.example.com:8443".to_owned());
    let device = &mut house.phones.get_mut("1001").unwrap().device;
    device.mac = Mac::parse("001565abcdef");
    let mut w = World::new(house);
    let a = w.phone("1001");
    let event = "Event: ua-profile;profile-type=\"device\";vendor=\"Yealink\";model=\"T46U\"\r\n";
    for (logs_in, status) in [(true, 489), (false, 401)] {
        w[a].habits.logs_in = logs_in;
        let mut watch = Watch::new(&mut w, a, "MAC%3a001565abcdef", event);
        assert_eq!(watch.ask(&mut w, "Accept: application/url\r\n"), status);
        let answer = watch.answer(&w);
        let said = format!("{:?}{}", answer.headers, answer.body);
        assert!(!said.contains("pbx.example.com"), "{said}");
        assert_eq!(watch.notifies(&w).len(), 0);
    }
    assert_eq!(w.board.counts().subscriptions, 0);
    w.assert_empty();
}

/// Row 131: too long is shortened, and without a time the usual one is granted.
#[test]
fn row_131_the_time_that_is_granted_is_said() {
    let (mut w, a, _) = two_phones();
    for (wish, granted) in [("Expires: 999999\r\n", "7200"), ("", "3600")] {
        let mut watch = Watch::new(&mut w, a, "1002", BLF);
        assert_eq!(watch.ask(&mut w, wish), 200);
        assert_eq!(watch.answer(&w).get("Expires"), granted);
        let state = format!("active;expires={granted}");
        assert_eq!(watch.last(&w).get("Subscription-State"), state);
    }
}

#[test]
fn a_subscription_is_for_who_logs_in() {
    let (mut w, a, _) = two_phones();
    w[a].secret = "guessed".into();
    let mut watch = Watch::new(&mut w, a, "1002", BLF);
    assert_eq!(watch.ask(&mut w, ""), 403);
    w[a].habits.logs_in = false;
    let mut watch = Watch::new(&mut w, a, "1002", BLF);
    assert_eq!(watch.ask(&mut w, ""), 401);
    assert_eq!(w.board.counts().subscriptions, 0);
    w.assert_empty();
}

#[test]
fn a_refresh_brings_the_state_again_and_an_end_the_last_one() {
    let (mut w, a, _) = two_phones();
    let mut watch = watching(&mut w, a, "1002", BLF);
    w.run_for(500_000);
    assert_eq!(watch.ask(&mut w, "Expires: 600\r\n"), 200);
    assert_eq!(watch.last(&w).get("Subscription-State"), "active;expires=600");
    w.run_for(500_000);
    assert_eq!(w.board.counts().subscriptions, 1, "it has new time");
    assert_eq!(watch.ask(&mut w, "Expires: 0\r\n"), 200);
    assert_eq!(watch.answer(&w).get("Expires"), "0");
    assert_eq!(watch.notifies(&w).len(), 3);
    assert_eq!(watch.last(&w).get("Subscription-State"), "terminated;reason=timeout");
    assert_eq!(watch.ask(&mut w, "Expires: 600\r\n"), 481, "it is over");
    w.assert_empty();
    assert_eq!(w.board.counts().subscriptions, 0);
}

#[test]
fn a_subscription_that_nobody_refreshes_ends_with_a_word() {
    let (mut w, a, _) = two_phones();
    let watch = watching(&mut w, a, "1002", MWI);
    w.run_for(601_000);
    assert_eq!(watch.last(&w).get("Subscription-State"), "terminated;reason=timeout");
    assert_eq!(w.board.counts().subscriptions, 0);
    w.assert_empty();
}

/// RFC 6665 §4.4.3.
#[test]
fn who_asks_once_is_told_once() {
    let (mut w, a, b) = two_phones();
    w.dial(b, "1001");
    w.run_for(500);
    let mut watch = Watch::new(&mut w, a, "1002", BLF);
    assert_eq!(watch.ask(&mut w, "Expires: 0\r\n"), 200);
    let told = watch.last(&w);
    assert_eq!(told.get("Subscription-State"), "terminated;reason=timeout");
    assert_eq!(w.board.counts().subscriptions, 0);
    w.run_for(5_000);
    assert_eq!(watch.notifies(&w).len(), 1);
    w.assert_empty();
}

#[test]
fn requests_out_of_order_and_of_another_event_change_nothing() {
    let (mut w, a, _) = two_phones();
    let mut watch = watching(&mut w, a, "1002", "Event: dialog;id=7\r\n");
    assert_eq!(watch.last(&w).get("Event"), "dialog;id=7");
    let mut stale = watch.clone();
    stale.cseq = 0;
    assert_eq!(stale.ask(&mut w, "Expires: 0\r\n"), 500);
    let mut other = watch.clone();
    other.headers = "Event: dialog;id=8\r\n".into();
    assert_eq!(other.ask(&mut w, "Expires: 0\r\n"), 481);
    let mut stranger = watch.clone();
    stranger.tag = "someoneelse".into();
    assert_eq!(stranger.ask(&mut w, "Expires: 0\r\n"), 481);
    assert_eq!(w.board.counts().subscriptions, 1);
    watch.cseq += 50;
    assert_eq!(watch.ask(&mut w, "Expires: 0\r\n"), 200);
    assert_eq!(w.board.counts().subscriptions, 0);
}

/// The tags alone are no proof: who speaks from elsewhere logs in.
#[test]
fn a_phone_that_moved_proves_who_it_is() {
    let (mut w, a, b) = two_phones();
    let watch = watching(&mut w, a, "1002", BLF);
    let mut thief = watch.clone();
    thief.id = b;
    assert_eq!(thief.ask(&mut w, "Expires: 0\r\n"), 403, "1002 is not who subscribed");
    assert_eq!(w.board.counts().subscriptions, 1);
    let moved = w.second_phone("moved", "1001");
    let mut own = watch.clone();
    own.id = moved;
    own.cseq += 20;
    assert_eq!(own.ask(&mut w, "Expires: 600\r\n"), 200);
    w.dial(b, "1001");
    w.run_for(300);
    assert_eq!(own.last(&w).uri(), "sip:1001@10.0.0.13:5060", "NOTIFY goes where it is now");
}

#[test]
fn notify_takes_the_route_that_the_subscribe_recorded() {
    let (mut w, a, _) = two_phones();
    let proxy = w.party("proxy", "10.0.0.99:5060");
    let mut watch = Watch::new(&mut w, a, "1002", BLF);
    let headers = "Record-Route: <sip:10.0.0.99;lr>\r\nRecord-Route: <sip:10.0.0.98;lr>\r\n";
    assert_eq!(watch.ask(&mut w, headers), 200);
    let recorded: Vec<_> = watch.answer(&w).all("Record-Route").map(str::to_owned).collect();
    assert_eq!(recorded, ["<sip:10.0.0.99;lr>", "<sip:10.0.0.98;lr>"]);
    let notify = w[proxy].requests("NOTIFY")[0].clone();
    assert_eq!(notify.uri(), "sip:1001@10.0.0.11:5060");
    let routes: Vec<_> = notify.all("Route").collect();
    assert_eq!(routes, ["<sip:10.0.0.99;lr>", "<sip:10.0.0.98;lr>"]);
}

#[test]
fn a_phone_with_a_list_watches_what_is_on_it_and_itself() {
    let mut snapshot = office();
    snapshot.phones.get_mut("1001").unwrap().rights.watch = Some(vec!["1003".into()]);
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    for (whom, status) in [("1002", 403), ("1003", 200), ("1001", 200)] {
        let mut watch = Watch::new(&mut w, a, whom, BLF);
        assert_eq!(watch.ask(&mut w, ""), status, "{whom}");
    }
}

#[test]
fn a_reload_ends_what_is_not_allowed_any_more_and_says_why() {
    let mut w = World::new(office());
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    let gone = watching(&mut w, a, "1003", BLF);
    let barred = watching(&mut w, b, "1001", BLF);
    let renamed = watching(&mut w, c, "1001", BLF);
    let kept = watching(&mut w, a, "1002", MWI);
    let mut snapshot = office();
    snapshot.phones.get_mut("1002").unwrap().rights.watch = Some(Vec::new());
    w.reload(snapshot.clone());
    w.run_for(100);
    assert_eq!(barred.last(&w).get("Subscription-State"), "terminated;reason=rejected");
    snapshot.phones.get_mut("1003").unwrap().secret = Secret("new".into());
    w.reload(snapshot.clone());
    w.run_for(100);
    assert_eq!(renamed.last(&w).get("Subscription-State"), "terminated;reason=deactivated");
    snapshot.phones.remove("1003");
    w.reload(snapshot);
    w.run_for(100);
    assert_eq!(gone.last(&w).get("Subscription-State"), "terminated;reason=noresource");
    assert_eq!(kept.notifies(&w).len(), 1);
    assert_eq!(w.board.counts().subscriptions, 1);
}

/// Row 133.
#[test]
fn row_133_an_empty_mailbox_says_so_and_a_message_is_told_once() {
    use tandem::proto::sip::subscription::message_summary::{Counts, Summary};
    let (mut w, a, _) = two_phones();
    let watch = watching(&mut w, a, "1001", MWI);
    let first = watch.last(&w);
    assert_eq!(first.get("Content-Type"), "application/simple-message-summary");
    let none = "Messages-Waiting: no\r\nMessage-Account: sip:1001@tandem\r\n";
    assert_eq!(first.body, none);
    let holds = |w: &mut World, summary| {
        let now = w.instant();
        w.with_board(|board, out| board.mailbox_changed(now, "1001", summary, out));
        w.run_for(100);
    };
    let one = Summary { voice: Some(Counts { new: 1, ..Counts::default() }) };
    holds(&mut w, one);
    holds(&mut w, one);
    let notifies = watch.notifies(&w);
    assert_eq!(notifies.len(), 2, "the same state is not told twice");
    assert_eq!(
        notifies[1].body,
        "Messages-Waiting: yes\r\nMessage-Account: sip:1001@tandem\r\nVoice-Message: 1/0 (0/0)\r\n"
    );
    holds(&mut w, Summary::default());
    assert_eq!(watch.last(&w).body, none);
}

/// Row 130: what a phone refused for once, or did not hear, is told again: its lamp would be wrong until the next change.
#[test]
fn row_130_what_came_to_nothing_is_told_again() {
    for (reply, again_at) in [
        (Some(Reply::status(500)), 65),
        (Some(Reply::status(503).header("Retry-After: 120")), 125),
        (None, 97),
    ] {
        let (mut w, a, b) = two_phones();
        let c = w.phone("1003");
        w[c].habits.on_invite = vec![(20, ring()), (5_000, ok())];
        let watch = watching(&mut w, a, "1002", BLF);
        let begin = w.now;
        w.dial(b, "1003");
        w.run_for(4_000);
        let told = watch.notifies(&w).len();
        match &reply {
            Some(reply) => w[a].habits.on_method = vec![("NOTIFY", reply.clone())],
            None => w[a].habits.answers = false,
        }
        w.run_until(begin + 39_000_000);
        w[a].habits.answers = true;
        w.run_until(begin + (again_at - 1) * 1_000_000);
        let tries =
            watch.notifies(&w).iter().map(|text| text.cseq()).collect::<BTreeSet<_>>().len();
        assert_eq!(tries, told + 1, "{again_at}: what failed, and not yet again");
        w.run_until(begin + (again_at + 2) * 1_000_000);
        assert!(watch.last(&w).body.contains("<state>confirmed"), "{}", watch.last(&w).body);
        let settled = watch.notifies(&w).len();
        assert!(settled > told + 1, "{again_at}");
        w.run_for(200_000);
        assert_eq!(watch.notifies(&w).len(), settled, "once it is heard, that is all");
        w.hang_up(b);
        w.assert_empty();
    }
}
