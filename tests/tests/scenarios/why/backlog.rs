//! The accept queue is too short, too long, or full with consequences.

use whydrop_tests::family::Family;
use whydrop_tests::peer::Peer;
use whydrop_tests::wire::Wire;

use super::*;

#[test]
fn queue_without_room() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 0, Work::Serve { rest_us: 300 })?;
    expect(&bursts(&netns, to)?, &["backlog-zero"])
}

/// A longer queue would be full too.
#[test]
fn queue_without_room_of_who_sleeps() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 0, Work::Sleep)?;
    let answer = pressed(&netns, to)?;
    expect(&answer, &["acceptor-blocked"])
}

#[test]
fn burst_longer_than_the_backlog() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 300 })?;
    expect(&bursts(&netns, to)?, &["backlog-too-small"])
}

#[test]
fn burst_longer_than_somaxconn() -> Result<()> {
    let netns = Netns::new()?;
    netns.sysctl("net/core/somaxconn", "8")?;
    let (to, _holder) = held(&netns, 511, Work::Serve { rest_us: 300 })?;
    expect(&bursts(&netns, to)?, &["somaxconn-clamps-backlog"])
}

/// What it asked for is not to be seen; that a restart may do has to be said.
#[test]
fn burst_longer_than_somaxconn_was() -> Result<()> {
    let netns = Netns::new()?;
    netns.sysctl("net/core/somaxconn", "8")?;
    let (to, _holder) = held(&netns, 511, Work::Serve { rest_us: 300 })?;
    netns.sysctl("net/core/somaxconn", "4096")?;
    let answer = bursts(&netns, to)?;
    expect(&answer, &["backlog-too-small"])?;
    let text = answer.to_string();
    ensure!(text.contains("raised since"), "no way out: {answer:#}");
    Ok(())
}

/// Nothing is refused, and who comes last waits for seconds.
#[test]
fn queue_that_takes_too_long() -> Result<()> {
    const CROWD: usize = 80;
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, 4096, Work::Serve { rest_us: 30_000 })?;
    let mut waiting = Vec::new();
    let mut every = Every::new(Duration::from_secs(2));
    let arguments = [&to.to_string(), "--for", "5s"];
    let answer = ask(&netns, &arguments, || {
        if every.is_due() {
            waiting.clear();
            for _ in 0..CROWD {
                waiting.push(Client::connect(&netns, to)?);
            }
        }
        Ok(())
    })?;
    expect_if_told(&answer, "backlog-too-deep")
}

/// A server on the wire that is stopped again and again; `meanwhile` is called each time, with clients that are new.
fn stopped_while(wire: &Wire, meanwhile: impl Fn(&mut [Peer<'_>]) -> Result<()>) -> Result<Value> {
    let (to, holder) = held_at(
        wire.netns(),
        Family::V4.bind(),
        BACKLOG,
        Work::Serve { rest_us: 0 },
    )?;
    let mut turn = Every::new(PAUSE);
    let mut is_stopped = false;
    let answer = why(wire.netns(), to, || {
        if !turn.is_due() {
            return Ok(());
        }
        is_stopped = !is_stopped;
        if !is_stopped {
            return holder.signal(Signal::CONT);
        }
        holder.signal(Signal::STOP)?;
        wire.forget_unread();
        let mut peers: Vec<Peer<'_>> = (0..BACKLOG + 5)
            .map(|_| wire.peer(Family::V4, to.port()))
            .collect();
        meanwhile(&mut peers)
    });
    holder.signal(Signal::CONT)?;
    answer
}

/// Some have their SYN answered while there is room, and are reset since there is none any more.
#[test]
fn full_queue_that_resets() -> Result<()> {
    let wire = Wire::new()?;
    wire.netns().sysctl("net/ipv4/tcp_abort_on_overflow", "1")?;
    let answer = stopped_while(&wire, |peers| {
        let (late, early) = peers.split_at_mut(4);
        for peer in &mut *late {
            peer.open()?;
        }
        for peer in early {
            peer.handshake()?;
        }
        for peer in late {
            peer.ack()?;
            peer.expect_reset()?;
        }
        Ok(())
    })?;
    expect(&answer, &["acceptor-stopped", "abort-on-overflow"])
}

/// They come with valid cookies, and the server forgets them.
#[test]
fn full_queue_behind_cookies() -> Result<()> {
    let wire = Wire::new()?;
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "2")?;
    let answer = stopped_while(&wire, |peers| {
        for peer in &mut *peers {
            peer.open()?;
        }
        peers.iter().try_for_each(whydrop_tests::peer::Peer::ack)
    })?;
    expect(&answer, &["acceptor-stopped", "cookies-with-full-queue"])
}
