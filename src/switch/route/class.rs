//! Classes of destinations, by what a number begins with.

use super::caps::DialSettings;

/// Where a number leads, as far as its price goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Without any prefix.
    Local,
    /// Another area of the same country.
    National,
    /// A mobile phone of the same country.
    Mobile,
    /// Another country.
    International,
    /// Numbers that cost more than the way to them.
    Premium,
}

impl Class {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::Local, Self::National, Self::Mobile, Self::International, Self::Premium];

    /// The word in the configuration, in events and timelines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::National => "national",
            Self::Mobile => "mobile",
            Self::International => "international",
            Self::Premium => "premium",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }

    /// Its place in tables by class.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// How numbers are read here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'s> {
    settings: &'s DialSettings,
}

impl<'s> Plan<'s> {
    pub(super) const fn of(settings: &'s DialSettings) -> Self {
        Self { settings }
    }

    /// What follows the international prefix; `None` if there is none.
    pub(super) fn international<'n>(&self, number: &'n str) -> Option<&'n str> {
        let prefixes = &self.settings.international_prefixes;
        let after = prefixes.iter().find_map(|prefix| number.strip_prefix(prefix.as_str()));
        number.strip_prefix('+').or(after)
    }

    /// The class of a number. `by_admin`: the country that the route itself writes before it.
    pub(super) fn class(&self, number: &str, by_admin: Option<&str>) -> Class {
        let Some(digits) = self.international(number) else { return self.at_home(number) };
        let begins = |list: &[String]| {
            list.iter()
                .filter_map(|known| known.strip_prefix('+'))
                .any(|known| digits.starts_with(known))
        };
        if begins(&self.settings.premium) {
            return Class::Premium;
        }
        let country = self.settings.country_code.as_deref().or(by_admin);
        match country.and_then(|country| digits.strip_prefix(country)) {
            Some(_) if begins(&self.settings.mobile) => Class::Mobile,
            Some(rest) => self.at_home(rest).max(Class::National),
            None => Class::International,
        }
    }

    /// The class of a number of the same country.
    fn at_home(&self, number: &str) -> Class {
        let settings = self.settings;
        let prefix = Some(settings.national_prefix.as_str()).filter(|prefix| !prefix.is_empty());
        let stripped = prefix.and_then(|prefix| number.strip_prefix(prefix));
        let bare = stripped.unwrap_or(number);
        let begins = |list: &[String]| list.iter().any(|known| bare.starts_with(known.as_str()));
        if begins(&settings.premium) {
            Class::Premium
        } else if begins(&settings.mobile) {
            Class::Mobile
        } else if stripped.is_some() {
            Class::National
        } else {
            Class::Local
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(settings: &DialSettings, number: &str) -> Class {
        Plan::of(settings).class(number, None)
    }

    #[test]
    fn a_number_is_what_it_begins_with() {
        let mut settings = DialSettings { country_code: Some("86".into()), ..Default::default() };
        settings.mobile = vec!["13".into(), "18".into()];
        settings.premium.push("168".into());
        for (number, expected) in [
            ("87654321", Class::Local),
            ("02087654321", Class::National),
            ("013800138000", Class::Mobile),
            ("13800138000", Class::Mobile),
            ("+8613800138000", Class::Mobile),
            ("+862012345678", Class::National),
            ("00862012345678", Class::National),
            ("00441632960000", Class::International),
            ("+15550100", Class::International),
            ("16812345", Class::Premium),
            ("+8616812345", Class::Premium),
            ("+88213500000", Class::Premium),
        ] {
            assert_eq!(class(&settings, number), expected, "{number}");
        }
    }

    #[test]
    fn without_a_country_only_the_admin_makes_a_number_national() {
        let settings = DialSettings::default();
        assert_eq!(class(&settings, "+8613800138000"), Class::International);
        assert_eq!(Plan::of(&settings).class("+8613800138000", Some("86")), Class::National);
        // The caller cannot dial himself out of the country that the admin wrote.
        assert_eq!(Plan::of(&settings).class("+860044", Some("86")), Class::National);
    }
}
