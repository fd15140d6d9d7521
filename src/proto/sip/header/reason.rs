//! Reason (RFC 3326): why a session ends, in the words of SIP and of ISDN.

use super::HeaderName;
use super::params::Params;
use crate::proto::sip::message::Message;

/// What the Reason headers of a message say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reasons {
    /// The cause of Q.850, 1 to 127.
    pub q850: Option<u8>,
    /// The status of SIP, 100 to 699.
    pub sip: Option<u16>,
}

impl Reasons {
    /// Reads them; the first of each kind counts. One without a cause, or with one out of range, says nothing.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let mut found = Self::default();
        for value in message.list(HeaderName::Reason) {
            let (protocol, params) = value.split_once(';').unwrap_or((&value, ""));
            let cause = Params::new(params)
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("cause"))
                .and_then(|(_, value)| value?.trim().parse::<u16>().ok());
            let Some(cause) = cause else { continue };
            let protocol = protocol.trim();
            if protocol.eq_ignore_ascii_case("Q.850") {
                let cause = u8::try_from(cause).ok().filter(|cause| (1..=127).contains(cause));
                found.q850 = found.q850.or(cause);
            } else if protocol.eq_ignore_ascii_case("SIP") && (100..700).contains(&cause) {
                found.sip = found.sip.or(Some(cause));
            }
        }
        found
    }

    /// Did another device take the call?
    #[must_use]
    pub fn is_elsewhere(self) -> bool {
        self.sip == Some(200)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::sip::message::Parsed;

    fn read(lines: &str) -> (Option<u8>, Option<u16>) {
        let text = format!(
            "BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:b@c>;tag=2\r\nCall-ID: x\r\nCSeq: 2 BYE\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        let Parsed::Message(message) = Message::parse(text.as_bytes()) else { panic!("{lines}") };
        let Reasons { q850, sip } = Reasons::of(&message);
        (q850, sip)
    }

    /// Row 115: as peers write it.
    #[test]
    fn the_first_cause_of_each_kind_counts() {
        assert_eq!(read(""), (None, None));
        assert_eq!(read("Reason: Q.850;cause=17;text=\"User busy\"\r\n"), (Some(17), None));
        assert_eq!(read("Reason: q.850 ; cause = 16\r\n"), (Some(16), None));
        assert_eq!(read("Reason: Q.850\r\nReason: Q.850;text=\"a;cause=9\"\r\n"), (None, None));
        assert_eq!(
            read("Reason: SIP;cause=200;text=\"x, y\", Q.850;cause=26\r\n"),
            (Some(26), Some(200))
        );
        assert_eq!(read("Reason: Q.850;cause=0, Q.850;cause=128, SIP;cause=99\r\n"), (None, None));
        assert_eq!(read("Reason: preemption;cause=1\r\n"), (None, None));
    }
}
