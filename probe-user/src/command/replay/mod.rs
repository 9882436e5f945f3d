//! `whydrop replay`: what was recorded is told again, line by line as it was told live, or as much of it as is asked for.

mod again;
mod player;
mod redact;

use std::{path::PathBuf, time::Duration};

use clap::Args;

use self::player::Player;
pub use self::redact::Redact;
use super::Failure;
use crate::{
    filter::{Filter, ListenerFilter, Only},
    model::request::{parse_duration, parse_share},
    sink::{Format, aside},
    source::replay::{Anew, Bounds, Choice, Source, Told, Wanted},
};

#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Recordings, or folders of them; `-` is standard input
    #[arg(value_name = "FILE|DIR", required = true)]
    pub files: Vec<PathBuf>,

    /// Format of the lines: `text` for people, `json` for machines (one object a line)
    #[arg(long, short = 'f', value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Leave out what was before this: 2026-11-27T03:00:00Z, or 03:00:00 on the day the recording began (UTC)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Leave out what came after this
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,

    /// Replay this many times as fast as it happened, such as 1 or 10; otherwise as fast as it can
    #[arg(long, value_name = "N", value_parser = parse_speed)]
    pub speed: Option<f64>,

    /// Only this listener, as ADDR:PORT or PORT (can be given again)
    #[arg(long = "listener", short = 'l', value_name = "[ADDR:]PORT")]
    pub listeners: Vec<ListenerFilter>,

    /// Only this network namespace, by its number
    #[arg(long, short = 'n', value_name = "NUMBER")]
    pub netns: Option<u32>,

    /// Print stories of attempts, even if the watch was not asked for them
    #[arg(long)]
    pub stories: bool,

    /// Print figures of busy listeners no more often than this, such as 10s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub stats: Option<Duration>,

    /// Say so if the recording has no warnings of queues that passed this share of their room, such as 80%
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    pub warn: Option<u8>,

    /// Ignore the recorded stories and answer, and make them anew with the rules of this version
    #[arg(long)]
    pub again: bool,

    /// Print nothing, and make a new recording with other client addresses, for a bug report. The key that maps them is
    /// thrown away. What filters and times leave out is not in it
    #[arg(long, value_name = "WHO", requires = "output", conflicts_with_all = ["speed", "format", "stories", "stats", "warn", "again"])]
    pub redact: Option<Redact>,

    /// The new recording
    #[arg(long, short = 'o', value_name = "FILE|DIR", requires = "redact")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub only: Only,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok();
    speed
        .filter(|speed: &f64| speed.is_finite() && *speed > 0.0)
        .ok_or_else(|| format!("`{text}` is not a speed; write 1, 10 or 0.5"))
}

pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let filter = Filter {
        listeners: args.listeners.clone(),
        netns: args.netns,
        only: args.only.clone(),
    };
    for id in args.only.unknown_causes() {
        aside(format_args!(
            "this version knows no cause `{id}`; `whydrop explain` lists them"
        ));
    }
    let is_filtered = !filter.in_words().is_empty();
    let bounds = Bounds {
        since: args.since.clone(),
        until: args.until.clone(),
    };
    let choice = Choice::new(filter.clone(), bounds);
    if let (Some(Redact::Clients), Some(to)) = (args.redact, &args.output) {
        return redact::run(args, choice, to);
    }
    let wanted = Wanted {
        stories: args.stories,
        stats_every: args.stats,
        warn_percent: args.warn,
        again: args.again,
    };
    let mut player = Player::new(args, choice, Anew::new(wanted, filter));
    let source = Source::open(&args.files).map_err(Failure::usage)?;
    for told in source {
        match told {
            // What is odd about a recording is told beside it.
            Told::Note(note) => player.lacks(&note)?,
            Told::Item(recorded) => player.take(recorded)?,
        }
    }
    player.end()?;
    if !player.has_begun() {
        return Err(no_start());
    }
    let is_bound = args.since.is_some() || args.until.is_some();
    // What comes from standard input is gone by now.
    if args.again && !is_bound && args.files.iter().all(|file| file.as_os_str() != "-") {
        again::answer(args)?;
    }
    if is_filtered {
        aside(format_args!(
            "the summary is that of everything that was recorded; filters choose lines"
        ));
    }
    Ok(())
}

fn no_start() -> Failure {
    Failure::failed("there is no start of a recording in it; was it made by `whydrop record`?")
}
