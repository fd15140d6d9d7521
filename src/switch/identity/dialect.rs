//! How a carrier wants numbers and identities written: the keys of a trunk that a profile may give.

use super::number::NumberForm;

/// Whose word about identities counts (RFC 3325 §3, Spec(T)).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trust {
    /// What the trunk says of who calls is believed.
    pub inward: bool,
    /// The trunk keeps to itself what it is asked to: it is told who calls even if that is withheld.
    pub outward: bool,
}

impl Trust {
    /// The word of the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match (self.inward, self.outward) {
            (false, false) => "none",
            (true, false) => "in",
            (false, true) => "out",
            (true, true) => "both",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [(false, false), (true, false), (false, true), (true, true)];
        let mut all = all.into_iter().map(|(inward, outward)| Self { inward, outward });
        all.find(|trust| trust.word() == word)
    }
}

/// Gives a closed set of words to an enum of the configuration.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        impl $name {
            /// All words, in order.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word of the configuration.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Reads the word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(super) use words;

/// A header that names the caller beside From.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IdentityHeader {
    /// P-Asserted-Identity (RFC 3325 §9.1).
    Asserted,
    /// P-Preferred-Identity (RFC 3325 §9.2).
    Preferred,
    /// Remote-Party-ID (draft-ietf-sip-privacy-04).
    RemoteParty,
}

words!(IdentityHeader { Asserted = "pai", Preferred = "ppi", RemoteParty = "rpid" });

/// Whom the user of From names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FromUser {
    /// Who calls.
    #[default]
    Caller,
    /// The login at the carrier; who calls is in the identity headers.
    Account,
}

words!(FromUser { Caller = "caller", Account = "account" });

/// The host of From, and of every other URI of ours that names somebody towards a trunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FromHost {
    /// The registrar's domain in mode `register`, our address otherwise.
    #[default]
    Auto,
    /// Our address.
    Address,
    /// The carrier's domain: its registrar's, or that of its first peer.
    Carrier,
    /// Our realm.
    Realm,
}

words!(FromHost { Auto = "auto", Address = "address", Carrier = "carrier", Realm = "realm" });

/// A header that names who forwarded a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forwarding {
    /// Diversion (RFC 5806).
    Diversion,
    /// History-Info (RFC 7044).
    History,
}

words!(Forwarding { Diversion = "diversion", History = "history_info" });

/// Whose number a forwarded call shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ForwardedCaller {
    /// That of the phone that forwarded it.
    #[default]
    Own,
    /// That of who calls, where he calls from outside.
    Original,
}

words!(ForwardedCaller { Own = "own", Original = "original" });

/// How numbers and identities are written for a trunk, and how its own are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialect {
    /// Whose word counts.
    pub trust: Trust,
    /// The form of the number that is called.
    pub called: NumberForm,
    /// Digits before it, such as those for an outside line.
    pub called_prefix: String,
    /// The form of every number that names somebody.
    pub calling: NumberForm,
    /// The form that the trunk's own numbers have.
    pub receives: NumberForm,
    /// The area that the line is in, without the national prefix.
    pub area_code: Option<String>,
    /// Mobile numbers of the country have no national prefix.
    pub mobile_bare: bool,
    /// Headers that name the caller, beside From.
    pub identity: Vec<IdentityHeader>,
    /// The user of From.
    pub from_user: FromUser,
    /// The host of From.
    pub from_host: FromHost,
    /// Do URIs say that their user is a telephone number (RFC 3261 §19.1.1)?
    pub user_phone: bool,
    /// Headers that name who forwarded a call.
    pub forwarding: Vec<Forwarding>,
    /// Whose number a forwarded call shows.
    pub forwarded_caller: ForwardedCaller,
    /// Codecs that it is offered, in this order; all that the other side has if empty.
    pub codecs: Vec<String>,
    /// Is a session timer asked for? Where the peer asks, it has one anyway.
    pub session_timers: bool,
    /// May its calls go over to fax by T.38?
    pub t38: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            trust: Trust::default(),
            called: NumberForm::default(),
            called_prefix: String::new(),
            calling: NumberForm::default(),
            receives: NumberForm::default(),
            area_code: None,
            mobile_bare: false,
            identity: Vec::new(),
            from_user: FromUser::default(),
            from_host: FromHost::default(),
            user_phone: false,
            forwarding: Vec::new(),
            forwarded_caller: ForwardedCaller::default(),
            codecs: Vec::new(),
            session_timers: true,
            t38: true,
        }
    }
}
