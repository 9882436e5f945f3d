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
    inspect::{
        netns::{Private, Registry},
        netstat,
    },
    loader::Probe,
    report::SelfTest,
};

/// How long the kernel may take to refuse one SYN.
const PATIENCE: Duration = Duration::from_secs(5);

/// The outcome, or what differs: then nothing that whydrop says could be trusted.
pub fn run(probe: &Probe) -> Result<SelfTest, String> {
    let namespace = match Private::new() {
        Ok(namespace) => namespace,
        Err(error) => {
            return Ok(SelfTest::Skipped(format!(
                "cannot make a network namespace: {error}"
            )));
        }
    };
    // The clients and the listener must live until the counters are read.
    let sockets = match namespace.inside(overflow) {
        Ok(Ok(sockets)) => sockets,
        Ok(Err(error)) | Err(error) => {
            return Ok(SelfTest::Skipped(format!(
                "no loopback connection in a private namespace: {error}"
            )));
        }
    };
    let deadline = Instant::now() + PATIENCE;
    let kernel = loop {
        let counted = overflows(&namespace)?;
        if counted > 0 || Instant::now() > deadline {
            break counted;
        }
        std::thread::yield_now();
    };
    let seen = probe
        .counts()
        .sums()
        .get(&namespace.inum())
        .map_or(0, |sums| sums[counter::LISTEN_OVERFLOWS]);
    drop(sockets);
    if kernel == 0 {
        return Err("the self-test could not make the kernel refuse a connection".into());
    }
    if kernel != seen {
        return Err(format!(
            "the self-test failed: the kernel counted {kernel} ListenOverflows and the hooks saw {seen}; \
             this kernel is not understood, and whydrop will not pretend; `--tier` can force another way in"
        ));
    }
    Ok(SelfTest::Passed { overflows: kernel })
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

fn overflows(namespace: &Private) -> Result<u64, String> {
    let read = namespace
        .inside(|| {
            let inum = namespace.inum();
            netstat::read(&mut Registry::new(), inum)
        })
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    Ok(read.get("ListenOverflows").unwrap_or(0))
}
