//! Lines for whoever reads the output: they go there in batches. Events that were not taken are counted; other lines
//! stand for many events or are said once, so they wait.

use std::{ops::Range, time::Duration};

use super::{Output, OutputError, Reporter, Sink, aside, whole_aside};
use crate::model::{
    Line, Summary,
    event::Event,
    reading::{LostInUserSpace, Reading},
};

/// A batch of lines is handed to the output when it is this long.
const BATCH_BYTES: usize = 32 * 1024;

/// Lines that wait for a slow reader may be this long together.
const WAITING_BYTES: usize = 1024 * 1024;

/// How long the last lines may take to be written.
const PATIENCE: Duration = Duration::from_secs(3);

/// Lines of text or JSON on their way to the output.
pub struct Printed {
    reporter: Reporter,
    output: Output,
    batch: Batch,
    lost: Lost,
    /// Incidents alone are shown, and what has to be known of the watch.
    is_quiet: bool,
}

/// What the output did not take.
#[derive(Default)]
pub struct Lost {
    /// Lines of events, or of periods on the counters tier; of others only where too many waited.
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
    /// Where in the text the lines are that are not to be lost.
    kept: Vec<Range<usize>>,
    /// So much of the text was refused before.
    waiting: usize,
}

impl Printed {
    /// Lines of this reporter go to this output.
    pub fn new(reporter: Reporter, output: Output) -> Self {
        Self {
            reporter,
            output,
            batch: Batch::default(),
            lost: Lost::default(),
            is_quiet: false,
        }
    }

    /// Leaves out what is about no incident.
    pub const fn quietly(mut self, is_quiet: bool) -> Self {
        self.is_quiet = is_quiet;
        self
    }

    /// Whether it writes such a line.
    pub const fn shows(&self, line: &Line<'_>) -> bool {
        let is_told = matches!(
            line,
            Line::Start(_)
                | Line::Incident(_)
                | Line::Loss(_)
                | Line::Heartbeat(_)
                | Line::Summary(_)
        );
        is_told || !self.is_quiet
    }

    /// What the output did not take.
    pub const fn lost(&self) -> &Lost {
        &self.lost
    }

    /// Whether the output can still be written to.
    pub fn is_broken(&self) -> bool {
        self.output.is_broken()
    }

    /// To be called every second or so: says what cannot be written, once, and that it can be again.
    pub fn second(&mut self) {
        self.output.news().iter().for_each(aside);
    }

    /// Goes on in the file that has the name by now.
    pub fn reopen(&mut self) {
        self.flush();
        self.output.reopen();
    }

    /// Hands the lines over.
    pub fn flush(&mut self) {
        if self.batch.text.is_empty() {
            return;
        }
        if let Err(refused) = self.output.send(&mut self.batch.text) {
            self.lost.lines += self.batch.lines;
            for (netns, moved) in &self.batch.moved {
                add(self.lost.moved.0.entry(*netns).or_default(), moved);
            }
            self.lost.lines += self.batch.wait(&refused);
        } else {
            self.batch.kept.clear();
            self.batch.waiting = 0;
        }
        self.batch.lines = 0;
        self.batch.moved.clear();
    }

    /// Writes the summary behind everything else; `false` when the reader went away.
    pub fn finish(mut self, mono_ns: u64, summary: &Summary) -> Result<bool, OutputError> {
        self.flush();
        let mut last = String::new();
        (self.reporter).write(mono_ns, &Line::Summary(summary), &mut last);
        let waiting = std::mem::take(&mut self.batch.text);
        let finished = self.output.finish(waiting + &last, PATIENCE);
        if let Err(OutputError::Stuck(_) | OutputError::Write { .. }) = finished {
            // The lines cannot be written where they were wanted; the counts still can be told.
            whole_aside(&last);
        }
        finished
    }
}

impl Sink for Printed {
    fn take(&mut self, mono_ns: u64, line: &Line<'_>) {
        if let Line::Clock(clock) = line {
            self.reporter.set_clock(*clock);
        }
        if !self.shows(line) {
            return;
        }
        let before = self.batch.text.len();
        self.reporter.write(mono_ns, line, &mut self.batch.text);
        match line {
            Line::Event(seen) => self.batch.add(&seen.event),
            Line::Tick(_) => self.batch.lines += 1,
            _ => self.batch.keep(before),
        }
        if self.batch.text.len() >= self.batch.waiting + BATCH_BYTES {
            self.flush();
        }
    }
}

impl Batch {
    /// What was written since is not to be lost.
    fn keep(&mut self, since: usize) {
        if since < self.text.len() {
            self.kept.push(since..self.text.len());
        }
    }

    /// What the output refused: lines that are kept are the beginning of the next batch. Says how many had no room.
    fn wait(&mut self, refused: &[u8]) -> u64 {
        let mut lost = 0;
        self.text.clear();
        self.kept.retain_mut(|range| {
            let line = refused.get(range.clone()).unwrap_or_default();
            let begins = self.text.len();
            let Ok(line) = std::str::from_utf8(line) else {
                lost += 1;
                return false;
            };
            let has_room = begins + line.len() <= WAITING_BYTES;
            if has_room {
                self.text.push_str(line);
                *range = begins..self.text.len();
            } else {
                lost += 1;
            }
            has_room
        });
        self.waiting = self.text.len();
        lost
    }

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

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{
            Arc, Mutex,
            mpsc::{Receiver, sync_channel},
        },
    };

    use super::*;
    use crate::{
        model::{Clock, Heartbeat, Origin, tier::Tier},
        sink::{Format, golden_tests},
    };

    /// Takes nothing until it is opened.
    struct Gate(Option<Receiver<()>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(closed) = self.0.take() {
                let _ = closed.recv();
            }
            self.1.lock().expect("a lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn idle(idle_s: u64) -> Line<'static> {
        Line::Heartbeat(Heartbeat { idle_s })
    }

    /// A reader that takes nothing, lines of both sorts, and what it read when it took them.
    #[test]
    fn a_slow_reader_gets_every_line_that_is_no_event() {
        let (open, closed) = sync_channel(1);
        let read = Arc::default();
        let gate = Gate(Some(closed), Arc::clone(&read));
        let output = Output::start("a gate".into(), Box::new(gate)).expect("a thread");
        let reporter = Reporter::new(
            Format::Json,
            Tier::Cgroup,
            1,
            Clock::of(0),
            Origin::default(),
        );
        let mut printed = Printed::new(reporter, output);
        let (lines, ticks) = (600, 600);
        for nth in 0..lines {
            printed.take(1, &idle(nth));
            printed.batch.text.push_str("{\"type\":\"event\"}\n");
            printed.batch.lines += 1;
            printed.flush();
        }
        let lost = printed.lost.lines;
        assert!(lost > 0 && lost < ticks, "{lost} of {ticks} were lost");
        drop(open);
        let finished = printed.finish(2, &golden_tests::lines::empty());
        assert!(matches!(finished, Ok(true)), "{finished:?}");
        let read = String::from_utf8(read.lock().expect("a lock").clone()).expect("text");
        let told = read.matches("\"heartbeat\"").count() as u64;
        let events = read.matches("\"event\"").count() as u64;
        assert_eq!((told, events + lost), (lines, ticks));
    }

    #[test]
    fn lines_that_wait_have_a_bound_and_are_counted_beyond_it() {
        let mut batch = Batch::default();
        let line = "x".repeat(WAITING_BYTES / 4);
        for _ in 0..6 {
            let before = batch.text.len();
            batch.text.push_str(&line);
            batch.keep(before);
        }
        let refused = batch.text.clone().into_bytes();
        assert_eq!(batch.wait(&refused), 2);
        assert_eq!((batch.text.len(), batch.kept.len()), (WAITING_BYTES, 4));
        assert_eq!(batch.waiting, batch.text.len());
    }
}
