//! The catalogue of causes: why a call ended, in one place.
//!
//! A row gives the stable key that the record stores, the SIP status a caller is answered with,
//! the Q.850 cause (RFC 3398 §8.2.6.1), whose fault it was and whether another trunk may be tried.
//!
//! 503 is said of ourselves only: a caller that hears it may leave us alone for a while (RFC 3261
//! §21.5.4). Where a trunk is at fault the caller hears 500, and the Q.850 cause says what it was.

/// Whose fault an ended call was, for reports and alarms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nobody's: the call did what a call does.
    None,
    /// The caller's: a wrong number, a refused login, too many calls.
    Caller,
    /// The called party's: busy, declined, not there.
    Called,
    /// The network's or the carrier's.
    Network,
    /// Ours.
    Tandem,
}

/// One row of the catalogue.
#[derive(PartialEq, Eq, Debug)]
pub struct Cause {
    /// The stable key in records, events and metrics.
    pub key: &'static str,
    /// The status that the caller's INVITE is answered with.
    pub sip: u16,
    /// The Q.850 cause for the `Reason` header.
    pub q850: u8,
    /// Whose fault it was.
    pub fault: Fault,
    /// May another trunk of the route be tried?
    pub is_retryable: bool,
    /// For a person.
    pub text: &'static str,
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $key:literal, $sip:literal, $q850:literal, $fault:ident, $retry:literal, $text:literal;)*) => {
        $($(#[$doc])* pub static $name: Cause = Cause {
            key: $key, sip: $sip, q850: $q850, fault: Fault::$fault, is_retryable: $retry, text: $text,
        };)*
        /// Every cause, in the order of the catalogue.
        pub static ALL: &[&Cause] = &[$(&$name),*];
    };
}

catalogue! {
    /// An answered call that one side hung up.
    NORMAL = "normal", 200, 16, None, false, "hung up";
    /// A party of it went on in another call (RFC 3891).
    TRANSFERRED = "transferred", 200, 16, None, false, "handed over to another call";
    /// A test of a trunk was answered.
    TESTED = "tested", 200, 16, None, false, "the test call was answered";
    /// The caller hung up before an answer.
    CANCELLED = "cancelled", 487, 16, None, false, "the caller gave up before an answer";
    /// As many are in the room as may be.
    ROOM_FULL = "room_full", 486, 17, Called, false, "the room is full";
    /// Somebody locked the room.
    ROOM_LOCKED = "room_locked", 403, 21, Called, false, "the room is locked";
    /// The PIN of a room was wrong too often.
    WRONG_PIN = "wrong_pin", 403, 21, Caller, false, "wrong PIN";
    /// A room is reached by dialling it, and not by a transfer.
    NO_WAY_IN = "no_way_in", 403, 21, Caller, false, "a call that lives cannot be sent into a room";
    /// What a call wanted to listen to is not there, or cannot be listened to.
    NOTHING_TO_HEAR = "nothing_to_hear", 480, 20, Called, false, "there is no such call to listen to";
    /// A service code was dialled, and did what it does.
    SERVED = "served", 200, 16, None, false, "a service code";
    /// The called phone has do-not-disturb on.
    DO_NOT_DISTURB = "do_not_disturb", 486, 17, Called, false, "the called party does not want to be disturbed";
    /// The called phone takes no calls whose number is withheld (RFC 5079).
    ANONYMOUS_REJECTED = "anonymous_rejected", 433, 24, Called, false, "the called party takes no calls without a number";
    /// The called phone is busy (486, 600).
    BUSY = "busy", 486, 17, Called, false, "the called party is busy";
    /// The called party refused (603).
    DECLINED = "declined", 603, 21, Called, false, "the called party declined";
    /// Nobody answered within the ring time.
    NO_ANSWER = "no_answer", 480, 19, Called, false, "nobody answered in time";
    /// The called phone has no binding.
    UNREACHABLE = "unreachable", 480, 20, Called, false, "the called phone is not registered";
    /// A `sips` call, and no way to the called side is under TLS (RFC 5630 §5.3).
    NOT_SECURE = "not_secure", 480, 31, Called, false, "no secure way leads to the called side";
    /// No such number here, or the far end says 404, 410 or 604.
    UNKNOWN_NUMBER = "unknown_number", 404, 1, Caller, false, "no such number";
    /// The dialled number is not complete or not understood (484).
    INVALID_NUMBER = "invalid_number", 484, 28, Caller, false, "the number is incomplete or malformed";
    /// Digest failed.
    WRONG_PASSWORD = "wrong_password", 403, 21, Caller, false, "the login was refused";
    /// The source may not place this call.
    FORBIDDEN = "forbidden", 403, 21, Caller, false, "this call is not allowed";
    /// The phone may not dial this class of destinations.
    CLASS_CLOSED = "class_closed", 403, 21, Caller, false, "this class of destinations is closed";
    /// A cap on calls or minutes was reached, of the phone or of every trunk of the route.
    CAP_REACHED = "cap_reached", 403, 21, Caller, false, "a cap on calls or minutes was reached";
    /// The From names another user than the one who logged in.
    OTHER_IDENTITY = "other_identity", 403, 21, Caller, false, "the caller claims to be somebody else";
    /// The trunk's calls must state who calls, and this one does not (RFC 8224 §6.2.2).
    IDENTITY_MISSING = "identity_missing", 428, 21, Caller, false, "nothing states who calls";
    /// The certificate of who states it could not be fetched.
    IDENTITY_UNFETCHED = "identity_unfetched", 436, 21, Caller, false, "the certificate of the caller's identity was not to be had";
    /// That certificate is from nobody whom we trust, or has expired.
    IDENTITY_UNSUPPORTED = "identity_unsupported", 437, 21, Caller, false, "the certificate of the caller's identity is not trusted";
    /// The statement is forged, malformed, or about another call.
    IDENTITY_INVALID = "identity_invalid", 438, 21, Caller, false, "the statement of who calls is not valid";
    /// It is too old, or from the future.
    IDENTITY_STALE = "identity_stale", 403, 21, Caller, false, "the statement of who calls is too old";
    /// The caller insists on a kind of privacy that we do not know (RFC 3323 §5).
    NO_PRIVACY = "no_privacy", 500, 79, Caller, false, "the privacy that was asked for cannot be had";
    /// The far end refused us (401, 403, 407 after our credentials).
    REFUSED_BY_PEER = "refused_by_peer", 403, 21, Network, false, "the far end refused the call";
    /// Max-Forwards ran out.
    LOOP = "loop", 483, 25, Network, false, "the call loops: Max-Forwards ran out";
    /// Max-Breadth allows fewer branches than the called phone has devices (RFC 5393 §5).
    TOO_WIDE = "too_wide", 440, 25, Network, false, "the call may not fork as widely as this";
    /// No codec that both sides speak.
    NO_COMMON_CODEC = "no_common_codec", 488, 88, Caller, false, "no codec that both sides speak";
    /// The audio of a peer must be encrypted, and it has none that is.
    SRTP_REQUIRED = "srtp_required", 488, 88, Network, false, "audio must be encrypted, and a side has it in the clear";
    /// A peer wants encrypted audio of a kind that is not spoken here, or that it is not to have.
    SRTP_UNUSABLE = "srtp_unusable", 488, 88, Network, false, "a side has encrypted audio that cannot be had here";
    /// The keys of encrypted audio could not be agreed on by DTLS, or not with who was to have them.
    DTLS_FAILED = "dtls_failed", 488, 88, Network, false, "the keys of a side's audio could not be agreed on";
    /// The far end answered 5xx.
    PEER_ERROR = "peer_error", 502, 41, Network, true, "the far end failed";
    /// The far end is overloaded (503).
    PEER_UNAVAILABLE = "peer_unavailable", 500, 42, Network, true, "the far end is unavailable";
    /// The far end did not answer any message.
    PEER_TIMEOUT = "peer_timeout", 408, 102, Network, true, "the far end does not answer";
    /// The far end could not be sent to.
    PEER_UNREACHABLE = "peer_unreachable", 500, 38, Network, true, "the far end cannot be reached";
    /// No trunk of the route could take the call.
    NO_TRUNK = "no_trunk", 500, 34, Network, false, "no trunk of the route is available";
    /// The far end answered something the catalogue has no better word for.
    PEER_REFUSED = "peer_refused", 480, 31, Network, false, "the far end refused the call";
    /// No RTP from one side for the configured time.
    DEAD_MEDIA = "dead_media", 200, 31, Network, false, "no audio arrived for the configured time";
    /// The 2xx was never acknowledged.
    NO_ACK = "no_ack", 408, 102, Network, false, "the answer was never acknowledged";
    /// A reliable 18x was never acknowledged (RFC 3262 §3).
    NO_PRACK = "no_prack", 504, 102, Network, false, "a reliable response was never acknowledged";
    /// The session timer ran out (RFC 4028 §10).
    SESSION_EXPIRED = "session_expired", 408, 102, Network, false, "the session was not refreshed in time";
    /// The dialog is gone at the far end (481, 408 inside the dialog).
    DIALOG_LOST = "dialog_lost", 481, 41, Network, false, "the far end no longer knows the call";
    /// The peer broke the offer/answer model.
    BAD_MEDIA_EXCHANGE = "bad_media_exchange", 488, 88, Network, false, "the media exchange broke down";
    /// An operator ended the call.
    OPERATOR = "operator", 480, 16, None, false, "ended by an operator";
    /// The daemon is draining.
    SHUTTING_DOWN = "shutting_down", 503, 41, Tandem, false, "the system is shutting down";
    /// A named limit was reached.
    LIMIT = "limit", 503, 42, Tandem, false, "a limit of the system was reached";
    /// No media ports, or the media plane refused.
    NO_MEDIA = "no_media", 503, 47, Tandem, false, "no media port could be opened";
    /// The call's task panicked.
    INTERNAL = "internal.panic", 500, 41, Tandem, false, "an internal error ended the call";
    /// The daemon died during the call; written at the next start.
    SYSTEM_ERROR = "system_error", 500, 41, Tandem, false, "the system stopped during the call";
}

/// The row with this key.
#[must_use]
pub fn by_key(key: &str) -> Option<&'static Cause> {
    ALL.iter().copied().find(|cause| cause.key == key)
}

/// The row for a final status that a called party or a trunk answered an INVITE with.
#[must_use]
pub fn from_status(status: u16) -> &'static Cause {
    match status {
        486 | 600 => &BUSY,
        603 | 607 | 608 => &DECLINED,
        404 | 410 | 604 => &UNKNOWN_NUMBER,
        484 | 485 => &INVALID_NUMBER,
        480 | 487 => &NO_ANSWER,
        401 | 403 | 407 => &REFUSED_BY_PEER,
        408 => &PEER_TIMEOUT,
        482 | 483 => &LOOP,
        415 | 488 | 606 => &NO_COMMON_CODEC,
        503 => &PEER_UNAVAILABLE,
        500..=599 => &PEER_ERROR,
        _ => &PEER_REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_once() {
        for cause in ALL {
            assert_eq!(
                ALL.iter().filter(|other| other.key == cause.key).count(),
                1,
                "{}",
                cause.key
            );
            assert_eq!(by_key(cause.key), Some(*cause));
        }
    }

    /// Interop row 46: 503 would make the caller shun us for the sake of a trunk.
    #[test]
    fn only_we_ourselves_are_unavailable() {
        for cause in ALL {
            assert!(cause.sip != 503 || cause.fault == Fault::Tandem, "{}", cause.key);
        }
    }

    /// A trunk is left for the next one on 5xx, not on 486 or 404.
    #[test]
    fn only_the_networks_failures_try_another_trunk() {
        for status in [500, 502, 503, 504, 408] {
            assert!(from_status(status).is_retryable, "{status}");
        }
        for status in [486, 404, 403, 480, 484, 488, 600, 603] {
            assert!(!from_status(status).is_retryable, "{status}");
        }
    }
}
