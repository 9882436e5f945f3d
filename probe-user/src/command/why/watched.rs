//! An answer from now: the port is looked at, watched, and looked at again.

use std::{
    cell::{Cell, RefCell},
    sync::{OnceLock, mpsc},
    thread,
};

use super::{WhyArgs, say_now};
use crate::command::{
    Failure, say,
    watch::{self, WatchArgs},
};
use crate::{
    analyse::inquiry::{Asked, Inquiry},
    host::{Host, clock::mono_ns, threads::spawn_scoped},
    model::{Answer, Answered, Line, Now, Observed, Summary, Tried, request::Request, tier::Tier},
    observe::{self, STATS, probe},
    sink::{Recording, answer::AnswerFormat},
    source::{Conduct, Enough, early::Ending},
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
    let around = |since| observe::around(args.target.filter(), &now, &mut host.another(), since);
    let first = around(None);
    let first_ns = first.mono_ns;
    before.push(Observed::Around(Box::new(first)));
    let asked = Asked {
        target: args.target.filter(),
        client: args.client,
        netns: None,
    };
    let inquiry = RefCell::new(None);
    let hear = |mono_ns: u64, line: &Line<'_>| match (line, &mut *inquiry.borrow_mut()) {
        (Line::Start(start), inquiry) => *inquiry = Some(Inquiry::new(&asked, start)),
        (line, Some(inquiry)) => inquiry.line(mono_ns, line),
        (_, None) => {}
    };
    let find = |look, found, host: &mut Host| args.target.again(look, only, found, host);
    let (tried, early) = (OnceLock::new(), Cell::new(None));
    let watch = |looks| {
        let of = (args.duration, &early);
        let ending = Ending::new(&inquiry, &host, args.probe.then_some(&tried), of);
        let conduct = Conduct {
            looks: Some(looks),
            enough: (!args.full).then(|| Box::new(ending) as Box<dyn Enough>),
            ..Conduct::silent(hear)
        };
        watch_and_try(args, &host, &now, &tried, conduct, ready)
    };
    let (summary, mut recording) =
        observe::while_watching(&host, before, find, watch).map_err(Failure::failed)??;
    let Some(mut inquiry) = inquiry.take() else {
        return Err(Failure::failed("the watch ended before it began"));
    };
    let tried = tried.into_inner().flatten();
    let mut after: Vec<Observed> = tried.map(Observed::Tried).into_iter().collect();
    let facts = |netns: u32| Observed::Host(Box::new(observe::host_facts(netns, &host)));
    // First, since what is around may be a table that takes its time.
    let asked = inquiry.namespaces();
    after.extend(asked.iter().map(|netns| facts(*netns)));
    let around = Observed::Around(Box::new(around(Some(first_ns))));
    inquiry.line(around.mono_ns(), &Line::Observed(&around));
    after.extend(inquiry.namespaces().difference(&asked).map(|n| facts(*n)));
    for seen in &after {
        inquiry.line(seen.mono_ns(), &Line::Observed(seen));
    }
    after.push(around);
    let answer = Answer {
        early: early.get(),
        ..inquiry.answer(&summary)
    };
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
    tried: &OnceLock<Option<Tried>>,
    conduct: Conduct<'_>,
    ready: impl FnOnce(),
) -> Result<(Summary, Option<Recording>), Failure> {
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
        let connect = || drop(tried.set(probe::connect(&args.target, now, begin)));
        let prober = args
            .probe
            .then(|| spawn_scoped(scope, "to connect on", connect))
            .transpose()?;
        let conduct = Conduct {
            ready: Box::new(move |_| {
                let _ = attached.send(());
                ready();
                if args.format == AnswerFormat::Text {
                    let at_most = if args.full { "" } else { " at most" };
                    let time = args.duration;
                    let _ = say(format_args!(
                        "watching for {time:?}{at_most} (Ctrl-C ends it with an answer)"
                    ));
                }
            }),
            ..conduct
        };
        let watched = watch::run_open(&watch_args, host, conduct);
        let tried = prober.map(thread::ScopedJoinHandle::join).transpose();
        tried.map_err(|_| Failure::failed("the thread that connects panicked"))?;
        watched
    })
}
