//! The library against the kernel alone: every path of tests/src/paths moves
//! exactly the counters that it is said to move. No whydrop here; when one of
//! these fails, the others cannot be believed.

use anyhow::{Context, Result};
use whydrop_tests::family::Family;
use whydrop_tests::paths::{self, Path};
use whydrop_tests::skip::skip_part;
use whydrop_tests::wire::Wire;

fn prove(name: &str, path: Path, family: Family) -> Result<()> {
    let wire = Wire::new()?;
    let before = wire.netns().counters()?;
    let expected = path(&wire, family)?;
    if let Some(why) = &expected.impossible {
        skip_part(&format!("{name} over {family}"), why)?;
    }
    expected
        .check(&wire, &before)
        .with_context(|| format!("{name} over {family}"))
}

fn prove_all(family: Family) {
    let failures: Vec<_> = paths::ALL
        .into_iter()
        .filter_map(|(name, path)| prove(name, path, family).context(name).err())
        .map(|error| format!("{error:#}"))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} differ:\n{}",
        failures.len(),
        paths::ALL.len(),
        failures.join("\n")
    );
}

#[test]
fn every_path_over_ipv4() {
    prove_all(Family::V4);
}

#[test]
fn every_path_over_ipv6() {
    prove_all(Family::V6);
}

#[test]
fn every_path_over_ipv4_mapped() {
    prove_all(Family::Mapped);
}
