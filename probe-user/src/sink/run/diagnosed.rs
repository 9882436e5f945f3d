//! When and why something was refused, place by place.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    model::{Diagnosed, incident::Place},
    sink::{
        answer::{Known, PlaceView, indent},
        incident::IncidentView,
    },
};

impl Diagnosed {
    /// When it refused there, and why.
    pub(super) fn write_place(
        &self,
        place: Place,
        known: Known<'_>,
        to: &mut String,
    ) -> fmt::Result {
        let mut answers = self.answers.iter();
        let Some(answer) = answers.find(|answer| answer.place == Some(place)) else {
            return Ok(());
        };
        let mut text = String::new();
        answer.write_top_clients(&mut text)?;
        answer.write_incidents(known, &mut text)?;
        answer.write_verdicts(&mut text)?;
        answer.write_rest(known, &mut text)?;
        indent(&text, to)
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct DiagnosedView<'a> {
    answers: Vec<PlaceView<'a>>,
    more_places: usize,
    incidents: Vec<IncidentView<'a>>,
    incidents_let_go: u64,
}

impl<'a> DiagnosedView<'a> {
    pub(super) fn of(diagnosed: &'a Diagnosed, known: Known<'a>) -> Self {
        let incidents = diagnosed.incidents.incidents.iter();
        let answers = diagnosed.answers.iter();
        Self {
            answers: answers.map(|answer| PlaceView::of(answer, known)).collect(),
            more_places: diagnosed.more_places,
            incidents: incidents
                .map(|incident| IncidentView::of(incident, known.clock, known.names))
                .collect(),
            incidents_let_go: diagnosed.incidents.let_go,
        }
    }
}
