//! Whoever accepts does not keep up.

use std::{
    io,
    time::{Duration, Instant},
};

use rustix::{process::Signal, thread::sched_getaffinity};

use crate::command::demo::{
    cgroup::Cgroup,
    clients::Crowd,
    kernel,
    server::{Server, Work},
    socket::{listen, place},
    stage::Stage,
};

/// `listen_backlog` of these scenes.
const BACKLOG: i32 = 8;

/// Between two clients.
const PACE: Duration = Duration::from_millis(4);

/// What computing costs: fifty connections a second are the most.
const WORKS: Duration = Duration::from_millis(20);

/// How long a worker works before it is gone.
const WORKED: Duration = Duration::from_secs(1);

/// The server that has the listener of these scenes for itself.
fn server(work: &Work) -> io::Result<Server> {
    Server::start(&listen(BACKLOG)?, work)
}

/// Clients come to a full queue.
fn press(stage: &Stage) -> io::Result<()> {
    stage.begin();
    go_on_pressing(stage)
}

pub(super) fn go_on_pressing(stage: &Stage) -> io::Result<()> {
    let mut crowd = Crowd::default();
    while stage.goes_on(PACE) {
        crowd.come(place())?;
    }
    Ok(())
}

pub(super) fn stopped(stage: &Stage) -> io::Result<()> {
    let server = server(&Work::default())?;
    server.signal(Signal::STOP)?;
    press(stage)
}

pub(super) fn frozen(stage: &Stage) -> io::Result<()> {
    let cgroup = Cgroup::new()?;
    let server = server(&Work::default())?;
    cgroup.take(&server)?;
    cgroup.set("cgroup.freeze", "1")?;
    press(stage)
}

pub(super) fn blocked(stage: &Stage) -> io::Result<()> {
    let _server = server(&Work {
        rest: Duration::from_millis(200),
        ..Work::default()
    })?;
    press(stage)
}

pub(super) fn saturated(stage: &Stage) -> io::Result<()> {
    let _server = server(&Work {
        spin: WORKS,
        ..Work::default()
    })?;
    press(stage)
}

pub(super) fn starved(stage: &Stage) -> io::Result<()> {
    let may = sched_getaffinity(None)?;
    // Others than the first have less to do with interrupts.
    let cpu = (0..rustix::thread::CpuSet::MAX_CPU)
        .rev()
        .find(|cpu| may.is_set(*cpu));
    let _neighbour = Server::spin(&Work {
        cpu,
        ..Work::default()
    })?;
    let _server = server(&Work {
        cpu,
        spin: WORKS,
        // It has to run now and then: the kernel counts how long it waited when it stops waiting.
        nice: 0,
        ..Work::default()
    })?;
    press(stage)
}

pub(super) fn throttled(stage: &Stage) -> io::Result<()> {
    let cgroup = Cgroup::with("cpu")?;
    cgroup.set("cpu.max", "10000 100000")?;
    let server = server(&Work {
        spin: WORKS,
        ..Work::default()
    })?;
    cgroup.take(&server)?;
    press(stage)
}

pub(super) fn short_of_memory(stage: &Stage) -> io::Result<()> {
    kernel::counts_stalls()?;
    let cgroup = Cgroup::with("memory")?;
    cgroup.set("memory.high", "4M")?;
    let server = server(&Work {
        writes: 64 << 20,
        ..Work::default()
    })?;
    cgroup.take(&server)?;
    press(stage)
}

pub(super) fn without_descriptors(stage: &Stage) -> io::Result<()> {
    let _server = server(&Work {
        keeps: true,
        files: Some(16),
        // It tries again a little later, as servers do.
        rest: Duration::from_millis(5),
        ..Work::default()
    })?;
    press(stage)
}

pub(super) fn paused(stage: &Stage) -> io::Result<()> {
    let _server = server(&Work {
        keeps: true,
        most: Some(4),
        ..Work::default()
    })?;
    press(stage)
}

pub(super) fn unused(stage: &Stage) -> io::Result<()> {
    let _server = server(&Work {
        most: Some(0),
        ..Work::default()
    })?;
    press(stage)
}

/// The one that stays holds the listener for the other, as masters do.
pub(super) fn missing(stage: &Stage) -> io::Result<()> {
    let listener = listen(BACKLOG)?;
    let _master = Server::start(
        &listener,
        &Work {
            most: Some(0),
            ..Work::default()
        },
    )?;
    let worker = Server::start(&listener, &Work::default())?;
    drop(listener);
    stage.begin();
    let mut crowd = Crowd::default();
    let began = Instant::now();
    while began.elapsed() < WORKED && stage.goes_on(PACE) {
        crowd.come(place())?;
    }
    drop(worker);
    go_on_pressing(stage)
}

pub(super) fn collecting(stage: &Stage) -> io::Result<()> {
    let _server = server(&Work {
        collects: true,
        ..Work::default()
    })?;
    press(stage)
}
