//! `whydrop demo` without a name: a listener that stops accepting in a private
//! namespace, clients over IPv4 and IPv6, the live log of it, and a check of the sums.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{DemoArgs, private_namespace};
use crate::{
    command::{Failure, say, watch},
    host::{netns::Private, threads::spawn_scoped},
    model::{
        request::{Detail, Request},
        tier::Tier,
    },
    sink::Format,
    source::Conduct,
};

/// `listen_backlog` of the demo's listener: room for five.
const LISTEN_BACKLOG: i32 = 4;
/// Clients of each family.
const CLIENTS: usize = 4;
/// Long enough for the first retry of a dropped SYN, a second later.
const DURATION: Duration = Duration::from_millis(2500);

/// Plays the demo; fails when what was seen differs from what the kernel counted.
pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let namespace = private_namespace(args.tier)?;
    if args.format == Format::Text {
        say(format_args!(
            "demo: in a private namespace a listener with a queue of {} stops accepting, and {} clients connect\n",
            LISTEN_BACKLOG + 1,
            CLIENTS * 2
        ))?;
    }
    let watch_args = watch::WatchArgs {
        format: args.format,
        duration: Some(DURATION),
        netns: format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd()),
        request: Request {
            tier: args.tier,
            detail: Detail(None),
            ..Request::default()
        },
        ..Default::default()
    };
    let (ready, begin) = mpsc::channel();
    let summary = thread::scope(|scope| {
        let namespace = &namespace;
        let play = move || play(namespace, &begin);
        let traffic = spawn_scoped(scope, "to make the demo's traffic on", play)?;
        let summary = watch::run(
            &watch_args,
            // Its lines are about packets.
            Conduct {
                tells_incidents: false,
                confine: crate::model::sandbox::Confine::No,
                ..Conduct::printed(|_| {
                    let _ = ready.send(());
                })
            },
        );
        // The traffic thread keeps its sockets until this end is gone.
        drop(ready);
        match traffic.join() {
            Ok(Ok(())) => summary,
            Ok(Err(error)) => Err(Failure::failed(format!(
                "the demo's traffic failed: {error}"
            ))),
            Err(_) => Err(Failure::failed("the demo's traffic panicked")),
        }
    })?;
    let refused: u64 = summary.rows.iter().filter_map(|row| row.kernel).sum();
    if summary.tier == Tier::Counters {
        return Ok(());
    }
    if refused == 0 {
        return Err(Failure::failed(
            "the kernel refused no connection: nothing was shown",
        ));
    }
    if !summary.adds_up() {
        return Err(Failure::failed(
            "what was seen differs from what the kernel counted; please report this with `whydrop check`",
        ));
    }
    if args.format == Format::Text {
        say("\ndemo: everything the kernel counted was seen")?;
    }
    Ok(())
}

/// Waits for the readiness line, then makes the listener overflow.
fn play(namespace: &Private, begin: &mpsc::Receiver<()>) -> io::Result<()> {
    if begin.recv().is_err() {
        // The watch did not start; it says why.
        return Ok(());
    }
    let (listener, clients) = namespace.inside(overflow)??;
    // The second tries come a second later; the sockets must live until then.
    let _ = begin.recv();
    drop((listener, clients));
    Ok(())
}

fn overflow() -> io::Result<(TcpListener, Vec<TcpStream>)> {
    let socket = rustix::net::socket(AddressFamily::INET6, SocketType::STREAM, None)?;
    rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
    rustix::net::bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8080)))?;
    rustix::net::listen(&socket, LISTEN_BACKLOG)?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(connect((Ipv4Addr::LOCALHOST, 8080).into())?);
        clients.push(connect((Ipv6Addr::LOCALHOST, 8080).into())?);
    }
    Ok((TcpListener::from(socket), clients))
}

/// Sends a SYN and does not wait.
fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}
