//! One leg of a call, as an answer has it.

use serde::{Deserialize, Serialize};

use crate::switch::cdr::record::LegRecord;
use crate::switch::cdr::sound::Sound;

/// What one leg carried.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct LegRow {
    /// `a`, `b1`, `b2`….
    pub leg: String,
    /// The extension, number or trunk at its end.
    pub party: String,
    /// The Call-ID of its dialog.
    pub sip_call_id: String,
    /// The half of the Session-ID that names its peer (RFC 7989).
    #[serde(default)]
    pub session_id: String,
    /// Where its signalling went.
    pub signalling: Option<String>,
    /// Where its audio came from.
    pub audio: Option<String>,
    /// What its audio is encrypted by (SRTP); empty for nothing.
    #[serde(default)]
    pub srtp: String,
    /// The last final status on it; 0 if there was none.
    pub status: u16,
    /// RTP packets received.
    pub packets_in: u64,
    /// RTP packets sent.
    pub packets_out: u64,
    /// RTP packets that never arrived.
    pub lost: u64,
    /// Interarrival jitter.
    pub jitter_ms: f64,
    /// How it sounded.
    #[serde(flatten)]
    pub sound: SoundRow,
    /// What was not passed on, in words; empty if all of it was.
    #[serde(default)]
    pub dropped: String,
}

/// How a leg's audio came to us, and what its far end says of ours. Scores are 1 to 5; what is not known is absent.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SoundRow {
    /// The mean opinion score by the E-model (ITU-T G.107).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos: Option<f64>,
    /// The same of the worst five seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mos_worst: Option<f64>,
    /// Packets that never arrived, of those that should have.
    pub loss_percent: f64,
    /// The same of the worst five seconds.
    pub loss_percent_worst: f64,
    /// The most packets that were missing in a row.
    pub longest_loss: u64,
    /// Packets that came after a later one.
    pub out_of_order: u64,
    /// The most that the jitter came to.
    pub jitter_max_ms: f64,
    /// From us to the far end and back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// What the far end says that it did not get of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub far_loss_percent: Option<f64>,
    /// The jitter that the far end saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub far_jitter_ms: Option<f64>,
    /// The mean opinion score that the far end gives (RFC 3611).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub far_mos: Option<f64>,
}

impl From<&LegRecord> for LegRow {
    fn from(leg: &LegRecord) -> Self {
        Self {
            leg: leg.leg.clone(),
            party: leg.party.clone(),
            sip_call_id: leg.sip_call_id.clone(),
            session_id: leg.session_id.clone(),
            signalling: leg.signalling.map(|address| address.to_string()),
            audio: leg.audio.map(|address| address.to_string()),
            srtp: leg.srtp.to_owned(),
            status: leg.status,
            packets_in: leg.packets_in,
            packets_out: leg.packets_out,
            lost: leg.lost,
            jitter_ms: leg.jitter_ms,
            sound: SoundRow::from(&leg.sound),
            dropped: leg.dropped.clone(),
        }
    }
}

impl From<&Sound> for SoundRow {
    fn from(sound: &Sound) -> Self {
        Self {
            mos: sound.mos,
            mos_worst: sound.mos_worst,
            loss_percent: sound.loss_percent,
            loss_percent_worst: sound.loss_percent_worst,
            longest_loss: sound.longest_loss,
            out_of_order: sound.out_of_order,
            jitter_max_ms: sound.jitter_max_ms,
            rtt_ms: sound.rtt_ms,
            far_loss_percent: sound.far_loss_percent,
            far_jitter_ms: sound.far_jitter_ms,
            far_mos: sound.far_mos,
        }
    }
}
