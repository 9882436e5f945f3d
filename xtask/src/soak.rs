//! One whydrop beside everything that comes and goes on a host, for a while, and then beside what an unprivileged user can do to it:
//! the scenarios `soak::` and `attack::` of the tests, for as long as is asked.

use std::path::Path;

use anyhow::{Result, bail};

use crate::{artifacts, proc, setup};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// How long each attack takes afterwards, in seconds; 0 for none.
    #[arg(long, default_value_t = 60)]
    attack_seconds: u64,
}

/// What `cargo xtask test` takes for it.
const IN_TESTS_SECONDS: u64 = 20;

pub(crate) fn run(args: &Args) -> Result<()> {
    if !proc::is_root() {
        bail!("it loads BPF programs and makes network namespaces: run this as root");
    }
    setup::run(setup::Needs::Build)?;
    let whydrop = artifacts::static_whydrop()?;
    soak(&whydrop, args.minutes * 60)?;
    if args.attack_seconds == 0 {
        return Ok(());
    }
    let mut attacks = artifacts::run_scenarios(&["--nocapture".into(), "attack::".into()]);
    attacks
        .env("WHYDROP_BIN", &whydrop)
        .env("WHYDROP_ATTACK_SECONDS", args.attack_seconds.to_string())
        .env_remove("WHYDROP_TIER");
    proc::run(attacks)
}

/// A short one, in which nothing grows either.
pub(crate) fn quick(whydrop: &Path) -> Result<()> {
    soak(whydrop, IN_TESTS_SECONDS)
}

fn soak(whydrop: &Path, seconds: u64) -> Result<()> {
    let filter = [
        "--ignored",
        "--nocapture",
        "--exact",
        "soak::everything_comes_and_goes",
    ];
    let mut soak = artifacts::run_scenarios(&filter.map(str::to_owned));
    soak.env("WHYDROP_BIN", whydrop)
        .env("WHYDROP_SOAK_SECONDS", seconds.to_string())
        .env_remove("WHYDROP_TIER");
    proc::run(soak)
}
