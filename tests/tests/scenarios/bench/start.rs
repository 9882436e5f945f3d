//! What it takes to be there: time until ready, memory, and CPU when nothing happens.

use std::time::{Duration, Instant};

use anyhow::Result;
use whydrop_tests::log::say_figure;
use whydrop_tests::process;
use whydrop_tests::steady::rest;
use whydrop_tests::whydrop::Whydrop;

use super::middle;

const STARTS: usize = 5;
const IDLE: Duration = Duration::from_secs(10);

#[test]
#[ignore = "prints figures"]
fn start_and_rest() -> Result<()> {
    let (mut ms, mut now, mut peak) = (Vec::new(), Vec::new(), Vec::new());
    for nth in 1..=STARTS {
        let began = Instant::now();
        let whydrop = Whydrop::start()?;
        ms.push(began.elapsed().as_secs_f64() * 1e3);
        let memory = process::memory_kib(whydrop.pid())?;
        now.push(memory.0 as f64);
        peak.push(memory.1 as f64);
        if nth == STARTS {
            let before = process::cpu(whydrop.pid())?;
            rest(IDLE)?;
            let took = process::cpu(whydrop.pid())?.saturating_sub(before);
            say_figure(format_args!(
                "idle {:.0}",
                took.as_nanos() as f64 / IDLE.as_secs_f64()
            ))?;
        }
        whydrop.stop()?;
    }
    let [ms, now, peak] = [ms, now, peak].map(middle);
    say_figure(format_args!("start {ms:.0} {now:.0} {peak:.0}"))
}
