//! What `[stir]` names, read: our key, and the authorities that are believed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::crypto::ring::sign::any_ecdsa_type;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, TrustAnchor};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey};

use crate::edge::sip_io::tls;
use crate::proto::stir::signature::{Signature, from_der};
use crate::proto::stir::source::Source;
use crate::switch::snapshot::{StirSettings, TlsSettings};

/// Bytes of one file; the list of a country's authorities has some tens of thousands.
const FILE_MAX: u64 = 4 << 20;

/// What is needed to check and to sign.
pub struct Material {
    signer: Option<Arc<dyn SigningKey>>,
    origin_seed: [u8; 32],
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    pub(super) sources: Vec<Source>,
    /// None where nothing is checked, so that nothing is fetched.
    pub(super) https: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("signs", &self.signer.is_some())
            .field("authorities", &self.anchors.len())
            .finish_non_exhaustive()
    }
}

/// What is wrong with a file of `[stir]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MaterialError {
    /// The key of the configuration.
    pub key: &'static str,
    /// What is wrong, with the file's name.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

impl Material {
    /// Reads the files that the settings name; a relative path begins at `base`. Servers of certificates are known by
    /// the authorities of `[tls]`.
    ///
    /// # Errors
    ///
    /// The first file that is not there or not what it should be.
    pub fn load(
        settings: &StirSettings,
        web: &TlsSettings,
        base: &Path,
    ) -> Result<Self, MaterialError> {
        let mut anchors = Vec::new();
        if let Some(file) = &settings.authorities {
            anchors = authorities(&base.join(file))?;
        }
        let (mut signer, mut origin_seed) = (None, [0; 32]);
        if let Some(file) = &settings.key {
            let (key, seed) = private_key(&base.join(file))?;
            if let Some(certificate) = &settings.certificate {
                is_of(&base.join(certificate), Arc::clone(&key))?;
            }
            (signer, origin_seed) = (Some(key), seed);
        }
        // What is wrong with the files of [tls] is told there.
        let https = settings.authorities.as_ref().and_then(|_| tls::web_client(web, base).ok());
        let sources = settings.sources.clone();
        Ok(Self { signer, origin_seed, anchors, sources, https: https.map(Arc::new) })
    }

    /// What the ids of origins are derived from: as secret as the key, and the same as long as that is.
    #[must_use]
    pub const fn origin_seed(&self) -> [u8; 32] {
        self.origin_seed
    }

    /// Signs with our key; `None` without one.
    pub(super) fn sign(&self, input: &[u8]) -> Option<Signature> {
        let signer = self.signer.as_ref()?;
        let signer = signer.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])?;
        from_der(&signer.sign(input).ok()?)
    }
}

fn wrong(key: &'static str, message: String, help: &'static str) -> MaterialError {
    MaterialError { key, message, help }
}

fn read(file: &Path, key: &'static str) -> Result<Vec<u8>, MaterialError> {
    let help = "name a PEM file that the daemon's user may read";
    let size = std::fs::metadata(file).map(|meta| meta.len());
    let bytes = size.and_then(|size| match size {
        0..=FILE_MAX => std::fs::read(file),
        _ => Err(std::io::Error::other("the file is larger than 4 MiB")),
    });
    bytes.map_err(|error| wrong(key, format!("{}: {error}", file.display()), help))
}

fn certificates(
    file: &Path,
    key: &'static str,
) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let bytes = read(file, key)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| {
        let message = format!("{} holds no certificate", file.display());
        wrong(key, message, "it must be in PEM form, with -----BEGIN CERTIFICATE-----")
    })
}

fn authorities(file: &Path) -> Result<Vec<TrustAnchor<'static>>, MaterialError> {
    let key = "authorities";
    let found = certificates(file, key)?;
    let anchors = found.iter().map(|certificate| {
        let anchor = webpki::anchor_from_trusted_cert(certificate);
        anchor.map(|anchor| anchor.to_owned()).map_err(|error| {
            let message = format!("{} holds an authority of no use: {error}", file.display());
            wrong(key, message, "name a PEM file with the certificates of authorities")
        })
    });
    anchors.collect()
}

fn private_key(file: &Path) -> Result<(Arc<dyn SigningKey>, [u8; 32]), MaterialError> {
    let key = "key";
    let bytes = read(file, key)?;
    let help = "it must be an EC key on the curve P-256 in PEM form: openssl ecparam -name prime256v1 -genkey -noout";
    let no_use = |why: &str| wrong(key, format!("{}: {why}", file.display()), help);
    let private = PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| no_use("there is no private key in it"))?;
    let seed = Sha256::new()
        .chain_update(b"tandem origin ids")
        .chain_update(private.secret_der())
        .finalize();
    let signer = any_ecdsa_type(&private).map_err(|_| no_use("the key is not an EC key"))?;
    let is_p256 = signer.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).is_some();
    if !is_p256 {
        return Err(no_use("the key is not on the curve P-256"));
    }
    Ok((signer, seed.into()))
}

/// Is the key the certificate's?
fn is_of(file: &Path, key: Arc<dyn SigningKey>) -> Result<(), MaterialError> {
    let chain = certificates(file, "certificate")?;
    CertifiedKey::new(chain, key).keys_match().map_err(|_| {
        let message = format!("the key is not the one of {}", file.display());
        wrong(
            "certificate",
            message,
            "the first certificate in the file must be the one of the key",
        )
    })
}
