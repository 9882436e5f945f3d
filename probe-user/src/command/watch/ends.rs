//! Where a watch begins and ends: what is asked for in vain, the output, the listeners that are there.

use super::WatchArgs;
use crate::{
    command::{Failure, status},
    enrich::Enricher,
    model::tier::Tier,
    sink::{Closed, Output, aside},
};

/// What is asked for in vain.
pub(super) fn check(args: &WatchArgs) -> Result<(), Failure> {
    args.only.check(args.request.tier).map_err(Failure::usage)?;
    if args.request.tier == Some(Tier::Counters) && args.request.needs_hooks() {
        return Err(Failure::usage(
            "--stats, --warn and --stories need hooks in the kernel, which the counters tier does not have; leave out --tier",
        ));
    }
    if args.request.tier == Some(Tier::Counters) && (args.quiet || args.on_incident.is_some()) {
        return Err(Failure::usage(
            "--quiet and --on-incident are of incidents, which need hooks in the kernel; leave out --tier counters",
        ));
    }
    Ok(())
}

pub(super) fn open(args: &WatchArgs) -> Result<Output, Failure> {
    let output = Output::open(args.output.as_deref(), &args.record.kept)?;
    if let Some(path) = args.file() {
        aside(format_args!("writing to {}", path.display()));
    }
    Ok(output)
}

/// Meets the listeners that are there; their number.
pub(super) fn prime(enricher: &mut Enricher, has_hooks: bool) -> Result<usize, Failure> {
    let primed = enricher.prime();
    match primed.no_module() {
        // On the counters tier sock_diag is all there is.
        Some(error) if !has_hooks => return Err(Failure::new(status::KERNEL, error)),
        Some(error) => aside(format_args!("no snapshots of sockets: {error}")),
        None if primed.unlisted.is_empty() => {}
        None => aside(&primed),
    }
    Ok(primed.listeners)
}

/// What went wrong at the end, the output first.
pub(super) fn closed(closed: Closed) -> Result<(), Failure> {
    match closed.printed {
        None | Some(Ok(true)) => closed.recorded.map_err(Failure::failed),
        Some(Ok(false)) => Err(Failure::reader_gone()),
        Some(Err(error)) => Err(error.into()),
    }
}
