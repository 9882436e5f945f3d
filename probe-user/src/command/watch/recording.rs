//! The recording of a watch: every line comes in, whole lines go to the recorder.

use std::path::PathBuf;

use clap::Args;

use crate::{
    command::Failure,
    report::{Line, Reporter, Start},
};

/// Where the recording goes, and how much of it is kept.
#[derive(Args, Clone, Debug, Default)]
pub struct RecordArgs {
    /// Keep all of it in this file, for `whydrop replay`
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

pub struct Recording {
    reporter: Reporter,
    text: String,
    file: std::fs::File,
}

impl RecordArgs {
    pub fn begin(&self, start: &Start) -> Result<Option<Recording>, Failure> {
        let Some(path) = &self.record else {
            return Ok(None);
        };
        Ok(Some(Recording {
            reporter: Reporter::whole(start),
            text: String::new(),
            file: std::fs::File::create(path).map_err(Failure::usage)?,
        }))
    }
}

impl Recording {
    pub fn take(&mut self, mono_ns: u64, line: &Line<'_>) {
        self.reporter.write(mono_ns, line, &mut self.text);
        if let Line::Clock(clock) = line {
            self.reporter.set_clock(*clock);
        }
    }

    pub fn tick(&mut self) {
        use std::io::Write;
        let _ = self.file.write_all(self.text.as_bytes());
        self.text.clear();
    }

    pub fn finish(mut self, mono_ns: u64) -> Result<(), Failure> {
        self.take(mono_ns, &Line::Ended);
        self.tick();
        Ok(())
    }
}
