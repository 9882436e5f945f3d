//! Tells the service manager how it goes: sd_notify(3) is a datagram of a few words.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// Where it goes, and how often the manager wants to hear that it is alive.
#[derive(Debug)]
pub struct Notify {
    socket: UnixDatagram,
    to: SocketAddr,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Of the environment; `None` where nobody wants to be told.
    ///
    /// # Errors
    /// A sentence.
    pub fn of_env() -> Result<Option<Self>, String> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let to = address(name.as_bytes());
        let socket = UnixDatagram::unbound().and_then(|socket| {
            // A manager that does not read must not hold up the watch.
            socket.set_nonblocking(true)?;
            Ok((socket, to?))
        });
        let (socket, to) =
            socket.map_err(|error| format!("cannot notify {}: {error}", name.display()))?;
        Ok(Some(Self {
            socket,
            to,
            watchdog: watchdog(
                env::var("WATCHDOG_USEC").ok().as_deref(),
                env::var("WATCHDOG_PID").ok().as_deref(),
                std::process::id(),
            ),
        }))
    }

    /// How often it wants to hear that the watch is alive.
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Sends these words, one assignment a line. What does not arrive is missed by the manager, which acts on it.
    pub fn tell(&self, words: &str) {
        let _ = self.socket.send_to_addr(words.as_bytes(), &self.to);
    }
}

/// `@` begins a name that is in no file system.
fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
    }
}

/// It may be meant for another process.
fn watchdog(usec: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    let is_other = pid.is_some_and(|pid| pid.parse() != Ok(own));
    let usec: u64 = usec?.parse().ok()?;
    (!is_other && usec > 0).then(|| Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_of_another_process_is_none() {
        let of = |usec, pid| watchdog(usec, pid, 7);
        let half = Some(Duration::from_millis(500));
        assert_eq!(of(Some("500000"), None), half);
        assert_eq!(of(Some("500000"), Some("7")), half);
        assert_eq!(of(Some("500000"), Some("8")), None);
        assert_eq!(of(Some("x"), None), None);
        assert_eq!(of(None, Some("7")), None);
    }

    #[test]
    fn a_name_may_be_in_no_file_system() {
        let name = format!("whydrop-notify-{}", std::process::id());
        let at = SocketAddr::from_abstract_name(&name).expect("a name");
        let manager = UnixDatagram::bind_addr(&at).expect("a socket");
        let notify = Notify {
            socket: UnixDatagram::unbound().expect("a socket"),
            to: address(format!("@{name}").as_bytes()).expect("an address"),
            watchdog: None,
        };
        notify.tell("READY=1\nSTATUS=x");
        manager
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a timeout");
        let mut words = [0; 64];
        let n = manager.recv(&mut words).expect("words");
        assert_eq!(&words[..n], b"READY=1\nSTATUS=x");
    }
}
