//! What a watch is asked for, as its options say it: the kernel side and the pipeline borrow the same struct, so that an
//! option stands once. Its default is what it is on a command line without arguments.

mod defaults;
mod detail;
mod values;
mod words;

use std::time::Duration;

use clap::Args;

use self::values::parse_ring;
pub use self::{
    defaults::defaults,
    detail::Detail,
    values::{parse_duration, parse_share},
    words::Words,
};
use super::{Asked, tier::Tier};

/// Options that more is done by than to print or to choose lines.
#[derive(Args, Clone, Debug)]
pub struct Request {
    /// Force one way of watching: trampoline, kprobe, cgroup or counters (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,

    /// Retransmits and resets: of connection attempts only, or of every connection of the host
    #[arg(long, value_name = "WHICH", default_value = "attempts")]
    pub events: Events,

    /// Lines of one listener and cause: `all`, a number a second such as `100/s`, or `auto` (1000/s). The others,
    /// except the first of each client, are counted and summed up in one line
    #[arg(long, value_name = "HOW MUCH", default_value = "auto")]
    pub detail: Detail,

    /// Print a line when an accept or SYN queue passes this share of its room, such as 80%, and when it is below half
    /// of that again
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub warn: Option<u8>,

    /// Print a line for each busy listener every TIME, such as 1s: connections established, how full its queues got,
    /// how long connections waited for accept(2)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub stats: Option<Duration>,

    /// Join the events of each refused attempt into a story, and print how it ends: connected late, given up, reset, …
    #[arg(long)]
    pub stories: bool,

    /// Leave out the heartbeat of each minute in which nothing else was printed; `--format text` has none anyway
    #[arg(long)]
    pub no_heartbeat: bool,

    /// Size of the ring buffer in bytes: a power of two of at least 4096
    #[arg(long, value_name = "BYTES", default_value = "1048576", value_parser = parse_ring, hide = true)]
    pub ring_bytes: u32,
}

/// Which retransmits and resets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Events {
    /// SYN, SYN-ACK, and what is sent before a connection was accepted
    Attempts,
    /// Every one of the host
    All,
}

impl Default for Request {
    fn default() -> Self {
        defaults()
    }
}

impl Request {
    /// Whether retransmits and resets of every connection are told, and not of attempts only.
    pub fn all_events(&self) -> bool {
        self.events == Events::All
    }

    /// Whether any of it needs hooks in the kernel.
    pub const fn needs_hooks(&self) -> bool {
        self.stats.is_some() || self.warn.is_some() || self.stories
    }
}

impl From<&Request> for Asked {
    fn from(request: &Request) -> Self {
        Self {
            all_events: request.all_events(),
            stories: request.stories,
            stats_every: request.stats,
            warn_percent: request.warn,
        }
    }
}
