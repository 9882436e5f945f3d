//! Proves the hooks on the running kernel before anything is promised: in a
//! private namespace one SYN too many is sent to a listener, and the kernel's
//! counter and the hooks' must agree. Offsets, counter positions and the
//! per-CPU base are proven with it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use probe_common::counter;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::{
    host::{
        netns::{Private, Registry},
        netstat,
    },
    loader::{Probe, ReadError},
    model::{SelfTest, reading::Reading},
};

/// How long the kernel may take to refuse one SYN.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at the counters.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// Clients that are tried before the kernel is taken to refuse nobody.
const CLIENTS_AT_MOST: usize = 64;

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    #[error(
        "the self-test failed: {0}; this kernel is not understood, and whydrop will not pretend; `--tier` can force another way in"
    )]
    /// The kernel counted something else than the hooks.
    Differs(String),
    /// The counts could not be read.
    #[error("the self-test failed: {0}")]
    Read(#[from] ReadError),
    /// Neither for want of a privilege nor since the kernel does not know how.
    #[error(
        "the self-test failed: {what}: {source}; it needs some open files and a thread (`ulimit -n`, `ulimit -u`)"
    )]
    Failed {
        /// What was tried.
        what: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// What keeps it from being made, where that is the way this kernel was built or a policy; anything else is an error.
fn skipped(what: &'static str, source: io::Error) -> Result<SelfTest, SelfTestError> {
    let expected = [
        libc::EPERM,
        libc::EACCES,
        // Built without network namespaces.
        libc::EINVAL,
        libc::ENOSYS,
        // user.max_net_namespaces
        libc::ENOSPC,
        // A policy about packets.
        libc::ECONNREFUSED,
        libc::EHOSTUNREACH,
        libc::ENETUNREACH,
    ];
    let is_expected = source
        .raw_os_error()
        .is_some_and(|errno| expected.contains(&errno));
    if is_expected || source.kind() == io::ErrorKind::TimedOut {
        return Ok(SelfTest::Skipped(format!("{what}: {source}")));
    }
    Err(SelfTestError::Failed { what, source })
}

/// The outcome, or what differs: then nothing that whydrop says could be trusted.
pub fn run(probe: &Probe) -> Result<SelfTest, SelfTestError> {
    let namespace = match Private::new() {
        Ok(namespace) => namespace,
        Err(error) => return skipped("cannot make a network namespace", error),
    };
    // A namespace that ended a moment ago may have had the same number.
    let before = seen_in(probe, namespace.inum())?;
    // The clients and the listener must live until the counters are read.
    let (listener, mut clients) = match namespace.inside(overflow) {
        Ok(Ok(sockets)) => sockets,
        Ok(Err(error)) | Err(error) => {
            return skipped("no loopback connection in a private namespace", error);
        }
    };
    // Everything decisive has to agree: one overflow is one drop and nothing else.
    let deadline = Instant::now() + PATIENCE;
    let (kernel, seen) = loop {
        let kernel = counted(&namespace)?;
        let sums = seen_in(probe, namespace.inum())?;
        let seen: Reading = std::array::from_fn(|slot| sums[slot].saturating_sub(before[slot]));
        let agree = kernel == seen && kernel[counter::LISTEN_OVERFLOWS] > 0;
        if agree || Instant::now() > deadline {
            break (kernel, seen);
        }
        if kernel[counter::LISTEN_OVERFLOWS] == 0 && clients.len() < CLIENTS_AT_MOST {
            // On a busy machine a SYN may overtake the ACK that would have filled the queue.
            let one_more = namespace.inside(|| begin_connect(listener.local_addr()?));
            let one_more = one_more.and_then(|connected| connected);
            match one_more {
                Ok(client) => clients.push(client),
                Err(error) => {
                    return skipped("no further connection in a private namespace", error);
                }
            }
        }
        std::thread::sleep(LOOK_AGAIN_AFTER);
    };
    drop((listener, clients));
    let overflows = kernel[counter::LISTEN_OVERFLOWS];
    if overflows == 0 && kernel == seen {
        return Ok(SelfTest::Skipped(
            "the kernel refused none of the connections that were meant to be too many".into(),
        ));
    }
    if kernel != seen {
        let names: Vec<&str> = counter::NAMES[..counter::DECISIVE]
            .iter()
            .map(|(_, name)| *name)
            .collect();
        return Err(SelfTestError::Differs(format!(
            "of {} the kernel counted {kernel:?} and the hooks saw {seen:?}",
            names.join(", ")
        )));
    }
    Ok(SelfTest::Passed { overflows })
}

/// What the hooks have seen of a namespace's decisive counters.
fn seen_in(probe: &Probe, netns: u32) -> Result<Reading, ReadError> {
    let sums = probe.counts().sums()?;
    Ok(sums.get(&netns).map_or_else(Reading::default, |sums| {
        std::array::from_fn(|slot| sums[slot])
    }))
}

/// A listener with room for two, and three clients.
fn overflow() -> io::Result<(TcpListener, Vec<TcpStream>)> {
    let listener = listen(1)?;
    let to = listener.local_addr()?;
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.push(TcpStream::connect_timeout(&to, PATIENCE)?);
    }
    clients.push(begin_connect(to)?);
    Ok((listener, clients))
}

/// A loopback listener with the given `listen_backlog`.
fn listen(listen_backlog: i32) -> io::Result<TcpListener> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    rustix::net::listen(&socket, listen_backlog)?;
    Ok(TcpListener::from(socket))
}

/// Sends a SYN and does not wait.
fn begin_connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::STREAM,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        None,
    )?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// The decisive counters of the namespace.
fn counted(namespace: &Private) -> Result<Reading, SelfTestError> {
    let read = namespace
        .inside(|| netstat::read(&mut Registry::new(), namespace.inum()))
        .and_then(|read| read.map_err(io::Error::other));
    let read = read.map_err(|source| {
        let what = "its own counters cannot be read";
        SelfTestError::Failed { what, source }
    })?;
    Ok(std::array::from_fn(|slot| {
        read.get(counter::NAMES[slot].1).unwrap_or_default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_policy_or_the_kernel_s_build_is_a_reason_to_go_without() {
        let check = |errno, expect| {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(skipped("it", error).is_ok(), expect, "{errno}");
        };
        for errno in [libc::EPERM, libc::ENOSYS, libc::ENOSPC, libc::ETIMEDOUT] {
            check(errno, true);
        }
        for errno in [libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::ENOMEM] {
            check(errno, false);
        }
    }
}
