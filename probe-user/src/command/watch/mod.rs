//! `whydrop watch`: from the arguments to the summary.

#[cfg(any(test, feature = "benchmark"))]
#[doc(hidden)]
pub mod benchmark;
mod conduct;
mod detail;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use tokio::{
    io::{Interest, unix::AsyncFd},
    runtime,
    task::yield_now,
    time::{Interval, MissedTickBehavior, interval},
};

pub use self::{conduct::Conduct, detail::Detail};
use super::{Failure, boot_id, host_name, kernel_release, status};
use crate::{
    cause::Reasons,
    enrich::Enricher,
    filter::{Filter, ListenerFilter, Only},
    host::{
        clock::mono_ns,
        netns::{self, Registry},
    },
    loader::{Probe, Request, Tier},
    model::{Asked, Clock, Line, SelfTest, Start, Summary},
    selftest,
    sink::{Format, Output, OutputError, RecordArgs, Reporter, Sinks},
    source::{
        coalesce::Round,
        counters,
        hooks::{HookPipeline, Parts},
        stop::Stop,
    },
};

/// How long the last lines may take to be written.
const PATIENCE: Duration = Duration::from_secs(3);

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

/// `500ms`, `30s`, `5m` or `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time; write 500ms, 30s, 5m or 1h");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(unit_ms)
        .filter(|ms| (1..=10 * 365 * 86_400_000).contains(ms))
        .map(Duration::from_millis)
        .ok_or_else(wrong)
}

/// `80%`, from 1 to 100.
pub fn parse_share(text: &str) -> Result<u8, String> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    let share = digits
        .parse()
        .ok()
        .filter(|share| (1..=100).contains(share));
    share.ok_or_else(|| {
        format!("`{text}` is no share of a queue; write 80%, or any from 1% to 100%")
    })
}

fn parse_ring(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|bytes: &u32| bytes.is_power_of_two() && (4096..=1 << 30).contains(bytes))
        .ok_or_else(|| format!("`{text}` is no power of two between 4096 and 1073741824"))
}

/// Runs until a signal or the end of the time; the summary is for callers that judge it.
pub fn run(args: &WatchArgs, conduct: Conduct<'_>) -> Result<Summary, Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the event loop: {error}")))?;
    // From here on a signal ends the watch with its summary, however early it comes.
    let mut stop = runtime
        .block_on(async { Stop::new(conduct.until, conduct.ends_by_signal, conduct.signalled) })
        .map_err(|error| Failure::failed(format!("cannot catch signals: {error}")))?;
    let mut enricher = Enricher::new();
    args.only.check(args.tier).map_err(Failure::usage)?;
    if args.tier == Some(Tier::Counters)
        && (args.stats.is_some() || args.warn.is_some() || args.stories)
    {
        return Err(Failure::usage(
            "--stats, --warn and --stories need hooks in the kernel, which the counters tier does without; leave --tier out",
        ));
    }
    let filter = Filter {
        only: args.only.clone(),
        listeners: args.listeners.clone(),
        netns: netns_of(&args.netns, &mut enricher.registry)?,
    };
    let mut probe = match args.tier {
        Some(Tier::Counters) => None,
        tier => Some(Probe::attach(&Request {
            tier,
            all_events: args.events == Events::All,
            ring_bytes: args.ring_bytes,
            detail_per_second: args.detail.0,
            warn_percent: args.warn,
            stories: args.stories,
            netns: filter.netns,
            listeners: filter
                .listeners
                .iter()
                .map(ListenerFilter::wanted)
                .collect(),
        })?),
    };
    let self_test = match &probe {
        Some(probe) => selftest::run(probe)?,
        None => SelfTest::Skipped("there are no hooks on this tier".into()),
    };
    let output = if conduct.aloud {
        Output::open(args.output.as_deref()).map_err(Failure::usage)?
    } else {
        Output::none()
    };
    if conduct.aloud
        && let Some(path) = &args.output
    {
        eprintln!("whydrop: writing to {}", path.display());
    }
    let listeners = match enricher.prime() {
        Ok(listeners) => listeners,
        // On the counters tier sock_diag is all there is.
        Err(error) if probe.is_none() => return Err(Failure::new(status::KERNEL, error)),
        Err(error) => {
            eprintln!("whydrop: no snapshots of sockets: {error}");
            0
        }
    };
    let start = Start {
        tier: probe.as_ref().map_or(Tier::Counters, Probe::tier),
        hooks: probe.as_ref().map_or_else(Vec::new, |p| p.hooks.clone()),
        absent: probe.as_ref().map_or_else(Vec::new, |p| p.absent.clone()),
        self_test,
        kernel: kernel_release(),
        filters: filter.in_words(),
        listeners,
        namespaces: enricher.registry.iter().count(),
        blind: probe.as_ref().map_or_else(Vec::new, |p| p.blind.clone()),
        own_netns: filter.netns.or_else(|| netns::current().ok()).unwrap_or(0),
        mono_ns: mono_ns(),
        clock: Clock::now(),
        host: host_name(),
        boot_id: boot_id(),
        command: std::env::args().collect(),
        asked: Asked {
            all_events: args.events == Events::All,
            stories: args.stories,
            stats_every: args.stats,
            warn_percent: args.warn,
        },
    };
    let reasons = probe
        .as_mut()
        .map_or_else(Reasons::default, |probe| std::mem::take(&mut probe.reasons));
    enricher.name_reasons(reasons);
    let recording = args.record.begin(&start)?;
    let parts = Parts {
        filter,
        all_events: args.events == Events::All,
        stats_every: args.stats,
        warn_percent: args.warn,
        stories: args.stories,
        sinks: Sinks {
            heed: conduct.heed,
            aloud: conduct.aloud,
            reporter: Reporter::of(args.format, &start),
            output,
            recording,
        },
        enricher,
    };
    let (summary, sinks) = runtime.block_on(async {
        stop.end = args.duration.map(|time| tokio::time::Instant::now() + time);
        match probe {
            Some(probe) => watch_hooks(parts, probe, &start, stop, conduct.ready).await,
            None => Ok(counters::watch(parts, &start, stop, conduct.ready).await),
        }
    })?;
    let now = mono_ns();
    let recorded = match sinks.recording {
        Some(mut recording) => {
            recording.take(now, &Line::Summary(&summary));
            recording.finish(now).map_err(Failure::failed)
        }
        None => Ok(()),
    };
    if !conduct.aloud {
        return recorded.map(|()| summary);
    }
    let summary = finish(now, summary, &sinks.reporter, sinks.output)?;
    recorded.map(|()| summary)
}

/// The namespace that `--netns` means, `None` for all.
pub fn netns_of(spec: &str, registry: &mut Registry) -> Result<Option<u32>, Failure> {
    match spec {
        "all" => Ok(None),
        "self" => netns::current().map(Some).map_err(Failure::failed),
        spec => registry.resolve(spec).map(Some).map_err(Failure::usage),
    }
}

fn finish(
    mono_ns: u64,
    summary: Summary,
    reporter: &Reporter,
    output: Output,
) -> Result<Summary, Failure> {
    let mut last = String::new();
    reporter.write(mono_ns, &Line::Summary(&summary), &mut last);
    match output.finish(last.clone(), PATIENCE) {
        Ok(true) => Ok(summary),
        // A reader that went away has seen what it wanted: no failure, and nobody to tell more.
        Ok(false) => Err(Failure::new(status::OK, "")),
        Err(error @ (OutputError::Create { .. } | OutputError::Unread(_))) => {
            Err(Failure::usage(error))
        }
        Err(error) => {
            // The lines cannot be written where they were wanted; the counts still can be told.
            eprint!("{last}");
            Err(Failure::failed(error))
        }
    }
}

async fn watch_hooks<'a>(
    parts: Parts<'a>,
    mut probe: Probe,
    start: &Start,
    mut stop: Stop<'_>,
    ready: impl FnOnce(&Start),
) -> Result<(Summary, Sinks<'a>), Failure> {
    let mut pipeline = HookPipeline::begin(parts, &mut probe).map_err(Failure::failed)?;
    pipeline.tell(&Line::Start(start));
    if stop.came_early() {
        return Ok(pipeline.end(&mut probe));
    }
    ready(start);
    // SAFETY: the descriptor is the ring's, which lives in the probe and so as long as the AsyncFd.
    let mut ring = unsafe { AsyncFd::register_with_interest(probe, Interest::READABLE) }
        .map_err(|error| event_loop(&std::io::Error::from(error)))?;
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stats = pipeline.stats_ticks();
    let mut round = Round::default();
    while !pipeline.is_broken() {
        tokio::select! {
            biased;
            () = stop.wait() => break,
            _ = second.tick() => pipeline.tick(ring.get_mut()),
            () = until(pipeline.due()) => pipeline.record(),
            () = next_of(&mut stats) => pipeline.tell_stats(ring.get_ref()),
            ready = ring.readable_mut() => {
                let mut ready = ready.map_err(|error| event_loop(&error))?;
                let drained = pipeline.drain(ready.get_inner_mut());
                round.add(drained.records);
                if drained.is_empty {
                    ready.clear_ready();
                    round.rest();
                } else {
                    // A loop that never waits would never learn of a signal or of the time.
                    yield_now().await;
                }
            }
        }
    }
    let mut probe = ring.into_inner();
    Ok(pipeline.end(&mut probe))
}

/// Waits until then, for ever where there is no such moment.
async fn until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn event_loop(error: &std::io::Error) -> Failure {
    Failure::failed(format!("the event loop failed: {error}"))
}

/// Waits for the next tick, for ever where there are none.
async fn next_of(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        assert_eq!(parse_share("80%"), Ok(80));
        assert_eq!(parse_share("1"), Ok(1));
        for text in ["", "%", "0%", "101%", "-1%", "80.5%", "256"] {
            assert!(parse_share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_of_time() {
        let check = |text: &str, ms: u64| {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        };
        check("500ms", 500);
        check("30s", 30_000);
        check("5m", 300_000);
        check("1h", 3_600_000);
        for text in [
            "",
            "s",
            "30",
            "-1s",
            "1d",
            "0s",
            "1.5s",
            "99999999999999999999s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
