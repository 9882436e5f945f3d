//! A recording that is made of lines that are there already: nothing is lost for want of time, and what cannot be written
//! ends it.

use std::{path::PathBuf, thread::sleep, time::Duration};

use super::{Options, PartInfo, RecordError, Recorder, Target};

/// How long the disk may take for the last lines.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is looked whether the thread that writes has room.
const LOOK: Duration = Duration::from_millis(2);

/// The recording that is being written.
pub struct Copy {
    recorder: Recorder,
}

impl Copy {
    /// Makes the file with its first line.
    pub fn create(target: &Target, first: String) -> Result<Self, RecordError> {
        let head = Box::new(move |_: &PartInfo<'_>| first.clone());
        let recorder = Recorder::create(target, &Options::default(), head)?;
        Ok(Self { recorder })
    }

    /// Adds a line, however long that takes.
    pub fn line(&mut self, line: &str) -> Result<(), String> {
        self.recorder.text().push_str(line);
        self.recorder.line_done();
        while self.recorder.is_behind() {
            if let Some(why) = self.recorder.status().failing {
                return Err(why);
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// Closes it; where it is, if nothing is missing.
    pub fn finish(mut self) -> Result<PathBuf, String> {
        let status = self.recorder.finish(PATIENCE);
        match (status.lost_lines, status.failing.or(status.trouble)) {
            (0, None) => Ok(status.path),
            (lost, why) => Err(format!(
                "{lost} lines could not be written{}{}",
                if why.is_some() { ": " } else { "" },
                why.unwrap_or_default()
            )),
        }
    }
}
