//! Looks beside the events, which are in recordings only: what a line says of one that other programs may ask for. All
//! of it is in its item.

use std::net::SocketAddr;

use serde::Serialize;

use super::{Cookie, Item, Reporter};
use crate::model::{Line, Observed};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum View<'a> {
    ObservedQueue {
        ts: String,
        netns: u32,
        addr: SocketAddr,
        cookie: Cookie,
        accept_queue_len: u32,
        accept_queue_limit: u32,
    },
    ObservedProcess {
        ts: String,
        pid: u32,
        comm: &'a str,
        threads: usize,
    },
    HostFacts {
        ts: String,
        netns: u32,
        somaxconn: Option<u32>,
        syncookies: Option<u32>,
        abort_on_overflow: Option<u32>,
        max_syn_backlog: Option<u32>,
    },
    Before {
        ts: String,
        listeners: usize,
    },
    Tried {
        ts: String,
        to: Option<SocketAddr>,
        outcome: &'a str,
    },
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    view: View<'a>,
    item: Item<'a>,
}

pub(super) fn write(reporter: &Reporter, seen: &Observed, line: &Line<'_>, to: &mut String) {
    if !reporter.is_whole {
        return;
    }
    let mono_ns = seen.mono_ns();
    let whole = Whole {
        view: view(reporter.clock.at(mono_ns).to_string(), seen),
        item: Item {
            mono_ns,
            what: line,
        },
    };
    // Strings, numbers and maps with string keys only: nothing in them can fail.
    if let Ok(text) = serde_json::to_string(&whole) {
        to.push_str(&text);
        to.push('\n');
    }
}

fn view(ts: String, seen: &Observed) -> View<'_> {
    match seen {
        Observed::Queue(queue) => View::ObservedQueue {
            ts,
            netns: queue.netns,
            addr: queue.snapshot.addr,
            cookie: Cookie(queue.snapshot.cookie),
            accept_queue_len: queue.snapshot.accept_queue_len,
            accept_queue_limit: queue.snapshot.accept_queue_limit,
        },
        Observed::Process(seen) => View::ObservedProcess {
            ts,
            pid: seen.process.pid,
            comm: &seen.process.comm,
            threads: seen.process.threads.len(),
        },
        Observed::Host(facts) => View::HostFacts {
            ts,
            netns: facts.netns,
            somaxconn: facts.sysctls.somaxconn,
            syncookies: facts.sysctls.syncookies,
            abort_on_overflow: facts.sysctls.abort_on_overflow,
            max_syn_backlog: facts.sysctls.max_syn_backlog,
        },
        Observed::Before(now) => View::Before {
            ts,
            listeners: now.listeners.len(),
        },
        Observed::Tried(tried) => View::Tried {
            ts,
            to: tried.to,
            outcome: &tried.outcome,
        },
    }
}
