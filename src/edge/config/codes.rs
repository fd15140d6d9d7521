//! `[codes]`: what phones dial to be left alone, or to send their calls elsewhere.

use std::collections::HashSet;

use super::item::{Given, Item};
use super::settings::{Settings, in_seconds, quoted, seconds};
use super::source::{Report, Wrong};
use crate::switch::services::Service;

type Key = Item<Settings>;

/// A key for each code of a service.
macro_rules! codes {
    ($($name:literal, $service:expr, $at:literal, $meaning:literal;)*) => {
        pub(super) static CODES: &[Key] = &[
            $(Key::text(
                $name,
                "digits, * and #, or nothing",
                Given::Default { shows: |s| quoted(&s.codes.codes[$service as usize][$at]) },
                |s, text| {
                    s.codes.codes[$service as usize][$at] = code(text.value)?;
                    Ok(())
                },
                $meaning,
            ),)*
            Key::whole(
                "no_answer_seconds",
                (5, 180),
                |s, n| s.codes.no_answer = seconds(n),
                |s| in_seconds(s.codes.no_answer),
                "How long a phone rings that sends unanswered calls elsewhere.",
            ),
        ];
    };
}

codes! {
    "dnd_on", Service::DoNotDisturb, 0, "What a phone dials so that nothing rings it; no code where this is empty, here and below.";
    "dnd_off", Service::DoNotDisturb, 1, "What takes that back.";
    "forward_all_on", Service::ForwardAll, 0, "What a phone dials before a number that all its calls are to go to.";
    "forward_all_off", Service::ForwardAll, 1, "What takes that back.";
    "forward_busy_on", Service::ForwardBusy, 0, "The same for calls that find it busy.";
    "forward_busy_off", Service::ForwardBusy, 1, "What takes that back.";
    "forward_no_answer_on", Service::ForwardNoAnswer, 0, "The same for calls that it does not answer, or that cannot reach it.";
    "forward_no_answer_off", Service::ForwardNoAnswer, 1, "What takes that back.";
    "reject_anonymous_on", Service::RejectAnonymous, 0, "What a phone dials so that calls from outside without a number do not reach it.";
    "reject_anonymous_off", Service::RejectAnonymous, 1, "What takes that back.";
}

fn code(text: &str) -> Result<String, Wrong> {
    let is_good = text.is_empty()
        || (2..=8).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit() || b"*#".contains(&byte));
    if is_good {
        return Ok(text.to_owned());
    }
    Err(Wrong::new("bad-code", format!("`{text}` is not a code"))
        .help("write 2 to 8 digits, * and #, such as *72"))
}

/// Looks for two services with one code, and for codes that hide an extension.
pub(super) fn check(report: &mut Report, settings: &Settings, extensions: &HashSet<&str>) {
    let all = Service::ALL.into_iter().zip(&settings.codes.codes);
    let words: Vec<_> = all
        .flat_map(|(service, [on, off])| {
            [(format!("{}_on", service.word()), on), (format!("{}_off", service.word()), off)]
        })
        .filter(|(_, code)| !code.is_empty())
        .collect();
    for (index, (name, code)) in words.iter().enumerate() {
        let at = settings.spot("codes", name);
        if let Some((other, _)) = words[..index].iter().find(|(_, known)| known == code) {
            let wrong = Wrong::new("same-code", format!("`{code}` is {other} as well as {name}"));
            report.error(at, wrong.help("give each a code of its own, or none"));
        }
        if extensions.contains(code.as_str()) {
            let message = format!("`{code}` is the extension of a phone, which cannot be dialled");
            report.error(at, Wrong::new("same-code", message).help("change one of the two"));
        }
        // A number follows it, and who calls that phone would send its own calls elsewhere.
        let takes_number = Service::ALL
            .iter()
            .any(|service| service.has_number() && *name == format!("{}_on", service.word()));
        let hidden = extensions.iter().filter(|own| takes_number && own.starts_with(code.as_str()));
        if let Some(hidden) = hidden.filter(|own| own.len() > code.len()).min() {
            let message = format!("`{code}` and a number is what calls the phone {hidden}, too");
            let help = "begin the code with * or #, or with digits that no extension begins with";
            report.error(at, Wrong::new("same-code", message).help(help));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::edge::config::tests::findings;

    const SIP: &str = "[sip]\nlisten = [\"udp:127.0.0.1:5060\"]\n";

    #[test]
    fn a_code_is_for_one_service_and_hides_no_extension() {
        let phone = "[[phone]]\nextension = \"881\"\nsecret = \"wren-Kf7q2-maple\"\n";
        for (codes, rule) in [
            ("dnd_on = \"*60\"\ndnd_off = \"\"", None),
            ("dnd_on = \"*72\"", Some("error[same-code]")),
            ("dnd_on = \"*7\"\ndnd_off = \"*7\"", Some("error[same-code]")),
            ("dnd_on = \"881\"", Some("error[same-code]")),
            ("forward_all_on = \"88\"", Some("error[same-code]")),
            ("forward_busy_on = \"89\"\ndnd_on = \"88\"", None),
            ("dnd_on = \"dnd\"", Some("error[bad-code]")),
            ("dnd_on = \"*\"", Some("error[bad-code]")),
            ("no_answer_seconds = 1", Some("error[")),
        ] {
            let tandem = format!("{SIP}[codes]\n{codes}\n");
            let report = findings(&[("tandem.toml", &tandem), ("phones.toml", phone)]);
            assert_eq!(report.contains("error["), rule.is_some(), "{codes}: {report}");
            assert!(rule.is_none_or(|rule| report.contains(rule)), "{codes}: {report}");
        }
    }
}
