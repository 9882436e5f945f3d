//! Lines for whoever reads the output: they go there in batches, and those that were not taken are counted.

use std::time::Duration;

use super::{Output, OutputError, Reporter, Sink};
use crate::model::{
    Line, Summary,
    event::Event,
    reading::{LostInUserSpace, Reading},
};

/// A batch of lines is handed to the output when it is this long.
const BATCH_BYTES: usize = 32 * 1024;

/// How long the last lines may take to be written.
const PATIENCE: Duration = Duration::from_secs(3);

/// Lines of text or JSON on their way to the output.
pub struct Printed {
    reporter: Reporter,
    output: Output,
    batch: Batch,
    lost: Lost,
}

/// What the output did not take.
#[derive(Default)]
pub struct Lost {
    /// Lines of events, or of periods on the counters tier.
    pub lines: u64,
    /// The counters that these lines would have explained, by namespace.
    pub moved: LostInUserSpace,
}

/// Lines that are not handed over yet, and what they stand for.
#[derive(Default)]
struct Batch {
    text: String,
    lines: u64,
    /// By namespace, a run of events each.
    moved: Vec<(u32, Reading)>,
}

impl Printed {
    /// Lines of this reporter go to this output.
    pub fn new(reporter: Reporter, output: Output) -> Self {
        Self {
            reporter,
            output,
            batch: Batch::default(),
            lost: Lost::default(),
        }
    }

    /// What the output did not take.
    pub const fn lost(&self) -> &Lost {
        &self.lost
    }

    /// Whether the output can still be written to.
    pub fn is_broken(&self) -> bool {
        self.output.is_broken()
    }

    /// Hands the lines over.
    pub fn flush(&mut self) {
        if self.batch.text.is_empty() {
            return;
        }
        if !self.output.send(&mut self.batch.text) {
            self.lost.lines += self.batch.lines;
            for (netns, moved) in &self.batch.moved {
                add(self.lost.moved.0.entry(*netns).or_default(), moved);
            }
        }
        self.batch.lines = 0;
        self.batch.moved.clear();
    }

    /// Writes the summary behind everything else; `false` when the reader went away.
    pub fn finish(mut self, mono_ns: u64, summary: &Summary) -> Result<bool, OutputError> {
        self.flush();
        let mut last = String::new();
        (self.reporter).write(mono_ns, &Line::Summary(summary), &mut last);
        let finished = self.output.finish(last.clone(), PATIENCE);
        if let Err(OutputError::Stuck(_) | OutputError::Write { .. }) = finished {
            // The lines cannot be written where they were wanted; the counts still can be told.
            eprint!("{last}");
        }
        finished
    }
}

impl Sink for Printed {
    fn take(&mut self, mono_ns: u64, line: &Line<'_>) {
        self.reporter.write(mono_ns, line, &mut self.batch.text);
        match line {
            Line::Event(seen) => self.batch.add(&seen.event),
            Line::Tick(_) => self.batch.lines += 1,
            Line::Clock(clock) => self.reporter.set_clock(*clock),
            _ => {}
        }
        if self.batch.text.len() >= BATCH_BYTES {
            self.flush();
        }
    }
}

impl Batch {
    fn add(&mut self, event: &Event) {
        self.lines += 1;
        let moved = event.moved.map(u64::from);
        match self.moved.last_mut() {
            Some((netns, sum)) if *netns == event.netns => add(sum, &moved),
            _ => {
                let mut sum = Reading::default();
                add(&mut sum, &moved);
                self.moved.push((event.netns, sum));
            }
        }
    }
}

fn add(sum: &mut Reading, moved: &[u64]) {
    for (sum, moved) in sum.iter_mut().zip(moved) {
        *sum += moved;
    }
}
