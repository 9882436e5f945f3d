//! The queues are too short, or not shared.

use std::{
    io::{self, Write},
    net::TcpStream,
    time::Duration,
};

use rustix::process::Signal;

use super::acceptor::go_on_pressing;
use crate::command::demo::{
    clients::{MANY, burst as come_at_once, connect},
    server::{Server, Work},
    socket::{Options, Spread, listen, listen_with, place},
    stage::Stage,
    strangers::Strangers,
};

/// `listen_backlog` of most of these scenes, and of one in which nothing is wrong with it.
const BACKLOG: i32 = 8;
const ENOUGH: i32 = 128;

/// Between two bursts.
const PAUSE: Duration = Duration::from_millis(250);

/// So that a burst is quicker than the server, which drains the queue soon after.
fn quick() -> Work {
    Work {
        rest: Duration::from_micros(300),
        ..Work::default()
    }
}

fn come_in_bursts(stage: &Stage) -> io::Result<()> {
    stage.begin();
    while stage.goes_on(PAUSE) {
        come_at_once(place())?;
    }
    Ok(())
}

pub(super) fn too_small(stage: &Stage) -> io::Result<()> {
    let _server = Server::start(&listen(BACKLOG)?, &quick())?;
    come_in_bursts(stage)
}

pub(super) fn clamped(stage: &Stage) -> io::Result<()> {
    stage.sysctl("core/somaxconn", &BACKLOG.to_string())?;
    let _server = Server::start(&listen(511)?, &quick())?;
    come_in_bursts(stage)
}

pub(super) fn zero(stage: &Stage) -> io::Result<()> {
    let _server = Server::start(&listen(0)?, &quick())?;
    come_in_bursts(stage)
}

/// Two servers with a listener each.
fn pair(spread: Spread, works: [&Work; 2]) -> io::Result<[Server; 2]> {
    let options = Options {
        group: Some(spread),
        ..Options::default()
    };
    let [one, other] = works;
    Ok([
        Server::start(&listen_with(BACKLOG, options)?, one)?,
        Server::start(&listen_with(BACKLOG, options)?, other)?,
    ])
}

pub(super) fn imbalance(stage: &Stage) -> io::Result<()> {
    let _servers = pair(Spread::First, [&quick(), &quick()])?;
    come_in_bursts(stage)
}

pub(super) fn orphan(stage: &Stage) -> io::Result<()> {
    let forgetful = Work {
        most: Some(0),
        ..Work::default()
    };
    let _servers = pair(Spread::Hash, [&Work::default(), &forgetful])?;
    stage.begin();
    go_on_pressing(stage)
}

/// A listener at which a client waits in the SYN queue until it says something.
fn deferred(backlog: i32, work: &Work) -> io::Result<Server> {
    let options = Options {
        defer: true,
        ..Options::default()
    };
    Server::start(&listen_with(backlog, options)?, work)
}

/// So many connect one after the other, and then all of them say something.
fn come_and_speak(stage: &Stage, many: usize, pace: Duration) -> io::Result<Vec<TcpStream>> {
    let mut clients = Vec::new();
    while clients.len() < many && stage.goes_on(pace) {
        clients.extend(connect(place())?);
    }
    for client in &mut clients {
        stage.goes_on(pace);
        // Who was refused cannot say anything.
        let _ = client.write_all(b"hello\n");
    }
    Ok(clients)
}

pub(super) fn abort(stage: &Stage) -> io::Result<()> {
    const PACE: Duration = Duration::from_millis(1);
    stage.sysctl("ipv4/tcp_abort_on_overflow", "1")?;
    let server = deferred(16, &Work::default())?;
    server.signal(Signal::STOP)?;
    stage.begin();
    // The queue of 17 has room for all of the first and for few of the second.
    let _first = come_and_speak(stage, 12, PACE)?;
    let _second = come_and_speak(stage, 12, PACE)?;
    go_on_pressing(stage)
}

pub(super) fn behind_cookies(stage: &Stage) -> io::Result<()> {
    stage.sysctl("ipv4/tcp_syncookies", "2")?;
    let server = Server::start(&listen(BACKLOG)?, &Work::default())?;
    server.signal(Signal::STOP)?;
    let strangers = Strangers::new()?;
    stage.begin();
    // All have a cookie before the first brings it back, and the queue of 9 has no room for most of them.
    let clients: io::Result<Vec<_>> = (0..MANY).map(|_| strangers.come(None)).collect();
    for client in clients? {
        client.acknowledge(None)?;
    }
    go_on_pressing(stage)
}

pub(super) fn too_deep(stage: &Stage) -> io::Result<()> {
    const CROWD: usize = 70;
    let slow = Work {
        rest: Duration::from_millis(30),
        ..Work::default()
    };
    let _server = Server::start(&listen(ENOUGH)?, &slow)?;
    stage.begin();
    let clients: io::Result<Vec<_>> = (0..CROWD).map(|_| connect(place())).collect();
    let _clients = clients?;
    while stage.goes_on(PAUSE) {}
    Ok(())
}

pub(super) fn flood(stage: &Stage) -> io::Result<()> {
    const PACE: Duration = Duration::from_millis(2);
    let _server = Server::start(&listen(ENOUGH)?, &Work::default())?;
    let strangers = Strangers::new()?;
    stage.begin();
    while stage.goes_on(PACE) {
        strangers.syn()?;
    }
    Ok(())
}

pub(super) fn burst(stage: &Stage) -> io::Result<()> {
    const PACE: Duration = Duration::from_millis(1);
    let _server = deferred(32, &Work::default())?;
    stage.begin();
    while stage.goes_on(PAUSE) {
        come_and_speak(stage, 60, PACE)?;
    }
    Ok(())
}

pub(super) fn without_cookies(stage: &Stage) -> io::Result<()> {
    /// So few that it is no flood.
    const PACE: Duration = Duration::from_millis(80);
    stage.sysctl("ipv4/tcp_syncookies", "0")?;
    let _server = Server::start(&listen(BACKLOG)?, &Work::default())?;
    let strangers = Strangers::new()?;
    stage.begin();
    while stage.goes_on(PACE) {
        strangers.syn()?;
    }
    Ok(())
}

pub(crate) fn held_by_silence(stage: &Stage) -> io::Result<()> {
    const PACE: Duration = Duration::from_millis(20);
    /// More than the queue holds.
    const CROWD: usize = 400;
    let _server = deferred(BACKLOG, &Work::default())?;
    stage.begin();
    let mut clients = Vec::new();
    while stage.goes_on(PACE) {
        if clients.len() < CROWD {
            clients.extend(connect(place())?);
        }
    }
    Ok(())
}
