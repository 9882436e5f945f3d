//! `whydrop serve`: a watch for good that hands out what it counts.

use super::{Failure, say, watch};
use crate::{model::tier::Tier, serve::ServeArgs};

/// Serves until a signal.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    if args.request.tier == Some(Tier::Counters) {
        return Err(Failure::usage(
            "serve needs hooks in the kernel, which the counters tier does not have; leave out --tier",
        ));
    }
    if args.check_config {
        return say("the configuration is right");
    }
    let conduct = args.begin().map_err(Failure::failed)?;
    let watched = watch::run(&args.watch(), conduct);
    args.end();
    watched.map(drop)
}
