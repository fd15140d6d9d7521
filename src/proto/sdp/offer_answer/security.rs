//! Keys in the exchange: whether a leg's audio is encrypted, and by what (RFC 4568 §5 to §7, RFC 8643).
//!
//! Our keys are as old as what they answer: a peer that repeats its key has ours again, so that a hold and a refresh
//! leave the stream as it is, and a peer with a new one gets a new one. No key of ours is given to two legs, and none
//! comes back once another one was agreed on.

use super::super::crypto::Crypto;
use super::super::media::Media;
use super::super::session::Sdp;
use super::super::webrtc::DtlsLines;
use super::{Agreed, Negotiator, SdpRefusal};
use crate::proto::srtp::{Keys, MATERIAL_MAX, MasterKey, Protection, Suite};
use crate::proto::token::Tokens;

/// Whether the audio of a peer is encrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SrtpPolicy {
    /// Never: who insists on it is refused.
    Off,
    /// Where the peer wants it, and offered where the signalling keeps the keys secret (RFC 8643).
    #[default]
    Optional,
    /// Always: who does not want it is refused.
    Required,
}

impl SrtpPolicy {
    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Optional => "optional",
            Self::Required => "required",
        }
    }

    /// Reads it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Off, Self::Optional, Self::Required].into_iter().find(|policy| policy.word() == word)
    }
}

/// What a leg needs to agree on keys.
#[derive(Clone, Debug)]
pub(super) struct Security {
    policy: SrtpPolicy,
    /// Nobody on the way can read what we say to the peer.
    is_private: bool,
    /// Our keys are drawn from it; its `Debug` shows none.
    tokens: Tokens,
    /// The keys in use are those of another place, and are not to be used here.
    is_stale: bool,
}

impl Security {
    fn draw(&mut self, suite: Suite) -> MasterKey {
        let mut bytes = [0; MATERIAL_MAX];
        for chunk in bytes.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.tokens.next_u64().to_be_bytes()) {
                *to = from;
            }
        }
        MasterKey::cut(suite, &bytes)
    }
}

/// How a stream's audio would be protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keying<'m> {
    /// Not at all.
    Clear,
    /// By the key in this line.
    Line(&'m Crypto),
    /// By DTLS.
    Dtls(DtlsLines),
}

impl Negotiator {
    /// From now on audio is encrypted by this policy, under keys made of the seed, which must be unguessable.
    /// `is_private`: nobody on the way to the peer can read the signalling. Without this call it is never encrypted.
    pub fn secure_by(&mut self, policy: SrtpPolicy, is_private: bool, seed: [u8; 32]) {
        let tokens = Tokens::new(seed);
        self.security = Some(Security { policy, is_private, tokens, is_stale: false });
    }

    /// The leg goes on at another place, with other numbers: its next description has new keys, and nothing flows
    /// under the old ones.
    pub fn renew_keys(&mut self) {
        if let Some(security) = &mut self.security {
            security.is_stale = true;
        }
        self.restart();
    }

    /// What the agreed audio is encrypted by, under a key of the description.
    #[must_use]
    pub fn suite(&self) -> Option<Suite> {
        self.agreed.as_ref().and_then(Agreed::lines).map(|(ours, _)| ours.suite())
    }

    /// What the audio is encrypted by, in an operator's words; empty while it is not.
    #[must_use]
    pub fn protection_name(&self) -> &'static str {
        match self.agreed.as_ref().map(|agreed| self.protection(agreed)) {
            Some(Protection::Dtls(by)) => {
                by.keys.map_or("", |keys| keys.send.suite().name_by_dtls())
            }
            Some(protection) => protection.suite().map_or("", Suite::name),
            None => "",
        }
    }

    pub(super) fn policy(&self) -> SrtpPolicy {
        self.security.as_ref().map_or(SrtpPolicy::Off, |security| security.policy)
    }

    /// How the audio of a live stream of the peer's would be protected: by DTLS, which shows nobody the keys, else by its
    /// first line that we know (RFC 4568 §5.1.2).
    pub(super) fn chosen<'m>(&self, sdp: &Sdp, media: &'m Media) -> Result<Keying<'m>, SdpRefusal> {
        let policy = self.policy();
        if policy == SrtpPolicy::Off && media.is_secure_rtp() {
            return Err(SdpRefusal::SecureOnly);
        }
        if !media.is_secure_rtp() && !media.is_plain_rtp() {
            return Err(SdpRefusal::NoAudio);
        }
        if self.speaks_dtls()
            && let Some(lines) = DtlsLines::of(sdp, media)
        {
            return Ok(Keying::Dtls(lines));
        }
        let line = media.crypto.first().filter(|_| policy != SrtpPolicy::Off);
        if media.is_secure_rtp() {
            return match line {
                _ if !media.is_keyed_here() && self.speaks_dtls() => Err(SdpRefusal::NoFingerprint),
                _ if !media.is_keyed_here() => Err(SdpRefusal::KeysByDtls),
                Some(line) => Ok(Keying::Line(line)),
                None => Err(SdpRefusal::NoUsableKey(media.unusable_crypto)),
            };
        }
        match (line, policy, media.unusable_crypto) {
            (None, SrtpPolicy::Required, None) => Err(SdpRefusal::ClearOnly),
            (None, SrtpPolicy::Required, why) => Err(SdpRefusal::NoUsableKey(why)),
            (line, ..) => Ok(line.map_or(Keying::Clear, Keying::Line)),
        }
    }

    /// Our line in the answer to this stream.
    pub(super) fn answering_line(
        &mut self,
        offer: &Sdp,
        offered: &Media,
    ) -> Result<Option<Crypto>, SdpRefusal> {
        let Keying::Line(theirs) = self.chosen(offer, offered)? else { return Ok(None) };
        let known = self.agreed.as_ref().and_then(Agreed::lines);
        let ours =
            known.filter(|(_, before)| before.key == theirs.key).map(|(ours, _)| ours.key.clone());
        let Some(security) = &mut self.security else { return Ok(None) };
        let key = match ours.filter(|_| !security.is_stale) {
            Some(key) => key,
            None => security.draw(theirs.suite()),
        };
        Ok(Some(Crypto::new(theirs.tag, key)))
    }

    /// The lines of an offer of ours, and its transport if it is the first one of the leg.
    ///
    /// A late offer has new keys: who asks for one may be about to connect us to somebody else, who knows nothing of
    /// how often the numbers went round under the old ones.
    pub(super) fn offering_lines(&mut self, is_late: bool) -> (Vec<Crypto>, &'static str) {
        if self.offers_dtls() {
            return (Vec::new(), "UDP/TLS/RTP/SAVPF");
        }
        let agreed = self.agreed.as_ref();
        let is_keyed = agreed.and_then(Agreed::lines).is_some();
        let local = agreed.and_then(|agreed| agreed.local.media.get(agreed.audio));
        let is_savp = local.is_some_and(Media::is_keyed_here);
        let current = local.filter(|_| is_keyed).map(|media| media.crypto.clone());
        let Some(security) = self.security.as_mut().filter(|s| s.policy != SrtpPolicy::Off) else {
            return (Vec::new(), "RTP/AVP");
        };
        let is_required = security.policy == SrtpPolicy::Required;
        let proto = if is_required { "RTP/SAVP" } else { "RTP/AVP" };
        if let Some(lines) = current.filter(|_| !is_late && !security.is_stale) {
            return (lines, proto);
        }
        let mut lines = Vec::new();
        if is_keyed || is_savp || is_required || security.is_private {
            for (tag, suite) in (1..).zip(Suite::ALL) {
                lines.push(Crypto::new(tag, security.draw(suite)));
            }
        }
        (lines, proto)
    }

    /// Leaves the line of the peer's answer that goes with one of ours; none if both sides may do without.
    ///
    /// Our offers have each suite once, so the suite says which line is meant, where the tag is wrong too.
    pub(super) fn match_line(&self, answer: &mut Media, ours: &Media) -> Result<(), SdpRefusal> {
        // Who was offered DTLS has been asked for its certificate already.
        if ours.attribute("fingerprint").is_some() {
            answer.crypto.clear();
            return if answer.is_secure_rtp() { Ok(()) } else { Err(SdpRefusal::ClearOnly) };
        }
        if ours.crypto.is_empty() {
            answer.crypto.clear();
            return if answer.is_secure_rtp() { Err(SdpRefusal::SecureOnly) } else { Ok(()) };
        }
        let is_offered = |line: &&Crypto| ours.crypto.iter().any(|own| own.suite() == line.suite());
        let found = answer.crypto.iter().find(is_offered).cloned();
        let is_clear = answer.is_plain_rtp();
        match found {
            Some(_) if answer.is_secure_rtp() && !answer.is_keyed_here() => {
                Err(SdpRefusal::KeysByDtls)
            }
            Some(line) => {
                answer.crypto = vec![line];
                Ok(())
            }
            None if is_clear && ours.is_plain_rtp() && self.policy() != SrtpPolicy::Required => {
                answer.crypto.clear();
                Ok(())
            }
            None if is_clear && answer.unusable_crypto.is_none() => Err(SdpRefusal::ClearOnly),
            None => Err(SdpRefusal::NoUsableKey(answer.unusable_crypto)),
        }
    }

    /// What the agreed keys, or those that are still awaited, mean for the packets.
    pub(super) fn protection(&self, agreed: &Agreed) -> Protection {
        if let Some(association) = self.association_of(agreed) {
            return Protection::Dtls(Box::new(association.clone()));
        }
        let is_stale = self.security.as_ref().is_some_and(|security| security.is_stale);
        match protection(agreed) {
            Protection::Keyed(_) if is_stale => Protection::Pending,
            protection => protection,
        }
    }

    /// An exchange is done: the keys are those of this place.
    pub(super) fn keys_are_fresh(&mut self) {
        if let Some(security) = &mut self.security {
            security.is_stale = false;
        }
    }
}

impl Agreed {
    /// Our line and the peer's. One side has a single one: who answered.
    fn lines(&self) -> Option<(&Crypto, &Crypto)> {
        let local = &self.local.media.get(self.audio)?.crypto;
        let remote = &self.remote.media.get(self.audio)?.crypto;
        let pair = |is_exact: bool| {
            local.iter().find_map(|ours| {
                let goes_with = |theirs: &&Crypto| {
                    ours.suite() == theirs.suite() && (ours.tag == theirs.tag || !is_exact)
                };
                Some((ours, remote.iter().find(goes_with)?))
            })
        };
        pair(true).or_else(|| pair(false))
    }
}

/// The keys of an agreed session.
pub(super) fn protection(agreed: &Agreed) -> Protection {
    match agreed.lines() {
        None => Protection::Clear,
        Some((ours, theirs)) => Protection::Keyed(Box::new(Keys {
            send: ours.key.clone(),
            receive: theirs.key.clone(),
            receive_lifetime: theirs.lifetime,
        })),
    }
}

#[cfg(test)]
mod tests;
