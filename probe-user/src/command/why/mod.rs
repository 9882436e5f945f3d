//! `whydrop why`: looks at a port, watches it, and answers why it refuses connections.

mod from;
mod watched;

use std::{path::PathBuf, time::Duration};

use clap::Args;

use self::watched::watched;
use super::{Failure, say};
use crate::{
    filter::ClientFilter,
    model::{Answer, Now, request::parse_duration, tier::Tier},
    observe::Target,
    sink::{RecordArgs, answer::AnswerFormat},
};

#[derive(Args, Clone, Debug)]
pub struct WhyArgs {
    /// The listener, or where one should be: 8080, :8080, 10.0.0.1:8080 or [fd00::1]:8080
    #[arg(value_name = "[ADDR:]PORT")]
    pub target: Target,

    /// Watch for this long at most, such as 10s or 5m
    #[arg(long = "for", short = 't', value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    pub duration: Duration,

    /// Watch for all of that time. Without it the answer comes once it has been the same for 3 s where all of it is
    /// certain, for 10 s where it is likely, and nothing is in doubt
    #[arg(long)]
    pub full: bool,

    /// In this network namespace only: a name of `ip netns`, a PID, its number, a path, `self` or `all`
    #[arg(long, short = 'n', value_name = "NETNS", default_value = "all")]
    pub netns: String,

    /// Why it refuses these clients: an address or a network such as 10.0.0.0/8. Only what is known to have happened
    /// to them is judged; queues and processes are judged by what they did for everybody
    #[arg(long, value_name = "ADDR[/BITS]")]
    pub client: Option<ClientFilter>,

    /// Connect once to the listener, as a client would, and follow that too
    #[arg(long)]
    pub probe: bool,

    /// Answer from this recording of `why`, `watch` or `record`, and watch nothing (can be given again)
    #[arg(long, value_name = "FILE|DIR", num_args = 1, conflicts_with_all = ["duration", "full", "probe", "tier", "path"])]
    pub from: Vec<PathBuf>,

    /// Format of the answer: `text`, `json` (one object) or `markdown` (a report for a ticket)
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "text")]
    pub format: AnswerFormat,

    /// Force one way of watching: trampoline, kprobe or cgroup (see `whydrop check`)
    #[arg(long, value_name = "TIER")]
    pub tier: Option<Tier>,

    #[command(flatten)]
    pub record: RecordArgs,
}

pub fn run(args: &WhyArgs) -> Result<(), Failure> {
    let (answer, recorded) = if args.from.is_empty() {
        watched(args, || {})?
    } else {
        let answer = from::answer(args)?;
        if let (AnswerFormat::Text, Some(now)) = (args.format, &answer.now) {
            say_now(now)?;
        }
        (answer, Ok(()))
    };
    let mut text = String::new();
    answer.write(args.format, &mut text);
    say(text.trim_end())?;
    recorded
}

/// Looks, watches and answers. Calls `ready` when everything is attached.
pub fn answer(args: &WhyArgs, ready: impl FnOnce()) -> Result<Answer, Failure> {
    let (answer, recorded) = watched(args, ready)?;
    recorded.map(|()| answer)
}

fn say_now(now: &Now) -> Result<(), Failure> {
    let mut text = String::new();
    now.write(&mut text);
    say(text.trim_end())
}
