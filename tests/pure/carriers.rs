//! Every quirk of the carrier simulator in both directions and with every end, pairs of them from a seed, and what is left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tandem::switch::cause;
use tandem::switch::snapshot::{Secret, Snapshot, TrunkMode};

use crate::sim::carrier::registrar::{HABITS, Habit, Registrar};
use crate::sim::carrier::{self, Carrier, Comes, PLAIN, Quirk, Way};
use crate::sim::network::Dice;
use crate::sim::office::{CARRIER, NUMBER, number, office, peer, route, trunk};
use crate::sim::phone::{Body, Reply, State, ok, ring};
use crate::sim::sdp::{HOLD, TALK};
use crate::sim::world::{PhoneId, World};

/// How a call ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    PhoneHangsUp,
    CarrierHangsUp,
    CallerGivesUp,
    NobodyAnswers,
}

const ENDS: [End; 4] =
    [End::PhoneHangsUp, End::CarrierHangsUp, End::CallerGivesUp, End::NobodyAnswers];

/// What the carrier is to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Peer,
    /// It registers here.
    Account,
    /// We register there.
    Register,
}

const MODES: [Mode; 3] = [Mode::Peer, Mode::Account, Mode::Register];

/// Longer than an answer is repeated: if its ACK was not taken, the call is over by then.
const TALK_S: u64 = 36;

/// Requests of ours in one call, whatever the carrier answers.
const REQUESTS_MAX: usize = 24;

#[derive(Clone)]
struct Run {
    quirks: Vec<Quirk>,
    way: Way,
    end: End,
    mode: Mode,
    seed: u8,
}

fn snapshot(mode: Mode) -> Snapshot {
    let mut snapshot = office();
    snapshot.trunks.truncate(1);
    snapshot.routes = vec![route("out", "^0(.+)$", &["carrier"], Some("+86$1"))];
    let own = match mode {
        Mode::Peer => return snapshot,
        Mode::Account => {
            let mut own = trunk("carrier", TrunkMode::Account, &[]);
            own.user = Some("gw1".into());
            own.secret = Secret("secret-gw1".into());
            own
        }
        Mode::Register => {
            let mut own = trunk("carrier", TrunkMode::Register, &[CARRIER]);
            own.user = Some("acme".into());
            own.secret = Secret("s3cret".into());
            own.registrar = Some(peer("carrier.example"));
            own.expires = Duration::from_secs(3_600);
            snapshot.numbers = vec![number("acme", "carrier", "1002")];
            own
        }
    };
    snapshot.trunks = vec![own];
    snapshot
}

/// The world, our phone, the carrier, and the number that the carrier calls us by.
fn world(mode: Mode, seed: u8) -> (World, PhoneId, PhoneId, String) {
    let mut w = World::seeded(snapshot(mode), seed);
    let phone = w.phone("1002");
    let name = if mode == Mode::Account { "gw1" } else { "carrier" };
    let carrier = w.party(name, CARRIER);
    let mut called = NUMBER.to_owned();
    match mode {
        Mode::Peer => {}
        Mode::Account => {
            w[carrier].domain = "tandem".into();
            w.register(carrier);
        }
        Mode::Register => {
            give_registrar(&mut w, carrier, Vec::new());
            w.run_for(2_000);
            let contact = contact_at(&w, carrier);
            let (user, domain) = contact.split_once('@').expect("we are registered");
            called = user.to_owned();
            w[carrier].domain = domain.to_owned();
        }
    }
    (w, phone, carrier, called)
}

fn give_registrar(w: &mut World, carrier: PhoneId, habits: Vec<Habit>) {
    let mut own = Carrier::new(Vec::new());
    own.registrar = Some(Registrar::new("acme", "s3cret", habits));
    w[carrier].carrier = Some(Box::new(own));
}

/// The Contact that the carrier has of us, without its scheme.
fn contact_at(w: &World, carrier: PhoneId) -> String {
    let registrar = w[carrier].carrier.as_ref().unwrap().registrar.as_ref().unwrap();
    registrar.desk.contact.replacen("sip:", "", 1)
}

fn become_odd(w: &mut World, carrier: PhoneId, run: &Run) {
    let registrar = w[carrier].carrier.take().and_then(|carrier| carrier.registrar);
    let mut own = Carrier::new(run.quirks.clone());
    own.registrar = registrar;
    w[carrier].carrier = Some(Box::new(own));
    let is_answered = matches!(run.end, End::PhoneHangsUp | End::CarrierHangsUp);
    let mut script = vec![(20, ring()), (1000, ok())];
    w[carrier].habits.again_after_491 = Some(900);
    for quirk in &run.quirks {
        if let Some(invite) = quirk.invite {
            script = invite();
        }
        if let Some(change) = quirk.habits {
            change(&mut w[carrier].habits);
        }
        let weather = quirk.weather;
        w.net.loss = w.net.loss.max(weather.loss);
        w.net.duplicates = w.net.duplicates.max(weather.duplicates);
        w.net.jitter_us = w.net.jitter_us.max(weather.jitter_us);
    }
    script.retain(|(_, reply)| is_answered || !(200..300).contains(&reply.status));
    if script.is_empty() {
        script.push((20, ring()));
    }
    w[carrier].habits.on_invite = script;
}

fn state(w: &World, id: PhoneId) -> Option<State> {
    w[id].calls.last().map(|call| call.state)
}

/// One call is live, and its sides hear each other.
fn both_heard(w: &World) -> bool {
    let mut open = w.media.open.values();
    open.next().is_some_and(|open| open.a_hears_b() && open.b_hears_a()) && open.next().is_none()
}

fn hang_up(w: &mut World, id: PhoneId) {
    match state(w, id) {
        Some(State::Up) => w.hang_up(id),
        Some(State::Calling) => w.cancel(id),
        Some(State::Incoming) => w.say(id, &Reply::status(486)),
        _ => {}
    }
}

/// What a run showed: were both heard before the end, and was there still a call?
struct Seen {
    is_live: bool,
    is_heard: bool,
}

/// Plays a call to its end and gives the world.
fn play(run: &Run) -> (World, Seen) {
    let (mut w, phone, carrier, called) = world(run.mode, run.seed);
    become_odd(&mut w, carrier, run);
    let is_answered = matches!(run.end, End::PhoneHangsUp | End::CarrierHangsUp);
    w[phone].habits.on_invite = vec![(20, ring())];
    if is_answered {
        w[phone].habits.on_invite.push((1000, ok()));
    }
    let caller = if run.way == Way::In { carrier } else { phone };
    if run.way == Way::In {
        let is_late = run.quirks.iter().any(|quirk| quirk.is_late);
        let headers: String = run.quirks.iter().map(|quirk| quirk.headers).collect();
        let body = if is_late { Body::None } else { Body::Auto };
        w.dial_with(carrier, &called, &body, &headers);
    } else {
        w.dial(phone, "0123");
    }
    let mut seen = Seen { is_live: false, is_heard: false };
    match run.end {
        End::CallerGivesUp => {
            w.run_for(700);
            hang_up(&mut w, caller);
        }
        End::NobodyAnswers => w.run_for(100_000),
        End::PhoneHangsUp | End::CarrierHangsUp => {
            talk(&mut w, phone, run);
            seen.is_live = w.calls.len() == 1;
            seen.is_heard = seen.is_live && both_heard(&w);
            hang_up(&mut w, if run.end == End::PhoneHangsUp { phone } else { carrier });
        }
    }
    w.run_for(40_000);
    // Who was not reached by the other's hang-up notices, and hangs up too.
    if run.quirks.iter().any(|quirk| quirk.ends_badly || quirk.weather != PLAIN.weather) {
        w.net.loss = 0;
        hang_up(&mut w, phone);
        hang_up(&mut w, carrier);
    }
    w.assert_empty();
    (w, seen)
}

/// The phone talks, holds, resumes, and tries again if it was not heard.
fn talk(w: &mut World, phone: PhoneId, run: &Run) {
    let lasts_s = run.quirks.iter().map(|quirk| quirk.lasts_s).max().unwrap_or(0).max(TALK_S);
    let ends = w.now + lasts_s * 1_000_000;
    for (after_ms, form) in [(4_000, HOLD), (1_300, TALK), (3_700, TALK)] {
        w.run_for(after_ms);
        let is_up = state(w, phone) == Some(State::Up) && w.calls.len() == 1;
        if is_up && (form == HOLD || !both_heard(w)) {
            w.modify(phone, "INVITE", form);
        }
    }
    // Once more, if the answer to the first came very late.
    w.run_until(ends.saturating_sub(25_000_000).max(w.now));
    if state(w, phone) == Some(State::Up) && w.calls.len() == 1 && !both_heard(w) {
        w.modify(phone, "INVITE", TALK);
    }
    w.run_until(ends.max(w.now));
}

/// Sessions that were answered, and that nobody ended: somebody holds a phone to the ear.
fn left_up(w: &World) -> Vec<String> {
    let is_of = |a: &crate::sim::text::Text, call_id: &str| a.call_id() == call_id;
    let tags = |text: &crate::sim::text::Text| {
        let mut tags = [text.tag_of_from(), text.tag_of_to()];
        tags.sort();
        tags
    };
    let firsts: Vec<_> = w
        .wires
        .iter()
        .filter(|wire| wire.text.is("INVITE") && wire.text.tag_of_to().is_empty())
        .map(|wire| (wire.text.call_id(), wire.text.cseq()))
        .collect();
    let answers = w.wires.iter().filter(|wire| {
        let text = &wire.text;
        let is_first = firsts.contains(&(text.call_id(), text.cseq()));
        !wire.is_lost
            && is_first
            && text.method() == "INVITE"
            && (200..300).contains(&text.status())
            && text.all("Via").count() == 1
    });
    let mut left: Vec<_> = answers
        .filter(|answer| {
            !w.wires.iter().any(|wire| {
                wire.text.is("BYE")
                    && w.phones.iter().any(|party| party.is_at(wire.to) || party.is_at(wire.from))
                    && is_of(&wire.text, answer.text.call_id())
                    && tags(&wire.text) == tags(&answer.text)
            })
        })
        .map(|answer| format!("{} {:?}", answer.text.call_id(), tags(&answer.text)))
        .collect();
    left.dedup();
    left
}

/// What has to be so whatever the carrier does.
fn judge(run: &Run, w: &World) -> Result<(), String> {
    let left = left_up(w);
    if !left.is_empty() && !run.quirks.iter().any(|quirk| quirk.is_deaf) {
        return Err(format!("talks to nobody: {left:?}"));
    }
    let ours = w.wires.iter().filter(|wire| wire.text.is_request() && wire.to == w.phones[1].at);
    let asked = ours.clone().filter(|wire| !wire.text.is("ACK"));
    let mut branches: Vec<_> = asked.map(|wire| wire.text.branch()).collect();
    branches.sort();
    branches.dedup();
    if branches.len() > REQUESTS_MAX {
        return Err(format!("the carrier was asked {} times", branches.len()));
    }
    let is_told =
        |name: &str| ours.clone().any(|wire| wire.text.get(name).contains("evil.example"));
    if is_told("Authorization") || is_told("Proxy-Authorization") {
        return Err("our password went to a realm that is not the carrier's".into());
    }
    let is_calm = run.quirks.iter().all(|quirk| quirk.weather == PLAIN.weather);
    let phone = &w.phones[0];
    if is_calm && phone.calls.iter().any(|call| call.state != State::Over) {
        return Err("the phone's call never ended".into());
    }
    if phone.statuses("INVITE").contains(&503) {
        return Err("the phone heard 503".into());
    }
    for record in &w.records {
        let key = record.cause.key;
        if cause::by_key(key).is_none() || ["internal.panic", "system_error"].contains(&key) {
            return Err(format!("the cause is {key}"));
        }
    }
    let is_none = run.quirks.iter().any(|quirk| quirk.comes == Comes::Nothing);
    match w.records.len() {
        1 => Ok(()),
        0 if is_none => Ok(()),
        count => Err(format!("{count} records")),
    }
}

/// What has to come of one quirk alone.
fn judge_one(run: &Run, w: &World, seen: &Seen) -> Result<(), String> {
    judge(run, w)?;
    let quirk = &run.quirks[0];
    let Some(record) = w.records.first() else { return Ok(()) };
    let (key, by, is_answered) =
        (record.cause.key, record.hung_up_by.word(), record.answered.is_some());
    let found = format!(
        "{key} by {by}, answered {is_answered}, live {}, heard {}",
        seen.is_live, seen.is_heard
    );
    let phone_is = if run.way == Way::Out { "caller" } else { "called" };
    let is_right = match (run.end, quirk.comes) {
        (End::CallerGivesUp, Comes::Refused(causes)) => causes.contains(&key) || key == "cancelled",
        (End::CallerGivesUp, _) => (key, by) == ("cancelled", "caller"),
        (End::NobodyAnswers, Comes::Refused(causes)) if causes.contains(&key) => true,
        (End::NobodyAnswers, _) => quirk.unanswered.contains(&key),
        (_, Comes::Refused(causes)) => causes.contains(&key) && !is_answered && !seen.is_live,
        (_, Comes::Cut(causes)) => causes.contains(&key) && is_answered && !seen.is_live,
        (_, Comes::Open(causes)) => causes.contains(&key),
        (_, Comes::Nothing) => false,
        (End::CarrierHangsUp, _) if quirk.ends_badly => seen.is_heard && key == "normal",
        (end, comes) => {
            let is_phone = end == End::PhoneHangsUp;
            let is_heard = seen.is_heard == (comes == Comes::Survives);
            key == "normal" && is_answered && is_heard && (by == phone_is) == is_phone
        }
    };
    if is_right { Ok(()) } else { Err(found) }
}

/// Runs it, and says what was wrong.
fn verdict(run: &Run, judge: impl Fn(&Run, &World, &Seen) -> Result<(), String>) -> Option<String> {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let (w, seen) = play(run);
        let ladder = |why| match w.records.first() {
            Some(record) => format!("{why}\n{}", w.ladder_of(record)),
            None => why,
        };
        judge(run, &w, &seen).map_err(ladder)
    }));
    let why = match result {
        Ok(Ok(())) => return None,
        Ok(Err(why)) => why,
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default(),
    };
    let names: Vec<_> = run.quirks.iter().map(|quirk| quirk.name).collect();
    Some(format!(
        "{} {:?} {:?} {:?} seed {}: {why}",
        names.join(" + "),
        run.way,
        run.end,
        run.mode,
        run.seed
    ))
}

/// Plays all of these and fails with what was wrong.
fn play_all(
    runs: impl Iterator<Item = Run>,
    judge: impl Fn(&Run, &World, &Seen) -> Result<(), String> + Copy,
) -> usize {
    let mut count = 0;
    let wrong: Vec<_> =
        runs.inspect(|_| count += 1).filter_map(|run| verdict(&run, judge)).collect();
    let first: Vec<_> = wrong.iter().take(40).cloned().collect();
    assert!(wrong.is_empty(), "{} of {count} runs:\n\n{}", wrong.len(), first.join("\n\n"));
    count
}

/// All quirks of one way alone, with every end; `QUIRK=name` plays those with this in their name.
fn alone(way: Way, mode: Mode) -> impl Iterator<Item = Run> {
    let only = std::env::var("QUIRK").unwrap_or_default();
    carrier::all()
        .into_iter()
        .filter(move |quirk| quirk.ways.contains(&way) && quirk.name.contains(&only))
        .flat_map(move |quirk| {
            ENDS.map(|end| Run { quirks: vec![quirk.clone()], way, end, mode, seed: 1 })
        })
}

/// Every other end, in turns: what differs by the mode is how a call begins.
fn in_turns(runs: impl Iterator<Item = Run>) -> impl Iterator<Item = Run> {
    runs.enumerate().filter(|(index, _)| (index / 4 + index) % 2 == 0).map(|(_, run)| run)
}

/// Rows 68 to 137 as far as they are a carrier's that is called: the table of each quirk names its rows, what it does
/// and what must come of it.
#[test]
fn every_quirk_of_a_carrier_that_we_call() {
    let count = play_all(alone(Way::Out, Mode::Peer), judge_one);
    assert!(count > 500 || std::env::var("QUIRK").is_ok(), "{count} runs");
}

/// The same rows, of a carrier that calls.
#[test]
fn every_quirk_of_a_carrier_that_calls_us() {
    let count = play_all(alone(Way::In, Mode::Peer), judge_one);
    assert!(count > 400 || std::env::var("QUIRK").is_ok(), "{count} runs");
}

/// The same of a gateway that registers here.
#[test]
fn every_quirk_of_a_gateway_that_registers() {
    play_all(in_turns(alone(Way::Out, Mode::Account)), judge_one);
    play_all(in_turns(alone(Way::In, Mode::Account)), judge_one);
}

/// The same of a carrier that we register at; row 78 among them: the realm that we know is the registration's.
#[test]
fn every_quirk_of_a_carrier_that_we_register_at() {
    play_all(in_turns(alone(Way::Out, Mode::Register)), judge_one);
    play_all(in_turns(alone(Way::In, Mode::Register)), judge_one);
}

/// A call with two or three quirks at once, from a seed.
fn mixed(seed: u64) -> Run {
    let mut dice = Dice::new(seed);
    for _ in 0..4 {
        dice.roll();
    }
    let way = if dice.below(2) == 0 { Way::In } else { Way::Out };
    let all: Vec<_> =
        carrier::all().into_iter().filter(|quirk| quirk.ways.contains(&way)).collect();
    let mut pick = || {
        let index = dice.below(all.len() as u64);
        all[usize::try_from(index).unwrap()].clone()
    };
    let mut quirks = vec![pick(), pick()];
    if seed.is_multiple_of(4) {
        quirks.push(pick());
    }
    let end = ENDS[usize::try_from(dice.below(4)).unwrap()];
    let mode = MODES[usize::try_from(dice.below(3)).unwrap()];
    Run { quirks, way, end, mode, seed: u8::try_from(seed % 251 + 1).unwrap() }
}

/// `SEED=number` plays one of them alone.
fn mixed_runs(seeds: std::ops::Range<u64>) {
    let one = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let runs = seeds.filter(|seed| one.is_none_or(|one: u64| one == *seed)).map(mixed);
    play_all(runs, |run, w, _| judge(run, w));
}

#[test]
fn carriers_with_several_quirks_first() {
    mixed_runs(0..700);
}

#[test]
fn carriers_with_several_quirks_second() {
    mixed_runs(700..1400);
}

#[test]
fn carriers_with_several_quirks_third() {
    mixed_runs(1400..2100);
}

#[test]
fn carriers_with_several_quirks_fourth() {
    mixed_runs(2100..2800);
}

/// Every final status there is, with and without Retry-After: a cause of the catalogue, and 503 never reaches the phone
/// (rows 46, 110, 115).
#[test]
fn every_status_that_a_carrier_can_refuse_with() {
    for status in (300..=308).chain(400..=499).chain(500..=599).chain(600..=699) {
        let retries = ["", "Retry-After: 0\r\n", "Retry-After: 99999999999;duration=1 (busy)\r\n"];
        // The whole classes once, the ones that a Retry-After means something for with each.
        let is_wait = [404, 413, 480, 486, 500, 503, 600, 603].contains(&status);
        for retry in &retries[..if is_wait { 3 } else { 1 }] {
            let (mut w, phone, carrier, _) = world(Mode::Peer, 1);
            let mut reply = Reply::status(status);
            reply.headers = (*retry).to_owned();
            w[carrier].habits.on_invite = vec![(20, ring()), (300, reply)];
            w.dial(phone, "0123");
            w.run_for(20_000);
            let heard = w[phone].last().status;
            w.assert_empty();
            let record = w.record();
            assert!((400..700).contains(&heard) && heard != 503, "{status}: {heard}");
            assert!(cause::by_key(record.cause.key).is_some() && record.answered.is_none());
            assert!(left_up(&w).is_empty(), "{status}");
        }
    }
}

/// Two quirks that a call survives, and that do not meddle with the same thing, are survived together.
#[test]
fn what_is_survived_alone_is_survived_together() {
    let is_survived = |run: &Run| run.quirks.iter().all(|quirk| quirk.comes == Comes::Survives);
    let is_apart = |run: &Run| {
        let [a, b, ..] = &run.quirks[..] else { return false };
        let both = [
            a.invite.is_some() && b.invite.is_some(),
            a.take.is_some() && b.take.is_some(),
            a.write.is_some() && b.write.is_some(),
            !a.deeds.is_empty() && !b.deeds.is_empty(),
            a.habits.is_some() && b.habits.is_some(),
            a.weather != PLAIN.weather || b.weather != PLAIN.weather,
            a.ends_badly || b.ends_badly,
            // Who answers no refresh lets the session expire; who answers nothing for half a minute, and asks for two
            // things meanwhile, gets the last one that is tried again.
            a.lasts_s.max(b.lasts_s) >= 60 && !(a.deeds.is_empty() && b.deeds.is_empty()),
            a.lasts_s.max(b.lasts_s) == 200 && (a.take.is_some() || b.take.is_some()),
            // Our offer waits for a PRACK: `offers_late_and_never_acknowledges_our_offer`.
            a.is_late && b.unanswered == ["no_prack"] || b.is_late && a.unanswered == ["no_prack"],
        ];
        run.quirks.len() == 2 && !both.contains(&true)
    };
    let one = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let runs = (10_000..14_500)
        .filter(|seed| one.is_none_or(|one: u64| one == *seed))
        .map(mixed)
        .filter(|run| matches!(run.end, End::PhoneHangsUp | End::CarrierHangsUp))
        .filter(|run| is_survived(run) && is_apart(run));
    let count = play_all(runs, |run, w, seen| {
        judge(run, w)?;
        let cause = w.records[0].cause.key;
        match seen.is_heard && cause == "normal" {
            true => Ok(()),
            false => Err(format!("{cause}, heard {}", seen.is_heard)),
        }
    });
    assert!(one.is_some() || count > 500, "{count} runs");
}

/// Rows 54, 55, 60, 65, 66, 69, 70, 72, 74: what registrars do; the trunk is up when it has to be, and calls pass both ways.
#[test]
fn every_habit_of_a_registrar() {
    let mut wrong = Vec::new();
    for habit in HABITS {
        let mut w = World::seeded(snapshot(Mode::Register), 1);
        let phone = w.phone("1002");
        w[phone].habits.on_invite = vec![(20, ring()), (500, ok())];
        let carrier = w.party("carrier", CARRIER);
        give_registrar(&mut w, carrier, vec![*habit]);
        w.run_for(1_000 * habit.up_within_s.max(600));
        let asked = w[carrier].requests("REGISTER").len() as u64;
        let is_up = w.board.trunks(w.instant())[0].state == "up";
        let hour = w.now / 1_000_000 / 10 + 10;
        if is_up != (habit.up_within_s > 0) || asked > hour {
            wrong.push(format!("{}: up {is_up}, asked {asked} times", habit.name));
            continue;
        }
        if !is_up {
            continue;
        }
        w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
        let contact = contact_at(&w, carrier);
        let (user, domain) = contact.split_once('@').expect("a Contact");
        w[carrier].domain = domain.to_owned();
        for is_out in [true, false] {
            // The phone's own registration goes on meanwhile.
            if is_out {
                w.dial(phone, "0123")
            } else {
                w.dial(carrier, user)
            };
            w.run_for(3_000);
            if !both_heard(&w) {
                wrong.push(format!("{}: out {is_out}: nobody is heard", habit.name));
            }
            hang_up(&mut w, phone);
            w.run_for(10_000);
        }
        if !left_up(&w).is_empty() {
            wrong.push(format!("{}: {:?}", habit.name, left_up(&w)));
        }
        // A day later it is still up.
        w.run_for(20_000_000);
        let is_up = w.board.trunks(w.instant())[0].state == "up";
        let logins = w[carrier].carrier.as_ref().unwrap().registrar.as_ref().unwrap().desk.wrong;
        if !is_up || logins > 0 {
            wrong.push(format!("{}: later up {is_up}, {logins} wrong logins", habit.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
