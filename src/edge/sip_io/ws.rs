//! SIP over WebSocket (RFC 7118): one message of SIP in one message of the socket.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant as Deadline, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{
    Callback, ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::tcp::{FIRST_TIMEOUT, IDLE_TIMEOUT, Said, WRITE_TIMEOUT};
use crate::proto::sip::message::{MESSAGE_MAX, Packet};

/// How long a client may take to ask for the WebSocket.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);
/// The sub-protocol that both have to name (RFC 7118 §4.1).
const SUB_PROTOCOL: &str = "sip";

/// Agrees on the sub-protocol; refuses who does not offer it.
struct Agree;

impl Callback for Agree {
    fn on_request(
        self,
        request: &Request,
        mut response: Response,
    ) -> Result<Response, ErrorResponse> {
        let key = "Sec-WebSocket-Protocol";
        let offered = request.headers().get_all(key).iter().filter_map(|value| value.to_str().ok());
        let is_sip = |word: &str| word.trim().eq_ignore_ascii_case(SUB_PROTOCOL);
        if !offered.flat_map(|value| value.split(',')).any(is_sip) {
            let words = Some("offer the sub-protocol sip (RFC 7118)\n".to_owned());
            let mut refusal = ErrorResponse::new(words);
            *refusal.status_mut() = StatusCode::BAD_REQUEST;
            return Err(refusal);
        }
        response.headers_mut().insert(key, HeaderValue::from_static(SUB_PROTOCOL));
        Ok(response)
    }
}

/// Reads and writes one WebSocket until either side is done with it.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    id: u64,
    stream: S,
    remote: SocketAddr,
    said: mpsc::Sender<Said>,
    packets: mpsc::Receiver<Packet>,
) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX))
        // What a client does not read is not kept without end.
        .max_write_buffer_size(4 * MESSAGE_MAX);
    let upgrade = accept_hdr_async_with_config(stream, Agree, Some(config));
    match timeout(UPGRADE_TIMEOUT, upgrade).await {
        Ok(Ok(socket)) => exchange(id, socket, &said, packets).await,
        Ok(Err(error)) => tracing::debug!(%remote, %error, "no WebSocket"),
        Err(_) => tracing::debug!(%remote, "the WebSocket was not asked for in time"),
    }
    let _ = said.send(Said::Gone(id)).await;
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    id: u64,
    mut socket: WebSocketStream<S>,
    said: &mpsc::Sender<Said>,
    mut packets: mpsc::Receiver<Packet>,
) {
    let mut deadline = Deadline::now() + FIRST_TIMEOUT;
    loop {
        tokio::select! {
            frame = timeout_at(deadline, socket.next()) => {
                // Pings are answered by the library when it is read or written next.
                let bytes = match frame {
                    Ok(Some(Ok(Frame::Text(text)))) => text.as_bytes().to_vec(),
                    Ok(Some(Ok(Frame::Binary(bytes)))) => bytes.to_vec(),
                    Ok(Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_)))) => continue,
                    Ok(Some(Ok(Frame::Close(_)) | Err(_)) | None) | Err(_) => break,
                };
                // Some clients keep their connection alive as on a stream (RFC 5626 §3.5.1).
                if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                    let pong = Frame::text("\r\n");
                    if !matches!(timeout(WRITE_TIMEOUT, socket.send(pong)).await, Ok(Ok(()))) {
                        break;
                    }
                    continue;
                }
                deadline = Deadline::now() + IDLE_TIMEOUT;
                if said.send(Said::Frame(id, bytes)).await.is_err() {
                    break;
                }
            }
            packet = packets.recv() => {
                let Some(packet) = packet else { break };
                let frame = match std::str::from_utf8(&packet) {
                    Ok(text) => Frame::text(text),
                    Err(_) => Frame::binary(packet.to_vec()),
                };
                if !matches!(timeout(WRITE_TIMEOUT, socket.send(frame)).await, Ok(Ok(()))) {
                    break;
                }
            }
        }
    }
    let _ = timeout(WRITE_TIMEOUT, socket.close(None)).await;
}
