//! How a watch began, as JSON has it.

use schemars::JsonSchema;
use serde::Serialize;

use super::{head::Head, names};
use crate::{
    model::{
        SelfTest, Start,
        hook::HookReport,
        sandbox::{Extent, Sandbox},
    },
    sink::Reporter,
};

#[derive(Serialize, JsonSchema)]
pub(crate) struct StartView<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    ts: String,
    #[schemars(extend("enum" = names::tiers()))]
    tier: &'a str,
    hooks: Vec<Hook<'a>>,
    #[schemars(extend("enum" = ["passed", "skipped"]))]
    self_test: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    self_test_skipped: Option<&'a str>,
    /// What is in force of the sandbox, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = names::extents()))]
    sandbox: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_lacks: Option<&'a str>,
    /// Capabilities that are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<&'a [String]>,
    namespaces: usize,
    listeners: usize,
    filters: &'a [String],
    absent: &'a [String],
    blind: &'a [&'a str],
}

#[derive(Serialize, JsonSchema)]
struct Hook<'a> {
    hook: &'a str,
    /// How it is attached, `null` when it is not.
    via: Option<&'a str>,
    refused: Vec<Refusal<'a>>,
}

#[derive(Serialize, JsonSchema)]
struct Refusal<'a> {
    via: &'a str,
    why: &'a str,
}

impl<'a> Hook<'a> {
    fn of(report: &'a HookReport) -> Self {
        let trials = report.trials.iter();
        let refused = trials.filter_map(|trial| {
            Some(Refusal {
                via: trial.via,
                why: trial.refused.as_deref()?,
            })
        });
        Self {
            hook: report.hook,
            via: report.tier.and(report.via()),
            refused: refused.collect(),
        }
    }
}

impl<'a> StartView<'a> {
    pub(crate) fn of(reporter: &'a Reporter, ts: String, start: &'a Start) -> Self {
        let (self_test, self_test_skipped) = match &start.self_test {
            SelfTest::Passed { .. } => ("passed", None),
            SelfTest::Skipped(why) => ("skipped", Some(why.as_str())),
        };
        let sandbox = start.sandbox.as_ref();
        let is_in_force = |it: &&Sandbox| it.extent != Extent::Off;
        Self {
            head: Head::of(&reporter.origin),
            ts,
            tier: start.tier.name(),
            hooks: start.hooks.iter().map(Hook::of).collect(),
            self_test,
            self_test_skipped,
            sandbox: sandbox.map(|it| it.extent.name()),
            sandbox_lacks: sandbox.and_then(|it| it.lacks.as_deref()),
            capabilities: sandbox
                .filter(is_in_force)
                .map(|it| it.capabilities.as_slice()),
            namespaces: start.namespaces,
            listeners: start.listeners,
            filters: &start.filters,
            absent: &start.absent,
            blind: &start.blind,
        }
    }
}
