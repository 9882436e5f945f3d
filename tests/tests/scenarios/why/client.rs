//! `--client`: only what happened to some clients is judged.

use whydrop_tests::family::Family;
use whydrop_tests::peer::Peer;
use whydrop_tests::wire::Wire;

use super::*;

/// Beyond those of the wire.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// One SYN of ours, and three of others.
fn among_others(wire: &Wire, ours: &Peer<'_>) -> Result<()> {
    wire.forget_unread();
    ours.syn()?;
    (0..3).try_for_each(|_| wire.peer(Family::V4, ours.server.port()).syn())
}

/// A listener that has no room, asked about one client; also how many SYNs that one sent.
fn full_to(wire: &Wire, client: &str, ours: &Peer<'_>) -> Result<(Value, u64)> {
    let mut every = Every::new(PAUSE / 5);
    let mut sent = 0;
    let target = ours.server.to_string();
    let arguments = [&target, "--for", WATCHED, "--client", client];
    let answer = ask(wire.netns(), &arguments, || {
        if every.is_due() {
            among_others(wire, ours)?;
            sent += 1;
        }
        Ok(())
    })?;
    Ok((answer, sent))
}

#[test]
fn one_of_many_that_are_refused() -> Result<()> {
    let wire = Wire::new()?;
    let (to, _holder) = held_at(wire.netns(), Family::V4.bind(), 1, Work::Sleep)?;
    for _ in 0..2 {
        wire.peer(Family::V4, to.port()).handshake()?;
    }
    let ours = wire.peer(Family::V4, to.port());
    let client = ours.client.ip().to_string();
    let (answer, sent) = full_to(&wire, &client, &ours)?;
    expect(&answer, &["acceptor-blocked"])?;
    let refused = answer["causes"]["overflow/accept-queue-full"].as_u64();
    ensure!(
        refused.is_some_and(|n| (2..=sent).contains(&n)),
        "{refused:?} of {sent}: {answer:#}"
    );
    ensure!(answer["clients"] == 1, "{answer:#}");
    ensure!(answer["client"] == client.as_str(), "{answer:#}");
    ensure!(answer["untold"] == 0, "{answer:#}");

    // Nothing has happened to somebody who never came.
    let (answer, _) = full_to(&wire, "192.0.2.0/24", &ours)?;
    expect(&answer, &[])?;
    let nothing = answer["causes"]
        .as_object()
        .is_some_and(serde_json::Map::is_empty);
    ensure!(nothing, "{answer:#}");
    Ok(())
}

/// More refusals than have lines: of those of the client some are among the others.
#[test]
fn one_in_a_flood() -> Result<()> {
    let wire = Wire::new()?;
    let (to, _holder) = held_at(wire.netns(), Family::V4.bind(), 1, Work::Sleep)?;
    for _ in 0..2 {
        wire.peer(Family::V4, to.port()).handshake()?;
    }
    let ours = wire.peer(Family::V4, to.port());
    let client = ours.client.ip().to_string();
    let arguments = [&to.to_string(), "--for", WATCHED, "--client", &client];
    let answer = ask(wire.netns(), &arguments, || {
        // Some 20,000 a second.
        (0..40).try_for_each(|_| ours.syn())
    })?;
    expect(&answer, &["acceptor-blocked"])?;
    ensure!(answer["untold"].as_u64() > Some(0), "{answer:#}");
    Ok(())
}

/// A sound listener, and a network that it has no way to.
#[test]
fn network_that_cannot_be_answered() -> Result<()> {
    let wire = Wire::new()?;
    let serve = Work::Serve { rest_us: 0 };
    let (to, _holder) = held_at(wire.netns(), Family::V4.bind(), BACKLOG, serve)?;
    for (client, truth) in [
        ("192.0.2.0/24", &["memory-or-route"][..]),
        ("10.99.0.0/16", &[]),
    ] {
        let mut every = Every::new(PAUSE / 5);
        let arguments = [&to.to_string(), "--for", WATCHED, "--client", client];
        let answer = ask(wire.netns(), &arguments, || {
            if !every.is_due() {
                return Ok(());
            }
            wire.forget_unread();
            let mut near = wire.peer(Family::V4, to.port());
            near.handshake()?;
            let from = SocketAddr::new(NOWHERE.into(), near.client.port());
            Peer::new(&wire, from, to).syn()
        })?;
        expect(&answer, truth)?;
    }
    Ok(())
}
