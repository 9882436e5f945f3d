//! `whydrop replay`: what was recorded is told again, line by line as it was told live, or as much of it as is asked for.

use std::{path::PathBuf, thread::sleep, time::Duration};

use clap::Args;

use super::{Failure, write};
use crate::{
    filter::{Filter, ListenerFilter, Only},
    model::Line,
    sink::{Format, Reporter},
    source::replay::{Source, Told, when},
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
    let mut player = Player {
        args,
        filter: Filter {
            listeners: args.listeners.clone(),
            netns: args.netns,
            only: args.only.clone(),
        },
        reporter: None,
        since_ns: 0,
        until_ns: u64::MAX,
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
            Told::Item(recorded) => player.take(recorded.mono_ns(), &recorded.line())?,
        }
    }
    player.flush()?;
    if player.reporter.is_none() {
        return Err(Failure::failed(
            "there is no start of a recording in it; was it made by `whydrop record`?",
        ));
    }
    Ok(())
}

/// A batch of lines is written when it is this long.
const BATCH_BYTES: usize = 64 * 1024;

/// Longer than this nobody waits for the next line.
const PAUSE_AT_MOST: Duration = Duration::from_secs(3600);

struct Player<'a> {
    args: &'a ReplayArgs,
    filter: Filter,
    /// Of the recording that is told.
    reporter: Option<Reporter>,
    since_ns: u64,
    until_ns: u64,
    last_ns: Option<u64>,
    text: String,
}

impl Player<'_> {
    fn take(&mut self, mono_ns: u64, line: &Line<'_>) -> Result<(), Failure> {
        if let Line::Start(start) = line {
            let reporter = Reporter::of(self.args.format, start);
            let bound = |given: &Option<String>, none| match given {
                Some(text) => when(text, start.clock, start.mono_ns).map_err(Failure::usage),
                None => Ok(none),
            };
            self.since_ns = bound(&self.args.since, 0)?;
            self.until_ns = bound(&self.args.until, u64::MAX)?;
            self.last_ns = None;
            self.reporter = Some(reporter);
        }
        let is_wanted = self.wants(mono_ns, line);
        let Some(reporter) = &mut self.reporter else {
            return Ok(());
        };
        if let Line::Clock(clock) = line {
            reporter.set_clock(*clock);
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
        reporter.write(mono_ns, line, &mut self.text);
        if self.text.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        write(&std::mem::take(&mut self.text))
    }

    fn wants(&self, mono_ns: u64, line: &Line<'_>) -> bool {
        let filter = &self.filter;
        let is_netns = |netns: u32| filter.netns.is_none_or(|only| only == netns);
        let is_in_time = self.since_ns <= mono_ns && mono_ns <= self.until_ns;
        match line {
            Line::Start(_) => true,
            // Of all that was recorded, whatever is shown of it.
            Line::Summary(_) => self.until_ns == u64::MAX,
            Line::Event(seen) => {
                is_in_time && filter.takes(&seen.event) && filter.takes_observation(seen)
            }
            Line::Tick(tick) => is_in_time && is_netns(tick.netns),
            Line::Residual(residual) => is_in_time && is_netns(residual.netns),
            Line::Sampled(sampled) => {
                let takes = |addr| filter.takes_listener(addr);
                is_in_time && is_netns(sampled.netns) && sampled.listener.is_none_or(takes)
            }
            Line::Stats(row) => {
                let takes = |addr| filter.takes_row(addr, &row.owner, row.cgroup.as_deref());
                is_in_time && is_netns(row.netns) && row.addr.is_none_or(takes)
            }
            Line::Story(story) => {
                let whose = &story.whose;
                let takes =
                    |(_, addr)| filter.takes_row(addr, &whose.owner, whose.cgroup.as_deref());
                is_in_time && is_netns(story.attempt.netns) && story.listener.is_none_or(takes)
            }
            Line::Loss(_) | Line::Observed(_) | Line::Clock(_) | Line::Ended => is_in_time,
        }
    }
}
