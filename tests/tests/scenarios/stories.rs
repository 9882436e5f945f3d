//! Stories of attempts: what became of a client that was refused, played packet by packet.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use whydrop_tests::family::Family;
use whydrop_tests::heard::{Stopped, ensure_number};
use whydrop_tests::listener::Listener;
use whydrop_tests::paths;
use whydrop_tests::peer::Peer;
use whydrop_tests::skip::{is_hidden, skip};
use whydrop_tests::sockaddr::unmapped;
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::{Watch, Whydrop};
use whydrop_tests::wire::Wire;

const LISTEN_BACKLOG: i32 = 2;
/// So many the accept queue holds.
const ROOM: u32 = LISTEN_BACKLOG as u32 + 1;

/// Of this namespace only: its outcomes are counted.
fn watch(wire: &Wire) -> Result<Whydrop> {
    let watch = Watch::new().arg("--stories").arg("--netns");
    watch.arg(wire.netns().pid()).start()
}

fn is_story_of(line: &Value, peer: &Peer<'_>) -> bool {
    let client = line["client"].as_str().and_then(|text| text.parse().ok());
    line["type"] == "story" && client.map(unmapped) == Some(unmapped(peer.client))
}

/// Waits until the story of a client has this outcome.
fn wait_story(whydrop: &Whydrop, peer: &Peer<'_>, outcome: &str) -> Result<()> {
    whydrop.wait_line(&format!("the {outcome} {}", peer.client), |line| {
        is_story_of(line, peer) && line["outcome"] == outcome
    })
}

/// What was told of a client, in its order.
fn stories<'line>(stopped: &'line Stopped, peer: &Peer<'_>) -> Vec<&'line Value> {
    let lines = stopped.others.iter();
    lines.filter(|line| is_story_of(line, peer)).collect()
}

/// The only story of a client, which has this outcome.
fn only_story<'line>(
    stopped: &'line Stopped,
    peer: &Peer<'_>,
    outcome: &str,
) -> Result<&'line Value> {
    let told = stories(stopped, peer);
    ensure!(
        told.len() == 1 && told[0]["outcome"] == outcome,
        "not one {outcome} story of {}, but {told:?}",
        peer.client
    );
    Ok(told[0])
}

/// How late it came, by whydrop: between what passed inside and what passed around its packets.
fn ensure_delay(story: &Value, at_least: Duration, at_most: Duration) -> Result<()> {
    let ms = story["delay_ms"].as_f64().context("no delay")?;
    let delay = Duration::from_secs_f64(ms / 1000.0);
    // It is cut off at microseconds.
    let slack = Duration::from_micros(2);
    ensure!(
        delay + slack >= at_least && delay <= at_most,
        "late by {delay:?}, not between {at_least:?} and {at_most:?}"
    );
    Ok(())
}

/// A listener whose accept queue is full.
fn full(wire: &Wire, family: Family) -> Result<Listener> {
    let listener = Listener::new(wire.netns(), family.bind(), LISTEN_BACKLOG)?;
    for _ in 0..ROOM {
        wire.peer(family, listener.port()).handshake()?;
    }
    listener.wait_queued(ROOM)?;
    Ok(listener)
}

/// A client whose SYN was taken before the queue was full, which it is by now.
fn one_too_many(wire: &Wire, family: Family) -> Result<(Listener, Peer<'_>)> {
    let (listener, late) = paths::one_too_many(wire, family)?;
    listener.wait_queued(ROOM)?;
    Ok((listener, late))
}

fn free_a_place(listener: &Listener) -> Result<()> {
    ensure!(listener.accept()?.is_some(), "nothing to accept");
    Ok(())
}

fn outcomes(stopped: &Stopped) -> Result<&Value> {
    stopped.ended_well()?;
    Ok(&stopped.summary()?["stories"]["outcomes"])
}

/// Refused twice as a SYN, taken at the second retry.
#[test]
fn syn_makes_it_at_a_retry() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = watch(&wire)?;
    let truth = Truth::begin(wire.netns())?;
    let mut played = Vec::new();
    for family in Family::ALL {
        let listener = full(&wire, family)?;
        let mut peer = wire.peer(family, listener.port());
        let began = Instant::now();
        peer.syn()?;
        let refused = Instant::now();
        peer.syn()?;
        whydrop.wait_events(2, "overflows", |event| {
            event.is("overflow") && event.client() == Some(peer.client)
        })?;
        free_a_place(&listener)?;
        peer.open()?;
        let at_least = refused.elapsed();
        peer.ack()?;
        listener.wait_queued(ROOM)?;
        let at_most = began.elapsed();
        wait_story(&whydrop, &peer, "connected-late")?;
        played.push((listener, peer, at_least, at_most));
    }
    let stopped = whydrop.stop()?;
    truth.check(wire.netns(), &stopped)?;
    for (listener, peer, at_least, at_most) in &played {
        let story = only_story(&stopped, peer, "connected-late")?;
        ensure_delay(story, *at_least, *at_most)?;
        ensure_number(story, "/tries", 3)?;
        ensure_number(story, "/refusals/syn", 2)?;
        ensure_number(story, "/refusals/ack", 0)?;
        ensure_number(story, "/causes/overflow~1accept-queue-full", 2)?;
        ensure_number(story, "/netns", wire.netns().inum())?;
        let cookie = format!("{:#x}", listener.cookie());
        ensure!(story["listener"]["cookie"] == cookie, "{story}");
    }
    let outcomes = outcomes(&stopped)?;
    ensure_number(outcomes, "/connected-late", 3)?;
    let delays = &stopped.summary()?["stories"]["delay_ms"];
    ensure!(delays["max"].as_f64() >= delays["p50"].as_f64(), "{delays}");
    ensure_number(&stopped.summary()?["events"], "/connected", 3)
}

/// The client believes that it is connected; its ACK is refused, and taken when it comes again.
#[test]
fn ack_makes_it_when_it_comes_again() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = watch(&wire)?;
    let truth = Truth::begin(wire.netns())?;
    let mut played = Vec::new();
    for family in Family::ALL {
        let (listener, late) = one_too_many(&wire, family)?;
        late.ack()?;
        whydrop.wait_events(1, "overflows", |event| {
            event.is("overflow") && event.client() == Some(late.client)
        })?;
        free_a_place(&listener)?;
        late.data(b"hello")?;
        listener.wait_queued(ROOM)?;
        wait_story(&whydrop, &late, "connected-late")?;
        played.push((listener, late));
    }
    let stopped = whydrop.stop()?;
    truth.check(wire.netns(), &stopped)?;
    for (_, late) in &played {
        let story = only_story(&stopped, late, "connected-late")?;
        ensure_number(story, "/tries", 2)?;
        ensure_number(story, "/refusals/syn", 0)?;
        ensure_number(story, "/refusals/ack", 1)?;
    }
    Ok(())
}

/// A SYN cookie's ACK that finds no place: the server keeps nothing of it. Where the client sends
/// something while there is a place, it is connected after all.
#[test]
fn ghosts() -> Result<()> {
    let wire = Wire::new()?;
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "2")?;
    let whydrop = watch(&wire)?;
    let truth = Truth::begin(wire.netns())?;
    let mut played = Vec::new();
    for family in Family::ALL {
        let (listener, late) = one_too_many(&wire, family)?;
        late.ack()?;
        wait_story(&whydrop, &late, "ghost")?;
        played.push((listener, late));
    }
    let (listener, risen) = &played[0];
    free_a_place(listener)?;
    risen.data(b"anyone there?")?;
    listener.wait_queued(ROOM)?;
    wait_story(&whydrop, risen, "connected-late")?;
    let stopped = whydrop.stop()?;
    truth.check(wire.netns(), &stopped)?;
    for (_, late) in &played[1..] {
        let story = only_story(&stopped, late, "ghost")?;
        ensure_number(story, "/refusals/cookie_ack", 1)?;
    }
    let told = stories(&stopped, risen);
    ensure!(told.len() == 2, "{told:?}");
    ensure_number(told[1], "/tries", 2)?;
    let outcomes = outcomes(&stopped)?;
    ensure_number(outcomes, "/ghost", 2)?;
    ensure_number(outcomes, "/connected-late", 1)
}

/// A SYN is refused, and a SYN cookie answers the next: connected late.
#[test]
fn cookie_at_a_retry() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = watch(&wire)?;
    let listener = full(&wire, Family::V4)?;
    let mut peer = wire.peer(Family::V4, listener.port());
    peer.syn()?;
    ensure!(!peer.answered()?, "a full listener answered a SYN");
    wire.netns().sysctl("net/ipv4/tcp_syncookies", "2")?;
    free_a_place(&listener)?;
    peer.handshake()?;
    listener.wait_queued(ROOM)?;
    wait_story(&whydrop, &peer, "connected-late")?;
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    let story = only_story(&stopped, &peer, "connected-late")?;
    ensure_number(story, "/tries", 2)?;
    ensure_number(story, "/causes/cookie-sent~1cookies-forced", 1)
}

#[test]
fn client_and_server_reset() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = watch(&wire)?;
    let mut played = Vec::new();
    for family in Family::ALL {
        let (listener, late) = one_too_many(&wire, family)?;
        late.ack()?;
        late.reset()?;
        wait_story(&whydrop, &late, "reset")?;
        played.push((listener, late, "client"));
    }
    wire.netns().sysctl("net/ipv4/tcp_abort_on_overflow", "1")?;
    let (listener, late) = one_too_many(&wire, Family::V4)?;
    late.ack()?;
    late.expect_reset()?;
    wait_story(&whydrop, &late, "reset")?;
    played.push((listener, late, "server"));
    let stopped = whydrop.stop()?;
    for (_, late, by) in &played {
        let story = only_story(&stopped, late, "reset")?;
        ensure!(story["by"] == *by, "not by the {by}: {story}");
        ensure_number(story, "/refusals/ack", 1)?;
    }
    ensure_number(outcomes(&stopped)?, "/reset", 4)
}

/// A client of which nothing more is heard, and another attempt from the same port.
#[test]
fn silent_client_is_still_trying() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = watch(&wire)?;
    let mut played = Vec::new();
    for family in Family::ALL {
        let listener = full(&wire, family)?;
        let peer = wire.peer(family, listener.port());
        peer.syn()?;
        whydrop.wait_events(1, "overflows", |event| {
            event.is("overflow") && event.client() == Some(peer.client)
        })?;
        played.push((listener, peer));
    }
    let (_, again) = &mut played[0];
    again.isn = again.isn.wrapping_add(1_000_000);
    again.syn()?;
    wait_story(&whydrop, again, "gave-up")?;
    let stopped = whydrop.stop()?;
    for (_, peer) in &played[1..] {
        let story = only_story(&stopped, peer, "still-trying")?;
        ensure_number(story, "/tries", 1)?;
    }
    let told = stories(&stopped, &played[0].1);
    ensure!(told.len() == 2, "{told:?}");
    let outcomes = outcomes(&stopped)?;
    ensure_number(outcomes, "/gave-up", 1)?;
    ensure_number(outcomes, "/still-trying", 3)
}

/// Who is refused, gives up and is taken at another attempt from the same port is not late.
#[test]
fn another_attempt_is_not_late() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = watch(&wire)?;
    let listener = full(&wire, Family::V4)?;
    let mut peer = wire.peer(Family::V4, listener.port());
    peer.syn()?;
    ensure!(!peer.answered()?, "a full listener answered a SYN");
    free_a_place(&listener)?;
    peer.isn = peer.isn.wrapping_add(1_000_000);
    peer.handshake()?;
    listener.wait_queued(ROOM)?;
    let stopped = whydrop.stop()?;
    let outcomes = outcomes(&stopped)?;
    only_story(&stopped, &peer, "still-trying")?;
    ensure_number(outcomes, "/connected-late", 0)
}

/// Who is refused, gives up, and comes from the same port again: what is reset is that connection, which nobody refused.
#[test]
fn reset_of_a_later_connection_ends_no_story() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = watch(&wire)?;
    let mut played = Vec::new();
    for family in Family::ALL {
        let listener = full(&wire, family)?;
        let mut peer = wire.peer(family, listener.port());
        peer.syn()?;
        ensure!(!peer.answered()?, "a full listener answered a SYN");
        free_a_place(&listener)?;
        peer.isn = peer.isn.wrapping_add(1_000_000);
        peer.handshake()?;
        listener.wait_queued(ROOM)?;
        peer.reset()?;
        whydrop.wait_events(1, "a reset", |event| {
            event.is("reset-received") && event.client() == Some(peer.client)
        })?;
        played.push((listener, peer));
    }
    let stopped = whydrop.stop()?;
    for (_, peer) in &played {
        only_story(&stopped, peer, "still-trying")?;
    }
    ensure_number(outcomes(&stopped)?, "/reset", 0)
}

/// The server forgets a request whose ACK it has refused: a ghost, where a hook tells of it.
#[test]
fn forgotten_request_is_a_ghost() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = watch(&wire)?;
    if is_hidden(&whydrop.readiness()?, "blind", "request-expired")? {
        whydrop.stop()?.ended_well()?;
        return skip("no hook tells here of a request that expires");
    }
    wire.netns().sysctl("net/ipv4/tcp_synack_retries", "0")?;
    let (_listener, late) = one_too_many(&wire, Family::V4)?;
    late.ack()?;
    wait_story(&whydrop, &late, "ghost")?;
    let stopped = whydrop.stop()?;
    only_story(&stopped, &late, "ghost")?;
    Ok(())
}

/// What detail leaves out is not taken for silence; who connects in the end is always told of.
#[test]
fn left_out_detail_is_no_silence() -> Result<()> {
    const ATTEMPTS: u16 = 50;
    let wire = Wire::new()?;
    let watch = Watch::new().args(["--stories", "--detail=1/s", "--netns"]);
    let whydrop = watch.arg(wire.netns().pid()).start()?;
    let listener = full(&wire, Family::V4)?;
    let one = wire.peer(Family::V4, listener.port());
    let mut attempts: Vec<Peer<'_>> = (0..ATTEMPTS)
        .map(|n| {
            let client = SocketAddr::new(one.client.ip(), 20_000 + n);
            Peer::new(&wire, client, one.server)
        })
        .collect();
    attempts.iter().try_for_each(Peer::syn)?;
    wire.barrier()?;
    let mut last = attempts.pop().context("no attempt")?;
    free_a_place(&listener)?;
    last.handshake()?;
    wait_story(&whydrop, &last, "connected-late")?;
    let stopped = whydrop.stop()?;
    only_story(&stopped, &last, "connected-late")?;
    let summary = stopped.summary()?;
    let left_out = summary["stories"]["sampled"]
        .as_u64()
        .context("no number")?;
    let told = attempts.iter().flat_map(|peer| stories(&stopped, peer));
    let told: Vec<&Value> = told.collect();
    ensure!(left_out > 0 && !told.is_empty(), "{left_out}, {told:?}");
    // One with news since detail was last left out is still trying.
    let wrong = told
        .iter()
        .find(|story| story["outcome"] != "still-trying" && story["why"] != "detail-left-out");
    ensure!(wrong.is_none(), "{wrong:?}");
    let unknown = told.iter().filter(|story| story["outcome"] == "unknown");
    ensure!(unknown.count() > 0, "silence was believed: {told:?}");
    ensure_number(outcomes(&stopped)?, "/connected-late", 1)?;
    ensure_number(outcomes(&stopped)?, "/gave-up", 0)
}

#[test]
fn healthy_listener_has_no_story() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = watch(&wire)?;
    for family in Family::ALL {
        let listener = Listener::new(wire.netns(), family.bind(), LISTEN_BACKLOG)?;
        for n in 1..=ROOM {
            wire.peer(family, listener.port()).handshake()?;
            listener.wait_queued(n)?;
        }
    }
    let stopped = whydrop.stop()?;
    let told = stopped.others.iter().filter(|line| line["type"] == "story");
    ensure!(told.count() == 0, "a story of a healthy listener");
    let none = ["connected-late", "gave-up", "reset", "ghost", "unknown"];
    let outcomes = outcomes(&stopped)?;
    none.iter()
        .try_for_each(|name| ensure_number(outcomes, &format!("/{name}"), 0))
}

/// Nobody asked for stories: no line, no figures, no event.
#[test]
fn without_being_asked_nothing_is_told() -> Result<()> {
    let wire = Wire::new()?;
    let whydrop = Whydrop::start()?;
    let listener = full(&wire, Family::V4)?;
    let mut peer = wire.peer(Family::V4, listener.port());
    peer.syn()?;
    free_a_place(&listener)?;
    peer.handshake()?;
    listener.wait_queued(ROOM)?;
    let stopped = whydrop.stop()?;
    stopped.ended_well()?;
    let summary = stopped.summary()?;
    ensure!(summary["stories"].is_null(), "{summary}");
    ensure!(summary["events"]["connected"].is_null(), "{summary}");
    ensure!(stories(&stopped, &peer).is_empty(), "a story");
    Ok(())
}
