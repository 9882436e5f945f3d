//! What a packet pays: whydrop's programs, and empty ones of the same kinds that run for the same packets.

use anyhow::{Context, Result, bail, ensure};
use whydrop_tests::deadline;
use whydrop_tests::empty::{self, Empty};
use whydrop_tests::event::Event;
use whydrop_tests::family::Family;
use whydrop_tests::flood::{self, clients};
use whydrop_tests::listener::Listener;
use whydrop_tests::log::say_figure;
use whydrop_tests::ping;
use whydrop_tests::programs::{self, Cost, Costs};
use whydrop_tests::requests;
use whydrop_tests::segment::{ACK, Segment};
use whydrop_tests::whydrop::Watch;
use whydrop_tests::wire::Wire;

use super::{middle, quick, syns};

/// In one round.
const PACKETS: usize = 4096;
/// Fewer than the wire holds answers.
const AT_ONCE: usize = 256;
/// All of a round fit into it: what is measured are hooks, not who reads.
const RING: &str = "16777216";
/// More than are sent, so that each finds room.
const MOST_REQUESTS: i32 = 4 * PACKETS as i32;

const TRIES: usize = 5;
/// Events of other namespaces, too few to be seen in a figure.
const OTHERS_AT_MOST: usize = PACKETS / 100;

fn rounds() -> usize {
    if quick() { 5 } else { 9 }
}

/// Sends these again and again, and says what each program cost. After each round `settle` makes everything as it was before
/// it; the first one does not count: what it finds for the first time is known later.
fn measure(
    path: &str,
    wire: &Wire,
    packets: &[Vec<u8>],
    events_each: usize,
    settle: impl Fn() -> Result<()>,
) -> Result<()> {
    for _ in 0..TRIES {
        if let Some(mut rounds) = undisturbed(wire, packets, events_each, &settle)? {
            rounds.remove(0);
            return tell(path, &rounds);
        }
    }
    bail!(
        "refusals of other namespaces came by each of {TRIES} times: let nothing else flood this host"
    )
}

/// `None` where many refusals of others came by: their packets ran through the same programs.
fn undisturbed(
    wire: &Wire,
    packets: &[Vec<u8>],
    events_each: usize,
    settle: impl Fn() -> Result<()>,
) -> Result<Option<Vec<Costs>>> {
    let _counting = programs::count()?;
    let empty = Empty::attach()?;
    let watch = Watch::new().args(["--detail=all", "--ring-bytes", RING]);
    let whydrop = watch.keeping(&["netns"]).start()?;
    let costs = || -> Result<Costs> {
        let mut costs = programs::costs_of(whydrop.pid())?;
        costs.extend(programs::costs_of(empty.pid())?);
        Ok(costs)
    };
    let own = |event: &Event| event.netns() == Some(wire.netns().inum());
    let mut rounds: Vec<Costs> = Vec::new();
    let mut packets = packets.iter().cycle();
    for _ in 0..=self::rounds() {
        let before = costs()?;
        for _ in 0..PACKETS / AT_ONCE {
            for packet in packets.by_ref().take(AT_ONCE) {
                wire.write(packet)?;
            }
            wire.barrier()?;
            wire.forget_unread();
        }
        let moved = costs()?.into_iter().map(|(name, after)| {
            let before = before.get(&name).copied().unwrap_or_default();
            (name, after.since(before))
        });
        rounds.push(moved.collect());
        if whydrop.events(|event| !own(event))?.len() > OTHERS_AT_MOST {
            return Ok(None);
        }
        whydrop.wait_events(events_each * rounds.len() * PACKETS, "events", own)?;
        settle()?;
    }
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    if stopped.events.iter().filter(|event| !own(event)).count() > OTHERS_AT_MOST {
        return Ok(None);
    }
    let lost = &stopped.summary()?["lost"];
    ensure!(lost == 0, "it lost something: {lost}");
    Ok(Some(rounds))
}

/// A line for each program that runs for these packets.
fn tell(path: &str, rounds: &[Costs]) -> Result<()> {
    for name in rounds[0].keys().filter(|name| !name.starts_with("empty_")) {
        let runs = median(rounds, name, |cost| cost.runs as f64 / PACKETS as f64);
        // A barrier's own packets come by as well.
        if runs < 0.5 {
            continue;
        }
        let ns = |name| median(rounds, name, |cost| cost.ns as f64 / cost.runs as f64);
        let (own, nothing) = (ns(name), ns(empty::of(name)));
        say_figure(format_args!(
            "hook {path} {name} {runs:.2} {own:.0} {nothing:.0}"
        ))?;
    }
    say_figure(format_args!("path {path}"))
}

fn nothing() -> Result<()> {
    Ok(())
}

fn median(rounds: &[Costs], name: &str, of: impl Fn(Cost) -> f64) -> f64 {
    let costs = rounds.iter().filter_map(|round| round.get(name).copied());
    middle(costs.map(of).collect())
}

#[test]
#[ignore = "prints figures"]
fn packets_of_a_connection() -> Result<()> {
    let wire = Wire::new()?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), 1)?;
    let mut peer = wire.peer(Family::V4, listener.port());
    peer.handshake()?;
    let _accepted = listener.accept()?.context("nobody to accept")?;
    let (seq, ack) = (peer.isn.wrapping_add(1), peer.server_isn.wrapping_add(1));
    let again = Segment::new(peer.client, peer.server, ACK, seq, ack).encode();
    measure("elsewhere", &wire, &[again], 0, nothing)
}

/// Whatever else comes in and is freed: the packet itself, and the answer when it was read.
#[test]
#[ignore = "prints figures"]
fn packets_of_others() -> Result<()> {
    let wire = Wire::new()?;
    measure("freed", &wire, &[ping::request(0)], 0, nothing)
}

/// Each becomes a request that waits for the client: no counter of a listener moves.
#[test]
#[ignore = "prints figures"]
fn syns_that_are_taken() -> Result<()> {
    let wire = Wire::new()?;
    let room = MOST_REQUESTS.to_string();
    wire.netns().sysctl("net/core/somaxconn", &room)?;
    wire.netns().sysctl("net/ipv4/tcp_max_syn_backlog", &room)?;
    // A request that nobody completes ends where its SYN-ACK would be sent again.
    wire.netns().sysctl("net/ipv4/tcp_synack_retries", "0")?;
    let listener = Listener::new(wire.netns(), Family::V4.bind(), MOST_REQUESTS)?;
    let clients = clients(64, (PACKETS / 64) as u16);
    let syns = flood::syns(&clients, listener.address());
    measure("taken", &wire, &syns, 0, || {
        deadline::wait_until("the end of all requests", deadline::soon(), || {
            Ok(requests::half_open(wire.netns(), listener.port())? == 0)
        })
    })
}

#[test]
#[ignore = "prints figures"]
fn syns_that_are_refused() -> Result<()> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    measure("refused", &wire, &syns(&listener), 1, nothing)
}
