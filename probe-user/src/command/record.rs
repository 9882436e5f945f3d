//! `whydrop record`: a watch that is kept instead of shown, for as long as it is wanted or while a command runs.

use std::ffi::OsString;

use clap::Args;

use super::{
    Failure, status,
    watch::{self, WatchArgs},
};
use crate::{
    host::{clock, origin::origin},
    model::{Line, Summary, sandbox::Confine},
    sink::{Format, RecordArgs, Reporter, aside, say_ready, whole_aside},
    source::{Conduct, child::While},
};

#[derive(Args, Clone, Debug)]
pub struct RecordCommand {
    /// Record until this command ends; its streams and its exit status stay its own
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,

    /// What is watched; `--output` is where the recording goes
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// Records; the command's own status comes out where there is one.
pub fn run(args: &RecordCommand) -> Result<(), Failure> {
    let mut watch_args = args.watch.clone();
    if watch_args.record.path.is_some() {
        return Err(Failure::usage(
            "`record` records by itself; name its file by --output FILE, or a folder by --output DIR/",
        ));
    }
    watch_args.record = RecordArgs {
        // A name from host and time, in the current folder.
        path: Some(watch_args.output.take().unwrap_or_else(|| ".".into())),
        ..watch_args.record
    };
    if args.command.is_empty() {
        let summary = watch::run(
            &watch_args,
            Conduct {
                ready: Box::new(say_ready),
                tells_incidents: true,
                confine: Confine::Yes,
                ..Conduct::silent(|_, _| {})
            },
        )?;
        tell(&summary);
        return Ok(());
    }
    while_it_runs(&watch_args, &args.command)
}

fn while_it_runs(watch_args: &WatchArgs, command: &[OsString]) -> Result<(), Failure> {
    let running = While::new(command);
    let conduct = Conduct {
        tells_incidents: true,
        confine: Confine::Starts,
        ..running.conduct(say_ready, |_, _| {})
    };
    let watched = watch::run(watch_args, conduct);
    let outcome = running.into_child().outcome();
    let failed = match watched {
        Ok(summary) => {
            tell(&summary);
            None
        }
        Err(failure) => Some(failure),
    };
    let (ended, _) = match (outcome, failed) {
        // What kept the command from being started says more than that it was not.
        (Err(_), Some(failure)) => return Err(failure),
        (outcome, failed) => {
            if let Some(failure) = failed {
                aside(format_args!("{}", failure.message));
            }
            outcome?
        }
    };
    match ended.status() {
        status::OK => Ok(()),
        code => Err(Failure::new(code, "")),
    }
}

/// The summary goes to standard error: standard output is the command's.
fn tell(summary: &Summary) {
    let own_netns = crate::host::netns::current().unwrap_or(0);
    let mut reporter = Reporter::new(
        Format::Text,
        summary.tier,
        own_netns,
        clock::wall(),
        origin(),
    );
    let mut text = String::new();
    let now = crate::host::clock::mono_ns();
    reporter.write(now, &Line::Summary(summary), &mut text);
    whole_aside(&text);
}
