//! Certificates that state who calls: are they from an authority, and whose numbers do they speak for (RFC 8226)?

use std::time::Duration;

use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use super::material::Material;
use crate::proto::stir::authority::TnAuthList;
use crate::proto::stir::signature::to_der;
use crate::proto::stir::{Failure, Kind};
use crate::proto::time::Wall;
use crate::switch::stir::Check;

/// How long a chain that was good is not checked again.
const GOOD_FOR: i64 = 300_000_000;

/// A chain, as it was fetched.
#[derive(Debug)]
pub(super) struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    speaks_for: Option<TnAuthList>,
    /// Until when it counts as checked.
    good_until: Option<Wall>,
}

/// What a certificate of callers is for is not written in it: there is no such purpose.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        for purpose in purposes {
            purpose?;
        }
        Ok(())
    }
}

impl Chain {
    /// The chain that these certificates are, the signer's first.
    ///
    /// # Errors
    ///
    /// The first one cannot be read.
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Failure> {
        let unreadable = Failure::new(Kind::Unsupported, "the certificate is not readable");
        let first = certificates.first().ok_or(unreadable)?;
        let speaks_for = TnAuthList::of_certificate(first).map_err(|_| unreadable)?;
        Ok(Self { certificates, speaks_for, good_until: None })
    }

    /// Is the signature of this chain's first certificate, and may that speak of the number?
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub(super) fn check(
        &mut self,
        check: &Check,
        material: &Material,
        now: Wall,
    ) -> Result<(), Failure> {
        let unreadable = Failure::new(Kind::Unsupported, "the certificate is not readable");
        let (first, rest) = self.certificates.split_first().ok_or(unreadable)?;
        let signer = EndEntityCert::try_from(first).map_err(|_| unreadable)?;
        let is_known = |until: Wall| now < until && until.0.saturating_sub(now.0) <= GOOD_FOR;
        if !self.good_until.is_some_and(is_known) {
            let seconds = u64::try_from(now.0.div_euclid(1_000_000)).unwrap_or(0);
            let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            signer
                .verify_for_usage(
                    webpki::ALL_VERIFICATION_ALGS,
                    &material.anchors,
                    rest,
                    time,
                    AnyPurpose,
                    None,
                    None,
                )
                .map_err(untrusted)?;
            self.good_until = Some(Wall(now.0.saturating_add(GOOD_FOR)));
        }
        signer
            .verify_signature(
                webpki::ring::ECDSA_P256_SHA256,
                check.input.as_bytes(),
                &to_der(&check.signature),
            )
            .map_err(unsigned)?;
        match (&self.speaks_for, &check.speaks_for) {
            (Some(list), Some(number)) if !list.covers(number) => {
                Err(Failure::new(Kind::Invalid, "the certificate does not speak for this number"))
            }
            _ => Ok(()),
        }
    }
}

fn untrusted(error: Error) -> Failure {
    Failure::new(
        Kind::Unsupported,
        match error {
            Error::CertExpired { .. } => "the certificate has expired",
            Error::CertNotValidYet { .. } => "the certificate is not valid yet",
            Error::UnsupportedCriticalExtension => {
                "the certificate has a critical extension that nobody here knows"
            }
            _ => "the certificate is from nobody whom we trust",
        },
    )
}

fn unsigned(error: Error) -> Failure {
    match error {
        Error::InvalidSignatureForPublicKey => {
            Failure::new(Kind::Invalid, "the signature is not the certificate's")
        }
        _ => Failure::new(Kind::Unsupported, "the certificate's key is not one of ES256"),
    }
}
