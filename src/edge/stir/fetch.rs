//! One certificate chain from its address (RFC 8224 §4): https, listed hosts, no redirects, bounded in every way.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT, CACHE_CONTROL, HOST, HeaderMap, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

use super::certificate::Chain;
use super::material::Material;
use crate::proto::stir::source::{CertificateUrl, is_address_allowed};
use crate::proto::stir::{Failure, Kind};

/// How long a fetch may take with everything; the call waits a second longer.
const FETCH_TIME: Duration = Duration::from_secs(2);
/// Bytes of an answer; a chain has some thousands.
const BODY_MAX: usize = 64 << 10;
/// Bytes of its head.
const HEAD_MAX: usize = 16 << 10;
/// Certificates of a chain.
const CHAIN_MAX: usize = 8;
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 3;
/// How long a chain is kept: what its server says, within these bounds. The shortest keeps every call from asking.
const KEPT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));
/// How long where it says nothing.
const KEPT_USUALLY: Duration = Duration::from_secs(3600);

/// A chain, and how long it may be kept.
pub(super) type Fetched = Result<(Chain, Duration), Failure>;

const fn bad(why: &'static str) -> Failure {
    Failure::new(Kind::BadInfo, why)
}

/// Fetches a chain. Whether the host may be asked at all was looked at before.
pub(super) async fn fetch(url: &CertificateUrl, material: &Material) -> Fetched {
    let fetched = timeout(FETCH_TIME, fetch_slowly(url, material)).await;
    fetched.unwrap_or(Err(bad("the certificate's server took too long")))
}

async fn fetch_slowly(url: &CertificateUrl, material: &Material) -> Fetched {
    let https = material.https.as_ref().ok_or(bad("there is no TLS to fetch by"))?;
    let stream = connect(url, material).await?;
    let name = ServerName::try_from(url.host.clone()).map_err(|_| bad("the host has no name"))?;
    let tls = TlsConnector::from(Arc::clone(https)).connect(name, stream);
    let tls = tls.await.map_err(|error| {
        tracing::debug!(host = %url.host, %error, "no TLS for a certificate");
        bad("the certificate's server is not who it should be")
    })?;
    let failed = |_: hyper::Error| bad("the certificate's server broke off");
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake::<_, String>(TokioIo::new(tls))
        .await
        .map_err(failed)?;
    // It ends with its sender.
    tokio::spawn(connection);
    let request = Request::get(url.path.as_str())
        .header(HOST, url.authority())
        .header(USER_AGENT, "Tandem")
        .header(ACCEPT, "application/pem-certificate-chain, application/pkix-cert, */*;q=0.1")
        .body(String::new())
        .map_err(|_| bad("the certificate's address cannot be asked for"))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    if response.status() != StatusCode::OK {
        tracing::debug!(host = %url.host, status = %response.status(), "no certificate");
        // Redirects lead where nobody has looked at the list.
        return Err(bad(if response.status().is_redirection() {
            "the certificate's server sends us elsewhere"
        } else {
            "the certificate's server does not have it"
        }));
    }
    let kept = kept(response.headers());
    let body = read(response.into_body()).await?;
    let chain = Chain::new(certificates(&body).ok_or(bad("what was fetched is no certificate"))?);
    Ok((chain?, kept))
}

async fn connect(url: &CertificateUrl, material: &Material) -> Result<TcpStream, Failure> {
    let unknown = bad("the certificate's server has no address");
    let addresses: Vec<SocketAddr> = match url.host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, url.port)],
        Err(_) => {
            let found = lookup_host((url.host.as_str(), url.port)).await;
            found.map_err(|_| unknown)?.collect()
        }
    };
    let mut last = unknown;
    for address in addresses.into_iter().take(ADDRESSES_MAX) {
        if !is_address_allowed(&material.sources, address.ip()) {
            last = bad("the certificate's server lies inside");
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(_) => last = bad("the certificate's server cannot be reached"),
        }
    }
    Err(last)
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| bad("the certificate's server broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > BODY_MAX {
            return Err(bad("what was fetched is too large for a certificate"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// PEM with the chain, or one certificate as DER.
fn certificates(body: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    if body.first() == Some(&0x30) {
        return Some(vec![CertificateDer::from(body.to_vec())]);
    }
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(body).take(CHAIN_MAX + 1).collect();
    chain.ok().filter(|chain| (1..=CHAIN_MAX).contains(&chain.len()))
}

/// How long an answer may be kept (RFC 9111 §5.2.2).
fn kept(headers: &HeaderMap) -> Duration {
    let text = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut kept = KEPT_USUALLY;
    for word in text.split(',').map(str::trim) {
        let lower = word.to_ascii_lowercase();
        if lower == "no-store" || lower == "no-cache" {
            kept = Duration::ZERO;
        } else if let Some(seconds) = lower.strip_prefix("max-age=") {
            kept = seconds.parse().map_or(kept, Duration::from_secs);
        }
    }
    kept.clamp(KEPT.0, KEPT.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_kept_within_bounds() {
        for (text, seconds) in [
            ("", 3600),
            ("max-age=120", 120),
            ("public, Max-Age=7200", 7200),
            ("no-store", 60),
            ("max-age=1", 60),
            ("max-age=99999999", 86_400),
            ("max-age=x", 3600),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, text.parse().unwrap());
            assert_eq!(kept(&headers).as_secs(), seconds, "{text}");
        }
    }
}
