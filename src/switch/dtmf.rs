//! In which form a peer is brought the digits of the other side.

/// The form. Digits that come from a peer are understood as they come, whatever this says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dtmf {
    /// As events where they are agreed on (RFC 4733), else as tones where the codec can be made here, else by INFO. What came by
    /// INFO goes on so to a peer that says it takes INFO.
    #[default]
    Auto,
    /// As events, or not at all.
    Rfc4733,
    /// By INFO (RFC 6086), or not at all.
    Info,
    /// As tones in the audio, or not at all.
    Inband,
}

impl Dtmf {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Rfc4733, Self::Info, Self::Inband];

    /// As it is written in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rfc4733 => "rfc4733",
            Self::Info => "info",
            Self::Inband => "inband",
        }
    }

    /// May they go as events?
    #[must_use]
    pub const fn may_be_events(self) -> bool {
        matches!(self, Self::Auto | Self::Rfc4733)
    }

    /// May they go as tones?
    #[must_use]
    pub const fn may_be_tones(self) -> bool {
        matches!(self, Self::Auto | Self::Inband)
    }

    /// May they go by INFO?
    #[must_use]
    pub const fn may_be_info(self) -> bool {
        matches!(self, Self::Auto | Self::Info)
    }
}
