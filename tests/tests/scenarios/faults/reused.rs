//! Namespaces that come and go faster than whydrop looks, so that one has the number of another that was never found. What
//! the hooks saw under that number is of both: a row says so, or it adds up; it is never less than nothing.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use whydrop_tests::{
    deadline::scaled, family::Family, truth::find_row, whydrop::Whydrop, wire::Wire,
};

/// Of each namespace that ends, and of each that stays.
const BY_THE_FIRST: usize = 3;
const BY_THE_NEXT: usize = 1;

/// Namespaces that have the number of one that ended.
const WANTED: usize = 3;

fn refuses(times: usize) -> Result<Wire> {
    let wire = Wire::new()?;
    let listener = wire.full_listener()?;
    for _ in 0..times {
        wire.peer(Family::V4, listener.port()).syn()?;
    }
    Ok(wire)
}

/// Namespaces that refused with the number of one that refused before.
fn of_used_numbers() -> Result<Vec<Wire>> {
    let (mut ended, mut found, mut others) = (HashSet::new(), Vec::new(), Vec::new());
    let deadline = Instant::now() + scaled(Duration::from_secs(20));
    while found.len() < WANTED {
        ensure!(Instant::now() < deadline, "no number is used again");
        let first = refuses(BY_THE_FIRST)?;
        ended.insert(first.netns().inum());
        drop(first);
        let next = refuses(BY_THE_NEXT)?;
        let is_found = ended.remove(&next.netns().inum());
        if is_found { &mut found } else { &mut others }.push(next);
    }
    Ok(found)
}

fn check_row(row: &Value) -> Result<()> {
    let is_told = row["kernel"] == BY_THE_NEXT && row["unattributed"] == 0;
    let is_unknown = row["kernel"].is_null() && row["unattributed"].is_null();
    ensure!(is_told || is_unknown, "{row}");
    let why = row["no_kernel"].as_str().unwrap_or_default();
    ensure!(is_told || why.contains("another namespace"), "{row}");
    Ok(())
}

#[test]
fn a_row_of_two_namespaces_is_not_known() -> Result<()> {
    let whydrop = Whydrop::start()?;
    let stays = of_used_numbers()?;
    let stopped = whydrop.stop()?;
    let summary = stopped.summary()?;
    let mut unknown = 0;
    for wire in &stays {
        let inum = wire.netns().inum();
        let row = find_row(summary, inum, "ListenOverflows").context("no row")?;
        check_row(row)?;
        unknown += usize::from(row["kernel"].is_null());
        let others = &stopped.others;
        let residual = others
            .iter()
            .find(|line| line["type"] == "residual" && line["netns"] == inum);
        ensure!(residual.is_none(), "{residual:?}");
    }
    ensure!(unknown > 0, "no number was used again while nobody looked");
    Ok(())
}
