//! One enum for every outside wish, whoever speaks it.

mod leg;
mod nearest;
mod params;
pub mod recordings;
pub mod reply;
pub mod rooms;
mod speech;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

pub use self::nearest::nearest;
use self::params::Params;
pub use self::speech::SpeechCommand;
use super::config::Diagnostic;
use super::control::rpc::RpcError;
use super::store::{RecordFilter, RecordingFilter, StoreError};
use crate::switch::call::HeardBy;
use crate::switch::cause::Cause;
use crate::switch::cdr::record::CallId;
use crate::switch::recording::RecordOrder;
use crate::switch::rooms::RoomOrder;

/// A wish from outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// The daemon in one answer: [`reply::StatusReply`].
    Status,
    /// A list of [`reply::SubscriptionRow`].
    Subscriptions,
    /// A list of [`reply::PhoneRow`].
    Phones,
    /// One phone with what is typed into a device: [`reply::PhoneDetail`].
    PhoneShow {
        /// Which.
        extension: String,
        /// With the password and the address of its files?
        with_secret: bool,
    },
    /// The address of a phone's files: [`reply::ProvisionReply`].
    PhoneProvision {
        /// Which.
        extension: String,
        /// A new address, and the one before is void?
        is_new: bool,
        /// A file to show; the empty name is the main one.
        file: Option<String>,
    },
    /// Switches everything off that a phone has on by service codes: [`reply::PhoneDetail`].
    PhoneClear {
        /// Which.
        extension: String,
    },
    /// A list of [`reply::TrunkRow`].
    Trunks,
    /// One trunk with everything that decides whether a call by it works: [`reply::TrunkDetail`].
    TrunkExplain {
        /// Which.
        trunk: String,
    },
    /// Places a call by one trunk that nobody is connected with: [`reply::OriginateReply`].
    TrunkTest {
        /// Which.
        trunk: String,
        /// What is dialled there, as it is.
        number: String,
    },
    /// A list of [`reply::CallRow`].
    Calls,
    /// One call, live or ended: [`reply::CallDetail`].
    CallShow {
        /// Which.
        call: CallId,
    },
    /// Rings `from` and then connects it with `to`: [`reply::OriginateReply`].
    CallOriginate {
        /// An extension.
        from: String,
        /// What it would dial.
        to: String,
        /// Does `from` answer by itself?
        answers_itself: bool,
    },
    /// Ends a call; answers `{}`.
    CallHangup {
        /// Which.
        call: CallId,
    },
    /// Begins, pauses or resumes the recording of a call; answers with what is so then.
    CallRecord {
        /// Which.
        call: CallId,
        /// What.
        order: RecordOrder,
    },
    /// Rings a phone that listens to a call: [`reply::OriginateReply`].
    CallWatch {
        /// Which.
        call: CallId,
        /// The extension that rings.
        phone: String,
        /// Who hears it.
        heard_by: HeardBy,
    },
    /// A list of [`rooms::RoomRow`].
    Rooms,
    /// One room with those who are in it: [`rooms::RoomDetail`].
    RoomShow {
        /// Its number.
        room: String,
    },
    /// Changes something in a room; answers with the room.
    RoomOrder {
        /// Its number.
        room: String,
        /// For whom; all if absent.
        call: Option<CallId>,
        /// What.
        order: RoomOrder,
    },
    /// About what is said to calls, and heard of them.
    Speech(SpeechCommand),
    /// A list of [`recordings::RecordingRow`], newest first.
    Recordings(RecordingFilter),
    /// Deletes the file of a recording; answers `{}`.
    RecordingDelete {
        /// Whose.
        call: CallId,
        /// Why, for the audit.
        reason: String,
    },
    /// A list of [`recordings::AuditRow`], newest first.
    Audit {
        /// How many.
        limit: usize,
    },
    /// [`reply::RecordsReply`].
    Records(RecordFilter),
    /// Follows events; the control server answers it itself.
    Events {
        /// The last event that the client has; `None` follows new ones only.
        since: Option<u64>,
    },
    /// Reads the configuration again: [`reply::ReloadReply`].
    Reload {
        /// Only say what would change?
        is_dry_run: bool,
    },
    /// [`reply::DoctorReply`].
    Doctor,
    /// Who is banned or limited: [`reply::GuardReply`].
    Guard,
    /// Forgives an address; answers `{}`.
    GuardUnban {
        /// Which.
        address: IpAddr,
    },
}

/// Every method of the control protocol with its parameters.
const METHODS: &[(&str, &[&str])] = &[
    ("status", &[]),
    ("subscriptions.list", &[]),
    ("phones.list", &[]),
    ("phone.show", &["extension", "secret"]),
    ("phone.provision", &["extension", "new_token", "file"]),
    ("phone.clear", &["extension"]),
    ("trunks.list", &[]),
    ("trunk.explain", &["trunk"]),
    ("trunk.test", &["trunk", "number"]),
    ("calls.list", &[]),
    ("call.show", &["call"]),
    ("call.originate", &["from", "to", "auto_answer"]),
    ("call.hangup", &["call"]),
    ("call.record", &["call", "order"]),
    ("call.watch", &["call", "phone", "heard_by"]),
    ("rooms.list", &[]),
    ("room.show", &["room"]),
    ("room.order", &["room", "call", "order", "gain_db"]),
    ("call.say", &["call", "side", "language", "text", "prompts", "file"]),
    ("call.silence", &["call"]),
    ("call.transcribe", &["call", "on"]),
    ("speech.preview", &["language", "text", "prompts", "file"]),
    ("recordings.list", &["limit", "before", "since"]),
    ("recording.delete", &["call", "reason"]),
    ("audit.list", &["limit"]),
    ("records.list", &["limit", "before", "since", "caller", "called"]),
    ("events.subscribe", &["since"]),
    ("reload", &["dry_run"]),
    ("doctor", &[]),
    ("guard", &[]),
    ("guard.unban", &["address"]),
];

impl Command {
    /// Reads a method call of the control protocol. Parameters are named; `null` is absent.
    ///
    /// # Errors
    ///
    /// [`RpcError`] for an unknown method or parameter, with the nearest known name, and for a
    /// missing or malformed one.
    pub fn from_rpc(method: &str, params: Option<&Value>) -> Result<Self, RpcError> {
        let Some((method, names)) = METHODS.iter().find(|known| known.0 == method) else {
            let near = nearest(method, METHODS.iter().map(|known| known.0));
            return Err(RpcError::unknown_method(method, near));
        };
        let params = Params::new(params, names)?;
        Ok(match *method {
            "status" => Self::Status,
            "subscriptions.list" => Self::Subscriptions,
            "phones.list" => Self::Phones,
            "phone.show" => Self::PhoneShow {
                extension: params.party("extension")?,
                with_secret: params.flag("secret")?.unwrap_or(false),
            },
            "phone.provision" => Self::PhoneProvision {
                extension: params.party("extension")?,
                is_new: params.flag("new_token")?.unwrap_or(false),
                file: params.file("file")?,
            },
            "phone.clear" => Self::PhoneClear { extension: params.party("extension")? },
            "trunks.list" => Self::Trunks,
            "trunk.test" => {
                Self::TrunkTest { trunk: params.name("trunk")?, number: params.party("number")? }
            }
            "trunk.explain" => Self::TrunkExplain { trunk: params.name("trunk")? },
            "calls.list" => Self::Calls,
            "call.show" => Self::CallShow { call: params.call("call")? },
            "call.originate" => {
                let answers_itself = params.flag("auto_answer")?.unwrap_or(false);
                let (from, to) = (params.party("from")?, params.party("to")?);
                Self::CallOriginate { from, to, answers_itself }
            }
            "call.hangup" => Self::CallHangup { call: params.call("call")? },
            "call.record" => Self::CallRecord {
                call: params.call("call")?,
                order: params.record_order("order")?,
            },
            "call.watch" => Self::CallWatch {
                call: params.call("call")?,
                phone: params.party("phone")?,
                heard_by: params.heard_by("heard_by")?,
            },
            "rooms.list" => Self::Rooms,
            "room.show" => Self::RoomShow { room: params.party("room")? },
            "room.order" => {
                let order = params.room_order("order", "gain_db")?;
                let (room, call) = (params.party("room")?, params.call_or_none("call")?);
                Self::RoomOrder { room, call, order }
            }
            "call.say" | "call.silence" | "call.transcribe" | "speech.preview" => {
                Self::Speech(params.speech(method)?)
            }
            "recordings.list" => Self::Recordings(params.recording_filter()?),
            "recording.delete" => Self::RecordingDelete {
                call: params.call("call")?,
                reason: params.reason("reason")?,
            },
            "audit.list" => Self::Audit { limit: params.limit()? },
            "records.list" => Self::Records(params.record_filter()?),
            "events.subscribe" => Self::Events { since: params.number("since")? },
            "reload" => Self::Reload { is_dry_run: params.flag("dry_run")?.unwrap_or(false) },
            "guard" => Self::Guard,
            "guard.unban" => Self::GuardUnban { address: params.address("address")? },
            _ => Self::Doctor,
        })
    }
}

/// A command on its way to the one who carries it out. Dropping `reply` answers "not available".
#[derive(Debug)]
pub struct CommandRequest {
    /// The wish; never [`Command::Events`].
    pub command: Command,
    /// Takes the answer; the client may be gone.
    pub reply: oneshot::Sender<Result<Value, CommandError>>,
}

impl CommandRequest {
    /// Answers; nobody hears it if the client is gone.
    pub fn answer<T: Serialize>(self, result: Result<T, CommandError>) {
        let value = result.and_then(|reply| {
            serde_json::to_value(reply).map_err(|_| CommandError::Internal("unprintable reply"))
        });
        let _ = self.reply.send(value);
    }
}

/// Why a command was not carried out.
#[derive(Debug)]
pub enum CommandError {
    /// Neither live nor among the records.
    NoSuchCall(CallId),
    /// The call has none, or it is deleted already.
    NoSuchRecording(CallId),
    /// It is still being written.
    RecordingGoesOn(CallId),
    /// The file cannot be deleted.
    File(String),
    /// Not in the configuration.
    NoSuchPhone(String),
    /// Not in the configuration.
    NoSuchTrunk(String),
    /// Not in the configuration.
    NoSuchRoom(String),
    /// It is not in that room.
    NotInRoom(CallId, String),
    /// Nobody is in it.
    EmptyRoom(String),
    /// The guard knows nothing of it.
    NoSuchSource(IpAddr),
    /// The phone has no file of this name; these it has.
    NoSuchFile(String, Vec<String>),
    /// Nothing listens for phones that fetch their files.
    NoProvisioning,
    /// A template cannot be used with this phone.
    Template(String),
    /// It cannot be said.
    Speech(String),
    /// The call was refused for this cause.
    Refused(&'static Cause),
    /// The new configuration has errors; the old one stays in force.
    BadConfiguration(Vec<Diagnostic>),
    /// Too many commands wait, or the answer took too long.
    Busy,
    /// The daemon stops.
    Stopping,
    /// The database cannot answer.
    Store(StoreError),
    /// Our mistake.
    Internal(&'static str),
}

impl CommandError {
    /// The code in the error object; -32000 to -32099 are the application's (JSON-RPC 2.0 §5.1).
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self {
            Self::NoSuchCall(_)
            | Self::NoSuchRecording(_)
            | Self::NoSuchPhone(_)
            | Self::NoSuchTrunk(_)
            | Self::NoSuchRoom(_)
            | Self::NotInRoom(..)
            | Self::EmptyRoom(_)
            | Self::NoSuchFile(..)
            | Self::NoSuchSource(_) => -32001,
            Self::RecordingGoesOn(_)
            | Self::File(_)
            | Self::Speech(_)
            | Self::Refused(_)
            | Self::NoProvisioning
            | Self::Template(_) => -32002,
            Self::BadConfiguration(_) => -32003,
            Self::Busy | Self::Stopping => -32004,
            Self::Store(_) => -32005,
            Self::Internal(_) => -32603,
        }
    }

    /// Machine-readable particulars.
    #[must_use]
    pub fn data(&self) -> Option<Value> {
        match self {
            Self::Refused(cause) => Some(json!({ "cause": cause.key, "sip": cause.sip })),
            Self::BadConfiguration(findings) => Some(json!({ "diagnostics": findings })),
            _ => None,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchCall(call) => write!(f, "there is no call {call}"),
            Self::NoSuchRecording(call) => write!(f, "there is no recording of call {call}"),
            Self::RecordingGoesOn(call) => write!(f, "call {call} is still being recorded"),
            Self::File(error) => write!(f, "the file cannot be deleted: {error}"),
            Self::Speech(error) => write!(f, "it cannot be said: {error}"),
            Self::NoSuchPhone(extension) => write!(f, "there is no phone {extension}"),
            Self::NoSuchTrunk(name) => write!(f, "there is no trunk {name}"),
            Self::NoSuchRoom(number) => write!(f, "there is no room {number}"),
            Self::NotInRoom(call, number) => write!(f, "call {call} is not in room {number}"),
            Self::EmptyRoom(number) => write!(f, "nobody is in room {number}"),
            Self::NoSuchFile(name, names) => {
                write!(f, "the phone has no file `{name}`; it has {}", names.join(", "))
            }
            Self::NoProvisioning => f.write_str(
                "no phone can fetch anything: set `listen` and `url` in the section [provisioning] of tandem.toml",
            ),
            Self::Template(words) => write!(f, "the file cannot be made: {words}"),
            Self::NoSuchSource(ip) => write!(f, "{ip} is neither banned nor watched"),
            Self::Refused(cause) => write!(f, "refused: {}", cause.text),
            Self::BadConfiguration(findings) => {
                let is_error = |d: &&Diagnostic| d.severity == super::config::Severity::Error;
                let errors = findings.iter().filter(is_error).count();
                write!(f, "the configuration has {errors} error(s); the old one stays in force")
            }
            Self::Busy => f.write_str("the daemon is too busy to answer in time"),
            Self::Stopping => f.write_str("the daemon is stopping"),
            Self::Store(error) => error.fmt(f),
            Self::Internal(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for CommandError {}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
