//! A process that holds a socket and nothing else, forked for this alone: the
//! owner of a listener in a test. It ends when the `Holder` is dropped, or when
//! the test dies.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Error, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};

use crate::listener::Listener;
use crate::process;

/// How the process that holds the socket comes to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Birth {
    /// What the kernel is to call it, else what the test is called.
    pub comm: Option<&'static CStr>,
    /// CLONE_NEW*: namespaces that it is born in, apart from the test.
    pub namespaces: libc::c_int,
    /// Its parent ended when it had been born.
    pub orphan: bool,
    pub work: Work,
}

/// What it does with its time, until it is let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// Sleeps in read(2).
    #[default]
    Sleep,
    /// Uses a whole CPU.
    Spin,
    /// Accepts and closes, and rests so long after each.
    Serve { rest_us: u32 },
    /// Accepts and closes, and uses so much of a CPU for each.
    Toil { busy_us: u32 },
    /// Writes to 64 MB of memory, over and over.
    Touch,
    /// Waits in epoll_wait(2) for something else than the listener.
    EpollElsewhere,
    /// Accepts so many that its epoll instance tells it of, keeps them, and then has it tell of no more.
    EpollUpTo { most: u32, how: Quits },
    /// Waits for a lock before it accepts; a second thread has it, and sleeps in read(2) or uses a whole CPU.
    Locked { spin: bool },
    /// Waits for a lock on this file, by flock(2), before anything else.
    FileLocked { path: &'static CStr },
}

/// How an epoll instance is told to be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quits {
    /// The listener is taken out of it.
    Deletes,
    /// It is asked for nothing any more.
    AsksForNothing,
    /// It is not asked again, where it has to be each time (EPOLLONESHOT).
    AsksNoMore,
}

pub struct Holder {
    pid: libc::pid_t,
    /// Whom to wait for: an orphan is no child of ours.
    child: Option<libc::pid_t>,
    /// It reads from the other end; closing this lets it go.
    release: Option<OwnedFd>,
    /// It keeps the other end open until it ends, and its socket is closed.
    end: File,
}

impl Holder {
    pub fn of(listener: &Listener) -> Result<Self> {
        Self::born(listener, Birth::default())
    }

    pub fn born(listener: &Listener, birth: Birth) -> Result<Self> {
        let socket: OwnedFd = listener.duplicate()?;
        let (held, release) = pipe_with(PipeFlags::CLOEXEC)?;
        let (end, made) = pipe_with(PipeFlags::CLOEXEC)?;
        let files = [&socket, &held, &made].map(AsRawFd::as_raw_fd);
        // SAFETY: the child calls nothing but system calls on values made
        // before the fork (`live`) and ends in _exit, so no lock or allocator
        // state of the other threads is ever touched in it.
        let child = match unsafe { libc::fork() } {
            0 => live(files, birth),
            pid if pid > 0 => pid,
            _ => bail!("fork: {}", Error::last_os_error()),
        };
        drop((socket, held, made));
        let mut holder = Self {
            pid: child,
            child: Some(child),
            release: Some(release),
            end: File::from(end),
        };
        let mut pid = [0; 4];
        holder
            .end
            .read_exact(&mut pid)
            .context("the holder of a socket ended (are we root?)")?;
        holder.pid = libc::pid_t::from_ne_bytes(pid);
        if birth.orphan {
            let status = process::wait_for(child)?;
            ensure!(status == Some(0), "the parent of an orphan failed");
            holder.child = None;
        }
        Ok(holder)
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        process::signal(self.pid as u32, signal)
    }

    pub fn pid(&self) -> u64 {
        self.pid as u64
    }
}

impl Drop for Holder {
    /// Returns when the process has ended and its socket is closed.
    fn drop(&mut self) {
        drop(self.release.take());
        let _ = self.end.read(&mut [0]);
        if let Some(child) = self.child {
            let _ = process::wait_for(child);
        }
    }
}

/// Leaves every other inherited file, says which process it is, and waits to be
/// let go.
fn live(files: [i32; 3], birth: Birth) -> ! {
    const SOCKET: i32 = 0;
    const HELD: i32 = 1;
    const MADE: i32 = 2;
    // SAFETY: system calls only, on descriptors that were open at the fork; the
    // buffers live on this stack and the name is static.
    unsafe {
        for (to, from) in [SOCKET, HELD, MADE].into_iter().zip(files) {
            libc::dup2(from, to);
        }
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0);
        if let Some(comm) = birth.comm {
            libc::prctl(libc::PR_SET_NAME, comm.as_ptr());
        }
        if birth.namespaces != 0 && libc::unshare(birth.namespaces) != 0 {
            libc::_exit(1);
        }
        // A PID namespace is that of children only, so what is in another one, or has no parent, is born twice.
        let in_between = birth.orphan || birth.namespaces & libc::CLONE_NEWPID != 0;
        let pid = if in_between {
            libc::fork()
        } else {
            libc::getpid()
        };
        if pid < 0 {
            libc::_exit(1);
        }
        if pid > 0 {
            libc::write(MADE, (&raw const pid).cast(), size_of_val(&pid));
        }
        if in_between && pid > 0 {
            libc::close(SOCKET);
            libc::close(HELD);
            if birth.orphan {
                libc::_exit(0);
            }
            let mut status = 0;
            libc::waitpid(pid, &raw mut status, 0);
            libc::_exit(0)
        }
        let mut nothing = 0_u8;
        match birth.work {
            Work::Sleep => {}
            Work::Spin => while !is_released(HELD, 0) {},
            Work::Serve { rest_us } => serve(SOCKET, HELD, || {
                libc::usleep(rest_us);
            }),
            Work::Toil { busy_us } => serve(SOCKET, HELD, || {
                let began = cpu_time_us();
                while cpu_time_us() - began < i64::from(busy_us) {}
            }),
            Work::Touch => touch(HELD),
            Work::EpollElsewhere => {
                let epoll = libc::epoll_create1(0);
                let mut event = libc::epoll_event {
                    events: libc::EPOLLIN as u32,
                    u64: 0,
                };
                libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, HELD, &raw mut event);
                while libc::epoll_wait(epoll, &raw mut event, 1, -1) < 0 {}
            }
            Work::EpollUpTo { most, how } => epoll_up_to(SOCKET, HELD, most, how),
            Work::Locked { spin } => wait_for_lock(HELD, spin),
            Work::FileLocked { path } => {
                let file = libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
                while libc::flock(file, libc::LOCK_EX) < 0 {}
            }
        }
        while libc::read(HELD, (&raw mut nothing).cast(), 1) < 0 {}
        libc::_exit(0)
    }
}

/// Whether the test has let go, waiting for it so long.
///
/// # Safety
/// As in [`live`]: a system call on an open descriptor.
unsafe fn is_released(held: i32, timeout_ms: i32) -> bool {
    let mut poll = libc::pollfd {
        fd: held,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd, which outlives the call.
    unsafe { libc::poll(&raw mut poll, 1, timeout_ms) > 0 }
}

/// # Safety
/// As in [`live`].
unsafe fn serve(socket: i32, held: i32, after_each: impl Fn()) {
    let file = |fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    loop {
        let mut files = [file(socket), file(held)];
        // SAFETY: system calls on open descriptors, with an array that outlives the call.
        unsafe {
            libc::poll(files.as_mut_ptr(), 2, -1);
            if files[1].revents != 0 {
                return;
            }
            let connection = libc::accept4(socket, std::ptr::null_mut(), std::ptr::null_mut(), 0);
            if connection >= 0 {
                libc::close(connection);
                after_each();
            }
        }
    }
}

/// # Safety
/// As in [`live`].
unsafe fn epoll_up_to(socket: i32, held: i32, most: u32, how: Quits) {
    let (readable, once) = (libc::EPOLLIN as u32, libc::EPOLLONESHOT as u32);
    let asked = |events, fd: i32| libc::epoll_event {
        events,
        u64: fd as u64,
    };
    let again = if how == Quits::AsksNoMore { once } else { 0 };
    let mut of_socket = asked(readable | again, socket);
    let mut of_held = asked(readable, held);
    let mut left = most;
    // SAFETY: system calls on open descriptors, with events that outlive the calls.
    unsafe {
        libc::fcntl(socket, libc::F_SETFL, libc::O_NONBLOCK);
        let epoll = libc::epoll_create1(0);
        libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, held, &raw mut of_held);
        libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &raw mut of_socket);
        let mut event = of_socket;
        loop {
            let n = libc::epoll_wait(epoll, &raw mut event, 1, -1);
            if n == 1 && event.u64 == held as u64 {
                return;
            }
            if n != 1 || left == 0 {
                continue;
            }
            if libc::accept4(socket, std::ptr::null_mut(), std::ptr::null_mut(), 0) >= 0 {
                left -= 1;
            }
            let call = match (left, how) {
                (1.., _) => libc::EPOLL_CTL_MOD,
                (0, Quits::Deletes) => libc::EPOLL_CTL_DEL,
                (0, Quits::AsksForNothing) => {
                    of_socket.events = 0;
                    libc::EPOLL_CTL_MOD
                }
                (0, Quits::AsksNoMore) => continue,
            };
            libc::epoll_ctl(epoll, call, socket, &raw mut of_socket);
        }
    }
}

/// What the calling thread has had of CPUs.
fn cpu_time_us() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// A lock as the C library makes it: free, held, held with somebody who waits.
static LOCK: AtomicU32 = AtomicU32::new(0);
const HELD_ALONE: u32 = 1;
const AWAITED: u32 = 2;

/// Starts the thread that has the lock, and waits for what never comes: its process ends first.
///
/// # Safety
/// As in [`live`].
unsafe fn wait_for_lock(held: i32, spin: bool) {
    const STACK_BYTES: usize = 64 << 10;
    extern "C" fn hold(held: *mut libc::c_void) -> libc::c_int {
        let mut nothing = 0_u8;
        // SAFETY: system calls on an open descriptor, as in `live`.
        unsafe {
            while libc::read(held as i32, (&raw mut nothing).cast(), 1) < 0 {}
            libc::_exit(0)
        }
    }
    extern "C" fn compute(held: *mut libc::c_void) -> libc::c_int {
        // SAFETY: as above.
        unsafe {
            while !is_released(held as i32, 0) {}
            libc::_exit(0)
        }
    }
    LOCK.store(HELD_ALONE, Ordering::Relaxed);
    // SAFETY: a new stack that nobody else knows and that is never unmapped; the thread calls nothing but system calls.
    unsafe {
        let stack = libc::mmap(
            std::ptr::null_mut(),
            STACK_BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if stack == libc::MAP_FAILED {
            return;
        }
        let flags = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SYSVSEM;
        let top = stack.byte_add(STACK_BYTES);
        let thread = if spin { compute } else { hold };
        if libc::clone(thread, top, flags, held as *mut libc::c_void) < 0 {
            return;
        }
        while LOCK.swap(AWAITED, Ordering::Acquire) != 0 {
            let wait = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
            libc::syscall(libc::SYS_futex, LOCK.as_ptr(), wait, AWAITED, 0_usize);
        }
    }
}

/// # Safety
/// As in [`live`].
unsafe fn touch(held: i32) {
    const BYTES: usize = 64 << 20;
    const PAGE: usize = 4096;
    // SAFETY: new memory that nobody else knows, written to within its bounds.
    unsafe {
        let memory = libc::mmap(
            std::ptr::null_mut(),
            BYTES,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if memory == libc::MAP_FAILED {
            return;
        }
        let memory = memory.cast::<u8>();
        for page in (0..BYTES).step_by(PAGE).cycle() {
            memory.add(page).write_volatile(1);
            if page == 0 && is_released(held, 0) {
                return;
            }
        }
    }
}
