//! How carriers keep a dialog: routes, targets, tags, numbers, ACKs, re-INVITEs, timers, hang-ups.

use super::*;
use crate::sim::phone::Body;
use crate::sim::sdp::{Form, HOLD, TALK};

fn is_re_invite(text: &Text) -> bool {
    text.is("INVITE") && !text.tag_of_to().is_empty()
}

/// Answers every re-INVITE of ours by this status.
macro_rules! re_invites {
    ($name:literal, $rows:expr, $reply:expr, $comes:expr) => {
        Quirk {
            name: $name,
            rows: $rows,
            take: Some(|text, _| match is_re_invite(text) {
                true => Take::Say($reply),
                false => Take::Usual,
            }),
            comes: $comes,
            ..PLAIN
        }
    };
}

/// Answers BYE by this.
macro_rules! byes {
    ($name:literal, $rows:expr, $take:expr) => {
        Quirk {
            name: $name,
            rows: $rows,
            take: Some(|text, _| match text.is("BYE") {
                true => $take,
                false => Take::Usual,
            }),
            ..PLAIN
        }
    };
}

/// Its Contact, in requests and answers that make a dialog or refresh it.
macro_rules! contacts {
    ($name:literal, $ways:expr, $contact:expr, $comes:expr, $is_deaf:expr) => {
        Quirk {
            name: $name,
            rows: &[80],
            ways: $ways,
            write: Some(|packet, _| {
                if packet.text.has("Contact") && !packet.text.is("REGISTER") {
                    packet.text.unset("Contact");
                    if !$contact.is_empty() {
                        packet.text.push("Contact", $contact);
                    }
                }
            }),
            comes: $comes,
            is_deaf: $is_deaf,
            ..PLAIN
        }
    };
}

/// A proxy of the carrier's records itself in whatever makes a dialog.
macro_rules! routes {
    ($name:literal, $rows:expr, $routes:expr, $is_deaf:literal) => {
        Quirk {
            name: $name,
            rows: $rows,
            write: Some(|packet, _| {
                if packet.is_call() || packet.is_answer(180..300) {
                    packet.text.push("Record-Route", $routes);
                }
            }),
            is_deaf: $is_deaf,
            ..PLAIN
        }
    };
}

/// Asks for a session timer in the answer, or in its own call.
macro_rules! timer {
    ($name:literal, $refresher_out:literal, $refresher_in:literal, $comes:expr, $deeds:expr) => {
        Quirk {
            name: $name,
            rows: &[103],
            write: Some(|packet, memory| {
                let refresher = match (packet.is_call(), packet.is_answer(200..300)) {
                    (true, _) => $refresher_in,
                    // Later it lets us go on with it, if we began.
                    (_, true) if memory.count("terms") > 2 => "uac",
                    (_, true) => $refresher_out,
                    _ => return,
                };
                packet.text.push("Supported", "timer");
                packet.text.push("Session-Expires", &format!("90;refresher={refresher}"));
                if packet.text.status() == 200 {
                    packet.text.push("Require", "timer");
                }
            }),
            comes: $comes,
            lasts_s: 200,
            deeds: $deeds,
            ..PLAIN
        }
    };
}

fn refresh(phone: &mut Phone, now: u64, call: usize) {
    let timer = "Supported: timer\r\nSession-Expires: 90\r\n";
    let body = phone.offer(call);
    phone.in_dialog(now, call, "INVITE", timer, body);
}

pub(super) static ALL: &[Quirk] = &[
    Quirk {
        name: "ack_late",
        rows: &[23],
        ways: IN,
        write: Some(|packet, _| {
            if packet.text.is("ACK") {
                packet.after_ms = 2_700;
            }
        }),
        lasts_s: 25,
        ..PLAIN
    },
    Quirk {
        name: "ack_never",
        rows: &[23],
        ways: IN,
        write: Some(|packet, _| packet.is_dropped |= packet.text.is("ACK")),
        comes: Comes::Cut(&["no_ack"]),
        lasts_s: 45,
        ..PLAIN
    },
    Quirk {
        name: "ack_twice_and_with_a_body",
        rows: &[23],
        ways: IN,
        write: Some(|packet, _| {
            if packet.text.is("ACK") {
                if packet.text.body.is_empty() {
                    packet.text.push("Content-Type", "text/plain");
                    packet.text.body = "hello".into();
                }
                packet.extra.push((100, packet.text.clone()));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "hangs_up_at_its_answer",
        rows: &[30],
        ways: OUT,
        deeds: &[(Moment::Answered, 0, |phone, now, call| phone.hang_up(now, call))],
        comes: Comes::Cut(&["normal"]),
        ..PLAIN
    },
    Quirk {
        name: "hangs_up_at_our_answer",
        rows: &[30],
        ways: IN,
        deeds: &[(Moment::Answered, 0, |phone, now, call| phone.hang_up(now, call))],
        comes: Comes::Cut(&["normal"]),
        ..PLAIN
    },
    Quirk {
        name: "hangs_up_at_our_re_invite",
        rows: &[30],
        take: Some(|text, _| match is_re_invite(text) {
            true => Take::Ignore,
            false => Take::Usual,
        }),
        deeds: &[(Moment::Modified, 3, |phone, now, call| phone.hang_up(now, call))],
        comes: Comes::Cut(&["normal"]),
        ..PLAIN
    },
    re_invites!("glare_for_ever", &[86], Reply::status(491), Comes::Survives),
    re_invites!("re_invites_refused", &[90], Reply::status(488), Comes::Survives),
    re_invites!(
        "re_invites_wait",
        &[87],
        Reply::status(500).header("Retry-After: 9"),
        Comes::Survives
    ),
    re_invites!("re_invites_unavailable", &[90], Reply::status(503), Comes::Survives),
    re_invites!("re_invites_redirected", &[90], Reply::status(302), Comes::Survives),
    re_invites!("re_invites_declined", &[90], Reply::status(603), Comes::Survives),
    re_invites!("re_invites_481", &[83], Reply::status(481), Comes::Cut(&["dialog_lost"])),
    re_invites!("re_invites_408", &[83], Reply::status(408), Comes::Cut(&["dialog_lost"])),
    Quirk {
        name: "re_invites_get_no_answer",
        rows: &[90],
        take: Some(|text, _| match is_re_invite(text) {
            true => Take::Ignore,
            false => Take::Usual,
        }),
        lasts_s: 90,
        ..PLAIN
    },
    Quirk {
        name: "re_invites_answered_without_a_description",
        rows: &[90],
        habits: Some(|habits| habits.on_modify = Some(Reply::status(200))),
        ..PLAIN
    },
    Quirk {
        name: "re_invites_answered_after_twenty_seconds",
        rows: &[87, 90],
        write: Some(|packet, memory| {
            if packet.is_answer(200..300) && memory.count("200s") > 0 {
                packet.after_ms = 20_000;
            }
        }),
        ways: OUT,
        lasts_s: 90,
        ..PLAIN
    },
    Quirk {
        name: "to_tag_changes_in_re_invite_answers",
        rows: &[107],
        write: Some(|packet, memory| {
            if packet.is_answer(180..300) && memory.count("first answers") > 3 {
                let to = packet.text.get("To").split(";tag=").next().unwrap_or("").to_owned();
                packet.text.set("To", &format!("{to};tag=changed"));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "re_invite_before_our_ack",
        rows: &[89],
        ways: OUT,
        deeds: &[(Moment::Answered, 0, |phone, now, call| {
            phone.modify(now, call, "INVITE", TALK);
        })],
        ..PLAIN
    },
    Quirk {
        name: "re_invite_with_its_ack",
        rows: &[89],
        deeds: &[(Moment::Acked, 0, |phone, now, call| phone.modify(now, call, "INVITE", TALK))],
        ..PLAIN
    },
    Quirk {
        name: "re_invite_at_our_re_invite",
        rows: &[86],
        deeds: &[(Moment::Modified, 0, |phone, now, call| {
            phone.modify(now, call, "INVITE", TALK);
        })],
        ..PLAIN
    },
    Quirk {
        name: "two_re_invites_at_once",
        rows: &[87],
        deeds: &[
            (Moment::Acked, 5_500, |phone, now, call| phone.modify(now, call, "INVITE", HOLD)),
            (Moment::Acked, 5_501, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
            (Moment::Acked, 7_000, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
        ],
        ..PLAIN
    },
    Quirk {
        name: "re_invites_without_end",
        rows: &[86, 87],
        deeds: &[
            (Moment::Acked, 1_000, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
            (Moment::Acked, 1_050, |phone, now, call| phone.modify(now, call, "UPDATE", TALK)),
            (Moment::Acked, 1_100, |phone, now, call| phone.modify(now, call, "INVITE", HOLD)),
            (Moment::Acked, 2_000, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
            (Moment::Acked, 2_010, |phone, now, call| phone.modify(now, call, "UPDATE", HOLD)),
            (Moment::Acked, 3_000, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
            (Moment::Acked, 7_000, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
        ],
        ..PLAIN
    },
    Quirk {
        name: "cancels_its_re_invite",
        rows: &[29, 90],
        deeds: &[
            (Moment::Acked, 5_500, |phone, now, call| phone.modify(now, call, "INVITE", HOLD)),
            (Moment::Acked, 5_508, |phone, _, call| phone.cancel(call)),
            (Moment::Acked, 8_000, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
        ],
        ..PLAIN
    },
    Quirk {
        name: "update_before_the_answer",
        rows: &[106],
        ways: OUT,
        deeds: &[(Moment::Early, 300, |phone, now, call| {
            phone.modify(now, call, "UPDATE", TALK);
        })],
        ..PLAIN
    },
    Quirk {
        name: "updates_instead_of_re_invites",
        rows: &[80, 94],
        deeds: &[
            (Moment::Acked, 5_500, |phone, now, call| phone.modify(now, call, "UPDATE", HOLD)),
            (Moment::Acked, 7_000, |phone, now, call| phone.modify(now, call, "UPDATE", TALK)),
            (Moment::Acked, 7_500, |phone, now, call| {
                phone.in_dialog(now, call, "UPDATE", "", String::new());
            }),
        ],
        ..PLAIN
    },
    timer!("we_refresh", "uac", "uas", Comes::Survives, &[]),
    timer!("nobody_refreshes", "uas", "uac", Comes::Cut(&["session_expired"]), &[]),
    timer!(
        "refreshes_and_then_no_more",
        "uas",
        "uac",
        Comes::Cut(&["session_expired"]),
        &[(Moment::Acked, 40_000, refresh)]
    ),
    timer!(
        "leaves_the_refreshing_to_us_in_mid_call",
        "uas",
        "uac",
        Comes::Survives,
        &[(Moment::Acked, 40_000, |phone, now, call| {
            let timer = "Supported: timer\r\nSession-Expires: 90;refresher=uas\r\n";
            let body = phone.offer(call);
            phone.in_dialog(now, call, "INVITE", timer, body);
        })]
    ),
    Quirk {
        name: "timers_that_are_none",
        rows: &[103],
        write: Some(|packet, _| {
            if packet.is_call() || packet.is_answer(200..300) {
                packet.text.push("Session-Expires", "0;refresher=nobody");
                packet.text.push("Min-SE", "soon");
            }
        }),
        ways: OUT,
        ..PLAIN
    },
    routes!("a_proxy_records_itself", &[79], "<sip:203.0.113.10:5060;lr>", false),
    routes!("a_strict_router_records_itself", &[79], "<sip:203.0.113.10:5060>", false),
    routes!(
        "a_proxy_with_two_sides_records_both",
        &[79, 126],
        "<sip:203.0.113.10;transport=udp;lr=on;r2=on>, <sip:203.0.113.10;transport=udp;lr=on;r2=on>",
        false
    ),
    routes!("a_route_that_leads_nowhere", &[79], "<sip:203.0.113.77;lr>", true),
    contacts!("contact_missing", BOTH, "", Comes::Survives, false),
    contacts!(
        "contact_in_a_private_network",
        BOTH,
        "<sip:gw@192.168.7.7:5060>",
        Comes::Survives,
        true
    ),
    contacts!(
        "contact_with_tcp",
        BOTH,
        "<sip:gw@203.0.113.10:5060;transport=tcp>",
        Comes::Survives,
        false
    ),
    contacts!(
        "contact_without_brackets",
        BOTH,
        "sip:gw@203.0.113.10:5060;expires=30",
        Comes::Survives,
        false
    ),
    contacts!(
        "contact_by_a_name_that_is_none",
        BOTH,
        "<sip:gw@gateway.invalid>",
        Comes::Survives,
        true
    ),
    contacts!(
        "contact_that_is_us",
        BOTH,
        "<sip:gw@198.51.100.1:5060>",
        Comes::Open(&["dialog_lost", "normal"]),
        true
    ),
    contacts!("contact_with_an_empty_user", BOTH, "<sip:@203.0.113.10>", Comes::Survives, false),
    byes!("bye_answered_481", &[82], Take::Say(Reply::status(481))),
    byes!("bye_answered_500", &[82], Take::Say(Reply::status(500).header("Retry-After: 5"))),
    byes!("bye_answered_302", &[82], Take::Say(Reply::status(302).contact("<sip:x@192.0.2.9>"))),
    byes!("bye_never_answered", &[82], Take::Ignore),
    Quirk {
        name: "says_bye_with_reasons_that_are_none",
        rows: &[115],
        write: Some(|packet, _| {
            if packet.text.is("BYE") || packet.text.is("CANCEL") {
                packet.text.push("Reason", "Q.850;text=\"no cause\", SIP ;cause=999999, ;;;");
                packet.text.push("Reason", "preemption;cause=");
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "says_bye_twice_with_new_branches",
        rows: &[82],
        write: Some(|packet, memory| {
            if packet.text.is("BYE") && memory.count("bye") == 0 {
                let mut second = packet.text.clone();
                let via = second.get("Via").replace("branch=z9hG4bK", "branch=z9hG4bKtwo");
                second.set("Via", &via);
                packet.extra.push((4, second.clone()));
                second.set("CSeq", "4000 BYE");
                second.set("Via", &via.replace("two", "three"));
                packet.extra.push((900, second));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "numbers_jump",
        rows: &[81],
        write: Some(|packet, _| {
            let text = &mut packet.text;
            let is_new = text.is_request() && !text.tag_of_to().is_empty();
            if is_new && !text.is("ACK") && !text.is("CANCEL") {
                let cseq = format!("{} {}", text.cseq() + 1_000, text.method());
                text.set("CSeq", &cseq);
            }
        }),
        deeds: &[(Moment::Acked, 6_000, |phone, now, call| {
            phone.in_dialog(now, call, "OPTIONS", "", String::new());
        })],
        ..PLAIN
    },
    Quirk {
        name: "a_number_that_goes_back",
        rows: &[81],
        deeds: &[
            (Moment::Acked, 5_500, |phone, now, call| {
                phone.in_dialog(now, call, "OPTIONS", "", String::new());
            }),
            (Moment::Acked, 6_000, |phone, now, call| {
                let cseq = phone.calls[call].cseq;
                phone.calls[call].cseq = 0;
                phone.in_dialog(now, call, "INFO", "", String::new());
                phone.calls[call].cseq = cseq;
            }),
        ],
        ..PLAIN
    },
    Quirk {
        name: "calls_twice_by_two_ways",
        rows: &[32],
        ways: IN,
        write: Some(|packet, _| {
            if packet.is_call() {
                let mut second = packet.text.clone();
                let via = second.get("Via").replace("branch=z9hG4bK", "branch=z9hG4bKother");
                second.set("Via", &via);
                packet.extra.push((2, second));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "hops_ran_out",
        rows: &[33],
        ways: IN,
        write: Some(|packet, _| {
            if packet.is_call() {
                packet.text.set("Max-Forwards", "0");
            }
        }),
        comes: Comes::Refused(&["loop"]),
        ..PLAIN
    },
    Quirk {
        name: "no_max_forwards",
        rows: &[33],
        ways: IN,
        write: Some(|packet, _| packet.text.unset("Max-Forwards")),
        ..PLAIN
    },
    Quirk {
        name: "requires_what_nobody_knows",
        rows: &[114],
        ways: IN,
        headers: "Require: flux-capacitor\r\n",
        comes: Comes::Nothing,
        ..PLAIN
    },
    Quirk {
        name: "requires_what_nobody_knows_in_mid_call",
        rows: &[114],
        deeds: &[(Moment::Acked, 6_000, |phone, now, call| {
            let body = phone.offer(call);
            phone.in_dialog(now, call, "INVITE", "Require: flux-capacitor\r\n", body);
        })],
        ..PLAIN
    },
    Quirk {
        name: "answers_that_require_something",
        rows: &[114],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) {
                packet.text.push("Require", "flux-capacitor");
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "holds_in_its_answer_to_our_resume",
        rows: &[95],
        habits: Some(|habits| {
            habits.on_modify = Some(Reply::status(200).body(Body::Auto).header("X-Hold: no"));
        }),
        deeds: &[(Moment::Modified, 100, |phone, _, call| {
            phone.calls[call].form = Form::Direction("inactive");
        })],
        comes: Comes::Quiet,
        ..PLAIN
    },
    Quirk {
        name: "silent_once_it_is_connected",
        rows: &[90],
        take: Some(|text, _| match text.tag_of_to().is_empty() {
            true => Take::Usual,
            false => Take::Ignore,
        }),
        lasts_s: 90,
        ..PLAIN
    },
    Quirk {
        name: "481_to_whatever_it_is_asked_in_a_dialog",
        rows: &[83],
        take: Some(|text, _| match text.tag_of_to().is_empty() {
            true => Take::Usual,
            false => Take::Say(Reply::status(481)),
        }),
        comes: Comes::Cut(&["dialog_lost"]),
        ..PLAIN
    },
];
