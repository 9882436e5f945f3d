//! Threads that enter namespaces for others. They are used again, and nobody waits for one longer than it has patience.
//!
//! In: a descriptor of a namespace, and what to do there. Out: the answer, or that it did not come in time. A thread goes back
//! to where it came from before it rests: while it is in a namespace, that one does not end.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags, open},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{current, inum_of_fd};

/// What is asked of a namespace takes less than a millisecond, but for long tables of tracked connections.
const PATIENCE: Duration = Duration::from_secs(5);

/// Threads that rest at once; as many as ask at the same time in most watches.
const REST_AT_MOST: usize = 2;

/// Threads that hang at once: where so many do, nobody else is sent after them.
const HANG_AT_MOST: usize = 16;

/// Done in the namespace that the descriptor leads to, by a thread that came from another.
type Work = Box<dyn FnOnce(&Home) + Send>;

/// Where a thread came from.
struct Home(OwnedFd);

impl Home {
    fn here() -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self(open(
            c"/proc/thread-self/ns/net",
            flags,
            Mode::empty(),
        )?))
    }

    /// Takes the calling thread there; whether that went.
    fn take_back(&self) -> bool {
        enter(self.0.as_fd()).is_ok()
    }
}

fn enter(ns: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_into_link_name_space(
        ns,
        Some(LinkNameSpaceType::Network),
    )?)
}

/// Threads that nobody waits for.
struct Threads {
    resting: Vec<Sender<Work>>,
    /// Namespaces in which one has not answered in time, and still does not.
    hanging: Vec<u32>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads {
    resting: Vec::new(),
    hanging: Vec::new(),
});

fn threads() -> MutexGuard<'static, Threads> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Threads {
    /// One to send into this namespace, if it is worth it.
    fn one(&mut self, inum: u32) -> io::Result<Option<Sender<Work>>> {
        let hangs = |why: String| Err(io::Error::new(io::ErrorKind::TimedOut, why));
        if self.hanging.contains(&inum) {
            return hangs(format!(
                "a thread that entered network namespace {inum} has not come back yet"
            ));
        }
        if self.hanging.len() >= HANG_AT_MOST {
            return hangs(format!(
                "{HANG_AT_MOST} threads that entered network namespaces have not come back yet"
            ));
        }
        Ok(self.resting.pop())
    }

    fn rest(&mut self, thread: Sender<Work>) {
        if self.resting.len() < REST_AT_MOST {
            self.resting.push(thread);
        }
    }

    fn came_back(&mut self, inum: u32) {
        if let Some(at) = self.hanging.iter().position(|hangs| *hangs == inum) {
            self.hanging.swap_remove(at);
        }
    }
}

/// One more thread, in the namespace of this process.
fn another() -> io::Result<Sender<Work>> {
    let (to_it, work) = channel::<Work>();
    let home = Home::here()?;
    thread::Builder::new()
        .name("netns".into())
        .spawn(move || work.into_iter().for_each(|work| work(&home)))?;
    Ok(to_it)
}

/// Runs `f` in the namespace `ns`: directly where the calling thread is in it already, else on a thread that enters it.
///
/// A socket made in `f` stays in the namespace when it is handed out, so one call is enough for many questions.
///
/// # Errors
/// The namespace cannot be entered, no thread can be had, or `f` is not done after some seconds: then it goes on, and
/// nobody is sent into that namespace until it is done.
pub fn inside<T: Send + 'static>(
    ns: BorrowedFd<'_>,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    inside_within(ns, PATIENCE, f)
}

/// As [`inside`], with more patience or less.
pub fn inside_within<T: Send + 'static>(
    ns: BorrowedFd<'_>,
    patience: Duration,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let inum = inum_of_fd(ns)?;
    if inum == current()? {
        return Ok(f());
    }
    let to = ns.try_clone_to_owned()?;
    let resting = threads().one(inum)?;
    let thread = match resting {
        Some(thread) => thread,
        None => another()?,
    };
    let (answers, answer) = sync_channel(1);
    let work: Work = Box::new(move |home| {
        let answered = enter(to.as_fd()).map(|()| f());
        let is_back = home.take_back();
        drop(to);
        tell(inum, &answers, (answered, is_back));
    });
    if thread.send(work).is_err() {
        return Err(io::Error::other("a thread that enters namespaces is gone"));
    }
    let (answered, is_back) = wait(inum, answer, patience)?;
    if is_back {
        threads().rest(thread);
    }
    answered
}

/// Under the lock: either somebody still waits for the answer, or the thread is among those that hang.
fn tell<T>(inum: u32, answers: &SyncSender<T>, answer: T) {
    let mut threads = threads();
    if answers.send(answer).is_err() {
        threads.came_back(inum);
    }
}

fn wait<T>(inum: u32, answer: Receiver<T>, patience: Duration) -> io::Result<T> {
    let gone = || io::Error::other("the thread that entered the namespace ended early");
    match answer.recv_timeout(patience) {
        Ok(answer) => return Ok(answer),
        Err(RecvTimeoutError::Disconnected) => return Err(gone()),
        Err(RecvTimeoutError::Timeout) => {}
    }
    let mut threads = threads();
    if let Ok(answer) = answer.try_recv() {
        return Ok(answer);
    }
    threads.hanging.push(inum);
    drop(answer);
    drop(threads);
    let why = format!(
        "nothing came back from there within {} ms",
        patience.as_millis()
    );
    Err(io::Error::new(io::ErrorKind::TimedOut, why))
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, time::Instant};

    use super::*;
    use crate::host::netns::Private;

    #[test]
    fn who_hangs_in_a_namespace_holds_nobody_up() {
        let Ok(namespace) = Private::new() else {
            return;
        };
        let ns = namespace.as_fd();
        let (let_go, held) = channel::<()>();
        let hangs = move || held.recv().is_err();
        let short = Duration::from_millis(20);
        let kind = |asked: io::Result<bool>| asked.map_err(|error| error.kind());
        let late = Err(io::ErrorKind::TimedOut);
        assert_eq!(kind(inside_within(ns, short, hangs)), late);
        // Nobody is sent after it, and nobody waits.
        let began = Instant::now();
        assert_eq!(kind(inside(ns, || true)), late);
        assert!(began.elapsed() < PATIENCE);
        // Others are entered meanwhile.
        let other = Private::new().expect("one more");
        let there = inside(other.as_fd(), current).expect("is entered");
        assert_eq!(there.expect("has a number"), other.inum());
        drop(let_go);
        let deadline = Instant::now() + Duration::from_secs(30);
        while kind(inside(ns, || true)) == late {
            assert!(Instant::now() < deadline, "it never comes back");
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_goes_home_before_it_rests() {
        let Ok(namespace) = Private::new() else {
            return;
        };
        let here = current().expect("a namespace");
        for _ in 0..8 {
            let there = inside(namespace.as_fd(), current).expect("is entered");
            assert_eq!(there.expect("has a number"), namespace.inum());
        }
        let resting = threads().one(0).expect("nothing hangs there");
        let (answers, answer) = sync_channel(1);
        let thread = resting.expect("one rests");
        let work: Work = Box::new(move |_| drop(answers.send(current())));
        thread.send(work).expect("it waits for work");
        assert_eq!(answer.recv().expect("an answer").expect("a number"), here);
    }
}
