//! A reader of SIP text for the test phones; it shares nothing with the product's own.

use md5::{Digest, Md5};

/// A message as lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The first line.
    pub start: String,
    /// Header lines: name and value.
    pub headers: Vec<(String, String)>,
    /// What follows the blank line.
    pub body: String,
}

impl Text {
    pub fn read(bytes: &[u8]) -> Self {
        let whole = String::from_utf8_lossy(bytes);
        let (head, body) = whole.split_once("\r\n\r\n").unwrap_or((&whole, ""));
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or("").to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (long_name(name.trim()).to_owned(), value.trim().to_owned()))
            .collect();
        Self { start, headers, body: body.to_owned() }
    }

    pub fn is_request(&self) -> bool {
        !self.start.starts_with("SIP/2.0 ")
    }

    /// The method of a request, or of a response's CSeq.
    pub fn method(&self) -> &str {
        if self.is_request() {
            self.start.split(' ').next().unwrap_or("")
        } else {
            self.get("CSeq").split(' ').nth(1).unwrap_or("")
        }
    }

    pub fn is(&self, method: &str) -> bool {
        self.is_request() && self.method() == method
    }

    /// The Request-URI.
    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }

    pub fn status(&self) -> u16 {
        if self.is_request() {
            return 0;
        }
        self.start.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The first value of a header; empty if it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = name.to_owned();
        self.headers
            .iter()
            .filter(move |(known, _)| known.eq_ignore_ascii_case(&name))
            .map(|(_, value)| value.as_str())
    }

    pub fn call_id(&self) -> &str {
        self.get("Call-ID")
    }

    pub fn cseq(&self) -> u32 {
        self.get("CSeq").split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    pub fn branch(&self) -> String {
        param(self.get("Via").split(',').next().unwrap_or(""), "branch")
    }

    pub fn tag_of_from(&self) -> String {
        param(self.get("From"), "tag")
    }

    pub fn tag_of_to(&self) -> String {
        param(self.get("To"), "tag")
    }
}

/// How a message is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    Plain,
    /// The short names where there are any, everything in one line (RFC 3261 §7.3.3).
    Compact,
    /// Values go on in the next line, names in capitals (RFC 3261 §7.3.1).
    Folded,
}

impl Text {
    /// The whole message; the length of its body is counted anew.
    pub fn write(&self, style: Style) -> String {
        let mut out = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            if name.eq_ignore_ascii_case("Content-Length") {
                continue;
            }
            out += &match style {
                Style::Plain => format!("{name}: {value}\r\n"),
                Style::Compact => format!("{}:{value}\r\n", short_name(name)),
                Style::Folded => {
                    let folded = value.replacen(">;", ">\r\n\t;", 1);
                    format!("{} :\r\n  {folded}\r\n", name.to_ascii_uppercase())
                }
            };
        }
        let name = if style == Style::Compact { "l" } else { "Content-Length" };
        out + &format!("{name}: {}\r\n\r\n{}", self.body.len(), self.body)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.push(name, value);
    }

    pub fn unset(&mut self, name: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    pub fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }
}

const NAMES: [(&str, &str); 8] = [
    ("Via", "v"),
    ("From", "f"),
    ("To", "t"),
    ("Call-ID", "i"),
    ("Contact", "m"),
    ("Content-Type", "c"),
    ("Content-Length", "l"),
    ("Supported", "k"),
];

fn short_name(name: &str) -> &str {
    NAMES.iter().find(|(long, _)| name.eq_ignore_ascii_case(long)).map_or(name, |(_, short)| short)
}

fn long_name(name: &str) -> &str {
    NAMES.iter().find(|(_, short)| name.eq_ignore_ascii_case(short)).map_or(name, |(long, _)| long)
}

/// A `;name=value` parameter behind the `>` of an address, or anywhere in a value without one.
pub fn param(value: &str, name: &str) -> String {
    let tail = value.rsplit_once('>').map_or(value, |(_, tail)| tail);
    tail.split(';')
        .skip(1)
        .filter_map(|piece| piece.split_once('='))
        .find(|(known, _)| known.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

/// The URI between angle brackets.
pub fn uri_of(value: &str) -> String {
    match value.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        Some((uri, _)) => uri.to_owned(),
        None => value.split(';').next().unwrap_or("").trim().to_owned(),
    }
}

/// A `name="value"` or `name=value` of a challenge.
pub fn auth_param(challenge: &str, name: &str) -> String {
    let rest = challenge.trim_start_matches("Digest ");
    for piece in rest.split(',') {
        if let Some((known, value)) = piece.split_once('=')
            && known.trim().eq_ignore_ascii_case(name)
        {
            return value.trim().trim_matches('"').to_owned();
        }
    }
    String::new()
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The answer of an MD5-only phone to a challenge.
pub struct Login<'a> {
    pub user: &'a str,
    pub secret: &'a str,
    pub method: &'a str,
    pub uri: &'a str,
    pub nc: u32,
}

impl Login<'_> {
    /// The value of an `Authorization` header.
    pub fn answer(&self, challenge: &str) -> String {
        let (realm, nonce) = (auth_param(challenge, "realm"), auth_param(challenge, "nonce"));
        let ha1 = md5(&format!("{}:{realm}:{}", self.user, self.secret));
        let ha2 = md5(&format!("{}:{}", self.method, self.uri));
        let (nc, cnonce) = (format!("{:08x}", self.nc), "0a4f113b");
        let response = md5(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"));
        format!(
            "Digest username=\"{}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{}\", \
             response=\"{response}\", algorithm=MD5, qop=auth, nc={nc}, cnonce=\"{cnonce}\"",
            self.user, self.uri
        )
    }
}

/// The MD5 challenge of a 401 or 407, and the header that answers it.
pub fn md5_challenge(response: &Text) -> Option<(&'static str, String)> {
    for (asks, answers) in
        [("WWW-Authenticate", "Authorization"), ("Proxy-Authenticate", "Proxy-Authorization")]
    {
        let found = response.all(asks).find(|value| {
            let algorithm = auth_param(value, "algorithm");
            algorithm.is_empty() || algorithm.eq_ignore_ascii_case("MD5")
        });
        if let Some(value) = found {
            return Some((answers, value.to_owned()));
        }
    }
    None
}

/// Is this the right answer to the challenge that it repeats? MD5, with or without `qop`.
pub fn is_right_answer(login: &str, method: &str, user: &str, secret: &str) -> bool {
    let get = |name: &str| auth_param(login, name);
    let ha1 = md5(&format!("{user}:{}:{secret}", get("realm")));
    let ha2 = md5(&format!("{method}:{}", get("uri")));
    let middle = match get("qop").as_str() {
        "" => String::new(),
        qop => format!("{}:{}:{qop}:", get("nc"), get("cnonce")),
    };
    get("response") == md5(&format!("{ha1}:{}:{middle}{ha2}", get("nonce")))
}
