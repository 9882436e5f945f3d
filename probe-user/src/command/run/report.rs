//! The report on a command that is watched now.

use std::{cell::RefCell, ffi::OsString, sync::Arc, time::Duration};

use super::RunArgs;
use crate::{
    analyse::ran::{Heard, Hurt},
    command::{
        Failure, status,
        watch::{self, WatchArgs},
    },
    host::{
        Host,
        clock::{self, mono_ns},
        netns,
        unread::Unread,
    },
    model::{
        Ended, Line, Observed, Origin, Ran, Start, Summary, ToldRan, request::Request, tier::Tier,
    },
    observe::{self, Listens, STATS, Wanted},
    sink::{Recording, Reporter},
    source::{Conduct, child::While},
};

/// A command that has ended, and how to tell of it.
pub(crate) struct Report {
    pub ran: Ran,
    /// How the watch began.
    pub start: Start,
    pub reporter: Reporter,
    /// When it was made.
    pub told_ns: u64,
    pub recorded: Result<(), String>,
}

pub(crate) fn watch_it_run(args: &RunArgs) -> Result<Report, Failure> {
    let has_hooks = args.tier != Some(Tier::Counters);
    let watch_args = WatchArgs {
        listeners: args.listeners.clone(),
        netns: args.netns.clone(),
        request: Request {
            tier: args.tier,
            stats: has_hooks.then_some(STATS),
            stories: has_hooks,
            ..Request::default()
        },
        record: args.record.clone(),
        ..WatchArgs::default()
    };
    let host = Host::new();
    let running = While::new(&args.command);
    let began = RefCell::new(None);
    let wanted = RefCell::new(Wanted::of(&args.listeners));
    let look_for = || {
        let only = watch::netns_of(&args.netns, &host).map_err(|failure| failure.message);
        wanted.borrow_mut().look(only, &host);
    };
    let hurt = Arc::new(Hurt::default());
    let mut heard = Heard::new(Arc::clone(&hurt));
    let watch = |looks| {
        let ready = |start: &Start| {
            *began.borrow_mut() = Some(start.clone());
            look_for();
        };
        let conduct = Conduct {
            looks: has_hooks.then_some(looks),
            ..running.conduct(ready, |mono_ns, line| heard.line(mono_ns, line))
        };
        watch::run_open(&watch_args, &host, conduct)
    };
    let find = |_, _, host: &mut Host| observe::listening_at(&hurt.all(), host);
    let watched =
        observe::while_watching(&host, Vec::new(), find, watch).map_err(Failure::failed)?;
    let outcome = running.into_child().outcome();
    let (summary, recording) = watched.map_err(|failure| match &outcome {
        // Where the command has run, its own failure is the status.
        Ok((ended, _)) if ended.status() != status::OK => {
            Failure::new(ended.status(), failure.message)
        }
        _ => failure,
    })?;
    let outcome = outcome?;
    look_for();
    let listens = wanted.into_inner().listens();
    let Some(start) = began.into_inner() else {
        return Err(Failure::failed("the watch ended before it began"));
    };
    let report_of = (summary, recording, listens);
    report(args, &host, heard, report_of, &start, outcome)
}

/// After the end: what namespaces say by now is heard, too, and all of it is recorded where that is wanted.
fn report(
    args: &RunArgs,
    host: &Host,
    mut heard: Heard,
    (summary, mut recording, listens): (Summary, Option<Recording>, Listens),
    start: &Start,
    (ended, lasted): (Ended, Duration),
) -> Result<Report, Failure> {
    let mut keep = |seen: &Observed| {
        if let Some(recording) = &mut recording {
            recording.take(seen.mono_ns(), &Line::Observed(seen));
        }
    };
    for netns in heard.namespaces() {
        let facts = Observed::Host(Box::new(observe::host_facts(netns, host)));
        heard.line(facts.mono_ns(), &Line::Observed(&facts));
        keep(&facts);
    }
    let word = |word: &OsString| word.to_string_lossy().into_owned();
    let mut unread = Unread::default();
    let own_clients = observe::of_this_host(&heard.clients(), host, &mut unread);
    let mut told = ToldRan {
        mono_ns: mono_ns(),
        clock: clock::wall(),
        own_netns: netns::current().unwrap_or(0),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: args.command.iter().map(word).collect(),
        ended,
        lasted,
        dropped: String::new(),
        doubts: Vec::new(),
        without_listener: listens.without,
        listening_in: listens.places,
        own_clients,
        unasked_clients: unread.into_sentences(),
    };
    let ran = heard.ran(told.clone(), start, summary, args.fail_on_drop);
    ran.dropped.name().clone_into(&mut told.dropped);
    told.doubts.clone_from(&ran.doubts);
    let reporter = Reporter::new(
        args.format,
        ran.summary.tier,
        told.own_netns,
        told.clock,
        Origin::of(start),
    );
    let told_ns = told.mono_ns;
    keep(&Observed::Ran(Box::new(told)));
    Ok(Report {
        reporter,
        ran,
        start: start.clone(),
        told_ns,
        recorded: recording.map_or(Ok(()), |recording| recording.finish(mono_ns())),
    })
}
