//! A name server of a few records that writes its answers byte by byte.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

/// Record types (RFC 1035 §3.2.2, RFC 2782, RFC 3403).
const A: u16 = 1;
const SOA: u16 = 6;
const SRV: u16 = 33;
const NAPTR: u16 = 35;

/// Everything it knows: name in lower case and type to the data of each record.
#[derive(Default)]
pub struct Zone {
    records: HashMap<(String, u16), Vec<Vec<u8>>>,
}

impl Zone {
    fn add(mut self, name: &str, kind: u16, data: Vec<u8>) -> Self {
        self.records.entry((name.to_owned(), kind)).or_default().push(data);
        self
    }

    /// An address of a host.
    pub fn a(self, name: &str, ip: Ipv4Addr) -> Self {
        self.add(name, A, ip.octets().to_vec())
    }

    /// A server of a service.
    pub fn srv(self, name: &str, priority: u16, port: u16, host: &str) -> Self {
        let numbers = [priority, 0, port].map(u16::to_be_bytes).concat();
        self.add(name, SRV, [numbers, encoded(host)].concat())
    }

    /// A service of a domain.
    pub fn naptr(self, name: &str, service: &str, replacement: &str) -> Self {
        let mut data = [10_u16, 10].map(u16::to_be_bytes).concat();
        for text in ["s", service, ""] {
            data.push(u8::try_from(text.len()).unwrap());
            data.extend_from_slice(text.as_bytes());
        }
        data.extend(encoded(replacement));
        self.add(name, NAPTR, data)
    }

    fn answer(&self, query: &[u8]) -> (String, Vec<u8>) {
        let (name, end) = decoded(query);
        let kind = u16::from_be_bytes([query[end], query[end + 1]]);
        let found = self.records.get(&(name.clone(), kind)).map_or(&[][..], Vec::as_slice);
        let is_known = self.records.keys().any(|(known, _)| *known == name);
        // Authoritative, recursion available; NXDOMAIN for a name without any record.
        let flags: u16 = if is_known { 0x8580 } else { 0x8583 };
        let mut out = query[..2].to_vec();
        let authorities = u16::from(found.is_empty());
        for number in [flags, 1, count(found.len()), authorities, 0] {
            out.extend(number.to_be_bytes());
        }
        out.extend_from_slice(&query[12..end + 4]);
        for data in found {
            // The name of the question, class IN, a minute.
            for number in [0xC00C, kind, 1, 0, 60, count(data.len())] {
                out.extend(number.to_be_bytes());
            }
            out.extend_from_slice(data);
        }
        if found.is_empty() {
            // The root's SOA, which says for how long the absence may be believed (RFC 2308 §3): a minute.
            let numbers = [1_u32, 60, 60, 60, 60].map(u32::to_be_bytes).concat();
            let data = [encoded("a"), encoded("b"), numbers].concat();
            out.push(0);
            for number in [SOA, 1, 0, 60, count(data.len())] {
                out.extend(number.to_be_bytes());
            }
            out.extend(data);
        }
        (format!("{kind} {name}"), out)
    }
}

fn count(length: usize) -> u16 {
    u16::try_from(length).unwrap()
}

fn encoded(name: &str) -> Vec<u8> {
    let label = |label: &str| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat();
    let mut out: Vec<u8> = name.split('.').flat_map(label).collect();
    out.push(0);
    out
}

/// The name of the question and where it ends.
fn decoded(query: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    (labels.join("."), at + 1)
}

/// A running name server; it ends with the test's process.
pub struct NameServer {
    /// Where it is asked.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    /// Answers from this zone.
    pub fn start(zone: Zone) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let (what, answer) = zone.answer(&buffer[..length]);
                log.lock().unwrap().push(what);
                let _ = socket.send_to(&answer, from);
            }
        });
        Self { address, asked }
    }

    /// What it was asked so far: type and name.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
