//! `whydrop why`: looks at a port, watches it, and answers why it refuses connections.

mod inquiry;
mod place;
mod probe;

use std::{sync::mpsc, thread, time::Duration};

use clap::Args;

use self::inquiry::Inquiry;
pub use self::place::Target;
use super::{
    Failure, say,
    watch::{self, Conduct, WatchArgs},
};
use crate::{
    enrich::Enricher,
    filter::ClientFilter,
    loader::{Tier, reads_every_netns},
    model::{Answer, Line, Now, Observed, Summary, Tried},
    observe::{self, Looks, STATS},
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
    let reads_all = args.netns != "all" || reads_every_netns();
    let (now, facts) = args.target.look(only, reads_all, &mut enricher);
    if args.format == AnswerFormat::Text {
        let mut text = String::new();
        now.write(&mut text);
        say(text.trim_end())?;
    }
    let before = vec![
        Observed::Before(Box::new(now.clone())),
        Observed::Host(Box::new(facts)),
    ];
    let mut inquiry = Inquiry::new(args.target, args.client);
    let find =
        |look, found, enricher: &mut Enricher| args.target.again(look, only, found, enricher);
    let watch = |looks| watch_and_try(args, &now, looks, &mut inquiry, ready);
    let (summary, tried) =
        observe::while_watching(before, find, watch).map_err(Failure::failed)??;
    let mut after: Vec<Observed> = tried.map(Observed::Tried).into_iter().collect();
    for netns in inquiry.namespaces() {
        let facts = observe::host_facts(netns, &mut enricher);
        after.push(Observed::Host(Box::new(facts)));
    }
    for seen in &after {
        inquiry.line(seen.mono_ns(), &Line::Observed(seen));
    }
    Ok(inquiry.answer(&summary))
}

/// Watches, and connects meanwhile where that is asked for.
fn watch_and_try(
    args: &WhyArgs,
    now: &Now,
    looks: Looks,
    inquiry: &mut Inquiry,
    ready: impl FnOnce(),
) -> Result<(Summary, Option<Tried>), Failure> {
    let watch_args = WatchArgs {
        duration: Some(args.duration),
        listeners: vec![args.target.filter()],
        netns: args.netns.clone(),
        tier: args.tier,
        stats: Some(STATS),
        ..WatchArgs::default()
    };
    thread::scope(|scope| {
        let (attached, begin) = mpsc::channel();
        let prober = args
            .probe
            .then(|| scope.spawn(|| probe::connect(&args.target, now, begin)));
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
                looks: Some(looks),
                ..Conduct::silent(|mono_ns, line| inquiry.line(mono_ns, line))
            },
        );
        let tried = prober.map(|prober| {
            prober
                .join()
                .map_err(|_| Failure::failed("the thread that connects panicked"))
        });
        Ok((summary?, tried.transpose()?.flatten()))
    })
}
