//! Whoever accepts cannot, or does something else.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use rustix::process::{Pid, Resource, Rlimit, prlimit, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use whydrop_tests::cgroup::Cgroup;

use super::*;
use crate::lifecycle::Scratch;

#[test]
fn acceptor_that_sleeps_elsewhere() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Sleep)?;
    let answer = pressed(&netns, to)?;
    drop(holder);
    expect(&answer, &["acceptor-blocked"])?;
    let text = answer.to_string();
    ensure!(text.contains("slept in read"), "where it slept: {answer:#}");
    Ok(())
}

/// Another thread has it, and sleeps.
#[test]
fn acceptor_that_waits_for_a_lock() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Locked { spin: false })?;
    let answer = pressed(&netns, to)?;
    drop(holder);
    expect(&answer, &["acceptor-blocked"])?;
    let text = answer.to_string();
    for place in ["slept in futex", "on a futex", "slept in read"] {
        ensure!(text.contains(place), "not that one {place}: {answer:#}");
    }
    Ok(())
}

/// Another process has it.
#[test]
fn acceptor_that_waits_for_a_lock_on_a_file() -> Result<()> {
    let netns = Netns::new()?;
    let scratch = Scratch::new("lock");
    let file = std::fs::File::create(&scratch.0)?;
    file.lock()?;
    let path = CString::new(scratch.0.as_os_str().as_bytes())?;
    let path = Box::leak(path.into_boxed_c_str());
    let (to, holder) = held(&netns, BACKLOG, Work::FileLocked { path })?;
    let answer = pressed(&netns, to);
    drop(file);
    drop(holder);
    let answer = answer?;
    expect(&answer, &["acceptor-blocked"])?;
    let own = std::process::id();
    let comm = std::fs::read_to_string("/proc/self/comm")?;
    let says = format!(
        "for a lock on {}, which {}[{own}] has",
        scratch.0.display(),
        comm.trim_end()
    );
    ensure!(answer.to_string().contains(&says), "not {says}: {answer:#}");
    Ok(())
}

/// Another thread has it, and computes: which of the two accepts is not to be seen.
#[test]
fn acceptor_that_waits_for_the_lock_of_a_busy_thread() -> Result<()> {
    const TRUTH: &str = "acceptor-blocked";
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Locked { spin: true })?;
    let answer = pressed(&netns, to)?;
    drop(holder);
    let found = verdicts(&answer)?;
    say_verdict(&[TRUTH], &found)?;
    let may_be = [[TRUTH], ["undetermined"]];
    ensure!(may_be.iter().any(|one| found == one), "{answer:#}");
    ensure!(answer.to_string().contains("for a lock"), "{answer:#}");
    Ok(())
}

#[test]
fn acceptor_that_is_stopped() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    holder.signal(Signal::STOP)?;
    let answer = pressed(&netns, to);
    holder.signal(Signal::CONT)?;
    expect(&answer?, &["acceptor-stopped"])
}

/// A sound server that is stopped for a moment: no burst, however well it drains its queue otherwise.
#[test]
fn acceptor_that_pauses() -> Result<()> {
    const PAUSED: Duration = Duration::from_millis(400);
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    let mut turn = Every::new(PAUSED);
    let mut clients = Vec::new();
    // Whydrop watches by the first pause, or by one of the next.
    let answer = why(&netns, to, || {
        if !turn.is_due() {
            return Ok(());
        }
        if !clients.is_empty() {
            clients.clear();
            return holder.signal(Signal::CONT);
        }
        holder.signal(Signal::STOP)?;
        clients = come_at_once(&netns, to)?;
        Ok(())
    });
    holder.signal(Signal::CONT)?;
    expect(&answer?, &["acceptor-stopped"])
}

#[test]
fn acceptor_in_a_frozen_cgroup() -> Result<()> {
    let netns = Netns::new()?;
    let cgroup = Cgroup::new("frozen")?;
    let ((to, _holder), _) = cgroup.run(|| held(&netns, BACKLOG, Work::Serve { rest_us: 0 }))?;
    cgroup.set("cgroup.freeze", "1")?;
    let answer = pressed(&netns, to);
    cgroup.set("cgroup.freeze", "0")?;
    let answer = answer?;
    expect(&answer, &["acceptor-stopped"])?;
    ensure!(answer.to_string().contains("was frozen"), "{answer:#}");
    Ok(())
}

#[test]
fn acceptor_without_cpu_quota() -> Result<()> {
    let netns = Netns::new()?;
    let cgroup = Cgroup::new("throttled")?;
    if !cgroup.enable("cpu")? {
        return skip("cgroup2 has no CPU controller here");
    }
    cgroup.set("cpu.max", "10000 100000")?;
    let ((to, _holder), _) = cgroup.run(|| held(&netns, BACKLOG, Work::Spin))?;
    expect(&pressed(&netns, to)?, &["cpu-throttled"])
}

#[test]
fn acceptor_that_uses_a_whole_cpu() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Spin)?;
    expect_no_rest(&netns, to, &holder)
}

#[test]
fn acceptor_that_waits_for_something_else() -> Result<()> {
    let netns = Netns::new()?;
    let (to, _holder) = held(&netns, BACKLOG, Work::EpollElsewhere)?;
    expect(&pressed(&netns, to)?, &["listener-unused"])
}

/// It has accepted some, and waits for no more.
#[test]
fn acceptor_that_takes_so_many() -> Result<()> {
    for how in [Quits::Deletes, Quits::AsksForNothing, Quits::AsksNoMore] {
        let netns = Netns::new()?;
        let (to, _holder) = held(&netns, BACKLOG, Work::EpollUpTo { most: 3, how })?;
        let answer = pressed(&netns, to)?;
        expect(&answer, &["accept-paused-by-application"]).with_context(|| format!("{how:?}"))?;
    }
    Ok(())
}

#[test]
fn acceptor_without_descriptors() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Serve { rest_us: 0 })?;
    let limit = Rlimit {
        current: Some(3),
        maximum: Some(3),
    };
    prlimit(pid_of(&holder), Resource::Nofile, limit).context("prlimit")?;
    expect(&pressed(&netns, to)?, &["fd-exhausted"])
}

/// Works as much as half of a CPU takes, and has next to nothing of one that others use.
#[test]
fn acceptor_that_others_keep_from_running() -> Result<()> {
    let netns = Netns::new()?;
    let (to, server) = held(&netns, BACKLOG, Work::Toil { busy_us: 1000 })?;
    let (_, rival) = held(&netns, BACKLOG, Work::Spin)?;
    for holder in [&server, &rival] {
        pin(holder)?;
    }
    set_nice(&server, 19)?;
    expect(&pressed(&netns, to)?, &["acceptor-starved"])
}

/// Asks about a server that never rests: where others leave it little of a CPU, it is starved, and the kernel says so.
fn expect_no_rest(netns: &Netns, to: SocketAddr, holder: &Holder) -> Result<()> {
    let (ran, waited) = times(holder)?;
    let answer = pressed(netns, to)?;
    let (ran_by_now, waited_by_now) = times(holder)?;
    match (waited_by_now - waited) / (ran_by_now - ran) {
        less if less < 0.5 => expect(&answer, &["acceptor-saturated"]),
        more if more > 2.0 => expect(&answer, &["acceptor-starved"]),
        _ => skip("others use half of the CPU that the server needs"),
    }
}

/// Time on a CPU, and runnable without one.
fn times(holder: &Holder) -> Result<(f64, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{}/schedstat", holder.pid()))?;
    let mut numbers = text.split_whitespace().map(str::parse);
    let ran = numbers.next().context("no time on a CPU")??;
    let waited = numbers.next().context("no run delay")??;
    Ok((ran, waited))
}

fn pid_of(holder: &Holder) -> Option<Pid> {
    Pid::from_raw(holder.pid() as i32)
}

fn set_nice(holder: &Holder, nice: i32) -> Result<()> {
    setpriority_process(pid_of(holder), nice).context("setpriority")
}

/// To the first CPU that it may use.
fn pin(holder: &Holder) -> Result<()> {
    let pid = pid_of(holder);
    let may = sched_getaffinity(pid)?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| may.is_set(*cpu));
    let mut only = CpuSet::new();
    only.set(first.context("no CPU")?);
    Ok(sched_setaffinity(pid, &only)?)
}

#[test]
fn acceptor_that_works_without_rest() -> Result<()> {
    let netns = Netns::new()?;
    let (to, holder) = held(&netns, BACKLOG, Work::Toil { busy_us: 20_000 })?;
    expect_no_rest(&netns, to, &holder)
}

#[test]
fn acceptor_above_memory_high() -> Result<()> {
    if std::fs::read("/proc/pressure/memory").is_err() {
        return skip("this kernel keeps no pressure stall information");
    }
    let netns = Netns::new()?;
    let cgroup = Cgroup::new("stalled")?;
    if !cgroup.enable("memory")? {
        return skip("cgroup2 has no memory controller here");
    }
    cgroup.set("memory.high", "4M")?;
    let ((to, _holder), _) = cgroup.run(|| held(&netns, BACKLOG, Work::Touch))?;
    expect(&pressed(&netns, to)?, &["memory-stalled"])
}
