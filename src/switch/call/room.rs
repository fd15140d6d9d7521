//! A call that talks to us instead of another phone: it goes into a room of several voices, or listens to another call.

mod said;

use said::Said;

use super::*;
use crate::proto::rtp::telephone_event::key_of;
use crate::proto::sdp::SdpRefusal;
use crate::switch::cause;
use crate::switch::cdr::record::SegmentKind;
use crate::switch::rooms::{Rank, RoomSettings, Shut, Standing};
use crate::switch::speech::{Say, Saying};

/// How often a PIN may be wrong.
const TRIES_MAX: u8 = 3;
/// How long nothing may be keyed in.
const KEY_TIMEOUT: Duration = Duration::from_secs(10);
/// Digits of the longest PIN, and then some.
const DIGITS_MAX: usize = 32;
/// How long a last word may take.
const LAST_WORD: Duration = Duration::from_secs(6);
/// Names of what rooms say begin here; operators' are smaller.
const OWN_TOKENS: u64 = 1 << 62;

/// Where a call goes that rings nobody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Visit {
    /// Into a room.
    Room(Arc<RoomSettings>),
    /// To another call.
    Watch {
        /// Which.
        call: CallId,
        /// Who hears this one.
        heard_by: HeardBy,
    },
}

/// Who hears one that listens to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeardBy {
    /// Nobody.
    Nobody,
    /// The caller alone.
    Caller,
    /// The called party alone.
    Called,
    /// Both.
    Both,
}

impl HeardBy {
    /// The word in commands and events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Caller => "caller",
            Self::Called => "called",
            Self::Both => "both",
        }
    }

    /// By the key that chooses it.
    const fn of_key(key: char) -> Option<Self> {
        match key {
            '0' => Some(Self::Nobody),
            '1' => Some(Self::Caller),
            '2' => Some(Self::Called),
            '3' => Some(Self::Both),
            _ => None,
        }
    }
}

/// What a call wants of the rooms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RoomWish {
    /// To come in.
    Enter {
        /// The room.
        room: Arc<RoomSettings>,
        /// As what.
        rank: Rank,
        /// Who it is.
        who: String,
    },
    /// To listen to this call.
    Watch(CallId),
    /// To go.
    Leave,
    /// To be muted, or heard again: the other of what is so.
    ToggleMute,
    /// To lock the room, or to open it: the other of what is so.
    ToggleLock,
    /// All guests but itself muted.
    MuteOthers,
    /// It talks, or not any more.
    Talks(bool),
}

/// What the rooms tell a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoomNews {
    /// It is in.
    Entered {
        /// How many were there before.
        others: usize,
        /// How it takes part.
        standing: Standing,
    },
    /// It is not.
    Shut(Shut),
    /// It takes part in another way now.
    Standing(Standing),
    /// The room is locked now, or open.
    Locked(bool),
    /// It may listen to the call that it wanted.
    Watching,
    /// It has to go, or what it listened to is over.
    Over(&'static str),
}

/// In which room of the media plane a side is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InRoom {
    /// This call's own.
    Own,
    /// The one with this number.
    Numbered(u64),
    /// That of another call.
    OfCall(CallId),
}

/// A side's place in a room of the media plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Which.
    pub room: InRoom,
    /// Who hears it: everybody, nobody, or a side of the call whose room it is.
    pub heard_by: HeardBy,
    /// Nobody does for now.
    pub is_muted: bool,
    /// How much louder it is made.
    pub gain_db: i8,
    /// A chime tells the others of it.
    pub chimes: bool,
}

/// A visit that is under way.
#[derive(Debug)]
pub(super) struct Stay {
    visit: Visit,
    stage: Stage,
    digits: String,
    tries: u8,
    rank: Rank,
    standing: Standing,
    others: usize,
    /// A star was pressed: the next key is a command.
    is_command: bool,
    /// How often it was said something.
    said: u64,
    pub(super) deadline: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing has happened.
    Outside,
    /// It is asked for the PIN.
    Asked,
    /// The rooms are asked.
    Knocking,
    /// It talks, or listens.
    Inside,
    /// It is told why it has to go.
    Leaving(&'static Cause),
}

impl Stay {
    pub(super) const fn new(visit: Visit) -> Self {
        Self {
            visit,
            stage: Stage::Outside,
            digits: String::new(),
            tries: 0,
            rank: Rank::Guest,
            standing: Standing { is_muted: false, gain_db: 0 },
            others: 0,
            is_command: false,
            said: 0,
            deadline: None,
        }
    }
}

/// The number of a room in the media plane: the same for the same digits.
#[must_use]
pub fn room_number(number: &str) -> u64 {
    // FNV-1a: two rooms of one configuration that meet are refused there.
    number.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Call {
    /// Nobody is rung: the caller is asked for the PIN, or is let in.
    pub(super) fn visit(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(stay) = &mut self.stay else { return };
        match &stay.visit {
            Visit::Room(room) if room.has_pin() => {
                stay.stage = Stage::Asked;
                if self.open_door(now, out) {
                    self.sit(InRoom::Own, out);
                    self.ask_for_pin(now, None, out);
                }
            }
            Visit::Room(room) => {
                let rank = room.rank_of("").unwrap_or(Rank::Guest);
                self.knock(now, rank, out);
            }
            Visit::Watch { call, .. } => {
                let wish = RoomWish::Watch(*call);
                (stay.stage, stay.deadline) = (Stage::Knocking, Some(now + ASKED_MAX));
                out.push(Output::Room(wish));
            }
        }
    }

    fn knock(&mut self, now: Instant, rank: Rank, out: &mut Vec<Output>) {
        let who = self.caller.number.clone();
        let Some(stay) = &mut self.stay else { return };
        let Visit::Room(room) = &stay.visit else { return };
        let wish = RoomWish::Enter { room: Arc::clone(room), rank, who };
        (stay.stage, stay.deadline) = (Stage::Knocking, Some(now + ASKED_MAX));
        stay.rank = rank;
        out.push(Output::Room(wish));
    }

    /// Answers the caller, if it has not been; `false` if the call is over for it.
    fn open_door(&mut self, now: Instant, out: &mut Vec<Output>) -> bool {
        if self.answered.is_some() {
            return true;
        }
        if self.a.as_ref().is_some_and(|leg| leg.session.state() != session::State::Established)
            && let Err(refusal) = self.answer_caller(now, out)
        {
            self.refuse_media(now, refusal, out);
            return false;
        }
        self.note(now, "a", "call.answered", "answered by us");
        let party = self.dialled.clone();
        let ring_ms = self.elapsed(now).as_millis().to_string();
        self.event("call.answered", vec![("party", party.clone()), ("ring_ms", ring_ms)], out);
        out.push(Output::Answered(party));
        self.phase = Phase::Talking;
        self.answered = Some(self.wall(now));
        self.segments.change(self.elapsed(now), SegmentKind::Talk);
        self.apply_media(At::A, out);
        let settings = &self.snapshot.media;
        let (talk, hold) = (settings.dead_after, settings.dead_after_hold);
        out.push(Output::Media(MediaOp::Watch { talk, hold }));
        true
    }

    /// Answers with what we speak ourselves.
    pub(super) fn answer_caller(
        &mut self,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), SdpRefusal> {
        let (is_late, Some(at)) = (self.is_late, self.media_address(At::A)) else {
            return Err(SdpRefusal::NoAudio);
        };
        let Some(leg) = &mut self.a else { return Err(SdpRefusal::NoOffer) };
        let body = if is_late {
            leg.negotiator.late_offer_to_peer(None, at)
        } else {
            leg.negotiator.answer_locally(at)?
        };
        self.on_session(now, At::A, out, |session, sip| session.accept(now, Some(&body), sip));
        Ok(())
    }

    /// The rooms answer, or tell something.
    pub(super) fn room_news(&mut self, now: Instant, news: RoomNews, out: &mut Vec<Output>) {
        let Some(stay) = &mut self.stay else { return };
        if matches!(self.phase, Phase::Closing | Phase::Over) {
            if matches!(news, RoomNews::Entered { .. } | RoomNews::Watching) {
                // It was let in when it had gone.
                out.push(Output::Room(RoomWish::Leave));
            }
            return;
        }
        match news {
            RoomNews::Entered { others, standing } if stay.stage == Stage::Knocking => {
                (stay.others, stay.standing) = (others, standing);
                self.let_in(now, out);
                let said = if others == 0 { Said::Alone } else { Said::Others(others) };
                self.tell_caller(now, said, out);
                if standing.is_muted {
                    self.tell_caller(now, Said::Muted, out);
                }
            }
            RoomNews::Watching if stay.stage == Stage::Knocking => self.let_in(now, out),
            RoomNews::Entered { .. } | RoomNews::Watching => {}
            RoomNews::Shut(shut) => self.shut_out(now, shut, out),
            RoomNews::Standing(standing) => {
                let before = std::mem::replace(&mut stay.standing, standing);
                self.take_place(out);
                if before.is_muted != standing.is_muted {
                    self.tell_caller(
                        now,
                        if standing.is_muted { Said::Muted } else { Said::Unmuted },
                        out,
                    );
                }
            }
            RoomNews::Locked(is_locked) => {
                self.tell_caller(now, if is_locked { Said::Locked } else { Said::Unlocked }, out);
            }
            RoomNews::Over(why) if stay.stage == Stage::Knocking => {
                self.note(now, "a", "room.over", why);
                self.fail(now, &cause::NOTHING_TO_HEAR, None, HungUpBy::System, out);
            }
            RoomNews::Over(why) => {
                self.note(now, "a", "room.over", why);
                self.last_word(now, Said::Goodbye, &cause::NORMAL, out);
            }
        }
    }

    fn let_in(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(stay) = &mut self.stay else { return };
        (stay.stage, stay.deadline) = (Stage::Inside, None);
        let text = match &stay.visit {
            Visit::Room(room) => format!("in room {}", room.number),
            Visit::Watch { call, heard_by } => {
                format!("listens to call {call}, heard by {}", heard_by.word())
            }
        };
        if !self.open_door(now, out) {
            return out.push(Output::Room(RoomWish::Leave));
        }
        self.note(now, "a", "room.entered", text);
        self.take_place(out);
        self.review_recording(now, out);
    }

    /// Takes the place in the media plane that it has now.
    fn take_place(&self, out: &mut Vec<Output>) {
        let Some(stay) = self.stay.as_ref().filter(|stay| stay.stage == Stage::Inside) else {
            return;
        };
        let Standing { is_muted, gain_db } = stay.standing;
        let place = match &stay.visit {
            Visit::Room(room) => Seat {
                room: InRoom::Numbered(room_number(&room.number)),
                heard_by: HeardBy::Both,
                is_muted,
                gain_db,
                chimes: room.chimes,
            },
            Visit::Watch { call, heard_by } => Seat {
                room: InRoom::OfCall(*call),
                heard_by: *heard_by,
                is_muted,
                gain_db,
                chimes: false,
            },
        };
        out.push(Output::Media(MediaOp::Room { side: self.side_of(At::A), place: Some(place) }));
    }

    /// Sits down alone, so that its keys are heard.
    fn sit(&self, room: InRoom, out: &mut Vec<Output>) {
        let place =
            Seat { room, heard_by: HeardBy::Nobody, is_muted: true, gain_db: 0, chimes: false };
        out.push(Output::Media(MediaOp::Room { side: self.side_of(At::A), place: Some(place) }));
    }

    fn shut_out(&mut self, now: Instant, shut: Shut, out: &mut Vec<Output>) {
        let (cause, said) = match shut {
            Shut::Full => (&cause::ROOM_FULL, Said::Full),
            Shut::Locked => (&cause::ROOM_LOCKED, Said::Locked),
        };
        if self.answered.is_none() {
            return self.fail(now, cause, None, HungUpBy::System, out);
        }
        self.last_word(now, said, cause, out);
    }

    /// Says something, and hangs up when it was said.
    fn last_word(
        &mut self,
        now: Instant,
        said: Said,
        cause: &'static Cause,
        out: &mut Vec<Output>,
    ) {
        let Some(stay) = &mut self.stay else { return };
        let was_inside = stay.stage == Stage::Inside;
        (stay.stage, stay.deadline) = (Stage::Leaving(cause), Some(now + LAST_WORD));
        if was_inside {
            out.push(Output::Room(RoomWish::Leave));
            self.sit(InRoom::Own, out);
        }
        self.tell_caller(now, said, out);
    }

    /// Says something to the caller, behind what it is being said.
    fn tell_caller(&mut self, now: Instant, said: Said, out: &mut Vec<Output>) {
        let side = self.side_of(At::A);
        let Some(stay) = &mut self.stay else { return };
        stay.said += 1;
        let token = OWN_TOKENS | stay.said;
        let say = Say { what: Saying::Phrase(said.spoken()), language: None };
        self.say(now, (vec![side], token), say, "the room", out);
    }

    /// Something was said to its end: who has to go has heard why.
    pub(super) fn said(&mut self, now: Instant, out: &mut Vec<Output>) {
        let is_leaving = |stay: &Stay| matches!(stay.stage, Stage::Leaving(_));
        if self.stay.as_ref().is_some_and(is_leaving) && !self.is_saying(self.side_of(At::A)) {
            self.stay_expired(now, out);
        }
    }

    fn ask_for_pin(&mut self, now: Instant, first: Option<Said>, out: &mut Vec<Output>) {
        let Some(stay) = &mut self.stay else { return };
        stay.digits.clear();
        stay.deadline = Some(now + KEY_TIMEOUT);
        if let Some(said) = first {
            self.tell_caller(now, said, out);
        }
        self.tell_caller(now, Said::EnterPin, out);
    }

    /// The deadline of a stay is over.
    pub(super) fn stay_expired(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(stay) = &mut self.stay else { return };
        match stay.stage {
            Stage::Asked => self.try_pin(now, out),
            Stage::Leaving(cause) => self.fail(now, cause, None, HungUpBy::System, out),
            Stage::Outside | Stage::Knocking => {
                self.fail(now, &cause::INTERNAL, None, HungUpBy::System, out);
            }
            Stage::Inside => {}
        }
    }

    /// A key came in the stream of a side that is in a room.
    pub(super) fn room_digit(
        &mut self,
        now: Instant,
        side: Side,
        event: u8,
        out: &mut Vec<Output>,
    ) {
        let Some(key) = key_of(event).filter(|_| self.side_of(At::A) == side) else { return };
        self.key(now, key, out);
    }

    /// The caller pressed a key; `false` if keys are not for us. Which one it was is written nowhere: people type PINs.
    pub(super) fn key(&mut self, now: Instant, key: char, out: &mut Vec<Output>) -> bool {
        let Some(stay) = &mut self.stay else { return false };
        match stay.stage {
            Stage::Asked => {
                stay.deadline = Some(now + KEY_TIMEOUT);
                let side = self.side_of(At::A);
                out.push(Output::Media(MediaOp::Silence { side }));
                self.pin_key(now, key, out);
            }
            Stage::Inside if matches!(stay.visit, Visit::Watch { .. }) => {
                if let (Visit::Watch { heard_by, .. }, Some(chosen)) =
                    (&mut stay.visit, HeardBy::of_key(key))
                {
                    *heard_by = chosen;
                    let text = format!("heard by {}", chosen.word());
                    self.note(now, "a", "room.part", text);
                    self.take_place(out);
                }
            }
            Stage::Inside => self.command_key(key, out),
            Stage::Outside | Stage::Knocking | Stage::Leaving(_) => {}
        }
        true
    }

    fn pin_key(&mut self, now: Instant, key: char, out: &mut Vec<Output>) {
        let Some(stay) = &mut self.stay else { return };
        let Visit::Room(room) = &stay.visit else { return };
        if key == '#' {
            return self.try_pin(now, out);
        }
        if key == '*' {
            // Begins anew.
            return stay.digits.clear();
        }
        if stay.digits.len() < DIGITS_MAX {
            stay.digits.push(key);
        }
        // One that another begins with is tried with # or by waiting.
        let is_pin = room.rank_of(&stay.digits).is_some() && !room.may_go_on(&stay.digits);
        if is_pin || room.is_enough(&stay.digits) {
            self.try_pin(now, out);
        }
    }

    fn try_pin(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(stay) = &mut self.stay else { return };
        let Visit::Room(room) = &stay.visit else { return };
        if let Some(rank) = room.rank_of(&stay.digits) {
            stay.digits.clear();
            return self.knock(now, rank, out);
        }
        stay.tries += 1;
        let was_silent = stay.digits.is_empty();
        let is_last = stay.tries >= TRIES_MAX;
        if is_last {
            self.note(now, "a", "room.wrong_pin", "and no further try");
            return self.last_word(now, Said::Goodbye, &cause::WRONG_PIN, out);
        }
        self.note(now, "a", "room.wrong_pin", if was_silent { "none" } else { "wrong" });
        let first = (!was_silent).then_some(Said::WrongPin);
        self.ask_for_pin(now, first, out);
    }

    /// A star and a digit: what somebody in a room may do.
    fn command_key(&mut self, key: char, out: &mut Vec<Output>) {
        let Some(stay) = &mut self.stay else { return };
        if key == '*' {
            stay.is_command = true;
            return;
        }
        if !std::mem::take(&mut stay.is_command) {
            return;
        }
        let is_moderator = stay.rank == Rank::Moderator;
        match key {
            '6' => out.push(Output::Room(RoomWish::ToggleMute)),
            '5' if is_moderator => out.push(Output::Room(RoomWish::ToggleLock)),
            '7' if is_moderator => out.push(Output::Room(RoomWish::MuteOthers)),
            _ => {}
        }
    }

    /// Is it in a room? Before that it keys in a PIN, which is not recorded.
    pub(super) fn is_in_room(&self) -> bool {
        self.stay
            .as_ref()
            .is_some_and(|stay| stay.stage == Stage::Inside && matches!(stay.visit, Visit::Room(_)))
    }

    /// One side in a room talks, or not any more.
    pub(super) fn talking(&mut self, side: Side, is_on: bool, out: &mut Vec<Output>) {
        if self.is_in_room() && self.side_of(At::A) == side {
            out.push(Output::Room(RoomWish::Talks(is_on)));
        }
    }

    /// The call is over: whoever it talked to is told.
    pub(super) fn leave_room(&mut self, out: &mut Vec<Output>) {
        if let Some(stay) = &mut self.stay {
            stay.deadline = None;
            if matches!(stay.stage, Stage::Knocking | Stage::Inside) {
                out.push(Output::Room(RoomWish::Leave));
            }
        }
        if !std::mem::take(&mut self.watchers).is_empty() {
            out.push(Output::WatchOver);
        }
    }
}
