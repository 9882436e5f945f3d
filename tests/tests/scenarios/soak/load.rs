//! What comes and goes: each in its own thread at its own pace, until it is over. All of it is in namespaces and cgroups that are
//! made here, and bounded in each second.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use whydrop_tests::cgroup::Cgroup;
use whydrop_tests::churn::{Refuser, in_new_netns};
use whydrop_tests::client::connect_here;
use whydrop_tests::flood::{Flood, Ready, clients};
use whydrop_tests::listener::Listener;
use whydrop_tests::netns::Netns;
use whydrop_tests::process::wait_for;
use whydrop_tests::steady::rest;
use whydrop_tests::wire::Wire;

const LISTENERS_EVERY: Duration = Duration::from_millis(10);
const CLIENTS_EVERY: Duration = Duration::from_millis(5);
const NAMESPACES_EVERY: Duration = Duration::from_millis(50);
const PROCESSES_EVERY: Duration = Duration::from_millis(50);
const CGROUPS_EVERY: Duration = Duration::from_millis(200);
const FLOODS_EVERY: Duration = Duration::from_secs(5);

/// SYNs of one flood.
const FLOOD: usize = 20_000;

pub(super) struct Load {
    /// In one listeners come and go, in one clients.
    listeners: Netns,
    clients: Netns,
    flooded: Wire,
    full: Listener,
}

impl Load {
    pub(super) fn new() -> Result<Self> {
        let flooded = Wire::new()?;
        Ok(Self {
            listeners: Netns::new()?,
            clients: Netns::new()?,
            full: flooded.full_listener()?,
            flooded,
        })
    }

    /// Those that live as long as this.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &Netns> {
        [&self.listeners, &self.clients, self.flooded.netns()].into_iter()
    }

    /// Beside all of it; the first failure of any ends the others.
    pub(super) fn beside<T>(&self, play: impl FnOnce() -> T) -> Result<T> {
        let is_over = AtomicBool::new(false);
        let flood = Flood {
            clients: clients(64, 16),
            to: self.full.address(),
            syns: FLOOD,
            limit: Duration::from_secs(2),
            threads: 1,
        };
        let flood = flood.ready(&self.flooded)?;
        let (listeners, clients) = (&self.listeners, &self.clients);
        let is_over = &is_over;
        thread::scope(|scope| {
            let running = [
                scope.spawn(|| listeners.run(|| listeners_come_and_go(is_over))?),
                scope.spawn(|| clients.run(|| clients_come_and_go(is_over))?),
                scope.spawn(|| namespaces_come_and_go(is_over)),
                scope.spawn(|| processes_come_and_go(is_over)),
                scope.spawn(|| cgroups_come_and_go(is_over)),
                scope.spawn(move || floods(&flood, is_over)),
            ];
            let played = play();
            is_over.store(true, Relaxed);
            for one in running {
                one.join()
                    .map_err(|_| anyhow::anyhow!("a part of the load panicked"))??;
            }
            Ok(played)
        })
    }
}

/// Does this again and again, with a pause between.
fn each(every: Duration, is_over: &AtomicBool, mut work: impl FnMut() -> Result<()>) -> Result<()> {
    while !is_over.load(Relaxed) {
        work()?;
        rest(every)?;
    }
    Ok(())
}

/// Each refuses two; every second one is emptied first.
fn listeners_come_and_go(is_over: &AtomicBool) -> Result<()> {
    let mut round = 0_u32;
    each(LISTENERS_EVERY, is_over, || {
        let listener = Refuser::here()?;
        listener.refuse(2)?;
        round += 1;
        if round.is_multiple_of(2) {
            listener.empty();
            listener.refuse(1)?;
        }
        Ok(())
    })
}

/// Of a listener that has room, and of one that has none.
fn clients_come_and_go(is_over: &AtomicBool) -> Result<()> {
    let has_room = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = has_room.local_addr()?;
    let full = Refuser::here()?;
    each(CLIENTS_EVERY, is_over, || {
        let client = connect_here(at)?;
        drop(has_room.accept()?);
        drop(client);
        full.refuse(1)
    })
}

/// Some are found by nobody before they end, some live for a while.
fn namespaces_come_and_go(is_over: &AtomicBool) -> Result<()> {
    let mut kept = Vec::new();
    each(NAMESPACES_EVERY, is_over, || {
        in_new_netns(|| Refuser::here()?.refuse(2))?;
        let netns = Netns::new()?;
        netns.run(|| Refuser::here()?.refuse(1))??;
        kept.push(netns);
        if kept.len() > 20 {
            kept.clear();
        }
        Ok(())
    })
}

fn processes_come_and_go(is_over: &AtomicBool) -> Result<()> {
    each(PROCESSES_EVERY, is_over, || {
        // SAFETY: the child calls _exit(2) and nothing else.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: it ends at once.
            unsafe { libc::_exit(0) };
        }
        ensure!(child > 0, "fork: {}", std::io::Error::last_os_error());
        wait_for(child).map(drop)
    })
}

fn cgroups_come_and_go(is_over: &AtomicBool) -> Result<()> {
    let mut round = 0_u64;
    each(CGROUPS_EVERY, is_over, || {
        round += 1;
        Cgroup::new(&format!("soak{round}.service")).map(drop)
    })
}

fn floods(flood: &Ready, is_over: &AtomicBool) -> Result<()> {
    while !is_over.load(Relaxed) {
        flood.run(is_over)?;
        let mut waited = Duration::ZERO;
        while waited < FLOODS_EVERY && !is_over.load(Relaxed) {
            rest(CLIENTS_EVERY)?;
            waited += CLIENTS_EVERY;
        }
    }
    Ok(())
}
