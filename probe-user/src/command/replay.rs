//! `whydrop replay`: what was recorded, told again.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, write};
use crate::{
    report::{Format, Line, Reporter},
    source::replay::{Recorded, parse},
};

#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Recordings, or folders of them
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// How lines look: `text` for people, `json` for machines (one object a line)
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
}

pub fn run(args: &ReplayArgs) -> Result<(), Failure> {
    let mut reporter: Option<Reporter> = None;
    let mut text = String::new();
    for path in &args.files {
        let all = std::fs::read(path).map_err(Failure::usage)?;
        for line in all
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let recorded = parse(line).map_err(Failure::failed)?;
            let Some(recorded) = recorded else { continue };
            tell(&recorded, args.format, &mut reporter, &mut text);
        }
    }
    write(&text)
}

fn tell(recorded: &Recorded, format: Format, reporter: &mut Option<Reporter>, to: &mut String) {
    let line = recorded.line();
    if let Line::Start(start) = &line {
        *reporter = Some(Reporter::of(format, start));
    }
    let Some(reporter) = reporter else { return };
    if let Line::Clock(clock) = &line {
        reporter.set_clock(*clock);
    }
    reporter.write(recorded.mono_ns(), &line, to);
}
