//! What comes under one key of the peer.

use super::cipher::{Cipher, Galois, Kind, Place};
use super::sender::{ENCRYPTED, INDEX_LEN, RTCP_HEADER_LEN, rtcp_associated};
use super::sequence::History;
use super::{MasterKey, Rejected, header_len, split_header};

/// Sources that are told apart under one key. Only authentic packets add one. The one that was heard longest ago
/// leaves for a further one; what it sent could then be played again, by whoever can reorder eight sources of a phone.
const SOURCES_MAX: usize = 8;
/// Rounds that a source may be in when it is first heard: a leg that came from another call keeps its key, and has counted there for two
/// hours at most. Each costs one more tag for a packet that is not authentic, until one is.
const ROUNDS_MAX: u64 = 6;

/// A key of the peer with what was received under it.
pub(super) struct Receiver {
    key: MasterKey,
    rtp: Cipher,
    rtcp: Cipher,
    /// Latest heard last.
    sources: Vec<Source>,
    /// Packets that the key is still good for.
    left: u64,
}

#[derive(Clone, Copy, Default)]
struct Source {
    ssrc: u32,
    rtp: History,
    rtcp: History,
}

impl Receiver {
    pub(super) fn new(key: &MasterKey, lifetime: u64) -> Self {
        Self {
            key: key.clone(),
            rtp: Cipher::new(key, Kind::Rtp),
            rtcp: Cipher::new(key, Kind::Rtcp),
            sources: Vec::new(),
            left: lifetime,
        }
    }

    pub(super) fn key(&self) -> &MasterKey {
        &self.key
    }

    /// Opens an RTP packet in place; the length of what is in it. If it is not authentic its bytes may be lost.
    pub(super) fn rtp(&mut self, packet: &mut [u8]) -> Result<usize, Rejected> {
        let (ssrc, sequence) = split_header(packet).ok_or(Rejected::Malformed)?;
        let header_len = header_len(packet).ok_or(Rejected::Malformed)?;
        let mut source = self.source(ssrc);
        let mut index = source.rtp.estimate(sequence).ok_or(Rejected::Replayed)?;
        if !source.rtp.is_fresh(index) {
            return Err(Rejected::Replayed);
        }
        self.check_lifetime()?;
        let length = match &self.rtp {
            Cipher::Counter(counter) => {
                let length = body_len(packet, counter.tag_len(), header_len)?;
                let (body, tag) = packet.split_at_mut(length);
                let rounds = if source.rtp.is_unheard() { ROUNDS_MAX } else { 1 };
                let mut tried = (0..rounds).map(|round| index + (round << 16));
                let is_its = |index: &u64| {
                    u32::try_from(index >> 16)
                        .is_ok_and(|round| counter.is_tag(body, &round.to_be_bytes(), tag))
                };
                index = tried.find(is_its).ok_or(Rejected::Unauthentic)?;
                let place = Place { ssrc, index };
                counter.apply(place, body.get_mut(header_len..).unwrap_or_default());
                length
            }
            Cipher::Galois(galois) => {
                let length = body_len(packet, Galois::TAG_LEN, header_len)?;
                let (header, text) = packet.split_at_mut(header_len);
                if source.rtp.is_unheard() {
                    index = open_in_some_round(galois, Place { ssrc, index }, header, text)?;
                } else {
                    galois.open(Place { ssrc, index }, header, text)?;
                }
                length
            }
        };
        source.rtp.record(index);
        self.heard(source);
        Ok(length)
    }

    /// The same for a compound RTCP packet. One that is authentic but not encrypted is refused: nobody agreed to that.
    pub(super) fn rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Rejected> {
        let ssrc = packet.get(4..).and_then(<[u8]>::first_chunk).copied();
        let ssrc = ssrc.map(u32::from_be_bytes).ok_or(Rejected::Malformed)?;
        let tag_behind = match &self.rtcp {
            Cipher::Counter(counter) => counter.tag_len(),
            Cipher::Galois(_) => 0,
        };
        let word_at = body_len(packet, tag_behind.saturating_add(INDEX_LEN), RTCP_HEADER_LEN)?;
        let word = packet.get(word_at..).and_then(<[u8]>::first_chunk).copied();
        let word: [u8; INDEX_LEN] = word.ok_or(Rejected::Malformed)?;
        let number = u32::from_be_bytes(word);
        let index = u64::from(number & !ENCRYPTED);
        let mut source = self.source(ssrc);
        if !source.rtcp.is_fresh(index) {
            return Err(Rejected::Replayed);
        }
        self.check_lifetime()?;
        let place = Place { ssrc, index };
        let length = match &self.rtcp {
            Cipher::Counter(counter) => {
                let (body, tag) = packet.split_at_mut(word_at.saturating_add(INDEX_LEN));
                if !counter.is_tag(body, &[], tag) || number & ENCRYPTED == 0 {
                    return Err(Rejected::Unauthentic);
                }
                let text = body.get_mut(RTCP_HEADER_LEN..word_at);
                counter.apply(place, text.unwrap_or_default());
                word_at
            }
            Cipher::Galois(galois) => {
                let length = body_len(
                    packet.get(..word_at).unwrap_or_default(),
                    Galois::TAG_LEN,
                    RTCP_HEADER_LEN,
                )?;
                let (header, rest) = packet.split_at_mut(RTCP_HEADER_LEN);
                let text = rest.get_mut(..word_at.saturating_sub(RTCP_HEADER_LEN));
                let associated = rtcp_associated(header, word).ok_or(Rejected::Malformed)?;
                if number & ENCRYPTED == 0 {
                    return Err(Rejected::Unauthentic);
                }
                galois.open(place, &associated, text.unwrap_or_default())?;
                length
            }
        };
        source.rtcp.record(index);
        self.heard(source);
        Ok(length)
    }

    /// As if this index of a source had been heard.
    #[cfg(test)]
    pub(super) fn begin_at(&mut self, ssrc: u32, index: u64) {
        let mut source = self.source(ssrc);
        source.rtp.record(index);
        self.heard(source);
    }

    fn check_lifetime(&self) -> Result<(), Rejected> {
        if self.left == 0 { Err(Rejected::Unauthentic) } else { Ok(()) }
    }

    fn source(&self, ssrc: u32) -> Source {
        let known = self.sources.iter().find(|source| source.ssrc == ssrc);
        known.copied().unwrap_or(Source { ssrc, ..Source::default() })
    }

    fn heard(&mut self, source: Source) {
        self.left = self.left.saturating_sub(1);
        match self.sources.last_mut() {
            Some(last) if last.ssrc == source.ssrc => *last = source,
            _ => {
                self.sources.retain(|known| known.ssrc != source.ssrc);
                if self.sources.len() >= SOURCES_MAX {
                    self.sources.remove(0);
                }
                self.sources.push(source);
            }
        }
    }
}

/// Opens the first packet of a source, whatever round it is in, and says where it stands. What fails to open is spoilt, so each round
/// has a copy.
fn open_in_some_round(
    galois: &Galois,
    Place { ssrc, index }: Place,
    header: &[u8],
    text: &mut [u8],
) -> Result<u64, Rejected> {
    let sealed = text.to_vec();
    for round in 0..ROUNDS_MAX {
        let index = index + (round << 16);
        text.copy_from_slice(&sealed);
        if galois.open(Place { ssrc, index }, header, text).is_ok() {
            return Ok(index);
        }
    }
    Err(Rejected::Unauthentic)
}

/// The length without what stands behind, if a header is left.
fn body_len(packet: &[u8], behind: usize, header_len: usize) -> Result<usize, Rejected> {
    let length = packet.len().checked_sub(behind).filter(|length| *length >= header_len);
    length.ok_or(Rejected::Malformed)
}
