//! A scripted phone: raw text over a real socket, with a digest and an RTP stream of its own. It shares no
//! code with the daemon.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use md5::{Digest, Md5};
use tandem::edge::clock::Clock;
use tandem::proto::time::Instant;

use super::tone;
use super::wire::Wire;

/// How long a phone waits for a message before its test fails.
const SILENCE: Duration = Duration::from_secs(10);

/// One phone with a SIP socket and an RTP socket.
pub struct Phone {
    /// Its extension.
    pub extension: String,
    secret: String,
    server: SocketAddr,
    wire: Wire,
    rtp: UdpSocket,
    clock: Clock,
    cseq: u32,
    branch: u32,
    /// Packets of audio sent so far: the stream goes on where it was.
    sent: AtomicUsize,
    /// What its description says instead of its RTP port.
    pub claimed_audio_port: Option<u16>,
    /// The host that the Contact of its answers names instead of its address.
    pub claimed_host: Option<String>,
    /// What the addresses that it calls begin with: `sip` or `sips`.
    pub scheme: &'static str,
    /// What its next description says: `sendrecv`, `sendonly` and so on.
    pub direction: &'static str,
    /// Further lines of its description.
    pub sdp_extra: String,
    /// Further header lines of its INVITEs.
    pub headers: String,
    /// The first answer to the last INVITE that was not a challenge.
    pub last_answer: String,
    /// Every message, sent and received, first lines only.
    pub log: Vec<String>,
}

/// A dialog in the phone's own words.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    call_id: String,
    from: String,
    to: String,
    target: String,
    /// Where the audio goes.
    pub audio: Option<SocketAddr>,
}

/// What arrived on the RTP socket.
#[derive(Debug, Default)]
pub struct Received {
    /// Decoded audio, in order of arrival.
    pub samples: Vec<i16>,
    /// Packets.
    pub packets: usize,
    /// Sequence numbers that were skipped.
    pub missing: usize,
    /// Different SSRCs seen.
    pub ssrcs: Vec<u32>,
    /// Sequence number and timestamp of each packet.
    pub stamps: Vec<(u16, u32)>,
}

impl Talk {
    /// The Contact of the peer.
    pub fn target_of_peer(&self) -> &str {
        &self.target
    }
}

impl Phone {
    /// A phone that will register with `server`, over UDP.
    pub fn new(extension: &str, secret: &str, server: SocketAddr) -> Self {
        Self::over(extension, secret, server, Wire::udp(server))
    }

    /// The same over a connection of its own.
    pub fn tcp(extension: &str, secret: &str, server: SocketAddr) -> Self {
        Self::over(extension, secret, server, Wire::tcp(server))
    }

    /// The same over a way that is there already.
    pub fn over(extension: &str, secret: &str, server: SocketAddr, wire: Wire) -> Self {
        Self {
            extension: extension.to_owned(),
            secret: secret.to_owned(),
            server,
            wire,
            rtp: UdpSocket::bind((server.ip(), 0)).unwrap(),
            clock: Clock::start(),
            cseq: 1,
            branch: 0,
            sent: AtomicUsize::new(0),
            claimed_audio_port: None,
            claimed_host: None,
            scheme: "sip",
            direction: "sendrecv",
            sdp_extra: String::new(),
            headers: String::new(),
            last_answer: String::new(),
            log: Vec::new(),
        }
    }

    /// The SIP socket, for who goes on with it in another way.
    pub fn into_sip_socket(self) -> UdpSocket {
        match self.wire {
            Wire::Udp(socket, _) => socket,
            _ => panic!("a connection is no datagram socket"),
        }
    }

    /// Its own SIP address.
    pub fn local(&self) -> SocketAddr {
        self.wire.local()
    }

    /// Where its audio really comes from.
    pub fn audio_address(&self) -> SocketAddr {
        self.rtp.local_addr().unwrap()
    }

    /// Sends a message, or anything else.
    pub fn send(&mut self, text: &str) {
        self.log.push(format!("{} sends {}", self.extension, text.lines().next().unwrap_or("")));
        self.wire.send(text.as_bytes(), self.server);
    }

    /// The next message; panics after some seconds of silence.
    pub fn receive(&mut self) -> String {
        let text = self
            .wire
            .receive(SILENCE)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", self.extension, self.log.join("\n")));
        self.log.push(format!("{} gets {}", self.extension, text.lines().next().unwrap_or("")));
        text
    }

    /// Where the last datagram came from.
    pub fn heard_from(&self) -> Option<SocketAddr> {
        self.wire.heard_from()
    }

    /// The next message whose first line contains `what`; others are passed over.
    pub fn expect(&mut self, what: &str) -> String {
        for _ in 0..20 {
            let text = self.receive();
            if text.lines().next().is_some_and(|line| line.contains(what)) {
                return text;
            }
        }
        panic!("{}: no {what}\n{}", self.extension, self.log.join("\n"));
    }

    fn via(&mut self) -> String {
        self.branch += 1;
        format!(
            "Via: SIP/2.0/{} {};rport;branch=z9hG4bKp{}x{}",
            self.wire.word(),
            self.local(),
            self.local().port(),
            self.branch
        )
    }

    /// Registers; answers the challenge.
    pub fn register(&mut self) {
        let uri = format!("sip:{}", self.server);
        let call_id = format!("reg-{}", self.local().port());
        let mut authorization = String::new();
        for _ in 0..2 {
            let (via, cseq, local, extension) =
                (self.via(), self.cseq, self.local(), self.extension.clone());
            let transport = self.wire.uri_parameter();
            self.cseq += 1;
            self.send(&format!(
                "REGISTER {uri} SIP/2.0\r\n{via}\r\nMax-Forwards: 70\r\nFrom: <sip:{extension}@tandem>;tag=r{}\r\nTo: <sip:{extension}@tandem>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{extension}@{local}{transport}>\r\nExpires: 300\r\n{authorization}User-Agent: scripted phone\r\nContent-Length: 0\r\n\r\n",
                local.port()
            ));
            let answer = self.expect("SIP/2.0");
            if answer.starts_with("SIP/2.0 200") {
                return;
            }
            assert!(answer.starts_with("SIP/2.0 401"), "{answer}");
            authorization = self.authorization(&answer, "REGISTER", &uri);
        }
        panic!("{}: not registered\n{}", self.extension, self.log.join("\n"));
    }

    /// The answer to a challenge (RFC 7616, MD5, qop=auth), computed by our own hand.
    fn authorization(&self, challenge: &str, method: &str, uri: &str) -> String {
        let line = challenge
            .lines()
            .find(|line| line.starts_with("WWW-Authenticate:") && line.contains("MD5"))
            .unwrap();
        let param = |name: &str| {
            line.split(&format!("{name}=\""))
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .unwrap_or("")
        };
        let hash = |text: String| {
            Md5::digest(text.as_bytes())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let (realm, nonce) = (param("realm"), param("nonce"));
        let a1 = hash(format!("{}:{realm}:{}", self.extension, self.secret));
        let a2 = hash(format!("{method}:{uri}"));
        let response = hash(format!("{a1}:{nonce}:00000001:c0ffee:auth:{a2}"));
        format!(
            "Authorization: Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c0ffee\"\r\n",
            self.extension
        )
    }

    /// Its description: G.711 and digits.
    pub fn sdp(&self) -> String {
        let audio = self.audio_address();
        let port = self.claimed_audio_port.unwrap_or(audio.port());
        let family = if audio.is_ipv4() { "IP4" } else { "IP6" };
        let (ip, version, direction) = (audio.ip(), self.cseq, self.direction);
        let extra = &self.sdp_extra;
        format!(
            "v=0\r\no=- {port} {version} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na={direction}\r\n{extra}"
        )
    }

    /// Sends an INVITE, with credentials once it is challenged. The next message is a provisional one.
    pub fn invite(&mut self, number: &str) -> Talk {
        let uri = format!("{}:{number}@{}", self.scheme, self.server);
        let call_id = format!("call-{}-{}", self.local().port(), self.cseq);
        let (local, extension, sdp) = (self.local(), self.extension.clone(), self.sdp());
        let headers = self.headers.clone();
        let from = format!("<sip:{extension}@tandem>;tag=i{}x{}", local.port(), self.cseq);
        let transport = self.wire.uri_parameter();
        let mut authorization = String::new();
        loop {
            let (via, cseq) = (self.via(), self.cseq);
            let head = |method: &str, to: &str| {
                format!(
                    "{method} {uri} SIP/2.0\r\n{via}\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
                )
            };
            let to = format!("<{uri}>");
            let invite = format!(
                "{}Contact: <sip:{extension}@{local}{transport}>\r\n{headers}{authorization}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
                head("INVITE", &to),
                sdp.len()
            );
            self.send(&invite);
            let answer = self.expect("SIP/2.0");
            if !answer.starts_with("SIP/2.0 401") || !authorization.is_empty() {
                self.last_answer = answer;
                return Talk { call_id, from, to, target: uri, audio: None };
            }
            let ack = format!("{}Content-Length: 0\r\n\r\n", head("ACK", &header(&answer, "To")));
            self.send(&ack);
            authorization = self.authorization(&answer, "INVITE", &uri);
            self.cseq += 1;
        }
    }

    /// Waits for the 200 to our INVITE and acknowledges it.
    pub fn answered(&mut self, talk: &mut Talk) {
        let answer = self.expect("SIP/2.0 200");
        talk.to = header(&answer, "To");
        talk.target = uri_of(&header(&answer, "Contact"));
        talk.audio = audio_of(&answer);
        self.acknowledge(talk);
    }

    /// Waits for early media: the dialog is not there yet, its audio is.
    pub fn progress(&mut self, talk: &mut Talk) {
        talk.audio = audio_of(&self.expect("SIP/2.0 183"));
    }

    /// Waits for the refusal of our INVITE and acknowledges it.
    pub fn refused(&mut self, talk: &Talk) -> String {
        let last = std::mem::take(&mut self.last_answer);
        let is_final = !last.starts_with("SIP/2.0 1");
        let answer = if is_final { last } else { self.expect("SIP/2.0 4") };
        let [via, from, to, call_id] =
            ["Via", "From", "To", "Call-ID"].map(|name| header(&answer, name));
        let ack = format!(
            "ACK {} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {} ACK\r\nContent-Length: 0\r\n\r\n",
            talk.target, self.cseq
        );
        self.send(&ack);
        self.cseq += 1;
        answer
    }

    fn acknowledge(&mut self, talk: &Talk) {
        let ack = self.in_dialog("ACK", talk, self.cseq, "");
        self.send(&ack);
        self.cseq += 1;
    }

    fn in_dialog(&mut self, method: &str, talk: &Talk, cseq: u32, sdp: &str) -> String {
        let (via, local, extension) = (self.via(), self.local(), self.extension.clone());
        let contact =
            format!("Contact: <sip:{extension}@{local}{}>\r\n", self.wire.uri_parameter());
        let body = match sdp.len() {
            0 => "Content-Length: 0\r\n\r\n".to_owned(),
            length => format!(
                "{contact}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{sdp}"
            ),
        };
        format!(
            "{method} {} SIP/2.0\r\n{via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{body}",
            talk.target, talk.from, talk.to, talk.call_id
        )
    }

    /// Asks for another direction of the audio inside the call; gives the answer.
    pub fn reinvite(&mut self, talk: &Talk, direction: &'static str) -> String {
        self.direction = direction;
        let sdp = self.sdp();
        let invite = self.in_dialog("INVITE", talk, self.cseq, &sdp);
        self.send(&invite);
        let answer = self.expect("SIP/2.0 200");
        self.acknowledge(talk);
        answer
    }

    /// Waits for the peer's re-INVITE and answers it; gives what was asked.
    pub fn reinvited(&mut self, direction: &'static str) -> String {
        self.direction = direction;
        let invite = self.expect("INVITE");
        let sdp = self.sdp();
        self.respond(&invite, "200 OK", &sdp);
        self.expect("ACK");
        invite
    }

    /// Answers a request of the daemon's.
    pub fn respond(&mut self, request: &str, status: &str, sdp: &str) {
        let lines: String = request
            .lines()
            .filter(|line| {
                ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name))
            })
            .map(|line| format!("{line}\r\n"))
            .collect();
        let (local, extension) = (self.local(), self.extension.clone());
        let mut to = header(request, "To");
        if !to.contains(";tag=") {
            to = format!("{to};tag=u{}", local.port());
        }
        let host = self.claimed_host.clone().unwrap_or_else(|| local.ip().to_string());
        let port = local.port();
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let contact = format!("<sip:{extension}@{host}:{port}{}>", self.wire.uri_parameter());
        let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        self.send(&format!(
            "SIP/2.0 {status}\r\n{lines}To: {to}\r\nContact: {contact}\r\n{kind}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        ));
    }

    /// Answers a REGISTER with 200 and these further lines.
    pub fn confirm(&mut self, request: &str, lines: &str) {
        let copied: String = request
            .lines()
            .filter(|line| {
                ["Via:", "From:", "To:", "Call-ID:", "CSeq:"]
                    .iter()
                    .any(|name| line.starts_with(name))
            })
            .map(|line| format!("{line}\r\n"))
            .collect();
        self.send(&format!("SIP/2.0 200 OK\r\n{copied}{lines}Content-Length: 0\r\n\r\n"));
    }

    /// Waits for an INVITE, rings and answers it.
    pub fn answer(&mut self) -> Talk {
        let invite = self.expect("INVITE");
        self.respond(&invite, "180 Ringing", "");
        self.pick_up(&invite)
    }

    /// Answers the INVITE that rings and waits for the ACK.
    pub fn pick_up(&mut self, invite: &str) -> Talk {
        let sdp = self.sdp();
        self.respond(invite, "200 OK", &sdp);
        self.expect("ACK");
        self.talk_of(invite)
    }

    /// The dialog that an INVITE makes.
    pub fn talk_of(&self, invite: &str) -> Talk {
        Talk {
            call_id: header(invite, "Call-ID"),
            from: format!("{};tag=u{}", header(invite, "To"), self.local().port()),
            to: header(invite, "From"),
            target: uri_of(&header(invite, "Contact")),
            audio: audio_of(invite),
        }
    }

    /// Hangs up and waits for the answer.
    pub fn bye(&mut self, talk: &Talk) {
        let bye = self.in_dialog("BYE", talk, self.cseq, "");
        self.cseq += 1;
        self.send(&bye);
        self.expect("SIP/2.0 200");
    }

    /// Waits for the peer's BYE, answers it and gives it.
    pub fn hung_up(&mut self) -> String {
        let bye = self.expect("BYE");
        self.respond(&bye, "200 OK", "");
        bye
    }

    /// Sends one packet of anything to the audio of a call, from the socket that audio comes from.
    pub fn send_to_audio(&self, target: SocketAddr, packet: &[u8]) {
        self.rtp.send_to(packet, target).unwrap();
    }

    /// Sends a tone for so many packets of 20 ms, and takes in what comes meanwhile.
    pub fn talk(&self, talk: &Talk, frequency: f64, packets: usize) -> Received {
        self.speak(talk, packets, |_, index| tone::frame(frequency, index))
    }

    /// Sends so many packets of 20 ms, made by their number in this turn and in the call, and takes in what comes meanwhile.
    pub fn speak(
        &self,
        talk: &Talk,
        packets: usize,
        frame: impl Fn(usize, usize) -> Vec<u8>,
    ) -> Received {
        let target = talk.audio.unwrap();
        let ssrc = u32::from(self.local().port()) << 8;
        let start = self.clock.now();
        let mut received = Received::default();
        let mut last = None;
        for turn in 0..=packets {
            let due = start + Duration::from_millis(20) * u32::try_from(turn).unwrap();
            self.take_until(due, &mut received, &mut last);
            if turn == packets {
                break;
            }
            let index = self.sent.fetch_add(1, Ordering::Relaxed);
            let sequence = u16::try_from(index % 65_536).unwrap();
            let mut packet = vec![0x80, if index == 0 { 0x80 } else { 0 }];
            packet.extend_from_slice(&sequence.to_be_bytes());
            packet.extend_from_slice(&u32::try_from(index * tone::FRAME).unwrap().to_be_bytes());
            packet.extend_from_slice(&ssrc.to_be_bytes());
            packet.extend_from_slice(&frame(turn, index));
            self.rtp.send_to(&packet, target).unwrap();
        }
        // What is still on its way.
        let end = self.clock.now() + Duration::from_millis(60);
        self.take_until(end, &mut received, &mut last);
        received
    }

    fn take_until(&self, due: Instant, received: &mut Received, last: &mut Option<u16>) {
        let mut buffer = [0; 2048];
        loop {
            let left = due.since(self.clock.now());
            if left.is_zero() {
                return;
            }
            self.rtp.set_read_timeout(Some(left)).unwrap();
            let Ok((length, _)) = self.rtp.recv_from(&mut buffer) else { continue };
            let packet = &buffer[..length];
            if length < 12 || packet[1] & 0x7f != 0 {
                continue;
            }
            let sequence = u16::from_be_bytes([packet[2], packet[3]]);
            if let Some(last) = last.replace(sequence) {
                received.missing +=
                    usize::from(sequence.wrapping_sub(last).wrapping_sub(1).min(1000));
            }
            let ssrc = u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]);
            if !received.ssrcs.contains(&ssrc) {
                received.ssrcs.push(ssrc);
            }
            let stamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
            received.stamps.push((sequence, stamp));
            received.packets += 1;
            received.samples.extend(packet[12..].iter().map(|byte| tone::decode(*byte)));
        }
    }
}

/// The value of a header; the first if there are several.
pub fn header(text: &str, name: &str) -> String {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

fn uri_of(value: &str) -> String {
    value.split(['<', '>']).nth(1).unwrap_or("").to_owned()
}

/// Where a description wants its audio.
pub fn audio_of(text: &str) -> Option<SocketAddr> {
    let ip = text
        .lines()
        .find_map(|line| line.strip_prefix("c=IN IP4 ").or(line.strip_prefix("c=IN IP6 ")))?;
    let port = text.lines().find_map(|line| line.strip_prefix("m=audio "))?.split(' ').next()?;
    Some(SocketAddr::new(ip.trim().parse().ok()?, port.parse().ok()?))
}
