//! What a peer's reports say of the stream that it hears from us (RFC 3550 §6.4, RFC 3611 §4.7).

use super::{BLOCK_LEN, RECEIVER_REPORT, SENDER_REPORT, packets};
use crate::proto::rtp::Ssrc;

const EXTENDED_REPORT: u8 = 207;
/// The block of VoIP metrics, and its words after the header (RFC 3611 §4.7).
const VOIP_METRICS: u8 = 7;
const VOIP_METRICS_LEN: usize = 32;
/// "Not available" of ratings (RFC 3611 §4.7.5).
const NOT_AVAILABLE: u8 = 127;

/// What one compound packet said. Of several blocks of a kind the last one counts, so however many there are, this is all
/// that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The middle of the sender report's time (RFC 3550 §6.4.1), if there was one.
    pub sender_time: Option<u32>,
    /// The report block about our stream.
    pub about: Option<Block>,
    /// The VoIP metrics about our stream.
    pub voip: Option<VoipMetrics>,
}

/// A report block (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// What was lost since the report before, in 256ths.
    pub fraction: u8,
    /// What was lost in all; 24 bits with a sign.
    pub lost: i32,
    /// The newest number that came, with its wraps.
    pub newest_extended: u32,
    /// Interarrival jitter in ticks of the stream's clock.
    pub jitter_ticks: u32,
    /// The middle of the last sender report's time; 0 for none.
    pub last_report: u32,
    /// How long ago that came, in 65,536ths of a second.
    pub delay: u32,
}

/// How our stream sounds to a peer by its own reckoning (RFC 3611 §4.7). Rates are in 256ths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoipMetrics {
    /// Packets that the network lost.
    pub loss_rate: u8,
    /// Packets that came too late or too early to be played.
    pub discard_rate: u8,
    /// The part that was lost or discarded within bursts.
    pub burst_density: u8,
    /// The mean length of bursts, in milliseconds.
    pub burst_ms: u16,
    /// From the peer to us and back, in milliseconds; 0 if it does not know.
    pub round_trip_ms: u16,
    /// What the peer itself adds to the delay, in milliseconds.
    pub end_system_ms: u16,
    /// The R factor, 0 to 100, if it has one.
    pub r_factor: Option<u8>,
    /// The mean opinion score of listening, in tenths, 10 to 50.
    pub mos_lq: Option<u8>,
    /// The same of conversation, delay included.
    pub mos_cq: Option<u8>,
}

impl Told {
    /// Reads a compound packet of a peer that hears our stream under this identifier. `None` if it is malformed.
    #[must_use]
    pub fn read(compound: &[u8], ours: Ssrc) -> Option<Self> {
        let mut told = Self::default();
        for packet in packets(compound)? {
            match packet.packet_type {
                SENDER_REPORT => {
                    let (_, rest) = packet.body.split_first_chunk::<4>()?;
                    let (time, _) = rest.split_first_chunk::<8>()?;
                    let [_, _, b0, b1, b2, b3, _, _] = *time;
                    told.sender_time = Some(u32::from_be_bytes([b0, b1, b2, b3]));
                    let blocks = packet.body.get(24..)?;
                    told.blocks(packet.count, blocks, ours)?;
                }
                RECEIVER_REPORT => {
                    told.blocks(packet.count, packet.body.get(4..)?, ours)?;
                }
                EXTENDED_REPORT => told.extended(packet.body.get(4..)?, ours),
                _ => {}
            }
        }
        Some(told)
    }

    fn blocks(&mut self, count: u8, blocks: &[u8], ours: Ssrc) -> Option<()> {
        let (blocks, _) = blocks.as_chunks::<BLOCK_LEN>();
        for block in blocks.get(..usize::from(count))? {
            let (words, _) = block.as_chunks::<4>();
            let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
            let mut next = || words.next().unwrap_or_default();
            if next() != ours.0 {
                continue;
            }
            let loss = next();
            let [fraction, ..] = loss.to_be_bytes();
            self.about = Some(Block {
                fraction,
                // The sign is that of the 24 bits.
                lost: loss.wrapping_shl(8).cast_signed() >> 8,
                newest_extended: next(),
                jitter_ticks: next(),
                last_report: next(),
                delay: next(),
            });
        }
        Some(())
    }

    /// Blocks of any kind; what is cut short ends the list (RFC 3611 §3).
    fn extended(&mut self, mut rest: &[u8], ours: Ssrc) {
        while let Some((header, after)) = rest.split_first_chunk::<4>() {
            let [kind, _, hi, lo] = *header;
            let length = usize::from(u16::from_be_bytes([hi, lo])).saturating_mul(4);
            let Some((body, next)) = after.split_at_checked(length) else { return };
            rest = next;
            if kind == VOIP_METRICS
                && let Some(metrics) = body.first_chunk::<VOIP_METRICS_LEN>()
                && let Some(metrics) = VoipMetrics::read(metrics, ours)
            {
                self.voip = Some(metrics);
            }
        }
    }
}

impl VoipMetrics {
    fn read(body: &[u8; VOIP_METRICS_LEN], ours: Ssrc) -> Option<Self> {
        let (ssrc, rest) = body.split_first_chunk::<4>()?;
        if u32::from_be_bytes(*ssrc) != ours.0 {
            return None;
        }
        let (rates, rest) = rest.split_first_chunk::<4>()?;
        let [loss_rate, discard_rate, burst_density, _] = *rates;
        let (spans, rest) = rest.split_first_chunk::<8>()?;
        let [b0, b1, _, _, r0, r1, e0, e1] = *spans;
        let (_, rest) = rest.split_first_chunk::<4>()?;
        let ([r, _, listening, conversing], _) = rest.split_first_chunk::<4>()?;
        let known = |value: &u8, range: std::ops::RangeInclusive<u8>| {
            (*value != NOT_AVAILABLE && range.contains(value)).then_some(*value)
        };
        Some(Self {
            loss_rate,
            discard_rate,
            burst_density,
            burst_ms: u16::from_be_bytes([b0, b1]),
            round_trip_ms: u16::from_be_bytes([r0, r1]),
            end_system_ms: u16::from_be_bytes([e0, e1]),
            r_factor: known(r, 0..=100),
            mos_lq: known(listening, 10..=50),
            mos_cq: known(conversing, 10..=50),
        })
    }
}
