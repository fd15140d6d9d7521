//! An authority for certificates, and connections under TLS and as WebSockets: by libraries, not by the daemon's
//! code around them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{WebSocket, client};

/// Anything that is read and written.
pub trait Duplex: Read + Write + Send + Sync {}
impl<T: Read + Write + Send + Sync> Duplex for T {}

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// Its own certificate, as PEM.
    pub pem: String,
}

impl Authority {
    /// A new one, which nobody knows yet.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Another name than that of what it signs, which OpenSSL would take for signed by itself.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for these names with its key, as one PEM text. A name with a colon is a URI.
    pub fn certify(&self, names: &[&str]) -> String {
        let (uris, names): (Vec<&str>, Vec<&str>) =
            names.iter().copied().partition(|name| name.starts_with("sip:"));
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let uris = uris.into_iter().map(|uri| SanType::URI(uri.try_into().unwrap()));
        params.subject_alt_names.extend(uris);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        format!("{}{}", certificate.pem(), key.serialize_pem())
    }

    fn client_config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// Connects and wants to meet `name`, certified by this authority.
    pub fn connect(
        &self,
        server: SocketAddr,
        name: &str,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(self.client_config()), name).unwrap();
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}

/// The server's side of a connection with a certificate that [`Authority::certify`] made. The second value is the
/// name that the client asked for.
pub fn accept(
    stream: TcpStream,
    pem: &str,
) -> io::Result<(StreamOwned<ServerConnection, TcpStream>, Option<String>)> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.unwrap(), key)
        .unwrap();
    let connection = ServerConnection::new(Arc::new(config)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    let name = stream.conn.server_name().map(str::to_owned);
    Ok((stream, name))
}

/// Asks for a WebSocket with this sub-protocol on a connection that is there.
///
/// # Errors
///
/// The server's refusal, in words.
pub fn web_socket(
    stream: impl Duplex + 'static,
    sub_protocol: &str,
) -> Result<WebSocket<Box<dyn Duplex>>, String> {
    let mut request = "ws://tandem.invalid/".into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", sub_protocol.parse().unwrap());
    let stream: Box<dyn Duplex> = Box::new(stream);
    client(request, stream).map(|(socket, _)| socket).map_err(|error| error.to_string())
}
