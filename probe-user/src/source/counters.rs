//! A watch without hooks: every 200 ms the kernel's counters and the LISTEN
//! dump are read, and what moved is said of the listeners whose `sk_drops`
//! grew. No client, no instant, and no certainty: the line says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use super::{
    Parts,
    ending::{self, Ending},
    sample::{Readings, Unreadable, readings},
    stop::{Asked, Stop},
};
use crate::{
    analyse::{growth::Growth, moved::Moved, reconcile::Reconciler},
    host::{Host, clock::mono_ns, unread::Unread},
    model::{
        Candidate, Line, Observed, Start, Summary, Tick,
        kind::{Kind, Stage},
        reading::{Reading, Sample},
        socket::ListenerSnapshot,
        tier::Tier,
    },
    sink::Sinks,
};

/// Listeners that grew, and by how much; or why that is not known.
type Grown = Result<Vec<(ListenerSnapshot, u32)>, String>;

const PERIOD: Duration = Duration::from_millis(200);

/// How often namespaces are looked for, in periods.
const REFRESH_PERIODS: u32 = 5;

struct Poller<'a> {
    parts: Parts<'a>,
    reconciler: Reconciler,
    moved: Moved,
    growth: Growth,
    counts: BTreeMap<(Kind, Option<Stage>), u64>,
    unread: Unread,
}

/// What a look at the listeners of a namespace has found.
struct Looked {
    grown: Grown,
    /// Whoever was asked: its net cookie, where the kernel has one.
    cookie: Option<u64>,
    /// The number was another namespace's before.
    is_another: bool,
}

/// Asks for all listeners of a namespace.
fn look(host: &mut Host, growth: &mut Growth, netns: u32) -> Looked {
    let listed = host.all_listeners(netns);
    let cookie = host.last_netns_cookie(netns);
    let is_another = growth.is_another(netns, cookie);
    Looked {
        grown: growth.of_listeners(netns, listed),
        cookie,
        is_another,
    }
}

/// Which counter a kind is read from here, without what a kind before it already explains.
fn kinds(moved: Reading) -> [(Kind, u64); 4] {
    let [overflows, drops, reqq_drops, cookies, ..] = moved;
    [
        (Kind::Overflow, overflows),
        (Kind::RequestDrop, reqq_drops),
        (
            Kind::ListenDrop,
            drops.saturating_sub(overflows).saturating_sub(reqq_drops),
        ),
        (Kind::CookieSent, cookies),
    ]
}

impl<'a> Poller<'a> {
    fn new(mut parts: Parts<'a>) -> Self {
        let host = &mut parts.enricher.host;
        let Readings {
            kernel,
            unread: unread_at_start,
            ..
        } = readings(host, parts.filter.netns, &|_, _, _| None);
        let mut unread = Unread::default();
        unread.registry(&host.namespaces());
        unread.namespaces("at the start", &unread_at_start);
        let mut growth = Growth::since(kernel.clone(), unread_at_start.keys().copied());
        let mut cookies = BTreeMap::new();
        for netns in kernel.keys() {
            // What cannot be listed now is no candidate the next time.
            let looked = look(host, &mut growth, *netns);
            cookies.extend(looked.cookie.map(|cookie| (*netns, cookie)));
        }
        let mut reconciler = Reconciler::new(Sample {
            kernel: kernel.clone(),
            cookies,
            ..Sample::default()
        });
        reconciler.unreadable(unread_at_start.into_keys());
        Self {
            moved: Moved::since(mono_ns(), &kernel),
            reconciler,
            growth,
            counts: BTreeMap::new(),
            unread,
            parts,
        }
    }

    /// Tells what has moved; those that could not be read come out, and what moved there is told once they can be.
    /// A recording has it no more often than `is_second` says.
    fn poll(&mut self, is_second: bool) -> Unreadable {
        let Readings {
            kernel: now,
            unread,
            present,
            ..
        } = readings(
            &mut self.parts.enricher.host,
            self.parts.filter.netns,
            &|_, _, _| None,
        );
        let read_ns = mono_ns();
        let mut cookies = BTreeMap::new();
        for (&netns, &reading) in &now {
            // Asked each time, so that a growth is that of this period alone.
            let host = &mut self.parts.enricher.host;
            let looked = look(host, &mut self.growth, netns);
            cookies.extend(looked.cookie.map(|cookie| (netns, cookie)));
            if looked.is_another {
                // Which of both was read is not known; the next time it is.
                continue;
            }
            let moved = self.growth.of_counters(netns, reading);
            for (kind, count) in kinds(moved.unwrap_or_default()) {
                if count > 0 {
                    self.tell(netns, kind, count, &looked.grown);
                }
            }
        }
        self.reconciler.observe(&present, &now, &cookies);
        if is_second {
            let present: BTreeSet<u32> = present.into_iter().collect();
            self.growth.retain(|netns| present.contains(&netns));
            self.tell_moved(read_ns, &now);
        }
        self.parts.sinks.flush();
        unread
    }

    fn tell_moved(&mut self, mono_ns: u64, now: &BTreeMap<u32, Reading>) {
        for mut moved in self.moved.take(mono_ns, now, self.reconciler.unknown()) {
            moved.netns_name = self.parts.enricher.host.netns_name(moved.netns);
            let observed = Observed::Counters(Box::new(moved));
            self.parts.sinks.write(&Line::Observed(&observed));
        }
    }

    fn tell(&mut self, netns: u32, kind: Kind, count: u64, grown: &Grown) {
        let tick = self.tick(netns, kind, count, grown);
        if let Some(why) = &tick.no_candidates {
            self.unread.add(format!(
                "whose {count} {kind} in netns {netns} were is not known: {why}"
            ));
        }
        // With a listener asked for, what another one may have refused is not its.
        let is_another_s = tick.candidates.is_empty() && tick.no_candidates.is_none();
        if self.parts.filter.picks_listeners() && is_another_s {
            return;
        }
        *self.counts.entry((kind, None)).or_default() += count;
        self.parts.sinks.write(&Line::Tick(&tick));
    }

    /// What it comes to by now; these could not be read.
    fn summary(&self, began: Instant, at_the_end: Unreadable) -> Summary {
        let mut unread = self.unread.clone();
        unread.registry(&self.parts.enricher.host.namespaces());
        unread.namespaces("at the end", &at_the_end);
        // What was read of them before is not what they have counted by now.
        let mut reconciler = self.reconciler.clone();
        reconciler.unreadable(at_the_end.into_keys());
        let last = Sample {
            kernel: self.growth.newest().clone(),
            ..Sample::default()
        };
        let reckoned = ending::summary(Ending {
            duration: began.elapsed(),
            tier: Tier::Counters,
            netns: self.parts.filter.netns,
            last: &last,
            is_read: true,
            lost: self.parts.sinks.lost(),
            reconciler: &reconciler,
            unread,
        });
        let namespaces = reckoned.rows.iter().map(|row| row.netns);
        let netns_names = self.parts.enricher.host.netns_names(namespaces);
        Summary {
            counts: self.counts.clone(),
            netns_names,
            unseen: unseen(),
            ..reckoned
        }
    }

    fn tick(&mut self, netns: u32, kind: Kind, count: u64, grown: &Grown) -> Tick {
        let candidates = grown
            .iter()
            .flatten()
            // A SYN answered by a cookie is no drop: nobody's sk_drops tells of it.
            .filter(|_| kind != Kind::CookieSent)
            .filter_map(|(snapshot, drops_delta)| {
                let (owner, cgroup) = self.parts.enricher.host.identity(snapshot);
                let filter = &self.parts.filter;
                filter
                    .takes_row(snapshot.addr, &owner, cgroup.as_deref())
                    .then(|| Candidate {
                        snapshot: snapshot.clone(),
                        drops_delta: *drops_delta,
                        owner: Arc::clone(&owner),
                        cgroup,
                    })
            })
            .collect();
        Tick {
            mono_ns: mono_ns(),
            netns,
            netns_name: self.parts.enricher.host.netns_name(netns),
            kind,
            count,
            candidates,
            no_candidates: grown.as_ref().err().cloned(),
        }
    }
}

/// Kinds that no counter tells of.
fn unseen() -> Vec<Kind> {
    let told = kinds(Reading::default()).map(|(kind, _)| kind);
    let all = Kind::ALL.into_iter();
    all.filter(|kind| !told.contains(kind)).collect()
}

/// Watches until the end.
pub async fn watch<'a>(
    parts: Parts<'a>,
    start: &Start,
    mut stop: Stop<'_>,
    ready: impl FnOnce(&Start),
) -> (Summary, Sinks<'a>) {
    let mut poller = Poller::new(parts);
    let began = Instant::now();
    poller.parts.sinks.write(&Line::Start(start));
    poller.parts.sinks.flush();
    let mut ended = stop.came_early();
    if !ended {
        ready(start);
    }
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut periods = 0u32;
    while !ended && !poller.parts.sinks.is_broken() {
        tokio::select! {
            biased;
            asked = stop.wait() => match asked {
                Asked::End => ended = true,
                Asked::Reopen => poller.parts.sinks.reopen(),
                Asked::Interim => {
                    let unread = poller.poll(false);
                    let summary = poller.summary(began, unread);
                    poller.parts.sinks.interim(summary);
                }
            },
            _ = period.tick() => {
                poller.parts.sinks.record();
                periods = periods.wrapping_add(1);
                let is_second = periods.is_multiple_of(REFRESH_PERIODS);
                if is_second {
                    poller.parts.enricher.host.namespaces().refresh();
                    poller.parts.enricher.tick(Instant::now());
                    poller.parts.sinks.tick();
                }
                // What cannot be read now may be read at the end, which is what counts.
                let _ = poller.poll(is_second);
            }
        }
    }
    let unread = poller.poll(true);
    let summary = poller.summary(began, unread);
    (summary, poller.parts.sinks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_is_explained_once() {
        let found = kinds([3, 10, 5, 0, 0, 0, 0]);
        assert_eq!(
            found.map(|(_, n)| n),
            [3, 5, 2, 0],
            "10 drops are 3 overflows, 5 request drops and 2 others"
        );
    }
}
