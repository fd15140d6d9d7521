//! The section `[tls]`, and the files that it names.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::decode::Drafts;
use super::item::{Given, Item};
use super::protect::list;
use super::settings::{Settings, quoted};
use super::source::{Marked, Report, Spot, Wrong};
use crate::edge::sip_io::tls::Tls;
use crate::switch::device::Brand;
use crate::switch::snapshot::{MediaForm, PeerAddress, SrtpPolicy, Transport, TrunkMode};

type Key = Item<Settings>;

pub(super) static TLS: &[Key] = &[
    Key::texts(
        "certificates",
        "PEM files",
        (0, 64),
        Given::Default { shows: |s| list(&s.sip.tls.certificates) },
        |s, text| {
            s.sip.tls.certificates.push(file(text)?);
            Ok(())
        },
        "Our certificates for tls and wss, one file each with its chain. The key is in the same file, beside it as privkey.pem, or under the same name with the ending .key. A client that names a domain is shown the one for it, others the first. A reload reads them again.",
    ),
    Key::text(
        "authorities",
        "a PEM file, or nothing",
        Given::Default { shows: |s| quoted(s.sip.tls.authorities.as_deref().unwrap_or("")) },
        |s, text| {
            s.sip.tls.authorities = optional(text)?;
            Ok(())
        },
        "Who certifies the carriers that we connect to by TLS; nothing is whom the system trusts.",
    ),
    Key::text(
        "client_authorities",
        "a PEM file, or nothing",
        Given::Default { shows: |s| quoted(s.sip.tls.client_authorities.as_deref().unwrap_or("")) },
        |s, text| {
            s.sip.tls.client_authorities = optional(text)?;
            Ok(())
        },
        "Who certifies the clients that show a certificate; one from anybody else is refused. They log in all the same.",
    ),
    Key::flag(
        "wildcards",
        |s, is_on| s.sip.tls.wildcards = is_on,
        |s| s.sip.tls.wildcards.to_string(),
        "Does a carrier's certificate for *.example.com do for sip.example.com? RFC 5922 says no.",
    ),
];

fn file(text: Marked<&str>) -> Result<String, Wrong> {
    if text.value.is_empty() || text.value.len() > 4096 {
        return Err(Wrong::new("bad-value", "a file's name must not be empty"));
    }
    Ok(text.value.to_owned())
}

pub(super) fn optional(text: Marked<&str>) -> Result<Option<String>, Wrong> {
    if text.value.is_empty() { Ok(None) } else { file(text).map(Some) }
}

/// Warns of peers whose audio must be encrypted, and whose keys anybody on the way can read.
pub(super) fn check(report: &mut Report, drafts: &Drafts) {
    let listens = drafts.settings.sip.listen.iter().any(|listen| listen.transport.is_secure());
    let required = |srtp: &Option<Marked<SrtpPolicy>>| {
        srtp.as_ref().filter(|srtp| srtp.value == SrtpPolicy::Required).map(|srtp| srtp.at)
    };
    // Keys by DTLS cross nowhere.
    let speaks_webrtc = |form: MediaForm| form == MediaForm::Webrtc;
    for phone in drafts.phones.iter().filter(|phone| !listens && !speaks_webrtc(phone.media)) {
        if let (Some(at), Some(extension)) = (required(&phone.srtp), &phone.extension) {
            let what = format!("phone `{}`", extension.value);
            let help = "add a listener of tls to [sip], and let the phone register by it";
            clear_keys(report, &what, at, help);
        }
    }
    if !drafts.settings.provisioning.listen.is_empty() {
        for phone in drafts.phones.iter().filter(|phone| phone.brand.is_some_and(leaves_srtp_off)) {
            if let (Some(at), Some(extension)) = (required(&phone.srtp), &phone.extension) {
                let extension = &extension.value;
                let message = format!("the file that phone `{extension}` fetches leaves SRTP off");
                let help = "set SRTP up on the phone, or in a template of your own";
                report.warn(at, Wrong::new("srtp-off", message).help(help));
            }
        }
    }
    for trunk in drafts.trunks.iter().filter(|trunk| !speaks_webrtc(trunk.media)) {
        let (Some(at), Some(name), Some(mode)) = (required(&trunk.srtp), &trunk.name, &trunk.mode)
        else {
            continue;
        };
        let is_by_tls = |peer: &Marked<PeerAddress>| peer.value.transport == Some(Transport::Tls);
        let mut places = trunk.peers.iter().chain(&trunk.registrar);
        let is_private =
            if mode.value == TrunkMode::Account { listens } else { places.all(is_by_tls) };
        if !is_private {
            let what = format!("trunk `{}`", name.value);
            clear_keys(report, &what, at, "write its peers as \"tls:host\"");
        }
    }
}

/// Is SRTP left out of the files of this brand? What these phones call it was not to be found out.
const fn leaves_srtp_off(brand: Brand) -> bool {
    matches!(brand, Brand::Alcatel | Brand::Fanvil)
}

fn clear_keys(report: &mut Report, what: &str, at: Spot, help: &str) {
    let message = format!("{what} must encrypt its audio, and the keys would cross in the clear");
    report.warn(at, Wrong::new("clear-keys", message).help(help));
}

/// Reads the files; what is wrong with them is an error at the key that names them. Without them a daemon that
/// starts with the last good configuration has no TLS and serves everybody else.
pub(super) fn read(
    report: &mut Report,
    drafts: &mut Drafts,
    base: &Path,
    is_last_good: bool,
) -> Option<Tls> {
    let settings = &mut drafts.settings;
    let mut loaded = Tls::load(&settings.sip.tls, base);
    if let Err(error) = &loaded {
        let at = settings.spot("tls", error.key);
        let wrong = Wrong::new("bad-certificate", error.message.clone()).help(error.help);
        if is_last_good {
            report.warn(at, wrong);
            settings.sip.tls = Default::default();
            loaded = Tls::load(&settings.sip.tls, base);
            settings.sip.listen.retain(|listen| !listen.transport.is_secure());
            settings.provisioning.listen.retain(|listen| !listen.is_secure);
        } else {
            report.error(at, wrong);
        }
    }
    if settings.sip.tls.certificates.is_empty() {
        for (listen, at) in settings.sip.listen.iter().zip(&settings.listen_at) {
            if listen.transport.is_secure() {
                let message = format!("{} needs a certificate", listen.transport.word());
                let help = "name its file under [tls] certificates; the README has a command that makes one for a trial";
                report.error(*at, Wrong::new("missing-certificate", message).help(help));
            }
        }
        if settings.provisioning.listen.iter().any(|listen| listen.is_secure) {
            let at = settings.spot("provisioning", "listen");
            let wrong = Wrong::new("missing-certificate", "https needs a certificate");
            report.error(at, wrong.help("name its file under [tls] certificates"));
        }
    }
    loaded.ok()
}
