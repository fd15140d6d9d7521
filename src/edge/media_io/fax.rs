//! Fax on a call's ports: datagrams of UDPTL that cross as they are (ITU-T T.38 §9), and tones in the audio after which it is
//! handled as the sound of a fax.

use std::net::SocketAddr;
use std::time::Duration;

use super::call::{Call, Leg, Side, Tally, Waiting, transmit};
use super::event::{MediaEvent, Outbox};
use crate::proto::audio::{FaxDetector, FaxTone};
use crate::proto::nat::Verdict;
use crate::proto::rtp::{Header, Ssrc, payload_of};
use crate::proto::time::Instant;

/// A sequence number, a length and the kind of error correction; what is shorter keeps a NAT open, and concerns nobody else.
const UDPTL_MIN: usize = 4;

/// How long after the change audio may still come, which would be taken for a datagram far ahead.
const AUDIO_ON_ITS_WAY: Duration = Duration::from_secs(2);

/// For how long after both sides are connected a side is listened to: a fax announces itself at once, or is not announced.
const YOUNG: Duration = Duration::from_secs(60);

/// What a side is listened to for while its call is young, and whether the call is the sound of a fax.
#[derive(Debug, Default)]
pub(super) struct FaxEar {
    since: Instant,
    detector: FaxDetector,
    /// What was heard just now.
    pub(super) heard: Option<FaxTone>,
    /// What its peer hears is left alone as far as it can be.
    pub(super) is_fax: bool,
}

impl FaxEar {
    /// A side of a call that is connected now.
    pub(super) fn since(since: Instant) -> Self {
        Self { since, ..Self::default() }
    }
}

impl Leg {
    /// Listens to a packet of G.711 for the tones of a fax: to one in four, and to none once the call is a minute old.
    pub(super) fn listen_for_fax(&mut self, now: Instant, header: &Header, packet: &[u8]) {
        if now.since(self.ear.since) > YOUNG {
            return;
        }
        let voice = self.voices.iter().find(|(number, _)| *number == header.payload_type);
        let Some((_, codec)) = voice else { return };
        let payload = packet.get(payload_of(packet)).unwrap_or_default();
        self.ear.heard = self.ear.detector.listen(*codec, header.timestamp, payload);
    }

    /// From now on its peer hears a fax: packets pass as they come, and where they are converted nothing is stretched or made up.
    pub(super) fn spare_fax(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.ear.is_fax, true) {
            self.send_waiting(now, Waiting::All);
            self.converter = None;
        }
    }
}

impl Call {
    /// Is what comes to a side's audio port fax?
    pub(super) fn is_fax(&self, side: Side) -> bool {
        self.leg(side).plan.fax.is_some()
    }

    /// Relays one datagram of a fax. Only its number is looked at, by which a source shows that it is one: error
    /// correction is between the two ends, and what is lost on one side of us is mended on the other.
    pub(super) fn udptl(
        &mut self,
        now: Instant,
        side: Side,
        source: SocketAddr,
        datagram: &[u8],
        outbox: &mut Outbox,
        tally: &mut Tally,
    ) {
        let id = self.id;
        let (from, to) = self.way(side);
        let number = datagram.first_chunk().filter(|_| datagram.len() >= UDPTL_MIN);
        // Every RTP packet begins with these two bits, and a fax that counts from zero has come so far after 32,768 datagrams.
        let is_late_audio =
            |first: u8| first >> 6 == 2 && now.since(from.fax_since) < AUDIO_ON_ITS_WAY;
        let Some(sequence) = number.map(|bytes| u16::from_be_bytes(*bytes)) else {
            from.stats.dropped_malformed += 1;
            tally.dropped += 1;
            return;
        };
        if datagram.first().copied().is_some_and(is_late_audio) {
            from.stats.dropped_payload_type += 1;
            tally.dropped += 1;
            return;
        }
        let place =
            Header { payload_type: 0, marker: false, sequence, timestamp: 0, ssrc: Ssrc(0) };
        match from.latch.packet(now, source, &place) {
            Verdict::Accept => {}
            Verdict::Moved(address) => outbox.send(id, MediaEvent::Latched { side, address }),
            Verdict::Stranger => {
                from.stats.dropped_stranger += 1;
                from.stats.stranger = Some(source);
                tally.strangers += 1;
                return;
            }
        }
        from.stats.packets_in += 1;
        from.stats.bytes_in += datagram.len() as u64;
        from.stats.first_packet_at.get_or_insert(now);
        from.stats.last_packet_at = Some(now);
        // Who takes a long page says nothing for minutes: the life of one side is that of both.
        from.seen(now);
        to.seen(now);
        let limit = to.plan.fax.map_or(0, |fax| usize::from(fax.datagram_max));
        let destination = to.latch.destination().filter(|_| from.plan.receive && to.plan.send);
        let Some(destination) = destination.filter(|_| to.plan.fax.is_some()) else {
            from.stats.dropped_direction += 1;
            tally.dropped += 1;
            return;
        };
        if datagram.len() > limit {
            from.stats.dropped_malformed += 1;
            tally.dropped += 1;
            return;
        }
        if !transmit(&to.sockets.rtp, datagram, destination) {
            to.stats.send_failed += 1;
            tally.dropped += 1;
            return;
        }
        to.stats.packets_out += 1;
        to.stats.bytes_out += datagram.len() as u64;
        from.stats.passed += 1;
        tally.relayed += 1;
        if from.becomes_heard() {
            outbox.send(id, MediaEvent::Heard { side });
        }
    }
}
