//! A listener that is judged: beside another one, or where there is none.

use super::*;

/// A mistyped port is nobody's, and nothing is dropped there.
#[test]
fn where_nobody_listens_is_not_green() -> Result<()> {
    let file = Scratch::new("run-nobody.whydrop");
    let path = file.0.to_str().context("no UTF-8")?;
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let options = ["--netns", &here, "--fail-on-drop", "--listener", ":1"];
    let says = "nobody listens on :1, and no connection came there";
    for tier in [&[][..], &["--tier", "counters"]] {
        let over = run(&[&options, tier].concat(), &["true"])?;
        over.ensure_status(1)?;
        over.ensure_says(says)?;
        over.ensure_says("cannot tell whether anything was dropped")?;
    }
    run(&[&options[..], &["--record", path]].concat(), &["true"])?.ensure_status(1)?;
    let from = ["--from", path, "--fail-on-drop"];
    let over = Running::start(whydrop("run", &from)?)?.finish()?;
    over.ensure_status(1)?;
    over.ensure_says(says)?;
    // One that listens, to which nobody comes, refuses nobody.
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), 8)?;
    let ours = format!(":{}", listener.port());
    let options = ["--netns", &here, "--fail-on-drop", "--listener", &ours];
    run(&options, &["true"])?.ensure_status(0)
}

#[test]
fn other_listeners_are_not_judged() -> Result<()> {
    let wire = Wire::new()?;
    let here = wire.netns().pid().to_string();
    let listener = Listener::new(wire.netns(), Ipv4Addr::LOCALHOST.into(), 8)?;
    let ours = format!(":{}", listener.port());
    let options = ["--netns", &here, "--fail-on-drop", "--listener", &ours];
    let running = start_waiting(&options)?;
    let _other = paths::syn_overflow(&wire, Family::V4)?;
    let over = running.finish()?;
    over.ensure_status(0)?;
    ensure!(
        says_that_nothing_was_dropped(&over.stderr),
        "it says: {}",
        over.stderr
    );
    Ok(())
}
