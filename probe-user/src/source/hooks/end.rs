//! What a watch with hooks comes to: its summary at the end, and what that would be by now.

use std::{collections::HashMap, time::Duration};

use probe_common::StatKey;

use super::HookPipeline;
use crate::{
    analyse::{group, pressure::Counted, tally::Tally},
    filter::Filter,
    host::{clock::mono_ns, unread::Unread},
    loader::{Probe, ReadError},
    model::{
        Summary,
        counted::{Figures, Skipped},
        gone::Others,
        kind::Kind,
        reading::Sample,
        story::Totals,
    },
    sink::{Sinks, aside},
    source::{
        Enough,
        ending::{self, Ending},
        sample,
    },
};

/// What was read for a summary.
struct Read {
    last: Sample,
    /// Without that sample nothing is known: neither a count nor a row.
    is_read: bool,
    stats: HashMap<StatKey, Figures>,
    skipped: Skipped,
    unread: Unread,
    duration: Duration,
    stories: Option<Totals>,
}

impl<'a> HookPipeline<'a> {
    /// Whether what was seen by now is enough for whoever conducts it. A reading that fails is not enough: the watch goes
    /// on, and reads again at its end.
    pub fn has_enough(&mut self, probe: &mut Probe, enough: &mut dyn Enough) -> bool {
        let counted = self.counted_by_now(probe);
        counted.is_ok_and(|counted| enough.may_end(&counted))
            && self
                .read_by_now(probe)
                .is_ok_and(|by_now| enough.can_end(&by_now))
    }

    /// The summary by now, without what the kernel counted.
    fn counted_by_now(&mut self, probe: &Probe) -> Result<Summary, ReadError> {
        let last = Sample {
            totals: probe.counts().totals()?,
            ..Sample::default()
        };
        self.by_now(probe, last)
    }

    /// The same with what the kernel counted, which costs a reading of every namespace.
    fn read_by_now(&mut self, probe: &mut Probe) -> Result<Summary, ReadError> {
        self.enricher.host.namespaces().refresh();
        let (host, only) = (&mut self.enricher.host, self.lines.filter.netns);
        let (last, _) = sample::take(probe, host, only, Some(&self.reconciler), |_| {})?;
        self.reconciler
            .observe(&last.present, &last.kernel, &last.cookies);
        self.by_now(probe, last)
    }

    /// Tells what the summary would be by now.
    pub fn tell_interim(&mut self, probe: &mut Probe) {
        match self.read_by_now(probe) {
            Ok(summary) => self.lines.sinks.interim(summary),
            Err(error) => aside(format_args!("no summary by now: {error}")),
        }
    }

    /// Goes on in files that have the names by now.
    pub fn reopen(&mut self) {
        self.lines.sinks.reopen();
    }

    fn by_now(&mut self, probe: &Probe, last: Sample) -> Result<Summary, ReadError> {
        let mut unread = self.unread.clone();
        unread.namespaces("meanwhile", &last.unread);
        let read = Read {
            last,
            is_read: true,
            stats: probe.stats.figures()?,
            skipped: probe.skipped()?,
            unread,
            duration: self.began.elapsed(),
            stories: self.lines.stories.so_far(),
        };
        Ok(self.reckon(probe, read))
    }

    /// The last sample, the rest of the ring, and the summary.
    pub fn end(mut self, probe: &mut Probe) -> (Summary, Sinks<'a>) {
        self.enricher.host.namespaces().refresh();
        let only = self.lines.filter.netns;
        let against = Some(&self.reconciler);
        let taken = sample::take(probe, &mut self.enricher.host, only, against, |_| {});
        let taken = self.unread.note(taken);
        let is_read = taken.is_some();
        let (last, sampled_ns) = taken.unwrap_or_else(|| (self.nothing(), mono_ns()));
        // What happened since is in no count and has no line.
        let stats = self.unread.note(probe.stats.figures());
        let skipped = self.unread.note(probe.skipped());
        self.unread.registry(&self.enricher.host.namespaces());
        self.unread.namespaces("at the end", &last.unread);
        let duration = self.began.elapsed();
        // From here on the ring only empties, so this ends under any flood.
        probe.detach();
        while !self.drain_until(probe, sampled_ns).is_empty {}
        self.tell_sampled(&last.totals.counts, &last.totals.health);
        self.note_ring_losses(last.totals.health);
        self.lines.tell_losses();
        let stories = std::mem::take(&mut self.lines.stories);
        let (told, stories) =
            stories.end(mono_ns(), last.totals.health.sampled, &self.lines.loss());
        self.lines.tell_stories(&told);
        self.lines.end_incidents();
        self.lines.sinks.flush();
        self.reconciler
            .observe(&last.present, &last.kernel, &last.cookies);
        let moved = self
            .moved
            .take(sampled_ns, &last.kernel, self.reconciler.unknown());
        self.moved_untold.extend(moved);
        self.tell_moved();
        let read = Read {
            last,
            is_read,
            stats: stats.unwrap_or_default(),
            skipped: skipped.unwrap_or_default(),
            unread: std::mem::take(&mut self.unread),
            duration,
            stories,
        };
        (self.reckon(probe, read), self.lines.sinks)
    }

    /// The summary of what was read.
    fn reckon(&mut self, probe: &Probe, read: Read) -> Summary {
        let last = &read.last;
        let counted = Counted {
            base: &self.base.counts,
            now: &last.totals.counts,
            reasons: self.enricher.reasons(),
        };
        let stats = (self.pressure).all(&read.stats, counted, &self.lines.filter);
        let stats = self.as_they_are(stats);
        let (established, reset) = self.pressure.others(&read.stats, self.lines.filter.netns);
        let figures = self
            .tallying()
            .between(&self.base.counts, &last.totals.counts);
        let everybody = Filter {
            netns: self.lines.filter.netns,
            ..Filter::default()
        };
        let all = Tally {
            filter: &everybody,
            ..self.tallying()
        }
        .between(&self.base.counts, &last.totals.counts);
        let reckoned = ending::summary(Ending {
            duration: read.duration,
            tier: probe.tier(),
            netns: self.lines.filter.netns,
            last,
            is_read: read.is_read,
            lost: self.lines.sinks.lost(),
            reconciler: &self.reconciler,
            unread: read.unread,
        });
        let of_rows = reckoned.rows.iter().map(|row| row.netns);
        let of_listeners = figures.listeners.iter().map(|tally| tally.netns);
        let netns_names = (self.enricher.host).netns_names(of_rows.chain(of_listeners));
        Summary {
            counts: figures.counts,
            causes: figures.causes,
            top_clients: Some(self.lines.clients.top()),
            groups: group::of_rows(&figures.listeners, &all.listeners, |netns| {
                self.enricher.host.all_listeners(netns).ok()
            }),
            listeners: figures.listeners,
            stats,
            others: Others {
                listeners: self.closed.forgotten,
                quiet: self.closed.quiet,
                established,
                reset,
                ..figures.others
            },
            stories: read.stories,
            loss: self.lines.loss(),
            health: self.health(last),
            skipped: read.skipped,
            netns_names,
            unseen: self.unseen(probe),
            moving: last.moving || self.reconciler.base_was_moving(),
            ..reckoned
        }
    }

    /// What the kernel side says of itself, of this watch alone.
    fn health(&self, last: &Sample) -> probe_common::Health {
        let (mut health, base) = (last.totals.health, self.base.health);
        health.filtered = health.filtered.saturating_sub(base.filtered);
        health.stats_full = health.stats_full.saturating_sub(base.stats_full);
        health.late = health.late.saturating_sub(base.late);
        health.unreadable = health.unreadable.saturating_sub(base.unreadable);
        health
    }

    /// A last sample that could not be taken.
    fn nothing(&self) -> Sample {
        Sample {
            totals: self.base.clone(),
            moving: true,
            ..Sample::default()
        }
    }

    /// Kinds of which it says nothing that there was none.
    fn unseen(&self, probe: &Probe) -> Vec<Kind> {
        let asked = |kind| match kind {
            Kind::Connected => self.lines.stories.are_wanted(),
            Kind::NearLimit | Kind::Eased => self.warn_percent.is_some(),
            _ => true,
        };
        let kinds = Kind::ALL.into_iter();
        kinds
            .filter(|kind| !asked(*kind) || probe.blind.contains(&kind.name()))
            .collect()
    }
}
