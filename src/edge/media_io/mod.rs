//! Media workers: threads that own the RTP sockets and relay between the two
//! sides of a call. Nothing on their path waits for anything but sockets.

mod call;
mod dtls;
mod event;
mod fax;
mod guard;
mod keys;
mod listeners;
mod mailbox;
mod plane;
mod player;
mod port_pool;
mod report;
mod room;
mod saying;
mod seat;
mod secure_leg;
mod socket;
mod sound;
mod stats;
mod stock;
mod worker;

pub use call::{DeadAfter, LegPlan, Side};
pub use dtls::{Identity, identity};
pub use event::{MediaEvent, MediaSink, OpenFailure};
pub use keys::Key;
pub use mailbox::{COMMANDS_MAX, MediaBusy};
pub use plane::{MediaClock, MediaConfig, MediaCounters, MediaHandle, MediaPlane};
pub use port_pool::{PortPool, PortRange};
pub use report::FarEnd;
pub use saying::{PLAYLIST_MAX, Playlist, QUEUE_MAX};
pub use seat::{Audience, Part, RoomKey};
pub use stats::{CallStats, Connected, LegStats};
