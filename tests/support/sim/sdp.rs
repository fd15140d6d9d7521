//! Session descriptions as the test phones write and read them: as lines of text.

use std::net::SocketAddr;

/// A codec of a phone: its number and its map.
pub type Codec = (u8, &'static str);

pub const PCMU: Codec = (0, "PCMU/8000");
pub const PCMA: Codec = (8, "PCMA/8000");
pub const G722: Codec = (9, "G722/8000");
pub const G729: Codec = (18, "G729/8000");
pub const OPUS: Codec = (111, "opus/48000/2");
pub const DIGITS: Codec = (101, "telephone-event/8000");

/// The ways phones say hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `a=` with this word at the stream.
    Direction(&'static str),
    /// `a=` with this word at the session.
    SessionDirection(&'static str),
    /// `c=IN IP4 0.0.0.0` and no direction.
    ZeroAddress,
    /// Both `0.0.0.0` and `a=sendonly`.
    ZeroAddressSendOnly,
    /// `m=audio 0`.
    PortZero,
}

pub const TALK: Form = Form::Direction("sendrecv");
pub const HOLD: Form = Form::Direction("sendonly");

/// How a phone encrypts: the transport of its offers, and its key, or for a browser the digit of its certificate and the
/// name that it has in ICE.
#[derive(Clone, Debug)]
pub struct Secure {
    pub proto: String,
    pub key: String,
    pub web: Option<(char, String)>,
}

impl Secure {
    /// The only suite of these phones.
    pub const SUITE: &'static str = "AES_CM_128_HMAC_SHA1_80";

    /// With a key of this letter.
    pub fn new(proto: &str, letter: char) -> Self {
        Self { proto: proto.to_owned(), key: letter.to_string().repeat(40), web: None }
    }

    /// A browser, by DTLS and ICE, with a certificate of this digit.
    pub fn browser(digit: char) -> Self {
        let web = Some((digit, format!("name{digit}")));
        Self { proto: "UDP/TLS/RTP/SAVPF".to_owned(), key: String::new(), web }
    }

    fn lines_of_browser(&self, setup: &str) -> String {
        let Some((digit, name)) = &self.web else { return String::new() };
        let fingerprint = vec![format!("{digit}{digit}"); 32].join(":");
        format!(
            "a=ice-ufrag:{name}\r\na=ice-pwd:0123456789012345678901\r\na=mid:0\r\na=rtcp-mux\r\n\
             a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=ssrc:7 cname:x\r\n\
             a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}\r\n"
        )
    }

    fn line(&self, tag: &str) -> String {
        format!("a=crypto:{tag} {} inline:{}\r\n", Self::SUITE, self.key)
    }

    /// An offer with a key.
    pub fn offered(&self, plain: &str) -> String {
        let keyed = plain.replace("RTP/AVP", &self.proto);
        if self.web.is_some() {
            return format!("{keyed}{}", self.lines_of_browser("actpass"));
        }
        format!("{keyed}{}", self.line("1"))
    }

    /// The answer to this offer: with a key if it has one of our suite.
    pub fn answered(&self, plain: &str, offer: &str) -> String {
        if self.web.is_some() {
            let setup = line(offer, "a=setup:")
                .map(|said| if said == "active" { "passive" } else { "active" });
            let Some(setup) = setup else { return plain.to_owned() };
            let keyed = plain.replace("RTP/AVP", &self.proto);
            return format!("{keyed}{}", self.lines_of_browser(setup));
        }
        let Some(theirs) = crypto(offer).into_iter().find(|line| line.contains(Self::SUITE)) else {
            return plain.to_owned();
        };
        let tag = theirs.split(' ').next().unwrap();
        let proto = line(offer, "m=audio ").and_then(|media| media.split(' ').nth(1)).unwrap();
        format!("{}{}", plain.replace("RTP/AVP", proto), self.line(tag))
    }
}

/// The values of the `a=crypto` lines.
pub fn crypto(sdp: &str) -> Vec<&str> {
    sdp.lines().filter_map(|line| line.strip_prefix("a=crypto:")).map(str::trim).collect()
}

/// What a description is made of.
#[derive(Clone, Debug)]
pub struct Say<'a> {
    pub id: u64,
    pub version: u32,
    pub audio: SocketAddr,
    pub codecs: &'a [Codec],
    pub form: Form,
}

impl Say<'_> {
    pub fn write(&self) -> String {
        let family = if self.audio.is_ipv6() { "IP6" } else { "IP4" };
        let ip = self.audio.ip();
        let zero = matches!(self.form, Form::ZeroAddress | Form::ZeroAddressSendOnly);
        let connection = if zero { "0.0.0.0".to_owned() } else { ip.to_string() };
        let port = if self.form == Form::PortZero { 0 } else { self.audio.port() };
        let mut out = format!(
            "v=0\r\no=phone {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {connection}\r\nt=0 0\r\n",
            self.id, self.version
        );
        if let Form::SessionDirection(word) = self.form {
            out += &format!("a={word}\r\n");
        }
        let numbers: Vec<_> = self.codecs.iter().map(|(number, _)| number.to_string()).collect();
        out += &format!("m=audio {port} RTP/AVP {}\r\n", numbers.join(" "));
        for (number, map) in self.codecs {
            out += &format!("a=rtpmap:{number} {map}\r\n");
        }
        match self.form {
            Form::Direction(word) => out += &format!("a={word}\r\n"),
            Form::ZeroAddressSendOnly => out += "a=sendonly\r\n",
            _ => {}
        }
        out
    }
}

fn line<'a>(sdp: &'a str, start: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| line.strip_prefix(start)).map(str::trim)
}

/// The direction of the (only) audio stream.
pub fn direction(sdp: &str) -> &'static str {
    let words = ["sendrecv", "sendonly", "recvonly", "inactive"];
    // The last one is the stream's own where both are there.
    sdp.lines()
        .rev()
        .filter_map(|line| line.strip_prefix("a="))
        .find_map(|word| words.into_iter().find(|known| *known == word.trim()))
        .unwrap_or("sendrecv")
}

/// The complement: what the other side says to agree.
pub fn complement(direction: &str) -> &'static str {
    match direction {
        "sendonly" => "recvonly",
        "recvonly" => "sendonly",
        "inactive" => "inactive",
        _ => "sendrecv",
    }
}

/// What remains when one side is narrowed by the other.
pub fn both(a: &str, b: &str) -> &'static str {
    let sends = |word: &str| matches!(word, "sendrecv" | "sendonly");
    let hears = |word: &str| matches!(word, "sendrecv" | "recvonly");
    match (sends(a) && sends(b), hears(a) && hears(b)) {
        (true, true) => "sendrecv",
        (true, false) => "sendonly",
        (false, true) => "recvonly",
        (false, false) => "inactive",
    }
}

/// Where audio is wanted; `None` for port 0 or the zero address.
pub fn address(sdp: &str) -> Option<SocketAddr> {
    let port: u16 = line(sdp, "m=audio ")?.split(' ').next()?.parse().ok()?;
    let ip: std::net::IpAddr = line(sdp, "c=")?.split(' ').nth(2)?.parse().ok()?;
    (port != 0 && !ip.is_unspecified()).then(|| SocketAddr::new(ip, port))
}

/// The maps of the audio stream in order, by number; static numbers without a map are given theirs.
pub fn codecs(sdp: &str) -> Vec<(u8, String)> {
    let Some(media) = line(sdp, "m=audio ") else { return Vec::new() };
    media
        .split(' ')
        .skip(2)
        .filter_map(|word| word.parse::<u8>().ok())
        .map(|number| {
            let map = line(sdp, &format!("a=rtpmap:{number} ")).map(str::to_owned);
            let known = || match number {
                0 => "PCMU/8000".to_owned(),
                8 => "PCMA/8000".to_owned(),
                9 => "G722/8000".to_owned(),
                18 => "G729/8000".to_owned(),
                _ => String::new(),
            };
            (number, map.unwrap_or_else(known))
        })
        .collect()
}

/// A field of the `o=` line: 1 is the id, 2 the version.
pub fn origin(sdp: &str, field: usize) -> u64 {
    line(sdp, "o=").and_then(|o| o.split(' ').nth(field)?.parse().ok()).unwrap_or(0)
}

/// A description in short: direction, numbers and packet time.
pub fn short(sdp: &str) -> String {
    let numbers: Vec<_> = codecs(sdp).iter().map(|(number, _)| number.to_string()).collect();
    let closed = if address(sdp).is_none() { " off" } else { "" };
    let times = ["ptime", "maxptime"].map(|name| match line(sdp, &format!("a={name}:")) {
        Some(ms) => format!(" {name} {ms}"),
        None => String::new(),
    });
    format!("{}{closed} {}{}", direction(sdp), numbers.join(","), times.concat())
}
