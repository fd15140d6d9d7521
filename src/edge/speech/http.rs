//! One request to a provider: HTTP/1.1, plain or by TLS, no redirects, bounded in every way.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::switch::speech::ServerUrl;

/// Bytes of the head of an answer.
const HEAD_MAX: usize = 16 << 10;
/// Characters of a refusal that are told.
const WORDS_MAX: usize = 200;

/// Why there is no answer.
#[derive(Debug)]
pub enum HttpError {
    /// The server cannot be reached, or broke off.
    Lost(String),
    /// It took too long.
    TooLate,
    /// It sent more than was to be expected.
    TooLong,
    /// It said something else than 200.
    Refused(u16, String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(why) => write!(f, "the server cannot be reached: {why}"),
            Self::TooLate => f.write_str("the server took too long"),
            Self::TooLong => f.write_str("the server sent too much"),
            Self::Refused(status, words) => write!(f, "the server said {status}: {words}"),
        }
    }
}

impl std::error::Error for HttpError {}

fn lost(error: impl fmt::Display) -> HttpError {
    HttpError::Lost(error.to_string())
}

/// What is asked of a server.
#[derive(Debug)]
pub(super) struct Post<'a> {
    pub(super) url: &'a ServerUrl,
    pub(super) key: Option<&'a str>,
    pub(super) content_type: &'a str,
    pub(super) body: Vec<u8>,
}

/// Asks, and returns the body of a 200 of at most so many bytes.
pub(super) async fn post(
    post: Post<'_>,
    https: Option<&Arc<ClientConfig>>,
    (within, bytes_max): (Duration, usize),
) -> Result<Vec<u8>, HttpError> {
    let asked = timeout(within, async {
        let stream = connect(post.url, https).await?;
        exchange(stream, post, bytes_max).await
    });
    asked.await.unwrap_or(Err(HttpError::TooLate))
}

/// What a connection is, plain or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to a server.
pub(super) async fn connect(
    url: &ServerUrl,
    https: Option<&Arc<ClientConfig>>,
) -> Result<Box<dyn Stream>, HttpError> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(lost)?;
    if !url.is_secure {
        return Ok(Box::new(stream));
    }
    let https = https.ok_or_else(|| lost("there is no TLS"))?;
    let name = ServerName::try_from(url.host.clone()).map_err(lost)?;
    let tls = TlsConnector::from(Arc::clone(https)).connect(name, stream).await;
    Ok(Box::new(tls.map_err(lost)?))
}

async fn exchange(
    stream: Box<dyn Stream>,
    post: Post<'_>,
    bytes_max: usize,
) -> Result<Vec<u8>, HttpError> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_MAX)
        .handshake::<_, http_body::Whole>(TokioIo::new(stream))
        .await
        .map_err(lost)?;
    // It ends with its sender.
    tokio::spawn(connection);
    let mut request = Request::post(post.url.path.as_str())
        .header(HOST, post.url.authority())
        .header(USER_AGENT, "Tandem")
        .header(CONTENT_TYPE, post.content_type);
    if let Some(key) = post.key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    let request = request.body(http_body::Whole::new(post.body)).map_err(lost)?;
    let response = sender.send_request(request).await.map_err(lost)?;
    let status = response.status();
    if status == StatusCode::OK {
        return read(response.into_body(), bytes_max).await;
    }
    let words = read(response.into_body(), HEAD_MAX).await.unwrap_or_default();
    let words: String = String::from_utf8_lossy(&words)
        .chars()
        .map(|sign| if sign.is_control() { ' ' } else { sign })
        .take(WORDS_MAX)
        .collect();
    Err(HttpError::Refused(status.as_u16(), words))
}

async fn read(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, HttpError> {
    let mut bytes = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(lost)?.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(HttpError::TooLong);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// A body that is sent in one piece.
mod http_body {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::{Body, Bytes, Frame, SizeHint};

    #[derive(Debug)]
    pub(super) struct Whole(Option<Bytes>);

    impl Whole {
        pub(super) fn new(bytes: Vec<u8>) -> Self {
            Self(Some(Bytes::from(bytes)))
        }
    }

    impl Body for Whole {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
        }
    }
}
