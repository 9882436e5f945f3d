//! `whydrop run`: a command is started once everything is attached, watched
//! until it ends, and what was refused meanwhile is told.

mod from;
mod report;

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;

use self::{
    from::of_recording,
    report::{Report, watch_it_run},
};
use super::{Failure, against::Earlier, status};
use crate::{
    filter::ListenerFilter,
    model::tier::Tier,
    sink::{Format, Patient, RecordArgs, create},
};

#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// End with status 1 if the command succeeded and a listener refused anything, something was dropped before one,
    /// a client of this host found no listener, or whydrop cannot tell
    #[arg(long)]
    pub fail_on_drop: bool,

    /// Write the report to this file instead of standard error
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// Format of the report: `text` for people, `json` for machines
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Judge only this listener, as ADDR:PORT or PORT (can be given again)
    #[arg(long = "listener", short = 'l', value_name = "[ADDR:]PORT")]
    pub listeners: Vec<ListenerFilter>,

    /// Judge only this network namespace: a name of `ip netns`, a PID, its number, a path, `self` or `all`
    #[arg(long, short = 'n', value_name = "NETNS", default_value = "all")]
    pub netns: String,

    /// Force one way of watching: trampoline, kprobe, cgroup or counters (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,

    /// Report on this recording of `run`; run nothing and watch nothing (can be given again)
    #[arg(long, value_name = "FILE|DIR", num_args = 1, conflicts_with_all = ["tier", "path", "listeners", "netns", "command"])]
    pub from: Vec<PathBuf>,

    /// Show figures from this earlier recording of `run`, `verify`, `why`, `watch` or `record` beside those of now
    #[arg(long, value_name = "FILE|DIR")]
    pub against: Option<PathBuf>,

    /// The command and its arguments
    #[arg(
        trailing_var_arg = true,
        required_unless_present = "from",
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,

    #[command(flatten)]
    pub record: RecordArgs,
}

/// Runs the command; its own status comes out, or 1 for what was dropped.
pub fn run(args: &RunArgs) -> Result<(), Failure> {
    // Before anything is started: who cannot be told needs not be watched.
    let report: Box<dyn Write> = match &args.report {
        None => Box::new(Patient(io::stderr())),
        Some(path) => Box::new(create(path).map_err(Failure::usage)?),
    };
    let earlier = Earlier::read(args.against.as_ref())?;
    let mut report_of = if args.from.is_empty() {
        watch_it_run(args)?
    } else {
        of_recording(args)?
    };
    let now = (&report_of.start, &report_of.ran.summary);
    let against = earlier.map(|earlier| earlier.beside_run(now)).transpose()?;
    report_of.ran.against = against;
    let told = tell(&mut report_of, report);
    let ran = &report_of.ran;
    let untold = told
        .err()
        .filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
    let untold = untold.map(|error| format!("writing the report failed: {error}"));
    let failed: Vec<String> = untold.into_iter().chain(report_of.recorded.err()).collect();
    let failed = failed.join("; ");
    match (ran.status, failed.is_empty()) {
        (status::OK, true) => Ok(()),
        (status::OK, false) => Err(Failure::failed(failed)),
        (status, _) => Err(Failure::new(status, failed)),
    }
}

fn tell(report: &mut Report, mut to: Box<dyn Write>) -> io::Result<()> {
    let mut text = String::new();
    (report.reporter).write_ran(report.told_ns, &report.ran, &mut text);
    to.write_all(text.as_bytes())?;
    to.flush()
}
