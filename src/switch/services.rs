//! Service codes: what a phone dials to be left alone, or to send its calls elsewhere.

use std::time::Duration;

/// The longest number that calls are sent to.
const NUMBER_MAX: usize = 32;

/// What can be switched on and off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service {
    /// Nothing rings it.
    DoNotDisturb,
    /// Every call goes elsewhere.
    ForwardAll,
    /// A call that finds it busy goes elsewhere.
    ForwardBusy,
    /// A call that it does not answer, or that cannot reach it, goes elsewhere.
    ForwardNoAnswer,
    /// Who withholds the number does not reach it.
    RejectAnonymous,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::DoNotDisturb,
        Self::ForwardAll,
        Self::ForwardBusy,
        Self::ForwardNoAnswer,
        Self::RejectAnonymous,
    ];

    /// The word in the configuration, in events and in what operators read.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::DoNotDisturb => "dnd",
            Self::ForwardAll => "forward_all",
            Self::ForwardBusy => "forward_busy",
            Self::ForwardNoAnswer => "forward_no_answer",
            Self::RejectAnonymous => "reject_anonymous",
        }
    }

    /// Is a number part of it?
    #[must_use]
    pub const fn has_number(self) -> bool {
        matches!(self, Self::ForwardAll | Self::ForwardBusy | Self::ForwardNoAnswer)
    }
}

/// `[codes]`: what is dialled for each; nothing where a service has no code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CodeSettings {
    /// On and off, in the order of [`Service::ALL`].
    pub codes: [[String; 2]; 5],
    /// How long a phone rings that sends unanswered calls elsewhere.
    pub no_answer: Duration,
}

impl Default for CodeSettings {
    fn default() -> Self {
        let pair = |on: &str, off: &str| [on.to_owned(), off.to_owned()];
        Self {
            // Those that phones and people know from other switches.
            codes: [
                pair("*78", "*79"),
                pair("*72", "*73"),
                pair("*90", "*91"),
                pair("*92", "*93"),
                pair("*77", "*87"),
            ],
            no_answer: Duration::from_secs(20),
        }
    }
}

/// What a phone wants of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// On; with the number that calls go to.
    On(Service, Option<String>),
    /// Off.
    Off(Service),
    /// The code of a service that needs a number, without one that can be dialled.
    Incomplete(Service),
}

impl CodeSettings {
    /// Reads what was dialled; `None` if it is no code. A number follows its code at once or behind a star, and may end
    /// with a hash: `*721002`, `*72*1002#`.
    #[must_use]
    pub fn read(&self, dialled: &str) -> Option<Wish> {
        let all = || Service::ALL.into_iter().zip(&self.codes);
        for (service, [on, off]) in all() {
            if !off.is_empty() && dialled == off {
                return Some(Wish::Off(service));
            }
            if !on.is_empty() && dialled == on {
                let is_whole = !service.has_number();
                return Some(if is_whole {
                    Wish::On(service, None)
                } else {
                    Wish::Incomplete(service)
                });
            }
        }
        let with_number = all().filter(|(service, [on, _])| service.has_number() && !on.is_empty());
        // Of two codes where one begins with the other, the longer one is meant.
        let (service, rest) = with_number
            .filter_map(|(service, [on, _])| Some((service, dialled.strip_prefix(on.as_str())?)))
            .min_by_key(|(_, rest)| rest.len())?;
        let number = rest.strip_prefix('*').unwrap_or(rest).trim_end_matches('#');
        let digits = number.strip_prefix('+').unwrap_or(number);
        let is_number = !digits.is_empty()
            && number.len() <= NUMBER_MAX
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        Some(match is_number {
            true => Wish::On(service, Some(number.to_owned())),
            false => Wish::Incomplete(service),
        })
    }
}

/// What one phone has switched on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PhoneServices {
    /// Nothing rings it.
    pub dnd: bool,
    /// Where every call goes.
    pub forward_all: Option<String>,
    /// Where calls go that find it busy.
    pub forward_busy: Option<String>,
    /// Where calls go that it does not answer.
    pub forward_no_answer: Option<String>,
    /// Who withholds the number is refused.
    pub reject_anonymous: bool,
}

impl PhoneServices {
    /// Takes a wish over, and says what holds now.
    pub fn set(&mut self, wish: &Wish) -> String {
        let (service, is_on, number) = match wish {
            Wish::On(service, number) => (*service, true, number.clone()),
            Wish::Off(service) => (*service, false, None),
            Wish::Incomplete(service) => return format!("{} needs a number", service.word()),
        };
        match service {
            Service::DoNotDisturb => self.dnd = is_on,
            Service::ForwardAll => self.forward_all.clone_from(&number),
            Service::ForwardBusy => self.forward_busy.clone_from(&number),
            Service::ForwardNoAnswer => self.forward_no_answer.clone_from(&number),
            Service::RejectAnonymous => self.reject_anonymous = is_on,
        }
        match (is_on, number) {
            (true, Some(number)) => format!("{} is on, to {number}", service.word()),
            (true, None) => format!("{} is on", service.word()),
            (false, _) => format!("{} is off", service.word()),
        }
    }

    /// Is all of it off?
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// What is on, for people: `forward_busy to 1003`.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let switch = |is_on: bool, service: Service| is_on.then(|| service.word().to_owned());
        let number = |number: &Option<String>, service: Service| {
            number.as_ref().map(|number| format!("{} to {number}", service.word()))
        };
        [
            switch(self.dnd, Service::DoNotDisturb),
            number(&self.forward_all, Service::ForwardAll),
            number(&self.forward_busy, Service::ForwardBusy),
            number(&self.forward_no_answer, Service::ForwardNoAnswer),
            switch(self.reject_anonymous, Service::RejectAnonymous),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_with_and_without_their_number() {
        let codes = CodeSettings::default();
        let to = |number: &str| Some(Wish::On(Service::ForwardAll, Some(number.to_owned())));
        for (dialled, wish) in [
            ("*78", Some(Wish::On(Service::DoNotDisturb, None))),
            ("*79", Some(Wish::Off(Service::DoNotDisturb))),
            ("*721002", to("1002")),
            ("*72*1002#", to("1002")),
            ("*72+8613800138000", to("+8613800138000")),
            ("*73", Some(Wish::Off(Service::ForwardAll))),
            ("*72", Some(Wish::Incomplete(Service::ForwardAll))),
            ("*72*", Some(Wish::Incomplete(Service::ForwardAll))),
            ("*72abc", Some(Wish::Incomplete(Service::ForwardAll))),
            ("*72+", Some(Wish::Incomplete(Service::ForwardAll))),
            ("*781", None),
            ("78", None),
            ("", None),
        ] {
            assert_eq!(codes.read(dialled), wish, "{dialled}");
        }
        let long = format!("*72{}", "1".repeat(NUMBER_MAX + 1));
        assert_eq!(codes.read(&long), Some(Wish::Incomplete(Service::ForwardAll)));
    }

    #[test]
    fn a_service_without_a_code_cannot_be_dialled_and_the_longer_code_is_meant() {
        let mut codes = CodeSettings::default();
        codes.codes[0] = [String::new(), String::new()];
        assert_eq!(codes.read("*78"), None);
        codes.codes[1][0] = "*9".into();
        assert_eq!(
            codes.read("*901002"),
            Some(Wish::On(Service::ForwardBusy, Some("1002".into())))
        );
        assert_eq!(codes.read("*91"), Some(Wish::Off(Service::ForwardBusy)));
        assert_eq!(codes.read("*951"), Some(Wish::On(Service::ForwardAll, Some("51".into()))));
    }

    #[test]
    fn what_is_on_is_said_and_can_be_taken_back() {
        let (mut own, codes) = (PhoneServices::default(), CodeSettings::default());
        for dialled in ["*78", "*721002", "*90*1003#", "*921004", "*77"] {
            own.set(&codes.read(dialled).unwrap());
        }
        let words = ["dnd", "forward_all to 1002", "forward_busy to 1003"];
        assert_eq!(own.words()[..3], words);
        assert_eq!(own.words().len(), 5);
        for dialled in ["*79", "*73", "*91", "*93", "*87"] {
            own.set(&codes.read(dialled).unwrap());
        }
        assert!(own.is_plain());
    }
}
