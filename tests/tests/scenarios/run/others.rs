//! Others on the host who are refused all the time: a command that does nothing is not watched for long because of them, and
//! the report says for how long it counted.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use whydrop_tests::{deadline::scaled, every::Every};

use super::*;

const EVERY: Duration = Duration::from_millis(2);
const LIMIT: Duration = Duration::from_mins(1);
/// What is refused before the command begins and after it has ended is among what was counted, for so long.
const AROUND: Duration = Duration::from_millis(700);

fn beside_refusals<T>(wire: Wire, play: impl FnOnce() -> Result<T>) -> Result<T> {
    let listener = wire.full_listener()?;
    let is_over = AtomicBool::new(false);
    let refuses = || -> Result<()> {
        let wire = wire;
        let deadline = Instant::now() + scaled(LIMIT);
        let peer = wire.peer(Family::V4, listener.port());
        let mut every = Every::new(EVERY);
        while !is_over.load(Ordering::Relaxed) && Instant::now() < deadline {
            if every.is_due() {
                peer.syn()?;
            }
            thread::yield_now();
        }
        Ok(())
    };
    thread::scope(|scope| {
        let refuses = scope.spawn(refuses);
        let played = play();
        is_over.store(true, Ordering::Relaxed);
        refuses.join().ok().context("the refusals panicked")??;
        played
    })
}

#[test]
fn others_do_not_keep_it_and_the_report_says_how_long_it_counted() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let file = Scratch::new("run-others.json");
    let path = file.0.to_str().context("no UTF-8")?;
    beside_refusals(wire, || {
        let json = ["--netns", &here, "--format", "json", "--report", path];
        run(&json, &["true"])?.ensure_status(0)?;
        let report = Report::of(&file.0)?;
        report.ensure_verdict("dropped")?;
        let seconds = |line: &Value| line["duration_s"].as_f64().context("no duration");
        let counted = seconds(report.summary()?)?;
        let around = Duration::try_from_secs_f64(counted - seconds(report.run()?)?)?;
        ensure!(
            around <= scaled(AROUND),
            "it counted for {around:?} beside what it was to watch"
        );
        let over = run(&["--netns", &here], &["true"])?;
        over.ensure_says("; counted for 0.")?;
        over.ensure_says(" s, from just before it began until just after it had ended")
    })
}
