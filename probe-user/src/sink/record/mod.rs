//! The recorder: lines come in, a recording goes to the disk, and what could not be written is
//! counted. It knows nothing of what the lines say.
//!
//! Whoever records appends lines to a buffer; once it holds [`FRAME_BYTES`], or [`FRAME_AGE`] after
//! its first line, the buffer goes to a thread that makes one zstd frame of it and writes it with
//! one write(2). So who records waits for no disk, and a SIGKILL loses a second at most.
//! The format is that of [`crate::model::format`].

mod copy;
mod error;
mod keep;
mod kept;
mod part;
mod place;
mod queue;
mod size;
mod turns;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

pub use copy::Copy;
pub use error::RecordError;
pub use kept::Kept;
pub use place::Target;
pub use size::{Age, Size, Turn};
pub use turns::Turns;

use crate::model::format::{FRAME_BYTES, MAX_LINE_BYTES};
use keep::Limits;
use place::Place;
use queue::{Batch, Shared};
use writer::Writer;

/// A line waits no longer for its frame. Compressing, writing and a caller that looks every 50 ms
/// have the rest of the second.
pub const FRAME_AGE: Duration = Duration::from_millis(850);

/// Text that waits for the disk; what comes on top is lost.
const QUEUE_BYTES: usize = 16 << 20;

/// When the buffer is looked at again while the thread is behind.
const BEHIND: Duration = Duration::from_millis(50);

/// How long a recorder that is dropped waits for its disk.
const DROP_WITHIN: Duration = Duration::from_secs(1);

/// What may be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A part grows no larger, or no older. By default parts do not end, or a quarter of what is kept is one,
    /// but no more than 64 MiB.
    pub rotate: Option<Turn>,
    /// All parts together grow no larger; the oldest go.
    pub keep: Option<Size>,
    /// Parts that ended longer ago go; a part ends after an eighth of this at the latest.
    pub keep_for: Option<Age>,
}

/// What the head of a part is made from.
#[derive(Clone, Copy, Debug)]
pub struct PartInfo<'a> {
    /// The same in all parts of one recorder: 128 random bits in hexadecimal.
    pub recording: &'a str,
    /// From 1 on.
    pub part: u32,
    /// Where it is.
    pub path: &'a Path,
    /// What this recorder has lost so far.
    pub lost_lines: u64,
    /// Bytes of lines that were lost.
    pub lost_bytes: u64,
    /// Why the part before ended before its time, as a sentence.
    pub after: Option<&'a str>,
}

/// Makes the first lines of a part, `start` first. It is called on the recorder's thread, and again
/// for the same part if that could not be written.
pub type Head = Box<dyn FnMut(&PartInfo<'_>) -> String + Send>;

/// What became of the lines: all that were done are written, lost or still on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The recording's id: 128 random bits in hexadecimal.
    pub recording: String,
    /// The part that is being written, or was last.
    pub path: PathBuf,
    /// How many parts were begun.
    pub parts: u32,
    /// How many old ones were deleted.
    pub deleted_parts: u64,
    /// In files, heads included and compressed.
    pub bytes_written: u64,
    /// Without those of heads.
    pub lines_written: u64,
    /// Lines that could not be recorded.
    pub lost_lines: u64,
    /// Of text.
    pub lost_bytes: u64,
    /// Why nothing can be written just now; lines wait meanwhile, and are lost when the queue is
    /// full.
    pub failing: Option<String>,
    /// What else went wrong last: an old part that cannot be deleted, a part that may not have
    /// reached the disk.
    pub trouble: Option<String>,
}

/// Lines that are in no file, with what their batch was tagged with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost<T> {
    /// Lines.
    pub lines: u64,
    /// Bytes.
    pub bytes: u64,
    /// Whatever goes with it.
    pub tag: T,
}

/// A recording that is being written. `T` goes with each batch of lines and comes back if they are
/// lost, so that whoever records can say of whom they told.
pub struct Recorder<T: Default = ()> {
    batch: Batch<T>,
    /// Where in the text the line begins that is not done.
    line: usize,
    /// When the batch has waited long enough.
    due: Option<Instant>,
    shared: Arc<Shared<T>>,
    is_finished: bool,
}

impl<T: Default + Send + 'static> Recorder<T> {
    /// Makes the first part with its head, or says why not.
    pub fn create(target: &Target, options: &Options, head: Head) -> Result<Self, RecordError> {
        Self::bounded(target, options, head, QUEUE_BYTES)
    }

    fn bounded(
        target: &Target,
        options: &Options,
        head: Head,
        queue_bytes: usize,
    ) -> Result<Self, RecordError> {
        let limits = Limits::of(options).map_err(RecordError::Usage)?;
        let place = Place::of(target)?;
        let recording = random_id().map_err(RecordError::Random)?;
        let status = Status {
            recording: recording.clone(),
            ..Status::default()
        };
        let shared = Arc::new(Shared::new(queue_bytes, status));
        let mut writer = Writer::new(Arc::clone(&shared), place, recording, head, limits)?;
        let (began, begun) = mpsc::sync_channel(1);
        let work = move || {
            block_signals();
            let result = writer.begin();
            let is_good = result.is_ok();
            if began.send(result).is_ok() && is_good {
                writer.run();
            }
        };
        let thread = thread::Builder::new().name("recorder".to_owned());
        thread.spawn(work).map_err(RecordError::Thread)?;
        begun.recv().unwrap_or(Err(RecordError::Gone))?;
        Ok(Self {
            batch: Batch::default(),
            line: 0,
            due: None,
            shared,
            is_finished: false,
        })
    }

    /// Where a line is appended, which [`Self::line_done`] ends.
    pub fn text(&mut self) -> &mut String {
        &mut self.batch.text
    }

    /// Ends a line.
    pub fn line_done(&mut self) {
        self.line_done_with(|_| {});
    }

    /// Ends a line and adds to the tag of its batch. A line that is too long is lost for itself.
    pub fn line_done_with(&mut self, tag: impl FnOnce(&mut T)) {
        let text = &mut self.batch.text;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let bytes = text.len() - self.line;
        if bytes > MAX_LINE_BYTES {
            text.truncate(self.line);
            let mut lost = Lost {
                lines: 1,
                bytes: bytes as u64,
                tag: T::default(),
            };
            tag(&mut lost.tag);
            self.shared.lose(lost);
            return;
        }
        tag(&mut self.batch.tag);
        self.line = text.len();
        self.batch.lines += 1;
        if self.line >= FRAME_BYTES {
            self.hand_over(false);
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + FRAME_AGE);
        }
    }

    /// When [`Self::tick`] has something to do.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Hands over what has waited long enough. While the thread is behind it waits on, since the
    /// disk would have it no sooner.
    pub fn tick(&mut self, now: Instant) {
        if self.due.is_none_or(|due| now < due) || self.line != self.batch.text.len() {
            return;
        }
        if self.is_behind() {
            self.due = Some(now + BEHIND);
        } else {
            self.hand_over(false);
        }
    }

    /// Goes on in a file of the same name, where the one that is written has lost it.
    pub fn reopen(&self) {
        self.shared.reopen();
    }

    /// Whether the thread has more to write than it has in hand.
    pub fn is_behind(&self) -> bool {
        self.shared.is_behind()
    }

    /// How it goes.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// What was lost since this was asked last.
    pub fn lost(&self) -> Vec<Lost<T>> {
        self.shared.lost()
    }

    /// Writes what is left, closes the last part and says what became of it all. It waits no
    /// longer than this; what is not written by then is lost. A line after it is lost too.
    pub fn finish(&mut self, within: Duration) -> Status {
        self.end(within);
        self.status()
    }
}

impl<T: Default> Recorder<T> {
    fn hand_over(&mut self, is_last: bool) {
        let batch = std::mem::take(&mut self.batch);
        self.batch.text = self.shared.push(batch, is_last);
        self.line = 0;
        self.due = None;
    }

    fn end(&mut self, within: Duration) {
        let now = Instant::now();
        self.batch.text.truncate(self.line);
        if self.batch.lines > 0 {
            self.hand_over(true);
        }
        // The rest is for the disk to take the last part.
        self.shared.finish(now + within / 4 * 3, now + within);
        self.is_finished = true;
    }
}

impl<T: Default> Drop for Recorder<T> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.end(DROP_WITHIN);
        }
    }
}

fn random_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled +=
            rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// Signals are for the other threads. A file that reaches RLIMIT_FSIZE sends SIGXFSZ to the thread
/// that writes (mm/filemap.c and fs/read_write.c:generic_write_check_limits), which ends the
/// process unless it is blocked; ignoring it would be inherited by whatever is started.
fn block_signals() {
    // SAFETY: `all` is a plain integer array that sigfillset fills before it is read, and a mask
    // that cannot be set stays as it was.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests;
