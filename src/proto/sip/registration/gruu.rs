//! GRUUs: addresses that reach one device of an address of record from anywhere (RFC 5627).
//!
//! The public one names the device; a temporary one tells nothing of either to whoever does not have our key. Nothing is
//! kept for them: what a temporary one stands for is in it, and it holds as long as the device stays registered with the
//! Call-ID that it was given for. The key is drawn at the start, so temporary ones end with the daemon.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Binding;
use crate::proto::hex::{hex, unhex};
use crate::proto::sip::uri::{Uri, escape_user, unescape};

/// What the user part of a temporary one begins with.
const PREFIX: &str = "tgruu.";
/// Bytes of chance in one: no two are alike.
const NONCE: usize = 8;
/// Bytes that say which registration it was given for.
const REGISTRATION: usize = 8;
/// Bytes that nobody else can make.
const SEAL: usize = 10;
/// The longest address of record that is sealed in one.
const AOR_MAX: usize = 128;

/// What a GRUU leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Device {
    /// A public one: this device of this address of record.
    Instance {
        /// The address of record.
        aor: String,
        /// The device, as in its `+sip.instance`.
        instance: String,
    },
    /// A temporary one: the device whose registration this is the mark of.
    Registration {
        /// The address of record.
        aor: String,
        /// The mark.
        mark: [u8; REGISTRATION],
    },
}

impl Device {
    /// Its address of record.
    #[must_use]
    pub fn aor(&self) -> &str {
        match self {
            Self::Instance { aor, .. } | Self::Registration { aor, .. } => aor,
        }
    }
}

/// Makes GRUUs and reads them.
#[derive(Default)]
pub struct Gruus {
    key: [u8; 32],
}

impl std::fmt::Debug for Gruus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gruus")
    }
}

/// The device without the brackets that its URN comes in.
fn bare(instance: &str) -> &str {
    instance.trim_start_matches('<').trim_end_matches('>')
}

impl Gruus {
    /// With this key.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    fn seal(&self, what: &str, parts: &[&[u8]]) -> [u8; 32] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return [0; 32] };
        mac.update(what.as_bytes());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    fn mark(&self, aor: &str, binding: &Binding) -> Option<[u8; REGISTRATION]> {
        let instance = binding.instance.as_deref()?;
        let parts = [aor, instance, &binding.call_id].map(str::as_bytes);
        self.seal("registration", &parts).first_chunk().copied()
    }

    /// Hides or shows what is between nonce and seal.
    fn cover(&self, nonce: &[u8], bytes: &mut [u8]) {
        for (index, chunk) in bytes.chunks_mut(32).enumerate() {
            let stream = self.seal("cover", &[nonce, &index.to_be_bytes()]);
            for (byte, key) in chunk.iter_mut().zip(stream) {
                *byte ^= key;
            }
        }
    }

    /// The public GRUU of a device.
    #[must_use]
    pub fn public(aor: &str, domain: &str, instance: &str) -> String {
        format!("sip:{}@{domain};gr={}", escape_user(aor), escape_param(bare(instance)))
    }

    /// A temporary GRUU for a binding, another one for each `turn` of its registration.
    #[must_use]
    pub fn temporary(
        &self,
        aor: &str,
        domain: &str,
        binding: &Binding,
        turn: u32,
    ) -> Option<String> {
        if aor.len() > AOR_MAX {
            return None;
        }
        let mut body = self.mark(aor, binding)?.to_vec();
        // No two registrations share one: what covers the first would uncover the second.
        let nonce = self.seal("nonce", &[&body, &turn.to_be_bytes()]);
        let nonce = nonce.first_chunk::<NONCE>()?;
        body.extend_from_slice(aor.as_bytes());
        self.cover(nonce, &mut body);
        let seal = self.seal("seal", &[nonce, &body]);
        let bytes = nonce.iter().chain(&body).chain(seal.iter().take(SEAL)).copied();
        let text = hex(&bytes.collect::<Vec<_>>());
        Some(format!("sip:{PREFIX}{text}@{domain};gr"))
    }

    /// What a URI leads to, if it is a GRUU of ours; the domain is the caller's to check.
    #[must_use]
    pub fn read(&self, uri: &Uri<'_>) -> Option<Device> {
        let gr = uri.params.raw("gr")?;
        let user = uri.dialled();
        if let Some(instance) = gr.filter(|value| !value.is_empty()) {
            let instance = unescape(instance).into_owned();
            return Some(Device::Instance { aor: user.into_owned(), instance });
        }
        let bytes = from_hex(user.strip_prefix(PREFIX)?)?;
        let (nonce, rest) = bytes.split_at_checked(NONCE)?;
        let (body, seal) = rest.split_at_checked(rest.len().checked_sub(SEAL)?)?;
        let right = self.seal("seal", &[nonce, body]);
        if right.iter().zip(seal).fold(0, |differs, (a, b)| differs | (a ^ b)) != 0 {
            return None;
        }
        let mut body = body.to_vec();
        self.cover(nonce, &mut body);
        let (mark, aor) = body.split_first_chunk::<REGISTRATION>()?;
        let aor = String::from_utf8(aor.to_vec()).ok()?;
        Some(Device::Registration { aor, mark: *mark })
    }

    /// Is this binding one of the device's?
    #[must_use]
    pub fn is_of(&self, device: &Device, binding: &Binding) -> bool {
        match device {
            Device::Instance { instance, .. } => {
                binding.instance.as_deref().is_some_and(|own| bare(own) == bare(instance))
            }
            Device::Registration { aor, mark } => self.mark(aor, binding).as_ref() == Some(mark),
        }
    }
}

/// Escapes what a URI parameter may not hold (RFC 3261 §25.1, `paramchar`).
fn escape_param(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$".contains(&byte);
        if is_plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    // A hostile one is not worth more than the longest of ours.
    let longest = 2 * (NONCE + REGISTRATION + AOR_MAX + SEAL);
    if text.len() > longest { None } else { unhex(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::sip::transport::{Flow, Transport};
    use crate::proto::time::Instant;

    const URN: &str = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";

    fn binding(call_id: &str) -> Binding {
        let at = "127.0.0.1:5060".parse().unwrap();
        Binding {
            contact: "sip:1001@127.0.0.1".into(),
            expires_at: Instant::START,
            call_id: call_id.into(),
            cseq: 1,
            q: 1000,
            path: Vec::new(),
            instance: Some(URN.into()),
            reg_id: None,
            flow: Flow {
                transport: Transport::Udp,
                listener: 0,
                local: at,
                remote: at,
                connection: 0,
            },
            user_agent: String::new(),
        }
    }

    #[test]
    fn a_public_one_names_the_device() {
        let (gruus, text) = (Gruus::new([7; 32]), Gruus::public("1001", "pbx.example", URN));
        assert_eq!(text, "sip:1001@pbx.example;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
        let device = gruus.read(&Uri::parse(&text).unwrap()).unwrap();
        assert_eq!(device.aor(), "1001");
        assert!(gruus.is_of(&device, &binding("a")));
        let other = Binding { instance: Some("<urn:uuid:other>".into()), ..binding("a") };
        assert!(!gruus.is_of(&device, &other));
        let odd = Gruus::public("1001", "pbx.example", "<x;y=\"z\" \u{e9}>");
        let device = gruus.read(&Uri::parse(&odd).unwrap()).unwrap();
        let own = Binding { instance: Some("<x;y=\"z\" \u{e9}>".into()), ..binding("a") };
        assert!(gruus.is_of(&device, &own), "{odd}");
    }

    #[test]
    fn a_temporary_one_holds_for_its_registration_and_tells_nothing() {
        let gruus = Gruus::new([7; 32]);
        let make = |turn| gruus.temporary("1001", "pbx.example", &binding("a"), turn).unwrap();
        let (one, two) = (make(1), make(2));
        assert_ne!(one, two);
        assert!(!one.contains("1001") && one.ends_with("@pbx.example;gr"), "{one}");
        for text in [&one, &two] {
            let device = gruus.read(&Uri::parse(text).unwrap()).unwrap();
            assert_eq!(device.aor(), "1001");
            assert!(gruus.is_of(&device, &binding("a")));
            assert!(!gruus.is_of(&device, &binding("b")), "registered anew");
        }
    }

    #[test]
    fn nobody_else_makes_one() {
        let gruus = Gruus::new([7; 32]);
        let good = gruus.temporary("1001", "pbx.example", &binding("a"), 9).unwrap();
        let other = Gruus::new([8; 32]);
        assert_eq!(other.read(&Uri::parse(&good).unwrap()), None);
        for at in PREFIX.len() + 4..good.find('@').unwrap() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(gruus.read(&Uri::parse(&text).unwrap()), None, "{text}");
        }
        for user in ["", "tgruu.", "tgruu.00", "tgruu.zz", "tgruu.\u{e9}0", "1001"] {
            let text = format!("sip:{user}@pbx.example;gr");
            let uri = Uri::parse(&text);
            assert!(uri.is_none_or(|uri| gruus.read(&uri).is_none()), "{text}");
        }
    }
}
