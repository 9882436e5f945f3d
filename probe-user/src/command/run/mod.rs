//! `whydrop run`: a command is started once everything is attached, watched
//! until it ends, and what was refused meanwhile is told.

mod child;
mod conduct;
mod places;

use std::{
    cell::RefCell,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::Args;

pub(super) use self::conduct::While;
use self::places::{Hurt as HurtPlaces, Places};
use super::{
    Failure, status,
    watch::{self, WatchArgs},
};
use crate::{
    analyse::{
        judge::{self, Scope},
        ledger::Ledger,
    },
    enrich::Enricher,
    filter::ListenerFilter,
    host::netns,
    loader::{Tier, reads_every_netns},
    model::{Clock, Diagnosed, Dropped, Ended, Hurt, ListenerTally, Ran, Summary},
    observe::{self, STATS},
    sink::{Format, Reporter, create},
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

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Runs the command; its own status comes out, or 1 for what was dropped.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    // Before anything is started: who cannot be told needs not be watched.
    let report: Box<dyn Write> = match &args.report {
        None => Box::new(io::stderr()),
        Some(path) => Box::new(create(path).map_err(Failure::usage)?),
    };
    let ran = judged(args, watch_it_run(args)?);
    let told = tell(args.format, &ran, report);
    match (ran.status, told) {
        (status::OK, Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(
            Failure::failed(format!("writing the report failed: {error}")),
        ),
        (status::OK, _) => Ok(()),
        (status, _) => Err(Failure::new(status, "")),
    }
}

/// A command that has ended, and what was seen meanwhile.
struct Watched {
    ended: Ended,
    lasted: Duration,
    filters: Vec<String>,
    ledger: Ledger,
    summary: Summary,
    /// `None` without hooks.
    diagnosed: Option<Diagnosed>,
}

fn watch_it_run(args: &RunArgs) -> Result<Watched, Failure> {
    let has_hooks = args.tier != Some(Tier::Counters);
    let watch_args = WatchArgs {
        listeners: args.listeners.clone(),
        netns: args.netns.clone(),
        tier: args.tier,
        stats: has_hooks.then_some(STATS),
        stories: has_hooks,
        ..WatchArgs::default()
    };
    let running = While::new(&args.command);
    let ledger = RefCell::new(Ledger::default());
    let filters = RefCell::new(Vec::new());
    let incidents = observe::incidents();
    let hurt = HurtPlaces::default();
    let mut places = Places::new(&hurt);
    let watch = || {
        let conduct = running.conduct(
            |start| filters.borrow_mut().clone_from(&start.filters),
            |line| {
                ledger.borrow_mut().heed(line);
                places.heed(line);
                observe::hear(&incidents, line);
            },
        );
        watch::run(&watch_args, conduct)
    };
    let find = |_, _, enricher: &mut Enricher| hurt.find(enricher);
    let (watched, looks) =
        observe::while_watching(find, &incidents, watch).map_err(Failure::failed)?;
    let outcome = running.into_child().outcome();
    let summary = watched.map_err(|failure| match &outcome {
        // Where the command has run, its own failure is the status.
        Ok((ended, _)) if ended.status() != status::OK => {
            Failure::new(ended.status(), failure.message)
        }
        _ => failure,
    })?;
    let (ended, lasted) = outcome?;
    let told = observe::told(&incidents, &summary);
    Ok(Watched {
        ended,
        lasted,
        filters: filters.into_inner(),
        ledger: ledger.into_inner(),
        diagnosed: has_hooks.then(|| Diagnosed {
            places: places.diagnoses(&looks, &summary),
            incidents: told,
        }),
        summary,
    })
}

fn judged(args: &RunArgs, watched: Watched) -> Ran {
    let Watched {
        ended,
        lasted,
        filters,
        ledger,
        summary,
        diagnosed,
    } = watched;
    let scope = Scope {
        namespaces: None,
        picks_listeners: !args.listeners.is_empty(),
        reads_all: args.netns != "all" || reads_every_netns(),
    };
    let (dropped, doubts) = judge(&summary, scope);
    let hurt = |tally: &ListenerTally| Hurt {
        moments: ledger.moments(tally),
        tally: tally.clone(),
    };
    let word = |word: &OsString| word.to_string_lossy().into_owned();
    Ran {
        command: args.command.iter().map(word).collect(),
        lasted,
        ended,
        status: status_of(ended, dropped, args.fail_on_drop),
        filters,
        dropped,
        doubts,
        hurt: summary.listeners.iter().map(hurt).collect(),
        candidates: ledger.candidates(),
        diagnosed,
        summary,
    }
}

fn tell(format: Format, ran: &Ran, mut to: Box<dyn Write>) -> io::Result<()> {
    let own_netns = netns::current().unwrap_or(0);
    let reporter = Reporter::new(format, ran.summary.tier, own_netns, Clock::now());
    let mut text = String::new();
    reporter.write_ran(ran, &mut text);
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
