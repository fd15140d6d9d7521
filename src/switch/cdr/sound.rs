//! What a leg sounded like, in the figures of its record.

/// How a leg's audio came to us, and what its far end says of ours.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Sound {
    /// The mean opinion score of what came, 1 to 4.4, by the E-model (ITU-T G.107); `None` for a codec that is not rated.
    pub mos: Option<f64>,
    /// The same of the worst five seconds.
    pub mos_worst: Option<f64>,
    /// What never came, in percent of what should have.
    pub loss_percent: f64,
    /// The same of the worst five seconds.
    pub loss_percent_worst: f64,
    /// The most packets that were missing in a row.
    pub longest_loss: u64,
    /// Packets that came after a later one.
    pub out_of_order: u64,
    /// The most that the jitter came to, in milliseconds.
    pub jitter_max_ms: f64,
    /// From us to the far end and back by its latest report, in milliseconds (RFC 3550 §6.4.1).
    pub rtt_ms: Option<f64>,
    /// What the far end did not get of ours by its latest report, in percent.
    pub far_loss_percent: Option<f64>,
    /// The jitter that it saw, in milliseconds.
    pub far_jitter_ms: Option<f64>,
    /// The mean opinion score that it gives what it hears (RFC 3611 §4.7.5).
    pub far_mos: Option<f64>,
}

/// What a side received and was sent, and what was not passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Packets {
    /// RTP packets that came from the side's peer.
    pub came: u64,
    /// Those of them that went on to the other side.
    pub passed: u64,
    /// RTP packets sent to the peer.
    pub sent: u64,
    /// Packets from an address that is not the peer's.
    pub strangers: u64,
    /// Packets of a codec that was not agreed on.
    pub wrong_codec: u64,
    /// Packets that came while one side was on hold.
    pub on_hold: u64,
    /// Packets that were not encrypted by the key of the side, or came again.
    pub unauthentic: u64,
    /// Datagrams that are no RTP, or far out of sequence.
    pub malformed: u64,
    /// Packets that came too late for their place.
    pub late: u64,
    /// Packets to the peer that the system did not take.
    pub not_taken: u64,
    /// Connectivity checks that were not the peer's.
    pub checks: u64,
    /// Parts of DTLS handshakes that were not the peer's, or broke off.
    pub handshakes: u64,
    /// Packets that were listened to, as samples of the rest: of G.711 only.
    pub sampled: u64,
    /// Those of them that were silence.
    pub silent: u64,
}

impl Packets {
    /// What came of it since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            came: self.came.saturating_sub(before.came),
            passed: self.passed.saturating_sub(before.passed),
            sent: self.sent.saturating_sub(before.sent),
            strangers: self.strangers.saturating_sub(before.strangers),
            wrong_codec: self.wrong_codec.saturating_sub(before.wrong_codec),
            on_hold: self.on_hold.saturating_sub(before.on_hold),
            unauthentic: self.unauthentic.saturating_sub(before.unauthentic),
            malformed: self.malformed.saturating_sub(before.malformed),
            late: self.late.saturating_sub(before.late),
            not_taken: self.not_taken.saturating_sub(before.not_taken),
            checks: self.checks.saturating_sub(before.checks),
            handshakes: self.handshakes.saturating_sub(before.handshakes),
            sampled: self.sampled.saturating_sub(before.sampled),
            silent: self.silent.saturating_sub(before.silent),
        }
    }

    /// What was not passed on, with why in words; empty if all of it was.
    #[must_use]
    pub fn dropped(&self) -> String {
        let reasons = [
            (self.strangers, "from strangers"),
            (self.wrong_codec, "of another codec"),
            (self.on_hold, "on hold"),
            (self.unauthentic, "not encrypted by the key"),
            (self.malformed, "no RTP"),
            (self.late, "too late"),
            (self.not_taken, "not taken by the system"),
            (self.checks, "ICE checks of strangers"),
            (self.handshakes, "DTLS of strangers"),
        ];
        let some = reasons.iter().filter(|(count, _)| *count > 0);
        some.map(|(count, why)| format!("{count} {why}")).collect::<Vec<_>>().join(", ")
    }
}
