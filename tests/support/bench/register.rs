//! REGISTER with digest: 10,000 phones for the first time, and again with the nonce they know.

use std::net::UdpSocket;
use std::time::Duration;

use md5::{Digest, Md5};
use tandem::edge::clock::Clock;

use crate::live::daemon::{Daemon, Programs};
use crate::live::phone::header;
use crate::process::Meter;

const PHONES: usize = 10_000;
/// REGISTERs on their way at a time.
const WINDOW: usize = 32;

/// A phones.toml with this many phones from 200000 on.
pub(crate) fn phones(count: usize) -> String {
    (0..count).map(|n| format!("[[phone]]\nextension = \"{}\"\nname = \"Phone\"\nsecret = \"wren-{n}-maple-Kf7q2\"\n", 200_000 + n)).collect()
}

struct Driver {
    socket: UdpSocket,
    server: String,
    nonces: Vec<String>,
    counts: Vec<u32>,
}

fn hash(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Driver {
    fn send(&mut self, n: usize, cseq: u32) {
        let (extension, local) = (200_000 + n, self.socket.local_addr().unwrap());
        let mut authorization = String::new();
        if !self.nonces[n].is_empty() {
            self.counts[n] += 1;
            let (nonce, nc, uri) = (
                &self.nonces[n],
                format!("{:08x}", self.counts[n]),
                format!("sip:{}", self.server),
            );
            let a1 = hash(&format!("{extension}:tandem:wren-{n}-maple-Kf7q2"));
            let a2 = hash(&format!("REGISTER:{uri}"));
            let response = hash(&format!("{a1}:{nonce}:{nc}:c0ffee:auth:{a2}"));
            authorization = format!(
                "Authorization: Digest username=\"{extension}\", realm=\"tandem\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", algorithm=MD5, qop=auth, nc={nc}, cnonce=\"c0ffee\"\r\n"
            );
        }
        let text = format!(
            "REGISTER sip:{} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK{n}x{cseq}\r\nMax-Forwards: 70\r\nFrom: <sip:{extension}@tandem>;tag=f{n}\r\nTo: <sip:{extension}@tandem>\r\nCall-ID: r{n}\r\nCSeq: {cseq} REGISTER\r\nContact: <sip:{extension}@{local}>\r\nExpires: 3600\r\nUser-Agent: bench\r\n{authorization}Content-Length: 0\r\n\r\n",
            self.server
        );
        self.socket.send(text.as_bytes()).unwrap();
    }

    /// One round over all phones; each REGISTER is answered 200 in the end.
    fn round(&mut self, cseq: u32) {
        let (mut next, mut done) = (0, 0);
        while next < WINDOW.min(PHONES) {
            self.send(next, cseq);
            next += 1;
        }
        let mut buffer = [0; 4096];
        while done < PHONES {
            let length = self.socket.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]);
            let n: usize = header(&text, "Call-ID")[1..].parse().unwrap();
            if text.starts_with("SIP/2.0 401") {
                self.nonces[n] =
                    text.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
                self.counts[n] = 0;
                self.send(n, cseq + 1);
                continue;
            }
            assert!(text.starts_with("SIP/2.0 200"), "{text}");
            done += 1;
            if next < PHONES {
                self.send(next, cseq);
                next += 1;
            }
        }
    }
}

pub(crate) fn run(programs: &Programs, _limit: f64) {
    let daemon = Daemon::start(programs.clone(), &[("phones.toml", &phones(PHONES))]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", daemon.port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut driver = Driver {
        socket,
        server: format!("127.0.0.1:{}", daemon.port),
        nonces: vec![String::new(); PHONES],
        counts: vec![0; PHONES],
    };
    for (name, cseq, aim) in
        [("first, with challenge", 1, "-"), ("refresh", 3, "0.06"), ("refresh again", 4, "0.06")]
    {
        let (before, clock) = (Meter::of(daemon.pid()), Clock::start());
        driver.round(cseq);
        let seconds = clock.now().as_micros() as f64 / 1e6;
        let after = Meter::of(daemon.pid());
        println!(
            "10,000 REGISTERs, {name}: {:.3} CPU s per 1,000 (aim {aim}), {:.0}/s, {:.1} MB resident",
            (after.cpu - before.cpu) / 10.0,
            PHONES as f64 / seconds,
            after.resident_mb
        );
    }
}
