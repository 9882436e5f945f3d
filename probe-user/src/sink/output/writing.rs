//! The thread that writes lines. What has no room on a disk waits, and the queue behind it: a full disk is a slow reader.

use std::{
    io::{self, ErrorKind, Write},
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::Receiver,
    },
    time::{Duration, Instant},
};

use super::named::Named;

/// Between two tries to write on a disk that is full.
const RETRY: Duration = Duration::from_secs(1);

/// Where the thread writes.
pub(super) enum Target {
    Plain(Box<dyn Write + Send>),
    Named(Box<Named>),
}

impl Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(to) => to.write(bytes).and_then(|taken| to.flush().map(|()| taken)),
            Self::Named(file) => file.write(bytes),
        }
    }

    /// Whether the same may be written later.
    fn may_have_room(&self, error: &io::Error) -> bool {
        let is_full = matches!(
            error.raw_os_error(),
            Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG)
        );
        is_full || matches!(self, Self::Named(file) if file.is_regular())
    }

    fn reopen(&mut self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Named(file) => file.reopen(),
        }
    }

    fn make_room(&mut self, bytes: usize) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Named(file) => file.turn_if_due(bytes),
        }
    }
}

/// What both sides see.
#[derive(Default)]
pub(super) struct Shared {
    pub broken: AtomicBool,
    /// Batches that are written.
    pub written: AtomicU64,
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Default)]
struct State {
    /// The file is to be opened by its name again.
    reopen: bool,
    /// No more batches come, and nobody waits for room any more.
    is_ending: bool,
    /// Why nothing can be written just now.
    failing: Option<String>,
    /// What else went wrong last.
    trouble: Option<String>,
}

impl Shared {
    /// Nothing in here panics half-way, so what a panic elsewhere leaves is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the file that has the name by now.
    pub(super) fn reopen(&self) {
        self.state().reopen = true;
        self.woken.notify_one();
    }

    pub(super) fn end(&self) {
        self.state().is_ending = true;
        self.woken.notify_one();
    }

    /// Why nothing can be written just now, and what else went wrong since this was asked last.
    pub(super) fn news(&self) -> (Option<String>, Option<String>) {
        let mut state = self.state();
        (state.failing.clone(), state.trouble.take())
    }

    fn is_to_reopen(&self) -> bool {
        std::mem::take(&mut self.state().reopen)
    }

    fn note(&self, trouble: Option<String>) {
        if trouble.is_some() {
            self.state().trouble = trouble;
        }
    }

    /// Waits for the time of another try; whether the end came first.
    fn pause(&self, why: &io::Error) -> bool {
        let until = Instant::now() + RETRY;
        let mut state = self.state();
        state.failing = Some(why.to_string());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.is_ending || state.reopen || left.is_zero() {
                return state.is_ending;
            }
            let waited = self.woken.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Writes what comes until there is no more, or until it cannot be written.
pub(super) fn run(batches: Receiver<Vec<u8>>, to: &mut Target, shared: &Shared) -> io::Result<()> {
    for batch in batches {
        if shared.is_to_reopen() {
            shared.note(to.reopen());
        }
        if !batch.is_empty() {
            shared.note(to.make_room(batch.len()));
            put(&batch, to, shared)?;
        }
        shared.written.fetch_add(1, Ordering::Release);
    }
    Ok(())
}

fn put(batch: &[u8], to: &mut Target, shared: &Shared) -> io::Result<()> {
    let (mut taken, mut is_last_try, mut has_failed) = (0, false, false);
    while let Some(left @ [_, ..]) = batch.get(taken..) {
        match to.write(left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(more) => taken += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if !is_last_try && to.may_have_room(&error) => {
                has_failed = true;
                is_last_try = shared.pause(&error);
                if shared.is_to_reopen() {
                    shared.note(to.reopen());
                    // A line is in one file.
                    taken = line_of(batch, taken);
                }
            }
            Err(error) => return Err(error),
        }
    }
    if has_failed {
        shared.state().failing = None;
    }
    Ok(())
}

/// Where the line begins of which so much was taken.
fn line_of(batch: &[u8], taken: usize) -> usize {
    let before = batch.get(..taken).unwrap_or_default();
    let newline = before.iter().rposition(|byte| *byte == b'\n');
    newline.map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc::sync_channel};

    use super::*;

    /// Has room for so much, and for more when it is told so.
    struct Disk {
        room: Arc<AtomicU64>,
        has: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.room.load(Ordering::Acquire) as usize;
            if room == 0 {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            let taken = room.min(bytes.len());
            self.room.fetch_sub(taken as u64, Ordering::AcqRel);
            let mut has = self.has.lock().expect("a lock");
            has.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_has_no_room_waits_for_it_and_nothing_is_torn() {
        let (room, has) = (Arc::new(AtomicU64::new(7)), Arc::default());
        let disk = Disk {
            room: Arc::clone(&room),
            has: Arc::clone(&has),
        };
        let shared = Arc::new(Shared::default());
        let (sender, batches) = sync_channel(4);
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || run(batches, &mut Target::Plain(Box::new(disk)), &shared)
        });
        sender.send(b"one\ntwo\n".to_vec()).expect("it runs");
        let began = Instant::now();
        while shared.news().0.is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "it never failed");
            std::thread::yield_now();
        }
        room.store(100, Ordering::Release);
        sender.send(b"three\n".to_vec()).expect("it runs");
        drop(sender);
        thread.join().expect("ends").expect("has room");
        assert_eq!(has.lock().expect("a lock").as_slice(), b"one\ntwo\nthree\n");
        assert_eq!(shared.news(), (None, None));
    }

    #[test]
    fn nobody_waits_for_room_at_the_end() {
        let shared = Shared::default();
        shared.end();
        let (sender, batches) = sync_channel(4);
        sender.send(b"one\n".to_vec()).expect("has room");
        let disk = Disk {
            room: Arc::default(),
            has: Arc::default(),
        };
        let ended = run(batches, &mut Target::Plain(Box::new(disk)), &shared);
        let error = ended.expect_err("no room");
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    }

    #[test]
    fn a_line_that_was_torn_begins_again_elsewhere() {
        assert_eq!(line_of(b"one\ntwo\n", 6), 4);
        assert_eq!(line_of(b"one\ntwo\n", 4), 4);
        assert_eq!(line_of(b"one\ntwo\n", 2), 0);
    }
}
