//! All that was counted by now, for whoever hands it out while the watch goes on.

use std::collections::{BTreeMap, HashMap};

use probe_common::{CountKey, CountValue};

use super::HookPipeline;
use crate::{
    cause, decode,
    host::clock::mono_ns,
    loader::{Probe, ReadError},
    model::{
        census::{Census, Counted},
        evidence::Evidence,
    },
    source::Service,
};

impl HookPipeline<'_> {
    /// Hands a census to whoever asked for it.
    pub fn serve(&mut self, probe: &mut Probe, service: &mut dyn Service) {
        let census = self.census(probe);
        service.take(census.map_err(|error| error.to_string()));
    }

    /// The counts are those of the sample that the summary is made of, so that they belong to one moment.
    fn census(&mut self, probe: &mut Probe) -> Result<Census, ReadError> {
        let last = self.sample_now(probe)?;
        let counts = self.counted(&last.totals.counts);
        let tally = self.tallying();
        let mut listeners = BTreeMap::new();
        for one in &counts {
            let name = (one.netns, one.listener);
            if let Some(known) = tally.known.get(&one.listener) {
                listeners.entry(name).or_insert_with(|| known.clone());
            }
        }
        let present = last.present.iter().copied().collect();
        Ok(Census {
            mono_ns: mono_ns(),
            counts,
            listeners,
            present,
            summary: self.by_now(probe, last)?,
        })
    }

    fn counted(&self, now: &HashMap<CountKey, CountValue>) -> Vec<Counted> {
        let only = self.lines.filter.netns;
        let wanted = now
            .iter()
            .filter(|(key, _)| only.is_none_or(|only| only == key.netns));
        let counted = wanted.filter_map(|(key, value)| {
            let before = self.base.counts.get(key).map_or(0, |value| value.events);
            let evidence = Evidence::from(key);
            let (kind, stage) = decode::classify(&evidence).ok()?;
            let cause = cause::of(kind, stage, &evidence, self.enricher.reasons());
            Some(Counted {
                netns: key.netns,
                listener: key.listener,
                kind,
                stage,
                cause: cause.map(|cause| cause.id.into_owned()),
                n: value.events.saturating_sub(before),
            })
        });
        counted.filter(|one| one.n > 0).collect()
    }
}
