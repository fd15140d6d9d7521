//! What browsers need beside a codec, in the exchange: DTLS (RFC 5763, RFC 8842), ICE as a lite agent (RFC 8839), reports on
//! the port of the audio (RFC 5761), a group of the one stream (RFC 9143).
//!
//! What the peer offers of it is taken and mirrored; of our own accord it is offered to browsers alone. None of it crosses.

use super::super::media::Media;
use super::super::session::{Line, Sdp};
use super::super::webrtc::{DtlsLines, IceLines, Setup, attribute, is_multiplexed};
use super::security::Keying;
use super::{Agreed, MediaAddress, Negotiator, OfferSide, SdpRefusal, SrtpPolicy, StreamPlan};
use crate::proto::nat::ice::{IceCredentials, IcePlan};
use crate::proto::srtp::{Association, Fingerprint, Keys, Protection};
use crate::proto::token::Tokens;

/// Whether a peer's audio goes as it does with browsers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MediaForm {
    /// Where the peer offers it, and offered to it where it registered over a WebSocket.
    #[default]
    Auto,
    /// Never: DTLS is refused, and ICE not answered.
    Plain,
    /// Offered always, and taken where the peer offers it.
    Webrtc,
}

impl MediaForm {
    /// The word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Plain => "plain",
            Self::Webrtc => "webrtc",
        }
    }

    /// Reads it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Auto, Self::Plain, Self::Webrtc].into_iter().find(|form| form.word() == word)
    }
}

/// What a leg needs to agree on DTLS and ICE.
#[derive(Clone, Debug)]
pub(super) struct Web {
    /// Our first offer has all of it.
    is_offered: bool,
    /// That was not ordered, but taken for what such a peer wants.
    is_guessed: bool,
    /// Of our certificate.
    fingerprint: Fingerprint,
    /// Names and passwords are drawn from it; its `Debug` shows none.
    tokens: Tokens,
    /// The leg goes on at another place: the next offer restarts ICE.
    is_restart_due: bool,
    association: Option<Association>,
    /// The name that the peer gave it.
    tls_id: Option<String>,
}

impl Web {
    fn draw(&mut self) -> IceCredentials {
        IceCredentials { ufrag: self.tokens.tag(), password: self.tokens.call_id() }
    }
}

impl Negotiator {
    /// From now on DTLS, ICE and shared ports are taken from a peer that offers them, unless it is to have none, and offered to
    /// one that is a browser. The seed must be unguessable.
    pub fn speak_webrtc(
        &mut self,
        form: MediaForm,
        is_browser: bool,
        fingerprint: Fingerprint,
        seed: [u8; 32],
    ) {
        self.web = (form != MediaForm::Plain).then(|| Web {
            is_offered: is_browser || form == MediaForm::Webrtc,
            is_guessed: form == MediaForm::Auto,
            fingerprint,
            tokens: Tokens::new(seed),
            is_restart_due: false,
            association: None,
            tls_id: None,
        });
    }

    /// The handshake of this association ended with these keys. They stay with the leg when it goes on at another place:
    /// the peer is asked there to find the way anew, not to agree anew.
    pub fn keyed(&mut self, number: u64, keys: &Keys) {
        let association = self.web.as_mut().and_then(|web| web.association.as_mut());
        if let Some(association) = association.filter(|known| known.number == number) {
            association.keys = Some(Box::new(keys.clone()));
        }
    }

    pub(super) fn speaks_dtls(&self) -> bool {
        self.web.is_some() && self.policy() != SrtpPolicy::Off
    }

    /// Makes our first offer, which was refused, one as any other peer gets; `false` if it was one, or has to stay as it is.
    pub(super) fn give_up_webrtc(&mut self, section: &mut Media) -> bool {
        let is_first = self.agreed.is_none();
        let Some(web) = self.web.as_mut().filter(|web| is_first && web.is_guessed) else {
            return false;
        };
        if !std::mem::take(&mut web.is_offered) {
            return false;
        }
        let (crypto, proto) = self.offering_lines(false);
        (section.crypto, section.proto) = (crypto, proto.into());
        section.others.retain(|line| !is_transport(line) && line.attribute("mid").is_none());
        true
    }

    /// Whether an offer of ours has DTLS: what was agreed on stays.
    #[must_use]
    pub fn offers_dtls(&self) -> bool {
        let is_offered = self.web.as_ref().is_some_and(|web| web.is_offered);
        self.speaks_dtls()
            && match &self.agreed {
                Some(agreed) => self.association_of(agreed).is_some(),
                None => is_offered,
            }
    }

    pub(super) fn restart(&mut self) {
        if let Some(web) = &mut self.web {
            web.is_restart_due = true;
        }
    }

    /// The association of an agreed session, if that has one.
    pub(super) fn association_of(&self, agreed: &Agreed) -> Option<&Association> {
        agreed.dtls()?;
        self.web.as_ref()?.association.as_ref()
    }

    /// The lines of our answer. What is agreed on already stays as long as the peer says the same.
    pub(super) fn answering_lines(
        &mut self,
        offer: &Sdp,
        offered: &Media,
        at: MediaAddress,
    ) -> Result<Vec<Line>, SdpRefusal> {
        let dtls = match self.chosen(offer, offered)? {
            Keying::Dtls(lines) => Some(lines),
            Keying::Clear | Keying::Line(_) => None,
        };
        let known = self.agreed.as_ref().and_then(Agreed::ice);
        let Some(web) = &mut self.web else { return Ok(Vec::new()) };
        let mut lines = Vec::new();
        let is_shared = is_multiplexed(offered);
        if is_shared {
            lines.push(attribute("rtcp-mux"));
        }
        let theirs = IceLines::of(offer, offered);
        if let Some(theirs) = &theirs {
            let known = known.filter(|(_, before)| before.credentials == theirs.credentials);
            let ours = known.map_or_else(|| web.draw(), |(ours, _)| ours.credentials);
            lines.extend(ice_lines(&ours, at, is_shared));
        }
        if let Some(dtls) = dtls {
            let setup = web.setup_in_answer(&dtls, theirs.is_some());
            lines.extend(web.dtls_lines(setup));
        }
        Ok(lines)
    }

    /// The lines of an offer of ours.
    pub(super) fn offering_transport(&mut self, at: MediaAddress) -> Vec<Line> {
        let (has_dtls, is_first) = (self.offers_dtls(), self.agreed.is_none());
        let local = self.agreed.as_ref().and_then(|agreed| agreed.local.media.get(agreed.audio));
        let was_shared = local.is_some_and(is_multiplexed);
        let known = self.agreed.as_ref().and_then(Agreed::ice);
        let Some(web) = &mut self.web else { return Vec::new() };
        let is_offered = is_first && web.is_offered && has_dtls;
        let mut lines = Vec::new();
        if is_offered || was_shared {
            lines.push(attribute("rtcp-mux"));
        }
        if let Some((ours, _)) = known.filter(|_| !web.is_restart_due) {
            lines.extend(ice_lines(&ours.credentials, at, was_shared));
        } else if is_offered
            || (!is_first && self.agreed.as_ref().is_some_and(|a| a.ice().is_some()))
        {
            lines.extend(ice_lines(&web.draw(), at, was_shared));
        }
        if has_dtls {
            // Who began stays who begins (RFC 8842 §5.5).
            let setup = match &web.association {
                Some(known) if known.is_active => Setup::Active,
                Some(_) => Setup::Passive,
                None => Setup::ActPass,
            };
            lines.extend(web.dtls_lines(setup));
        }
        lines
    }

    /// The name of our section in an offer: browsers want one.
    pub(super) fn name_of_section(&self) -> Option<Line> {
        let local = self.agreed.as_ref().and_then(|agreed| agreed.local.media.get(agreed.audio));
        let known = local.and_then(|media| media.attribute("mid"));
        let name = known.or(Some("0").filter(|_| self.agreed.is_none()));
        name.filter(|_| self.offers_dtls()).map(|name| attribute(format!("mid:{name}")))
    }

    /// The session's lines of an offer of ours.
    pub(super) fn lines_of_session(&self, media: &[Media], audio: usize) -> Vec<Line> {
        let was_bundled = self.agreed.as_ref().is_some_and(|agreed| {
            agreed.local.others.iter().any(|line| line.attribute("group").is_some())
        });
        let is_first = self.agreed.is_none();
        media.get(audio).map_or_else(Vec::new, |section| {
            let is_named = section.attribute("mid").is_some();
            session_lines(section, was_bundled || (is_first && is_named && self.offers_dtls()))
        })
    }

    /// Whether the answer to an offer of DTLS names a certificate, and says who begins.
    pub(super) fn is_certified(
        &self,
        answer: &Sdp,
        audio: usize,
        ours: &Media,
    ) -> Result<(), SdpRefusal> {
        if ours.attribute("fingerprint").is_none() {
            return Ok(());
        }
        let lines = answer.media.get(audio).and_then(|media| DtlsLines::of(answer, media));
        let lines = lines.ok_or(SdpRefusal::NoFingerprint)?;
        match lines.setup {
            Some(Setup::ActPass | Setup::HoldConn) => Err(SdpRefusal::NoFingerprint),
            _ => Ok(()),
        }
    }

    /// An exchange is done: another certificate, another name or another side that begins is another association (RFC
    /// 8842 §4); a restart of ICE alone is none.
    pub(super) fn associate(&mut self) {
        let Some(agreed) = &self.agreed else { return };
        let found = agreed.dtls();
        let Some(web) = &mut self.web else { return };
        web.is_restart_due = false;
        let Some((local, remote)) = found else { return };
        let is_active = match (local.setup, remote.setup) {
            (Some(Setup::Active), _) => true,
            (Some(Setup::ActPass), theirs) => theirs == Some(Setup::Passive),
            _ => false,
        };
        let is_known = web.association.as_ref().is_some_and(|known| {
            known.is_active == is_active && known.fingerprints == remote.fingerprints
        });
        if is_known && web.tls_id == remote.tls_id {
            return;
        }
        // Sessions are numbered by chance, so those of two legs that share a port are far apart.
        let first = self.session_id;
        let number = web.association.as_ref().map_or(first, |known| known.number.wrapping_add(1));
        let fingerprints = remote.fingerprints;
        web.association = Some(Association { number, is_active, fingerprints, keys: None });
        web.tls_id = remote.tls_id;
    }

    /// Adds to a plan what is agreed, or offered by us and not yet answered.
    pub(super) fn with_transport(&self, mut plan: StreamPlan) -> StreamPlan {
        if let Some(agreed) = &self.agreed {
            let (local, remote) =
                (agreed.local.media.get(agreed.audio), agreed.remote.media.get(agreed.audio));
            plan.is_rtcp_mux =
                local.is_some_and(is_multiplexed) && remote.is_some_and(is_multiplexed);
            plan.ice = agreed.ice().map(|(ours, theirs)| IcePlan {
                local: ours.credentials,
                remote_ufrag: Some(theirs.credentials.ufrag),
                is_peer_lite: theirs.is_lite,
            });
            if plan.is_rtcp_mux {
                plan.remote_rtcp = plan.remote_rtp;
            } else if matches!(plan.protection, Protection::Dtls(_)) {
                // A port of their own would need an association of its own (RFC 5764 §3).
                plan.remote_rtcp = None;
            }
        } else if let Some(open) = &self.exchange
            && matches!(open.side, OfferSide::Us { .. })
            && let Some(media) = open.offer.media.get(open.audio)
        {
            plan.ice = IceLines::of(&open.offer, media).map(|ours| IcePlan {
                local: ours.credentials,
                remote_ufrag: None,
                is_peer_lite: false,
            });
        }
        plan
    }
}

impl Web {
    /// The offerer leaves it to us, or not. Under ICE we begin: the peer is found before. Without, it begins, and shows by
    /// that where it is, behind whatever NAT (RFC 5763 §5 would have us begin always).
    fn setup_in_answer(&self, theirs: &DtlsLines, has_ice: bool) -> Setup {
        let known = self.association.as_ref().filter(|known| {
            known.fingerprints == theirs.fingerprints && self.tls_id == theirs.tls_id
        });
        match (theirs.setup, known) {
            (Some(Setup::Passive), _) => Setup::Active,
            (Some(Setup::ActPass), Some(known)) if known.is_active => Setup::Active,
            (Some(Setup::ActPass), None) if has_ice => Setup::Active,
            _ => Setup::Passive,
        }
    }

    fn dtls_lines(&self, setup: Setup) -> [Line; 3] {
        [
            attribute(format!("fingerprint:{}", self.fingerprint)),
            attribute(format!("setup:{}", setup.word())),
            // Without a name of a stream some applications see no track (RFC 8830 §2).
            attribute("msid:tandem audio"),
        ]
    }
}

impl Agreed {
    /// What both sides say of ICE, if both do.
    pub(super) fn ice(&self) -> Option<(IceLines, IceLines)> {
        let local = IceLines::of(&self.local, self.local.media.get(self.audio)?)?;
        let remote = IceLines::of(&self.remote, self.remote.media.get(self.audio)?)?;
        Some((local, remote))
    }

    /// What both sides say of DTLS, if both do.
    fn dtls(&self) -> Option<(DtlsLines, DtlsLines)> {
        let local = DtlsLines::of(&self.local, self.local.media.get(self.audio)?)?;
        let remote = DtlsLines::of(&self.remote, self.remote.media.get(self.audio)?)?;
        Some((local, remote))
    }
}

/// The session's lines that go with a section of ours.
pub(super) fn session_lines(section: &Media, is_bundled: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    if section.attribute("ice-ufrag").is_some() {
        lines.push(attribute("ice-lite"));
    }
    let is_live = section.port != 0;
    if let Some(mid) = section.attribute("mid").filter(|_| is_bundled && is_live) {
        lines.push(attribute(format!("group:BUNDLE {mid}")));
    }
    lines
}

/// Is it one of the lines that are made anew for each offer?
pub(super) fn is_transport(line: &Line) -> bool {
    const NAMES: [&str; 8] = [
        "rtcp-mux",
        "ice-ufrag",
        "ice-pwd",
        "candidate",
        "end-of-candidates",
        "fingerprint",
        "setup",
        "msid",
    ];
    NAMES.iter().any(|name| line.attribute(name).is_some())
}

/// Our name and password, and the one place where we are: for audio, and for reports if they have a port of their own.
fn ice_lines(ours: &IceCredentials, at: MediaAddress, is_shared: bool) -> Vec<Line> {
    // The highest there are for a host's address (RFC 8445 §5.1.2).
    let candidate = |component: u32, port: u16| {
        let priority = (126 << 24) + (65_535 << 8) + (256 - component);
        attribute(format!("candidate:1 {component} udp {priority} {} {port} typ host", at.ip))
    };
    let mut lines = vec![
        attribute(format!("ice-ufrag:{}", ours.ufrag)),
        attribute(format!("ice-pwd:{}", ours.password)),
        candidate(1, at.rtp_port),
    ];
    if !is_shared {
        lines.push(candidate(2, at.rtcp_port));
    }
    lines.push(attribute("end-of-candidates"));
    lines
}

#[cfg(test)]
mod tests;
