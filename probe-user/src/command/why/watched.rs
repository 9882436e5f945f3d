//! An answer from now: the port is looked at, watched, and looked at again.

use std::{sync::mpsc, thread};

use super::{WhyArgs, say_now};
use crate::command::{
    Failure, say,
    watch::{self, WatchArgs},
};
use crate::{
    analyse::inquiry::{Asked, Inquiry},
    host::{Host, clock::mono_ns, threads::spawn_scoped},
    model::{Answer, Answered, Line, Now, Observed, Summary, Tried, request::Request, tier::Tier},
    observe::{self, Looks, STATS, probe},
    sink::{Recording, answer::AnswerFormat},
    source::Conduct,
};

/// The answer, and whether it was recorded where that is wanted.
pub(super) fn watched(
    args: &WhyArgs,
    ready: impl FnOnce(),
) -> Result<(Answer, Result<(), Failure>), Failure> {
    if args.tier == Some(Tier::Counters) {
        return Err(Failure::usage(
            "`why` needs hooks in the kernel, which the counters tier does not have; leave out --tier",
        ));
    }
    let mut host = Host::new();
    let only = watch::netns_of(&args.netns, &host)?;
    let (now, facts) = args.target.look(only, &mut host);
    if args.format == AnswerFormat::Text {
        say_now(&now)?;
    }
    let mut before = vec![Observed::Before(Box::new(now.clone()))];
    before.extend(facts.into_iter().map(|one| Observed::Host(Box::new(one))));
    let around = || {
        let around = observe::around(args.target.filter(), &now, &mut host.another());
        Observed::Around(Box::new(around))
    };
    before.push(around());
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
    let find = |look, found, host: &mut Host| args.target.again(look, only, found, host);
    let watch = |looks| watch_and_try(args, &host, &now, looks, hear, ready);
    let (summary, mut recording, tried) =
        observe::while_watching(&host, before, find, watch).map_err(Failure::failed)??;
    let Some(mut inquiry) = inquiry else {
        return Err(Failure::failed("the watch ended before it began"));
    };
    let mut after: Vec<Observed> = tried.map(Observed::Tried).into_iter().collect();
    let around = around();
    inquiry.line(around.mono_ns(), &Line::Observed(&around));
    for netns in inquiry.namespaces() {
        let facts = observe::host_facts(netns, &host);
        after.push(Observed::Host(Box::new(facts)));
    }
    for seen in &after {
        inquiry.line(seen.mono_ns(), &Line::Observed(seen));
    }
    after.push(around);
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
    host: &Host,
    now: &Now,
    looks: Looks,
    hear: impl FnMut(u64, &Line<'_>),
    ready: impl FnOnce(),
) -> Result<(Summary, Option<Recording>, Option<Tried>), Failure> {
    let watch_args = WatchArgs {
        duration: Some(args.duration),
        listeners: vec![args.target.filter()],
        netns: args.netns.clone(),
        request: Request {
            tier: args.tier,
            stats: Some(STATS),
            ..Request::default()
        },
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
            host,
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
