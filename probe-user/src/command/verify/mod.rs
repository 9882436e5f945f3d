//! `whydrop verify`: one listener is watched for a time, and whether it took everybody who came is said.

mod from;
mod watched;

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{Failure, against::Earlier, say, status};
use crate::{
    analyse::verify::Bar,
    filter::ListenerFilter,
    model::{Start, Verdict, Verified, request::parse_duration, tier::Tier},
    sink::{Format, RecordArgs, Reporter},
};

#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The listener, as ADDR:PORT or PORT
    #[arg(value_name = "[ADDR:]PORT")]
    pub listener: ListenerFilter,

    /// Watch for this long, such as 30s, 5m or 1h
    #[arg(long = "for", short = 't', value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub duration: Duration,

    /// Look only in this network namespace: a name of `ip netns`, a PID, its number, a path, `self` or `all`
    #[arg(long, short = 'n', value_name = "NETNS", default_value = "all")]
    pub netns: String,

    /// Share of the accept queue's limit that has to stay free, such as 25% or 0.25; a limit of up to 4 may be used up
    #[arg(long, value_name = "SHARE", default_value = "25%", value_parser = parse_share)]
    pub headroom: f64,

    /// Number of connections that have to come; fewer prove nothing
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub at_least: u64,

    /// Force one way of watching: trampoline, kprobe or cgroup (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,

    /// Judge this recording of `verify`, `watch` or `record`, and watch nothing (can be given again)
    #[arg(long, value_name = "FILE|DIR", num_args = 1, conflicts_with_all = ["duration", "tier", "path"])]
    pub from: Vec<PathBuf>,

    /// Show figures from this earlier recording of `verify`, `run`, `why`, `watch` or `record` beside those of now
    #[arg(long, value_name = "FILE|DIR")]
    pub against: Option<PathBuf>,

    /// Format of the verdict: `text` for people, `json` for machines
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    #[command(flatten)]
    pub record: RecordArgs,
}

fn parse_share(text: &str) -> Result<f64, String> {
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    let share = number.ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| {
        format!("`{text}` is not a share; write 25% or 0.25, and less than the whole")
    })
}

impl VerifyArgs {
    const fn bar(&self) -> Bar {
        Bar {
            headroom: self.headroom,
            at_least: self.at_least,
        }
    }
}

/// Status 0 if it held, else 1.
pub fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let earlier = Earlier::read(args.against.as_ref())?;
    let judged = if args.from.is_empty() {
        watched::verified(args)?
    } else {
        from::verified(args)?
    };
    let Judged {
        mut verified,
        mut reporter,
        told_ns,
        start,
        recorded,
    } = judged;
    verified.against = earlier.zip(start).map(|(earlier, start)| {
        earlier.beside((&start, &verified.summary), &[args.listener], false)
    });
    let mut text = String::new();
    reporter.write_verified(told_ns, &verified, &mut text);
    let said = say(text.trim_end());
    match (verified.verdict, said) {
        (Verdict::Held, Ok(())) => recorded,
        (Verdict::Held, said) => said,
        // A reader that went away may still ask for the status.
        (_, Err(failure)) if !failure.is_reader_gone() => Err(failure),
        _ => Err(Failure::new(
            status::FAILED,
            recorded.map_or_else(|failure| failure.message, |()| String::new()),
        )),
    }
}

/// A listener that was judged, and how to tell of it.
struct Judged {
    verified: Verified,
    reporter: Reporter,
    /// When that was.
    told_ns: u64,
    /// How the watch began.
    start: Option<Start>,
    /// Whether it was recorded, where that is wanted.
    recorded: Result<(), Failure>,
}

#[cfg(test)]
mod tests;
