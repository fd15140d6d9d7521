//! Media workers: threads that own the RTP sockets and relay between the two
//! sides of a call. Nothing on their path waits for anything but sockets.

mod call;
mod event;
mod guard;
mod mailbox;
mod plane;
mod player;
mod port_pool;
mod report;
mod socket;
mod sound;
mod stock;
mod worker;

pub use call::{CallStats, Connected, DeadAfter, LegPlan, LegStats, Side};
pub use event::{MediaEvent, MediaSink, OpenFailure};
pub use mailbox::{COMMANDS_MAX, MediaBusy};
pub use plane::{MediaClock, MediaConfig, MediaCounters, MediaHandle, MediaPlane};
pub use port_pool::{PortPool, PortRange};
pub use report::FarEnd;
