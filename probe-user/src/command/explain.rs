//! `whydrop explain`: what the pages that came with this binary say about a name.

use clap::Args;

use super::{Failure, say};
use crate::explain;

#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// A cause, a kind of event or a verdict, as the output names it; without it, all names are listed
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

pub fn run(args: &ExplainArgs) -> Result<(), Failure> {
    match &args.name {
        Some(name) => say(explain::about(name).map_err(Failure::usage)?.trim_end()),
        None => say(explain::names()),
    }
}
