//! When it was refused: what the verdict rests on, over time.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use whydrop_tests::holder::Work;
use whydrop_tests::netns::Netns;

use super::{BACKLOG, expect, held, pressed};

#[test]
fn stopped_before_the_watch_and_to_its_end() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    holder.signal(Signal::STOP)?;
    let answer = pressed(&netns, to);
    holder.signal(Signal::CONT)?;
    let answer = answer?;
    expect(&answer, &["acceptor-stopped"])?;
    let overflows = answer["causes"]["overflow/accept-queue-full"].as_u64();
    let overflows = overflows.context("no overflows")?;
    let [incident] = answer["incidents"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
    else {
        bail!("not one incident: {answer:#}");
    };
    // Clients come while the watch ends, too: such a drop may have a line and be in no count.
    let drops = incident["drops"].as_u64().context("no drops")?;
    ensure!((overflows..overflows + 5).contains(&drops), "{answer:#}");
    let gap = &incident["accept_gap"];
    ensure!(gap["at_least"] == true, "{incident:#}");
    ensure!(gap["ms"].as_u64() > Some(1000), "{incident:#}");
    let threads = incident["threads"].as_array().context("no threads")?;
    let states = threads.iter().map(|thread| &thread["state"]);
    ensure!(states.eq(["stopped"]), "{incident:#}");
    Ok(())
}
