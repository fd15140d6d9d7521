//! One DTLS association of a leg: a machine around dimpl, and our certificate (RFC 5764, RFC 6347).
//!
//! The library is sans-I/O and has no cryptography of its own here ([`provider`]). It bounds what it keeps of flights and
//! fragments. Should it panic all the same, that costs the association, never the thread.

mod provider;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dimpl::crypto::Dtls12CipherSuite;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use ring::digest;

use crate::edge::clock::Clock;
use crate::proto::srtp::{Fingerprint, Hash, Keys, Suite, exported};
use crate::proto::time::Instant;

/// Bytes of the longest datagram that we send: below what any path takes, tunnels included.
const MTU: usize = 1_150;
/// How long a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(20);
/// How soon a flight is sent again at first; each time it takes twice as long. Browsers begin with 50 ms, RFC 6347
/// §4.2.4.1 asks for a second where nothing is known of the path; a call's audio waits for it.
const RESEND_AFTER: Duration = Duration::from_millis(250);
const RESENT_MAX: usize = 7;
/// Messages and packets that are kept of the peer's flight and of ours.
const RECEIVED_MAX: usize = 32;
const SENT_MAX: usize = 16;
/// Outputs of one input: our flight has fewer datagrams.
const OUTPUTS_MAX: usize = 64;

/// What we show every peer: made anew at each start, so that nothing is to be kept, renewed or stolen.
pub struct Identity {
    certificate: DtlsCertificate,
    config: Arc<Config>,
    fingerprint: Fingerprint,
    /// The library's idea of time runs on it.
    clock: Clock,
}

/// Ours; `None` if the system has no randomness to make it of.
#[must_use]
pub fn identity() -> Option<&'static Identity> {
    static IDENTITY: OnceLock<Option<Identity>> = OnceLock::new();
    IDENTITY.get_or_init(Identity::make).as_ref()
}

impl Identity {
    fn make() -> Option<Self> {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).ok()?;
        let mut params = rcgen::CertificateParams::default();
        // The name tells nothing: the fingerprint is what is believed.
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "WebRTC");
        let certificate = params.self_signed(&pair).ok()?.der().to_vec();
        let config = Config::builder()
            .with_crypto_provider(provider::provider())
            .mtu(MTU)
            .max_queue_rx(RECEIVED_MAX)
            .max_queue_tx(SENT_MAX)
            .handshake_timeout(HANDSHAKE_WITHIN)
            .flight_start_rto(RESEND_AFTER)
            .flight_retries(RESENT_MAX)
            .dtls12_cipher_suites(&[
                Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256,
                Dtls12CipherSuite::ECDHE_ECDSA_AES256_GCM_SHA384,
                Dtls12CipherSuite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256,
            ])
            .build()
            .ok()?;
        Some(Self {
            fingerprint: fingerprint(Hash::Sha256, &certificate),
            certificate: DtlsCertificate { certificate, private_key: pair.serialize_der() },
            config: Arc::new(config),
            clock: Clock::start(),
        })
    }

    /// What descriptions say of the certificate.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

fn fingerprint(hash: Hash, certificate: &[u8]) -> Fingerprint {
    let algorithm = match hash {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    };
    Fingerprint { hash, digest: digest::digest(algorithm, certificate).as_ref().to_vec() }
}

/// How far an association has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It waits for the peer, or for time to pass.
    Waiting,
    /// Both sides have these keys.
    Keyed(Box<Keys>),
    /// There will be no keys by this association.
    Failed(Failure),
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The certificate is not the one that the description names.
    Certificate,
    /// The peer has none of the suites for audio that we have.
    Profile,
    /// The handshake broke off, or took too long.
    Handshake,
}

/// One association.
pub(super) struct Association {
    dtls: Dtls,
    identity: &'static Identity,
    is_active: bool,
    expected: Vec<Fingerprint>,
    is_certified: bool,
    keys: Option<Box<Keys>>,
    is_done: bool,
    next: Option<Instant>,
    room: Vec<u8>,
}

impl Association {
    /// One that has sent nothing yet. `expected`: the peer's certificate has one of these.
    pub(super) fn new(now: Instant, is_active: bool, expected: &[Fingerprint]) -> Option<Self> {
        let identity = identity()?;
        let (config, certificate) = (Arc::clone(&identity.config), identity.certificate.clone());
        let at = identity.clock.deadline(now);
        let dtls = catch_unwind(AssertUnwindSafe(|| {
            let mut dtls = Dtls::new_12(config, certificate, at);
            dtls.set_active(is_active);
            dtls
        }));
        Some(Self {
            dtls: dtls.ok()?,
            identity,
            is_active,
            expected: expected.to_vec(),
            is_certified: false,
            keys: None,
            is_done: false,
            next: Some(now),
            room: vec![0; 2_048],
        })
    }

    /// Takes a datagram of the peer's, and sends what is to be sent.
    pub(super) fn packet(
        &mut self,
        now: Instant,
        packet: &[u8],
        send: &mut dyn FnMut(&[u8]),
    ) -> Progress {
        let at = self.identity.clock.deadline(now);
        self.guarded(send, |dtls| dtls.handle_timeout(at).and_then(|()| dtls.handle_packet(packet)))
    }

    /// Time has passed: sends again what was not answered.
    pub(super) fn handle_timeout(&mut self, now: Instant, send: &mut dyn FnMut(&[u8])) -> Progress {
        let at = self.identity.clock.deadline(now);
        self.guarded(send, |dtls| dtls.handle_timeout(at))
    }

    /// Do we begin?
    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    /// When it wants to be called.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.next
    }

    fn guarded(
        &mut self,
        send: &mut dyn FnMut(&[u8]),
        act: impl FnOnce(&mut Dtls) -> Result<(), dimpl::Error>,
    ) -> Progress {
        let acted = catch_unwind(AssertUnwindSafe(|| {
            let result = act(&mut self.dtls);
            // What it has to say before it gives up is an alert.
            let progress = self.drain(send);
            if result.is_err() { Progress::Failed(Failure::Handshake) } else { progress }
        }));
        acted.unwrap_or(Progress::Failed(Failure::Handshake))
    }

    fn drain(&mut self, send: &mut dyn FnMut(&[u8])) -> Progress {
        for _ in 0..OUTPUTS_MAX {
            match self.dtls.poll_output(&mut self.room) {
                Output::Packet(packet) => send(packet),
                Output::BufferTooSmall { needed } if needed <= MATERIAL_MAX => {
                    self.room.resize(needed, 0);
                }
                Output::PeerCert(certificate) => {
                    let is_it =
                        |known: &Fingerprint| fingerprint(known.hash, certificate) == *known;
                    self.is_certified = self.expected.iter().any(is_it);
                    if !self.is_certified {
                        return Progress::Failed(Failure::Certificate);
                    }
                }
                Output::KeyingMaterial(material, profile) => {
                    let keys =
                        suite(profile).and_then(|suite| exported(suite, self.is_active, &material));
                    self.keys = keys.map(Box::new);
                }
                Output::Connected => self.is_done = true,
                Output::Timeout(at) => {
                    // Ours has microseconds: a moment too early would find nothing to do.
                    let at = self.identity.clock.at(at) + Duration::from_micros(1);
                    self.next = Some(at).filter(|_| !self.is_settled());
                    break;
                }
                // Data is nothing that we agreed to. The end is told by the signalling.
                _ => {}
            }
        }
        if !self.is_done {
            return Progress::Waiting;
        }
        match self.keys.take().filter(|_| self.is_certified) {
            Some(keys) => Progress::Keyed(keys),
            None if self.is_settled() => Progress::Waiting,
            None => Progress::Failed(Failure::Profile),
        }
    }

    /// The keys were taken: what comes is a flight that was sent again.
    fn is_settled(&self) -> bool {
        self.is_done && self.is_certified && self.keys.is_none()
    }
}

/// Bytes that the library may want for one output: the largest certificate that it takes.
const MATERIAL_MAX: usize = 64 * 1024;

fn suite(profile: SrtpProfile) -> Option<Suite> {
    match profile {
        SrtpProfile::AES128_CM_SHA1_80 => Some(Suite::AesCm128HmacSha1_80),
        SrtpProfile::AEAD_AES_128_GCM => Some(Suite::AeadAes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Suite::AeadAes256Gcm),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
