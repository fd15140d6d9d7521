//! What the media plane tells, in a call's words.

use super::*;
use crate::edge::media_io::{CallStats, LegStats, MediaHandle, Side as MediaSide};
use crate::switch::call::{Ports, Side, SideStats, SpeechInput, Start, Visit, room_number};
use crate::switch::cdr::sound::{Packets, Sound};

impl SwitchboardTask {
    /// The media thread of a new call: that of the room that it goes into or of the call that it listens to, since sounds are
    /// mixed on one thread; else the one that has room.
    pub(super) fn seat_for(&self, start: &Start) -> MediaHandle {
        let media = &self.tools.media;
        match start.plan.as_ref().ok().and_then(|plan| plan.visit.as_ref()) {
            Some(Visit::Room(room)) => media.seated_in(room_number(&room.number)),
            Some(Visit::Watch { call, .. }) => {
                let seat = self.calls.get(call).and_then(|live| live.seat);
                seat.map_or_else(|| media.seated(), |seat| media.seated_at(seat))
            }
            None => media.seated(),
        }
    }

    pub(super) fn media_event(&mut self, call: CallId, event: MediaEvent) {
        let ports = |(rtp, rtcp)| Ports { rtp, rtcp };
        let input = match event {
            MediaEvent::Opened { a, b } => Input::MediaOpened { a: ports(a), b: ports(b) },
            MediaEvent::OpenFailed { reason } => {
                tracing::error!(%call, %reason, "no media");
                Input::MediaRefused(match reason {
                    crate::edge::media_io::OpenFailure::NoPorts => "no media ports are free",
                    _ => "a media socket cannot be opened",
                })
            }
            MediaEvent::Heard { side } => Input::Heard(side_of(side)),
            MediaEvent::Latched { side, address } => Input::Latched(side_of(side), address),
            MediaEvent::Keyed { number, keys, .. } => Input::Keyed { number, keys },
            MediaEvent::NotKeyed { side, why } => Input::NotKeyed(side_of(side), why),
            MediaEvent::Dead { side, silent_for } => Input::DeadMedia(side_of(side), silent_for),
            MediaEvent::Pressed { side, key } => {
                Input::Pressed { side: side_of(side), event: key.event, duration: key.duration }
            }
            MediaEvent::Digit { side, key } => {
                Input::Digit { side: side_of(side), event: key.event }
            }
            MediaEvent::Fax { side, tone } => Input::FaxTone(side_of(side), tone),
            MediaEvent::Talking { side, is_on } => Input::Talking { side: side_of(side), is_on },
            MediaEvent::Played { side, token, end } => {
                Input::Speech(SpeechInput::Played { side: side_of(side), token, end })
            }
            MediaEvent::NotRecorded => Input::NotRecorded {
                why: "the recording ends here: the recorder, or its disk, takes no more",
                has_begun: true,
            },
            MediaEvent::Unheard(stats) => Input::Unheard(sides(&stats)),
            MediaEvent::Stats(stats) => Input::Figures(sides(&stats)),
            MediaEvent::Closed(stats) => Input::MediaClosed(sides(&stats)),
        };
        self.tell_call(call, Box::new(input));
    }
}

const fn side_of(side: MediaSide) -> Side {
    match side {
        MediaSide::A => Side::A,
        MediaSide::B => Side::B,
    }
}

fn sides(stats: &CallStats) -> Box<[SideStats; 2]> {
    let connected = stats.connected.unwrap_or_default();
    let side = |leg: &LegStats, before: &LegStats| SideStats {
        packets_in: leg.packets_in,
        packets_out: leg.packets_out,
        lost: u64::try_from(leg.lost).unwrap_or(0),
        jitter_ms: f64::from(leg.jitter_us) / 1000.0,
        sound: sound(leg),
        flow: flow(leg),
        talk: flow(leg).since(flow(before)),
        talked: connected.ago,
        stranger: leg.stranger,
        source: leg.latched,
    };
    Box::new([side(&stats.a, &connected.a), side(&stats.b, &connected.b)])
}

const fn flow(leg: &LegStats) -> Packets {
    Packets {
        came: leg.packets_in,
        passed: leg.passed,
        sent: leg.packets_out,
        strangers: leg.dropped_stranger,
        wrong_codec: leg.dropped_payload_type,
        on_hold: leg.dropped_direction,
        unauthentic: leg.dropped_auth.saturating_add(leg.dropped_replay),
        malformed: leg.dropped_malformed,
        late: leg.dropped_late,
        not_taken: leg.send_failed,
        checks: leg.dropped_checks,
        handshakes: leg.dropped_handshake,
        sampled: leg.sampled,
        silent: leg.silent,
    }
}

fn sound(leg: &LegStats) -> Sound {
    let sound = &leg.sound;
    // Two digits are what anybody can hear.
    let rounded = |value: f32| (f64::from(value) * 100.0).round() / 100.0;
    let ms = |micros: u32| f64::from(micros) / 1000.0;
    Sound {
        mos: sound.rating.map(|rating| rounded(rating.mos)),
        mos_worst: sound.worst.map(|rating| rounded(rating.mos)),
        loss_percent: rounded(sound.loss_percent),
        loss_percent_worst: rounded(sound.loss_percent_worst),
        longest_loss: sound.longest_loss.into(),
        out_of_order: leg.out_of_order,
        jitter_max_ms: ms(sound.jitter_max_us),
        rtt_ms: leg.round_trip.map(|span| rounded(span.as_secs_f32() * 1000.0)),
        far_loss_percent: leg.far.map(|far| rounded(far.loss_percent)),
        far_jitter_ms: leg.far.map(|far| ms(far.jitter_us)),
        far_mos: leg.far.and_then(|far| far.mos_tenths).map(|tenths| f64::from(tenths) / 10.0),
    }
}
