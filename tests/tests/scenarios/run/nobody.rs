//! A listener that is judged: beside another one, or where there is none.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};

use whydrop_tests::listener::{Options, unused_port};

use super::*;

/// A mistyped port is nobody's, and nothing is dropped there.
#[test]
fn where_nobody_listens_is_not_green() -> Result<()> {
    let file = Scratch::new("run-nobody.whydrop");
    let path = file.0.to_str().context("no UTF-8")?;
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let options = ["--netns", &here, "--fail-on-drop", "--listener", ":1"];
    let says = "nobody listens on :1; `whydrop list` shows who listens where";
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

/// Clients of the command that look where nobody listens.
#[test]
fn who_finds_nobody_is_told_where() -> Result<()> {
    let file = Scratch::new("run-astray.whydrop");
    let report = Scratch::new("run-astray.json");
    let [path, json] = [&file.0, &report.0].map(|path| path.to_str().context("no UTF-8"));
    let (path, json) = (path?, json?);
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let listener = Listener::new(&netns, Ipv4Addr::LOCALHOST.into(), 8)?;
    let port = listener.port();
    let wrong = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port);
    let options = ["--netns", &here, "--fail-on-drop", "--record", path];
    let running = start_waiting(&options)?;
    for _ in 0..3 {
        ensure_refused(&netns, wrong)?;
    }
    let over = running.finish()?;
    over.ensure_status(1)?;
    let says = [
        "whydrop: 3 attempts to connect found no listener in ".to_owned(),
        format!("[::1]:{port}  nobody listens there"),
        format!("listening: 127.0.0.1:{port}, "),
        "no listener refused anybody: the kernel counted 0 ".to_owned(),
    ];
    for text in &says {
        over.ensure_says(text)?;
    }
    ensure!(
        !over.stderr.contains("nothing was dropped"),
        "two statements"
    );
    ensure!(!over.stderr.contains("not judged: "), "it is judged");
    let from = ["--from", path, "--fail-on-drop"];
    let again = Running::start(whydrop("run", &from)?)?.finish()?;
    again.ensure_status(1)?;
    for text in &says {
        again.ensure_says(text)?;
    }
    let from = ["--from", path, "--format", "json", "--report", json];
    Running::start(whydrop("run", &from)?)?
        .finish()?
        .ensure_status(0)?;
    let report = Report::of(&report.0)?;
    report.ensure_verdict("refused")?;
    let attempts = &report.run()?["no_listener"]["attempts"];
    ensure!(attempts == 3, "not 3: {attempts}");
    Ok(())
}

/// Who tries until a server has started has lost nothing.
#[test]
fn who_comes_before_the_server_is_not_judged() -> Result<()> {
    let netns = Netns::new()?;
    let here = netns.pid().to_string();
    let to_all = IpAddr::from(Ipv4Addr::UNSPECIFIED);
    let port = unused_port(&netns, to_all)?;
    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let running = start_waiting(&["--netns", &here, "--fail-on-drop"])?;
    ensure_refused(&netns, at)?;
    ensure_refused(&netns, at)?;
    let options = Options {
        port,
        listen_backlog: 8,
        ..Options::default()
    };
    let listener = Listener::with(&netns, to_all, options)?;
    let connected = netns.run(|| TcpStream::connect(at))??;
    let accepted = listener.accept_soon()?;
    let over = running.finish()?;
    over.ensure_status(0)?;
    over.ensure_says("not judged: 2 refused before anybody listened there")?;
    drop((connected, accepted));
    Ok(())
}

fn ensure_refused(netns: &Netns, to: SocketAddr) -> Result<()> {
    let tried = netns.run(|| TcpStream::connect(to))?;
    let refused = tried.map_err(|error| error.kind());
    ensure!(
        matches!(refused, Err(ErrorKind::ConnectionRefused)),
        "{to} did not refuse"
    );
    Ok(())
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
