//! A busy host: many listeners in one namespace and many connections to them,
//! over loopback, so that both ends are there. Some processes, forked for this
//! alone, share them, as workers of a server do.

use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::connect_here;
use crate::listener::Listener;
use crate::netns::Netns;
use crate::process;

const PROCESSES: u16 = 20;
/// That this process has open beside those of one of them.
const OTHER_FILES: u64 = 500;

/// All of it ends when this is dropped, or when the test dies.
pub struct Crowd(Vec<Process>);

struct Process {
    pid: libc::pid_t,
    /// It reads from the other end; closing this lets it go.
    release: Option<OwnedFd>,
}

impl Crowd {
    /// The connections are shared out among the listeners, each of which has an
    /// address of 127.0.0.0/8 to itself: ports are not what runs out.
    pub fn gather(netns: &Netns, listeners: u16, connections: usize) -> Result<Self> {
        let each = connections / usize::from(listeners);
        let per_process = listeners / PROCESSES;
        ensure!(
            per_process * PROCESSES == listeners && each * usize::from(listeners) == connections,
            "{listeners} listeners and {connections} connections are not shared out evenly"
        );
        let files = u64::from(per_process) * (2 * each as u64 + 1) + OTHER_FILES;
        let _limit = OpenFiles::allow(files)?;
        let mut crowd = Self(Vec::new());
        for process in 0..PROCESSES {
            let (held, release) = pipe_with(PipeFlags::CLOEXEC)?;
            let first = process * per_process + 1;
            let sockets = (first..first + per_process)
                .map(|n| Busy::listener(netns, n, each))
                .collect::<Result<Vec<_>>>()?;
            crowd.0.push(Process::fork(&held, release)?);
            drop(sockets);
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // All, before the first is waited for: who came later has the ends of the earlier ones.
        for process in &mut self.0 {
            drop(process.release.take());
        }
        for Process { pid, .. } in &self.0 {
            let _ = process::wait_for(*pid);
        }
    }
}

impl Process {
    /// One that holds what this one has open now.
    fn fork(held: &OwnedFd, release: OwnedFd) -> Result<Self> {
        let (held, released) = (held.as_raw_fd(), release.as_raw_fd());
        // SAFETY: the child calls nothing but system calls on values made before
        // the fork and ends in _exit, so no lock or allocator state of the other
        // threads is ever touched in it.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: as above; the buffer lives on this stack.
            unsafe {
                libc::close(released);
                let mut nothing = 0_u8;
                while libc::read(held, (&raw mut nothing).cast(), 1) < 0 {}
                libc::_exit(0)
            }
        }
        ensure!(pid > 0, "fork: {}", std::io::Error::last_os_error());
        Ok(Self {
            pid,
            release: Some(release),
        })
    }
}

/// A listener and both ends of its connections.
struct Busy {
    _listener: Listener,
    _streams: Vec<TcpStream>,
}

impl Busy {
    fn listener(netns: &Netns, number: u16, connections: usize) -> Result<Self> {
        let [high, low] = number.to_be_bytes();
        let address = Ipv4Addr::new(127, 1, high, low);
        let listener = Listener::new(netns, address.into(), connections as i32)?;
        let streams = netns.run(|| connect(&listener, connections))??;
        Ok(Self {
            _listener: listener,
            _streams: streams,
        })
    }
}

/// So many times both ends, from the namespace of the calling thread.
fn connect(listener: &Listener, count: usize) -> Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(2 * count);
    for _ in 0..count {
        streams.push(connect_here(listener.address())?.into_stream()?);
        streams.push(listener.accept_soon()?);
    }
    Ok(streams)
}

/// How many files this process may have open, as it was before when this is dropped.
struct OpenFiles(Rlimit);

impl OpenFiles {
    fn allow(files: u64) -> Result<Self> {
        let before = getrlimit(Resource::Nofile);
        let limit = Rlimit {
            current: before.current.map(|limit| limit.max(files)),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, limit)
            .with_context(|| format!("allow {files} open files; `ulimit -Hn` has the most"))?;
        Ok(Self(before))
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        // A limit that stays too high is no harm to those that come after.
        let _ = setrlimit(Resource::Nofile, self.0);
    }
}
