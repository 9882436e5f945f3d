//! `whydrop replay`: what was recorded is told again, line by line as it was told live, or as much of it as is asked for.

mod redact;

use std::{path::PathBuf, thread::sleep, time::Duration};

use clap::Args;

pub use self::redact::Redact;
use super::{Failure, write};
use crate::{
    filter::{Filter, ListenerFilter, Only},
    model::Line,
    sink::{Format, Reporter},
    source::replay::{Bounds, Choice, Recorded, Source, Told},
};

#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Recordings, or folders of them; `-` is standard input
    #[arg(value_name = "FILE|DIR", required = true)]
    pub files: Vec<PathBuf>,

    /// How lines look: `text` for people, `json` for machines (one object a line)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,

    /// Leave out what was before this: 2026-11-27T03:00:00Z, or 03:00:00 on the day the recording began (UTC)
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Leave out what came after this
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,

    /// Let time pass as it did, so many times as fast
    #[arg(long, value_name = "N", value_parser = parse_speed)]
    pub speed: Option<f64>,

    /// Show only this listener, as ADDR:PORT or :PORT (can be given again)
    #[arg(long = "listener", value_name = "[ADDR]:PORT")]
    pub listeners: Vec<ListenerFilter>,

    /// Show only this network namespace, by its number
    #[arg(long, value_name = "NUMBER")]
    pub netns: Option<u32>,

    /// Print nothing, and make a new recording in which clients have other addresses, whose key is thrown away: for a
    /// bug report. What filters and times leave out is not in it
    #[arg(long, value_name = "WHO", requires = "output", conflicts_with_all = ["speed", "format"])]
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
        .ok_or_else(|| format!("`{text}` is no speed; write 1, 10 or 0.5"))
}

pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let filter = Filter {
        listeners: args.listeners.clone(),
        netns: args.netns,
        only: args.only.clone(),
    };
    for id in args.only.unknown_causes() {
        eprintln!("whydrop: this version knows no cause `{id}`; docs/causes.md lists them");
    }
    let is_filtered = !filter.in_words().is_empty();
    let bounds = Bounds {
        since: args.since.clone(),
        until: args.until.clone(),
    };
    let choice = Choice::new(filter, bounds);
    if let (Some(Redact::Clients), Some(to)) = (args.redact, &args.output) {
        return redact::run(args, choice, to);
    }
    let mut player = Player {
        args,
        choice,
        reporter: None,
        last_ns: None,
        text: String::new(),
    };
    let source = Source::open(&args.files).map_err(Failure::usage)?;
    for told in source {
        match told {
            // What is odd about a recording is told beside it.
            Told::Note(note) => {
                player.flush()?;
                eprintln!("whydrop: {note}");
            }
            Told::Item(recorded) => player.take(recorded)?,
        }
    }
    player.flush()?;
    if player.reporter.is_none() {
        return Err(no_start());
    }
    if is_filtered {
        eprintln!(
            "whydrop: the summary is that of everything that was recorded; filters choose lines"
        );
    }
    Ok(())
}

fn no_start() -> Failure {
    Failure::failed("there is no start of a recording in it; was it made by `whydrop record`?")
}

/// A batch of lines is written when it is this long.
const BATCH_BYTES: usize = 64 * 1024;

/// Longer than this nobody waits for the next line.
const PAUSE_AT_MOST: Duration = Duration::from_secs(3600);

struct Player<'a> {
    args: &'a ReplayArgs,
    choice: Choice,
    /// Of the recording that is told.
    reporter: Option<Reporter>,
    last_ns: Option<u64>,
    text: String,
}

impl Player<'_> {
    fn take(&mut self, mut recorded: Recorded) -> Result<(), Failure> {
        if let Some(start) = recorded.start() {
            self.choice.begin(start).map_err(Failure::usage)?;
            self.last_ns = None;
            self.reporter = Some(Reporter::of(self.args.format, start));
        }
        let is_wanted = self.choice.takes(&mut recorded);
        let Some(reporter) = &mut self.reporter else {
            return Ok(());
        };
        let (mono_ns, line) = (recorded.mono_ns(), recorded.line());
        if let Line::Clock(clock) = line {
            reporter.set_clock(clock);
        }
        if !is_wanted {
            return Ok(());
        }
        if let Some(speed) = self.args.speed {
            let last_ns = self.last_ns.replace(mono_ns).unwrap_or(mono_ns);
            let pause = Duration::from_nanos(mono_ns.saturating_sub(last_ns)).div_f64(speed);
            if !pause.is_zero() {
                write(&std::mem::take(&mut self.text))?;
                sleep(pause.min(PAUSE_AT_MOST));
            }
        }
        reporter.write(mono_ns, &line, &mut self.text);
        if self.text.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        write(&std::mem::take(&mut self.text))
    }
}
