//! Protected packets of one side: opened before anything else looks at them, sealed when they leave.

use super::stats::LegStats;
use crate::proto::srtp::{GuardedLeg, Rejected};

/// Opens an RTP packet in place; `None` if it is to be dropped, which is counted.
pub(super) fn open_rtp<'p>(
    guard: &mut GuardedLeg,
    packet: &'p mut [u8],
    stats: &mut LegStats,
) -> Option<&'p mut [u8]> {
    let opened = guard.open_rtp(packet);
    whole(opened, packet, stats)
}

/// The same for RTCP.
pub(super) fn open_rtcp<'p>(
    guard: &mut GuardedLeg,
    packet: &'p mut [u8],
    stats: &mut LegStats,
) -> Option<&'p mut [u8]> {
    let opened = guard.open_rtcp(packet);
    whole(opened, packet, stats)
}

fn whole<'p>(
    opened: Result<usize, Rejected>,
    packet: &'p mut [u8],
    stats: &mut LegStats,
) -> Option<&'p mut [u8]> {
    match opened {
        Ok(length) => return packet.get_mut(..length),
        Err(Rejected::Malformed) => stats.dropped_malformed += 1,
        Err(Rejected::Replayed) => stats.dropped_replay += 1,
        Err(Rejected::Unauthentic) => stats.dropped_auth += 1,
        // The answer that has the key is on its way.
        Err(Rejected::Unkeyed) => stats.dropped_direction += 1,
    }
    None
}
