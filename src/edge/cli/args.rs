//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::edge::config::DEFAULT_SOCKET;

/// Operates a running tandemd, and checks its configuration.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, arg_required_else_help = true)]
pub(super) struct Args {
    /// Control socket of the daemon
    #[arg(long, global = true, env = "TANDEM_SOCKET", default_value = DEFAULT_SOCKET, value_name = "PATH")]
    pub(super) socket: PathBuf,
    /// Print JSON for programs instead of tables for people
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check a configuration directory; needs no daemon
    Check {
        /// Directory with tandem.toml
        dir: PathBuf,
    },
    /// Show the daemon at a glance
    Status,
    /// List who watches whose lamp or mailbox
    Subscriptions,
    /// List phones and where they are registered
    Phones,
    /// Add a phone, show what is typed into it, give it a new password, or the address of its files
    Phone {
        #[command(subcommand)]
        verb: PhoneVerb,
    },
    /// List trunks and whether they are up
    Trunks,
    /// Say everything that decides whether calls by one trunk work
    Trunk {
        #[command(subcommand)]
        verb: TrunkVerb,
    },
    /// List live calls
    Calls,
    /// Show, place or end one call
    Call {
        #[command(subcommand)]
        verb: CallVerb,
    },
    /// Write what a caller would hear into a WAV file
    Say {
        /// A text, or with --prompts names of prompts, or a file from /
        #[arg(required = true)]
        what: Vec<String>,
        /// These are prompts, or a file
        #[arg(long)]
        prompts: bool,
        /// The file to write
        #[arg(long, short, value_name = "FILE")]
        out: PathBuf,
        /// en or zh-CN, unless it is what [speech] says
        #[arg(long, value_name = "LANGUAGE")]
        lang: Option<String>,
    },
    /// List records of ended calls, newest first
    Records {
        /// How many, at most 1000
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u64,
        /// Not older: 30m, 2h, 1d, 2026-01-31 or 2026-01-31T08:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Older than this: the next page
        #[arg(long, value_name = "TIME")]
        before: Option<String>,
        /// The caller contains this
        #[arg(long, value_name = "TEXT")]
        caller: Option<String>,
        /// The called number contains this
        #[arg(long, value_name = "TEXT")]
        called: Option<String>,
    },
    /// List rooms where several calls talk
    Rooms,
    /// Show a room, or change something in it
    Room {
        #[command(subcommand)]
        verb: RoomVerb,
    },
    /// List recordings, newest first
    Recordings {
        /// How many, at most 1000
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u64,
        /// Not older: 30m, 2h, 1d, 2026-01-31 or 2026-01-31T08:00:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Older than this: the next page
        #[arg(long, value_name = "TIME")]
        before: Option<String>,
    },
    /// Delete a recording
    Recording {
        #[command(subcommand)]
        verb: RecordingVerb,
    },
    /// List what was done to recordings, and by whom
    Audit {
        /// How many, at most 1000
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: u64,
    },
    /// Show what happened: the last 50 events unless told otherwise
    Events {
        /// Events after this number; 0 is all that are kept
        #[arg(long, value_name = "N")]
        since: Option<u64>,
        /// Go on until interrupted
        #[arg(long, short)]
        follow: bool,
    },
    /// Read the configuration again
    Reload {
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Count what the daemon holds; exit code 1 if something is left over
    Doctor,
    /// List who is banned or limited, or forgive an address
    Guard {
        #[command(subcommand)]
        verb: Option<GuardVerb>,
    },
    /// Print every configuration key with its range and default
    Reference,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

#[derive(Debug, Subcommand)]
pub(super) enum PhoneVerb {
    /// Add a [[phone]] to phones.toml, with a random password, and reload
    Add {
        /// What others dial
        extension: String,
        /// Who it is
        #[arg(long, value_name = "TEXT")]
        name: Option<String>,
        /// yealink, grandstream, fanvil, snom, alcatel, flyingvoice or generic
        #[arg(long, value_name = "BRAND")]
        brand: Option<String>,
        /// The device's hardware address
        #[arg(long, value_name = "MAC")]
        mac: Option<String>,
        /// Its password, instead of a random one
        #[arg(long, value_name = "TEXT")]
        secret: Option<String>,
        /// Folder with phones.toml; the running daemon's unless given
        #[arg(long, env = "TANDEM_CONFIG", value_name = "DIR")]
        config: Option<PathBuf>,
    },
    /// Show all that is typed into a device, and what is registered
    Show {
        /// Its extension
        extension: String,
        /// With the password and the address of its files
        #[arg(long)]
        secret: bool,
    },
    /// Switch everything off that a phone has on by service codes: do-not-disturb, forwarding
    Clear {
        /// Its extension
        extension: String,
    },
    /// Write a new random password into phones.toml, and reload: devices that are registered are out at once
    ResetSecret {
        /// Its extension
        extension: String,
        /// The password, instead of a random one
        #[arg(long, value_name = "TEXT")]
        secret: Option<String>,
        /// Folder with phones.toml; the running daemon's unless given
        #[arg(long, env = "TANDEM_CONFIG", value_name = "DIR")]
        config: Option<PathBuf>,
    },
    /// Say where the phone fetches its files, and what to type on it
    Provision {
        /// Its extension
        extension: String,
        /// Make a new address; the one before is void at once
        #[arg(long)]
        new_token: bool,
        /// Print a file as the phone gets it: the main one unless named
        #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
        print: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum TrunkVerb {
    /// Its places in the order they are tried, what its carrier has to let in, its numbers, routes and settings
    Explain {
        /// Its name in trunks.toml
        name: String,
    },
    /// Call a number by it, listen for three seconds, and say what came back; exit code 1 unless it answered
    Test {
        /// Its name in trunks.toml
        name: String,
        /// What is dialled there, as it is
        number: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum GuardVerb {
    /// End the ban of an address and forget what it did
    Unban {
        /// The address
        address: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RecordingVerb {
    /// Delete the file; what is known of it stays
    Delete {
        /// The call's id
        id: String,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RoomVerb {
    /// Show who is in it
    Show {
        /// Its number
        number: String,
    },
    /// Let nobody else in
    Lock {
        /// Its number
        number: String,
    },
    /// Let others in again
    Unlock {
        /// Its number
        number: String,
    },
    /// Let nobody hear a member, or any of them
    Mute {
        /// Its number
        number: String,
        /// The member's call; all if absent
        call: Option<String>,
    },
    /// Let them be heard again
    Unmute {
        /// Its number
        number: String,
        /// The member's call; all if absent
        call: Option<String>,
    },
    /// Make a member louder or quieter
    Gain {
        /// Its number
        number: String,
        /// The member's call
        call: String,
        /// dB, from -20 to 20
        #[arg(allow_hyphen_values = true)]
        db: i8,
    },
    /// Send a member out, or all of them
    Kick {
        /// Its number
        number: String,
        /// The member's call; all if absent
        call: Option<String>,
    },
}

/// Who hears one that listens to a call.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum HeardVerb {
    /// Nobody: it listens
    Nobody,
    /// The caller alone
    Caller,
    /// The called party alone, such as an agent
    Called,
    /// Both: a call of three
    Both,
}

/// What is ordered of a recording.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum RecordVerb {
    /// Begin to record a call that is not recorded
    Start,
    /// What is said from now on is not recorded, such as card numbers
    Pause,
    /// Go on
    Resume,
}

/// Who hears what is said.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum SideWord {
    /// The side that placed the call
    A,
    /// The side that was called
    B,
    /// Both of them
    Both,
}

/// What is said.
#[derive(Clone, Copy, Debug)]
pub(super) enum Words<'a> {
    /// A text.
    Text(&'a str),
    /// Prompts, or a file.
    Prompts(&'a [String]),
}

#[derive(Debug, Subcommand)]
pub(super) enum CallVerb {
    /// Show everything that is known of a call, live or ended
    Show {
        /// Its id
        id: String,
        /// Draw its messages as a ladder
        #[arg(long)]
        ladder: bool,
    },
    /// Ring a phone and connect it with a number
    Originate {
        /// The extension that rings first
        from: String,
        /// What it is connected with
        to: String,
        /// The phone answers by itself, without ringing
        #[arg(long)]
        auto_answer: bool,
    },
    /// Ring a phone that listens to a call; its keys 0 to 3 choose who hears it: nobody, the caller, the called, both
    Watch {
        /// The call's id
        id: String,
        /// The extension that rings
        phone: String,
        /// Who hears it at first
        #[arg(long, value_enum, default_value = "nobody")]
        heard_by: HeardVerb,
    },
    /// Begin, pause or resume the recording of a call
    Record {
        /// Its id
        id: String,
        /// What to do
        order: RecordVerb,
    },
    /// Say a text to the parties of a call, instead of each other
    Say {
        /// Its id
        id: String,
        /// What is said, at most 600 characters; digits are read one by one
        text: String,
        /// Who hears it
        #[arg(long, value_enum, default_value_t = SideWord::Both)]
        side: SideWord,
        /// en or zh-CN, unless it is what [speech] says
        #[arg(long, value_name = "LANGUAGE")]
        lang: Option<String>,
    },
    /// Play prompts or a sound file to the parties of a call
    Play {
        /// Its id
        id: String,
        /// Names of prompts in order, or a file on the daemon's machine, from /
        #[arg(required = true)]
        what: Vec<String>,
        /// Who hears it
        #[arg(long, value_enum, default_value_t = SideWord::Both)]
        side: SideWord,
        /// en or zh-CN, unless it is what [speech] says
        #[arg(long, value_name = "LANGUAGE")]
        lang: Option<String>,
    },
    /// Write down what is said in a call from now on, as events, or not any more
    Transcribe {
        /// Its id
        id: String,
        /// on or off
        #[arg(value_parser = ["on", "off"])]
        order: String,
    },
    /// Say and play nothing more to the parties of a call
    Silence {
        /// Its id
        id: String,
    },
    /// End a call
    Hangup {
        /// Its id
        id: String,
    },
}
