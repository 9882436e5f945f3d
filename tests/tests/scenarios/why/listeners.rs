//! Several listeners on one port: each that refused has an answer of its own, and none speaks for another.

use whydrop_tests::answer::{ask_everywhere, ids, text};
use whydrop_tests::listener::Options;

use super::*;

/// Another address of loopback.
const BESIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// And one where nobody is refused.
const QUIET: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

fn on(port: u16) -> Options {
    Options {
        port,
        listen_backlog: BACKLOG,
        reuse_port: true,
        ..Options::default()
    }
}

fn held_on(netns: &Netns, at: Ipv4Addr, port: u16, work: Work) -> Result<(SocketAddr, Holder)> {
    let listener = Listener::with(netns, at.into(), on(port))?;
    let holder = hold(&listener, work)?;
    Ok((listener.address(), holder))
}

/// The answer about this address of this namespace, or of any.
fn about(answer: &Value, netns: Option<&Netns>, to: SocketAddr) -> Result<Value> {
    let all = answer["answers"].as_array().context("no answers")?;
    let is_it = |one: &&Value| {
        one["addr"] == to.to_string() && netns.is_none_or(|netns| one["netns"] == netns.inum())
    };
    let mut those = all.iter().filter(is_it);
    let one = those
        .next()
        .with_context(|| format!("none about {to}: {answer:#}"))?;
    ensure!(those.next().is_none(), "several about {to}: {answer:#}");
    Ok(one.clone())
}

/// These verdicts alone, and the process that holds it.
fn ensure_is(one: &Value, expected: &[&str], pids: &[u64]) -> Result<()> {
    let found = ids(one)?;
    say_verdict(expected, &found)?;
    ensure!(found == expected, "{found:?}, not {expected:?}: {one:#}");
    let listeners = one["listeners"].as_array().context("no listeners")?;
    let mut owners: Vec<u64> = listeners
        .iter()
        .filter_map(|listener| listener["owner"][0]["pid"].as_u64())
        .collect();
    owners.sort_unstable();
    let mut expected = pids.to_vec();
    expected.sort_unstable();
    ensure!(owners == expected, "{owners:?}, not {expected:?}: {one:#}");
    Ok(())
}

/// One whose thread sleeps, one whose queue is too short for bursts, and a third that refuses nobody.
#[test]
fn two_on_one_port() -> Result<()> {
    let netns = Netns::new()?;
    let (stuck, sleeper) = held(&netns, BACKLOG, Work::Sleep)?;
    let (short, server) = held_on(&netns, BESIDE, stuck.port(), Work::Serve { rest_us: 300 })?;
    let quiet = Listener::with(&netns, QUIET.into(), on(stuck.port()))?;
    let crowd = Crowd::new(&netns, stuck);
    let mut every = Every::new(PAUSE);
    let target = format!(":{}", stuck.port());
    let (answer, text) = text(&netns, &[&target, "--for", WATCHED], || {
        if every.is_due() {
            come_at_once(&netns, short)?;
        }
        crowd.come()
    })?;
    ensure_is(
        &about(&answer, None, stuck)?,
        &["acceptor-blocked"],
        &[sleeper.pid()],
    )?;
    ensure_is(
        &about(&answer, None, short)?,
        &["backlog-too-small"],
        &[server.pid()],
    )?;
    ensure!(answer["answers"].as_array().map(Vec::len) == Some(2));
    ensure!(answer["listeners_without"] == 1, "{answer:#}");
    // Refusals of one are not those of the other.
    let sum: u64 = [stuck, short]
        .iter()
        .map(|to| Ok(about(&answer, None, *to)?["refusals"].as_u64().unwrap_or(0)))
        .sum::<Result<u64>>()?;
    let all = answer["causes"]["overflow/accept-queue-full"].as_u64();
    ensure!(all == Some(sum), "{all:?}, not {sum}: {answer:#}");
    ensure_says(&text, stuck, "acceptor-blocked (likely)")?;
    ensure_says(&text, short, "backlog-too-small (likely)")?;
    let rest = format!("1 other listener on port {} refused nobody.", quiet.port());
    ensure!(text.contains(&rest), "{text}");
    Ok(())
}

/// In text the verdict stands at the beginning of a line, below its address and before the next one.
fn ensure_says(text: &str, at: SocketAddr, verdict: &str) -> Result<()> {
    let title = format!("\n{at}  ");
    // Who listened before stands above the answers.
    let (_, answers) = text.split_once("\nin ").context("nothing happened")?;
    let (_, below) = answers
        .split_once(&title)
        .with_context(|| format!("nothing of {at}: {text}"))?;
    let own = below.split("\n\n").next().unwrap_or(below);
    let mut lines = own.lines().map(str::trim_start);
    ensure!(
        lines.any(|line| line.starts_with(verdict)),
        "no {verdict} of {at}: {text}"
    );
    Ok(())
}

/// The same address and port in two namespaces.
#[test]
fn one_port_in_two_namespaces() -> Result<()> {
    let (first, second) = (Netns::new()?, Netns::new()?);
    let (at, sleeper) = held(&first, BACKLOG, Work::Sleep)?;
    let work = Work::Serve { rest_us: 0 };
    let (_, server) = held_on(&second, Ipv4Addr::LOCALHOST, at.port(), work)?;
    server.signal(Signal::STOP)?;
    let crowds = [Crowd::new(&first, at), Crowd::new(&second, at)];
    let answer = ask_everywhere(&[&at.to_string(), "--for", WATCHED], || {
        crowds.iter().try_for_each(Crowd::come)
    });
    server.signal(Signal::CONT)?;
    let answer = answer?;
    ensure_is(
        &about(&answer, Some(&first), at)?,
        &["acceptor-blocked"],
        &[sleeper.pid()],
    )?;
    ensure_is(
        &about(&answer, Some(&second), at)?,
        &["acceptor-stopped"],
        &[server.pid()],
    )
}

/// A group, whose answer is one, and a single listener beside it that is no member.
#[test]
fn a_group_beside_a_single_one() -> Result<()> {
    let netns = Netns::new()?;
    let group = Listener::with(&netns, Ipv4Addr::LOCALHOST.into(), on(0))?;
    let port = group.port();
    let other = Listener::with(&netns, Ipv4Addr::LOCALHOST.into(), on(port))?;
    let single = Listener::with(&netns, BESIDE.into(), on(port))?;
    let members = [
        hold(&group, Work::Sleep)?,
        hold(&other, Work::Serve { rest_us: 0 })?,
    ];
    let stopped = hold(&single, Work::Serve { rest_us: 0 })?;
    stopped.signal(Signal::STOP)?;
    let (together, alone) = (group.address(), single.address());
    drop((group, other, single));
    let crowds = [Crowd::new(&netns, together), Crowd::new(&netns, alone)];
    let target = format!(":{port}");
    let answer = text(&netns, &[&target, "--for", WATCHED], || {
        crowds.iter().try_for_each(Crowd::come)
    });
    stopped.signal(Signal::CONT)?;
    let (answer, text) = answer?;
    let pids = [members[0].pid(), members[1].pid()];
    ensure_is(
        &about(&answer, None, together)?,
        &["acceptor-blocked"],
        &pids,
    )?;
    ensure_is(
        &about(&answer, None, alone)?,
        &["acceptor-stopped"],
        &[stopped.pid()],
    )?;
    ensure_says(&text, together, "acceptor-blocked (likely)")?;
    ensure_says(&text, alone, "acceptor-stopped (likely)")
}

/// A listener that refuses, and an address of the same port where nobody listens.
#[test]
fn one_that_refuses_and_one_that_is_not_there() -> Result<()> {
    let netns = Netns::new()?;
    let (stuck, sleeper) = held(&netns, BACKLOG, Work::Sleep)?;
    let missing = SocketAddr::new(BESIDE.into(), stuck.port());
    let crowd = Crowd::new(&netns, stuck);
    let target = format!(":{}", stuck.port());
    let (answer, text) = text(&netns, &[&target, "--for", WATCHED], || {
        Client::connect(&netns, missing)?;
        crowd.come()
    })?;
    ensure_is(
        &about(&answer, None, stuck)?,
        &["acceptor-blocked"],
        &[sleeper.pid()],
    )?;
    ensure_is(
        &about(&answer, None, missing)?,
        &["listener-elsewhere"],
        &[],
    )?;
    ensure_says(&text, missing, "listener-elsewhere (certain)")
}
