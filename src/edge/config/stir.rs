//! The section `[stir]`, what trunks say of it, and the files that it names.

#[cfg(test)]
mod tests;

use std::path::Path;

use super::decode::Drafts;
use super::item::{Given, Item};
use super::protect::list;
use super::secure::optional;
use super::settings::{Settings, quoted};
use super::source::{Report, Wrong};
use super::trunk::TrunkDraft;
use crate::edge::stir::Material;
use crate::proto::stir::source::{CertificateUrl, Source};
use crate::switch::snapshot::{StirIn, StirSettings};
use crate::switch::stir::Owned;

type Key = Item<Settings>;

pub(super) static STIR: &[Key] = &[
    Key::text(
        "authorities",
        "a PEM file, or nothing",
        Given::Default { shows: |s| shown(s.stir.authorities.as_ref()) },
        |s, text| {
            s.stir.authorities = optional(text)?;
            Ok(())
        },
        "Who certifies those that state who calls (the list of your country's STI-PA); needed by trunks with stir_in.",
    ),
    Key::texts(
        "sources",
        "host, host:port, *.domain, *, or a network",
        (0, 256),
        Given::Default { shows: |s| list(&s.stir.sources) },
        |s, text| {
            s.stir.sources.push(source(text.value)?);
            Ok(())
        },
        "Where certificates of callers may be fetched from, by https on port 443 or 8443 unless another is written. * is any public host; an address that is not public has to lie in a network of the list.",
    ),
    Key::text(
        "key",
        "a PEM file, or nothing",
        Given::Default { shows: |s| shown(s.stir.key.as_ref()) },
        |s, text| {
            s.stir.key = optional(text)?;
            Ok(())
        },
        "Our private key (EC P-256), which trunks with stir_out sign with. A reload reads it again.",
    ),
    Key::text(
        "certificate",
        "a PEM file, or nothing",
        Given::Default { shows: |s| shown(s.stir.certificate.as_ref()) },
        |s, text| {
            s.stir.certificate = optional(text)?;
            Ok(())
        },
        "Our certificate, as it lies at certificate_url: only to check that the key is its own.",
    ),
    Key::text(
        "certificate_url",
        "an https address, or nothing",
        Given::Default { shows: |s| shown(s.stir.certificate_url.as_ref()) },
        |s, text| {
            let is_none = text.value.is_empty();
            s.stir.certificate_url = if is_none { None } else { Some(url(text.value)?) };
            Ok(())
        },
        "Where everybody finds our certificate with its chain.",
    ),
    Key::texts(
        "numbers",
        "numbers with + and country code, x for any digit",
        (0, 4_096),
        Given::Default { shows: |s| list(&s.stir.numbers) },
        |s, text| {
            s.stir.numbers.push(owned(text.value)?);
            Ok(())
        },
        "Numbers that are ours beside those of [[number]]: calls that show one are signed with attestation A, all others with B.",
    ),
    Key::flag(
        "verstat",
        |s, is_on| s.stir.verstat = is_on,
        |s| s.stir.verstat.to_string(),
        "Whether phones are told what came of the check, by a verstat parameter behind the caller's number.",
    ),
];

fn shown(text: Option<&String>) -> String {
    quoted(text.map_or("", String::as_str))
}

fn source(text: &str) -> Result<Source, Wrong> {
    Source::parse(text).ok_or_else(|| {
        Wrong::new("bad-address", format!("`{text}` is no host and no network"))
            .help("write a host without https://, such as \"certificates.example.com\" or \"*.example.com:8443\"")
    })
}

fn url(text: &str) -> Result<String, Wrong> {
    let example = "write an address such as \"https://certificates.example.com/ours.pem\"";
    if text.len() >= 7 && text.get(..7).is_some_and(|head| head.eq_ignore_ascii_case("http://")) {
        let message =
            format!("`{text}`: a certificate that came over plain HTTP could be anybody's");
        return Err(Wrong::new("plain-http", message).help(example));
    }
    if text.len() > 1_000 || CertificateUrl::parse(text).is_none() {
        return Err(Wrong::new("bad-url", format!("`{text}` is no https address")).help(example));
    }
    Ok(text.to_owned())
}

fn owned(text: &str) -> Result<Owned, Wrong> {
    Owned::parse(text).ok_or_else(|| {
        Wrong::new("bad-number", format!("`{text}` is not a number, or a range of them"))
            .help("write \"+862012345678\", or \"+8620123456xx\" for a hundred of them")
    })
}

/// `note`.
pub(super) fn policy(text: &str) -> Result<StirIn, Wrong> {
    let words = StirIn::ALL.map(StirIn::word);
    StirIn::ALL.into_iter().find(|policy| policy.word() == text).ok_or_else(|| {
        let wrong = Wrong::new("bad-value", format!("there is no policy `{text}`"));
        match crate::edge::command::nearest(text, words) {
            Some(near) => wrong.help(format!("did you mean \"{near}\"?")),
            None => wrong.help(format!("the policies are {}", words.join(", "))),
        }
    })
}

/// Looks for what trunks want and nobody could do.
pub(super) fn check(report: &mut Report, drafts: &Drafts) {
    let stir = &drafts.settings.stir;
    let checks =
        |trunk: &TrunkDraft| trunk.stir_in.is_some_and(|policy| policy.value != StirIn::Off);
    let first = drafts.trunks.iter().find(|trunk| trunk.stir_out || checks(trunk));
    if let (Some(trunk), None) = (first, &drafts.settings.dial.country_code) {
        let message =
            "callers are signed with their country, and `country_code` under [dial] is missing";
        let help = "without it only numbers with + or 00 are what others take them for";
        report.warn(trunk.head, Wrong::new("missing-key", message).help(help));
    }
    for trunk in &drafts.trunks {
        if trunk.stir_out && !stir.can_sign() {
            let message = "`stir_out` needs the keys `key` and `certificate_url` under [stir]";
            let help = "add them in tandem.toml, or remove stir_out";
            report.error(trunk.head, Wrong::new("missing-key", message).help(help));
        }
        let Some(policy) = trunk.stir_in.as_ref().filter(|policy| policy.value != StirIn::Off)
        else {
            continue;
        };
        if stir.authorities.is_none() {
            let message = "`stir_in` needs the key `authorities` under [stir]";
            let help = "without it nobody's certificate is believed";
            report.error(policy.at, Wrong::new("missing-key", message).help(help));
        } else if stir.sources.is_empty() {
            let message = "`stir_in` needs the key `sources` under [stir]";
            let help =
                "list the hosts that certificates may be fetched from, or \"*\" for any public one";
            report.error(policy.at, Wrong::new("missing-key", message).help(help));
        }
    }
}

/// Reads the files; what is wrong with them is an error at the key that names them. A daemon that starts with the last
/// good configuration goes without: calls are neither checked nor signed then, and nobody is refused for that.
pub(super) fn read(
    report: &mut Report,
    drafts: &mut Drafts,
    base: &Path,
    is_last_good: bool,
) -> Option<Material> {
    let settings = &mut drafts.settings;
    match Material::load(&settings.stir, &settings.sip.tls, base) {
        Ok(material) => {
            settings.stir.origin_seed = material.origin_seed();
            Some(material)
        }
        Err(error) => {
            let at = settings.spot("stir", error.key);
            let wrong = Wrong::new("bad-certificate", error.message).help(error.help);
            if !is_last_good {
                report.error(at, wrong);
                return None;
            }
            report.warn(at, wrong);
            settings.stir = StirSettings::default();
            Material::load(&settings.stir, &Default::default(), base).ok()
        }
    }
}
