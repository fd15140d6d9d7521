//! What is counted of a call: one side, both, and since when.

use std::net::SocketAddr;
use std::time::Duration;

use super::report::FarEnd;
use crate::proto::rtp::Sound;
use crate::proto::time::Instant;

/// What one side has received and been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegStats {
    /// RTP packets from the peer, relayed or not.
    pub packets_in: u64,
    /// Those of them that went on, or would have but for a sound of our own.
    pub passed: u64,
    /// RTP packets to the peer.
    pub packets_out: u64,
    /// Bytes of those from the peer, with their RTP headers.
    pub bytes_in: u64,
    /// Bytes of those to the peer, with their RTP headers.
    pub bytes_out: u64,
    /// Packets from the peer that never came.
    pub lost: i64,
    /// Packets from the peer that came twice.
    pub duplicates: u64,
    /// Packets from the peer that came after a later one.
    pub out_of_order: u64,
    /// Interarrival jitter in microseconds (RFC 3550 §6.4.1).
    pub jitter_us: u32,
    /// Packets from an address that is not the peer's.
    pub dropped_stranger: u64,
    /// Packets of a payload type that was not agreed on, on this side or across.
    pub dropped_payload_type: u64,
    /// Packets that came or would have gone against the direction: on hold.
    pub dropped_direction: u64,
    /// Datagrams that are no RTP or RTCP, or are far out of sequence.
    pub dropped_malformed: u64,
    /// Packets of the peer that came too late for their place, in a stream that is cut
    /// or joined for the other side.
    pub dropped_late: u64,
    /// Protected packets that are not of the peer's key, or not protected at all.
    pub dropped_auth: u64,
    /// Protected packets that came before, or too late to tell.
    pub dropped_replay: u64,
    /// Connectivity checks that are not the peer's, or ask for what we do not do.
    pub dropped_checks: u64,
    /// Parts of DTLS handshakes that are not the peer's, and handshakes that broke off.
    pub dropped_handshake: u64,
    /// Packets that the system did not take for this side's peer.
    pub send_failed: u64,
    /// Reports that came, and that went.
    pub rtcp_in: u64,
    /// Reports to the peer.
    pub rtcp_out: u64,
    /// When the first packet of the peer came.
    pub first_packet_at: Option<Instant>,
    /// When the latest one came.
    pub last_packet_at: Option<Instant>,
    /// Where the peer was found, if not where it said.
    pub latched: Option<SocketAddr>,
    /// Where the latest packet came from that was not the peer's.
    pub stranger: Option<SocketAddr>,
    /// Packets of the peer that were listened to.
    pub sampled: u64,
    /// Those of them that were silence.
    pub silent: u64,
    /// How the peer's audio arrived.
    pub sound: Sound,
    /// From us to the peer and back.
    pub round_trip: Option<Duration>,
    /// What the peer says of ours.
    pub far: Option<FarEnd>,
}

/// Both sides of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallStats {
    /// Side A.
    pub a: LegStats,
    /// Side B.
    pub b: LegStats,
    /// For how long both have been connected, and what there was before; `None` until they are.
    pub connected: Option<Connected>,
}

/// What there was when both sides were connected: with this a call's ringing and announcements are told from its talk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Connected {
    /// How long ago that was.
    pub ago: Duration,
    /// Side A's figures then.
    pub a: LegStats,
    /// Side B's.
    pub b: LegStats,
}

/// When both sides were connected, with the figures of that moment.
pub(super) struct Since {
    pub(super) at: Instant,
    pub(super) a: LegStats,
    pub(super) b: LegStats,
    /// Whether somebody was not heard has been looked at.
    pub(super) is_reviewed: bool,
}
