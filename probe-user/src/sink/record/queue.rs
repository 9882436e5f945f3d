//! Between who records and the thread that writes: batches of lines, bounded in bytes, and what
//! became of them.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{Lost, Status};
use crate::model::format::FRAME_BYTES;

/// Buffers that are kept for the next lines.
const SPARE: usize = 4;

/// Lines that are written together, as one frame, or lost together.
#[derive(Debug, Default)]
pub(super) struct Batch<T> {
    pub text: String,
    pub lines: u64,
    pub tag: T,
}

impl<T> Batch<T> {
    /// The text, and what is lost if it is not written.
    fn split(self) -> (String, Lost<T>) {
        let bytes = self.text.len() as u64;
        let (lines, tag) = (self.lines, self.tag);
        (self.text, Lost { lines, bytes, tag })
    }
}

/// What both sides see.
pub(super) struct Shared<T> {
    state: Mutex<State<T>>,
    /// Tells the thread that there is something to do.
    work: Condvar,
    /// Tells whoever finishes that the thread has ended.
    over: Condvar,
    bound_bytes: usize,
}

struct State<T> {
    queue: VecDeque<Batch<T>>,
    queued_bytes: usize,
    /// What the thread is writing.
    in_hand: Option<Lost<T>>,
    spare: Vec<String>,
    /// The file is to be opened by its name again.
    reopen: bool,
    status: Status,
    lost: Vec<Lost<T>>,
    /// No more batches come, and what is not begun by then is lost.
    until: Option<Instant>,
    over: bool,
}

impl<T> State<T> {
    fn lose(&mut self, lost: Lost<T>) {
        self.status.lost_lines += lost.lines;
        self.status.lost_bytes += lost.bytes;
        self.lost.push(lost);
    }

    fn lose_all(&mut self) {
        self.queued_bytes = 0;
        if let Some(lost) = self.in_hand.take() {
            self.lose(lost);
        }
        for batch in std::mem::take(&mut self.queue) {
            self.lose(batch.split().1);
        }
    }

    fn keep_buffer(&mut self, mut text: String) {
        // A line may have been very long.
        let is_usual = text.capacity() <= 2 * FRAME_BYTES;
        if is_usual && self.spare.len() < SPARE {
            text.clear();
            self.spare.push(text);
        }
    }
}

/// The side of who records.
impl<T> Shared<T> {
    pub(super) fn new(bound_bytes: usize, status: Status) -> Self {
        Self {
            state: Mutex::new(State {
                queue: VecDeque::new(),
                queued_bytes: 0,
                in_hand: None,
                spare: Vec::new(),
                reopen: false,
                status,
                lost: Vec::new(),
                until: None,
                over: false,
            }),
            work: Condvar::new(),
            over: Condvar::new(),
            bound_bytes,
        }
    }

    /// Nothing in here panics half-way, so what a panic elsewhere leaves is whole.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> Status {
        self.state().status.clone()
    }

    pub(super) fn lost(&self) -> Vec<Lost<T>> {
        std::mem::take(&mut self.state().lost)
    }

    /// Takes a batch over, unless there is no room; an empty buffer comes back.
    pub(super) fn push(&self, batch: Batch<T>, is_last: bool) -> String {
        let mut state = self.state();
        let bytes = batch.text.len();
        // A line may be longer than the bound.
        let has_room = state.queue.is_empty() || state.queued_bytes + bytes <= self.bound_bytes;
        if state.over || !(has_room || is_last) {
            let (text, lost) = batch.split();
            state.lose(lost);
            state.keep_buffer(text);
        } else {
            state.queued_bytes += bytes;
            state.queue.push_back(batch);
            self.work.notify_one();
        }
        let spare = state.spare.pop();
        spare.unwrap_or_else(|| String::with_capacity(FRAME_BYTES + FRAME_BYTES / 4))
    }

    /// Lines that never come to a batch.
    pub(super) fn lose(&self, lost: Lost<T>) {
        self.state().lose(lost);
    }

    /// Asks for the file that has the name by now.
    pub(super) fn reopen(&self) {
        self.state().reopen = true;
        self.work.notify_one();
    }

    /// Whether a batch would only wait.
    pub(super) fn is_behind(&self) -> bool {
        let state = self.state();
        !state.queue.is_empty() && !state.over
    }

    /// Waits for the thread's end until then, and no longer: what it has not written by then,
    /// nobody knows to be written.
    pub(super) fn finish(&self, drain_until: Instant, until: Instant) {
        let mut state = self.state();
        state.until = Some(drain_until);
        self.work.notify_one();
        while !state.over {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.over.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if !state.over {
            state.over = true;
            state.lose_all();
            let why = "the disk did not answer in time, so what was written last may be missing";
            state.status.trouble = Some(why.to_owned());
        }
    }
}

/// What the thread is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// This is to be written.
    Write(String),
    /// The file is to be opened by its name again.
    Reopen,
}

/// Why the thread woke up while it could not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// It is time for another try.
    Again,
    /// The recording is to end.
    Ending,
}

/// The side of the thread.
impl<T> Shared<T> {
    /// Waits for a batch and takes its text, or for another thing to do; nothing when it is time to end.
    pub(super) fn take(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            if state.over {
                return None;
            }
            if state.until.is_some_and(|until| until <= Instant::now()) {
                state.lose_all();
                return None;
            }
            if std::mem::take(&mut state.reopen) {
                return Some(Work::Reopen);
            }
            if let Some(batch) = state.queue.pop_front() {
                let (text, lost) = batch.split();
                state.queued_bytes -= text.len();
                state.in_hand = Some(lost);
                return Some(Work::Write(text));
            }
            if state.until.is_some() {
                return None;
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for the time of another try, or for the end.
    pub(super) fn pause(&self, until: Instant) -> Woken {
        let mut state = self.state();
        loop {
            if state.until.is_some() || state.over {
                return Woken::Ending;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Woken::Again;
            }
            let waited = self.work.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What was taken is in a file.
    pub(super) fn written(&self, text: String, bytes: usize) {
        let mut state = self.state();
        // Whoever waited no longer has counted it as lost.
        if let Some(done) = state.in_hand.take() {
            state.status.lines_written += done.lines;
        }
        state.status.bytes_written += bytes as u64;
        state.status.failing = None;
        state.keep_buffer(text);
    }

    /// Nothing can be written, and there is no time to wait.
    pub(super) fn lose_all(&self) {
        self.state().lose_all();
    }

    pub(super) fn failing(&self, why: String) {
        self.state().status.failing = Some(why);
    }

    pub(super) fn trouble(&self, why: String) {
        self.state().status.trouble = Some(why);
    }

    /// A part has begun, with this many bytes.
    pub(super) fn opened(&self, path: &Path, bytes: u64) {
        let mut state = self.state();
        state.status.parts += 1;
        state.status.bytes_written += bytes;
        path.clone_into(&mut state.status.path);
    }

    /// The part that began last holds nothing, and goes.
    pub(super) fn taken_back(&self, bytes: u64) {
        let mut state = self.state();
        state.status.parts -= 1;
        state.status.bytes_written -= bytes;
    }

    /// Parts were deleted.
    pub(super) fn deleted(&self, parts: u64) {
        self.state().status.deleted_parts += parts;
    }

    /// The thread ends, also by a panic, which leaves what it had in hand.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.lose_all();
        if state.until.is_none() {
            state.status.failing = Some("the thread that records has ended".to_owned());
        }
        state.over = true;
        self.over.notify_all();
    }
}
