//! Where lines go. A thread of its own writes them, so that a reader that is
//! slow or gone never holds up the ring: what it does not take in time is
//! counted as lost detail, never as a lost count. A pipe with room takes them
//! without that thread.

mod named;
mod patient;
mod pipe;
mod writing;

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use thiserror::Error;

pub use self::patient::{Patient, aside, whole_aside};
use self::{
    named::Named,
    pipe::Pipe,
    writing::{Shared, Target, run},
};
use super::Kept;
use crate::host::threads::{NoThread, spawn};

/// Between two looks at a slow reader.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(5);

/// Batches that may wait for a slow reader.
const BATCHES: usize = 256;

/// Why lines cannot be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// The file cannot be made.
    #[error("cannot create {path}: {source}; name a file in a folder that exists and is writable")]
    Create { path: String, source: io::Error },
    /// It is a symbolic link.
    #[error(
        "{0} is a symbolic link, which --output does not follow; name the file itself, or `-` for standard output"
    )]
    Link(String),
    /// Arguments do not fit each other.
    #[error("{0}")]
    Usage(String),
    /// Nobody reads the named pipe.
    #[error("nobody reads {0}; start its reader first, or name a file")]
    Unread(String),
    #[error(
        "writing to {to} failed: {source}; the counts are complete, lines after this are missing"
    )]
    /// Writing failed.
    Write { to: String, source: io::Error },
    /// The writer's thread could not be started.
    #[error(transparent)]
    NoThread(#[from] NoThread),
    /// It did not take the last lines in time.
    #[error("the reader of {0} took nothing for so long that the last lines were given up")]
    Stuck(String),
}

/// A file that is written anew. A FIFO that nobody reads is refused: open(2) would wait for a reader for ever.
pub fn create(path: &Path) -> Result<File, OutputError> {
    let name = || path.display().to_string();
    let failed = |source| OutputError::Create {
        path: name(),
        source,
    };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|source| match source.raw_os_error() {
            Some(libc::ENXIO) => OutputError::Unread(name()),
            _ => failed(source),
        })?;
    // From here on a slow reader is waited for, by the thread that writes.
    let flags = fcntl_getfl(&file).map_err(|errno| failed(errno.into()))?;
    fcntl_setfl(&file, flags - OFlags::NONBLOCK).map_err(|errno| failed(errno.into()))?;
    Ok(file)
}

/// The writing end.
pub struct Output {
    name: String,
    /// Where lines may go at once.
    pipe: Option<Pipe>,
    /// To the thread, where there is one.
    sender: Option<SyncSender<Vec<u8>>>,
    /// Batches that the thread was given.
    sent: u64,
    done: Receiver<Result<(), io::Error>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    /// Whether it was said that nothing can be written.
    is_failing: bool,
}

/// Whether this names standard output: it is no file that could be made, moved or opened again.
pub fn is_standard_output(path: &Path) -> bool {
    const NAMES: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    NAMES.iter().any(|name| path.as_os_str() == *name)
}

impl Output {
    /// Standard output, or a file to which lines are added.
    pub fn open(path: Option<&Path>, kept: &Kept) -> Result<Self, OutputError> {
        if let Some(path) = path.filter(|path| !is_standard_output(path)) {
            let name = path.display().to_string();
            let file = Named::open(path, kept)?;
            return Self::begin(name, Target::Named(Box::new(file)));
        }
        let output = Self::start("standard output".into(), Box::new(Patient(io::stdout())))?;
        let pipe = Pipe::of(io::stdout());
        Ok(Self { pipe, ..output })
    }

    /// Where nobody reads.
    pub fn none() -> Self {
        let (finished, done) = sync_channel(1);
        let _ = finished.send(Ok(()));
        Self {
            name: "nowhere".into(),
            pipe: None,
            sender: None,
            sent: 0,
            done,
            thread: None,
            shared: Arc::default(),
            is_failing: false,
        }
    }

    /// A thread that writes to this.
    pub(super) fn start(name: String, to: Box<dyn Write + Send>) -> Result<Self, OutputError> {
        Self::begin(name, Target::Plain(to))
    }

    fn begin(name: String, mut to: Target) -> Result<Self, OutputError> {
        let (sender, batches) = sync_channel::<Vec<u8>>(BATCHES);
        let (finished, done) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = spawn("to write lines on", move || {
            let result = run(batches, &mut to, &of_thread);
            let is_broken = result.is_err();
            of_thread.broken.store(is_broken, Ordering::Relaxed);
            let _ = finished.send(result);
        })?;
        Ok(Self {
            name,
            pipe: None,
            sender: Some(sender),
            sent: 0,
            done,
            thread: Some(thread),
            shared,
            is_failing: false,
        })
    }

    /// What is to be said about it by now, in sentences.
    pub fn news(&mut self) -> Vec<String> {
        let (failing, trouble) = self.shared.news();
        let name = &self.name;
        let was_failing = std::mem::replace(&mut self.is_failing, failing.is_some());
        let change = match failing {
            Some(why) if !was_failing => Some(format!(
                "not writing to {name} for now: {why}; what it has no room for is counted"
            )),
            None if was_failing => Some(format!("writing to {name} again")),
            _ => None,
        };
        change.into_iter().chain(trouble).collect()
    }

    /// Goes on in the file that has the name by now.
    pub fn reopen(&mut self) {
        self.shared.reopen();
        // Nothing to write wakes the thread, unless it has something to write.
        if let Some(sender) = &self.sender
            && sender.try_send(Vec::new()).is_ok()
        {
            self.sent += 1;
        }
    }

    /// Hands a batch of lines over, and empties it; or says what was not taken.
    pub fn send(&mut self, batch: &mut String) -> Result<(), Vec<u8>> {
        let Some(sender) = &self.sender else {
            batch.clear();
            return Ok(());
        };
        // What the thread was given before comes first.
        let is_idle = self.shared.written.load(Ordering::Acquire) == self.sent;
        let pipe = self.pipe.as_ref().filter(|_| is_idle);
        let taken = pipe.map_or(0, |pipe| pipe.write(batch));
        if taken == batch.len() {
            batch.clear();
            return Ok(());
        }
        // The next one is about as long.
        let next = String::with_capacity(batch.capacity());
        let mut rest = std::mem::replace(batch, next).into_bytes();
        rest.drain(..taken);
        sender.try_send(rest).map_err(|refused| match refused {
            TrySendError::Full(rest) | TrySendError::Disconnected(rest) => rest,
        })?;
        self.sent += 1;
        Ok(())
    }

    /// Whether writing has failed.
    pub fn is_broken(&self) -> bool {
        self.shared.broken.load(Ordering::Relaxed)
    }

    /// Hands the last batch over and waits until everything is written, as
    /// long as a batch is taken within `patience`, and ten times as long at
    /// most. A reader that went away is no error: `Ok(false)`.
    pub fn finish(mut self, last: String, patience: Duration) -> Result<bool, OutputError> {
        let mut waiting = Waiting::new(&self.shared, patience);
        self.shared.end();
        let mut last = Some(last.into_bytes());
        if let Some(sender) = self.sender.take() {
            while let Some(batch) = last.take() {
                match sender.try_send(batch) {
                    Ok(()) | Err(TrySendError::Disconnected(_)) => {}
                    Err(TrySendError::Full(batch)) if waiting.is_worth_it() => {
                        last = Some(batch);
                        thread::sleep(LOOK_AGAIN_AFTER);
                    }
                    Err(TrySendError::Full(_)) => {
                        return Err(OutputError::Stuck(self.name.clone()));
                    }
                }
            }
        }
        let mut done = self.done.recv_timeout(LOOK_AGAIN_AFTER);
        while matches!(done, Err(RecvTimeoutError::Timeout)) && waiting.is_worth_it() {
            done = self.done.recv_timeout(LOOK_AGAIN_AFTER);
        }
        match done {
            Ok(Ok(())) => {
                if let Some(thread) = self.thread.take() {
                    let _ = thread.join();
                }
                Ok(true)
            }
            Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Ok(Err(source)) => Err(OutputError::Write {
                to: self.name.clone(),
                source,
            }),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(OutputError::Stuck(self.name.clone()))
            }
        }
    }
}

/// Patience with a reader: it begins anew with each batch that is taken.
struct Waiting {
    shared: Arc<Shared>,
    last: u64,
    patience: Duration,
    until: Instant,
    at_most: Instant,
}

impl Waiting {
    fn new(shared: &Arc<Shared>, patience: Duration) -> Self {
        let now = Instant::now();
        Self {
            last: shared.written.load(Ordering::Relaxed),
            shared: Arc::clone(shared),
            patience,
            until: now + patience,
            at_most: now + patience * 10,
        }
    }

    fn is_worth_it(&mut self) -> bool {
        let now = Instant::now();
        let written = self.shared.written.load(Ordering::Relaxed);
        if written != self.last {
            self.last = written;
            self.until = now + self.patience;
        }
        now < self.until.min(self.at_most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing until it is told to.
    struct Gate(Receiver<()>, Vec<u8>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_never_holds_up_the_sender() {
        let (open, closed) = sync_channel(1);
        let mut output =
            Output::start("a gate".into(), Box::new(Gate(closed, Vec::new()))).expect("a thread");
        let taken = (0..BATCHES * 2)
            .filter(|_| output.send(&mut "line\n".into()).is_ok())
            .count();
        assert!((BATCHES..=BATCHES + 1).contains(&taken), "{taken}");
        let stuck = output.finish(String::new(), Duration::from_millis(20));
        assert!(matches!(stuck, Err(OutputError::Stuck(_))));
        drop(open);
    }

    #[test]
    fn a_fifo_without_a_reader_is_refused_at_once() {
        let path = std::env::temp_dir().join(format!("whydrop-unread-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).expect("a FIFO");
        let (done, waits) = sync_channel(1);
        let opened = path.clone();
        thread::spawn(move || done.send(create(&opened).map(drop).map_err(|e| e.to_string())));
        let answer = waits.recv_timeout(Duration::from_secs(10));
        let _ = std::fs::remove_file(&path);
        let sentence = answer.expect("an answer").expect_err("nobody reads");
        assert!(sentence.starts_with("nobody reads "), "{sentence}");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::start("a pipe".into(), Box::new(Closed)).expect("a thread");
        assert!(output.send(&mut "line\n".into()).is_ok());
        let finished = output.finish("end\n".into(), Duration::from_secs(5));
        assert!(matches!(finished, Ok(false)));
    }

    #[test]
    fn a_full_disk_is_said() {
        let full = Path::new("/dev/full");
        let mut output = Output::open(Some(full), &Kept::default()).expect("opens");
        assert!(output.send(&mut "line\n".into()).is_ok());
        let finished = output.finish(String::new(), Duration::from_secs(5));
        let error = finished.expect_err("no room").to_string();
        assert!(error.starts_with("writing to /dev/full failed"), "{error}");
    }

    #[test]
    fn what_a_pipe_has_no_room_for_comes_after_what_it_took() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let pipe = Pipe::of(&writer);
        assert!(pipe.is_some());
        let started = Output::start("a pipe".into(), Box::new(writer)).expect("a thread");
        let mut output = Output { pipe, ..started };
        let lines = |nth: usize| format!("{nth} → {}\n", "x".repeat(10_000));
        let all: String = (0..32).map(lines).collect();
        assert!((0..32).all(|nth| output.send(&mut lines(nth)).is_ok()));
        // Some of it was not taken yet: a pipe has less room.
        assert_ne!(output.shared.written.load(Ordering::Acquire), output.sent);
        let read = thread::spawn(move || {
            let mut read = String::new();
            io::Read::read_to_string(&mut reader, &mut read).map(|_| read)
        });
        let finished = output.finish("end\n".into(), Duration::from_secs(5));
        assert!(matches!(finished, Ok(true)));
        let read = read.join().expect("ends").expect("is text");
        assert_eq!(read, format!("{all}end\n"));
    }
}
