//! RTCP through a relay that is itself the source (RFC 3550 §6, §7.3).
//!
//! Reports cross from leg to leg with the identifiers of the other side, so that
//! loss, jitter and round trips stay end to end. What we do not know how to
//! translate is dropped, BYE included: our own source does not end with theirs.

mod own;
mod told;

pub use own::{Reporter, Stream};
pub use told::{Block, Told, VoipMetrics};

use super::packet::Ssrc;

/// Bytes of one compound packet.
pub const RTCP_MAX: usize = 1_500;

const VERSION: u8 = 2;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const CNAME: u8 = 1;
const BLOCK_LEN: usize = 24;

/// Who is who for reports that go from one leg to the other.
#[derive(Clone, Copy, Debug)]
pub struct Translation<'a> {
    /// Our identifier towards the receiver of the translated packet.
    pub sender: Ssrc,
    /// The stream that the reporting peer sends, as we relay it.
    pub source: Option<SourceView>,
    /// The stream that the reporting peer receives.
    pub reported: Option<ReportedView>,
    /// Our canonical name; at most 255 bytes of it are used.
    pub cname: &'a str,
}

/// A stream as it comes in and as we send it on.
#[derive(Clone, Copy, Debug)]
pub struct SourceView {
    /// Its identifier as it comes in.
    pub ssrc: Ssrc,
    /// What we add to its timestamps.
    pub timestamp_shift: u32,
    /// Packets that we have sent on.
    pub packets: u32,
    /// Payload octets that we have sent on.
    pub octets: u32,
}

/// A stream of ours that the reporting peer hears, and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct ReportedView {
    /// Our identifier towards the reporting peer.
    pub ours: Ssrc,
    /// The identifier of the source behind it, on the other leg.
    pub theirs: Ssrc,
    /// What we add to that source's sequence numbers.
    pub sequence_shift: u16,
    /// That source's newest extended sequence number.
    pub newest_extended: u32,
    /// Packets of that source that never came to us.
    pub lost: i64,
    /// Set if its packets are cut or joined.
    pub renumbering: Option<Renumbering>,
}

/// How the numbers of a stream of ours go faster or slower than its source's. Reports
/// are then translated by the ratio of the packets (RFC 3550 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renumbering {
    /// Our newest number.
    pub newest_ours: u16,
    /// Packets of the source that ours were made of.
    pub packets_in: u32,
    /// Our packets.
    pub packets_out: u32,
    /// Numbers that we left out beyond one for each packet that never came.
    pub left_out: u32,
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcpPacket<'a> {
    /// The five bits after version and padding: a count for most types.
    pub count: u8,
    /// The packet type.
    pub packet_type: u8,
    /// All after the four bytes of the header.
    pub body: &'a [u8],
}

/// Splits a compound packet, first checking it whole (RFC 3550 §A.2): `None` if it
/// does not begin with a report, or if any length or version is wrong.
#[must_use]
pub fn packets(compound: &[u8]) -> Option<impl Iterator<Item = RtcpPacket<'_>>> {
    if compound.len() > RTCP_MAX {
        return None;
    }
    let mut rest = compound;
    let (first, _) = next_packet(rest)?;
    if !matches!(first.packet_type, SENDER_REPORT | RECEIVER_REPORT) {
        return None;
    }
    while !rest.is_empty() {
        (_, rest) = next_packet(rest)?;
    }
    let mut rest = compound;
    Some(std::iter::from_fn(move || {
        let (packet, after) = next_packet(rest)?;
        rest = after;
        Some(packet)
    }))
}

fn next_packet(bytes: &[u8]) -> Option<(RtcpPacket<'_>, &[u8])> {
    let (header, after) = bytes.split_first_chunk::<4>()?;
    let [first, packet_type, hi, lo] = *header;
    if first >> 6 != VERSION {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([hi, lo])).checked_mul(4)?;
    let (body, rest) = after.split_at_checked(length)?;
    // Padding is only for the last packet; its bytes are then no report block,
    // since the count says how many there are.
    if first & 0x20 != 0 && !rest.is_empty() {
        return None;
    }
    Some((RtcpPacket { count: first & 0x1f, packet_type, body }, rest))
}

/// Writes into `out` what a compound packet of one leg says to the other.
///
/// Returns the length; `None` if the packet is malformed or `out` is too small.
#[must_use]
pub fn translate(compound: &[u8], names: &Translation<'_>, out: &mut [u8]) -> Option<usize> {
    let mut writer = Writer { out, length: 0 };
    let mut has_report = false;
    for packet in packets(compound)? {
        match packet.packet_type {
            SENDER_REPORT => sender_report(&packet, names, &mut writer)?,
            RECEIVER_REPORT => {
                let (_, blocks) = packet.body.split_first_chunk::<4>()?;
                receiver_report(packet.count, blocks, names, &mut writer)?;
            }
            _ => continue,
        }
        has_report = true;
    }
    if !has_report {
        return None;
    }
    source_description_of(names.sender, names.cname, &mut writer)?;
    Some(writer.length)
}

fn sender_report(
    packet: &RtcpPacket<'_>,
    names: &Translation<'_>,
    w: &mut Writer<'_>,
) -> Option<()> {
    let (ssrc, rest) = packet.body.split_first_chunk::<4>()?;
    let (ntp, rest) = rest.split_first_chunk::<8>()?;
    let (timestamp, rest) = rest.split_first_chunk::<4>()?;
    let (_, blocks) = rest.split_first_chunk::<8>()?;
    let ssrc = Ssrc(u32::from_be_bytes(*ssrc));
    let Some(source) = names.source.filter(|source| source.ssrc == ssrc) else {
        // Not the source that is relayed now: its clock would mislead.
        return receiver_report(packet.count, blocks, names, w);
    };
    let timestamp = u32::from_be_bytes(*timestamp).wrapping_add(source.timestamp_shift);
    let header = w.begin(SENDER_REPORT)?;
    w.number(names.sender.0)?;
    w.bytes(ntp)?;
    w.number(timestamp)?;
    w.number(source.packets)?;
    w.number(source.octets)?;
    let count = report_blocks(packet.count, blocks, names, w)?;
    w.end(header, count)
}

fn receiver_report(
    count: u8,
    blocks: &[u8],
    names: &Translation<'_>,
    w: &mut Writer<'_>,
) -> Option<()> {
    let header = w.begin(RECEIVER_REPORT)?;
    w.number(names.sender.0)?;
    let count = report_blocks(count, blocks, names, w)?;
    w.end(header, count)
}

/// Copies the blocks about our stream, under the name and numbers of its source.
fn report_blocks(
    count: u8,
    blocks: &[u8],
    names: &Translation<'_>,
    w: &mut Writer<'_>,
) -> Option<u8> {
    let (chunks, _) = blocks.as_chunks::<BLOCK_LEN>();
    if chunks.len() < usize::from(count) {
        return None;
    }
    let mut copied = 0_u8;
    for block in chunks.iter().take(usize::from(count)) {
        let (ssrc, rest) = block.split_first_chunk::<4>()?;
        let (loss, rest) = rest.split_first_chunk::<4>()?;
        let (highest, delays) = rest.split_first_chunk::<4>()?;
        let about = Ssrc(u32::from_be_bytes(*ssrc));
        let Some(reported) = names.reported.filter(|reported| reported.ours == about) else {
            continue;
        };
        w.number(reported.theirs.0)?;
        w.bytes(&reported.loss(*loss))?;
        w.number(reported.unshift(u32::from_be_bytes(*highest)))?;
        w.bytes(delays)?;
        copied = copied.saturating_add(1);
    }
    Some(copied)
}

impl ReportedView {
    /// The source's extended number for one of ours: the wraps are those of the
    /// source, since the receiver has counted only ours.
    fn unshift(&self, highest: u32) -> u32 {
        if let Some(renumbering) = &self.renumbering {
            return self.newest_extended.wrapping_sub(renumbering.behind(highest));
        }
        let [.., hi, lo] = highest.to_be_bytes();
        let low = u16::from_be_bytes([hi, lo]).wrapping_sub(self.sequence_shift);
        let [.., hi, lo] = self.newest_extended.to_be_bytes();
        let behind = low.wrapping_sub(u16::from_be_bytes([hi, lo])).cast_signed();
        self.newest_extended.wrapping_add_signed(i32::from(behind))
    }
}

impl ReportedView {
    /// Fraction and sum of the losses: the first is a ratio already. Of the sum, what
    /// never came to us is known in the source's packets; the rest was lost of ours.
    fn loss(&self, loss: [u8; 4]) -> [u8; 4] {
        let Some(renumbering) = &self.renumbering else { return loss };
        let [fraction, b0, b1, b2] = loss;
        let sum = i64::from(i32::from_be_bytes([b0, b1, b2, 0]) >> 8);
        let upstream = self.lost.max(0);
        let beyond = sum.saturating_sub(upstream).saturating_sub(renumbering.left_out.into());
        let sum = match u64::try_from(beyond) {
            Ok(beyond) => {
                let scaled = i64::try_from(renumbering.to_theirs(beyond)).unwrap_or(i64::MAX);
                upstream.saturating_add(scaled)
            }
            // The report is older than our latest gap, or tells of more than was sent.
            Err(_) => sum.min(upstream),
        };
        let sum = sum.clamp(-0x80_0000, 0x7f_ffff);
        let [.., b0, b1, b2] = sum.to_be_bytes();
        [fraction, b0, b1, b2]
    }
}

impl Renumbering {
    /// How far behind the source's newest packet that one is which a number of ours
    /// stands for.
    fn behind(&self, highest: u32) -> u32 {
        let [.., hi, lo] = highest.to_be_bytes();
        let behind = self.newest_ours.wrapping_sub(u16::from_be_bytes([hi, lo])).cast_signed();
        let behind = u64::try_from(behind).unwrap_or_default();
        u32::try_from(self.to_theirs(behind)).unwrap_or_default()
    }

    /// A number of our packets as one of the source's.
    fn to_theirs(self, ours: u64) -> u64 {
        let scaled = ours.saturating_mul(self.packets_in.into());
        scaled.checked_div(self.packets_out.into()).unwrap_or(ours)
    }
}

/// Every compound carries a canonical name (RFC 3550 §6.1): ours.
fn source_description_of(ssrc: Ssrc, cname: &str, w: &mut Writer<'_>) -> Option<()> {
    let name = cname.as_bytes();
    let name = name.get(..name.len().min(255))?;
    let header = w.begin(SOURCE_DESCRIPTION)?;
    w.number(ssrc.0)?;
    w.bytes(&[CNAME, u8::try_from(name.len()).ok()?])?;
    w.bytes(name)?;
    // At least one null ends the list; then up to the word.
    w.bytes(&[0])?;
    while !w.length.is_multiple_of(4) {
        w.bytes(&[0])?;
    }
    w.end(header, 1)
}

struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length.checked_add(bytes.len())?;
        self.out.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }

    fn number(&mut self, number: u32) -> Option<()> {
        self.bytes(&number.to_be_bytes())
    }

    /// Leaves room for a header and returns where.
    fn begin(&mut self, packet_type: u8) -> Option<usize> {
        let at = self.length;
        self.bytes(&[VERSION << 6, packet_type, 0, 0])?;
        Some(at)
    }

    /// Fills in count and length, in words less one.
    fn end(&mut self, header: usize, count: u8) -> Option<()> {
        let words = self.length.checked_sub(header)?.checked_div(4)?.checked_sub(1)?;
        let [hi, lo] = u16::try_from(words).ok()?.to_be_bytes();
        let place = self.out.get_mut(header..)?.first_chunk_mut::<4>()?;
        let [first, packet_type, ..] = *place;
        *place = [first | (count & 0x1f), packet_type, hi, lo];
        Some(())
    }
}

/// Runs one hostile packet through the translation: for fuzzing.
pub fn fuzz_rtcp(datagram: &[u8]) {
    use crate::proto::time::Instant;
    let number = |at: usize| {
        let bytes = datagram.get(at..).and_then(|rest| rest.first_chunk::<4>());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    };
    let names = Translation {
        sender: Ssrc(1),
        source: Some(SourceView {
            ssrc: Ssrc(number(4)),
            timestamp_shift: 7,
            packets: 1,
            octets: 2,
        }),
        reported: Some(ReportedView {
            ours: Ssrc(number(8)),
            theirs: Ssrc(4),
            sequence_shift: 5,
            newest_extended: number(12),
            lost: i64::from(number(16)),
            renumbering: (number(20) & 1 == 1).then_some(Renumbering {
                newest_ours: 9,
                packets_in: number(24),
                packets_out: number(28),
                left_out: number(16),
            }),
        }),
        cname: "tandem",
    };
    if let Some(told) = Told::read(datagram, Ssrc(number(8))) {
        let mut reporter = Reporter::new(number(4));
        reporter.went(Instant::START, datagram);
        reporter.told(Instant::from_millis(number(12).into()), &told, datagram.len());
    }
    let mut out = [0; RTCP_MAX];
    if let Some(length) = translate(datagram, &names, &mut out) {
        let written = out.get(..length).unwrap_or_default();
        debug_assert!(packets(written).is_some(), "what is written must read back");
    }
}
