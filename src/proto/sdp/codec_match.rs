//! When two payload formats are the same codec (RFC 3551 §6, RFC 7261, RFC 7587 §7).

/// One RTP payload format as a description binds it to a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The number in the packets, 0 to 127.
    pub payload_type: u8,
    /// The encoding name, as written.
    pub name: String,
    /// RTP timestamp units per second.
    pub clock_rate: u32,
    /// Audio channels.
    pub channels: u8,
    /// The value of `a=fmtp`, without the number.
    pub fmtp: Option<String>,
}

/// The static payload types for audio (RFC 3551 §6, table 4).
const STATIC: &[(u8, &str, u32, u8)] = &[
    (0, "PCMU", 8_000, 1),
    (3, "GSM", 8_000, 1),
    (4, "G723", 8_000, 1),
    (5, "DVI4", 8_000, 1),
    (6, "DVI4", 16_000, 1),
    (7, "LPC", 8_000, 1),
    (8, "PCMA", 8_000, 1),
    (9, "G722", 8_000, 1),
    (10, "L16", 44_100, 2),
    (11, "L16", 44_100, 1),
    (12, "QCELP", 8_000, 1),
    (13, "CN", 8_000, 1),
    (14, "MPA", 90_000, 1),
    (15, "G728", 8_000, 1),
    (16, "DVI4", 11_025, 1),
    (17, "DVI4", 22_050, 1),
    (18, "G729", 8_000, 1),
];

impl Format {
    /// Binds a number by its `a=rtpmap` value, or by the static table without one.
    ///
    /// `None` for a number above 127, a dynamic number without a map, and a map
    /// without a clock rate.
    #[must_use]
    pub fn new(payload_type: u8, rtpmap: Option<&str>, fmtp: Option<&str>) -> Option<Self> {
        if payload_type > 127 {
            return None;
        }
        let fmtp = fmtp.map(str::to_owned);
        let Some(map) = rtpmap else {
            let &(_, name, clock_rate, channels) =
                STATIC.iter().find(|(number, ..)| *number == payload_type)?;
            return Some(Self { payload_type, name: name.into(), clock_rate, channels, fmtp });
        };
        let mut parts = map.trim().split('/');
        let name = parts.next().map(str::trim).filter(|name| !name.is_empty())?;
        let clock_rate = parts.next()?.trim().parse().ok().filter(|rate| *rate > 0)?;
        let channels = parts.next().and_then(|c| c.trim().parse().ok()).unwrap_or(1);
        let mut format = Self { payload_type, name: name.into(), clock_rate, channels, fmtp };
        format.normalise();
        Some(format)
    }

    /// Undoes two frequent errors: G.722 counts 8000 although it samples at 16000
    /// (RFC 3551 §4.5.2), and Opus is always `/48000/2` (RFC 7587 §7).
    fn normalise(&mut self) {
        if self.is_named("G722") {
            self.clock_rate = 8_000;
        } else if self.is_named("opus") {
            self.clock_rate = 48_000;
            self.channels = 2;
        }
    }

    /// The value of `a=rtpmap`, without the number.
    #[must_use]
    pub fn rtpmap(&self) -> String {
        if self.channels == 1 {
            format!("{}/{}", self.name, self.clock_rate)
        } else {
            format!("{}/{}/{}", self.name, self.clock_rate, self.channels)
        }
    }

    /// Whether the encoding has this name, in any case.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether it carries digits (RFC 4733).
    #[must_use]
    pub fn is_telephone_event(&self) -> bool {
        self.is_named("telephone-event")
    }

    /// Whether it carries a voice: not digits, not comfort noise.
    #[must_use]
    pub fn is_speech(&self) -> bool {
        !self.is_telephone_event() && !self.is_named("CN")
    }

    /// Whether it wraps packets of other payload types. The numbers stand inside
    /// the payload, so a relay that renumbers must not let it through.
    #[must_use]
    pub fn is_redundancy(&self) -> bool {
        ["red", "ulpfec", "flexfec", "flexfec-03", "parityfec"].iter().any(|n| self.is_named(n))
    }

    /// Whether packets of one can be decoded as the other. The number does not
    /// matter; parameters do only where they change the bytes.
    #[must_use]
    pub fn is_same_codec(&self, other: &Self) -> bool {
        if !self.is_named(&other.name)
            || self.clock_rate != other.clock_rate
            || self.channels != other.channels
        {
            return false;
        }
        // The two packings of AMR share a name but not a bit (RFC 4867 §8.1).
        let is_amr = self.is_named("AMR") || self.is_named("AMR-WB");
        !is_amr || self.is_octet_aligned() == other.is_octet_aligned()
    }

    fn is_octet_aligned(&self) -> bool {
        self.parameter("octet-align") == Some("1")
    }

    /// Whether G.729 may send silence frames; yes unless denied (RFC 7261 §3).
    #[must_use]
    pub fn allows_annex_b(&self) -> bool {
        !self.parameter("annexb").is_some_and(|value| value.eq_ignore_ascii_case("no"))
    }

    /// One parameter of `a=fmtp`, by its name in any case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let list = self.fmtp.as_deref()?;
        list.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The format that answers `self` when the far side chose `far`: our peer's
    /// number, the far side's parameters, and the narrower of the two where the
    /// RFC demands agreement.
    #[must_use]
    pub(super) fn answered_by(&self, far: &Self) -> Self {
        let mut fmtp = far.fmtp.clone();
        if self.is_named("G729") && !(self.allows_annex_b() && far.allows_annex_b()) {
            // Either side's "no" binds both (RFC 7261 §3.1).
            fmtp = Some("annexb=no".into());
        } else if self.is_named("iLBC") {
            // The longer frame wins; 30 ms is the default (RFC 3952 §5).
            let is_short = [self, far].iter().all(|f| f.parameter("mode") == Some("20"));
            fmtp = Some(if is_short { "mode=20" } else { "mode=30" }.into());
        }
        Self { fmtp, ..self.clone() }
    }
}

/// What Tandem offers when no far side has spoken yet: the codecs that its own
/// players and mixers can serve. The numbers are a wish; a taken one moves.
pub(super) fn own_capabilities() -> Vec<Format> {
    let make = |payload_type, name: &str, clock_rate, channels, fmtp: Option<&str>| Format {
        payload_type,
        name: name.into(),
        clock_rate,
        channels,
        fmtp: fmtp.map(str::to_owned),
    };
    vec![
        make(8, "PCMA", 8_000, 1, None),
        make(0, "PCMU", 8_000, 1, None),
        make(9, "G722", 8_000, 1, None),
        make(111, "opus", 48_000, 2, Some("useinbandfec=1")),
        make(101, "telephone-event", 8_000, 1, Some("0-15")),
    ]
}
