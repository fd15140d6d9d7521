//! How good speech is, out of what the network did to it: the E-model (ITU-T G.107), with everything but codec, loss and
//! delay at its default.

/// What a connection loses before the network does anything: Ro less Is at the default values (ITU-T G.107 §7).
const UNTOUCHED: f32 = 93.2;
/// The delay from which people begin to talk into each other, in milliseconds.
const NOTICED_MS: f32 = 177.3;

/// What a codec costs, and how well it bears loss (ITU-T G.113 Appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// The equipment impairment factor without loss, Ie.
    pub ie: f32,
    /// The robustness against random loss, Bpl.
    pub bpl: f32,
}

impl Impairment {
    /// By the encoding name of an rtpmap, in any case; `None` for a codec of which nothing is known here.
    ///
    /// G.711 is taken with concealment and G.729 as G.729A, as phones of today have them. G.113 has no value on this scale for
    /// G.722 and Opus: they are rated as G.711 is, so a rating never tells that they sound better.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        const TABLE: [(&str, Impairment); 8] = [
            ("PCMU", Impairment { ie: 0.0, bpl: 25.1 }),
            ("PCMA", Impairment { ie: 0.0, bpl: 25.1 }),
            ("L16", Impairment { ie: 0.0, bpl: 25.1 }),
            ("G722", Impairment { ie: 0.0, bpl: 25.1 }),
            ("opus", Impairment { ie: 0.0, bpl: 25.1 }),
            ("G729", Impairment { ie: 11.0, bpl: 19.0 }),
            ("G723", Impairment { ie: 15.0, bpl: 16.1 }),
            ("GSM-EFR", Impairment { ie: 5.0, bpl: 10.0 }),
        ];
        TABLE.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, known)| *known)
    }
}

/// What the network did to a stretch of speech.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Network {
    /// Packets that never came, in percent.
    pub loss_percent: f32,
    /// How much longer losses are than if they came at random; 1 is random (ITU-T G.107 §7.5, BurstR).
    pub burst_ratio: f32,
    /// From mouth to ear, in milliseconds, as far as it is known.
    pub delay_ms: f32,
}

/// A rating of speech as people would give it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// The transmission rating factor R: 0 is worst, 93.2 best.
    pub r: f32,
    /// The mean opinion score: 1 is bad, 4.4 is as good as it gets on this scale.
    pub mos: f32,
}

impl Rating {
    /// The E-model for this codec on this network (ITU-T G.107 §7 and Annex B; the delay by the usual straight lines).
    #[must_use]
    pub fn of(codec: Impairment, network: &Network) -> Self {
        let loss = network.loss_percent.clamp(0.0, 100.0);
        let burst = network.burst_ratio.max(1.0);
        let delay = network.delay_ms.max(0.0);
        let late = 0.11 * (delay - NOTICED_MS).max(0.0);
        let id = 0.024 * delay + late;
        let ie_eff = codec.ie + (95.0 - codec.ie) * loss / (loss / burst + codec.bpl);
        let r = (UNTOUCHED - id - ie_eff).clamp(0.0, 100.0);
        let mos = 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6;
        Self { r, mos: mos.max(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rated(codec: &str, loss_percent: f32, burst_ratio: f32, delay_ms: f32) -> String {
        let codec = Impairment::of(codec).unwrap();
        let Rating { r, mos } = Rating::of(codec, &Network { loss_percent, burst_ratio, delay_ms });
        format!("{r:.1} {mos:.2}")
    }

    /// By hand from the formulas: 93.2 less 0.024 d, less 0.11 (d - 177.3) beyond that, less Ie-eff.
    #[test]
    fn the_e_model_gives_the_figures_of_its_formulas() {
        let table = [
            (("PCMU", 0.0, 1.0, 0.0), "93.2 4.41"),
            (("pcma", 0.0, 1.0, 150.0), "89.6 4.33"),
            (("PCMA", 0.0, 1.0, 400.0), "59.1 3.05"),
            (("PCMA", 1.0, 1.0, 0.0), "89.6 4.33"),
            (("PCMA", 5.0, 1.0, 0.0), "77.4 3.92"),
            // In bursts the same loss is worse.
            (("PCMA", 5.0, 4.0, 0.0), "75.2 3.83"),
            (("PCMA", 100.0, 1.0, 0.0), "17.3 1.18"),
            (("G729", 0.0, 1.0, 0.0), "82.2 4.10"),
            (("G729", 5.0, 1.0, 0.0), "64.7 3.34"),
            (("opus", 0.0, 1.0, 0.0), "93.2 4.41"),
            (("G723", 100.0, 1.0, 9_000.0), "0.0 1.00"),
        ];
        for ((codec, loss, burst, delay), expected) in table {
            assert_eq!(
                rated(codec, loss, burst, delay),
                expected,
                "{codec} {loss} {burst} {delay}"
            );
        }
        assert_eq!(Impairment::of("telephone-event"), None);
    }

    #[test]
    fn figures_that_cannot_be_give_a_rating_all_the_same() {
        assert_eq!(rated("PCMA", -3.0, 0.0, -9.0), "93.2 4.41");
        assert_eq!(rated("PCMA", 500.0, 1.0, 0.0), "17.3 1.18");
        assert_eq!(rated("PCMA", 0.0, 1.0, f32::MAX), "0.0 1.00");
    }
}
