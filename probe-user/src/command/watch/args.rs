//! What `whydrop watch` is asked for.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    Detail,
    values::{parse_duration, parse_ring, parse_share},
};
use crate::{
    filter::{Filter, ListenerFilter, Only},
    loader::Request,
    model::tier::Tier,
    sink::{Format, RecordArgs},
};

#[derive(Args, Clone, Debug)]
pub struct WatchArgs {
    /// How lines look: `text` for people, `json` for machines (one object a line)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// End by itself after this long, such as 30s, 5m or 1h
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Only this listener, as ADDR:PORT or :PORT (can be given again)
    #[arg(long = "listener", value_name = "[ADDR]:PORT")]
    pub listeners: Vec<ListenerFilter>,

    /// Only this network namespace: a name of `ip netns`, a PID, a path, `self` or `all`
    #[arg(long, value_name = "NETNS", default_value = "all")]
    pub netns: String,

    /// Force one way of watching: trampoline, kprobe, cgroup or counters (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,

    /// Retransmits and resets: of connection attempts only, or of every connection of the host
    #[arg(long, value_name = "WHICH", default_value = "attempts")]
    pub events: Events,

    /// Lines of one listener and cause: `all`, so many a second such as `100/s`, or `auto` (1000/s). What is
    /// beyond, except for the first of each client, is counted and told of in one line
    #[arg(long, value_name = "HOW MUCH", default_value = "auto")]
    pub detail: Detail,

    /// Tell when an accept or SYN queue passes this share of its room, such as 80%, and when it is below half of it again
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub warn: Option<u8>,

    /// Every so often, such as 1s, a line for each listener that was busy: connections established, how full its
    /// queues got, how long connections waited for accept(2)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub stats: Option<Duration>,

    /// Join what happens to one attempt into its story, and tell how it ends: connected late, given up, reset, …
    #[arg(long)]
    pub stories: bool,

    /// Do not say each minute that there was nothing to say; with `--format text` nothing is said anyway
    #[arg(long)]
    pub no_heartbeat: bool,

    /// Write the lines to this file instead of standard output
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Size of the ring buffer in bytes: a power of two of at least 4096
    #[arg(long, value_name = "BYTES", default_value = "1048576", value_parser = parse_ring, hide = true)]
    pub ring_bytes: u32,

    #[command(flatten)]
    pub record: RecordArgs,

    #[command(flatten)]
    pub only: Only,
}

impl Default for WatchArgs {
    /// What `whydrop watch` does without arguments.
    fn default() -> Self {
        Self {
            format: Format::Text,
            duration: None,
            listeners: Vec::new(),
            netns: "all".into(),
            tier: None,
            events: Events::Attempts,
            detail: Detail::AUTO,
            warn: None,
            stats: None,
            stories: false,
            no_heartbeat: false,
            output: None,
            ring_bytes: 1 << 20,
            record: RecordArgs::default(),
            only: Only::default(),
        }
    }
}

/// Which retransmits and resets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Events {
    /// SYN, SYN-ACK, and what is sent before a connection was accepted
    Attempts,
    /// Every one of the host
    All,
}

impl WatchArgs {
    /// What the kernel side is asked for.
    pub(super) fn request(&self, filter: &Filter) -> Request {
        let listeners = filter.listeners.iter().map(ListenerFilter::wanted);
        Request {
            tier: self.tier,
            all_events: self.events == Events::All,
            ring_bytes: self.ring_bytes,
            detail_per_second: self.detail.0,
            warn_percent: self.warn,
            stories: self.stories,
            netns: filter.netns,
            listeners: listeners.collect(),
        }
    }
}
