//! The listener comes, goes, or is not where clients look for it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::command::demo::{
    clients::{connect, visit},
    server::{Server, Work},
    socket::{listen, place},
    stage::Stage,
};

const BACKLOG: i32 = 128;

/// Between two clients.
const PACE: Duration = Duration::from_millis(10);

/// Clients between two restarts.
const FEW: usize = 5;

pub(super) fn closed_with_queue(stage: &Stage) -> io::Result<()> {
    let sleeps = Work {
        most: Some(0),
        ..Work::default()
    };
    let mut server = Server::start(&listen(BACKLOG)?, &sleeps)?;
    stage.begin();
    loop {
        let clients: io::Result<Vec<_>> = (0..FEW).map(|_| connect(place())).collect();
        let clients = clients?;
        // Over loopback they are in the queue by now, or a moment later.
        if !stage.goes_on(PACE * 10) {
            return Ok(());
        }
        server.stop()?;
        drop(clients);
        server = Server::start(&listen(BACKLOG)?, &sleeps)?;
    }
}

pub(super) fn nobody(stage: &Stage) -> io::Result<()> {
    come(stage, place())
}

pub(super) fn elsewhere(stage: &Stage) -> io::Result<()> {
    let _server = Server::start(&listen(BACKLOG)?, &Work::default())?;
    let to = (Ipv4Addr::new(127, 0, 0, 2), place().port()).into();
    come(stage, to)
}

fn come(stage: &Stage, to: SocketAddr) -> io::Result<()> {
    stage.begin();
    while stage.goes_on(PACE) {
        connect(to)?;
    }
    Ok(())
}

pub(crate) fn restarting(stage: &Stage) -> io::Result<()> {
    comes_and_goes(stage, Server::stop)
}

pub(crate) fn dying(stage: &Stage) -> io::Result<()> {
    comes_and_goes(stage, |server| {
        // It is killed.
        drop(server);
        Ok(())
    })
}

fn comes_and_goes(stage: &Stage, ends: fn(Server) -> io::Result<()>) -> io::Result<()> {
    let start = || Server::start(&listen(BACKLOG)?, &Work::default());
    let mut server = start()?;
    stage.begin();
    while stage.goes_on(PACE * 20) {
        // Each is served when it returns, so nobody waits when the server ends.
        (0..FEW).try_for_each(|_| visit(place()))?;
        ends(server)?;
        for _ in 0..FEW {
            stage.goes_on(PACE);
            connect(place())?;
        }
        server = start()?;
    }
    Ok(())
}

pub(super) fn sound(stage: &Stage) -> io::Result<()> {
    let _server = Server::start(&listen(BACKLOG)?, &Work::default())?;
    stage.begin();
    while stage.goes_on(PACE) {
        visit(place())?;
    }
    Ok(())
}

pub(super) fn handed_over(stage: &Stage) -> io::Result<()> {
    let listener = listen(BACKLOG)?;
    let mut server = Server::start(&listener, &Work::default())?;
    stage.begin();
    while stage.goes_on(PACE * 20) {
        let clients: io::Result<Vec<_>> = (0..FEW).map(|_| connect(place())).collect();
        let clients = clients?;
        // The next one is there before this one ends; what is queued stays queued.
        server = Server::start(&listener, &Work::default())?;
        (0..FEW).try_for_each(|_| visit(place()))?;
        drop(clients);
    }
    drop(server);
    Ok(())
}
