//! A listener is watched for a time; where it is asked for, all of it is recorded.

use std::cell::RefCell;

use super::{Judged, VerifyArgs};
use crate::{
    analyse::{
        astray::Strays,
        verify::{Asked, judge},
    },
    command::{
        Failure,
        watch::{self, WatchArgs},
    },
    host::{
        Host,
        clock::{self, mono_ns},
        netns,
        origin::origin,
        unread::Unread,
    },
    loader::reads_every_netns,
    model::{Line, Observed, ToldVerified, Verified, request::Request, tier::Tier},
    observe,
    sink::{Recording, Reporter, aside},
    source::Conduct,
};

pub(super) fn verified(args: &VerifyArgs) -> Result<Judged, Failure> {
    if args.tier == Some(Tier::Counters) {
        return Err(Failure::usage(
            "`verify` needs hooks in the kernel, which the counters tier does not have; leave out --tier",
        ));
    }
    let watch_args = WatchArgs {
        duration: Some(args.duration),
        listeners: vec![args.listener],
        netns: args.netns.clone(),
        request: Request {
            tier: args.tier,
            ..Request::default()
        },
        record: args.record.clone(),
        ..WatchArgs::default()
    };
    let host = Host::new();
    let found = RefCell::new(Vec::new());
    let unasked = RefCell::new(Unread::default());
    let began = RefCell::new(None);
    let mut strays = Strays::default();
    let (summary, recording) = watch::run_open(
        &watch_args,
        &host,
        Conduct {
            ready: Box::new(|start| {
                *began.borrow_mut() = Some(start.clone());
                *found.borrow_mut() = listening_in(args, &host, &mut unasked.borrow_mut());
                let nobody = if found.borrow().is_empty() {
                    "; nobody listens there yet"
                } else {
                    ""
                };
                aside(format_args!(
                    "watching {} for {:.1} s{nobody}",
                    args.listener,
                    args.duration.as_secs_f64()
                ));
            }),
            ..Conduct::silent(|mono_ns, line| strays.line(mono_ns, line))
        },
    )?;
    let mut namespaces = found.into_inner();
    let mut unasked = unasked.into_inner();
    namespaces.extend(listening_in(args, &host, &mut unasked));
    let asked = Asked {
        listener: args.listener.to_string(),
        time: args.duration,
        bar: args.bar(),
        listening_in: Some(namespaces),
        unasked: unasked.into_sentences(),
        reads_all: args.netns != "all" || reads_every_netns(),
    };
    let astray = strays.of_anybody(&summary.stats);
    let verified = judge(asked.clone(), summary, &astray);
    let told = told(asked, &verified);
    let own_netns = netns::current().unwrap_or(0);
    let reporter = Reporter::new(
        args.format,
        verified.summary.tier,
        own_netns,
        told.clock,
        origin(),
    );
    let told_ns = told.mono_ns;
    Ok(Judged {
        verified,
        reporter,
        told_ns,
        start: began.into_inner(),
        recorded: recording.map_or(Ok(()), |recording| keep(recording, told)),
    })
}

fn told(asked: Asked, verified: &Verified) -> ToldVerified {
    ToldVerified {
        mono_ns: mono_ns(),
        clock: clock::wall(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listener: asked.listener,
        asked: asked.time,
        listening_in: asked.listening_in.unwrap_or_default(),
        unasked: asked.unasked,
        headroom: Some(asked.bar.headroom),
        at_least: Some(asked.bar.at_least),
        verdict: verified.verdict.name().to_owned(),
        reasons: verified.reasons.clone(),
    }
}

fn keep(mut recording: Recording, told: ToldVerified) -> Result<(), Failure> {
    let told = Observed::Verified(Box::new(told));
    recording.take(told.mono_ns(), &Line::Observed(&told));
    recording.finish(mono_ns()).map_err(Failure::failed)
}

/// Namespaces in which somebody listens there now; which ones could not be asked is noted.
fn listening_in(args: &VerifyArgs, host: &Host, unasked: &mut Unread) -> Vec<u32> {
    let mut host = host.another();
    let only = watch::netns_of(&args.netns, &host);
    let only = unasked.note(only.map_err(|failure| failure.message));
    only.map_or_else(Vec::new, |only| {
        observe::listening_in(args.listener, only, &mut host, unasked)
    })
}
