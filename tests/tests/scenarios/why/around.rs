//! Refused at another listener than the one that was asked about, by a client's own host, or by the application itself.

use std::io::Write;
use std::process::{Command, Stdio};

use whydrop_tests::answer::ask;
use whydrop_tests::family::Family;
use whydrop_tests::listener::unused_port;
use whydrop_tests::wire::Wire;

use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Rules of nft(8); false where that is not installed, or this kernel has no such firewall.
fn nft(netns: &Netns, rules: &str) -> Result<bool> {
    let mut nft = Command::new("nft");
    nft.args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(mut child) = netns.spawn(&mut nft) else {
        return Ok(false);
    };
    let mut input = child.stdin.take().context("no input")?;
    input.write_all(rules.as_bytes())?;
    drop(input);
    Ok(child.wait()?.success())
}

fn dnat(from: SocketAddr, to: SocketAddr) -> String {
    format!(
        "table ip whydrop {{\n chain out {{\n type nat hook output priority -100;\n tcp dport {} dnat to {to}\n }}\n}}\n",
        from.port()
    )
}

/// A port of this namespace that is translated to that of a listener which `work` holds.
fn published(netns: &Netns, work: Work) -> Result<Option<(SocketAddr, SocketAddr, Holder)>> {
    let (to, holder) = held(netns, BACKLOG, work)?;
    let from = SocketAddr::new(HERE, unused_port(netns, HERE)?);
    let rules = dnat(from, to);
    Ok(nft(netns, &rules)?.then_some((from, to, holder)))
}

/// What `why` says of an address to which a client comes now and then, and goes.
fn visited(netns: &Netns, at: SocketAddr) -> Result<Value> {
    let mut every = Every::new(PAUSE);
    why(netns, at, || {
        if every.is_due() {
            Client::connect(netns, at)?;
        }
        Ok(())
    })
}

const NO_NFT: &str = "there is no nft, or no NAT in this kernel";

#[test]
fn translated_to_a_listener_that_is_full() -> Result<()> {
    let netns = Netns::new()?;
    let Some((from, to, _holder)) = published(&netns, Work::Sleep)? else {
        return skip(NO_NFT);
    };
    let answer = pressed(&netns, from)?;
    expect(&answer, &["redirected-elsewhere"])?;
    let says = answer.to_string();
    let ask = format!("whydrop why {to} --netns");
    ensure!(says.contains(&ask), "not told to `{ask}`: {answer:#}");
    Ok(())
}

/// It is the same rule, and nothing is wrong with it.
#[test]
fn translated_to_a_listener_that_serves() -> Result<()> {
    let netns = Netns::new()?;
    let Some((from, to, _holder)) = published(&netns, Work::Serve { rest_us: 0 })? else {
        return skip(NO_NFT);
    };
    let answer = visited(&netns, from)?;
    expect(&answer, &[])?;
    let says = notes(&answer);
    let note = format!("{from} is translated to {to} (DNAT, REDIRECT): ");
    ensure!(says.contains(&note), "no note of it: {answer:#}");
    let ask = format!("whydrop why {to} --netns");
    ensure!(says.contains(&ask), "not told to `{ask}`: {answer:#}");
    Ok(())
}

/// Nobody listens where that comes out: the reset is of there.
#[test]
fn translated_to_nobody() -> Result<()> {
    let netns = Netns::new()?;
    let from = SocketAddr::new(HERE, unused_port(&netns, HERE)?);
    let to = SocketAddr::new(HERE, unused_port(&netns, HERE)?);
    let rules = dnat(from, to);
    if from == to || !nft(&netns, &rules)? {
        return skip(NO_NFT);
    }
    let answer = visited(&netns, from)?;
    expect(&answer, &[])?;
    let says = notes(&answer);
    ensure!(says.contains("is translated (DNAT)"), "{answer:#}");
    Ok(())
}

/// Four source ports, all of which are taken.
fn without_source_ports(range: &str, reserved: &str) -> Result<()> {
    let netns = Netns::new()?;
    let listener = Listener::new(&netns, HERE, BACKLOG)?;
    netns.sysctl("net/ipv4/ip_local_port_range", range)?;
    netns.sysctl("net/ipv4/ip_local_reserved_ports", reserved)?;
    let to = listener.address();
    let clients: Result<Vec<_>> = (0..4).map(|_| Client::connect(&netns, to)).collect();
    let clients = clients?;
    ensure!(
        Client::connect(&netns, to).is_err(),
        "there was a fifth port"
    );
    let options = [&to.to_string(), "--for", WATCHED, "--probe"];
    let answer = ask(&netns, &options, || Ok(()))?;
    drop(clients);
    expect(&answer, &["source-ports-exhausted"])
}

#[test]
fn no_source_port_left() -> Result<()> {
    without_source_ports("40000 40003", "")
}

#[test]
fn no_source_port_left_that_is_not_reserved() -> Result<()> {
    without_source_ports("40000 40007", "40002-40005")
}

fn notes(answer: &Value) -> String {
    answer["notes"].to_string()
}

/// As sshd does above MaxStartups, and memcached above its connections.
#[test]
fn accepted_and_closed_by_the_application() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    let mut every = Every::new(PAUSE);
    let mut clients = Vec::new();
    let answer = why(&netns, to, || {
        if every.is_due() {
            clients.push(Client::connect(&netns, to)?);
        }
        Ok(())
    })?;
    expect(&answer, &[])?;
    let says = notes(&answer);
    ensure!(says.contains("the application itself closed"), "{answer:#}");
    Ok(())
}

/// SYN, SYN-ACK, RST: a health check that never connects.
#[test]
fn half_open_checks_are_no_loss() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    let mut every = Every::new(PAUSE);
    let target = listener.address().to_string();
    let answer = ask(wire.netns(), &[&target, "--for", WATCHED], || {
        if every.is_due() {
            wire.forget_unread();
            let mut peer = wire.peer(Family::V4, listener.port());
            peer.open()?;
            peer.reset()?;
        }
        Ok(())
    })?;
    expect(&answer, &[])?;
    let says = notes(&answer);
    ensure!(says.contains("reset by the client"), "{answer:#}");
    Ok(())
}

/// A proxy takes its clients, and waits for its own server.
#[test]
fn owner_that_waits_for_another() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), BACKLOG)?;
    // Nobody answers at the other end of the wire.
    let nowhere = wire.peer(Family::V4, listener.port()).client;
    let _waits = Client::connect(wire.netns(), nowhere)?;
    let target = listener.address().to_string();
    let answer = ask(wire.netns(), &[&target, "--for", WATCHED], || Ok(()))?;
    let says = notes(&answer);
    let expected = format!("waits for an answer of {nowhere}");
    ensure!(says.contains(&expected), "{answer:#}");
    Ok(())
}
