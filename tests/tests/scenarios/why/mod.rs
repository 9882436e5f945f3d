//! `whydrop why` on causes that are really there: the verdict is the one that was made.

mod acceptor;
mod around;
mod backlog;
mod client;
mod group;
mod listeners;
mod path;
mod place;
mod recorded;
mod sound;
mod syn;
mod when;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use whydrop_tests::answer::{ask, expect, verdicts};
use whydrop_tests::client::{Client, connect_here};
use whydrop_tests::deadline::soon;
use whydrop_tests::every::Every;
use whydrop_tests::holder::{Birth, Holder, Quits, Work};
use whydrop_tests::listener::Listener;
use whydrop_tests::netns::Netns;
use whydrop_tests::skip::{is_before, is_hidden, skip};
use whydrop_tests::verdict::say_verdict;

/// The queues of these tests.
const BACKLOG: i32 = 8;
/// How long is watched: some thirty looks.
const WATCHED: &str = "1500ms";
/// Clients that wait at once, more than any queue here holds.
const CLIENTS: usize = 24;
/// Between two bursts.
const PAUSE: Duration = Duration::from_millis(250);

/// A listener that only `work` holds, in a process of its own.
fn held(netns: &Netns, backlog: i32, work: Work) -> Result<(SocketAddr, Holder)> {
    held_at(netns, Ipv4Addr::LOCALHOST.into(), backlog, work)
}

fn held_at(netns: &Netns, at: IpAddr, backlog: i32, work: Work) -> Result<(SocketAddr, Holder)> {
    let listener = Listener::new(netns, at, backlog)?;
    let holder = hold(&listener, work)?;
    Ok((listener.address(), holder))
}

fn hold(listener: &Listener, work: Work) -> Result<Holder> {
    let birth = Birth {
        work,
        ..Birth::default()
    };
    Holder::born(listener, birth)
}

/// Asks about this target for as long as most tests here do.
fn why(netns: &Netns, target: SocketAddr, traffic: impl FnMut() -> Result<()>) -> Result<Value> {
    ask(netns, &[&target.to_string(), "--for", WATCHED], traffic)
}

/// The same, of what hooks may not tell here: then nothing else may be said.
fn expect_if_told(answer: &Value, expected: &'static str) -> Result<()> {
    if !is_hidden(answer, "abstained", expected)? {
        return expect(answer, &[expected]);
    }
    let found = verdicts(answer)?;
    if !found.is_empty() {
        say_verdict(&[expected], &found)?;
    }
    ensure!(found.is_empty(), "{found:?}: {answer:#}");
    skip("no hook tells of it here")
}

/// Clients that come all the time; the oldest give up.
struct Crowd<'netns> {
    netns: &'netns Netns,
    to: SocketAddr,
    clients: RefCell<Vec<Client>>,
}

impl<'netns> Crowd<'netns> {
    fn new(netns: &'netns Netns, to: SocketAddr) -> Self {
        Self {
            netns,
            to,
            clients: RefCell::default(),
        }
    }

    fn come(&self) -> Result<()> {
        let mut clients = self.clients.borrow_mut();
        if clients.len() == CLIENTS {
            // Of those who are not in the queue.
            clients.remove(CLIENTS - 2);
        }
        clients.push(Client::connect(self.netns, self.to)?);
        Ok(())
    }
}

/// Asks about a queue that stays full.
fn pressed(netns: &Netns, to: SocketAddr) -> Result<Value> {
    let crowd = Crowd::new(netns, to);
    why(netns, to, || crowd.come())
}

/// Bursts of clients that a sound server drains.
fn bursts(netns: &Netns, to: SocketAddr) -> Result<Value> {
    let mut every = Every::new(PAUSE);
    why(netns, to, || {
        if every.is_due() {
            come_at_once(netns, to)?;
        }
        Ok(())
    })
}

fn come_at_once(netns: &Netns, to: SocketAddr) -> Result<Vec<Client>> {
    netns.run(|| (0..CLIENTS).map(|_| connect_here(to)).collect())?
}
