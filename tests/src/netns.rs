//! A private network namespace. A holder process, forked for this alone, makes
//! it and stays in it, so that the namespace has a pid as those of containers
//! have; it ends when the `Netns` is dropped or the test dies.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;

use anyhow::{Context, Result, ensure};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::interface;
use crate::netstat::Counters;
use crate::process;

pub struct Netns {
    namespace: File,
    inum: u64,
    holder: libc::pid_t,
    /// The holder reads from the other end; closing this lets it go.
    release: Option<OwnedFd>,
}

impl Netns {
    /// A new namespace with its loopback device up.
    pub fn new() -> Result<Self> {
        let (held, release) = pipe_with(PipeFlags::CLOEXEC)?;
        let (ready, made) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: the child calls nothing but system calls on values made
        // before the fork (`hold`) and ends in _exit, so no lock or allocator
        // state of the other threads is ever touched in it.
        let holder = unsafe { libc::fork() };
        if holder == 0 {
            hold(held.as_raw_fd(), made.as_raw_fd());
        }
        ensure!(holder > 0, "fork: {}", std::io::Error::last_os_error());
        drop((held, made));

        let mut answer = [0];
        let answered = File::from(ready).read(&mut answer)?;
        let namespace =
            File::open(format!("/proc/{holder}/ns/net")).context("open the new namespace")?;
        let inum = namespace.metadata()?.ino();
        let netns = Self {
            namespace,
            inum,
            holder,
            release: Some(release),
        };
        ensure!(
            answered == 1 && answer[0] == 0,
            "no new network namespace (are we root?): errno {}",
            answer[0]
        );
        netns.run(|| interface::set_up("lo"))??;
        Ok(netns)
    }

    /// The number by which the kernel and whydrop name this namespace.
    pub fn inum(&self) -> u64 {
        self.inum
    }

    /// A process that lives in this namespace, for `--netns PID`.
    pub fn pid(&self) -> i32 {
        self.holder
    }

    /// Runs the closure on a thread that has moved into this namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(self.namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .context("setns into a test namespace")?;
                Ok(work())
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a program in this namespace, as a child of the calling thread.
    pub fn spawn(&self, command: &mut Command) -> Result<Child> {
        let namespace = self.namespace.try_clone()?;
        // SAFETY: only setns(2) after the fork, on a descriptor that the command owns.
        unsafe {
            command.pre_exec(move || {
                let network = Some(LinkNameSpaceType::Network);
                Ok(move_into_link_name_space(namespace.as_fd(), network)?)
            });
        }
        command
            .spawn()
            .with_context(|| format!("start {command:?}"))
    }

    /// Sets `/proc/sys/<name>` of this namespace.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(name);
        self.run(|| std::fs::write(&path, value).with_context(|| format!("set {name} to {value}")))?
    }

    /// What the kernel has counted in this namespace until now.
    pub fn counters(&self) -> Result<Counters> {
        self.run(Counters::read)?
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        drop(self.release.take());
        let _ = process::wait_for(self.holder);
    }
}

/// The holder: leaves every inherited file (a pipe to a traced whydrop must not
/// stay open here), makes the namespace, says so, and waits to be let go.
fn hold(held: i32, made: i32) -> ! {
    // SAFETY: system calls only, on descriptors that were open at the fork; the
    // buffers live on this stack.
    unsafe {
        libc::dup2(held, 0);
        libc::dup2(made, 1);
        libc::syscall(libc::SYS_close_range, 2_u32, u32::MAX, 0);
        let errno = if libc::unshare(libc::CLONE_NEWNET) == 0 {
            0
        } else {
            *libc::__errno_location() as u8
        };
        libc::write(1, (&raw const errno).cast(), 1);
        libc::close(1);
        let mut nothing = 0_u8;
        while libc::read(0, (&raw mut nothing).cast(), 1) < 0 {}
        libc::_exit(0)
    }
}
