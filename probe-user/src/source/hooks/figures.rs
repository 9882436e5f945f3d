//! What listeners that refuse go through, read ten times a second while they do: a verdict needs to know what they accepted.

use std::time::{Duration, Instant};

use super::HookPipeline;
use crate::{analyse::pressure::Counted, host::clock::mono_ns, loader::Probe, observe::STATS};

/// It takes a twentieth of the time at most.
const REST: u32 = 20;

/// After a reading that failed.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl HookPipeline<'_> {
    /// When they are to be read; `None` while nobody refuses.
    pub fn figures_due(&self) -> Option<Instant> {
        self.lines.alarms.is_any().then_some(self.figures_due)
    }

    /// Reads them.
    pub fn hear_figures(&mut self, probe: &Probe) {
        let began = Instant::now();
        let read =
            (probe.stats.figures()).and_then(|figures| Ok((figures, probe.counts().counts()?)));
        // That is a line of its own at the end, and no verdict rests on it meanwhile.
        let Some((figures, counts)) = self.unread.note(read) else {
            self.figures_due = began + AGAIN_AFTER;
            return;
        };
        let counted = Counted {
            base: &self.base.counts,
            now: &counts,
            reasons: self.enricher.reasons(),
        };
        let mut rows = self.pressure.all(&figures, counted, &self.lines.filter);
        rows.retain(|row| {
            let alarms = &self.lines.alarms;
            row.addr.is_some_and(|addr| alarms.is_at(row.netns, addr))
        });
        let rows = self.as_they_are(rows);
        self.lines.alarms.figures(mono_ns(), &rows);
        let took = began.elapsed();
        self.figures_due = began + STATS.max(took * REST);
    }
}
