//! What a scenario finds out for the table in docs/kernels.md: whether an event
//! named the cause that was injected. `cargo xtask` reads these lines, whose
//! form is fixed, and makes the table of them (xtask/src/table/finding.rs):
//!
//! `TABLE <tier> <kind> <stage|-> <cause> exact|among:<a>,<b>|not-visible`

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use crate::event::Event;
use crate::log::say;
use crate::paths::ExpectedEvent;

#[derive(Debug, PartialEq)]
pub struct Finding {
    /// The one whydrop ran on.
    pub tier: String,
    pub kind: String,
    pub stage: Option<String>,
    /// The injected one, whatever the event says.
    pub cause: String,
    pub verdict: Verdict,
}

#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The event names the cause and no other.
    Exact,
    /// The event names all of these, the true cause being one.
    Among(Vec<String>),
    /// There is no event, or it names other causes only.
    NotVisible,
}

impl Finding {
    /// Judges the event that was found for an injected one. `None` for an event
    /// without a cause, such as a retransmit: there is nothing to tell apart. Nor
    /// for a refusal that was not looked up in time: that says nothing of the kernel.
    pub fn of(wanted: &ExpectedEvent, found: Option<&Event>, tier: &str) -> Option<Self> {
        let cause = wanted.cause?;
        if found.is_some_and(was_not_looked_up) {
            return None;
        }
        Some(Self {
            tier: tier.to_owned(),
            kind: wanted.kind.to_owned(),
            stage: wanted.stage.map(str::to_owned),
            cause: cause.to_owned(),
            verdict: found.map_or(Verdict::NotVisible, |event| verdict(cause, event)),
        })
    }
}

/// Its `or` has what a look into `sock_diag` would have ruled out.
fn was_not_looked_up(event: &Event) -> bool {
    let or = event.0["or"].as_array().into_iter().flatten();
    let mut or = or.filter_map(|value| value.as_str());
    event.is("refused")
        && or.any(|also| {
            also.starts_with("listener-on-other") || also.starts_with("listener-in-other")
        })
}

fn verdict(cause: &str, event: &Event) -> Verdict {
    let or = event.0["or"].as_array().into_iter().flatten();
    let or = or.filter_map(|value| value.as_str());
    let named: Vec<String> = event
        .cause()
        .into_iter()
        .chain(or)
        .map(str::to_owned)
        .collect();
    if !named.iter().any(|name| name == cause) {
        return Verdict::NotVisible;
    }
    if named.iter().all(|name| name == cause) {
        Verdict::Exact
    } else {
        Verdict::Among(named)
    }
}

/// The same finding is said once a run, since many scenarios come to the same.
pub fn note(finding: &Finding) -> Result<()> {
    static NOTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let line = finding.to_string();
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !noted.insert(line.clone()) {
        return Ok(());
    }
    say(line)
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = self.stage.as_deref().unwrap_or("-");
        let Self {
            tier,
            kind,
            cause,
            verdict,
            ..
        } = self;
        write!(out, "TABLE {tier} {kind} {stage} {cause} {verdict}")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => out.write_str("exact"),
            Self::Among(causes) => write!(out, "among:{}", causes.join(",")),
            Self::NotVisible => out.write_str("not-visible"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use serde_json::{Value, json};

    use super::*;

    fn wanted(stage: Option<&'static str>, cause: Option<&'static str>) -> ExpectedEvent {
        ExpectedEvent {
            kind: "listen-drop",
            stage,
            cause,
            client: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))),
            optional: false,
        }
    }

    fn check(found: Option<Value>, line: &str) {
        let wanted = wanted(Some("syn"), Some("no-route"));
        let finding = Finding::of(&wanted, found.map(Event).as_ref(), "kprobe");
        let said = finding.map(|finding| finding.to_string());
        assert_eq!(said.as_deref(), Some(line));
    }

    #[test]
    fn an_event_that_names_the_cause_alone_is_exact() {
        let line = "TABLE kprobe listen-drop syn no-route exact";
        check(Some(json!({"cause": "no-route"})), line);
        check(Some(json!({"cause": "no-route", "or": []})), line);
    }

    #[test]
    fn the_true_cause_may_stand_in_either_place_among_others() {
        check(
            Some(json!({"cause": "no-route", "or": ["no-memory"]})),
            "TABLE kprobe listen-drop syn no-route among:no-route,no-memory",
        );
        check(
            Some(json!({"cause": "max-syn-backlog", "or": ["no-route"]})),
            "TABLE kprobe listen-drop syn no-route among:max-syn-backlog,no-route",
        );
    }

    #[test]
    fn no_event_or_one_that_names_only_others_is_not_visible() {
        let line = "TABLE kprobe listen-drop syn no-route not-visible";
        check(None, line);
        check(Some(json!({"cause": "no-memory"})), line);
        check(Some(json!({"cause": null})), line);
    }

    #[test]
    fn without_a_stage_or_a_cause() {
        let finding = Finding::of(&wanted(None, Some("no-route")), None, "cgroup");
        let said = finding.map(|finding| finding.to_string());
        let line = "TABLE cgroup listen-drop - no-route not-visible";
        assert_eq!(said.as_deref(), Some(line));
        assert_eq!(Finding::of(&wanted(None, None), None, "cgroup"), None);
    }
}
