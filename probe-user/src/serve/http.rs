//! The smallest HTTP that Prometheus and kubelet speak: one request a connection, each with a thread, a deadline and a
//! bounded header. Whoever sends more, or slower, is let go, and the others are served.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::net::{Shutdown, shutdown};

use super::{
    address::Bound,
    answers::{Reply, Request},
    service::Shared,
};
use crate::host::threads::{NoThread, spawn};

/// Connections at once; others are turned away.
const CONNECTIONS: usize = 8;

/// For the header, and again for the answer.
const TIME: Duration = Duration::from_secs(2);

/// No header of a scraper is longer.
const HEADER_BYTES: usize = 8 << 10;

/// After the answer so much more is read and thrown away, so that the client reads the answer before it is reset.
const LEFT_BYTES: usize = 256 << 10;

/// After accept(2) failed, since there are too many open files for example.
const REST: Duration = Duration::from_millis(100);

/// Both kinds of streams.
trait Stream: Read + Write + Send + rustix::fd::AsFd + 'static {
    fn within(&self, time: Duration) -> io::Result<()>;
    fn at_once(&self) -> io::Result<()>;
}

macro_rules! stream {
    ($name:ty) => {
        impl Stream for $name {
            fn within(&self, time: Duration) -> io::Result<()> {
                self.set_read_timeout(Some(time))?;
                self.set_write_timeout(Some(time))
            }

            fn at_once(&self) -> io::Result<()> {
                self.set_nonblocking(true)
            }
        }
    };
}

stream!(TcpStream);
stream!(UnixStream);

/// Serves for as long as the process lives, on threads of its own.
///
/// # Errors
/// There is no thread to be had.
pub fn serve(bound: Bound, shared: Arc<Shared>) -> Result<(), NoThread> {
    spawn("to serve metrics", move || match bound {
        Bound::Tcp(listener) => accept(&shared, || listener.accept().map(|(stream, _)| stream)),
        Bound::Unix(listener, _) => accept(&shared, || listener.accept().map(|(stream, _)| stream)),
    })
    .map(drop)
}

/// One of the connections that there may be.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(open));
        (open.fetch_add(1, Ordering::AcqRel) < CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn accept<S: Stream>(shared: &Arc<Shared>, mut next: impl FnMut() -> io::Result<S>) -> ! {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok(stream) = next() else {
            thread::sleep(REST);
            continue;
        };
        match Place::take(&open) {
            None => turn_away(stream),
            Some(place) => {
                let shared = Arc::clone(shared);
                // Without a thread the connection is closed.
                let _ = spawn("to answer a request", move || {
                    let _place = place;
                    // A client that is gone needs no answer.
                    let _ = answer(stream, &shared);
                });
            }
        }
    }
}

fn turn_away<S: Stream>(mut stream: S) {
    let why = format!("{CONNECTIONS} connections are served at once");
    let reply = Reply::plain("503 Service Unavailable", why).bytes(false);
    let _ = stream.at_once().and_then(|()| stream.write(&reply));
}

fn answer<S: Stream>(mut stream: S, shared: &Arc<Shared>) -> io::Result<()> {
    let (reply, is_head) = match header(&mut stream)? {
        Ok(header) => match Request::of(&header) {
            Ok(request) => (request.answer(shared), request.is_head),
            Err(reply) => (reply, false),
        },
        Err(reply) => (reply, false),
    };
    let end = Instant::now() + TIME;
    let bytes = reply.bytes(is_head);
    let mut written = 0;
    while written < bytes.len() {
        stream.within(left(end)?)?;
        written += stream.write(&bytes[written..])?;
    }
    shutdown(&stream, Shutdown::Write)?;
    let (mut thrown, mut away) = (0, [0; 4096]);
    while thrown < LEFT_BYTES {
        stream.within(left(end)?)?;
        match stream.read(&mut away)? {
            0 => break,
            n => thrown += n,
        }
    }
    Ok(())
}

/// The header, or what is answered without it.
fn header<S: Stream>(stream: &mut S) -> io::Result<Result<Vec<u8>, Reply>> {
    let end = Instant::now() + TIME;
    let mut header = Vec::with_capacity(1024);
    let mut some = [0; 1024];
    loop {
        if is_whole(&header) {
            return Ok(Ok(header));
        }
        if header.len() > HEADER_BYTES {
            let why = format!("a header has {HEADER_BYTES} bytes at most");
            let reply = Reply::plain("431 Request Header Fields Too Large", why);
            return Ok(Err(reply));
        }
        let read = left(end).and_then(|left| {
            stream.within(left)?;
            stream.read(&mut some)
        });
        match read {
            Ok(0) => return Ok(Ok(header)),
            Ok(n) => header.extend_from_slice(&some[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_late(&error) => {
                let why = "a request has two seconds";
                return Ok(Err(Reply::plain("408 Request Timeout", why)));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether the header has its empty line, or will have none: a first line without a version is the whole of HTTP/0.9.
fn is_whole(header: &[u8]) -> bool {
    let has = |end: &[u8]| header.windows(end.len()).any(|it| it == end);
    let first = header.iter().position(|byte| *byte == b'\n');
    let is_old = first.is_some_and(|end| header[..end].split(|byte| *byte == b' ').count() < 3);
    is_old || has(b"\r\n\r\n") || has(b"\n\n")
}

fn is_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
