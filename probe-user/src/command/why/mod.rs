//! `whydrop why`: looks at a port, watches it, and answers why it refuses connections.

mod place;
mod probe;

use std::{
    collections::BTreeSet,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

pub use self::place::Target;
use super::{
    Failure, say,
    watch::{self, Conduct, WatchArgs},
};
use crate::{
    analyse::judge::{self, Scope},
    analyse::signals::{Heard, signals},
    diagnose::diagnose,
    enrich::Enricher,
    filter::ClientFilter,
    host::clock::mono_ns,
    loader::{Tier, reads_every_netns},
    model::{Answer, Clock, Now, OfClient, Summary},
    observe::{self, STATS},
    sink::answer::AnswerFormat,
};

#[derive(Args, Clone, Debug)]
pub struct WhyArgs {
    /// The listener, or where one should be: 8080, :8080, 10.0.0.1:8080 or [fd00::1]:8080
    #[arg(value_name = "[ADDR:]PORT")]
    pub target: Target,

    /// Watch for so long, such as 10s or 5m
    #[arg(long = "for", value_name = "TIME", value_parser = watch::parse_duration, default_value = "30s")]
    pub duration: Duration,

    /// In this network namespace only: a name of `ip netns`, a PID, a path, `self` or `all`
    #[arg(long, value_name = "NETNS", default_value = "all")]
    pub netns: String,

    /// Why it refuses these clients: an address or a network such as 10.0.0.0/8. Only what is known to have happened
    /// to them is judged; the queues and processes are everybody's
    #[arg(long, value_name = "ADDR[/BITS]")]
    pub client: Option<ClientFilter>,

    /// Connect once to the listener, as a client would, and follow that too
    #[arg(long)]
    pub probe: bool,

    /// How the answer looks: `text`, `json` (one object) or `markdown` (a report for a ticket)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: AnswerFormat,

    /// Force one way of watching: trampoline, kprobe or cgroup (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,
}

pub fn run(args: &WhyArgs) -> Result<(), Failure> {
    let mut text = String::new();
    answer(args, || {})?.write(args.format, &mut text);
    say(text.trim_end())
}

/// Looks, watches and answers. Calls `ready` when everything is attached.
pub fn answer(args: &WhyArgs, ready: impl FnOnce()) -> Result<Answer, Failure> {
    if args.tier == Some(Tier::Counters) {
        return Err(Failure::usage(
            "`why` needs hooks in the kernel, which the counters tier does without; leave --tier out",
        ));
    }
    let mut enricher = Enricher::new();
    let only = watch::netns_of(&args.netns, &mut enricher.registry)?;
    let now = args.target.look(only, &mut enricher);
    if args.format == AnswerFormat::Text {
        let mut text = String::new();
        now.write(&mut text);
        say(text.trim_end())?;
    }
    let watch_args = WatchArgs {
        duration: Some(args.duration),
        listeners: vec![args.target.filter()],
        netns: args.netns.clone(),
        tier: args.tier,
        stats: Some(STATS),
        ..WatchArgs::default()
    };
    let mut heard = Heard::of(args.client);
    let incidents = observe::incidents();
    let began = Instant::now();
    let find =
        |look, found, enricher: &mut Enricher| args.target.again(look, only, found, enricher);
    let watch = || {
        thread::scope(|scope| {
            let (attached, begin) = mpsc::channel();
            let prober = args
                .probe
                .then(|| scope.spawn(|| probe::connect(&args.target, &now, begin)));
            let summary = watch::run(
                &watch_args,
                Conduct {
                    ready: Box::new(move |_| {
                        let _ = attached.send(());
                        ready();
                        if args.format == AnswerFormat::Text {
                            let _ = say(format_args!(
                                "watching for {:?} (Ctrl-C ends it with an answer)",
                                args.duration
                            ));
                        }
                    }),
                    ..Conduct::silent(|line| {
                        heard.line(line);
                        observe::hear(&incidents, line);
                    })
                },
            );
            let tried = prober.map(|prober| {
                prober
                    .join()
                    .map_err(|_| Failure::failed("the thread that connects panicked"))
            });
            (summary, tried)
        })
    };
    let ((summary, tried), looks) =
        observe::while_watching(find, &incidents, watch).map_err(Failure::failed)?;
    let (summary, tried) = (summary?, tried.transpose()?);
    let first_drop = heard.first_drop.map(|first| first - began);
    let untold = heard.untold() + summary.loss.total();
    let doubts = doubts(args, only, &now, &summary);
    let mut signals = signals(heard, &looks, &summary);
    let netns = observe::ask_host(&mut signals, &looks, only, &mut enricher);
    signals.untracked = place::untracked_since(&now, netns, &mut enricher);
    signals.somaxconn_before = now.sysctls.somaxconn.filter(|_| now.netns == netns);
    let diagnosis = diagnose(&signals);
    Ok(Answer {
        origin: super::origin(),
        mono_ns: mono_ns(),
        clock: Clock::now(),
        target: args.target.to_string(),
        client: args.client.map(|client| OfClient {
            who: client.as_given(),
            untold,
        }),
        now,
        signals,
        diagnosis,
        incidents: observe::told(&incidents, &summary),
        first_drop,
        tried: tried.flatten(),
        tier: summary.tier,
        lost: summary.loss.total(),
        netns_names: summary.netns_names,
        doubts,
    })
}

/// Why something may have happened to its listeners that is in no count.
fn doubts(args: &WhyArgs, only: Option<u32>, now: &Now, summary: &Summary) -> Vec<String> {
    let before = now.listeners.iter().map(|listening| listening.netns);
    let refusing = summary.listeners.iter().map(|tally| tally.netns);
    let busy = summary.stats.iter().map(|row| row.netns);
    let namespaces: BTreeSet<u32> = before.chain(refusing).chain(busy).chain(only).collect();
    let namespaces: Vec<u32> = namespaces.into_iter().collect();
    let scope = Scope {
        namespaces: (!namespaces.is_empty()).then_some(&namespaces),
        picks_listeners: true,
        reads_all: args.netns != "all" || reads_every_netns(),
    };
    let mut doubts = now.unasked.clone();
    doubts.extend(judge::doubts(summary, scope));
    doubts
}
