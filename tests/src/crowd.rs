//! A busy host: many listeners in one namespace and many connections to them,
//! over loopback, so that both ends are there.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::connect_here;
use crate::deadline::{soon, wait_until};
use crate::listener::Listener;
use crate::netns::Netns;

/// In front of those that the process has open anyhow.
const OTHER_FILES: u64 = 1000;

/// All of it ends when this is dropped. What it holds is the test's own.
pub struct Crowd {
    _streams: Vec<TcpStream>,
    _listeners: Vec<Listener>,
    // The last, so that the limit is back when the files are closed.
    _limit: OpenFiles,
}

impl Crowd {
    /// The connections are shared out among the listeners, each of which has an
    /// address of 127.0.0.0/8 to itself: ports are not what runs out.
    pub fn gather(netns: &Netns, listeners: u16, connections: usize) -> Result<Self> {
        let limit = OpenFiles::allow(2 * connections as u64 + u64::from(listeners) + OTHER_FILES)?;
        let each = connections / usize::from(listeners);
        let at = |n: u16| {
            let [high, low] = n.to_be_bytes();
            Ipv4Addr::new(127, 1, high, low)
        };
        let listeners: Vec<Listener> = (1..=listeners)
            .map(|n| Listener::new(netns, at(n).into(), each as i32))
            .collect::<Result<_>>()?;
        let mut streams = Vec::with_capacity(2 * connections);
        netns.run(|| -> Result<()> {
            for listener in &listeners {
                connect(listener, each, &mut streams)?;
            }
            Ok(())
        })??;
        ensure!(
            streams.len() == 2 * each * listeners.len(),
            "{} ends of connections",
            streams.len()
        );
        Ok(Self {
            _streams: streams,
            _listeners: listeners,
            _limit: limit,
        })
    }
}

/// Both ends of so many, from the namespace of the calling thread.
fn connect(listener: &Listener, count: usize, streams: &mut Vec<TcpStream>) -> Result<()> {
    let to: SocketAddr = listener.address();
    for _ in 0..count {
        streams.push(connect_here(to)?.into_stream()?);
        wait_until("a connection to accept", soon(), || {
            let accepted = listener.accept()?;
            let came = accepted.is_some();
            streams.extend(accepted);
            Ok(came)
        })?;
    }
    Ok(())
}

/// How many files this process may have open, as it was before when this is dropped.
struct OpenFiles(Rlimit);

impl OpenFiles {
    fn allow(files: u64) -> Result<Self> {
        let before = getrlimit(Resource::Nofile);
        let more = |limit: Option<u64>| limit.map(|limit| limit.max(files));
        let limit = Rlimit {
            current: more(before.current),
            maximum: more(before.maximum),
        };
        setrlimit(Resource::Nofile, limit).with_context(|| format!("allow {files} open files"))?;
        Ok(Self(before))
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        // Fewer than it was is no harm to those that come after.
        let _ = setrlimit(Resource::Nofile, self.0.clone());
    }
}
