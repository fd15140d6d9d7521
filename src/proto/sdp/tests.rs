//! Reading what the field sends and writing what the RFC asks for.

use proptest::prelude::*;

use super::*;

const FIELD: &[u8] = b"v=0\r\n\
o=user name 9223372036854775808000 2 IN IP4 host.example\r\n\
s= \r\n\
i=a \xff byte\r\n\
b=AS:64\r\n\
c=IN IP6 2001:db8::1\r\n\
t=0 0\r\n\
a=tool:x\r\n\
m=audio 4000/2 RTP/AVP 18 96\r\n\
a=rtpmap:96 telephone-event/8000\r\n\
a=fmtp:96 0-16\r\n\
a=ptime:20.5\r\n\
a=X-odd:1\r\n\
m=image 5000 udptl t38\r\n\
c=IN IP4 fax.example.com\r\n\
a=T38FaxVersion:0\r\n";

#[test]
fn a_field_description_is_read_in_full() {
    let sdp = Sdp::parse(FIELD).unwrap();
    assert_eq!(sdp.origin.session_id, "9223372036854775808000");
    assert_eq!(sdp.session_name, "-");
    let [audio, image] = sdp.media.as_slice() else { panic!("two streams") };
    assert_eq!((audio.port, audio.port_count, audio.ptime_ms), (4000, 2, Some(20)));
    assert_eq!(sdp.connection_of(audio).unwrap().ip().unwrap().to_string(), "2001:db8::1");
    assert_eq!(audio.attribute("x-ODD"), Some("1"));
    assert_eq!((image.kind.clone(), image.formats.clone()), (MediaKind::Image, vec!["t38".into()]));
    assert_eq!(sdp.connection_of(image).unwrap().unicast_ip(), None);
    let names: Vec<_> = audio.rtp_formats().into_iter().map(|f| f.name).collect();
    assert_eq!(names, ["G729", "telephone-event"]);
}

#[test]
fn the_written_form_is_in_the_order_of_the_rfc_and_reads_back_the_same() {
    let mut sdp = Sdp::parse(FIELD).unwrap();
    let text = sdp.to_string();
    let kinds: String = text.split("\r\n").filter_map(|line| line.chars().next()).collect();
    assert_eq!(kinds, "vosicbtamaaaamca");
    assert!(text.contains("m=audio 4000/2 RTP/AVP 18 96\r\n") && text.contains("a=X-odd:1\r\n"));
    sdp.origin.username = "user_name".into();
    assert_eq!(Sdp::parse(text.as_bytes()).unwrap(), sdp);
}

#[test]
fn bare_line_feeds_and_missing_lines_are_accepted() {
    let sdp = Sdp::parse(b"o=- 1 1 IN IP4 1.2.3.4\n\nnonsense\nm=audio 4 RTP/AVP 0\n\n").unwrap();
    assert_eq!((sdp.media.len(), sdp.origin.address.address.as_str()), (1, "1.2.3.4"));
}

#[test]
fn malformed_and_oversized_bodies_are_told_apart() {
    let with = |rest: &str| Sdp::parse(format!("o=- 1 1 IN IP4 1.2.3.4\n{rest}").as_bytes());
    assert_eq!(Sdp::parse(b"v=0\ns=-\n"), Err(SdpError::BadOrigin));
    assert_eq!(Sdp::parse(b"o=- 1 IN IP4 1.2.3.4\n"), Err(SdpError::BadOrigin));
    assert_eq!(with("c=IN IP4\n"), Err(SdpError::BadConnection));
    assert_eq!(with("m=audio x RTP/AVP 0\n"), Err(SdpError::BadMedia));
    assert_eq!(with("m=audio 70000 RTP/AVP 0\n"), Err(SdpError::BadMedia));
    assert_eq!(with("m=audio 4 RTP/AVP\n"), Err(SdpError::BadMedia));
    assert!(with("m=audio 0 RTP/AVP\n").is_ok());
    assert_eq!(with(&"m=audio 4 RTP/AVP 0\n".repeat(17)), Err(SdpError::TooManyMedia));
    assert_eq!(with(&format!("m=audio 4 X {}\n", "0 ".repeat(129))), Err(SdpError::TooManyFormats));
    assert_eq!(with(&"a=x\n".repeat(LINES_MAX)), Err(SdpError::TooManyLines));
    assert_eq!(Sdp::parse(&vec![b'a'; BODY_MAX + 1]), Err(SdpError::TooLong));
}

#[test]
fn media_level_overrides_session_level() {
    let body = b"o=- 1 1 IN IP4 1.2.3.4\nc=IN IP4 1.1.1.1\na=inactive\n\
                 m=audio 4 RTP/AVP 0\nm=audio 4 RTP/AVP 0\nc=IN IP4 2.2.2.2\na=sendonly\n";
    let sdp = Sdp::parse(body).unwrap();
    let seen: Vec<_> = sdp
        .media
        .iter()
        .map(|m| (sdp.connection_of(m).unwrap().address.as_str(), sdp.direction_of(m)))
        .collect();
    assert_eq!(seen, [("1.1.1.1", Direction::Inactive), ("2.2.2.2", Direction::SendOnly)]);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_or_the_negotiator_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz_sdp(&bytes);
    }

    #[test]
    fn no_mutation_of_a_real_body_panics_and_what_is_read_is_written_back(
        at in 0..FIELD.len(), byte in any::<u8>(), cut in 0..FIELD.len(),
    ) {
        let mut body = FIELD.to_vec();
        body[at] = byte;
        fuzz_sdp(&body);
        fuzz_sdp(&body[..cut]);
        if let Ok(sdp) = Sdp::parse(&body) {
            let again = Sdp::parse(&sdp.to_bytes()).unwrap();
            prop_assert_eq!(again.to_bytes(), sdp.to_bytes());
        }
    }
}
