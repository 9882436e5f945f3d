//! When and why something was refused, place by place.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    model::{
        Diagnosed, NetnsNames,
        incident::{Incident, Place},
        verdict::Diagnosis,
    },
    sink::{
        Clock,
        incident::{IncidentView, write_worst},
        json::{At, NetnsView},
        verdict::{VerdictView, write_verdict},
    },
};

/// Incidents of one place that are shown for people.
const INCIDENTS_AT_MOST: usize = 3;

impl Diagnosed {
    fn incidents_at(&self, place: Place) -> Vec<&Incident> {
        let all = self.incidents.incidents.iter();
        all.filter(|incident| incident.place == place).collect()
    }

    /// When it refused there so often, and why.
    pub(super) fn write_place(
        &self,
        place: Place,
        refusals: u64,
        clock: Clock,
        to: &mut String,
    ) -> fmt::Result {
        let mut text = String::new();
        let incidents = self.incidents_at(place);
        write_worst(&incidents, refusals, INCIDENTS_AT_MOST, clock, &mut text)?;
        let of_place = self.places.iter().filter(|(at, _)| *at == place);
        for verdict in of_place.flat_map(|(_, diagnosis)| &diagnosis.verdicts) {
            write_verdict(verdict, &mut text)?;
        }
        for line in text.lines() {
            writeln!(to, "  {line}")?;
        }
        Ok(())
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct DiagnosedView<'a> {
    diagnoses: Vec<DiagnosisView<'a>>,
    incidents: Vec<IncidentView<'a>>,
    incidents_let_go: u64,
}

impl<'a> DiagnosedView<'a> {
    pub(super) fn of(diagnosed: &'a Diagnosed, clock: Clock, names: &'a NetnsNames) -> Self {
        let incidents = diagnosed.incidents.incidents.iter();
        let places = diagnosed.places.iter();
        Self {
            diagnoses: places
                .map(|place| DiagnosisView::of(place, names))
                .collect(),
            incidents: incidents
                .map(|incident| IncidentView::of(incident, clock, names))
                .collect(),
            incidents_let_go: diagnosed.incidents.let_go,
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct DiagnosisView<'a> {
    #[serde(flatten)]
    netns: NetnsView<'a>,
    #[serde(flatten)]
    at: At,
    verdicts: Vec<VerdictView<'a>>,
    ruled_out: BTreeMap<&'static str, &'a str>,
    abstained: &'a [&'static str],
}

impl<'a> DiagnosisView<'a> {
    fn of((place, diagnosis): &'a (Place, Diagnosis), names: &'a NetnsNames) -> Self {
        let verify = || format!("whydrop verify {} --for 60s", place.addr);
        let verdicts = diagnosis.verdicts.iter();
        let ruled_out = diagnosis.ruled_out.iter();
        Self {
            netns: NetnsView::among(place.netns, names),
            at: place.addr.into(),
            verdicts: verdicts.map(|v| VerdictView::of(v, verify())).collect(),
            ruled_out: ruled_out.map(|rule| (rule.id, rule.why.as_str())).collect(),
            abstained: &diagnosis.abstained,
        }
    }
}
