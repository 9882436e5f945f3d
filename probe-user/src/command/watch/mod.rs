//! `whydrop watch`: from the arguments to the summary.

mod ends;
mod observed;
mod start;

use tokio::runtime;

use self::{
    ends::{check, closed, open, prime},
    start::{filter_of, start},
};
use super::Failure;
pub use crate::source::WatchArgs;
use crate::{
    enrich::Enricher,
    host::{Host, netns},
    loader::Probe,
    model::{SelfTest, Summary, cause::Reasons, tier::Tier},
    selftest,
    sink::{OnIncident, Printed, Recording, Reporter, Sinks},
    source::{Conduct, Parts, counters, ring, stop::Stop},
};

/// Runs until a signal or the end of the time; the summary is for callers that judge it.
pub fn run(args: &WatchArgs, conduct: Conduct<'_>) -> Result<Summary, Failure> {
    let is_recorded = args.record.path.is_some();
    let looks = is_recorded || conduct.tells_incidents;
    if !looks || args.request.tier == Some(Tier::Counters) {
        return conducted(args, &Host::new(), conduct);
    }
    observed::run(args, &Host::new(), conduct)
}

/// The same, with no looks but those that it was given.
fn conducted(args: &WatchArgs, host: &Host, conduct: Conduct<'_>) -> Result<Summary, Failure> {
    let (summary, sinks) = until_its_end(args, host, conduct)?;
    closed(sinks.close(&summary))?;
    Ok(summary)
}

/// The same, for callers that have more to record: the recording is theirs to close.
pub fn run_open(
    args: &WatchArgs,
    host: &Host,
    conduct: Conduct<'_>,
) -> Result<(Summary, Option<Recording>), Failure> {
    let (summary, sinks) = until_its_end(args, host, conduct)?;
    let recording = sinks.end_open(&summary);
    Ok((summary, recording))
}

fn until_its_end<'a>(
    args: &WatchArgs,
    host: &Host,
    conduct: Conduct<'a>,
) -> Result<(Summary, Sinks<'a>), Failure> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the event loop: {error}")))?;
    // From here on a signal ends the watch with its summary, however early it comes.
    let mut stop = runtime
        .block_on(async { Stop::new(conduct.until, conduct.ends_by_signal, conduct.signalled) })
        .map_err(|error| Failure::failed(format!("cannot catch signals: {error}")))?;
    check(args)?;
    // Before anything is attached: what cannot be written to is no reason to watch.
    let output = conduct.prints.then(|| open(args)).transpose()?;
    let filter = filter_of(args, host)?;
    let mut probe = match args.request.tier {
        Some(Tier::Counters) => None,
        _ => Some(Probe::attach(
            &args.request,
            filter.netns,
            &filter.wanted(),
        )?),
    };
    let self_test = match &probe {
        Some(probe) => selftest::run(probe)?,
        None => SelfTest::Skipped("there are no hooks on this tier".into()),
    };
    let mut enricher = Enricher::new(host.another());
    let listeners = prime(&mut enricher, probe.is_some())?;
    let start = start(
        args,
        probe.as_ref(),
        self_test,
        &filter,
        (listeners, conduct.looks.is_some()),
        conduct.confine,
        host,
    )?;
    let reasons = probe
        .as_mut()
        .map_or_else(Reasons::default, |probe| std::mem::take(&mut probe.reasons));
    enricher.name_reasons(reasons);
    let recording = args.record.begin(&start, args.file().is_some())?;
    let reporter = Reporter::of(args.format, &start).with_top(args.top);
    let printed = output.map(|output| Printed::new(reporter, output).quietly(args.quiet));
    let words = args.on_incident.as_ref();
    let command = words.map(|words| OnIncident::new(words, &start));
    let command = command.transpose().map_err(Failure::failed)?;
    let parts = Parts {
        filter,
        sinks: Sinks::new(conduct.stage, printed, recording, start.clock)
            .with_heartbeat(!args.request.no_heartbeat)
            .with_command(command),
        request: args.request.clone(),
        tells_incidents: conduct.tells_incidents,
        enricher,
    };
    runtime.block_on(async {
        let has_file = args.file().is_some() || args.record.path.is_some();
        stop.has_file = has_file || conduct.service.is_some();
        stop.end = args.duration.map(|time| tokio::time::Instant::now() + time);
        match probe {
            Some(probe) => {
                let beside = ring::Beside {
                    looks: conduct.looks,
                    enough: conduct.enough,
                    service: conduct.service,
                };
                // It is large: it holds all that is known of a watch.
                let watched = Box::pin(ring::watch(
                    parts,
                    probe,
                    &start,
                    stop,
                    conduct.ready,
                    beside,
                ));
                watched.await.map_err(Failure::failed)
            }
            None => Ok(counters::watch(parts, &start, stop, conduct.ready).await),
        }
    })
}

/// The namespace that `--netns` means, `None` for all.
pub fn netns_of(spec: &str, host: &Host) -> Result<Option<u32>, Failure> {
    match spec {
        "all" => Ok(None),
        "self" => netns::current().map(Some).map_err(Failure::failed),
        spec => {
            let found = host.namespaces().resolve(spec);
            found.map(Some).map_err(Failure::usage)
        }
    }
}
