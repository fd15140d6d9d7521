//! TLS of SIP connections: our certificates, and the names that servers have to show (RFC 5922).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{
    ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier,
};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};
use webpki::EndEntityCert;

use crate::switch::snapshot::TlsSettings;

/// Where Debian and most others keep the authorities that the system trusts.
const SYSTEM_AUTHORITIES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// Bytes of one file of certificates; the system's bundle has a quarter of a megabyte.
const FILE_MAX: u64 = 16 << 20;

/// What connections need of TLS; cheap to clone. A new one takes the place of the old one, and what is
/// connected stays as it is.
#[derive(Clone)]
pub struct Tls {
    /// None without certificates: nothing can be listened on.
    pub(super) server: Option<Arc<ServerConfig>>,
    pub(super) client: Arc<ClientConfig>,
    /// The same certificates, for whoever fetches files: it is not asked for one of its own.
    web: Option<Arc<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("listens", &self.server.is_some()).finish_non_exhaustive()
    }
}

/// What is wrong with a file of `[tls]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsError {
    /// The key of the configuration.
    pub key: &'static str,
    /// What is wrong, with the file's name.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

impl Tls {
    /// Reads the files that the settings name; a relative path begins at `base`.
    ///
    /// # Errors
    ///
    /// The first file that is not there or not what it should be.
    pub fn load(settings: &TlsSettings, base: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let mut keys = Vec::with_capacity(settings.certificates.len());
        for file in &settings.certificates {
            keys.push(Arc::new(certified_key(&base.join(file), &provider)?));
        }
        let (server, web) = match keys.first() {
            None => (None, None),
            Some(_) => {
                // Phones have certificates of their makers, which nobody here knows.
                let open = TlsSettings { client_authorities: None, ..settings.clone() };
                let sip = server(settings, base, keys.clone(), &provider)?;
                let web = server(&open, base, keys.clone(), &provider)?;
                (Some(Arc::new(sip)), Some(Arc::new(web)))
            }
        };
        let client = Arc::new(client(settings, base, keys.first(), provider)?);
        Ok(Self { server, client, web })
    }

    /// What phones are shown that fetch their files.
    #[must_use]
    pub fn web(&self) -> Option<Arc<ServerConfig>> {
        self.web.clone()
    }
}

fn server(
    settings: &TlsSettings,
    base: &Path,
    keys: Vec<Arc<CertifiedKey>>,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, TlsError> {
    let key = "client_authorities";
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider));
    let builder =
        builder.with_safe_default_protocol_versions().map_err(|error| broken(key, error))?;
    let builder = match &settings.client_authorities {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(roots(&base.join(file), key)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
                // Phones without a certificate log in with their password, as everywhere.
                .allow_unauthenticated()
                .build()
                .map_err(|error| broken(key, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    Ok(builder.with_cert_resolver(Arc::new(Chooser { keys })))
}

fn client(
    settings: &TlsSettings,
    base: &Path,
    own: Option<&Arc<CertifiedKey>>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, TlsError> {
    let key = "authorities";
    let authorities = authorities(settings, base)?;
    let verifier = Arc::new(NameChecker {
        authorities,
        takes_wildcards: settings.wildcards,
        provider: Arc::clone(&provider),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(key, error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match own {
        None => builder.with_no_client_auth(),
        // Carriers that ask for a certificate are shown the first of ours.
        Some(own) => {
            let own = SingleCertAndKey::from(CertifiedKey::clone(own));
            builder.with_client_cert_resolver(Arc::new(own))
        }
    })
}

/// What certificates of callers are fetched with: servers of the web, known by their names in the usual way
/// (RFC 9110 §4.3.4) and the same authorities.
///
/// # Errors
///
/// The file of the authorities is not what it should be.
pub fn web_client(settings: &TlsSettings, base: &Path) -> Result<ClientConfig, TlsError> {
    let key = "authorities";
    let authorities = authorities(settings, base)?;
    Ok(ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| broken(key, error))?
        .with_root_certificates(authorities)
        .with_no_client_auth())
}

fn authorities(settings: &TlsSettings, base: &Path) -> Result<RootCertStore, TlsError> {
    let key = "authorities";
    Ok(match &settings.authorities {
        Some(file) => roots(&base.join(file), key)?,
        // A machine without any is still of use: it connects to nobody by TLS.
        None => SYSTEM_AUTHORITIES
            .iter()
            .find_map(|file| roots(Path::new(file), key).ok())
            .unwrap_or_else(RootCertStore::empty),
    })
}

fn broken(key: &'static str, error: impl fmt::Display) -> TlsError {
    TlsError { key, message: error.to_string(), help: "see the README on TLS" }
}

fn read(file: &Path, key: &'static str) -> Result<Vec<u8>, TlsError> {
    let wrong = |message: String, help| TlsError { key, message, help };
    let size = std::fs::metadata(file).map(|meta| meta.len());
    match size
        .and_then(|size| if size > FILE_MAX { Ok(None) } else { std::fs::read(file).map(Some) })
    {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            Err(wrong(format!("{} is larger than 16 MiB", file.display()), "name a PEM file"))
        }
        Err(error) => {
            let help = "name a PEM file that the daemon's user may read";
            Err(wrong(format!("{}: {error}", file.display()), help))
        }
    }
}

fn chain(
    bytes: &[u8],
    file: &Path,
    key: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(TlsError {
            key,
            message: format!("{} holds no certificate", file.display()),
            help: "it must be in PEM form, with -----BEGIN CERTIFICATE-----",
        }),
    }
}

/// A chain and its key: in one file, or with the key beside it as `privkey.pem` (where certbot puts it) or under
/// the same name with the ending `.key`.
fn certified_key(file: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let key = "certificates";
    let wrong = |message: String, help| TlsError { key, message, help };
    let bytes = read(file, key)?;
    let chain = chain(&bytes, file, key)?;
    let beside: [PathBuf; 2] = [file.with_extension("key"), file.with_file_name("privkey.pem")];
    let private = PrivateKeyDer::from_pem_slice(&bytes).ok().or_else(|| {
        beside.iter().find_map(|file| PrivateKeyDer::from_pem_slice(&read(file, key).ok()?).ok())
    });
    let Some(private) = private else {
        let message = format!("no private key was found for {}", file.display());
        return Err(wrong(
            message,
            "put it into the same file, or beside it as privkey.pem or NAME.key",
        ));
    };
    CertifiedKey::from_der(chain, private, provider).map_err(|error| {
        let message = format!("the key of {} is of no use: {error}", file.display());
        wrong(message, "the first certificate in the file must be the one of the key")
    })
}

fn roots(file: &Path, key: &'static str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // Some authorities of a system's bundle are too odd for anybody to use; the others serve.
    let (added, _) = roots.add_parsable_certificates(chain(&read(file, key)?, file, key)?);
    if added > 0 {
        return Ok(roots);
    }
    let message = format!("{} holds no authority that can be used", file.display());
    Err(TlsError { key, message, help: "name a PEM file with the certificates of authorities" })
}

/// Chooses our certificate by the name that the client asks for (RFC 6066 §3); the first one without a name, or
/// when none has it.
#[derive(Debug)]
struct Chooser {
    keys: Vec<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let has_name = |key: &&Arc<CertifiedKey>| {
            let certificate = key.cert.first().and_then(|der| EndEntityCert::try_from(der).ok());
            let (Some(name), Some(certificate)) = (&name, certificate) else { return false };
            certificate.verify_is_valid_for_subject_name(name).is_ok()
        };
        self.keys.iter().find(has_name).or(self.keys.first()).cloned()
    }
}

/// Checks a server's chain, and that it is the domain that was looked up (RFC 5922 §7).
#[derive(Debug)]
struct NameChecker {
    authorities: RootCertStore,
    takes_wildcards: bool,
    provider: Arc<CryptoProvider>,
}

impl NameChecker {
    /// A SIP URI in the certificate names domains before its DNS names do (§7.1), and a wildcard names none (§7.2).
    fn is_of(&self, certificate: &EndEntityCert<'_>, name: &ServerName<'_>) -> bool {
        let ServerName::DnsName(domain) = name else {
            return certificate.verify_is_valid_for_subject_name(name).is_ok();
        };
        let domain = domain.as_ref();
        let of_uri = |uri: &str| uri.strip_prefix("sip:").map(str::to_owned);
        let uris: Vec<String> = certificate.valid_uri_names().filter_map(of_uri).collect();
        if !uris.is_empty() {
            return uris.iter().any(|uri| uri.eq_ignore_ascii_case(domain));
        }
        certificate.valid_dns_names().any(|known| known.eq_ignore_ascii_case(domain))
            || self.takes_wildcards && certificate.verify_is_valid_for_subject_name(name).is_ok()
    }
}

impl ServerCertVerifier for NameChecker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.authorities,
            intermediates,
            now,
            algorithms,
        )?;
        let certificate = EndEntityCert::try_from(end_entity)
            .map_err(|_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.is_of(&certificate, server_name) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            expected: server_name.to_owned(),
            presented: certificate.valid_dns_names().map(str::to_owned).collect(),
        }))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
