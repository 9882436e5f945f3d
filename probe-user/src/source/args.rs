//! What `whydrop watch` is asked for.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use crate::{
    filter::{ListenerFilter, Only},
    model::request::{Request, Words, defaults, parse_duration},
    sandbox,
    sink::{Format, RecordArgs, TOP, is_standard_output},
};

#[derive(Args, Clone, Debug)]
pub struct WatchArgs {
    /// Format of the lines: `text` for people, `json` for machines (one object a line)
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Stop after this long, such as 30s, 5m or 1h
    #[arg(long = "for", short = 't', value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Only this listener, as ADDR:PORT or PORT (can be given again)
    #[arg(long = "listener", short = 'l', value_name = "[ADDR:]PORT")]
    pub listeners: Vec<ListenerFilter>,

    /// Only this network namespace: a name of `ip netns`, a PID, its number, a path, `self` or `all`
    #[arg(long, short = 'n', value_name = "NETNS", default_value = "all")]
    pub netns: String,

    #[command(flatten)]
    pub request: Request,

    /// Add the lines to this file instead of standard output, which is `-`
    #[arg(long, short = 'o', value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print incidents only: when one begins, every 10 s while it lasts, and when it is over, with its verdict
    #[arg(long, short = 'q')]
    pub quiet: bool,

    /// Run this command for each line of an incident, which it finds as JSON on its standard input: one at a time, for 10 s
    /// at most, without a shell (quotes hold words together)
    #[arg(long, value_name = "COMMAND")]
    pub on_incident: Option<Words>,

    /// What is given up once everything is attached: privileges and system calls that nothing needs any more
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    pub sandbox: sandbox::Mode,

    /// Listeners in the tables of the summary, those with the most refusals; 0 for all (JSON has all)
    #[arg(long, value_name = "N", default_value_t = TOP)]
    pub top: usize,

    #[command(flatten)]
    pub record: RecordArgs,

    #[command(flatten)]
    pub only: Only,
}

impl WatchArgs {
    /// The file that lines are added to.
    pub fn file(&self) -> Option<&Path> {
        let path = self.output.as_deref();
        path.filter(|path| !is_standard_output(path))
    }
}

impl Default for WatchArgs {
    /// What `whydrop watch` does without arguments.
    fn default() -> Self {
        defaults()
    }
}
