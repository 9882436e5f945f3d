//! The line of an event.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use super::{
    Clean,
    identity::{write_netns, write_whose},
    time::time,
};
use crate::{
    model::{
        cause::Cause,
        event::Event,
        kind::{Kind, Stage},
        observation::{Observation, Snapshot},
    },
    sink::{
        Reporter,
        append::{COLUMN, V4, address, column, micros, number},
        same::{Netns, Same, Whose},
    },
};

/// What the line of the event before was made of, stretch by stretch.
#[derive(Default)]
pub(in crate::sink) struct Last {
    second: Same<u64>,
    what: Same<(Kind, Option<Stage>)>,
    target: Same<(Arrow, Option<SocketAddr>)>,
    queue: Same<(Queue, Option<Cause>)>,
    whose: Same<(Whose, Netns)>,
}

pub(super) fn write_event(
    reporter: &mut Reporter,
    seen: &Observation,
    to: &mut String,
) -> std::fmt::Result {
    let event = &seen.event;
    let last = &mut reporter.last_text;
    let (from, arrow, target) = ends(event);
    let at = reporter.clock.at(event.mono_ns);
    last.second.append_of(at.seconds(), to, |to| {
        to.push_str(at.stamp().second_of_day());
    });
    micros(to, at.micros());
    last.what.append_of((event.kind, event.stage), to, |to| {
        to.push_str("  ");
        column(to, 17, |to| to.push_str(event.kind.name()));
        to.push(' ');
        column(to, 10, |to| {
            to.push_str(event.stage.map_or("", Stage::name));
        });
        to.push(' ');
    });
    from.column(to);
    last.target.append(
        to,
        |(last_arrow, last)| *last_arrow == arrow && last.as_ref() == target,
        || (arrow, target.copied()),
        |to| {
            to.push_str(arrow.text());
            End::of(target).column(to);
            to.push_str("  ");
        },
    );
    let write = |to: &mut String| column(to, 20, |to| write_detail(seen, to));
    match Queue::of_all(event) {
        Some(queue) => last.queue.append(
            to,
            |(last, cause)| *last == queue && Cause::is_same(cause.as_ref(), seen.cause.as_ref()),
            || (queue, seen.cause.clone()),
            write,
        ),
        None => write(to),
    }
    last.whose.append(
        to,
        |(whose, netns)| whose.is_of(seen) && netns.is_of(seen),
        || (Whose::of(seen), Netns::of(seen)),
        |to| {
            to.push(' ');
            write_whose(&seen.owner, seen.cgroup.as_deref(), to);
            if event.netns != reporter.own_netns {
                write_netns(event.netns, seen.netns_name.as_deref(), to);
            }
            to.push('\n');
        },
    );
    Ok(())
}

/// One end of an attempt.
enum End<'a> {
    At(&'a SocketAddr),
    Unknown,
    Absent,
}

impl<'a> End<'a> {
    fn of(addr: Option<&'a SocketAddr>) -> Self {
        addr.map_or(Self::Unknown, Self::At)
    }

    fn column(self, to: &mut String) {
        if let Self::At(SocketAddr::V4(v4)) = self {
            let text = V4::of(*v4);
            return to.push_str(text.text().get(..COLUMN).unwrap_or_default());
        }
        column(to, COLUMN, |to| self.write(to));
    }

    fn write(self, to: &mut String) {
        match self {
            Self::At(addr) => address(to, *addr),
            Self::Unknown => to.push('?'),
            Self::Absent => {}
        }
    }
}

/// What stands between the two.
#[derive(Clone, Copy, PartialEq)]
enum Arrow {
    To,
    Between,
    Nothing,
}

impl Arrow {
    const fn text(self) -> &'static str {
        match self {
            Self::To => " → ",
            Self::Between => " – ",
            Self::Nothing => "   ",
        }
    }
}

/// How full both queues were.
#[derive(Clone, Copy, PartialEq)]
struct Queue {
    accept: (u32, u32),
    syn: u32,
}

impl Queue {
    /// Of an event of whose details it is all, beside the cause.
    fn of_all(event: &Event) -> Option<Self> {
        let is_all = matches!(
            event.kind,
            Kind::Overflow | Kind::RequestDrop | Kind::ListenDrop | Kind::CookieSent
        );
        let listener = event.listener.filter(|_| is_all && !event.late)?;
        Some(Self {
            accept: (listener.accept_queue_len, listener.accept_queue_limit),
            syn: listener.syn_queue_len,
        })
    }
}

/// The two ends, the client first where it is known.
fn ends(event: &Event) -> (End<'_>, Arrow, Option<&SocketAddr>) {
    if matches!(
        event.kind,
        Kind::ListenerClosed | Kind::NearLimit | Kind::Eased
    ) {
        let listener = event.listener.as_ref();
        return (End::Absent, Arrow::Nothing, listener.map(|l| &l.addr));
    }
    let (local, remote) = (event.local.as_ref(), event.remote.as_ref());
    match &event.client {
        Some(client) if Some(client) == local => (End::At(client), Arrow::To, remote),
        Some(client) => (End::At(client), Arrow::To, local),
        None if event.late => (End::Unknown, Arrow::To, None),
        None => (End::of(local), Arrow::Between, remote),
    }
}

// Writing to a String cannot fail.
fn write_detail(seen: &Observation, to: &mut String) {
    let event = &seen.event;
    match event.kind {
        Kind::Retransmit | Kind::SynackRetransmit => {
            to.push_str("retry ");
            let retransmits = event.segment().map_or(0, |segment| segment.retransmits);
            number(to, retransmits.max(1));
        }
        Kind::ResetSent | Kind::ResetReceived => write_reset(seen, to),
        _ if event.late => to.push_str("found late"),
        Kind::Refused => write_refusal(seen, to),
        Kind::ListenerClosed => {
            number(to, event.listener.map_or(0, |l| l.accept_queue_len));
            to.push_str(" queued");
            if let Some(task) = event.closed_by() {
                let _ = write!(to, ", by {}[{}]", Clean(&task.comm), task.pid);
                if let Some(ending) = task.ending() {
                    let _ = write!(to, ", {ending}");
                }
            }
        }
        Kind::NearLimit | Kind::Eased => write_pressure(seen, to),
        Kind::Connected => write_connected(event, to),
        Kind::PacketDrop | Kind::RequestExpired => write_cause(seen.cause.as_ref(), to),
        _ => write_queue(seen, to),
    }
}

/// How full the listener's queues were.
fn write_queue(seen: &Observation, to: &mut String) {
    let Some(listener) = &seen.event.listener else {
        return;
    };
    to.push_str("queue ");
    write_share(listener.accept_queue_len, listener.accept_queue_limit, to);
    if listener.syn_queue_len > 0 {
        to.push_str(" syn ");
        number(to, listener.syn_queue_len);
    }
    // The event's name says the rest.
    if let Some(cause) = &seen.cause
        && !matches!(&*cause.id, "accept-queue-full" | "syn-queue-full")
    {
        to.push(' ');
        write_cause(Some(cause), to);
    }
}

fn write_share(length: u32, limit: u32, to: &mut String) {
    number(to, length);
    to.push('/');
    number(to, limit);
}

/// A cause and what else it may have been: `no-route|no-memory`.
fn write_cause(cause: Option<&Cause>, to: &mut String) {
    let Some(cause) = cause else { return };
    Clean(&cause.id).write(to);
    for or in cause.or {
        to.push('|');
        to.push_str(or);
    }
}

fn write_reset(seen: &Observation, to: &mut String) {
    if seen.cause.is_some() {
        return write_cause(seen.cause.as_ref(), to);
    }
    match (&seen.reset_reason, &seen.snapshot) {
        (Some(reason), _) => to.push_str(reason),
        (None, Ok(Snapshot::Connection(connection))) => to.push_str(connection.state),
        (None, _) => {}
    }
}

/// How long after it was first refused, and how often it was.
fn write_connected(event: &Event, to: &mut String) {
    if let Some(refused) = event.refused() {
        let delay_ns = event.mono_ns.saturating_sub(refused.first_ns);
        let (delay, tries) = (time(delay_ns), refused.times + 1);
        let _ = write!(to, "after {delay}, try {tries}");
    }
}

/// Which queue, and how full it was.
fn write_pressure(seen: &Observation, to: &mut String) {
    let event = &seen.event;
    let listener = event.listener.as_ref();
    let limit = listener.map_or(0, |l| l.accept_queue_limit);
    let of_syn_queue = seen
        .cause
        .as_ref()
        .is_some_and(|cause| cause.id == "syn-queue" && cause.or.is_empty());
    write_cause(seen.cause.as_ref(), to);
    if let Some(episode) = event.episode() {
        to.push_str(" peak ");
        write_share(episode.peak, limit, to);
        let _ = write!(to, " for {:.1} ms", episode.lasted_ns as f64 / 1e6);
    } else {
        let length = listener.map_or(0, |l| {
            if of_syn_queue {
                l.syn_queue_len
            } else {
                l.accept_queue_len
            }
        });
        to.push(' ');
        write_share(length, limit, to);
    }
}

/// Why nobody listened, with the listener that comes nearest.
fn write_refusal(seen: &Observation, to: &mut String) {
    if let Some(closed) = &seen.refusal.closed {
        let ago = Duration::from_nanos(seen.event.mono_ns.saturating_sub(closed.mono_ns));
        let _ = write!(to, "closed {:.1} s ago", ago.as_secs_f64());
        if let Some(task) = &closed.by {
            let _ = write!(to, " by {}[{}]", Clean(&task.comm), task.pid);
        }
        return;
    }
    if seen.cause.is_none() {
        return;
    }
    write_cause(seen.cause.as_ref(), to);
    if let [near, more @ ..] = seen.refusal.elsewhere.as_slice() {
        to.push(' ');
        address(to, near.addr);
        if near.netns != seen.event.netns {
            to.push_str(" in netns ");
            number(to, near.netns);
        }
        if !more.is_empty() {
            to.push_str(" +");
            number(to, more.len());
        }
    }
}
