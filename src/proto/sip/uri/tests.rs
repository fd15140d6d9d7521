use super::*;

fn same(a: &str, b: &str) -> bool {
    Uri::parse(a).unwrap().is_equivalent(&Uri::parse(b).unwrap())
}

/// Row 15: the comparison table of RFC 3261 §19.1.4.
#[test]
fn row_015_equality_follows_the_table_of_rfc_3261() {
    for (a, b) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("sip:a@[2001:db8::9]", "sip:a@[2001:DB8:0::9]"),
    ] {
        assert!(same(a, b), "{a} = {b}");
        assert!(same(b, a), "{b} = {a}");
    }
    for (a, b) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
    ] {
        assert!(!same(a, b), "{a} != {b}");
        assert!(!same(b, a), "{b} != {a}");
    }
}

#[test]
fn a_user_part_may_hold_what_elsewhere_separates() {
    let uri = Uri::parse("sip:user;par=u%40example.net@example.com").unwrap();
    assert_eq!(uri.user, "user;par=u%40example.net");
    assert_eq!(uri.host, Host::parse("example.com"));
    assert_eq!(Uri::parse("sip:john.doe@example.com").unwrap().user, "john.doe");
}

#[test]
fn a_tel_uri_is_its_number() {
    let uri = Uri::parse("tel:+8613800138000;phone-context=x").unwrap();
    assert_eq!((uri.scheme, uri.dialled().as_ref()), (Scheme::Tel, "+8613800138000"));
    assert_eq!(Uri::parse("tel:911").unwrap().dialled(), "911");
}

#[test]
fn a_uri_that_names_a_parameter_twice_is_still_itself() {
    let uri = Uri::parse("sip:a@b;x=1;x=2").unwrap();
    assert!(uri.is_equivalent(&uri));
}

#[test]
fn a_dot_at_the_end_of_a_host_is_the_root_and_no_part_of_it() {
    assert_eq!(Host::parse("2.2.2.2."), Host::parse("2.2.2.2"));
    assert_eq!(Host::parse("B.example."), Host::parse("b.example"));
    assert_eq!((Host::parse("."), Host::parse("")), (None, None));
}

/// RFC 5118 §4.10: three colons before an embedded IPv4 address are tolerated, and nowhere else.
#[test]
fn a_third_colon_before_an_ipv4_address_is_read_as_two() {
    let host = |text: &str| Uri::parse(text).and_then(|uri| uri.host).map(|host| host.to_string());
    assert_eq!(host("sip:u@[2001:db8:::192.0.2.1]").as_deref(), Some("[2001:db8::c000:201]"));
    assert_eq!(host("sip:u@[:::192.0.2.1]").as_deref(), Some("[::c000:201]"));
    for text in ["sip:u@[2001:db8:::1]", "sip:u@[1::2:::192.0.2.1]", "sip:u@[1::::192.0.2.1]"] {
        assert_eq!(host(text), None, "{text}");
    }
}

#[test]
fn broken_uris_are_refused() {
    for text in [
        "",
        "sip",
        "sip:",
        "sip:@",
        "sip:a@",
        "sip:a@b:x",
        "sip:a@b:99999",
        "sip:a b@c",
        "<sip:a@b>",
        "sip:a@[::1",
        "sip:a@.",
        "7:x",
    ] {
        assert_eq!(Uri::parse(text), None, "{text}");
    }
}

#[test]
fn the_next_hop_is_the_host_unless_maddr_says_otherwise() {
    let hop = |text: &str| Uri::parse(text).unwrap().next_hop().map(|hop| hop.to_string());
    assert_eq!(hop("sip:a@10.0.0.1").as_deref(), Some("udp:10.0.0.1:5060"));
    assert_eq!(hop("sip:a@x.example:5070;transport=TCP").as_deref(), Some("tcp:x.example:5070"));
    assert_eq!(hop("sip:a@x.example;maddr=10.0.0.9").as_deref(), Some("udp:10.0.0.9:5060"));
    assert_eq!(hop("sip:a@x.example;transport=carrier-pigeon"), None);
}
