//! What a datagram on a media port is, by its first byte (RFC 7983 §7, RFC 9443 §3).

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connectivity check, or its answer.
    Stun,
    /// A record of DTLS.
    Dtls,
    /// RTP or RTCP.
    Media,
    /// Nobody here: ZRTP, channels of TURN, QUIC, or nothing that is known.
    Other,
}

/// Tells what a datagram is; an empty one is nobody's.
#[must_use]
pub fn demultiplex(datagram: &[u8]) -> Kind {
    match datagram.first() {
        Some(0..=3) => Kind::Stun,
        Some(20..=63) => Kind::Dtls,
        Some(128..=191) => Kind::Media,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 156: the figure of RFC 9443, byte by byte.
    #[test]
    fn row_156_every_first_byte_has_one_reader() {
        let mut readers: Vec<(u8, Kind)> = Vec::new();
        for first in 0..=255 {
            let kind = demultiplex(&[first, 0, 0, 0]);
            if readers.last().is_none_or(|(_, last)| *last != kind) {
                readers.push((first, kind));
            }
        }
        let expected = [
            (0, Kind::Stun),
            (4, Kind::Other),
            (20, Kind::Dtls),
            (64, Kind::Other),
            (128, Kind::Media),
            (192, Kind::Other),
        ];
        assert_eq!(readers, expected);
        assert_eq!(demultiplex(&[]), Kind::Other);
    }
}
