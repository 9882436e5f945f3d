//! The loop of a watch with hooks: what the ring holds is taken out as it comes, what is due each second in between.

use std::time::Duration;

use tokio::{
    io::{Interest, unix::AsyncFd},
    task::yield_now,
    time::{Interval, MissedTickBehavior, interval},
};

use super::{
    Enough, Parts, Service,
    coalesce::Round,
    hooks::HookPipeline,
    stop::{Asked, Stop},
};
use crate::{
    loader::Probe,
    model::{Line, Observed, Start, Summary},
    observe::Looks,
    sink::Sinks,
};

/// Who takes part beside the ring, each where there is one.
pub struct Beside<'a> {
    /// Looks that are lines too.
    pub looks: Option<Looks>,
    /// Ends the watch sooner.
    pub enough: Option<Box<dyn Enough + 'a>>,
    /// Hands out what was counted.
    pub service: Option<Box<dyn Service + 'a>>,
}

/// Watches until the end; an error is a sentence.
pub async fn watch<'a>(
    parts: Parts<'a>,
    mut probe: Probe,
    start: &Start,
    mut stop: Stop<'_>,
    ready: impl FnOnce(&Start),
    beside: Beside<'_>,
) -> Result<(Summary, Sinks<'a>), String> {
    let Beside {
        mut looks,
        mut enough,
        mut service,
    } = beside;
    let mut pipeline = HookPipeline::begin(parts, &mut probe).map_err(|error| error.to_string())?;
    pipeline.tell(&Line::Start(start));
    if stop.came_early() {
        tell_rest(&mut pipeline, looks);
        return Ok(pipeline.end(&mut probe));
    }
    ready(start);
    // SAFETY: the descriptor is the ring's, which lives in the probe and so as long as the AsyncFd.
    let mut ring = unsafe { AsyncFd::register_with_interest(probe, Interest::READABLE) }
        .map_err(|error| event_loop(&std::io::Error::from(error)))?;
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stats = pipeline.stats_ticks();
    let mut round = Round::default();
    while !pipeline.is_broken() {
        tokio::select! {
            biased;
            asked = stop.wait() => match asked {
                Asked::End => break,
                Asked::Reopen => pipeline.reopen(),
                Asked::Interim => pipeline.tell_interim(ring.get_mut()),
            },
            _ = second.tick() => {
                pipeline.tick(ring.get_mut());
                let has_enough = |enough: &mut Box<dyn Enough + '_>| {
                    pipeline.has_enough(ring.get_mut(), &mut **enough)
                };
                if enough.as_mut().is_some_and(has_enough) {
                    break;
                }
                if let Some(service) = &mut service
                    && service.second()
                {
                    pipeline.serve(ring.get_mut(), &mut **service);
                }
            }
            () = asked_of(&mut service) => {
                if let Some(service) = &mut service {
                    pipeline.serve(ring.get_mut(), &mut **service);
                }
            }
            () = until(pipeline.due()) => pipeline.record(),
            () = until(pipeline.figures_due()) => pipeline.hear_figures(ring.get_ref()),
            () = next_of(&mut stats) => pipeline.tell_stats(ring.get_ref()),
            seen = next_look(&mut looks) => tell_looks(&mut pipeline, &seen),
            ready = ring.readable_mut() => {
                let mut ready = ready.map_err(|error| event_loop(&error))?;
                let drained = pipeline.drain(ready.get_inner_mut());
                round.add(drained.records);
                if drained.is_empty {
                    ready.clear_ready();
                    round.rest();
                } else {
                    // A loop that never waits would never learn of a signal or of the time.
                    yield_now().await;
                }
            }
        }
    }
    if let Some(service) = &mut service {
        service.ends();
    }
    let mut probe = ring.into_inner();
    tell_rest(&mut pipeline, looks);
    Ok(pipeline.end(&mut probe))
}

/// Tells the looks that are on their way.
fn tell_rest(pipeline: &mut HookPipeline<'_>, looks: Option<Looks>) {
    let Some(mut looks) = looks else { return };
    // Nobody sends from here on, so it ends.
    looks.close();
    while let Ok(seen) = looks.try_recv() {
        tell_looks(pipeline, &seen);
    }
}

fn tell_looks(pipeline: &mut HookPipeline<'_>, seen: &[Observed]) {
    for one in seen {
        pipeline.tell(&Line::Observed(one));
    }
}

/// Waits for the next look, for ever where there are no more.
async fn next_look(looks: &mut Option<Looks>) -> Vec<Observed> {
    if let Some(some) = looks {
        match some.recv().await {
            Some(seen) => return seen,
            None => *looks = None,
        }
    }
    std::future::pending().await
}

/// Waits until then, for ever where there is no such moment.
async fn until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Waits until somebody asks what was counted, for ever where nobody can.
async fn asked_of(service: &mut Option<Box<dyn Service + '_>>) {
    match service {
        Some(service) => std::future::poll_fn(|context| service.poll_asked(context)).await,
        None => std::future::pending().await,
    }
}

fn event_loop(error: &std::io::Error) -> String {
    format!("the event loop failed: {error}")
}

/// Waits for the next tick, for ever where there are none.
async fn next_of(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}
