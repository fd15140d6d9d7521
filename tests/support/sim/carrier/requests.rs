//! What carriers ask of us that no call needs, how they write it, and what the network does to it.

use super::*;

/// Sends this in the dialog while it rings, after the answer, and in the middle of the call.
macro_rules! asks {
    ($name:literal, $rows:expr, $method:literal, $headers:literal, $body:literal) => {
        Quirk {
            name: $name,
            rows: $rows,
            deeds: &[
                (Moment::Early, 100, |phone, now, call| {
                    if !phone.calls[call].remote_tag.is_empty() {
                        phone.in_dialog(now, call, $method, $headers, $body.into());
                    }
                }),
                (Moment::Acked, 10, |phone, now, call| {
                    phone.in_dialog(now, call, $method, $headers, $body.into());
                }),
                (Moment::Acked, 6_000, |phone, now, call| {
                    phone.in_dialog(now, call, $method, $headers, $body.into());
                }),
            ],
            ..PLAIN
        }
    };
}

fn rewrites(packet: &mut Packet, name: &str, act: fn(&str) -> String) {
    if packet.text.has(name) {
        let value = act(packet.text.get(name));
        packet.text.set(name, &value);
    }
}

pub(super) static ALL: &[Quirk] = &[
    asks!("refers_us", &[120, 125], "REFER", "Refer-To: <sip:1001@198.51.100.1>\r\n", ""),
    asks!("refers_us_nowhere", &[125], "REFER", "X: y\r\n", ""),
    asks!(
        "refers_us_to_a_dialog",
        &[122, 123],
        "REFER",
        "Refer-To: <sip:1001@198.51.100.1?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>\r\n",
        ""
    ),
    asks!(
        "notifies_out_of_the_blue",
        &[129, 130],
        "NOTIFY",
        "Event: refer\r\nSubscription-State: active\r\nContent-Type: message/sipfrag\r\n",
        "SIP/2.0 200 OK\r\n"
    ),
    asks!("notifies_without_an_event", &[131], "NOTIFY", "Subscription-State: active\r\n", ""),
    asks!(
        "subscribes_in_the_dialog",
        &[128, 131],
        "SUBSCRIBE",
        "Event: refer\r\nExpires: 60\r\n",
        ""
    ),
    asks!(
        "writes_a_message",
        &[135],
        "MESSAGE",
        "Content-Type: text/plain\r\n",
        "your credit is low"
    ),
    asks!("asks_for_options", &[116], "OPTIONS", "Accept: application/sdp\r\n", ""),
    asks!("info_without_a_body", &[118], "INFO", "", ""),
    asks!(
        "info_of_a_package_that_nobody_knows",
        &[118],
        "INFO",
        "Info-Package: flux\r\nContent-Type: text/plain\r\n",
        "x"
    ),
    asks!(
        "info_with_a_digit",
        &[118],
        "INFO",
        "Content-Type: application/dtmf-relay\r\n",
        "Signal=5\r\nDuration=160\r\n"
    ),
    asks!(
        "info_with_nonsense",
        &[118],
        "INFO",
        "Content-Type: application/dtmf-relay\r\n",
        "Signal=\u{7}\r\nDuration=999999999999\r\n"
    ),
    asks!("publishes", &[134], "PUBLISH", "Event: presence\r\n", ""),
    asks!("a_method_that_nobody_knows", &[17], "FROBNICATE", "", ""),
    asks!("prack_out_of_the_blue", &[104], "PRACK", "RAck: 1 1 INVITE\r\n", ""),
    asks!("registers_in_the_dialog", &[82], "REGISTER", "", ""),
    Quirk {
        name: "asks_in_a_dialog_that_is_not_there",
        rows: &[82],
        deeds: &[(Moment::Acked, 5_500, |phone, now, call| {
            let known = phone.calls[call].remote_tag.clone();
            phone.calls[call].remote_tag = "unknown".into();
            for method in ["INVITE", "UPDATE", "INFO", "BYE", "NOTIFY", "REFER"] {
                phone.in_dialog(now, call, method, "", String::new());
            }
            phone.calls[call].remote_tag = known;
        })],
        ..PLAIN
    },
    Quirk {
        name: "cancels_what_is_answered",
        rows: &[28],
        ways: IN,
        deeds: &[(Moment::Acked, 200, |phone, _, call| phone.cancel(call))],
        ..PLAIN
    },
    Quirk {
        name: "short_names",
        rows: &[2],
        write: Some(|packet, _| packet.style = Style::Compact),
        ..PLAIN
    },
    Quirk {
        name: "folded_lines_in_capitals",
        rows: &[2],
        write: Some(|packet, _| packet.style = Style::Folded),
        ..PLAIN
    },
    Quirk {
        name: "headers_that_nobody_knows",
        rows: &[2, 20],
        write: Some(|packet, _| {
            for index in 0..40 {
                packet.text.push(&format!("P-Carrier-{index}"), "\"\u{4f60}\u{597d}\";a=b, <c>;d");
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "display_names_with_all_signs",
        rows: &[4, 20],
        ways: IN,
        write: Some(|packet, _| {
            // The From of an ACK is that of the answer, which has the name already.
            if packet.text.is_request() && !packet.text.get("From").starts_with('"') {
                rewrites(packet, "From", |from| format!("\"a \\\"b\\\", <c>; \u{e9}\" {from}"));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "anonymous_and_asserted",
        rows: &[117],
        ways: IN,
        headers: "Privacy: id\r\nP-Asserted-Identity: \"X\" <sip:+8613800138000@203.0.113.10>\r\n\
                  P-Asserted-Identity: tel:+8613800138000;cpc=ordinary\r\nRemote-Party-ID: <sip:1@2>;privacy=full\r\n",
        ..PLAIN
    },
    Quirk {
        name: "diverted_by_everybody",
        rows: &[109, 127],
        ways: IN,
        headers: "Diversion: <sip:1@x>;reason=unknown;counter=9, <tel:+1>, broken\r\n\
                  History-Info: <sip:1@x>;index=1, <sip:2@x>;index=1.1;rc=1, <;;>\r\nReferred-By: <sip:x>\r\n",
        ..PLAIN
    },
    Quirk {
        name: "wants_to_be_answered_at_once",
        rows: &[137],
        ways: IN,
        headers: "Call-Info: <sip:x>;answer-after=0\r\nAlert-Info: <http://x/ring>\r\nAnswer-Mode: Auto\r\n",
        ..PLAIN
    },
    Quirk {
        name: "takes_over_a_dialog_that_is_not_there",
        rows: &[123],
        ways: IN,
        headers: "Replaces: none@here;to-tag=1;from-tag=2\r\nSupported: replaces\r\n",
        comes: Comes::Survives,
        ..PLAIN
    },
    Quirk {
        name: "every_packet_twice",
        rows: &[21, 23],
        write: Some(|packet, _| packet.extra.push((1, packet.text.clone()))),
        ..PLAIN
    },
    Quirk {
        name: "every_packet_once_more_after_seconds",
        rows: &[21, 23],
        write: Some(|packet, _| packet.extra.push((4_000, packet.text.clone()))),
        ..PLAIN
    },
    Quirk {
        name: "packets_overtake_each_other",
        rows: &[21, 139],
        weather: Weather { loss: 0, duplicates: 0, jitter_us: 60_000 },
        ..PLAIN
    },
    Quirk {
        name: "loses_a_tenth",
        rows: &[21, 22, 23],
        weather: Weather { loss: 100, duplicates: 50, jitter_us: 20_000 },
        lasts_s: 60,
        ..PLAIN
    },
    Quirk {
        name: "our_requests_reach_it_a_second_late",
        rows: &[21, 22],
        write: Some(|packet, _| packet.after_ms = 800),
        lasts_s: 25,
        ..PLAIN
    },
];
