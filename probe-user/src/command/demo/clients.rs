//! Clients of a scene, in the namespace of the calling thread.

use std::{
    io::{self, ErrorKind, Read},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect as begin, socket_with, sockopt},
};

/// Clients at once: more than the queues of most scenes hold.
pub(super) const MANY: usize = 24;

/// How long a sound server may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Sends a SYN and does not wait; `None` when it was refused at once.
pub(super) fn connect(to: SocketAddr) -> io::Result<Option<TcpStream>> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    // Closing leaves nothing behind that would use up ports.
    sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
    match begin(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(Some(socket.into())),
        Err(Errno::CONNREFUSED | Errno::CONNRESET) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Connects, and waits until the server has closed the connection.
pub(super) fn visit(to: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    match stream.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        read => read.map(drop),
    }
}

/// So many at once, which leave at once.
pub(super) fn burst(to: SocketAddr) -> io::Result<()> {
    let clients: io::Result<Vec<_>> = (0..MANY).map(|_| connect(to)).collect();
    clients.map(drop)
}

/// Clients that come one by one and stay; of those who are too many one gives up.
#[derive(Default)]
pub(super) struct Crowd(Vec<Option<TcpStream>>);

impl Crowd {
    pub(super) fn come(&mut self, to: SocketAddr) -> io::Result<()> {
        if self.0.len() == MANY {
            // Of those who came when the queue was full.
            self.0.remove(MANY - 2);
        }
        self.0.push(connect(to)?);
        Ok(())
    }
}
