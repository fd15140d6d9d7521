//! What the media plane tells, in a call's words.

use super::*;
use crate::edge::media_io::{CallStats, LegStats, Side as MediaSide};
use crate::switch::call::{Ports, Side, SideStats};

impl SwitchboardTask {
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
            MediaEvent::Dead { side, silent_for } => Input::DeadMedia(side_of(side), silent_for),
            MediaEvent::Stats(_) => return,
            MediaEvent::Closed(stats) => Input::MediaClosed(Box::new(sides(&stats))),
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

fn sides(stats: &CallStats) -> [SideStats; 2] {
    let side = |leg: &LegStats| SideStats {
        packets_in: leg.packets_in,
        packets_out: leg.packets_out,
        lost: u64::try_from(leg.lost).unwrap_or(0),
        jitter_ms: f64::from(leg.jitter_us) / 1000.0,
        strangers: leg.dropped_stranger,
        wrong_payload: leg.dropped_payload_type,
        unauthentic: leg.dropped_auth,
        source: leg.latched,
    };
    [side(&stats.a), side(&stats.b)]
}
