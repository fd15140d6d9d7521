//! What we send under one key of ours.

use super::cipher::{Cipher, Galois, Kind, Place};
use super::sequence::History;
use super::{LIFETIME_MAX, MasterKey, header_len, split_header};

/// The bit of an RTCP packet's index that says "encrypted" (RFC 3711 §3.4).
pub(super) const ENCRYPTED: u32 = 1 << 31;
/// Bytes of that word.
pub(super) const INDEX_LEN: usize = 4;
/// Bytes of an RTCP packet that stay readable.
pub(super) const RTCP_HEADER_LEN: usize = 8;

/// A key of ours with what was sent under it.
pub(super) struct Sender {
    key: MasterKey,
    rtp: Cipher,
    rtcp: Cipher,
    ssrc: Option<u32>,
    /// No number is sent twice: two packets under one key stream would give both away (RFC 3711 §9.1).
    sent: History,
    rtcp_index: u32,
}

impl Sender {
    pub(super) fn new(key: &MasterKey) -> Self {
        Self {
            key: key.clone(),
            rtp: Cipher::new(key, Kind::Rtp),
            rtcp: Cipher::new(key, Kind::Rtcp),
            ssrc: None,
            sent: History::default(),
            rtcp_index: 0,
        }
    }

    pub(super) fn key(&self) -> &MasterKey {
        &self.key
    }

    /// Encrypts the RTP packet at the begin of the buffer and puts its tag behind it; the new length. `None` if there
    /// is no room, if it is no packet, or if its number was sent before.
    pub(super) fn rtp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let packet = buffer.get(..length)?;
        let (ssrc, sequence) = split_header(packet)?;
        let header_len = header_len(packet)?;
        if self.ssrc != Some(ssrc) {
            self.ssrc = Some(ssrc);
            self.sent = History::default();
        }
        let index = self.sent.estimate(sequence)?;
        if !self.sent.is_fresh(index) || index >= LIFETIME_MAX {
            return None;
        }
        let place = Place { ssrc, index };
        let whole = match &self.rtp {
            Cipher::Counter(counter) => {
                let whole = length.checked_add(counter.tag_len())?;
                let (packet, tag_place) = buffer.get_mut(..whole)?.split_at_mut(length);
                counter.apply(place, packet.get_mut(header_len..)?);
                let round = u32::try_from(index >> 16).ok()?.to_be_bytes();
                let tag = counter.tag(packet, &round);
                tag_place.copy_from_slice(tag.get(..tag_place.len())?);
                whole
            }
            Cipher::Galois(galois) => {
                let whole = length.checked_add(Galois::TAG_LEN)?;
                let (packet, tag_place) = buffer.get_mut(..whole)?.split_at_mut(length);
                let (header, payload) = packet.split_at_mut_checked(header_len)?;
                tag_place.copy_from_slice(&galois.seal(place, header, payload)?);
                whole
            }
        };
        self.sent.record(index);
        Some(whole)
    }

    /// The same for a compound RTCP packet.
    pub(super) fn rtcp(&mut self, buffer: &mut [u8], length: usize) -> Option<usize> {
        let ssrc =
            buffer.get(4..RTCP_HEADER_LEN)?.first_chunk().copied().map(u32::from_be_bytes)?;
        let index = self.rtcp_index;
        // The RFC has no packet behind the last number; a new key would be needed.
        let next = index.checked_add(1).filter(|next| next & ENCRYPTED == 0)?;
        let word = (index | ENCRYPTED).to_be_bytes();
        let place = Place { ssrc, index: index.into() };
        let whole = match &self.rtcp {
            Cipher::Counter(counter) => {
                let indexed = length.checked_add(INDEX_LEN)?;
                let whole = indexed.checked_add(counter.tag_len())?;
                let (packet, tag_place) = buffer.get_mut(..whole)?.split_at_mut(indexed);
                counter.apply(place, packet.get_mut(RTCP_HEADER_LEN..length)?);
                packet.get_mut(length..)?.copy_from_slice(&word);
                let tag = counter.tag(packet, &[]);
                tag_place.copy_from_slice(tag.get(..tag_place.len())?);
                whole
            }
            Cipher::Galois(galois) => {
                let tagged = length.checked_add(Galois::TAG_LEN)?;
                let whole = tagged.checked_add(INDEX_LEN)?;
                let (packet, behind) = buffer.get_mut(..whole)?.split_at_mut(length);
                let (header, payload) = packet.split_at_mut_checked(RTCP_HEADER_LEN)?;
                let associated = rtcp_associated(header, word)?;
                let tag = galois.seal(place, &associated, payload)?;
                let (tag_place, word_place) = behind.split_at_mut_checked(Galois::TAG_LEN)?;
                tag_place.copy_from_slice(&tag);
                word_place.copy_from_slice(&word);
                whole
            }
        };
        self.rtcp_index = next;
        Some(whole)
    }
}

/// What GCM authenticates of an RTCP packet beside its text: the first eight bytes and the index (RFC 7714 §9.2).
pub(super) fn rtcp_associated(
    header: &[u8],
    word: [u8; INDEX_LEN],
) -> Option<[u8; RTCP_HEADER_LEN + INDEX_LEN]> {
    let mut associated = [0; RTCP_HEADER_LEN + INDEX_LEN];
    let (front, back) = associated.split_at_mut_checked(RTCP_HEADER_LEN)?;
    front.copy_from_slice(header.get(..RTCP_HEADER_LEN)?);
    back.copy_from_slice(&word);
    Some(associated)
}
