//! `whydrop why`: looks at a port, watches it, and answers why it refuses connections.

mod from;
mod place;
mod probe;

use std::{path::PathBuf, sync::mpsc, thread, time::Duration};

use clap::Args;

pub use self::place::Target;
use super::{
    Failure, say,
    watch::{self, Conduct, WatchArgs},
};
use crate::{
    analyse::inquiry::{Asked, Inquiry},
    enrich::Enricher,
    filter::ClientFilter,
    host::{clock::mono_ns, threads::spawn_scoped},
    loader::Tier,
    model::{Answer, Answered, Line, Now, Observed, Summary, Tried},
    observe::{self, Looks, STATS},
    sink::{RecordArgs, Recording, answer::AnswerFormat},
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

    /// Answer from this recording instead, of `why`, `watch` or `record`: nothing is watched (can be given again)
    #[arg(long, value_name = "FILE|DIR", num_args = 1, conflicts_with_all = ["duration", "probe", "tier", "path"])]
    pub from: Vec<PathBuf>,

    #[command(flatten)]
    pub record: RecordArgs,

    /// How the answer looks: `text`, `json` (one object) or `markdown` (a report for a ticket)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: AnswerFormat,

    /// Force one way of watching: trampoline, kprobe or cgroup (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,
}

pub fn run(args: &WhyArgs) -> Result<(), Failure> {
    let (answer, recorded) = if args.from.is_empty() {
        watched(args, || {})?
    } else {
        let answer = from::answer(args)?;
        if let (AnswerFormat::Text, Some(now)) = (args.format, &answer.now) {
            say_now(now)?;
        }
        (answer, Ok(()))
    };
    let mut text = String::new();
    answer.write(args.format, &mut text);
    say(text.trim_end())?;
    recorded
}

/// Looks, watches and answers. Calls `ready` when everything is attached.
pub fn answer(args: &WhyArgs, ready: impl FnOnce()) -> Result<Answer, Failure> {
    let (answer, recorded) = watched(args, ready)?;
    recorded.map(|()| answer)
}

fn say_now(now: &Now) -> Result<(), Failure> {
    let mut text = String::new();
    now.write(&mut text);
    say(text.trim_end())
}

/// The answer, and whether it was recorded where that is wanted.
fn watched(args: &WhyArgs, ready: impl FnOnce()) -> Result<(Answer, Result<(), Failure>), Failure> {
    if args.tier == Some(Tier::Counters) {
        return Err(Failure::usage(
            "`why` needs hooks in the kernel, which the counters tier does without; leave --tier out",
        ));
    }
    let mut enricher = Enricher::new();
    let only = watch::netns_of(&args.netns, &mut enricher.registry)?;
    let (now, facts) = args.target.look(only, &mut enricher);
    if args.format == AnswerFormat::Text {
        say_now(&now)?;
    }
    let before = vec![
        Observed::Before(Box::new(now.clone())),
        Observed::Host(Box::new(facts)),
    ];
    let asked = Asked {
        target: args.target.filter(),
        client: args.client,
        netns: None,
    };
    let mut inquiry = None;
    let hear = |mono_ns: u64, line: &Line<'_>| match (line, &mut inquiry) {
        (Line::Start(start), _) => inquiry = Some(Inquiry::new(&asked, start)),
        (line, Some(inquiry)) => inquiry.line(mono_ns, line),
        (_, None) => {}
    };
    let find =
        |look, found, enricher: &mut Enricher| args.target.again(look, only, found, enricher);
    let watch = |looks| watch_and_try(args, &now, looks, hear, ready);
    let (summary, mut recording, tried) =
        observe::while_watching(before, find, watch).map_err(Failure::failed)??;
    let Some(mut inquiry) = inquiry else {
        return Err(Failure::failed("the watch ended before it began"));
    };
    let mut after: Vec<Observed> = tried.map(Observed::Tried).into_iter().collect();
    for netns in inquiry.namespaces() {
        let facts = observe::host_facts(netns, &mut enricher);
        after.push(Observed::Host(Box::new(facts)));
    }
    for seen in &after {
        inquiry.line(seen.mono_ns(), &Line::Observed(seen));
    }
    let answer = inquiry.answer(&summary);
    after.push(Observed::Answered(Box::new(Answered::of(
        mono_ns(),
        &answer,
    ))));
    if let Some(recording) = &mut recording {
        for seen in &after {
            recording.take(seen.mono_ns(), &Line::Observed(seen));
        }
    }
    let closed = recording.map_or(Ok(()), |recording| recording.finish(mono_ns()));
    Ok((answer, closed.map_err(Failure::failed)))
}

/// Watches, and connects meanwhile where that is asked for.
fn watch_and_try(
    args: &WhyArgs,
    now: &Now,
    looks: Looks,
    hear: impl FnMut(u64, &Line<'_>),
    ready: impl FnOnce(),
) -> Result<(Summary, Option<Recording>, Option<Tried>), Failure> {
    let watch_args = WatchArgs {
        duration: Some(args.duration),
        listeners: vec![args.target.filter()],
        netns: args.netns.clone(),
        tier: args.tier,
        stats: Some(STATS),
        record: args.record.clone(),
        ..WatchArgs::default()
    };
    thread::scope(|scope| {
        let (attached, begin) = mpsc::channel();
        let connect = || probe::connect(&args.target, now, begin);
        let prober = args
            .probe
            .then(|| spawn_scoped(scope, "to connect on", connect))
            .transpose()?;
        let watched = watch::run_open(
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
                ..Conduct::silent(hear)
            },
        );
        let tried = prober.map(|prober| {
            prober
                .join()
                .map_err(|_| Failure::failed("the thread that connects panicked"))
        });
        let (summary, recording) = watched?;
        Ok((summary, recording, tried.transpose()?.flatten()))
    })
}
