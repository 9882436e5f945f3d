//! The pipeline of a watch with hooks: ring → decode → filter → enrich →
//! report, and the counts beside it.

mod end;
mod figures;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use tokio::time::{Interval, MissedTickBehavior, interval_at};

use probe_common::{CountKey, CountValue, Health};

use super::{
    Parts,
    closed::{Closed, Turned},
    episodes,
    lines::Lines,
    listening, sample,
    schedule::Schedule,
};
use crate::{
    analyse::{
        moved::Moved,
        pressure::{Counted, Pressure, Sees},
        reconcile::Reconciler,
        sampled::LeftOut,
        tally::Tally,
    },
    cause, decode,
    enrich::Enricher,
    host::{clock::mono_ns, unread::Unread},
    loader::{Probe, ReadError, Room},
    model::{
        CountersMoved, Line, ListenerStatsRow, Observed, Sampled,
        counted::{Totals, add_counts},
        evidence::Evidence,
        gone::{NAMESPACES, fold},
        kind::Kind,
        observation::Observation,
    },
};

/// Records taken out of the ring before signals and ticks get their turn.
const DRAIN_AT_MOST: usize = 1024;

/// So many in a drain may be of as many listeners: whether there is room for them is looked at sooner than each second.
const MANY: usize = 128;

/// But not more often than that.
const ROOM_EVERY: Duration = Duration::from_millis(20);

/// Drains of the ring before the end of an episode is told.
const DRAINS_AT_MOST: usize = 64;

/// The state of one watch.
pub struct HookPipeline<'a> {
    lines: Lines<'a>,
    enricher: Enricher,
    reconciler: Reconciler,
    moved: Moved,
    /// What moved by the last reading: told once the events before it were taken out of the ring.
    moved_untold: Vec<CountersMoved>,
    base: Totals,
    began: Instant,
    left_out: LeftOut,
    pressure: Pressure,
    stats_every: Option<Duration>,
    warn_percent: Option<u8>,
    /// Of one batch; empty between two.
    seen: Vec<Observation>,
    schedule: Schedule,
    unread: Unread,
    /// When figures of those who refuse are to be read.
    figures_due: Instant,
    /// When the kernel side was last looked at for room.
    room_made: Instant,
    closed: Closed,
}

/// What was taken out of the ring at once.
#[derive(Clone, Copy, Default)]
pub struct Drained {
    /// How many.
    pub records: usize,
    /// The ring has no more.
    pub is_empty: bool,
}

impl<'a> HookPipeline<'a> {
    /// Takes the first sample: from here on everything is accounted for.
    pub fn begin(mut parts: Parts<'a>, probe: &mut Probe) -> Result<Self, ReadError> {
        // Records of before (the self-test's too) belong to the base.
        let host = &mut parts.enricher.host;
        host.namespaces().refresh();
        let only = parts.filter.netns;
        let (base, base_ns) = sample::take(probe, host, only, None, |probe| {
            while probe.next_record().is_some() {}
        })?;
        let figures = probe.stats.figures()?;
        let mut unread = Unread::default();
        unread.registry(&host.namespaces());
        unread.namespaces("at the start", &base.unread);
        let present = base.present.iter().copied();
        let unreadable: Vec<u32> = present
            .filter(|netns| only.is_none_or(|only| only == *netns))
            .filter(|netns| !base.kernel.contains_key(netns))
            .collect();
        let base_totals = base.totals.clone();
        let moved = Moved::since(base_ns, &base.kernel);
        let mut reconciler = Reconciler::new(base);
        reconciler.unreadable(unreadable);
        let (stats_every, warn_percent) = (parts.request.stats, parts.request.warn);
        let (lines, enricher) = Lines::of(parts, base_totals.health.sampled);
        Ok(Self {
            lines,
            enricher,
            left_out: LeftOut::since(&base_totals.counts),
            pressure: Pressure::since(
                figures,
                Sees {
                    accept: probe.sees_accept(),
                    mptcp: probe.sees_mptcp_accept(),
                },
            ),
            stats_every,
            warn_percent,
            base: base_totals,
            reconciler,
            moved,
            moved_untold: Vec::new(),
            began: Instant::now(),
            seen: Vec::new(),
            schedule: Schedule::now(),
            unread,
            figures_due: Instant::now(),
            room_made: Instant::now(),
            closed: Closed::default(),
        })
    }

    /// Writes a line that is no event.
    pub fn tell(&mut self, line: &Line<'_>) {
        self.lines.tell(line);
    }

    /// When [`Self::record`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.lines.sinks.due()
    }

    /// Hands what is recorded to the disk.
    pub fn record(&mut self) {
        self.lines.sinks.record();
    }

    /// Whether the output can still be written to.
    pub fn is_broken(&self) -> bool {
        self.lines.sinks.is_broken()
    }

    /// Takes records until the ring is empty or it is another's turn.
    pub fn drain(&mut self, probe: &mut Probe) -> Drained {
        self.drain_until(probe, u64::MAX)
    }

    /// The same, leaving out what happened after `mono_ns`.
    fn drain_until(&mut self, probe: &mut Probe, mono_ns: u64) -> Drained {
        let mut drained = Drained::default();
        while drained.records < DRAIN_AT_MOST {
            let Some(record) = probe.next_record() else {
                drained.is_empty = true;
                break;
            };
            drained.records += 1;
            match decode::decode(&record) {
                Ok(event) if event.mono_ns <= mono_ns => {
                    if event.kind == Kind::ListenerClosed {
                        self.enricher.closed(&event);
                        self.pressure.closed(&event);
                        self.closed.add(&event);
                    }
                    if self.lines.wants(&event) {
                        self.seen.push(self.enricher.begin(event));
                    }
                }
                Ok(_) => {}
                Err(_) => self.lines.loss.undecodable += 1,
            }
        }
        self.show_events();
        self.lines.settle_stories();
        self.lines.sinks.flush();
        // Of a watch that ends everything is read already.
        let goes_on = mono_ns == u64::MAX;
        if goes_on && drained.records >= MANY && self.room_made.elapsed() >= ROOM_EVERY {
            self.make_room(probe);
        }
        drained
    }

    /// Shows the events of a batch.
    fn show_events(&mut self) {
        self.enricher.observe(&mut self.seen);
        for seen in &self.seen {
            self.lines.show(seen);
        }
        self.seen.clear();
    }

    /// To be called every second: losses are told, namespaces that came are met.
    pub fn tick(&mut self, probe: &mut Probe) {
        self.lines.sinks.tick();
        self.enricher.tick(Instant::now());
        self.tell_moved();
        self.make_room(probe);
        let reconciled = self.reconcile(probe);
        self.unread.note(reconciled);
        let told = self.tell_health(probe);
        self.unread.note(told);
        self.lines.tell_incidents();
        self.lines.sinks.flush();
        if let Some(share) = self.warn_percent {
            self.end_episodes(probe, share);
        }
    }

    /// What was counted of many listeners and namespaces makes room for what comes, and what ended long ago is forgotten.
    fn make_room(&mut self, probe: &mut Probe) {
        self.room_made = Instant::now();
        let made = probe.make_room(self.closed.are_many());
        match self.unread.note(made) {
            None | Some(Room::Same) => {}
            Some(Room::Begun) => {
                let missing = self.missing(probe);
                self.closed.turn_begins(missing);
            }
            Some(Room::Emptied) => self.forget(probe),
        }
    }

    /// Namespaces in which the hooks have seen something and that are not found.
    fn missing(&self, probe: &Probe) -> HashSet<u32> {
        self.enricher.host.namespaces().refresh();
        let namespaces = self.enricher.host.namespaces();
        let seen = probe.counts().namespaces();
        seen.filter(|netns| *netns != NAMESPACES && !namespaces.knows(*netns))
            .collect()
    }

    fn forget(&mut self, probe: &mut Probe) {
        let missing = self.missing(probe);
        let mut closed = std::mem::take(&mut self.closed);
        let tally = self.tallying();
        let gone = closed.turn_ends(&Turned {
            missing: &missing,
            too_many: &probe.too_many(),
            newest: probe.newest(),
            is_wanted: &|netns, name| tally.filter.takes_netns(netns) && tally.takes_name(name),
            cookie_of: &|name| tally.known.get(&name).map_or(0, |tally| tally.cookie),
            takes_all: !tally.filter.picks_listeners(),
        });
        self.closed = closed;
        if gone.is_empty() {
            return;
        }
        probe.forget(&gone);
        fold(&mut self.base.counts, |key| gone.count(key), add_counts);
        self.reconciler.forget(&gone);
        self.moved.forget(&gone);
        self.left_out.forget(&gone);
        self.pressure.forget(&gone);
        self.lines.forget(&gone);
    }

    /// Tells what the kernel side says of itself: what it left out, and what it lost.
    fn tell_health(&mut self, probe: &mut Probe) -> Result<(), ReadError> {
        let health = probe.counts().health()?;
        if self.left_out.is_news(&health) {
            self.tell_sampled(&probe.counts().counts()?, &health);
        }
        let counts = probe.counts_mut();
        let period = self.left_out.begin_period(&health, mono_ns());
        counts.begin_period(period.number);
        if let Some(before_ns) = period.forget_before_ns {
            self.left_out.forgot(counts.forget_clients(before_ns)?);
        }
        self.note_ring_losses(health);
        self.lines.tell_losses();
        let told = self
            .lines
            .stories
            .tick(mono_ns(), health.sampled, &self.lines.loss());
        self.lines.tell_stories(&told);
        Ok(())
    }

    /// Ends the episodes of accept queues that were emptied without a packet that would have shown it.
    fn end_episodes(&mut self, probe: &mut Probe, share: u8) {
        let ended = episodes::ended(probe, &mut self.enricher.host, share);
        let ended = self.unread.note(ended).unwrap_or_default();
        if ended.is_empty() {
            return;
        }
        // Their beginnings may still be in the ring; under a flood what is told comes in another order.
        let _ = (0..DRAINS_AT_MOST).any(|_| self.drain(probe).is_empty);
        let wanted = ended.into_iter().filter(|event| self.lines.wants(event));
        self.seen
            .extend(wanted.map(|event| self.enricher.begin(event)));
        self.show_events();
        self.lines.sinks.flush();
    }

    /// Says what was left out of the detail since this was last said.
    fn tell_sampled(&mut self, now: &HashMap<CountKey, CountValue>, health: &Health) {
        let news = self.left_out.news(now, health);
        let tally = self.tallying();
        let mut lines: Vec<Sampled> = news
            .into_iter()
            .filter(|news| tally.takes_key(&news.key))
            .filter_map(|news| {
                let evidence = Evidence::from(&news.key);
                let (kind, stage) = decode::classify(&evidence).ok()?;
                let listener = tally.listener(&news.key);
                Some(Sampled {
                    netns: news.key.netns,
                    netns_name: None,
                    listener: listener.addr,
                    cookie: listener.cookie,
                    kind,
                    stage,
                    cause: cause::of(kind, stage, &evidence, tally.reasons),
                    count: news.count,
                    clients: news.clients,
                    clients_exact: news.clients_exact,
                })
            })
            .collect();
        for line in &mut lines {
            line.netns_name = self.enricher.host.netns_name(line.netns);
            self.tell(&Line::Sampled(line));
        }
    }

    /// When lines of busy listeners are due.
    pub fn stats_ticks(&self) -> Option<Interval> {
        let every = self.stats_every?;
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(ticks)
    }

    /// Says what the listeners went through to which something came since this was last said.
    pub fn tell_stats(&mut self, probe: &Probe) {
        let read =
            (probe.stats.figures()).and_then(|figures| Ok((figures, probe.counts().counts()?)));
        let Some((figures, counts)) = self.unread.note(read) else {
            return;
        };
        let counted = Counted {
            base: &self.base.counts,
            now: &counts,
            reasons: self.enricher.reasons(),
        };
        let rows = self.pressure.news(figures, counted, &self.lines.filter);
        let rows = self.as_they_are(rows);
        for row in &rows {
            self.tell(&Line::Stats(row));
        }
    }

    /// These listeners, with what is known of them by now.
    fn as_they_are(&mut self, mut rows: Vec<ListenerStatsRow>) -> Vec<ListenerStatsRow> {
        listening::look(&mut rows, &mut self.enricher.host);
        self.pressure.settled(rows, &self.lines.filter)
    }

    fn tallying(&self) -> Tally<'_> {
        Tally {
            filter: &self.lines.filter,
            all_events: self.lines.all_events,
            reasons: self.enricher.reasons(),
            known: &self.lines.listeners,
            shown: &self.lines.shown,
        }
    }

    fn note_ring_losses(&mut self, health: Health) {
        let lost = health.ring_full.saturating_sub(self.base.health.ring_full);
        self.lines.loss.ring_full = self.lines.loss.ring_full.max(lost);
    }

    /// Looks for namespaces, remembers their counters (so that one that ends is not forgotten), and
    /// tells what no hook saw.
    fn reconcile(&mut self, probe: &Probe) -> Result<(), ReadError> {
        let began = Instant::now();
        let sums = probe.counts().sums()?;
        let host = &self.enricher.host;
        let is_due = self.schedule.look(began, &host.namespaces(), &sums);
        if is_due {
            host.namespaces().refresh();
            self.schedule.looked(began);
            let namespaces = host.namespaces();
            self.reconciler
                .looked(&sums, |netns| namespaces.knows(netns));
        }
        let began = Instant::now();
        let is_unsettled = self.reconciler.is_unsettled();
        let looks = host.namespaces().looks();
        if !self.schedule.comparison(began, looks, &sums, is_unsettled) {
            return Ok(());
        }
        let before = probe.counts().sums()?;
        // What cannot be read now may be read at the end, which is what counts.
        let read = {
            let cookie = sample::cookie_if_needed(&self.reconciler, &before);
            let host = &mut self.enricher.host;
            sample::readings(host, self.lines.filter.netns, &cookie)
        };
        let kernel = read.kernel;
        let read_ns = mono_ns();
        let after = probe.counts().sums()?;
        self.reconciler
            .observe(&read.present, &kernel, &read.cookies);
        let moved = self.moved.take(read_ns, &kernel, self.reconciler.unknown());
        self.moved_untold.extend(moved);
        for mut residual in self.reconciler.residuals(&kernel, &before, &after) {
            residual.netns_name = self.enricher.host.netns_name(residual.netns);
            if self
                .lines
                .filter
                .netns
                .is_none_or(|netns| netns == residual.netns)
            {
                self.tell(&Line::Residual(&residual));
            }
        }
        self.schedule.compared(began, looks, after);
        Ok(())
    }

    /// Tells what the kernel counted until the last reading.
    fn tell_moved(&mut self) {
        for mut moved in std::mem::take(&mut self.moved_untold) {
            moved.netns_name = self.enricher.host.netns_name(moved.netns);
            self.tell(&Line::Observed(&Observed::Counters(Box::new(moved))));
        }
    }
}
