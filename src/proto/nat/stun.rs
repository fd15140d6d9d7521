//! STUN binding requests on a SIP socket (RFC 5626 §8, RFC 8489): a phone behind a NAT asks how it is seen,
//! and keeps its binding open by asking.

use std::net::{IpAddr, SocketAddr};

/// The fixed second word of every STUN message (RFC 8489 §5).
pub(super) const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// The header: type, length, magic, transaction id.
pub(super) const HEADER: usize = 20;
pub(super) const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
pub(super) const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
pub(super) const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];

/// Is this datagram STUN and not SIP? Its first two bits are zero, which no letter's are, and the magic is
/// there (RFC 7983 §7).
#[must_use]
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER
        && bytes.first().is_some_and(|b| *b < 4)
        && bytes.get(4..8) == Some(&MAGIC)
}

/// The answer to a binding request from `source`; `None` for anything else, which is dropped: indications
/// want no answer, and a request with a wrong length is none.
#[must_use]
pub fn binding_response(request: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let header = request.get(..HEADER).filter(|_| is_stun(request))?;
    let length = u16::from_be_bytes([*header.get(2)?, *header.get(3)?]);
    if header.get(..2)? != BINDING_REQUEST || usize::from(length) + HEADER != request.len() {
        return None;
    }
    // The address is masked with magic and transaction id, so that no NAT on the way rewrites it.
    let mask = header.get(4..)?;
    let value = masked(source, mask);
    let mut out = Vec::with_capacity(HEADER + 4 + value.len());
    out.extend_from_slice(&BINDING_SUCCESS);
    out.extend_from_slice(&u16::try_from(4 + value.len()).ok()?.to_be_bytes());
    out.extend_from_slice(mask);
    out.extend_from_slice(&XOR_MAPPED_ADDRESS);
    out.extend_from_slice(&u16::try_from(value.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&value);
    Some(out)
}

/// The value of XOR-MAPPED-ADDRESS (RFC 8489 §14.2); the mask is the magic with the transaction id.
pub(super) fn masked(source: SocketAddr, mask: &[u8]) -> Vec<u8> {
    let (family, octets) = match source.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let mut out = vec![0, family];
    out.extend(source.port().to_be_bytes().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    out.extend(octets.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    out
}

/// A binding request: what keeps a NAT's binding open, and asks where we are seen (RFC 5626 §4.4.2).
#[must_use]
pub fn binding_request(id: [u8; 12]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER);
    out.extend_from_slice(&BINDING_REQUEST);
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&id);
    out
}

/// Where the answer to the request with this id says that we are seen; `None` for anything else.
#[must_use]
pub fn mapped_address(response: &[u8], id: [u8; 12]) -> Option<SocketAddr> {
    let header = response.get(..HEADER).filter(|_| is_stun(response))?;
    if header.get(..2)? != BINDING_SUCCESS || header.get(8..)? != id {
        return None;
    }
    let mut rest = response.get(HEADER..)?;
    loop {
        let [kind @ .., high, low] = *rest.first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = rest.get(4..4 + length)?;
        if kind == XOR_MAPPED_ADDRESS {
            let port: Vec<u8> = value.get(2..4)?.iter().zip(MAGIC).map(|(a, b)| a ^ b).collect();
            let mask = header.get(4..)?;
            let octets: Vec<u8> = value.get(4..)?.iter().zip(mask).map(|(a, b)| a ^ b).collect();
            let ip = match *value.get(1)? {
                1 => IpAddr::from(*octets.first_chunk::<4>()?),
                2 => IpAddr::from(*octets.first_chunk::<16>()?),
                _ => return None,
            };
            return Some(SocketAddr::new(ip, u16::from_be_bytes(*port.first_chunk::<2>()?)));
        }
        // Attributes end on four bytes (RFC 8489 §14).
        rest = rest.get(4 + length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 0];
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(b"abcdefghijkl");
        bytes
    }

    /// Row 40: the mapped address comes back masked, under the same transaction id.
    #[test]
    fn row_040_a_binding_request_is_told_its_address() {
        let answer = binding_response(&request(), "192.0.2.1:32853".parse().unwrap()).unwrap();
        assert_eq!(answer[..4], [1, 1, 0, 12]);
        assert_eq!(answer[8..20], *b"abcdefghijkl");
        // RFC 5769 §2.2 has this address and port with the same magic: 0xa147 and 0xe112a643.
        assert_eq!(answer[20..], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let answer = binding_response(&request(), "[2001:db8::1]:5060".parse().unwrap()).unwrap();
        assert_eq!((answer.len(), answer[25]), (44, 2));
    }

    #[test]
    fn an_answer_says_where_we_are_seen_and_to_whom_it_is() {
        let (id, other) = (*b"abcdefghijkl", *b"abcdefghijkm");
        for seen in ["192.0.2.1:32853", "[2001:db8::1]:5060"] {
            let seen = seen.parse().unwrap();
            let answer = binding_response(&binding_request(id), seen).unwrap();
            assert_eq!(mapped_address(&answer, id), Some(seen));
            assert_eq!(mapped_address(&answer, other), None);
            for length in 0..answer.len() {
                assert_eq!(mapped_address(&answer[..length], id), None);
            }
        }
    }

    #[test]
    fn what_is_no_binding_request_gets_no_answer() {
        let source = "192.0.2.1:1".parse().unwrap();
        let mut indication = request();
        indication[1] = 0x11;
        let mut longer = request();
        longer[3] = 4;
        for bytes in [&indication[..], &longer, &request()[..19], b"OPTIONS sip:x SIP/2.0\r\n", b""]
        {
            assert_eq!(binding_response(bytes, source), None);
        }
        assert!(!is_stun(b"INVITE sip:a@b SIP/2.0"));
    }
}
