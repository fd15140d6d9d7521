//! The server that phones fetch their files from: HTTP/1.1 under TLS, GET and HEAD.
//!
//! It has a thread of its own, since a house that comes back after a power cut makes a handshake for every phone at
//! once, and each takes a millisecond that signalling should not wait for. It knows nothing: whose a token is, and who
//! is banned, it asks of the switchboard, which owns both.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::brand::File;
use super::request::{Wanted, wanted};
use super::templates::Templates;
use super::values::Values;
use crate::switch::device::WebListen;
use crate::switch::guard::Source;

/// Connections at the same time. When all are taken the next one waits in the system's queue.
const CONNECTIONS_MAX: usize = 256;
/// Those of one address (of one network of 64 bits in IPv6), which may be a house behind its NAT; a further one is closed
/// at once.
const SOURCE_MAX: usize = 64;
/// Bytes of a request's head; a larger one is answered 431.
const HEAD_MAX: usize = 8 << 10;
/// Lines of it.
const HEADERS_MAX: usize = 64;
/// Requests on one connection; the answer to the last says that it is.
const REQUESTS_MAX: u32 = 32;
/// How long the switchboard may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted, which otherwise would be tried again at once and for ever.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long a client may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// To agree on TLS.
    pub(super) handshake: Duration,
    /// To send the head of a request, and between two.
    pub(super) head: Duration,
    /// With everything, reading the answers too: no phone needs a tenth of it.
    pub(super) whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [handshake, head, whole] = [10, 10, 60].map(Duration::from_secs);
        Self { handshake, head, whole }
    }
}

/// What the server asks. There are tokens in it, so it has no `Debug`.
pub enum Ask {
    /// May this source connect?
    Connection {
        /// Who.
        source: IpAddr,
        /// Takes the answer.
        reply: oneshot::Sender<bool>,
    },
    /// What is behind this token and name?
    File {
        /// Who asks.
        source: IpAddr,
        /// The token.
        token: String,
        /// The file's name; empty for the main one.
        file: String,
        /// Takes the answer.
        reply: oneshot::Sender<Fetched>,
    },
}

/// The answer to a request for a file.
pub enum Fetched {
    /// The source is banned: it gets no answer.
    Silence,
    /// There is no such token, or no such file, or it is not for this device: nobody is told which.
    Nothing,
    /// This phone asked too often of late.
    TooMany,
    /// A file, to be made from these.
    File {
        /// The templates in force.
        templates: Templates,
        /// What goes into it.
        values: Box<Values>,
        /// Which.
        file: File,
    },
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silence => "Silence",
            Self::Nothing => "Nothing",
            Self::TooMany => "TooMany",
            Self::File { .. } => "File",
        })
    }
}

/// The certificates that are shown from now on.
type Shown = watch::Receiver<Option<Arc<ServerConfig>>>;

/// The server's thread.
#[derive(Debug)]
pub struct WebServer {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    /// Where it listens.
    pub addresses: Vec<WebListen>,
}

impl WebServer {
    /// Binds the listeners and serves them.
    ///
    /// # Errors
    ///
    /// The first socket that cannot be bound, with its address, or a thread that cannot be started.
    pub fn start(listen: &[WebListen], tls: Shown, asks: mpsc::Sender<Ask>) -> io::Result<Self> {
        let mut listeners = Vec::with_capacity(listen.len());
        let mut addresses = Vec::with_capacity(listen.len());
        for wish in listen {
            let words = |error: io::Error| {
                io::Error::new(error.kind(), format!("cannot listen on {wish}: {error}"))
            };
            let listener = bind(wish.address).map_err(words)?;
            addresses.push(WebListen { address: listener.local_addr()?, ..*wish });
            listeners.push((listener, wish.is_secure));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let context = Context::new(asks, Patience::default());
        let thread = std::thread::Builder::new()
            .name("provisioning".to_owned())
            .spawn(move || runtime.block_on(run(listeners, tls, context, stopped)))?;
        Ok(Self { stop, thread, addresses })
    }

    /// Ends it; whoever is being served is cut off. Blocks: not for async tasks.
    pub fn stop(self) {
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            tracing::error!("the provisioning server had failed");
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// What every connection works with.
#[derive(Clone)]
pub(super) struct Context {
    asks: mpsc::Sender<Ask>,
    patience: Patience,
    places: Arc<Semaphore>,
    by_source: Arc<Mutex<HashMap<Source, usize>>>,
}

impl Context {
    pub(super) fn new(asks: mpsc::Sender<Ask>, patience: Patience) -> Self {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { asks, patience, places, by_source: Arc::default() }
    }

    /// A place among those of a source, if it has one left.
    fn place_of(&self, source: IpAddr) -> Option<Place> {
        // Whoever has one address of IPv6 has all of its network.
        let source = Source::of(source);
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_source.entry(source).or_default();
        if *count >= SOURCE_MAX {
            return None;
        }
        *count += 1;
        Some(Place { source, by_source: Arc::clone(&self.by_source) })
    }
}

/// A connection's place among those of its source, given back in the end.
struct Place {
    source: Source,
    by_source: Arc<Mutex<HashMap<Source, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&self.source);
            }
        }
    }
}

/// Serves until it is told to stop; then all tasks end with the runtime.
async fn run(
    listeners: Vec<(StdListener, bool)>,
    tls: Shown,
    context: Context,
    mut stopped: watch::Receiver<bool>,
) {
    for (listener, is_secure) in listeners {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                let tls = is_secure.then(|| tls.clone());
                tokio::spawn(accept(listener, tls, context.clone()));
            }
            Err(error) => tracing::error!(%error, "a provisioning listener is lost"),
        }
    }
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn accept(listener: TcpListener, tls: Option<Shown>, context: Context) {
    loop {
        let Ok(room) = Arc::clone(&context.places).acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "no connection for provisioning");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let source = from.ip().to_canonical();
        // Dropping the stream closes it; the peer sees that at once.
        let Some(place) = context.place_of(source) else { continue };
        let (tls, context) = (tls.clone(), context.clone());
        tokio::spawn(async move {
            connection(stream, source, tls, &context).await;
            drop((place, room));
        });
    }
}

async fn connection(stream: TcpStream, source: IpAddr, tls: Option<Shown>, context: &Context) {
    let _ = stream.set_nodelay(true);
    let (reply, answer) = oneshot::channel();
    if !ask(context, Ask::Connection { source, reply }, answer).await.unwrap_or(false) {
        return;
    }
    let Some(tls) = tls else { return serve(stream, source, context).await };
    let Some(config) = tls.borrow().clone() else { return };
    let handshake = TlsAcceptor::from(config).accept(stream);
    match timeout(context.patience.handshake, handshake).await {
        Ok(Ok(stream)) => serve(stream, source, context).await,
        Ok(Err(error)) => tracing::debug!(%source, %error, "no TLS for provisioning"),
        Err(_) => tracing::debug!(%source, "no TLS for provisioning in time"),
    }
}

/// Serves one connection, whatever carries it.
pub(super) async fn serve<S>(stream: S, source: IpAddr, context: &Context)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let served = AtomicU32::new(0);
    let service = service_fn(|request| {
        let is_last = served.fetch_add(1, Relaxed) + 1 >= REQUESTS_MAX;
        async move {
            let mut answer = answer(&request, source, context).await?;
            if is_last {
                close(&mut answer);
            }
            Ok::<_, Silence>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(context.patience.head)
        .max_buf_size(HEAD_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(context.patience.whole, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%source, %error, "provisioning connection"),
        Err(_) => tracing::debug!(%source, "provisioning connection took too long"),
    }
}

/// The source gets no answer: its connection is closed.
#[derive(Debug)]
struct Silence;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the source is banned")
    }
}

impl std::error::Error for Silence {}

async fn answer(
    request: &Request<Incoming>,
    source: IpAddr,
    context: &Context,
) -> Result<Response<String>, Silence> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        // Whatever its body is, nobody reads it.
        close(&mut answer);
        return Ok(answer);
    }
    // A path that is none of ours is a guess like any other.
    let Wanted { token, file } = wanted(request.uri().path())
        .unwrap_or_else(|| Wanted { token: String::new(), file: String::new() });
    let (reply, answer) = oneshot::channel();
    match ask(context, Ask::File { source, token, file, reply }, answer).await {
        Some(Fetched::Silence) => Err(Silence),
        Some(Fetched::Nothing) => Ok(plain(StatusCode::NOT_FOUND, "Not found")),
        Some(Fetched::File { templates, values, file }) => Ok(made(&templates, &values, file)),
        Some(Fetched::TooMany) => Ok(later(StatusCode::TOO_MANY_REQUESTS, "Too often")),
        None => Ok(later(StatusCode::SERVICE_UNAVAILABLE, "Busy")),
    }
}

fn later(status: StatusCode, words: &str) -> Response<String> {
    let mut answer = plain(status, words);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    answer
}

fn made(templates: &Templates, values: &Values, file: File) -> Response<String> {
    match templates.render(file.template, values) {
        Ok(text) => {
            let mut answer = plain(StatusCode::OK, "");
            *answer.body_mut() = text;
            let kind = HeaderValue::from_static(file.content_type);
            answer.headers_mut().insert(header::CONTENT_TYPE, kind);
            answer
        }
        Err(error) => {
            tracing::error!(template = file.template, %error, "a phone's file could not be made");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "Failed")
        }
    }
}

fn plain(status: StatusCode, words: &str) -> Response<String> {
    let body = if words.is_empty() { String::new() } else { format!("{words}\n") };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // There are passwords in it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn close(answer: &mut Response<String>) {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Asks the switchboard; `None` if it is too busy, or gone.
async fn ask<T>(context: &Context, ask: Ask, answer: oneshot::Receiver<T>) -> Option<T> {
    context.asks.try_send(ask).ok()?;
    timeout(ASK_TIMEOUT, answer).await.ok()?.ok()
}
