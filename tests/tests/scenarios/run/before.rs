//! What is dropped before a listener decides: no report says that nothing was dropped, and no status that all is well.

use whydrop_tests::nftables;
use whydrop_tests::peer::Peer;
use whydrop_tests::skip::{is_before, skip};

use super::*;

const BACKLOG: i32 = 8;

/// A SYN that a firewall drops, and the same one again once there is none.
fn dropped_once(wire: &Wire, peer: &mut Peer<'_>) -> Result<()> {
    ensure!(
        wire.netns().run(nftables::drop_input)??,
        "this kernel has no such firewall: it may be built without"
    );
    peer.syn()?;
    wire.netns().run(nftables::take_input)??;
    peer.handshake()
}

#[test]
fn what_a_firewall_drops_is_told_of_and_fails_when_asked() -> Result<()> {
    if is_before(6, 1)? {
        return skip("this kernel gives no reasons for drops");
    }
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    let here = wire.netns().pid().to_string();
    for (options, status) in [(&[][..], 0), (&["--fail-on-drop"], 1)] {
        let running = start(&[&["--netns", &here], options].concat(), &WAITS)?;
        dropped_once(&wire, &mut wire.peer(Family::V4, listener.port()))?;
        let over = running.finish()?;
        over.ensure_status(status)?;
        over.ensure_says("whydrop: 1 SYN was dropped before the listener: netfilter-drop 1 in ")?;
        over.ensure_says("rejected-by-firewall (certain)")?;
        over.ensure_says("connected-late")?;
    }
    Ok(())
}

#[test]
fn a_report_in_json_counts_them() -> Result<()> {
    if is_before(6, 1)? {
        return skip("this kernel gives no reasons for drops");
    }
    let file = Scratch::new("run-before.json");
    let path = file.0.to_str().context("no UTF-8")?;
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    let here = wire.netns().pid().to_string();
    let options = ["--netns", &here, "--format", "json", "--report", path];
    let running = start(&options, &WAITS)?;
    dropped_once(&wire, &mut wire.peer(Family::V4, listener.port()))?;
    running.finish()?.ensure_status(0)?;
    let report = Report::of(&file.0)?;
    report.ensure_verdict("dropped")?;
    let run = report.run()?;
    ensure!(run["refusals"] == 0, "{run}");
    ensure!(run["dropped_before"]["netfilter-drop"] == 1, "{run}");
    let answers = run["answers"].as_array().context("no answers")?;
    ensure!(answers.len() == 1, "{run}");
    ensure!(answers[0]["port"] == listener.port(), "{run}");
    Ok(())
}

/// `verify` says it too; a packet that nobody sends who means to connect is no matter.
#[test]
fn a_listener_behind_a_firewall_does_not_hold() -> Result<()> {
    if is_before(6, 1)? {
        return skip("this kernel gives no reasons for drops");
    }
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    let (port, here) = (listener.port().to_string(), wire.netns().pid().to_string());
    let verify = |traffic: &dyn Fn(&mut Peer<'_>) -> Result<()>| {
        let options = ["--netns", &here, "--at-least", "1", "--for", "10m"];
        let mut running = Running::start(whydrop(
            "verify",
            &[&[port.as_str()], &options[..]].concat(),
        )?)?;
        let line = running.error_line()?;
        ensure!(line.contains("watching"), "it says {line}");
        traffic(&mut wire.peer(Family::V4, listener.port()))?;
        running.signal(Signal::INT)?;
        running.finish()
    };
    let over = verify(&|peer| dropped_once(&wire, peer))?;
    over.ensure_status(1)?;
    let says = String::from_utf8_lossy(&over.stdout).into_owned();
    let expected = "did not hold: 1 SYN was dropped before the listener: netfilter-drop 1";
    ensure!(says.contains(expected), "it says: {says}");
    let over = verify(&|peer| {
        peer.stray(0)?;
        peer.handshake()
    })?;
    over.ensure_status(0)
}
