//! The carrier as a registrar: challenges, grants, and what it does wrong at both.

use super::*;
use crate::sim::text::{auth_param, is_right_answer};

/// What a registrar does with a REGISTER before it would do what is right; `None`: what is right.
pub type Oddity = fn(&Text, &mut Desk) -> Option<Reply>;

/// One thing that a registrar does otherwise than one would like.
#[derive(Clone, Copy)]
pub struct Habit {
    pub name: &'static str,
    pub rows: &'static [u16],
    pub act: Oddity,
    /// How it writes a 200.
    pub grants: fn(Reply, &Text) -> Reply,
    /// How many seconds until the trunk has to be up; 0: it must not be.
    pub up_within_s: u64,
}

/// What it keeps.
pub struct Desk {
    pub user: String,
    pub secret: String,
    pub realm: String,
    pub nonce: u32,
    /// The nonce that is good now; another one is stale.
    pub turn: u32,
    /// Seconds of a grant.
    pub expires: u32,
    /// The Contact that calls go to.
    pub contact: String,
    /// Whether a login was ever wrong.
    pub wrong: u32,
}

pub struct Registrar {
    pub desk: Desk,
    habits: Vec<Habit>,
}

impl Desk {
    /// A challenge with a new nonce.
    pub fn challenge(&mut self, more: &str) -> Reply {
        self.nonce += 1;
        Reply::status(401).header(&format!(
            "WWW-Authenticate: Digest realm=\"{}\", nonce=\"n{}\", algorithm=MD5, qop=\"auth\"{more}",
            self.realm, self.nonce
        ))
    }

    fn is_logged_in(&mut self, text: &Text) -> bool {
        let login = text.get("Authorization");
        if auth_param(login, "nonce") != format!("n{}", self.nonce) {
            return false;
        }
        let is_right = is_right_answer(login, text.method(), &self.user, &self.secret);
        self.wrong += u32::from(!is_right);
        is_right
    }
}

impl Registrar {
    pub fn new(user: &str, secret: &str, habits: Vec<Habit>) -> Self {
        let desk = Desk {
            user: user.into(),
            secret: secret.into(),
            realm: "carrier.example".into(),
            nonce: 0,
            turn: 0,
            expires: 3_600,
            contact: String::new(),
            wrong: 0,
        };
        Self { desk, habits }
    }

    pub fn take(&mut self, text: &Text) -> Take {
        self.desk.turn += 1;
        for habit in &self.habits {
            if let Some(reply) = (habit.act)(text, &mut self.desk) {
                return Take::Say(reply);
            }
        }
        if !self.desk.is_logged_in(text) {
            return Take::Say(self.desk.challenge(""));
        }
        self.desk.contact = super::super::text::uri_of(text.get("Contact"));
        let granted = format!("Expires: {}", self.desk.expires);
        let reply = Reply::status(200).header(&granted).contact(text.get("Contact"));
        Take::Say(self.habits.iter().fold(reply, |reply, habit| (habit.grants)(reply, text)))
    }
}

const STRICT: Habit = Habit {
    name: "strict",
    rows: &[65],
    act: |_, _| None,
    grants: |reply, _| reply,
    up_within_s: 2,
};

/// Everything that registrars do.
pub static HABITS: &[Habit] = &[
    STRICT,
    Habit {
        name: "423_first",
        rows: &[65],
        act: |text, desk| {
            let asked: u32 = text.get("Expires").parse().unwrap_or(0);
            let contact = text.get("Contact").rsplit("expires=").next().unwrap_or("0");
            let asked = asked.max(contact.parse().unwrap_or(0));
            desk.expires = 1_200;
            (asked < 1_200).then(|| Reply::status(423).header("Min-Expires: 1200"))
        },
        ..STRICT
    },
    Habit {
        name: "423_without_a_number",
        rows: &[65],
        act: |_, _| Some(Reply::status(423)),
        up_within_s: 0,
        ..STRICT
    },
    Habit {
        name: "423_for_ever_more",
        rows: &[65],
        act: |_, desk| {
            Some(Reply::status(423).header(&format!("Min-Expires: {}", 600 + 100 * desk.turn)))
        },
        up_within_s: 0,
        ..STRICT
    },
    Habit {
        name: "grants_less_than_was_asked",
        rows: &[65],
        act: |_, desk| {
            desk.expires = 60;
            None
        },
        ..STRICT
    },
    Habit {
        name: "grants_in_the_contact_alone",
        rows: &[54, 65],
        grants: |mut reply, text| {
            reply.headers.clear();
            reply
                .contact(&format!("<{}>;expires=90", crate::sim::text::uri_of(text.get("Contact"))))
        },
        ..STRICT
    },
    Habit {
        name: "grants_without_a_number",
        rows: &[65],
        grants: |mut reply, _| {
            reply.headers.clear();
            reply.contact("")
        },
        ..STRICT
    },
    Habit {
        name: "lists_other_bindings_first",
        rows: &[55],
        grants: |reply, text| {
            let own = format!(
                "{};expires=600",
                text.get("Contact").split(";expires").next().unwrap_or("")
            );
            reply.contact(&format!("<sip:other@192.0.2.4>;expires=3, {own}"))
        },
        ..STRICT
    },
    Habit {
        name: "service_route_and_path",
        rows: &[60, 66],
        grants: |reply, _| {
            reply.header("Service-Route: <sip:203.0.113.10;lr>").header("Path: <sip:p.example;lr>")
        },
        ..STRICT
    },
    Habit {
        name: "service_route_that_is_none",
        rows: &[66],
        grants: |reply, _| reply.header("Service-Route: nonsense, <;;>"),
        ..STRICT
    },
    Habit {
        name: "403_and_later_it_knows_us",
        rows: &[65],
        act: |_, desk| (desk.turn <= 2).then(|| Reply::status(403)),
        up_within_s: 1_800,
        ..STRICT
    },
    Habit {
        name: "503_three_times",
        rows: &[46, 65],
        act: |_, desk| (desk.turn <= 3).then(|| Reply::status(503).header("Retry-After: 20")),
        up_within_s: 400,
        ..STRICT
    },
    Habit {
        name: "404_for_ever",
        rows: &[65],
        act: |_, _| Some(Reply::status(404)),
        up_within_s: 0,
        ..STRICT
    },
    Habit {
        name: "401_for_ever",
        rows: &[65, 74],
        act: |_, desk| Some(desk.challenge("")),
        up_within_s: 0,
        ..STRICT
    },
    Habit {
        name: "stale_for_ever",
        rows: &[69, 74],
        act: |_, desk| Some(desk.challenge(", stale=true")),
        up_within_s: 0,
        ..STRICT
    },
    Habit {
        name: "stale_once",
        rows: &[69, 70],
        act: |text, desk| {
            let is_first = desk.nonce == 1 && text.has("Authorization");
            is_first.then(|| desk.challenge(", stale=true"))
        },
        ..STRICT
    },
    Habit {
        name: "several_challenges",
        rows: &[72],
        act: |text, desk| {
            if text.has("Authorization") {
                return None;
            }
            let mut reply = desk.challenge("");
            let md5 = std::mem::take(&mut reply.headers);
            let other = |algorithm: &str| {
                format!(
                    "WWW-Authenticate: Digest realm=\"carrier.example\", nonce=\"x\", algorithm={algorithm}\r\n"
                )
            };
            reply.headers = format!("WWW-Authenticate: Bearer\r\n{}{md5}", other("SHA3-999"));
            Some(reply)
        },
        ..STRICT
    },
    Habit {
        name: "a_challenge_that_is_none",
        rows: &[72],
        act: |_, _| Some(Reply::status(401).header("WWW-Authenticate: Digest realm=, ,,nonce")),
        up_within_s: 0,
        ..STRICT
    },
    Habit {
        name: "asks_in_another_realm_later",
        rows: &[78],
        act: |_, desk| {
            if desk.turn == 4 {
                desk.realm = "evil.example".into();
                desk.nonce += 1;
            }
            None
        },
        ..STRICT
    },
    Habit {
        name: "a_new_nonce_for_every_request",
        rows: &[70],
        act: |text, desk| {
            let used = desk.turn % 2 == 1;
            (used && text.has("Authorization")).then(|| desk.challenge(""))
        },
        up_within_s: 60,
        ..STRICT
    },
];
