//! `whydrop list`: every listener as it is now. No hook is needed.

use clap::Args;

use super::{Failure, watch::netns_of, write};
use crate::{
    filter::{Filter, ListenerFilter, Only, Whose},
    host::{Host, netns, origin::origin},
    listing::list,
    observe::Survey,
    sink::{Format, listing},
};

#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// List only listeners that take connections to this, as ADDR:PORT or PORT (several are "or")
    #[arg(value_name = "[ADDR:]PORT")]
    pub listeners: Vec<ListenerFilter>,

    /// Format of the lines: `text` for people, `json` for machines (one object a line)
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// List only this network namespace: a name of `ip netns`, a PID, its number, a path, `self` or `all`
    #[arg(long, short = 'n', value_name = "NETNS", default_value = "all")]
    pub netns: String,

    #[command(flatten)]
    pub whose: Whose,
}

pub fn run(args: &ListArgs) -> Result<(), Failure> {
    args.whose.check().map_err(Failure::usage)?;
    let host = Host::new();
    let filter = Filter {
        listeners: args.listeners.clone(),
        netns: netns_of(&args.netns, &host)?,
        only: Only {
            whose: args.whose.clone(),
            ..Only::default()
        },
    };
    let mut survey = Survey::new(host);
    let found = survey.take(filter.netns).map_err(Failure::failed)?;
    let mut rows = list(found);
    rows.retain(|row| {
        let found = &row.found;
        filter.takes_row(found.snapshot.addr, &found.owner, found.cgroup.as_deref())
    });
    let from = (&origin(), netns::current().ok());
    write(&listing(args.format, from, &rows, survey.missing()))
}
