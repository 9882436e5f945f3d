//! How many incidents there were, by verdict, and how many go on.

use std::collections::{BTreeMap, HashSet};

use crate::{
    diagnose,
    model::{
        alarm::{Alarm, Phase},
        exposition::{Family, Metric, Sample, Value},
    },
};

#[derive(Debug, Default)]
pub(super) struct Incidents {
    active: HashSet<u64>,
    ended: BTreeMap<String, u64>,
    untold: u64,
}

impl Incidents {
    pub(super) fn take(&mut self, alarm: &Alarm) {
        self.untold += alarm.untold;
        match alarm.phase {
            Phase::Begin => drop(self.active.insert(alarm.id)),
            Phase::Update => {}
            Phase::End | Phase::Cut => {
                self.active.remove(&alarm.id);
                let first = alarm.verdicts.first();
                let verdict = first.map_or(diagnose::UNDETERMINED, |said| &said.id);
                *self.ended.entry(verdict.to_owned()).or_default() += 1;
            }
        }
    }

    pub(super) fn active(&self) -> usize {
        self.active.len()
    }

    /// Every verdict is there from the beginning: what is born at 1 has no rate.
    pub(super) fn families(&self) -> Vec<Family> {
        let ended = diagnose::ids().map(|id| Sample {
            labels: vec![("verdict", id.into())],
            value: Value::Count(self.ended.get(id).copied().unwrap_or(0)),
        });
        let one = |value| {
            vec![Sample {
                labels: Vec::new(),
                value: Value::Count(value),
            }]
        };
        vec![
            Family {
                name: "whydrop_incidents",
                help: "Incidents that are over, by their first verdict.",
                metric: Metric::Counter,
                unit: None,
                samples: ended.collect(),
            },
            Family {
                name: "whydrop_incidents_untold",
                help: "Incidents that were not told of, since too many went on at once.",
                metric: Metric::Counter,
                unit: None,
                samples: one(self.untold),
            },
            Family {
                name: "whydrop_incident_active",
                help: "Incidents that go on.",
                metric: Metric::Gauge,
                unit: None,
                samples: one(self.active.len() as u64),
            },
        ]
    }
}
