//! What carriers describe: late offers, answers that answer something else, streams, holds.

use super::*;
use crate::sim::phone::Body;
use crate::sim::sdp::{Form, TALK};

/// Holds so, and resumes two seconds later.
macro_rules! hold {
    ($name:literal, $form:expr, $comes:expr, $resumes:literal) => {
        Quirk {
            name: $name,
            rows: &[94],
            comes: $comes,
            deeds: &[
                (Moment::Acked, 6_000, |phone, now, call| phone.modify(now, call, "INVITE", $form)),
                (Moment::Acked, 8_000, |phone, now, call| {
                    if $resumes {
                        phone.modify(now, call, "INVITE", TALK);
                    }
                }),
            ],
            lasts_s: 12,
            ..PLAIN
        }
    };
}

fn has_sdp(packet: &Packet) -> bool {
    packet.text.body.starts_with("v=0")
}

pub(super) static ALL: &[Quirk] = &[
    hold!("holds_by_sendonly", Form::Direction("sendonly"), Comes::Survives, true),
    hold!("holds_by_inactive", Form::Direction("inactive"), Comes::Survives, true),
    hold!("holds_by_the_session", Form::SessionDirection("inactive"), Comes::Survives, true),
    hold!("holds_by_the_zero_address", Form::ZeroAddress, Comes::Survives, true),
    hold!("holds_by_both", Form::ZeroAddressSendOnly, Comes::Survives, true),
    hold!("holds_by_port_zero", Form::PortZero, Comes::Survives, true),
    hold!("only_listens_for_a_while", Form::Direction("recvonly"), Comes::Survives, true),
    hold!("holds_for_good", Form::Direction("sendonly"), Comes::Quiet, false),
    hold!("has_no_address_any_more", Form::ZeroAddress, Comes::Quiet, false),
    Quirk { name: "late_offer", rows: &[84], ways: IN, is_late: true, ..PLAIN },
    Quirk {
        name: "late_offer_without_an_answer",
        rows: &[84],
        ways: IN,
        is_late: true,
        habits: Some(|habits| habits.answers_in_ack = false),
        comes: Comes::Cut(&["bad_media_exchange"]),
        ..PLAIN
    },
    Quirk {
        name: "late_offer_in_a_re_invite",
        rows: &[85],
        deeds: &[(Moment::Acked, 6_000, |phone, now, call| {
            phone.in_dialog(now, call, "INVITE", "", String::new());
        })],
        ..PLAIN
    },
    Quirk {
        name: "late_re_invite_that_gets_no_answer_in_its_ack",
        rows: &[84, 85],
        habits: Some(|habits| habits.answers_in_ack = false),
        deeds: &[(Moment::Acked, 6_000, |phone, now, call| {
            phone.in_dialog(now, call, "INVITE", "", String::new());
        })],
        comes: Comes::Cut(&["bad_media_exchange"]),
        ..PLAIN
    },
    Quirk {
        name: "changes_under_the_same_version",
        rows: &[92],
        write: Some(|packet, _| {
            let (head, tail) = match packet.text.body.split_once(" IN IP4 ") {
                Some((head, tail)) => (head.to_owned(), tail.to_owned()),
                None => return,
            };
            let Some((head, _)) = head.rsplit_once(' ') else { return };
            packet.text.body = format!("{head} 1 IN IP4 {tail}");
        }),
        deeds: &[
            (Moment::Acked, 6_000, |phone, now, call| {
                phone.modify(now, call, "INVITE", Form::Direction("inactive"));
            }),
            (Moment::Acked, 7_500, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
        ],
        ..PLAIN
    },
    Quirk {
        name: "versions_that_jump_and_overflow",
        rows: &[91],
        write: Some(|packet, memory| {
            if has_sdp(packet) {
                let version = ["1", "18446744073709551615", "7", "99999999999999999999999"];
                let turn = memory.count("version") as usize % version.len();
                packet.sdp("o=phone 77 ", &format!("o=phone 77 {}", version[turn]));
            }
        }),
        deeds: &[(Moment::Acked, 6_000, |phone, now, call| {
            phone.modify(now, call, "INVITE", TALK);
        })],
        ..PLAIN
    },
    Quirk {
        name: "another_session_id_every_time",
        rows: &[91],
        write: Some(|packet, memory| {
            if has_sdp(packet) {
                let id = memory.count("session");
                packet.sdp("o=phone 77 ", &format!("o=- {id}77 "));
            }
        }),
        deeds: &[(Moment::Acked, 6_000, |phone, now, call| {
            phone.modify(now, call, "INVITE", TALK);
        })],
        ..PLAIN
    },
    Quirk {
        name: "adds_a_stream_in_its_re_invite",
        rows: &[93],
        write: Some(|packet, _| {
            if packet.text.is("INVITE") && has_sdp(packet) && !packet.is_call() {
                packet.text.body += "m=video 6000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
            }
        }),
        deeds: &[(Moment::Acked, 6_000, |phone, now, call| {
            phone.modify(now, call, "INVITE", TALK);
        })],
        ..PLAIN
    },
    Quirk {
        name: "offers_video_first",
        rows: &[93],
        ways: IN,
        write: Some(|packet, _| {
            let video = "m=video 6000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio";
            packet.sdp("m=audio", video);
        }),
        ..PLAIN
    },
    Quirk {
        name: "answers_with_more_streams_than_were_offered",
        rows: &[93],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) && has_sdp(packet) {
                packet.text.body += "m=video 0 RTP/AVP 96\r\n";
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "answers_with_port_zero",
        rows: &[93, 94],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) {
                packet.sdp("m=audio 4", "m=audio 0 RTP/AVP 0 8 101\r\na=x:4");
            }
        }),
        comes: Comes::Quiet,
        ..PLAIN
    },
    Quirk {
        name: "answers_with_the_zero_address",
        rows: &[94],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) {
                packet.sdp("c=IN IP4 203.0.113.10", "c=IN IP4 0.0.0.0");
            }
        }),
        comes: Comes::Quiet,
        ..PLAIN
    },
    Quirk {
        name: "answers_on_hold",
        rows: &[94],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) {
                packet.sdp("a=sendrecv", "a=inactive");
            }
        }),
        comes: Comes::Quiet,
        ..PLAIN
    },
    Quirk {
        name: "own_payload_numbers_in_the_answer",
        rows: &[97],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) {
                packet.sdp("RTP/AVP 0 8 101", "RTP/AVP 0 8 118");
                packet.sdp("a=rtpmap:101 ", "a=rtpmap:118 ");
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "answers_a_codec_that_nobody_offered",
        rows: &[97, 101],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) {
                let body = packet.text.body.clone();
                let head = body.split("m=audio").next().unwrap_or("");
                packet.text.body = format!(
                    "{head}m=audio 4000 RTP/AVP 3\r\na=rtpmap:3 GSM/8000\r\na=sendrecv\r\n"
                );
            }
        }),
        comes: Comes::Refused(&["bad_media_exchange"]),
        ..PLAIN
    },
    Quirk {
        name: "answers_with_numbers_and_no_maps",
        rows: &[97],
        write: Some(|packet, _| {
            packet.sdp("a=rtpmap:0 PCMU/8000\r\n", "");
            packet.sdp("a=rtpmap:8 PCMA/8000\r\n", "");
        }),
        ..PLAIN
    },
    Quirk {
        name: "answers_without_any_stream",
        rows: &[93],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) {
                let head = packet.text.body.split("m=audio").next().unwrap_or("").to_owned();
                packet.text.body = head;
            }
        }),
        comes: Comes::Refused(&["bad_media_exchange"]),
        ..PLAIN
    },
    Quirk {
        name: "answers_with_nonsense",
        rows: &[93],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) {
                packet.text.body = "v=nonsense\r\nm=\u{0}\r\n".into();
            }
        }),
        comes: Comes::Refused(&["bad_media_exchange"]),
        ..PLAIN
    },
    Quirk {
        name: "answers_without_a_description",
        rows: &[84],
        ways: OUT,
        invite: Some(|| {
            vec![(20, Reply::status(180)), (1000, Reply::status(200).body(Body::None))]
        }),
        comes: Comes::Refused(&["bad_media_exchange"]),
        ..PLAIN
    },
    Quirk {
        name: "changes_its_description_in_a_repeated_200",
        rows: &[23, 92],
        ways: OUT,
        write: Some(|packet, memory| {
            if packet.is_answer(200..300) && memory.count("other sdp") == 0 {
                let mut other = packet.text.clone();
                other.body = other.body.replace("m=audio 4", "m=audio 6");
                packet.extra.push((700, other));
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "content_type_in_capitals_with_parameters",
        rows: &[13],
        write: Some(|packet, _| {
            if has_sdp(packet) {
                packet.text.set("Content-Type", "Application/SDP;charset=utf-8");
                packet.text.push("Content-Disposition", "session;handling=required");
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "description_in_a_multipart_body",
        rows: &[12],
        write: Some(|packet, _| {
            if has_sdp(packet) {
                packet.text.set("Content-Type", "multipart/mixed;boundary=\"b1\"");
                packet.text.body = format!(
                    "--b1\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\n\u{1}\u{2}\r\n--b1\r\n\
                     Content-Type: application/sdp\r\n\r\n{}\r\n--b1--\r\n",
                    packet.text.body
                );
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "line_ends_without_returns",
        rows: &[12],
        write: Some(|packet, _| packet.sdp("\r\n", "\n")),
        ..PLAIN
    },
    Quirk {
        name: "lines_that_nobody_knows",
        rows: &[93],
        write: Some(|packet, _| {
            packet.sdp("t=0 0\r\n", "b=CT:1000\r\nb=X-foo:1\r\nt=0 0\r\nr=7d 1h 0 25h\r\nz=0 0\r\nk=clear:x\r\na=x:\u{e9}\r\n");
            packet.sdp(
                "a=rtpmap:0 ",
                "a=silenceSupp:off - - - -\r\na=ptime:\r\na=maxptime:x\r\na=rtpmap:0 ",
            );
        }),
        ..PLAIN
    },
    Quirk {
        name: "rtcp_mux_and_avpf_unasked",
        rows: &[102],
        ways: OUT,
        write: Some(|packet, _| {
            if packet.is_answer(180..300) {
                packet.text.body += "a=rtcp-mux\r\na=rtcp:9 IN IP4 192.0.2.1\r\n";
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "packet_times_of_60_ms",
        rows: &[99],
        write: Some(|packet, _| {
            if has_sdp(packet) {
                packet.text.body += "a=ptime:60\r\na=maxptime:60\r\n";
            }
        }),
        ..PLAIN
    },
    Quirk {
        name: "its_media_is_elsewhere",
        rows: &[107],
        write: Some(|packet, _| packet.sdp("c=IN IP4 203.0.113.10", "c=IN IP4 203.0.113.99")),
        ..PLAIN
    },
    Quirk {
        name: "moves_its_media_for_ever",
        rows: &[92, 96],
        write: Some(|packet, memory| {
            if has_sdp(packet) {
                let last = 100 + memory.count("moves");
                packet.sdp("c=IN IP4 203.0.113.10", &format!("c=IN IP4 203.0.113.{last}"));
            }
        }),
        deeds: &[
            (Moment::Acked, 6_000, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
            (Moment::Acked, 7_000, |phone, now, call| phone.modify(now, call, "INVITE", TALK)),
        ],
        ..PLAIN
    },
];
