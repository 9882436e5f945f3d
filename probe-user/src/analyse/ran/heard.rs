//! What was seen while a command ran becomes a report: lines come in, live or from a recording, and when they end, the
//! report goes out. It asks nobody and reads no clock.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    judged::{judge, status_of},
    places::{Hurt as HurtPlaces, Places},
};
use crate::{
    analyse::{beside::Beside, judge::Scope, ledger::Ledger},
    model::{
        Diagnosed, Hurt, Line, ListenerTally, Observed, Ran, Start, Summary, ToldRan, tier::Tier,
    },
};

/// What the lines have told.
pub struct Heard {
    ledger: Ledger,
    places: Places,
    beside: Beside,
    /// The command, where `run` itself has recorded it.
    pub told: Option<ToldRan>,
}

impl Heard {
    /// Nothing is known yet.
    pub fn new(hurt: Arc<HurtPlaces>) -> Self {
        Self {
            ledger: Ledger::default(),
            places: Places::new(hurt),
            beside: Beside::default(),
            told: None,
        }
    }

    /// To be told of every line.
    pub fn line(&mut self, mono_ns: u64, line: &Line<'_>) {
        if let Line::Observed(Observed::Ran(told)) = line {
            self.told = Some(ToldRan::clone(told));
        }
        self.ledger.line(line);
        self.places.line(mono_ns, line);
        self.beside.line(mono_ns, line);
    }

    /// Namespaces whose facts may matter.
    pub fn namespaces(&self) -> BTreeSet<u32> {
        self.places.namespaces()
    }

    /// Of the watch that began and ended like this, while this command ran.
    pub fn ran(self, told: ToldRan, start: &Start, summary: Summary, fail_on_drop: bool) -> Ran {
        let scope = Scope {
            namespaces: None,
            picks_listeners: start
                .filters
                .iter()
                .any(|words| words.starts_with("listener ")),
            reads_all: start.reads_all,
        };
        let (dropped, doubts) = judge(&summary, scope);
        let hurt = |tally: &ListenerTally| Hurt {
            moments: self.ledger.moments(tally),
            tally: tally.clone(),
        };
        let hurt = summary.listeners.iter().map(hurt).collect();
        let diagnosed = (summary.tier != Tier::Counters).then(|| Diagnosed {
            places: self.places.diagnoses(&self.beside, &summary),
            incidents: self.beside.told(&summary),
        });
        Ran {
            command: told.command,
            lasted: told.lasted,
            ended: told.ended,
            status: status_of(told.ended, dropped, fail_on_drop),
            filters: start.filters.clone(),
            dropped,
            doubts,
            hurt,
            candidates: self.ledger.candidates(),
            diagnosed,
            summary,
        }
    }
}
