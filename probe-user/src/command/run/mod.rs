//! `whydrop run`: a command is started once everything is attached, watched
//! until it ends, and what was refused meanwhile is told.

mod child;
mod conduct;
mod heard;
mod places;

use std::{
    cell::RefCell,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::Args;

pub(super) use self::conduct::While;
use self::{heard::Heard, places::Hurt as HurtPlaces};
use super::{
    Failure,
    recorded::{self, Hears},
    status,
    watch::{self, Conduct, WatchArgs},
};
use crate::{
    analyse::judge::{self, Scope},
    enrich::Enricher,
    filter::ListenerFilter,
    host::{clock::mono_ns, netns},
    loader::Tier,
    model::{Clock, Dropped, Ended, Line, Observed, Origin, Ran, Start, Summary, ToldRan},
    observe::{self, STATS},
    sink::{Format, RecordArgs, Recording, Reporter, create},
};

#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// End with status 1 when the command succeeded and a listener refused anything, or when that cannot be told
    #[arg(long)]
    pub fail_on_drop: bool,

    /// Write the report to this file instead of standard error
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// How the report looks: `text` for people, `json` for machines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Judge only this listener, as ADDR:PORT or :PORT (can be given again)
    #[arg(long = "listener", value_name = "[ADDR]:PORT")]
    pub listeners: Vec<ListenerFilter>,

    /// Judge only this network namespace: a name of `ip netns`, a PID, a path, `self` or `all`
    #[arg(long, value_name = "NETNS", default_value = "all")]
    pub netns: String,

    /// Force one way of watching: trampoline, kprobe, cgroup or counters (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,

    /// Report on this recording of `run` instead: nothing is run and nothing is watched (can be given again)
    #[arg(long, value_name = "FILE|DIR", num_args = 1, conflicts_with_all = ["tier", "path", "listeners", "netns", "command"])]
    pub from: Vec<PathBuf>,

    #[command(flatten)]
    pub record: RecordArgs,

    /// The command and its arguments
    #[arg(last = true, required_unless_present = "from", value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Runs the command; its own status comes out, or 1 for what was dropped.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    // Before anything is started: who cannot be told needs not be watched.
    let report: Box<dyn Write> = match &args.report {
        None => Box::new(io::stderr()),
        Some(path) => Box::new(create(path).map_err(Failure::usage)?),
    };
    let report_of = if args.from.is_empty() {
        watch_it_run(args)?
    } else {
        of_recording(args)?
    };
    let ran = &report_of.ran;
    let told = tell(&report_of, report);
    let failed = match (told, report_of.recorded) {
        (Err(error), _) if error.kind() != io::ErrorKind::BrokenPipe => {
            format!("writing the report failed: {error}")
        }
        (_, Err(failure)) => failure,
        _ => String::new(),
    };
    match (ran.status, failed.is_empty()) {
        (status::OK, true) => Ok(()),
        (status::OK, false) => Err(Failure::failed(failed)),
        (status, _) => Err(Failure::new(status, failed)),
    }
}

/// A command that has ended, and how to tell of it.
struct Report {
    ran: Ran,
    reporter: Reporter,
    /// When it was made.
    told_ns: u64,
    recorded: Result<(), String>,
}

fn of_recording(args: &RunArgs) -> Result<Report, Failure> {
    let mut read = recorded::read(&args.from, |start| {
        let mut heard = Heard::new(Arc::default());
        heard.line(start.mono_ns, &Line::Start(start));
        heard
    })?;
    let told = read.heard.told.take().ok_or_else(|| {
        Failure::failed(
            "no command was run while this was recorded; `whydrop run --record FILE` records one",
        )
    })?;
    Ok(Report {
        reporter: Reporter::new(
            args.format,
            read.start.tier,
            told.own_netns,
            told.clock,
            Origin::of(&read.start),
        ),
        told_ns: told.mono_ns,
        ran: read
            .heard
            .ran(told, &read.start, read.summary, args.fail_on_drop),
        recorded: Ok(()),
    })
}

fn watch_it_run(args: &RunArgs) -> Result<Report, Failure> {
    let has_hooks = args.tier != Some(Tier::Counters);
    let watch_args = WatchArgs {
        listeners: args.listeners.clone(),
        netns: args.netns.clone(),
        tier: args.tier,
        stats: has_hooks.then_some(STATS),
        stories: has_hooks,
        record: args.record.clone(),
        ..WatchArgs::default()
    };
    let running = While::new(&args.command);
    let began = RefCell::new(None);
    let hurt = Arc::new(HurtPlaces::default());
    let mut heard = Heard::new(Arc::clone(&hurt));
    let watch = |looks| {
        let ready = |start: &Start| *began.borrow_mut() = Some(start.clone());
        let conduct = Conduct {
            looks: has_hooks.then_some(looks),
            ..running.conduct(ready, |mono_ns, line| heard.line(mono_ns, line))
        };
        watch::run_open(&watch_args, conduct)
    };
    let find = |_, _, enricher: &mut Enricher| hurt.find(enricher);
    let watched = observe::while_watching(Vec::new(), find, watch).map_err(Failure::failed)?;
    let outcome = running.into_child().outcome();
    let (summary, recording) = watched.map_err(|failure| match &outcome {
        // Where the command has run, its own failure is the status.
        Ok((ended, _)) if ended.status() != status::OK => {
            Failure::new(ended.status(), failure.message)
        }
        _ => failure,
    })?;
    let (ended, lasted) = outcome?;
    let Some(start) = began.into_inner() else {
        return Err(Failure::failed("the watch ended before it began"));
    };
    report(args, heard, (summary, recording), &start, (ended, lasted))
}

/// After the end: what namespaces say by now is heard, too, and all of it is recorded where that is wanted.
fn report(
    args: &RunArgs,
    mut heard: Heard,
    (summary, mut recording): (Summary, Option<Recording>),
    start: &Start,
    (ended, lasted): (Ended, Duration),
) -> Result<Report, Failure> {
    let mut enricher = Enricher::new();
    let mut keep = |seen: &Observed| {
        if let Some(recording) = &mut recording {
            recording.take(seen.mono_ns(), &Line::Observed(seen));
        }
    };
    for netns in heard.namespaces() {
        let facts = Observed::Host(Box::new(observe::host_facts(netns, &mut enricher)));
        heard.line(facts.mono_ns(), &Line::Observed(&facts));
        keep(&facts);
    }
    let word = |word: &OsString| word.to_string_lossy().into_owned();
    let mut told = ToldRan {
        mono_ns: mono_ns(),
        clock: Clock::now(),
        own_netns: netns::current().unwrap_or(0),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: args.command.iter().map(word).collect(),
        ended,
        lasted,
        dropped: String::new(),
        doubts: Vec::new(),
    };
    let ran = heard.ran(told.clone(), start, summary, args.fail_on_drop);
    told.dropped = ran.dropped.name().to_owned();
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
        told_ns,
        recorded: recording.map_or(Ok(()), |recording| recording.finish(mono_ns())),
    })
}

fn tell(report: &Report, mut to: Box<dyn Write>) -> io::Result<()> {
    let mut text = String::new();
    let reporter = &report.reporter;
    reporter.write_ran(report.told_ns, &report.ran, &mut text);
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// Whether anything was dropped, and why that may not be all.
fn judge(summary: &Summary, scope: Scope<'_>) -> (Dropped, Vec<String>) {
    let doubts = judge::doubts(summary, scope);
    let dropped = match summary.refusals() {
        0 if doubts.is_empty() => Dropped::Nothing,
        0 => Dropped::CannotTell,
        // Without hooks, one of several candidates: it may have been another listener.
        _ if scope.picks_listeners && summary.tier == Tier::Counters => Dropped::CannotTell,
        _ => Dropped::Something,
    };
    (dropped, doubts)
}

/// What whydrop ends with.
fn status_of(ended: Ended, dropped: Dropped, fail_on_drop: bool) -> u8 {
    match ended.status() {
        status::OK if fail_on_drop && dropped != Dropped::Nothing => status::FAILED,
        status => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyse::judge::tests::summary,
        decode::{Kind, Stage},
    };

    fn check(summary: &Summary, picks_listeners: bool, expect: Dropped) {
        let scope = Scope {
            namespaces: None,
            picks_listeners,
            reads_all: true,
        };
        assert_eq!(judge(summary, scope).0, expect);
    }

    #[test]
    fn refusals_are_drops_and_other_events_are_not() {
        let mut quiet = summary(Tier::Cgroup, Some(0), Some(0));
        check(&quiet, false, Dropped::Nothing);
        quiet.counts.insert((Kind::Retransmit, None), 4);
        quiet.counts.insert((Kind::CookieSent, Some(Stage::Syn)), 4);
        check(&quiet, false, Dropped::Nothing);
        quiet.counts.insert((Kind::Overflow, Some(Stage::Syn)), 1);
        check(&quiet, false, Dropped::Something);
    }

    #[test]
    fn what_cannot_be_told_is_not_nothing() {
        check(
            &summary(Tier::Cgroup, Some(1), Some(1)),
            false,
            Dropped::CannotTell,
        );
        check(
            &summary(Tier::Cgroup, None, None),
            false,
            Dropped::CannotTell,
        );
        let mut counted = summary(Tier::Counters, Some(1), Some(1));
        counted.counts.insert((Kind::Overflow, None), 1);
        check(&counted, false, Dropped::Something);
        check(&counted, true, Dropped::CannotTell);
    }

    #[test]
    fn the_command_s_own_status_comes_first() {
        use Dropped::{CannotTell, Nothing, Something};
        let check = |ended, dropped, fail, expect| {
            assert_eq!(
                status_of(ended, dropped, fail),
                expect,
                "{ended:?} {dropped:?} {fail}"
            );
        };
        check(Ended::Code(0), Something, false, 0);
        check(Ended::Code(0), Nothing, true, 0);
        check(Ended::Code(0), Something, true, 1);
        check(Ended::Code(0), CannotTell, true, 1);
        check(Ended::Code(7), Something, true, 7);
        check(Ended::Signal(9), Something, true, 137);
    }
}
