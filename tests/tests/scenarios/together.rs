//! Every path under one whydrop, each in a namespace of its own: what a host
//! with many namespaces sees in a minute. The table of docs/kernels.md comes
//! from here on every tier; where a start takes seconds this is also the
//! fastest way to ask everything.

use anyhow::{Context, Result, ensure};
use whydrop_tests::family::Family;
use whydrop_tests::paths;
use whydrop_tests::skip::skip_part;
use whydrop_tests::truth::Truth;
use whydrop_tests::whydrop::Whydrop;
use whydrop_tests::wire::Wire;

use crate::traced::{check_events, wait_for};

/// What needs another command line, leaves something unattributed by design, or
/// has whydrop look into a namespace that is older than itself, has scenarios of
/// its own.
const APART: [&str; 5] = ["H ", "K ", "Q unreachable_client", "Z ", "closed_unread"];

#[test]
fn every_path_over_ipv4() -> Result<()> {
    trace_all(Family::V4)
}

#[test]
fn every_path_over_ipv6() -> Result<()> {
    trace_all(Family::V6)
}

#[test]
fn every_path_over_ipv4_mapped() -> Result<()> {
    trace_all(Family::Mapped)
}

fn trace_all(family: Family) -> Result<()> {
    let together = paths::ALL
        .into_iter()
        .filter(|(name, _)| !APART.iter().any(|apart| name.starts_with(apart)));
    // A namespace that is younger than whydrop is not always found in time for a snapshot.
    let wires: Vec<_> = together
        .map(|(name, path)| (name, path, Wire::new()))
        .collect();
    let whydrop = Whydrop::start()?;
    let mut traced = Vec::new();
    for (name, path, wire) in wires {
        let wire = wire?;
        let truth = Truth::begin(wire.netns())?;
        let expected = path(&wire, family).with_context(|| format!("inject {name}"))?;
        if let Some(why) = &expected.impossible {
            skip_part(&format!("{name} over {family}"), why)?;
            continue;
        }
        wait_for(&whydrop, &wire, &expected).with_context(|| format!("after {name}"))?;
        traced.push((name, wire, truth, expected));
    }
    let stopped = whydrop.stop()?;
    let failures: Vec<String> = traced
        .iter()
        .filter_map(|(name, wire, truth, expected)| {
            truth
                .check(wire.netns(), &stopped)
                .and_then(|()| check_events(wire, expected, &stopped))
                .with_context(|| (*name).to_owned())
                .err()
        })
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(
        failures.is_empty(),
        "{} of {} differ:\n{}",
        failures.len(),
        traced.len(),
        failures.join("\n")
    );
    Ok(())
}
