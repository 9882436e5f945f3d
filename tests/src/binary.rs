//! Where the whydrop under test is.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// `WHYDROP_BIN`, or the one beside the tests: /bin in a VM, the profile's
/// directory in a target directory.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("WHYDROP_BIN") {
        return Ok(path.into());
    }
    let tests = std::env::current_exe()?;
    let places = tests
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("whydrop"));
    let mut places = places.filter(|path| path.is_file());
    places
        .next()
        .context("no whydrop beside the tests; build it, or name it in WHYDROP_BIN")
}
