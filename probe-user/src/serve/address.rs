//! Where metrics are served: `ADDR:PORT` or `unix:PATH`, bound before anything is attached.

use std::{
    fmt, fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    str::FromStr,
};

use rustix::net::listen;

/// Connections that may wait to be accepted: one that finds no room would be an incident.
const BACKLOG: i32 = 4096;

/// Where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// This host's TCP.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            format!(
                "`{text}` is no address; write 127.0.0.1:9435, [::1]:9435 or unix:/run/whydrop.sock"
            )
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "http://{addr}/metrics"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub enum Bound {
    /// Of TCP.
    Tcp(TcpListener),
    /// Of the file system, which forgets it at the end.
    Unix(UnixListener, PathBuf),
}

impl Address {
    /// Binds it. A socket that a killed process has left is replaced.
    ///
    /// # Errors
    /// A sentence.
    pub fn bind(&self) -> Result<Bound, String> {
        let bound = match self {
            Self::Tcp(addr) => TcpListener::bind(addr).and_then(|listener| {
                listen(&listener, BACKLOG)?;
                Ok(Bound::Tcp(listener))
            }),
            Self::Unix(path) => {
                if is_left_over(path) {
                    // Whether it could be removed shows when it is bound.
                    let _ = fs::remove_file(path);
                }
                UnixListener::bind(path).map(|listener| Bound::Unix(listener, path.clone()))
            }
        };
        bound.map_err(|error| {
            format!("cannot serve metrics at {self}: {error}; name another address by --metrics")
        })
    }
}

impl Bound {
    /// Where it is: a port of 0 is a real one by now.
    pub fn address(&self) -> Option<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(Address::Tcp),
            Self::Unix(_, path) => Some(Address::Unix(path.clone())),
        }
    }
}

fn is_left_over(path: &PathBuf) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let nobody = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).is_err_and(nobody)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |text: &str| text.parse().map(Address::Tcp).map_err(|_| ());
        for text in ["127.0.0.1:9435", "[::1]:0"] {
            assert_eq!(text.parse::<Address>().map_err(|_| ()), tcp(text));
        }
        let unix = Address::Unix("/run/w.sock".into());
        assert_eq!("unix:/run/w.sock".parse(), Ok(unix));
        for text in ["", "9435", ":9435", "localhost:9435", "unix:"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
