use super::*;

fn session(owns_call_id: bool) -> Session {
    let setting = Setting {
        contact: "<sip:me@h>".into(),
        user_agent: "test".into(),
        timers: Timers::default(),
        refreshing: Refreshing::default(),
        reliable: Reliable::default(),
        replaces: false,
        session_ids: SessionIds::default(),
    };
    let mut session = Session::empty(setting, Tokens::new([7; 32]), State::Established);
    session.owns_call_id = owns_call_id;
    session
}

/// RFC 3261 §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other side up to 2 s, in steps of 10 ms.
#[test]
fn the_pause_after_a_491_is_that_of_the_rfc() {
    for (owns, least, most) in [(true, 2_100, 4_000), (false, 0, 2_000)] {
        let mut session = session(owns);
        let pauses: Vec<_> = (0..2_000).map(|_| session.glare_pause().as_millis()).collect();
        assert_eq!(pauses.iter().min(), Some(&least));
        assert_eq!(pauses.iter().max(), Some(&most));
        assert!(pauses.iter().all(|pause| pause % 10 == 0));
    }
}

#[test]
fn a_session_that_waits_for_nothing_has_no_timer() {
    let mut session = session(true);
    assert!(session.can_modify());
    assert_eq!(session.next_timeout(), None);
    let mut out = Vec::new();
    session.handle_timeout(Instant::from_millis(1), &mut out);
    assert!(out.is_empty());
}
